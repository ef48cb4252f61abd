"""How time and memory grow with videos, exemplars, frames and depth: measured, beside the slope
that is expected.

Every point is a process of its own, so that its peak memory is its own, and keeps what it has freed
(KEEP): otherwise some processes return memory to the system after every block of votes, fetch it
again, and take twice the time. Encoding and voting are those of an evaluation at laptop size, in
float32. Draws docs/costs.png.

    python tests/benchmarks/costs.py [--out docs/costs.png]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from cost_figures import cost_growth, growth
from side_by_side import NoiseVideos, machine_line, peak_gb

from corelib.evaluation import encode, vote
from corelib.models import build_model
from corelib.pairs import Exemplars
from corelib.recipe import named

KEEP = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
}  # as glibc reads them

# what grows, its values, and how it reads on the axis
AXES = {
    "videos": ([64, 128, 256, 512, 1024], "videos encoded"),
    "frames": ([16, 32, 64, 128], "frames a video (64 videos)"),
    "exemplars": ([64, 128, 256, 512, 1024], "exemplars of 353 queries"),
    "depth": ([4, 5, 6, 7, 8], "leaves of the tree"),
}


def seconds_of(way, least: float = 0.3) -> float:
    """The median time of a call, of three at least and for as long as `least` seconds."""
    way()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < least:
        started = time.perf_counter()
        way()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def point(axis: str, value: int) -> tuple[float, float]:
    """(seconds, GB that the work added to the process's peak memory) of one value of an axis."""
    torch.manual_seed(0)
    if axis in ("videos", "frames"):
        frames = value if axis == "frames" else 32
        recipe = named(
            "laptop", frames=frames, snippet_starts=list(range(0, frames, 16)), temporal_shift=0
        )
        count = value if axis == "videos" else 64
        source, model = (
            NoiseVideos(count, recipe, height=64, width=64),
            build_model(recipe, np.arange(9.0), np.zeros(9)),
        )
        before = peak_gb()

        def way():
            return encode(model, source, np.arange(count), device=torch.device("cpu"))

    else:
        recipe = named("laptop", depth=value if axis == "depth" else 5, encoder="projection")
        model = build_model(
            recipe, np.random.default_rng(0).uniform(0, 30, 400), np.zeros(400), in_features=8
        ).eval()
        pool = value if axis == "exemplars" else 256
        features, targets = (
            torch.randn(353 + pool, 256),
            torch.rand(353 + pool, dtype=torch.float64) * 30,
        )
        pairs = Exemplars(np.repeat(np.arange(353), pool), np.tile(353 + np.arange(pool), 353), {})
        before = peak_gb()

        def way():
            return vote(model, features, targets, pairs)

    taken = seconds_of(way)
    return taken, peak_gb() - before


@click.command(help=__doc__.splitlines()[0])
@click.option("--out", default="docs/costs.png", show_default=True, type=click.Path(path_type=Path))
@click.option("--point", "one", nargs=2, hidden=True)
def main(out: Path, one: tuple[str, str] | None) -> None:
    if one:
        print(*point(one[0], int(one[1])))
        return
    print(machine_line())
    parts = {}
    for axis, (values, label) in AXES.items():
        rows = []
        for value in values:
            said = subprocess.run(
                [sys.executable, __file__, "--point", axis, str(value)],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | KEEP,
            ).stdout
            seconds, gb = (float(word) for word in said.split())
            rows.append(
                {
                    "size": 2 ** (value - 1) if axis == "depth" else value,
                    "seconds": seconds,
                    "gb": gb,
                }
            )
            print(f"{axis:10}{value:6}: {seconds:8.3f} s {gb:7.3f} GB", flush=True)
        parts[label] = pd.DataFrame(rows)
        print(
            f"{axis}: time grows with the power"
            f" {growth(parts[label]['size'], parts[label]['seconds']):.2f} of the size (expected 1)"
        )
    cost_growth(parts, title="What more of each costs").savefig(out)
    print(f"figure: {out}")


if __name__ == "__main__":
    main()
