"""What makes a training pointless is an error before it begins; what makes its numbers doubtful is
said in plain sentences."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from corelib.data.banks import write_bank
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.metrics import check_predictions, check_votes
from corelib.pairs import NoPairError
from corelib.recipe import named
from corelib.runs.fit import fit
from corelib.runs.run import Run
from corelib.runs.soundness import training_doubts
from corelib.task import Task
from tests.contract import card

INFO = card()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """12 + 4 + 4 samples in the groups a and b, with features of 3 steps x 5 numbers."""
    folder, rng = tmp_path_factory.mktemp("sound"), np.random.default_rng(0)
    ids = [f"s{row:02d}" for row in range(20)]
    samples = pd.DataFrame(
        {
            "id": ids,
            "split": ["train"] * 12 + ["val"] * 4 + ["test"] * 4,
            "score": rng.uniform(10, 90, 20).round(1),
            "group": list("ab") * 10,
            "media": ids,
        }
    )
    write_bank(folder / "features.safetensors", rng.normal(size=(20, 3, 5)).astype("float32"), ids)
    write_table(folder, INFO, samples)
    return SampleTable.load(folder)


def changed(table, where=None, /, **columns):
    """The table with columns changed, in one split only if given."""
    samples = table.samples.copy()
    rows = np.arange(len(samples)) if where is None else table.rows(where)
    for name, values in columns.items():
        samples.loc[rows, name] = values
    return replace(table, samples=samples)


def small(**knobs):
    return named(
        "features",
        **{"tree_width": 8, "projection": 8, "epochs": 2, "validate_every": 1, "refit": False}
        | knobs,
    )


def train(table, out, **knobs):
    return fit(table, small(**knobs), out, device="cpu", progress=False)


# What cannot work


@pytest.mark.parametrize(
    "knobs",
    [
        {"system": "mlp"},
        {"intervals": "quantile"},
        {"intervals": "equal"},
        {"head": "direct"},
        {"outer_edge": "theta"},
    ],
)
def test_equal_training_scores_are_an_error(sound, tmp_path, knobs):
    with pytest.raises(
        DatasetError, match="all 12 training scores are 40, so there is nothing to learn"
    ):
        train(changed(sound, "train", score=40.0), tmp_path / "run", **knobs)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "knobs",
    [
        {"intervals": "quantile"},
        {"intervals": "equal"},
        {"head": "direct"},
        {"outer_edge": "theta"},
    ],
)
def test_scores_that_are_equal_within_every_group_are_an_error_for_pairs_alone(
    sound, tmp_path, knobs
):
    table = changed(sound, "train", score=[40.0, 60.0] * 6)  # group a has 40, group b 60
    with pytest.raises(NoPairError, match="all training scores are equal within their groups"):
        train(table, tmp_path / "run", pair_by="group", **knobs)
    assert not (tmp_path / "run").exists()
    assert training_doubts(Task.of(table, small(pair_by="none", **knobs))) == []
    assert training_doubts(Task.of(table, small(system="mlp", pair_by="group"))) == []


@pytest.mark.parametrize(
    "knobs", [{"intervals": "quantile"}, {"intervals": "equal"}, {"head": "direct"}]
)
def test_groups_of_one_alone_are_an_error(sound, tmp_path, knobs):
    with pytest.raises(
        NoPairError, match="no two training samples share a group.*pair by something coarser"
    ):
        train(sound, tmp_path / "run", pair_by="id", **knobs)


def test_a_target_that_is_no_number_is_an_error_that_names_the_sample(sound, tmp_path):
    table = changed(sound)
    table.samples.loc[[3, 17], "score"] = [np.nan, np.inf]
    with pytest.raises(
        DatasetError, match=r"2 sample\(s\) have no finite score to learn: s03, s17"
    ):
        train(table, tmp_path / "run")


def test_features_that_are_no_numbers_are_an_error_that_names_the_samples(sound, tmp_path):
    bank = np.random.default_rng(0).normal(size=(20, 3, 5)).astype("float32")
    bank[4, 1, 2], bank[11, 0, 0] = np.nan, np.inf
    write_bank(tmp_path / "features.safetensors", bank, sound.samples["id"].tolist())
    write_table(tmp_path, INFO, sound.samples)
    with pytest.raises(DatasetError, match=r"not finite, of 2 sample\(s\): s04, s11"):
        train(SampleTable.load(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_made_by_hand_that_trains_on_a_test_sample_is_an_error(sound, tmp_path):
    table = replace(
        sound,
        samples=pd.concat(
            [sound.samples, sound.samples[18:].assign(split="train")], ignore_index=True
        ),
    )
    with pytest.raises(
        DatasetError, match=r"2 pair\(s\) .*\n  id s18 \(test\) and id s18 \(train\)"
    ):
        train(table, tmp_path / "run")


# What is doubtful


def test_nothing_is_said_of_what_is_sound(sound, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = train(sound, tmp_path / "run")
    assert [row["warnings"] for row in run.metrics] == [[], []]


def test_samples_alone_in_their_group_and_groups_of_equal_scores_are_named(sound, tmp_path):
    table = changed(sound, "train", group=list("abc") * 3 + ["d", "e", "c"])
    table.samples.loc[[0, 3, 6], "score"] = 33.0
    expected = [
        "2 of 12 training samples are alone in their group and never paired: s09, s10",
        "in 1 of 3 groups all training scores are equal, so their pairs teach no difference: a",
    ]
    with (
        pytest.warns(UserWarning, match="in 1 of 3 groups all training scores are equal"),
        pytest.warns(UserWarning, match="never paired: s09, s10"),
    ):
        run = train(table, tmp_path / "run", pair_by="group")
    for row in json.loads((run.folder / "metrics.json").read_text()):
        assert row["warnings"][:2] == expected
    assert training_doubts(Task.of(table, small(pair_by="group", system="mlp"))) == []


@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("kind", ["one", "equal"])
@pytest.mark.parametrize("refit", [False, True])
def test_a_validation_part_without_an_order_keeps_the_last_epoch_and_says_so(
    sound, tmp_path, system, kind, refit
):
    if kind == "one":
        table, said = (
            changed(sound, "val", split=["val", "train", "train", "train"]),
            "the validation part is a single sample",
        )
    else:
        table, said = changed(sound, "val", score=50.0), "all 4 validation scores are equal"
    unordered = "the validation part gave no rank correlation in any epoch"
    with pytest.warns(UserWarning, match=unordered), pytest.warns(UserWarning, match=said):
        run = train(table, tmp_path / "run", system=system, refit=refit)
    chosen, last = run.metrics
    assert chosen["epoch"] == last["epoch"] == 1 and run.history["val_spearman"].isna().all()
    for row in (chosen, last):
        assert row["warnings"][0].startswith(said)
        assert (
            "the validation part gave no rank correlation in any epoch, so none was chosen by it:"
            " the last is kept" in row["warnings"]
        )


def test_one_sample_to_test_on_leaves_a_document_that_any_reader_takes(sound, tmp_path):
    table = changed(sound, "test", split=["test", "train", "train", "train"])
    with (
        pytest.warns(UserWarning, match="R-l2 is undefined: its score range is zero"),
        pytest.warns(UserWarning, match="needs two samples or more and got 1"),
    ):
        run = train(table, tmp_path / "run")
    row, _ = json.loads(
        (run.folder / "metrics.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is no JSON"),
    )
    assert row["spearman"] is row["rl2_x100"] is None and row["spearman_95"] == [None, None]
    assert np.isnan(
        [run.metrics[0]["spearman"], run.metrics[0]["rl2_x100"], *run.metrics[0]["spearman_95"]]
    ).all()
    assert len(row["warnings"]) == 2


def test_leaks_stand_in_the_metrics(sound, tmp_path):
    bank = np.random.default_rng(0).normal(size=(20, 3, 5)).astype("float32")
    bank[19], bank[18] = bank[2], bank[5]
    write_bank(tmp_path / "features.safetensors", bank, sound.samples["id"].tolist())
    write_table(tmp_path, INFO, sound.samples)
    with pytest.warns(
        UserWarning,
        match=(
            r"leak between train and test: 2 pair\(s\) of samples have the same content \(s02 and"
            r" s19, s05 and s18\)"
        ),
    ):
        run = train(SampleTable.load(tmp_path), tmp_path / "run", system="mlp")
    assert [row["warnings"][0].split(":")[0] for row in run.metrics] == [
        "leak between train and test"
    ] * 2


def test_a_split_that_is_no_test_and_a_test_of_what_was_learnt_are_said(sound, tmp_path):
    run = train(sound, tmp_path / "run", system="mlp")
    with pytest.warns(UserWarning, match="split 'train' is no test"):
        assert "split 'train' is no test" in run.evaluate("train").summary["warnings"][0]
    assert run.doubts() == []
    turned = sound.samples.assign(split=["test"] * 4 + ["train"] * 12 + ["test"] * 4)
    (tmp_path / "turned").mkdir()
    write_bank(
        tmp_path / "turned" / "features.safetensors",
        Run.load(run.folder, device="cpu").source.features.numpy(),
        sound.samples["id"].tolist(),
    )
    write_table(tmp_path / "turned", INFO | {"name": "turned"}, turned)
    other = Run.load(run.folder, table=SampleTable.load(tmp_path / "turned"), device="cpu")
    (sentence,) = other.doubts()
    assert sentence.startswith(
        "leak between this run's training and the test split: 4 pair(s) of samples have the same"
        " content (s00 and s00"
    )


def test_a_sentence_is_a_warning_once_at_the_callers_line_and_an_entry_each_time(sound, tmp_path):
    table = changed(sound, "val", score=50.0)
    with pytest.warns(UserWarning) as said:
        first, second = (
            train(table, tmp_path / name, system="mlp") for name in ("first", "second")
        )
    texts = [str(one.message) for one in said]
    assert len(texts) == len(set(texts)) and {one.filename for one in said} == {__file__}
    assert first.metrics[0]["warnings"] == second.metrics[0]["warnings"] != []


# By hand


def test_a_constant_predictor_by_hand():
    true = np.array([10.0, 20, 30])
    assert check_predictions(np.array([50.0, 50.001, 49.999]), true) == []
    assert (
        "all 3 predictions are 50 to within 1e-06"
        in check_predictions(np.array([50.0, 50.000001, 50.0]), true)[0]
    )
    assert (
        check_predictions(np.array([50.0]), true[:1]) == []
        and check_predictions(np.array([50.0] * 3), true) == []
    )  # the metric's own answer


def test_votes_by_hand():
    ids, query, scores = np.array(["p", "q"]), np.array([0, 0, 0, 1]), np.array([10.0, 20, 30, 40])
    differences = np.array([1.0, 2, 3, 4])
    assert check_votes(ids, np.bincount(query), differences, scores, asked=1) == []
    (alone,) = check_votes(ids, np.bincount(query), differences, scores, asked=10)
    assert (
        alone == "1 of 2 samples were compared with a single exemplar, so their spread of 0 says"
        " nothing: q"
    )
    assert check_votes(ids, np.bincount(query), differences, scores, asked=None) == [alone]
    (same,) = check_votes(ids, np.array([2, 2]), np.full(4, 1.5), scores, asked=10)
    assert (
        same == "the model reads the same difference, 1.5, off all 4 pairs: it does not look at the"
        " query"
    )
