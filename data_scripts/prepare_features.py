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

from corelib.data.banks import write_bank
from corelib.data.contract import is_folder_name
from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.machine.commands import Command, Place
from corelib.machine.messages import one_line
from data_scripts.readers.feature_files import FeatureFiles
from data_scripts.readers.feature_steps import average_steps, smallest_type
from data_scripts.readers.score_options import NOT_STATED, column_options, split_options
from data_scripts.readers.score_sheet import check_options, describe, read_rows

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
    name: str | None = None,
    title: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    score_range: tuple[float, float] | None = None,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    steps: int = 32,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict]:
    """Write the prepared dataset `out`; returns (samples, what was found).

    features  folder of one file a sample, or one file of all (corelib/data/feature_files.py)
    labels    CSV file; or folder with train.txt and test.txt, where columns["score"] is TES or PCS
    columns   {role: name of its column}, roles as in ROLES; those left out are looked for
    steps     stretches of time that every sample is averaged to; one where all samples are [D]
    others    as prepare_videos

    Raises DatasetError that lists every row and feature file that is wrong, and FileExistsError.
    """
    columns, fisv = columns or {}, labels.is_dir()
    score = columns.get("score") or ""
    score = {column.lower(): column for column in FISV_COLUMNS}.get(score.lower(), score)
    further = [role for role, column in columns.items() if fisv and column and role != "score"]
    if further:
        raise DatasetError(
            f"{labels}: label files without column names have no {', '.join(further)}; "
            "give a CSV file with --labels"
        )
    name = name or (f"fisv-{score.lower()}" if fisv else out.name)
    check_options(name, score_range)
    said = {"source": source, "licence": licence, "citation": citation}
    said = {
        key: FISV[key] if fisv and value is None else value or NOT_STATED
        for key, value in said.items()
    }
    said = {"name": name, "title": title or (f"Fis-V, {score}" if fisv else name)} | said
    with new_dataset(out, overwrite=overwrite) as folder:
        files = FeatureFiles(features)
        if fisv:
            samples, banks = _of_fisv(labels, files, score, steps, progress)
            card, found = _fisv_card(samples, said, score), {}
        else:
            wanted = dict.fromkeys(ROLES) | columns
            width: list[int] = []
            samples, banks, found = read_rows(
                labels,
                wanted,
                find=files.find,
                look=lambda media: _read(files, media, steps, width),
                score_range=score_range,
                progress=progress,
            )
            card = describe(
                samples,
                found,
                said,
                score_range=score_range,
                seed=seed,
                val_share=val_share,
                test_share=test_share,
            )
            card |= {"split": found["split"], "table": f"{labels.name}, {found['how']}"}
        if all(lengths == 1 for lengths, _ in banks.values()):
            steps, banks = 1, {media: (1, stretches[:1]) for media, (_, stretches) in banks.items()}
        bank = smallest_type(np.stack([stretches for _, stretches in banks.values()]), list(banks))
        write_bank(folder / "features.safetensors", bank, list(banks))
        write_table(folder, card | {"steps": steps}, samples)
    lengths = [length for length, _ in banks.values()]
    return samples, found | {
        "features": bank.shape,
        "type": str(bank.dtype),
        "steps": (min(lengths), max(lengths)),
    }


def _read(files: FeatureFiles, media: str, steps: int, width: list[int]) -> tuple[int, np.ndarray]:
    """(T, features averaged to [steps, D]); D is that of the first sample, which `width` holds."""
    found = files.read(media)
    width[:] = width or [found.shape[1]]
    if found.shape[1] != width[0]:
        raise DatasetError(
            f"{files.path}, {one_line(media)}: {found.shape[1]} features a step, "
            f"the first sample has {width[0]}"
        )
    return len(found), average_steps(found, steps)


def _of_fisv(
    labels: Path, files: FeatureFiles, score: str, steps: int, progress: bool
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
    rows, problems, first = [], [], {}
    for split in ("train", "test"):
        found, wrong = _read_labels(labels / f"{split}.txt", split, first)
        rows += found
        problems += wrong
    banks: dict[str, tuple[int, np.ndarray]] = {}
    width: list[int] = []
    for row in tqdm(rows, desc="features", disable=not progress or None):
        try:
            banks[row["id"]] = _read(files, files.find(row["id"]), steps, width)
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        raise DatasetError(f"{len(problems)} problem(s):\n  " + "\n  ".join(problems))
    samples = pd.DataFrame(rows)
    samples.insert(2, "score", samples[score])
    samples.insert(3, "media", samples["id"])
    return samples, banks


def _fisv_card(samples: pd.DataFrame, said: dict, score: str) -> dict:
    values = samples["score"]
    return said | {
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


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.option(
    "--features",
    required=True,
    type=Place(exists=True, path_type=Path),
    help="Folder of .npy, .npz or .pt files, or one file that holds all samples.",
)
@click.option(
    "--labels",
    type=Place(exists=True, path_type=Path),
    help="CSV file, or folder of train.txt and test.txt.",
    show_default="the folder above FEATURES",
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the new dataset.",
)
@column_options(
    "features", "Path below FEATURES or name in that file, with or without suffix.", ROLES
)
@split_options(None)
@click.option(
    "--steps",
    default=32,
    type=click.IntRange(1, 100_000),
    help="Stretches of time that every sample is averaged to.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(features, labels, out, split_seed, **options):
    columns, labels = (
        {role: options.pop(f"{role}_column") for role in ROLES},
        labels or features.parent,
    )
    samples, found = prepare_features(features, labels, out, columns, seed=split_seed, **options)
    if "how" in found:
        click.echo(f"{labels}: {found['how']}")
        columns = "; ".join(f"{role} from {name}" for role, name in found["columns"].items())
        click.echo(f"columns: {columns}")
    counts = samples["split"].value_counts(sort=False)
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    count, steps, width = found["features"]
    shortest, longest = found["steps"]
    click.echo(
        f"{out}: {len(samples)} samples of {count} files with {shortest} to {longest} steps "
        f"of {width} features, kept as {steps} of {found['type']}: {parts}"
    )


if __name__ == "__main__":
    main()
