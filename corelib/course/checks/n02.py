"""The exercises of notebook 02."""

from __future__ import annotations

import numpy as np
import torch

from corelib.course.exercises import exercise


@exercise("2.1", method="TODO", nearly="TODO")
def exercise_2_1(resample_first, last_first, *, expected):
    return [
        (
            lambda: len(resample_first) == len(last_first) == 3,
            "three frame numbers for each choice.",
        ),
        (
            lambda: list(resample_first) == expected("resample"),
            "the 103 frames reach from frame 0 to frame 204: how long is each of the 102 steps?",
        ),
        (
            lambda: list(last_first) == expected("last"),
            "the last of the 103 frames is frame 204; count back. (The end b is exclusive.)",
        ),
    ]


@exercise("2.2", method="TODO", nearly="TODO")
def exercise_2_2(evenly, *, wanted, paper):
    return [
        (
            lambda: len(evenly(*wanted)) == 10 and evenly(*wanted)[0] == 0,
            "ten starts, the first of them 0.",
        ),
        (
            lambda: evenly(*wanted)[-1] + paper.snippet_length == paper.frames,
            "the last snippet shall take frames up to 102: at which frame does it begin?",
        ),
        (
            lambda: all(start == round(start) for start in evenly(*wanted)),
            "a frame number is a whole number.",
        ),
        (
            lambda: np.ptp(np.diff(evenly(*wanted))) <= 1,
            "no step may be longer than others by two frames.",
        ),
        (lambda: list(evenly(32, 16, 2)) == [0, 16], "two snippets of 16 in 32 frames: 0 and 16."),
    ]


@exercise("2.3", method="TODO", nearly="TODO")
def exercise_2_3(back_imagenet, *, normalised, clip):
    return [
        (lambda: back_imagenet(normalised).shape == clip.shape, "channels come last again."),
        (lambda: back_imagenet(normalised).dtype == torch.uint8, "round, then `.byte()`."),
        (
            lambda: torch.equal(back_imagenet(normalised), clip),
            "normalising divides by 255, subtracts mu, divides by sigma. Undo the last step first.",
        ),
    ]


@exercise("2.4", method="TODO", nearly="TODO")
def exercise_2_4(harmless):
    return [
        (
            lambda: {"a", "d", "e"} <= set(harmless),
            "one is missing: do judges mark the light, or on which side the board is?",
        ),
        (
            lambda: "b" not in harmless,
            "out of the water and onto the board: what would a judge see of the entry?",
        ),
        (lambda: "c" not in harmless, "judges want the body vertical at the entry."),
        (lambda: "f" not in harmless, "the entry comes last, and it is judged."),
    ]
