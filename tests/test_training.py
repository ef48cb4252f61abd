"""Training on a tiny set of invented dives: files, exact repetition, resuming, choosing the epoch,
errors."""

import json
import random
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from corelib import evaluation, intervals, training
from corelib.data import clips
from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.samples import SampleTable, write_table
from corelib.data.weights import WeightsError
from corelib.evaluation import open_inputs
from corelib.models import build_model
from corelib.pairs import PairBatch
from corelib.recipe import RecipeError, named
from corelib.runs import fit as run_fit
from corelib.runs import loop
from corelib.runs.checkpoints import best_epoch
from corelib.runs.fit import find_or_train, fit
from corelib.runs.records import RunError
from corelib.runs.run import Run, list_runs
from corelib.task import Task
from corelib.training import (
    Optimization,
    TrainingError,
    TrainingStep,
    make_optimizer,
    plan_epoch,
    train_epoch,
)
from data_scripts.dives.dataset import make_dives
from tests.contract import RUN_FILES
from tests.doubts import few_dives, few_steps

pytestmark = [few_steps, few_dives]
SYSTEMS = [("core", False), ("core", True), ("mlp", False), ("mlp", True)]
ROW = {
    "dataset",
    "system",
    "with_difficulty",
    "recipe",
    "seed",
    "split",
    "spearman",
    "rl2_x100",
    "score_range",
    "n_train",
    "n_test",
    "epoch",
    "selected_on",
    "seconds",
    "device",
    "notebook",
}


# Of the dives below; two dive numbers, so that none is alone in its group.
TRAIN, VAL, TEST = 12, 4, 6


@pytest.fixture(scope="module")
def dives(tmp_path_factory):
    counts = {"train": TRAIN, "val": VAL, "test": TEST, "dive_numbers": ["103B", "407C"]}
    folder = tmp_path_factory.mktemp("dives") / "dives"
    return make_dives(folder, **counts, frames=16, size=32, workers=1)


def train(table, out, **changes):
    recipe = named("smoke", **{"batch": 6} | changes)
    return fit(table, recipe, out, device="cpu", progress=False)


@pytest.fixture(scope="module")
def runs(dives, tmp_path_factory):
    """One finished run of every system."""
    out = tmp_path_factory.mktemp("runs")
    return {
        key: train(dives, out / f"{key[0]}{key[1]}", system=key[0], with_difficulty=key[1])
        for key in SYSTEMS
    }


def weights(run, name="best.safetensors"):
    return safetensors.torch.load_file(run.folder / name)


def assert_equal_runs(first, second):
    """Equal to the last bit, but for the seconds they took."""
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)
    pd.testing.assert_frame_equal(
        first.history.drop(columns="seconds"),
        second.history.drop(columns="seconds"),
        check_exact=True,
    )
    for ours, theirs in zip(first.metrics, second.metrics, strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == {
            k: v for k, v in theirs.items() if k != "seconds"
        }


# What a run leaves behind


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_run_writes_all_its_files(dives, runs, key):
    run = runs[key]
    assert {path.name for path in run.folder.iterdir()} == RUN_FILES
    chosen, last = run.metrics
    assert set(chosen) >= ROW and set(last) >= ROW
    assert (chosen["system"], chosen["with_difficulty"]) == key
    assert (chosen["selected_on"], last["selected_on"], last["epoch"]) == ("val", "last", 1)
    assert (chosen["n_train"], chosen["n_test"], chosen["split"]) == (TRAIN, TEST, "test")
    tested = dives.samples[TRAIN + VAL :]
    assert chosen["score_range"] == [tested["score"].min(), tested["score"].max()]
    assert run.predictions["id"].tolist() == tested["id"].tolist()
    assert run.predictions["true"].tolist() == tested["score"].tolist()
    assert np.isfinite(run.predictions[["predicted", "spread"]]).all(axis=None)
    assert run.history["epoch"].tolist() == [0, 1]


@pytest.mark.parametrize("key", SYSTEMS)
def test_evaluating_from_the_folder_alone_gives_the_same_numbers(runs, key):
    again = Run.load(runs[key].folder, device="cpu").evaluate("test")
    for name, value in again.summary.items():
        known = runs[key].metrics[0][name]
        if name == "warnings":
            assert set(known) >= set(value)  # those of the training go before
        else:
            assert str(known) == str(value)  # nan, too, where all predictions are one
    pd.testing.assert_series_equal(
        again.predictions["predicted"], runs[key].predictions["predicted"], check_exact=True
    )


def test_a_run_moves_with_its_dataset(dives, runs, tmp_path):
    folder = runs["core", True].folder
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copytree(dives.folder, tmp_path / "data" / "dives")
    described = json.loads((folder / "recipe.json").read_text())
    assert not described["dataset"]["path"].startswith("/")
    shutil.copytree(folder, tmp_path / "a" / "run")
    table = SampleTable.load(tmp_path / "data" / "dives")
    assert (
        Run.load(tmp_path / "a" / "run", table=table, device="cpu").evaluate().summary["spearman"]
        == runs["core", True].metrics[0]["spearman"]
    )


# Repetition and resuming


@pytest.mark.parametrize("key", [("core", True), ("mlp", False)])
def test_two_trainings_are_equal_to_the_last_bit(dives, runs, tmp_path, key):
    torch.manual_seed(123)  # of no consequence
    assert_equal_runs(
        train(dives, tmp_path / "again", system=key[0], with_difficulty=key[1]), runs[key]
    )


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(dives, tmp_path, monkeypatch):
    changes = {"epochs": 3, "dropout": 0.2}
    whole = train(dives, tmp_path / "whole", **changes)
    original, calls = run_fit.open_inputs, []

    def failing(*args, **options):
        source = original(*args, **options)
        to_inputs = source.to_inputs

        def counted(raw, generator=None, place=0):
            calls.append(generator)
            if (
                sum(g is not None for g in calls) == 6
            ):  # in the middle of the second of three epochs
                raise KeyboardInterrupt
            return to_inputs(raw, generator, place)

        source.to_inputs = counted
        return source

    monkeypatch.setattr(run_fit, "open_inputs", failing)
    with pytest.raises(KeyboardInterrupt):
        train(dives, tmp_path / "cut", **changes)
    monkeypatch.undo()
    epochs = pd.read_csv(tmp_path / "cut" / "history.csv")["epoch"].tolist()
    assert epochs and len(epochs) < 3 and not (tmp_path / "cut" / "metrics.json").exists()
    assert_equal_runs(train(dives, tmp_path / "cut", **changes), whole)


def test_a_finished_run_is_loaded_and_not_trained_again(dives, runs, monkeypatch):
    monkeypatch.setattr(loop, "train_epoch", lambda *args, **options: pytest.fail("trained again"))
    assert (
        train(dives, runs["core", False].folder, system="core").metrics
        == runs["core", False].metrics
    )


def test_runs_are_found_by_recipe_and_data(dives, tmp_path, monkeypatch):
    options = {"device": "cpu", "progress": False}
    first = find_or_train(dives, named("smoke", system="mlp", epochs=1), tmp_path, **options)
    assert (
        find_or_train(dives, named("smoke", system="mlp", epochs=1), tmp_path, **options).folder
        == first.folder
    )
    other = find_or_train(
        dives, named("smoke", system="mlp", epochs=1, seed=1), tmp_path, **options
    )
    assert other.folder != first.folder


def test_another_recipe_or_dataset_in_the_same_folder_is_refused(dives, runs, tmp_path):
    folder = runs["core", False].folder
    with pytest.raises(RunError, match=r"different: (batch, epochs|epochs, batch)\)"):
        train(dives, folder, epochs=5, batch=3)
    shutil.copytree(dives.folder, tmp_path / "dives")
    samples = dives.samples.copy()
    samples.loc[0, "score"] += 1
    write_table(tmp_path / "dives", dives.info, samples)
    with pytest.raises(RunError, match="the dataset"):
        train(SampleTable.load(tmp_path / "dives"), folder)


def test_a_dataset_changed_since_is_noticed_when_a_run_is_loaded(dives, tmp_path):
    shutil.copytree(dives.folder, tmp_path / "dives")
    run = train(SampleTable.load(tmp_path / "dives"), tmp_path / "run", system="mlp", epochs=1)
    samples = dives.samples.copy()
    samples.loc[0, "score"] += 1
    write_table(tmp_path / "dives", dives.info, samples)
    with pytest.raises(RunError, match="has changed"):
        Run.load(run.folder)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(RunError, match="no recipe.json"):
        Run.load(tmp_path)


# Choosing the epoch


def test_all_finished_runs_are_listed_with_recipe_and_metrics(runs, tmp_path):
    folder = runs["core", True].folder.parent
    (folder / "unfinished").mkdir(exist_ok=True)
    shutil.copy(runs["core", True].folder / "recipe.json", folder / "unfinished")
    (folder / "something-else").mkdir(exist_ok=True)
    found = list_runs(folder).set_index("run")
    assert set(found.index) == {run.folder.name for run in runs.values()}
    for run in runs.values():
        row = found.loc[run.folder.name]
        assert (row["system"], row["with_difficulty"], row["recipe"], row["seed"]) == (
            run.recipe.system,
            run.recipe.with_difficulty,
            "smoke",
            0,
        )
        assert row["depth"] == run.recipe.depth and row["dataset"] == "dives"
        chosen = next(line for line in run.metrics if line["selected_on"] == "val")
        assert (
            row["spearman"] == pytest.approx(chosen["spearman"], nan_ok=True)
            and row["rl2_x100"] == chosen["rl2_x100"]
        )
        assert row["epoch"] == chosen["epoch"]
    assert len(list_runs(tmp_path)) == 0 and "spearman" in list_runs(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        list_runs(tmp_path / "nowhere")


def test_predictions_are_joined_with_their_samples(runs):
    run = runs["core", True]
    joined = run.predictions_with_samples()
    samples = run.table.samples.set_index("id")
    assert joined["id"].tolist() == run.predictions["id"].tolist()
    assert {"group", "judges", "difficulty", "main_fault", "spread", "exemplars"} <= set(joined)
    np.testing.assert_allclose(joined["error"], joined["predicted"] - joined["true"])
    np.testing.assert_allclose(joined["true"], samples.loc[joined["id"], "score"])
    assert joined["judges"].tolist() == samples.loc[joined["id"], "judges"].tolist()


def rows_of(table, recipe):
    task = Task.of(table, recipe)
    return task.fit, task.choose


def test_training_rows_are_disjoint_from_the_test_split(dives):
    fitted, chosen_on = rows_of(dives, named("smoke"))
    assert (len(fitted), len(chosen_on)) == (TRAIN, VAL)
    samples = dives.samples.assign(split=["train"] * (TRAIN + VAL) + ["test"] * TEST)
    without = SampleTable(dives.folder, dives.info, samples, dives.sha256)
    fitted, chosen_on = rows_of(without, named("smoke", validation_fraction=0.2))
    assert len(chosen_on) == 3 and sorted([*fitted, *chosen_on]) == list(range(TRAIN + VAL))


def test_an_epoch_of_either_pairing_draws_every_video_twice_and_of_the_baseline_once(dives):
    rows, groups = dives.rows("train"), np.zeros(len(dives.samples), int)
    for changes, times in (
        ({"pairing": "batch"}, 2),
        ({"pairing": "two"}, 2),
        ({"pairing": "batch", "passes": 1}, 1),
        ({"system": "mlp"}, 1),
    ):
        drawn = np.concatenate(
            [batch.rows for batch in plan_epoch(named("smoke", **changes), rows, groups, 0)]
        )
        assert len(drawn) == times * len(rows) and set(drawn) == set(rows)


def test_best_epoch_by_hand():
    def row(epoch, rho, rl2):
        return {"epoch": epoch, "val_spearman": rho, "val_rl2_x100": rl2}

    assert (
        best_epoch([row(0, 0.5, 2), row(1, 0.7, 3), row(2, 0.7, 1), row(3, 0.6, 0)])["epoch"] == 2
    )
    assert best_epoch([row(0, float("nan"), 2), row(1, float("nan"), 3)])["epoch"] == 1


def test_test_rows_are_not_looked_at_before_the_training_ends(dives, tmp_path, monkeypatch):
    original, seen = evaluation.encode, []
    monkeypatch.setattr(
        evaluation,
        "encode",
        lambda model, source, rows, **o: (
            seen.append(set(rows.tolist())),
            original(model, source, rows, **o),
        )[1],
    )
    run = train(dives, tmp_path / "run", epochs=3)
    test, chosen = set(dives.rows("test").tolist()), run.metrics[0]["epoch"]
    # three epochs; the last and, where another epoch was chosen, that one; the rows that chose it
    tested = [True] * (1 + (chosen != 2))
    assert [bool(rows & test) for rows in seen] == [False] * 3 + tested + [False]


def test_the_chosen_weights_are_those_of_the_best_validation_epoch(dives, tmp_path):
    run = train(dives, tmp_path / "run", epochs=4, learning_rate=0.01)
    best = run.metrics[0]["epoch"]
    assert (
        best
        == run.history.sort_values(["val_spearman", "val_rl2_x100"], ascending=[False, True]).index[
            0
        ]
    )
    judged = evaluation.evaluate(
        run.model,
        run.source,
        Task.of(dives, run.recipe),
        queries=dives.rows("val"),
        pool=dives.rows("train"),
        device=torch.device("cpu"),
    )
    assert judged.summary["spearman"] == run.history["val_spearman"][best]
    pd.testing.assert_frame_equal(run.validation, judged.predictions)
    again = intervals.coverage(run.validation, run.predictions, dives.info["score_range"])
    assert run.metrics[0]["coverage"] == run.evaluate().summary["coverage"] == again
    with pytest.warns(UserWarning, match="'val' is no test"):  # held back: their own errors
        assert "coverage" not in run.evaluate("val").summary


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_workers_resumes_and_others_random_numbers_change_nothing(
    dives, tmp_path, monkeypatch, system
):
    recipe = named("smoke", system=system, dropout=0.4, epochs=2, batch=6)
    alone = fit(dives, recipe, tmp_path / "alone", device="cpu", progress=False)
    draw, original = torch.rand, clips.VideoClips.fetch
    monkeypatch.setattr(
        clips.VideoClips, "fetch", lambda *arguments: (draw(3), original(*arguments))[1]
    )
    for workers in (0, 1, 2):
        torch.manual_seed(workers)
        straight = fit(
            dives,
            recipe,
            tmp_path / f"straight {workers}",
            device="cpu",
            progress=False,
            workers=workers,
        )
        assert_equal_runs(straight, alone)
        half, save = tmp_path / f"resumed {workers}", loop.save_epoch

        def save_once(*arguments, **options):
            save(*arguments, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "save_epoch", save_once)
        with pytest.raises(KeyboardInterrupt):
            fit(dives, recipe, half, device="cpu", progress=False, workers=workers)
        monkeypatch.setattr(loop, "save_epoch", save)
        assert_equal_runs(
            fit(dives, recipe, half, device="cpu", progress=False, workers=workers), alone
        )


def test_tensorboard_shows_the_history(dives, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit(
        dives, named("smoke"), tmp_path / "run", device="cpu", progress=False, tensorboard=True
    )
    shown = EventAccumulator(str(run.folder / "tensorboard"))
    shown.Reload()
    for name in ("loss", "val_spearman"):
        assert [event.value for event in shown.Scalars(name)] == pytest.approx(
            run.history[name].tolist(), rel=1e-6
        )


def test_bf16_and_compiled_encoding_are_stated_and_close(dives, runs, tmp_path):
    plain = runs["core", True]
    assert plain.metrics[0]["precision"] == "fp32"
    run = fit(
        dives,
        named("smoke", with_difficulty=True, precision="bf16", epochs=1, passes=1),
        tmp_path / "run",
        device="cpu",
        progress=False,
    )
    assert run.metrics[0]["precision"] == "bf16" and np.isfinite(run.predictions["predicted"]).all()
    run.recipe = run.recipe.replace(precision="fp32")
    assert (
        np.corrcoef(run.evaluate().predictions["predicted"], run.predictions["predicted"])[0, 1]
        > 0.99
    )


# One epoch


def one_epoch(table, recipe, plan, model=None, *, step=TrainingStep, lr=0.1, scale=1.0, how=None):
    source = open_inputs(table, recipe, progress=False)
    task = Task.of(table, recipe)
    targets, in_features = task.targets[:TRAIN], source.in_features
    model = model or build_model(recipe, targets, np.zeros(TRAIN), in_features=in_features)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    how = how or Optimization(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0))
    step, scaled = (
        step(model, recipe, torch.device("cpu")),
        replace(task, targets=task.targets * scale),
    )
    return model, train_epoch(step, source, scaled, plan, how, epoch=0)


def test_accumulated_gradients_equal_one_big_batch(dives):
    # Without augmentation and with frozen statistics a mean over 8 is the mean of two means over 4.
    plain = named(
        "smoke", system="mlp", batchnorm="frozen", flip=False, temporal_shift=0, clip_gradient=0.0
    )
    none = np.empty((0, 2), int)
    big, loss = one_epoch(dives, plain, [PairBatch(np.arange(8), none)])
    parts, losses = one_epoch(
        dives,
        plain.replace(accumulate=2),
        [PairBatch(np.arange(4), none), PairBatch(np.arange(4, 8), none)],
    )
    assert losses == pytest.approx(loss, rel=1e-5)
    start = build_model(plain, dives.target(False)[:TRAIN], np.zeros(TRAIN)).state_dict()
    moved = 0.0
    for name, value in big.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-4, atol=1e-6)
        moved += float((value - start[name]).abs().sum())
    assert moved > 0.01


def test_frozen_statistics_stay_through_an_epoch(dives):
    recipe = named("smoke", batchnorm="frozen", system="mlp")
    model, _ = one_epoch(dives, recipe, [PairBatch(np.arange(8), np.empty((0, 2), int))])
    norm = model.encoder.i3d.conv3d_1a_7x7.batch3d
    assert (norm.running_mean == 0).all() and (norm.running_var == 1).all()


NONE = np.empty((0, 2), int)


def test_a_loss_that_is_not_finite_stops_the_epoch(dives):
    recipe = named("smoke", system="mlp")
    model = build_model(recipe, dives.target(False)[:TRAIN], np.zeros(TRAIN))
    with torch.no_grad():
        model.mlp[1].bias.fill_(float("nan"))
    batch = [PairBatch(np.array([3, 4]), NONE)]
    with pytest.raises(
        TrainingError,
        match=(
            r"the loss became nan at epoch 0, step 0 \(learning rates 0.1\), .*samples dive-00004,"
            r" dive-00005$"
        ),
    ):
        one_epoch(dives, recipe, batch, model=model)


class Poisoned(TrainingStep):
    """A finite loss whose gradient is nan: the slope of a square root at zero."""

    def forward(self, *batch):
        return super().forward(*batch) + (0 * self.model.mlp[1].weight).abs().sqrt().sum()


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(dives, clip):
    recipe = named("smoke", system="mlp", clip_gradient=clip, accumulate=2, batchnorm="frozen")
    model = build_model(recipe, dives.target(False)[:TRAIN], np.zeros(TRAIN))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = [PairBatch(np.array(rows), NONE) for rows in ([3, 4], [8, 6], [1, 2])]
    with pytest.raises(
        TrainingError,
        match=(
            "gradient's norm became nan at epoch 0, step 1 .*samples dive-00004, dive-00005,"
            " dive-00007, dive-00009$"
        ),
    ):
        one_epoch(dives, recipe, plan, model=model, step=Poisoned)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_numbers_looked_at_later_do_not_reach_the_weights_either(dives, monkeypatch):
    monkeypatch.setitem(training.LOOK_EVERY, "cpu", 50)  # as on a GPU
    recipe = named("smoke", system="mlp", clip_gradient=0.0, batchnorm="frozen")
    model = build_model(recipe, dives.target(False)[:TRAIN], np.zeros(TRAIN))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = [PairBatch(np.array(rows), NONE) for rows in ([3, 4], [8, 6], [1, 2])]
    how = training.make_optimizer(model, recipe, len(plan))
    with pytest.raises(
        TrainingError,
        match="gradient's norm became nan at epoch 0, step 0 .*samples dive-00004, dive-00005$",
    ):
        one_epoch(dives, recipe, plan, model=model, step=Poisoned, how=how)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_that_are_not_finite_end_the_epoch(dives):
    recipe = named("smoke", system="mlp", clip_gradient=0.0)
    with pytest.raises(
        TrainingError, match="the weights are no longer finite at epoch 0, step 0"
    ):  # the loss and its gradient were
        one_epoch(dives, recipe, [PairBatch(np.arange(8), NONE)], lr=3e38, scale=1e6)


# Features instead of videos


@pytest.fixture(scope="module")
def features(dives, tmp_path_factory):
    """The dives with a feature bank in place of videos: 5 steps of 6 numbers, one of them the
    score."""
    folder = tmp_path_factory.mktemp("features")
    bank = np.random.default_rng(0).normal(size=(TRAIN + VAL + TEST, 5, 6)).astype(np.float32)
    bank[:, :, 0] = dives.samples["score"].to_numpy()[:, None] / 30
    write_bank(folder / "features.safetensors", bank, dives.samples["id"].tolist())
    write_table(
        folder, {**dives.info, "name": "bank"}, dives.samples.assign(media=dives.samples["id"])
    )
    return SampleTable.load(folder)


@pytest.mark.filterwarnings("ignore:the model reads the same difference:UserWarning")
@pytest.mark.parametrize("system", ["core", "mlp"])
def test_an_exploding_training_keeps_the_last_good_checkpoint(features, tmp_path, system):
    out = tmp_path / "run"
    recipe = named(
        "features",
        system=system,
        learning_rate=1e6,
        epochs=20,
        batch=TRAIN,
        validate_every=1,
        clip_gradient=0.0,
        refit=False,
    )
    with pytest.raises(TrainingError) as error:
        fit(features, recipe, out, device="cpu", progress=False)
    epoch = int(re.search(r"epoch (\d+)", str(error.value))[1])
    assert f"hold what was good up to epoch {epoch - 1}" in str(error.value)
    assert set(re.search(r"samples ([^;]+);", str(error.value))[1].split(", ")) <= set(
        features.samples["id"][:TRAIN]
    )
    saved = (out / "last.pt").read_bytes()
    state = torch.load(out / "last.pt", weights_only=True)
    assert state["epoch"] == epoch - 1 >= 0 and all(
        value.isfinite().all() for value in state["model"].values()
    )
    assert not (out / "metrics.json").exists()
    assert np.isfinite(Run.load(out, device="cpu").evaluate().predictions["predicted"]).all()
    with pytest.raises(
        TrainingError, match=f"epoch {epoch}"
    ):  # it goes on from there, to the same end
        fit(features, recipe, out, device="cpu", progress=False)
    assert (out / "last.pt").read_bytes() == saved


def test_a_training_that_explodes_at_once_says_that_nothing_is_kept_and_what_to_try(
    features, tmp_path
):
    recipe = named("features", learning_rate=1e30, clip_gradient=0.0, refit=False)
    with pytest.raises(TrainingError, match="epoch 0, .*no checkpoint yet. Try a lower learning"):
        fit(features, recipe, tmp_path / "run", device="cpu", progress=False)


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_schedule_of_any_length_ends_where_it_should(features, steps):
    recipe = named("features")
    model = build_model(recipe, np.arange(9.0), np.zeros(9), in_features=6)
    optimizer, schedule = make_optimizer(model, recipe, steps)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[-1])
        optimizer.step()
        schedule.step() if len(rates) < steps else None
    assert np.isfinite(rates).all() and max(rates) <= recipe.learning_rate * (1 + 1e-9)
    assert steps < 3 or rates[-1] < rates[0]


def test_weights_that_predict_no_numbers_are_not_kept(features, tmp_path):
    recipe = named(
        "features",
        system="mlp",
        learning_rate=1e20,
        batch=TRAIN,
        epochs=2,
        validate_every=1,
        refit=False,
    )
    with pytest.raises(
        TrainingError,
        match=(
            r"after epoch 0 the predictions of 4 sample\(s\) are not finite: dive-00013, .*; there"
            r" is no checkpoint yet"
        ),
    ):
        fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "recipe.json",
        "environment.json",
    }


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_a_feature_bank_is_trained_on_with_the_recipe_features(features, tmp_path, system):
    recipe = named("features", system=system, epochs=4, tree_width=16)
    run = fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    assert (
        Run.load(run.folder, device="cpu").evaluate().summary["spearman"]
        == run.metrics[0]["spearman"]
    )


def test_a_refit_fits_every_row_and_keeps_the_epoch_chosen_without(features, tmp_path, monkeypatch):
    recipe = named("features", epochs=4, validate_every=1, tree_width=16)
    original, seen = loop.train_epoch, []

    def watched(step, source, task, plan, *args, **options):
        if len(seen) == 6:
            seen.append("cut")
            raise KeyboardInterrupt
        seen.append(np.unique(np.concatenate([batch.rows for batch in plan])).tolist())
        return original(step, source, task, plan, *args, **options)

    whole = fit(features, recipe, tmp_path / "whole", device="cpu", progress=False)
    monkeypatch.setattr(loop, "train_epoch", watched)
    with pytest.raises(KeyboardInterrupt):
        fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    run = fit(features, recipe, tmp_path / "run", device="cpu", progress=False)

    held_back, everything = (
        features.rows("train").tolist(),
        np.union1d(features.rows("train"), features.rows("val")).tolist(),
    )
    assert [rows for rows in seen if rows != "cut"] == [held_back] * 4 + [everything] * 4
    choice = Run.load(run.folder / "choice", device="cpu")
    columns = ["val_spearman", "val_rl2_x100"]
    pd.testing.assert_frame_equal(run.history[columns], choice.history[columns], check_exact=True)
    chosen, last = run.metrics
    assert chosen["epoch"] == choice.metrics[0]["epoch"] and chosen["n_train"] == len(everything)
    pd.testing.assert_frame_equal(run.validation, choice.validation)
    assert chosen["seconds"] >= choice.metrics[0]["seconds"] and last["epoch"] == 3
    assert any(
        not torch.equal(a, b)
        for a, b in zip(weights(run).values(), weights(choice).values(), strict=True)
    )
    assert_equal_runs(run, whole)


@pytest.mark.parametrize("system, head", [("core", "tree"), ("core", "direct"), ("mlp", "tree")])
def test_global_draws_change_no_training(features, tmp_path, monkeypatch, system, head):
    recipe = named("features", system=system, head=head, dropout=0.5, epochs=2, tree_width=16)
    options = {"device": "cpu", "progress": False}
    plain = fit(features, recipe, tmp_path / "plain", **options)
    read = FeatureSteps.to_inputs

    def drawing(*args):
        torch.rand(3), np.random.rand(3), random.random()
        return read(*args)

    monkeypatch.setattr(FeatureSteps, "to_inputs", drawing)
    before = torch.random.get_rng_state()
    assert_equal_runs(fit(features, recipe, tmp_path / "drawing", **options), plain)
    assert not torch.equal(torch.random.get_rng_state(), before)
    other = weights(fit(features, recipe.replace(dropout=0.0), tmp_path / "none", **options))
    assert any(not torch.equal(value, other[name]) for name, value in weights(plain).items())


def test_a_training_draws_nothing_from_the_global_generators(features, tmp_path):
    states = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    recipe = named("features", dropout=0.5, epochs=1, tree_width=16)
    fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]


def test_videos_and_features_are_not_mixed_up(dives, features, tmp_path):
    with pytest.raises(RecipeError, match="holds features: its encoder must be 'projection'"):
        train(features, tmp_path / "a")
    with pytest.raises(RecipeError, match="holds videos: its encoder must be 'i3d'"):
        fit(dives, named("features"), tmp_path / "b", progress=False)


def test_a_training_that_cannot_begin_leaves_no_folder(dives, tmp_path):
    with pytest.raises(WeightsError, match="fetch_weights.py"):
        train(dives, tmp_path / "run", weights=str(tmp_path / "none.safetensors"))
    assert list(tmp_path.iterdir()) == []
