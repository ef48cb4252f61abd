"""The exercises of notebook 02."""

from __future__ import annotations

import numpy as np
import torch

from corelib.course.exercises import exercise, letters, statements
from corelib.data.clips import normalise


@exercise(
    "2.1",
    method="put a = 0, b = 205 and F = 103 into both formulas, then k = 0, 1 and 2.",
    nearly="resample goes in steps of (205 - 1 - 0) / (103 - 1) frames from frame 0; last begins "
    "at frame 205 - 103 and goes on frame by frame.",
)
def exercise_2_1(resample_first, last_first):
    spread, last = np.asarray(resample_first, float), np.asarray(last_first, float)
    return [
        (
            lambda: spread.shape == last.shape == (3,),
            "how many frame numbers are asked for, for each choice?",
        ),
        (
            lambda: spread[0] == 0,
            "`resample_first`: what does the formula give for k = 0, when a is 0?",
        ),
        (
            lambda: (spread == [0, 2, 4]).all(),
            "`resample_first`: from frame 0 to frame 204 in 103 frames, how many steps are that, "
            "and how long is each?",
        ),
        (
            lambda: last[0] < last[-1],
            "`last_first`: does a video run backwards? Which frame does k = 0 give?",
        ),
        (
            lambda: abs(last[0] - 102) > 1 or last[0] == 102,
            "`last_first`: the end b is exclusive. Is it 204 here, or 205?",
        ),
        (
            lambda: (last == [102, 103, 104]).all(),
            "`last_first`: the last of the 103 frames is frame 204; where does the first one lie?",
        ),
    ]


@exercise(
    "2.2",
    method="the starts lie evenly between 0 and the last possible start; `np.linspace` spreads "
    "them, and rounding makes frame numbers of them.",
    nearly="`np.linspace(0, ..., count).round().astype(int)`; the dots are the frame at which a "
    "snippet begins that ends with the clip.",
)
def exercise_2_2(evenly):
    told = evenly(103, 16, 10)
    starts = np.asarray([] if told is None else told, dtype=float)
    others = [(sizes, evenly(*sizes)) for sizes in ((32, 16, 2), (64, 16, 4), (40, 8, 5))]
    return [
        (lambda: told is not None, "what does `evenly` give back? Does it end with `return`?"),
        (lambda: len(starts) == 10, "how many starts are asked for, and how many come out?"),
        (lambda: starts[0] == 0, "with which frame does a clip begin, counted as Python does?"),
        (
            lambda: starts[-1] + 16 == 103,
            "the last snippet shall take the frames up to 102: at which frame does it begin?",
        ),
        (lambda: (starts == starts.round()).all(), "can a snippet begin between two frames?"),
        (
            lambda: np.ptp(np.diff(starts)) <= 1,
            "print `np.diff` of the starts: are the steps equally long, to a frame?",
        ),
        (
            lambda: all(
                len(found) == count
                and (found[0], found[-1]) == (0, frames - length)
                and np.ptp(np.diff(found)) <= 1
                for (frames, length, count), found in others
            ),
            "does it hold for other clips: two snippets of 16 in 32 frames, for example?",
        ),
    ]


@exercise(
    "2.3",
    method="normalising divides by 255, subtracts mu and divides by sigma; undo the last step "
    "first, then round, make bytes and put the channels last.",
    nearly="`((x * sigma + mu) * ...).round().byte().permute(...)`, with the permutation of "
    "`back_kinetics`.",
)
def exercise_2_3(back_imagenet):
    clip = torch.arange(2 * 3 * 4 * 5 * 3).remainder(256).byte().view(2, 3, 4, 5, 3)
    told = back_imagenet(normalise(clip, "imagenet"))
    back = None if told is None else torch.as_tensor(told)
    return [
        (lambda: back is not None, "what does it give back? Does it end with `return`?"),
        (
            lambda: back.shape == clip.shape,
            "in which order did the axes stand before, and where did the channels go?",
        ),
        (
            lambda: back.dtype == torch.uint8,
            "of which type were the frames when they came from the file?",
        ),
        (
            lambda: (back.int() - clip.int()).abs().max() != 1,
            "some values are one too small: what does `.byte()` make of 126.9999?",
        ),
        (
            lambda: torch.equal(back, clip),
            "what does normalising do, in which order, and which of its steps is to be undone "
            "first?",
        ),
    ]


@exercise(
    "2.4",
    method="for each letter, imagine a judge who sees the changed video instead: would the marks "
    "be the same?",
    nearly="three of the six leave the score as it is; none of them hides or turns anything that "
    "judges mark.",
)
def exercise_2_4(harmless):
    chosen = letters(harmless)
    return [
        *statements(
            chosen,
            "ade",
            a="do judges mark how bright the light is?",
            b="out of the water and onto the board: what would a judge see of the entry?",
            c="how do judges want the body to stand at the entry?",
            d="a diver who is whole in the picture, but not in its middle: would a judge mind?",
            e="do judges mark on which side the board is?",
            f="what comes last in a dive, and is it judged?",
        ),
        (lambda: chosen <= set("abcdef"), "which letters do the six changes have?"),
    ]
