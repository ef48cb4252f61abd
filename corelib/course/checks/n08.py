"""The exercises of notebook 08."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise


@exercise("8.1", method="TODO", nearly="TODO")
def exercise_8_1(expected, *, alone):
    return [
        (
            lambda: np.isscalar(float(expected)) and expected < alone,
            "independent errors partly cancel in a mean, so it errs less than one verdict.",
        ),
        (
            lambda: np.isclose(expected * np.sqrt(10), alone),
            "the variance of a mean of ten independent errors is a tenth. "
            "Variance, not the root of it.",
        ),
    ]


@exercise("8.2", method="TODO", nearly="TODO")
def exercise_8_2(*, gains_rl2, picks, whole, both):
    return [
        (lambda: len(gains_rl2) == len(picks), "one difference for each of the thousand picks."),
        (
            lambda: np.allclose(
                np.array(gains_rl2) * np.ptp(whole) ** 2 / 100,
                both.eval("(predicted_core - true_core) ** 2 - (predicted_mlp - true_mlp) ** 2")
                .to_numpy()[picks]
                .mean(axis=1),
            ),
            "which range does relative_l2 take when you do not tell it (score_range)? And is it CoRe "
            "minus I3D+MLP, not the other way round?",
        ),
    ]


@exercise("8.3", method="TODO", nearly="TODO")
def exercise_8_3(hits_of_others, *, three):
    return [
        (
            lambda: np.size(hits_of_others(np.array([0, 1, 2]), three)) == 1,
            "one number, from 0 to 1.",
        ),
        (
            lambda: np.isclose(hits_of_others(np.array([0, 0]), three[:2]), 0.5),
            "two dives with the peak at frame 0: does one of them come in twice, with its own span?",
        ),
        (
            lambda: np.isclose(hits_of_others(np.array([0, 1, 2]), three), 2 / 6),
            "spans[i, peaks[j]] says whether dive j's peak lies in dive i's span; "
            "six pairs count here.",
        ),
    ]


@exercise("8.4", method="TODO", nearly="TODO")
def exercise_8_4(true_statements):
    return [
        (
            lambda: "a" not in true_statements,
            "what stands on the right of the completeness equation?",
        ),
        (lambda: "b" in true_statements, "instead of what? The reference is half of the question."),
        (
            lambda: "c" not in true_statements,
            "can a map that is hottest at the same frame of every dive be far above the share of time?",
        ),
        (
            lambda: "d" not in true_statements,
            "whose reasons does it show, the judges' or the model's?",
        ),
        (lambda: "e" in true_statements, "which of the two sections above changed the dive?"),
        (
            lambda: "f" in true_statements,
            "compare the metrics with the figure of faults taken away.",
        ),
    ]
