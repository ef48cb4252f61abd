"""What no processor changes, and short trainings to a tolerance: recorded, and computed again.

    python tests/unchanged.py        record it anew, for a change that is meant

The recipes stand in unchanged.json with every knob, so that a new default changes nothing here.
tests/reference.py compares everything to the last digit, between two commits on one machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path

from click.testing import CliRunner

from corelib.data.samples import SampleTable
from corelib.models import build_model
from corelib.pairs import pair_differences
from corelib.recipe import Recipe, named
from corelib.runs.fit import fit
from corelib.task import Task
from corelib.training import plan_epoch
from corelib.tree import quantile_edges
from tests import reference

RECORD = Path(__file__).with_name("unchanged.json")
SMALL = {"epochs": 3, "exemplars": 4, "precision": "fp32"}
TINY = {"frames": 16, "crop": 28, "snippet_starts": (0,), "width": 0.0625, "tree_width": 16}
VIDEOS = {**TINY, "resize": (32, 32), "temporal_shift": 1}
# name: (prepared dataset, the recipe as it is when recorded)
TRAINED = {
    "core": ("dives", lambda: named("smoke", **SMALL)),
    "core-dd": ("dives", lambda: named("laptop", with_difficulty=True, **SMALL, **TINY)),
    "mlp": ("dives", lambda: named("smoke", system="mlp", **SMALL)),
    "mlp-dd": ("dives", lambda: named("smoke", system="mlp", with_difficulty=True, **SMALL)),
    "paper": ("mtl-aqa", lambda: named("paper", with_difficulty=True, **SMALL, **VIDEOS)),
    "direct": ("dives", lambda: named("smoke", head="direct", pairing="two", **SMALL)),
    "features": ("features", lambda: named("features", epochs=3)),
}
SCRIPTS = ("dives", "mtl-aqa", "aqa7", "jigsaws", "finediving", "videos", "features")


@dataclass
class Found:
    """exact: {what: digest}; close: {training: loss of every epoch, rho, predicted scores}."""

    exact: dict[str, str]
    close: dict[str, dict]


def digest(value: object) -> str:
    """Of bytes, text and plain values, 16 characters."""
    content = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def compute(work: Path, recipes: dict[str, Recipe]) -> Found:
    """Prepare every dataset and train every recipe, in `work`."""
    from data_scripts.dives.camera import render_dive
    from data_scripts.dives.judges import draw_dive

    found = Found({}, {})
    for seed in range(3):
        pictures = render_dive(draw_dive(seed), frames=12, size=48)
        found.exact[f"pictures of dive {seed}"] = digest(pictures.tobytes())
    _prepare("dives", work)
    reference.write_raw(work / "raw", work / "prepared" / "dives")
    for name in SCRIPTS[1:]:
        _prepare(name, work)
    for path in sorted((work / "prepared").rglob("*.*")):
        name = str(path.relative_to(work / "prepared"))
        if path.name == "dataset.json":
            card = json.loads(path.read_text())
            card["raw_root"] = Path(card.get("raw_root") or "").name  # it lies elsewhere each time
            found.exact[name] = digest(card)
        elif path.name in ("samples.csv", "features.safetensors"):
            found.exact[name] = digest(reference.read(path))
    for name, recipe in recipes.items():
        table = SampleTable.load(work / "prepared" / TRAINED[name][0])
        found.exact |= {f"{name}: {what}": value for what, value in _drawn(table, recipe).items()}
        found.close[name] = _trained(table, recipe, work / "runs" / name)
    return found


def _prepare(name: str, work: Path) -> None:
    import importlib

    command = reference.PREPARED[name].replace("OUT", str(work / "prepared" / name))
    script, *words = command.replace("RAW", str(work / "raw")).split()
    (work / "prepared").mkdir(exist_ok=True)
    program = importlib.import_module(f"data_scripts.{Path(script).stem}").main
    done = CliRunner(catch_exceptions=False).invoke(program, words)
    assert done.exit_code == 0, done.output


def _drawn(table: SampleTable, recipe: Recipe) -> dict[str, str]:
    """Digests of the edges, pairs, exemplars and parameters of a training, before it begins."""
    task = Task.of(table, recipe)
    targets, groups = task.targets[task.fit], task.groups[task.fit]
    edges = quantile_edges(pair_differences(targets, groups), recipe.depth)
    plan = [batch for epoch in (0, 1) for batch in plan_epoch(recipe, task.fit, task.groups, epoch)]
    (exemplars,) = task.exemplars(task.test, task.pool, recipe.exemplars)
    width = {"in_features": 12} if recipe.encoder == "projection" else {}
    state = build_model(recipe, targets, groups, **width).state_dict()
    return {
        "edges": digest(edges.tolist()),
        "pairs": digest([[batch.rows.tolist(), batch.pairs.tolist()] for batch in plan]),
        "exemplars": digest([exemplars.query.tolist(), exemplars.exemplar.tolist()]),
        "parameters": digest([[key, list(part.shape)] for key, part in state.items()]),
    }


def _trained(table: SampleTable, recipe: Recipe, out: Path) -> dict:
    run = fit(table, recipe, out, device="cpu", progress=False)
    return {
        "loss": run.history["loss"].tolist(),
        "predicted": run.predictions["predicted"].tolist(),
        "rl2_x100": run.metrics[0]["rl2_x100"],
    }


def recorded() -> tuple[dict[str, Recipe], Found]:
    """The recipes, and what was found with them."""
    content = json.loads(RECORD.read_text(encoding="utf-8"))
    recipes = {name: Recipe.from_dict(values) for name, values in content["recipes"].items()}
    return recipes, Found(content["exact"], content["close"])


def main() -> None:
    warnings.simplefilter("ignore", UserWarning)  # of trainings of a few steps
    recipes = {name: recipe() for name, (_, recipe) in TRAINED.items()}
    with tempfile.TemporaryDirectory() as scratch:
        found = compute(Path(scratch), recipes)
    stated = {name: recipe.to_dict() for name, recipe in recipes.items()}
    content = {"recipes": stated, "exact": found.exact, "close": found.close}
    RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{RECORD.name}: {len(found.exact)} digests, {len(found.close)} trainings")


if __name__ == "__main__":
    main()
