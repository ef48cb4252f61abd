"""Figures of comparing: differences of pairs, score groups, the tree's decision, the vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.style import (
    BESIDE,
    BLACK,
    BLUE,
    ORANGE,
    PALE,
    VERMILLION,
    legend_below,
    numbers,
    panels,
    styled,
)
from corelib.tree import NARROW, ScoreGroups


@styled
def pair_differences(
    before: ArrayLike,
    after: ArrayLike,
    *,
    labels: tuple[str, str] = ("any pair", "same group"),
    title: str = "",
) -> Figure:
    """Score differences of all pairs before and after grouping: see them draw in towards zero.

    before, after: [P], [Q] score differences. Their absolute values are drawn, each as a share of
    its own pairs, with their medians.
    """
    sets = [np.abs(numbers(before, "before")), np.abs(numbers(after, "after"))]
    medians = [np.median(values) for values in sets]
    found = [f"{median:.3g} ({name})" for median, name in zip(medians, labels, strict=True)]
    title = title or f"Median difference: {', '.join(found)}"
    figure, [[axis]] = panels(size=(8, 3.9), title=title)
    bins = np.linspace(0, max(values.max() for values in sets) or 1, 41)
    looks = ({"color": PALE}, {"color": BLUE, "histtype": "step", "linewidth": 2.5})
    for values, median, name, look in zip(sets, medians, labels, looks, strict=True):
        weights = np.full(len(values), 100 / len(values))
        axis.hist(values, bins, weights=weights, label=f"{name} ({len(values):,} pairs)", **look)
        colour = BLACK if look["color"] == PALE else BLUE
        axis.axvline(median, color=colour, linestyle="--", label=f"their median, {median:.3g}")
    axis.set(xlabel="absolute difference of the two scores (points)", ylabel="% of the pairs")
    axis.set_xlim(0, bins[-1])
    axis.legend(**BESIDE)
    return figure


@styled
def intervals(
    differences: ArrayLike, edges: ArrayLike, *, mirrored: bool = False, title: str = ""
) -> Figure:
    """The score groups: see that they are narrow where differences are many.

    differences: [P] score differences of training pairs, whose absolute values are drawn; edges:
    [R + 1], rising from 0, of the positive intervals. mirrored draws both orders of every pair and
    the negative intervals too. Differences belong to intervals as tree.ScoreGroups labels them, one
    beyond the last edge to the last. Intervals without width are empty and marked.
    """
    size = np.abs(numbers(differences, "differences"))
    edges = numbers(edges, "edges")
    groups, half = ScoreGroups(edges), len(edges) - 1
    place = groups.label(torch.as_tensor(size.clip(max=edges[-1]))).leaf.numpy() - half
    share, empty = 100 / len(size) * np.bincount(place, minlength=half), ~groups.open.numpy()[half:]
    if mirrored:
        size, edges = np.concatenate([-size, size]), np.concatenate([-edges[:0:-1], edges])
        share, empty = (np.concatenate([part[::-1], part]) for part in (share / 2, empty))
    held, closed = share[~empty], f" ({empty.sum()} empty)" if empty.any() else ""
    found = f"{'the others' if closed else 'each'} with {held.min():.3g} to {held.max():.3g} %"
    shape = {"size": (10.5, max(3.9, 0.9 + 0.25 * len(edges))), "width_ratios": [2.2, 1]}
    title = title or f"{len(share)} intervals{closed}, {found} of the pairs"
    figure, [[left, right]] = panels(1, 2, title=title, **shape)
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        left.axvspan(low, high, color=BLUE, alpha=0.16 if number % 2 else 0.04, linewidth=0)
    outer = max(edges[-1], size.max()) or 1
    left.hist(size, bins=60, range=(-outer if mirrored else 0, outer), color=BLUE, alpha=0.75)
    for edge in edges:
        left.axvline(edge, color=VERMILLION, linewidth=1.2, gid="edge")
    what = f"{'' if mirrored else 'absolute '}score difference in points (lines: edges)"
    left.set(xlabel=what, ylabel="number of pairs")
    left.yaxis.get_major_locator().set_params(integer=True)
    left.set_xlim(-1.02 * outer if mirrored else -0.01 * outer, 1.02 * outer)
    left.grid(False)
    right.barh(range(len(share)), share, color=BLUE, alpha=0.75, height=0.75)
    right.set_yticks(range(len(share)), _interval_names(edges[:-1], edges[1:]))
    right.set(xlabel="% of the pairs", ylabel="interval", ylim=(-0.6, len(share) - 0.4))
    right.grid(axis="y", visible=False)
    return figure


@styled
def tree(
    log_probs: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    *,
    true_difference: float | None = None,
    predicted: float | None = None,
    title: str = "",
) -> Figure:
    """The regression tree deciding one pair: see the probability flow down and gather in a leaf.

    log_probs: [K] log-probabilities of the leaves (-inf for a closed one); left, right: [K] their
    intervals. The path to the most probable leaf is coloured. The true and the predicted difference
    are marked at their place in the intervals.
    """
    leaf = np.exp(np.asarray(log_probs, dtype=float).reshape(-1))
    K = len(leaf)
    left, right = numbers(left, "left", K), numbers(right, "right", K)
    if K & (K - 1) or not np.isclose(leaf.sum(), 1, atol=1e-3):
        wanted = "those of 1, 2, 4, 8 ... leaves, adding up to 1"
        raise ValueError(f"log_probs must be {wanted}; got {K} leaves and {leaf.sum():.3g}")
    best, depth = int(leaf.argmax()), K.bit_length() - 1
    found = f"{left[best]:.3g} to {right[best]:.3g}, has {100 * leaf[best]:.0f} %"
    size = (max(8, min(0.68 * K, 24)), 1.6 + 0.85 * max(depth, 1))
    figure, [[axis]] = panels(size=size, title=title or f"The most probable leaf, {found}")
    for level in range(depth + 1):
        _draw_level(axis, leaf, level)
    axis.plot([], [], color=BLUE, linewidth=5, label="path to the most probable leaf")
    marks = {
        "true difference": (true_difference, BLACK, "^", -0.7),
        "predicted": (predicted, VERMILLION, "v", -0.45),
    }
    for name, (value, colour, marker, height) in marks.items():
        if value is not None:
            look = {"markersize": 11, "color": colour, "clip_on": False, "linestyle": ""}
            place = _place_in_leaves(float(value), left, right)
            axis.plot(place, height, marker=marker, label=f"{name} {value:.3g}", **look)
    turned = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if K > 4 else {}
    axis.set_xticks(range(K), _interval_names(left, right), **turned)
    axis.set(xlim=(-0.6, K - 0.4), ylim=(-0.85, depth + 0.4), yticks=[])
    axis.set_xlabel(
        "interval of the score difference (not to scale; in the tree: % of probability)"
    )
    axis.grid(False)
    axis.spines["left"].set_visible(False)
    legend_below(figure, axis, 3)
    return figure


def _draw_level(axis: Axes, leaf: np.ndarray, level: int) -> None:
    """The nodes of a level and the lines from their parents, as thick as their probability.

    leaf: [K] the leaves' probabilities; a node's is the sum over those below it.
    """
    below, y = len(leaf) >> level, len(leaf).bit_length() - 1 - level  # leaves below a node
    text = {"ha": "center", "va": "center", "fontsize": 11 if len(leaf) <= 32 else 8, "zorder": 3}
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "linewidth": 1.5}
    for node, probability in enumerate(leaf.reshape(-1, below).sum(axis=1)):
        x = (node + 0.5) * below - 0.5
        best = leaf.argmax() // below == node
        colour = BLUE if best else PALE
        if level:
            parent = (node // 2 + 0.5) * 2 * below - 0.5
            look = {"color": colour, "linewidth": 1 + 9 * probability, "zorder": 1 + best}
            axis.plot([parent, x], [y + 1, y], **look)
        axis.text(x, y, f"{100 * probability:.0f}", bbox=box | {"edgecolor": colour}, **text)


def _interval_names(left: np.ndarray, right: np.ndarray) -> list[str]:
    # Adding 0 turns the mirrored edge -0 into 0.
    pairs = zip(left + 0.0, right + 0.0, right - left > NARROW * right[-1], strict=True)
    return [f"{low:.3g} to {high:.3g}{'' if open_ else ' (empty)'}" for low, high, open_ in pairs]


def _place_in_leaves(value: float, left: np.ndarray, right: np.ndarray) -> float:
    """Where a difference stands when leaf k reaches from k - .5 to k + .5."""
    borders = np.append(left, right[-1])
    leaf = int(np.clip(np.searchsorted(borders, value, side="right") - 1, 0, len(left) - 1))
    width = right[leaf] - left[leaf]
    within = float(np.clip((value - left[leaf]) / width, 0, 1)) if width > 0 else 0.5
    return leaf - 0.5 + within


@styled
def exemplar_vote(
    predictions: ArrayLike,
    exemplar_scores: ArrayLike,
    final: float,
    true: float | None = None,
    *,
    names: Sequence[str] | None = None,
    label: str = "score (points)",
    title: str = "",
) -> Figure:
    """How the exemplars vote on one query: see that the mean is steadier than each verdict.

    predictions: [M] the query's score as told from each exemplar; exemplar_scores: [M] the
    exemplars' own; final: the predicted score; true: what the judges gave. Each arrow leads from an
    exemplar's score to its verdict.
    """
    predictions = numbers(predictions, "predictions")
    own = numbers(exemplar_scores, "exemplar_scores", len(predictions))
    order = np.argsort(own, kind="stable")
    M = len(order)
    said = f"{predictions.min():.3g} to {predictions.max():.3g}; together {final:.3g}"
    title = title or f"{M} exemplars say {said}"
    figure, [[axis]] = panels(size=(8.5, 1.9 + 0.28 * M), title=title)
    arrow = {"arrowstyle": "->", "color": PALE, "linewidth": 1.5, "shrinkA": 4, "shrinkB": 4}
    for line, row in enumerate(order):
        axis.annotate("", (predictions[row], line), (own[row], line), arrowprops=arrow)
    hollow = {"color": ORANGE, "fillstyle": "none", "mew": 2, "label": "exemplar's own score"}
    full = {"color": BLUE, "markersize": 8, "label": "query's score, told from it"}
    axis.plot(own[order], range(M), "o", **hollow)
    axis.plot(predictions[order], range(M), "o", **full)
    axis.axvline(final, color=BLUE, linestyle="--", label=f"predicted, {final:.3g}", zorder=1)
    if true is not None:
        axis.axvline(true, color=BLACK, linestyle=":", label=f"true, {true:.3g}", zorder=1)
    names = [str(row + 1) for row in order] if names is None else [names[row] for row in order]
    axis.set(yticks=range(M), yticklabels=names, ylim=(-0.6, M - 0.4))
    axis.set(ylabel="exemplar", xlabel=label)
    axis.legend(**BESIDE)
    return figure
