"""Fis-V: every system on the same features, five seeds, no choice made on the test split.

    .venv/bin/python tests/benchmarks/fisv.py [--datasets datasets] [--seeds 0-4] [--runs runs/fisv]

What is trained already is kept in --runs. The table goes to notebooks/measured/fisv.json, which
notebook 10 shows, and is printed as it stands in docs/results.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import torch

from corelib.data.samples import SampleTable
from corelib.machine.devices import pick_device
from corelib.recipe import named
from corelib.runs.fit import find_or_train
from corelib.runs.options import parse_seeds
from corelib.runs.records import machine

MEASURED = Path(__file__).resolve().parents[2] / "notebooks" / "measured" / "fisv.json"
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


@click.command(help=__doc__.splitlines()[0])
@click.option("--datasets", default="datasets", show_default=True, type=click.Path(path_type=Path))
@click.option("--seeds", default="0-4", show_default=True)
@click.option("--runs", default="runs/fisv", show_default=True, type=click.Path(path_type=Path))
def main(datasets: Path, seeds: str, runs: Path) -> None:
    torch.set_num_threads(1)
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
    stated = {"command": "tests/benchmarks/fisv.py", "made_on": machine(pick_device("cpu"))}
    text = json.dumps(stated | {"table_sha256": digests, "rows": rows}, indent=1)
    MEASURED.write_text(text + "\n", encoding="utf-8")
    for way in WAYS:
        cells = [way]
        for score in ("tes", "pcs"):
            own = [row for row in rows if (row["way"], row["score"]) == (way, score)]
            for key in ("spearman", "rl2_x100"):
                values = np.array([row[key] for row in own])
                spread = values.std(ddof=1) if len(values) > 1 else np.nan
                cells.append(f"{values.mean():.3f} ± {spread:.3f}".replace("0.", "."))
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
