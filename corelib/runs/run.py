"""A run: the folder of a trained model, and how it is loaded, evaluated and listed again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from corelib.data.leakage import find_known, find_leaks
from corelib.data.samples import DatasetError, SampleTable
from corelib.evaluation import Evaluation, evaluate, open_inputs
from corelib.intervals import coverage
from corelib.machine.devices import pick_device
from corelib.machine.messages import one_line, warn_once
from corelib.models import build_model
from corelib.recipe import Recipe
from corelib.runs.features import frozen_inputs
from corelib.runs.records import (
    ANEW,
    DELETE,
    RunError,
    load_weights_into,
    read_description,
    read_metrics,
    read_table,
    reading,
    trained_table,
)
from corelib.task import Task

ORIGIN = "imported.json"  # of a run that was not trained here: where its weights are from
VALIDATION = ("val_spearman", "val_rl2_x100")
PREDICTIONS = ("true", "predicted", "spread"), ("id", "exemplars")  # numbers and texts


@dataclass
class Run:
    """A trained run: its folder, the model at its chosen epoch (in eval mode) and its inputs."""

    folder: Path
    recipe: Recipe
    table: SampleTable
    model: torch.nn.Module
    source: object
    device: torch.device

    @classmethod
    def load(
        cls, folder: str | Path, *, table: SampleTable | None = None, device="auto", progress=False
    ) -> Run:
        """Load a finished run from its folder alone, or with `table` in place of its dataset."""
        folder, device = Path(folder), pick_device(device)
        for name in ("recipe.json", "best.safetensors"):
            if not (folder / name).is_file():
                unfinished = f"no {name} here, so it is no finished run"
                raise RunError(f"{folder}: {unfinished}; {_what_helps(folder)}")
        described, recipe = read_description(folder)
        own = trained_table(described["dataset"], folder) if table is None else table
        own = own.of_fold(recipe.fold) if own.folds else own
        source = open_inputs(own, recipe, progress=progress)
        # The shapes of the intervals do not depend on the data, and their values come with the
        # weights. Nor is a file opened that the recipe began with.
        blank, scores, one_group = recipe.replace(weights=""), np.array([0.0, 1.0]), np.zeros(2)
        with reading(folder / "recipe.json", "the recipe of a model that can be built", DELETE):
            model = build_model(blank, scores, one_group, in_features=source.in_features)
        load_weights_into(model, folder / "best.safetensors")
        if recipe.encoder == "frozen":
            source = frozen_inputs(model, own, recipe, source, device, progress=progress)
        return cls(folder, recipe, own, model.to(device).eval(), source, device)

    @cached_property
    def task(self) -> Task:
        """What is regressed, who is compared, on which rows."""
        return Task.of(self.table, self.recipe)

    @property
    def metrics(self) -> list[dict]:
        """The rows of metrics.json: the epoch chosen on the validation part, then the last."""
        return read_metrics(self.folder / "metrics.json")

    @property
    def history(self) -> pd.DataFrame:
        """history.csv: epoch, loss, VALIDATION, lr, encoded, seconds."""
        columns = ("epoch", "loss", *VALIDATION, "seconds")
        return read_table(self.folder / "history.csv", "the history", columns)

    @property
    def predictions(self) -> pd.DataFrame:
        """predictions.csv: id, true, predicted, spread, exemplars."""
        return read_table(self.folder / "predictions.csv", "the predictions", *PREDICTIONS)

    @cached_property
    def validation(self) -> pd.DataFrame:
        """validation.csv: what was predicted of the rows that chose the epoch (before a refit).

        Columns as of `predictions`. Empty where none were held back, and of imported weights.
        """
        path = self.folder / "validation.csv"
        if not path.is_file():
            return pd.DataFrame(columns=[*PREDICTIONS[0], *PREDICTIONS[1]])
        return read_table(path, "the validation", *PREDICTIONS)

    def predictions_with_samples(self) -> pd.DataFrame:
        """The predictions with every column of their samples, and `error`, predicted minus true.

        Where both have a column of one name, the sample's is called <name>_of_sample.
        """
        names = {"suffixes": ("", "_of_sample"), "validate": "one_to_one"}
        joined = self.predictions.merge(self.table.samples, on="id", how="left", **names)
        joined.insert(3, "error", joined["predicted"] - joined["true"])
        return joined

    def evaluate(
        self, split: str = "test", *, exemplars: int | str | None = None, workers=0, progress=False
    ) -> Evaluation:
        """Evaluate on a split of its dataset; exemplars as evaluation.evaluate takes them.

        What is doubtful is warned of, and stands in summary["warnings"].
        """
        queries = self.table.rows(split)
        if len(queries) == 0:
            there = ", ".join(sorted(set(self.table.samples["split"].astype(str))))
            raise DatasetError(
                f"{self.table.folder}: no sample has split {split!r}; it has {there}"
            )
        whom = {"queries": queries, "pool": self.task.pool, "exemplars": exemplars}
        how = {"device": self.device, "workers": workers, "progress": progress}
        judged = evaluate(self.model, self.source, self.task, **whom, **how)
        if split == "test":
            held, limits = self.validation, self.table.info["score_range"]
            judged.summary["coverage"] = coverage(held, judged.predictions, limits)
        else:
            told = f"split {split!r} is no test: models are fitted or chosen on such samples"
            judged.summary["warnings"].insert(0, told)
            warn_once([told])
        return judged

    @property
    def origin(self) -> dict:
        """Where imported weights are from, as imported.json says; empty of a run trained here.

        file, note, said {epoch, epoch_best, rho_best, L2_min, RL2_min; null where unknown}: what
        the checkpoint says of itself. Raises RunError for a file that says something else.
        """
        if not (path := self.folder / ORIGIN).is_file():
            return {}
        with reading(path, "a statement where weights are from", DELETE):
            origin = json.loads(path.read_text(encoding="utf-8"))
            said = origin["said"]
            numbers = all(isinstance(number, int | float | None) for number in said.values())
            if not numbers or said["epoch"] is None:
                raise TypeError("what the checkpoint says is no number")
            texts = {key: one_line(origin[key]) for key in ("file", "note")}
            return texts | {"said": said, "on_test": bool(origin["chosen_on_test"])}

    @property
    def origin_doubts(self) -> list[str]:
        """What is doubtful about imported weights, in plain sentences."""
        origin = self.origin
        if not origin.get("on_test"):
            return []
        named = f"the weights of {origin['file']} (epoch {origin['said']['epoch']:g})"
        return [f"{named} were chosen on the test set by those who trained them"]

    def doubts(self) -> list[str]:
        """What is doubtful about testing this run on its table, in plain sentences.

        That is samples which two splits share or, where the table is not the dataset it was trained
        on, which it has learnt from (looked for while that dataset is still there).
        """
        said = find_leaks(self.table)
        described = read_description(self.folder)[0]["dataset"]
        if self.table.sha256 == described["sha256"]:
            return said
        try:
            own = trained_table(described, self.folder).of_fold(self.recipe.fold)
            learnt, here = (table.info.get("frame_size") for table in (own, self.table))
            if learnt and here and learnt != here and self.recipe.resize is None:
                said.append(
                    "frames of {} x {} pixels, where the model was trained on {} x {}: what it"
                    " knows has another size there".format(*here, *learnt)
                )
            return said + find_known(own, self.table)
        except (DatasetError, RunError):  # gone or changed: nothing to compare with
            return said


def _what_helps(folder: Path) -> str:
    if not (folder / "recipe.json").is_file():
        return "make one with `python -m corelib train`"
    if (folder / "metrics.json").is_file():  # the training ended, and will not write them again
        return f"its weights are gone: {ANEW}"
    return "go on with it by the same `train` command"


def list_runs(folder: str | Path) -> pd.DataFrame:
    """All finished runs directly under a folder, one row each: what came out, then every knob.

    Columns: run (its folder's name), dataset, system, with_difficulty, recipe, seed, epoch,
    spearman, rl2_x100, n_test, seconds (of the epoch chosen on the validation part; nan where there
    was nothing to test on), then the recipe's other knobs. Unfinished runs and other folders are
    left out. Raises RunError when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        advice = "make one with `python -m corelib train`"
        raise RunError(f"{folder}: no such folder, so there are no runs in it; {advice}")
    kinds = ["run", "dataset", "system", "with_difficulty", "recipe", "seed"]
    rows, measured = [], ["epoch", "spearman", "rl2_x100", "n_test", "seconds"]
    for path in sorted(folder.glob("*/recipe.json")):
        run = path.parent
        if not all((run / name).is_file() for name in ("metrics.json", "best.safetensors")):
            continue
        (described, _), found = read_description(run), read_metrics(run / "metrics.json")
        recipe, chosen = dict(described["recipe"]), (found or [{}])[0]
        stated = {"run": run.name, "dataset": described["dataset"]["name"], **recipe}
        row = {kind: stated["name" if kind == "recipe" else kind] for kind in kinds}
        others = {key: recipe[key] for key in recipe if key not in (*kinds, "name")}
        rows.append(row | {key: chosen.get(key, float("nan")) for key in measured} | others)
    return pd.DataFrame(rows, columns=None if rows else kinds + measured)
