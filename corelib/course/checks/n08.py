"""The exercises of notebook 08."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "8.1",
    method="the variance of a mean of ten independent errors is a tenth of one error's; `alone` is "
    "the root of such a mean square, so take the root of a tenth.",
    nearly="the mean of the ten has the mean square error `alone**2 / 10`.",
)
def exercise_8_1(expected, *, alone):
    return [
        (lambda: np.isfinite(float(expected)), "the mean errs by one number of points: which?"),
        (
            lambda: expected < alone,
            "some of ten independent errors are too high and some too low: does their mean err "
            "more than one of them, as much, or less?",
        ),
        (
            lambda: not np.isclose(expected * 10, alone),
            "what is a tenth of one verdict's for the mean of ten: the error, or its square?",
        ),
        (
            lambda: np.isclose(expected * np.sqrt(10), alone),
            "which variance has a mean of ten independent errors, and `alone` is the root of what?",
        ),
    ]


@exercise(
    "8.2",
    method="the loop above with `metrics.relative_l2` in place of `metrics.spearman`, and "
    "`score_range=whole` among its arguments.",
    nearly='for each pick, with `drawn = both.iloc[pick]`: `metrics.relative_l2(drawn["predicted_'
    'core"], drawn["true_core"], score_range=whole)` minus the same of mlp.',
)
def exercise_8_2(gains_rl2, *, picks, whole, both):
    def gains(own_range=False):
        square = both.eval("(predicted_core - true_core) ** 2 - (predicted_mlp - true_mlp) ** 2")
        true = both["true_core"].to_numpy()[picks]
        span = np.ptp(true, axis=1) if own_range else np.ptp(whole)
        return 100 * square.to_numpy()[picks].mean(axis=1) / span**2

    return [
        (
            lambda: np.shape(gains_rl2) == (len(picks),),
            "`picks` holds a thousand drawings: how many differences are there?",
        ),
        (
            lambda: not np.allclose(gains_rl2, -gains()),
            "which of the two is subtracted from which?",
        ),
        (
            lambda: not np.allclose(gains_rl2, 100 * gains()),
            "what does `relative_l2` return: R-l2, or a hundred times that already?",
        ),
        (
            lambda: np.allclose(gains_rl2, gains()) or not np.allclose(gains_rl2, gains(True)),
            "which range does `relative_l2` divide by when it is not told `score_range`?",
        ),
        (
            lambda: np.allclose(gains_rl2, gains()),
            "is each difference one of `relative_l2`, of the dives that `pick` draws, with the "
            "range `whole`?",
        ),
    ]


@exercise(
    "8.3",
    method="the new dive is a tenth one: take the ceil(10 * 0.8)-th smallest of the nine errors. A "
    "promise of 95 % needs a n for which the ceil((n + 1) * 0.95)-th of n errors exists.",
    nearly="sorted, the eighth of the nine errors is asked for; and 20 * 0.95 is 19.",
)
def exercise_8_3(half_80, fewest_95):
    return [
        (
            lambda: half_80 in (0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 7),
            "no interpolation: which one of the nine errors is it?",
        ),
        (
            lambda: half_80 != 4,
            "80 % of nine are seven and a bit; but the new dive counts too: of how many?",
        ),
        (
            lambda: np.isclose(half_80, 6),
            "sort the nine errors: they leave ten gaps for a tenth. Below which are eight of them?",
        ),
        (
            lambda: fewest_95 not in (20, 95, 100),
            "if n errors leave n + 1 gaps, how many errors are needed for 20 gaps?",
        ),
        (
            lambda: fewest_95 == 19,
            "the largest of n errors is the n-th: what is the largest share of n + 1 gaps that it "
            "can promise?",
        ),
    ]


@exercise(
    "8.4",
    method="`spans[:, peaks]` is `[N, N]`: whether the peak of dive j (column) lies in the span of "
    "dive i (row). Take the mean of all but its diagonal, where a dive meets itself.",
    nearly="`spans[:, peaks]` and `~np.eye(len(peaks), dtype=bool)` have one shape, and the second "
    "chooses in the first what is to be averaged.",
)
def exercise_8_4(hits_of_others, *, three):
    def share():
        return hits_of_others(np.array([1, 0, 1]), three.copy())

    return [
        (lambda: share() is not None, "what is given back? Does the function end with `return`?"),
        (
            lambda: np.size(share()) == 1 and 0 <= share() <= 1,
            "'how often' is a share: which one number from 0 to 1 is it for the six pairs of three "
            "dives?",
        ),
        (
            lambda: not np.isclose(share(), 1 / 3),
            "that is how often a peak lies in its own dive's span. Whose peaks are to be taken?",
        ),
        (
            lambda: not np.isclose(share(), 5 / 9),
            "nine pairs of `peaks` and `spans`: in which of them does a dive meet itself?",
        ),
        (
            lambda: np.isclose(share(), 4 / 6),
            "with the peaks 1, 0, 1 and the spans `three`, write down the six pairs of two "
            "different dives: in how many does the peak of the one lie in the span of the other?",
        ),
        (
            lambda: np.isclose(hits_of_others(np.array([0, 0]), three[:2].copy()), 0.5),
            "and with two dives, `three[:2]` and the peaks 0, 0: how many pairs are there?",
        ),
    ]


@exercise(
    "8.5",
    method="a, b: the equation of completeness; c: the two chance levels, and exercise 8.4; d, e: "
    "'Take the fault away'; f: the metrics at the top beside the figure of faults taken away.",
    nearly="three are true. b is one of them; a and d are not.",
)
def exercise_8_5(true_statements):
    return [
        (lambda: letters(true_statements) <= set("abcdef"), "which of the letters a to f?"),
        *statements(
            true_statements,
            "bef",
            a="on a: what stands on the right of the completeness equation?",
            b="on b: 'why this score?' has no answer before one says: instead of what?",
            c="on c: can a map that is hottest at the same moment of every dive be far above the "
            "share of time?",
            d="on d: whose reasons does the map show, the judges' or the model's?",
            e="on e: which of the two, the map or the second film, changed the dive?",
            f="on f: the model of the laptop recipe looks at the splash. How high is its rho, and "
            "which faults does it overlook?",
        ),
    ]
