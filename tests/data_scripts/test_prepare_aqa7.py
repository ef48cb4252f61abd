"""AQA-7: procedural dives written in its official layout become one prepared dataset a class."""

import os
import pickle
import shutil

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from corelib.data.samples import SampleTable
from corelib.data.video import read_video, write_video
from data_scripts.prepare_aqa7 import read_aqa7
from data_scripts.prepared import datasets
from data_scripts.readers.aqa7_lists import PAPER_RANGE
from tests.official_layouts import AQA7_CLASSES, write_aqa7_list
from tests.payloads import payloads

FOLDERS = [f"aqa7-{name.replace('_', '-')}" for name in AQA7_CLASSES]


@pytest.fixture
def copy(official_aqa7, tmp_path):
    """A copy of the official folder to break; what a test changes it must write anew, for the files
    are linked."""
    shutil.copytree(official_aqa7[0], tmp_path / "raw", copy_function=os.link)
    for path in (tmp_path / "raw" / "Split_4").iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    return tmp_path / "raw"


@pytest.fixture(scope="module")
def prepared(official_aqa7, tmp_path_factory, prepare):
    out = tmp_path_factory.mktemp("out")
    result = prepare(official_aqa7[0], out)
    assert result.exit_code == 0, result.stderr
    assert (
        "aqa7-gym-vault: 6 train, 4 test samples" in result.stdout
        and "trampoline" not in result.stdout
    )
    return out


def test_each_class_is_a_dataset_that_points_to_its_videos(official_aqa7, prepared):
    raw, scores = official_aqa7
    assert sorted(path.name for path in prepared.iterdir()) == sorted(FOLDERS)
    for kind, (folder, name) in enumerate(zip(FOLDERS, AQA7_CLASSES, strict=True), 1):
        table = SampleTable.load(prepared / folder)
        assert [path.name for path in sorted((prepared / folder).iterdir())] == [
            "dataset.json",
            "samples.csv",
        ]
        assert (
            table.root == raw.resolve()
            and table.name == folder
            and table.info["pairing_key"] is None
        )
        assert table.samples["score"].tolist() == list(scores[kind].values())
        assert table.samples["split"].tolist() == ["train"] * 6 + ["test"] * 4
        assert table.samples["media"].iloc[0] == (
            f"{name}-out/001" if kind % 2 else f"{name}-out/001.avi"
        )
        assert len(read_video(table.root / table.samples["media"].iloc[7])) == 103


def test_percent_is_of_the_training_scores_or_of_the_papers_constants(
    official_aqa7, prepared, tmp_path, prepare
):
    raw, scores = official_aqa7
    learnt = [scores[1][sample] for sample in range(1, 7)]
    assert SampleTable.load(prepared / "aqa7-diving").info["percent_range"] == [
        min(learnt),
        max(learnt),
    ]
    assert (
        prepare(
            raw, tmp_path, "--range", "paper", "--class", "diving", "--class", "gym_vault"
        ).exit_code
        == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aqa7-diving", "aqa7-gym-vault"]
    table = SampleTable.load(tmp_path / "aqa7-diving")
    assert table.info["percent_range"] == [21.6, 102.6]
    target = table.target(False, "percent")
    np.testing.assert_allclose(target, (table.samples["score"] - 21.6) / (102.6 - 21.6) * 100)
    assert SampleTable.load(tmp_path / "aqa7-gym-vault").info["percent_range"] == [12.3, 16.87]


def test_a_folder_of_frames_is_preferred_to_a_video(copy, tmp_path, prepare):
    write_video(copy / "diving-out" / "001.avi", np.zeros((103, 32, 32, 3), np.uint8), 30)
    assert prepare(copy, tmp_path / "out", "--class", "diving").exit_code == 0
    assert (
        SampleTable.load(tmp_path / "out" / "aqa7-diving").samples["media"].iloc[0]
        == "diving-out/001"
    )


def test_an_interrupted_preparation_is_completed_and_a_finished_one_is_kept(
    official_aqa7, prepared, tmp_path, prepare, monkeypatch
):
    finished = {path.name: (path / "samples.csv").stat().st_mtime_ns for path in prepared.iterdir()}
    again = prepare(official_aqa7[0], prepared)
    assert again.exit_code == 0 and again.stdout.count("kept, it was finished already") == 6
    assert finished == {
        path.name: (path / "samples.csv").stat().st_mtime_ns for path in prepared.iterdir()
    }

    written, real = [], datasets.new_dataset

    def interrupted(folder, **options):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(folder)
        return real(folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "new_dataset", interrupted)
        assert prepare(official_aqa7[0], tmp_path).exit_code != 0
    assert len(list(tmp_path.iterdir())) == 3
    again = prepare(official_aqa7[0], tmp_path)
    assert again.exit_code == 0 and again.stdout.count("kept, it was finished already") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FOLDERS)


def test_another_range_is_not_written_over_a_finished_dataset(official_aqa7, tmp_path, prepare):
    assert prepare(official_aqa7[0], tmp_path, "--class", "diving").exit_code == 0
    other = prepare(official_aqa7[0], tmp_path, "--class", "diving", "--range", "paper")
    assert (
        other.exit_code == 2
        and "aqa7-diving (dataset.json)" in other.stderr
        and "--overwrite" in other.stderr
    )
    assert (
        prepare(
            official_aqa7[0], tmp_path, "--class", "diving", "--range", "paper", "--overwrite"
        ).exit_code
        == 0
    )


# Bad input


def change_list(raw, split, change):
    path = raw / "Split_4" / f"split_4_{split}_list.mat"
    rows = scipy.io.loadmat(path)[f"consolidated_{split}_list"].tolist()
    change(rows)
    write_aqa7_list(raw, split, rows)


def refused(prepare, raw, out, *more):
    result = prepare(raw, out, *more)
    assert result.exit_code == 2, result.stdout
    assert not out.exists()
    return result.stderr


def test_all_wrong_rows_are_listed_with_file_and_row(copy, tmp_path, prepare):
    def train(rows):
        rows[0][2] = float("nan")
        rows[1][0] = 8
        rows[2][1] = 2.5

    def test(rows):
        rows.append([1, 2, 50.0])  # row 26: diving 2 is trained on
        rows.append([1, 99, 50.0])  # a sample without frames

    change_list(copy, "train", train)
    change_list(copy, "test", test)
    message = refused(prepare, copy, tmp_path / "out")
    assert "train_list.mat row 1: the score of class 1 sample 1 is nan" in message
    assert "train_list.mat row 2: class 8" in message
    assert "train_list.mat row 3: sample number 2.5" in message
    assert (
        f"{copy / 'diving-out' / '099'}: neither this folder of frames nor 099.avi is there"
        in message
    )
    assert "4 problem(s)" in message


def test_a_sample_in_both_splits_is_named_with_both_rows(copy, tmp_path, prepare):
    change_list(copy, "test", lambda rows: rows.append([1, 2, 50.0]))
    message = refused(prepare, copy, tmp_path / "out")
    assert (
        "test_list.mat row 26: diving 002 stands in" in message
        and "train_list.mat row 2 already" in message
    )


def test_missing_folders_missing_frames_and_broken_videos_are_listed_at_once(
    copy, tmp_path, prepare
):
    shutil.rmtree(copy / "sync_diving_3m-out")
    (copy / "diving-out" / "003" / "img_00050.jpg").unlink()
    (copy / "diving-out" / "004" / "img_00104.jpg").write_bytes(b"one too many")
    video = copy / "gym_vault-out" / "005.avi"
    content = video.read_bytes()
    video.unlink()
    video.write_bytes(content[: len(content) // 2])
    (copy / "gym_vault-out" / "006.avi").unlink()
    message = refused(prepare, copy, tmp_path / "out")
    for text in (
        "sync_diving_3m-out: no such folder; 10 samples",
        "003: 1 of 103 frames are missing, the first is img_00050.jpg",
        "004: 104 images where 103 belong, for example img_00104.jpg",
        "005.avi",
        "006.avi is there",
        "5 problem(s)",
    ):
        assert text in message, text
    assert "cut short" in message
    assert (
        prepare(copy, tmp_path / "out", "--class", "ski_big_air").exit_code == 0
    )  # the others' faults do not matter to it


def test_lists_that_are_no_lists_are_named(copy, tmp_path, prepare):
    scipy.io.savemat(copy / "Split_4" / "split_4_train_list.mat", {"another": np.zeros((2, 3))})
    (copy / "Split_4" / "split_4_test_list.mat").write_bytes(b"<html>")
    message = refused(prepare, copy, tmp_path / "out")
    assert "expected the variable consolidated_train_list, found another" in message
    assert "split_4_test_list.mat: cannot be read as a .mat file" in message
    (copy / "Split_4" / "split_4_test_list.mat").unlink()
    write_aqa7_list(copy, "train", [["one", "two", "three"]])
    message = refused(prepare, copy, tmp_path / "out")
    assert (
        "split_4_test_list.mat: no such file" in message
        and "must be rows of three numbers" in message
    )


@pytest.mark.parametrize(
    "start",
    [
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n",
    ],
)
def test_a_list_of_version_7_3_is_told_how_to_be_saved(copy, tmp_path, prepare, start):
    (copy / "Split_4" / "split_4_train_list.mat").write_bytes(start + bytes(2000))
    told = refused(prepare, copy, tmp_path / "out")
    assert (
        "split_4_train_list.mat: a .mat file of version 7.3 (HDF5)" in told
        and "-v7" in told
        and "get it again" not in told
    )


def test_a_sparse_list_is_refused(copy, tmp_path, prepare):
    scipy.io.savemat(
        copy / "Split_4" / "split_4_train_list.mat",
        {"consolidated_train_list": scipy.sparse.csc_matrix(np.eye(3))},
    )
    assert "sparse matrix; save it as a full one" in refused(prepare, copy, tmp_path / "out")


def test_a_class_without_samples_is_named(copy, tmp_path, prepare):
    change_list(
        copy,
        "test",
        lambda rows: rows.__setitem__(slice(None), [row for row in rows if row[0] != 3]),
    )
    assert "no test sample of ski_big_air" in refused(prepare, copy, tmp_path / "out")


def test_a_list_that_holds_objects_or_is_no_mat_file_is_refused_and_nothing_runs(
    copy, tmp_path, prepare
):
    path, marker = copy / "Split_4" / "split_4_train_list.mat", tmp_path / "marker"
    for content in (
        np.array([[1, 1, "open"]], object),
        {"a": 1},
        "text",
        np.array([[1 + 1j, 1, 1]]),
        np.zeros((0, 3)),
        np.zeros((2, 3, 2)),
    ):
        scipy.io.savemat(path, {"consolidated_train_list": content, "more": np.zeros(3)})
        assert "must be rows of three numbers" in refused(prepare, copy, tmp_path / "out")
    scipy.io.savemat(path, {"x\x1b[2J": np.zeros(3)})
    assert (
        "expected the variable consolidated_train_list, found"
        in (told := refused(prepare, copy, tmp_path / "out"))
        and "\x1b" not in told
    )
    for content in (
        b"",
        b"MATLAB 5.0 MAT-file" + bytes(300),
        pickle.dumps(payloads(marker)["os.system"]),
    ):
        path.write_bytes(content)
        assert (
            "cannot be read as a .mat file" in refused(prepare, copy, tmp_path / "out")
            and not marker.exists()
        )


# Two scales and two places of the lists


def hundredfold(raw, split):
    """The list of a split moved to the place of the one released without videos, scores x 100."""
    path = raw / "Split_4" / f"split_4_{split}_list.mat"
    rows = scipy.io.loadmat(path)[f"consolidated_{split}_list"] * [1, 1, 100]
    path.unlink()
    name = f"consolidated_{split}_list"
    scipy.io.savemat(raw / f"{name}.mat", {name: rows})


def raise_scores(copy):
    """Every class's scores into its published range, whichever dive they are of."""
    for split in ("train", "test"):

        def rescale(rows):
            for row in rows[:-1]:
                low, high = PAPER_RANGE[AQA7_CLASSES[int(row[0]) - 1]]
                row[2] = round(low + (high - low) * row[2] / 110, 2)

        change_list(copy, split, rescale)


def test_both_scales_in_both_places_give_the_same_dataset(copy, tmp_path, prepare):
    raise_scores(copy)
    judged = prepare(copy, tmp_path / "judged", "--range", "paper")
    assert judged.exit_code == 0 and judged.stdout.splitlines()[0] == "scores: as judged"
    for split in ("train", "test"):
        hundredfold(copy, split)
    result = prepare(copy, tmp_path / "hundredfold", "--range", "paper")
    assert result.exit_code == 0, result.stderr
    said = "as judged; those of consolidated_train_list.mat and consolidated_test_list.mat were"
    assert result.stdout.splitlines()[0] == f"scores: {said} divided by 100"
    for folder in FOLDERS:
        one, other = (
            SampleTable.load(tmp_path / name / folder) for name in ("judged", "hundredfold")
        )
        assert (one.folder / "samples.csv").read_bytes() == (
            other.folder / "samples.csv"
        ).read_bytes()
        assert one.info.pop("score_scale") == "as judged"
        assert other.info.pop("score_scale") == f"{said} divided by 100"
        assert one.info == other.info


def test_one_list_in_each_scale_is_taken_and_two_scales_in_one_list_are_refused(
    copy, tmp_path, prepare
):
    raise_scores(copy)
    hundredfold(copy, "test")
    result = prepare(copy, tmp_path / "out", "--class", "diving")
    assert "those of consolidated_test_list.mat were divided by 100" in result.stdout
    change_list(copy, "train", lambda rows: rows[8].__setitem__(2, 1421.0))  # gym vault 3
    message = refused(prepare, copy, tmp_path / "mixed")
    assert "train_list.mat row 9: a score of 1421, where row 1 has" in message
    assert "keep to one scale" in message and "1 problem(s)" in message


def test_the_real_lists_as_released_and_divided_by_100_give_the_same_rows(aqa_data, tmp_path):
    if not (aqa_data / "aqa7").is_dir():
        pytest.skip("no aqa7/ in CORE_AQA_DATA")
    (tmp_path / "Split_4").mkdir()
    for split in ("train", "test"):
        name = f"consolidated_{split}_list"
        rows = scipy.io.loadmat(aqa_data / "aqa7" / f"{name}.mat")[name]
        rows[:, 2] = [float(f"{score / 100:.2f}") for score in rows[:, 2]]
        scipy.io.savemat(tmp_path / "Split_4" / f"split_4_{split}_list.mat", {name: rows})
    (released, scale, _), (judged, other, _) = map(read_aqa7, (aqa_data / "aqa7", tmp_path))
    assert "divided by 100" in scale and other == "as judged"
    for name, samples in released.items():
        assert samples.equals(judged[name])
        low, high = PAPER_RANGE[name]
        assert low <= samples["score"].min() and samples["score"].max() <= high
    counts = {name: list(table["split"].value_counts()) for name, table in released.items()}
    assert counts == {
        "diving": [300, 70],
        "gym_vault": [120, 56],
        "ski_big_air": [120, 55],
        "snowboard_big_air": [140, 66],
        "sync_diving_3m": [60, 28],
        "sync_diving_10m": [63, 28],
    }
