"""Groups, exemplars and pairs: who is compared with whom.

Functions of arrays alone: `groups` [N] holds one label a sample (difficulty, dive number, class
...; equal labels may be compared), rows are indices 0..N-1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from corelib.machine.errors import KitError

NOT_SHARED, COARSER = "no two training samples share a group", "something coarser"
ALL_EQUAL = "all training scores are equal within their groups: there is no difference to learn"
LONELY = "has no exemplar: the training split holds no other sample"
FALLBACKS = ("nearest difficulty", "any", "fewer")


class NoPairError(KitError, ValueError):
    """No pair, or none whose scores differ; the message says what to change."""


def members(groups: np.ndarray, rows: np.ndarray | None = None) -> dict:
    """{label: row numbers [n] in rising order}, of the whole table or of `rows` only."""
    groups = np.asarray(groups)
    rows = np.arange(len(groups)) if rows is None else np.sort(np.asarray(rows))
    labels, first, code = np.unique(groups[rows], return_index=True, return_inverse=True)
    by_label = np.argsort(code, kind="stable")  # in each label the rows go on rising
    parts = np.split(rows[by_label], np.bincount(code).cumsum()[:-1]) if len(rows) else []
    order = np.argsort(first)
    return dict(zip(labels[order].tolist(), (parts[n] for n in order), strict=True))


def pair_differences(targets: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """|score difference| of every pair of two different samples of one group, sorted, [n pairs].

    targets [N], groups [N]. Every unordered pair counts once.
    """
    scores = np.asarray(targets, float)[:, None]  # [N, 1]: pdist wants points
    parts = [pdist(scores[rows], "cityblock") for rows in members(groups).values()]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0)


class PairDifferences:
    """The sorted differences of `pair_differences` without listing them: memory grows with samples.

    Pairs that differ by at most d are counted by one binary search a sample. The difference of a
    given rank is found by halving the range of d until no double lies between.

    targets [N], groups [N]
    """

    def __init__(self, targets: np.ndarray, groups: np.ndarray):
        targets, rows_of = np.asarray(targets, float), members(groups).values()
        self._groups = [np.unique(targets[rows], return_counts=True) for rows in rows_of]
        none = (np.empty(0), np.empty(0, int))  # all in one row, each group after the other
        self._values, self._counts = map(np.concatenate, zip(none, *self._groups, strict=True))
        sizes = np.array([len(values) for values, _ in self._groups], int)
        self._end = np.repeat(sizes.cumsum() - 1, sizes)  # of each value, its group's last
        group = np.repeat(np.arange(len(sizes)), sizes)
        start = self._values[np.repeat(sizes.cumsum() - sizes, sizes)]
        self._largest = float((self._values - start).max(initial=0.0))
        # rising throughout: a search never leaves its group by more than rounding
        self._keys = self._values - start + group * (2 * self._largest + 1)

    def __len__(self) -> int:
        return sum(n * (n - 1) // 2 for n in (int(counts.sum()) for _, counts in self._groups))

    def largest(self) -> float:
        """The largest difference; 0 where there is no pair."""
        return self._largest

    def root_mean_square(self) -> float:
        """sqrt(mean(d^2)) over all pairs; nan where there is none."""
        total = 0.0
        for values, counts in self._groups:  # of n numbers: n times their squared deviations
            squared = np.square(values - np.average(values, weights=counts))
            total += counts.sum() * (counts * squared).sum()
        return float(np.sqrt(total / len(self))) if len(self) else float("nan")

    def count_up_to(self, difference: float) -> int:
        """How many pairs differ by at most `difference`."""
        counts, up_to = self._counts, self._counts.cumsum()
        above = up_to[self._last_within(difference)] - up_to  # near enough, of each value
        return int((counts * above + counts * (counts - 1) // 2).sum())

    def at_ranks(self, ranks) -> np.ndarray:
        """The differences of these ranks, 0 the smallest."""
        return np.array([self._at_rank(int(rank)) for rank in ranks])

    def _at_rank(self, rank: int) -> float:
        low, high = 0.0, self.largest()
        if self.count_up_to(low) > rank:
            return low  # else always count_up_to(low) <= rank < count_up_to(high)
        while low < (middle := (low + high) / 2) < high:
            low, high = (low, middle) if self.count_up_to(middle) > rank else (middle, high)
        return high

    def _last_within(self, difference: float) -> np.ndarray:
        """For each value, the place of the last of its group that exceeds it by <= `difference`."""
        values, reach = self._values, self._keys + min(difference, self._largest)
        last = np.minimum(np.searchsorted(self._keys, reach, side="right") - 1, self._end)
        # key + reach is rounded; the subtraction has the last word, as in a list of differences
        while (over := values[last] - values > difference).any():
            last = last - over
        while True:
            more = values[np.minimum(last + 1, self._end)] - values <= difference
            if not (more := more & (last < self._end)).any():
                return last
            last = last + more


# --------------------------------------------------------------------------- training pairs


@dataclass(frozen=True)
class PairBatch:
    """What one training step needs: the videos to encode and the pairs among them.

    rows   [V] rows of the sample table, in the order in which they are encoded
    pairs  [P, 2] positions in `rows`: (exemplar, query); both orders of a pair occur
    """

    rows: np.ndarray
    pairs: np.ndarray


def epoch_batches(
    rows: np.ndarray, groups: np.ndarray, *, batch: int, pairing: str, rng: np.random.Generator
) -> list[PairBatch]:
    """One epoch of training batches.

    rows     [n] the training rows; groups [N] labels of the whole table
    batch    videos ("batch" and "single") or pairs ("two") a step
    pairing  "two": every row is the query once, with one random exemplar of its group, in both
                 orders (the paper's way: 2 encodings give 2 ordered pairs)
             "batch": a batch holds several videos a group and is used for all ordered pairs within
                 its groups (B encodings of one group give B(B-1) pairs)
             "single": no pairs, every row once (what a plain regression needs)

    A sample is never paired with itself; one that is alone in its group has no partner and is left
    out of the paired modes. Raises NoPairError when no pair can be formed at all.
    """
    rows = np.asarray(rows)
    if pairing == "single":
        order = rng.permutation(rows)
        return [PairBatch(part, np.empty((0, 2), int)) for part in _split(order, batch)]
    partners = {label: found for label, found in members(groups, rows).items() if len(found) > 1}
    if not partners:
        raise NoPairError(f"{NOT_SHARED}, so there is no pair to learn from; pair by {COARSER}")
    if pairing == "two":
        return _two_by_two(partners, batch, rng)
    if pairing == "batch":
        return _all_within_batches(partners, groups, batch, rng)
    raise ValueError(f"pairing must be 'two', 'batch' or 'single', not {pairing!r}")


def _two_by_two(partners: dict, batch: int, rng: np.random.Generator) -> list[PairBatch]:
    queries, exemplars = [], []
    for found in partners.values():
        own = np.arange(len(found))
        steps = rng.integers(1, len(found), size=len(found))  # from 1 on: never its own place
        other = (own + steps) % len(found)
        queries.append(found[own])
        exemplars.append(found[other])
    queries, exemplars = np.concatenate(queries), np.concatenate(exemplars)
    batches = []
    for part in _split(rng.permutation(len(queries)), batch):
        query, exemplar = np.arange(len(part)), np.arange(len(part)) + len(part)
        pairs = np.concatenate([np.stack([exemplar, query], 1), np.stack([query, exemplar], 1)])
        batches.append(PairBatch(np.concatenate([queries[part], exemplars[part]]), pairs))
    return batches


def _all_within_batches(
    partners: dict, groups: np.ndarray, batch: int, rng: np.random.Generator
) -> list[PairBatch]:
    # A batch from one group alone would bend the batch statistics of the encoder, so it is made of
    # chunks of several groups, each large enough to give many pairs an encoding.
    size = max(2, batch // 2 if len(partners) > 1 else batch)
    chunks = []
    for found in partners.values():
        count = max(1, min(round(len(found) / size), len(found) // 2))  # two or more a chunk
        chunks += np.array_split(rng.permutation(found), count)
    batches, waiting = [], []
    for index in rng.permutation(len(chunks)):
        waiting.append(chunks[index])
        if sum(map(len, waiting)) >= batch:
            batches.append(waiting)
            waiting = []
    if waiting:
        batches.append(waiting)
    result = []
    for parts in batches:
        rows = np.concatenate(parts)
        same = groups[rows][:, None] == groups[rows][None, :]
        np.fill_diagonal(same, False)
        result.append(PairBatch(rows, np.argwhere(same)))
    return result


def _split(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut into parts of `size`; a single one left over joins the others: statistics need two."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


# --------------------------------------------------------------------------- exemplars


@dataclass(frozen=True)
class Exemplars:
    """The exemplars of each query.

    query      [P] position of the query in the list that was asked for
    exemplar   [P] row of the sample table
    fallbacks  how many queries had no full set in their own group and took others in:
               {"nearest difficulty": n, "any": n}; and "fewer": n that went with fewer than M
    """

    query: np.ndarray
    exemplar: np.ndarray
    fallbacks: dict[str, int]


def draw_exemplars(queries: np.ndarray, pool: np.ndarray, **how) -> Exemplars:
    """The exemplars of all queries at once, as `exemplar_blocks` says."""
    (everything,) = exemplar_blocks(queries, pool, **how)
    return everything


def exemplar_blocks(
    queries: np.ndarray,
    pool: np.ndarray,
    *,
    ids: np.ndarray,
    groups: np.ndarray,
    difficulty: np.ndarray | None = None,
    count: int | None = 10,
    fill: bool = True,
    seed: int = 0,
    most: int | None = None,
) -> Iterator[Exemplars]:
    """Draw the exemplars of each query from the pool, the same for the same seed and sample id.

    queries, pool  rows of the table; ids, groups, difficulty  [N] columns of it
    count          M, exemplars a query; None takes every member of its group
    fill           whether a group smaller than M is filled up; a group that is missing always is
    most           pairs in a block of queries, which holds one query at least; None: all in one

    A query never becomes its own exemplar. Where its group is missing or smaller than M, samples of
    the nearest difficulty follow (nearest first, chance among equals), and any samples where no
    difficulty is known. Raises NoPairError when the pool holds nobody but the query.
    """
    ids, pool = np.asarray(ids), np.asarray(pool)
    # the draw depends on who is in the pool, not on their order
    pool = pool[np.argsort(ids[pool].astype(str), kind="stable")]
    # numbers in place of names: they are compared with every member of the pool, for every query
    name, group = (np.unique(np.asarray(x), return_inverse=True)[1] for x in (ids, groups))
    known = difficulty is not None and np.isfinite(difficulty).all()
    block, held = [], 0  # pairs in it
    for number, row in enumerate(np.asarray(queries)):
        others = _generator(seed, ids[row]).permutation(pool[name[pool] != name[row]])
        if len(others) == 0:
            raise NoPairError(f"sample {ids[row]} {LONELY}")
        own = others[(same := group[others] == group[row])]
        wanted, happened = len(own) if count is None else count, []
        if len(own) == 0 or (fill and len(own) < wanted):
            rest = others[~same]
            if known:
                rest = rest[np.argsort(np.abs(difficulty[rest] - difficulty[row]), kind="stable")]
            own = np.concatenate([own, rest[: max(wanted or 10, 1) - len(own)]])
            happened += ["nearest difficulty" if known else "any"] * (len(rest) > 0)
        own = own[: wanted or None].copy()  # a view would keep all of `others`
        happened += ["fewer"] * (count is not None and len(own) < count)
        if most and block and held + len(own) > most:
            yield _joined(block)
            block, held = [], 0
        block.append((number, own, happened))
        held += len(own)
    yield _joined(block)


def _joined(block: list[tuple]) -> Exemplars:
    """The exemplars of some queries: (position, rows, what of FALLBACKS happened) of each."""
    position = np.concatenate([np.full(len(rows), number) for number, rows, _ in block])
    fallbacks = {name: sum(name in names for *_, names in block) for name in FALLBACKS}
    return Exemplars(position, np.concatenate([rows for _, rows, _ in block]), fallbacks)


def _generator(seed: int, sample_id: str) -> np.random.Generator:
    digest = hashlib.sha256(str(sample_id).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
