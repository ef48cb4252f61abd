"""A run: the folder of a trained model, what lies in it and how it is loaded again.

recipe.json  history.csv  last.pt  best.safetensors  predictions.csv  metrics.json
             environment.json
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from corelib.data.leakage import find_known, find_leaks
from corelib.data.samples import DatasetError, SampleTable, path_from
from corelib.evaluation import Evaluation, evaluate, open_inputs
from corelib.machine.digests import pack_tensors, read_tensors
from corelib.machine.errors import KitError
from corelib.machine.files import write_atomically
from corelib.machine.messages import describe_os_error, has_control_characters, one_line, warn_once
from corelib.models import build_model
from corelib.recipe import Recipe


class RunError(KitError, RuntimeError):
    """A run folder cannot be used; the message says what to do."""


@contextmanager
def reading(path: Path, what: str, advice: str):
    """While a file of a run is read: whatever goes wrong is a RunError, which names it and says
    what helps.

    A file that the system refuses may be whole, so nothing is advised then that would throw it
    away.
    """
    try:
        yield
    except (RunError, torch.OutOfMemoryError):
        raise
    except OSError as error:
        told = describe_os_error(error)
        raise RunError(told if error.filename else f"{path}: {told}") from None
    # damaged files raise nearly anything: pickle, zip, safetensors, pandas and JSON have no common
    # type
    except Exception as error:
        told = (
            "it is damaged, or asks for more than tensors"
            if isinstance(error, pickle.UnpicklingError)
            else one_line(error)
        )
        kind = (
            ""
            if isinstance(error, KitError | pickle.UnpicklingError)
            else f"{type(error).__name__}: "
        )
        raise RunError(f"{path}: not {what} ({kind}{told}); {advice}") from None


def pick_device(name: str = "auto") -> torch.device:
    """ "auto": the GPU where there is one (of several processes each its own), else the CPU; or a
    device's name.

    Raises RunError for a name that torch does not know, and for a GPU that is not there.
    """
    if str(name) == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RunError(f"{name!r} is no device; write auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise RunError(
            f"{name!r} is no device that the kit can use; write auto, cpu, cuda or cuda:N"
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RunError(
            f"{name} was asked for, and torch finds no GPU here; write auto or cpu, and ask `python"
            " -m corelib doctor` why"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RunError(
            f"{name} was asked for, and this machine's GPUs are cuda:0 to"
            f" cuda:{torch.cuda.device_count() - 1}"
        )
    return device


@dataclass
class Run:
    """A trained run: folder, recipe, dataset, the model at its chosen epoch (in eval mode) and its
    inputs."""

    folder: Path
    recipe: Recipe
    table: SampleTable
    model: torch.nn.Module
    source: object
    device: torch.device

    @classmethod
    def load(
        cls, folder: str | Path, *, table: SampleTable | None = None, device="auto", progress=False
    ) -> Run:
        """Load a finished run from its folder alone (or with `table` in place of its own
        dataset)."""
        folder, device = Path(folder), pick_device(device)
        for name in ("recipe.json", "best.safetensors"):
            if not (folder / name).is_file():
                raise RunError(
                    f"{folder}: no {name} here, so it is no finished run; {_what_helps(folder)}"
                )
        described, recipe = read_description(folder)
        own = _own_table(described["dataset"], folder) if table is None else table
        own = own.of_fold(recipe.fold) if own.folds else own
        source = open_inputs(own, recipe, progress=progress)
        # the shapes of the intervals do not depend on the data, and their values come with the
        # weights; nor is a file opened that the recipe began with
        with reading(folder / "recipe.json", "the recipe of a model that can be built", DELETE):
            model = build_model(
                recipe.replace(weights=""),
                np.array([0.0, 1.0]),
                np.array([0, 0]),
                in_features=source.in_features,
            )
        load_weights_into(model, folder / "best.safetensors")
        return cls(folder, recipe, own, model.to(device).eval(), source, device)

    @property
    def metrics(self) -> list[dict]:
        """The rows of metrics.json: the epoch chosen on the validation part first, then the
        last."""
        return read_metrics(self.folder / "metrics.json")

    @property
    def history(self) -> pd.DataFrame:
        """history.csv: epoch, loss, val_spearman, val_rl2_x100, val_residual_90, lr, encoded,
        seconds."""
        return _read_csv(
            self.folder / "history.csv",
            "the history",
            ("epoch", "loss", "val_spearman", "val_rl2_x100", "val_residual_90", "seconds"),
        )

    @property
    def predictions(self) -> pd.DataFrame:
        """predictions.csv: id, true, predicted, spread, exemplars."""
        return _read_csv(
            self.folder / "predictions.csv",
            "the predictions",
            ("true", "predicted", "spread"),
            texts=("id", "exemplars"),
        )

    def predictions_with_samples(self) -> pd.DataFrame:
        """The predictions, one row a test sample, with every column of its sample and `error`,
        predicted minus true.

        Where both have a column of one name, the sample's is called <name>_of_sample.
        """
        joined = self.predictions.merge(
            self.table.samples,
            on="id",
            how="left",
            suffixes=("", "_of_sample"),
            validate="one_to_one",
        )
        joined.insert(3, "error", joined["predicted"] - joined["true"])
        return joined

    def evaluate(
        self,
        split: str = "test",
        *,
        exemplars: int | str | None = None,
        workers: int = 0,
        progress=False,
    ) -> Evaluation:
        """Evaluate on a split of its dataset; exemplars: M, "all" of the group, None for the
        recipe's."""
        queries = self.table.rows(split)
        if len(queries) == 0:
            raise DatasetError(f"{self.table.folder}: no sample has split {split!r}")
        judged = evaluate(
            self.model,
            self.source,
            self.table,
            self.recipe,
            queries=queries,
            pool=self.table.rows("train"),
            device=self.device,
            exemplars=exemplars,
            workers=workers,
            progress=progress,
        )
        if split != "test":
            judged.summary["warnings"].insert(
                0, f"split {split!r} is no test: models are fitted or chosen on such samples"
            )
            warn_once(judged.summary["warnings"][:1])
        return judged

    def doubts(self) -> list[str]:
        """What is doubtful about testing this run on its table, in plain sentences: samples that
        two splits share or, where the table is not the dataset it was trained on, that it has
        learnt from (looked for while that is still there)."""
        said = find_leaks(self.table)
        described = read_description(self.folder)[0]["dataset"]
        if self.table.sha256 != described["sha256"]:
            try:
                own = _own_table(described, self.folder).of_fold(self.recipe.fold)
                sizes = [table.info.get("frame_size") for table in (own, self.table)]
                if all(sizes) and sizes[0] != sizes[1] and self.recipe.resize is None:
                    said.append(
                        "frames of {} x {} pixels, where the model was trained on {} x {}: what it"
                        " knows has another size there".format(*sizes[1], *sizes[0])
                    )
                said += find_known(own, self.table)
            except (DatasetError, RunError):  # gone or changed: nothing to compare with
                pass
        return said


DELETE = "take it from a copy of the run, or delete the run's folder and train anew"
ANEW = "train it anew: the same `train` command with --restart (in Python resume=False)"


def _what_helps(folder: Path) -> str:
    if not (folder / "recipe.json").is_file():
        return "make one with `python -m corelib train`"
    if (
        folder / "metrics.json"
    ).is_file():  # the training ended, and will not write them again by itself
        return f"its weights are gone: {ANEW}"
    return "go on with it by the same `train` command"


def _read_csv(
    path: Path, what: str, numbers: tuple[str, ...], texts: tuple[str, ...] = ()
) -> pd.DataFrame:
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


def list_runs(folder: str | Path) -> pd.DataFrame:
    """All finished runs directly under a folder, one row each: what came out, then every knob of
    the recipe.

    Columns: run (its folder's name), dataset, system, with_difficulty, recipe, seed, epoch,
    spearman, rl2_x100, n_test, seconds (of the epoch chosen on the validation part; nan where there
    was nothing to test on), then the recipe's other knobs. Unfinished runs and other folders are
    left out. Raises RunError when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(
            f"{folder}: no such folder, so there are no runs in it; make one with `python -m"
            " corelib train`"
        )
    rows, measured = [], ("epoch", "spearman", "rl2_x100", "n_test", "seconds")
    for path in sorted(folder.glob("*/recipe.json")):
        if not all((path.parent / name).is_file() for name in ("metrics.json", "best.safetensors")):
            continue
        (described, _), found = (
            read_description(path.parent),
            read_metrics(path.parent / "metrics.json"),
        )
        recipe, chosen = dict(described["recipe"]), (found or [{}])[0]
        first = {"run": path.parent.name, "dataset": described["dataset"]["name"]}
        first |= {key: recipe.pop(key) for key in ("system", "with_difficulty")} | {
            "recipe": recipe.pop("name"),
            "seed": recipe.pop("seed"),
        }
        rows.append(first | {key: chosen.get(key, float("nan")) for key in measured} | recipe)
    return pd.DataFrame(
        rows,
        columns=(
            None
            if rows
            else ["run", "dataset", "system", "with_difficulty", "recipe", "seed", *measured]
        ),
    )


def read_description(folder: Path) -> tuple[dict, Recipe]:
    """recipe.json of a run: {"recipe": every knob, "dataset": {name, path from the run, sha256}},
    and the recipe.

    The path may lead anywhere that a prepared dataset lies; it is used where that one's checksum is
    the one stated. Raises RunError for a file that is none, or was written by a stranger's program.
    """
    path = folder / "recipe.json"
    with reading(path, "the recipe of a run", DELETE):
        described = json.loads(path.read_text(encoding="utf-8"))
        recipe, dataset = Recipe.from_dict(described["recipe"]), described["dataset"]
        if not all(
            isinstance(dataset[key], str) and not has_control_characters(dataset[key])
            for key in ("name", "path", "sha256")
        ):
            raise TypeError("the dataset's name, path and sha256 must be text")
    return described, recipe


def read_metrics(path: Path) -> list[dict]:
    """The rows of a metrics.json; a measure that is null is nan again. Raises RunError for a file
    that is none."""
    with reading(
        path, "the metrics of a run", "delete it, and the training's command writes it anew"
    ):
        rows = json.loads(path.read_text(encoding="utf-8"))
        for row in rows:
            if missing := {
                "epoch",
                "selected_on",
                "spearman",
                "rl2_x100",
                "score_range",
                "n_test",
            } - set(row):
                raise KeyError(f"a row lacks {', '.join(sorted(missing))}")
            row |= {
                key: math.nan
                for key in ("spearman", "rl2_x100", "residual_90")
                if row.get(key, 0) is None
            }
            row |= {
                key: [math.nan] * 2
                for key in ("spearman_95", "rl2_x100_95")
                if row.get(key) == [None, None]
            }
            single = [
                row.get(key, 0)
                for key in ("epoch", "n_test", "spearman", "rl2_x100", "residual_90", "seconds")
            ]
            pairs = [row.get(key, [0, 0]) for key in ("score_range", "spearman_95", "rl2_x100_95")]
            if not all(
                isinstance(number, int | float)
                for number in [*single, *(end for low, high in pairs for end in (low, high))]
            ):
                raise TypeError("a measure is no number")
            if not all(isinstance(sentence, str) for sentence in row.get("warnings", [])):
                raise TypeError("a warning is no text")
    return rows


def save_weights(model, path: Path) -> None:
    """The model's tensors as safetensors, written atomically."""
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    write_atomically(path, pack_tensors(state))


def load_weights_into(model, path: Path) -> None:
    """The tensors that `save_weights` wrote. Raises RunError for a file that is damaged or another
    model's."""
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


def describe(table: SampleTable, out: Path) -> dict:
    """Which dataset a run in `out` was trained on: name, path from there, checksum."""
    return {"name": table.name, "path": path_from(table.folder, out), "sha256": table.sha256}


def _own_table(described: dict, folder: Path) -> SampleTable:
    table = SampleTable.load((folder / described["path"]).resolve())
    if table.sha256 != described["sha256"]:
        raise RunError(
            f"{table.folder}: the dataset has changed since {folder} was trained; name the one to"
            " use with --dataset"
        )
    return table


def check_same(before: dict, now: dict, out: Path) -> None:
    """Raise RunError, naming the differences, when a run folder's recipe or dataset is not the one
    asked for."""
    changed = [key for key, value in now["recipe"].items() if before["recipe"].get(key) != value]
    if before["dataset"]["sha256"] != now["dataset"]["sha256"]:
        changed.append("the dataset")
    if changed:
        raise RunError(
            f"{out} holds a run of another recipe or dataset (different: {', '.join(changed)});"
            " choose another --out or delete it"
        )
