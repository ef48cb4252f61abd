"""The exercises of notebook 01."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise


@exercise("1.1", method="TODO", nearly="TODO")
def exercise_1_1(suspects, *, tampered, victims):
    return [
        (
            lambda: set(suspects) <= set(tampered["id"]),
            "`suspects` shall hold ids, such as those in `tampered['id']`.",
        ),
        (
            lambda: len(set(suspects)) <= 3,
            "rows that follow the rule are among them: two decimal fractions that ought "
            "to be equal seldom are, in a computer. How far apart may they lie?",
        ),
        (
            lambda: len(set(suspects)) == 3,
            "some are missing: a score can be wrong in both directions.",
        ),
        (
            lambda: set(suspects) == set(tampered["id"][victims]),
            "compare `tampered` with `by_rule`, row by row.",
        ),
    ]


@exercise("1.2", method="TODO", nearly="TODO")
def exercise_1_2(by_number, *, test, number, difficulty, execution, train):
    return [
        (
            lambda: np.shape(by_number) == np.shape(test),
            "one prediction for each test dive, and no others.",
        ),
        (lambda: np.isfinite(by_number).all(), "what of a number that no training dive has?"),
        (
            lambda: all(
                np.allclose(
                    by_number[number[test] == n] / difficulty[test][number[test] == n],
                    execution[train][number[train] == n].mean(),
                )
                for n in set(number[train])
            ),
            "whose execution scores may enter the means? Test scores are what is to be predicted.",
        ),
    ]


@exercise("1.3", method="TODO", nearly="TODO")
def exercise_1_3(true_statements):
    return [
        (
            lambda: "a" not in true_statements,
            "what does MTL-AQA's difficulty alone reach, without any video?",
        ),
        (lambda: "b" in true_statements, "look at one of the horizontal rows in the figure above."),
        (lambda: "c" not in true_statements, "when is the difficulty announced?"),
        (lambda: "d" in true_statements, "among many epochs, one is lucky on these very dives."),
        (lambda: "e" not in true_statements, "would a reader of your results want to know of it?"),
    ]
