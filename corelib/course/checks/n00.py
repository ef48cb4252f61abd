"""The exercises of notebook 00."""

from __future__ import annotations

import numpy as np

from corelib import metrics
from corelib.course.exercises import exercise


@exercise("0.1", method="TODO", nearly="TODO")
def exercise_0_1(fan_score, *, panel_score):
    return [
        (
            lambda: fan_score != 58.5,
            "the 10 itself is dropped, but so was the 6 in its place. "
            "Write all seven marks in order again: which three stand in the middle now?",
        ),
        (
            lambda: abs(fan_score - panel_score([10, 6, 6.5, 6.5, 6.5, 7, 7.5], 3.0)) < 1e-9,
            "drop the two highest and the two lowest, add up the other three, multiply by 3.0.",
        ),
    ]


@exercise("0.2", method="TODO", nearly="TODO")
def exercise_0_2(vote, *, execution, chosen, query):
    return [
        (
            lambda: np.size(vote([20.0, 14.5, 24.0], [-2.0, 2.5, -5.0])) == 1,
            "three verdicts are not a score yet: what does the formula do with them?",
        ),
        (
            lambda: abs(vote([20.0, 14.5, 24.0], [-2.0, 2.5, -5.0]) - 18.0) < 1e-9,
            "the exemplars say 18, 17 and 19. A positive difference: is the query better or worse?",
        ),
        (
            lambda: np.isclose(
                vote(execution[chosen], execution[query] - execution[chosen]), execution[query]
            ),
            "whoever sees every difference exactly must come out at the query's own score.",
        ),
    ]


@exercise("0.3", method="TODO", nearly="TODO")
def exercise_0_3(rho_whole, *, rho, score, alone):
    return [
        (lambda: len(rho_whole) == 7, "one number for each judge, seven altogether."),
        (lambda: not np.allclose(rho_whole, rho), "these still compare with the other six."),
        (
            lambda: np.allclose(rho_whole, [metrics.spearman(column, score) for column in alone.T]),
            "column j of `alone` is what judge j alone would say for each dive; "
            "`score` is the panel's.",
        ),
    ]


@exercise("0.4", method="TODO", nearly="TODO")
def exercise_0_4(true_statements):
    return [
        (lambda: "a" not in true_statements, "compare the two lines that the last cell printed."),
        (
            lambda: "b" in true_statements,
            "what happens to errors when the middle of seven is taken?",
        ),
        (lambda: "c" not in true_statements, "double every score: what becomes of the order?"),
        (lambda: "d" in true_statements, "how does the score follow from the execution score?"),
        (lambda: "e" in true_statements, "can a video tell how a judge will err?"),
    ]
