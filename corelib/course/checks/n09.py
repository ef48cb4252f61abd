"""The exercises of notebook 09."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise


@exercise("9.1", method="TODO", nearly="TODO")
def exercise_9_1(standard_errors_apart):
    return [
        (
            lambda: standard_errors_apart([3, 4, 5], [1, 2, 3]) > 0,
            "the first lies above the second here.",
        ),
        (
            lambda: np.isclose(standard_errors_apart([3, 4, 5], [1, 2, 3]), 2 / np.sqrt(2 / 3)),
            "for 3 4 5 and 1 2 3 the means differ by 2 and each variance is 1. "
            "Is each divided by its n?",
        ),
        (
            lambda: np.isclose(
                standard_errors_apart([1, 2], [1, 4, 4]), -1.5 / np.sqrt(0.5 / 2 + 3 / 3)
            ),
            "try 1 2 against 1 4 4: the numbers of seeds may differ, and a variance divides by n - 1.",
        ),
    ]


@exercise("9.2", method="TODO", nearly="TODO")
def exercise_9_2(foretold):
    return [
        (
            lambda: np.isclose(foretold(0.8, 0.5, 1), 0.8),
            "with one exemplar it must give r1 itself.",
        ),
        (
            lambda: abs(foretold(0.8, 0.5, 10**9) - 0.5) < 1e-6,
            "which part is left when very many vote?",
        ),
        (
            lambda: np.isclose(foretold(0.8, 0.5, 2), 0.65),
            "own = r1 - shared. The mean of M independent errors has a variance of own / M; "
            "R-l2 is a square already.",
        ),
    ]


@exercise("9.3", method="TODO", nearly="TODO")
def exercise_9_3(flattery):
    return [
        (
            lambda: flattery > 0,
            "the largest of twelve numbers around 0: on which side does it tend to lie?",
        ),
        (
            lambda: flattery < 0.025,
            "the *average* of the maximum is asked, over many repetitions of twelve epochs.",
        ),
        (
            lambda: abs(flattery - 0.0163) < 0.001,
            "draw many rows of 12, take each row's largest, average those.",
        ),
    ]


@exercise("9.4", method="TODO", nearly="TODO")
def exercise_9_4(true_statements):
    return [
        (
            lambda: "a" not in true_statements,
            "who would notice? The program knows ids, and the model gives its verdict as always.",
        ),
        (lambda: "b" in true_statements, "ten of forty are drawn, all equally likely."),
        (
            lambda: "c" not in true_statements,
            "compare with exercise 9.1: how many standard errors are that with five seeds?",
        ),
        (lambda: "d" in true_statements, "on which dives were the curves of the figure measured?"),
        (
            lambda: "e" not in true_statements,
            "what does the bench keep still, and who made its features?",
        ),
    ]
