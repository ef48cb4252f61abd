"""CoRe against I3D+MLP at equal cost, and with fewer training dives: where does contrast pay?

    .venv/bin/python tests/benchmarks/equal_cost.py clips [--dataset datasets/dives] [--seeds 0-4]
    .venv/bin/python tests/benchmarks/equal_cost.py dives --dataset BANK [--seeds 0-4]

clips  the recipe `laptop`, end to end, for 3, 6 and 12 epochs; I3D+MLP for twice as many, as an
       epoch of CoRe encodes every dive twice
dives  both systems, the kernel, and CoRe on likeness, as their recipes have them (but for the
       refit), on features that a frozen I3D computed before (frozen.py makes them), learning from
       50, 100, 200 (drawn by the seed) and all 450 training dives

What is trained already is kept in --runs. The table goes to notebooks/measured/equal_<part>.json.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import numpy as np
import pandas as pd
from stored import store

from corelib.data.samples import SampleTable
from corelib.recipe import SYSTEMS, named
from corelib.runs.fit import fit
from corelib.runs.options import parse_seeds

EPOCHS = {"core": (3, 6, 12), "mlp": (6, 12, 24)}  # of about equally many encoded clips
DIVES = (50, 100, 200, 450)
WAYS = {  # of the part `dives`: recipe and system
    "I3D+MLP": ("features", "mlp"),
    "CoRe": ("features", "core"),
    "Kernel ridge": ("features", "kernel"),
    "CoRe on likeness": ("likeness", "core"),
}


def clips_row(table: SampleTable, runs: Path, seed: int, system: str, dd: bool, epochs: int):
    """One training from videos: its clips, and rho and R-l2 x100 on test."""
    knobs = {"epochs": epochs, "validate_every": epochs}
    recipe = named("laptop", system=system, seed=seed, with_difficulty=dd, **knobs)
    run = fit(
        table, recipe, runs / f"{system}{'-dd' if dd else ''}-{epochs}-{seed}", progress=False
    )
    clips = int(run.history["encoded"].sum()) * len(recipe.snippet_starts)
    way = SYSTEMS[system]
    return {"way": way, "system": system, "epochs": epochs, "clips": clips} | _result(run)


def dives_row(table: SampleTable, runs: Path, seed: int, way: str, dd: bool, dives: int):
    """One training on features of some training dives: rho and R-l2 x100 on test."""
    left_out = np.random.default_rng([seed, 3]).permutation(table.rows("train"))[dives:]
    fewer = table.samples.drop(index=left_out).reset_index(drop=True)
    kept = dataclasses.replace(table, samples=fewer, info=table.info | {"training_rows": dives})
    (name, system), stated = WAYS[way], {"seed": seed, "with_difficulty": dd}
    recipe = named(name, system=system, refit=False, **stated)
    out = runs / f"{name}-{system}{'-dd' if dd else ''}-{dives}-{seed}"
    run = fit(kept, recipe, out, progress=False)
    return {"way": way, "system": system, "dives": dives} | _result(run)


def _result(run) -> dict:
    return {"spearman": run.metrics[0]["spearman"], "rl2_x100": run.metrics[0]["rl2_x100"]}


def lines_of(rows: list[dict]) -> list[str]:
    """A line a system: rho, mean and deviation over the seeds, and R-l2 x100 at each point."""
    runs, found = pd.DataFrame(rows), []
    point = "dives" if "dives" in runs else "clips"
    for (dd, way), part in runs.groupby(["with_difficulty", "way"], sort=False):
        cells = [way + " (w/ DD)" * dd]
        for _, seeds in part.groupby(point):
            rho, distance = seeds["spearman"], seeds["rl2_x100"]
            values = f"{rho.mean():.3f}", f"{rho.std():.3f}", f"{distance.mean():.2f}"
            cells.append("{} ± {}, {}".format(*(value.removeprefix("0") for value in values)))
        found.append("| " + " | ".join(cells) + " |")
    return found


@click.command(help=__doc__.splitlines()[0])
@click.argument("part", type=click.Choice(["clips", "dives"]))
@click.option("--dataset", default="datasets/dives", show_default=True, type=click.Path())
@click.option("--seeds", default="0-4", show_default=True)
@click.option("--difficulty", default="both", type=click.Choice(["both", "unknown", "known"]))
@click.option("--runs", default="runs/equal_cost", show_default=True, type=click.Path())
def main(part: str, dataset: str, seeds: str, difficulty: str, runs: str) -> None:
    samples, rows = SampleTable.load(dataset), []
    known = {"both": (False, True), "unknown": (False,), "known": (True,)}[difficulty]
    tried = [(way, dives) for way in WAYS for dives in DIVES]
    if part == "clips":
        tried = [(system, epochs) for system, several in EPOCHS.items() for epochs in several]
    measure = clips_row if part == "clips" else dives_row
    for dd in known:
        for seed in parse_seeds(seeds):
            for way, point in tried:
                told = measure(samples, Path(runs) / part, seed, way, dd, point)
                rows.append({"with_difficulty": dd, "seed": seed} | told)
                print(rows[-1], flush=True)
    command = f"tests/benchmarks/equal_cost.py {part} --difficulty {difficulty} --seeds {seeds}"
    out = store(f"equal_{part}", command, samples.table_sha256, rows)
    print(*lines_of(rows), f"{out}: written", sep="\n")


if __name__ == "__main__":
    main()
