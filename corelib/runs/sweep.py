"""A sweep: seeds x systems x datasets x folds as separate jobs, of this machine or a SLURM cluster,
and one table.

    plan_sweep -> runs that are missing -> jobs (submitit) -> metrics.json of each run ->
    table-<digest>.csv

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
from corelib.machine.files import write_atomically
from corelib.machine.messages import one_line
from corelib.recipe import Recipe, RecipeError
from corelib.runs.protocols import each_fold, protocol_table
from corelib.runs.run import RunError, pick_device, read_metrics
from corelib.training import fit, run_folder

POLL = 0.5  # seconds between two looks at the jobs


@dataclass(frozen=True)
class Failure:
    """A run that could not be made: its folder's name, the last line of what went wrong, the job's
    log."""

    run: str
    reason: str
    log: str


@dataclass
class Sweep:
    """What a sweep has brought so far: rows of metrics.json (the epoch chosen on validation rows),
    failures, how many runs are handed in and not finished, and the table's file (None while there
    is no row)."""

    rows: list[dict] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    waiting: int = 0
    table: Path | None = None


def plan_sweep(
    tables: list[SampleTable], recipe: Recipe, *, seeds: list[int], systems: list[str]
) -> list[tuple[SampleTable, Recipe]]:
    """Every (dataset, recipe) of the sweep, one a system, seed, dataset and, where it is divided,
    fold."""
    return [
        plan
        for system in systems
        for seed in seeds
        for plan in each_fold(tables, recipe.replace(system=system, seed=seed))
    ]


def run_sweep(
    plans: list[tuple[SampleTable, Recipe]],
    out: str | Path,
    *,
    executor: str = "local",
    jobs: int = 1,
    device: str = "auto",
    workers: int = 0,
    minutes: int = 720,
    options: dict | None = None,
    wait: bool = True,
) -> Sweep:
    """Make the runs of a sweep that are not there yet, under `out`, and gather all of them.

    executor  "local": processes of this machine; "slurm": jobs of the cluster
    jobs      runs at a time on this machine, which share the processor's cores and take turns on
              its GPUs; a cluster gets all of them at once
    minutes   a job's time limit on the cluster
    options   more of the cluster's parameters, as submitit names them: {"slurm_partition": "gpu"}
    wait      False returns once everything is handed in (slurm only)

    Raises RecipeError when nothing is planned, for local jobs that are not waited for, and on
    Windows.
    """
    out = Path(out)
    if sys.platform == "win32":
        raise RecipeError(
            "jobs need signals that Windows does not have; sweep under WSL, or give `train` once a"
            " seed"
        )
    if not plans:
        raise RecipeError("a sweep needs at least one seed, system and dataset")
    if executor == "local" and not wait:
        raise RecipeError(
            "jobs of this machine end with the program that started them: --no-wait is for"
            " --executor slurm"
        )
    if executor == "local":
        pick_device(device)  # one error here, in place of one a run
    folders = [run_folder(table, recipe, out) for table, recipe in plans]
    missing = [
        (plan, folder)
        for plan, folder in zip(plans, folders, strict=True)
        if not (folder / "metrics.json").is_file()
    ]
    out.mkdir(parents=True, exist_ok=True)
    running = _Jobs(out, executor, jobs, minutes, options or {})
    waiting = [item for item in missing if not running.still(item[1].name)]
    failures: list[Failure] = []
    while waiting or (wait and running.jobs):
        while waiting and (executor == "slurm" or len(running.jobs) < jobs):
            (table, recipe), folder = waiting.pop(0)
            running.start(
                folder.name, str(table.folder), recipe.to_dict(), str(folder), device, workers
            )
        if not wait:
            break
        failures += running.collect()
        if running.jobs:
            time.sleep(POLL)
    found = Sweep(failures=failures, waiting=len(running.jobs) + len(waiting))
    for folder in folders:
        if (folder / "metrics.json").is_file():
            found.rows += read_metrics(folder / "metrics.json")[:1]
    if found.rows:
        digest = hashlib.sha256(
            "\n".join(sorted(folder.name for folder in folders)).encode()
        ).hexdigest()[:8]
        found.table = out / f"table-{digest}.csv"
        write_atomically(
            found.table, protocol_table(found.rows).to_csv(index=False, lineterminator="\n")
        )
    return found


def train_one(
    dataset: str, recipe: dict, out: str, device: str, workers: int, threads: int | None
) -> None:
    """What a job does: one training, from its dataset's folder and its recipe."""
    if threads:
        torch.set_num_threads(threads)
    fit(
        SampleTable.load(dataset),
        Recipe.from_dict(recipe),
        out,
        device=device,
        workers=workers,
        progress=False,
    )


class _Jobs:
    """The jobs under way, by the name of their run. Of a cluster their numbers are kept in
    jobs.json, so that a second call finds those that are still in the queue and does not hand them
    in twice."""

    def __init__(self, out: Path, executor: str, at_once: int, minutes: int, options: dict):
        self.logs, self.ledger, self.cluster, self.at_once = (
            out / "logs",
            out / "jobs.json",
            executor,
            at_once,
        )
        try:
            self.executor = submitit.AutoExecutor(folder=self.logs, cluster=executor)
            self.executor.update_parameters(timeout_min=minutes, **options)
        except (
            NameError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:  # submitit's, for options and clusters it does not know
            raise RecipeError(f"--executor {executor} and --slurm: {one_line(error)}") from None
        self.jobs: dict[str, submitit.Job] = {}
        self.started = 0
        self.handed_in = self._read_ledger()

    def _read_ledger(self) -> dict[str, str]:
        try:
            return (
                dict(json.loads(self.ledger.read_text(encoding="utf-8")))
                if self.ledger.is_file()
                else {}
            )
        except (ValueError, TypeError, RecursionError):
            raise RunError(
                f"{self.ledger}: not the list of jobs that a sweep keeps; delete it, once none of"
                " its jobs is in the queue"
            ) from None

    def still(self, run: str) -> bool:
        """Whether a cluster's job of an earlier call makes this run; it is then waited for."""
        if self.cluster != "slurm" or run not in self.handed_in:
            return False
        job = submitit.SlurmJob(folder=self.logs, job_id=self.handed_in[run])
        if not job.done():
            self.jobs[run] = job
        return run in self.jobs

    def start(
        self, run: str, dataset: str, recipe: dict, out: str, device: str, workers: int
    ) -> None:
        threads = None
        if self.cluster == "local":
            threads = max(1, (os.cpu_count() or 1) // self.at_once)
            if device == "auto" and torch.cuda.is_available():
                device = f"cuda:{self.started % torch.cuda.device_count()}"
        self.started += 1
        # paths are resolved here: a job may start in another folder
        job = self.executor.submit(
            train_one,
            str(Path(dataset).resolve()),
            recipe,
            str(Path(out).resolve()),
            device,
            workers,
            threads,
        )
        self.jobs[run] = job
        if self.cluster == "slurm":
            self.handed_in[run] = job.job_id
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
                failures.append(
                    Failure(
                        run, lines[-1] if lines else type(error).__name__, str(job.paths.stderr)
                    )
                )
        return failures
