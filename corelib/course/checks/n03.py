"""The exercises of notebook 03."""

from __future__ import annotations

import torch

from corelib.course.exercises import exercise, letters, one_number, statements


@exercise(
    "3.1",
    method="each of the three slices answers on its own frame with a third of what the 2-D kernel "
    "says of that frame; the three answers are added.",
    nearly="1/3 of `in_2d`, 2/3 and 3/3 of it, added up.",
)
def exercise_3_1(factor):
    given = one_number(factor)

    def is_not(value):
        return abs(given - value) > 1e-6

    return [
        (lambda: is_not(6), "by how much is each slice of the inflated kernel paler?"),
        (
            lambda: is_not(1),
            "on a still video it would be that: are the second and third frame the same as the "
            "first?",
        ),
        (lambda: is_not(3), "does the third frame alone count, or all three?"),
        (
            lambda: not is_not(2),
            "what does the slice t answer on the frame t, and what becomes of the three answers?",
        ),
    ]


@exercise(
    "3.2",
    method="divide the weights by L, put a new axis behind the channels, and repeat the kernel L "
    "times along it.",
    nearly="`(weights_2d / L).unsqueeze(...).repeat(1, 1, L, 1, 1)`: at which place?",
)
def exercise_3_2(inflate):
    kernels = torch.arange(1.0, 97).view(2, 3, 4, 4)  # [O, I, k, k]
    made = inflate(kernels.clone(), 5)
    return [
        (lambda: made is not None, "what does `inflate` give back? Does it end with `return`?"),
        (
            lambda: made.shape == (2, 3, 5, 4, 4),
            "print the shape of what you get for L = 4: at which place in `[O, I, L, k, k]` does "
            "time stand?",
        ),
        (
            lambda: torch.allclose(made.sum(dim=2), kernels),
            "what do the L slices add up to, and what should they, for the answer on a still video "
            "to stay as it was?",
        ),
        (
            lambda: torch.allclose(made, kernels[:, :, None].expand_as(made) / 5),
            "are all L slices the same, as in the figure?",
        ),
    ]


@exercise(
    "3.3",
    method="a convolution has outputs x inputs x kernel size weights, and a 3 x 3 x 3 kernel has "
    "27; the weights of two convolutions, one behind the other, are added.",
    nearly="`straight` is 192 * 128 * 27; `through` is 192 * 96 and 96 * 128 * 27, put together.",
)
def exercise_3_3(through, straight):
    through, straight = one_number(through), one_number(straight)
    return [
        (
            lambda: straight not in (192 * 128 * 9, 128 * 27),
            "`straight`: over how many channels does one kernel reach, and how many numbers are "
            "3 x 3 x 3?",
        ),
        (
            lambda: straight == 192 * 128 * 27,
            "`straight`: each of the 128 outputs has a kernel over all 192 channels; how many "
            "numbers does it have?",
        ),
        (
            lambda: through != 96 * 128 * 27,
            "`through`: how do 192 channels become 96, and does that cost weights?",
        ),
        (
            lambda: through == 192 * 96 + 96 * 128 * 27,
            "`through`: how many weights have the two convolutions, each for itself, and the two "
            "together?",
        ),
    ]


@exercise(
    "3.4",
    method="take one statement at a time and look for the cell, the figure or the formula above "
    "that decides it.",
    nearly="two of the five are true; one of them speaks of inflation.",
)
def exercise_3_4(true_statements):
    chosen = letters(true_statements)
    return [
        *statements(
            chosen,
            "de",
            a="in the figure of an untrained encoder's features, are all dots in one place?",
            b="two directions of how many? And what may training do with the others?",
            c="what do ReLU and the stored means of BatchNorm do when the input's zero moves?",
            d="which axes of the last map are left after the mean?",
            e="right after inflation, how do the slices of a kernel differ?",
        ),
        (lambda: chosen <= set("abcde"), "which letters do the five statements have?"),
    ]
