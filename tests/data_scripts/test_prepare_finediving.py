"""FineDiving: the one real dive, and procedural dives written in its official layout, become a
prepared dataset."""

import json
import pickle
import shutil

import numpy as np
import pytest

from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video
from corelib.evaluation import encode, open_inputs
from corelib.recipe import named
from corelib.runs.fit import fit
from corelib.runs.score import score_video
from tests.doubts import few_steps
from tests.official_layouts import (
    FINEDIVING_EVENTS,
    FINEDIVING_PICKLES,
    write_finediving,
    write_finediving_pickles,
)

# The real dive


@pytest.fixture(scope="module")
def real(prepare, aqa_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("real") / "finediving"
    sample = aqa_data / "finediving_sample"
    result = prepare(sample, out, "--annotations", sample / "annotation.json", "--all", "train")
    assert result.exit_code == 0, result.stderr
    assert (
        "1 train, 0 test dives" in result.stdout
        and "flagged, not dropped: 0 dives, score off the rule" in result.stdout
    )
    return SampleTable.load(out)


def test_the_real_dive_keeps_its_marks(real, script):
    sample = real.samples.iloc[0]
    assert (sample["score"], sample["difficulty"], sample["group"]) == (66.0, 3.0, "205B")
    assert real.marks()[0].tolist() == [7.5, 7.5, 7.0] and real.target(True).tolist() == [22.0]
    assert real.samples["flags"].isna().all() and real.info["flagged"] == {}
    assert (
        sample["last_frame"] - sample["first_frame"] + 1
        == len(list((real.root / sample["media"]).iterdir()))
        == 112
    )


def test_the_real_dive_gets_a_feature_and_a_score_with_its_exemplars(real, small_dives, tmp_path):
    recipe = named(
        "smoke", with_difficulty=True, pair_by="group", resize=(36, 64), epochs=1, exemplars=4
    )
    run = fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)
    feature = encode(
        run.model, open_inputs(real, recipe, progress=False), np.array([0]), device=run.device
    )
    assert (
        tuple(feature.shape) == (1, 64) and np.isfinite(feature.numpy()).all()
    )  # 1024 features at 1/16 of the width
    with (
        pytest.warns(UserWarning, match="256 x 455 have another shape than the 32 x 32"),
        pytest.warns(UserWarning, match="1 of 4 exemplars are of another group than 103B"),
    ):
        found = score_video(run, real.root / real.samples["media"][0], difficulty=3.0, group="103B")
    train = set(small_dives.samples["id"][small_dives.rows("train")])
    assert len(found["exemplars"]) == 4 and {vote["id"] for vote in found["exemplars"]} <= train
    assert np.isfinite([found["score"], *(vote["predicted"] for vote in found["exemplars"])]).all()
    assert found["score"] == pytest.approx(
        np.mean([vote["predicted"] for vote in found["exemplars"]])
    )


# Procedural dives in the official layout


@pytest.fixture(scope="module")
def official(tmp_path_factory, small_dives):
    """The small dives in FineDiving's layout: (its folder, annotations, {split: entries})."""
    raw = tmp_path_factory.mktemp("fine") / "raw"
    return raw, *write_finediving(raw, small_dives)


@pytest.fixture(scope="module")
def prepared(prepare, official, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "finediving"
    result = prepare(official[0], out)
    assert result.exit_code == 0, result.stderr
    assert (
        "20 train, 8 test dives of 2 events, 3 dive numbers" in result.stdout
        and "no split files" not in result.stdout
    )
    return SampleTable.load(out)


def test_the_prepared_dataset_points_to_the_frames(official, prepared, small_dives):
    raw, annotations, splits = official
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "dataset.json",
        "samples.csv",
    ]
    assert (
        prepared.root == raw.resolve()
        and prepared.info["split"] == "train_split.pkl, test_split.pkl"
    )
    assert set(prepared.samples["group"]) == set(small_dives.samples["group"])
    for sample, marks in zip(prepared.samples.itertuples(), prepared.marks(), strict=True):
        dive = annotations[sample.event, sample.dive]
        assert (sample.event, sample.dive) in splits[sample.split] and not set(sample.id) & set(
            " \t"
        )
        assert (sample.score, sample.difficulty, marks.tolist()) == (
            dive["dive_score"],
            dive["difficulty"],
            dive["judge_scores"],
        )


def test_the_whole_folder_is_the_dive(official, prepared):
    row = int(prepared.rows("train")[-1])
    folder = prepared.root / prepared.samples["media"][row]
    clip = open_inputs(prepared, named("smoke", temporal_shift=0), progress=False)[row].numpy()
    assert np.array_equal(clip, read_video(folder, np.rint(np.linspace(0, 19, 16)).astype(int)))


@few_steps
@pytest.mark.parametrize("system", ["mlp", "core"])
def test_a_training_pairs_by_the_dive_number(prepared, tmp_path, system):
    recipe = named(
        "smoke", system=system, with_difficulty=True, epochs=1, exemplars=3, fill_exemplars=False
    )
    run = fit(prepared, recipe, tmp_path / "run", device="cpu", progress=False)
    assert (run.metrics[0]["n_test"], np.isfinite(run.predictions["predicted"]).all()) == (8, True)
    group = prepared.samples.set_index("id")["group"]
    for found in run.predictions.itertuples() if system == "core" else ():
        assert set(group[found.exemplars.split()]) == {group[found.id]}


# Splits


def test_a_split_is_drawn_where_none_is_given_and_says_so(prepare, official, tmp_path, script):
    raw, annotations, _ = official
    path = raw / "Annotations" / FINEDIVING_PICKLES[0]
    result = prepare(
        tmp_path / "nowhere",
        tmp_path / "out",
        "--annotations",
        path,
        "--frames",
        raw,
        "--split-seed",
        1,
    )
    assert (
        result.exit_code == 0
        and "the split is not the official one, it was drawn with seed 1" in result.stdout
    ), result.stderr
    table = SampleTable.load(tmp_path / "out")
    assert (
        table.info["split"] == "not the official one: drawn dive by dive, seed 1, 25% tested on"
        and len(table.rows("test")) == 7
    )
    assert (
        table.samples["split"].tolist()
        == script.read_finediving(path, script.Split(seed=1))["split"].tolist()
    )
    other = script.read_finediving(path, script.Split(seed=2, test_share=0.5))["split"]
    assert other.eq("test").sum() == 14 and other.tolist() != table.samples["split"].tolist()
    with pytest.raises(DatasetError, match="from 0 to below 1"):
        script.read_finediving(path, script.Split(test_share=1))
    assert (
        prepare(
            raw, tmp_path / "half", "--train", raw / "Annotations" / FINEDIVING_PICKLES[1]
        ).exit_code
        == 2
    )


def test_all_dives_may_be_learnt_from(prepare, official, tmp_path):
    assert prepare(official[0], tmp_path / "out", "--all", "train").exit_code == 0
    table = SampleTable.load(tmp_path / "out")
    assert len(table.rows("train")) == 28 and table.info["split"] == "none: all are learnt from"


def test_annotations_may_be_json(official, prepared, tmp_path, script):
    raw, annotations, splits = official
    entries = [
        {"key": list(key), **dive, "dive_score": float(dive["dive_score"])}
        for key, dive in annotations.items()
    ]
    entries[0]["key"][1] = str(entries[0]["key"][1])  # a dive's number may be text
    paths = [tmp_path / name for name in ("annotations.json", "train.json", "test.json")]
    for path, content in zip(paths, (entries, splits["train"], splits["test"]), strict=True):
        path.write_text(json.dumps(content))
    samples = script.read_finediving(paths[0], script.Split(*paths[1:]))
    assert (
        samples["id"].tolist() == prepared.samples["id"].tolist()
        and samples["split"].tolist() == prepared.samples["split"].tolist()
    )
    paths[0].write_text('[{"action_type": "205b"}]')
    with pytest.raises(DatasetError, match='"key"'):
        script.read_finediving(paths[0])
    paths[0].write_text("[{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        script.read_finediving(paths[0])


# Bad input


def broken(prepare, official, tmp_path, change, *more):
    """A copy of the annotations with something changed, beside the same frames."""
    raw, annotations, splits = official
    annotations = {key: dict(dive) for key, dive in annotations.items()}
    splits = {name: list(keys) for name, keys in splits.items()}
    change(annotations, splits)
    folder = tmp_path / "changed" / "Annotations"
    write_finediving_pickles(folder, annotations, splits)
    return prepare(folder.parent, tmp_path / "out", "--frames", raw, *more)


def test_all_wrong_annotations_are_listed_at_once(prepare, official, tmp_path):
    first, second = FINEDIVING_EVENTS

    def change(annotations, splits):
        annotations[first, 0]["dive_score"] = "sixty"
        annotations[first, 1]["difficulty"] = 0
        annotations[first, 2]["judge_scores"] = [7.0, float("nan"), 7.5]
        annotations[first, 3]["action_type"] = " "
        annotations[first, 4]["end_frame"] = 1
        annotations[first, 5]["dive_score"] = float("nan")
        annotations[first, 6] = ["205B", 66.0]
        del annotations[second, 0]["difficulty"]
        annotations[second, "1"] = annotations[second, 1]
        annotations["../elsewhere", 1] = annotations[second, 1]
        splits["test"] += [("unknown", 1), "text"]
        splits["train"] += [splits["test"][0]]
        (
            splits["train"].remove((first, 7))
            if (first, 7) in splits["train"]
            else splits["test"].remove((first, 7))
        )

    result = broken(prepare, official, tmp_path, change)
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    for text in (
        "14 problem(s)",
        "dive_score is 'sixty'",
        "difficulty is 0",
        "judge_scores are [7.0, nan, 7.5]",
        "action_type is ''",
        "start_frame 860, end_frame 1",
        "dive_score is nan",
        "not a list",
        "lacks difficulty",
        "annotated twice",
        "names of folders",
        "('unknown', '1') is not in",
        "named by (event, dive)",
        "already in the",
        "('FINADivingWorldCup2021_Men3m_final_r1', '7'): the dive is in neither split",
    ):
        assert text in result.stderr, text


def test_folders_that_are_not_whole_are_listed_at_once(prepare, official, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(official[0], raw)
    gone, empty, short, long = ((raw / FINEDIVING_EVENTS[0] / str(place)) for place in range(4))
    shutil.rmtree(gone)
    for file in empty.iterdir():
        file.unlink()
    next(short.iterdir()).unlink()
    shutil.copy(next(long.iterdir()), long / "99999.jpg")
    annotations = dict(official[1]) | {("absent", 0): official[1][FINEDIVING_EVENTS[0], 0]}
    write_finediving_pickles(
        raw / "Annotations",
        annotations,
        {"train": official[2]["train"] + [("absent", 0)], "test": official[2]["test"]},
    )
    result = prepare(raw, tmp_path / "out")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    for text in (
        "4 problem(s)",
        "absent: no such folder; 1 annotated",
        f"{gone}: no such folder of frames",
        f"{empty}: no .jpg",
        f"{short} holds 19 frames, annotated are 20",
    ):
        assert text in result.stderr, text


def test_more_or_fewer_frames_than_annotated_are_flagged_when_wished(
    prepare, official, tmp_path, script
):
    def change(annotations, splits):
        annotations[FINEDIVING_EVENTS[0], 0]["end_frame"] += 5
        annotations[FINEDIVING_EVENTS[0], 1]["end_frame"] -= 5

    result = broken(prepare, official, tmp_path, change, "--keep-incomplete")
    assert result.exit_code == 0, result.stderr
    flags = SampleTable.load(tmp_path / "out").samples["flags"].dropna().tolist()
    assert flags == [script.FRAMES_MISSING, script.FRAMES_MORE]


def test_what_cannot_be_right_is_flagged_and_kept(prepare, official, tmp_path, script):
    def change(annotations, splits):
        dives = [annotations[FINEDIVING_EVENTS[0], place] for place in range(5)]
        dives[0]["action_type"] = "100b"
        dives[1]["dive_score"] += 1
        dives[2] |= {
            "judge_scores": [7.5, 7.5, 7.0],
            "difficulty": 3.0,
            "dive_score": 66.0,
        }  # three judges, all count
        dives[3] |= {"judge_scores": [7.5, 7.5, 7.0], "difficulty": 3.0, "dive_score": 67.5}
        dives[4]["judge_scores"] = [7.0] * 11

    result = broken(prepare, official, tmp_path, change)
    assert result.exit_code == 0, result.stderr
    table = SampleTable.load(tmp_path / "out")
    flags = [text if isinstance(text, str) else "" for text in table.samples["flags"][:6]]
    assert flags == [script.NO_NUMBER, script.OFF_RULE, "", script.OFF_RULE, script.NO_RULE, ""]
    assert table.info["flagged"] == {script.NO_NUMBER: 1, script.OFF_RULE: 2, script.NO_RULE: 1}
    assert f"2 dives, {script.OFF_RULE}" in result.stdout and table.samples["group"][0] == "100B"


def test_a_pickle_that_wants_more_than_numbers_is_refused(prepare, official, tmp_path, script):
    path = tmp_path / "Annotations" / FINEDIVING_PICKLES[0]
    path.parent.mkdir()
    path.write_bytes(b"cposix\nsystem\n(S'echo opened'\ntR.")
    with pytest.raises(DatasetError, match="posix.system"):
        script.read_finediving(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DatasetError, match="expected a dictionary"):
        script.read_finediving(path)
    path.unlink()
    result = prepare(tmp_path, tmp_path / "out")
    assert result.exit_code == 2 and f"{FINEDIVING_PICKLES[0]}: no such file" in result.stderr
