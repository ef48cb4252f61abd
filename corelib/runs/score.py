"""What a trained run says of a new video: a score, its interval, and whom it was compared with."""

from __future__ import annotations

import difflib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from corelib.data.clips import load_clip, resize_video
from corelib.evaluation import encode, exemplar_count, lean_encoder, refuse_not_finite
from corelib.intervals import intervals
from corelib.machine.devices import pick_precision
from corelib.machine.messages import list_ids, one_line, warn_once
from corelib.pairs import draw_exemplars
from corelib.recipe import RecipeError
from corelib.runs.run import Run
from corelib.runs.soundness import check_sizes
from corelib.task import Task


@torch.no_grad()
def score_video(
    run: Run,
    video: str | Path,
    *,
    difficulty: float | None = None,
    group: object = None,
    exemplars: int | str | None = None,
) -> dict:
    """Score one new video with a trained run.

    difficulty  of the action shown, where the run uses difficulty
    group       of the exemplars to compare with, where the run pairs by another column (find_group)
    exemplars   M; "all" of its group; None takes the recipe's

    Returns {video, score, spread, interval_90, paired_by, group, exemplars: [{id, score,
    predicted}, ...], warnings}; the interval is conformal (corelib.intervals), and all of the scale
    where too few rows were held back to promise 90 %.
    Raises RecipeError when the difficulty or group is missing, or the run reads features instead of
    videos, PredictionError when the score is not finite.
    """
    task, recipe = run.task, run.recipe
    if recipe.encoder == "projection":
        unseeing = "this run reads precomputed features, so it cannot score a video"
        raise RecipeError(f"{run.folder}: {unseeing}")
    if recipe.with_difficulty and difficulty is None:
        needed = "this run multiplies by the difficulty; give that of the action"
        raise RecipeError(f"{needed} with --difficulty, for example 3.2")
    if difficulty is not None and not 0 < difficulty < math.inf:
        raise RecipeError(f"--difficulty must be a number above 0, not {difficulty}")
    own = find_group(task, group, difficulty)
    frames, doubts = _as_trained(run, video)
    inputs = run.source.to_inputs(torch.from_numpy(frames)[None].to(run.device))
    query = lean_encoder(run.model.eval(), pick_precision(recipe.precision, run.device))(inputs)
    factor = difficulty if recipe.with_difficulty else task.factor[0]
    rows = np.empty(0, int)
    if run.model.uses_exemplars:
        name, count = f"new video {Path(video).name}", exemplar_count(exemplars, recipe)
        rows = _exemplars(task, name, own, factor if recipe.with_difficulty else None, count)
        doubts += _strange_exemplars(task, own, difficulty, rows)
    votes = task.offset + factor * _verdicts(run, query, rows)
    warn_once(doubts)
    refuse_not_finite(votes, [str(video)] * len(votes))
    score, samples = float(votes.mean()), task.table.samples.iloc[rows]
    asked = pd.DataFrame({"predicted": [score], "spread": [votes.std()]})
    between = intervals(run.validation, asked, 0.9, task.table.info["score_range"])[0]
    compared = zip(samples["id"], samples["score"], votes if len(rows) else (), strict=True)
    return {
        "video": str(video),
        "score": score,
        "spread": float(votes.std()),
        "interval_90": between.tolist(),
        "paired_by": None if own is None else task.paired_by,
        "group": own,
        "warnings": doubts,
        "exemplars": [{"id": i, "score": float(s), "predicted": float(v)} for i, s, v in compared],
    }


def find_group(task: Task, group: object = None, difficulty: float | None = None) -> str | None:
    """The group of the training samples that a new video is compared with; None for all of them.

    group       as written in the column paired by; a number may be written otherwise (3 for 3.0)
    difficulty  of the new video: where a run pairs by it, the nearest among the exemplars is it
    Raises RecipeError for a group that is missing, unknown or of no use, naming those that are.
    """
    key = task.paired_by if task.recipe.system == "core" else None
    if key is None:
        if group is not None:
            whom = "all samples" if task.recipe.system == "core" else "nobody"
            useless = f"this run compares with {whom}, whatever their group"
            raise RecipeError(f"{useless}; leave --group out")
        return None
    labelled = task.pool[task.table.samples[key].iloc[task.pool].notna().to_numpy()]
    known = sorted(set(task.groups[labelled]))
    if group is None and key == "difficulty" and difficulty:
        return min(known, key=lambda label: (abs(float(label) - difficulty), float(label)))
    if group is None:
        option = "--difficulty" if key == "difficulty" else "--group"
        needed = f"this run compares samples of one {key}; give that of the video with {option}"
        raise RecipeError(f"{needed}: {list_ids(known, most=10)}")
    same = [label for label in known if label == str(group)]
    same = same or [label for label in known if _as_number(label) == _as_number(group)]
    if not same:
        near = ", ".join(difflib.get_close_matches(str(group), known, n=3, cutoff=0.0))
        unknown = f"no exemplar has {key} {one_line(repr(str(group)))}"
        raise RecipeError(f"{unknown}; the nearest of {len(known)} are {near} (--group)")
    if key == "difficulty" and difficulty and float(same[0]) != difficulty:
        two = f"--group {one_line(group)} is not --difficulty {difficulty:g}"
        one = "this run compares samples of one difficulty"
        raise RecipeError(f"{one}, and {two}; leave --group out")
    return same[0]


def _as_number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan  # equal to nothing


def _exemplars(
    task: Task, name: str, own: str | None, difficulty: float | None, count: int | None
) -> np.ndarray:
    """The rows [M] of the exemplars of a new video, as if it stood behind the table."""
    samples, labels = task.table.samples, task.groups
    known = None
    if difficulty is not None:
        known = np.append(samples["difficulty"].to_numpy(float), difficulty)
    chosen = draw_exemplars(
        np.array([len(samples)]),
        task.pool,
        ids=np.append(task.ids, name),
        groups=np.append(labels, labels[0] if own is None else own),
        difficulty=known,
        count=count,
        seed=task.recipe.seed,
    )
    return np.sort(chosen.exemplar)


def _verdicts(run: Run, query: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """The target that each exemplar [M] gives the query [1, D]; of a baseline its own, [1]."""
    if not run.model.uses_exemplars:
        return run.model.predict(query).cpu().numpy()
    how = {"device": run.device, "precision": run.recipe.precision}
    features = encode(run.model, run.source, rows, **how)  # [M, D]
    targets = torch.as_tensor(run.task.targets[rows], device=run.device)
    return run.model.predict(query.expand(len(rows), -1), features, targets).cpu().numpy()


def _as_trained(run: Run, video: str | Path) -> tuple[np.ndarray, list[str]]:
    """A video's clip [T, H, W, 3] at the size a run learnt from, and what is doubtful of it."""
    trained, resize = tuple(run.source.item_shape[1:3]), run.recipe.resize
    clip = load_clip(video, run.recipe.replace(resize=None), margin=run.recipe.temporal_shift)
    # of a recipe that resizes, the shape of the pictures before is known where the dataset says it
    shape = run.table.info.get("frame_size") if resize else trained
    doubts = []
    if resize in (None, trained):  # or a size was chosen on purpose
        doubts = check_sizes(video, clip.shape[1:3], trained, shape)
    return resize_video(clip, resize or trained), doubts


def _strange_exemplars(
    task: Task, own: str | None, difficulty: float | None, rows: np.ndarray
) -> list[str]:
    """What is said of exemplars [M] whose labels are not what was asked for."""
    if own is None:
        return []
    said, key, labels = [], task.paired_by, task.groups[rows]
    if key == "difficulty" and difficulty and float(own) != difficulty:
        said.append(
            f"no exemplar has difficulty {difficulty:g}; the nearest, {own}, is compared with"
        )
    if others := int((labels != own).sum()):
        some = f"{others} of {len(labels)} exemplars are of another {key} than {own}"
        names = list_ids(sorted(set(labels[labels != own])))
        said.append(f"{some}, since it has too few: {names}")
    return said
