"""The exercises of notebook 10."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise


@exercise("10.1", method="TODO", nearly="TODO")
def exercise_10_1(group_means, *, seen, asked):
    return [
        (
            lambda: np.shape(group_means(seen, asked, "group")) == (3,),
            "one number for each row of `test`, in its order.",
        ),
        (
            lambda: np.allclose(group_means(seen, asked, "group")[:2], [90, 15]),
            "the means of b and a, from `train`: 90 and 15.",
        ),
        (
            lambda: np.isclose(group_means(seen, asked, "group")[2], 40),
            "nobody of group c was trained on: then the mean of all three training scores, 40.",
        ),
        (
            lambda: np.allclose(group_means(seen.assign(k=1), asked.assign(k=1), "k"), 40),
            "the groups are in the column that `by` names.",
        ),
    ]


@exercise("10.2", method="TODO", nearly="TODO")
def exercise_10_2(gap):
    return [
        (
            lambda: not np.isclose(gap([0.60, 0.62, 0.64], [0.70, 0.72, 0.74]), 0.1),
            "that is the plain gap still: what is it to be divided by?",
        ),
        (
            lambda: gap([0.60, 0.62, 0.64], [0.70, 0.72, 0.74]) > 0,
            "the second system is better there, so the gap is positive.",
        ),
        (
            lambda: np.isclose(gap([0.60, 0.62, 0.64], [0.70, 0.72, 0.74]), 5),
            "0.1 apart, and each spreads by 0.02. numpy divides by n unless told otherwise.",
        ),
        (lambda: np.isclose(gap([0, 2], [1, 5]), 2 / np.sqrt(5)), "both spreads count, and alike."),
        (lambda: np.isnan(gap([0.6], [0.7])), "one seed has no spread."),
    ]


@exercise("10.3", method="TODO", nearly="TODO")
def exercise_10_3(two_against_five, *, sigma, marks, twos):
    return [
        (
            lambda: two_against_five < sigma * np.sqrt(7 / 6),
            "two against five must be nearer than one against six: averages err less.",
        ),
        (
            lambda: two_against_five > 1.01 * sigma / np.sqrt(2),
            "the five are not the truth: their mean errs, too. Which variances add up?",
        ),
        (
            lambda: np.isclose(
                two_against_five,
                np.sqrt(
                    np.mean(
                        [(marks[:, k].mean(1) - np.delete(marks, k, 1).mean(1)) ** 2 for k in twos]
                    )
                ),
                rtol=0.01,
            ),
            "sigma**2 / 2 for the two; and for the mean of five?",
        ),
    ]


@exercise("10.4", method="TODO", nearly="TODO")
def exercise_10_4(true_statements):
    return [
        (lambda: "a" in true_statements, "how is a quantile of a list of differences found?"),
        (
            lambda: "b" not in true_statements,
            "read the rows of the first table of ties from left to right.",
        ),
        (lambda: "c" in true_statements, "how many different values could a difference take then?"),
        (
            lambda: "d" not in true_statements,
            "which differences would belong to an interval from 2 to 2?",
        ),
        (
            lambda: "e" in true_statements,
            "20.5 and 20.499999999999996: "
            "on which side of an edge at 20.5 is each, with the tolerance?",
        ),
        (lambda: "f" in true_statements, "compare the rows with the difficulty known and unknown."),
    ]
