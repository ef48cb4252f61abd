"""The input pipeline alone, in videos a second, decoded as they are needed and from the cache, by
number of workers.

Size laptop: also against what its training step consumes. Size gpu: 103 frames of 256 pixels,
batches of 8 videos (a video is ten clips), as the recipe `gpu` reads them.

    python tests/benchmarks/inputs.py [--size gpu] [--videos 48] [--rounds 5]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import torch
from side_by_side import machine_line, medians

from corelib.data.clips import VideoClips
from corelib.models import build_model
from corelib.recipe import named
from corelib.task import group_labels
from corelib.training import TrainingStep, make_optimizer, plan_epoch
from data_scripts.dives.dataset import make_dives

SIZES = {
    "laptop": (36, 72, (0, 1)),
    "gpu": (103, 256, (0, 1, 2, 4, 12)),
}  # frames and pixels as stored, workers


@click.command(help=__doc__.splitlines()[0])
@click.option("--size", type=click.Choice(list(SIZES)), default="laptop", show_default=True)
@click.option("--videos", default=48, show_default=True, help="Procedural dives.")
@click.option("--rounds", default=5, show_default=True, help="Times that each part is measured.")
def main(size: str, videos: int, rounds: int) -> None:
    print(machine_line())
    recipe, (frames, pixels, workers) = named(size, with_difficulty=True), SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": videos - 12, "val": 6, "test": 6}
        table = make_dives(
            Path(folder) / "dives", **counts, frames=frames, size=pixels, workers=os.cpu_count()
        )
        train, targets, groups = (
            table.rows("train"),
            table.target(True),
            group_labels(table, recipe),
        )
        plan = plan_epoch(recipe, train, groups, 0)
        count = sum(len(batch.rows) for batch in plan)
        parts = {}
        for kept, source in {
            "decoded": VideoClips(table, recipe, cache=False, progress=False),
            "from the cache": VideoClips(table, recipe, cache=True, progress=False),
        }.items():
            for number in workers:

                def read(source=source, number=number) -> None:
                    for _ in source.batches([batch.rows for batch in plan], workers=number):
                        pass

                parts[f"{kept}, {number} workers"] = read
        batch = max(plan, key=lambda batch: len(batch.rows))
        if size == "laptop":
            parts["inputs of the training step made ready"] = lambda: [
                source.to_inputs(raw, torch.Generator().manual_seed(0))
                for raw in source.batches([batch.rows for batch in plan])
            ]
            parts["training step"] = training_step(recipe, source, batch, targets, groups, train)
        seconds = medians(parts, rounds)
    if size == "laptop":
        print(f"training step: {len(batch.rows) / seconds.pop('training step'):.0f} videos/s")
    for name, taken in seconds.items():
        print(
            f"{name}: {count / taken:.1f} videos/s,"
            f" {len(recipe.snippet_starts) * count / taken:.0f} clips/s"
        )


def training_step(recipe, source, batch, targets, groups, train):
    """A function that takes one step on inputs that are there already."""
    model = build_model(recipe, targets[train], groups[train])
    step_of = TrainingStep(model, recipe, torch.device("cpu")).train()
    optimizer, _ = make_optimizer(model, recipe, 1000)
    ready = source.to_inputs(source.read(batch.rows))
    wanted = torch.as_tensor(targets[batch.rows], dtype=torch.float32)

    def step() -> None:
        step_of(ready, wanted, torch.as_tensor(batch.pairs)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
