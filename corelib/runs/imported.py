"""A checkpoint of the released CoRe program as a run: its weights, and what it says of itself.

The program's encoder is hassony2's I3D; its tree holds a level's nodes in one grouped 1x1
convolution, [nodes * out, in, 1], where corelib.tree has [nodes, out, in]. Edges of score groups
are not in the file: both programs compute them from the training split.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from corelib.data.samples import SampleTable
from corelib.data.weights import WeightsError, fit_tensors, read_checkpoint, stated_number
from corelib.machine.devices import pick_device
from corelib.machine.files import json_text, only_one, write_atomically
from corelib.machine.messages import list_ids, one_line
from corelib.models import build_model
from corelib.recipe import Recipe, RecipeError, named
from corelib.runs.records import (
    RunError,
    check_same,
    describe,
    environment,
    metrics_row,
    read_description,
    save_weights,
)
from corelib.runs.run import ORIGIN, Run
from corelib.runs.soundness import training_doubts
from corelib.task import Task

NAME = "paper-released"  # of the recipe: tables keep these runs apart from trainings by `paper`
WHAT = "a checkpoint of the released CoRe"
SAID = ("epoch", "epoch_best", "rho_best", "L2_min", "RL2_min")
NOTE = "said by the checkpoint, chosen on the test set"
HEAD = "base_model.backbone.conv3d_0c_1x1."  # of the Kinetics classes; no feature passes it
RELEASED = {
    r"encoder\.i3d\.": "base_model.backbone.",
    r"tree\.first\.": "regressor.first_layer.0.",
    r"tree\.splits\.(\d+)\.": r"regressor.clf_layers.\1.",
    r"tree\.children_features\.(\d+)\.": r"regressor.feature_layers.\1.0.",
    r"tree\.position\.": "regressor.reg_layer.",
}


def import_core(
    file: str | Path,
    table: SampleTable,
    out: str | Path,
    *,
    with_difficulty: bool = False,
    knobs: Mapping[str, str] | None = None,
    evaluate: bool = True,
    device: str = "auto",
    **reading,
) -> Run:
    """Make a run folder of a checkpoint that the released CoRe program saved.

    table            the dataset it was trained on: its training split gives edges and exemplars
    with_difficulty  whether it was trained on score / difficulty, which the file does not say
    knobs            further changes of the recipe `paper`, which are not in the file either
    evaluate         on the test split, into predictions.csv and metrics.json
    reading          workers and progress, as Run.evaluate takes them

    Depth and widths are read off the tensors' shapes. Called again it writes the same run anew.
    Raises WeightsError for a file that is none, listing every tensor that does not fit; RecipeError
    for knobs that contradict it; RunError when the folder holds something else.
    """
    file, out, device = Path(file), Path(out), pick_device(device)
    content, found = _read(file)
    recipe = _recipe(found, with_difficulty, dict(knobs or {}))
    table = table.of_fold(recipe.fold)
    if table.feature_bank is not None:
        raise RecipeError(f"{table.folder} holds features; a released CoRe looks at videos")
    task = Task.of(table, recipe)
    doubts = training_doubts(task)
    model = build_model(recipe, task.targets[task.fit], task.groups[task.fit])
    model.load_state_dict(model.state_dict() | _as_ours(file, found, model.state_dict()))
    said = {key: stated_number(content.get(key)) for key in SAID}
    with only_one(out, "imports into"):
        _write(out, file, task, model, said, device)
        run = Run.load(out, table=table, device=device, progress=reading.get("progress", False))
        if evaluate and len(task.test):
            _evaluate(run, doubts, reading)
    return run


def _read(file: Path) -> tuple[Mapping, dict[str, Tensor]]:
    """The file's dictionary and its two models' tensors by name, DataParallel's `module.` gone."""
    if not file.is_file():
        raise WeightsError(f"{file}: no such file; {WHAT} is named best.pth or last.pth there")
    content, tensors = read_checkpoint(file, WHAT)
    parts = [key for key in ("base_model", "regressor") if isinstance(content.get(key), Mapping)]
    if len(parts) < 2 or None in map(stated_number, map(content.get, SAID[:2])):
        holds = one_line(list_ids(content) or "nothing")
        needs = "base_model, regressor, epoch and epoch_best"
        raise WeightsError(f"{file}: not {WHAT} (it needs {needs}, and holds {holds})")
    found: dict[str, Tensor] = {}
    for given, tensor in tensors.items():
        name = re.sub(r"^(base_model|regressor)\.module\.", r"\1.", given)
        if name.startswith(("base_model.", "regressor.")) and not name.startswith(HEAD):
            if name in found:
                raise WeightsError(f"{file}: {one_line(name)} is there with and without `module.`")
            found[name] = tensor
    return content, found


def _recipe(found: Mapping[str, Tensor], with_difficulty: bool, knobs: dict) -> Recipe:
    """`paper`, with what the tensors' shapes tell; all training rows make the edges, as there."""
    recipe = named("paper", **{"with_difficulty": with_difficulty, "refit": True} | knobs)
    levels = re.findall(r"regressor\.clf_layers\.(\d+)\.weight\b", " ".join(found))
    told = {"system": "core", "encoder": "i3d", "head": "tree", "weights": ""}
    told["depth"] = max(map(int, levels), default=recipe.depth - 2) + 2
    told["tree_width"] = _first(found, "regressor.first_layer.0.bias", recipe.tree_width)
    channels = _first(found, "base_model.backbone.conv3d_1a_7x7.batch3d.bias", 64)
    told["width"] = channels / 64  # 64 at full width
    read = recipe.replace(**told, name=NAME)
    wrong = [key for key in told if key in knobs and getattr(recipe, key) != getattr(read, key)]
    if wrong:
        tells = ", ".join(f"{key}={told[key]!r}" for key in wrong)
        raise RecipeError(f"the checkpoint itself tells {tells}; leave --set {wrong[0]} out")
    return read


def _first(found: Mapping[str, Tensor], name: str, default: int) -> int:
    return len(found[name]) if name in found and found[name].ndim == 1 else default


def _as_ours(file: Path, found: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict:
    """The checkpoint's tensors by our names and in our shapes; a node's rows lie together there."""
    wanted, names = {}, {}
    for name, tensor in ours.items():
        for pattern, theirs in RELEASED.items():
            if re.match(pattern, name):
                names[name] = re.sub(f"^{pattern}", theirs, name)
                wanted[names[name]] = _as_released(name, tensor)
    told = {"model": "CoRe", "part": "model"}
    fitting = fit_tensors(file, found, {name: name for name in found}, wanted, **told)
    return {
        name: fitting[theirs].reshape(ours[name].shape)
        for name, theirs in names.items()
        if theirs in fitting
    }


def _as_released(name: str, tensor: Tensor) -> Tensor:
    """A tensor of this shape: [nodes, out, in] -> [nodes * out, in, 1], [nodes, out] -> [...]."""
    if name.startswith("encoder.") or name.startswith("tree.first."):
        return tensor.to("meta")
    flat = tensor.to("meta").flatten(0, 1)
    return flat[..., None] if flat.ndim == 2 else flat


def _write(out: Path, file: Path, task: Task, model, said: dict, device: torch.device) -> None:
    """The files that make a folder a run, and where its weights are from."""
    described = describe(task.table, task.recipe, out)
    origin = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    origin |= {"said": said, "note": NOTE, "chosen_on_test": said["epoch"] == said["epoch_best"]}
    taken = [name for name in ("dataset.json", "last.pt") if (out / name).exists()]
    if (out / "recipe.json").is_file():
        check_same(read_description(out)[0], described, out)
        before = (out / ORIGIN).read_bytes() if (out / ORIGIN).is_file() else b""
        taken += [] if origin["sha256"].encode() in before else ["the run of another checkpoint"]
    if taken:
        raise RunError(f"{out} holds {taken[0]}; choose another --out or delete it")
    out.mkdir(parents=True, exist_ok=True)
    surroundings = environment(device, task.table, task.recipe)
    texts = {ORIGIN: origin, "recipe.json": described, "environment.json": surroundings}
    for name, content in texts.items():
        write_atomically(out / name, json.dumps(content, indent=2) + "\n")
    save_weights(model, out / "best.safetensors")
    if not (out / "metrics.json").is_file():
        write_atomically(out / "metrics.json", "[]\n")


def _evaluate(run: Run, doubts: list[str], reading: dict) -> None:
    """Test it: predictions.csv and the one row of metrics.json, which is this kit's measurement."""
    judged, origin = run.evaluate(**reading), run.origin
    doubts = [*run.origin_doubts, *doubts]
    row = metrics_row(run.task, judged, device=run.device, doubts=doubts)
    row |= {
        "epoch": origin["said"]["epoch"],
        "selected_on": "test" if origin["on_test"] else "last",
    }
    text = judged.predictions.to_csv(index=False, lineterminator="\n")
    write_atomically(run.folder / "predictions.csv", text)
    write_atomically(run.folder / "metrics.json", json_text([row], indent=2) + "\n")
