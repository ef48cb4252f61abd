"""A table of scores for a folder of videos: which column is what, and every row checked against its video.

The columns are named by the caller. Where one is not, the first that is there is taken, whatever its
capitals, blanks and underscores: for the video of video, file, filename, video name, path, clip, media, id;
for the score of score, mark, total, total score, final score, points; and id, split, difficulty, group,
start, end and judges where they are called just so. In a table of two columns one of these names is enough,
or none where only one column holds numbers.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.samples import SPLITS, DatasetError
from corelib.data.spreadsheets import decimal_mark, read_sheet, to_number
from corelib.data.video import VIDEO_SUFFIXES, VideoError
from corelib.data.video_check import check_video, find_video

NAMES = {
    "video": ("video", "file", "filename", "videoname", "path", "clip", "media", "id"),
    "score": ("score", "mark", "total", "totalscore", "finalscore", "points"),
}
OPTIONAL = ("id", "split", "difficulty", "group", "start", "end", "judges")
SUFFIX = "({})$".format("|".join(map(re.escape, VIDEO_SUFFIXES)))
CONTRACT = ("id", "split", "score", "difficulty", "group", "media", "start", "end", "judges")


def choose_columns(path: Path, cells: pd.DataFrame, wanted: dict[str, str | None]) -> dict[str, list[str]]:
    """{role: its columns} for video, score and those of id, split, difficulty, group, start, end, judges that there are.

    wanted  {role: the column's name, or None}; "judges" may name several, separated by commas
    Raises DatasetError for every column that is not there, naming those that are.
    """
    there, problems, chosen = list(cells), [], {}
    for role, value in wanted.items():
        several = role == "judges" and value is not None and value not in there
        for name in [] if value is None else [part.strip() for part in value.split(",")] if several else [value]:
            if name not in there:
                near = difflib.get_close_matches(name.lower(), [column.lower() for column in there], n=1, cutoff=0.0)[0]
                nearest = next(column for column in there if column.lower() == near)
                problems.append(f"{path}: there is no column {name!r} for the {role}; the nearest is {nearest!r} (all: {', '.join(there)})")
            chosen.setdefault(role, []).append(name)
    if problems:
        raise DatasetError("\n".join(problems))

    def free() -> list[str]:
        return [column for column in there if column not in sum(chosen.values(), [])]

    for role, names in NAMES.items():
        plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(free())}
        if role not in chosen and (found := next((plain[name] for name in names if name in plain), None)):
            chosen[role] = [found]
    if "video" not in chosen and "id" in chosen:
        chosen["video"] = chosen["id"]
    if len(there) == 2 and not {"video", "score"} & set(chosen):
        numeric = [column for column in there if all(re.fullmatch(r"[-+0-9.,]+", cell) for cell in cells[column].dropna())]
        if len(numeric) == 1:
            chosen["score"] = numeric
    missing = [role for role in ("video", "score") if role not in chosen]
    if len(there) == 2 and len(missing) == 1:
        chosen[missing.pop()] = free()
    for role in missing:
        raise DatasetError(f"{path}: which column is the {role}? Name it with --{role}-column (there are: {', '.join(there)})")
    for role in OPTIONAL:
        if role not in chosen and role in (there if role == "id" else free()):
            chosen[role] = [role]
    return chosen


def read_scores(
    path: Path, videos: Path, wanted: dict[str, str | None], *, score_range: tuple[float, float] | None = None,
    decode: bool = False, progress: bool = True,
) -> tuple[pd.DataFrame, dict]:  # fmt: skip
    """The table of scores as one row a performance, in its order, each with its video looked at.

    wanted       {role: the column's name, or None to look for it}, roles as in choose_columns
    score_range  scores outside of it are errors
    decode       decode every frame of every video instead of opening and counting

    Returns (samples, found): samples has the columns of the contract that there are and every further
    column of the file; found says how the file was read, from which columns, and what the videos are.
    Raises DatasetError with every row that cannot be used, each with file and line.
    """
    cells, separator, how = read_sheet(path)
    columns = choose_columns(path, cells, wanted)
    one = {role: names[0] for role, names in columns.items()}
    judges = pd.DataFrame(index=cells.index)
    if "judges" in columns:
        parts = [cells[name].map(_marks).tolist() for name in columns["judges"]]
        judges = pd.DataFrame([sum(row, []) for row in zip(*parts, strict=True)], index=cells.index, dtype=object)
    numeric = [one[role] for role in ("score", "difficulty", "start", "end") if role in one]
    mark, why = decimal_mark(cells[list(dict.fromkeys(numeric))].join(judges.add_prefix("judge ")), separator, path)
    problems: list[tuple[int, str]] = []

    def number(line: int, role: str, rule: str, fits) -> float:
        cell = cells.at[line, one[role]]
        value = np.nan if cell is None else to_number(cell, mark)
        if not (np.isfinite(value) and fits(value)):
            shown = "empty" if cell is None else repr(cell)
            problems.append((line, f"{role} ({one[role]}) is {shown}; it must be {rule}"))
        return value

    samples = pd.DataFrame(index=cells.index)
    found, looked = _videos(cells[one["video"]], videos, problems, decode, progress)
    samples["media"] = pd.Series(found, index=cells.index, dtype=object)
    low, high = score_range or (-np.inf, np.inf)
    rule = f"a number from {low:g} to {high:g}, the score range" if score_range else "a number"
    samples["score"] = [number(line, "score", rule, lambda value: low <= value <= high) for line in cells.index]
    if "difficulty" in one:
        samples["difficulty"] = [number(line, "difficulty", "a number above 0", lambda value: value > 0) for line in cells.index]
    if "group" in one:
        samples["group"] = cells[one["group"]]
        problems += [(line, f"group ({one['group']}) is empty; every row needs one") for line in cells.index[samples["group"].isna()]]
    if "split" in one:
        samples["split"] = _splits(cells[one["split"]], problems)
    if "start" in one or "end" in one:
        _ranges(samples, cells, one, looked, number, problems)
    if "judges" in columns:
        samples["judges"] = [_judged(line, row, mark, problems) for line, row in judges.iterrows()]
    samples["id"] = _ids(samples, cells, one, problems)
    if problems:
        shown = "\n  ".join(f"{path} line {line}: {text}" for line, text in sorted(problems))
        raise DatasetError(f"{path}: {len(problems)} problem(s), read as {how}, {why}:\n  {shown}")
    used = set(sum(columns.values(), []))
    for name in cells:
        if name not in used:
            samples[f"{name}_in_file" if name in CONTRACT else name] = _further(cells[name], mark)
    order = [name for name in CONTRACT if name in samples]
    samples = samples[order + [name for name in samples if name not in order]].reset_index(drop=True)
    sizes = {(video.height, video.width) for video in looked.values()}
    rates = {video.frame_rate for video in looked.values()}
    return samples, {
        "how": f"{how}, {why}", "columns": {role: ", ".join(names) for role, names in columns.items()}, "videos": len(looked),
        "frames": (min(v.frames for v in looked.values()), max(v.frames for v in looked.values())),
        "frame_size": list(sizes.pop()) if len(sizes) == 1 else None, "frame_rate": rates.pop() if len(rates) == 1 else None,
        "variable": sum(video.variable for video in looked.values()),
    }  # fmt: skip


def _videos(named: pd.Series, videos: Path, problems: list, decode: bool, progress: bool) -> tuple[list, dict]:
    """(path below `videos` of each row's video, {path: what was found there}); every video is looked at once."""
    found, looked, broken = [], {}, {}
    for line, cell in tqdm(named.items(), total=len(named), desc="videos", disable=not progress or None):
        media = None
        try:
            if cell is None:
                raise VideoError(f"video ({named.name}) is empty; every row needs one")
            media = find_video(videos, cell)
            if media not in looked and media not in broken:
                try:
                    looked[media] = check_video(videos / media, decode=decode)
                except VideoError as error:
                    broken[media] = error
            if media in broken:
                raise broken[media]
        except VideoError as error:
            problems.append((line, str(error)))
        found.append(media)
    return found, looked


def _splits(written: pd.Series, problems: list) -> list[str]:
    """train, val or test in any case; or fold numbers throughout, at least two."""
    names = [(name or "").lower() for name in written]
    if all(name.isdecimal() for name in names):
        if len(set(names)) == 1:
            problems.append((written.index[0], f"split ({written.name}) is {names[0]} in every row; folds are two at least"))
        return names
    for line, name, cell in zip(written.index, names, written, strict=True):
        if name not in SPLITS:
            shown = "empty" if cell is None else repr(cell)
            problems.append((line, f"split ({written.name}) is {shown}; it must be train, val or test (or a fold number in every row)"))
    if "train" not in names:
        problems.append((written.index[0], f"split ({written.name}) is train in no row, so there is nothing to learn from"))
    return names


def _ranges(samples: pd.DataFrame, cells: pd.DataFrame, one: dict, looked: dict, number, problems: list) -> None:
    """The columns start and end (exclusive); one that is empty is the video's own, both empty is the whole video."""
    starts, ends = [], []
    for line, media in samples["media"].items():
        given = [role for role in ("start", "end") if role in one and cells.at[line, one[role]] is not None]
        before = len(problems)
        values = {role: number(line, role, "a whole number of frames from 0 on", lambda n: n >= 0 and n == int(n)) for role in given}
        if not given or len(problems) > before or media not in looked:
            starts.append(None), ends.append(None)
            continue
        frames = looked[media].frames
        start, end = int(values.get("start", 0)), int(values.get("end", frames))
        if not start < end <= frames:
            problems.append((line, f"frames {start} to {end} (exclusive), but {media} has {frames}; start must lie below end, and end within the video"))
        starts.append(start), ends.append(end)
    samples["start"], samples["end"] = pd.array(starts, dtype="Int64"), pd.array(ends, dtype="Int64")


def _marks(cell: str | None) -> list[str]:
    """One cell's marks: separated by blanks, ; / or |, or by commas with a blank behind."""
    return [mark for mark in re.split(r"[\s;/|]+|,\s+", re.sub(r",\s", " ", cell.strip("[]() "))) if mark] if cell else []


def _judged(line: int, row: pd.Series, mark: str, problems: list) -> str:
    given = [cell for cell in row if isinstance(cell, str)]
    values = [to_number(cell, mark) for cell in given]
    wrong = [cell for cell, value in zip(given, values, strict=True) if not (np.isfinite(value) and value >= 0)]
    if wrong:
        problems.append((line, f"judges: {', '.join(map(repr, wrong))}; a mark must be a number from 0 on, marks in one cell separated by blanks, ; / or |"))
    return " ".join(np.format_float_positional(value, trim="-") for value in values)


def _ids(samples: pd.DataFrame, cells: pd.DataFrame, one: dict, problems: list) -> list[str | None]:
    """The id column's text, or the video's path without its suffix (with start-end where a video has several rows)."""
    ids = []
    several = samples["media"].duplicated(keep=False)
    for line, media in samples["media"].items():
        name = cells.at[line, one["id"]] if "id" in one else media and re.sub(SUFFIX, "", media, flags=re.IGNORECASE)
        if "id" in one and name is None:
            problems.append((line, f"id ({one['id']}) is empty; every row needs one"))
        elif "id" not in one and name and several[line] and "start" in samples:
            name += ":{}-{}".format(*("" if pd.isna(part) else part for part in samples.loc[line, ["start", "end"]]))
        ids.append("_".join(name.split()) if name else None)
    where = "" if "id" in one else "; name the column of a unique id with --id-column"
    first: dict = {}
    for line, name in zip(samples.index, ids, strict=True):
        if name is not None and first.setdefault(name, line) != line:
            problems.append((line, f"id {name!r} is already that of line {first[name]}; ids must be unique{where}"))
    return ids


def _further(cells: pd.Series, mark: str) -> pd.Series:
    """A column that is kept as it is; decimal commas become points where all of it is numbers."""
    if mark == "," and all(np.isfinite(to_number(cell, mark)) for cell in cells.dropna()):
        return cells.map(lambda cell: None if cell is None else cell.replace(",", "."))
    return cells
