"""The exercises of notebook 05."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise, letters, one_number, statements
from corelib.pairs import draw_exemplars, pair_differences


@exercise(
    "5.1",
    method="take each sample and all samples in front of it, keep those with the same label, and "
    "note the absolute difference of the two values.",
    nearly="`[abs(values[i] - values[j]) for i in range(len(values)) for j in range(i) if ...]`, "
    "with the condition on the labels in place of the dots.",
)
def exercise_5_1(in_group, *, score, train, difficulty):
    def told(values, labels):
        return sorted(in_group(np.array(values), np.array(labels)))

    if in_group(np.zeros(1), np.zeros(1)) is None:
        return [(lambda: False, "what does `in_group` give back? Does it end with `return`?")]
    few, three = told([5, 7, 10], [1, 1, 2]), told([5, 7, 9], [1, 1, 1])
    forty = score[train][:40], difficulty[train][:40]
    mine, right = told(*forty), pair_differences(*forty)
    return [
        (
            lambda: 0 not in few,
            "a difference of 0 between values that all differ: which two samples were compared?",
        ),
        (lambda: min(few, default=0) >= 0, "is the difference of 5 and 7 taken without its sign?"),
        (lambda: few != [2, 2], "5 with 7, and 7 with 5: is that one pair or two?"),
        (
            lambda: len(few) <= 1,
            "values 5, 7, 10 with labels 1, 1, 2: may 10 be compared with anybody?",
        ),
        (
            lambda: few == [2],
            "values 5, 7, 10 with labels 1, 1, 2: which pairs share a label, and how far are they "
            "apart?",
        ),
        (
            lambda: three == [2, 2, 4],
            "values 5, 7, 9 with labels 1, 1, 1: how many pairs do three samples make, and what "
            "are their differences?",
        ),
        (
            lambda: len(mine) == len(right) and np.allclose(mine, right),
            "the first forty training dives by difficulty: do you get as many pairs as "
            "`pair_differences`, and the same?",
        ),
    ]


@exercise(
    "5.2",
    method='"batch": count each group\'s ordered pairs, n (n - 1), and add them up; "two": half '
    "of the encodings are queries, the other half their exemplars, and both orders count.",
    nearly="`from_batch` is 5 x 4 + 3 x 2; `from_two` is two orders of each of four couples.",
)
def exercise_5_2(from_batch, from_two):
    from_batch, from_two = one_number(from_batch), one_number(from_two)
    return [
        (
            lambda: from_batch not in (56, 28),
            "`from_batch`: may a video of one group be the exemplar of a query of the other?",
        ),
        (
            lambda: from_batch not in (15, 30),
            "`from_batch`: are pairs made across the groups, or within them?",
        ),
        (lambda: from_batch != 34, "`from_batch`: is a video compared with itself?"),
        (lambda: from_batch != 13, "`from_batch`: are (e, q) and (q, e) the same ordered pair?"),
        (
            lambda: from_batch == 26,
            "`from_batch`: with how many others of its group can each of the five be compared, and "
            "each of the three?",
        ),
        (
            lambda: from_two != 16,
            "`from_two`: eight encodings are spent; does an exemplar need none?",
        ),
        (lambda: from_two != 4, "`from_two`: in how many orders is each couple used?"),
        (
            lambda: from_two == 8,
            "`from_two`: how many couples of query and exemplar do eight encodings make?",
        ),
    ]


@exercise(
    "5.3",
    method='call `draw_exemplars` as `draw` does, with `samples["group"]` as the `groups`, '
    "count=3 and seed=0.",
    nearly='`draw_exemplars(test, train, ids=samples["id"].to_numpy(), groups=..., '
    "difficulty=difficulty, count=3, seed=0)`, with the dive numbers in place of the dots.",
)
def exercise_5_3(strict, *, test, train, samples, difficulty):
    ids, number = samples["id"].to_numpy(), samples["group"].to_numpy()
    known = {"ids": ids, "groups": number, "difficulty": difficulty}
    right = draw_exemplars(test, train, **known, count=3, seed=0)
    query, exemplar = (getattr(strict, name, None) for name in ("query", "exemplar"))

    def differs(drawn, column):
        """By how much each query's exemplars differ from it, in order."""
        asked = np.repeat(test, 3)
        return np.sort(np.abs(column[drawn] - column[asked]).reshape(-1, 3))

    kind = np.unique(number, return_inverse=True)[1]
    return [
        (
            lambda: query is not None and exemplar is not None,
            "is `strict` all that `draw_exemplars` gives back?",
        ),
        (
            lambda: np.array_equal(query, right.query),
            "how many queries are there, and how many exemplars is each asked to have?",
        ),
        (
            lambda: np.isin(exemplar, train).all(),
            "of which dives may exemplars be taken, and as which argument are they given?",
        ),
        (
            lambda: np.array_equal(
                differs(exemplar, kind) == 0, differs(right.exemplar, kind) == 0
            ),
            "which `groups` did you give: what do a query and its exemplars now share?",
        ),
        (
            lambda: np.allclose(differs(exemplar, difficulty), differs(right.exemplar, difficulty)),
            "where a number is rare, how can it tell which dives have the nearest difficulty?",
        ),
        (
            lambda: np.array_equal(exemplar, right.exemplar),
            "by which seed are they drawn, and by which ids?",
        ),
    ]


@exercise(
    "5.4",
    method="take one statement at a time and look for the formula, the cell or the sentence above "
    "that decides it.",
    nearly="three of the five are true; neither the second nor the third is among them.",
)
def exercise_5_4(true_statements):
    chosen = letters(true_statements)
    return [
        *statements(
            chosen,
            "ade",
            a="what do you know about a dive of difficulty 4.1 and one of 1.6 beforehand?",
            b="an exemplar's score is an input. Whose scores may an evaluation use?",
            c="what is the network's input for (e, q), and what for (q, e)?",
            d="n encodings of one group give n (n - 1) pairs: how many each?",
            e="what would two people see who evaluate in different order?",
        ),
        (lambda: chosen <= set("abcde"), "which letters do the five statements have?"),
    ]
