"""What a dataset and a recipe make together: what is learnt, who is compared, on which rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corelib.data.samples import DatasetError, SampleTable
from corelib.pairs import Exemplars, exemplar_blocks, members
from corelib.recipe import Recipe, RecipeError


def pairing_column(table: SampleTable, recipe: Recipe) -> str | None:
    """The column whose value a sample and its exemplars share, by recipe.pair_by.

    "auto" is the dataset's pairing key where difficulty is used. None where everybody may be
    compared with everybody. Raises RecipeError for a column that is not there.
    """
    key = recipe.pair_by
    if key == "auto":
        key = table.info["pairing_key"] if recipe.with_difficulty else "none"
    if key in ("none", None):
        return None
    if key not in table.samples:
        columns = ", ".join(table.samples)
        raise RecipeError(f"pair_by={key!r}: {table.name} has no such column (it has: {columns})")
    return key


def group_labels(table: SampleTable, recipe: Recipe) -> np.ndarray:
    """The label [N] that a sample and its exemplars share: its value in `pairing_column`."""
    key = pairing_column(table, recipe)
    if key is None:
        return np.zeros(len(table.samples), int)
    return table.samples[key].astype(str).to_numpy()


@dataclass(frozen=True)
class Task:
    """What training and evaluation read of a dataset; rows are those of table.samples.

    targets    [N] what a model regresses: score, execution score or percent, float64
    factor     [N] and offset: score = offset + factor * target
    groups     [N] the label that a sample and its exemplars share
    paired_by  the column that the labels come from, None where all have one
    """

    table: SampleTable
    recipe: Recipe
    targets: np.ndarray
    factor: np.ndarray
    offset: float
    groups: np.ndarray
    paired_by: str | None

    @classmethod
    def of(cls, table: SampleTable, recipe: Recipe) -> Task:
        """Raises DatasetError where scores have no difficulty to divide by, RecipeError for a
        column to pair by that is not there."""
        targets = table.target(recipe.with_difficulty, recipe.target_unit)
        factor, offset = table.target_unit(recipe.with_difficulty, recipe.target_unit)
        groups, key = group_labels(table, recipe), pairing_column(table, recipe)
        return cls(table, recipe, targets, factor, offset, groups, key)

    @property
    def ids(self) -> np.ndarray:
        """The samples' names [N]."""
        return self.table.samples["id"].to_numpy()

    @property
    def pool(self) -> np.ndarray:
        """Whom a test sample is compared with: the training split, held-back rows included."""
        return self.table.rows("train")

    @property
    def test(self) -> np.ndarray:
        """The rows of the test split."""
        return self.table.rows("test")

    @property
    def fit(self) -> np.ndarray:
        """The rows to learn from. A recipe that refits learns from those held back, too."""
        learnt, held = self._divided
        return np.union1d(learnt, held) if self.recipe.refit else learnt

    @property
    def choose(self) -> np.ndarray:
        """The rows that choose the epoch; none of a recipe that refits."""
        return self.held[:0] if self.recipe.refit else self.held

    @property
    def held(self) -> np.ndarray:
        """The dataset's val rows or, where it has none, a part of its training split.

        That part is drawn by the seed. Of few rows it is smaller, down to none, so that what is
        left can be learnt from.
        """
        return self._divided[1]

    @cached_property
    def _divided(self) -> tuple[np.ndarray, np.ndarray]:
        train, val = self.table.rows("train"), self.table.rows("val")
        if len(train) < 2:
            raise self._too_few()
        if len(val):
            return train, val
        order = np.random.default_rng([self.recipe.seed, 1]).permutation(train)
        wanted = round(self.recipe.validation_fraction * len(train))
        held = min(max(2, wanted), len(train) - 2)
        if held < 2:  # one sample has no order to choose an epoch by
            held = 0
        while held and not self._teaches(order[held:]):
            held -= 1
        return np.sort(order[held:]), np.sort(order[:held])

    def _teaches(self, rows: np.ndarray) -> bool:
        """Whether rows can be learnt from: their scores differ, for pairs within a group."""
        parts = members(self.groups, rows).values() if self.recipe.system == "core" else [rows]
        return any(np.ptp(self.targets[part]) > 0 for part in parts)

    def _too_few(self) -> DatasetError:
        splits = ("train", "val", "test")
        counts = ", ".join(f"{len(self.table.rows(split))} {split}" for split in splits)
        fold = self.recipe.fold
        has = "samples.csv has" if fold is None else f"testing on fold {fold} leaves"
        return DatasetError(
            f"{self.table.folder}: training needs two samples or more with the split train; {has}"
            f" {counts}. Prepare more samples, or give more of them the split train"
        )

    def exemplars(self, queries, pool, count: int | None, *, most=None) -> Iterator[Exemplars]:
        """The exemplars of each query (rows) from the pool (rows): M, None for all of its group.

        most  pairs in a block, as pairs.exemplar_blocks takes it
        """
        known = "difficulty" in self.table.samples and self.recipe.with_difficulty
        return exemplar_blocks(
            queries,
            pool,
            ids=self.ids,
            groups=self.groups,
            difficulty=self.table.samples["difficulty"].to_numpy(float) if known else None,
            count=count,
            fill=self.recipe.fill_exemplars,
            seed=self.recipe.seed,
            most=most,
        )
