"""The checkpoint of an epoch: last.pt, and the files that follow from it.

last.pt is written first and holds all that the next epoch needs. best.safetensors and history.csv tell what it
tells, and are written again when a training goes on from it: a kill may fall between any two of the three.
"""

from __future__ import annotations

import csv
import io
import math
import pickle
from pathlib import Path

import torch

from corelib.files import write_atomically
from corelib.messages import one_line
from corelib.runs import RunError, save_weights


def save_epoch(out: Path, model, optimizer, schedule, history: list[dict], seconds: float) -> None:
    """Write the state after the last epoch of `history` into a run's folder.

    Raises NoSpaceError when it does not fit; the folder then holds the epoch before.
    """
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
        "epoch": history[-1]["epoch"], "history": history, "seconds": seconds,
    }  # fmt: skip
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(out / "last.pt", buffer.getvalue())
    follow_checkpoint(out, model, history)


def follow_checkpoint(out: Path, model, history: list[dict]) -> None:
    """history.csv and, when last.pt's epoch is the best so far on the validation part, best.safetensors."""
    if history[-1] is best_epoch(history):
        save_weights(model, out / "best.safetensors")
    write_atomically(out / "history.csv", _csv(history))


def load_checkpoint(path: Path, device: torch.device) -> dict:
    """What `save_epoch` wrote; tensors and plain values only.

    Raises RunError for a file that is damaged, or asks for anything else.
    """
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        if missing := {"model", "optimizer", "schedule", "epoch", "history", "seconds"} - set(saved):
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # pickle and zip errors have no common type, and torch's own text invites to open it all the same
        told = "it is damaged, or asks for more than tensors" if isinstance(error, pickle.UnpicklingError) else one_line(error)
        raise RunError(f"{path}: not a checkpoint to go on from ({told}); start anew with --restart") from None
    return saved


def best_epoch(history: list[dict]) -> dict:
    """The epoch with the highest validation Spearman (the lower R-l2 among equals); the last where none is defined."""
    judged = [row for row in history if math.isfinite(row["val_spearman"])]
    return max(judged, key=lambda row: (row["val_spearman"], -row["val_rl2_x100"])) if judged else history[-1]


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
