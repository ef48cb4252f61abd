"""Figures of why a score: contributions over a video, over many, and faults taken away.

What raises a score is drawn in blue, what lowers it in vermillion; a fault's span of time is shaded
or outlined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
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
    drawing,
    evenly,
    legend_below,
    numbers,
    one_for_one,
    panels,
    styled,
)

UNSEEN = 0.01  # points: what moves a score by less is drawn as nothing
LOWERS_RAISES = LinearSegmentedColormap.from_list("lowers_raises", [VERMILLION, "white", BLUE])


@styled
def score_steps(
    reference: float,
    parts: ArrayLike,
    score: float,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """From the exemplars' score to the query's, a step a part: see which makes the difference.

    reference: what the model gives the exemplars on average; parts: [S] contributions; score: what
    it gives the query; names: [S]. What the parts leave over, if it can be seen, is drawn in grey.
    """
    parts = numbers(parts, "parts")
    names = [f"snippet {place + 1}" for place in range(len(parts))] if names is None else [*names]
    one_for_one(names=names, parts=parts)
    rest = score - reference - parts.sum()
    if abs(rest) > max(0.01 * max(abs(score - reference), np.abs(parts).max()), UNSEEN / 2):
        parts, names = np.append(parts, rest), [*names, "not explained"]
    title = title or f"From {reference:.3g}, the exemplars' mean, to {score:.3g}"
    figure, [[axis]] = panels(size=(8.5, 1.5 + 0.42 * len(parts)), title=title)
    left = reference
    beside = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "fontsize": 11}
    for line, (name, part) in enumerate(zip(names, parts, strict=True)):
        colour = PALE if name == "not explained" else BLUE if part >= 0 else VERMILLION
        axis.barh(line, part, left=left, color=colour, height=0.6)
        said = f"{part:+.2f}" if abs(part) >= UNSEEN / 2 else "0.00"
        axis.annotate(said, (max(left, left + part), line), **beside)
        left += part
    own, others = f"query, {score:.3g}", f"exemplars, {reference:.3g}"
    axis.axvline(reference, color=BLACK, linestyle=":", linewidth=1.5, label=others)
    axis.axvline(score, color=BLUE, linestyle="--", linewidth=1.5, label=own)
    axis.set(yticks=range(len(parts)), yticklabels=names, ylim=(len(parts) - 0.5, -0.5))
    axis.set_xlabel("predicted score")
    axis.use_sticky_edges = False
    axis.margins(x=0.15)
    low, high = axis.get_xlim()  # at least 1 % of the score: what is nothing looks like nothing
    room = max(0, 0.01 * max(abs(reference), abs(score)) - (high - low)) / 2
    axis.set_xlim(low - room, high + room)
    axis.legend(**BESIDE)
    return figure


@styled
def attribution_strip(
    frames: np.ndarray,
    heat: np.ndarray,
    *,
    inside: ArrayLike | None = None,
    count: int = 8,
    title: str = "",
) -> Figure:
    """A video, its heat map and the heat's course in time: see where and when the score was lost.

    frames: [T, H, W, 3] uint8; heat: [T, h, w] contributions, laid over the frames in grey whatever
    their size; inside: [T] true where something is known to happen, a fault: those frames get a
    border, and their time is shaded. The frames are evenly spaced, but for the hottest, which takes
    its neighbour's place.
    """
    frames, heat, inside = _checked(frames, heat, inside)
    shown = evenly(len(frames), count)
    hottest = np.abs(heat).max(axis=(1, 2)).argmax()
    shown[np.abs(shown - hottest).argmin()] = hottest
    size = (9.5, 2 * 9.5 / max(len(shown), 3) + 2.3)
    figure = drawing(size, title or "Blue raises the score, vermillion lowers it")
    grid = figure.add_gridspec(3, len(shown), height_ratios=[1, 1, 1.1])
    for column, number in enumerate(shown):
        above, below = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        _draw_moment(above, below, frames, heat, inside, number)
        below.set_xlabel(f"{number}" if number else "frame 0", fontsize=10, labelpad=2)
    _draw_course(figure, figure.add_subplot(grid[2, :]), heat, inside)
    figure.get_layout_engine().set(w_pad=0.02, wspace=0)
    return figure


@styled
def attribution_moment(
    frames: np.ndarray,
    heat: np.ndarray,
    moment: int,
    *,
    inside: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """One moment of a video: the frame, its heat map, and its place in the heat's course.

    frames, heat, inside: as attribution_strip takes them; moment: 0..T-1
    """
    frames, heat, inside = _checked(frames, heat, inside)
    shape = {"size": (10, 3.3), "width_ratios": [1, 1, 2.4]}
    figure, [[plain, laid, course]] = panels(1, 3, title=title, **shape)
    _draw_moment(plain, laid, frames, heat, inside, moment)
    course.axvline(moment, color=BLACK, linewidth=1.5, gid="moment", label="this frame")
    _draw_course(figure, course, heat, inside)
    return figure


def _checked(frames, heat, inside) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frames, heat = np.asarray(frames), np.asarray(heat, float)
    pictures = frames.ndim == 4 and frames.shape[-1] == 3
    if not pictures or heat.ndim != 3 or len(heat) != len(frames) or not len(frames):
        got = f"{list(frames.shape)} and {list(heat.shape)}"
        raise ValueError(f"frames must be [T, H, W, 3] and heat [T, h, w] of equal T; got {got}")
    inside = np.zeros(len(frames), bool) if inside is None else np.asarray(inside, bool)
    if inside.shape != (len(frames),):
        raise ValueError(f"inside has {inside.size} values where {len(frames)} belong")
    return frames, heat, inside


def _draw_moment(plain: Axes, laid: Axes, frames, heat, inside, moment: int) -> None:
    """A frame, bordered where it is inside the span, and the same in grey under its heat."""
    frame, strength = frames[moment], heat[moment]
    H, W = frame.shape[:2]
    limit = max(np.abs(heat).max(), UNSEEN / heat[0].size)
    plain.imshow(frame)
    laid.imshow(frame.mean(axis=2), cmap="gray", vmin=-150, vmax=255)
    look = {"extent": (-0.5, W - 0.5, H - 0.5, -0.5), "interpolation": "bilinear"}
    look["alpha"] = np.sqrt(np.abs(strength) / limit)  # the root lets weak heat be seen, too
    laid.imshow(strength, cmap=LOWERS_RAISES, vmin=-limit, vmax=limit, **look)
    bare(plain, VERMILLION if inside[moment] else None)
    bare(laid)


def _draw_course(figure: Figure, axis: Axes, heat: np.ndarray, inside: np.ndarray) -> None:
    """A bar a frame, the sum of its heat, and the known span behind it; below, what is what."""
    curve = heat.sum(axis=(1, 2))
    raises, lowers = curve.clip(min=0), curve.clip(max=0)
    axis.bar(range(len(curve)), raises, width=0.9, color=BLUE, label="raises the score")
    axis.bar(range(len(curve)), lowers, width=0.9, color=VERMILLION, label="lowers the score")
    shade = {"color": SKY, "alpha": 0.25, "linewidth": 0, "zorder": 0}
    for number, (start, end) in enumerate(_spans(inside)):
        label = "" if number else "the fault's time"
        axis.axvspan(start - 0.5, end - 0.5, label=label, **shade)
    axis.axhline(0, color=BLACK, linewidth=0.8)
    axis.set(xlim=(-0.6, len(curve) - 0.4), xlabel="frame", ylabel="points")
    if np.abs(curve).max() < UNSEEN:
        axis.set_ylim(-UNSEEN, UNSEEN)
    axis.xaxis.get_major_locator().set_params(integer=True)
    legend_below(figure, axis, 4)


def _spans(inside: np.ndarray) -> np.ndarray:
    """(start, end) [n, 2] of every run of true values of a row [T], end exclusive."""
    return np.flatnonzero(np.diff(inside.astype(int), prepend=0, append=0)).reshape(-1, 2)


@styled
def attributed_moments(
    curves: ArrayLike, spans: ArrayLike, kinds: Sequence[str], *, title: str = ""
) -> Figure:
    """The heat of many videos, a row each: see whether it moves with the span of the fault.

    curves: [N, T] contributions a frame, drawn relative to the row's largest; spans: bool [N, T],
    between black lines; kinds: [N] names of the faults, by which the rows are sorted (and by the
    beginning of the span).
    """
    curves, spans, kinds = (
        np.asarray(curves, float),
        np.asarray(spans, bool),
        np.asarray(kinds, str),
    )
    fits = curves.ndim == 2 and curves.shape == spans.shape and len(kinds) == len(curves)
    if not fits or not curves.size:
        got = f"curves {list(curves.shape)}, spans {list(spans.shape)} and {len(kinds)} kinds"
        raise ValueError(f"{got} do not belong together")
    order = np.lexsort([spans.argmax(axis=1), kinds])
    curves, spans, kinds = curves[order], spans[order], kinds[order]
    N = len(curves)
    title = title or f"{N} videos: blue raises the score, vermillion lowers it"
    figure, [[axis]] = panels(size=(9, 1.5 + max(0.11 * N, 1.2)), title=title)
    largest = np.abs(curves).max(axis=1, keepdims=True)
    relative = curves / np.maximum(largest, UNSEEN)
    axis.imshow(relative, cmap=LOWERS_RAISES, vmin=-1, vmax=1, aspect="auto")
    side = {"color": BLACK, "linewidth": 1.5, "solid_capstyle": "butt", "gid": "span"}
    for row, span in enumerate(spans):
        for end in _spans(span).ravel():
            axis.plot([end - 0.5] * 2, [row - 0.5, row + 0.5], **side)
    borders = np.flatnonzero(kinds[1:] != kinds[:-1]) + 0.5
    for border in borders:
        axis.axhline(border, color=BLACK, linewidth=0.6)
    middles = np.convolve([-0.5, *borders, N - 0.5], [0.5, 0.5], "valid")
    axis.set_yticks(middles, [name.replace("_", " ") for name in np.unique(kinds)])
    axis.set_xlabel("frame (black lines: the fault begins and ends; each row in its own scale)")
    axis.grid(False)
    return figure


@styled
def fault_effects(
    true: ArrayLike,
    told: ArrayLike,
    faults: Sequence[str],
    *,
    label: str = "marks gained",
    title: str = "",
) -> Figure:
    """What a model gives for a fault taken away: see which faults it overlooks.

    true, told: [N] what a dive gains without its fault, by the rules and by the model; faults: [N]
    their names. A dot is a dive, the blue diamond the model's mean, the black bar that of the
    rules.
    """
    true = numbers(true, "true")
    told = numbers(told, "told", len(true))
    frame = pd.DataFrame({"true": true, "told": told, "fault": np.asarray(faults, str)})
    parts = sorted(frame.groupby("fault"), key=lambda part: -part[1]["told"].mean())
    title = title or f"One fault taken away, {len(true)} dives"
    figure, [[axis]] = panels(size=(9, 1.7 + 0.45 * len(parts)), title=title)
    for line, (_, part) in enumerate(parts):
        labels = ["model, one dive", "model, mean", "rules, mean"] if line == 0 else [""] * 3
        at = np.full(len(part), line)
        axis.plot(part["told"], at, "o", color=BLUE, alpha=0.3, markersize=5, label=labels[0])
        axis.plot(part["told"].mean(), line, "D", color=BLUE, markersize=9, label=labels[1])
        bar = {"color": BLACK, "markersize": 24, "markeredgewidth": 4}
        axis.plot(part["true"].mean(), line, "|", label=labels[2], **bar)
    axis.axvline(0, color=BLACK, linewidth=1, linestyle=":")
    names = [f"{name.replace('_', ' ')} ({len(part)})" for name, part in parts]
    axis.set(yticks=range(len(parts)), yticklabels=names, ylim=(len(parts) - 0.4, -0.6))
    axis.set_xlabel(label)
    axis.legend(**BESIDE, markerscale=0.7)
    return figure
