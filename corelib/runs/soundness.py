"""What makes a training pointless or its numbers doubtful: found before it begins, or in what a
model predicts.

What cannot work is an error. What works and means little is a plain sentence, which goes on as a
warning of Python and as an entry of `warnings` in metrics.json.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import theilslopes

from corelib.data.clips import refuse_crop
from corelib.data.leakage import find_leaks
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, read_video
from corelib.machine.errors import KitError
from corelib.machine.messages import list_ids
from corelib.pairs import NoPairError, members
from corelib.recipe import Recipe

NOTHING = 1e-6  # of the numbers compared: what differs by less is equal, to the digits of float32


class TrainingError(KitError, RuntimeError):
    """A training cannot go on; the message says what to do."""


def check_training(
    table: SampleTable,
    recipe: Recipe,
    targets: np.ndarray,
    groups: np.ndarray,
    *,
    train: np.ndarray,
    val: np.ndarray,
) -> list[str]:
    """What is doubtful about a training, in plain sentences.

    targets, groups [N] of the whole table; train the rows to fit, val those to choose the epoch on.
    Raises DatasetError for targets that are not finite or all equal and for samples that are learnt
    from and tested on, NoPairError when no pair can be formed or the scores are equal within every
    group.
    """
    ids = table.samples["id"].to_numpy()
    wrong = np.flatnonzero(~np.isfinite(targets))
    if len(wrong):
        raise DatasetError(
            f"{table.folder}: {len(wrong)} sample(s) have no finite score to learn:"
            f" {list_ids(ids[wrong])}"
        )
    if np.ptp(targets[train]) == 0:
        raise DatasetError(
            f"{table.folder}: all {len(train)} training scores are {targets[train[0]]:g}, so there"
            " is nothing to learn"
        )
    said = check_crop(table, recipe)
    return (
        said
        + find_leaks(table)
        + (_check_groups(ids, targets, groups, train) if recipe.system == "core" else [])
        + _check_validation(targets[val])
    )


def too_few(table: SampleTable, recipe: Recipe) -> DatasetError:
    """The error of a table without two training rows: which rows there are, and what to do."""
    counts = ", ".join(f"{len(table.rows(split))} {split}" for split in ("train", "val", "test"))
    has = "samples.csv has" if recipe.fold is None else f"testing on fold {recipe.fold} leaves"
    return DatasetError(
        f"{table.folder}: training needs two samples or more with the split train; {has} {counts}. "
        "Prepare more samples, or give more of them the split train"
    )


def teaches(recipe: Recipe, targets: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> bool:
    """Whether `rows` can be learnt from: their scores differ, for pairs within a group.

    targets, groups [N] of the whole table
    """
    parts = members(groups, rows).values() if recipe.system == "core" else [rows]
    return any(np.ptp(targets[part]) > 0 for part in parts)


def check_losses(losses: list[float]) -> list[str]:
    """Whether a training ended while its loss was clearly falling, given the loss of every epoch.

    Clearly: over the last third of the epochs it fell at half its pace over all of them or faster,
    by the cautious end of the slope's 95 % interval (Theil and Sen's, which no single epoch moves).
    Fewer than six epochs show no trend.
    """
    if len(losses) < 6:
        return []
    whole, last = theilslopes(losses), theilslopes(losses[-max(4, -(-len(losses) // 3)) :])
    if whole.high_slope >= 0 or last.high_slope > whole.slope / 2:
        return []
    return [
        f"the training ended after {len(losses)} epochs while its loss was still falling: "
        "raise epochs, least_steps or learning_rate"
    ]


def _check_groups(
    ids: np.ndarray, targets: np.ndarray, groups: np.ndarray, train: np.ndarray
) -> list[str]:
    found = members(groups, train)
    alone = [rows[0] for rows in found.values() if len(rows) == 1]
    paired = {label: rows for label, rows in found.items() if len(rows) > 1}
    equal = [label for label, rows in paired.items() if np.ptp(targets[rows]) == 0]
    if not paired:
        raise NoPairError(
            "no two training samples share a group, so there is no pair to learn from; pair by"
            " something coarser"
        )
    if len(equal) == len(paired):
        raise NoPairError(
            "all training scores are equal within their groups: there is no difference to learn"
        )
    said = []
    if alone:
        said.append(
            f"{len(alone)} of {len(train)} training samples are alone in their group and never"
            f" paired: {list_ids(ids[alone])}"
        )
    if equal:
        said.append(
            f"in {len(equal)} of {len(paired)} groups all training scores are equal, so their pairs"
            f" teach no difference: {list_ids(equal)}"
        )
    return said


def _check_validation(targets: np.ndarray) -> list[str]:
    if len(targets) == 0:
        return [
            "there are too few training samples to hold some back for validation: "
            "no epoch can be chosen, and the last is kept"
        ]
    if len(targets) == 1:
        return [
            "the validation part is a single sample, which has no order: no epoch can be chosen by"
            " it, and the last is kept"
        ]
    if np.ptp(targets) == 0:
        return [
            f"all {len(targets)} validation scores are equal: no epoch can be chosen by them, and"
            " the last is kept"
        ]
    return []


def check_crop(table: SampleTable, recipe: Recipe) -> list[str]:
    """Whether a crop shows the better part of a picture that nothing resizes; looked up before
    anything is decoded.

    Raises CropError for a crop that is larger than the frames.
    """
    if recipe.encoder != "i3d" or recipe.resize is not None:
        return []
    size = table.info.get("frame_size") or _first_size(table)
    if size is None:
        return []
    (H, W), crop = size, recipe.crop
    refuse_crop(crop, H, W, f"{table.folder}: ")
    if crop / max(H, W) > 0.45:  # the paper's own 224 of MTL-AQA's 455 pixels count as half
        return []
    short = round(crop * 9 / 8)  # as the kit's own: a crop of 64 pixels in frames of 72
    right = [round(short * side / min(H, W)) for side in (H, W)]
    return [
        f"the crop of {crop} x {crop} pixels is less than half of the frames'"
        f" {'height' if H > W else 'width'} ({H} x {W}), so the model sees a part of each picture;"
        f" resize them: --set resize=[{right[0]},{right[1]}]"
    ]


def _first_size(table: SampleTable) -> tuple[int, int] | None:
    try:
        return read_video(table.root / table.samples["media"][0], np.array([0])).shape[1:3]
    except (VideoError, OSError):  # told with all the others that cannot be read
        return None


def check_sizes(
    video: object, size: tuple[int, int], trained: tuple[int, int], shape: tuple[int, int] | None
) -> list[str]:
    """What is doubtful about a new video's frames (height, width), once they have the size that a
    model was trained on.

    shape  (height, width) of the frames it was trained on before they were resized, None where that
           is not known
    """
    said, told = [], f"{video}: its frames of {size[0]} x {size[1]}"
    if shape and abs(size[1] / size[0] * shape[0] / shape[1] - 1) > 0.02:
        said.append(
            f"{told} have another shape than the {shape[0]} x {shape[1]} the model was trained on,"
            " so they are stretched; cut or pad them to that shape"
        )
    if size[0] < trained[0] or size[1] < trained[1]:
        said.append(
            f"{told} are smaller than the {trained[0]} x {trained[1]} the model was trained on, so"
            " they are enlarged and show less"
        )
    return said


def check_predictions(predicted: np.ndarray, true: np.ndarray) -> list[str]:
    """What a constant predictor looks like: predictions [N] that differ by no more than rounding,
    given true scores [N]."""
    if is_nearly_constant(predicted, true):
        return [
            f"all {len(predicted)} predictions are {predicted[0]:g} to within"
            f" {np.ptp(predicted):.1g}: as good as a constant, so their order says nothing"
        ]
    return []


def is_nearly_constant(predicted: np.ndarray, true: np.ndarray) -> bool:
    """Whether predictions differ, but by rounding alone: what a rank correlation makes of them is
    no order of a model."""
    spread = np.ptp(predicted) if len(predicted) > 1 else np.inf
    return bool(0 < spread <= NOTHING * max(np.abs(predicted).max(), np.ptp(true)))


def check_votes(
    ids: np.ndarray,
    query: np.ndarray,
    differences: np.ndarray,
    exemplar_targets: np.ndarray,
    *,
    asked: int | None,
) -> list[str]:
    """What is doubtful about the votes of exemplars.

    ids [Q] of the queries, query [P] positions in them, differences [P] that were read and
    exemplar_targets [P], in the target's unit; asked: how many exemplars a query should have had,
    None for all of its group
    """
    said, votes = [], np.bincount(query, minlength=len(ids))
    if asked != 1 and (votes == 1).any():
        said.append(
            f"{(votes == 1).sum()} of {len(ids)} samples were compared with a single exemplar, so"
            f" their spread of 0 says nothing: {list_ids(ids[votes == 1])}"
        )
    if len(differences) > 1 and np.ptp(differences) <= NOTHING * max(
        np.abs(differences).max(), np.ptp(exemplar_targets)
    ):
        said.append(
            f"the model reads the same difference, {differences[0]:.4g}, off all {len(differences)}"
            " pairs: it does not look at the query"
        )
    return said


def not_finite(what: str, epoch: int, step: int, schedule, rows: np.ndarray, ids) -> TrainingError:
    """The error of numbers that went wrong: when, at which learning rates, in a batch of which
    samples.

    rows  of the batch; ids [N] of the whole table, None where rows are all that is known
    """
    names = sorted(set(map(str, rows if ids is None else np.asarray(ids)[rows])))
    rates = ", ".join(f"{rate:.2g}" for rate in schedule.get_last_lr())
    return TrainingError(
        f"{what} at epoch {epoch}, step {step} (learning rates {rates}), in a batch of the samples"
        f" {', '.join(names)}{advice(epoch)}"
    )


def advice(epoch: int) -> str:
    """What is left of a training that stopped in or after this epoch, and what to try."""
    kept = (
        f"last.pt and best.safetensors hold what was good up to epoch {epoch - 1}"
        if epoch
        else "there is no checkpoint yet"
    )
    return f"; {kept}. Try a lower learning_rate, in another run folder."
