"""How time and memory grow with the rows of a data set, from 1,000 to 100,000 rows of features.

Each point is a process of its own: a bank [N, 4, 16] is written, seven in ten rows of it training
rows, one val and two test; then one epoch of CoRe, the evaluation with ten exemplars, and with all
of the sample's group. A column of groups of ten rows gives the second set of points. Draws
docs/rows.png.

    python tests/benchmarks/rows.py [--most 100000] [--out docs/rows.png]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from cost_figures import cost_growth, growth
from side_by_side import CARD, machine_line, peak_gb

from corelib.data.banks import write_bank
from corelib.data.samples import SampleTable, write_table
from corelib.evaluation import evaluate, open_inputs
from corelib.models import build_model
from corelib.recipe import named
from corelib.task import Task
from corelib.training import TrainingStep, make_optimizer, plan_epoch, train_epoch

SIZES = (1_000, 3_000, 10_000, 30_000, 50_000, 100_000)
STEPS = ("score groups and model", "an epoch of CoRe", "evaluation, 10 exemplars")
WHOLE = "evaluation, all exemplars"
CPU = torch.device("cpu")


def make_rows(folder: Path, count: int) -> SampleTable:
    rng = np.random.default_rng(0)
    ids = [f"row{number:06d}" for number in range(count)]
    scores = rng.uniform(0, 100, count).round(2)
    features = rng.normal(size=(count, 4, 16)).astype(np.float32)
    features[:, :, 0] += scores[:, None] / 25
    write_bank(folder / "features.safetensors", features, ids)
    split = np.array(["train"] * 7 + ["val"] + ["test"] * 2)[np.arange(count) % 10]
    samples = {"id": ids, "split": split, "score": scores, "media": ids}
    samples |= {"group": [f"g{number // 10}" for number in range(count)]}
    info = CARD | {"pairing_key": "group", "divided_by_difficulty": False}
    write_table(folder, info, pd.DataFrame(samples))
    return SampleTable.load(folder)


def point(rows: int, pair_by: str, every: bool) -> None:
    """Print a line a step: its name, seconds, GB of the process's peak behind it."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        table = make_rows(Path(folder), rows)
        recipe = named("features", pair_by=pair_by, epochs=1)
        task, source = Task.of(table, recipe), open_inputs(table, recipe)

        def timed(name: str, way):
            started = time.perf_counter()
            found = way()
            print(f"{name}|{time.perf_counter() - started}|{peak_gb()}", flush=True)
            return found

        targets, groups, fit = task.targets, task.groups, task.fit
        model = timed(
            STEPS[0], lambda: build_model(recipe, targets[fit], groups[fit], in_features=16)
        )

        def epoch():
            plan = plan_epoch(recipe, fit, groups, 0)
            how = make_optimizer(model, recipe, len(plan))
            train_epoch(TrainingStep(model, recipe, CPU), source, task, plan, how, epoch=0)

        timed(STEPS[1], epoch)
        asked = {"queries": task.test, "pool": task.pool, "device": CPU, "quick": True}
        timed(STEPS[2], lambda: evaluate(model, source, task, **asked))
        if every:
            timed(WHOLE, lambda: evaluate(model, source, task, exemplars="all", **asked))


@click.command(help=__doc__.splitlines()[0])
@click.option("--most", default=SIZES[-1], show_default=True, help="Rows of the last point.")
@click.option("--most-all", default=50_000, show_default=True, help="The same of all exemplars.")
@click.option("--out", default="docs/rows.png", show_default=True, type=click.Path(path_type=Path))
@click.option("--point", "one", nargs=3, hidden=True)
def main(most, most_all, out, one) -> None:
    if one:
        point(int(one[0]), one[1], one[2] == "all")
        return
    print(machine_line())
    found: dict[str, list[dict]] = {}
    for pair_by in ("none", "group"):
        for rows in [size for size in SIZES if size <= most]:
            whole = "all" if pair_by == "group" or rows <= most_all else "some"
            command = [sys.executable, __file__, "--point", str(rows), pair_by, whole]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            for line in said.splitlines():
                name, seconds, gb = line.split("|")
                where = "one group" if pair_by == "none" else "groups of ten"
                shown = f"{float(seconds):9.2f} s {float(gb):6.2f} GB"
                print(f"{where:14}{rows:8,} rows: {name:26}{shown}", flush=True)
                measured = {"size": rows, "seconds": float(seconds), "gb": float(gb)}
                if name != STEPS[0]:
                    found.setdefault(f"{name}, {where}", []).append(measured)
    parts = {name: pd.DataFrame(rows) for name, rows in found.items()}
    for name, part in parts.items():
        last = part.tail(2)
        power = growth(last["size"], last["seconds"])
        print(f"{name}: time grows with the power {power:.2f} at its end")
    cost_growth(parts, title="What more rows of features cost").savefig(out)
    print(f"figure: {out}")


if __name__ == "__main__":
    main()
