"""Turn AQA-7 (official split lists, frame folders or .avi) into one prepared dataset a class.

RAW/Split_4/split_4_{train,test}_list.mat      rows class 1..6, sample number, score
RAW/<class>-out/{sample:03d}/img_{i:05d}.jpg   103 frames, from 1; or
RAW/<class>-out/{sample:03d}.avi
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse

from corelib.data.video import VideoError, frame_names
from corelib.machine.messages import one_line
from data_scripts.prepared.datasets import refuse, write_datasets
from data_scripts.prepared.options import (
    FOLDER_THERE,
    choice_option,
    command,
    out_option,
    overwrite_several_option,
    place_option,
    several_option,
)
from data_scripts.readers.video_check import check_video

CLASSES = (
    "diving", "gym_vault", "ski_big_air", "snowboard_big_air", "sync_diving_3m", "sync_diving_10m",
)  # fmt: skip  # 1..6; trampoline is left out
FRAMES = 103
HDF5 = b"\x89HDF\r\n\x1a\n"
# The class's lowest and highest score as the released CoRe has them
PAPER_RANGE = {
    "diving": (21.6, 102.6), "gym_vault": (12.3, 16.87), "ski_big_air": (8.0, 50.0),
    "snowboard_big_air": (8.0, 50.0), "sync_diving_3m": (46.2, 104.88),
    "sync_diving_10m": (49.8, 99.36),
}  # fmt: skip
CARD = {
    "source": "AQA-7, from its authors",
    "licence": "research data of the AQA-7 authors: ask them before you pass anything on",
    "citation": "Parmar and Morris, Action Quality Assessment Across Multiple Actions (WACV 2019)",
    "protocol": "fixed",
    "pairing_key": None,
    "divided_by_difficulty": False,
    "frame_rate": None,
    "frame_size": None,
    "left_out": [],
}


def read_split(path: Path, split: str) -> tuple[list[tuple[int, int, float, int]], list[str]]:
    """[(class 1..6, sample, score, row)] of a split list, and a line for every wrong row."""
    table = _read_list(path, f"consolidated_{split}_list")
    if isinstance(table, str):
        return [], [f"{path}: {table}"]
    rows, problems = [], []
    for number, (kind, sample, score) in enumerate(table.astype(float), 1):
        if kind not in range(1, 8):
            wrong = f"class {kind:g}; it must be 1..6 ({', '.join(CLASSES)}), or 7 for trampoline"
        elif not (np.isfinite(sample) and 1 <= sample < 10**6 and sample == int(sample)):
            wrong = f"sample number {sample:g}; it must be a whole number from 1"
        elif not np.isfinite(score):
            wrong = (
                f"the score of class {kind:g} sample {sample:g} is {score:g}; it must be a finite"
                " number"
            )
        else:
            if kind <= len(CLASSES):
                rows.append((int(kind), int(sample), float(score), number))
            continue
        problems.append(f"{path} row {number}: {wrong}")
    return rows, problems


def _read_list(path: Path, name: str) -> np.ndarray | str:
    """The variable `name` of a .mat file, rows of three numbers; or what is wrong with it."""
    if not path.is_file():
        return "no such file; AQA-7's Split_4 holds it"
    with path.open("rb") as file:
        start = file.read(600)
    if start.startswith(b"MATLAB 7.3") or HDF5 in start:
        again = "save it again as version 7: save(..., '-v7') in MATLAB, scipy.io.savemat in Python"
        return f"a .mat file of version 7.3 (HDF5), which is not read here; {again}"
    try:
        content = scipy.io.loadmat(path, variable_names=[name])
        known = ", ".join(variable for variable, *_ in scipy.io.whosmat(path))
    except Exception as error:  # damaged bytes raise nearly anything
        return f"cannot be read as a .mat file ({one_line(error)}); get it again"
    if name not in content:
        return f"expected the variable {name}, found {one_line(known or 'none')}"
    table = content[name]
    if scipy.sparse.issparse(table):
        return f"{name} is a sparse matrix; save it as a full one, full({name})"
    if table.ndim != 2 or table.shape[1] != 3 or len(table) == 0 or table.dtype.kind not in "iuf":
        found = f"{table.dtype} {list(table.shape)}"
        return f"{name} must be rows of three numbers (class, sample, score), not {found}"
    return table


def read_aqa7(raw: Path, classes=CLASSES) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """{class: its samples} of the official split, and a line for all that is wrong with them.

    samples  id, split, score, media (relative to `raw`), class; train rows first, in the lists'
             order
    """
    rows, problems, seen = [], [], {}
    for split in ("train", "test"):
        path = raw / "Split_4" / f"split_4_{split}_list.mat"
        found, wrong = read_split(path, split)
        problems += wrong
        for kind, sample, score, number in found:
            where, name = f"{path} row {number}", CLASSES[kind - 1]
            if seen.setdefault((kind, sample), where) == where:
                rows.append((f"{name}-{sample:03d}", split, score, name, sample))
            else:
                there = seen[kind, sample]
                problems.append(f"{where}: {name} {sample:03d} stands in {there} already")
    samples = pd.DataFrame(rows, columns=["id", "split", "score", "class", "sample"])
    tables = {}
    for name in classes:
        table = samples[samples["class"] == name].reset_index(drop=True)
        missing = [split for split in ("train", "test") if not (table["split"] == split).any()]
        if missing and not problems:
            problems.append(f"{raw / 'Split_4'}: no {' and no '.join(missing)} sample of {name}")
        media, wrong = _find_media(raw, name, table["sample"])
        problems += wrong
        table.insert(3, "media", media)
        tables[name] = table.drop(columns="sample")
    return tables, problems


def _find_media(raw: Path, name: str, samples) -> tuple[list[str], list[str]]:
    """(media of each sample, what is wrong): a folder of frames is preferred to a video."""
    folder = raw / f"{name}-out"
    if not folder.is_dir():
        return [""] * len(samples), [
            f"{folder}: no such folder; {len(samples)} samples of {name} should lie there"
        ]
    media, problems = [], []
    for sample in samples:
        path = folder / f"{sample:03d}"
        path = path if path.is_dir() else path.with_suffix(".avi")
        media.append(path.relative_to(raw).as_posix())
        try:
            if path.is_dir():
                _check_frames(path)
            elif not path.is_file():
                frames = path.with_suffix("")
                problems.append(f"{frames}: neither this folder of frames nor {path.name} is there")
            else:
                check_video(path)
        except VideoError as error:
            problems.append(str(error))
    return media, problems


def _check_frames(folder: Path) -> None:
    names = frame_names(folder)
    expected = [f"img_{number:05d}.jpg" for number in range(1, FRAMES + 1)]
    missing = sorted(set(expected) - set(names))
    if missing:
        raise VideoError(
            f"{folder}: {len(missing)} of {FRAMES} frames are missing, the first is {missing[0]}"
        )
    if len(names) > FRAMES:
        raise VideoError(
            f"{folder}: {len(names)} images where {FRAMES} belong, for example"
            f" {sorted(set(names) - set(expected))[0]}"
        )


def prepare_aqa7(
    raw: Path,
    out: Path,
    *,
    classes=CLASSES,
    percent_range: str = "training",
    overwrite: bool = False,
) -> list[tuple[Path, dict, pd.DataFrame, bool]]:
    """Write out/aqa7-<class> for every class; they point to the frames and copy none.

    percent_range  the scores that a recipe with target_unit=percent calls 0 and 100: "training",
                   the class's lowest and highest training score, or "paper", the constants of the
                   released code

    Returns (folder, card, samples, written) a class; a folder that holds the same already is kept,
    so an interrupted command is completed by repeating it. Raises DatasetError that lists
    everything wrong with all classes, before anything is written, and FileExistsError for folders
    that hold something else.
    """
    tables, problems = read_aqa7(raw, classes)
    refuse(raw, problems)
    plan = []
    for name, table in tables.items():
        learnt = table[table["split"] == "train"]["score"]
        low, high = PAPER_RANGE[name] if percent_range == "paper" else (learnt.min(), learnt.max())
        scores = (float(np.floor(table["score"].min())), float(np.ceil(table["score"].max())))
        card = {"name": f"aqa7-{name.replace('_', '-')}"}
        card |= {"title": f"AQA-7, {name.replace('_', ' ')}"} | CARD
        card |= {
            "score_range": list(scores),
            "percent_range": [float(low), float(high)],
            "percent_range_from": percent_range,
            "raw_root": str(raw.resolve()),
        }
        plan.append((out / card["name"], card, table))
    return write_datasets(plan, overwrite=overwrite)


@command(__doc__)
@place_option("--raw", FOLDER_THERE, "AQA-7's folder, with Split_4/ and diving-out/ and so on.")
@out_option("Folder that gets aqa7-diving/, aqa7-gym-vault/ and so on.")
@several_option("--class", "classes", CLASSES, "six")
@choice_option(
    "--range",
    ("training", "paper"),
    "What target_unit=percent calls 0 and 100: of the training scores, or the released code's"
    " constants.",
    "percent_range",
)
@overwrite_several_option
def main(raw, out, classes, **options):
    classes = tuple(dict.fromkeys(classes)) or CLASSES
    results = prepare_aqa7(raw, out, classes=classes, **options)
    for folder, card, samples, written in results:
        counts = samples["split"].value_counts()
        low, high = card["percent_range"]
        scores = f"{samples['score'].min():g} to {samples['score'].max():g}"
        message = (
            f"{folder}: {counts['train']} train, {counts['test']} test samples, scores {scores},"
            f" percent of {low:g} to {high:g}"
        )
        click.echo(message if written else f"{message}; kept, it was finished already")


if __name__ == "__main__":
    main()
