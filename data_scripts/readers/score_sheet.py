"""A table of scores for videos or their features: every row checked against what it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.samples import SPLITS, DatasetError
from corelib.data.video import VIDEO_SUFFIXES, VideoError
from data_scripts.readers.columns import RANGE, choose_columns
from data_scripts.readers.spreadsheets import decimal_mark, read_sheet, to_number
from data_scripts.readers.video_check import check_video, find_video

SUFFIX = "({})$".format("|".join(map(re.escape, VIDEO_SUFFIXES)))
CONTRACT = ("id", "split", "score", "difficulty", "group", "media", "start", "end", "judges")


def read_scores(
    path: Path,
    videos: Path,
    wanted: dict[str, str | None],
    *,
    score_range: tuple[float, float] | None = None,
    decode: bool = False,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict]:
    """The table of scores as one row a performance, in its order, each with its video looked at.

    wanted       {role: the column's name, or None to look for it}, roles as in choose_columns
    score_range  scores outside of it are errors
    decode       decode every frame of every video instead of opening and counting

    Returns (samples, found): samples has the columns of the contract that there are and every
    further column of the file; found says how the file was read, from which columns, and what the
    videos are. Raises DatasetError with every row that cannot be used, each with file and line.
    """
    samples, looked, found = read_rows(
        path,
        wanted,
        find=lambda name: find_video(videos, name),
        look=lambda media: check_video(videos / media, decode=decode),
        score_range=score_range,
        progress=progress,
    )
    frames = [video.frames for video in looked.values()]
    sizes = {(video.height, video.width) for video in looked.values()}
    rates = {video.frame_rate for video in looked.values()}
    return samples, found | {
        "videos": len(looked),
        "frames": (min(frames), max(frames)),
        "frame_size": list(sizes.pop()) if len(sizes) == 1 else None,
        "frame_rate": rates.pop() if len(rates) == 1 else None,
        "variable": sum(video.variable for video in looked.values()),
    }


def read_rows(
    path: Path,
    wanted: dict[str, str | None],
    *,
    find: Callable[[str], str],
    look: Callable[[str], object],
    score_range: tuple[float, float] | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict, dict]:
    """The table of scores as one row a performance, each with its video or features looked at.

    wanted, score_range  as read_scores
    find  name in a cell -> name in samples' `media`; look: that -> what there is to say of it,
          asked for once

    Returns (samples, {media: what look said}, found) as read_scores. Raises DatasetError as
    read_scores; what is wrong with a row's media, find and look raise as VideoError or
    DatasetError.
    """
    sheet = _Sheet(path, wanted)
    samples = pd.DataFrame(index=sheet.cells.index)
    places, looked = _look_at(sheet, find, look, progress)
    samples["media"] = pd.Series(places, index=samples.index, dtype=object)
    low, high = score_range or (-np.inf, np.inf)
    rule = f"a number from {low:g} to {high:g}, the score range" if score_range else "a number"
    samples["score"] = sheet.numbers("score", rule, lambda value: low <= value <= high)
    if "difficulty" in sheet.one:
        rule = "a number above 0"
        samples["difficulty"] = sheet.numbers("difficulty", rule, lambda value: value > 0)
    if "group" in sheet.one:
        samples["group"] = sheet.column("group")
        for line in samples.index[samples["group"].isna()]:
            sheet.refuse_empty(line, "group")
    if "split" in sheet.one:
        samples["split"] = _splits(sheet)
    if "start" in sheet.one or "end" in sheet.one:
        samples[list(RANGE)] = _ranges(sheet, samples["media"], looked)
    if "judges" in sheet.one:
        samples["judges"] = [_judged(sheet, line) for line in samples.index]
    samples["id"] = _ids(sheet, samples)
    sheet.raise_problems()
    samples = samples[[name for name in CONTRACT if name in samples]].join(sheet.further())
    columns = {role: ", ".join(names) for role, names in sheet.columns.items()}
    found = {"how": f"{sheet.how}, {sheet.why}", "columns": columns}
    return samples.reset_index(drop=True), looked, found


class _Sheet:
    """The cells of a table, which column is what, its decimal mark, and what is wrong so far."""

    def __init__(self, path: Path, wanted: dict[str, str | None]):
        self.path, self.problems = path, []
        self.cells, separator, self.how = read_sheet(path)
        self.columns = choose_columns(path, self.cells, wanted)
        self.one = {role: names[0] for role, names in self.columns.items()}
        self.media = "features" if "features" in self.one else "video"
        parts = [self.cells[name].map(_marks).tolist() for name in self.columns.get("judges", [])]
        marks = [sum(row, []) for row in zip(*parts, strict=True)]
        self.judges = pd.DataFrame(
            marks if parts else None, index=self.cells.index, dtype=object
        ).add_prefix("judge ")
        numeric = (self.one[role] for role in ("score", "difficulty", *RANGE) if role in self.one)
        numbers = self.cells[list(dict.fromkeys(numeric))].join(self.judges)
        self.mark, self.why = decimal_mark(numbers, separator, path)

    def column(self, role: str) -> pd.Series:
        return self.cells[self.one[role]]

    def numbers(self, role: str, rule: str, fits: Callable[[float], bool]) -> list[float]:
        return [self.number(line, role, rule, fits) for line in self.cells.index]

    def number(self, line: int, role: str, rule: str, fits: Callable[[float], bool]) -> float:
        cell = self.column(role)[line]
        value = np.nan if cell is None else to_number(cell, self.mark)
        if not (np.isfinite(value) and fits(value)):
            self.refuse(line, f"{role} ({self.one[role]}) is {_shown(cell)}; it must be {rule}")
        return value

    def further(self) -> pd.DataFrame:
        """The other columns; decimal commas become points where all of a column is numbers."""
        used, kept = sum(self.columns.values(), []), {}
        for name in (name for name in self.cells if name not in used):
            cells = self.cells[name]
            numbers = all(np.isfinite(to_number(cell, ",")) for cell in cells.dropna())
            if self.mark == "," and numbers:
                cells = cells.map(lambda cell: cell and cell.replace(",", "."))
            kept[f"{name}_in_file" if name in CONTRACT else name] = cells
        return pd.DataFrame(kept, index=self.cells.index)

    def refuse(self, line: int, text: str) -> None:
        self.problems.append((line, text))

    def refuse_empty(self, line: int, role: str) -> None:
        self.refuse(line, f"{role} ({self.one[role]}) is empty; every row needs one")

    def raise_problems(self) -> None:
        if self.problems:
            told = [f"{self.path} line {line}: {text}" for line, text in sorted(self.problems)]
            raise DatasetError(
                f"{self.path}: {len(told)} problem(s), read as {self.how}, {self.why}:\n  "
                + "\n  ".join(told)
            )


def _shown(cell: str | None) -> str:
    return "empty" if cell is None else repr(cell)


def _look_at(sheet: _Sheet, find, look, progress: bool) -> tuple[list, dict]:
    """(media of each row, {media: what was found there}); every one is looked at once."""
    places, looked, broken = [], {}, {}
    named = sheet.column(sheet.media)
    what = "features" if sheet.media == "features" else "videos"
    for line, cell in tqdm(named.items(), what, len(named), disable=not progress or None):
        places.append(None)
        if cell is None:
            sheet.refuse_empty(line, sheet.media)
            continue
        try:
            media = places[-1] = find(cell)
            if media not in looked and media not in broken:
                looked[media] = look(media)
        except (VideoError, DatasetError) as error:
            sheet.refuse(line, str(error))
            if places[-1] is not None:
                broken[media] = str(error)
        else:
            if media in broken:
                sheet.refuse(line, broken[media])
    return places, looked


def _splits(sheet: _Sheet) -> list[str]:
    """train, val or test in any case; or fold numbers throughout, at least two."""
    written, column = sheet.column("split"), f"split ({sheet.one['split']})"
    names = [(name or "").lower() for name in written]
    first = written.index[0]
    if all(name.isdecimal() for name in names):
        if len(set(names)) == 1:
            sheet.refuse(first, f"{column} is {names[0]} in every row; folds are two at least")
        return names
    for line, name, cell in zip(written.index, names, written, strict=True):
        if name not in SPLITS:
            sheet.refuse(
                line,
                f"{column} is {_shown(cell)}; it must be train, val or test (or a fold number in"
                " every row)",
            )
    if "train" not in names:
        sheet.refuse(first, f"{column} is train in no row, so there is nothing to learn from")
    return names


def _ranges(sheet: _Sheet, places: pd.Series, looked: dict) -> pd.DataFrame:
    """The columns start and end (exclusive), what is empty being the video's own, or no range."""
    ranges = []
    for line, media in places.items():
        roles = [role for role in RANGE if role in sheet.one]
        given = [role for role in roles if sheet.column(role)[line] is not None]
        before, values = len(sheet.problems), {}
        for role in given:
            rule = "a whole number of frames from 0 on"
            values[role] = sheet.number(line, role, rule, lambda n: n >= 0 and n == int(n))
        ranges.append((None, None))
        if not given or len(sheet.problems) > before or media not in looked:
            continue
        frames = looked[media].frames
        start, end = int(values.get("start", 0)), int(values.get("end", frames))
        if not start < end <= frames:
            sheet.refuse(
                line,
                f"frames {start} to {end} (exclusive), but {media} has {frames}; start must lie"
                " below end, and end within the video",
            )
        ranges[-1] = start, end
    return pd.DataFrame(ranges, index=places.index, columns=RANGE, dtype="Int64")


def _marks(cell: str | None) -> list[str]:
    """One cell's marks: separated by blanks, ; / or |, or by commas with a blank behind."""
    parts = re.split(r"[\s;/|]+|,\s+", re.sub(r",\s", " ", (cell or "").strip("[]() ")))
    return [mark for mark in parts if mark]


def _judged(sheet: _Sheet, line: int) -> str:
    given = [cell for cell in sheet.judges.loc[line] if isinstance(cell, str)]
    values = [to_number(cell, sheet.mark) for cell in given]
    wrong = [
        repr(cell)
        for cell, value in zip(given, values, strict=True)
        if not (np.isfinite(value) and value >= 0)
    ]
    if wrong:
        sheet.refuse(
            line,
            f"judges: {', '.join(wrong)}; a mark must be a number from 0 on, marks in one cell"
            " separated by blanks, ; / or |",
        )
    return " ".join(np.format_float_positional(value, trim="-") for value in values)


def _ids(sheet: _Sheet, samples: pd.DataFrame) -> list[str | None]:
    """The id column's text, or the video's path without its suffix (and start-end where needed)."""
    ids, first, named = [], {}, "id" in sheet.one
    several = samples["media"].duplicated(keep=False)
    where = "" if named else "; name the column of a unique id with --id-column"
    for line, media in samples["media"].items():
        if named:
            name = sheet.column("id")[line]
            if name is None:
                sheet.refuse_empty(line, "id")
        else:
            name = media and re.sub(SUFFIX, "", media, flags=re.IGNORECASE)
            if name and several[line] and "start" in samples:
                ends = samples.loc[line, list(RANGE)]
                name += ":{}-{}".format(*("" if pd.isna(part) else part for part in ends))
        ids.append("_".join(name.split()) if name else None)
        if name and first.setdefault(ids[-1], line) != line:
            sheet.refuse(
                line,
                f"id {ids[-1]!r} is already that of line {first[ids[-1]]}; ids must be"
                f" unique{where}",
            )
    return ids
