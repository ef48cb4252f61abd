"""The contract of a prepared dataset: what is right loads, what is wrong is listed row by row in
one error."""

import os

import numpy as np
import pandas as pd
import pytest

from corelib.data.samples import DatasetError, SampleTable, new_dataset, path_from, write_table

INFO = {
    "name": "tiny", "title": "Tiny", "source": "made up", "licence": "MIT", "citation": "none",
    "score_range": [0, 100],
    "protocol": "fixed", "pairing_key": "difficulty", "divided_by_difficulty": True,
    "frame_rate": 25,
    "frame_size": [32, 32], "left_out": [],
}  # fmt: skip


def good():
    return pd.DataFrame(
        {
            "id": ["a", "b", "c", "007"],
            "split": ["train", "train", "val", "test"],
            "score": [60.0, 72.5, 0.0, 100.0],
            "difficulty": [3.0, 2.5, 2.0, 4.0],
            "media": [f"{name}.mp4" for name in ("a", "b", "c", "d")],
            "judges": ["7 7.5 8", "", None, "1"],
            "start": [0, None, 2, None],
            "end": [10, None, 5, None],
            "pool": list("wxyz"),
        }
    )


def written(folder, samples, info=INFO):
    folder.mkdir(exist_ok=True)
    for name in "abcd":
        (folder / f"{name}.mp4").write_bytes(b"video")
    write_table(folder, info, samples)
    return folder


def error_of(folder, samples, info=INFO):
    with pytest.raises(DatasetError) as error:
        SampleTable.load(written(folder, samples, info))
    return str(error.value)


def test_a_sound_dataset_loads_with_every_row_and_column(tmp_path):
    table = SampleTable.load(written(tmp_path / "d", good()))
    assert table.samples["id"].tolist() == ["a", "b", "c", "007"]  # text stays text
    assert table.samples["pool"].tolist() == list("wxyz")
    assert [table.rows(split).tolist() for split in ("train", "val", "test")] == [[0, 1], [2], [3]]
    assert [marks.tolist() for marks in table.marks()] == [[7, 7.5, 8], [], [], [1]]
    assert table.samples["start"].tolist()[0] == 0 and table.samples["end"].isna().tolist() == [
        False,
        True,
        False,
        True,
    ]
    assert table.target(False).tolist() == [60, 72.5, 0, 100]
    assert table.target(True).tolist() == [20, 29, 0, 25]
    assert (table.root, table.feature_bank) == (tmp_path / "d", None)


def test_the_checksum_changes_with_the_table_and_only_then(tmp_path):
    first = SampleTable.load(written(tmp_path / "d", good())).sha256
    assert SampleTable.load(written(tmp_path / "e", good())).sha256 == first
    samples = good()
    samples.loc[0, "score"] = 61
    assert SampleTable.load(written(tmp_path / "f", samples)).sha256 != first


def test_the_checksum_covers_the_pictures_in_the_datasets_own_folder(tmp_path):
    first = SampleTable.load(written(tmp_path / "d", good()))
    medium = tmp_path / "d" / "b.mp4"
    facts = os.stat(medium)
    medium.write_bytes(b"vidio")
    os.utime(medium, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again = SampleTable.load(tmp_path / "d")
    assert again.sha256 != first.sha256 and again.table_sha256 == first.table_sha256
    medium.unlink()
    medium.mkdir()
    sums = []
    for frame in (b"one", b"two"):
        (medium / "1.jpg").write_bytes(frame)
        sums.append(SampleTable.load(tmp_path / "d").sha256)
    assert len({*sums, first.sha256, again.sha256}) == 4
    elsewhere = written(tmp_path / "e", good(), INFO | {"raw_root": "../d"})
    assert (
        SampleTable.load(elsewhere).sha256 == SampleTable.load(elsewhere).table_sha256
    )  # not read


CASES = {
    "duplicate id": (
        "id",
        {0: "b"},
        ["line 2 (id b): id is 'b'; ids must be unique", "line 3 (id b)"],
    ),
    "no id": ("id", {2: None}, ["line 4 (id nan)"]),
    "unknown split": ("split", {1: "training"}, ["line 3 (id b): split is 'training'"]),
    "fold in a fixed protocol": ("split", {1: "3"}, ["line 3 (id b): split is '3'"]),
    "no score": ("score", {1: None}, ["line 3 (id b): score is", "it must be a finite number"]),
    "text for a score": ("score", {1: "high"}, ["line 3 (id b): score is 'high'"]),
    "infinite score": (
        "score",
        {3: float("inf")},
        ["line 5 (id 007): score is", "it must be a finite number"],
    ),
    "scores outside the range": (
        "score",
        {0: -1, 3: 100.5},
        ["line 2 (id a)", "line 5 (id 007)", "score range 0 to 100"],
    ),
    "difficulty of zero": ("difficulty", {2: 0}, ["line 4 (id c): difficulty is"]),
    "no difficulty": (
        "difficulty",
        {2: None},
        ["line 4 (id c): difficulty is", "it must be a positive number"],
    ),
    "no media": ("media", {0: None}, ["line 2 (id a): media is nan"]),
    "missing file": (
        "media",
        {0: "gone.mp4"},
        ["line 2 (id a): media is 'gone.mp4'; no such file"],
    ),
    "marks that are none": ("judges", {0: "7 eight"}, ["line 2 (id a): judges is '7 eight'"]),
    "end before start": ("end", {2: 2}, ["line 4 (id c): end is"]),
    "end without start": ("end", {1: 7}, ["line 3 (id b): end is"]),
    "negative start": ("start", {0: -1}, ["line 2 (id a): end is"]),
    "nothing to train on": ("split", {0: "test", 1: "test"}, ["no row has split 'train'"]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_broken_row_is_listed(tmp_path, case):
    column, changes, expected = CASES[case]
    samples = good().astype({column: object})
    for row, value in changes.items():
        samples.loc[row, column] = value
    message = error_of(tmp_path / "d", samples)
    for part in expected:
        assert part in message


def test_all_problems_come_in_one_error(tmp_path):
    samples = good().astype(object)
    samples.loc[0, "score"], samples.loc[1, "split"], samples.loc[3, "media"] = 101, "dev", "gone"
    message = error_of(tmp_path / "d", samples)
    assert "3 problem(s)" in message
    assert all(
        f"line {line} (id {name})" in message for line, name in ((2, "a"), (3, "b"), (5, "007"))
    )


@pytest.mark.parametrize("column", ["id", "split", "score", "media", "difficulty"])
def test_a_missing_column_is_named_with_those_there_are(tmp_path, column):
    message = error_of(tmp_path / "d", good().drop(columns=column))
    assert f"the column {column!r} is missing" in message and "judges" in message


def test_start_without_end_is_named(tmp_path):
    assert "start and end go together" in error_of(tmp_path / "d", good().drop(columns="end"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_empty_media_are_listed(tmp_path, kind):
    written(tmp_path / "d", good())
    if kind == "file":
        (tmp_path / "d" / "b.mp4").write_bytes(b"")
    else:
        (tmp_path / "d" / "b.mp4").unlink()
        (tmp_path / "d" / "b.mp4").mkdir()
    with pytest.raises(DatasetError, match=r"line 3 \(id b\): media is 'b.mp4'.*empty"):
        SampleTable.load(tmp_path / "d")


def test_folds_are_splits_where_the_protocol_is_folds(tmp_path):
    samples = good().assign(split=["0", "1", "1", "0"])
    table = SampleTable.load(written(tmp_path / "d", samples, {**INFO, "protocol": "folds"}))
    assert table.rows("1").tolist() == [1, 2] and table.rows(0).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("key", "value"), [("score_range", [5, 5]), ("protocol", "loose"), ("score_range", 7)]
)
def test_a_broken_description_is_named(tmp_path, key, value):
    assert f"dataset.json: {key} must be" in error_of(tmp_path / "d", good(), {**INFO, key: value})


def test_a_folder_that_is_no_dataset_says_how_to_make_one(tmp_path):
    with pytest.raises(DatasetError, match="no dataset.json here.*make_dives"):
        SampleTable.load(tmp_path)
    written(tmp_path / "d", good())
    (tmp_path / "d" / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        SampleTable.load(tmp_path / "d")


def test_execution_scores_need_a_difficulty(tmp_path):
    info = {**INFO, "divided_by_difficulty": False}
    with pytest.raises(DatasetError, match="with_difficulty=false"):
        SampleTable.load(written(tmp_path / "d", good(), info)).target(True)


def test_an_unfinished_dataset_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_dataset(tmp_path / "d") as folder:
        (folder / "samples.csv").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_is_replaced_only_on_demand_and_only_when_finished(tmp_path):
    with new_dataset(tmp_path / "d") as folder:
        (folder / "file").write_text("old")
    with pytest.raises(FileExistsError, match="--overwrite"), new_dataset(tmp_path / "d"):
        pass
    with pytest.raises(RuntimeError), new_dataset(tmp_path / "d", overwrite=True) as folder:
        raise RuntimeError
    assert (tmp_path / "d" / "file").read_text() == "old"
    with new_dataset(tmp_path / "d", overwrite=True) as folder:
        (folder / "file").write_text("new")
    assert (tmp_path / "d" / "file").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_the_same_table_is_written_to_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / name, good())
    for file in ("dataset.json", "samples.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    with pytest.raises(DatasetError, match="missing: licence"):
        write_table(
            tmp_path / "a", {key: value for key, value in INFO.items() if key != "licence"}, good()
        )
    assert np.isfinite(pd.read_csv(tmp_path / "a" / "samples.csv")["score"]).all()


def test_a_path_between_folders_is_relative_and_whole_where_none_leads_there(tmp_path, monkeypatch):
    assert (
        path_from(tmp_path / "datasets" / "dives", tmp_path / "runs" / "one")
        == "../../datasets/dives"
    )

    def other_drive(there, here):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert (
        path_from(tmp_path / "dives", tmp_path / "runs")
        == (tmp_path / "dives").resolve().as_posix()
    )
