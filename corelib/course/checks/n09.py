"""The exercises of notebook 09."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "9.1",
    method="the difference of the means, divided by the root of the sum of both variances, each "
    "divided by its own number of seeds; `np.var(x, ddof=1)` is a sample variance.",
    nearly="`(np.mean(a) - np.mean(b)) / np.sqrt(np.var(a, ddof=1) / len(a) + ...)`, where the "
    "dots are the same of `b`.",
)
def exercise_9_1(standard_errors_apart):
    def apart():
        return standard_errors_apart(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]))

    return [
        (lambda: apart() is not None, "what is given back? Does the function end with `return`?"),
        (
            lambda: np.size(apart()) == 1 and apart() > 0,
            "3 4 5 lies above 1 2 3: which sign has the answer, and is it one number?",
        ),
        (
            lambda: not np.isclose(apart(), 2),
            "that is how far the means are apart. How far might they be by chance?",
        ),
        (
            lambda: not np.isclose(apart(), 3),
            "by what does `np.var` divide when it is not told otherwise, and by what does a sample "
            "variance?",
        ),
        (
            lambda: not np.isclose(apart(), np.sqrt(2)),
            "does a mean of three seeds scatter as much as one seed?",
        ),
        (
            lambda: np.isclose(apart(), 2 / np.sqrt(2 / 3)),
            "for 3 4 5 and 1 2 3 the means differ by 2, and both sample variances are 1: what is "
            "the standard error, and is it multiplied or divided by?",
        ),
        (
            lambda: np.isclose(
                standard_errors_apart(np.array([1.0, 2.0]), np.array([1.0, 4.0, 4.0])),
                -1.5 / np.sqrt(0.5 / 2 + 3 / 3),
            ),
            "and for 1 2 against 1 4 4? There are two and three seeds, and variances differ from "
            "standard deviations.",
        ),
    ]


@exercise(
    "9.2",
    method="solve for the two parts: `shared` is what is left when very many vote, `own` is what "
    "`r1` has beyond it; put both into the formula.",
    nearly="shared = r_all, own = r1 - r_all; the answer is shared + own / ...",
)
def exercise_9_2(foretold):
    return [
        (
            lambda: foretold(0.8, 0.5, 1) is not None,
            "what is given back? Does the function end with `return`?",
        ),
        (
            lambda: np.isclose(foretold(0.8, 0.5, 1), 0.8),
            "with M = 1, does it give back what was measured for one exemplar?",
        ),
        (
            lambda: abs(foretold(0.8, 0.5, 10**9) - 0.5) < 1e-3,
            "which part is left when very many vote, and does yours come to it?",
        ),
        (
            lambda: not np.isclose(foretold(0.8, 0.5, 4), 0.65),
            "is R-l2 an error, or the square of one? What does the mean of M do to a variance?",
        ),
        (
            lambda: np.isclose(foretold(0.8, 0.5, 4), 0.575),
            "r1 = .8 and r_all = .5: how large is `own`, and a quarter of it?",
        ),
    ]


@exercise(
    "9.3",
    method="draw many rows of 12 normal numbers with standard deviation .01, take the largest of "
    "each row, and average those.",
    nearly="with `draws = np.random.default_rng(0).normal(0, 0.01, size=(20_000, 12))`, "
    "`draws.max(axis=1)` holds the best of each twelve.",
)
def exercise_9_3(flattery):
    return [
        (
            lambda: np.isfinite(float(flattery)) and flattery > 0.001,
            "the largest of twelve numbers around 0: on which side does it tend to lie?",
        ),
        (lambda: abs(flattery - 1.63) > 0.2, "by how much does each rho scatter: by 1, or by .01?"),
        (
            lambda: flattery < 0.025,
            "that is a stroke of luck among very many draws. What is the *average* of the largest "
            "of twelve?",
        ),
        (
            lambda: abs(flattery - 0.0163) < 0.001,
            "how often did you draw twelve, and did you average the largest of each twelve?",
        ),
    ]


@exercise(
    "9.4",
    method="a: what a model does with a pair; b: count what is equally likely; c: exercise 9.1; d: "
    "look on which dives the figure's numbers were measured; e: what the bench cannot say.",
    nearly="two are true. b is one of them; a and e are not.",
)
def exercise_9_4(true_statements):
    return [
        (lambda: letters(true_statements) <= set("abcde"), "which of the letters a to e?"),
        *statements(
            true_statements,
            "bd",
            a="on a: who looks at the difference? The program knows ids, and the model gives its "
            "verdict on the copy as on any other exemplar.",
            b="on b: ten of forty are drawn, all equally likely. How often is a certain one among "
            "them?",
            c="on c: with five seeds a side, how many standard errors of exercise 9.1 is that?",
            d="on d: on which dives were the curves of that figure measured?",
            e="on e: which part stands still on the bench, and what had it been trained for?",
        ),
    ]


@exercise(
    "9.5",
    method="clips: epochs, passes, dives and snippets, multiplied; I3D+MLP has half of the passes; "
    "ahead: the groups carry CoRe on these dives, and what makes them?",
    nearly="27,000 clips; twice the epochs; and without difficulty there are no groups to share.",
)
def exercise_9_5(clips, fair_epochs, ahead):
    return [
        (
            lambda: clips not in (13500, 6750),
            "an epoch of CoRe encodes a dive twice, and each time both of its snippets: how many?",
        ),
        (lambda: clips == 27000, "multiply: how many epochs, passes, dives, snippets?"),
        (
            lambda: fair_epochs == 30,
            "I3D+MLP encodes a dive once an epoch: how many epochs make as many clips?",
        ),
        (lambda: str(ahead) in ("unknown", "known", "both", "neither"), "which of the four words?"),
        (
            lambda: ahead == "known",
            "the table of parts: without groups, was CoRe better than I3D+MLP? And when do the "
            "exemplars share the query's difficulty?",
        ),
    ]
