"""Host memory of a data set far larger than the paper's: 20,000 videos prepared, trained on for an
epoch and evaluated.

Small videos (16 frames of 32 x 32; a few procedural dives under many names) and the recipe `smoke`,
so that it takes minutes. What must not grow with the number of samples is everything beyond the
videos themselves: the table, the score groups, the plan of an epoch, the features, the votes. After
each part the process's peak so far is printed.

    python tests/benchmarks/memory.py [--samples 20000]
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
from side_by_side import CARD, machine_line, peak_gb

from corelib.data.samples import SampleTable, write_table
from corelib.pairs import PairDifferences
from corelib.recipe import named
from corelib.runs.fit import fit
from corelib.tree import quantile_edges
from data_scripts.dives.dataset import make_dives


def many_videos(folder: Path, count: int) -> SampleTable:
    """`count` samples of 70 % training, 10 % validation and 20 % test rows, with random scores."""
    few = make_dives(
        folder / "few", train=40, val=4, test=4, frames=16, size=32, workers=os.cpu_count()
    )
    (folder / "many" / "videos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    media = [f"videos/{number:06d}.mp4" for number in range(count)]
    files = [few.root / name for name in few.samples["media"]]
    contents = [file.read_bytes() for file in files]
    for number, name in enumerate(media):
        # an empty box with a number at the end, as MP4 has it: no two files are the same
        (folder / "many" / name).write_bytes(
            contents[number % len(files)] + struct.pack(">I4sQ", 16, b"free", number)
        )
    difficulty, marks = (
        rng.choice(np.round(np.linspace(1.6, 4.1, 26), 1), count),
        rng.uniform(5, 26, count).round(1),
    )
    split = np.array(["train"] * 7 + ["val"] + ["test"] * 2)[np.arange(count) % 10]
    samples = pd.DataFrame(
        {
            "id": [Path(name).stem for name in media],
            "split": split,
            "score": (marks * difficulty).round(2),
            "difficulty": difficulty,
            "media": media,
        }
    )
    write_table(folder / "many", CARD | {"name": "many"}, samples)
    return SampleTable.load(folder / "many")


@click.command(help=__doc__.splitlines()[0])
@click.option("--samples", default=20_000, show_default=True)
def main(samples: int) -> None:
    print(machine_line())
    started = time.perf_counter()

    def report(what: str) -> None:
        print(
            f"{what:58} peak {peak_gb():.2f} GB, after {time.perf_counter() - started:.0f} s",
            flush=True,
        )

    report("corelib imported")
    with tempfile.TemporaryDirectory() as folder:
        table = many_videos(Path(folder), samples)
        report(f"{samples:,} videos prepared")
        everyone = np.zeros(len(table.samples))
        differences = PairDifferences(table.target(True), everyone)
        edges = quantile_edges(differences, 5)
        report(f"score groups of {len(differences):,} pairs ({edges[1]:.2f} .. {edges[-1]:.2f})")
        recipe = named("smoke", with_difficulty=True, epochs=1, passes=1)
        run = fit(table, recipe, Path(folder) / "run", device="cpu", progress=False)
        report(f"trained for an epoch and tested, {run.metrics[0]['encoded']:,} videos encoded")
        judged = run.evaluate(exemplars="all")
        report(f"tested with all exemplars of the group, {len(judged.votes):,} votes")


if __name__ == "__main__":
    main()
