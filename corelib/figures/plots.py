"""Every figure of the course: functions of arrays and data frames that return the figure.

The figures of data stand in plots_data, those of judges in plots_judges, of trainings and results
in plots_results, of what they cost in plots_costs, of why a score in plots_attribution, of score
groups, the tree and the vote here; import all from here.
None calls pyplot or a model. What is drawn in blue is CoRe, in orange the I3D+MLP baseline, black
the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.figures.attribution import (
    attributed_moments,
    attribution_moment,
    attribution_strip,
    error_views,
    fault_effects,
    score_steps,
)
from corelib.figures.costs import cost_growth, progress_for_cost
from corelib.figures.judges import judge_against_panel
from corelib.figures.results import learning_curves, spread_curves, system_comparison
from corelib.figures.samples import (
    clip_grid,
    feature_map,
    film_strip,
    film_strips,
    inflate_kernel,
    judges_agreement,
    pair_differences,
    score_histogram,
    snippet_layout,
)
from corelib.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    SYSTEM_COLOURS,
    VERMILLION,
    by_group,
    identity_line,
    limits,
    numbers,
    panels,
    styled,
)

__all__ = [
    "attributed_moments", "attribution_moment", "attribution_strip", "clip_grid", "cost_growth", "error_views", "exemplar_vote",
    "fault_effects", "feature_map", "film_strip", "film_strips", "inflate_kernel", "intervals", "judge_against_panel",
    "judges_agreement", "learning_curves", "pair_differences", "progress_for_cost", "score_histogram", "score_scatter", "score_steps",
    "snippet_layout", "spread_curves", "system_comparison", "tree",
]  # fmt: skip


@styled
def score_scatter(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    label: str = "",
    groups: ArrayLike | None = None,
    spread: ArrayLike | None = None,
    system: str = "",
    title: str = "",
) -> Figure:
    """Predicted against true scores, and the residuals: see how near the dots lie to the line, and
    which are missed.

    true, predicted: [N]; groups: [N], one colour each; spread: [N] standard deviation over the
    exemplars, drawn as bars; label: what the scores are; system: "mlp" or "core", whose colour is
    used where there are no groups; any other predictor is drawn in green. A falling cloud on the
    right means that low scores are predicted too high and high ones too low.
    """
    true = numbers(true, "true")
    predicted = numbers(predicted, "predicted", len(true))
    spread = None if spread is None else numbers(spread, "spread", len(true))
    error = predicted - true
    title = (
        title or f"Median absolute error {np.median(np.abs(error)):.3g} over {len(true)} samples"
    )
    figure, [[left, right]] = panels(1, 2, size=(10, 4.4), title=title)
    for name, mask, colour in by_group(groups, len(true)):
        colour = colour if groups is not None else SYSTEM_COLOURS.get(system, GREEN)
        dots = {"s": 30, "color": colour, "alpha": 0.75, "linewidth": 0}
        if spread is not None:
            left.errorbar(
                true[mask],
                predicted[mask],
                spread[mask],
                fmt="none",
                ecolor=colour,
                alpha=0.35,
                linewidth=1,
            )
        left.scatter(true[mask], predicted[mask], label=name, **dots)
        right.scatter(true[mask], error[mask], **dots)
    reach = limits(true, predicted)
    identity_line(left, *reach)
    right.axhline(0, color=BLACK, linewidth=1, linestyle=":")
    left.set(
        xlabel=f"true {label or 'score'}",
        ylabel=f"predicted {label or 'score'}",
        xlim=reach,
        ylim=reach,
    )
    left.set_aspect("equal")
    right.set(xlabel=f"true {label or 'score'}", ylabel="predicted minus true")
    if groups is not None:
        right.legend(*left.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def intervals(
    differences: ArrayLike, edges: ArrayLike, *, mirrored: bool = False, title: str = ""
) -> Figure:
    """The score groups: see that they are narrow where differences are many, so that each holds
    about equally many.

    differences: [P] score differences of training pairs, whose absolute values are drawn; edges: [R
    + 1], rising from 0, of the positive intervals. mirrored draws both orders of every pair and the
    negative intervals too. A difference on an edge counts with the interval farther from zero, one
    beyond the last edge with the last interval; intervals without width are empty and marked.
    """
    size = np.abs(numbers(differences, "differences"))
    edges = numbers(edges, "edges")
    if len(edges) < 2 or (np.diff(edges) < 0).any():
        raise ValueError(f"edges must be [R + 1] rising numbers, not {edges.tolist()}")
    # A hair of tolerance, because differences of half points miss the edges they lie on by
    # rounding.
    place = np.searchsorted(edges, size + 1e-4, side="right") - 1
    share = 100 / len(size) * np.bincount(place.clip(0, len(edges) - 2), minlength=len(edges) - 1)
    if mirrored:
        size, edges = np.concatenate([-size, size]), np.concatenate([-edges[:0:-1], edges])
        share = np.concatenate([share[::-1], share]) / 2
    title = (
        title
        or f"{len(share)} intervals, each with {share.min():.2g} to {share.max():.2g} % of the pairs"
    )
    figure, [[left, right]] = panels(
        1,
        2,
        size=(10.5, max(3.9, 0.9 + 0.25 * len(edges))),
        title=title,
        gridspec_kw={"width_ratios": [2.2, 1]},
    )
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

    log_probs: [K] log-probabilities of the leaves (-inf for a closed one); a node's probability is
    the sum over the leaves below it. left, right: [K] the leaves' intervals. The path to the most
    probable leaf is coloured, lines are as thick as their probability, and the true and predicted
    differences are marked at their place in the intervals.
    """
    leaf = np.exp(np.asarray(log_probs, dtype=float).reshape(-1))
    K = len(leaf)
    left, right = numbers(left, "left", K), numbers(right, "right", K)
    if K & (K - 1) or not np.isclose(leaf.sum(), 1, atol=1e-3):
        raise ValueError(
            f"log_probs must be those of 1, 2, 4, 8 ... leaves, adding up to 1; got {K} leaves and"
            f" {leaf.sum():.3g}"
        )
    best, depth = int(leaf.argmax()), K.bit_length() - 1
    title = (
        title
        or f"The most probable leaf, {left[best]:.3g} to {right[best]:.3g}, has {100 * leaf[best]:.0f} %"
    )
    figure, [[axis]] = panels(
        size=(max(8, min(0.68 * K, 24)), 1.6 + 0.85 * max(depth, 1)), title=title
    )
    for level in range(depth + 1):
        below = K >> level  # leaves below a node of this level
        for node, probability in enumerate(leaf.reshape(-1, below).sum(axis=1)):
            x, y = (node + 0.5) * below - 0.5, depth - level
            colour = BLUE if best // below == node else PALE
            if level:
                parent = (node // 2 + 0.5) * 2 * below - 0.5
                look = {
                    "color": colour,
                    "linewidth": 1 + 9 * probability,
                    "zorder": 1 + (colour == BLUE),
                }
                axis.plot([parent, x], [y + 1, y], **look)
            box = {
                "boxstyle": "round,pad=0.25",
                "facecolor": "white",
                "edgecolor": colour,
                "linewidth": 1.5,
            }
            size = 11 if K <= 32 else 8
            axis.text(
                x,
                y,
                f"{100 * probability:.0f}",
                ha="center",
                va="center",
                fontsize=size,
                bbox=box,
                zorder=3,
            )
    marks = (
        (true_difference, BLACK, "true difference", "^"),
        (predicted, VERMILLION, "predicted", "v"),
    )
    for value, colour, name, marker in marks:
        if value is not None:
            look = {
                "marker": marker,
                "markersize": 11,
                "color": colour,
                "linestyle": "none",
                "clip_on": False,
            }
            axis.plot(
                _place_in_leaves(float(value), left, right),
                -0.55,
                label=f"{name} {value:.3g}",
                **look,
            )
    turned = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if K > 4 else {}
    axis.set_xticks(range(K), _interval_names(left, right), **turned)
    axis.set(xlim=(-0.6, K - 0.4), ylim=(-0.7, depth + 0.4), yticks=[])
    axis.set_xlabel("interval of the score difference (numbers in the tree: % of the probability)")
    axis.grid(False)
    axis.spines["left"].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper left")
    return figure


def _interval_names(left: np.ndarray, right: np.ndarray) -> list[str]:
    # Adding 0 turns the mirrored edge -0 into 0.
    pairs = zip(left + 0.0, right + 0.0, strict=True)
    return [f"{low:.3g} to {high:.3g}" + (" (empty)" if low == high else "") for low, high in pairs]


def _place_in_leaves(value: float, left: np.ndarray, right: np.ndarray) -> float:
    """Where a difference stands when every leaf is one unit wide: leaf k reaches from k - .5 to k +
    .5."""
    borders = np.append(left, right[-1])
    leaf = int(np.clip(np.searchsorted(borders, value, side="right") - 1, 0, len(left) - 1))
    width = right[leaf] - left[leaf]
    return (
        leaf - 0.5 + float(np.clip((value - left[leaf]) / width, 0, 1))
        if width > 0
        else float(leaf)
    )


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
    """How the exemplars vote on one query: see how far their verdicts scatter, and that the mean is
    steadier than each.

    predictions: [M] the query's score as told from each exemplar; exemplar_scores: [M] the
    exemplars' own; final: the predicted score; true: what the judges gave. Each arrow leads from an
    exemplar's score to its verdict.
    """
    predictions = numbers(predictions, "predictions")
    own = numbers(exemplar_scores, "exemplar_scores", len(predictions))
    order = np.argsort(own, kind="stable")
    M = len(order)
    title = (
        title
        or f"{M} exemplars say {predictions.min():.3g} to {predictions.max():.3g}; together {final:.3g}"
    )
    figure, [[axis]] = panels(size=(8.5, 1.9 + 0.28 * M), title=title)
    for line, row in enumerate(order):
        arrow = {"arrowstyle": "->", "color": PALE, "linewidth": 1.5, "shrinkA": 4, "shrinkB": 4}
        axis.annotate("", (predictions[row], line), (own[row], line), arrowprops=arrow)
    axis.plot(
        own[order],
        range(M),
        "o",
        color=ORANGE,
        fillstyle="none",
        mew=2,
        label="exemplar's own score",
    )
    axis.plot(
        predictions[order],
        range(M),
        "o",
        color=BLUE,
        markersize=8,
        label="query's score, told from it",
    )
    axis.axvline(final, color=BLUE, linestyle="--", label=f"predicted, {final:.3g}", zorder=1)
    if true is not None:
        axis.axvline(true, color=BLACK, linestyle=":", label=f"true, {true:.3g}", zorder=1)
    names = [str(row + 1) for row in order] if names is None else [names[row] for row in order]
    axis.set(
        yticks=range(M), yticklabels=names, ylabel="exemplar", xlabel="score", ylim=(-0.6, M - 0.4)
    )
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
