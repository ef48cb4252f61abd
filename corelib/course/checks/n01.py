"""The exercises of notebook 01."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "1.1",
    method="subtract `by_rule` from the score of each row of `tampered`, take the absolute value, "
    "and keep the ids of the rows where it is more than rounding can explain.",
    nearly='`tampered["id"][...]`, with the condition of the cell above, `broken`, of the new '
    "table in place of the dots.",
)
def exercise_1_1(suspects, *, tampered, victims):
    found = set(suspects)
    return [
        (
            lambda: found <= set(tampered["id"]),
            "what stands in `suspects`: are these entries of the column `id`?",
        ),
        (lambda: len(found) > 0, "none at all: in which table were the scores changed?"),
        (
            lambda: len(found) <= 3,
            "rows that follow the rule are among them: how far apart may a score and `by_rule` "
            "lie when nobody changed anything?",
        ),
        (
            lambda: len(found) == 3,
            "some are missing: can a typing error make a score higher and lower, by much and by "
            "little?",
        ),
        (
            lambda: found == set(tampered["id"][victims]),
            "what do these scores differ from: from what the marks and the difficulty give?",
        ),
    ]


@exercise(
    "1.2",
    method="take the mean of the training dives' execution scores for each number, look up every "
    "test dive's number in them, fill what is missing with the mean of all training dives, and "
    "multiply by the difficulty.",
    nearly="`means = pd.Series(execution[train]).groupby(number[train]).mean()`, then "
    "`difficulty[test] * pd.Series(number[test]).map(means)...`: fill the gaps.",
)
def exercise_1_2(by_number, *, test, number, difficulty, execution, train):
    given = np.asarray(by_number, dtype=float)
    known = np.isin(number[test], number[train])
    of_all = execution[train].mean()
    right, leaked = (
        difficulty[test]
        * [
            execution[rows][same].mean() if any(same) else of_all
            for same in (number[rows] == n for n in number[test])
        ]
        for rows in (train, np.arange(len(number)))
    )
    return [
        (
            lambda: given.shape == test.shape,
            "for which dives is a prediction asked for, and how many are they?",
        ),
        (
            lambda: np.isfinite(given).all(),
            "what does a test dive get whose number no training dive has?",
        ),
        (
            lambda: not np.allclose(given[known] * difficulty[test][known], right[known]),
            "is that a score or an execution score? What turns one into the other?",
        ),
        (
            lambda: np.allclose(given, right) or not np.allclose(given[known], leaked[known]),
            "whose execution scores may enter the means? Which are to be predicted?",
        ),
        (
            lambda: np.allclose(given[known], right[known]),
            "for one test dive, by hand: which training dives have its number, what is the mean of "
            "their execution scores, and what does its difficulty make of it?",
        ),
        (
            lambda: np.allclose(given, right),
            "a number that does not occur in training: which mean is left for it?",
        ),
    ]


@exercise(
    "1.3",
    method="take one statement at a time and look for the sentence, number or figure above that "
    "decides it.",
    nearly="two of the five are true; one of them speaks of dives that share a difficulty.",
)
def exercise_1_3(true_statements):
    chosen = letters(true_statements)
    return [
        *statements(
            chosen,
            "bd",
            a="what does MTL-AQA's difficulty alone reach, without any video?",
            b="look at one of the horizontal rows in the figure above: do its predictions differ?",
            c="when is the difficulty announced, before or after the judges have seen the dive?",
            d="among many epochs one is lucky on just these dives: would it be so on others?",
            e="would a reader of your results want to know which rows are gone?",
        ),
        (lambda: chosen <= set("abcde"), "which letters do the five statements have?"),
    ]
