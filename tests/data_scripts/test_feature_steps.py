"""Features of any length: averaged over time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_scripts.readers.feature_steps import average_steps


def test_average_steps_by_hand():
    assert average_steps(np.arange(6.0)[:, None], 3)[:, 0].tolist() == [0.5, 2.5, 4.5]
    assert average_steps(np.arange(2.0)[:, None], 4)[:, 0].tolist() == [
        0,
        0,
        1,
        1,
    ]  # shorter videos repeat
    assert average_steps(np.arange(3.0)[:, None], 2)[:, 0].tolist() == [
        0.5,
        1.5,
    ]  # a step on a border counts on both sides


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 12), times=st.integers(1, 8))
def test_equal_stretches_are_plain_means(count, times):
    steps = np.random.default_rng(times).normal(size=(count * times, 2))
    np.testing.assert_allclose(
        average_steps(steps, count), steps.reshape(count, times, 2).mean(1), atol=1e-12
    )
