"""The files of a run: written whole, read with the suspicion that a stranger's folder deserves.

recipe.json  history.csv  last.pt  best.safetensors  predictions.csv  metrics.json  environment.json
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from corelib.data.samples import SampleTable, path_from
from corelib.evaluation import Evaluation
from corelib.machine.digests import pack_tensors, read_tensors
from corelib.machine.errors import KitError
from corelib.machine.files import write_atomically
from corelib.machine.messages import describe_os_error, has_control_characters, one_line
from corelib.recipe import Recipe
from corelib.task import Task

DELETE = "take it from a copy of the run, or delete the run's folder and train anew"
ANEW = "train it anew: the same `train` command with --restart (in Python resume=False)"
STATED = {"epoch", "selected_on", "spearman", "rl2_x100", "score_range", "n_test"}
MEASURES = ("spearman", "rl2_x100")  # null where they are undefined
INTERVALS = ("spearman_95", "rl2_x100_95")  # [null, null] there


class RunError(KitError, RuntimeError):
    """A run folder cannot be used; the message says what to do."""


@contextmanager
def reading(path: Path, what: str, advice: str) -> Iterator[None]:
    """While a file of a run is read: whatever goes wrong is a RunError that says what helps.

    A file that the system refuses may be whole, so no advice is given that would throw it away.
    """
    try:
        yield
    except (RunError, torch.OutOfMemoryError):
        raise
    except OSError as error:
        told = describe_os_error(error)
        raise RunError(told if error.filename else f"{path}: {told}") from None
    except pickle.UnpicklingError:  # what torch says of it invites to open the file all the same
        damaged = "it is damaged, or asks for more than tensors"
        raise RunError(f"{path}: not {what} ({damaged}); {advice}") from None
    except Exception as error:  # pickle, zip, safetensors, pandas, JSON: they have no common type
        kind = "" if isinstance(error, KitError) else f"{type(error).__name__}: "
        raise RunError(f"{path}: not {what} ({kind}{one_line(error)}); {advice}") from None


def describe(table: SampleTable, recipe: Recipe, out: Path) -> dict:
    """recipe.json of a run in `out`: every knob, and which dataset it was trained on."""
    dataset = {"name": table.name, "path": path_from(table.folder, out), "sha256": table.sha256}
    return {"recipe": recipe.to_dict(), "dataset": dataset}


def read_description(folder: Path) -> tuple[dict, Recipe]:
    """What `describe` gave, {"recipe": ..., "dataset": {name, path, sha256}}, and the recipe.

    The path may lead anywhere that a prepared dataset lies; it is used where that one's checksum is
    the one stated. Raises RunError for a file that is none, or was written by a stranger's program.
    """
    path = folder / "recipe.json"
    with reading(path, "the recipe of a run", DELETE):
        described = json.loads(path.read_text(encoding="utf-8"))
        recipe, dataset = Recipe.from_dict(described["recipe"]), described["dataset"]
        texts = [dataset[key] for key in ("name", "path", "sha256")]
        if not all(isinstance(text, str) and not has_control_characters(text) for text in texts):
            raise TypeError("the dataset's name, path and sha256 must be text")
    return described, recipe


def check_same(before: dict, now: dict, out: Path) -> None:
    """Raise RunError when a run folder's recipe or dataset is not the one asked for."""
    changed = [key for key, value in now["recipe"].items() if before["recipe"].get(key) != value]
    if before["dataset"]["sha256"] != now["dataset"]["sha256"]:
        changed.append("the dataset")
    if changed:
        held = f"holds a run of another recipe or dataset (different: {', '.join(changed)})"
        raise RunError(f"{out} {held}; choose another --out or delete it")


def trained_table(described: dict, folder: Path) -> SampleTable:
    """The dataset that a run in `folder` was trained on. Raises RunError where it has changed."""
    table = SampleTable.load((folder / described["path"]).resolve())
    if table.sha256 != described["sha256"]:
        changed = f"the dataset has changed since {folder} was trained"
        raise RunError(f"{table.folder}: {changed}; name the one to use with --dataset")
    return table


def read_metrics(path: Path) -> list[dict]:
    """The rows of a metrics.json; a measure that is null is nan again.

    Raises RunError for a file that is none.
    """
    advice = "delete it, and the training's command writes it anew"
    with reading(path, "the metrics of a run", advice):
        rows = json.loads(path.read_text(encoding="utf-8"))
        for row in rows:
            if missing := STATED - set(row):
                raise KeyError(f"a row lacks {', '.join(sorted(missing))}")
            row |= {key: math.nan for key in MEASURES if row.get(key, 0) is None}
            row |= {key: [math.nan] * 2 for key in INTERVALS if row.get(key) == [None, None]}
            numbers = [row.get(key, 0) for key in (*MEASURES, "epoch", "n_test", "seconds")]
            for low, high in (row.get(key, [0, 0]) for key in (*INTERVALS, "score_range")):
                numbers += [low, high]
            if not all(isinstance(number, int | float) for number in numbers):
                raise TypeError("a measure is no number")
            if not all(isinstance(sentence, str) for sentence in row.get("warnings", [])):
                raise TypeError("a warning is no text")
    return rows


def metrics_row(
    task: Task,
    judged: Evaluation,
    *,
    device: torch.device,
    split: str = "test",
    notebook="",
    doubts: Iterable[str] = (),
) -> dict:
    """One row of metrics.json.

    doubts  sentences about the training (soundness.training_doubts), which go before the others
    """
    table, recipe = task.table, task.recipe
    warned = list(dict.fromkeys([*doubts, *judged.summary["warnings"]]))
    row = {"dataset": table.name, "system": recipe.system}
    row |= {"with_difficulty": recipe.with_difficulty, "recipe": recipe.name, "seed": recipe.seed}
    row |= {"fold": recipe.fold, "split": split, "n_train": len(task.fit)}
    row |= {"device": str(device), "notebook": notebook}
    row |= {"dataset_sha256": table.sha256, "table_sha256": table.table_sha256}
    row |= {"exemplars": recipe.exemplars if recipe.system == "core" else 0}
    return row | judged.summary | {"warnings": warned}


def read_table(
    path: Path, what: str, numbers: tuple[str, ...], texts: tuple[str, ...] = ()
) -> pd.DataFrame:
    """A CSV file of a run with these columns, of numbers and of text. Raises RunError."""
    advice = "delete metrics.json beside it, and the training's command writes both anew"
    with reading(path, f"{what} of a run", advice):
        found = pd.read_csv(path, dtype=dict.fromkeys(texts, str))
        if missing := [name for name in (*numbers, *texts) if name not in found]:
            raise ValueError(f"no column {missing[0]}")
        if wrong := [name for name in numbers if not pd.api.types.is_numeric_dtype(found[name])]:
            raise ValueError(f"{wrong[0]} holds what is no number")
        if not isinstance(found.index, pd.RangeIndex):
            raise ValueError("rows have more fields than the header")
    return found


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """The model's tensors as safetensors, written atomically."""
    state = model.state_dict().items()
    tensors = {name: part.detach().cpu().contiguous().clone() for name, part in state}
    write_atomically(path, pack_tensors(tensors))


def load_weights_into(model: torch.nn.Module, path: Path) -> None:
    """The tensors that `save_weights` wrote. Raises RunError for a damaged or another model's."""
    with reading(path, "the weights of the model that recipe.json beside it describes", ANEW):
        model.load_state_dict(read_tensors(path))


def environment(device: torch.device, table: SampleTable, recipe: Recipe) -> dict:
    """What a result depends on besides its recipe: versions, machine, source, data."""
    return machine(device) | {"dataset_sha256": table.sha256, "recipe_digest": recipe.digest}


def machine(device: torch.device) -> dict:
    """Versions, machine and device, threads, and the checksum of corelib's source."""
    packages = ("torch", "torchvision", "numpy", "scipy", "pandas", "av")
    source = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        source.update(file.read_bytes())
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "source_sha256": source.hexdigest(),
    }
