"""Why this score: what each snippet, and each place of the video, adds to a predicted score.

All contributions are integrated gradients (Sundararajan et al., "Axiomatic Attribution for Deep
Networks", 2017) from an exemplar to the query, averaged over the exemplars. They answer what CoRe
itself asks: "why not the score of the others?" They add up to the predicted score minus the mean
score that the same model would give to the exemplars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from corelib.data.clips import augment, frame_numbers, resize_video
from corelib.data.video import count_frames
from corelib.evaluation import INPUT_LIMIT, encode
from corelib.recipe import RecipeError
from corelib.runs.run import Run

# the deepest map that still has half the clip's frames and an eighth of its height and width
LAYER = "mixed_3c"


@dataclass(frozen=True)
class Explanation:
    """Contributions to one predicted score, in the dataset's unit.

    parts      [S] of the snippets, or [S, t, h, w] of cells of the maps; below 0 lowers the score
    score      what the model gives the query: the mean of its exemplars' verdicts
    reference  what it gives the exemplars on average when they are put in the query's place
    """

    parts: np.ndarray
    score: float
    reference: float

    @property
    def unexplained(self) -> float:
        """score - reference - the sum of the parts: 0 but for the error of the integration."""
        return self.score - self.reference - float(self.parts.sum())


def exemplar_rows(run: Run, query: int) -> np.ndarray:
    """The rows [M] whose verdicts predictions.csv names for a test sample, the row `query`.

    Raises ValueError for a sample without exemplars: not of the test split, or of a baseline.
    """
    ids = run.table.samples["id"]
    named = run.predictions.fillna({"exemplars": ""}).set_index("id")["exemplars"]
    voted = named.get(ids[query], "").split()
    if not voted:
        found = f"predictions.csv names no exemplars of {ids[query]}"
        raise ValueError(f"{run.folder}: {found}; explain a test sample of a CoRe run")
    return pd.Series(ids.index, index=ids).loc[voted].to_numpy()


def scorer(run: Run, query: int, exemplars: np.ndarray) -> Callable[[Tensor], Tensor]:
    """The predicted score [B], in the dataset's unit, as a function of the query's features [B, D].

    query      row of the table, for its difficulty
    exemplars  rows [M] that vote; a baseline looks at none
    """
    factor, offset = run.task.factor, run.task.offset
    if not run.model.uses_exemplars:
        return lambda features: offset + factor[query] * run.model.predict(features)
    M, device = len(exemplars), run.device
    known = encode(run.model, run.source, exemplars, device=device, precision=run.recipe.precision)
    targets = torch.as_tensor(run.task.targets[exemplars], device=device)

    def score(features: Tensor) -> Tensor:
        B = len(features)
        queries = features.repeat_interleave(M, dim=0)
        verdicts = run.model.predict(queries, known.repeat(B, 1), targets.repeat(B))
        return offset + factor[query] * verdicts.view(B, M).mean(dim=1)

    return score


def snippet_attribution(run: Run, query: int, exemplars: np.ndarray, *, steps=32) -> Explanation:
    """What each snippet of the query adds to its score: parts [S].

    query, exemplars, steps  as heat_map takes them
    Raises RecipeError for a run that reads precomputed features.
    """
    lower = _halves(run, None)[0]
    return _integrate(run, query, exemplars, lower, lambda maps: maps.mean(dim=1), steps)


def heat_map(
    run: Run, query: int, exemplars: np.ndarray, *, layer: str = LAYER, steps: int = 8
) -> Explanation:
    """Where and when the query gains and loses its score: parts [S, t, h, w], behind an I3D layer.

    query, exemplars  rows of the table, exemplars [M]
    layer             of I3D; deeper ones are coarser in space and time, earlier ones slower
    steps             of the integration; `unexplained` tells whether they were enough

    Cells, their channels added up, see some surroundings, which blurs borders by that much.
    Raises RecipeError for a run that reads features, ValueError for an unknown layer.
    """
    lower, upper = _halves(run, layer)

    def features(maps: Tensor) -> Tensor:
        B, S = maps.shape[:2]
        return upper(maps.flatten(0, 1)).mean(dim=(2, 3, 4)).view(B, S, -1).mean(dim=1)

    return _integrate(run, query, exemplars, lower, features, steps)


def _halves(run: Run, layer: str | None) -> tuple[nn.Module, nn.Module]:
    """I3D up to and behind a layer; None: all of it up to the features, and nothing."""
    if run.recipe.encoder != "i3d":
        why = "this run learnt from features, so there is no I3D of its own to look through"
        raise RecipeError(f"{run.folder}: {why}")
    i3d = run.model.eval().encoder.i3d
    if layer is None:
        return i3d, nn.Identity()
    names = [name for name, _ in i3d.named_children() if name != "conv3d_0c_1x1"]
    if layer not in names:
        raise ValueError(f"I3D has no layer {layer!r}; it has {', '.join(names)}")
    place = names.index(layer) + 1
    lower, upper = ([*map(i3d.get_submodule, part)] for part in (names[:place], names[place:]))
    return nn.Sequential(*lower), nn.Sequential(*upper)


def _integrate(run, query, exemplars, lower, features, steps) -> Explanation:
    """Integrated gradients over `lower`'s maps [1, S, ...], of which `features` makes [1, D]."""
    score, M = scorer(run, query, exemplars), len(exemplars)

    def look(row: int) -> Tensor:
        snippets = run.source.to_inputs(run.source[int(row)][None].to(run.device))[0]
        maps = lower(snippets.contiguous(memory_format=torch.channels_last_3d))
        return maps[None].float()  # [1, S, ...]

    def outcome(maps: Tensor) -> Tensor:
        return score(features(maps))

    method, total, reference = IntegratedGradients(outcome), 0.0, 0.0
    with torch.no_grad():
        own = look(query)
        told = outcome(own).item()
    # Maps; what the layers behind make of one takes several times its bytes.
    at_once = max(1, INPUT_LIMIT // (8 * own.nbytes))
    for rows in np.array_split(exemplars, min(M, -(-M * steps // at_once))):
        with torch.no_grad():
            others = torch.cat([look(row) for row in rows])
            reference += outcome(others).sum().item() / M
        limits = {"n_steps": steps, "internal_batch_size": max(at_once, len(rows))}
        parts = method.attribute(own.expand_as(others), baselines=others, **limits).detach()
        # Over exemplars, and over channels or features.
        total = total + parts.double().sum(dim=(0, 2)).cpu().numpy() / M
    return Explanation(total, told, reference)


def seen_frames(run: Run, row: int) -> tuple[np.ndarray, np.ndarray]:
    """What the model saw of a sample: uint8 [T, crop, crop, 3], and the frames' numbers [T]."""
    source, recipe = run.source, run.recipe
    frames = augment(source[int(row)][None], frames=recipe.frames, crop=recipe.crop)[0].numpy()
    available = count_frames(source.media[row])
    start = 0 if pd.isna(source.start[row]) else int(source.start[row])
    end = available if pd.isna(source.end[row]) else int(source.end[row])
    chosen = {"frames": recipe.frames, "choice": recipe.frame_choice}
    return frames, frame_numbers(start, end, available, **chosen)


def over_frames(parts: np.ndarray, recipe) -> np.ndarray:
    """Contributions [S] or [S, t, h, w], shared out among the clip's frames: [T] or [T, h, w].

    A snippet or cell gives each of the frames it stands for an equal part; where snippets overlap,
    theirs are added. The sum stays what it was.
    """
    parts = np.asarray(parts, float)
    parts = parts[:, None] if parts.ndim == 1 else parts
    length, steps = recipe.snippet_length, parts.shape[1]
    step = np.arange(length) * steps // length
    stands_for = np.bincount(step, minlength=steps)[step]  # frames of the cell that each lies in
    share = parts[:, step] / stands_for.reshape(-1, *[1] * (parts.ndim - 2))
    frames = np.zeros((recipe.frames, *parts.shape[2:]))
    for start, snippet in zip(recipe.snippet_starts, share, strict=True):
        frames[start : start + length] += snippet
    return frames


def hit_rate(curves: np.ndarray, spans: np.ndarray) -> dict:
    """How often a curve's highest moment lies in the right span of time, and would by chance.

    curves  [N, T] one a video, the higher the more attributed
    spans   bool [N, T], true where the thing to find can be seen
    Returns {hit, share, others, n}. share is the part of the time that the spans take, what a
    random moment hits. others is how often the highest moment of *another* video's curve lies in
    the span (nan for one video). A map that looks at the same moment of every video beats the first
    and not the second. Equally high moments share the hit.
    """
    curves, spans = np.asarray(curves, float), np.asarray(spans, bool)
    if curves.shape != spans.shape or curves.ndim != 2 or 0 in curves.shape:
        got = f"{list(curves.shape)} and {list(spans.shape)}"
        raise ValueError(f"curves and spans must both be [N, T], not {got}")
    N, top = len(curves), curves == curves.max(axis=1, keepdims=True)
    inside = (top / top.sum(axis=1, keepdims=True)) @ spans.T  # [curve, span]
    others = (inside.sum() - np.trace(inside)) / (N * (N - 1)) if N > 1 else float("nan")
    hit = float(np.trace(inside) / N)
    return {"hit": hit, "share": float(spans.mean()), "others": float(others), "n": N}


@torch.no_grad()
def score_film(run: Run, film: np.ndarray, query: int, exemplars: np.ndarray) -> float:
    """The score of another film in the query's place: same exemplars, same difficulty.

    film  uint8 [T, H, W, 3], all of it the action
    """
    recipe, T = run.recipe, len(film)
    chosen = {"frames": recipe.frames, "choice": recipe.frame_choice}
    numbers = frame_numbers(0, T, T, **chosen, margin=recipe.temporal_shift)
    frames = torch.from_numpy(resize_video(film[numbers], recipe.resize))[None]
    inputs = run.source.to_inputs(frames.to(run.device))
    return scorer(run, query, exemplars)(run.model.eval().encode(inputs).float()).item()
