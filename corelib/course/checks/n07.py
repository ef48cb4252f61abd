"""The exercises of notebook 07."""

from __future__ import annotations

import numpy as np
import torch

from corelib.course.exercises import exercise, letters, statements


@exercise(
    "7.1",
    method="add the two parts: the negative natural logarithm of 1 / K, and the mean of "
    "(0.5 - position)**2 over all positions from 0 to 1, an integral.",
    nearly="`np.log(K)` plus the integral of (0.5 - x)**2 from 0 to 1, which is the variance of an "
    "even spread over a stretch of length 1.",
)
def exercise_7_1(blind_loss, *, K):
    rest = float(np.log(K))
    return [
        (lambda: np.isfinite(float(blind_loss)), "the loss is one number: which?"),
        (
            lambda: blind_loss > rest - 1e-6,
            "how surprised is a tree by a leaf to which it gave the probability 1 / K? The "
            "surprise is a negative logarithm.",
        ),
        (
            lambda: not any(abs(blind_loss - np.log2(K) - part) < 0.01 for part in (0, 1 / 12)),
            "which logarithm is it, that of base 2 or the natural one?",
        ),
        (
            lambda: blind_loss > rest + 0.01,
            "that is the first part. How wrong is a position of 0.5, squared and on average?",
        ),
        (
            lambda: abs(blind_loss - rest - 1 / 12) < 0.01,
            "the first part is log K; and the second? A position of 0.5 is exactly right in the "
            "middle, and off by 0.5 only at the ends: what is its *square* on average?",
        ),
    ]


@exercise(
    "7.2",
    method="give AdamW a list of two dictionaries, each with the 'params' of one part of the model "
    "and their 'lr'.",
    nearly='`[{"params": fresh.encoder.parameters(), "lr": 1e-4}, ...]`, and the same of '
    "`fresh.tree`, at ten times the rate.",
)
def exercise_7_2(optimizer, *, fresh):
    def rates(part):
        known = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        return [known.get(id(p), np.nan) for p in part.parameters()]

    return [
        (lambda: isinstance(optimizer, torch.optim.AdamW), "is `optimizer` an AdamW?"),
        (
            lambda: len(optimizer.param_groups) > 1 or not np.all(np.isfinite(rates(fresh))),
            "these are one group with one rate: how is AdamW told of two?",
        ),
        (
            lambda: np.all(np.isfinite(rates(fresh))),
            "are all parameters of `fresh`, the encoder's and the tree's, in a group? Who is in "
            "none never learns: an `lr` beside the list is only a default.",
        ),
        (
            lambda: np.allclose(rates(fresh.encoder), 1e-4, atol=0),
            "which part has learned before, and should move carefully? At which rate, in numbers?",
        ),
        (
            lambda: np.allclose(rates(fresh.tree), 1e-3, atol=0),
            "the tree starts from random numbers: at which rate does the paper let it learn?",
        ),
    ]


@exercise(
    "7.3",
    method="leave out the rows whose `val_spearman` is nan, sort the others by two columns, the "
    "first falling and the second rising, and take `epoch` of the first row.",
    nearly='`history.dropna(subset="val_spearman").sort_values(["val_spearman", "val_rl2_x100"], '
    "ascending=[False, True])`; its first row's `epoch` is the answer.",
)
def exercise_7_3(choose_epoch, *, made_up, trained):
    def chosen():
        return choose_epoch(made_up.copy())

    return [
        (lambda: chosen() is not None, "what is given back? Does the function end with `return`?"),
        (
            lambda: chosen() in set(made_up["epoch"]),
            "is that a number of the column `epoch`, or a place in the frame?",
        ),
        (
            lambda: chosen() != 4,
            "epoch 4 was not validated: where do nan come when they are sorted or compared?",
        ),
        (
            lambda: chosen() in (5, 6),
            "on `made_up`, which column is to be highest, and is it highest there?",
        ),
        (
            lambda: chosen() == 6,
            "on `made_up` two epochs have the same rho: which has the lower R-l2?",
        ),
        (
            lambda: choose_epoch(made_up[::-1].reset_index(drop=True)) == 6,
            "`made_up` with its rows in the other order gives another epoch: what decides between "
            "equals?",
        ),
        (
            lambda: all(
                choose_epoch(run.history.copy()) == run.metrics[0]["epoch"]
                for run in trained.values()
            ),
            "on the runs in `trained` another epoch was kept: what does your rule do with other "
            "histories than `made_up`?",
        ),
    ]


@exercise(
    "7.4",
    method="a, b: what the cell about BatchNorm prints; c: the table of a planned epoch; d: write "
    "a pair in both orders; e: who wrote the column `split`, and when; f: the section 'Resume'.",
    nearly="three are true. f is one of them; a and e are not.",
)
def exercise_7_4(true_statements):
    return [
        (lambda: letters(true_statements) <= set("abcdef"), "which of the letters a to f?"),
        *statements(
            true_statements,
            "bdf",
            a="on a: in the cell about BatchNorm, how many tensors learn when it is free, and how "
            "many when it is frozen?",
            b="on b: with free statistics, how far apart were the features of two dives in other "
            "company?",
            c="on c: what does the table of a planned epoch say under 'videos encoded'?",
            d="on d: if m is better than n by 3, what is n beside m, and is the other order in the "
            "batch as well?",
            e="on e: the seed draws weights, batches, crops and exemplars. Where is it written "
            "which dives are tested?",
            f="on f: what does `last.pt` hold, and on what do a step's batch and crops depend?",
        ),
    ]
