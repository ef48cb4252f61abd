"""Figures of trainings and results: learning curves, systems side by side, a metric along one axis
with its spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from corelib.figures.style import (
    BLACK,
    BLUE,
    GROUP_COLOURS,
    SYSTEM_COLOURS,
    panels,
    styled,
    system_look,
)


@styled
def learning_curves(
    histories: pd.DataFrame | Mapping[str, pd.DataFrame], *, title: str = ""
) -> Figure:
    """Loss and validation metrics over the epochs: see whether the loss still falls while
    validation no longer gains.

    histories: one frame, or name -> frame, with the columns epoch, loss, val_spearman, val_rl2_x100
    (nan where an epoch was not validated). A name that begins with "mlp" or "core" gets that
    system's colour, and a dashed line unless "DD" occurs in it. The ring marks the epoch with the
    highest validation rho.
    """
    histories = {"": histories} if isinstance(histories, pd.DataFrame) else dict(histories)
    figure, [axes] = panels(1, 3, size=(11, 3.7), title=title)
    wanted = {
        "loss": "training loss",
        "val_spearman": "validation rho",
        "val_rl2_x100": "validation R-l2 x100",
    }
    for number, (name, history) in enumerate(histories.items()):
        missing = [column for column in ("epoch", *wanted) if column not in history]
        if missing:
            raise ValueError(f"the history {name!r} has no column {', '.join(missing)}")
        system = next(
            (system for system in SYSTEM_COLOURS if name.lower().startswith(system)), None
        )
        look = {
            "color": (
                SYSTEM_COLOURS[system] if system else GROUP_COLOURS[number % len(GROUP_COLOURS)]
            )
        }
        look["linestyle"] = "--" if system and "dd" not in name.lower() else "-"
        for axis, column in zip(axes, wanted, strict=True):
            judged = history[history[column].notna()]
            axis.plot(
                judged["epoch"],
                judged[column],
                marker="." if len(judged) < 40 else None,
                label=name,
                **look,
            )
        if history["val_spearman"].notna().any():
            best = history.sort_values(
                ["val_spearman", "val_rl2_x100"], ascending=[False, True]
            ).iloc[0]
            for axis, column in zip(axes[1:], list(wanted)[1:], strict=True):
                axis.plot(
                    best["epoch"],
                    best[column],
                    "o",
                    markersize=12,
                    fillstyle="none",
                    color=look["color"],
                )
    for axis, (column, name) in zip(axes, wanted.items(), strict=True):
        axis.set(
            xlabel="epoch",
            title=name + {"val_spearman": " (higher is better)"}.get(column, " (lower is better)"),
        )
        axis.xaxis.get_major_locator().set_params(integer=True)
    if list(histories) != [""]:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def system_comparison(
    rows: pd.DataFrame,
    *,
    levels: Mapping[str, tuple[float, float]] | None = None,
    by: str | None = None,
    title: str = "",
) -> Figure:
    """All systems side by side: see whether they lie farther apart than the seeds of one system
    scatter.

    rows: columns system, with_difficulty, seed, spearman, rl2_x100, one row a run, of one dataset.
    A dot is a seed, filled with difficulty and hollow without; the bar is the mean with its sample
    standard deviation. levels: name -> (rho, R-l2 x100) of references such as one human judge,
    drawn as lines. by: a column whose values name the lines of the figure instead of the systems
    (an ablation).
    """
    if "dataset" in rows and rows["dataset"].nunique() > 1:
        raise ValueError(
            f"one dataset a figure, not {', '.join(rows['dataset'].unique())}: R-l2 depends on its"
            " scores"
        )
    if not len(rows):
        raise ValueError("rows is empty; there is nothing to compare")
    keys = ([by] if by else []) + ["system", "with_difficulty"]
    parts = list(rows.groupby(keys, sort=by is None, dropna=False))
    parts = (
        parts if by else sorted(parts, key=lambda part: (part[0][0] != "mlp", *map(str, part[0])))
    )
    figure, [axes] = panels(1, 2, size=(10.5, 1.9 + 0.5 * len(parts)), title=title, sharey=True)
    names = []
    for line, (key, runs) in enumerate(parts):
        name, colour = system_look(*key[-2:])
        undefined = int(runs[["spearman", "rl2_x100"]].isna().any(axis=1).sum())
        names.append(
            (str(key[0]) if by else name) + (f"\n({undefined} undefined)" if undefined else "")
        )
        for axis, column in zip(axes, ("spearman", "rl2_x100"), strict=True):
            values = runs[column].dropna().to_numpy(float)
            if not len(values):
                continue
            spread = values.std(ddof=1) if len(values) > 1 else 0
            face = colour if key[-1] else "white"
            look = {"color": colour, "markerfacecolor": face}
            axis.errorbar(
                values.mean(), line + 0.22, xerr=spread or None, fmt="D", capsize=5, **look
            )
            axis.plot(values, np.full(len(values), line - 0.12), "o", markersize=7, **look)
    for line, (name, place) in enumerate((levels or {}).items()):
        for axis, value in zip(axes, place, strict=True):
            axis.axvline(
                value, color=BLACK, linewidth=1.5, linestyle=(":", "--", "-.")[line % 3], label=name
            )
    for axis, name in zip(
        axes, ("Spearman's rho (right is better)", "R-l2 x100 (left is better)"), strict=True
    ):
        axis.set(
            title=name, yticks=range(len(parts)), yticklabels=names, ylim=(len(parts) - 0.4, -0.6)
        )
        axis.xaxis.set_major_locator(MaxNLocator(5))
    if levels:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def spread_curves(
    rows: pd.DataFrame, x: str, *, by: str | None = None, label: str = "", title: str = ""
) -> Figure:
    """Both metrics along one axis: see whether what changes is larger than what the seeds scatter.

    rows: columns `x`, seed, spearman, rl2_x100, one row a run. The values of `x` stand at equal
    distances in the order of their first row, so that "all" may follow 10. A dot is a seed, the
    line leads through the means, the bar is the sample standard deviation. by: a column with a line
    for each of its values.
    """
    missing = [
        column
        for column in (x, by, "seed", "spearman", "rl2_x100")
        if column and column not in rows
    ]
    if missing or not len(rows):
        raise ValueError(
            f"rows has no column {', '.join(missing)}"
            if missing
            else "rows is empty; there is nothing to draw"
        )
    places = {value: place for place, value in enumerate(dict.fromkeys(rows[x]))}
    figure, [axes] = panels(1, 2, size=(10.5, 3.9), title=title)
    for line, (name, part) in enumerate(rows.groupby(by, sort=False) if by else [("", rows)]):
        colour = GROUP_COLOURS[line % len(GROUP_COLOURS)] if by else BLUE
        for axis, column in zip(axes, ("spearman", "rl2_x100"), strict=True):
            grouped = part.groupby(x, sort=False)[column]
            at = [places[value] for value, _ in grouped]
            axis.errorbar(
                at,
                grouped.mean(),
                grouped.std().fillna(0),
                color=colour,
                marker="D",
                capsize=4,
                label=str(name),
            )
            axis.plot(
                part[x].map(places) + 0.12,
                part[column],
                "o",
                markersize=4,
                color=colour,
                alpha=0.45,
            )
    for axis, name in zip(
        axes, ("Spearman's rho (higher is better)", "R-l2 x100 (lower is better)"), strict=True
    ):
        axis.set(
            title=name,
            xlabel=label or x,
            xticks=range(len(places)),
            xticklabels=[str(value) for value in places],
        )
    if by:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
