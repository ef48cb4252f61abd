"""Figures of what goes in: films, scores, clips and snippets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BESIDE,
    BLACK,
    BLUE,
    PALE,
    SKY,
    VERMILLION,
    bare,
    by_group,
    evenly,
    legend_below,
    limits,
    numbers,
    one_for_one,
    panels,
    styled,
)


@styled
def film_strip(
    frames: np.ndarray,
    *,
    count: int = 8,
    title: str = "",
    marks: Sequence[float] | None = None,
    highlight: tuple[int, int] | None = None,
) -> Figure:
    """One video as `count` evenly spaced frames: see the phases that the judges look at, in order.

    frames     [T, H, W, 3] uint8
    marks      the judges' marks, written above
    highlight  (start, end) frame numbers, end exclusive: frames within get a coloured border
    """
    given = marks is not None and len(marks)
    caption = "judges: " + "  ".join(f"{mark:g}" for mark in marks) if given else ""
    return _strips([frames], [caption], count, title, highlight)


@styled
def film_strips(
    films: Sequence[np.ndarray], captions: Sequence[str], *, count: int = 8, title: str = ""
) -> Figure:
    """Several videos, a row each: see at equal moments how a query differs from its exemplars.

    films     [T, H, W, 3] uint8 each; lengths and sizes may differ
    captions  one a film, such as "query, 64.5" or "exemplar, 72.0"
    """
    one_for_one(films=films, captions=captions)
    if not films:
        raise ValueError("films is empty; there is nothing to draw")
    return _strips(films, captions, count, title)


def _strips(films, captions, count, title, highlight=(0, 0)) -> Figure:
    start, end = highlight or (0, 0)
    for film in films:
        if np.ndim(film) != 4 or np.shape(film)[-1] != 3 or len(film) == 0:
            raise ValueError(f"a film must be [T, H, W, 3] with T >= 1; got {list(np.shape(film))}")
    columns = max(min(count, len(film)) for film in films)
    width = 9.5 if columns > 2 else 2.5 * columns
    height = max(width / columns * film.shape[1] / film.shape[2] for film in films) + 0.42
    size = (width, height * len(films) + (0.45 if title else 0.1))
    figure, axes = panels(len(films), columns, size=size, title=title)
    for row, film in zip(axes, films, strict=True):
        for axis in row:
            bare(axis)
        for axis, number in zip(row, evenly(len(film), columns), strict=False):
            axis.imshow(film[number])
            bare(axis, VERMILLION if start <= number < end else None)
            axis.set_xlabel(f"{number}" if number else "frame 0", fontsize=10, labelpad=5)
        row[0].set_title(" ", fontsize=12)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.06, wspace=0, hspace=0.06)
    # A caption may be wider than its frame: it comes once the layout has found the places.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for row, caption in zip(axes, captions, strict=True):
        row[0].set_title(caption, fontsize=12)
    return figure


@styled
def score_histogram(
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    bins: int = 30,
    label: str = "score",
    title: str = "",
) -> Figure:
    """How the scores [N] are spread, stacked by group [N] where given: see the long low tail.

    label: name and unit of the score's axis. The dashed line is the median.
    """
    scores = numbers(scores, "scores")
    names, masks, colours = zip(*by_group(groups, len(scores)), strict=True)
    median = np.median(scores)
    found = f"from {scores.min():.4g} to {scores.max():.4g}, median {median:.4g}"
    figure, [[axis]] = panels(size=(8, 3.8), title=title or f"{len(scores)} scores {found}")
    parts = [scores[mask] for mask in masks]
    look = {"color": colours, "label": names, "edgecolor": "white", "linewidth": 0.5}
    axis.hist(parts, bins=bins, range=limits(scores, margin=0), stacked=True, **look)
    axis.axvline(median, color=BLACK, linestyle="--", linewidth=1.5)
    axis.set(xlabel=label, ylabel="number of samples")
    axis.yaxis.get_major_locator().set_params(integer=True)
    if groups is not None:
        axis.legend(**BESIDE, title=getattr(groups, "name", None))
    return figure


@styled
def clip_grid(clip: ArrayLike, *, count: int = 16, columns: int = 8, title: str = "") -> Figure:
    """A prepared clip as the network gets it: see what crop, flip and normalisation left.

    clip: [3, T, H, W] or [T, H, W, 3], uint8, or float in [-1, 1]. Floats beyond that (ImageNet
    normalisation) are stretched from their lowest to their highest value. At most `count` frames,
    evenly spaced.
    """
    clip = np.asarray(clip)
    if clip.ndim != 4 or 3 not in (clip.shape[0], clip.shape[-1]):
        raise ValueError(f"a clip must be [3, T, H, W] or [T, H, W, 3]; got {list(clip.shape)}")
    frames = clip if clip.shape[-1] == 3 else np.moveaxis(clip, 0, -1)
    if frames.dtype != np.uint8:
        low, high = (-1, 1) if np.abs(frames).max() <= 1 else (frames.min(), frames.max())
        frames = (frames.astype(float) - low) / ((high - low) or 1)
    shown = evenly(len(frames), count)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    T, H, W = frames.shape[:3]
    title = title or f"{T} frames of {H} x {W}, values {clip.min():.3g} to {clip.max():.3g}"
    width = 9.5 / max(columns, 4)
    size = (9.5 * columns / max(columns, 4), (width * H / W + 0.3) * rows + 0.4)
    figure, axes = panels(rows, columns, size=size, title=title)
    for axis in axes.flat:
        axis.axis("off")
    for axis, number in zip(axes.flat, shown, strict=False):
        axis.imshow(frames[number])
        axis.set_title(f"{number}" if number else "frame 0", fontsize=10, pad=2)
    return figure


@styled
def snippet_layout(starts: ArrayLike, length: int, frames: int, *, title: str = "") -> Figure:
    """Which frames each snippet takes: see where they overlap, and which frames none of them sees.

    starts: [S] first frame of every snippet; length: its frames; frames: of the whole clip.
    """
    starts = numbers(starts, "starts").astype(int)
    S, last = len(starts), starts.max()
    if starts.min() < 0 or last + length > frames:
        outside = starts.min() if starts.min() < 0 else last
        raise ValueError(
            f"a snippet of {length} frames from {outside} leaves the clip of {frames} frames"
        )
    uses = np.bincount((starts[:, None] + np.arange(length)).ravel(), minlength=frames)
    unseen = np.flatnonzero(uses == 0)
    listed = ", ".join(map(str, unseen[:6])) + (" ..." if len(unseen) > 6 else "")
    seen = f"{len(unseen)} never seen ({listed})" if len(unseen) else "every frame is seen"
    title = title or f"{S} snippets of {length} frames: {seen}"
    shape = {"size": (9, 1.9 + 0.24 * S), "height_ratios": [0.24 * S + 0.2, 0.9], "sharex": True}
    figure, [[top], [bottom]] = panels(2, 1, title=title, **shape)
    top.barh(range(S), length, left=starts, color=([BLUE, SKY] * S)[:S], height=0.75)
    for row, start in enumerate(starts):
        look = {"ha": "center", "va": "center", "fontsize": 9, "color": ("white", "black")[row % 2]}
        top.text(start + length / 2, row, f"{start}-{start + length - 1}", **look)
    top.set(ylabel="snippet", yticks=range(0, S, 1 + S // 12), ylim=(S - 0.4, -0.6))
    bottom.bar(np.arange(frames) + 0.5, uses, width=1, color=PALE)
    cross = {"color": VERMILLION, "markeredgewidth": 2, "clip_on": False, "label": "never seen"}
    if len(unseen):
        bottom.plot(unseen + 0.5, np.zeros(len(unseen)), "x", gid="unseen", **cross)
        legend_below(figure, bottom, 1)
    bottom.set(xlabel="frame", ylabel="times\nused", xlim=(0, frames), yticks=range(uses.max() + 1))
    return figure
