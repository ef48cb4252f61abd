"""JIGSAWS: the real labels and folds, and procedural dives written in its official layout, become
prepared datasets."""

import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from corelib.data.samples import SampleTable
from corelib.data.video import read_video, write_video
from corelib.evaluation import open_inputs
from corelib.recipe import named
from corelib.runs.fit import fit
from data_scripts.prepared import datasets
from data_scripts.readers.pickles import load_pickle
from tests.doubts import few_steps
from tests.official_layouts import JIGSAWS_TASKS, jigsaws_trials

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "prepare_jigsaws.py"
FOLDERS = {
    "Suturing": "jigsaws-suturing",
    "Needle_Passing": "jigsaws-needle-passing",
    "Knot_Tying": "jigsaws-knot-tying",
}
SMALL = {
    "frames": 16,
    "resize": (32, 56),
    "crop": 28,
    "snippet_starts": (0,),
    "temporal_shift": 1,
    "width": 0.0625,
    "epochs": 1,
}


def write_splits(path, splits):
    path.write_bytes(pickle.dumps(splits, protocol=2))
    return path


@pytest.fixture(scope="module")
def official(official_jigsaws):
    return official_jigsaws


@pytest.fixture
def copy(official, tmp_path):
    """A copy of the official folder to break, with its splits.pkl beside it."""
    shutil.copytree(official[0], tmp_path / "raw", copy_function=os.link)
    shutil.copy(official[0].parent / "splits.pkl", tmp_path / "splits.pkl")
    for task in JIGSAWS_TASKS:  # a file of its own, for a linked one would be changed for all tests
        meta = tmp_path / "raw" / task / f"meta_file_{task}.txt"
        content = meta.read_bytes()
        meta.unlink()
        meta.write_bytes(content)
    return tmp_path / "raw"


def published(raw):
    return ("--splits", raw.parent / "splits.pkl")


def edit(raw, task, change):
    """Change the list of a meta file's lines."""
    path = raw / task / f"meta_file_{task}.txt"
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")


def columns(table, name):
    return table.samples.set_index("id")[name].to_dict()


def left_out(out, task="Suturing"):
    return {
        entry["id"]: entry["reason"]
        for entry in json.loads((out / FOLDERS[task] / "dataset.json").read_text())["left_out"]
    }


def state(out):
    return {
        path.relative_to(out): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in out.rglob("*")
        if path.is_file()
    }


# The real labels and folds


@pytest.fixture(scope="module")
def real_raw(aqa_data, tmp_path_factory):
    """The 103 labelled trials, each with one and the same small video."""
    raw = tmp_path_factory.mktemp("real") / "raw"
    write_video(raw.parent / "one.avi", np.zeros((4, 16, 16, 3), np.uint8), 30)
    for trial in load_pickle(aqa_data / "jigsaws" / "label.pkl"):
        (raw / trial[:-5] / "video").mkdir(parents=True, exist_ok=True)
        os.link(raw.parent / "one.avi", raw / trial[:-5] / "video" / f"{trial}_capture1.avi")
    return raw


def test_the_published_folds_and_the_sums_of_six_items(aqa_data, real_raw, tmp_path, prepare):
    labels, splits = aqa_data / "jigsaws" / "label.pkl", aqa_data / "jigsaws" / "splits.pkl"
    result = prepare(real_raw, tmp_path, "--labels", labels, "--splits", splits)
    assert result.exit_code == 0, result.stderr
    assert "left out" not in result.stdout
    expected = {
        "Needle_Passing": [7, 7, 7, 7],
        "Suturing": [9, 10, 10, 10],
        "Knot_Tying": [9, 9, 9, 9],
    }
    items, published = load_pickle(labels), load_pickle(splits)
    for task, sizes in expected.items():
        table = SampleTable.load(tmp_path / FOLDERS[task])
        assert [len(table.rows(fold)) for fold in range(4)] == sizes and len(table.samples) == sum(
            sizes
        )
        for fold in range(4):
            assert set(table.samples["id"].iloc[table.rows(fold)]) == set(published[task][fold])
        assert columns(table, "score") == {
            trial: sum(items[trial]) for trial in table.samples["id"]
        }
        assert table.samples[[f"item_{n}" for n in range(1, 7)]].to_numpy().tolist() == [
            items[trial] for trial in table.samples["id"]
        ]
        assert f"folds of {', '.join(map(str, sizes))}" in result.stdout


@pytest.mark.parametrize(("folds", "part"), [("user", -4), ("supertrial", -1)])
def test_real_trials_leave_out_one_user_or_repetition_at_a_time(
    aqa_data, real_raw, tmp_path, prepare, folds, part
):
    assert (
        prepare(
            real_raw, tmp_path, "--labels", aqa_data / "jigsaws" / "label.pkl", "--folds", folds
        ).exit_code
        == 0
    )
    for folder in FOLDERS.values():
        split = columns(SampleTable.load(tmp_path / folder), "split")
        parts = sorted({trial[part] for trial in split})
        assert len(parts) > 4 and split == {trial: str(parts.index(trial[part])) for trial in split}


# Procedural dives in the official layout


def test_one_dataset_a_task_points_to_the_videos(official, tmp_path, script):
    raw, items = official
    command = [sys.executable, SCRIPT, "--raw", raw, "--out", tmp_path / "out", *published(raw)]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (
        "jigsaws-suturing: 12 trials, left camera, published folds of 3, 3, 3, 3\n" in result.stdout
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FOLDERS.values())
    for task, folder in FOLDERS.items():
        table = SampleTable.load(tmp_path / "out" / folder)
        assert sorted(path.name for path in table.folder.iterdir()) == [
            "dataset.json",
            "samples.csv",
        ]
        assert table.root == raw.resolve() and table.name == folder
        info = {
            key: table.info[key]
            for key in (
                "protocol",
                "score_range",
                "pairing_key",
                "divided_by_difficulty",
                "frames",
                "left_out",
            )
        }
        assert info == {
            "protocol": "folds",
            "score_range": [6, 30],
            "pairing_key": None,
            "divided_by_difficulty": False,
            "frames": 160,
            "left_out": [],
        }
        assert columns(table, "score") == {
            trial: sum(items[trial]) for trial in jigsaws_trials(task)
        }
        assert {path.stem[-1] for path in map(Path, table.samples["media"])} == {"1"}
        assert columns(table, "split") == {
            trial: str(row % 4) for row, trial in enumerate(jigsaws_trials(task))
        }
    row = table.samples.iloc[3]
    assert (row["id"], row["user"], row["supertrial"], row["level"]) == (
        "Knot_Tying_C001",
        "C",
        1,
        "E",
    )
    assert [row[f"item_{n}"] for n in range(1, 7)] == items["Knot_Tying_C001"]


def test_either_camera(official, tmp_path, prepare):
    raw, videos = official[0], {}
    for camera in ("left", "right"):
        assert (
            prepare(
                raw, tmp_path / camera, "--task", "Suturing", "--camera", camera, *published(raw)
            ).exit_code
            == 0
        )
        table = SampleTable.load(tmp_path / camera / "jigsaws-suturing")
        assert table.info["camera"] == camera
        videos[camera] = read_video(table.root / table.samples["media"][0]).astype(float)
    assert (
        np.abs(videos["left"] - videos["right"][:, :, ::-1]).mean()
        < np.abs(videos["left"] - videos["right"]).mean() / 3
    )


def test_folds_by_user_and_by_repetition_worked_out(official, tmp_path, prepare):
    raw = official[0]
    for folds in ("user", "supertrial"):
        assert (
            prepare(raw, tmp_path / folds, "--task", "Needle_Passing", "--folds", folds).exit_code
            == 0
        )
    # B001 B002 B004 C001 C002 C004 D001 D002
    by_user, by_repetition = (
        SampleTable.load(tmp_path / folds / "jigsaws-needle-passing").samples
        for folds in ("user", "supertrial")
    )
    assert by_user["split"].tolist() == ["0", "0", "0", "1", "1", "1", "2", "2"]
    assert by_repetition["split"].tolist() == ["0", "1", "2", "0", "1", "2", "0", "1"]
    assert by_repetition["supertrial"].tolist() == [1, 2, 4, 1, 2, 4, 1, 2]


@few_steps
@pytest.mark.parametrize("system", ["mlp", "core"])
def test_a_fold_trains_at_a_small_size(official, tmp_path, prepare, system):
    raw = official[0]
    assert prepare(raw, tmp_path, "--task", "Suturing", *published(raw)).exit_code == 0
    table = SampleTable.load(tmp_path / "jigsaws-suturing")
    split = np.where(table.samples["split"] == "3", "test", "train")
    fold = dataclasses.replace(
        table, samples=table.samples.assign(split=split), info=table.info | {"protocol": "fixed"}
    )
    run = fit(
        fold,
        named("paper", system=system, frame_choice="resample", **SMALL),
        tmp_path / "run",
        device="cpu",
        progress=False,
    )
    assert run.metrics[0]["n_test"] == 3 and np.isfinite(run.predictions["predicted"]).all()


def test_label_pkl_in_place_of_the_meta_files(copy, official, tmp_path, prepare):
    labels = {
        trial: np.array(items) if row % 2 else items
        for row, (trial, items) in enumerate(official[1].items())
    }
    (tmp_path / "label.pkl").write_bytes(pickle.dumps(labels, protocol=2))
    assert (
        prepare(
            copy, tmp_path / "both", "--labels", tmp_path / "label.pkl", *published(copy)
        ).exit_code
        == 0
    )
    for task in JIGSAWS_TASKS:
        (copy / task / f"meta_file_{task}.txt").unlink()
    assert (
        prepare(
            copy, tmp_path / "labels", "--labels", tmp_path / "label.pkl", *published(copy)
        ).exit_code
        == 0
    )
    for folder in FOLDERS.values():
        both, alone = (
            SampleTable.load(tmp_path / name / folder).samples for name in ("both", "labels")
        )
        assert both.drop(columns="level").equals(alone.drop(columns="level"))
        assert set(both["level"]) == {"E"} and alone["level"].isna().all()


def test_a_byte_order_mark_and_spaces_are_read(copy, tmp_path, prepare):
    path = copy / "Suturing" / "meta_file_Suturing.txt"
    path.write_bytes(
        b"\xef\xbb\xbf" + path.read_text().replace("\t", "  ").replace("\n", "\r\n").encode()
    )
    assert prepare(copy, tmp_path / "out", "--task", "Suturing", *published(copy)).exit_code == 0
    assert len(SampleTable.load(tmp_path / "out" / "jigsaws-suturing").samples) == 12


def test_a_variable_frame_rate_is_counted_in_frames(copy, tmp_path, prepare):
    path = copy / "Suturing" / "video" / "Suturing_B001_capture1.avi"
    pictures = read_video(path)
    path.unlink()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 2 * (number // 5)  # two frames dropped after every fifth
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert prepare(copy, tmp_path / "out", "--task", "Suturing", *published(copy)).exit_code == 0
    table = SampleTable.load(tmp_path / "out" / "jigsaws-suturing")
    clip = open_inputs(table, named("smoke", temporal_shift=0), progress=False)[0].numpy()
    assert np.array_equal(clip, read_video(path)[np.rint(np.linspace(0, 19, 16)).astype(int)])


def test_a_video_that_lost_only_its_index_is_whole(copy, tmp_path, prepare):
    path = copy / "Suturing" / "video" / "Suturing_B001_capture1.avi"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-40])  # the index lies behind the last frame
    assert prepare(copy, tmp_path / "out", "--task", "Suturing", *published(copy)).exit_code == 0
    assert len(read_video(path)) == 20


# Missing trials


def test_missing_trials_are_named_and_the_folds_stay(copy, tmp_path, prepare):
    whole = prepare(copy, tmp_path / "whole", "--task", "Suturing", *published(copy))
    assert whole.exit_code == 0
    before = columns(SampleTable.load(tmp_path / "whole" / "jigsaws-suturing"), "split")
    (copy / "Suturing" / "video" / "Suturing_B002_capture1.avi").unlink()
    edit(copy, "Suturing", lambda lines: lines.pop(4))
    splits = load_pickle(copy.parent / "splits.pkl")
    splits["Suturing"][2].remove("Suturing_D001")
    write_splits(copy.parent / "splits.pkl", splits)
    result = prepare(copy, tmp_path / "out", "--task", "Suturing", *published(copy))
    assert result.exit_code == 0, result.stderr
    assert left_out(tmp_path / "out") == {
        "Suturing_B002": "no video Suturing/video/Suturing_B002_capture1.avi",
        "Suturing_C002": "no label",
        "Suturing_D001": "in no fold",
    }
    for trial, reason in left_out(tmp_path / "out").items():
        assert f"left out: {trial}: {reason}" in result.stdout
    after = columns(SampleTable.load(tmp_path / "out" / "jigsaws-suturing"), "split")
    assert (
        after
        == {
            trial: fold for trial, fold in before.items() if trial not in left_out(tmp_path / "out")
        }
        and len(after) == 9
    )


def test_the_given_labels_decide_which_trials_are_labelled(copy, official, tmp_path, prepare):
    labels = {trial: items for trial, items in official[1].items() if trial != "Suturing_B004"}
    (tmp_path / "label.pkl").write_bytes(pickle.dumps(labels, protocol=2))
    edit(copy, "Suturing", lambda lines: lines.pop(0))
    for name, folds in (("published", published(copy)), ("user", ("--folds", "user"))):
        result = prepare(
            copy, tmp_path / name, "--task", "Suturing", "--labels", tmp_path / "label.pkl", *folds
        )
        assert result.exit_code == 0, result.stderr
        assert left_out(tmp_path / name) == {
            "Suturing_B004": "no label in the file given with --labels"
        }
        level = SampleTable.load(tmp_path / name / "jigsaws-suturing").samples.set_index("id")[
            "level"
        ]
        assert level.isna().sum() == 1 and np.isnan(level["Suturing_B001"])


@pytest.mark.parametrize(
    ("folds", "fold", "members"),
    [("published", 1, ("B002", "C004")), ("user", 2, ("D001", "D002"))],
)
def test_a_fold_that_would_be_empty_stops_the_preparation(
    copy, tmp_path, prepare, folds, fold, members
):
    options = (
        "--task",
        "Needle_Passing",
        "--folds",
        folds,
        *(published(copy) if folds == "published" else ()),
    )
    for place, name in enumerate(members):
        (copy / "Needle_Passing" / "video" / f"Needle_Passing_{name}_capture1.avi").unlink()
        result = prepare(copy, tmp_path / f"{place}", *options)
        assert (result.exit_code, (tmp_path / f"{place}").exists()) == [(0, True), (2, False)][
            place
        ], result.output
    assert (
        f"1 problem(s):\n  {copy / 'Needle_Passing'}: fold {fold} would be empty:"
        f" Needle_Passing_{members[0]}: no video" in result.stderr
    )
    assert f"Needle_Passing_{members[1]}: no video" in result.stderr


def test_nothing_at_all_is_an_error(copy, tmp_path, prepare):
    shutil.rmtree(copy / "Suturing" / "video")
    (copy / "Needle_Passing" / "meta_file_Needle_Passing.txt").write_text("\n")
    (copy / "Knot_Tying" / "meta_file_Knot_Tying.txt").unlink()
    result = prepare(copy, tmp_path / "out", *published(copy))
    assert (
        result.exit_code == 2
        and "3 problem(s)" in result.stderr
        and not (tmp_path / "out").exists()
    )
    assert (
        "Suturing: no trial has a label, a fold and a video, for example Suturing_B001: no video"
        in result.stderr
    )
    assert (
        "Needle_Passing: no trial has a label, a fold and a video, for example Needle_Passing_B001:"
        " no label" in result.stderr
    )
    assert (
        "meta_file_Knot_Tying.txt: no such file; name the tasks you have with --task"
        in result.stderr
    )


def test_a_single_fold_leaves_none_to_learn_from(copy, tmp_path, prepare):
    edit(copy, "Suturing", lambda lines: lines.__delitem__(slice(3, None)))  # user B alone
    result = prepare(copy, tmp_path / "out", "--task", "Suturing", "--folds", "user")
    assert result.exit_code == 2 and "all trials are in one fold" in result.stderr


# Bad input


def test_all_wrong_rows_of_all_tasks_are_listed_at_once(copy, tmp_path, prepare):
    def suturing(lines):
        lines[0] = "Suturing_B001\tE\tgood\t3\t3\t3\t3\t3\t3"
        lines[1] = "Suturing_B002\tE\t18\t3\t3\tthree\t3\t3\t3"
        lines[2] = "Suturing_B004\tE\t20\t6\t3\t3\t3\t3\t2"
        lines[3] = "Suturing_C001\tE\t15\t0\t3\t3\t3\t3\t3"
        lines[4] = "Suturing_C002\tE\t19\t3\t3\t3\t3\t3\t3"
        lines[5] = "Suturing_C004\t18\t3\t3\t3\t3\t3\t3"
        lines[6] = "Suturing_D001\tE\t18\t3\t3\t3\t3\t3\t3\t3"
        lines[8] = lines[7]

    edit(copy, "Suturing", suturing)
    edit(copy, "Knot_Tying", lambda lines: lines.append("Suturing_B001\tE\t18\t3\t3\t3\t3\t3\t3"))
    result = prepare(copy, tmp_path / "out", *published(copy))
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    meta = copy / "Suturing" / "meta_file_Suturing.txt"
    for text in (
        "9 problem(s)",
        f"{meta} line 1: Suturing_B001: the total is good, but its six items add up to 18",
        (
            f"{meta} line 2: Suturing_B002: the items are 3 3 three 3 3 3; they must be six whole"
            " numbers 1 to 5"
        ),
        f"{meta} line 3: Suturing_B004: the items are 6 3 3 3 3 2",
        f"{meta} line 4: Suturing_C001: the items are 0 3 3 3 3 3",
        f"{meta} line 5: Suturing_C002: the total is 19, but its six items add up to 18",
        f"{meta} line 6: expected 9 columns (trial, level, total, six items), found 8",
        f"{meta} line 7: expected 9 columns",
        f"{meta} line 9: Suturing_D002 is in line 8 already",
        (
            f"{copy / 'Knot_Tying' / 'meta_file_Knot_Tying.txt'} line 10: 'Suturing_B001' is no"
            " trial of Knot_Tying"
        ),
    ):
        assert text in result.stderr, text


def test_all_wrong_folds_are_listed_at_once(copy, tmp_path, prepare):
    splits = load_pickle(copy.parent / "splits.pkl")
    splits["Suturing"][3] += ["Suturing_B001", "Knot_Tying_B001", 7]
    splits["Needle_Passing"][2] = []
    splits["Knot_Tying"].pop()
    write_splits(copy.parent / "splits.pkl", splits)
    result = prepare(copy, tmp_path / "out", *published(copy))
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    for text in (
        "5 problem(s)",
        "Suturing, fold 3 entry 3: Suturing_B001 is in fold 0 already",
        "Suturing, fold 3 entry 4: 'Knot_Tying_B001' is no trial of Suturing",
        "Suturing, fold 3 entry 5: 7 is no trial",
        "Needle_Passing, fold 2: is empty",
        "expected 4 lists of trials under 'Knot_Tying'",
    ):
        assert text in result.stderr, text


def test_folds_and_labels_that_numpy_saved_again_are_the_same(copy, official, tmp_path, script):
    splits, labels = (
        load_pickle(copy.parent / "splits.pkl"),
        {trial: list(items) for trial, items in official[1].items()},
    )
    write_splits(tmp_path / "labels.pkl", labels)
    write_splits(
        tmp_path / "labels-again.pkl",
        {np.str_(trial): np.array(items) for trial, items in labels.items()},
    )
    again = {task: tuple(np.array(fold) for fold in folds) for task, folds in splits.items()}
    again["Suturing"] = np.array([np.array(fold, object) for fold in splits["Suturing"]], object)
    write_splits(tmp_path / "splits-again.pkl", again)
    for task in splits:
        assert script.read_splits(tmp_path / "splits-again.pkl", task) == script.read_splits(
            tmp_path / "splits.pkl", task
        )
    assert script.read_labels(tmp_path / "labels-again.pkl") == script.read_labels(
        tmp_path / "labels.pkl"
    )


def test_all_wrong_labels_and_disagreements_are_listed_at_once(copy, official, tmp_path, prepare):
    labels = dict(official[1]) | {
        "Suturing_B001": [1, 2, 3, 4, 5],
        "Suturing_B002": [1, 2, 3, 4, 5, 6],
        "Suturing_B004": [1, 2, "3", 4, 5, 5],
        "Suturing_C001": [5, 1, 5, 1, 5, 1],
        "Knot_Tying_B001": [5, 1, 5, 1, 5, 1],
        "Sewing_B001": [3] * 6,
        "Needle_Passing_B001": [np.array([3, 3])] * 6,
        "Needle_Passing_B002": [3, 3, 3, 3, 3, 3.5],
    }
    (tmp_path / "label.pkl").write_bytes(pickle.dumps(labels, protocol=2))
    result = prepare(copy, tmp_path / "out", "--labels", tmp_path / "label.pkl", *published(copy))
    assert (
        result.exit_code == 2
        and "8 problem(s)" in result.stderr
        and not (tmp_path / "out").exists()
    )
    for trial in (
        "Suturing_B001",
        "Suturing_B002",
        "Suturing_B004",
        "Sewing_B001",
        "Needle_Passing_B001",
        "Needle_Passing_B002",
    ):
        assert f"label.pkl entry {trial!r}: " in result.stderr
    for trial in ("Suturing_C001", "Knot_Tying_B001"):
        assert (
            f"{trial}: the items are [5, 1, 5, 1, 5, 1] in the file given with --labels, but"
            f" {official[1][trial]}" in result.stderr
        )
    for content, message in (
        (list(labels), "expected a dictionary trial -> six items, found list"),
        (Path("/"), "pathlib"),
    ):
        (tmp_path / "label.pkl").write_bytes(pickle.dumps(content))
        result = prepare(
            copy, tmp_path / "out", "--labels", tmp_path / "label.pkl", *published(copy)
        )
        assert result.exit_code == 2 and message in result.stderr


def test_all_truncated_videos_are_listed_at_once(copy, tmp_path, prepare):
    videos = {
        trial: copy / trial[:-5] / "video" / f"{trial}_capture1.avi"
        for trial in ("Suturing_B001", "Suturing_B002", "Suturing_C001", "Knot_Tying_B001")
    }
    content = {trial: path.read_bytes() for trial, path in videos.items()}
    for path in videos.values():
        path.unlink()
    videos["Suturing_B001"].write_bytes(b"")
    videos["Suturing_B002"].write_bytes(content["Suturing_B002"][:900])
    videos["Knot_Tying_B001"].write_bytes(
        content["Knot_Tying_B001"][: (len(content["Knot_Tying_B001"]) + 5700) // 2]
    )
    with av.open(
        str(videos["Suturing_C001"]), "w"
    ) as container:  # a recording that was stopped before its first frame
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
    result = prepare(copy, tmp_path / "out", *published(copy))
    assert (
        result.exit_code == 2
        and "4 problem(s)" in result.stderr
        and not (tmp_path / "out").exists()
    )
    for trial in ("Suturing_B001", "Suturing_B002"):
        assert f"{videos[trial]}: cannot be opened as a video" in result.stderr
    assert f"{videos['Suturing_C001']}: holds no frame" in result.stderr
    assert (
        f"{videos['Knot_Tying_B001']}: its header states 20 frames" in result.stderr
        and "it was cut short" in result.stderr
    )


def test_folds_and_splits_go_together(official, tmp_path, prepare):
    for more in ((), ("--folds", "user", *published(official[0]))):
        result = prepare(official[0], tmp_path / "out", *more)
        assert (
            result.exit_code == 2
            and "splits.pkl" in result.stderr
            and not (tmp_path / "out").exists()
        )


# Several datasets in one command


def test_an_interrupted_preparation_is_completed(official, tmp_path, prepare, script, monkeypatch):
    raw, write, calls = official[0], datasets.write_table, []

    def interrupted(folder, card, samples):
        if str(folder).endswith(".unfinished"):
            calls.append(card["name"])
            if len(calls) == 2:
                raise KeyboardInterrupt
        write(folder, card, samples)

    monkeypatch.setattr(datasets, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        script.prepare_jigsaws(raw, tmp_path / "out", splits=published(raw)[1])
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["jigsaws-suturing"]
    before = state(tmp_path / "out")
    result = prepare(raw, tmp_path / "out", *published(raw))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("kept, it was finished already") == 1
    after = state(tmp_path / "out")
    assert len(after) == 6 and {path: after[path] for path in before} == before
    for folder in FOLDERS.values():
        SampleTable.load(tmp_path / "out" / folder)


def test_what_differs_needs_overwrite_and_nothing_is_written_before(official, tmp_path, prepare):
    raw, out = official[0], tmp_path / "out"
    assert prepare(raw, out, "--task", "Needle_Passing", *published(raw)).exit_code == 0
    before = state(out)
    result = prepare(raw, out, "--folds", "user")
    assert (
        result.exit_code == 2
        and "jigsaws-needle-passing (dataset.json, samples.csv); pass --overwrite" in result.stderr
    )
    assert state(out) == before
    assert prepare(raw, out, "--folds", "user", "--overwrite").exit_code == 0
    assert SampleTable.load(out / "jigsaws-needle-passing").info["folds"] == "user"
    card = out / "jigsaws-suturing" / "dataset.json"
    card.write_text(card.read_text().replace("M2CAI", "another"))
    result = prepare(raw, out, "--folds", "user")
    assert (
        result.exit_code == 2
        and "jigsaws-suturing (dataset.json);" in result.stderr
        and "needle" not in result.stderr.split("differ")[1]
    )
