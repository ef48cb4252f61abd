"""Fis-V: every system on the same features, five seeds, no choice made on the test split.

    .venv/bin/python tests/benchmarks/fisv.py [--datasets datasets] [--seeds 0-4] [--runs runs/fisv]
    .venv/bin/python tests/benchmarks/fisv.py --cross-validate

What is trained already is kept in --runs. The table goes to notebooks/measured/fisv.json, which
notebook 10 shows, and is printed as it stands in docs/results.md. --cross-validate prints what a
choice may rest on: five folds of the training split in three partitions, seed 0, last epoch.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from stored import store

from corelib import metrics
from corelib.data.samples import SampleTable
from corelib.recipe import named
from corelib.runs.fit import find_or_train, fit
from corelib.runs.options import parse_seeds

# a row of the table: recipe and system, and how many exemplars vote
WAYS = {
    "MLP": ("features", "mlp", None),
    "CoRe, 10 exemplars": ("features", "core", None),
    "CoRe, all exemplars": ("features", "core", "all"),
    "Kernel ridge": ("features", "kernel", None),
    "MLP on likeness": ("likeness", "mlp", None),
    "CoRe on likeness, 10 exemplars": ("likeness", "core", None),
    "CoRe on likeness, all exemplars": ("likeness", "core", "all"),
}


def folds(table: SampleTable, partition: int) -> list[SampleTable]:
    """The training split five times over, a fifth of it as the test split."""
    samples = table.samples.iloc[table.rows("train")].reset_index(drop=True)
    order, found = np.random.default_rng(partition).permutation(len(samples)), []
    for fold, tested in enumerate(np.array_split(order, 5)):
        split = np.full(len(samples), "train", object)
        split[tested] = "test"
        sha256 = f"{table.sha256}{partition}{fold}"
        changed = {"samples": samples.assign(split=split), "sha256": sha256}
        found.append(dataclasses.replace(table, **changed))
    return found


def cross_validate(table: SampleTable, recipe: str, system: str, exemplars) -> tuple:
    """(rho, R-l2 x100 over the range of all training scores), means over fifteen folds."""
    values = []
    reach = metrics.score_range_of(table.samples["score"].iloc[table.rows("train")])
    knobs = {"system": system, "refit": False, "validation_fraction": 0.0}
    for partition in range(3):
        for part in folds(table, partition):
            with tempfile.TemporaryDirectory() as out:
                run = fit(part, named(recipe, **knobs), out, device="cpu", progress=False)
                last = run.evaluate(exemplars=exemplars).predictions
            told, true = last["predicted"], last["true"]
            distance = metrics.relative_l2(told, true, score_range=reach)
            values.append((metrics.spearman(told, true), distance))
    return tuple(np.mean(values, axis=0))


def lines_of(rows: list[dict]) -> list[str]:
    """A line a way: rho and R-l2 x100 of TES, then of PCS; no deviation where seeds are alike."""
    runs, found = pd.DataFrame(rows), []
    for way, part in runs.groupby("way", sort=False):
        cells = [way]
        for score in ("tes", "pcs"):
            for key in ("spearman", "rl2_x100"):
                values = part.loc[part["score"] == score, key]
                told = [values.mean()] + [values.std()] * bool(values.std() > 0)
                cells.append(" ± ".join(f"{value:.3f}".removeprefix("0") for value in told))
        found.append("| " + " | ".join(cells) + " |")
    return found


@click.command(help=__doc__.splitlines()[0])
@click.option("--datasets", default="datasets", show_default=True, type=click.Path(path_type=Path))
@click.option("--seeds", default="0-4", show_default=True)
@click.option("--runs", default="runs/fisv", show_default=True, type=click.Path(path_type=Path))
@click.option("--cross-validate", "validating", is_flag=True)
def main(datasets: Path, seeds: str, runs: Path, validating: bool) -> None:
    torch.set_num_threads(1)
    for way in WAYS if validating else ():
        tables = [SampleTable.load(datasets / f"fisv-{score}") for score in ("tes", "pcs")]
        found = [cross_validate(table, *WAYS[way]) for table in tables]
        print(
            way,
            *(f"rho {rho:.3f}, R-l2 x100 {distance:.2f};" for rho, distance in found),
            flush=True,
        )
    if validating:
        return
    rows, digests = [], {}
    for score in ("tes", "pcs"):
        table = SampleTable.load(datasets / f"fisv-{score}")
        digests[score] = table.table_sha256
        for way, (recipe, system, exemplars) in WAYS.items():
            for seed in parse_seeds(seeds):
                chosen = named(recipe, system=system, seed=seed)
                run = find_or_train(table, chosen, runs, progress=False)
                found = run.evaluate(exemplars=exemplars).summary if exemplars else run.metrics[0]
                row = {"score": score, "way": way, "system": system, "seed": seed}
                rows.append(row | {key: found[key] for key in ("spearman", "rl2_x100")})
                print(rows[-1], flush=True)
    store("fisv", "tests/benchmarks/fisv.py", digests, rows)
    print(*lines_of(rows), sep="\n")


if __name__ == "__main__":
    main()
