"""The checkpoint of an epoch: last.pt, and the files that follow from it.

last.pt is written first and holds all that the next epoch needs. best.safetensors and history.csv
tell what it tells, and are written again when a training goes on from it: a kill may fall between
any two of the three.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import torch

from corelib.machine.digests import check_signed, read_tensors, sign
from corelib.machine.files import write_atomically
from corelib.runs.records import ANEW, reading, save_weights
from corelib.training import Optimization

KEYS = {"model", "optimizer", "schedule", "epoch", "history", "seconds"}
WHAT = "a checkpoint to go on from", "start anew with --restart (in Python resume=False)"


def save_epoch(
    out: Path, model, how: Optimization, history: list[dict], seconds: float, *, tensorboard=False
) -> None:
    """Write the state after the last epoch of `history` into a run's folder, for TensorBoard too.

    Raises NoSpaceError when it does not fit; the folder then holds the epoch before.
    """
    if tensorboard:
        _show_epoch(out / "tensorboard", history[-1])
    state = {"model": model.state_dict(), "epoch": history[-1]["epoch"]}
    state |= {"optimizer": how.optimizer.state_dict(), "schedule": how.schedule.state_dict()}
    buffer = io.BytesIO()
    torch.save(sign(state | {"history": history, "seconds": seconds}), buffer)
    write_atomically(out / "last.pt", buffer.getvalue())
    follow_checkpoint(out, model, history)


def follow_checkpoint(out: Path, model, history: list[dict]) -> None:
    """history.csv and, when its last epoch is the best so far, best.safetensors."""
    if history[-1] is best_epoch(history):
        save_weights(model, out / "best.safetensors")
    text = pd.DataFrame(history).to_csv(index=False, lineterminator="\n", na_rep="nan")
    write_atomically(out / "history.csv", text)


def load_checkpoint(path: Path, device: torch.device) -> dict:
    """What `save_epoch` wrote; tensors and plain values only.

    Raises RunError for a file that is damaged, or asks for anything else.
    """
    with reading(path, *WHAT), path.open("rb") as file:
        saved = check_signed(dict(torch.load(file, map_location=device, weights_only=True)))
        if missing := KEYS - set(saved):
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
        if [row["epoch"] for row in saved["history"]] != list(range(saved["epoch"] + 1)):
            raise ValueError("its history is not that of the epochs up to its own")
    return saved


def restore(path: Path, device: torch.device, model, how: Optimization) -> tuple[list[dict], float]:
    """Bring everything to where a checkpoint was saved: (history, seconds) up to there.

    Raises RunError as `load_checkpoint`, for a checkpoint of something else, and where the weights
    of the best epoch, which no later file repeats, are damaged or gone.
    """
    saved, parts = load_checkpoint(path, device), {"model": model, **how._asdict()}
    with reading(path, *WHAT):
        other = how.schedule.state_dict().keys() ^ saved["schedule"].keys()
        kept = [set(state) for state in saved["optimizer"]["state"].values()]
        if other or any(names != {"step", "exp_avg", "exp_avg_sq"} for names in kept):
            raise KeyError("its optimizer or schedule is not that of this recipe")
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    if (history := saved["history"])[-1] is not best_epoch(history):
        best = path.with_name("best.safetensors")
        with reading(best, "the weights of the best epoch so far", ANEW):
            read_tensors(best)
    return history, saved["seconds"]


def best_epoch(history: list[dict]) -> dict:
    """The epoch of the highest validation Spearman; the last where none is defined.

    Among equals it is the one of the lower R-l2.
    """
    judged = [row for row in history if math.isfinite(row["val_spearman"])]
    if not judged:
        return history[-1]
    return max(judged, key=lambda row: (row["val_spearman"], -row["val_rl2_x100"]))


def _show_epoch(folder: Path, row: dict) -> None:
    """A row of the history for TensorBoard: tensorboard --logdir runs."""
    from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second to import

    with SummaryWriter(folder, purge_step=row["epoch"]) as writer:
        for name, value in row.items():
            if name != "epoch" and math.isfinite(value):
                writer.add_scalar(name, value, row["epoch"])
