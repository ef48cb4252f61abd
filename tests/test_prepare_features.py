"""Precomputed features and label files become a prepared dataset, or one error that lists every case."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corelib.data.features import FeatureSteps
from corelib.data.samples import SampleTable

SCRIPT = Path(__file__).parents[1] / "data_scripts" / "prepare_features.py"


def prepare(raw, out, score="TES", *more):
    command = [sys.executable, SCRIPT, "--features", raw / "npy", "--labels", raw, "--score", score, "--out", out, *more]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "npy").mkdir()
    rng = np.random.default_rng(0)
    for name, length in (("1", 40), ("2", 64), ("7", 33)):
        np.save(tmp_path / "npy" / f"{name}.npy", rng.standard_normal((length, 5)).astype(np.float32))
    (tmp_path / "train.txt").write_text("1 28.71 29.36 1\n2 30.5 27.0 0\n")
    (tmp_path / "test.txt").write_text("7 20.0 25.5 0\n")
    return tmp_path


def test_the_chosen_column_becomes_the_score(raw, tmp_path):
    result = prepare(raw, tmp_path / "out", "PCS")
    assert result.returncode == 0, result.stderr
    table = SampleTable.load(tmp_path / "out")
    assert table.samples["score"].tolist() == [29.36, 27.0, 25.5]
    assert table.samples["split"].tolist() == ["train", "train", "test"]
    steps = FeatureSteps(table)[1]
    assert steps.shape == (32, 5)
    expected = np.load(raw / "npy" / "2.npy").reshape(32, 2, 5).mean(axis=1)
    assert np.allclose(steps.numpy(), expected, atol=2e-3)


def test_all_faults_are_listed_and_nothing_is_left_behind(raw, tmp_path):
    (raw / "test.txt").write_text("7 20.0 25.5 0\n8 1 2 0\n9 x 2 0\n")
    np.save(raw / "npy" / "2.npy", np.full((4, 5), np.nan))
    result = prepare(raw, tmp_path / "out")
    assert result.returncode == 2
    assert "line 3" in result.stderr and "8.npy" in result.stderr and "2.npy" in result.stderr
    assert not (tmp_path / "out").exists()


def test_real_performances(aqa_data, tmp_path):
    folder = aqa_data / "fisv"
    command = [sys.executable, SCRIPT, "--features", folder / "swintx_avg_fps25_clip32", "--score", "TES", "--out", tmp_path / "tes"]
    assert subprocess.run(list(map(str, command)), capture_output=True).returncode == 0
    table = SampleTable.load(tmp_path / "tes")
    assert (len(table.rows("train")), len(table.rows("test"))) == (400, 100)
    assert FeatureSteps(table)[0].shape == (32, 1024)
