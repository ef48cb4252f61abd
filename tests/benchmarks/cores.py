"""Seconds an epoch of CoRe against the cores that work on it, and the share that waits for inputs.

A process with one thread, with as many as there are cores, and ranks of torchrun with one thread
each, as several GPUs would share a batch. Real dives through the real inputs, the recipe `laptop`;
the ways take turns. Draws docs/cores.png.

    python tests/benchmarks/cores.py [--dataset datasets/dives] [--steps 12] [--out docs/cores.png]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import click
import numpy as np
import torch
from side_by_side import machine_line
from training import Waited

from corelib.data.samples import SampleTable
from corelib.evaluation import open_inputs
from corelib.figures.style import BLUE, PALE, legend_below, panels, styled
from corelib.machine import distributed
from corelib.models import build_model
from corelib.recipe import named
from corelib.task import Task
from corelib.training import TrainingStep, make_optimizer, plan_epoch, train_epoch

CPU = torch.device("cpu")


def ways(cores: int) -> dict[str, tuple[int, int]]:
    """Name -> (ranks, threads of each)."""
    counts = sorted({1, *(2**power for power in range(1, 10) if 2**power <= cores), cores})
    threads = {f"one process,\n{n} thread{'s' * (n > 1)}": (1, n) for n in counts}
    return threads | {f"{n} ranks,\n1 thread each": (n, 1) for n in counts if n > 1}


def point(dataset: str, steps: int) -> None:
    """Print seconds an epoch and the share of waiting, measured over `steps` batches."""
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    distributed.start("cpu")
    table, recipe = SampleTable.load(dataset), named("laptop", with_difficulty=True)
    task = Task.of(table, recipe)
    with distributed.one_first():
        source = Waited(open_inputs(table, recipe, progress=False))
    torch.manual_seed(0)
    model = build_model(recipe, task.targets[task.fit], task.groups[task.fit])
    plan = plan_epoch(recipe, task.fit, task.groups, 0)
    step_of = distributed.join(TrainingStep(model, recipe, CPU))
    how = make_optimizer(model, recipe, len(plan))
    for measured in (plan[:2], plan[2 : 2 + steps]):
        distributed.wait()
        started, source.seconds = time.perf_counter(), 0.0
        train_epoch(step_of, source, task, measured, how, epoch=0)
        seconds = time.perf_counter() - started
    if distributed.rank() == 0:
        videos = sum(len(batch.rows) for batch in measured)
        epoch = seconds * sum(len(batch.rows) for batch in plan) / videos
        print(f"point|{epoch}|{source.seconds / seconds}", flush=True)


@styled
def cost_of_cores(found: dict[str, list[tuple[float, float]]], epoch: str):
    """Bars: the median seconds an epoch, the part that waits above; dots are the rounds."""
    figure, [[axis]] = panels(size=(1.9 * len(found) + 2, 4), title=f"An epoch of {epoch}")
    for place, rounds in enumerate(found.values()):
        seconds, waited = np.median(rounds, axis=0)
        axis.bar(place, seconds, color=BLUE, width=0.6, label="computing" if not place else None)
        waiting = {"bottom": seconds * (1 - waited), "color": PALE, "width": 0.6}
        axis.bar(place, seconds * waited, label=None if place else "waiting for inputs", **waiting)
        axis.plot([place] * len(rounds), [s for s, _ in rounds], "k.")
        said = f"{seconds:.1f} s, {waited:.1%} waiting"
        above = (place, max(each for each, _ in rounds))
        axis.annotate(said, above, (0, 8), ha="center", textcoords="offset points")
    axis.set(xticks=range(len(found)), xticklabels=list(found), ylabel="seconds an epoch")
    axis.margins(y=0.15)
    legend_below(figure, axis, 2)
    return figure


@click.command(help=__doc__.splitlines()[0])
@click.option("--dataset", default="datasets/dives", show_default=True)
@click.option("--steps", default=12, show_default=True, help="Measured batches of each way.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--out", default="docs/cores.png", show_default=True, type=click.Path(path_type=Path))
@click.option("--point", "one", is_flag=True, hidden=True)
def main(dataset, steps, rounds, out, one) -> None:
    if one:
        point(dataset, steps)
        return
    print(machine_line())
    found: dict[str, list] = {name: [] for name in ways(len(os.sched_getaffinity(0)))}
    for _ in range(rounds):
        for name, (ranks, threads) in ways(len(os.sched_getaffinity(0))).items():
            run = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)] * (ranks > 1)
            command = [sys.executable, *run, __file__, "--point", "--dataset", dataset]
            said = subprocess.run(
                [*command, "--steps", str(steps)],
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout  # fmt: skip
            line = next(line for line in said.splitlines() if line.startswith("point|"))
            seconds, waited = map(float, line.split("|")[1:])
            found[name].append((seconds, waited))
            flat = name.replace("\n", " ")
            print(f"{flat:28} {seconds:7.1f} s an epoch, {waited:6.1%} waiting", flush=True)
    cost_of_cores(found, "CoRe, laptop recipe").savefig(out, bbox_inches="tight")
    print(f"figure: {out}")


if __name__ == "__main__":
    main()
