"""The rules of diving that the kit needs: dive numbers, difficulty, and how a panel's marks make a
score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Difficulty of each dive as it stands in the annotations of MTL-AQA, platform and springboard
# together.
DIFFICULTY: Final[dict[str, float]] = {
    "103B": 1.6, "105B": 2.4, "107B": 3.0, "107C": 2.8, "109C": 3.7,
    "205B": 2.9, "205C": 2.8, "207B": 3.6, "207C": 3.3,
    "305B": 3.0, "305C": 2.8, "307C": 3.4,
    "403B": 2.0, "405B": 2.8, "405C": 2.7, "407C": 3.2, "409C": 4.1,
    "5132D": 2.1, "5152B": 3.0, "5154B": 3.4, "5156B": 3.9,
    "5231D": 2.0, "5233D": 2.4, "5235D": 2.8, "5251B": 2.6, "5253B": 3.2, "5255B": 3.6,
    "5331D": 2.1, "5353B": 3.3, "5355B": 3.7,
}  # fmt: skip

GROUPS: Final = {1: "forward", 2: "back", 3: "reverse", 4: "inward", 5: "twisting", 6: "armstand"}
DIRECTIONS: Final = {1: "forward", 2: "back", 3: "reverse", 4: "inward"}
POSITIONS: Final = {"A": "straight", "B": "pike", "C": "tuck", "D": "free"}

# The lowest mark of each word, best first.
MARK_WORDS: Final = (
    (10.0, "excellent"), (8.5, "very good"), (7.0, "good"), (5.0, "satisfactory"),
    (2.5, "deficient"), (0.5, "very deficient"), (0.0, "failed"),
)  # fmt: skip

# How many of the highest, and of the lowest, marks a panel of this size drops.
DROPPED: Final = {3: 0, 5: 1, 7: 2}


@dataclass(frozen=True)
class DiveNumber:
    """What a dive number such as 107B or 5253B says.

    group            1 forward, 2 back, 3 reverse, 4 inward, 5 twisting, 6 armstand
    direction        1 forward, 2 back, 3 reverse, 4 inward: the group itself in groups 1 to 4
    flying           whether the dive begins with a flying somersault (second digit 1, groups 1 to
                     4)
    half_somersaults, half_twists   how many half turns about the lateral and the long axis
    position         A straight, B pike, C tuck, D free
    """

    group: int
    direction: int
    flying: bool
    half_somersaults: int
    half_twists: int
    position: str

    def __str__(self) -> str:
        if self.group <= 4:
            return f"{self.group}{int(self.flying)}{self.half_somersaults}{self.position}"
        twists = str(self.half_twists) if self.group == 5 or self.half_twists else ""
        return f"{self.group}{self.direction}{self.half_somersaults}{twists}{self.position}"

    def in_words(self) -> str:
        """The number read aloud, for example "107B: forward, 3 1/2 somersaults, pike"."""
        parts = [GROUPS[self.group]]
        parts += [DIRECTIONS[self.direction]] if self.group > 4 else []
        parts += ["flying"] if self.flying else []
        parts += [_turns(self.half_somersaults, "somersault")]
        parts += [_turns(self.half_twists, "twist")] if self.half_twists else []
        return f"{self}: {', '.join(parts)}, {POSITIONS[self.position]}"


def parse_dive_number(text: str) -> DiveNumber:
    """Read a dive number: "107B", "5253b", "626C"; capital and small letters alike.

    Groups 1 to 4: group, flying 0 or 1, half somersaults, letter. Group 5: 5, direction 1 to 4,
    half somersaults, half twists, letter. Group 6: 6, direction 1 to 3, half somersaults, half
    twists where there are any, letter. Raises ValueError for anything else, saying what would be
    right. Annotations hold a few numbers with 0 half somersaults (100B, 300D); they are refused,
    because 0 is not what was dived.
    """
    number = str(text).strip().upper()
    wrong = f"{text!r} is not a dive number: "
    if not re.fullmatch(r"[1-6][0-9]{2,3}[A-D]", number):
        raise ValueError(
            wrong + "it is 3 or 4 digits, the first from 1 to 6, and a letter A to D (107B, 5253B)"
        )
    group, second, letter = int(number[0]), int(number[1]), number[-1]
    turns = [int(digit) for digit in number[2:-1]]
    if group <= 4 and (second > 1 or len(turns) != 1):
        right = f"a {GROUPS[group]} dive is {group}, flying 0 or 1, half somersaults, letter"
        raise ValueError(wrong + right)
    if group == 5 and (second not in DIRECTIONS or len(turns) != 2 or turns[1] == 0):
        right = "5, direction 1 to 4, half somersaults, half twists from 1, letter"
        raise ValueError(f"{wrong}a twisting dive is {right}")
    if group == 6 and second not in (1, 2, 3):
        right = "6, direction 1 to 3, half somersaults, any half twists, letter"
        raise ValueError(f"{wrong}an armstand dive is {right}")
    if turns[0] == 0:
        raise ValueError(wrong + "the digit for half somersaults must be 1 or more")
    return DiveNumber(
        group=group,
        direction=group if group <= 4 else second,
        flying=group <= 4 and second == 1,
        half_somersaults=turns[0],
        half_twists=turns[1] if len(turns) == 2 else 0,
        position=letter,
    )


def execution_score(marks: Sequence[float]) -> float:
    """The sum of the three marks that count, 0..30.

    marks  seven, five or three judges' marks, 0..10; of seven the two highest and two lowest are
           dropped, of five one each, of three none
    """
    if len(marks) not in DROPPED:
        raise ValueError(f"a panel has 3, 5 or 7 judges, not {len(marks)} (marks {list(marks)})")
    if not all(0 <= mark <= 10 for mark in marks):
        raise ValueError(f"marks run from 0 to 10: {list(marks)}")
    dropped = DROPPED[len(marks)]
    return float(sum(sorted(marks)[dropped : len(marks) - dropped]))


def panel_score(marks: Sequence[float], difficulty: float) -> float:
    """The dive's score: the three counting marks times the difficulty, to 2 decimals.

    Raises ValueError for a panel of another size than 3, 5 or 7, a mark outside 0..10, or a
    difficulty that is not positive.
    """
    if not difficulty > 0:
        raise ValueError(f"a difficulty is a positive number such as 3.2, not {difficulty!r}")
    return round(execution_score(marks) * difficulty, 2)


def mark_in_words(mark: float) -> str:
    """What a mark means on the judges' scale: 7.5 is "good"; raises ValueError outside 0..10."""
    if not 0 <= mark <= 10:
        raise ValueError(f"marks run from 0 to 10, not {mark!r}")
    return next(word for lowest, word in MARK_WORDS if mark >= lowest)


def _turns(halves: int, noun: str) -> str:
    whole, half = divmod(halves, 2)
    text = " ".join(part for part in (str(whole) if whole else "", "1/2" if half else "") if part)
    return f"{text} {noun}{'s' if halves > 2 else ''}"
