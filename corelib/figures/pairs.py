"""Figures of comparing: differences of pairs, score groups, the tree's decision, the vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    numbers,
    panels,
    styled,
)


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
        axis.axvline(median, color=colour, linestyle="--", linewidth=1.8)
    axis.set(xlabel="absolute difference of the two scores", ylabel="% of the pairs")
    axis.set_xlim(0, bins[-1])
    axis.legend()
    return figure


@styled
def intervals(
    differences: ArrayLike, edges: ArrayLike, *, mirrored: bool = False, title: str = ""
) -> Figure:
    """The score groups: see that they are narrow where differences are many.

    differences: [P] score differences of training pairs, whose absolute values are drawn; edges:
    [R + 1], rising from 0, of the positive intervals. mirrored draws both orders of every pair and
    the negative intervals too. A difference on an edge counts with the interval farther from zero,
    one beyond the last edge with the last. Intervals without width are empty and marked.
    """
    size = np.abs(numbers(differences, "differences"))
    edges = numbers(edges, "edges")
    if len(edges) < 2 or (np.diff(edges) < 0).any():
        raise ValueError(f"edges must be [R + 1] rising numbers, not {edges.tolist()}")
    # A hair of tolerance: differences of half points miss the edges they lie on by rounding.
    place = np.searchsorted(edges, size + 1e-4, side="right") - 1
    share = 100 / len(size) * np.bincount(place.clip(0, len(edges) - 2), minlength=len(edges) - 1)
    if mirrored:
        size, edges = np.concatenate([-size, size]), np.concatenate([-edges[:0:-1], edges])
        share = np.concatenate([share[::-1], share]) / 2
    found = f"each with {share.min():.2g} to {share.max():.2g} % of the pairs"
    shape = {"size": (10.5, max(3.9, 0.9 + 0.25 * len(edges))), "width_ratios": [2.2, 1]}
    title = title or f"{len(share)} intervals, {found}"
    figure, [[left, right]] = panels(1, 2, title=title, **shape)
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        left.axvspan(low, high, color=BLUE, alpha=0.16 if number % 2 else 0.04, linewidth=0)
    outer = max(edges[-1], size.max()) or 1
    left.hist(size, bins=60, range=(-outer if mirrored else 0, outer), color=BLUE, alpha=0.75)
    for edge in edges:
        left.axvline(edge, color=VERMILLION, linewidth=1.2, gid="edge")
    left.set(xlabel=f"{'' if mirrored else 'absolute '}score difference", ylabel="pairs")
    left.set_xlim(-1.02 * outer if mirrored else -0.01 * outer, 1.02 * outer)
    left.grid(False)
    right.barh(range(len(share)), share, color=BLUE, alpha=0.75, height=0.75)
    right.set_yticks(range(len(share)), _interval_names(edges[:-1], edges[1:]))
    right.set(xlabel="% of the pairs", ylim=(-0.6, len(share) - 0.4))
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
    marks = {
        "true difference": (true_difference, BLACK, "^"),
        "predicted": (predicted, VERMILLION, "v"),
    }
    for name, (value, colour, marker) in marks.items():
        if value is not None:
            look = {"markersize": 11, "color": colour, "clip_on": False}
            place = _place_in_leaves(float(value), left, right)
            axis.plot(place, -0.55, marker, label=f"{name} {value:.3g}", **look)
    turned = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if K > 4 else {}
    axis.set_xticks(range(K), _interval_names(left, right), **turned)
    axis.set(xlim=(-0.6, K - 0.4), ylim=(-0.7, depth + 0.4), yticks=[])
    axis.set_xlabel("interval of the score difference (numbers in the tree: % of the probability)")
    axis.grid(False)
    axis.spines["left"].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper left")
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
    pairs = zip(left + 0.0, right + 0.0, strict=True)
    return [f"{low:.3g} to {high:.3g}" + (" (empty)" if low == high else "") for low, high in pairs]


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
    axis.set(ylabel="exemplar", xlabel="score")
    axis.legend(**BESIDE)
    return figure
