"""What the kit computes is what it computed: see unchanged.py, which records it."""

import numpy as np
import pytest

from tests import unchanged

# trainings of a few steps, whose predictions are nearly constant
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(what was recorded, what is computed now)."""
    recipes, before = unchanged.recorded()
    return before, unchanged.compute(tmp_path_factory.mktemp("unchanged"), recipes)


def test_every_digest_is_as_recorded(both):
    before, now = both
    assert len(before.exact) > 40
    differing = [name for name in before.exact if now.exact.get(name) != before.exact[name]]
    assert differing == [] and now.exact.keys() == before.exact.keys()


@pytest.mark.parametrize("name", unchanged.TRAINED)
def test_a_short_training_comes_out_as_recorded(both, name):
    # processors round differently, and a training grows what they differ by
    before, now = (found.close[name] for found in both)
    assert now.keys() == before.keys()
    for what, values in before.items():
        np.testing.assert_allclose(now[what], values, rtol=0.02, err_msg=f"{name}: {what}")
