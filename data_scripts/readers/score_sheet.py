"""A table of scores for videos or their features: which column is what, and every row checked
against its video.

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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.samples import SPLITS, DatasetError
from corelib.data.video import VIDEO_SUFFIXES, VideoError
from data_scripts.readers.spreadsheets import decimal_mark, read_sheet, to_number
from data_scripts.readers.video_check import check_video, find_video

_MEDIA = ("video", "file", "filename", "videoname", "path", "clip", "media", "id")
NAMES = {
    "video": _MEDIA,
    "features": ("features", *_MEDIA),
    "score": ("score", "mark", "total", "totalscore", "finalscore", "points"),
}
OPTIONAL = ("id", "split", "difficulty", "group", "start", "end", "judges")
SUFFIX = "({})$".format("|".join(map(re.escape, VIDEO_SUFFIXES)))
RANGE = ("start", "end")  # frames, which features have none of
CONTRACT = ("id", "split", "score", "difficulty", "group", "media", "start", "end", "judges")


def choose_columns(
    path: Path, cells: pd.DataFrame, wanted: dict[str, str | None]
) -> dict[str, list[str]]:
    """{role: its columns} for video (or features), score and those of id, split, difficulty, group,
    start, end, judges that there are.

    wanted  {role: the column's name, or None}; "judges" may name several, separated by commas; with
            "features" among the roles that is what the rows have, and no frame range
    Raises DatasetError for every column that is not there, naming those that are.
    """
    media = "features" if "features" in wanted else "video"
    there, problems, chosen = list(cells), [], {}
    for role, value in wanted.items():
        several = role == "judges" and value is not None and value not in there
        for name in (
            []
            if value is None
            else [part.strip() for part in value.split(",")]
            if several
            else [value]
        ):
            if name not in there:
                near = difflib.get_close_matches(
                    name.lower(), [column.lower() for column in there], n=1, cutoff=0.0
                )[0]
                nearest = next(column for column in there if column.lower() == near)
                problems.append(
                    f"{path}: there is no column {name!r} for the {role}; the nearest is"
                    f" {nearest!r} (all: {', '.join(there)})"
                )
            chosen.setdefault(role, []).append(name)
    if problems:
        raise DatasetError("\n".join(problems))

    def free() -> list[str]:
        return [column for column in there if column not in sum(chosen.values(), [])]

    for role, names in ((role, NAMES[role]) for role in (media, "score")):
        plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(free())}
        if role not in chosen and (
            found := next((plain[name] for name in names if name in plain), None)
        ):
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
        if (
            role not in chosen
            and (media == "video" or role not in RANGE)
            and role in (there if role == "id" else free())
        ):
            chosen[role] = [role]
    return chosen


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
    sizes = {(video.height, video.width) for video in looked.values()}
    rates = {video.frame_rate for video in looked.values()}
    return samples, found | {
        "videos": len(looked),
        "frames": (min(v.frames for v in looked.values()), max(v.frames for v in looked.values())),
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
    """The table of scores as one row a performance, in its order, each with its video or features
    looked at.

    wanted, score_range  as read_scores
    find  name in a cell -> name in samples' `media`; look: that -> what there is to say of it,
          asked for once

    Returns (samples, {media: what look said}, found) as read_scores. Raises DatasetError as
    read_scores; what is wrong with a row's media, find and look raise as VideoError or
    DatasetError.
    """
    cells, separator, how = read_sheet(path)
    columns = choose_columns(path, cells, wanted)
    one = {role: names[0] for role, names in columns.items()}
    judges = pd.DataFrame(index=cells.index)
    if "judges" in columns:
        parts = [cells[name].map(_marks).tolist() for name in columns["judges"]]
        judges = pd.DataFrame(
            [sum(row, []) for row in zip(*parts, strict=True)], index=cells.index, dtype=object
        )
    numeric = [one[role] for role in ("score", "difficulty", "start", "end") if role in one]
    mark, why = decimal_mark(
        cells[list(dict.fromkeys(numeric))].join(judges.add_prefix("judge ")), separator, path
    )
    problems: list[tuple[int, str]] = []

    def number(line: int, role: str, rule: str, fits) -> float:
        cell = cells.at[line, one[role]]
        value = np.nan if cell is None else to_number(cell, mark)
        if not (np.isfinite(value) and fits(value)):
            shown = "empty" if cell is None else repr(cell)
            problems.append((line, f"{role} ({one[role]}) is {shown}; it must be {rule}"))
        return value

    samples = pd.DataFrame(index=cells.index)
    media = "features" if "features" in one else "video"
    places, looked = _look_at(media, cells[one[media]], problems, find, look, progress)
    samples["media"] = pd.Series(places, index=cells.index, dtype=object)
    low, high = score_range or (-np.inf, np.inf)
    rule = f"a number from {low:g} to {high:g}, the score range" if score_range else "a number"
    samples["score"] = [
        number(line, "score", rule, lambda value: low <= value <= high) for line in cells.index
    ]
    if "difficulty" in one:
        samples["difficulty"] = [
            number(line, "difficulty", "a number above 0", lambda value: value > 0)
            for line in cells.index
        ]
    if "group" in one:
        samples["group"] = cells[one["group"]]
        problems += [
            (line, f"group ({one['group']}) is empty; every row needs one")
            for line in cells.index[samples["group"].isna()]
        ]
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
    samples = samples[order + [name for name in samples if name not in order]].reset_index(
        drop=True
    )
    return (
        samples,
        looked,
        {
            "how": f"{how}, {why}",
            "columns": {role: ", ".join(names) for role, names in columns.items()},
        },
    )


def _look_at(
    role: str, named: pd.Series, problems: list, find, look, progress: bool
) -> tuple[list, dict]:
    """(media of each row, {media: what was found there}); every one is looked at once."""
    places, looked, broken = [], {}, {}
    for line, cell in tqdm(
        named.items(),
        total=len(named),
        desc="features" if role == "features" else "videos",
        disable=not progress or None,
    ):
        media = None
        try:
            if cell is None:
                raise VideoError(f"{role} ({named.name}) is empty; every row needs one")
            media = find(cell)
            if media not in looked and media not in broken:
                try:
                    looked[media] = look(media)
                except (VideoError, DatasetError) as error:
                    broken[media] = error
            if media in broken:
                raise broken[media]
        except (VideoError, DatasetError) as error:
            problems.append((line, str(error)))
        places.append(media)
    return places, looked


def _splits(written: pd.Series, problems: list) -> list[str]:
    """train, val or test in any case; or fold numbers throughout, at least two."""
    names = [(name or "").lower() for name in written]
    if all(name.isdecimal() for name in names):
        if len(set(names)) == 1:
            problems.append(
                (
                    written.index[0],
                    f"split ({written.name}) is {names[0]} in every row; folds are two at least",
                )
            )
        return names
    for line, name, cell in zip(written.index, names, written, strict=True):
        if name not in SPLITS:
            shown = "empty" if cell is None else repr(cell)
            problems.append(
                (
                    line,
                    (
                        f"split ({written.name}) is {shown}; it must be train, val or test (or a"
                        " fold number in every row)"
                    ),
                )
            )
    if "train" not in names:
        problems.append(
            (
                written.index[0],
                f"split ({written.name}) is train in no row, so there is nothing to learn from",
            )
        )
    return names


def _ranges(
    samples: pd.DataFrame, cells: pd.DataFrame, one: dict, looked: dict, number, problems: list
) -> None:
    """The columns start and end (exclusive); one that is empty is the video's own, both empty is
    the whole video."""
    starts, ends = [], []
    for line, media in samples["media"].items():
        given = [
            role
            for role in ("start", "end")
            if role in one and cells.at[line, one[role]] is not None
        ]
        before = len(problems)
        values = {
            role: number(
                line, role, "a whole number of frames from 0 on", lambda n: n >= 0 and n == int(n)
            )
            for role in given
        }
        if not given or len(problems) > before or media not in looked:
            starts.append(None), ends.append(None)
            continue
        frames = looked[media].frames
        start, end = int(values.get("start", 0)), int(values.get("end", frames))
        if not start < end <= frames:
            problems.append(
                (
                    line,
                    (
                        f"frames {start} to {end} (exclusive), but {media} has {frames}; start must"
                        " lie below end, and end within the video"
                    ),
                )
            )
        starts.append(start), ends.append(end)
    samples["start"], samples["end"] = (
        pd.array(starts, dtype="Int64"),
        pd.array(ends, dtype="Int64"),
    )


def _marks(cell: str | None) -> list[str]:
    """One cell's marks: separated by blanks, ; / or |, or by commas with a blank behind."""
    return (
        [
            mark
            for mark in re.split(r"[\s;/|]+|,\s+", re.sub(r",\s", " ", cell.strip("[]() ")))
            if mark
        ]
        if cell
        else []
    )


def _judged(line: int, row: pd.Series, mark: str, problems: list) -> str:
    given = [cell for cell in row if isinstance(cell, str)]
    values = [to_number(cell, mark) for cell in given]
    wrong = [
        cell
        for cell, value in zip(given, values, strict=True)
        if not (np.isfinite(value) and value >= 0)
    ]
    if wrong:
        problems.append(
            (
                line,
                (
                    f"judges: {', '.join(map(repr, wrong))}; a mark must be a number from 0 on,"
                    " marks in one cell separated by blanks, ; / or |"
                ),
            )
        )
    return " ".join(np.format_float_positional(value, trim="-") for value in values)


def _ids(samples: pd.DataFrame, cells: pd.DataFrame, one: dict, problems: list) -> list[str | None]:
    """The id column's text, or the video's path without its suffix (with start-end where a video
    has several rows)."""
    ids = []
    several = samples["media"].duplicated(keep=False)
    for line, media in samples["media"].items():
        name = (
            cells.at[line, one["id"]]
            if "id" in one
            else media and re.sub(SUFFIX, "", media, flags=re.IGNORECASE)
        )
        if "id" in one and name is None:
            problems.append((line, f"id ({one['id']}) is empty; every row needs one"))
        elif "id" not in one and name and several[line] and "start" in samples:
            name += ":{}-{}".format(
                *("" if pd.isna(part) else part for part in samples.loc[line, ["start", "end"]])
            )
        ids.append("_".join(name.split()) if name else None)
    where = "" if "id" in one else "; name the column of a unique id with --id-column"
    first: dict = {}
    for line, name in zip(samples.index, ids, strict=True):
        if name is not None and first.setdefault(name, line) != line:
            problems.append(
                (
                    line,
                    f"id {name!r} is already that of line {first[name]}; ids must be unique{where}",
                )
            )
    return ids


def _further(cells: pd.Series, mark: str) -> pd.Series:
    """A column that is kept as it is; decimal commas become points where all of it is numbers."""
    if mark == "," and all(np.isfinite(to_number(cell, mark)) for cell in cells.dropna()):
        return cells.map(lambda cell: None if cell is None else cell.replace(",", "."))
    return cells


def check_options(name: str, score_range: tuple[float, float] | None) -> None:
    """Raise DatasetError for a name or a score range that no dataset can have, before anything is
    read."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise DatasetError(
            f"--name {name!r}: runs are named by it, so it is made of letters, digits, '.', '-'"
            " and '_'"
        )
    if score_range is not None and not score_range[0] < score_range[1]:
        raise DatasetError(
            f"--score-range {score_range[0]:g} {score_range[1]:g}: the lowest score must lie below"
            " the highest"
        )


def draw_split(
    samples: pd.DataFrame, *, seed: int, val_share: float, test_share: float
) -> list[str]:
    """The split of every row, drawn by the seed video by video: rows of one video never lie on both
    sides.

    The shares are of the videos, each at least one where there are four videos or more; the order
    of the rows does not matter.
    """
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise DatasetError(
            f"--val-share {val_share} and --test-share {test_share} must be 0 or more, and below 1"
            " together"
        )
    media = sorted(set(samples["media"]))
    counts = [
        max(round(share * len(media)), int(share > 0 and len(media) > 3))
        for share in (test_share, val_share)
    ]
    while sum(counts) >= len(media):  # one video at least is learnt from
        counts[counts[1] > 0] -= 1
    parts = dict.fromkeys(media, "train")
    for place, row in enumerate(np.random.default_rng(seed).permutation(len(media))[: sum(counts)]):
        parts[media[row]] = "test" if place < counts[0] else "val"
    return [parts[name] for name in samples["media"]]


def describe(
    samples: pd.DataFrame,
    found: dict,
    said: dict,
    *,
    score_range: tuple[float, float] | None = None,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
) -> dict:
    """dataset.json of a table's samples, which get a drawn split where the table has none;
    found["split"] says which.

    said  name, title, source, licence and citation
    """
    found["split"] = "as the table says"
    if "split" not in samples:
        samples.insert(
            1, "split", draw_split(samples, seed=seed, val_share=val_share, test_share=test_share)
        )
        found["split"] = (
            f"drawn video by video, seed {seed}, {val_share:.0%} val and {test_share:.0%} test"
        )
    low, high = (
        float(np.floor(min(samples["score"].min(), 0))),
        float(np.ceil(samples["score"].max())),
    )
    return said | {
        "score_range": list(score_range or (low, high if high > low else low + 1)),
        "protocol": "folds" if samples["split"].str.isdecimal().all() else "fixed",
        "pairing_key": (
            "group" if "group" in samples else "difficulty" if "difficulty" in samples else None
        ),
        "divided_by_difficulty": "difficulty" in samples,
        "frame_rate": found.get("frame_rate"),
        "frame_size": found.get("frame_size"),
        "left_out": [],
    }
