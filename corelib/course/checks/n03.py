"""The exercises of notebook 03."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from corelib.course.exercises import exercise


@exercise("3.1", method="TODO", nearly="TODO")
def exercise_3_1(factor, *, brighter, inflated, in_2d):
    return [
        (lambda: factor != 6, "each slice is the kernel divided by 3."),
        (
            lambda: torch.allclose(
                F.conv3d(brighter[None, None], inflated[None, None])[:, :, 0],
                factor * in_2d,
                atol=0.1,
            ),
            "slice t answers on frame t with one third of what the 2-D kernel says; add the three up.",
        ),
    ]


@exercise("3.2", method="TODO", nearly="TODO")
def exercise_3_2(inflate, *, weights_2d, picture):
    return [
        (lambda: inflate(weights_2d, 4).shape == (8, 3, 4, 5, 5), "time comes after the channels."),
        (
            lambda: torch.allclose(inflate(weights_2d, 4).sum(dim=2), weights_2d, atol=1e-5),
            "the slices shall add up to the kernel they came from.",
        ),
        (
            lambda: torch.allclose(
                F.conv3d(picture[:, :, None].expand(-1, -1, 4, -1, -1), inflate(weights_2d, 4))[
                    :, :, 0
                ],
                F.conv2d(picture, weights_2d),
                atol=1e-4,
            ),
            "on a video that stands still the answer must be that of the 2-D layer.",
        ),
    ]


@exercise("3.3", method="TODO", nearly="TODO")
def exercise_3_3(through, straight, *, weights_of):
    return [
        (
            lambda: straight == weights_of(192, 128, 3),
            "each of the 128 outputs has a kernel over all 192 channels. "
            "How many numbers is 3 x 3 x 3?",
        ),
        (
            lambda: through == weights_of(192, 96, 1) + weights_of(96, 128, 3),
            "two convolutions, one behind the other: add up the weights of both.",
        ),
    ]


@exercise("3.4", method="TODO", nearly="TODO")
def exercise_3_4(true_statements):
    return [
        (lambda: "a" not in true_statements, "are all dots of the figure in one place?"),
        (
            lambda: "b" not in true_statements,
            "two directions of how many? And what does training do with the others?",
        ),
        (
            lambda: "c" not in true_statements,
            "ReLU and the stored means of BatchNorm do not move with the input's zero.",
        ),
        (lambda: "d" in true_statements, "which axes of the last map are left after the mean?"),
        (lambda: "e" in true_statements, "how do the slices of an inflated kernel differ?"),
    ]
