"""Prepared datasets, written: what dataset.json says, the split that is drawn, several at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.data.samples import DatasetError, new_dataset, write_table
from data_scripts.prepared.derived import differing_files

NOT_STATED = "not stated"


@dataclass(frozen=True)
class CardOptions:
    """What dataset.json says of a table's performances, and how a split of them is drawn.

    score_range            (lowest, highest); None: from 0, or the lowest score below it, up
    val_share, test_share  of the videos, where no column gives a split
    """

    name: str
    title: str | None = None
    source: str = NOT_STATED
    licence: str = NOT_STATED
    citation: str = NOT_STATED
    score_range: tuple[float, float] | None = None
    seed: int = 0
    val_share: float = 0.1
    test_share: float = 0.2

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise DatasetError(
                f"--name {self.name!r}: runs are named by it, so it is made of letters, digits,"
                " '.', '-' and '_'"
            )
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            low, high = self.score_range
            raise DatasetError(
                f"--score-range {low:g} {high:g}: the lowest score must lie below the highest"
            )

    @classmethod
    def of(cls, options: dict, **defaults) -> CardOptions:
        """Of options as a command has them, None where one was not given."""
        return cls(**defaults | {key: value for key, value in options.items() if value is not None})

    @property
    def said(self) -> dict:
        said = {key: getattr(self, key) for key in ("source", "licence", "citation")}
        return {"name": self.name, "title": self.title or self.name} | said


def describe(samples: pd.DataFrame, found: dict, options: CardOptions) -> dict:
    """dataset.json of a table's samples; they get a drawn split where the table has none.

    found  of the table's reader; gets an entry "split", which says where the split is from
    """
    found["split"] = "as the table says"
    if "split" not in samples:
        shares = {"val_share": options.val_share, "test_share": options.test_share}
        samples.insert(1, "split", draw_split(samples, seed=options.seed, **shares))
        found["split"] = (
            f"drawn video by video, seed {options.seed}, {options.val_share:.0%} val and"
            f" {options.test_share:.0%} test"
        )
    low = float(np.floor(min(samples["score"].min(), 0)))
    high = float(np.ceil(samples["score"].max()))
    return options.said | {
        "score_range": list(options.score_range or (low, high if high > low else low + 1)),
        "protocol": "folds" if samples["split"].str.isdecimal().all() else "fixed",
        "pairing_key": next((key for key in ("group", "difficulty") if key in samples), None),
        "divided_by_difficulty": "difficulty" in samples,
        "frame_rate": found.get("frame_rate"),
        "frame_size": found.get("frame_size"),
        "left_out": [],
    }


def draw_split(
    samples: pd.DataFrame, *, seed: int, val_share: float, test_share: float
) -> list[str]:
    """The split of every row, drawn video by video: rows of one video never lie on both sides.

    The shares are of the videos, each at least one where there are four videos or more; the order
    of the rows does not matter.
    """
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise DatasetError(
            f"--val-share {val_share} and --test-share {test_share} must be 0 or more, and below 1"
            " together"
        )
    media = sorted(set(samples["media"]))
    counts = [
        max(round(share * len(media)), int(share > 0 and len(media) > 3))
        for share in (test_share, val_share)
    ]
    while sum(counts) >= len(media):  # one video at least is learnt from
        counts[counts[1] > 0] -= 1
    parts = dict.fromkeys(media, "train")
    for place, row in enumerate(np.random.default_rng(seed).permutation(len(media))[: sum(counts)]):
        parts[media[row]] = "test" if place < counts[0] else "val"
    return [parts[name] for name in samples["media"]]


def count_flags(samples: pd.DataFrame) -> dict[str, int]:
    """How many samples have each of the flags, which "; " separates."""
    flags = samples["flags"].str.split("; ").explode()
    return flags.value_counts().drop("", errors="ignore").to_dict()


def count_splits(samples: pd.DataFrame) -> str:
    """For example "20 train, 8 test"."""
    counts = samples["split"].value_counts(sort=False)
    return ", ".join(f"{count} {split}" for split, count in counts.items())


def tell_flags(samples: pd.DataFrame, flags: Sequence[str]) -> None:
    """Print how many dives have each of the flags."""
    for flag in flags:
        count = samples["flags"].str.contains(flag).sum()
        click.echo(f"flagged, not dropped: {count} dives, {flag}")


def tell_columns(table: Path, found: dict) -> None:
    """Print how a table was read and which of its columns is what."""
    click.echo(f"{table}: {found['how']}")
    columns = "; ".join(f"{role} from {name}" for role, name in found["columns"].items())
    click.echo(f"columns: {columns}")


def refuse(where: object, problems: Sequence[str]) -> None:
    """Raise DatasetError that lists the problems, if there are any."""
    if problems:
        raise DatasetError(f"{where}: {len(problems)} problem(s):\n  " + "\n  ".join(problems))


def write_datasets(
    plan: list[tuple[Path, dict, pd.DataFrame]], *, overwrite: bool = False
) -> list[tuple[Path, dict, pd.DataFrame, bool]]:
    """Write (folder, card, samples) for each of the plan; each comes back with whether it was new.

    A folder that holds the same card and table already is kept, with the clip cache that lies in
    it. Raises FileExistsError that lists the folders that hold something else, unless `overwrite`.
    """
    differing = [differing_files(*entry) for entry in plan]
    occupied = [
        f"{folder} ({', '.join(names)})"
        for (folder, _, _), names in zip(plan, differing, strict=True)
        if names and folder.exists()
    ]
    if occupied and not overwrite:
        raise FileExistsError(
            f"finished datasets differ from what would be written now: {'; '.join(occupied)}; "
            "pass --overwrite to replace it, or choose another --out."
        )
    for (folder, card, samples), names in zip(plan, differing, strict=True):
        if names:
            with new_dataset(folder, overwrite=overwrite) as scratch:
                write_table(scratch, card, samples)
    return [(*entry, bool(names)) for entry, names in zip(plan, differing, strict=True)]
