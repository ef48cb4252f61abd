"""Figures of cost: how time and memory grow, and how far training gets for what it has spent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from corelib.figures.style import BLACK, BLUE, GROUP_COLOURS, ORANGE, legend_below, panels, styled


def growth(sizes, costs) -> float:
    """The power of `sizes` [n] that `costs` [n] grow with.

    Only their upper half counts, where constant parts no longer do.
    """
    upper = slice(len(sizes) // 2 - 1, None)
    x, y = (np.log(np.asarray(values, float)[upper]) for values in (sizes, costs))
    return float(np.polyfit(x, y, 1)[0])


@styled
def cost_growth(parts: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Time and memory against the amount of work: see whether the line keeps the dashed slope.

    parts: label of what grows -> a frame with the columns size, seconds, gb (memory that the work
    added) and one row a measured size, rising. The dashed line through the last point is
    proportional to the size. Both axes are logarithmic.
    """
    shape = {"size": (3.5 * len(parts), 6), "sharex": "col", "sharey": "row"}
    figure, axes = panels(2, len(parts), title=title, **shape)
    for (above, below), (label, part) in zip(axes.T, parts.items(), strict=True):
        size = part["size"].to_numpy(float)
        for axis, name, colour in ((above, "seconds", BLUE), (below, "gb", ORANGE)):
            axis.loglog(size, part[name].clip(lower=1e-3), "o-", color=colour)
        expected = part["seconds"].iloc[-1] * size / size[-1]
        above.loglog(size, expected, "--", color=BLACK, label="proportional to the size")
        above.set_title(f"slope {growth(size, part['seconds']):.2f} (expected 1)", fontsize=11)
        below.set(xlabel=label, xticks=size, xticklabels=[f"{value:g}" for value in size])
        below.xaxis.set_minor_locator(NullLocator())
    for axis, name in zip(axes[:, 0], ("seconds", "GB of memory added"), strict=True):
        axis.set_ylabel(name)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    legend_below(figure, axes[0, 0], 1)
    return figure


@styled
def progress_for_cost(histories: Mapping[str, list[pd.DataFrame]], *, title: str = "") -> Figure:
    """Validation rho against what training has spent: see which line is higher at the same place.

    histories: name -> the histories of its seeds (columns encoded, clips of an epoch; seconds since
    the beginning; val_spearman, nan where an epoch was not validated). A thin line is a seed, the
    thick one their mean.
    """
    figure, [axes] = panels(1, 2, size=(11, 4), title=title, sharey=True)
    for (name, seeds), colour in zip(histories.items(), GROUP_COLOURS, strict=False):
        spent = [history.assign(encoded=history["encoded"].cumsum()) for history in seeds]
        judged = [history.dropna(subset="val_spearman") for history in spent]
        for axis, column in zip(axes, ("encoded", "seconds"), strict=True):
            curves = [history[[column, "val_spearman"]].to_numpy(float).T for history in judged]
            for curve in curves:
                axis.plot(*curve, color=colour, linewidth=1, alpha=0.45)
            label = f"{name} (thick: mean of {len(seeds)})"
            axis.plot(*np.mean(curves, axis=0), color=colour, marker="o", label=label)
    axes[0].set(xlabel="clips encoded in training", ylabel="validation rho (higher is better)")
    axes[1].set(xlabel="seconds of training")
    legend_below(figure, axes[0], 3)
    return figure
