"""Invented dives: which dive, which faults, and what seven judges give for it.

A dive is drawn from a random generator as a frozen description. motion.py turns it into a moving
figure and camera.py into pictures; every fault that costs marks is visible there,
exaggerated where a small picture needs it, because the data are made to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_scripts.dives.rules import DIFFICULTY, DiveNumber, panel_score, parse_dive_number

# What each fault costs at its worst (magnitude 1), in marks. A twisting dive has its unfinished
# twist where the others have their late opening, so every dive has six faults to make.
DEDUCTIONS: Final = {
    "legs_apart": 1.3,
    "loose_position": 1.3,
    "late_opening": 1.4,
    "unfinished_twist": 1.4,
    "rotation": 1.7,
    "distance": 1.0,
    "splash": 1.5,
}
FAULTS: Final = (*DEDUCTIONS, "failed")
BEST_MARK: Final = 9.7
JUDGE_NOISE: Final = 0.335  # standard deviation of a judge's mark before it is rounded to halves
FAILED_RATE: Final = 0.008
CLUMSINESS: Final = 0.47  # typical fault of somebody without any skill

# How often each dive occurs in MTL-AQA's 1,412 dives (counted in its annotations).
OCCURRENCES: Final = {
    "103B": 20, "105B": 7, "107B": 160, "107C": 11, "109C": 60, "205B": 85, "205C": 13, "207B": 34,
    "207C": 95, "305B": 28, "305C": 31, "307C": 109, "403B": 21, "405B": 45, "405C": 14,
    "407C": 179, "409C": 6, "5132D": 6, "5152B": 26, "5154B": 38, "5156B": 11, "5231D": 5,
    "5233D": 3, "5235D": 6, "5251B": 6, "5253B": 111, "5255B": 51, "5331D": 2, "5353B": 21,
    "5355B": 3,
}  # fmt: skip
# How far the mean mark of each dive lies from the mean of all in MTL-AQA, in marks; shrunk towards
# 0 where there are few (times n / (n + 17.5), from the variances within and between dives). Some
# dives are marked better than others there, 5 % of the variance, and here it is the judges'
# leaning: no fault in the picture tells of it, only other dives of the same kind do.
LEANING: Final = {
    "103B": 0.02, "105B": 0.09, "107B": 0.0, "107C": -0.68, "109C": 0.37, "205B": -0.21,
    "205C": -0.49, "207B": 0.33, "207C": -0.48, "305B": -0.39, "305C": -0.17, "307C": 0.21,
    "403B": 0.15, "405B": -0.22, "405C": -0.28, "407C": 0.27, "409C": 0.04, "5132D": 0.12,
    "5152B": -0.33, "5154B": 0.13, "5156B": 0.19, "5231D": 0.03, "5233D": 0.02, "5235D": -0.15,
    "5251B": -0.14, "5253B": 0.02, "5255B": 0.45, "5331D": -0.09, "5353B": 0.22, "5355B": 0.05,
}  # fmt: skip
# A third of the table: the commonest dives, and enough easy ones that difficulty spreads as it does
# in reality.
DEFAULT_NUMBERS: Final = (
    "103B", "403B", "305C", "205B", "107B", "407C", "5253B", "207C", "307C", "5255B", "109C",
)  # fmt: skip
# Colours to choose from, and how far each channel may lie from the chosen one.
COLOURS: Final = {
    "skin": (((244, 208, 177), (231, 184, 143), (198, 144, 103), (150, 100, 66), (104, 68, 46)), 8),
    "suit": (((200, 30, 45), (30, 40, 130), (20, 20, 25), (20, 120, 80), (235, 190, 30),
              (110, 40, 130), (240, 240, 240)), 12),
    "hair": (((30, 22, 18), (90, 60, 35), (190, 150, 80), (230, 230, 235), (60, 60, 140)), 8),
    "wall": (((120, 150, 185), (165, 170, 175), (95, 115, 130), (130, 125, 150), (95, 130, 115),
              (185, 205, 225)), 15),
    "tower": (((225, 225, 220), (160, 165, 175), (90, 100, 120), (205, 185, 150)), 12),
    "water": (((35, 120, 175), (30, 140, 160), (20, 90, 150), (60, 150, 190)), 10),
}  # fmt: skip


@dataclass(frozen=True)
class Appearance:
    """Everything in the picture that says nothing about the dive; colours are RGB 0..255.

    azimuth  how far the camera stands in front of the board's side, radians; view  height of the
             picture, metres
    """

    skin: tuple[int, int, int]
    suit: tuple[int, int, int]
    hair: tuple[int, int, int]
    wall: tuple[int, int, int]
    tower: tuple[int, int, int]
    water: tuple[int, int, int]
    light: float
    mirrored: bool
    azimuth: float
    view: float
    shake: float
    body: float
    entry_jitter: float
    texture_seed: int


@dataclass(frozen=True)
class Dive:
    """One dive as it was dived and marked.

    number, difficulty   the dive number's text and its difficulty
    height      of the board above the water, metres: 10 (platform) or 3 (springboard)
    skill       0..1, what the faults were drawn from
    faults      magnitude 0..1 of every name in FAULTS
    over_rotated, too_far   which way the faults of rotation and of distance go
    legs_from   when in the flight (0..1) the legs come apart, if they do
    true_mark   0..10, what the faults leave and the judges' leaning adds: the mark before the
                judges' noise
    marks       seven judges' marks in half points;  score  by the rule, times difficulty
    """

    number: str
    difficulty: float
    height: float
    skill: float
    faults: dict[str, float]
    over_rotated: bool
    too_far: bool
    legs_from: float
    true_mark: float
    marks: tuple[float, ...]
    score: float
    appearance: Appearance

    @property
    def parsed(self) -> DiveNumber:
        return parse_dive_number(self.number)

    @property
    def main_fault(self) -> str:
        return main_fault(self.faults)


def deduction(fault: str, magnitude: float | np.ndarray) -> float | np.ndarray:
    """Marks lost by a fault of this magnitude (0..1): steep at first, then levelling off.

    max_f (1 - exp(-1.5 m)) / (1 - exp(-1.5)), so that half a fault costs two thirds of the whole
    one.
    """
    lost = 1 - np.exp(-1.5 * np.asarray(magnitude, float))
    return DEDUCTIONS[fault] * lost / (1 - np.exp(-1.5))


def mark_of_faults(faults: dict[str, float]) -> float:
    """The mark, 0..10, that a dive with these magnitudes deserves; a failed dive gets 2 at most."""
    mark = BEST_MARK - sum(float(deduction(name, faults.get(name, 0.0))) for name in DEDUCTIONS)
    failed = faults.get("failed", 0.0)
    if failed:
        mark = min(mark, 2.0 * (1.0 - failed))
    return float(np.clip(mark, 0.0, 10.0))


def main_fault(faults: dict[str, float]) -> str:
    """The fault that costs most, or "none" when none costs half a mark."""
    if faults.get("failed", 0.0):
        return "failed"
    costs = {name: float(deduction(name, faults.get(name, 0.0))) for name in DEDUCTIONS}
    worst = max(costs, key=lambda name: costs[name])
    return worst if costs[worst] >= 0.5 else "none"


def judge(true_mark: float, rng: np.random.Generator, judges: int = 7) -> tuple[float, ...]:
    """Marks of independent judges, 0..10: the true mark and normal noise, in half points."""
    marks = true_mark + JUDGE_NOISE * rng.standard_normal(judges)
    # Adding 0 turns a rounded -0 into 0.
    return tuple(float(mark) + 0.0 for mark in np.clip(np.round(2 * marks) / 2, 0, 10))


def draw_faults(rng: np.random.Generator, skill: float, *, twisting: bool) -> dict[str, float]:
    """Magnitudes 0..1 of every fault for a diver of this skill (0..1).

    Faults come together, as they do in the pool: what a diver lacks in skill shows in all of them,
    and in one most of all. The splash follows from how badly the rest went.
    """
    other = "late_opening" if twisting else "unfinished_twist"
    possible = [name for name in DEDUCTIONS if name != other]
    clumsy = CLUMSINESS * (1.0 - skill) ** 1.15
    magnitudes = clumsy * np.exp(0.4 * rng.standard_normal(len(possible)))
    magnitudes[rng.integers(len(possible) - 1)] *= 2.0
    splash = possible.index("splash")
    magnitudes[splash] = 0.5 * magnitudes[splash] + 0.5 * np.delete(magnitudes, splash).mean()
    failed = rng.uniform(0.1, 1.0) if rng.random() < FAILED_RATE else 0.0
    drawn = dict(zip(possible, np.clip(magnitudes, 0.0, 1.0), strict=True)) | {"failed": failed}
    return {name: round(float(drawn.get(name, 0.0)), 3) for name in FAULTS}


def draw_dive(rng: np.random.Generator | int, numbers: Sequence[str] | None = None) -> Dive:
    """Draw one dive.

    rng      a generator or a seed
    numbers  dive numbers to draw from (default DEFAULT_NUMBERS), each as often as the square root
             of its occurrences in MTL-AQA says, which keeps rare dives from being too rare to learn
             from
    Raises ValueError for a number whose difficulty is not known.
    """
    rng = np.random.default_rng(rng)
    numbers = known_numbers(numbers)
    weights = np.sqrt([OCCURRENCES[number] for number in numbers])
    number = str(rng.choice(list(numbers), p=weights / weights.sum()))
    parsed = parse_dive_number(number)
    skill = round(float(rng.beta(3.0, 1.9)), 3)
    faults = draw_faults(rng, skill, twisting=parsed.half_twists > 0)
    leaning = 0.0 if faults["failed"] else LEANING[number]
    true_mark = float(np.clip(mark_of_faults(faults) + leaning, 0.0, 10.0))
    marks = judge(true_mark, rng)
    return Dive(
        number=number,
        difficulty=DIFFICULTY[number],
        height=float(rng.choice([10.0, 3.0], p=[0.6, 0.4])),
        skill=skill,
        faults=faults,
        over_rotated=bool(rng.random() < 0.5),
        too_far=bool(rng.random() < 0.7),
        legs_from=float(rng.uniform(0.15, 0.5)),
        true_mark=true_mark,
        marks=marks,
        score=panel_score(marks, DIFFICULTY[number]),
        appearance=draw_appearance(rng),
    )


def known_numbers(numbers: Sequence[str] | None) -> tuple[str, ...]:
    """The numbers in capitals, each once; raises ValueError for one of unknown difficulty."""
    parsed = map(parse_dive_number, numbers or DEFAULT_NUMBERS)
    chosen = tuple(dict.fromkeys(map(str, parsed)))
    unknown = [number for number in chosen if number not in DIFFICULTY]
    if unknown:
        raise ValueError(
            f"no difficulty is known for {', '.join(unknown)}; choose from {', '.join(DIFFICULTY)}"
        )
    return chosen


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """Colours, camera and body size, all independent of how well the dive goes."""

    def colour(choices: tuple, spread: int) -> tuple[int, int, int]:
        base = np.array(choices[rng.integers(len(choices))]) + rng.integers(-spread, spread + 1, 3)
        return tuple(int(value) for value in np.clip(base, 0, 255))

    return Appearance(
        **{part: colour(*choices) for part, choices in COLOURS.items()},
        light=float(rng.uniform(0.85, 1.12)),
        mirrored=bool(rng.random() < 0.5),
        azimuth=float(np.radians(rng.uniform(30, 40))),
        view=float(rng.uniform(2.85, 3.1)),
        shake=float(rng.uniform(0.01, 0.04)),
        body=float(rng.uniform(0.95, 1.05)),
        entry_jitter=float(rng.uniform(-0.05, 0.05)),
        texture_seed=int(rng.integers(2**31)),
    )
