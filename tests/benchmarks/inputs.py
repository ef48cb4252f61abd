"""The input pipeline alone against what the laptop training step consumes, in videos a second.

Prepared: decoded and resized frames in one memory-mapped file. Measured: reading batches of it, augmentation,
normalisation and snippets; and the training step on inputs that are there already.

    python tests/benchmarks/inputs.py [--videos 48] [--rounds 5]
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click
import torch
from side_by_side import machine_line, medians

from corelib.data.clips import VideoClips
from corelib.data.dive_dataset import make_dives
from corelib.evaluation import group_labels
from corelib.models import build_model
from corelib.recipe import named
from corelib.training import TrainingStep, make_optimizer, plan_epoch


@click.command(help=__doc__.splitlines()[0])
@click.option("--videos", default=48, show_default=True, help="Procedural dives at laptop size.")
@click.option("--rounds", default=5, show_default=True, help="Times that each part is measured.")
def main(videos: int, rounds: int) -> None:
    print(machine_line())
    recipe = named("laptop", with_difficulty=True)
    with tempfile.TemporaryDirectory() as folder:
        table = make_dives(Path(folder) / "dives", train=videos - 12, val=6, test=6, frames=36, size=72, workers=os.cpu_count())
        started = time.perf_counter()
        source = VideoClips(table, recipe, progress=False)
        print(f"cache of {len(source)} videos ({source.cache.nbytes / 1e6:.0f} MB) written at {len(source) / (time.perf_counter() - started):.0f} videos/s, once")
        train, targets, groups = table.rows("train"), table.target(True), group_labels(table, recipe)
        plan = plan_epoch(recipe, train, groups, 0)
        count = sum(len(batch.rows) for batch in plan)
        model = build_model(recipe, targets[train], groups[train])
        step_of = TrainingStep(model, recipe, torch.device("cpu")).train()
        optimizer, _ = make_optimizer(model, recipe, 1000)
        batch = max(plan, key=lambda batch: len(batch.rows))
        ready, wanted = source.to_inputs(source.read(batch.rows)), torch.as_tensor(targets[batch.rows], dtype=torch.float32)

        def load(workers: int) -> None:
            for number, raw in enumerate(source.batches([batch.rows for batch in plan], workers=workers)):
                source.to_inputs(raw, torch.Generator().manual_seed(number))

        def step() -> None:
            step_of(ready, wanted, torch.as_tensor(batch.pairs)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        seconds = medians({"in this process": lambda: load(0), "one thread ahead": lambda: load(1), "training step": step}, rounds)
        consumed = len(batch.rows) / seconds.pop("training step")
        print(f"training step ({step_of.precision}): {consumed:.0f} videos/s")
        for name, taken in seconds.items():
            print(f"inputs, {name}: {count / taken:.0f} videos/s, {count / taken / consumed:.1f} x what the step consumes")


if __name__ == "__main__":
    main()
