"""Fine-tuning the last blocks of the I3D from Kinetics weights, as far as two cores go.

    .venv/bin/python tests/benchmarks/last_blocks.py --work FOLDER [--seeds 3] [--jobs 2]

What stands below mixed_5b stays as Kinetics left it, so its maps are computed once a dive, of five
snippets in order as in the recipe `frozen`; mixed_5b and mixed_5c learn at a tenth of the rate of
the projection and the head behind them, with stored statistics. No augmentation: the maps are
fixed. FOLDER may be that of tests/benchmarks/frozen.py, whose dives are then taken.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import torch
from frozen import WEIGHTS
from stored import store
from torch import Tensor, nn
from tqdm import tqdm

import corelib.models
import corelib.runs.loop
from corelib import training
from corelib.data.banks import write_bank
from corelib.data.rows import BANK
from corelib.data.samples import SampleTable, new_dataset, write_table
from corelib.features import StepProjection
from corelib.i3d import I3D
from corelib.models import build_encoder
from corelib.recipe import named
from corelib.runs.features import frozen_weights
from corelib.runs.fit import fit
from data_scripts.dives.dataset import find_or_make_dives

SIZE, LAST = 112, ("mixed_5b", "mixed_5c")
RECIPE = {"stretches": 5, "batchnorm": "frozen", "encoder_rate_factor": 0.1}
RECIPE |= {"epochs": 15, "validate_every": 3}


def load_i3d() -> I3D:
    recipe = named("gpu", weights=str(WEIGHTS), encoder="frozen")
    return build_encoder(recipe, None).i3d.i3d


@torch.no_grad()
def make_maps(work: Path) -> Path:
    """A dataset of the maps before mixed_5b, flat: [660, 5, 832 * 2 * 4 * 4]"""
    out = work / f"maps{SIZE}"
    if out.exists():
        return out
    dives = find_or_make_dives(work / f"dives{SIZE}", counts=[450, 60, 150], frames=36, size=SIZE)
    frozen = frozen_weights(dives, WEIGHTS, snippets=(5, 16), size=SIZE)
    i3d, source, maps = frozen.encoder.eval().i3d, frozen.source, []
    before = [layer for name, layer in i3d.named_children() if name not in LAST]
    for row in tqdm(range(len(source)), desc="maps"):
        snippets = source.to_inputs(source[row][None])[0]  # [5, 3, 16, 112, 112]
        maps.append(nn.Sequential(*before)(snippets).flatten(1).numpy())
    with new_dataset(out) as folder:
        ids = dives.samples["id"].tolist()
        write_bank(folder / BANK, np.stack(maps), ids)
        info = {key: value for key, value in dives.info.items() if key != "raw_root"}
        info |= {"name": out.name, "feature_size": list(maps[0].shape)}
        write_table(folder, info, dives.samples.assign(media=ids))
    return out


class LastBlocks(nn.Module):
    """Maps [B, S, 832 * t * h * w] -> [B, stretches * projection] through the blocks that learn."""

    def __init__(self, recipe):
        super().__init__()
        i3d = load_i3d()
        self.blocks = nn.Sequential(*(i3d.get_submodule(name) for name in LAST))
        self.projection = StepProjection(
            i3d.out_features, recipe.projection, stretches=recipe.stretches
        )
        self.out_features = self.projection.out_features

    def forward(self, maps: Tensor) -> Tensor:
        side = SIZE // 32 + bool(SIZE % 32)
        x = self.blocks(maps.reshape(-1, 832, 2, side, side)).mean(dim=(2, 3, 4))
        return self.projection(x.unflatten(0, maps.shape[:2]))


def optimizer_of(model, recipe, steps):
    """As in a training, where "encoder" is what was pretrained."""
    parts = SimpleNamespace(encoder=model.encoder.blocks, parameters=model.parameters)
    return training.make_optimizer(parts, recipe, steps)


def learn(maps: Path, system: str, with_difficulty: bool, seed: int) -> tuple[float, float, float]:
    """(rho, R-l2 x100, seconds) of one training, at the epoch chosen on val."""
    torch.set_num_threads(1)
    corelib.models.build_encoder = lambda recipe, in_features: LastBlocks(recipe)
    corelib.runs.loop.make_optimizer = optimizer_of
    stated = {"system": system, "with_difficulty": with_difficulty, "seed": seed}
    recipe = named("features", **stated, **RECIPE)
    out = maps.parent / "runs" / f"last-{system}{'-dd' * with_difficulty}-{seed}"
    run = fit(SampleTable.load(maps), recipe, out, device="cpu", progress=False)
    row = run.metrics[0]
    return row["spearman"], row["rl2_x100"], row["seconds"]


@click.command(help=__doc__.splitlines()[0])
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--seeds", default=3)
@click.option("--jobs", default=1, help="Trainings at a time, one thread each.")
def main(work, seeds, jobs):
    maps, rows = make_maps(work), []
    asked = [(s, dd, seed) for seed in range(seeds) for s in ("mlp", "core") for dd in (0, 1)]
    with ProcessPoolExecutor(jobs) as pool:
        futures = {
            case: pool.submit(learn, maps, case[0], bool(case[1]), case[2]) for case in asked
        }
        for system in ("mlp", "core"):
            for dd in (0, 1):
                of_seeds = [futures[system, dd, seed].result() for seed in range(seeds)]
                rho, distance, seconds = map(list, zip(*of_seeds, strict=True))
                rows.append({"system": system, "with_difficulty": bool(dd), "seconds": seconds})
                rows[-1] |= {"spearman": rho, "rl2_x100": distance}
                print(rows[-1], flush=True)
    stated = {"size": SIZE, "recipe": RECIPE, "seeds": list(range(seeds))}
    table = SampleTable.load(maps)
    store("last_blocks", "tests/benchmarks/last_blocks.py", table.table_sha256, rows, **stated)


if __name__ == "__main__":
    main()
