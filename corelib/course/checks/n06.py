"""The exercises of notebook 06."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "6.1",
    method="sort the twelve, read off the values at the three indices, put 0 before them and the "
    "largest behind; then count the intervals that have a width, on both sides of zero.",
    nearly="in 2 2 2 2 2 2 2 2 2 2 5 5 the indices 2, 5 and 8 hold the same value, so two of the "
    "four positive intervals have no width, nor have their mirror images.",
)
def exercise_6_1(five_edges, open_leaves):
    return [
        (lambda: len(five_edges) == 5, "how many edges do four intervals in a row have?"),
        (
            lambda: five_edges[0] == 0 and five_edges[4] == 5,
            "which is the smallest absolute difference that there can be, which the largest here?",
        ),
        (
            lambda: np.allclose(five_edges, [0, 2, 2, 2, 5]),
            "write down all twelve in order: what stands at index 2, at 5, and at 8?",
        ),
        (
            lambda: abs(open_leaves - 2) > 1e-6,
            "that is the side of the positive differences: what is on the other side?",
        ),
        (
            lambda: abs(open_leaves - 4) < 1e-6,
            "what can lie in an interval from 2 to 2? How many others are there, with the mirror "
            "images?",
        ),
    ]


@exercise(
    "6.2",
    method="begin with one node of log-probability 0; at each level add to both turns of a node "
    "what has come to it, and `ravel` puts the children in order.",
    nearly="from `log_p = np.zeros(1)` on, for each level `log_p[:, None] + turn` is `[nodes, 2]`, "
    "and one more call makes a row of it, the next `log_p`.",
)
def exercise_6_2(leaf_log_probs, *, turns):
    def leaves(levels):
        return np.asarray(leaf_log_probs([level.copy() for level in levels]))

    deep = [*turns, np.log([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5], [0.2, 0.8]])]
    return [
        (
            lambda: leaves(turns).shape == (4,),
            "two nodes stand on the last level of `turns`, and each turns left or right: how many "
            "numbers are to be returned?",
        ),
        (lambda: np.all(leaves(turns) <= 0), "can the logarithm of a probability be above 0?"),
        (
            lambda: np.isclose(np.exp(leaves(turns)).sum(), 1),
            "your leaves' probabilities do not add up to 1: which share of the whole has come to "
            "a node before it turns?",
        ),
        (
            lambda: np.allclose(np.sort(np.exp(leaves(turns))), [0.06, 0.2, 0.2, 0.54]),
            "which two turns lead to the last leaf, and what do their logarithms do?",
        ),
        (
            lambda: np.allclose(np.exp(leaves(turns)), [0.2, 0.2, 0.06, 0.54]),
            "these are the right four in another order: whose two children come first from the "
            "left?",
        ),
        (
            lambda: np.allclose(leaves(turns[:1]), np.log([0.4, 0.6])),
            "and a tree of one level, `turns[:1]`, which two leaves has that?",
        ),
        (
            lambda: np.allclose(
                np.exp(leaves(deep)), [0.1, 0.1, 0.05, 0.15, 0.03, 0.03, 0.108, 0.432]
            ),
            "and a tree of three levels: does each level do the same with what has come to it?",
        ),
    ]


@exercise(
    "6.3",
    method="sort the six for the edges; divide both scores by 3.0 before you subtract; position = "
    "(difference - left) / width; weigh what the four leaves stand for with P, add the exemplar's "
    "execution score, and multiply by the difficulty last.",
    nearly="edges 0, 3, 9; the difference 23.5 - 19 = 4.5 is 1.5 beyond the edge at 3 of an "
    "interval of width 6; the leaves stand for -6, -1.5, 1.5 and 4.5; the score is 3.0 x (19 + "
    "their mean, weighted with P).",
)
def exercise_6_3(edges3, leaf, position, expected_difference, predicted_score):
    return [
        (
            lambda: np.shape(edges3) == (3,) and np.allclose(edges3, [0, 3, 9]),
            "`edges3`: with the six in order, which index is floor(5 x 1/2), counted from 0? And "
            "which are the outer edges of the positive side?",
        ),
        (
            lambda: abs(leaf - 3) < 1e-6,
            "`leaf`: by how much do the *execution* scores differ, and is the query better? The "
            "leaf farthest left is number 0.",
        ),
        (
            lambda: np.isclose(position, 0.25),
            "`position`: how far behind the left edge of its interval does the difference of the "
            "execution scores lie, as a share of the interval's width?",
        ),
        (
            lambda: not np.isclose(expected_difference, 4.5),
            "`expected_difference`: that is what leaf 3 stands for alone. What do the other three "
            "say, and how sure is the tree of each?",
        ),
        (
            lambda: np.isclose(expected_difference, 2.25),
            "`expected_difference`: which difference does each of the four leaves stand for, with "
            "*these* edges?",
        ),
        (
            lambda: not np.isclose(predicted_score, 57 + 2.25),
            "`predicted_score`: 2.25 is a difference of execution scores. Is 57 one?",
        ),
        (
            lambda: np.isclose(predicted_score, 63.75),
            "`predicted_score`: to which execution score is the expected difference added, and "
            "what makes a score of the sum?",
        ),
    ]


@exercise(
    "6.4",
    method="a: the first figure; b: the formula in 'Two losses'; c, d: the formula of the "
    "expectation, with the edges of 'By hand'; e: label a difference and its negative there.",
    nearly="three are true. b is not one of them: only the true leaf's position stands in the "
    "loss. Nor is d, and e is.",
)
def exercise_6_4(true_statements):
    return [
        (lambda: letters(true_statements) <= set("abcde"), "which of the letters a to e?"),
        *statements(
            true_statements,
            "ace",
            a="on a: in the first figure, where are most of the pairs, and how wide are the "
            "intervals there?",
            b="on b: which leaf's position stands in the second part of the loss?",
            c="on c: what do the middles of -8 to -2, -2 to 0, 0 to 2 and 2 to 8 add up to?",
            d="on d: what is the largest number that left + position x width gives, with a "
            "position of at most 1?",
            e="on e: -3.5 is labelled in 'By hand', leaf 0 and .75. What is the label of 3.5?",
        ),
    ]
