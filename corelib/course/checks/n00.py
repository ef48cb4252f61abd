"""The exercises of notebook 00."""

from __future__ import annotations

import numpy as np

from corelib import metrics
from corelib.course.exercises import exercise, letters, one_number, statements


@exercise(
    "0.1",
    method="write the seven marks in order, leave out the two lowest and the two highest, add up "
    "the other three, and multiply by the difficulty.",
    nearly="in order they are 6, 6.5, 6.5, 6.5, 7, 7.5, 10: three times the sum of the third, "
    "fourth and fifth.",
)
def exercise_0_1(fan_score):
    given = one_number(fan_score)

    def is_not(value):
        return abs(given - value) > 0.01

    return [
        (
            lambda: is_not(58.5),
            "the 10 itself does not count, but a 6 has gone. Write all seven marks in order again: "
            "which three stand in the middle now?",
        ),
        (lambda: is_not(20), "is that the execution score? What is it multiplied by?"),
        (lambda: is_not(3 * 150 / 7), "is it the mean of all seven marks? Which of them count?"),
        (
            lambda: abs(given - 60) < 1e-6,
            "how many of the seven marks count, and where do they stand when all are in order?",
        ),
    ]


@exercise(
    "0.2",
    method="add each exemplar's score and its difference, which gives M verdicts; return their "
    "mean.",
    nearly="`np.mean(...)` of the two arrays, added element by element.",
)
def exercise_0_2(vote):
    scores, differences = np.array([20.0, 14.5, 28.0]), np.array([-2.0, 2.5, -6.0])
    told = vote(scores.copy(), differences.copy())
    fewer = vote(np.array([10.0, 20.0]), np.array([1.0, 2.5]))
    return [
        (lambda: told is not None, "what does `vote` give back? Does it end with `return`?"),
        (
            lambda: np.size(told) == 1,
            "three exemplars say three scores: what does the formula make of them?",
        ),
        (
            lambda: not np.isclose(told, np.mean(scores)),
            "that is what the exemplars got themselves: where does what you saw of the query "
            "come in?",
        ),
        (
            lambda: not np.isclose(told, np.mean(scores - differences)),
            "the third difference is -6: is the query better or worse than that exemplar?",
        ),
        (
            lambda: not np.isclose(told, 57),
            "all three verdicts are in it: what does the 1/M of the formula do to their sum?",
        ),
        (
            lambda: not np.isclose(told, 18),
            "if the third exemplar had 30 points more, would your result change? Would the "
            "formula's?",
        ),
        (
            lambda: np.isclose(told, 19),
            "what does each of the three exemplars say of the query, and what is made of that?",
        ),
        (lambda: np.isclose(fewer, 16.75), "would it hold for two exemplars, too?"),
    ]


@exercise(
    "0.3",
    method="go through the seven columns of `alone` and call `metrics.spearman` with each and with "
    "`score`.",
    nearly="`[metrics.spearman(alone[:, j], ...) for j in range(7)]`, with the panel's score in "
    "place of the dots.",
)
def exercise_0_3(rho_whole, *, rho, score, alone, given):
    right = [metrics.spearman(column, score) for column in alone.T]
    of_marks = [metrics.spearman(column, score) for column in given.T]
    return [
        (
            lambda: np.shape(rho_whole) == (7,),
            "how many judges are there, and how many numbers have you got?",
        ),
        (
            lambda: np.allclose(rho_whole, right) or not np.allclose(rho_whole, rho),
            "these are the numbers against the other six: which array holds the score of the whole "
            "panel?",
        ),
        (
            lambda: np.allclose(rho_whole, right) or not np.allclose(rho_whole, of_marks),
            "a mark knows nothing of the difficulty, a score does: which array holds what a judge "
            "alone would give?",
        ),
        (
            lambda: np.allclose(rho_whole, right),
            "for judge j: which column do you take, which score does it stand beside, and which "
            "function compares their order?",
        ),
    ]


@exercise(
    "0.4",
    method="take one statement at a time and look for the cell or the formula above that decides "
    "it.",
    nearly="three of the five are true, d among them; the first and the third are not.",
)
def exercise_0_4(true_statements):
    chosen = letters(true_statements)
    return [
        *statements(
            chosen,
            "bde",
            a="in the last cell, who agrees better with the panel: one judge, or the invented "
            "truth, which a model could learn?",
            b="what happens to the judges' errors when the middle of seven is taken?",
            c="if a model doubles every score, what becomes of the order, and what of the scores?",
            d="one point too much in the execution score: how many are that in the score?",
            e="can a video tell how a judge will err? What else could?",
        ),
        (lambda: chosen <= set("abcde"), "which letters do the five statements have?"),
    ]
