"""Turn JIGSAWS (official videos and skill ratings) into one prepared dataset a task, tested by
folds.

RAW/<Task>/video/<Task>_<trial>_capture1.avi    the left camera; _capture2.avi is the right one
RAW/<Task>/meta_file_<Task>.txt                 a row a trial: name, self-proclaimed level, GRS
total, its six items
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.data.preparation import write_datasets
from corelib.data.samples import DatasetError
from corelib.data.video import VideoError
from corelib.machine.commands import Command, Place
from data_scripts.readers.pickles import load_pickle
from data_scripts.readers.video_check import check_video

TASKS = {"Suturing": "suturing", "Needle_Passing": "needle-passing", "Knot_Tying": "knot-tying"}
CAMERAS = {"left": 1, "right": 2}  # the number in a video's name
COLUMNS = 9  # of a meta file: trial, level, total, six items
ITEMS = tuple(f"item_{number}" for number in range(1, 7))
PUBLISHED_FOLDS = 4
CARD = {
    "source": "JIGSAWS, the JHU-ISI Gesture and Skill Assessment Working Set, from its owners",
    "licence": "the data need the owners' form; their page states the terms",
    "citation": (
        "Gao et al., JHU-ISI Gesture and Skill Assessment Working Set (JIGSAWS) (M2CAI workshop"
        " 2014)"
    ),
    "score_range": [6, 30],
    "protocol": "folds",
    "pairing_key": None,
    "divided_by_difficulty": False,
    "frame_rate": None,
    "frame_size": None,
    "frames": 160,  # a video, in the published setting; a recipe takes what its own knob says
}
SPLITS_CITATION = "; folds as published with USDL: Tang et al. (CVPR 2020)"


def read_meta(path: Path, task: str) -> tuple[dict[str, tuple[str, list[int]]], list[str]]:
    """{trial: (level, its six items)} of a meta file, and a line for every row that cannot be
    right."""
    found, lines, problems = {}, {}, []
    for number, line in enumerate(
        path.read_bytes().decode("utf-8-sig", errors="replace").splitlines(), 1
    ):
        cells = line.split()
        if not cells:
            continue
        trial, items = cells[0], [int(cell) if cell.isdecimal() else cell for cell in cells[3:]]
        if len(cells) != COLUMNS:
            wrong = (
                f"expected {COLUMNS} columns (trial, level, total, six items), found {len(cells)}:"
                f" {line.strip()!r}"
            )
        elif not _is_trial(trial, task):
            wrong = (
                f"{trial!r} is no trial of {task}; a name is {task}_, the user's letter, three"
                " digits"
            )
        elif trial in found:
            wrong = f"{trial} is in line {lines[trial]} already"
        elif not _are_items(items):
            wrong = (
                f"{trial}: the items are {' '.join(cells[3:])}; they must be six whole numbers 1"
                " to 5"
            )
        elif cells[2] != str(sum(items)):
            wrong = f"{trial}: the total is {cells[2]}, but its six items add up to {sum(items)}"
        else:
            found[trial], lines[trial] = (cells[1], items), number
            continue
        problems.append(f"{path} line {number}: {wrong}")
    return found, problems


def read_labels(path: Path) -> tuple[dict[str, list[int]], list[str]]:
    """{trial: its six items} of USDL's label.pkl, all tasks, and a line for every entry that cannot
    be right."""
    content = load_pickle(path)
    if not isinstance(content, Mapping):
        raise DatasetError(
            f"{path}: expected a dictionary trial -> six items, found {type(content).__name__}"
        )
    found, problems = {}, []
    for trial, items in content.items():
        items = _listed(items) or items
        if not any(_is_trial(trial, task) for task in TASKS):
            problems.append(
                f"{path} entry {trial!r}: no trial of {', '.join(TASKS)}; a name is like"
                " Suturing_B001"
            )
        elif not _are_items(items):
            problems.append(
                f"{path} entry {trial!r}: the items are {items!r}; they must be six whole numbers 1"
                " to 5"
            )
        else:
            found[trial] = [int(item) for item in items]
    return found, problems


def read_splits(path: Path, task: str) -> tuple[dict[str, int], list[str]]:
    """{trial: number of the fold that tests it} of USDL's splits.pkl, and a line for every entry
    that cannot be right."""
    content = load_pickle(path)
    lists = _listed(content.get(task)) if isinstance(content, Mapping) else None
    lists = [_listed(fold) for fold in lists or ()]
    if len(lists) != PUBLISHED_FOLDS or None in lists:
        return {}, [
            f"{path}: expected {PUBLISHED_FOLDS} lists of trials under {task!r}; the published file"
            " has them"
        ]
    found, problems = {}, []
    for fold, trials in enumerate(lists):
        for row, trial in enumerate(trials):
            where = f"{path} {task}, fold {fold} entry {row}"
            if not _is_trial(trial, task):
                problems.append(
                    f"{where}: {trial!r} is no trial of {task}; a name is {task}_, the user's"
                    " letter, three digits"
                )
            elif trial in found:
                problems.append(f"{where}: {trial} is in fold {found[trial]} already")
            else:
                found[trial] = fold
        if not trials:
            problems.append(f"{path} {task}, fold {fold}: is empty, so it tests nothing")
    return found, problems


def _listed(values: object) -> list | None:
    """A list, a tuple or an array as a list; None for anything else."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return list(values) if isinstance(values, list | tuple) else None


def _is_trial(name: object, task: str) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{task}_[A-Z][0-9]{{3}}", name) is not None


def _are_items(items: object) -> bool:
    sound = isinstance(items, list | tuple) and len(items) == len(ITEMS)
    return sound and all(
        isinstance(item, int | float | np.number) and item in (1, 2, 3, 4, 5) for item in items
    )


def _user(trial: str) -> str:
    return trial[-4]


def _repetition(trial: str) -> int:
    return int(trial[-3:])


def folds_by(part, trials) -> dict[str, int]:
    """{trial: fold} that holds out one user or one repetition at a time: the place of part(trial)
    in sorted order."""
    parts = sorted({part(trial) for trial in trials})
    return {trial: parts.index(part(trial)) for trial in trials}


def read_task(
    raw: Path,
    task: str,
    *,
    folds: str = "published",
    splits: Path | None = None,
    labels: dict[str, list[int]] | None = None,
    camera: str = "left",
) -> tuple[pd.DataFrame, list[dict], list[str]]:
    """One task: (samples, left_out, problems); nothing is written.

    raw     JIGSAWS's folder
    folds   "published" (of the file `splits`), "user" or "supertrial" (one held out at a time)
    labels  {trial: six items} in place of the meta file's; what both have must agree

    samples, a row a trial in the order of their names: id, split (the fold that tests it), score
    (the GRS total), media, user, supertrial, level (empty where no meta file tells it), item_1 ..
    item_6. left_out: {id, reason} of every trial without label, fold or video, the folds of the
    others stay as they are. problems: a line for every row, entry and video that is wrong, and for
    a fold that would have no trial left.
    """
    meta_path, meta, problems = raw / task / f"meta_file_{task}.txt", {}, []
    if meta_path.is_file():
        meta, problems = read_meta(meta_path, task)
    elif labels is None:
        return (
            pd.DataFrame(),
            [],
            [
                f"{meta_path}: no such file; name the tasks you have with --task, or give USDL's"
                " label.pkl with --labels"
            ],
        )
    items = {trial: marks for trial, (_, marks) in meta.items()}
    no_label = "no label"
    if labels is not None:
        items = {trial: marks for trial, marks in labels.items() if _is_trial(trial, task)}
        no_label = "no label in the file given with --labels"
        problems += [
            f"{trial}: the items are {items[trial]} in the file given with --labels, but {marks} in"
            f" {meta_path}"
            for trial, (_, marks) in meta.items()
            if items.get(trial, marks) != marks
        ]
    if folds == "published":
        fold_of, wrong = read_splits(splits, task)
        problems += wrong
    else:
        fold_of = folds_by(_user if folds == "user" else _repetition, items)
    rows, left_out = [], []
    for trial in sorted(items.keys() | meta.keys() | fold_of.keys()):
        media = f"{task}/video/{trial}_capture{CAMERAS[camera]}.avi"
        if trial not in items:
            left_out.append({"id": trial, "reason": no_label})
        elif trial not in fold_of:
            left_out.append({"id": trial, "reason": "in no fold"})
        elif not (raw / media).is_file():
            left_out.append({"id": trial, "reason": f"no video {media}"})
        else:
            problems += video_problems(raw / media)
            rows.append(
                {
                    "id": trial,
                    "split": fold_of[trial],
                    "score": sum(items[trial]),
                    "media": media,
                    "user": _user(trial),
                    "supertrial": _repetition(trial),
                    "level": meta[trial][0] if trial in meta else "",
                    **dict(zip(ITEMS, items[trial], strict=True)),
                }
            )
    return (
        pd.DataFrame(rows),
        left_out,
        problems or _empty_folds(raw, task, fold_of, rows, left_out),
    )


def video_problems(path: Path) -> list[str]:
    """What is wrong with a video file, at most one line: it cannot be opened, has no frame, or lost
    its end."""
    try:
        check_video(path)
    except VideoError as error:
        return [str(error)]
    return []


def _empty_folds(
    raw: Path, task: str, fold_of: dict, rows: list[dict], left_out: list[dict]
) -> list[str]:
    """A line for every fold without a trial left; folds of nothing, or a single one, cannot be
    trained on either."""
    reason = {entry["id"]: entry["reason"] for entry in left_out}
    if not rows:
        example = next((f", for example {trial}: {why}" for trial, why in reason.items()), "")
        return [
            f"{raw / task}: no trial has a label, a fold and a video{example}; name the tasks you"
            " have with --task"
        ]
    count = max(fold_of.values()) + 1
    if count == 1:
        return [
            f"{raw / task}: all trials are in one fold, which leaves none to learn from; choose"
            " other --folds"
        ]
    kept = {row["split"] for row in rows}
    return [
        f"{raw / task}: fold {fold} would be empty: "
        + "; ".join(
            f"{trial}: {reason[trial]}" for trial in sorted(fold_of) if fold_of[trial] == fold
        )
        for fold in range(count)
        if fold not in kept
    ]


def prepare_jigsaws(
    raw: Path,
    out: Path,
    *,
    tasks=tuple(TASKS),
    folds: str = "published",
    splits: Path | None = None,
    labels: Path | None = None,
    camera: str = "left",
    overwrite: bool = False,
) -> list[tuple[Path, dict, pd.DataFrame, bool]]:
    """Write out/jigsaws-<task> for every task; they point to the videos and copy none.

    Returns (folder, card, samples, written) a task; a folder that holds the same card and table
    already is kept. Everything is checked before anything is written, so an interrupted command
    goes on when it is repeated. Raises DatasetError that lists every offending row, entry and video
    of all tasks, and FileExistsError that lists the folders that hold something else, unless
    `overwrite`.
    """
    items, problems = read_labels(labels) if labels else (None, [])
    plan = []
    for task in tasks:
        samples, left_out, wrong = read_task(
            raw, task, folds=folds, splits=splits, labels=items, camera=camera
        )
        problems += wrong
        published = SPLITS_CITATION if folds == "published" else ""
        card = {
            "name": f"jigsaws-{TASKS[task]}",
            "title": f"JIGSAWS, {task.replace('_', ' ')}: surgical skill rated by six items",
        } | CARD
        card |= {
            "citation": CARD["citation"] + published,
            "left_out": left_out,
            "raw_root": str(raw.resolve()),
            "camera": camera,
            "folds": folds,
        }
        plan.append((out / card["name"], card, samples))
    if problems:
        raise DatasetError(f"{raw}: {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    written = write_datasets(plan, overwrite=overwrite)
    return [(*entry, new) for entry, new in zip(plan, written, strict=True)]


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.option(
    "--raw",
    required=True,
    type=Place(exists=True, file_okay=False, path_type=Path),
    help="JIGSAWS's folder, with Suturing/, Needle_Passing/, Knot_Tying/.",
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Folder that gets jigsaws-suturing/, jigsaws-needle-passing/, jigsaws-knot-tying/.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(list(TASKS)),
    help="Only this one; may be repeated.  [default: all three]",
    show_default=False,
)
@click.option(
    "--folds",
    type=click.Choice(["published", "user", "supertrial"]),
    default="published",
    help="The folds of --splits, or one user or one repetition held out at a time.",
)
@click.option(
    "--splits",
    type=Place(exists=True, dir_okay=False, path_type=Path),
    help="USDL's splits.pkl, for the published folds.",
)
@click.option(
    "--labels",
    type=Place(exists=True, dir_okay=False, path_type=Path),
    help="USDL's label.pkl in place of the meta files.",
)
@click.option(
    "--camera",
    type=click.Choice(list(CAMERAS)),
    default="left",
    help="capture1 is the left one, capture2 the right one.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace datasets that differ from what would be written."
)
def main(raw, out, tasks, folds, splits, labels, camera, overwrite):
    if (folds == "published") != (splits is not None):
        raise click.UsageError(
            "the published folds are read from USDL's splits.pkl: give --splits FILE with --folds"
            " published, and with no other"
        )
    tasks = tuple(dict.fromkeys(tasks)) or tuple(TASKS)
    results = prepare_jigsaws(
        raw,
        out,
        tasks=tasks,
        folds=folds,
        splits=splits,
        labels=labels,
        camera=camera,
        overwrite=overwrite,
    )
    for folder, card, samples, written in results:
        sizes = samples["split"].value_counts().sort_index().tolist()
        message = (
            f"{folder}: {len(samples)} trials, {card['camera']} camera, {folds} folds of"
            f" {', '.join(map(str, sizes))}"
        )
        click.echo(message if written else f"{message}; kept, it was finished already")
        for entry in card["left_out"]:
            click.echo(f"left out: {entry['id']}: {entry['reason']}")


if __name__ == "__main__":
    main()
