"""The checkpoint of an epoch: last.pt, and the files that follow from it.

last.pt is written first and holds all that the next epoch needs. best.safetensors and history.csv
tell what it tells, and are written again when a training goes on from it: a kill may fall between
any two of the three.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import torch

from corelib.machine.digests import check_signed, read_tensors, sign
from corelib.machine.files import write_atomically
from corelib.runs.run import ANEW, reading, save_weights


def save_epoch(out: Path, model, optimizer, schedule, history: list[dict], seconds: float) -> None:
    """Write the state after the last epoch of `history` into a run's folder.

    Raises NoSpaceError when it does not fit; the folder then holds the epoch before.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": history[-1]["epoch"],
        "history": history,
        "seconds": seconds,
    }
    buffer = io.BytesIO()
    torch.save(sign(state), buffer)
    write_atomically(out / "last.pt", buffer.getvalue())
    follow_checkpoint(out, model, history)


def follow_checkpoint(out: Path, model, history: list[dict]) -> None:
    """history.csv and, when last.pt's epoch is the best so far on the validation part,
    best.safetensors."""
    if history[-1] is best_epoch(history):
        save_weights(model, out / "best.safetensors")
    write_atomically(out / "history.csv", _csv(history))


def load_checkpoint(path: Path, device: torch.device) -> dict:
    """What `save_epoch` wrote; tensors and plain values only.

    Raises RunError for a file that is damaged, or asks for anything else.
    """
    with _reading(path), path.open("rb") as file:
        saved = check_signed(dict(torch.load(file, map_location=device, weights_only=True)))
        if missing := {"model", "optimizer", "schedule", "epoch", "history", "seconds"} - set(
            saved
        ):
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
        if [row["epoch"] for row in saved["history"]] != list(range(saved["epoch"] + 1)):
            raise ValueError("its history is not that of the epochs up to its own")
    return saved


def restore(
    path: Path, device: torch.device, model, optimizer, schedule
) -> tuple[list[dict], float]:
    """Bring model, optimizer and schedule to where a checkpoint was saved: (history, seconds) up to
    there.

    Raises RunError as `load_checkpoint`, for a checkpoint of something else, and where the weights
    of the best epoch, which no later file repeats, are damaged or gone.
    """
    saved = load_checkpoint(path, device)
    with _reading(path):
        plain = schedule.state_dict().keys() ^ saved["schedule"].keys()
        kept = [set(state) for state in saved["optimizer"]["state"].values()]
        if plain or any(names != {"step", "exp_avg", "exp_avg_sq"} for names in kept):
            raise KeyError("its optimizer or schedule is not that of this recipe")
        for part, key in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(saved[key])
    if (history := saved["history"])[-1] is not best_epoch(history):
        best = path.with_name("best.safetensors")
        with reading(best, "the weights of the best epoch so far", ANEW):
            read_tensors(best)
    return history, saved["seconds"]


def _reading(path: Path):
    return reading(
        path, "a checkpoint to go on from", "start anew with --restart (in Python resume=False)"
    )


def best_epoch(history: list[dict]) -> dict:
    """The epoch with the highest validation Spearman (the lower R-l2 among equals); the last where
    none is defined."""
    judged = [row for row in history if math.isfinite(row["val_spearman"])]
    return (
        max(judged, key=lambda row: (row["val_spearman"], -row["val_rl2_x100"]))
        if judged
        else history[-1]
    )


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
