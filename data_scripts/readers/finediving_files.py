"""FineDiving's annotations, as a pickle or JSON: what each says of its dive, and what is off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from corelib.data.samples import DatasetError
from corelib.machine.messages import one_line
from data_scripts.dives.rules import panel_score, parse_dive_number
from data_scripts.readers.dive_annotations import NO_NUMBER, OFF_RULE, ROUNDING, check_annotation
from data_scripts.readers.pickles import listed, load_pickle

KEYS = ("action_type", "start_frame", "end_frame", "dive_score", "difficulty", "judge_scores")
NO_RULE = "a panel without a rule"


def load(path: Path) -> object:
    if path.suffix.lower() != ".json":
        return load_pickle(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {one_line(error)}") from None


def read_annotations(path: Path) -> tuple[dict[tuple[str, str], object], list[str]]:
    """{(event, dive): annotation}, in this order, and what is wrong with the keys."""
    content = load(path)
    if path.suffix.lower() == ".json":
        entries = [content] if isinstance(content, dict) else content
        keyed = isinstance(entries, list) and all(
            isinstance(entry, dict) and "key" in entry for entry in entries
        )
        if not keyed:
            raise DatasetError(
                f'{path}: expected an annotation with its "key": [event, dive], or a list of such'
                " annotations"
            )
        pairs = [(entry["key"], entry) for entry in entries]
    elif isinstance(content, Mapping):
        pairs = list(content.items())
    else:
        kind = type(content).__name__
        raise DatasetError(
            f"{path}: expected a dictionary (event, dive) -> annotation, not a {kind}"
        )
    if not pairs:
        raise DatasetError(f"{path}: holds no dive")
    dives, problems = {}, []
    for written, dive in pairs:
        try:
            key = dive_key(written)
            if key in dives:
                raise ValueError("this dive is annotated twice")
            dives[key] = dive
        except ValueError as error:
            problems.append(f"{path.name} {one_line(repr(written))}: {error}")
    return {key: dives[key] for key in sorted(dives, key=_order)}, problems


def dive_key(written: object) -> tuple[str, str]:
    """(event, dive) as text, whether the dive was a number or not: they name two folders."""
    parts = listed(written) or ()
    if len(parts) != 2 or not all(isinstance(part, (str, int, np.integer)) for part in parts):
        raise ValueError("a dive is named by (event, dive)")
    event, dive = (str(part) for part in parts)
    if any(part in ("", ".", "..") or set(part) & set("/\\") for part in (event, dive)):
        raise ValueError("event and dive must be names of folders")
    return event, dive


def _order(key: tuple[str, str]) -> tuple:
    event, dive = key
    return event, int(dive) if dive.isdecimal() else -1, dive


def describe_dive(key: tuple[str, str], dive: object) -> dict:
    check_annotation(dive, KEYS)
    event, number = key
    score, difficulty = (_number(dive, name) for name in ("dive_score", "difficulty"))
    first, last = (int(_number(dive, name)) for name in ("start_frame", "end_frame"))
    action = str(dive["action_type"]).strip().upper()
    marks = np.asarray(dive["judge_scores"], float).ravel()
    if not (difficulty > 0 and score >= 0):
        raise ValueError(
            f"difficulty is {difficulty:g} and dive_score {score:g}; the one must be positive, the"
            " other not negative"
        )
    if not action or last < first:
        raise ValueError(
            f"action_type is {action!r}, start_frame {first}, end_frame {last}; expected a dive"
            " number, and an end after the start"
        )
    if not (np.isfinite(marks) & (marks >= 0)).all():
        raise ValueError(f"judge_scores are {marks.tolist()}; they must be numbers from 0 on")
    return {
        "id": "_".join(f"{event}-{number}".split()),
        "score": score,
        "difficulty": difficulty,
        "group": action,
        "media": f"{event}/{number}",
        "judges": " ".join(f"{mark:g}" for mark in marks),
        "flags": "; ".join(_flags(action, marks, score, difficulty)),
        "event": event,
        "dive": number,
        "first_frame": first,
        "last_frame": last,
    }


def _number(dive: Mapping, name: str) -> float:
    try:
        value = float(dive[name])
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} is {dive[name]!r}; it must be a finite number")
    return value


def _flags(action: str, marks: np.ndarray, score: float, difficulty: float) -> list[str]:
    flags = []
    try:
        parse_dive_number(action)
    except ValueError:
        flags.append(NO_NUMBER)
    try:
        if abs(panel_score(marks, difficulty) - score) > ROUNDING:
            flags.append(OFF_RULE)
    except ValueError:  # not 3, 5 or 7 judges, as in synchronised diving, or a mark above 10
        flags.append(NO_RULE)
    return flags
