"""Few training rows: what is held back, how many steps are taken, a loss that has not settled."""

import json
import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from corelib.data.banks import write_bank
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.recipe import RECIPES, named
from corelib.runs.fit import fit
from corelib.runs.soundness import check_losses
from corelib.task import Task
from corelib.training import plan_epoch
from tests.contract import card

INFO = card()
SMALL = {"tree_width": 8, "projection": 8, "epochs": 1}


def bank(folder, splits, *, features=None, scores=None, groups=None, **info):
    """A prepared dataset of one row a split in `splits`."""
    rng, N = np.random.default_rng(0), len(splits)
    ids = [f"s{row:02d}" for row in range(N)]
    features = rng.normal(size=(N, 2, 5)) if features is None else features
    scores = rng.uniform(10, 90, N) if scores is None else scores
    samples = pd.DataFrame(
        {
            "id": ids,
            "split": splits,
            "score": np.round(scores, 2),
            "group": groups or ["a"] * N,
            "media": ids,
        }
    )
    folder.mkdir(exist_ok=True)
    write_bank(folder / "features.safetensors", features.astype("float32"), ids)
    write_table(folder, INFO | info, samples)
    return SampleTable.load(folder)


# What is held back


def rows_of(table, recipe):
    task = Task.of(table, recipe)
    return task.fit, task.choose


@pytest.mark.parametrize("n", range(2, 13))
@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("fraction", [0.15, 0.9])
def test_validation_never_takes_what_is_needed_to_learn(tmp_path, n, system, fraction):
    table = bank(tmp_path / "one", ["train"] * n + ["test"] * 3)
    recipe = named("features", system=system, validation_fraction=fraction)
    fitted, held = rows_of(table, recipe.replace(refit=False))
    assert sorted([*fitted, *held]) == list(range(n)) and len(fitted) >= 2
    assert len(held) == (0 if n < 4 else 2 if fraction < 0.5 else min(round(0.9 * n), n - 2))
    assert [len(rows) for rows in rows_of(table, recipe)] == [n, 0]


@pytest.mark.parametrize("seed", range(5))
def test_the_only_pair_and_the_only_difference_are_never_held_back(tmp_path, seed):
    plain = named("features", seed=seed, refit=False)
    apart = bank(tmp_path / "apart", ["train"] * 6, groups=list("aabcde"))
    assert {0, 1} <= set(rows_of(apart, plain.replace(pair_by="group"))[0])
    equal = bank(tmp_path / "equal", ["train"] * 6, scores=np.array([50.0] * 5 + [70]))
    assert 5 in rows_of(equal, plain.replace(system="mlp"))[0]


@pytest.mark.parametrize(
    "splits",
    [
        ["train"] * 2 + ["test"] * 2,
        ["train"] * 3 + ["test"] * 2,
        ["train"] * 2 + ["val", "test"],
        ["0", "1", "2"],
    ],
)
@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("refit", [False, True])
def test_two_or_three_samples_train_and_the_last_epoch_is_kept(tmp_path, splits, system, refit):
    folds = {"protocol": "folds"} if "0" in splits else {}
    table = bank(tmp_path / "few", splits, **folds)
    recipe = named(
        "features", system=system, refit=refit, fold=0 if folds else None, **(SMALL | {"epochs": 2})
    )
    with pytest.warns(UserWarning) as said:
        run = fit(table, recipe, tmp_path / "run", device="cpu", progress=False)
    chosen, last = run.metrics
    assert chosen["epoch"] == last["epoch"] == 1 and np.isfinite(run.predictions["predicted"]).all()
    wanted = (
        "the validation part is a single sample"
        if "val" in splits
        else "too few training samples to hold some back for validation"
    )
    assert any(wanted in str(one.message) for one in said) and wanted in chosen["warnings"][0]


@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("refit", [False, True])
def test_one_training_sample_is_an_error_that_says_which_rows_there_are(tmp_path, system, refit):
    recipe = named("features", system=system, refit=refit, **SMALL)
    with pytest.raises(
        DatasetError,
        match=r"two samples or more with the split train; samples.csv has 1 train, 3 val, 2 test",
    ):
        fit(
            bank(tmp_path / "one", ["train"] + ["val"] * 3 + ["test"] * 2),
            recipe,
            tmp_path / "run",
            device="cpu",
            progress=False,
        )
    with pytest.raises(DatasetError, match="testing on fold 1 leaves 1 train, 0 val, 1 test"):
        fit(
            bank(tmp_path / "fold", ["0", "1"], protocol="folds"),
            recipe.replace(fold=1),
            tmp_path / "run",
            device="cpu",
            progress=False,
        )
    assert not (tmp_path / "run").exists()


# How many steps are taken


def steps(recipe, n):
    """Optimizer steps of a training on n rows."""
    plans = [
        plan_epoch(recipe, np.arange(n), np.zeros(n, int), epoch) for epoch in range(recipe.epochs)
    ]
    for plan in plans if recipe.pairing == "batch" else ():  # every row equally often
        assert (
            len(set(np.bincount(np.concatenate([batch.rows for batch in plan]), minlength=n))) == 1
        )
    return sum(math.ceil(len(plan) / recipe.accumulate) for plan in plans)


@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("changes", [{}, {"accumulate": 3}, {"batch": 4}, {"pairing": "two"}])
def test_a_budget_counts_steps_where_epochs_would_give_too_few(system, changes):
    recipe = named("features", system=system, **changes)
    for n in (2, 25, 30, 100):
        assert steps(recipe, n) >= recipe.least_steps > 60
    for n in (340, 400):  # Fis-V, with and without what is held back
        plain = recipe.replace(least_steps=0)
        if steps(plain, n) >= recipe.least_steps:
            rows, groups = np.arange(n), np.zeros(n, int)
            before, after = (plan_epoch(one, rows, groups, 3) for one in (plain, recipe))
            assert [b.rows.tolist() for b in before] == [b.rows.tolist() for b in after]
    assert steps(named("features"), 340) == steps(named("features", least_steps=0), 340)


def test_a_number_of_epochs_given_by_hand_is_taken_as_it_is():
    assert (
        named("features", epochs=4).least_steps == 0
        and named("features", epochs=4, least_steps=50).least_steps == 50
    )
    assert "least_steps" not in RECIPES["paper"] and named("paper").least_steps == 0


def test_an_epoch_of_several_passes_is_counted_in_the_history(tmp_path):
    table = bank(tmp_path / "bank", ["train"] * 12 + ["test"] * 3)
    recipe = named("features", **SMALL).replace(epochs=2, least_steps=9, refit=False)
    run = fit(table, recipe, tmp_path / "run", device="cpu", progress=False)
    assert run.history["encoded"].tolist() == [
        50,
        50,
    ]  # ten of the rows are fitted, one batch a pass, five passes an epoch


# A loss that has not settled


def test_a_loss_that_still_falls_by_hand():
    x, rng = np.arange(30), np.random.default_rng(0)
    for falling in (
        2 - x / 30,
        2 - x / 30 + 0.03 * rng.normal(size=30),
        np.exp(-x / 40),
        2 - np.arange(6) / 10,
    ):
        (sentence,) = check_losses(falling.tolist())
        assert re.match(
            rf"the training ended after {len(falling)} epochs while its loss was still falling",
            sentence,
        )
    outlier = np.where(x == 20, 0.75, 0.5 + 0.5 * np.exp(-x / 3))
    for settled in (
        np.exp(-x / 5),
        0.5 + np.exp(-x / 6) + 0.03 * rng.normal(size=30),
        1 + 0.05 * rng.normal(size=30),
        np.ones(30),
        1 + x / 30,
        outlier,
    ):
        assert check_losses(settled.tolist()) == []
    for short in ([], [2.0], [2.0, 1.0], [3.0, 2.0, 1.0]):  # no trend can be told
        assert check_losses(short) == []


def linear(folder, seed, *, noise, dimensions=6, n=30, test=60):
    """Features that give the score by one linear function, and noise on both."""
    rng, N = np.random.default_rng(seed), n + test
    latent, weight = rng.normal(size=(N, dimensions)), rng.normal(size=dimensions)
    features = latent[:, None] + 0.3 * rng.normal(size=(N, 2, dimensions))
    scores = 50 + 10 * (latent @ weight / np.linalg.norm(weight) + noise * rng.normal(size=N))
    return bank(
        folder, ["train"] * n + ["test"] * test, features=features, scores=scores
    ), features.mean(axis=1)


@pytest.mark.parametrize("seed", [0, 1])
def test_features_on_thirty_rows_beats_the_mean_predictor_where_ridge_regression_does(
    tmp_path, seed
):
    table, x = linear(tmp_path / "linear", seed, noise=0.3)
    y, train, test = table.samples["score"].to_numpy(), table.rows("train"), table.rows("test")
    of_mean = np.square(y[test] - y[train].mean()).mean()
    centred = x[train] - x[train].mean(axis=0)
    slope = np.linalg.solve(
        centred.T @ centred + np.eye(x.shape[1]), centred.T @ (y[train] - y[train].mean())
    )
    assert (
        np.square(y[test] - y[train].mean() - (x[test] - x[train].mean(axis=0)) @ slope).mean()
        < 0.5 * of_mean
    )
    for system in ("mlp", "core"):
        recipe = named("features", system=system, seed=seed, projection=16, tree_width=16, depth=3)
        run = fit(table, recipe, tmp_path / system, device="cpu", progress=False)
        assert (
            np.square(run.predictions["predicted"] - run.predictions["true"]).mean() < 0.7 * of_mean
        )
        assert run.metrics[0]["spearman"] > 0.6 and run.metrics[0]["warnings"] == []


def test_a_training_cut_short_says_so_and_one_that_settled_does_not(tmp_path):
    table, _ = linear(tmp_path / "linear", 0, noise=0.3)
    short = named(
        "features",
        system="mlp",
        projection=16,
        epochs=12,
        schedule="constant",
        learning_rate=1e-4,
        batch=32,
        refit=False,
        dropout=0.0,
    )
    with pytest.warns(
        UserWarning,
        match="ended after 12 epochs while its loss was still falling: raise epochs, least_steps",
    ):
        run = fit(table, short, tmp_path / "short", device="cpu", progress=False)
    for row in json.loads((run.folder / "metrics.json").read_text()):
        assert any("still falling" in sentence for sentence in row["warnings"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            table,
            short.replace(learning_rate=1e-2, epochs=40),
            tmp_path / "settled",
            device="cpu",
            progress=False,
        )
