"""The exercises of notebook 04."""

from __future__ import annotations

import numpy as np

from corelib import metrics
from corelib.course.exercises import exercise, letters, one_number, statements


@exercise(
    "4.1",
    method="rho: write down the order of the three dives by each system and by the judges; R-l2: "
    "square each error, take the mean, divide by the squared range, times 100.",
    nearly="A keeps the order and is 10 points off each time; B is off by 6, 6 and 0: "
    "100 x (36 + 36 + 0) / 3 / 20^2.",
)
def exercise_4_1(higher_rho, lower_rl2, rl2_b):
    order, distance = (str(name).strip().upper() for name in (higher_rho, lower_rl2))
    given = one_number(rl2_b)

    def is_not(value):
        return abs(given - value) > 0.005

    return [
        (
            lambda: {order, distance} <= {"A", "B"},
            '`higher_rho` and `lower_rl2` name a system each: is it "A" or "B"?',
        ),
        (
            lambda: order == "A",
            "`higher_rho`: in which order does each system put the three dives, and which is that "
            "of the judges?",
        ),
        (lambda: distance == "B", "`lower_rl2`: how many points is each system off, dive by dive?"),
        (lambda: is_not(0.06), "`rl2_b`: how is R-l2 always printed?"),
        (lambda: is_not(25), "`rl2_b`: of which system is that?"),
        (lambda: is_not(18), "`rl2_b`: is that the sum over the dives, or their mean?"),
        (
            lambda: is_not(24) and is_not(2400) and is_not(120),
            "`rl2_b`: by what are the errors divided, and is that squared, too?",
        ),
        (
            lambda: not is_not(6),
            "`rl2_b`: by how many points is B off, dive by dive, and what does the formula do with "
            "them?",
        ),
    ]


@exercise(
    "4.2",
    method="replace the values of each array by their ranks, which takes `np.argsort` twice, then "
    "return the correlation of the ranks: one entry of `np.corrcoef`.",
    nearly="with `ranks = [np.argsort(np.argsort(values)) for values in (a, b)]`, the entry "
    "`[0, 1]` of a matrix of both.",
)
def exercise_4_2(my_spearman):
    a, b = np.random.default_rng(5).normal(size=(2, 30))
    five = np.array([72.0, 58.5, 81.0, 40.5, 64.0])

    def told(*arrays):
        return my_spearman(*(one.copy() for one in arrays))

    first = told(a, b)
    return [
        (lambda: first is not None, "what does it give back? Does it end with `return`?"),
        (
            lambda: np.size(first) == 1,
            "is that one number? `np.corrcoef` gives a matrix: which entry is asked for?",
        ),
        (
            lambda: not np.isclose(first, np.corrcoef(a, b)[0, 1]),
            "an exponential bends values but keeps their order: is rho of five numbers and their "
            "exponentials 1? What did you correlate?",
        ),
        (
            lambda: not np.isclose(first, np.corrcoef(np.argsort(a), np.argsort(b))[0, 1]),
            "`np.argsort` tells which value stands at a place: is that the place of a value?",
        ),
        (
            lambda: np.isclose(told(five, np.exp(five / 9)), 1),
            "of five numbers and their exponentials, which have the same order, how large is rho?",
        ),
        (
            lambda: np.isclose(told(five, -five), -1),
            "of five numbers and the same with a minus, how large is rho?",
        ),
        (
            lambda: np.isclose(first, metrics.spearman(a, b)),
            "try it on `some`: does it agree with `metrics.spearman(*some)`, with 30 numbers?",
        ),
    ]


@exercise(
    "4.3",
    method="the distance of each prediction from their mean is halved and added to the mean.",
    nearly="`bold.mean() + 0.5 * (...)`, with each prediction's distance from the mean in place of "
    "the dots.",
)
def exercise_4_3(calm, *, bold):
    made, mean = np.asarray(calm, dtype=float), bold.mean()
    return [
        (
            lambda: made.shape == bold.shape,
            "how many predictions are there, and how many in yours?",
        ),
        (
            lambda: np.isclose(made.mean(), mean),
            "what is the mean before and after? Towards what did you pull?",
        ),
        (
            lambda: np.isclose(made.std(), bold.std() / 2),
            "how far from the mean is a prediction before, and how far after?",
        ),
        (
            lambda: np.allclose(made - mean, (bold - mean) / 2),
            "is every prediction still in its dive's place, and on its side of the mean?",
        ),
    ]


@exercise(
    "4.4",
    method="take one statement at a time and look for the formula or the sentence above that "
    "decides it; put numbers in where it is a formula.",
    nearly="three of the five are true; neither the third nor the fourth is among them.",
)
def exercise_4_4(true_statements):
    chosen = letters(true_statements)
    return [
        *statements(
            chosen,
            "abe",
            a="the same number for all, times the difficulty: in which order does that put them?",
            b="R-l2 is a mean square: what is left when the x100 is undone and the root is taken?",
            c="everybody 20 points more: does the order change?",
            d="which dives were meant to be looked at once, at the end?",
            e="what is the mean square of standardised scores around 0?",
        ),
        (lambda: chosen <= set("abcde"), "which letters do the five statements have?"),
    ]
