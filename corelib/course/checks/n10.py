"""The exercises of notebook 10."""

from __future__ import annotations

import warnings

import numpy as np

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "10.1",
    method="`groupby` the training rows by the column `by` and take each group's mean score; `map` "
    "them onto that column of `test`, and fill what is missing with the mean of all training "
    "scores.",
    nearly='`test[by].map(train.groupby(by)["score"].mean())` has nan where the group is new: fill '
    "them.",
)
def exercise_10_1(group_means, *, seen, asked):
    def told():
        return np.asarray(group_means(seen.copy(), asked.copy(), "group"), dtype=float)

    return [
        (
            lambda: told().shape == (3,),
            "three rows are asked in `asked`: how many numbers are to be returned?",
        ),
        (
            lambda: not np.allclose(told()[:2], [15, 90]),
            "in whose order are your numbers: the groups', or that of the rows of `test`?",
        ),
        (
            lambda: np.allclose(told()[:2], [90, 15]),
            "the first two of `asked` are of the groups b and a: which mean have those in `seen`?",
        ),
        (
            lambda: np.isclose(told()[2], 40),
            "nobody of group c was trained on: what is the mean of all three training *scores*?",
        ),
        (
            lambda: np.allclose(group_means(seen.assign(k=1), asked.assign(k=1), "k"), 40),
            "in which column are the groups? The third argument may be another than 'group'.",
        ),
    ]


@exercise(
    "10.2",
    method="keep the difference of the means, and divide it by the root of half the sum of both "
    "sample variances; `ddof=1` makes numpy divide by n - 1.",
    nearly="`plain_gap(first, second) / np.sqrt((np.var(first, ddof=1) + ...) / 2)`, where the "
    "dots are the same of `second`.",
)
def exercise_10_2(gap):
    def gap_of(first, second):
        with warnings.catch_warnings():  # numpy's, about the spread of a single number
            warnings.simplefilter("ignore", RuntimeWarning)
            return gap(np.array(first), np.array(second))

    def near():
        return gap_of([0.60, 0.62, 0.64], [0.70, 0.72, 0.74])

    return [
        (lambda: near() is not None, "what is given back? Does the function end with `return`?"),
        (
            lambda: not np.isclose(abs(near()), 0.1),
            "that is the plain gap still: what is it to be divided by?",
        ),
        (
            lambda: np.size(near()) == 1 and near() > 0,
            "here the second system is better: which sign had `plain_gap`?",
        ),
        (
            lambda: not np.isclose(near(), 5 * np.sqrt(1.5)),
            "by what does numpy divide a variance when it is not told otherwise?",
        ),
        (
            lambda: np.isclose(near(), 5),
            "the means of .60 .62 .64 and .70 .72 .74 are .1 apart and each spreads by .02: how "
            "many spreads are that?",
        ),
        (
            lambda: np.isclose(gap_of([0, 2], [1, 5]), 2 / np.sqrt(5)),
            "and if one system spreads more than the other, as 0 2 and 1 5 do? Does the formula "
            "average spreads or their squares?",
        ),
        (
            lambda: np.isnan(gap_of([0.6], [0.7])),
            "and with one seed a side: which spread has a single number?",
        ),
    ]


@exercise(
    "10.3",
    method="both means err, and independently, so their variances add up; the mean of k marks has "
    "the variance sigma**2 / k.",
    nearly="`sigma * np.sqrt(1 / 2 + ...)`, where the dots are the other five's share.",
)
def exercise_10_3(two_against_five, *, sigma, marks, twos):
    def measured():
        away = [marks[:, k].mean(axis=1) - np.delete(marks, k, axis=1).mean(axis=1) for k in twos]
        return np.sqrt(np.mean(np.square(away)))

    return [
        (
            lambda: np.isfinite(float(two_against_five)) and two_against_five > 0,
            "the distance is one number of points: which?",
        ),
        (
            lambda: not np.isclose(two_against_five, sigma * (1 / np.sqrt(2) + 1 / np.sqrt(5))),
            "which add up when two errors are independent: standard deviations or variances?",
        ),
        (
            lambda: two_against_five < sigma * np.sqrt(7 / 6),
            "are two against five nearer to one another than one against six, or farther?",
        ),
        (
            lambda: two_against_five > 1.01 * sigma / np.sqrt(2),
            "how far is the mean of two from what the dive *deserves*? The five are not the truth, "
            "either: does that bring the two means nearer, or farther apart?",
        ),
        (
            lambda: np.isclose(two_against_five, measured(), rtol=0.01),
            "which variance has the mean of two marks, and which the mean of five?",
        ),
    ]


@exercise(
    "10.4",
    method="a: how an edge is found; b: the first table of ties, from left to right; c: count the "
    "values that a difference can take; d: who trains a leaf; e: the paragraph on the tolerance; "
    "f: the rows of the first table.",
    nearly="four are true. a and e are two of them; d is not.",
)
def exercise_10_4(true_statements):
    return [
        (lambda: letters(true_statements) <= set("abcdef"), "which of the letters a to f?"),
        *statements(
            true_statements,
            "acef",
            a="on a: an edge is a quantile of the training differences; how is that found in the "
            "sorted list (notebook 06)?",
            b="on b: what does a row of the first table of ties do from left to right?",
            c="on c: how many different values could a difference take then, more or fewer?",
            d="on d: which pairs belong to an interval from 2 to 2, and would teach its leaf?",
            e="on e: 20.5 and 20.499999999999996: on which side of an edge at 20.5 is each, with "
            "the tolerance?",
            f="on f: in the first table of ties, which rows have the lower numbers?",
        ),
    ]
