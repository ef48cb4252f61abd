"""Do intervals cover what they promise? Dives and Fis-V, three kinds, five seeds.

    .venv/bin/python tests/benchmarks/covered.py --work FOLDER [--datasets datasets]

CoRe on the dives' frozen features (frozen.py's bank, made in FOLDER if it is not there), without
difficulty and with it, and on Fis-V's by the recipe likeness. How often the true score lies in the
interval, and how wide that is,

split      on the test rows, by the errors of the rows that were held back, as `evaluate` prints
redivided  where the promise holds by construction: the test rows are divided at random 200 times,
           the errors of one half make the intervals of the other
afar       on the same test dives, filmed from farther away and more from the side

What is trained already is kept in FOLDER. The rows go to notebooks/measured/coverage.json, which
notebook 08 draws, and are printed as docs/results.md has them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from frozen import WEIGHTS
from stored import store

from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.rows import BANK
from corelib.data.samples import SampleTable, new_dataset, write_table
from corelib.data.video import write_video
from corelib.intervals import KINDS, coverage
from corelib.recipe import named
from corelib.runs.features import frozen_weights, write_features
from corelib.runs.fit import find_or_train
from corelib.runs.run import Run
from data_scripts.dives.camera import render_dive
from data_scripts.dives.dataset import find_or_make_dives, redraw_dive
from data_scripts.dives.motion import CLIP_SECONDS

LEVELS = tuple(round(level / 10, 1) for level in range(1, 10))
WAYS = {"split": "the kit's split", "redivided": "redivided", "afar": "filmed from afar"}
SIZE, SNIPPETS, SEEDS, DIVISIONS = 112, (5, 16), range(5), 200
AFAR = {"view": 1.2, "azimuth": -0.3}  # metres more in the picture; radians towards the side


def film_afar(dives: SampleTable, out: Path) -> SampleTable:
    """The same test dives, by another camera: a dataset of its own, to be encoded."""
    if not (out / "dataset.json").is_file():
        rows, frames = dives.rows("test"), dives.info["frames"]
        with new_dataset(out) as folder:
            (folder / "videos").mkdir()
            for row in rows:
                dive = redraw_dive(dives, row)
                look = dive.appearance
                moved = {name: getattr(look, name) + more for name, more in AFAR.items()}
                other = replace(dive, appearance=replace(look, **moved))
                path = folder / dives.samples["media"][row]
                pictures = render_dive(other, frames=frames, size=SIZE)
                write_video(path, pictures, frames / CLIP_SECONDS)
            samples = dives.samples.iloc[rows].reset_index(drop=True).assign(split="train")
            write_table(folder, dives.info | {"name": out.name}, samples)
    return SampleTable.load(out)


def make_banks(work: Path) -> tuple[SampleTable, SampleTable]:
    """Frozen features of all dives; the same with the test dives' from afar."""
    dives = find_or_make_dives(work / f"dives{SIZE}", size=SIZE)
    afar, look = film_afar(dives, work / "afar"), {"snippets": SNIPPETS, "size": SIZE}
    near, far = (
        write_features(
            table, frozen_weights(table, WEIGHTS, **look), out, precision="fp32", progress=True
        )
        for table, out in ((dives, work / f"Kinetics{SIZE}"), (afar, work / "Kinetics-afar"))
    )
    features = FeatureSteps(near).features.numpy().copy()
    features[near.rows("test")] = FeatureSteps(far).features.numpy()
    out = work / "both-afar"
    with new_dataset(out, overwrite=True) as folder:
        write_bank(folder / BANK, features, near.samples["media"].tolist())
        write_table(folder, near.info | {"name": out.name}, near.samples)
    return near, SampleTable.load(out)


def measure(held: pd.DataFrame, judged: pd.DataFrame, limits, kind: str) -> np.ndarray:
    """(share inside, mean width) [levels, 2] of one evaluation."""
    return np.array(list(coverage(held, judged, limits, kind, LEVELS).values()))


def redivided(judged: pd.DataFrame, limits, kind: str) -> np.ndarray:
    """The mean of many divisions of the test rows into those that make and those that try."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DIVISIONS):
        order = rng.permutation(len(judged))
        held, asked = np.array_split(order, 2)
        found.append(measure(judged.iloc[held], judged.iloc[asked], limits, kind))
    return np.mean(found, axis=0)


def rows_of(what: str, run: Run, far: SampleTable | None) -> list[dict]:
    """All measurements of one run."""
    limits, found = run.table.info["score_range"], []
    held, judged = run.validation, run.predictions
    moved = Run.load(run.folder, table=far).evaluate().predictions if far else None
    kinds = KINDS[:2]
    if "group" in run.table.samples:
        kinds, groups = KINDS, run.table.samples.set_index("id")["group"]
        for part in (held, judged) + (moved,) * bool(far):
            part["group"] = part["id"].map(groups)
    for kind in kinds:
        ways = {"split": measure(held, judged, limits, kind)}
        ways["redivided"] = redivided(judged, limits, kind)
        if far:
            ways["afar"] = measure(held, moved, limits, kind)
        for way, values in ways.items():
            row = {"what": what, "seed": run.recipe.seed, "kind": kind, "way": way}
            inside, width = values.round(4).T.tolist()
            found.append(row | {"held": len(held), "inside": inside, "width": width})
    return found


def lines_of(rows: list[dict]) -> list[str]:
    """Coverage in % and width at 50, 80 and 90 %, mean and deviation over the seeds."""
    shown, found = [LEVELS.index(level) for level in (0.5, 0.8, 0.9)], []
    for (what, way, kind), part in pd.DataFrame(rows).groupby(["what", "way", "kind"], sort=False):
        inside, width = (np.array(part[name].tolist())[:, shown] for name in ("inside", "width"))
        share = zip(100 * inside.mean(axis=0), 100 * inside.std(axis=0, ddof=1), strict=True)
        cells = [f"{mean:.1f} ± {spread:.1f}" for mean, spread in share]
        cells += [" / ".join(f"{value:.1f}" for value in width.mean(axis=0))]
        found.append("| " + " | ".join([what, kind, WAYS[way], *cells]) + " |")
    return found


@click.command(help=__doc__.splitlines()[0])
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--datasets", default="datasets", show_default=True, type=click.Path(path_type=Path))
def main(work: Path, datasets: Path) -> None:
    torch.set_num_threads(1)
    near, far = make_banks(work)
    asked = {
        "dives, CoRe": (near, far, named("features")),
        "dives, CoRe (w/ DD)": (near, far, named("features", with_difficulty=True)),
    }
    for score in ("TES", "PCS"):
        table = SampleTable.load(datasets / f"fisv-{score.lower()}")
        asked[f"Fis-V {score}, CoRe on likeness"] = (table, None, named("likeness"))
    rows = []
    for what, (table, moved, recipe) in asked.items():
        for seed in SEEDS:
            run = find_or_train(table, recipe.replace(seed=seed), work / "runs", progress=False)
            rows += rows_of(what, run, moved)
            print(what, seed, flush=True)
    digests = {table.name: table.table_sha256 for table, moved, _ in asked.values() if not moved}
    digests["dives"] = near.table_sha256
    store("coverage", "tests/benchmarks/covered.py", digests, rows, levels=list(LEVELS))
    print("\n".join(lines_of(rows)))


if __name__ == "__main__":
    main()
