"""Who is really ahead of whom: hand-ins read with suspicion, and ranked with what chance leaves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.machine.messages import list_ids, one_line
from corelib.metrics import relative_l2, spearman
from data_scripts.challenges.secret import ChallengeError

NUMBERS = ("score", "low", "high")
LARGEST = 1e6  # what lies beyond is no score of a dive
RESAMPLES = 2000
SURE = 0.95  # of the resamples


@dataclass(frozen=True)
class HandIn:
    """Predictions of one name: scores and intervals [N], in the order of the challenge's ids."""

    name: str
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Place:
    """A hand-in's place in the ranking, and what it rests on.

    rank       from 1; equal rhos share one
    ranks      the lowest and the highest rank of the middle 95 % of the resamples
    rl2_x100   R-l2 x100 over the range of the true scores
    coverage   share of the intervals, 0..1, that hold the true score;  width  their mean
    ahead_of   the names whose rho is smaller in 95 % of the resamples or more
    """

    rank: int
    name: str
    ranks: tuple[int, int]
    rho: float
    rl2_x100: float
    coverage: float
    width: float
    ahead_of: tuple[str, ...]


def read_hand_in(path: Path, ids: Sequence[str]) -> HandIn:
    """A hand-in, named by its file, for the dives `ids` [N].

    Raises ChallengeError, one line that tells everything found: unknown, missing and double ids,
    values that are not finite or no score at all, a low above its high, a score that never changes.
    """
    try:
        as_text = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
        table = pd.read_csv(path, compression=None, **as_text)
    except (ValueError, OverflowError) as error:
        raise ChallengeError(f"{path}: not a CSV table: {one_line(error)}") from None
    if lacking := [name for name in ("id", *NUMBERS) if name not in table]:
        right = "its first line must be id,score,low,high"
        raise ChallengeError(f"{path}: no column {', '.join(lacking)}; {right}")
    if not isinstance(table.index, pd.RangeIndex):
        raise ChallengeError(f"{path}: a row has more values than the first line has names")
    names = table["id"].astype(str).str.strip()
    values = table[list(NUMBERS)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    wild = ~(np.abs(values) <= LARGEST).all(axis=1)
    found = {
        "unknown ids": names[~names.isin(ids)],
        "missing ids": sorted(set(ids) - set(names)),
        "ids there more than once": names[names.duplicated()].unique(),
        "score, low or high no finite number below a million": names[wild],
        "low above high": names[~wild & (values[:, 1] > values[:, 2])],
    }
    said = [f"{what}: {len(who)} ({list_ids(who, 3)})" for what, who in found.items() if len(who)]
    if not said and np.ptp(values[:, 0]) == 0:
        said = ["every score is the same, so they order nothing"]
    if said:
        raise ChallengeError(one_line(f"{path}: {'; '.join(said)}"))
    ordered = values[pd.Index(names).get_indexer(list(ids))]
    return HandIn(one_line(path.stem), *ordered.T)


def rank_hand_ins(
    hand_ins: Sequence[HandIn], true: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Place]:
    """The places of hand-ins, best first; equal ones in the order of their names.

    true  [N] scores of the dives. These are drawn with replacement `resamples` times, the same ones
    for all hand-ins (a paired bootstrap; Efron and Tibshirani, chapter 13): what is easy or hard in
    a draw is so for everyone.
    """
    scores = np.array([hand_in.score for hand_in in hand_ins])
    draws = np.random.default_rng(seed).integers(len(true), size=(resamples, len(true)))
    rhos = np.array([_rhos(scores[:, rows], true[rows]) for rows in draws])  # [resamples, H]
    tails = 50 * (1 - SURE), 50 * (1 + SURE)
    lowest, highest = np.percentile(_ranks(rhos), tails, axis=0, method="inverted_cdf")
    ahead = (rhos[:, :, None] > rhos[:, None, :]).mean(0) >= SURE  # [H, H]
    own = _rhos(scores, true)
    places = [
        Place(
            rank=int(rank),
            name=hand_in.name,
            ranks=(int(lowest[row]), int(highest[row])),
            rho=float(own[row]),
            rl2_x100=relative_l2(hand_in.score, true),
            coverage=float(np.mean((hand_in.low <= true) & (true <= hand_in.high))),
            width=float(np.mean(hand_in.high - hand_in.low)),
            ahead_of=tuple(sorted(hand_ins[other].name for other in np.flatnonzero(ahead[row]))),
        )
        for row, (hand_in, rank) in enumerate(zip(hand_ins, _ranks(own[None])[0], strict=True))
    ]
    return sorted(places, key=lambda place: (place.rank, place.name))


def _rhos(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Spearman's rho of each hand-in [H, N]; 0 where a draw leaves no order to compare."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [spearman(predicted, true) for predicted in scores]
    return np.round(np.nan_to_num(found), 12)  # rounding decides no rank


def _ranks(rhos: np.ndarray) -> np.ndarray:
    """Of each row of rhos [R, H]: 1 and how many are greater."""
    return 1 + (rhos[:, None, :] > rhos[:, :, None]).sum(-1)
