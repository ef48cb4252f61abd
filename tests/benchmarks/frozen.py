"""Frozen features of the laptop course's dives: Kinetics weights beside random numbers.

    .venv/bin/python tests/benchmarks/frozen.py --work FOLDER [--jobs 2]

Renders the 660 dives at two sizes, encodes each once by the full-width I3D, and learns from the
features: a ridge regression, I3D+MLP and CoRe as the recipe `frozen` has them, five seeds, with
difficulty and without. What is there in FOLDER is kept. The table goes to
notebooks/measured/frozen.json, which notebook 07 draws.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import numpy as np
import torch
from stored import ROOT, store

from corelib import metrics
from corelib.data.banks import FeatureSteps
from corelib.data.samples import SampleTable
from corelib.recipe import named
from corelib.runs.features import frozen_weights, write_features
from corelib.runs.fit import fit
from data_scripts.dives.dataset import find_or_make_dives

WEIGHTS = ROOT / "weights" / "i3d_kinetics_scratch.safetensors"
ENCODERS, SIZES, SEEDS = {"Kinetics": WEIGHTS, "random": ""}, (72, 112), range(5)
STEPS = {"stretches": 5}  # the recipe frozen's, of five snippets
PENALTIES = 10.0 ** np.arange(-6, 3.5, 0.5)


def make_banks(work: Path) -> dict[tuple[str, int], Path]:
    """{(encoder, size): a dataset of features [660, 5, 1024]}"""
    banks = {}
    for size in SIZES:
        dives = find_or_make_dives(
            work / f"dives{size}", counts=[450, 60, 150], frames=36, size=size
        )
        for name, weights in ENCODERS.items():
            out = work / f"{name}{size}"
            frozen = frozen_weights(dives, weights, snippets=(5, 16), size=size)
            write_features(dives, frozen, out, precision="fp32", workers=2, progress=True)
            banks[name, size] = out
    return banks


def ridge(table: SampleTable, with_difficulty: bool) -> tuple[float, float]:
    """(rho, R-l2 x100) on test of a ridge regression over all 5 x 1024 numbers.

    Fitted to train and val; the penalty is the best of PENALTIES by leaving one of them out.
    """
    x = FeatureSteps(table).features.flatten(1).double().numpy()
    factor = table.target_unit(with_difficulty)[0]
    y = table.target(with_difficulty)
    rows, test = np.union1d(table.rows("train"), table.rows("val")), table.rows("test")
    x = x - x[rows].mean(axis=0)
    x /= np.sqrt((x[rows] ** 2).sum(axis=1).mean())
    kernel, centred = x[rows] @ x[rows].T, y[rows] - y[rows].mean()
    errors = []
    for penalty in PENALTIES:
        hat = kernel @ np.linalg.inv(kernel + penalty * np.eye(len(rows)))
        errors.append(np.mean(((centred - hat @ centred) / (1 - np.diag(hat))) ** 2))
    best = PENALTIES[int(np.argmin(errors))]
    weights = np.linalg.solve(kernel + best * np.eye(len(rows)), centred)
    told = factor[test] * (x[test] @ x[rows].T @ weights + y[rows].mean())
    true = table.samples["score"].to_numpy(float)[test]
    return metrics.spearman(told, true), metrics.relative_l2(told, true)


def learn(bank: Path, system: str, with_difficulty: bool, seed: int) -> tuple[float, float]:
    """(rho, R-l2 x100) of one training on the features, at the epoch chosen on val."""
    torch.set_num_threads(1)
    stated = {"system": system, "with_difficulty": with_difficulty, "seed": seed}
    recipe = named("features", **stated, **STEPS)
    folder = f"{bank.name}-{system}{'-dd' if with_difficulty else ''}-{seed}"
    table = SampleTable.load(bank)
    run = fit(table, recipe, bank.parent / "runs" / folder, device="cpu", progress=False)
    return run.metrics[0]["spearman"], run.metrics[0]["rl2_x100"]


@click.command(help=__doc__.splitlines()[0])
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--jobs", default=1, help="Trainings at a time, one thread each.")
def main(work, jobs):
    rows, asked = [], []
    with ProcessPoolExecutor(jobs) as pool:
        for (encoder, size), bank in make_banks(work).items():
            for dd in (False, True):
                row = {"encoder": encoder, "size": size, "with_difficulty": dd}
                rho, distance = ridge(SampleTable.load(bank), dd)
                rows.append(row | {"system": "ridge", "spearman": [rho], "rl2_x100": [distance]})
                for system in ("mlp", "core"):
                    seeds = [pool.submit(learn, bank, system, dd, seed) for seed in SEEDS]
                    asked.append((row | {"system": system}, seeds))
        for row, seeds in asked:
            rho, distance = zip(*(seed.result() for seed in seeds), strict=True)
            rows.append(row | {"spearman": list(rho), "rl2_x100": list(distance)})
    for row in rows:
        rho, distance = np.array(row["spearman"], float), np.array(row["rl2_x100"], float)
        spread = f" +- {np.nanstd(rho, ddof=1):.3f}" if len(rho) > 1 else ""
        undefined = f"  ({np.isnan(rho).sum()} of {len(rho)} undefined)" * bool(np.isnan(rho).any())
        known = "w/ DD" if row["with_difficulty"] else "     "
        name = f"{row['encoder']:8} {row['size']:3} px  {row['system']:5} {known}"
        print(
            f"{name}  rho {np.nanmean(rho):.3f}{spread}  R-l2 x100 {distance.mean():.2f}{undefined}"
        )
    dives = SampleTable.load(work / f"dives{SIZES[0]}")
    weights = SampleTable.load(work / f"Kinetics{SIZES[0]}").info["encoder_sha256"]
    stated = {"weights": weights, "seeds": list(SEEDS)}
    out = store("frozen", "tests/benchmarks/frozen.py", dives.table_sha256, rows, **stated)
    print(f"{out}: written")


if __name__ == "__main__":
    main()
