"""A training and its folder: the loop of training.py with checkpoints, resume and a lock.

A run is found again by its recipe and data.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

from corelib.data.samples import SampleTable
from corelib.evaluation import open_inputs
from corelib.machine import distributed
from corelib.machine.devices import pick_device
from corelib.machine.files import only_one, remove_unfinished, write_atomically
from corelib.models import build_model
from corelib.recipe import Recipe
from corelib.runs.features import frozen_inputs
from corelib.runs.loop import Options, Training, say_once
from corelib.runs.records import RunError, check_same, describe, environment, read_description
from corelib.runs.run import Run
from corelib.runs.soundness import training_doubts
from corelib.task import Task
from corelib.training import TrainingError

RESULTS = (
    "metrics.json",
    "predictions.csv",
    "validation.csv",
    "last.pt",
    "history.csv",
    "best.safetensors",
)


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
    say_once(doubts)
    with distributed.one_first():
        source = open_inputs(table, recipe, progress=how.progress)
    rows, groups, D = task.fit, task.groups, source.in_features
    model = build_model(recipe, task.targets[rows], groups[rows], in_features=D).to(how.device)
    if recipe.encoder == "frozen":
        with distributed.one_first():
            reading = {"workers": how.workers, "progress": how.progress}
            source = frozen_inputs(model, table, recipe, source, how.device, **reading)
    training = Training(task, out, how, source, model)
    training.plan()
    _open_folder(out, task, how)
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
