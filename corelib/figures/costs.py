"""Figures of cost: how time and memory grow with the work, and how far training gets for what it
has spent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from corelib.figures.style import BLACK, BLUE, GROUP_COLOURS, ORANGE, panels, styled


def growth(sizes, costs) -> float:
    """The power of `sizes` [n] that `costs` [n] grow with over the upper half of them, where
    constant parts no longer count."""
    upper = slice(len(sizes) // 2 - 1, None)
    return float(
        np.polyfit(
            np.log(np.asarray(sizes, float)[upper]), np.log(np.asarray(costs, float)[upper]), 1
        )[0]
    )


@styled
def cost_growth(parts: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Time and memory against the amount of work, on logarithmic axes: see whether the measured
    line keeps the dashed slope.

    parts: label of what grows -> a frame with the columns size, seconds, gb (memory that the work
    added) and one row a measured size, rising. The dashed line through the last point is
    proportional to the size.
    """
    figure, axes = panels(
        2, len(parts), size=(3.5 * len(parts), 6), title=title, sharex="col", sharey="row"
    )
    for column, (label, part) in enumerate(parts.items()):
        size = part["size"].to_numpy(float)
        for axis, name, colour in (
            (axes[0, column], "seconds", BLUE),
            (axes[1, column], "gb", ORANGE),
        ):
            axis.loglog(size, part[name].clip(lower=1e-3), "o-", color=colour)
        last = part["seconds"].iloc[-1] * size / size[-1]
        axes[0, column].loglog(size, last, "--", color=BLACK, linewidth=1.2)
        axes[0, column].set_title(
            f"slope {growth(size, part['seconds']):.2f} (expected 1)", fontsize=11
        )
        axes[1, column].set(xlabel=label, xticks=size, xticklabels=[f"{value:g}" for value in size])
        axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("GB added")
    return figure


@styled
def progress_for_cost(histories: Mapping[str, list[pd.DataFrame]], *, title: str = "") -> Figure:
    """Validation rho against what training has spent: see which line is higher at the same place,
    beyond its seeds' spread.

    histories: name -> the histories of its seeds (columns encoded, clips of an epoch; seconds since
    the beginning; val_spearman, nan where an epoch was not validated). A thin line is a seed, the
    thick one their mean.
    """
    figure, [axes] = panels(1, 2, size=(11, 4), title=title, sharey=True)
    for (name, seeds), colour in zip(histories.items(), GROUP_COLOURS, strict=False):
        judged = [
            history.assign(encoded=history["encoded"].cumsum()).dropna(subset="val_spearman")
            for history in seeds
        ]
        for axis, column in zip(axes, ("encoded", "seconds"), strict=True):
            for history in judged:
                axis.plot(
                    history[column], history["val_spearman"], color=colour, linewidth=1, alpha=0.45
                )
            middle = [
                np.mean([history[key].to_numpy() for history in judged], axis=0)
                for key in (column, "val_spearman")
            ]
            axis.plot(*middle, color=colour, marker="o", label=name)
    axes[0].set(xlabel="clips encoded in training", ylabel="validation rho (higher is better)")
    axes[1].set(xlabel="seconds of training")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
