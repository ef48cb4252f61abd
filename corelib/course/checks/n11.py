"""The exercises of notebook 11."""

from __future__ import annotations

import numpy as np

from corelib.course.exercises import exercise
from corelib.data.samples import SampleTable


@exercise(
    "11.1",
    method="as in `columns` above: the options have the same names, each followed by the name that "
    "its column has in *this* table.",
    nearly='`["--video-column", "file", "--score-column", ..., "--difficulty-column", ...]`.',
)
def exercise_11_1(other_options, *, prepare, folder, mine, other):
    def prepared(column):
        return SampleTable.load(f"{mine}-other").samples[column]

    return [
        (
            lambda: not isinstance(other_options, str),
            "that is one text: what does `split()` make of the options in `columns`?",
        ),
        (
            lambda: prepare(folder / "other.csv", f"{mine}-other", *other_options, "--overwrite"),
            "what does the command's own message above say that it cannot find? Which option names "
            "that column?",
        ),
        (
            lambda: np.allclose(prepared("score"), other["final"]),
            "which column holds the points, and which one did the command take for them?",
        ),
        (
            lambda: np.allclose(prepared("difficulty"), other["half"]),
            "which option told the command of the difficulty of the first table?",
        ),
    ]


@exercise(
    "11.2",
    method="turn the exemplars' scores into execution scores, add the outermost difference to "
    "each, average the three verdicts, and multiply by the difficulty.",
    nearly="execution scores 16, 18, 20, each at most 6 more; 3.0 times the mean of those three.",
)
def exercise_11_2(ceiling):
    return [
        (
            lambda: ceiling not in (54, 60, 66),
            "the 6 are points of *execution* score: how many points of the score are that at a "
            "difficulty of 3.0, and do all three exemplars vote?",
        ),
        (
            lambda: not np.isclose(ceiling, 78),
            "that is the highest single verdict. What becomes of the three?",
        ),
        (
            lambda: not np.isclose(ceiling, 24),
            "that is an execution score: what makes a score of it?",
        ),
        (
            lambda: np.isclose(ceiling, 72),
            "what is the execution score of each exemplar, and the highest that it can vote for?",
        ),
    ]


@exercise(
    "11.3",
    method="`np.isin(persons, list(test_persons))` says which videos show one of them; `np.where` "
    "turns that into the two words.",
    nearly='`np.where(np.isin(persons, list(test_persons)), ..., "train")`.',
)
def exercise_11_3(split_by_person, *, persons, held_out):
    def told(who):
        return np.asarray(split_by_person(persons.copy(), set(who)))

    def tested(who):
        return set(persons[told(who) == "test"])

    return [
        (
            lambda: told(held_out).shape == persons.shape,
            "`persons` has an entry a video: how many words are to be returned?",
        ),
        (
            lambda: set(told(held_out).tolist()) <= {"train", "test"},
            'which two words are asked for? "train" and "test", and no others.',
        ),
        (
            lambda: tested(held_out),
            "nobody is tested: what does `np.isin` look for in a set? It wants a list.",
        ),
        (
            lambda: tested(held_out) <= held_out,
            "who is tested that should not be? Look at `persons` where yours says test.",
        ),
        (
            lambda: not set(persons[told(held_out) == "train"]) & held_out,
            "do the tested divers have other videos, which are in the training split still?",
        ),
        (
            lambda: tested({"diver 0", "diver 5"}) == {"diver 0", "diver 5"},
            "and with other divers as `test_persons`: does yours read that argument?",
        ),
    ]
