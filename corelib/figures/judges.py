"""Figures of one judge against a panel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import BLUE, PALE, identity_line, numbers, panels, styled
from corelib.metrics import spearman


@styled
def judge_against_panel(
    given: ArrayLike, panel_marks: Sequence[ArrayLike], *, judge: str = "the judge", title: str = ""
) -> Figure:
    """One judge's marks against those of panels: see whether the dots lie within the panels' bars
    and keep their order.

    given: [N] the judge's marks, 0..10, N may be 0; panel_marks: [N] arrays [J] of the panels'
    marks, whose mean is the dot's place and whose lowest and highest are the ends of its bar. The
    title says rho and the mean absolute error against the means.
    """
    given = numbers(given, "given") if np.size(given) else np.empty(0)
    if len(given) != len(panel_marks):
        raise ValueError(
            f"{len(given)} marks and {len(panel_marks)} panels; there must be one panel a mark"
        )
    bars = [numbers(marks, "panel_marks") for marks in panel_marks]
    mean = np.array([marks.mean() for marks in bars])
    title = title or (judge_in_numbers(given, mean) if len(given) else "No mark given yet")
    figure, [[axis]] = panels(size=(5.6, 4.6), title=title)
    for x, y, marks in zip(mean, given, bars, strict=True):
        axis.plot(
            [marks.min(), marks.max()],
            [y, y],
            color=PALE,
            linewidth=3,
            solid_capstyle="round",
            zorder=1,
        )
        axis.plot(x, y, "o", color=BLUE, alpha=0.75, zorder=2)
    identity_line(axis, 0, 10)
    axis.set(
        xlabel="panel: mean mark, lowest to highest",
        ylabel=f"mark of {judge}",
        xlim=(-0.3, 10.3),
        ylim=(-0.3, 10.3),
    )
    axis.set_aspect("equal")
    return figure


def judge_in_numbers(given: np.ndarray, panel_means: np.ndarray) -> str:
    """How near a judge's marks [N] are to the panels' means [N], in words; rho only where it is
    defined."""
    error = np.abs(given - panel_means).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first marks may all be equal
        rho = spearman(given, panel_means)
    order = "rho not defined yet" if np.isnan(rho) else f"rho {rho:.2f}"
    return (
        f"{len(given)} dive{'s' if len(given) != 1 else ''}: {order}, mean absolute error"
        f" {error:.2f}"
    )
