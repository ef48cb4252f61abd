"""A training and its folder: the loop of training.py with checkpoints, resume and a lock.

A run is found again by its recipe and data.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from corelib.data.samples import SampleTable
from corelib.evaluation import Evaluation, PredictionError, evaluate, open_inputs
from corelib.intervals import coverage
from corelib.machine import distributed
from corelib.machine.devices import pick_device
from corelib.machine.files import json_text, only_one, remove_unfinished, write_atomically
from corelib.machine.messages import warn_once
from corelib.models import build_model
from corelib.recipe import Recipe
from corelib.runs.checkpoints import best_epoch, follow_checkpoint, restore, save_epoch
from corelib.runs.features import frozen_inputs
from corelib.runs.records import (
    RunError,
    check_same,
    describe,
    environment,
    load_weights_into,
    metrics_row,
    read_description,
)
from corelib.runs.run import VALIDATION, Run
from corelib.runs.soundness import check_losses, training_doubts
from corelib.task import Task
from corelib.training import (
    Optimization,
    TrainingError,
    TrainingStep,
    make_optimizer,
    plan_epoch,
    train_epoch,
)

RESULTS = (
    "metrics.json",
    "predictions.csv",
    "validation.csv",
    "last.pt",
    "history.csv",
    "best.safetensors",
)


@dataclass(frozen=True)
class Options:
    """How a training is carried out; what comes out does not depend on it, but for rounding."""

    device: torch.device
    workers: int
    resume: bool
    progress: bool
    tensorboard: bool


def fit(
    table: SampleTable,
    recipe: Recipe,
    out: str | Path,
    *,
    device="auto",
    workers=0,
    resume=True,
    progress=True,
    tensorboard=False,
    wait=False,
) -> Run:
    """Train a system by a recipe into a run folder, choose its epoch on held-back rows, test it.

    A finished run of the same recipe and data is loaded; an interrupted one is resumed (or started
    anew with resume=False). A recipe that refits first makes a run without refitting in out/choice,
    then trains anew on all of its rows and keeps the epoch chosen there. Under torchrun several
    processes train together, in a folder that all of them see.
    tensorboard  write the history to out/tensorboard too, to be watched while it grows
    wait         for another process that trains into the folder, to load what it leaves
    Raises RunError when the folder holds a run of something else, BusyError when another process
    trains into it, DatasetError or NoPairError for data that cannot be learnt from, TrainingError
    when numbers go wrong. What is doubtful is warned of and stands in metrics.json.
    """
    distributed.start(str(device))
    out, device, table = Path(out), pick_device(device), table.of_fold(recipe.fold)
    how = Options(device, workers, resume, progress and distributed.rank() == 0, tensorboard)
    if _is_finished(out, table, recipe) and resume:
        return Run.load(out, table=table)
    with only_one(out, "trains into", wait=wait) if distributed.rank() == 0 else nullcontext():
        distributed.wait()  # so that all processes see one state of the folder
        return _fit(table, recipe, out, how)


def _is_finished(out: Path, table: SampleTable, recipe: Recipe) -> bool:
    """Whether a folder holds this run, finished. Raises RunError when it holds something else."""
    if (out / "recipe.json").is_file():
        check_same(read_description(out)[0], describe(table, recipe, out), out)
    elif (out / "last.pt").is_file():
        held = "holds a checkpoint without the recipe.json that says what of"
        raise RunError(f"{out} {held}; choose another --out or delete it")
    if (out / "dataset.json").is_file():
        raise RunError(f"{out} is the folder of a prepared dataset; choose another --out")
    return all((out / name).is_file() for name in ("recipe.json", "metrics.json"))


def _fit(table: SampleTable, recipe: Recipe, out: Path, how: Options) -> Run:
    if _is_finished(out, table, recipe) and how.resume:
        return Run.load(out, table=table)
    task = Task.of(table, recipe)
    doubts = training_doubts(task)
    _say(doubts)
    with distributed.one_first():
        source = open_inputs(table, recipe, progress=how.progress)
    rows, groups, D = task.fit, task.groups, source.in_features
    model = build_model(recipe, task.targets[rows], groups[rows], in_features=D).to(how.device)
    if recipe.encoder == "frozen":
        with distributed.one_first():
            reading = {"workers": how.workers, "progress": how.progress}
            source = frozen_inputs(model, table, recipe, source, how.device, **reading)
    planned = [len(plan_epoch(recipe, rows, groups, epoch)) for epoch in range(recipe.epochs)]
    steps = sum(math.ceil(batches / recipe.accumulate) for batches in planned)
    optimization = make_optimizer(model, recipe, steps)
    _open_folder(out, task, how)
    training = _Training(task, out, how, source, model, optimization, planned)
    if recipe.refit and len(task.held):
        training.choice = _fit(table, recipe.replace(refit=False), out / "choice", how)
    training.run()
    return training.finish(doubts)


def _open_folder(out: Path, task: Task, how: Options) -> None:
    """Only now, as what cannot begin leaves no folder behind."""
    if distributed.rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(out)
        for name in () if how.resume else RESULTS:
            (out / name).unlink(missing_ok=True)  # metrics.json first: it says a run is finished
        described = describe(task.table, task.recipe, out)
        surroundings = environment(how.device, task.table, task.recipe)
        write_atomically(out / "recipe.json", json.dumps(described, indent=2) + "\n")
        write_atomically(out / "environment.json", json.dumps(surroundings, indent=2) + "\n")
    distributed.wait()
    if not (out / "recipe.json").is_file():
        blind = f"process {distributed.rank()} does not see the folder that process 0 writes to"
        raise TrainingError(f"{out}: {blind}; put it on a file system that all machines share")


@dataclass
class _Training:
    """A training under way: what it needs, and what it has brought so far."""

    task: Task
    out: Path
    how: Options
    source: object
    model: torch.nn.Module
    optimization: Optimization
    planned: list[int]  # batches an epoch
    choice: Run | None = None  # of a refit: the run that chose its epoch
    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    def run(self) -> None:
        """Every epoch that is not there yet; each is written when it is done."""
        recipe, out, writes = self.task.recipe, self.out, distributed.rank() == 0
        step_of = distributed.join(TrainingStep(self.model, recipe, self.how.device))
        if self.choice:
            self.seconds = float(self.choice.history["seconds"].iloc[-1])
        if self.how.resume and (out / "last.pt").is_file():
            before = restore(out / "last.pt", self.how.device, self.model, self.optimization)
            self.history, self.seconds = before
            if writes:
                follow_checkpoint(out, self.model, self.history)
        first, total = len(self.history), sum(self.planned)
        show = {"disable": not self.how.progress or None, "desc": out.name, "unit": "step"}
        with tqdm(total=total, initial=sum(self.planned[:first]), **show) as bar:
            for epoch in range(first, recipe.epochs):
                started = time.perf_counter()
                row = self._epoch(step_of, epoch, bar)
                self.seconds += time.perf_counter() - started
                self.history.append(row | {"seconds": self.seconds})
                if writes:
                    state = self.model, self.optimization, self.history, self.seconds
                    save_epoch(out, *state, tensorboard=self.how.tensorboard)
        distributed.wait()  # the weights of the chosen epoch are written

    def _epoch(self, step_of: torch.nn.Module, epoch: int, bar: tqdm) -> dict:
        """Train one epoch and judge it: its row of the history, but for the seconds."""
        task, recipe = self.task, self.task.recipe
        plan = plan_epoch(recipe, task.fit, task.groups, epoch)
        show = {"epoch": epoch, "workers": self.how.workers, "bar": bar}
        try:
            loss = train_epoch(step_of, self.source, task, plan, self.optimization, **show)
        except TrainingError as error:
            raise TrainingError(f"{error}{_advice(epoch)}") from None
        row = {"epoch": epoch, "loss": loss, **dict.fromkeys(VALIDATION, float("nan"))}
        row |= {"lr": self.optimization.schedule.get_last_lr()[-1]}
        row |= {"encoded": sum(len(batch.rows) for batch in plan)}
        last = epoch + 1 == recipe.epochs
        if self.choice:  # what this epoch was worth when some rows were held back
            row |= self.choice.history.loc[epoch, list(VALIDATION)].to_dict()
        elif len(task.choose) and (last or (epoch + 1) % recipe.validate_every == 0):
            row |= dict(zip(VALIDATION, self._validate(epoch), strict=True))
            bar.set_postfix(loss=f"{loss:.3f}", val_rho=f"{row['val_spearman']:.3f}")
        return row

    def _validate(self, epoch: int) -> tuple[float, float]:
        """rho and R-l2 of the rows that choose."""
        try:
            judged = self._evaluate(self.task.choose, self.task.fit, quick=True)
        except PredictionError as error:
            raise TrainingError(f"after epoch {epoch} {error}{_advice(epoch)}") from None
        return judged.summary["spearman"], judged.summary["rl2_x100"]

    def _evaluate(self, queries, pool, *, quick: bool = False) -> Evaluation:
        rows, how = {"queries": queries, "pool": pool, "quick": quick}, self.how
        reading = {"device": how.device, "workers": how.workers}
        return evaluate(self.model, self.source, self.task, **rows, **reading)

    def finish(self, doubts: list[str]) -> Run:
        """Test the last and the chosen epoch, write the predictions and metrics.json."""
        task, out, last, best = self.task, self.out, None, None
        info, chosen, final = (task.table.info, best_epoch(self.history), self.history[-1])
        if len(task.test):
            last = self._evaluate(task.test, task.pool)
        load_weights_into(self.model, out / "best.safetensors")
        if len(task.test):
            best = last
            if chosen["epoch"] != final["epoch"]:
                best = self._evaluate(task.test, task.pool)
        held = self.choice.validation if self.choice else None
        if len(task.choose):
            held = self._evaluate(task.choose, task.fit, quick=True).predictions
        found = check_losses([row["loss"] for row in self.history])
        if len(task.held) and not any(math.isfinite(row["val_spearman"]) for row in self.history):
            none = "the validation part gave no rank correlation in any epoch"
            found.append(f"{none}, so none was chosen by it: the last is kept")
        _say(found)
        rows = []
        for judged, epoch, selected_on in ((best, chosen, "val"), (last, final, "last")):
            if judged:
                row = metrics_row(task, judged, device=self.how.device, doubts=[*doubts, *found])
                row |= {"epoch": epoch["epoch"], "selected_on": selected_on}
                row |= {"seconds": self.seconds}
                if selected_on == "val" and held is not None:
                    row["coverage"] = coverage(held, judged.predictions, info["score_range"])
                rows.append(row)
        if distributed.rank() == 0:
            tables = {"predictions": best and best.predictions, "validation": held}
            for name in [name for name in tables if tables[name] is not None]:
                text = tables[name].to_csv(index=False, lineterminator="\n")
                write_atomically(out / f"{name}.csv", text)
            write_atomically(out / "metrics.json", json_text(rows, indent=2) + "\n")
        distributed.wait()
        return Run(out, task.recipe, task.table, self.model.eval(), self.source, self.how.device)


def _say(sentences: Iterable[str]) -> None:
    warn_once(sentences if distributed.rank() == 0 else [])


def _advice(epoch: int) -> str:
    """What is left of a training that stopped in or after this epoch, and what to try."""
    kept = "there is no checkpoint yet"
    if epoch:
        kept = f"last.pt and best.safetensors hold what was good up to epoch {epoch - 1}"
    return f"; {kept}. Try a lower learning_rate, in another run folder."


def run_folder(table: SampleTable, recipe: Recipe, runs: str | Path) -> Path:
    """Where under `runs` the run of this recipe on this data lies.

    The name changes with any knob and with the data.
    """
    fold = "" if recipe.fold is None else f"-fold{recipe.fold}"
    system = recipe.system + ("-dd" if recipe.with_difficulty else "")
    made_of = f"{recipe.name}-seed{recipe.seed}-{recipe.digest}-{table.sha256[:6]}"
    return Path(runs) / f"{table.name}{fold}-{system}-{made_of}"


def find_or_train(table: SampleTable, recipe: Recipe, runs: str | Path, **options) -> Run:
    """The run of this recipe on this data under `runs`: loaded, resumed or made, as need be.

    options  as `fit` takes them. Another process that trains it is waited for.
    """
    return fit(table, recipe, run_folder(table, recipe, runs), wait=True, **options)
