"""The exercises of notebook 04."""

from __future__ import annotations

import numpy as np

from corelib import metrics
from corelib.course.exercises import exercise


@exercise("4.1", method="TODO", nearly="TODO")
def exercise_4_1(higher_rho, lower_rl2, rl2_b):
    return [
        (lambda: higher_rho == "A", "put the dives in the order that each system gives them."),
        (lambda: lower_rl2 == "B", "how many points is A off, each time?"),
        (
            lambda: abs(rl2_b - 6) < 0.01,
            "errors 6, -6, 0: square, mean, divide by the range 20 squared, x100.",
        ),
    ]


@exercise("4.2", method="TODO", nearly="TODO")
def exercise_4_2(my_spearman, *, true, some):
    return [
        (
            lambda: np.isclose(my_spearman(true, np.exp(true / 9)), 1),
            "an exponential bends the values but keeps the order, so rho must be 1. "
            "Did you take ranks?",
        ),
        (lambda: np.isclose(my_spearman(true, -true), -1), "turned round, the order is worth -1."),
        (
            lambda: np.isclose(my_spearman(*some), metrics.spearman(*some)),
            "np.argsort tells which value stands at a place; a rank is the place of a value. "
            "Sort once more.",
        ),
    ]


@exercise("4.3", method="TODO", nearly="TODO")
def exercise_4_3(calm, *, bold):
    return [
        (
            lambda: np.isclose(np.mean(calm), bold.mean()),
            "the mean has moved: pull towards the mean, not towards 0.",
        ),
        (
            lambda: np.isclose(np.std(calm), bold.std() / 2),
            "half the distance from the mean should be left.",
        ),
        (
            lambda: np.allclose(calm - bold.mean(), (bold - bold.mean()) / 2),
            "each prediction for itself.",
        ),
    ]


@exercise("4.4", method="TODO", nearly="TODO")
def exercise_4_4(true_statements):
    return [
        (
            lambda: "a" in true_statements,
            "the same number for all, times the difficulty: in which order does that put them?",
        ),
        (
            lambda: "b" in true_statements,
            "R-l2 is a mean square: undo the x100, then take the root.",
        ),
        (lambda: "c" not in true_statements, "does the order change?"),
        (lambda: "d" not in true_statements, "which dives were meant to be looked at once?"),
        (
            lambda: "e" in true_statements,
            "the mean square of standardised scores around 0 is their variance.",
        ),
    ]
