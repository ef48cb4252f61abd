"""Figures of why a score: contributions over a video, over many videos, faults taken away, and
where a model errs.

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
    BLACK,
    BLUE,
    PALE,
    SKY,
    VERMILLION,
    Drawing,
    numbers,
    panels,
    styled,
)
from corelib.metrics import spearman

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
    """From the exemplars' score to the query's, a step a part: see which part makes the difference.

    reference: what the model gives the exemplars on average; parts: [S] contributions; score: what
    it gives the query; names: [S]. What the parts leave over of the difference, if it can be seen,
    is drawn in grey.
    """
    parts = numbers(parts, "parts")
    names = (
        [f"snippet {number + 1}" for number in range(len(parts))] if names is None else list(names)
    )
    if len(names) != len(parts):
        raise ValueError(
            f"{len(names)} names and {len(parts)} parts; there must be one name a part"
        )
    rest = score - reference - parts.sum()
    if abs(rest) > 0.01 * max(abs(score - reference), np.abs(parts).max()):
        parts, names = np.append(parts, rest), [*names, "not explained"]
    title = title or f"From {reference:.3g}, the exemplars' mean, to {score:.3g}"
    figure, [[axis]] = panels(size=(8.5, 1.5 + 0.42 * len(parts)), title=title)
    left = reference
    for line, (name, part) in enumerate(zip(names, parts, strict=True)):
        colour = PALE if name == "not explained" else BLUE if part >= 0 else VERMILLION
        axis.barh(line, part, left=left, color=colour, height=0.6)
        axis.annotate(
            f"{part:+.2f}",
            (max(left, left + part), line),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=11,
        )
        left += part
    axis.axvline(
        reference, color=BLACK, linestyle=":", linewidth=1.5, label=f"exemplars, {reference:.3g}"
    )
    axis.axvline(score, color=BLUE, linestyle="--", linewidth=1.5, label=f"query, {score:.3g}")
    axis.set(
        yticks=range(len(parts)),
        yticklabels=names,
        ylim=(len(parts) - 0.5, -0.5),
        xlabel="predicted score",
    )
    axis.use_sticky_edges = False
    axis.margins(x=0.15)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
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
    """A video, its heat map and the heat's course in time: see where and when the score was lost,
    and what happened there.

    frames: [T, H, W, 3] uint8; heat: [T, h, w] contributions, laid over the frames in grey whatever
    their size; inside: [T] true where something is known to happen, a fault: those frames get a
    border, and their time is shaded. The frames are evenly spaced, but for the hottest, which takes
    its neighbour's place.
    """
    frames, heat, inside = _checked(frames, heat, inside)
    shown = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    hottest = np.abs(heat).max(axis=(1, 2)).argmax()
    shown[np.abs(shown - hottest).argmin()] = hottest
    figure = Drawing(figsize=(9.5, 2 * 9.5 / max(len(shown), 3) + 2.3))
    figure.suptitle(title or "Blue raises the score, vermillion lowers it", x=0.01, ha="left")
    grid = figure.add_gridspec(3, len(shown), height_ratios=[1, 1, 1.1])
    limit = np.abs(heat).max()
    for column, number in enumerate(shown):
        above, below = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        above.imshow(frames[number])
        _overlay(below, frames[number], heat[number], limit)
        below.set_xlabel(f"{number}", fontsize=10, labelpad=2)
        for axis in (above, below):
            _bare(axis, VERMILLION if inside[number] and axis is above else None)
    _course(figure.add_subplot(grid[2, :]), heat, inside)
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
    """One moment of a video: the frame, the frame under its heat map, and its place in the heat's
    course.

    frames, heat, inside: as attribution_strip takes them; moment: 0..T-1
    """
    frames, heat, inside = _checked(frames, heat, inside)
    figure, [[plain, laid, course]] = panels(
        1, 3, size=(10, 3), title=title, gridspec_kw={"width_ratios": [1, 1, 2.4]}
    )
    plain.imshow(frames[moment])
    _overlay(laid, frames[moment], heat[moment], np.abs(heat).max())
    for axis in (plain, laid):
        _bare(axis, VERMILLION if inside[moment] and axis is plain else None)
    _course(course, heat, inside)
    course.axvline(moment, color=BLACK, linewidth=1.5, gid="moment")
    return figure


def _checked(frames, heat, inside) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frames, heat = np.asarray(frames), np.asarray(heat, float)
    if (
        frames.ndim != 4
        or frames.shape[-1] != 3
        or heat.ndim != 3
        or len(heat) != len(frames)
        or not len(frames)
    ):
        raise ValueError(
            f"frames must be [T, H, W, 3] and heat [T, h, w] of equal T; got {list(frames.shape)}"
            f" and {list(heat.shape)}"
        )
    inside = np.zeros(len(frames), bool) if inside is None else np.asarray(inside, bool)
    if inside.shape != (len(frames),):
        raise ValueError(f"inside has {inside.size} values where {len(frames)} belong")
    return frames, heat, inside


def _overlay(axis: Axes, frame: np.ndarray, heat: np.ndarray, limit: float) -> None:
    H, W = frame.shape[:2]
    limit = limit or 1.0
    axis.imshow(frame.mean(axis=2), cmap="gray", vmin=-150, vmax=255)
    place = {"extent": (-0.5, W - 0.5, H - 0.5, -0.5), "interpolation": "bilinear"}
    axis.imshow(
        heat,
        cmap=LOWERS_RAISES,
        vmin=-limit,
        vmax=limit,
        alpha=np.sqrt(np.abs(heat) / limit),
        **place,
    )  # the root lets weak heat be seen, too


def _bare(axis: Axes, border: str | None) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set(visible=border is not None, edgecolor=border or BLACK, linewidth=4)


def _course(axis: Axes, heat: np.ndarray, inside: np.ndarray) -> None:
    """A bar a frame, the sum of its heat, and the known span behind it."""
    curve = heat.sum(axis=(1, 2))
    for name, colour, part in (
        ("raises", BLUE, curve.clip(min=0)),
        ("lowers", VERMILLION, curve.clip(max=0)),
    ):
        axis.bar(range(len(curve)), part, width=0.9, color=colour, label=f"{name} the score")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    for number, (start, end) in enumerate(edges.reshape(-1, 2)):
        axis.axvspan(
            start - 0.5,
            end - 0.5,
            color=SKY,
            alpha=0.25,
            linewidth=0,
            zorder=0,
            label="" if number else "the fault's time",
        )
    axis.axhline(0, color=BLACK, linewidth=0.8)
    axis.set(xlim=(-0.6, len(curve) - 0.4), xlabel="frame", ylabel="points")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(loc="best", fontsize=10)


@styled
def attributed_moments(
    curves: ArrayLike, spans: ArrayLike, kinds: Sequence[str], *, title: str = ""
) -> Figure:
    """The heat of many videos, a row each: see whether it moves with the span of the fault, or
    stands still.

    curves: [N, T] contributions a frame, drawn relative to the row's largest; spans: bool [N, T],
    outlined in black; kinds: [N] names of the faults, by which the rows are sorted (and by the
    beginning of the span).
    """
    curves, spans, kinds = (
        np.asarray(curves, float),
        np.asarray(spans, bool),
        np.asarray(kinds, str),
    )
    if (
        curves.ndim != 2
        or curves.shape != spans.shape
        or len(kinds) != len(curves)
        or not curves.size
    ):
        raise ValueError(
            f"curves {list(curves.shape)}, spans {list(spans.shape)} and {len(kinds)} kinds do not"
            " belong together"
        )
    order = np.lexsort([spans.argmax(axis=1), kinds])
    curves, spans, kinds = curves[order], spans[order], kinds[order]
    N, T = curves.shape
    figure, [[axis]] = panels(
        size=(9, 1.5 + max(0.11 * N, 1.2)),
        title=title or f"{N} videos: blue raises the score, vermillion lowers it",
    )
    largest = np.abs(curves).max(axis=1, keepdims=True)
    axis.imshow(
        curves / np.where(largest > 0, largest, 1),
        cmap=LOWERS_RAISES,
        vmin=-1,
        vmax=1,
        aspect="auto",
    )
    for row, span in enumerate(spans):
        for start, end in np.flatnonzero(
            np.diff(np.concatenate([[0], span.astype(int), [0]]))
        ).reshape(-1, 2):
            sides = ([start - 0.5] * 2, [end - 0.5] * 2)
            for side in sides:
                axis.plot(
                    side,
                    [row - 0.5, row + 0.5],
                    color=BLACK,
                    linewidth=1.5,
                    solid_capstyle="butt",
                    gid="span",
                )
    borders = np.flatnonzero(kinds[1:] != kinds[:-1]) + 0.5
    for border in borders:
        axis.axhline(border, color=BLACK, linewidth=0.6)
    middles = np.convolve([-0.5, *borders, N - 0.5], [0.5, 0.5], "valid")
    names, first = np.unique(kinds, return_index=True)
    axis.set(
        yticks=middles,
        yticklabels=[name.replace("_", " ") for name in names[np.argsort(first)]],
        xlabel="frame of the clip",
    )
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
    """What a model gives for a fault taken away, beside what the judges would: see which faults it
    overlooks.

    true, told: [N] what a dive gains without its fault, by the rules and by the model; faults: [N]
    their names. A dot is a dive, the blue diamond the model's mean, the black bar that of the
    rules.
    """
    true = numbers(true, "true")
    told = numbers(told, "told", len(true))
    frame = pd.DataFrame({"true": true, "told": told, "fault": np.asarray(faults, str)})
    parts = sorted(frame.groupby("fault"), key=lambda part: -part[1]["told"].mean())
    figure, [[axis]] = panels(
        size=(9, 1.7 + 0.45 * len(parts)), title=title or f"One fault taken away, {len(true)} dives"
    )
    for line, (_, part) in enumerate(parts):
        only = {"label": None} if line else {}
        axis.plot(
            part["told"],
            np.full(len(part), line),
            "o",
            color=BLUE,
            alpha=0.3,
            markersize=5,
            **({"label": "model, one dive"} | only),
        )
        axis.plot(
            part["told"].mean(),
            line,
            "D",
            color=BLUE,
            markersize=9,
            **({"label": "model, mean"} | only),
        )
        axis.plot(
            part["true"].mean(),
            line,
            "|",
            color=BLACK,
            markersize=24,
            markeredgewidth=4,
            **({"label": "rules, mean"} | only),
        )
    axis.axvline(0, color=BLACK, linewidth=1, linestyle=":")
    names = [f"{name.replace('_', ' ')} ({len(part)})" for name, part in parts]
    axis.set(
        yticks=range(len(parts)), yticklabels=names, ylim=(len(parts) - 0.4, -0.6), xlabel=label
    )
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=0.7)
    return figure


@styled
def error_views(
    frame: pd.DataFrame,
    columns: Sequence[str] = ("group", "difficulty", "judges_spread"),
    *,
    title: str = "",
) -> Figure:
    """Where a model errs: its errors along several columns; see which means lie off zero, and where
    the dots scatter.

    frame    column `error` (predicted minus true) and the columns named, one row a sample
    columns  text or up to six different values: the samples of each, their mean and its
             bootstrapped 95 % interval; more: dots with their trend, and the rank correlation with
             the error's size
    """
    import seaborn  # here: it takes a second to import, and this one figure needs it

    missing = [name for name in ("error", *columns) if name not in frame]
    if missing or not len(frame):
        raise ValueError(
            f"frame has no column {', '.join(missing)}"
            if missing
            else "frame is empty; there is nothing to draw"
        )
    figure, [axes] = panels(
        1, len(columns), size=(max(4 * len(columns), 7), 4), title=title, sharey=True
    )
    for axis, name in zip(axes, columns, strict=True):
        known = frame[frame[name].notna()]
        if known[name].nunique() > 6 and pd.api.types.is_numeric_dtype(known[name]):
            look = {
                "scatter_kws": {"s": 22, "alpha": 0.6, "linewidths": 0},
                "line_kws": {"color": BLACK, "linewidth": 1.5},
            }
            seaborn.regplot(known, x=name, y="error", ax=axis, color=BLUE, ci=None, **look)
            rho = (
                spearman(known[name], known["error"].abs())
                if known["error"].nunique() > 1
                else float("nan")
            )
            axis.set_title(f"rho with the error's size {rho:+.2f}")
        else:
            order = sorted(known[name].unique())
            look = {"order": order, "ax": axis, "y": "error", "x": name}
            seaborn.stripplot(known, color=BLUE, size=3.5, alpha=0.5, jitter=0.15, **look)
            mean = {
                "linestyle": "none",
                "marker": "D",
                "markersize": 7,
                "err_kws": {"linewidth": 2},
                "capsize": 0.25,
                "seed": 0,
            }
            seaborn.pointplot(known, color=BLACK, **mean, **look)
            axis.tick_params(axis="x", rotation=90 if len(order) > 6 else 0)
        axis.axhline(0, color=BLACK, linewidth=1, linestyle=":")
        axis.set(
            xlabel=name.replace("_", " "), ylabel="predicted minus true" if axis is axes[0] else ""
        )
    return figure
