"""Figures of what goes in: films, scores, judges, pairs, clips, snippets, kernels and features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    PALE,
    SKY,
    VERMILLION,
    by_group,
    identity_line,
    limits,
    numbers,
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
    caption = (
        "judges: " + "  ".join(f"{mark:g}" for mark in marks)
        if marks is not None and len(marks)
        else ""
    )
    return _strips([frames], [caption], count, title, [highlight])


@styled
def film_strips(
    films: Sequence[np.ndarray], captions: Sequence[str], *, count: int = 8, title: str = ""
) -> Figure:
    """Several videos, a row each: see at equal moments how a query differs from its exemplars.

    films     [T, H, W, 3] uint8 each; lengths and sizes may differ
    captions  one a film, such as "query, 64.5" or "exemplar, 72.0"
    """
    if len(films) != len(captions) or not films:
        raise ValueError(
            f"{len(films)} films and {len(captions)} captions; there must be one caption a film"
        )
    return _strips(films, captions, count, title, [None] * len(films))


def _strips(films, captions, count, title, highlights) -> Figure:
    for film in films:
        if np.ndim(film) != 4 or np.shape(film)[-1] != 3 or len(film) == 0:
            raise ValueError(f"a film must be [T, H, W, 3] with T >= 1; got {list(np.shape(film))}")
    columns = max(min(count, len(film)) for film in films)
    width = 9.5 if columns > 2 else 2.5 * columns
    height = max(width / columns * film.shape[1] / film.shape[2] for film in films) + 0.42
    size = (width, height * len(films) + (0.45 if title else 0.1))
    figure, axes = panels(len(films), columns, size=size, title=title)
    for row, film, caption, highlight in zip(axes, films, captions, highlights, strict=True):
        shown = np.unique(np.linspace(0, len(film) - 1, columns).round().astype(int))
        for axis, number in zip(row, shown, strict=False):
            axis.imshow(film[number])
            axis.set_xlabel(f"{number}", fontsize=10, labelpad=2)
            if highlight is not None and highlight[0] <= number < highlight[1]:
                for spine in axis.spines.values():
                    spine.set(visible=True, edgecolor=VERMILLION, linewidth=4)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[["left", "bottom"]].set_visible(axis.spines["top"].get_visible())
        row[0].set_title(" ", fontsize=12)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.06, wspace=0, hspace=0.06)
    # A caption may be wider than its frame, and the layout would make room for it: it comes once
    # the places are found.
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
    """How the scores [N] are spread, stacked by group [N] where given: see the long low tail, and
    groups apart.

    label: name and unit of the score's axis. The dashed line is the median.
    """
    scores = numbers(scores, "scores")
    parts = by_group(groups, len(scores))
    median = np.median(scores)
    title = (
        title
        or f"{len(scores)} scores from {scores.min():.4g} to {scores.max():.4g}, median {median:.4g}"
    )
    figure, [[axis]] = panels(size=(8, 3.8), title=title)
    axis.hist(
        [scores[mask] for _, mask, _ in parts],
        bins=bins,
        range=limits(scores, margin=0),
        stacked=True,
        color=[colour for *_, colour in parts],
        label=[name for name, *_ in parts],
        edgecolor="white",
        linewidth=0.5,
    )
    axis.axvline(median, color=BLACK, linestyle="--", linewidth=1.5)
    axis.set(xlabel=label, ylabel="samples")
    if groups is not None:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def judges_agreement(marks: Sequence[ArrayLike], *, title: str = "") -> Figure:
    """How far judges of one panel agree: see the cloud along the line, and that they seldom lie one
    point apart.

    marks: one array [J] of marks a sample (SampleTable.marks()); samples with fewer than two are
    left out. Left: every judge's mark against the mean of the panel, larger dots for more marks.
    Right: the panels' range.
    """
    panel_marks = [numbers(panel, "marks") for panel in marks if np.size(panel) >= 2]
    if not panel_marks:
        raise ValueError(
            "no sample has the marks of two judges or more, so there is no agreement to draw"
        )
    mean = np.concatenate([np.full(len(panel), panel.mean()) for panel in panel_marks])
    each = np.concatenate(panel_marks)
    ranges = np.array([np.ptp(panel) for panel in panel_marks])
    within = np.sqrt(np.mean([panel.var(ddof=1) for panel in panel_marks]))
    title = (
        title
        or f"{len(panel_marks)} panels: a judge lies {within:.2f} points from the panel (standard deviation)"
    )
    figure, [[left, right]] = panels(1, 2, size=(9.5, 4.2), title=title)
    # Marks come in half points and coincide: one dot for all equal ones, its area their number.
    spots, counts = np.unique(np.column_stack([mean.round(1), each]), axis=0, return_counts=True)
    left.scatter(*spots.T, s=12 + 110 * counts / counts.max(), color=BLUE, alpha=0.55, linewidth=0)
    identity_line(left, *limits(mean, each))
    left.set(xlabel="mean of the panel", ylabel="mark of one judge")
    step = 0.5 if np.allclose(ranges * 2, np.round(ranges * 2)) else max(np.ptp(ranges) / 12, 0.1)
    edges = np.arange(-step / 2, ranges.max() + step, step)
    right.hist(ranges, bins=edges, color=BLUE, edgecolor="white")
    right.set(xlabel="highest minus lowest mark", ylabel="panels")
    return figure


@styled
def pair_differences(
    before: ArrayLike,
    after: ArrayLike,
    *,
    labels: tuple[str, str] = ("any pair", "same group"),
    title: str = "",
) -> Figure:
    """Score differences of all pairs before and after grouping: see the distribution draw in
    towards zero.

    before, after: [P], [Q] score differences; their absolute values are drawn, each as a share of
    its own pairs, with their medians.
    """
    sets = [np.abs(numbers(before, "before")), np.abs(numbers(after, "after"))]
    medians = [np.median(values) for values in sets]
    title = (
        title
        or f"Median difference: {medians[0]:.3g} ({labels[0]}), {medians[1]:.3g} ({labels[1]})"
    )
    figure, [[axis]] = panels(size=(8, 3.9), title=title)
    bins = np.linspace(0, max(values.max() for values in sets) or 1, 41)
    looks = ({"color": PALE}, {"color": BLUE, "histtype": "step", "linewidth": 2.5})
    for values, median, name, look in zip(sets, medians, labels, looks, strict=True):
        weights = np.full(len(values), 100 / len(values))
        axis.hist(values, bins, weights=weights, label=f"{name} ({len(values):,} pairs)", **look)
        axis.axvline(
            median, color=BLACK if look["color"] == PALE else BLUE, linestyle="--", linewidth=1.8
        )
    axis.set(
        xlabel="absolute difference of the two scores", ylabel="% of the pairs", xlim=(0, bins[-1])
    )
    axis.legend()
    return figure


@styled
def clip_grid(clip: ArrayLike, *, count: int = 16, columns: int = 8, title: str = "") -> Figure:
    """A prepared clip as the network gets it: see what crop, flip and normalisation left of the
    video.

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
    shown = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    T, H, W = frames.shape[:3]
    title = title or f"{T} frames of {H} x {W}, values {clip.min():.3g} to {clip.max():.3g}"
    height = 9.5 / max(columns, 4) * frames.shape[1] / frames.shape[2] + 0.3
    figure, axes = panels(
        rows, columns, size=(9.5 * columns / max(columns, 4), height * rows + 0.4), title=title
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, number in zip(axes.flat, shown, strict=False):
        axis.imshow(frames[number])
        axis.set_title(f"{number}", fontsize=10, pad=2)
    return figure


@styled
def snippet_layout(starts: ArrayLike, length: int, frames: int, *, title: str = "") -> Figure:
    """Which frames each snippet takes: see where snippets overlap, and which frames none of them
    sees.

    starts: [S] first frame of every snippet; length: its frames; frames: of the whole clip.
    """
    starts = numbers(starts, "starts").astype(int)
    if starts.min() < 0 or starts.max() + length > frames:
        raise ValueError(
            f"a snippet of {length} frames from {starts.max()} leaves the clip of {frames} frames"
        )
    uses = np.zeros(frames, dtype=int)
    for start in starts:
        uses[start : start + length] += 1
    unseen = np.flatnonzero(uses == 0)
    seen = (
        f"{len(unseen)} never seen"
        f" ({', '.join(map(str, unseen[:6]))}{' ...' if len(unseen) > 6 else ''})"
    )
    title = (
        title
        or f"{len(starts)} snippets of {length} frames: {seen if len(unseen) else 'every frame is seen'}"
    )
    size = (9, 1.9 + 0.24 * len(starts))
    heights = {"height_ratios": [0.24 * len(starts) + 0.2, 0.9]}
    figure, [[top], [bottom]] = panels(
        2, 1, size=size, title=title, sharex=True, gridspec_kw=heights
    )
    colours = [BLUE if row % 2 == 0 else SKY for row in range(len(starts))]
    top.barh(range(len(starts)), length, left=starts, color=colours, height=0.75)
    for row, start in enumerate(starts):
        top.text(
            start + length / 2,
            row,
            f"{start}-{start + length - 1}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if row % 2 == 0 else "black",
        )
    top.set(ylabel="snippet", yticks=range(len(starts)), ylim=(len(starts) - 0.4, -0.6))
    top.set_yticks(range(0, len(starts), 1 + len(starts) // 12))
    bottom.bar(np.arange(frames) + 0.5, uses, width=1, color=PALE)
    bottom.bar(unseen + 0.5, max(uses.max(), 1), width=1, color=VERMILLION)
    bottom.set(
        xlabel="frame", ylabel="times\nused", xlim=(0, frames), yticks=range(0, uses.max() + 1)
    )
    return figure


@styled
def inflate_kernel(kernel: ArrayLike, length: int, *, title: str = "") -> Figure:
    """A 2-D kernel repeated over time and divided: see that the time slices add up to the kernel
    they came from.

    kernel: [h, w]; length: time steps L of the 3-D kernel [L, h, w], each slice kernel / L. On a
    video that stands still the inflated kernel therefore answers as the 2-D one does on one frame.
    """
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim != 2 or length < 1:
        raise ValueError(
            f"a kernel must be [h, w] and length 1 or more; got {list(kernel.shape)} and {length}"
        )
    shape = " x ".join(map(str, kernel.shape))
    title = title or f"One {shape} kernel becomes {length} slices, each divided by {length}"
    width = min(1.75 * (length + 1) + 0.6, 12)
    figure, axes = panels(1, length + 1, size=(width, 2.6), title=title)
    bound = np.abs(kernel).max() or 1
    for number, axis in enumerate(axes[0]):
        values = kernel if number == 0 else kernel / length
        # One colour scale for all, symmetric about zero, so that the slices look as pale as they
        # are.
        axis.imshow(values, cmap="PuOr", vmin=-bound, vmax=bound)
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        axis.set_title(
            "2-D kernel ="
            if number == 0
            else f"t = {number - 1}" + (" +" if number < length else "")
        )
        if kernel.size <= 25 and length <= 5:
            for (y, x), value in np.ndenumerate(values):
                axis.text(
                    x,
                    y,
                    f"{value:.2g}",
                    ha="center",
                    va="center",
                    fontsize=10,
                    color="white" if abs(value) > 0.7 * bound else "black",
                )
    axes[0, 0].add_patch(
        Rectangle((-0.5, -0.5), *kernel.shape[::-1], fill=False, edgecolor=GREEN, linewidth=5)
    )
    return figure


@styled
def feature_map(
    features: ArrayLike, values: ArrayLike, *, label: str = "score", title: str = ""
) -> Figure:
    """Features [N, D] on their two main directions (PCA), coloured by values [N]: see whether the
    colours sort.

    A smooth change of colour means that the feature already tells high from low scores.
    """
    features = np.asarray(features, dtype=float)
    if features.ndim != 2 or not features.size:
        raise ValueError(f"features must be [N, D] with N, D >= 1; got {list(features.shape)}")
    values = numbers(values, "values", len(features))
    centred = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(features), 2))
    share = np.zeros(2)
    kept = min(2, len(singular))
    points[:, :kept] = left[:, :kept] * singular[:kept]
    share[:kept] = singular[:kept] ** 2 / (np.sum(singular**2) or 1)
    title = (
        title
        or f"{len(features)} features: two directions hold {100 * share.sum():.0f} % of their variance"
    )
    figure, [[axis]] = panels(size=(7.5, 4.8), title=title)
    dots = axis.scatter(*points.T, c=values, s=36, edgecolor="white", linewidth=0.4)
    axis.set(
        xlabel=f"direction 1 ({100 * share[0]:.0f} %)",
        ylabel=f"direction 2 ({100 * share[1]:.0f} %)",
    )
    axis.set(xlim=limits(points[:, 0]), ylim=limits(points[:, 1]))
    figure.colorbar(dots, label=label)
    return figure
