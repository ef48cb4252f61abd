"""MTL-AQA: the real annotations, and procedural dives written in its official layout, become a
prepared dataset."""

import gzip
import pickle
import re
from collections import OrderedDict

import numpy as np
import pytest

from corelib import metrics
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video
from corelib.evaluation import open_inputs
from corelib.pairs import pair_differences
from corelib.recipe import named
from corelib.runs.fit import fit
from corelib.tree import quantile_edges
from data_scripts.dives.rules import parse_dive_number
from tests.doubts import few_steps
from tests.official_layouts import MTL_AQA_PICKLES, write_mtl_aqa_pickles

# The real annotations


@pytest.fixture(scope="module")
def real(aqa_data, script):
    return script.read_mtl_aqa(aqa_data / "mtl_aqa")


def test_the_official_split_and_its_flags(real, script):
    assert real["split"].value_counts().to_dict() == {"train": 1059, "test": 353}
    assert real["id"].is_unique and real["event"].nunique() == 15
    train, test = (real[real["split"] == part] for part in ("train", "test"))
    counts = train["difficulty"].value_counts()
    assert len(counts) == 23
    assert (test["difficulty"].map(counts).fillna(0) < 10).sum() == 14
    assert (~real["flags"].str.contains(script.OFF_RULE)).sum() == 1385
    odd = real[real["flags"].str.contains(script.NO_NUMBER)]
    assert len(odd) == 27 and {"100B", "200B", "300D"} <= set(odd["group"])
    assert (real["end"] - real["start"] > 103).sum() == 637


def test_the_annotated_columns_agree_with_the_dive_number(real, script):
    sound = real[~real["flags"].str.contains(script.NO_NUMBER)]
    for dive in sound.itertuples():
        number = parse_dive_number(dive.group)
        assert {"B": "pike", "C": "tuck", "D": "free"}[number.position] == dive.position
        assert (number.half_somersaults, number.half_twists) == (
            dive.half_somersaults,
            dive.half_twists,
        )
        assert (number.group == 6) == bool(dive.armstand)


def test_the_published_intervals_and_the_floor(real):
    train, test = (real[real["split"] == part] for part in ("train", "test"))
    recipe = named("paper", with_difficulty=True)
    differences = pair_differences(
        (train["score"] / train["difficulty"]).to_numpy(), train["difficulty"].to_numpy()
    )
    edges = quantile_edges(differences, recipe.depth, outer=recipe.theta)
    np.testing.assert_allclose(edges, [0, 0.912, 1.5, 2.5, 3.0, 4.5, 6, 8.5, 30], atol=5e-4)
    alone = test["difficulty"] * (train["score"] / train["difficulty"]).mean()
    assert round(metrics.spearman(alone, test["score"]), 3) == 0.560
    assert round(metrics.relative_l2(alone, test["score"]), 2) == 2.07


def test_whole_events_are_held_out(aqa_data, real, script):
    held = script.read_mtl_aqa(aqa_data / "mtl_aqa", split="events")
    events = held.groupby("event")["split"].nunique()
    assert (events == 1).all() and 0.2 < (held["split"] == "test").mean() < 0.3
    assert held.drop(columns="split").equals(real.drop(columns="split"))
    other = script.read_mtl_aqa(aqa_data / "mtl_aqa", split="events", seed=1)
    assert set(other[other["split"] == "test"]["event"]) != set(
        held[held["split"] == "test"]["event"]
    )


# Procedural dives in the official layout


@pytest.fixture(scope="session")
def official(official_mtl_aqa):
    return official_mtl_aqa


@pytest.fixture(scope="module")
def prepared(prepare, official, tmp_path_factory, script):
    out = tmp_path_factory.mktemp("out") / "mtl-aqa"
    result = prepare(official[0], out)
    assert result.exit_code == 0, result.stderr
    assert "20 train, 8 test dives of 2 events, 2 difficulties" in result.stdout
    assert f"0 dives, {script.OFF_RULE}" in result.stdout
    return SampleTable.load(out)


def test_the_prepared_dataset_points_to_the_frames(official, prepared):
    raw, annotations, splits = official
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "dataset.json",
        "samples.csv",
    ]
    assert prepared.root == (raw / "new" / "new_total_frames_256s").resolve()
    assert prepared.info["pairing_key"] == "difficulty" and prepared.info["score_range"] == [
        0.0,
        96.0,
    ]
    row = prepared.rows("test")[0]
    sample = prepared.samples.iloc[row]
    assert (sample["event"], sample["dive"]) in splits["test"]
    assert (
        prepared.marks()[row].tolist()
        == annotations[sample["event"], sample["dive"]]["judge_scores"].tolist()
    )


def test_frames_before_the_end_or_the_whole_dive(prepared):
    row = int(prepared.rows("train")[-1])
    sample = prepared.samples.iloc[row]
    folder, end = prepared.root / sample["media"], int(sample["end"])
    small = {"frames": 16, "resize": None, "crop": 32, "snippet_starts": (0,), "temporal_shift": 0}
    last = open_inputs(prepared, named("paper", **small), progress=False)[row].numpy()
    assert np.array_equal(last, read_video(folder, np.arange(end - 16, end)))
    whole = open_inputs(prepared, named("smoke", temporal_shift=0), progress=False)[row].numpy()
    assert np.array_equal(
        whole, read_video(folder, np.rint(np.linspace(end - 20, end - 1, 16)).astype(int))
    )


@few_steps
@pytest.mark.parametrize("system", ["mlp", "core"])
def test_the_protocol_of_the_paper_at_a_small_size(prepared, tmp_path, system):
    small = {
        "frames": 16,
        "resize": (32, 56),
        "crop": 28,
        "snippet_starts": (0,),
        "temporal_shift": 1,
        "width": 0.0625,
        "epochs": 1,
    }
    recipe = named("paper", system=system, with_difficulty=True, **small)
    run = fit(prepared, recipe, tmp_path / "run", device="cpu", progress=False)
    row = run.metrics[0]
    assert (row["n_train"], row["n_test"], row["selected_on"]) == (17, 8, "val")
    assert np.isfinite(run.predictions["predicted"]).all()
    train = {
        prepared.samples["id"][row]: prepared.samples["difficulty"][row]
        for row in prepared.rows("train")
    }
    for found in run.predictions.itertuples() if system == "core" else ():
        difficulty = prepared.samples.set_index("id")["difficulty"][found.id]
        assert {train[name] for name in found.exemplars.split()} == {difficulty}


def test_exemplars_may_share_the_dive_number(prepare, official, tmp_path):
    assert (
        prepare(official[0], tmp_path / "out", "--pair-by", "group", "--split", "events").exit_code
        == 0
    )
    table = SampleTable.load(tmp_path / "out")
    assert table.info["pairing_key"] == "group"
    assert table.samples.groupby("event")["split"].nunique().tolist() == [1, 1]


# Bad input


def broken(prepare, official, tmp_path, change):
    """A copy of the annotations with something changed, beside the same frames."""
    raw, annotations, splits = official
    annotations = {key: dict(dive) for key, dive in annotations.items()}
    splits = {name: list(keys) for name, keys in splits.items()}
    change(annotations, splits)
    write_mtl_aqa_pickles(tmp_path / "info", annotations, splits)
    return prepare(raw, tmp_path / "out", "--info", tmp_path / "info")


def test_all_wrong_annotations_are_listed_at_once(prepare, official, tmp_path):
    def change(annotations, splits):
        annotations[1, 1]["final_score"] = "sixty"
        annotations[1, 2]["judge_scores"] = [7.0, 7.5]
        del annotations[1, 3]["dive_number"]
        splits["test"].append((99, 1))
        splits["train"].append(splits["test"][0])

    result = broken(prepare, official, tmp_path, change)
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    for text in (
        "5 problem(s)",
        "(1, 1)",
        "sixty",
        "a panel has 3, 5 or 7 judges",
        "lacks dive_number",
        "entry 8: dive (99, 1)",
        "test_split_0.pkl entry 0",
        "already in the train split",
    ):
        assert text in result.stderr, text


@pytest.mark.parametrize("split", ["official", "events"])
def test_annotations_that_numpy_saved_again_are_the_same_dives(official, tmp_path, script, split):
    _, annotations, splits = official
    write_mtl_aqa_pickles(tmp_path / "plain", annotations, splits)
    again = {
        tuple(map(np.int64, key)): OrderedDict(
            {
                name: (
                    np.asarray(value)
                    if name in ("position", "judge_scores")
                    else np.array([value])[0]
                )
                for name, value in dive.items()
            }
        )
        for key, dive in annotations.items()
    }
    (tmp_path / "again").mkdir()
    for name, content in zip(
        MTL_AQA_PICKLES, (again, np.array(splits["train"]), tuple(splits["test"])), strict=True
    ):
        (tmp_path / "again" / name).write_bytes(gzip.compress(pickle.dumps(content, 5)))
    assert script.read_mtl_aqa(tmp_path / "again", split=split).equals(
        script.read_mtl_aqa(tmp_path / "plain", split=split)
    )


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (("01", 1), "not by ('01', 1)"),
        ((1.5, 1), "not by (1.5, 1)"),
        (3, "not by 3"),
        ((1, 2, 3), "not by (1, 2, 3)"),
    ],
)
def test_a_dive_that_is_named_otherwise_is_shown(official, tmp_path, script, key, told):
    write_mtl_aqa_pickles(tmp_path / "info", official[1] | {key: {}}, official[2])
    with pytest.raises(
        DatasetError, match=re.escape(f"a dive is named by two whole numbers (event, dive), {told}")
    ):
        script.read_mtl_aqa(tmp_path / "info")


def test_frames_that_are_not_there_are_listed_at_once(prepare, official, tmp_path):
    def change(annotations, splits):
        annotations[1, 1]["end_frame"] = 100_000
        annotations[1, 2]["start_frame"] = annotations[1, 2]["end_frame"]
        annotations[7, 1] = annotations[1, 3]
        splits["train"].append((7, 1))

    result = broken(prepare, official, tmp_path, change)
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert "3 problem(s)" in result.stderr and "id 01-001: frames 0 to 100000" in result.stderr
    assert (
        "id 01-002" in result.stderr
        and "no such folder of frames; 1 annotated dives" in result.stderr
    )


def test_what_cannot_be_right_is_flagged_and_kept(prepare, official, tmp_path, script):
    def change(annotations, splits):
        annotations[1, 1]["dive_number"] = "100B"
        annotations[1, 2]["final_score"] += 1

    result = broken(prepare, official, tmp_path, change)
    assert result.exit_code == 0, result.stderr
    table = SampleTable.load(tmp_path / "out")
    flags = table.samples.set_index("id")["flags"].dropna().to_dict()
    assert flags == {"01-001": script.NO_NUMBER, "01-002": script.OFF_RULE}
    assert table.info["flagged"] == {script.NO_NUMBER: 1, script.OFF_RULE: 1}
    assert "1 dives, impossible dive number" in result.stdout


def test_a_pickle_that_wants_more_than_numbers_is_refused(prepare, official, tmp_path, script):
    write_mtl_aqa_pickles(tmp_path / "info", *official[1:])
    (tmp_path / "info" / "train_split_0.pkl").write_bytes(b"cposix\nsystem\n(S'echo opened'\ntR.")
    with pytest.raises(DatasetError, match="posix.system"):
        script.read_mtl_aqa(tmp_path / "info")
    (tmp_path / "info" / "train_split_0.pkl").unlink()
    result = prepare(official[0], tmp_path / "out", "--info", tmp_path / "info")
    assert result.exit_code == 2 and "train_split_0.pkl: no such file" in result.stderr
