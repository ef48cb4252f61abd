"""Figures of predicted scores: against the true ones, and where a model errs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BESIDE,
    BLACK,
    BLUE,
    GREEN,
    GROUP_COLOURS,
    SYSTEM_COLOURS,
    by_group,
    identity_line,
    legend_below,
    limits,
    numbers,
    panels,
    require,
    styled,
)
from corelib.metrics import spearman


@styled
def score_scatter(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    label: str = "",
    groups: ArrayLike | None = None,
    spread: ArrayLike | None = None,
    system: str = "",
    names: tuple[str, str] = ("true", "predicted"),
    title: str = "",
) -> Figure:
    """Predicted against true scores, and the residuals: see how near the dots lie to the line.

    true, predicted: [N]; groups: [N] texts, one colour each, or numbers, on a scale of colours;
    spread: [N] standard deviation over the exemplars, drawn as bars; label: what the scores are;
    system: "mlp" or "core", whose colour is used where there are no groups (green for any other);
    names: whose scores these are. A falling cloud on the right means that low scores are predicted
    too high and high ones too low.
    """
    true = numbers(true, "true")
    predicted = numbers(predicted, "predicted", len(true))
    spread = None if spread is None else numbers(spread, "spread", len(true))
    error = predicted - true
    found = f"{np.median(np.abs(error)):.3g} over {len(true)} samples"
    title = title or f"Median absolute error {found}"
    figure, [[left, right]] = panels(1, 2, size=(10, 4.4), title=title)
    ordered = groups is not None and np.asarray(groups).dtype.kind in "iuf"
    for name, mask, colour in by_group(None if ordered else groups, len(true)):
        colour = colour if groups is not None else SYSTEM_COLOURS.get(system, GREEN)
        dots = {"c": numbers(groups, "groups", len(true))} if ordered else {"color": colour}
        dots |= {"s": 30, "alpha": 0.75, "linewidth": 0}
        if spread is not None:
            bars = {"fmt": "none", "ecolor": colour, "alpha": 0.35, "linewidth": 1}
            left.errorbar(true[mask], predicted[mask], spread[mask], **bars)
        left.scatter(true[mask], predicted[mask], label=name, **dots)
        drawn = right.scatter(true[mask], error[mask], **dots)
    reach, label = limits(true, predicted), label or "score"
    identity_line(left, *reach)
    right.axhline(0, color=BLACK, linewidth=1, linestyle=":")
    (known, told), named = names, getattr(groups, "name", None)
    left.set(xlabel=f"{known} {label}", ylabel=f"{told} {label}", xlim=reach, ylim=reach)
    left.set_aspect("equal")
    right.set(xlabel=f"{known} {label}", ylabel=f"{told} minus {known}", title="dotted: no error")
    if ordered:
        figure.colorbar(drawn, label=named)
    elif groups is not None:
        right.legend(*left.get_legend_handles_labels(), **BESIDE, title=named)
    return figure


@styled
def error_views(
    frame: pd.DataFrame,
    columns: Sequence[str] = ("group", "difficulty", "judges_spread"),
    *,
    title: str = "",
) -> Figure:
    """Where a model errs: its errors along several columns; see which means lie off zero.

    frame    column `error` (predicted minus true) and the columns named, one row a sample
    columns  text or up to six different values: the samples of each, their mean and its
             bootstrapped 95 % interval; more: dots with their trend, and the rank correlation with
             the error's size
    """
    require(frame, ("error", *columns), "frame")
    size = (max(4 * len(columns), 7), 4)
    figure, [axes] = panels(1, len(columns), size=size, title=title, sharey=True)
    for axis, name in zip(axes, columns, strict=True):
        known = frame[frame[name].notna()]
        many = known[name].nunique() > 6 and pd.api.types.is_numeric_dtype(known[name])
        (_errors_along if many else _errors_of_each)(axis, known, name)
        axis.axhline(0, color=BLACK, linewidth=1, linestyle=":")
        axis.set(xlabel=name.replace("_", " "), ylabel="")
    axes[0].set_ylabel("predicted minus true")
    return figure


def _errors_along(axis: Axes, known: pd.DataFrame, name: str) -> None:
    import seaborn  # here: it takes a second to import, and one figure needs it

    dots = {"s": 22, "alpha": 0.6, "linewidths": 0}
    look = {"scatter_kws": dots, "line_kws": {"color": BLACK, "linewidth": 1.5}}
    seaborn.regplot(known, x=name, y="error", ax=axis, color=BLUE, ci=None, **look)
    defined = known["error"].nunique() > 1
    rho = spearman(known[name], known["error"].abs()) if defined else float("nan")
    axis.set_title(f"line: trend; rho with the error's size {rho:+.2f}", fontsize=10)


def _errors_of_each(axis: Axes, known: pd.DataFrame, name: str) -> None:
    import seaborn

    order = sorted(known[name].unique())
    what = {"order": order, "ax": axis, "y": "error", "x": name}
    seaborn.stripplot(known, color=BLUE, size=3.5, alpha=0.5, jitter=0.15, **what)
    mean = {"linestyle": "none", "marker": "D", "markersize": 7, "seed": 0}
    bar = {"err_kws": {"linewidth": 2}, "capsize": 0.25}
    seaborn.pointplot(known, color=BLACK, **mean, **bar, **what)
    axis.tick_params(axis="x", rotation=90 if len(order) > 6 else 0)
    axis.set_title("diamond: mean, bar: its 95 % interval", fontsize=10)


@styled
def vote_weights(
    weights: ArrayLike, scores: ArrayLike, true: float, *, label: str = "score", title: str = ""
) -> Figure:
    """The weight of every exemplar in one vote: see whom the prediction listens to.

    weights [n], which add up to 1, and scores [n] of the exemplars; true: the query's own score
    """
    weights = numbers(weights, "weights")
    scores = numbers(scores, "scores", len(weights))
    told = float(weights @ scores)
    against = int((weights < 0).sum())
    votes = f"{len(weights)} exemplars vote, {against} of them with a negative weight"
    figure, [[axis]] = panels(1, 1, size=(8, 4), title=title or votes)
    axis.vlines(scores, 0, weights, color=GREEN, linewidth=1, alpha=0.5)
    axis.plot(scores, weights, "o", color=GREEN, markersize=4)
    axis.axhline(0, color=BLACK, linewidth=1)
    axis.axvline(told, color=GREEN, linestyle="--", label=f"predicted, {told:.1f}")
    axis.axvline(true, color=BLACK, linestyle=":", label=f"true, {true:.1f}")
    axis.set(xlabel=f"exemplar's {label}", ylabel="weight in the vote")
    axis.legend(**BESIDE)
    return figure


@styled
def reliability(rows: pd.DataFrame, levels: ArrayLike, *, title: str = "") -> Figure:
    """How often intervals held the truth against how often they promised to: see which lines leave
    the diagonal, and on which side.

    rows: columns what (a panel each), way (a line each), inside ([L] shares at the levels), one row
    a seed; levels: [L] promised shares. The line leads through the means, the band is as wide as
    the seeds lie apart.
    """
    require(rows, ("what", "way", "inside"))
    levels, whats = numbers(levels, "levels"), list(dict.fromkeys(rows["what"]))
    size = (max(3.1 * len(whats), 5), 3.9)
    figure, [axes] = panels(1, len(whats), size=size, title=title, sharey=True)
    colours = dict(zip(dict.fromkeys(rows["way"]), GROUP_COLOURS, strict=False))
    for axis, what in zip(axes, whats, strict=True):
        identity_line(axis, 0, 100)
        for way, part in rows[rows["what"] == what].groupby("way", sort=False):
            inside = 100 * np.array(part["inside"].tolist())  # [seeds, L]
            look = {"color": colours[way], "linewidth": 0, "alpha": 0.2}
            axis.fill_between(100 * levels, inside.min(axis=0), inside.max(axis=0), **look)
            axis.plot(100 * levels, inside.mean(axis=0), marker=".", color=colours[way], label=way)
        axis.set(title=what, xlabel="promised, %", xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes[0].set_ylabel("true score inside, %")
    legend_below(figure, axes[0], 3)
    return figure
