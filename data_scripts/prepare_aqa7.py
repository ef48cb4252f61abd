"""Turn AQA-7 (official split lists, frame folders or .avi) into one prepared dataset a class.

RAW/Split_4/split_4_{train,test}_list.mat      rows class 1..6, sample number, score; or
RAW/consolidated_{train,test}_list.mat         the same rows, scores x 100
RAW/<class>-out/{sample:03d}/img_{i:05d}.jpg   103 frames, from 1; or
RAW/<class>-out/{sample:03d}.avi
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.data.video import VideoError, frame_names
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
from data_scripts.readers.aqa7_lists import CLASSES, HUNDREDFOLD, PAPER_RANGE, list_path, read_split
from data_scripts.readers.video_check import check_video

FRAMES = 103
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


def read_aqa7(raw: Path, classes=CLASSES) -> tuple[dict[str, pd.DataFrame], str, list[str]]:
    """({class: its samples} of the official split, their scale in words, a line a problem).

    samples  id, split, score (as judged), media (relative to `raw`), class; train rows first, in
             the lists' order
    """
    rows, problems, seen, divided = [], [], {}, []
    for split in ("train", "test"):
        path = list_path(raw, split)
        found, hundredfold, wrong = read_split(path, split)
        problems += wrong
        divided += [path.name] if hundredfold else []
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
            lists = list_path(raw, missing[0]).parent
            problems.append(f"{lists}: no {' and no '.join(missing)} sample of {name}")
        media, wrong = _find_media(raw, name, table["sample"])
        problems += wrong
        table.insert(3, "media", media)
        tables[name] = table.drop(columns="sample")
    scale = f"as judged; those of {' and '.join(divided)} were divided by {HUNDREDFOLD}"
    return tables, scale if divided else "as judged", problems


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
    tables, scale, problems = read_aqa7(raw, classes)
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
            "score_scale": scale,
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
    click.echo(f"scores: {results[0][1]['score_scale']}")
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
