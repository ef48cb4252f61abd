"""The course of a training: epochs, checkpoints and validation, then the test."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from corelib.evaluation import Evaluation, PredictionError, evaluate
from corelib.intervals import coverage
from corelib.machine import distributed
from corelib.machine.files import json_text, write_atomically
from corelib.machine.messages import warn_once
from corelib.runs.checkpoints import best_epoch, follow_checkpoint, restore, save_epoch
from corelib.runs.records import load_weights_into, metrics_row, save_weights
from corelib.runs.run import VALIDATION, Run
from corelib.runs.soundness import check_losses
from corelib.task import Task
from corelib.training import (
    Optimization,
    TrainingError,
    TrainingStep,
    make_optimizer,
    plan_epoch,
    train_epoch,
)


@dataclass(frozen=True)
class Options:
    """How a training is carried out; what comes out does not depend on it, but for rounding."""

    device: torch.device
    workers: int
    resume: bool
    progress: bool
    tensorboard: bool


@dataclass
class Training:
    """A training under way: what it needs, and what it has brought so far."""

    task: Task
    out: Path
    how: Options
    source: object
    model: torch.nn.Module
    optimization: Optimization | None = None
    planned: list[int] = field(default_factory=list)  # batches an epoch
    choice: Run | None = None  # of a refit: the run that chose its epoch
    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    def plan(self) -> None:
        """The epochs' batches, and the optimizer for as many steps. A kernel takes none."""
        task, recipe = self.task, self.task.recipe
        if recipe.system == "kernel":
            return
        for epoch in range(recipe.epochs):
            self.planned.append(len(plan_epoch(recipe, task.fit, task.groups, epoch)))
        steps = sum(math.ceil(batches / recipe.accumulate) for batches in self.planned)
        self.optimization = make_optimizer(self.model, recipe, steps)

    def learn(self) -> torch.Tensor | None:
        """The training steps [n, S, D], where the encoder takes something from them at once."""
        reader = getattr(self.model.encoder, "projection", self.model.encoder)
        if not hasattr(reader, "learn"):
            return None
        (steps,) = self.source.batches([self.task.fit], device=self.how.device)
        reader.learn(self.source.to_inputs(steps))
        return steps

    def solve(self) -> None:
        """A kernel's training: one linear system, in place of epochs."""
        started, rows = time.perf_counter(), self.task.fit
        targets = torch.as_tensor(self.task.targets[rows], device=self.how.device)
        with torch.no_grad():
            self.model.solve(self.model.encode(self.learn()), targets)
        self.seconds = time.perf_counter() - started
        self.history = [{"epoch": 0, "loss": 0.0, **dict.fromkeys(VALIDATION, float("nan"))}]
        if distributed.rank() == 0:
            save_weights(self.model, self.out / "best.safetensors")
        distributed.wait()

    def run(self) -> None:
        """Every epoch that is not there yet; each is written when it is done."""
        if not self.planned:
            return self.solve()
        recipe, out, writes = self.task.recipe, self.out, distributed.rank() == 0
        self.learn()
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
        chosen, final = best_epoch(self.history), self.history[-1]
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
        ranked = any(math.isfinite(row["val_spearman"]) for row in self.history)
        if self.planned and len(task.held) and not ranked:
            none = "the validation part gave no rank correlation in any epoch"
            found.append(f"{none}, so none was chosen by it: the last is kept")
        say_once(found)
        rows = []
        for judged, epoch, selected_on in ((best, chosen, "val"), (last, final, "last")):
            if judged:
                row = metrics_row(task, judged, device=self.how.device, doubts=[*doubts, *found])
                row |= {"epoch": epoch["epoch"], "selected_on": selected_on}
                row |= {"seconds": self.seconds}
                if selected_on == "val" and held is not None:
                    limits = task.table.info["score_range"]
                    row["coverage"] = coverage(held, judged.predictions, limits)
                rows.append(row)
        if distributed.rank() == 0:
            tables = {"predictions": best and best.predictions, "validation": held}
            for name, table in tables.items():
                if table is not None:
                    text = table.to_csv(index=False, lineterminator="\n")
                    write_atomically(out / f"{name}.csv", text)
            write_atomically(out / "metrics.json", json_text(rows, indent=2) + "\n")
        distributed.wait()
        return Run(out, task.recipe, task.table, self.model.eval(), self.source, self.how.device)


def say_once(sentences: Iterable[str]) -> None:
    warn_once(sentences if distributed.rank() == 0 else [])


def _advice(epoch: int) -> str:
    """What is left of a training that stopped in or after this epoch, and what to try."""
    kept = "there is no checkpoint yet"
    if epoch:
        kept = f"last.pt and best.safetensors hold what was good up to epoch {epoch - 1}"
    return f"; {kept}. Try a lower learning_rate, in another run folder."
