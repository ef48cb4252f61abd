"""Figures of labels, before anything is trained: scores, rated items, exemplars to compare with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BLACK,
    BLUE,
    GROUP_COLOURS,
    legend_below,
    limits,
    numbers,
    panels,
    require,
    styled,
)


@styled
def score_panels(
    scores: Mapping[str, ArrayLike], *, columns: int = 5, bins: int = 20, title: str = ""
) -> Figure:
    """The scores [N] of each data set on an axis of its own: see their ranges, tails and gaps.

    Above each stand the number of samples, of different scores, and the share of pairs that tie.
    """
    if not scores:
        raise ValueError("scores is empty; there is nothing to draw")
    columns = min(columns, len(scores))
    rows = -(-len(scores) // columns)
    figure, axes = panels(rows, columns, size=(2.5 * columns + 0.6, 2.3 * rows + 0.4), title=title)
    for axis in axes.flat[len(scores) :]:
        axis.axis("off")
    for axis, (name, values) in zip(axes.flat, scores.items(), strict=False):
        values = numbers(values, name)
        different = len(np.unique(values.round(6)))
        tied = f"{100 * tied_share(values):.1f} % ties"
        axis.hist(values, bins=bins, range=limits(values, margin=0), color=BLUE)
        axis.axvline(np.median(values), color=BLACK, linestyle="--", linewidth=1)
        axis.set_title(f"{name}\n{len(values)}, {different} different, {tied}", fontsize=10)
        axis.tick_params(labelsize=9)
        axis.yaxis.get_major_locator().set_params(integer=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("samples")
    return figure


def tied_share(values: np.ndarray) -> float:
    """The share of all pairs of values [N] that are equal (to the sixth digit); 0 for one value."""
    _, counts = np.unique(np.round(values, 6), return_counts=True)
    pairs = len(values) * (len(values) - 1)
    return float((counts * (counts - 1)).sum() / pairs) if pairs else 0.0


@styled
def rated_items(tasks: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Trials that are rated by items: see which items are used whole, and who is in which fold.

    tasks: {name: one row a trial; columns item_1 ..., marks 1 to 5; split, the fold that tests it;
    score; group, who performed}. Above: how many trials got each mark. Below: every trial's score
    by its fold, coloured by who performed.
    """
    if not tasks:
        raise ValueError("tasks is empty; there is nothing to draw")
    for name, trials in tasks.items():
        require(trials, ("item_1", "split", "score", "group"), name)
    shape = {"size": (3.3 * len(tasks) + 0.8, 6.2), "sharex": "row"}
    figure, axes = panels(2, len(tasks), title=title, **shape)
    everybody = pd.concat([trials["group"] for trials in tasks.values()]).astype(str)
    people = sorted(everybody.unique())
    for (above, below), (name, trials) in zip(axes.T, tasks.items(), strict=True):
        _count_marks(above, trials.filter(regex=r"^item_\d+$"))
        above.set_title(f"{name}, {len(trials)} trials", fontsize=11)
        for place, person in enumerate(people):
            own = trials[trials["group"].astype(str) == person]
            beside = own["split"].astype(float) + (place - (len(people) - 1) / 2) * 0.07
            look = {"marker": "os^"[place // 7 % 3], "color": GROUP_COLOURS[place % 7]}
            below.plot(beside, own["score"], linestyle="", markersize=5, label=person, **look)
        below.set(xlabel="fold that tests it", xticks=sorted(trials["split"].astype(int).unique()))
    axes[0, 0].set_ylabel("item")
    axes[1, 0].set_ylabel("sum of the items")
    legend_below(figure, axes[1, 0], 8, title="who performed")
    return figure


def _count_marks(axis: Axes, items: pd.DataFrame) -> None:
    """A table in colours: a row an item, a column a mark of 1 to 5, in each how many trials."""
    counts = np.array([[(items[name] == mark).sum() for mark in range(1, 6)] for name in items])
    axis.imshow(counts, cmap="Blues", aspect="auto", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if count > 0.6 * counts.max() else "black"
        axis.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=9)
    axis.set(xlabel="mark", yticks=range(len(counts)), xticks=range(5))
    axis.set_xticklabels(range(1, 6))
    axis.set_yticklabels([name.removeprefix("item_") for name in items])
    axis.grid(False)


@styled
def exemplar_counts(
    counts: Mapping[str, ArrayLike], *, wanted: int = 10, title: str = ""
) -> Figure:
    """How many exemplars test samples have: see what share of them has fewer than wanted.

    counts: {name: [N] training samples of the same group, one number a test sample}. Each line
    climbs to the share of test samples with at most so many; the dashed line is `wanted`.
    """
    if not counts:
        raise ValueError("counts is empty; there is nothing to draw")
    figure, [[axis]] = panels(size=(8, 3.4 + 0.15 * len(counts)), title=title)
    for place, (name, own) in enumerate(counts.items()):
        own = np.sort(numbers(own, name))
        few = f"{(own < wanted).sum()} of {len(own)} below {wanted}"
        look = {"color": GROUP_COLOURS[place % 7], "linestyle": ("-", "--", ":")[place // 7 % 3]}
        share = 100 * np.arange(len(own) + 1) / len(own)
        climbs = np.log1p(np.append(own[:1], own))
        axis.step(climbs, share, where="post", label=f"{name}: {few}", **look)
    axis.axvline(np.log1p(wanted), color=BLACK, linestyle="--", label=f"{wanted} wanted")
    most = max(np.max(own) for own in counts.values())
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000) if tick <= max(most, wanted)]
    axis.set_xticks(np.log1p(ticks), ticks)
    axis.set_xlabel("training samples of the same group, at most (logarithmic)")
    axis.set_ylabel("% of the test samples")
    legend_below(figure, axis, 2)
    return figure
