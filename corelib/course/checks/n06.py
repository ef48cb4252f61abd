"""The exercises of notebook 06."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise
from corelib.tree import quantile_edges


@exercise("6.1", method="TODO", nearly="TODO")
def exercise_6_1(five_edges, open_leaves):
    return [
        (lambda: len(five_edges) == 5, "0, three inner edges, and the largest difference."),
        (
            lambda: np.allclose(five_edges, quantile_edges([2] * 10 + [5] * 2, depth=4)),
            "the inner edges are the sorted values at the indices 2, 5 and 8.",
        ),
        (
            lambda: open_leaves == 2 * int(np.count_nonzero(np.diff(five_edges))),
            "an interval from 2 to 2 holds nothing; count the others, on both sides of zero.",
        ),
    ]


@exercise("6.2", method="TODO", nearly="TODO")
def exercise_6_2(leaf_log_probs, *, turns):
    return [
        (
            lambda: np.shape(leaf_log_probs(turns)) == (4,),
            "four leaves: two nodes on the last level, two turns each.",
        ),
        (
            lambda: np.isclose(np.exp(leaf_log_probs(turns)).sum(), 1),
            "the leaves' probabilities must add up to 1: where is the first level's share?",
        ),
        (
            lambda: np.allclose(np.exp(leaf_log_probs(turns)), [0.2, 0.2, 0.06, 0.54]),
            "the last leaf: .6 at the root, then .9; probabilities multiply, so their logarithms ...",
        ),
        (
            lambda: np.allclose(leaf_log_probs(turns[:1]), np.log([0.4, 0.6])),
            "a tree of one level has two leaves.",
        ),
    ]


@exercise("6.3", method="TODO", nearly="TODO")
def exercise_6_3(edges3, leaf, position, expected_difference, predicted_score):
    return [
        (
            lambda: np.allclose(edges3, [0, 3, 9]),
            "sort the six; the inner edge is the one at index floor(5 x 1/2) = 2.",
        ),
        (
            lambda: leaf == 3,
            "the difference of the *execution* scores is 23.5 - 19. "
            "Leaves count from the left, from 0.",
        ),
        (
            lambda: np.isclose(position, 0.25),
            "how far into the interval from 3 to 9 does 4.5 lie, as a share of its width?",
        ),
        (
            lambda: np.isclose(expected_difference, 2.25),
            "each leaf stands for left + position x width: -6, -1.5, 1.5, 4.5. Weigh them with P.",
        ),
        (
            lambda: np.isclose(predicted_score, 63.75),
            "add the difference to the exemplar's execution score; the difficulty comes last.",
        ),
    ]


@exercise("6.4", method="TODO", nearly="TODO")
def exercise_6_4(true_statements):
    return [
        (lambda: "a" in true_statements, "look at the figure of the intervals again."),
        (lambda: "b" not in true_statements, "which leaf's position stands in the second loss?"),
        (lambda: "c" in true_statements, "the middles of the intervals mirror each other."),
        (
            lambda: "d" not in true_statements,
            "what is the largest number that left + position x width can give?",
        ),
        (lambda: "e" in true_statements, "label 5 and -5 with the edges 0, 2, 8 of the example."),
    ]
