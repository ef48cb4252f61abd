"""Evaluation: encode once, vote, report; on a small feature dataset whose answers can be worked out."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from corelib.data.features import write_bank
from corelib.data.samples import SampleTable, write_table
from corelib.evaluation import encode, evaluate, freeze_features, group_labels, open_inputs
from corelib.models import build_model
from corelib.recipe import RecipeError, named
from corelib.training import fit


@pytest.fixture
def table(tmp_path):
    """30 training and 10 test samples in three difficulties, with features of 4 steps x 6 numbers."""
    rng = np.random.default_rng(0)
    n = 40
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
    info = {
        "name": "invented", "title": "Invented", "source": "test", "licence": "none", "citation": "none",
        "score_range": [0, 123], "protocol": "fixed", "pairing_key": "difficulty", "divided_by_difficulty": True,
        "frame_rate": None, "frame_size": None, "left_out": [],
    }  # fmt: skip
    write_bank(tmp_path / "features.safetensors", rng.standard_normal((n, 4, 6)).astype(np.float32), list(samples["id"]))
    write_table(tmp_path, info, samples)
    return SampleTable.load(tmp_path)


def assemble(table, system="core", **knobs):
    recipe = named("features", system=system, with_difficulty=True, dropout=0.0, **knobs)
    source = open_inputs(table, recipe)
    train = table.rows("train")
    model = build_model(recipe, table.target(True)[train], group_labels(table, recipe)[train], in_features=6)
    return recipe, source, model


def judge(table, recipe, source, model, **options):
    return evaluate(
        model, source, table, recipe, queries=table.rows("test"), pool=table.rows("train"), device=torch.device("cpu"), **options
    )  # fmt: skip


def test_every_distinct_sample_is_encoded_exactly_once(table, monkeypatch):
    recipe, source, model = assemble(table)
    encoded = []
    whole = model.encode
    monkeypatch.setattr(model, "encode", lambda inputs: encoded.extend([0] * len(inputs)) or whole(inputs))
    judged = judge(table, recipe, source, model, exemplars=None)
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
                verdicts.append(model.predict(features[:1], features[1:], target).item() * table.samples["difficulty"][q])
        assert len(verdicts) == 4
        assert prediction["predicted"] == pytest.approx(np.mean(verdicts), rel=1e-5)
        assert prediction["spread"] == pytest.approx(np.std(verdicts), abs=1e-3)


def test_exemplars_are_training_samples_of_the_same_difficulty_where_there_are_enough(table):
    recipe, source, model = assemble(table)
    judged = judge(table, recipe, source, model, exemplars=3)
    samples = table.samples.set_index("id")
    for _, vote in judged.votes.iterrows():
        assert samples["split"][vote["exemplar"]] == "train"
        assert samples["difficulty"][vote["exemplar"]] == samples["difficulty"][vote["id"]]


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
    one = judge(table, recipe, source, model, intervals=False).predictions.set_index("id")
    other = evaluate(
        model, source, table, recipe, queries=table.rows("test")[::-1].copy(), pool=table.rows("train")[::-1].copy(),
        device=torch.device("cpu"), intervals=False,
    ).predictions.set_index("id")  # fmt: skip
    assert np.allclose(one["predicted"], other["predicted"].loc[one.index])


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


def test_frozen_features_are_the_encoders_and_made_once(tmp_path, small_dives):
    recipe = named("smoke", system="mlp", with_difficulty=True, epochs=1)
    run = fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)
    frozen = freeze_features(run, tmp_path / "frozen")
    assert frozen.name == "frozen" and frozen.info["encoder"] == "run"
    pd.testing.assert_frame_equal(frozen.samples.drop(columns="media"), small_dives.samples.drop(columns="media"))
    rows = np.array([3, 25])
    features = torch.stack([open_inputs(frozen, named("features"))[row] for row in rows])  # [2, 1, D]
    torch.testing.assert_close(features[:, 0], encode(run.model, run.source, rows, device=run.device).cpu())

    written = (tmp_path / "frozen" / "features.safetensors").stat().st_mtime_ns
    assert freeze_features(run, tmp_path / "frozen").sha256 == frozen.sha256
    assert (tmp_path / "frozen" / "features.safetensors").stat().st_mtime_ns == written
    other = fit(small_dives, recipe.replace(seed=1), tmp_path / "other", device="cpu", progress=False)
    assert freeze_features(other, tmp_path / "frozen").sha256 != frozen.sha256  # made anew: other weights
