"""Feature banks: written and read back, row order."""

import numpy as np
import pytest

from corelib.data.banks import bank_ids, write_bank


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
