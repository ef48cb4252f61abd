"""The files of JIGSAWS and USDL that say how each trial was rated, and which fold tests it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from corelib.data.samples import DatasetError
from data_scripts.readers.pickles import listed, load_pickle

TASKS = {"Suturing": "suturing", "Needle_Passing": "needle-passing", "Knot_Tying": "knot-tying"}
COLUMNS = 9  # of a meta file: trial, level, total, six items
ITEMS = tuple(f"item_{number}" for number in range(1, 7))
PUBLISHED_FOLDS = 4
SIX = "they must be six whole numbers 1 to 5"


def read_meta(path: Path, task: str) -> tuple[dict[str, tuple[str, list[int]]], list[str]]:
    """{trial: (level, its six items)} of a meta file, and a line for every row that is wrong."""
    found, lines, problems = {}, {}, []
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        trial, items = cells[0], [int(cell) if cell.isdecimal() else cell for cell in cells[3:]]
        if len(cells) != COLUMNS:
            wrong = (
                f"expected {COLUMNS} columns (trial, level, total, six items), found {len(cells)}:"
                f" {line.strip()!r}"
            )
        elif not is_trial(trial, task):
            wrong = _no_trial(trial, task)
        elif trial in found:
            wrong = f"{trial} is in line {lines[trial]} already"
        elif not _are_items(items):
            wrong = f"{trial}: the items are {' '.join(cells[3:])}; {SIX}"
        elif cells[2] != str(sum(items)):
            wrong = f"{trial}: the total is {cells[2]}, but its six items add up to {sum(items)}"
        else:
            found[trial], lines[trial] = (cells[1], items), number
            continue
        problems.append(f"{path} line {number}: {wrong}")
    return found, problems


def read_labels(path: Path) -> tuple[dict[str, list[int]], list[str]]:
    """{trial: its six items} of USDL's label.pkl, and a line for every entry that is wrong."""
    content = load_pickle(path)
    if not isinstance(content, Mapping):
        raise DatasetError(
            f"{path}: expected a dictionary trial -> six items, found {type(content).__name__}"
        )
    found, problems = {}, []
    for trial, items in content.items():
        items, where = listed(items) or items, f"{path} entry {trial!r}"
        if not any(is_trial(trial, task) for task in TASKS):
            problems.append(
                f"{where}: no trial of {', '.join(TASKS)}; a name is like Suturing_B001"
            )
        elif not _are_items(items):
            problems.append(f"{where}: the items are {items!r}; {SIX}")
        else:
            found[trial] = [int(item) for item in items]
    return found, problems


def read_splits(path: Path, task: str) -> tuple[dict[str, int], list[str]]:
    """{trial: number of the fold that tests it} of USDL's splits.pkl, and a line a wrong entry."""
    content = load_pickle(path)
    lists = listed(content.get(task)) if isinstance(content, Mapping) else None
    lists = [listed(fold) for fold in lists or ()]
    if len(lists) != PUBLISHED_FOLDS or None in lists:
        expected = f"{PUBLISHED_FOLDS} lists of trials under {task!r}"
        return {}, [f"{path}: expected {expected}; the published file has them"]
    found, problems = {}, []
    for fold, trials in enumerate(lists):
        for row, trial in enumerate(trials):
            where = f"{path} {task}, fold {fold} entry {row}"
            if not is_trial(trial, task):
                problems.append(f"{where}: {_no_trial(trial, task)}")
            elif trial in found:
                problems.append(f"{where}: {trial} is in fold {found[trial]} already")
            else:
                found[trial] = fold
        if not trials:
            problems.append(f"{path} {task}, fold {fold}: is empty, so it tests nothing")
    return found, problems


def is_trial(name: object, task: str) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{task}_[A-Z][0-9]{{3}}", name) is not None


def _no_trial(name: object, task: str) -> str:
    return f"{name!r} is no trial of {task}; a name is {task}_, the user's letter, three digits"


def _are_items(items: object) -> bool:
    sound = isinstance(items, list | tuple) and len(items) == len(ITEMS)
    return sound and all(
        isinstance(item, int | float | np.number) and item in (1, 2, 3, 4, 5) for item in items
    )
