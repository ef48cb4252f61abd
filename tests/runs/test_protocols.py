"""Folds and classes: which rows each training sees, and which averages the published tables
take."""

import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from corelib import metrics
from corelib.__main__ import main
from corelib.data.loading import Inputs
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.evaluation import evaluate
from corelib.recipe import RecipeError, named
from corelib.runs.protocols import FISHER_MEAN, protocol_table, protocol_text
from corelib.task import Task


@pytest.fixture(scope="module")
def folded(small_dives, tmp_path_factory):
    """The small dives divided into three folds, under two names: (folder, folder)."""
    folders = []
    for name in ("jigsaws-first", "jigsaws-second"):
        folder = tmp_path_factory.mktemp("folds") / name
        folder.mkdir()
        info = small_dives.info | {
            "name": name,
            "protocol": "folds",
            "raw_root": str(small_dives.root),
        }
        shift = {"jigsaws-first": 0, "jigsaws-second": 1}[name]
        write_table(folder, info, small_dives.samples.assign(split=(np.arange(28) + shift) % 3))
        folders.append(folder)
    return folders


def test_a_fold_is_tested_on_and_learnt_from_by_all_others(folded):
    table = SampleTable.load(folded[0])
    assert table.folds == [0, 1, 2]
    for fold in table.folds:
        view = table.of_fold(fold)
        np.testing.assert_array_equal(view.rows("test"), table.rows(fold))
        np.testing.assert_array_equal(
            np.sort(np.concatenate([view.rows("train"), view.rows("test")])), np.arange(28)
        )
        assert view.sha256 == table.sha256 and view.of_fold(fold) is view


def test_folds_and_fixed_splits_are_not_confused(folded, small_dives):
    table = SampleTable.load(folded[0])
    for fold in (None, 3, -1):
        with pytest.raises(DatasetError, match="folds 0, 1, 2"):
            table.of_fold(fold)
    with pytest.raises(DatasetError, match="its split is fixed"):
        small_dives.of_fold(0)
    with pytest.raises(DatasetError, match="its split is fixed"):
        table.of_fold(1).of_fold(2)


@pytest.fixture(scope="module")
def trained(folded, tmp_path_factory):
    """Both datasets, all folds, one command."""
    out = tmp_path_factory.mktemp("runs") / "protocol"
    command = [
        "train",
        *map(str, folded),
        "--recipe",
        "smoke",
        "--set",
        "epochs=1",
        "--set",
        "frames=16",
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_one_command_trains_and_evaluates_all_folds_of_all_datasets(trained):
    out, printed = trained
    assert sorted(run.name for run in out.iterdir()) == [
        f"{name}-fold{fold}" for name in ("jigsaws-first", "jigsaws-second") for fold in range(3)
    ]
    assert printed.count("rho of each fold") == 2 and FISHER_MEAN in printed
    rows = [
        json.loads((out / f"jigsaws-first-fold{fold}" / "metrics.json").read_text())[0]
        for fold in range(3)
    ]
    assert [row["fold"] for row in rows] == [0, 1, 2] and [row["n_test"] for row in rows] == [
        10,
        9,
        9,
    ]
    line = protocol_table(rows).iloc[0]
    assert line["folds"] == [row["spearman"] for row in rows] and line["n_test"] == 28
    assert line["spearman"] == pytest.approx(np.mean([row["spearman"] for row in rows]))


def test_a_folder_of_runs_is_evaluated_to_the_same_digits(trained):
    out, _ = trained
    again = json.loads(CliRunner().invoke(main, ["evaluate", str(out), "--json"]).stdout)
    for row in again:
        first = json.loads(
            (out / f"{row['dataset']}-fold{row['fold']}" / "metrics.json").read_text()
        )[0]
        assert (row["spearman"], row["rl2_x100"]) == (first["spearman"], first["rl2_x100"])
    shown = (
        CliRunner()
        .invoke(
            main, ["evaluate", str(out / "jigsaws-first-fold0"), str(out / "jigsaws-first-fold1")]
        )
        .stdout
    )
    assert "rho of each fold" in shown and FISHER_MEAN not in shown


def test_classes_are_averaged_by_fishers_z():
    rhos = [0.8099, 0.7570, 0.6538, 0.7109, 0.9166, 0.8878]  # USDL on the six classes of AQA-7
    rows = [_row(f"aqa7-{number}", rho, seed=0) for number, rho in enumerate(rhos)]
    table = protocol_table(rows)
    assert table["dataset"].tolist()[-1] == FISHER_MEAN and len(table) == 7
    assert table["spearman"].iloc[-1] == pytest.approx(0.8102, abs=5e-5)
    assert np.isnan(table["spearman_sd"].iloc[-1]) and "+-" not in protocol_text(rows)


def test_only_datasets_of_one_benchmark_are_averaged():
    names = ["dives", "aqa7-diving", "fisv-tes", "fisv-pcs", "aqa7-gym-vault", "dives-leaky"]
    table = protocol_table([_row(name, 0.5, seed=0) for name in names])
    assert table["dataset"].tolist() == [
        "dives",
        "aqa7-diving",
        "aqa7-gym-vault",
        FISHER_MEAN,
        "fisv-tes",
        "fisv-pcs",
        "dives-leaky",
    ]


def test_columns_stay_apart_and_every_row_says_whose_it_is():
    name = "a-dataset-with-a-name-of-forty-letters-and-more"
    rows = [
        _row(name, rho, seed=0) | {"run": run} for rho, run in ((0.5, "runs/x"), (0.6, "runs/y"))
    ]
    rows += [_row(name, 0.7, seed=1, system="mlp") | {"exemplars": 0, "run": "runs/z"}]
    text = protocol_text(rows)
    head, *lines = (re.split(" {2,}", line) for line in text.splitlines())
    assert head == [
        *"dataset, system, recipe, exemplars, seeds, rho, R-l2 x100, tested".split(", "),
        "range, folds",
    ]
    assert [line[:6] for line in lines] == [
        [name, "CoRe", "paper, runs/x", "10", "1", "0.5000"],
        [name, "CoRe", "paper, runs/y", "10", "1", "0.6000"],
        [name, "I3D+MLP", "paper", "-", "1", "0.7000"],
    ]


def test_an_undefined_rho_is_not_left_out_of_an_average():
    row = {
        "system": "core",
        "with_difficulty": False,
        "recipe": "paper",
        "exemplars": 10,
        "seed": 0,
        "rl2_x100": 1.0,
        "score_range": [0, 1],
        "n_test": 2,
    }
    rows = [
        row | {"dataset": "jigsaws-one", "fold": fold, "spearman": rho}
        for fold, rho in enumerate([0.5, float("nan")])
    ]
    rows += [row | {"dataset": "jigsaws-two", "fold": 0, "spearman": 0.5}]
    with pytest.warns(UserWarning, match="undefined"):
        table = protocol_table(rows).set_index("dataset")
    assert (
        np.isnan(table.loc["jigsaws-one", "spearman"])
        and table.loc["jigsaws-two", "spearman"] == 0.5
    )
    assert (
        np.isnan(table.loc[FISHER_MEAN, "spearman"]) and table.loc[FISHER_MEAN, "rl2_x100"] == 1.0
    )


def test_the_spread_is_over_seeds_of_the_average_and_systems_stay_apart():
    rows = [
        _row(name, rho + seed / 10, seed=seed)
        for name, rho in (("jigsaws-a", 0.2), ("jigsaws-b", 0.6))
        for seed in (0, 1)
    ]
    rows += [_row(name, 0.1, seed=0, system="mlp") for name in ("jigsaws-a", "jigsaws-b")]
    table = protocol_table(rows)
    means = [metrics.fisher_z_mean([0.2, 0.6]), metrics.fisher_z_mean([0.3, 0.7])]
    core = table[(table["system"] == "core") & (table["dataset"] == FISHER_MEAN)].iloc[0]
    assert core["spearman"] == pytest.approx(np.mean(means)) and core[
        "spearman_sd"
    ] == pytest.approx(np.std(means, ddof=1))
    assert core["seeds"] == 2
    assert table[table["system"] == "mlp"]["spearman"].tolist() == pytest.approx([0.1, 0.1, 0.1])


def _row(dataset, rho, *, seed, system="core"):
    return {
        "dataset": dataset,
        "system": system,
        "with_difficulty": False,
        "recipe": "paper",
        "exemplars": 10,
        "seed": seed,
        "fold": None,
        "spearman": rho,
        "rl2_x100": 1.0,
        "score_range": [0, 100],
        "n_test": 20,
    }


# Scores in percent of the class's range


def test_percent_is_the_place_in_the_range_and_comes_back(small_dives, tmp_path):
    low, high = 20.0, 60.0
    write_table(
        tmp_path,
        small_dives.info | {"percent_range": [low, high], "raw_root": str(small_dives.root)},
        small_dives.samples,
    )
    table = SampleTable.load(tmp_path)
    score = table.samples["score"].to_numpy()
    percent = table.target(False, "percent")
    np.testing.assert_allclose(percent, 100 * (score - low) / (high - low))
    factor, offset = table.target_unit(False, "percent")
    np.testing.assert_allclose(offset + factor * percent, score)
    with pytest.raises(RecipeError, match="exclude"):
        named("paper", target_unit="percent", with_difficulty=True)


def test_predictions_are_scores_whatever_the_unit(small_dives, tmp_path):
    class Oracle:
        """Knows every target, in whatever unit it was asked for."""

        uses_exemplars, encoder = False, torch.nn.Identity()

        def eval(self):
            return self

        def encode(self, inputs):
            return inputs.flatten(1)[:, :1]

        def compare(self, features, targets, query, exemplar, *, dtype):
            return targets[exemplar]

    write_table(
        tmp_path,
        small_dives.info | {"percent_range": [20, 60], "raw_root": str(small_dives.root)},
        small_dives.samples,
    )
    table = SampleTable.load(tmp_path)
    source = _Rows(len(table.samples))
    for changes in ({}, {"target_unit": "percent"}, {"with_difficulty": True}):
        judged = evaluate(
            Oracle(),
            source,
            Task.of(table, named("smoke", **changes)),
            queries=table.rows("test"),
            pool=table.rows("train"),
            device=torch.device("cpu"),
            quick=True,
        )
        np.testing.assert_allclose(judged.predictions["predicted"], judged.predictions["true"])


class _Rows(Inputs):
    item_shape, item_type = (1,), torch.float32

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def name(self, row):
        return f"row {row}"

    def fetch(self, row, threads=None):
        return np.array([row], np.float32)


def test_the_range_of_percent_is_checked(small_dives, tmp_path):
    write_table(
        tmp_path,
        small_dives.info | {"percent_range": [60, 20], "raw_root": str(small_dives.root)},
        small_dives.samples,
    )
    with pytest.raises(DatasetError, match="percent_range"):
        SampleTable.load(tmp_path)
