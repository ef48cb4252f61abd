"""Turn JIGSAWS (official videos and skill ratings) into one dataset a task, tested by folds.

RAW/<Task>/video/<Task>_<trial>_capture1.avi    the left camera; _capture2.avi is the right one
RAW/<Task>/meta_file_<Task>.txt                 a row a trial: name, self-proclaimed level, GRS
total, its six items
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd

from corelib.data.video import VideoError
from data_scripts.prepared.datasets import refuse, write_datasets
from data_scripts.prepared.options import (
    FILE_THERE,
    FOLDER_THERE,
    choice_option,
    command,
    optional_place,
    out_option,
    overwrite_several_option,
    place_option,
    several_option,
)
from data_scripts.readers.jigsaws_files import (
    ITEMS,
    TASKS,
    is_trial,
    read_labels,
    read_meta,
    read_splits,
)
from data_scripts.readers.video_check import check_video

CAMERAS = {"left": 1, "right": 2}  # the number in a video's name
CARD = {
    "source": "JIGSAWS, the JHU-ISI Gesture and Skill Assessment Working Set, from its owners",
    "licence": "the data need the owners' form; their page states the terms",
    "citation": "Gao et al., JHU-ISI Gesture and Skill Assessment Working Set (JIGSAWS)"
    " (M2CAI workshop 2014)",
    "score_range": [6, 30],
    "protocol": "folds",
    "pairing_key": None,
    "divided_by_difficulty": False,
    "frame_rate": None,
    "frame_size": None,
    "frames": 160,  # a video, in the published setting; a recipe takes what its own knob says
}
GIVEN = "in the file given with --labels"
SPLITS_CITATION = "; folds as published with USDL: Tang et al. (CVPR 2020)"


def _user(trial: str) -> str:
    return trial[-4]


def _repetition(trial: str) -> int:
    return int(trial[-3:])


def folds_by(part, trials) -> dict[str, int]:
    """{trial: fold}: one user or repetition, part(trial), is held out at a time, in their order."""
    parts = sorted({part(trial) for trial in trials})
    return {trial: parts.index(part(trial)) for trial in trials}


@dataclass(frozen=True)
class Choices:
    """How the tasks are read.

    folds   "published" (of the file `splits`), "user" or "supertrial" (one held out at a time)
    labels  a file of {trial: six items} in place of the meta files; what both have must agree
    camera  "left" or "right"
    """

    folds: str = "published"
    splits: Path | None = None
    labels: Path | None = None
    camera: str = "left"


def read_task(
    raw: Path, task: str, choices: Choices, labels: dict[str, list[int]] | None = None
) -> tuple[pd.DataFrame, list[dict], list[str]]:
    """One task of JIGSAWS's folder `raw`: (samples, left_out, problems); nothing is written.

    labels  what the file choices.labels holds

    samples, a row a trial in the order of their names: id, split (the fold that tests it), score
    (the GRS total), media, user, supertrial, level (empty where no meta file tells it), item_1 ..
    item_6. left_out: {id, reason} of every trial without label, fold or video, the folds of the
    others stay as they are. problems: a line for every row, entry and video that is wrong, and for
    a fold that would have no trial left.
    """
    path = raw / task / f"meta_file_{task}.txt"
    if labels is None and not path.is_file():
        missing = "no such file; name the tasks you have with --task, or give USDL's label.pkl with"
        return pd.DataFrame(), [], [f"{path}: {missing} --labels"]
    levels, items, problems = _rated(path, task, labels)
    if choices.folds == "published":
        fold_of, wrong = read_splits(choices.splits, task)
        problems += wrong
    else:
        fold_of = folds_by(_user if choices.folds == "user" else _repetition, items)
    rows, left_out = [], []
    for trial in sorted(items.keys() | levels.keys() | fold_of.keys()):
        media = f"{task}/video/{trial}_capture{CAMERAS[choices.camera]}.avi"
        if trial not in items:
            reason = f"no label {GIVEN}" if labels is not None else "no label"
        elif trial not in fold_of:
            reason = "in no fold"
        elif not (raw / media).is_file():
            reason = f"no video {media}"
        else:
            problems += video_problems(raw / media)
            level = levels.get(trial, "")
            rows.append(_sample(trial, fold_of[trial], media, level, items[trial]))
            continue
        left_out.append({"id": trial, "reason": reason})
    problems = problems or _empty_folds(raw / task, fold_of, rows, left_out)
    return pd.DataFrame(rows), left_out, problems


def _rated(
    path: Path, task: str, labels: dict[str, list[int]] | None
) -> tuple[dict[str, str], dict[str, list[int]], list[str]]:
    """({trial: level} of the meta file, {trial: items} of `labels` or else of it, problems)."""
    meta, problems = read_meta(path, task) if path.is_file() else ({}, [])
    levels = {trial: level for trial, (level, _) in meta.items()}
    items = {trial: marks for trial, (_, marks) in meta.items()}
    if labels is None:
        return levels, items, problems
    given = {trial: marks for trial, marks in labels.items() if is_trial(trial, task)}
    differing = [
        f"{trial}: the items are {given[trial]} {GIVEN}, but {marks} in {path}"
        for trial, marks in items.items()
        if given.get(trial, marks) != marks
    ]
    return levels, given, problems + differing


def _sample(trial: str, fold: int, media: str, level: str, items: list[int]) -> dict:
    sample = {"id": trial, "split": fold, "score": sum(items), "media": media}
    sample |= {"user": _user(trial), "supertrial": _repetition(trial), "level": level}
    return sample | dict(zip(ITEMS, items, strict=True))


def video_problems(path: Path) -> list[str]:
    """What is wrong with a video, at most one line: not to be opened, no frame, or no end."""
    try:
        check_video(path)
    except VideoError as error:
        return [str(error)]
    return []


def _empty_folds(
    folder: Path, fold_of: dict[str, int], rows: list[dict], left_out: list[dict]
) -> list[str]:
    """A line for every fold without a trial left, and where there are no two folds."""
    reason = {entry["id"]: entry["reason"] for entry in left_out}
    if not rows:
        example = next((f", for example {trial}: {why}" for trial, why in reason.items()), "")
        return [
            f"{folder}: no trial has a label, a fold and a video{example}; name the tasks you have"
            " with --task"
        ]
    count = max(fold_of.values()) + 1
    if count == 1:
        return [
            f"{folder}: all trials are in one fold, which leaves none to learn from; choose other"
            " --folds"
        ]
    empty = sorted(set(range(count)) - {row["split"] for row in rows})
    why = {
        fold: [f"{trial}: {reason[trial]}" for trial in sorted(fold_of) if fold_of[trial] == fold]
        for fold in empty
    }
    return [f"{folder}: fold {fold} would be empty: " + "; ".join(why[fold]) for fold in empty]


def prepare_jigsaws(
    raw: Path, out: Path, *, tasks=tuple(TASKS), overwrite: bool = False, **choices
) -> list[tuple[Path, dict, pd.DataFrame, bool]]:
    """Write out/jigsaws-<task> for every task; they point to the videos and copy none.

    choices  fields of Choices

    Returns (folder, card, samples, written) a task; a folder that holds the same card and table
    already is kept. Everything is checked before anything is written, so an interrupted command
    goes on when it is repeated. Raises DatasetError that lists every offending row, entry and video
    of all tasks, and FileExistsError that lists the folders that hold something else, unless
    `overwrite`.
    """
    choices = Choices(**choices)
    labels, problems = read_labels(choices.labels) if choices.labels else (None, [])
    citation = CARD["citation"] + (SPLITS_CITATION if choices.folds == "published" else "")
    plan = []
    for task in tasks:
        samples, left_out, wrong = read_task(raw, task, choices, labels)
        problems += wrong
        title = f"JIGSAWS, {task.replace('_', ' ')}: surgical skill rated by six items"
        card = {"name": f"jigsaws-{TASKS[task]}", "title": title} | CARD
        card |= {
            "citation": citation,
            "left_out": left_out,
            "raw_root": str(raw.resolve()),
            "camera": choices.camera,
            "folds": choices.folds,
        }
        plan.append((out / card["name"], card, samples))
    refuse(raw, problems)
    return write_datasets(plan, overwrite=overwrite)


@command(__doc__)
@place_option(
    "--raw", FOLDER_THERE, "JIGSAWS's folder, with Suturing/, Needle_Passing/, Knot_Tying/."
)
@out_option("Folder that gets jigsaws-suturing/, jigsaws-needle-passing/, jigsaws-knot-tying/.")
@several_option("--task", "tasks", TASKS, "three")
@choice_option(
    "--folds",
    ("published", "user", "supertrial"),
    "The folds of --splits, or one user or one repetition held out at a time.",
)
@optional_place("--splits", FILE_THERE, "USDL's splits.pkl, for the published folds.")
@optional_place("--labels", FILE_THERE, "USDL's label.pkl in place of the meta files.")
@choice_option("--camera", CAMERAS, "capture1 is the left one, capture2 the right one.")
@overwrite_several_option
def main(raw, out, tasks, **options):
    if (options["folds"] == "published") != (options["splits"] is not None):
        raise click.UsageError(
            "the published folds are read from USDL's splits.pkl: give --splits FILE with --folds"
            " published, and with no other"
        )
    tasks = tuple(dict.fromkeys(tasks)) or tuple(TASKS)
    for folder, card, samples, written in prepare_jigsaws(raw, out, tasks=tasks, **options):
        sizes = ", ".join(map(str, samples["split"].value_counts().sort_index()))
        message = (
            f"{folder}: {len(samples)} trials, {card['camera']} camera, {card['folds']} folds of"
            f" {sizes}"
        )
        click.echo(message if written else f"{message}; kept, it was finished already")
        for entry in card["left_out"]:
            click.echo(f"left out: {entry['id']}: {entry['reason']}")


if __name__ == "__main__":
    main()
