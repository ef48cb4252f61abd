"""Figures of trainings and results: learning curves, systems and metrics side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from corelib.figures.style import (
    BLACK,
    BLUE,
    legend_below,
    line_colour,
    panels,
    require,
    styled,
    system_look,
)
from corelib.recipe import SYSTEMS

CURVES = {
    "loss": "training loss (lower is better)",
    "val_spearman": "validation rho (higher is better)",
    "val_rl2_x100": "validation R-l2 x100 (lower is better)",
}


@styled
def learning_curves(
    histories: pd.DataFrame | Mapping[str, pd.DataFrame], *, title: str = ""
) -> Figure:
    """Loss and validation metrics over the epochs: see whether validation still gains.

    histories: one frame, or name -> frame, with the columns epoch, loss, val_spearman, val_rl2_x100
    (nan where an epoch was not validated). A name that begins with "I3D+MLP" or "CoRe" gets that
    system's colour, and a dashed line unless "DD" occurs in it. The ring marks the epoch with the
    highest validation rho.
    """
    histories = {"": histories} if isinstance(histories, pd.DataFrame) else dict(histories)
    figure, [axes] = panels(1, 3, size=(11, 3.7), title=title)
    rings, ring = [], {"marker": "o", "linestyle": "", "markersize": 12, "fillstyle": "none"}
    for number, (name, history) in enumerate(histories.items()):
        require(history, ("epoch", *CURVES), f"the history {name!r}")
        colour, known = line_colour(name, number), name.startswith(tuple(SYSTEMS.values()))
        look = {"color": colour, "linestyle": "--" if known and "dd" not in name.lower() else "-"}
        for axis, column in zip(axes, CURVES, strict=True):
            judged = history[history[column].notna()]
            marker = "." if len(judged) < 40 else None
            axis.plot(judged["epoch"], judged[column], marker=marker, label=name, **look)
        if history["val_spearman"].notna().any():
            ranked = history.sort_values(["val_spearman", "val_rl2_x100"], ascending=[False, True])
            for axis, column in zip(axes[1:], list(CURVES)[1:], strict=True):
                at = ranked["epoch"].iloc[:1], ranked[column].iloc[:1]
                rings += axis.plot(*at, color=colour, label="highest validation rho", **ring)
    for axis, name in zip(axes, CURVES.values(), strict=True):
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.ticklabel_format(axis="y", useOffset=False)
    if rings or list(histories) != [""]:
        legend_below(figure, axes[0], 4, rings[:1])
    return figure


@styled
def system_comparison(
    rows: pd.DataFrame,
    *,
    levels: Mapping[str, tuple[float, float]] | None = None,
    by: str | None = None,
    unit: str = "seed",
    title: str = "",
) -> Figure:
    """All systems side by side: see whether they lie farther apart than the seeds of one scatter.

    rows: columns system, with_difficulty, seed, spearman, rl2_x100, one row a run, of one dataset.
    A dot is a seed (or `unit`), filled with difficulty and hollow without; a diamond the mean of
    several with its sample standard deviation. levels: name -> (rho, R-l2 x100) of references, one
    human judge for example. by: a column whose values name the figure's lines, not the systems.
    """
    if "dataset" in rows and rows["dataset"].nunique() > 1:
        names = ", ".join(rows["dataset"].unique())
        raise ValueError(f"one dataset a figure, not {names}: R-l2 depends on its scores")
    keys = ([by] if by else []) + ["system", "with_difficulty"]
    require(rows, (*keys, "spearman", "rl2_x100"))
    parts = list(rows.groupby(keys, sort=by is None, dropna=False))
    if not by:
        parts.sort(key=lambda part: (part[0][0] != "mlp", *map(str, part[0])))
    figure, [axes] = panels(1, 2, size=(10.5, 2.2 + 0.5 * len(parts)), title=title, sharey=True)
    figure.get_layout_engine().set(wspace=0.06)
    names = []
    for line, (key, runs) in enumerate(parts):
        name, colour = system_look(*key[-2:])
        undefined = int(runs[["spearman", "rl2_x100"]].isna().any(axis=1).sum())
        remark = f"\n({undefined} undefined)" if undefined else ""
        names.append((str(key[0]) if by else name) + remark)
        look = {"color": colour, "markerfacecolor": colour if key[-1] else "white"}
        for axis, column in zip(axes, ("spearman", "rl2_x100"), strict=True):
            _draw_seeds(axis, runs[column].dropna().to_numpy(float), line, look)
    for line, (name, place) in enumerate((levels or {}).items()):
        look = {"color": BLACK, "linewidth": 1.5, "linestyle": (":", "--", "-.")[line % 3]}
        for axis, value in zip(axes, place, strict=True):
            axis.axvline(value, label=name, **look)
    better = ("Spearman's rho (right is better)", "R-l2 x100 (left is better)")
    for axis, name in zip(axes, better, strict=True):
        axis.set(title=name, yticks=range(len(parts)), yticklabels=names)
        axis.set_ylim(len(parts) - 0.4, -0.6)
        axis.xaxis.set_major_locator(MaxNLocator(5))
    several = max(len(runs) for _, runs in parts) > 1
    legend_below(figure, axes[0], 4, _marks(unit, several, bool(rows["with_difficulty"].any())))
    return figure


def _draw_seeds(axis: Axes, values: np.ndarray, line: int, look: dict) -> None:
    """A dot a seed; of several, below them, the mean and its bar."""
    several = len(values) > 1
    axis.plot(values, np.full(len(values), line - 0.12 * several), "o", markersize=7, **look)
    if several:
        bar = {"xerr": values.std(ddof=1) or None, "fmt": "D", "capsize": 5}
        axis.errorbar(values.mean(), line + 0.22, **bar, **look)


def _marks(unit: str, several: bool, filled: bool) -> list[Line2D]:
    """What dots, diamonds and bars are, as a legend takes it."""
    look = {"color": "#555555", "markerfacecolor": "#555555" if filled else "white"}
    dot = Line2D([], [], marker="o", linestyle="", label=f"one {unit}", **look)
    said = "mean of several; bar: their standard deviation"
    return [dot] + ([Line2D([], [], marker="D", label=said, **look)] if several else [])


@styled
def spread_curves(
    rows: pd.DataFrame, x: str, *, by: str | None = None, label="", unit="seed", title: str = ""
) -> Figure:
    """Both metrics along one axis: see whether what changes is larger than what the seeds scatter.

    rows: columns `x`, seed, spearman, rl2_x100, one row a run. The values of `x` stand at equal
    distances in the order of their first row, so that "all" may follow 10. A dot is a seed (or
    `unit`), the line leads through the means, the bar is the sample standard deviation. by: a
    column with a line for each of its values.
    """
    require(rows, [column for column in (x, by, "seed", "spearman", "rl2_x100") if column])
    places = {value: place for place, value in enumerate(dict.fromkeys(rows[x]))}
    figure, [axes] = panels(1, 2, size=(10.5, 4.2), title=title)
    several = rows.groupby([x, by] if by else x, sort=False).size().max() > 1
    for line, (name, part) in enumerate(rows.groupby(by, sort=False) if by else [("", rows)]):
        colour = line_colour(name, line) if by else BLUE
        means = {"color": colour, "capsize": 4, "label": name, "marker": "D" * bool(several)}
        dots = {"color": colour, "markersize": 4, "alpha": 0.45}
        for axis, column in zip(axes, ("spearman", "rl2_x100"), strict=True):
            grouped = part.groupby(x, sort=False)[column]
            at = [places[value] for value, _ in grouped]
            axis.errorbar(at, grouped.mean(), grouped.std() if several else None, **means)
            axis.plot(part[x].map(places) + 0.12 * several, part[column], "o", **dots)
    better = ("Spearman's rho (higher is better)", "R-l2 x100 (lower is better)")
    for axis, name in zip(axes, better, strict=True):
        axis.set(title=name, xlabel=label or x)
        axis.set_xticks(range(len(places)), [str(value) for value in places])
    legend_below(figure, axes[0], 4, _marks(unit, several, True))
    return figure
