"""Turn precomputed features and a table of scores (CSV) into a prepared dataset.

FEATURES   a folder of .npy, .npz or .pt files, [D] or [T, D], one a sample, at any depth; or one
           file that holds all
LABELS     a CSV file: a line of column names, then one line a performance. The columns and how the
           file is read are those of prepare_videos.py; a sample's features are named by their path
           below FEATURES or their name in the file, with or without suffix. Or, as Fis-V and
           Rhythmic Gymnastics were released with GDLT, a folder with train.txt and test.txt, rows
           `id TES PCS deductions`, no header.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.contract import is_folder_name
from corelib.data.rows import BANK
from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.machine.messages import one_line
from data_scripts.prepared.datasets import CardOptions, count_splits, describe, tell_columns
from data_scripts.prepared.options import (
    ANY_THERE,
    card_options,
    column_options,
    command,
    out_option,
    overwrite_option,
    place_option,
)
from data_scripts.readers.feature_files import FeatureFiles
from data_scripts.readers.score_sheet import read_rows

FISV_COLUMNS = ("TES", "PCS", "deductions")
FISV = {
    "source": "Fis-V: Video-Swin features released with GDLT (CVPR 2022)",
    "licence": "no licence file; ask the data set's authors",
    "citation": (
        "Xu et al., Learning to Score Figure Skating Sport Videos (2019); "
        "Xu et al., Likert Scoring With Grade Decoupling (CVPR 2022)"
    ),
}
ROLES = ("id", "features", "score", "difficulty", "group", "split", "judges")


def prepare_features(
    features: Path,
    labels: Path,
    out: Path,
    columns: dict[str, str | None] | None = None,
    *,
    steps: int = 32,
    overwrite: bool = False,
    progress: bool = True,
    **options,
) -> tuple[pd.DataFrame, dict]:
    """Write the prepared dataset `out`; returns (samples, what was found).

    features  folder of one file a sample, or one file of all (readers/feature_files.py)
    labels    CSV file; or folder with train.txt and test.txt, where columns["score"] is TES or PCS
    columns   {role: name of its column}, roles as in ROLES; those left out are looked for
    steps     stretches of time that every sample is averaged to; one where all samples are [D]
    options   fields of CardOptions, as for prepare_videos

    Raises DatasetError that lists every row and feature file that is wrong, and FileExistsError.
    """
    columns, fisv = columns or {}, labels.is_dir()
    score = _fisv_score(labels, columns) if fisv else ""
    more = {"name": f"fisv-{score.lower()}", "title": f"Fis-V, {score}"} | FISV
    options = CardOptions.of(options, **more if fisv else {"name": out.name})
    with new_dataset(out, overwrite=overwrite) as folder:
        averaged = _Averaged(features, steps)
        if fisv:
            samples, banks, found = *_of_fisv(labels, averaged, score, progress), {}
            card = _fisv_card(samples, options, score)
        else:
            samples, banks, found = read_rows(
                labels,
                dict.fromkeys(ROLES) | columns,
                find=averaged.files.find,
                look=averaged.read,
                score_range=options.score_range,
                progress=progress,
            )
            card = describe(samples, found, options)
            card |= {"split": found["split"], "table": f"{labels.name}, {found['how']}"}
        held = _write_bank(folder / BANK, banks)
        write_table(folder, card | {"steps": held["features"][1]}, samples)
    return samples, found | held


def _write_bank(path: Path, banks: dict[str, tuple[int, np.ndarray]]) -> dict:
    """Write {media: (steps, their averages)}; returns what the bank holds."""
    from corelib.data.banks import write_bank  # torch takes seconds
    from data_scripts.readers.feature_steps import smallest_type

    lengths = [length for length, _ in banks.values()]
    bank = np.stack([averages for _, averages in banks.values()])
    bank = smallest_type(bank[:, :1] if max(lengths) == 1 else bank, list(banks))
    write_bank(path, bank, list(banks))
    return {"features": bank.shape, "type": str(bank.dtype), "steps": (min(lengths), max(lengths))}


class _Averaged:
    """The samples' features, each averaged to [steps, D]; D is that of the first one read."""

    def __init__(self, features: Path, steps: int):
        self.files, self.steps, self.width = FeatureFiles(features), steps, None

    def read(self, media: str) -> tuple[int, np.ndarray]:
        """(T, averages [steps, D])."""
        from data_scripts.readers.feature_steps import average_steps

        found = self.files.read(media)
        self.width = self.width or found.shape[1]
        if found.shape[1] != self.width:
            raise DatasetError(
                f"{self.files.path}, {one_line(media)}: {found.shape[1]} features a step, "
                f"the first sample has {self.width}"
            )
        return len(found), average_steps(found, self.steps)


def _fisv_score(labels: Path, columns: dict[str, str | None]) -> str:
    """Which of FISV_COLUMNS is the score."""
    further = [role for role, column in columns.items() if column and role != "score"]
    if further:
        raise DatasetError(
            f"{labels}: label files without column names have no {', '.join(further)}; "
            "give a CSV file with --labels"
        )
    score = columns.get("score") or ""
    return {column.lower(): column for column in FISV_COLUMNS}.get(score.lower(), score)


def _of_fisv(
    labels: Path, averaged: _Averaged, score: str, progress: bool
) -> tuple[pd.DataFrame, dict]:
    if not any((labels / f"{split}.txt").is_file() for split in ("train", "test")):
        raise DatasetError(
            f"{labels}: neither train.txt nor test.txt is here; "
            "name the table of scores with --labels"
        )
    if score not in FISV_COLUMNS:
        raise DatasetError(
            f"{labels}: the score in train.txt and test.txt is one of {', '.join(FISV_COLUMNS)}; "
            f"name it with --score, not {score!r}"
        )
    rows, problems, first, banks = [], [], {}, {}
    for split in ("train", "test"):
        found, wrong = _read_labels(labels / f"{split}.txt", split, first)
        rows += found
        problems += wrong
    for row in tqdm(rows, desc="features", disable=not progress or None):
        try:
            banks[row["id"]] = averaged.read(averaged.files.find(row["id"]))
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        raise DatasetError(f"{len(problems)} problem(s):\n  " + "\n  ".join(problems))
    samples = pd.DataFrame(rows)
    samples.insert(2, "score", samples[score])
    samples.insert(3, "media", samples["id"])
    return samples, banks


def _fisv_card(samples: pd.DataFrame, options: CardOptions, score: str) -> dict:
    values = samples["score"]
    return options.said | {
        "score_range": [min(0.0, float(np.floor(values.min()))), float(np.ceil(values.max()))],
        "protocol": "fixed",
        "pairing_key": None,
        "divided_by_difficulty": False,
        "frame_rate": None,
        "frame_size": None,
        "left_out": [],
        "score_column": score,
    }


def _read_labels(path: Path, split: str, first: dict[str, str]) -> tuple[list[dict], list[str]]:
    """The rows of a label file, and what is wrong with it; `first` is where each id was met."""
    if not path.is_file():
        return [], [f"{path}: no such file; it should hold one row a video: id TES PCS deductions"]
    rows, problems = [], []
    for number, line in enumerate(
        path.read_bytes().decode("utf-8-sig", errors="replace").splitlines(), 1
    ):
        parts, where = line.split(), f"{path} line {number}"
        if not parts:
            continue
        try:
            if not is_folder_name(parts[0]):
                raise ValueError("the id names a file")
            values = dict(zip(FISV_COLUMNS, map(float, parts[1:]), strict=True))
            if not np.isfinite(list(values.values())).all():
                raise ValueError("a score is a finite number")
        except ValueError:
            shown = one_line(repr(line))
            problems.append(f"{where}: expected `id TES PCS deductions`, found {shown}")
            continue
        if first.setdefault(parts[0], where) != where:
            there = first[parts[0]]
            problems.append(
                f"{where}: id {parts[0]} is already that of {there}; ids must be unique"
            )
        else:
            rows.append({"id": parts[0], "split": split, **values})
    return rows, problems


@command(__doc__)
@place_option("--features", ANY_THERE, "Folder of .npy, .npz or .pt files, or one of all samples.")
@click.option(
    "--labels",
    type=ANY_THERE,
    show_default="the folder above FEATURES",
    help="CSV file, or folder of train.txt and test.txt.",
)
@out_option()
@column_options(
    "features", "Path below FEATURES or name in that file, with or without suffix.", ROLES
)
@card_options(None)
@click.option(
    "--steps",
    default=32,
    type=click.IntRange(1, 100_000),
    help="Stretches of time that every sample is averaged to.",
)
@overwrite_option
def main(features, labels, out, **options):
    columns = {role: options.pop(f"{role}_column") for role in ROLES}
    labels = labels or features.parent
    samples, found = prepare_features(features, labels, out, columns, **options)
    if "how" in found:
        tell_columns(labels, found)
    count, steps, width = found["features"]
    shortest, longest = found["steps"]
    click.echo(
        f"{out}: {len(samples)} samples of {count} files with {shortest} to {longest} steps "
        f"of {width} features, kept as {steps} of {found['type']}: {count_splits(samples)}"
    )


if __name__ == "__main__":
    main()
