"""Processes that are killed at chosen moments: `python -m tests.kills`, which
tests/test_interruption.py starts once.

This process imports torch and computes nothing; each training is a fork of it (elsewhere than on
Linux a new process).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from corelib import __main__ as command_line
from corelib.data import clips
from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.samples import SampleTable, new_dataset, write_table
from corelib.machine import files
from corelib.recipe import Recipe
from corelib.runs import fit as run_fit
from corelib.runs import loop

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows SIGTERM is as final
KILLED = -KILL if os.name == "posix" else int(KILL)


def die() -> None:
    os.kill(os.getpid(), KILL)


def die_at(moment: str, target: str) -> None:
    """From now on this process is killed at a moment: (half, whole, named; file), (renamed,
    folder), (before or behind, call:n)."""
    if moment == "half":  # of the file's bytes are written
        write = Path.write_bytes

        def written(path: Path, content: bytes) -> int:
            if _is_scratch_of(path.name, target):
                write(path, content[: len(content) // 2])
                die()
            return write(path, content)

        Path.write_bytes = written
    elif moment in (
        "whole",
        "named",
        "aside",
    ):  # before and after a file or folder gets its name, or gives it away
        for function in ("replace", "rename"):
            setattr(os, function, _dying_rename(getattr(os, function), moment, target))
    else:
        name, _, number = target.partition(":")
        owner = {"backward": torch.Tensor, "evaluate": loop, "load_clip": clips}[name]
        setattr(owner, name, _dying_call(getattr(owner, name), moment, int(number)))


def _is_scratch_of(scratch: str, name: str) -> bool:
    stem, _, suffix = name.partition(".")
    return (
        re.fullmatch(rf"\.{re.escape(stem)}\.\w+\.unfinished\.{re.escape(suffix)}", scratch)
        is not None
    )


def _dying_rename(rename, moment: str, target: str):
    def renamed(source, destination) -> None:
        named, aside = Path(destination).name == target, Path(source).name == target
        if named and moment == "whole":
            die()
        rename(source, destination)
        if (named and moment == "named") or (aside and moment == "aside"):
            die()

    return renamed


def _dying_call(call, moment: str, number: int):
    calls = []

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == number and moment == "before":
            die()
        result = call(*arguments, **options)
        if len(calls) == number and moment == "behind":
            die()
        return result

    return counted


def train(dataset: str, recipe: dict, out: str, moment: list[str] | None = None) -> None:
    if moment:
        die_at(*moment)
    run_fit.fit(
        SampleTable.load(dataset), Recipe.from_dict(recipe), out, device="cpu", progress=False
    )


def replace_dataset(folder: str, mark: int, moment: list[str] | None = None) -> None:
    """Prepare a dataset of features that are all `mark`, in place of the one in the folder."""
    table = SampleTable.load(folder)
    if moment:
        die_at(*moment)
    with new_dataset(folder, overwrite=True) as scratch:
        write_bank(
            scratch / "features.safetensors",
            np.full((len(table.samples), 1, 2), mark, np.float32),
            table.samples["id"].tolist(),
        )
        write_table(scratch, table.info | {"mark": mark}, table.samples)


def start(function, *arguments):
    """A process that runs a function of this module."""
    process = get_context("fork" if sys.platform == "linux" else "spawn").Process(
        target=function, args=arguments
    )
    process.start()
    return process


def run(function, *arguments) -> int:
    process = start(function, *arguments)
    process.join()
    return process.exitcode


def kill_trainings(
    dataset: str, recipe: dict, out: str, moments: list[list[str]], seconds: list[float]
) -> dict:
    """Train alone, and once more killed at every moment and after so many seconds; each process
    goes on from the last one.

    Returns {alone: exit code, killed: those of the killed, left: the files after each of them,
    resumed: two exit codes}.
    """
    found = {"alone": run(train, dataset, recipe, f"{out}/alone"), "killed": [], "left": []}
    for moment in moments:
        found["killed"].append(run(train, dataset, recipe, f"{out}/killed", moment))
        found["left"].append(sorted(path.name for path in Path(out, "killed").glob("*")))
    for delay in seconds:
        process = start(train, dataset, recipe, f"{out}/by the clock")
        process.join(delay)
        process.kill()
        process.join()
    found["resumed"] = [
        run(train, dataset, recipe, f"{out}/{name}") for name in ("killed", "by the clock")
    ]
    return found


def kill_preparations(folder: str, moments: list[list[str]]) -> list[dict]:
    """Replace a dataset of features, killed at every moment; the mark that is found there after
    each, then the last one's."""
    found = []
    for number, moment in enumerate([*moments, None], start=1):
        code = run(replace_dataset, folder, number, moment)
        table = SampleTable.load(folder)
        found.append(
            {
                "code": code,
                "mark": table.info["mark"],
                "features": np.unique(FeatureSteps(table).features).tolist(),
            }
        )
    return found


def fill_cache(dataset: str, recipe: dict, moment: list[str]) -> int:
    return run(_open_clips, dataset, recipe, moment)


def _open_clips(dataset: str, recipe: dict, moment: list[str] | None) -> None:
    if moment:
        die_at(*moment)
    clips.VideoClips(SampleTable.load(dataset), Recipe.from_dict(recipe), progress=False)


def train_into_one_folder(dataset: str, recipe: dict, out: str) -> dict:
    """A second training beside a first one that is stopped in its first step, and after that one
    was killed."""
    files.PATIENCE = 0.2
    first = start(_train_slowly, dataset, recipe, out)
    while not Path(out, "in a step").exists():
        time.sleep(0.05)
    beside = run(train, dataset, recipe, out)
    first.kill()
    first.join()
    return {"first": first.pid, "beside": beside, "after": run(train, dataset, recipe, out)}


def _train_slowly(dataset: str, recipe: dict, out: str) -> None:
    def stopped(*arguments, **options):
        Path(out, "in a step").touch()
        time.sleep(600)

    torch.Tensor.backward = stopped
    train(dataset, recipe, out)


def fill_disk(dataset: str, recipe: dict, small: str, alone: str) -> dict:
    """On a small file system: the cache of clips finds no room; a training finds none for its
    second checkpoint, and then some.

    Nothing where this user may not mount one.
    """
    Path(small).mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], capture_output=True
    ).returncode:
        return {}
    shutil.copytree(dataset, f"{small}/dives", ignore=shutil.ignore_patterns("cache"))
    found = {"alone": run(train, dataset, recipe, alone)}
    leave_free(small, 200_000)
    found["cache"] = run(_open_clips, f"{small}/dives", recipe, None)
    Path(small, "ballast").unlink()
    shutil.rmtree(f"{small}/dives")
    found["full"] = run(_fill_after_an_epoch, dataset, recipe, f"{small}/run")
    found["epoch"] = torch.load(f"{small}/run/last.pt", weights_only=True)["epoch"]
    found["left"] = sorted(path.name for path in Path(small, "run").iterdir())
    Path(small, "ballast").unlink()
    found["room again"] = run(train, dataset, recipe, f"{small}/run")
    found["equal"] = all(
        Path(small, "run", name).read_bytes() == Path(alone, name).read_bytes()
        for name in ("best.safetensors", "predictions.csv")
    )
    return found


def leave_free(folder: str, size: int) -> None:
    with open(f"{folder}/ballast", "wb") as file:
        file.write(bytes(shutil.disk_usage(folder).free - size))


def _fill_after_an_epoch(dataset: str, recipe: dict, out: str) -> None:
    replace = os.replace

    def filling(source, destination) -> None:
        replace(source, destination)
        if Path(destination).name == "history.csv":
            leave_free(Path(out).parent, 100_000)

    os.replace = filling
    train(dataset, recipe, out)


def interrupt_training(arguments: list[str], beginning: str) -> int:
    """Ctrl-C in the command line's training, once a file tells that it has begun."""
    process = start(_command_line, arguments)
    while not Path(beginning).exists() and process.is_alive():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    return process.exitcode


def _command_line(arguments: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line.main(arguments)


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {}
    for scenario, given in json.loads(sys.argv[1]).items():
        with open(f"{sys.argv[2]}/{scenario}.txt", "w") as said:  # of the processes' standard error
            os.dup2(said.fileno(), 2)
        found[scenario] = globals()[scenario.partition(":")[0]](**given)
    Path(sys.argv[2], "found.json").write_text(json.dumps(found))
