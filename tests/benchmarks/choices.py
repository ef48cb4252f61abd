"""Two choices of the recipe `laptop`, tried on the procedural dives with three seeds: how pairs are
made, how snippets lie.

pairing  "batch": all ordered pairs of a batch's groups | "two": one exemplar a query, as published;
         equally many clips
layout   snippets side by side | overlapping by a half, as the paper's ten in 103 frames do | one
         pass over all frames

Trains what is not there yet (a laptop training each), prints a table and draws validation rho
against encoded clips and against seconds.

    python tests/benchmarks/choices.py pairing|layout [--dataset datasets/dives] [--seeds 0-2]
    [--out docs]
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from cost_figures import progress_for_cost
from side_by_side import machine_line

from corelib.data.samples import SampleTable
from corelib.recipe import named
from corelib.runs.fit import find_or_train
from corelib.runs.options import parse_seeds

WAYS = {
    "pairing": {
        "all pairs of a batch": {},
        "one exemplar a query (paper)": {"pairing": "two", "batch": 4},
    },
    "layout": {
        "side by side: 2 snippets, 32 frames encoded": {},
        "overlapping: 3 snippets, 48 frames encoded": {"snippet_starts": [0, 8, 16]},
        "whole video: 1 snippet, 32 frames encoded": {"snippet_starts": [0], "snippet_length": 32},
    },
}


@click.command(help=__doc__.splitlines()[0])
@click.argument("choice", type=click.Choice(list(WAYS)))
@click.option(
    "--dataset", default="datasets/dives", show_default=True, type=click.Path(exists=True)
)
@click.option("--seeds", default="0-2", show_default=True)
@click.option("--runs", default="runs/choices", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    default="docs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the figure.",
)
def main(choice: str, dataset: str, seeds: str, runs: Path, out: Path) -> None:
    print(machine_line())
    table, histories = SampleTable.load(dataset), {}
    print(
        f"{'CoRe (w/ DD), laptop, ' + table.name:46}{'test rho':>18}{'R-l2 x100':>16}"
        f"{'seconds':>9}{'clips':>9}   rho of each seed"
    )
    for name, changes in WAYS[choice].items():
        trained = [
            find_or_train(
                table,
                named("laptop", with_difficulty=True, seed=seed, **changes),
                runs,
                progress=False,
            )
            for seed in parse_seeds(seeds)
        ]
        rows = [run.metrics[0] for run in trained]
        rho, rl2 = (np.array([row[key] for row in rows]) for key in ("spearman", "rl2_x100"))
        # the history counts videos; each of them has so many clips
        histories[name] = [
            run.history.assign(
                encoded=lambda rows: rows["encoded"] * len(run.recipe.snippet_starts)
            )
            for run in trained
        ]
        clips = histories[name][0]["encoded"].sum()
        seconds = np.mean([row["seconds"] for row in rows])
        print(
            f"{name:46}{rho.mean():9.4f} ± {rho.std(ddof=1):.4f}{rl2.mean():9.3f} ±"
            f" {rl2.std(ddof=1):.3f}{seconds:9.0f}{clips:9}   "
            + " ".join(f"{value:.4f}" for value in rho),
            flush=True,
        )
    figure = progress_for_cost(histories, title="Validation rho for what training has spent")
    figure.savefig(out / f"{choice}.png")
    print(f"figure: {out / choice}.png")


if __name__ == "__main__":
    main()
