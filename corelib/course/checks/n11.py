"""The exercises of notebook 11."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise
from corelib.data.samples import SampleTable


@exercise("11.1", method="TODO", nearly="TODO")
def exercise_11_1(other_options, *, prepare, folder, mine, other):
    return [
        (
            lambda: prepare(folder / "other.csv", f"{mine}-other", *other_options, "--overwrite"),
            "the command's own message above says what it could not find; "
            "options come in pairs, name and value.",
        ),
        (
            lambda: np.allclose(SampleTable.load(f"{mine}-other").samples["score"], other["final"]),
            "which column holds what the judges gave?",
        ),
        (
            lambda: np.allclose(
                SampleTable.load(f"{mine}-other").samples["difficulty"], other["half"]
            ),
            "the difficulty has an option of its own.",
        ),
    ]


@exercise("11.2", method="TODO", nearly="TODO")
def exercise_11_2(ceiling):
    return [
        (
            lambda: ceiling != 66 and ceiling != 60,
            "one exemplar is not the vote, and the difference is one of execution scores.",
        ),
        (
            lambda: not np.isclose(ceiling, 60 + 18),
            "that is the highest single verdict. Three of them vote.",
        ),
        (
            lambda: np.isclose(ceiling, 72),
            "execution scores 16, 18, 20, each at most 6 more; their mean, times the difficulty.",
        ),
    ]


@exercise("11.3", method="TODO", nearly="TODO")
def exercise_11_3(split_by_person, *, persons, held_out):
    return [
        (lambda: len(split_by_person(persons, held_out)) == len(persons), "one word a video."),
        (
            lambda: set(persons[split_by_person(persons, held_out) == "test"]) == held_out,
            "who is tested? It must be those divers and nobody else.",
        ),
        (
            lambda: not set(persons[split_by_person(persons, held_out) == "train"]) & held_out,
            "a tested diver still has videos in the training split.",
        ),
    ]
