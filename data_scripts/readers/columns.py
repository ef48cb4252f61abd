"""Which column of a table of scores is what.

The columns are named by the caller. Where one is not, the first that is there is taken, whatever
its capitals, blanks and underscores: for the video of video, file, filename, video name, path,
clip, media, id (for features first of features); for the score of score, mark, total, total score,
final score, points; and id, split, difficulty, group, start, end and judges where they are called
just so. In a table of two columns one of these names is enough, or none where only one column holds
numbers.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pandas as pd

from corelib.data.samples import DatasetError

_MEDIA = ("video", "file", "filename", "videoname", "path", "clip", "media", "id")
NAMES = {
    "video": _MEDIA,
    "features": ("features", *_MEDIA),
    "score": ("score", "mark", "total", "totalscore", "finalscore", "points"),
}
OPTIONAL = ("id", "split", "difficulty", "group", "start", "end", "judges")
RANGE = ("start", "end")  # frames, which features have none of


def choose_columns(
    path: Path, cells: pd.DataFrame, wanted: dict[str, str | None]
) -> dict[str, list[str]]:
    """{role: its columns} for video (or features) and score, and for those of OPTIONAL there are.

    wanted  {role: the column's name, or None}; "judges" may name several, separated by commas; with
            "features" among the roles that is what the rows have, and no frame range
    Raises DatasetError for every column that is not there, naming those that are.
    """
    media = "features" if "features" in wanted else "video"
    there = list(cells)
    chosen = _named(path, there, wanted)

    def free() -> list[str]:
        return [column for column in there if column not in sum(chosen.values(), [])]

    for role in (media, "score"):
        plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(free())}
        found = next((plain[name] for name in NAMES[role] if name in plain), None)
        if role not in chosen and found:
            chosen[role] = [found]
    if media not in chosen and "id" in chosen:
        chosen[media] = chosen["id"]
    if len(there) == 2 and not {media, "score"} & set(chosen):
        numeric = [
            column
            for column in there
            if all(re.fullmatch(r"[-+0-9.,]+", cell) for cell in cells[column].dropna())
        ]
        if len(numeric) == 1:
            chosen["score"] = numeric
    missing = [role for role in (media, "score") if role not in chosen]
    if len(there) == 2 and len(missing) == 1:
        chosen[missing.pop()] = free()
    for role in missing:
        raise DatasetError(
            f"{path}: which column is the {role}? Name it with --{role}-column (there are:"
            f" {', '.join(there)})"
        )
    for role in OPTIONAL:
        fits = media == "video" or role not in RANGE
        if role not in chosen and fits and role in (there if role == "id" else free()):
            chosen[role] = [role]
    return chosen


def _named(path: Path, there: list[str], wanted: dict[str, str | None]) -> dict[str, list[str]]:
    """The columns that the caller names."""
    chosen, problems = {}, []
    for role, value in wanted.items():
        if value is None:
            continue
        several = role == "judges" and value not in there
        chosen[role] = [part.strip() for part in value.split(",")] if several else [value]
        for name in (name for name in chosen[role] if name not in there):
            lower = {column.lower(): column for column in reversed(there)}
            near = lower[difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.0)[0]]
            problems.append(
                f"{path}: there is no column {name!r} for the {role}; the nearest is {near!r} (all:"
                f" {', '.join(there)})"
            )
    if problems:
        raise DatasetError("\n".join(problems))
    return chosen
