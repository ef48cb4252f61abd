"""What makes a training pointless or its numbers doubtful, found before it begins.

What cannot work is an error. What works and means little is a plain sentence, which goes on as a
warning of Python and as an entry of `warnings` in metrics.json.
"""

from __future__ import annotations

import numpy as np
import scipy

from corelib.data.clips import refuse_crop
from corelib.data.leakage import find_leaks
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, read_video
from corelib.machine.messages import list_ids
from corelib.pairs import ALL_EQUAL, COARSER, NOT_SHARED, NoPairError, members
from corelib.recipe import Recipe
from corelib.task import Task


def training_doubts(task: Task) -> list[str]:
    """What is doubtful about a training, in plain sentences.

    Raises DatasetError for targets that are not finite or all equal and for samples that are learnt
    from and tested on, NoPairError when no pair can be formed or the scores are equal within every
    group.
    """
    learnt, held = task.targets[task.fit], task.targets[task.held]
    folder = task.table.folder
    wrong = np.flatnonzero(~np.isfinite(task.targets))
    if len(wrong):
        none = f"{len(wrong)} sample(s) have no finite score to learn"
        raise DatasetError(f"{folder}: {none}: {list_ids(task.ids[wrong])}")
    if np.ptp(learnt) == 0:
        alike = f"all {len(learnt)} training scores are {learnt[0]:g}"
        raise DatasetError(f"{folder}: {alike}, so there is nothing to learn")
    said = check_crop(task.table, task.recipe) + find_leaks(task.table)
    if task.recipe.encoder == "frozen" and not task.recipe.weights:
        advice = "get Kinetics weights with data_scripts/fetch_weights.py, and name them as weights"
        said.append(f"the encoder is frozen and starts from random numbers; {advice}")
    return said + _check_groups(task) + _check_validation(held)


def check_losses(losses: list[float]) -> list[str]:
    """Whether a training ended while its loss was clearly falling, given the loss of every epoch.

    Clearly: over the last third of the epochs it fell at half its pace over all of them or faster,
    by the cautious end of the slope's 95 % interval (Theil and Sen's, which no single epoch moves).
    Fewer than six epochs show no trend.
    """
    if len(losses) < 6:
        return []
    slopes, end = scipy.stats.theilslopes, losses[-max(4, -(-len(losses) // 3)) :]
    whole, last = slopes(losses), slopes(end)
    if whole.high_slope >= 0 or last.high_slope > whole.slope / 2:
        return []
    return [
        f"the training ended after {len(losses)} epochs while its loss was still falling: "
        "raise epochs, least_steps or learning_rate"
    ]


def _check_groups(task: Task) -> list[str]:
    if task.recipe.system != "core":
        return []
    ids, found = task.ids, members(task.groups, task.fit)
    alone = [rows[0] for rows in found.values() if len(rows) == 1]
    paired = {label: rows for label, rows in found.items() if len(rows) > 1}
    equal = [label for label, rows in paired.items() if np.ptp(task.targets[rows]) == 0]
    if not paired:
        raise NoPairError(f"{NOT_SHARED}, so there is no pair to learn from; pair by {COARSER}")
    if len(equal) == len(paired):
        raise NoPairError(ALL_EQUAL)
    said = []
    if alone:
        some = f"{len(alone)} of {len(task.fit)} training samples"
        said.append(f"{some} are alone in their group and never paired: {list_ids(ids[alone])}")
    if equal:
        said.append(
            f"in {len(equal)} of {len(paired)} groups all training scores are equal, so their pairs"
            f" teach no difference: {list_ids(equal)}"
        )
    return said


def _check_validation(targets: np.ndarray) -> list[str]:
    kept = "and the last is kept"
    if len(targets) == 0:
        few = "there are too few training samples to hold some back for validation"
        return [f"{few}: no epoch can be chosen, {kept}"]
    if len(targets) == 1:
        single = "the validation part is a single sample, which has no order"
        return [f"{single}: no epoch can be chosen by it, {kept}"]
    if np.ptp(targets) == 0:
        alike = f"all {len(targets)} validation scores are equal"
        return [f"{alike}: no epoch can be chosen by them, {kept}"]
    return []


def check_crop(table: SampleTable, recipe: Recipe) -> list[str]:
    """Whether a crop shows the better part of a picture that nothing resizes.

    Looked up before anything is decoded. Raises CropError for a crop larger than the frames.
    """
    if recipe.encoder == "projection" or recipe.resize is not None:
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
    """What is doubtful about a new video's frames (height, width), for a model of size `trained`.

    shape  (height, width) of the frames it was trained on, before they were resized; None: unknown
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
