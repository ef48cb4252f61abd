"""Precomputed features and label files become a prepared dataset, or one error that lists every case."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corelib.data.features import FeatureSteps
from corelib.data.samples import SampleTable
from tests.payloads import payloads

SCRIPT = Path(__file__).parents[1] / "data_scripts" / "prepare_features.py"


def prepare(raw, out, score="TES", *more):
    command = [sys.executable, SCRIPT, "--features", raw / "npy", "--labels", raw, "--score", score, "--out", out, *more]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.fixture
def refusal(data_script):
    """refusal(raw, tmp_path) -> what the script says of features that it refuses."""

    def refuse(raw, tmp_path):
        done = CliRunner().invoke(data_script("prepare_features").main, ["--features", str(raw / "npy"), "--labels", str(raw), "--score", "TES", "--out", str(tmp_path / "out")])
        assert done.exit_code == 2 and not (tmp_path / "out").exists(), done.output
        return done.stderr

    return refuse


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


def npy(shape, content=b"", kind="<f4"):
    """A .npy file whose header states any shape and type."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


def archive():
    file = io.BytesIO()
    np.savez(file, a=np.zeros((4, 5)))
    return file.getvalue()


STRANGE = {
    "terabytes": npy((10**9, 1024)), "cut short": npy((40, 5), bytes(799)), "text": b"id,score\n", "nothing": b"", "an archive": archive(),
    "texts": npy((4, 5), bytes(80), "<U1"), "integers": npy((4, 5), bytes(80), "<i4"), "records": npy((4, 5), bytes(160), "V8"), "no literal": npy("(4, open)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_a_feature_file_that_is_none_is_listed(raw, tmp_path, refusal, kind):
    (raw / "npy" / "2.npy").write_bytes(STRANGE[kind])
    told = refusal(raw, tmp_path)
    assert told.startswith("error: 1 problem(s):\n") and f"{raw / 'npy' / '2.npy'}: " in told and len(told.strip().splitlines()) == 2


@pytest.mark.parametrize("kind", payloads(None))
def test_a_feature_file_that_runs_something_is_refused_and_nothing_runs(raw, tmp_path, refusal, kind):
    marker, path = tmp_path / "marker", raw / "npy" / "2.npy"
    np.save(path, np.array([[payloads(marker)[kind]]]), allow_pickle=True)
    np.load(path, allow_pickle=True)
    assert marker.exists(), "the trap must work, or this test shows nothing"
    for content in (path.read_bytes(), pickle.dumps(payloads(marker)[kind])):
        path.write_bytes(content)
        marker.unlink(missing_ok=True)
        assert "2.npy: " in refusal(raw, tmp_path) and not marker.exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/secret", "..", "deep/2"])
def test_an_id_names_a_file_in_the_folder(raw, tmp_path, refusal, name):
    np.save(raw / "secret.npy", np.zeros((4, 5), np.float32))
    (raw / "npy" / "deep").mkdir()
    np.save(raw / "npy" / "deep" / "2.npy", np.zeros((4, 5), np.float32))
    (raw / "test.txt").write_text(f"{name} 20.0 25.5 0\n")
    assert "test.txt line 1: expected `id TES PCS deductions`, found" in refusal(raw, tmp_path)


def test_labels_that_are_no_text_are_listed(raw, tmp_path, refusal):
    (raw / "test.txt").write_bytes(b"\xff\xfe7 x\n")
    assert "test.txt line 1: expected `id TES PCS deductions`" in refusal(raw, tmp_path)
