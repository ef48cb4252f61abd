"""Where a training step's time goes: the ten costliest kernels, as PyTorch's profiler has them.

python tests/benchmarks/kernels.py [--size laptop|gpu] [--device auto] [--precision auto]
"""

from __future__ import annotations

import click
import torch
from side_by_side import NoiseVideos, machine_line
from torch.profiler import ProfilerActivity, profile
from training import STORED, VIDEOS, Training

from corelib.machine.devices import pick_device
from corelib.recipe import named


@click.command(help=__doc__.splitlines()[0])
@click.option("--size", type=click.Choice(["laptop", "gpu"]), default="laptop", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--steps", default=4, show_default=True)
@click.option("--rows", default=10, show_default=True, help="Kernels shown.")
def main(size: str, device: str, precision: str, steps: int, rows: int) -> None:
    torch.manual_seed(0)
    place = pick_device(device)
    recipe = named(size, with_difficulty=True, precision=precision)
    source = NoiseVideos(VIDEOS, recipe, height=STORED[size], width=STORED[size])
    training = Training(recipe, source, place, steps)
    on_gpu = place.type == "cuda"
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=kinds) as seen:
        training.run(training.used)
        if on_gpu:
            torch.cuda.synchronize(place)
    print(f"{machine_line(place)}; recipe {size}, {len(training.used)} steps")

    def cost(event) -> float:  # microseconds, without those of the kernels it calls
        return event.self_device_time_total if on_gpu else event.self_cpu_time_total

    events = sorted(seen.key_averages(), key=cost, reverse=True)
    total = sum(map(cost, events))
    for event in events[:rows]:
        share, each = cost(event) / total, cost(event) / 1000 / len(training.used)
        print(f"{share:6.1%} {each:9.2f} ms a step {event.count:7} calls  {event.key[:70]}")


if __name__ == "__main__":
    main()
