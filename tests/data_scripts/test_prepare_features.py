"""Precomputed features and label files become a prepared dataset, or one error that lists every
case."""

import io
import pickle
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from corelib.data.banks import FeatureSteps
from corelib.data.samples import DatasetError, SampleTable
from tests.payloads import payloads

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "prepare_features.py"


def prepare(raw, out, score="TES", *more):
    command = [
        sys.executable,
        SCRIPT,
        "--features",
        raw / "npy",
        "--labels",
        raw,
        "--score",
        score,
        "--out",
        out,
        *more,
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.fixture
def refusal(data_script):
    """refusal(raw, tmp_path) -> what the script says of features that it refuses."""

    def refuse(raw, tmp_path):
        done = CliRunner().invoke(
            data_script("prepare_features").main,
            [
                "--features",
                str(raw / "npy"),
                "--labels",
                str(raw),
                "--score",
                "TES",
                "--out",
                str(tmp_path / "out"),
            ],
        )
        assert done.exit_code == 2 and not (tmp_path / "out").exists(), done.output
        return done.stderr

    return refuse


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "npy").mkdir()
    rng = np.random.default_rng(0)
    for name, length in (("1", 40), ("2", 64), ("7", 33)):
        np.save(
            tmp_path / "npy" / f"{name}.npy", rng.standard_normal((length, 5)).astype(np.float32)
        )
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
    command = [
        sys.executable,
        SCRIPT,
        "--features",
        folder / "swintx_avg_fps25_clip32",
        "--score",
        "TES",
        "--out",
        tmp_path / "tes",
    ]
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
    "terabytes": npy((10**9, 1024)), "cut short": npy((40, 5), bytes(799)),
    "text": b"id,score\n", "nothing": b"", "an archive": archive(),
    "texts": npy((4, 5), bytes(80), "<U1"), "integers": npy((4, 5), bytes(80), "<i4"),
    "records": npy((4, 5), bytes(160), "V8"), "no literal": npy("(4, open)"),
    "2 ** 64 items": npy((2**64,)), "2 ** 64 rows of nothing": npy((2**64, 0)),
    "negative": npy((-4, 5), bytes(80)), "a line that never ends": npy("(4, '"),
    "four axes": npy((1, 2, 2, 5), bytes(80)), "not finite": npy((4, 5), b"\xff" * 80),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_a_feature_file_that_is_none_is_listed(raw, tmp_path, refusal, kind):
    (raw / "npy" / "2.npy").write_bytes(STRANGE[kind])
    told = refusal(raw, tmp_path)
    assert (
        told.startswith("error: 1 problem(s):\n")
        and f"{raw / 'npy' / '2.npy'}: " in told
        and len(told.strip().splitlines()) == 2
    )


@pytest.mark.parametrize("kind", payloads(None))
def test_a_feature_file_that_runs_something_is_refused_and_nothing_runs(
    raw, tmp_path, refusal, kind
):
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


def test_an_id_that_comes_twice_is_listed_with_both_lines(raw, tmp_path, refusal):
    (raw / "test.txt").write_text("7 20.0 25.5 0\n1 1 2 0\n7 3 3 0\n")
    told = refusal(raw, tmp_path)
    assert (
        "2 problem(s)" in told
        and f"test.txt line 2: id 1 is already that of {raw / 'train.txt'} line 1" in told
        and f"line 3: id 7 is already that of {raw / 'test.txt'} line 1" in told
    )


def test_labels_that_are_no_text_are_listed(raw, tmp_path, refusal):
    (raw / "test.txt").write_bytes(b"\xff\xfe7 x\n")
    assert "test.txt line 1: expected `id TES PCS deductions`" in refusal(raw, tmp_path)


# --------------------------------------------------------------------------- a table of scores

SCORES = (
    "id;score;split;group;difficulty;j1;j2;coach\n"
    "a;60,5;train;x;2,5;7;8,5;Li\nb;70,5;train;x;3,0;7;8;Wu\nc d;80,5;test;y;3,5;9;9;Li\n"
)
NAMES = ("a", "b", "c d")


@pytest.fixture(scope="module")
def script(data_script):
    return data_script("prepare_features")


@pytest.fixture
def command(script, tmp_path):
    """command(features, labels, option, ...) -> (exit code, what was said)."""

    def run(features, text, *options, labels="scores.csv"):
        (tmp_path / labels).write_text(text)
        done = CliRunner().invoke(
            script.main,
            list(
                map(
                    str,
                    [
                        "--features",
                        features,
                        "--labels",
                        tmp_path / labels,
                        "--out",
                        tmp_path / "out",
                        *options,
                    ],
                )
            ),
        )
        assert done.exit_code in (0, 2) and (done.exit_code == 0) == (tmp_path / "out").is_dir(), (
            done.output,
            done.exception,
        )
        return done.exit_code, done.output

    return run


def arrays(steps=40, width=6):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((steps, width)).astype(np.float32) for name in NAMES}


def save(folder, kind):
    """The arrays as one file a sample, or as one of all; returns what to name with --features."""
    folder.mkdir()
    made = arrays()
    tensors = {name: torch.from_numpy(array) for name, array in made.items()}
    if kind == "mixed":
        np.save(folder / "a.npy", made["a"])
        np.savez_compressed(folder / "b.npz", whatever=made["b"])
        torch.save(tensors["c d"], folder / "c d.pt")
        return folder
    if kind.startswith("all"):
        path = folder / f"features.{kind.split()[-1]}"
        if kind == "all npz":
            np.savez(path, **made)
        elif kind == "all with ids npz":
            np.savez(path, ids=np.array(NAMES), features=np.stack(list(made.values())))
        elif kind == "all with ids pt":
            torch.save({"ids": list(NAMES), "features": torch.stack(list(tensors.values()))}, path)
        else:
            torch.save(tensors, path)
        return path
    for name in NAMES:
        if kind == "npy":
            np.save(folder / f"{name}.npy", made[name])
        elif kind == "npz":
            np.savez(folder / f"{name}.npz", features=made[name], rate=np.float32(25))
        else:
            torch.save(
                {"features": tensors[name]} if name == "b" else tensors[name].double(),
                folder / f"{name}.pt",
            )
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        "npy",
        "npz",
        "pt",
        "mixed",
        "all npz",
        "all pt",
        "all pth",
        "all with ids npz",
        "all with ids pt",
    ],
)
def test_a_table_of_scores_with_features_of_any_kind_of_file(tmp_path, command, kind):
    code, said = command(
        save(tmp_path / "features", kind), SCORES, "--judges-columns", "j1,j2", "--steps", "8"
    )
    assert code == 0, said
    assert (
        "decimal commas" in said
        and "judges from j1, j2" in said
        and "3 samples of 3 files with 40 to 40 steps of 6 features, kept as 8 of float16:" in said
        and "float16: 2 train, 1 test" in said
    )
    table = SampleTable.load(tmp_path / "out")
    samples = table.samples
    assert (
        samples["id"].tolist() == ["a", "b", "c_d"]
        and samples["media"].tolist() == list(NAMES)
        and samples["split"].tolist() == ["train", "train", "test"]
    )
    assert (
        samples["score"].tolist() == [60.5, 70.5, 80.5]
        and samples["difficulty"].tolist() == [2.5, 3, 3.5]
        and samples["coach"].tolist() == ["Li", "Wu", "Li"]
    )
    assert [marks.tolist() for marks in table.marks()] == [[7, 8.5], [7, 8], [9, 9]]
    assert (
        table.info["pairing_key"] == "group"
        and table.info["divided_by_difficulty"]
        and table.info["name"] == "out"
        and table.info["steps"] == 8
    )
    steps = FeatureSteps(table)
    for row, name in enumerate(NAMES):
        np.testing.assert_allclose(steps[row], arrays()[name].reshape(8, 5, 6).mean(1), atol=2e-3)


def test_vectors_are_kept_as_one_step_and_lengths_may_differ(tmp_path, command):
    np.savez(tmp_path / "vectors.npz", **{name: array[0] for name, array in arrays().items()})
    assert command(tmp_path / "vectors.npz", SCORES)[0] == 0
    assert FeatureSteps(SampleTable.load(tmp_path / "out"))[0].shape == (1, 6)
    np.savez(
        tmp_path / "mixed.npz",
        **{
            name: array[:length] if length else array[0]
            for (name, array), length in zip(arrays().items(), (7, 0, 40), strict=True)
        },
    )
    code, said = command(tmp_path / "mixed.npz", SCORES, "--overwrite")
    assert (
        code == 0
        and "1 to 40 steps" in said
        and FeatureSteps(SampleTable.load(tmp_path / "out"))[1].shape == (32, 6)
    )


def test_columns_are_named_and_a_split_is_drawn_by_file_as_for_videos(tmp_path, command):
    text = "who,clip,points,fold\n" + "".join(
        f"p{row},sub/clip{row // 2}.mp4,{row},{row // 2 % 2}\n" for row in range(12)
    )
    (tmp_path / "f" / "sub").mkdir(parents=True)
    for row in range(6):
        np.save(
            tmp_path / "f" / "sub" / f"clip{row}.npy", np.random.default_rng(row).standard_normal(5)
        )
    named = (
        "--id-column",
        "who",
        "--features-column",
        "clip",
        "--score",
        "points",
        "--score-range",
        0,
        20,
        "--name",
        "mine",
        "--licence",
        "CC0",
    )
    code, said = command(tmp_path / "f", text, *named)
    table = SampleTable.load(tmp_path / "out")
    assert (
        code == 0
        and table.samples.groupby("media")["split"].nunique().max() == 1
        and set(table.samples["split"]) == {"train", "val", "test"}
    )
    assert (
        table.info["name"],
        table.info["licence"],
        table.info["source"],
        table.info["score_range"],
    ) == ("mine", "CC0", "not stated", [0, 20])
    assert (
        table.samples["fold"].tolist()[:3] == [0, 0, 1]
        and "drawn video by video, seed 0" in table.info["split"]
    )
    assert command(tmp_path / "f", text, *named, "--split-column", "fold", "--overwrite")[0] == 0
    assert SampleTable.load(tmp_path / "out").folds == [0, 1]


def test_every_row_that_is_wrong_is_listed_with_its_line(tmp_path, command):
    features = save(tmp_path / "features", "npy")
    np.save(features / "b.npy", np.zeros((4, 7)))
    torch.save(torch.zeros(3), features / "c d.pt")
    code, said = command(
        features, SCORES.replace("60,5", "sixty") + "e;1;train;x;2;7;7;Li\na;1;train;x;2;7;7;Li\n"
    )
    assert code == 2 and "5 problem(s)" in said
    for told in (
        "line 2: score (score) is 'sixty'",
        f"line 3: {features}, b: 7 features a step, the first sample has 6",
        "line 4: " + f"{features}: is c d c d.npy or c d.pt? Keep one",
        f"line 5: {features}: no features of e (e.npy, .npz or .pt); it holds",
        "line 6: id 'a' is already that of line 2",
    ):
        assert told in said, told


@pytest.mark.parametrize(
    "name, write, told",
    [
        (
            "one.npy",
            lambda path: np.save(path, np.zeros((3, 4))),
            "one array, which says nothing of whose features",
        ),
        (
            "text.csv",
            lambda path: path.write_text("a,b"),
            "expected .npy, .npz, .pt, .pth, not .csv",
        ),
        (
            "lists.pt",
            lambda path: torch.save({"a": [1.0]}, path),
            "lists.pt, a: expected an array of numbers, found a list",
        ),
        (
            "sparse.pt",
            lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path),
            "sparse.pt, a: the tensor is sparse",
        ),
        (
            "meta.pt",
            lambda path: torch.save({"a": torch.zeros(3, device="meta")}, path),
            "meta.pt, a: the tensor is sparse, quantized or without values",
        ),
        (
            "whole.pt",
            lambda path: torch.save({"a": torch.zeros(1).expand(2**40)}, path),
            "whole.pt, a: states [1099511627776] values",
        ),
        (
            "arrays.pt",
            lambda path: torch.save({"a": np.zeros(3)}, path),
            "asks for more than tensors, and was not opened; save tensors, with torch.from_numpy",
        ),
        (
            "ids.npz",
            lambda path: np.savez(path, ids=np.array(["a", "a"]), features=np.zeros((2, 3))),
            "2 ids (1 different ones) for 2 features",
        ),
        (
            "bomb.npz",
            lambda path: np.savez_compressed(path, a=np.zeros(2**22)),
            "more than 100 times its own size",
        ),
        (
            "objects.npz",
            lambda path: np.savez(path, a=np.array([{}], object)),
            "objects.npz, a: Object arrays cannot be loaded",
        ),
        (
            "twice.npz",
            lambda path: [
                zipfile.ZipFile(path, "a").writestr("a.npy", npy((3,), bytes(12))) for _ in range(2)
            ],
            "one name twice",
        ),
        (
            "large.npz",
            lambda path: zipfile.ZipFile(path, "w").writestr("a.npy", npy((2**64, 2**64))),
            "large.npz, a: its header states",
        ),
        (
            "zip.npz",
            lambda path: path.write_bytes(b"PK\x03\x04"),
            "zip.npz: File is not a zip file",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_of_all_samples_that_is_none_is_told_in_one_line(
    tmp_path, command, name, write, told
):
    write(tmp_path / name)
    code, said = command(tmp_path / name, "id,score\na,1\n")
    assert code == 2 and told in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("scale", "shift", "kind"),
    [
        (1, 0, "float16"),
        (100, 0, "float16"),
        (1e-9, 0, "float32"),
        (1e5, 0, "float32"),
        (0.5, 3000, "float32"),
        (1e-30, 0, "float32"),
    ],
)
def test_features_are_kept_in_a_type_that_holds_them(tmp_path, command, scale, shift, kind):
    made = {name: array.astype(float) * scale + shift for name, array in arrays(steps=8).items()}
    np.savez(tmp_path / "f.npz", **made)
    code, said = command(tmp_path / "f.npz", SCORES, "--steps", "8")
    assert code == 0 and f"kept as 8 of {kind}" in said
    steps, wanted = FeatureSteps(SampleTable.load(tmp_path / "out")), np.stack(list(made.values()))
    kept = np.stack([steps[row].numpy() for row in range(3)]).astype(float)
    assert np.abs(kept - wanted).max() < 0.01 * wanted.std()


def test_without_a_table_and_label_files_the_table_is_asked_for(tmp_path, script):
    options = ["--features", save(tmp_path / "features", "npy"), "--out", tmp_path / "out"]
    done = CliRunner().invoke(script.main, list(map(str, options)))
    assert (
        done.exit_code == 2
        and f"{tmp_path}: neither train.txt nor test.txt is here; name the table" in done.output
        and "table of scores with --labels" in done.output
    )


@pytest.mark.parametrize(
    ("scale", "shift"), [(1e50, 0), (1e-60, 0), (1, 1e12), (1e-200, 0), (1e307, 0)]
)
def test_features_that_no_float32_holds_are_refused(tmp_path, command, scale, shift):
    np.savez(
        tmp_path / "f.npz",
        **{name: array.astype(float) * scale + shift for name, array in arrays().items()},
    )
    code, said = command(tmp_path / "f.npz", SCORES)
    assert (
        code == 2
        and "for float32" in said
        and "scale them, or subtract their mean" in said
        and len(said.strip().splitlines()) == 1
    )


def test_constant_features_do_no_harm(tmp_path, command):
    np.savez(tmp_path / "f.npz", **{name: np.full((4, 3), [0.1, 0, 7]) for name in NAMES})
    assert command(tmp_path / "f.npz", SCORES)[0] == 0


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(2 ** int(rng.integers(0, 6))):
        place = int(
            rng.integers((len(data), min(len(data), 300))[rng.integers(2)])
        )  # headers are where a bit does most
        if rng.random() < 0.6:
            data[place] ^= 1 << int(rng.integers(8))
        elif rng.random() < 0.5:
            data[place : place + 1] = bytes(rng.choice(list(b"0-9,;()'\n\x00 ")) for _ in range(3))
        else:
            del data[place : place + int(rng.integers(40))]
            data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.parametrize("name", ["a.npy", "b.npz", "c d.pt", "scores.csv", "train.txt"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_features_and_labels_are_refused_in_words_or_read(tmp_path, script, name):
    features = save(tmp_path / "features", "mixed")
    (tmp_path / "scores.csv").write_text(SCORES)
    np.save(features / "e.npy", np.ones((4, 6)))
    (tmp_path / "train.txt").write_text("a 28.71 29.36 1\nb 30.5 27.0 0\n")
    (tmp_path / "test.txt").write_text("e 20.0 25.5 0\n")
    path = next(file for file in (features / name, tmp_path / name) if file.exists())
    labels, columns = (
        (tmp_path, {"score": "TES"}) if name == "train.txt" else (tmp_path / "scores.csv", {})
    )
    original, outcome = path.read_bytes(), Counter()
    for number in range(200 if name in ("a.npy", "scores.csv", "train.txt") else 60):
        path.write_bytes(mutated(original, np.random.default_rng(number)))
        try:
            script.prepare_features(
                features, labels, tmp_path / "out", columns, steps=2, overwrite=True, progress=False
            )
            outcome["read"] += 1
        except DatasetError as error:
            outcome["refused"] += 1
            assert (
                all(line.isprintable() for line in str(error).splitlines())
                and len(str(error)) < 5000
            )
    assert outcome["refused"] > 20 and outcome["read"] >= {"b.npz": 0}.get(name, 3), (
        outcome
    )  # a zip's checksums miss nothing
