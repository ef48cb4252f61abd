"""What a training step costs: pairs and clips a second, peak memory, share of the machine's matrix
rate, and the share of the time in which it waited for inputs.

"as released" is one pair a step, encoded for itself, float32, eager, memory laid out channel after
channel. The others are the kit's recipe of that size, with its loop, optimizer and augmentation.
Frames are noise in memory, so no disk and no decoder is measured (tests/benchmarks/inputs.py does
that). The matrix rate is measured too, on a large product, in bf16 where the hardware has it.

    python tests/benchmarks/training.py [--size laptop|gpu] [--device auto] [--steps 12] [--compile]
"""

from __future__ import annotations

import time

import click
import numpy as np
import torch
from encoder import plain
from side_by_side import NoiseVideos, machine_line
from torch.utils.flop_counter import FlopCounterMode

from corelib.machine.devices import pick_device, pick_precision, weights_type
from corelib.models import build_model
from corelib.recipe import Recipe, named
from corelib.task import Task
from corelib.training import TrainingStep, make_optimizer, plan_epoch, train_epoch

VIDEOS = 64  # that the batches are drawn from
WORKERS = 8  # threads that make batches ready for a GPU
STORED = {"laptop": 72, "gpu": 256}  # pixels of the stored frames, square


def matrix_rate(device: torch.device, size: int, kind: torch.dtype, rounds: int = 10) -> float:
    """Floating-point operations a second of a matrix product [size, size] @ [size, size]."""
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / float(np.median(seconds[2:]))


class Waited:
    """A source that notes the seconds until each batch was there."""

    def __init__(self, source: NoiseVideos):
        self.source, self.seconds = source, 0.0

    def to_inputs(self, *batch):
        return self.source.to_inputs(*batch)

    def batches(self, parts, **how):
        raws = self.source.batches(parts, **how)
        while True:
            started = time.perf_counter()
            raw = next(raws, None)
            self.seconds += time.perf_counter() - started
            if raw is None:
                return
            yield raw


class Training:
    """A model in training, ready for its measured steps.

    steps     batches of the usual size, after a few unmeasured ones
    released  the encoder as the released code runs it
    """

    def __init__(self, recipe: Recipe, source, device: torch.device, steps: int, *, released=False):
        rng = np.random.default_rng(0)
        targets, groups = rng.uniform(5, 28, VIDEOS), rng.integers(0, 4, VIDEOS)
        model = build_model(recipe, targets, groups).to(device)
        if released:
            model.encoder.i3d = plain(model.encoder.i3d)
        plans = [
            batch
            for epoch in range(99)
            for batch in plan_epoch(recipe, np.arange(VIDEOS), groups, epoch)
        ]
        self.task = Task(None, recipe, targets, np.ones(VIDEOS), 0.0, groups, None)
        self.how = make_optimizer(model, recipe, len(plans))
        self.step_of = TrainingStep(model, recipe, device)
        self.source, self.device = source, device
        size = sorted(len(batch.rows) for batch in plans)[len(plans) // 2]
        plans = [batch for batch in plans if len(batch.rows) == size]
        self.used = plans[3 : 3 + steps]
        self.run(plans[:3])

    def run(self, plan: list) -> None:
        workers = {"workers": WORKERS if self.device.type == "cuda" else 0}
        train_epoch(self.step_of, self.source, self.task, plan, self.how, epoch=1, **workers)


def measure(
    recipe: Recipe, source: NoiseVideos, device: torch.device, steps: int, *, released: bool = False
) -> dict:
    """Trains `steps` steps after a few unmeasured ones; rates a second, peak memory in GB,
    operations a video, share of the time spent waiting."""
    training = Training(recipe, Waited(source), device, steps, released=released)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    used, training.source.seconds = training.used, 0.0
    started = time.perf_counter()
    training.run(used)
    seconds = time.perf_counter() - started
    videos = sum(len(batch.rows) for batch in used)
    found = {
        "videos": videos / seconds,
        "clips": videos * len(recipe.snippet_starts) / seconds,
        "pairs": sum(len(batch.pairs) for batch in used) / seconds,
        "waited": training.source.seconds / seconds,
    }
    found["memory"] = (
        torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else float("nan")
    )
    if not recipe.compile:
        with FlopCounterMode(display=False) as counter:
            training.run(used[:1])
        found["operations"] = counter.get_total_flops() / len(used[0].rows)
    return found


@click.command(help=__doc__.splitlines()[0])
@click.option(
    "--size",
    type=click.Choice(["laptop", "gpu"]),
    default="laptop",
    show_default=True,
    help="The recipe whose clips and encoder are taken.",
)
@click.option("--device", default="auto", show_default=True)
@click.option("--steps", default=12, show_default=True, help="Measured steps of each way.")
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Measure torch.compile too (it takes minutes to begin).",
)
def main(size: str, device: str, steps: int, compiled: bool) -> None:
    torch.manual_seed(0)
    place = pick_device(device)
    recipe = named(size, with_difficulty=True)
    kind = weights_type(pick_precision("auto", place))  # bf16 where the hardware multiplies it
    rate = matrix_rate(place, 8192 if place.type == "cuda" else 2048, kind)
    print(
        f"{machine_line(place)}\nrecipe {size}: {recipe.frames} frames,"
        f" {len(recipe.snippet_starts)} snippets of {recipe.snippet_length} x {recipe.crop} x"
        f" {recipe.crop}, I3D at {recipe.width:g} of its width; matrix rate in {str(kind)[6:]}"
        f" {rate / 1e12:.2f} TFLOP/s"
    )
    one_pair = {"pairing": "two", "batch": 1, "accumulate": 2, "passes": 1}
    ways = {
        "as released": recipe.replace(**one_pair, precision="fp32"),
        "one pair, our modules": recipe.replace(**one_pair, precision="fp32"),
        f"all pairs of {recipe.batch}, float32": recipe.replace(precision="fp32"),
        f"all pairs of {recipe.batch}, auto": recipe,
        "  + checkpointing": recipe.replace(checkpointing=True),
    }
    if compiled:
        ways["  + compile"] = recipe.replace(compile=True)
    source = NoiseVideos(VIDEOS, recipe, height=STORED[size], width=STORED[size])
    print(
        f"{'':28}{'pairs/s':>9}{'clips/s':>9}{'times':>7}{'peak GB':>9}{'of rate':>9}{'waited':>8}"
    )
    first, operations = None, float("nan")
    for name, way in ways.items():
        try:
            found = measure(
                way,
                source,
                place,
                steps if way.batch > 1 else 4 * steps,
                released=name == "as released",
            )
        except torch.cuda.OutOfMemoryError:
            print(f"{name:28}  does not fit into this GPU's memory")
            torch.cuda.empty_cache()
            continue
        first = first or found["clips"]
        # what the mathematics asks for, without what checkpointing computes again
        operations = operations if way.checkpointing or way.compile else found["operations"]
        share = operations * found["videos"] / rate
        pairs, clips, memory = (found[key] for key in ("pairs", "clips", "memory"))
        rates = f"{pairs:9.1f}{clips:9.1f}{clips / first:7.2f}{memory:9.2f}{share:9.1%}"
        print(f"{name:28}{rates}{found['waited']:8.1%}")


if __name__ == "__main__":
    main()
