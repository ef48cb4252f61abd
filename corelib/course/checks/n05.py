"""The exercises of notebook 05."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise
from corelib.pairs import pair_differences


@exercise("5.1", method="TODO", nearly="TODO")
def exercise_5_1(in_group, *, score, train, difficulty):
    return [
        (lambda: len(in_group([5, 7, 9], [1, 1, 2])) > 0, "the first two share a label: one pair."),
        (
            lambda: sorted(in_group([5, 7, 9], [1, 1, 2])) == [2],
            "5 and 7 are one pair, counted once; a sample is no pair with itself; 9 has no partner.",
        ),
        (
            lambda: sorted(in_group([5, 7, 9], [1, 1, 1])) == [2, 2, 4],
            "three samples of one group make three pairs.",
        ),
        (
            lambda: np.allclose(
                np.sort(in_group(score[train][:40], difficulty[train][:40])),
                pair_differences(score[train][:40], difficulty[train][:40]),
            ),
            "compare with pair_differences of the first forty training dives.",
        ),
    ]


@exercise("5.2", method="TODO", nearly="TODO")
def exercise_5_2(from_batch, from_two):
    return [
        (lambda: from_batch != 56, "a video of one group is no exemplar for a query of the other."),
        (
            lambda: from_batch == 26,
            "five videos: each of them is compared with the four others. And the three?",
        ),
        (
            lambda: from_two == 8,
            "eight encodings are four queries with one exemplar each; both orders count.",
        ),
    ]


@exercise("5.3", method="TODO", nearly="TODO")
def exercise_5_3(strict, *, test, train, samples):
    return [
        (lambda: len(strict.query) == 3 * len(test), "three a query: count=3."),
        (
            lambda: np.isin(strict.exemplar, train).all(),
            "exemplars come from the training dives, the second argument.",
        ),
        (
            lambda: all(
                (samples["group"][own] == samples["group"][test[place]]).sum()
                == min(3, (samples["group"][train] == samples["group"][test[place]]).sum())
                for place in range(len(test))
                for own in [strict.exemplar[strict.query == place]]
            ),
            "each query's exemplars must have its dive number, as far as there are any: "
            "which `groups` did you give?",
        ),
    ]


@exercise("5.4", method="TODO", nearly="TODO")
def exercise_5_4(true_statements):
    return [
        (
            lambda: "a" in true_statements,
            "what do you know about a dive of 4.1 and one of 1.6 beforehand?",
        ),
        (
            lambda: "b" not in true_statements,
            "an exemplar's score is an input. Whose scores may an evaluation use?",
        ),
        (
            lambda: "c" not in true_statements,
            "write down the network's input for (e, q) and for (q, e).",
        ),
        (lambda: "d" in true_statements, "n (n - 1) pairs from n encodings."),
        (
            lambda: "e" in true_statements,
            "what would two people see who evaluate in different order?",
        ),
    ]
