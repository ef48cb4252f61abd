"""Evaluation: encode once, vote, report; on a small feature dataset whose answers can be worked
out."""

import warnings
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from corelib import evaluation, models
from corelib.data.banks import write_bank
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.evaluation import PredictionError, encode, evaluate, open_inputs, vote
from corelib.models import build_model
from corelib.pairs import Exemplars
from corelib.recipe import RecipeError, named
from corelib.runs.features import frozen_run, write_features
from corelib.runs.fit import fit
from corelib.task import Task, group_labels
from tests.contract import card
from tests.doubts import few_steps


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """30 training and 10 test samples in three difficulties, with features of 4 steps x 6
    numbers."""
    rng, tmp_path, n = np.random.default_rng(0), tmp_path_factory.mktemp("invented"), 40
    difficulty = rng.choice([2.0, 3.0, 3.5], n)
    samples = pd.DataFrame(
        {
            "id": [f"s{i:02d}" for i in range(n)],
            "split": ["train"] * 30 + ["test"] * 10,
            "score": (rng.uniform(10, 30, n) * difficulty).round(2),
            "difficulty": difficulty,
            "media": [f"s{i:02d}" for i in range(n)],
        }
    )
    info = card(
        "invented", score_range=[0, 123], pairing_key="difficulty", divided_by_difficulty=True
    )
    write_bank(
        tmp_path / "features.safetensors",
        rng.standard_normal((n, 4, 6)).astype(np.float32),
        list(samples["id"]),
    )
    write_table(tmp_path, info, samples)
    return SampleTable.load(tmp_path)


def assemble(table, system="core", **knobs):
    recipe = named("features", system=system, with_difficulty=True, dropout=0.0, **knobs)
    source = open_inputs(table, recipe)
    train = table.rows("train")
    model = build_model(
        recipe, table.target(True)[train], group_labels(table, recipe)[train], in_features=6
    )
    return recipe, source, model


def judge(table, recipe, source, model, **options):
    return evaluate(
        model,
        source,
        Task.of(table, recipe),
        queries=table.rows("test"),
        pool=table.rows("train"),
        device=torch.device("cpu"),
        **options,
    )


def test_every_distinct_sample_is_encoded_exactly_once(table, monkeypatch):
    recipe, source, model = assemble(table)
    encoded = []
    whole = model.encode
    monkeypatch.setattr(
        model, "encode", lambda inputs: encoded.extend([0] * len(inputs)) or whole(inputs)
    )
    judged = judge(table, recipe, source, model, exemplars="all")
    used = set(judged.votes["exemplar"]) | set(judged.predictions["id"])
    assert len(encoded) == len(used) == judged.summary["encoded"]


def test_prediction_is_the_mean_of_the_verdicts_times_the_difficulty(table):
    recipe, source, model = assemble(table)
    judged = judge(table, recipe, source, model, exemplars=4)
    row = {name: i for i, name in enumerate(table.samples["id"])}
    model.eval()
    for _, prediction in judged.predictions.iterrows():
        q, verdicts = row[prediction["id"]], []
        for name in prediction["exemplars"].split():
            with torch.no_grad():
                features = model.encode(torch.stack([source[q], source[row[name]]]))
                target = torch.tensor([table.target(True)[row[name]]])
                verdicts.append(
                    model.predict(features[:1], features[1:], target).item()
                    * table.samples["difficulty"][q]
                )
        assert len(verdicts) == 4
        assert prediction["predicted"] == pytest.approx(np.mean(verdicts), rel=1e-5)
        assert prediction["spread"] == pytest.approx(np.std(verdicts), abs=1e-3)


def test_no_number_of_exemplars_is_the_recipes_and_all_is_the_group(table):
    recipe, source, model = assemble(table)
    own, same = (
        judge(table, recipe, source, model, quick=True, **asked).votes
        for asked in ({}, {"exemplars": recipe.exemplars})
    )
    assert own.equals(same)
    everybody = judge(table, recipe, source, model, exemplars="all", quick=True).votes
    train = table.samples[table.samples["split"] == "train"]
    group = dict(zip(table.samples["id"], table.samples["difficulty"], strict=True))
    sizes = train["difficulty"].value_counts()
    for query, votes in everybody.groupby("id"):
        if group[query] in sizes:
            assert len(votes) == sizes[group[query]]
    for odd in (-1, 0, "some"):
        with pytest.raises(RecipeError, match="above 0 or 'all'"):
            judge(table, recipe, source, model, exemplars=odd)


@pytest.mark.parametrize("exemplars", [10, "all"])
def test_votes_in_many_blocks_give_the_predictions_of_one(table, monkeypatch, exemplars):
    made = assemble(table)
    whole = judge(table, *made, exemplars=exemplars)
    monkeypatch.setattr(evaluation, "MOST_VOTES", 25)
    blocks = []
    monkeypatch.setattr(
        evaluation, "vote", lambda *a, **how: blocks.append(vote(*a, **how)) or blocks[-1]
    )
    parted = judge(table, *made, exemplars=exemplars)
    assert len(blocks) > 2 and max(map(len, blocks)) <= 25
    assert parted.summary == whole.summary
    columns = ["id", "true", "predicted", "spread"]
    pd.testing.assert_frame_equal(parted.predictions[columns], whole.predictions[columns])
    assert parted.votes.empty and (parted.predictions["exemplars"] == "").all()


def test_exemplars_are_training_samples_of_the_same_difficulty_where_there_are_enough(table):
    recipe, source, model = assemble(table)
    judged = judge(table, recipe, source, model, exemplars=3)
    samples = table.samples.set_index("id")
    for _, voted in judged.votes.iterrows():
        assert samples["split"][voted["exemplar"]] == "train"
        assert samples["difficulty"][voted["exemplar"]] == samples["difficulty"][voted["id"]]


def test_summary_agrees_with_an_independent_calculation(table):
    recipe, source, model = assemble(table)
    judged = judge(table, recipe, source, model)
    true, predicted = judged.predictions["true"], judged.predictions["predicted"]
    assert judged.summary["spearman"] == pytest.approx(spearmanr(true, predicted).statistic)
    error = np.mean(((true - predicted) / (true.max() - true.min())) ** 2)
    assert judged.summary["rl2_x100"] == pytest.approx(100 * error)
    low, high = judged.summary["spearman_95"]
    assert low < judged.summary["spearman"] < high


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_order_of_the_queries_does_not_change_a_prediction(table, system):
    recipe, source, model = assemble(table, system)
    one = judge(table, recipe, source, model, quick=True).predictions.set_index("id")
    other = evaluate(
        model,
        source,
        Task.of(table, recipe),
        queries=table.rows("test")[::-1].copy(),
        pool=table.rows("train")[::-1].copy(),
        device=torch.device("cpu"),
        quick=True,
    ).predictions.set_index("id")
    assert np.allclose(one["predicted"], other["predicted"].loc[one.index])


@settings(max_examples=15)
@given(
    videos=st.permutations(range(40)),
    queries=st.permutations(range(10)),
    pool=st.permutations(range(30)),
    count=st.sampled_from([1, 4, "all"]),
)
def test_no_order_changes_a_vote(table, videos, queries, pool, count):
    recipe, source, model = assemble(table)
    one = judge(table, recipe, source, model, exemplars=count, quick=True)
    turned = replace(table, samples=table.samples.iloc[list(videos)].reset_index(drop=True))
    other = evaluate(
        model,
        open_inputs(turned, recipe),
        Task.of(turned, recipe),
        queries=turned.rows("test")[queries],
        pool=turned.rows("train")[pool],
        device=torch.device("cpu"),
        exemplars=count,
        quick=True,
    )
    a, b = (
        one.predictions.set_index("id"),
        other.predictions.set_index("id").loc[one.predictions["id"]],
    )
    assert a["exemplars"].tolist() == b["exemplars"].tolist()  # drawn by id, whatever the order
    # videos are encoded in the table's order, so that products of matrices round in another place
    np.testing.assert_allclose(b["predicted"], a["predicted"], rtol=1e-6)
    np.testing.assert_allclose(b["spread"], a["spread"], rtol=0, atol=1e-4)
    assert other.summary["rl2_x100"] == pytest.approx(one.summary["rl2_x100"], rel=1e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 999), at_once=st.sampled_from([3, 64, 2048]))
def test_the_order_of_the_pairs_changes_no_verdict(table, seed, at_once):
    rng, (_, source, model) = np.random.default_rng(seed), assemble(table)
    features = encode(model, source, np.arange(40), device=torch.device("cpu"))
    targets, query, exemplar = (
        torch.from_numpy(table.target(True)),
        rng.integers(0, 40, 100),
        rng.integers(0, 40, 100),
    )
    order = rng.permutation(100)
    with mock.patch.object(models, "PAIRS_AT_ONCE", at_once):
        turned = vote(model, features, targets, Exemplars(query[order], exemplar[order], {}))
    torch.testing.assert_close(
        turned,
        vote(model, features, targets, Exemplars(query, exemplar, {}))[order],
        rtol=1e-6,
        atol=1e-5,
    )


# Batches and workers


@torch.no_grad()
def settled(table, **knobs):
    """(recipe, source, model) whose batch statistics are those of the videos, so that its features
    differ as trained ones do."""
    recipe = named("smoke", with_difficulty=True, **knobs)
    source, train = open_inputs(table, recipe, progress=False), table.rows("train")
    model = build_model(recipe, table.target(True)[train], group_labels(table, recipe)[train])
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = None  # the mean over all batches
    model.train().encode(source.to_inputs(source.read(train)))
    return recipe, source, model


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_videos_one_at_a_time_or_many_and_any_number_of_workers_give_the_same_metrics(
    small_dives, system, monkeypatch
):
    recipe, source, model = settled(small_dives, system=system)
    options = {
        "queries": small_dives.rows("test"),
        "pool": small_dives.rows("train"),
        "device": torch.device("cpu"),
        "quick": True,
    }
    whole = evaluate(model, source, Task.of(small_dives, recipe), **options)
    for workers in (1, 2):
        read_ahead = evaluate(
            model, source, Task.of(small_dives, recipe), workers=workers, **options
        )
        pd.testing.assert_frame_equal(read_ahead.predictions, whole.predictions, check_exact=True)
        assert read_ahead.summary == whole.summary
    monkeypatch.setattr(evaluation, "INPUT_LIMIT", 1)  # one video at a time
    single = evaluate(model, source, Task.of(small_dives, recipe), **options)
    # convolutions and products of matrices choose their blocks by the batch's size, and round in
    # another order
    np.testing.assert_allclose(
        single.predictions["predicted"], whole.predictions["predicted"], rtol=1e-6
    )
    assert single.summary["spearman"] == whole.summary["spearman"]
    assert single.summary["rl2_x100"] == pytest.approx(whole.summary["rl2_x100"], rel=1e-5)


def test_features_do_not_depend_on_the_batch(small_dives, monkeypatch):
    _, source, model = settled(small_dives, width=0.125)
    rows = np.arange(28)
    whole = encode(model, source, rows, device=torch.device("cpu"))
    assert (whole.std(0) > 0.1 * whole.abs().mean()).any()  # videos are told apart
    for batch in (1, 5):
        monkeypatch.setattr(evaluation, "VIDEOS_AT_ONCE", batch)
        found = encode(model, source, rows, device=torch.device("cpu"))
        torch.testing.assert_close(found, whole, rtol=0, atol=3e-5 * float(whole.abs().max()))


# Numbers that go wrong


class Says(torch.nn.Module):
    """A model that reads `difference` off every pair, or sets every sample to it."""

    def __init__(self, difference, uses_exemplars=True):
        super().__init__()
        self.difference, self.uses_exemplars, self.encoder = (
            difference,
            uses_exemplars,
            torch.nn.Identity(),
        )

    def encode(self, inputs):
        return inputs.mean(1)

    def compare(self, features, targets, query, exemplar, *, dtype):
        noise = 1e-9 * torch.arange(len(query)).double() if self.difference else 0.0
        return (
            (
                targets[exemplar].double()
                if self.uses_exemplars
                else torch.zeros(len(query), dtype=torch.float64)
            )
            + self.difference
            + noise
        )


def says(table, difference, *, queries=None, pool=None, uses_exemplars=True, **options):
    recipe = named("features", dropout=0.0)
    place = {
        "queries": table.rows("test") if queries is None else queries,
        "pool": table.rows("train") if pool is None else pool,
    }
    return evaluate(
        Says(difference, uses_exemplars),
        open_inputs(table, recipe),
        Task.of(table, recipe),
        device=torch.device("cpu"),
        **place,
        **options,
    )


def test_nothing_is_warned_of_where_nothing_is_wrong(table):
    recipe, source, model = assemble(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judge(table, recipe, source, model).summary["warnings"] == []


def test_a_constant_predictor_is_said(table):
    with pytest.warns(UserWarning, match="every predicted score is 0, so there is no order"):
        judged = says(table, 0.0, uses_exemplars=False)
    assert (
        np.isnan(judged.summary["spearman"])
        and "every predicted score is 0" in judged.summary["warnings"][0]
    )
    with pytest.warns(
        UserWarning, match="all 10 predictions are 50 to within .*as good as a constant"
    ):
        judged = says(table, 50.0, uses_exemplars=False)
    assert (
        np.isnan([judged.summary["spearman"], *judged.summary["spearman_95"]]).all()
        and np.isfinite(judged.summary["rl2_x100_95"]).all()
    )


def test_a_model_that_does_not_look_at_the_query_is_said(table):
    with pytest.warns(UserWarning, match="reads the same difference, 3, off all 100 pairs"):
        judged = says(table, 3.0)
    assert any("does not look at the query" in sentence for sentence in judged.summary["warnings"])


def test_a_single_exemplar_is_said_unless_asked_for(table):
    recipe, source, model = assemble(table, pair_by="none")
    with pytest.warns(
        UserWarning,
        match=(
            r"10 of 10 samples were compared with a single exemplar.*: s30, s31, s32, s33, s34 and"
            r" 5 more"
        ),
    ):
        evaluate(
            model,
            source,
            Task.of(table, recipe),
            queries=table.rows("test"),
            pool=np.array([7]),
            device=torch.device("cpu"),
        )
    assert judge(table, recipe, source, model, exemplars=1).summary["warnings"] == []


def test_one_sample_to_test_on_has_no_order_and_no_range(table):
    recipe, source, model = assemble(table)
    with pytest.warns(UserWarning) as said:
        judged = evaluate(
            model,
            source,
            Task.of(table, recipe),
            queries=table.rows("test")[:1],
            pool=table.rows("train"),
            device=torch.device("cpu"),
        )
    assert {str(one.message) for one in said} >= set(judged.summary["warnings"]) and len(
        judged.summary["warnings"]
    ) == 2
    assert np.isnan(
        [judged.summary["spearman"], judged.summary["rl2_x100"], *judged.summary["spearman_95"]]
    ).all()
    assert np.isfinite(judged.predictions["predicted"]).all()


def test_equal_scores_to_test_on_are_said(table):
    recipe, source, model = assemble(table)
    equal = replace(
        table,
        samples=table.samples.assign(
            score=np.where(table.samples["split"] == "test", 50.0, table.samples["score"])
        ),
    )
    with (
        pytest.warns(UserWarning, match="R-l2 is undefined: its score range is zero"),
        pytest.warns(UserWarning, match="every true score is 50"),
    ):
        judged = judge(equal, recipe, source, model)
    assert [sentence.split(":")[0] for sentence in judged.summary["warnings"]] == [
        "Spearman's rho is undefined",
        "R-l2 is undefined",
    ]


def test_a_test_sample_among_the_exemplars_is_refused(table):
    recipe, source, model = assemble(table)
    with pytest.raises(
        DatasetError, match=r"2 sample\(s\) of the test split are among the exemplars: s33, s38"
    ):
        evaluate(
            model,
            source,
            Task.of(table, recipe),
            queries=table.rows("test")[:2],
            pool=np.array([0, 38, 4, 33]),
            device=torch.device("cpu"),
        )
    # a training sample may be judged by the others: it never votes on itself
    judged = evaluate(
        model,
        source,
        Task.of(table, recipe),
        queries=np.arange(3),
        pool=table.rows("train"),
        device=torch.device("cpu"),
    )
    assert all(
        name not in own.split()
        for name, own in zip(judged.predictions["id"], judged.predictions["exemplars"], strict=True)
    )


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_are_refused_by_name(table, wrong):
    with pytest.raises(
        PredictionError, match=r"10 sample\(s\) are not finite: s30, s31, s32, s33, s34 and 5 more"
    ):
        says(table, wrong)


def test_the_baseline_needs_no_exemplar(table):
    recipe, source, model = assemble(table, "mlp")
    judged = judge(table, recipe, source, model)
    assert judged.summary["encoded"] == 10
    assert (judged.predictions["exemplars"] == "").all()


def test_a_video_encoder_on_features_is_refused(table):
    with pytest.raises(RecipeError, match="projection"):
        open_inputs(table, named("smoke"))


def test_an_unknown_pairing_column_is_refused(table):
    with pytest.raises(RecipeError, match="no such column"):
        group_labels(table, named("features", pair_by="colour"))


@few_steps
def test_frozen_features_are_the_encoders_and_made_once(tmp_path, small_dives):
    recipe = named("smoke", system="mlp", with_difficulty=True, epochs=1)
    run = fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)
    frozen = write_features(run.table, frozen_run(run), tmp_path / "frozen", averaged=True)
    assert frozen.name == "frozen" and frozen.info["encoder"] == "run"
    pd.testing.assert_frame_equal(
        frozen.samples.drop(columns="media"), small_dives.samples.drop(columns="media")
    )
    rows = np.array([3, 25])
    features = torch.stack(
        [open_inputs(frozen, named("features"))[row] for row in rows]
    )  # [2, 1, D]
    torch.testing.assert_close(
        features[:, 0], encode(run.model, run.source, rows, device=run.device).cpu()
    )

    written = (tmp_path / "frozen" / "features.safetensors").stat().st_mtime_ns
    assert (
        write_features(run.table, frozen_run(run), tmp_path / "frozen", averaged=True).sha256
        == frozen.sha256
    )
    assert (tmp_path / "frozen" / "features.safetensors").stat().st_mtime_ns == written
    other = fit(
        small_dives, recipe.replace(seed=1), tmp_path / "other", device="cpu", progress=False
    )
    assert (
        write_features(other.table, frozen_run(other), tmp_path / "frozen", averaged=True).sha256
        != frozen.sha256
    )  # made anew: other weights
