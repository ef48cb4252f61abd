"""A sweep: seeds x systems x datasets x folds as jobs of this machine or a cluster, and one table.

    plan_sweep -> missing runs -> jobs (submitit) -> metrics.json of each -> table-<digest>.csv

What is there is never made again, so a sweep that was cut off, or lost some of its jobs, is
completed by the same command. A run that is half trained goes on at its last epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import submitit
import torch

from corelib.data.samples import SampleTable
from corelib.machine.devices import pick_device
from corelib.machine.files import write_atomically
from corelib.machine.messages import one_line
from corelib.recipe import Recipe, RecipeError
from corelib.runs.fit import fit, run_folder
from corelib.runs.protocols import each_fold, protocol_table
from corelib.runs.records import RunError, read_metrics

POLL = 0.5  # seconds between two looks at the jobs
Plan = tuple[SampleTable, Recipe]


@dataclass(frozen=True)
class Failure:
    """A run that could not be made."""

    run: str  # its folder's name
    reason: str  # the last line of what went wrong
    log: str  # the job's


@dataclass
class Sweep:
    """What a sweep has brought so far."""

    rows: list[dict] = field(default_factory=list)  # of metrics.json: the chosen epoch's
    failures: list[Failure] = field(default_factory=list)
    waiting: int = 0  # runs that are handed in and not finished
    table: Path | None = None  # its file, once there is a row


@dataclass(frozen=True)
class Jobs:
    """Where the runs of a sweep are made.

    executor  "local": processes of this machine; "slurm": jobs of the cluster
    jobs      runs at a time on this machine, which share the processor's cores and take turns on
              its GPUs; a cluster gets all of them at once
    minutes   a job's time limit on the cluster
    options   more of the cluster's parameters, as submitit names them: {"slurm_partition": "gpu"}
    """

    executor: str = "local"
    jobs: int = 1
    device: str = "auto"
    workers: int = 0
    minutes: int = 720
    options: dict = field(default_factory=dict)

    def check(self, wait: bool) -> None:
        """Raise RecipeError for jobs that cannot be; one error in place of one a run."""
        if sys.platform == "win32":
            signals = "jobs need signals that Windows does not have"
            raise RecipeError(f"{signals}; sweep under WSL, or give `train` once a seed")
        if self.executor == "local" and not wait:
            end = "jobs of this machine end with the program that started them"
            raise RecipeError(f"{end}: --no-wait is for --executor slurm")
        if self.executor == "local":
            pick_device(self.device)


def plan_sweep(
    tables: list[SampleTable], recipe: Recipe, *, seeds: list[int], systems: list[str]
) -> list[Plan]:
    """Every (dataset, recipe) of the sweep: one a system, seed, dataset and fold."""
    recipes = [recipe.replace(system=system, seed=seed) for system in systems for seed in seeds]
    return [plan for each in recipes for plan in each_fold(tables, each)]


def run_sweep(
    plans: list[Plan], out: str | Path, how: Jobs | None = None, *, wait: bool = True
) -> Sweep:
    """Make the runs of a sweep that are not there yet, under `out`, and gather all of them.

    wait  False returns once everything is handed in (slurm only)

    Raises RecipeError when nothing is planned, for local jobs that are not waited for, and on
    Windows.
    """
    out, how = Path(out), how or Jobs()
    if not plans:
        raise RecipeError("a sweep needs at least one seed, system and dataset")
    how.check(wait)
    folders = [run_folder(table, recipe, out) for table, recipe in plans]
    planned = list(zip(plans, folders, strict=True))
    missing = [item for item in planned if not (item[1] / "metrics.json").is_file()]
    out.mkdir(parents=True, exist_ok=True)
    running = _Running(out, how)
    waiting = [item for item in missing if not running.still(item[1].name)]
    failures: list[Failure] = []
    while waiting or (wait and running.jobs):
        while waiting and (how.executor == "slurm" or len(running.jobs) < how.jobs):
            running.start(*waiting.pop(0))
        if not wait:
            break
        failures += running.collect()
        if running.jobs:
            time.sleep(POLL)
    return _gather(folders, out, Sweep([], failures, len(running.jobs) + len(waiting)))


def _gather(folders: list[Path], out: Path, found: Sweep) -> Sweep:
    for folder in folders:
        if (folder / "metrics.json").is_file():
            found.rows += read_metrics(folder / "metrics.json")[:1]
    if found.rows:
        names = "\n".join(sorted(folder.name for folder in folders))
        found.table = out / f"table-{hashlib.sha256(names.encode()).hexdigest()[:8]}.csv"
        text = protocol_table(found.rows).to_csv(index=False, lineterminator="\n")
        write_atomically(found.table, text)
    return found


def train_one(
    dataset: str, recipe: dict, out: str, device: str, workers: int, threads: int | None
) -> None:
    """What a job does: one training, from its dataset's folder and its recipe."""
    if threads:
        torch.set_num_threads(threads)
    how = {"device": device, "workers": workers, "progress": False}
    fit(SampleTable.load(dataset), Recipe.from_dict(recipe), out, **how)


class _Running:
    """The jobs under way, by the name of their run.

    Of a cluster their numbers are kept in jobs.json, so that a second call finds those that are
    still in the queue and does not hand them in twice.
    """

    def __init__(self, out: Path, how: Jobs):
        self.logs, self.ledger, self.how = out / "logs", out / "jobs.json", how
        try:
            self.executor = submitit.AutoExecutor(folder=self.logs, cluster=how.executor)
            self.executor.update_parameters(timeout_min=how.minutes, **how.options)
        except (NameError, TypeError, ValueError, RuntimeError) as error:  # submitit's own
            told = f"--executor {how.executor} and --slurm: {one_line(error)}"
            raise RecipeError(told) from None
        self.jobs: dict[str, submitit.Job] = {}
        self.started = 0
        self.handed_in = self._read_ledger()

    def _read_ledger(self) -> dict[str, str]:
        if not self.ledger.is_file():
            return {}
        try:
            return dict(json.loads(self.ledger.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError):
            advice = "delete it, once none of its jobs is in the queue"
            other = f"{self.ledger}: not the list of jobs that a sweep keeps"
            raise RunError(f"{other}; {advice}") from None

    def still(self, run: str) -> bool:
        """Whether a cluster's job of an earlier call makes this run; it is then waited for."""
        if self.how.executor != "slurm" or run not in self.handed_in:
            return False
        job = submitit.SlurmJob(folder=self.logs, job_id=self.handed_in[run])
        if not job.done():
            self.jobs[run] = job
        return run in self.jobs

    def start(self, plan: Plan, folder: Path) -> None:
        """Hand in the job that makes one run."""
        (table, recipe), device, threads = plan, self.how.device, None
        if self.how.executor == "local":
            threads = max(1, (os.cpu_count() or 1) // self.how.jobs)
            if device == "auto" and torch.cuda.is_available():
                device = f"cuda:{self.started % torch.cuda.device_count()}"
        self.started += 1
        # whole paths: a job may start in another folder
        dataset, out = str(table.folder.resolve()), str(folder.resolve())
        what = (dataset, recipe.to_dict(), out, device, self.how.workers, threads)
        self.jobs[folder.name] = job = self.executor.submit(train_one, *what)
        if self.how.executor == "slurm":
            self.handed_in[folder.name] = job.job_id
            write_atomically(self.ledger, json.dumps(self.handed_in, indent=1) + "\n")

    def collect(self) -> list[Failure]:
        """Take away the jobs that have ended; returns those that failed."""
        failures = []
        for run, job in list(self.jobs.items()):
            if not job.done():
                continue
            del self.jobs[run]
            if error := job.exception():
                lines = [line.strip() for line in str(error).splitlines() if line.strip(" -=^~|")]
                reason = lines[-1] if lines else type(error).__name__
                failures.append(Failure(run, reason, str(job.paths.stderr)))
        return failures
