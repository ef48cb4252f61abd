"""Figures of judges: how far those of a panel agree, and one against panels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BLACK,
    BLUE,
    PALE,
    identity_line,
    limits,
    line_colour,
    numbers,
    one_for_one,
    panels,
    styled,
)
from corelib.metrics import spearman

TICKS = (0.1, 0.2, 0.5, 1, 2, 3, 6)  # of a panel's size


@styled
def judges_agreement(marks: Sequence[ArrayLike], *, title: str = "") -> Figure:
    """How far judges of one panel agree: see that they seldom lie one point apart.

    marks: one array [J] of marks a sample (SampleTable.marks()); those with fewer than two are
    left out. Left: every judge's mark against the mean of the panel, larger dots for more marks.
    Right: the panels' range.
    """
    panel_marks = [numbers(panel, "marks") for panel in marks if np.size(panel) >= 2]
    if not panel_marks:
        raise ValueError("no sample has the marks of two judges or more: no agreement to draw")
    mean = np.concatenate([np.full(len(panel), panel.mean()) for panel in panel_marks])
    each = np.concatenate(panel_marks)
    ranges = np.array([np.ptp(panel) for panel in panel_marks])
    within = np.sqrt(np.mean([panel.var(ddof=1) for panel in panel_marks]))
    found = f"a judge lies {within:.2f} points from the panel (standard deviation)"
    title = title or f"{len(panel_marks)} panels: {found}"
    figure, [[left, right]] = panels(1, 2, size=(9.5, 4.2), title=title)
    # Marks come in half points and coincide: one dot for all equal ones, its area their number.
    spots, counts = np.unique(np.column_stack([mean.round(1), each]), axis=0, return_counts=True)
    left.scatter(*spots.T, s=12 + 110 * counts / counts.max(), color=BLUE, alpha=0.55, linewidth=0)
    identity_line(left, *limits(mean, each))
    left.set(xlabel="mean mark of the panel", ylabel="mark of one judge (larger dot: more)")
    step = 0.5 if np.allclose(ranges * 2, np.round(ranges * 2)) else max(np.ptp(ranges) / 12, 0.1)
    edges = np.arange(-step / 2, ranges.max() + step, step)
    right.hist(ranges, bins=edges, color=BLUE, edgecolor="white")
    right.set(xlabel="highest minus lowest mark (points)", ylabel="number of panels")
    right.yaxis.get_major_locator().set_params(integer=True)
    return figure


@styled
def judge_against_panel(
    given: ArrayLike, panel_marks: Sequence[ArrayLike], *, judge: str = "judge's", title: str = ""
) -> Figure:
    """One judge's marks against those of panels: see whether the dots lie within the panels' bars.

    given: [N] the judge's marks, 0..10, N may be 0; panel_marks: [N] arrays [J] of the panels'
    marks. Their mean is the dot's place, their lowest and highest are the ends of its bar. The
    title says rho and the mean absolute error against the means.
    """
    given = numbers(given, "given") if np.size(given) else np.empty(0)
    one_for_one(marks=given, panels=panel_marks)
    bars = [numbers(marks, "panel_marks") for marks in panel_marks]
    mean = np.array([marks.mean() for marks in bars])
    title = title or (judge_in_numbers(given, mean) if len(given) else "No mark given yet")
    figure, [[axis]] = panels(size=(5.6, 4.6), title=title)
    bar = {"color": PALE, "linewidth": 3, "solid_capstyle": "round", "zorder": 1}
    for x, y, marks in zip(mean, given, bars, strict=True):
        axis.plot([marks.min(), marks.max()], [y, y], **bar)
        axis.plot(x, y, "o", color=BLUE, alpha=0.75, zorder=2)
    identity_line(axis, 0, 10)
    axis.set(xlabel="marks of the panel (dot: mean, bar: range)", ylabel=f"{judge} mark")
    axis.set(xlim=(-0.3, 10.3), ylim=(-0.3, 10.3))
    axis.set_aspect("equal")
    return figure


@styled
def judges_worth(
    judges: ArrayLike, rho: ArrayLike, models: Mapping[str, float], *, title: str = ""
) -> Figure:
    """How many judges a model is worth: see at which size a panel orders as well as the model does.

    judges, rho: [K] sizes of panels, rising, and the rho of each against the truth; models: name ->
    rho. A model above or below all panels has no size, and its line crosses nothing.
    """
    judges, rho = numbers(judges, "judges"), numbers(rho, "rho", np.size(judges))
    figure, [[axis]] = panels(size=(7.4, 4.2), title=title)
    axis.plot(judges, rho, color=BLACK, label="panels of judges")
    axis.axvline(1, color=PALE, linewidth=1, zorder=0)
    for number, (name, reached) in enumerate(models.items()):
        colour = line_colour(name, number)
        worth = judges_of(judges, rho, reached)
        told = f"{name}: rho {reached:.3f}" + (f", {worth:.2g} judges" if worth == worth else "")
        axis.axhline(reached, color=colour, linewidth=1, linestyle="--")
        axis.plot([worth], [reached], "o", color=colour, label=told, markersize=8, zorder=3)
    axis.set_xscale("log")
    ticks = [size for size in TICKS if judges[0] <= size <= judges[-1]]
    axis.set_xticks(ticks, ticks)
    axis.minorticks_off()
    axis.set(xlabel="judges in the panel (1: one judge)", ylabel="Spearman's rho with the truth")
    axis.legend(loc="lower right")
    return figure


def judges_of(judges: ArrayLike, rho: ArrayLike, reached: float) -> float:
    """The size at which panels [K], whose rho rises, reach a rho; nan beyond either end."""
    return float(np.exp(np.interp(reached, rho, np.log(judges), left=np.nan, right=np.nan)))


def judge_in_numbers(given: np.ndarray, panel_means: np.ndarray) -> str:
    """How near a judge's marks [N] are to the panels' means [N]; rho only where it is defined."""
    error = np.abs(given - panel_means).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first marks may all be equal
        rho = spearman(given, panel_means)
    order = "rho not defined yet" if np.isnan(rho) else f"rho {rho:.2f}"
    dives = f"{len(given)} dive{'s' if len(given) != 1 else ''}"
    return f"{dives}: {order}, mean absolute error {error:.2f}"
