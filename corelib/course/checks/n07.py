"""The exercises of notebook 07."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise


@exercise("7.1", method="TODO", nearly="TODO")
def exercise_7_1(blind_loss, *, K):
    return [
        (lambda: np.isfinite(float(blind_loss)), "a single number is wanted."),
        (
            lambda: blind_loss > np.log(K) - 1e-6,
            "each leaf has the probability 1 / K: what is its negative natural logarithm?",
        ),
        (
            lambda: blind_loss < np.log(K) + 0.25,
            "too much: which logarithm is it? And a position is at most 0.5 away from the middle.",
        ),
        (
            lambda: abs(blind_loss - np.log(K) - 1 / 12) < 0.01,
            "the second part is the mean of (0.5 - position)**2 over 0 to 1, an integral.",
        ),
    ]


@exercise("7.2", method="TODO", nearly="TODO")
def exercise_7_2(optimizer, *, rate_of, net):
    return [
        (
            lambda: len(optimizer.param_groups) == 2 or len(rate_of) < len(list(net.parameters())),
            "AdamW takes a list of dictionaries, each with its 'params' and its 'lr'.",
        ),
        (
            lambda: all(id(p) in rate_of for p in net.parameters()),
            "some parameters are in no group: a rate that stands outside is only a default, "
            "and who is not listed never learns.",
        ),
        (
            lambda: all(np.isclose(rate_of[id(p)], 1e-4) for p in net.encoder.parameters()),
            "which part has learned before, and should move carefully?",
        ),
        (
            lambda: all(np.isclose(rate_of[id(p)], 1e-3) for p in net.tree.parameters()),
            "the tree is new and starts from random numbers.",
        ),
    ]


@exercise("7.3", method="TODO", nearly="TODO")
def exercise_7_3(choose_epoch, *, made_up, trained):
    return [
        (
            lambda: choose_epoch(made_up) in set(made_up["epoch"]),
            "the number in the column `epoch` is wanted, not the place in the frame.",
        ),
        (
            lambda: choose_epoch(made_up) != 7,
            "the lowest loss and the lowest R-l2 are in that epoch; what shall be highest?",
        ),
        (
            lambda: choose_epoch(made_up) == 6,
            "two epochs have the same rho: which is the better one?",
        ),
        (
            lambda: all(
                choose_epoch(run.history) == run.metrics[0]["epoch"] for run in trained.values()
            ),
            "on the runs above another epoch was kept; what of epochs that hold nan?",
        ),
    ]


@exercise("7.4", method="TODO", nearly="TODO")
def exercise_7_4(true_statements):
    return [
        (
            lambda: "a" not in true_statements,
            "how many tensors learned, free and frozen, in the cell about BatchNorm?",
        ),
        (
            lambda: "b" in true_statements,
            "how far apart were the features of two dives in other company?",
        ),
        (lambda: "c" not in true_statements, "look at the table of the planned epoch."),
        (lambda: "d" in true_statements, "if m against n is +3, what is n against m?"),
        (
            lambda: "e" not in true_statements,
            "the seed draws weights, batches, crops and exemplars; who wrote the split?",
        ),
        (
            lambda: "f" in true_statements,
            "what does last.pt hold, and what do batches and crops depend on?",
        ),
    ]
