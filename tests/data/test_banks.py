"""Feature banks: written and read back, row order, averaging over time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.data.banks import average_steps, bank_ids, write_bank


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_a_bank_keeps_features_and_order(tmp_path, kind):
    from safetensors.numpy import load_file

    features = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(kind)
    write_bank(tmp_path / "bank.safetensors", features, ["z", "a", "07"])
    assert bank_ids(tmp_path / "bank.safetensors") == ["z", "a", "07"]
    assert np.array_equal(load_file(tmp_path / "bank.safetensors")["features"], features)


@pytest.mark.parametrize(
    ("shape", "ids"), [((2, 3), ["a", "b"]), ((2, 3, 4), ["a"]), ((2, 3, 4), ["a", "a"])]
)
def test_a_bank_that_is_none_is_refused(tmp_path, shape, ids):
    with pytest.raises(ValueError, match="N different ids"):
        write_bank(tmp_path / "bank.safetensors", np.zeros(shape, np.float32), ids)


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
