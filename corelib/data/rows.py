"""What samples.csv may say: every way in which its rows break the contract, a line each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.data.contract import bank_ids, is_below, is_id
from corelib.machine.messages import one_line

SPLITS = ("train", "val", "test")
BANK = "features.safetensors"
MOST_FRAMES = 2**31  # of a video; a larger start or end is no frame number
Rule = tuple[pd.Series, str, str]  # which rows break it, the column, what would be right


def sample_problems(frame: pd.DataFrame, info: dict, folder: Path) -> list[str]:
    """Every way in which samples.csv breaks the contract; line numbers are the file's."""
    factor = "difficulty" if info["divided_by_difficulty"] else None
    needed = dict.fromkeys(["id", "split", "score", "media", info["pairing_key"], factor])
    if missing := [name for name in needed if name and name not in frame]:
        has = ", ".join(frame.columns)
        return [f"samples.csv: the column {name!r} is missing (it has: {has})" for name in missing]
    problems = _lines(frame, _value_rules(frame, info))
    ranged = {"start", "end"} & set(frame)
    if len(ranged) == 1:
        return problems + [
            "samples.csv: start and end go together; one of the two columns is missing"
        ]
    problems += _lines(frame, _range_rules(frame) if ranged else ())
    if (folder / BANK).is_file():
        problems += _feature_problems(frame, folder / BANK)
    else:
        problems += _lines(frame, _media_rules(frame, media_root(folder, info)))
    if info["protocol"] == "fixed" and not (frame["split"] == "train").any():
        problems.append(
            "samples.csv: no row has split 'train', so there is nothing to learn from or compare"
            " with"
        )
    return problems


def media_root(folder: Path, info: dict) -> Path:
    """The folder that media are relative to: the dataset's own, or dataset.json's raw_root."""
    return (folder / info["raw_root"]).resolve() if info.get("raw_root") else folder


def _lines(frame: pd.DataFrame, rules: Iterable[Rule]) -> list[str]:
    lines = []
    for bad, column, rule in rules:
        for index in np.flatnonzero(bad.to_numpy()):
            value, name = frame[column].iloc[index], one_line(frame["id"].iloc[index])
            value = one_line(repr(value.item() if isinstance(value, np.generic) else value))
            lines.append(f"samples.csv line {index + 2} (id {name}): {column} is {value}; {rule}")
    return lines


def _value_rules(frame: pd.DataFrame, info: dict) -> Iterator[Rule]:
    ids, key, (low, high) = frame["id"], info["pairing_key"], info["score_range"]
    given = ids.notna()
    yield ~given, "id", "every sample needs an id"
    plain = "it must have no white space and no control characters: lists of ids are separated by"
    yield given & ~ids.map(is_id), "id", f"{plain} blanks"
    yield given & ids.duplicated(keep=False), "id", "ids must be unique"
    folds = frame["split"].astype(str).str.fullmatch(r"\d+") & (info["protocol"] == "folds")
    known = "it must be train, val or test, or a fold number where the protocol is folds"
    yield ~(frame["split"].isin(SPLITS) | folds), "split", known
    score = pd.to_numeric(frame["score"], errors="coerce")
    finite = np.isfinite(score)
    yield ~finite, "score", "it must be a finite number"
    outside = finite & ~score.between(low, high)
    yield outside, "score", f"it must lie in the score range {low} to {high}"
    if "difficulty" in frame:
        factor = pd.to_numeric(frame["difficulty"], errors="coerce")
        yield ~(np.isfinite(factor) & (factor > 0)), "difficulty", "it must be a positive number"
    if key and key != "difficulty":
        yield frame[key].isna(), key, "exemplars are paired by it, so every sample needs one"
    if "judges" in frame:
        marks = frame["judges"].fillna("").astype(str)
        wrong = ~marks.str.fullmatch(r"\s*(\d+(\.\d*)?(\s+|$))*")
        yield wrong, "judges", "it must be numbers separated by spaces"


def _range_rules(frame: pd.DataFrame) -> Iterator[Rule]:
    start, end = (pd.to_numeric(frame[name], errors="coerce") for name in ("start", "end"))
    blank = frame["start"].isna() & frame["end"].isna()
    whole = (start % 1 == 0) & (end % 1 == 0)
    numbers = (start >= 0) & (end > start) & (end < MOST_FRAMES) & whole
    rule = "start must be a frame number, 0 or more, and end, exclusive, one above it"
    yield ~blank & ~numbers, "end", rule


def _media_rules(frame: pd.DataFrame, root: Path) -> Iterator[Rule]:
    media = frame["media"]
    yield media.isna(), "media", "every sample needs a video or a folder of frames"
    below = media.map(is_below)
    rule = f"it must be a path below {root}: neither absolute nor with '..'"
    yield ~below & media.notna(), "media", rule
    exists = media.map(lambda name: is_below(name) and _has_content(root / name))
    yield ~exists & below, "media", f"no such file or folder under {root}, or it is empty"


def _has_content(path: Path) -> bool:
    try:
        if not path.is_dir():
            return path.is_file() and path.stat().st_size > 0
        with os.scandir(path) as entries:  # the first is enough: there may be a whole competition
            return next(entries, None) is not None
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False


def _feature_problems(frame: pd.DataFrame, bank: Path) -> list[str]:
    try:
        known = set(bank_ids(bank))
    except Exception as error:  # a file of another kind: safetensors raises its own error types
        return [f"{bank.name} cannot be read as a feature bank: {one_line(error)}"]
    return [
        f"samples.csv line {index + 2} (id {one_line(name)}): media names row"
        f" {one_line(repr(media))}, which is not in {bank.name}"
        for index, (name, media) in enumerate(zip(frame["id"], frame["media"], strict=True))
        if media not in known
    ]
