"""Leakage: the same performance in two splits, under two ids or in two files.

Ids, media and frame ranges are compared as samples.csv states them, files and rows of a feature
bank by what they hold. Another cut, broadcast or compression of the same performance is not
recognised.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, frame_names

PIECE = (
    2**20
    # bytes at either end of a file that are compared: all of a small one; large ones of one size do not
    # share both by chance
)
ON_PURPOSE = (  # the key of dataset.json that lets in a dataset made to show what a leak does
    "leaks_on_purpose"
)


def refuse_leaks(table: SampleTable) -> None:
    """Raise DatasetError when the same id, or the same media and frame range, is both learnt from
    and tested on.

    That is train and test or, where the protocol is folds, two folds. The message names every pair.
    A dataset whose dataset.json says "leaks_on_purpose": true passes.
    """
    if table.info.get(ON_PURPOSE):
        return
    rows = _rows(table)
    pairs = dict.fromkeys(_meetings(rows, "id", anywhere=True) + _meetings(rows, "name", same=True))
    lines = []
    for a, b in pairs:
        first, second = rows.loc[a], rows.loc[b]
        if {first["split"], second["split"]} == {"train", "test"} or (
            first["split"].isdigit() and second["split"].isdigit()
        ):
            where = (
                "" if np.isinf(first["end"]) else f", frames {first['start']:g} to {first['end']:g}"
            )
            lines.append(
                f"id {first['id']} ({first['split']}) and id {second['id']} ({second['split']}):"
                f" {first['media']}{where}"
            )
    if lines:
        raise DatasetError(
            f"{table.folder}: {len(lines)} pair(s) of samples are the same, one learnt from and one"
            " tested on; take one of each "
            f'out or, to show what a leak does, say "{ON_PURPOSE}": true in dataset.json:\n  '
            + "\n  ".join(lines)
        )


def find_leaks(table: SampleTable) -> list[str]:
    """What two splits share, in plain sentences that name the first few ids and how many there are;
    none if all is well.

    Looks for equal media with overlapping frame ranges, for files of equal content (size, then the
    checksum of both ends; of folders of frames the number of frames and their first and last file),
    and for equal rows of a feature bank. Files that are not there are passed over. Raises
    DatasetError as `refuse_leaks`.
    """
    refuse_leaks(table)
    meant = " (on purpose, as dataset.json says)" if table.info.get(ON_PURPOSE) else ""
    return _sentences(
        _rows(table),
        f"leak between {{}} and {{}}{meant}",
        "so {} does not show how new performances are scored",
    )


def find_known(learnt: SampleTable, tested: SampleTable) -> list[str]:
    """What the test split of one dataset shares with what a run has learnt from another, as
    `find_leaks` looks for it."""
    parts = [
        _rows(learnt).query("split != 'test'").assign(split="training"),
        _rows(tested).query("split == 'test'"),
    ]
    rows = pd.concat(parts, ignore_index=True)
    return _sentences(
        rows,
        "leak between this run's {} and the {} split",
        "so this {} does not show how new performances are scored",
    )


def _rows(table: SampleTable) -> pd.DataFrame:
    """One row a sample: id, split, media, name (the path behind every link, or the bank's row),
    start, end (exclusive; a blank range is the whole) and bank, the feature bank's file or ""."""
    samples, bank = (
        table.samples,
        (os.path.realpath(table.feature_bank) if table.feature_bank else ""),
    )
    rows = pd.DataFrame(
        {
            "id": samples["id"].tolist(),
            "split": samples["split"].astype(str).tolist(),
            "media": samples["media"].tolist(),
        }
    )
    rows["bank"] = bank
    real = {
        media: f"{bank}: {media}" if bank else os.path.realpath(table.root / media)
        for media in set(rows["media"])
    }
    rows["name"] = rows["media"].map(real)
    for column, blank in (("start", 0.0), ("end", np.inf)):
        given = column in samples and not bank  # a row of a bank is the whole sample
        rows[column] = samples[column].astype("Float64").fillna(blank).tolist() if given else blank
    return rows


def _sentences(rows: pd.DataFrame, opening: str, end: str) -> list[str]:
    """One sentence for every two splits and way to be the same."""
    certain = set(_meetings(rows, "name", same=True))
    touching = set(_meetings(rows, "name")) - certain
    rows = rows.assign(content=_contents(rows))
    alike = set(_meetings(rows, "content")) - certain - touching
    kinds = (
        (certain, "are the same media and frames"),
        (touching, "have frames in common"),
        (alike, "have the same content"),
    )
    said = []
    for pairs, kind in kinds:
        between = defaultdict(list)
        for pair in sorted(pairs):
            a, b = sorted(
                pair,
                key=lambda row: (
                    rows["split"][row] == "test",
                    rows["split"][row] == "val",
                    rows["split"][row],
                ),
            )
            between[rows["split"][a], rows["split"][b]].append(
                f"{rows['id'][a]} and {rows['id'][b]}"
            )
        for (a, b), found in sorted(between.items()):
            shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            said.append(
                f"{opening.format(a, b)}: {len(found)} pair(s) of samples {kind} ({shown}),"
                f" {end.format(b)}"
            )
    return said


def _meetings(
    rows: pd.DataFrame, key: str, *, same: bool = False, anywhere: bool = False
) -> list[tuple[int, int]]:
    """Pairs of rows of different splits with equal keys whose frame ranges overlap (`same`: are
    equal; `anywhere`: whatever they are)."""
    split, start, end = (rows[column].tolist() for column in ("split", "start", "end"))
    shared = defaultdict(list)
    for row, value in enumerate(rows[key]):
        shared[value].append(row)
    pairs = []
    for alike in shared.values():
        if len({split[row] for row in alike}) < 2:
            continue
        alike.sort(key=lambda row: start[row])
        for place, a in enumerate(alike):
            for b in alike[place + 1 :]:
                if start[b] >= end[a] and not anywhere:
                    break  # so does whatever starts later
                if split[a] != split[b] and (not same or (start[a], end[a]) == (start[b], end[b])):
                    pairs.append((min(a, b), max(a, b)))
    return pairs


# --------------------------------------------------------------------------- content


def _contents(rows: pd.DataFrame) -> list[str]:
    """A key a sample that is equal for equal content."""
    keys = {}
    for bank, part in rows.groupby("bank", sort=False):
        keys |= _feature_digests(bank, set(part["media"])) if bank else _file_digests(part)
    return [
        keys[bank, media if bank else name]
        for bank, media, name in zip(rows["bank"], rows["media"], rows["name"], strict=True)
    ]


def _file_digests(rows: pd.DataFrame) -> dict:
    """{("", path): key}; only those files are opened that agree in size across splits."""
    parts, by_size = defaultdict(set), defaultdict(list)
    for path, split in zip(rows["name"], rows["split"], strict=True):
        parts[path].add(split)
    for path in parts:
        by_size[_size(path)].append(path)
    keys = {("", path): path for path in parts}
    for size, alike in by_size.items():
        if (
            size is not None
            and len(alike) > 1
            and len(set().union(*(parts[path] for path in alike))) > 1
        ):
            keys |= {("", path): _digest(path) for path in alike}
    return keys


def _ends(path: str) -> list[str]:
    """The files that stand for a media path: itself, or a folder's first and last frame."""
    if not os.path.isdir(path):
        return [path]
    names = frame_names(path)
    return [os.path.join(path, name) for name in (names[0], names[-1])]


def _size(path: str) -> tuple | None:
    try:
        count = len(frame_names(path)) if os.path.isdir(path) else 0
        return (count, *(os.stat(file).st_size for file in _ends(path)))
    except (OSError, VideoError):  # said when the file is to be read
        return None


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    for file in _ends(path):
        with Path(file).open("rb") as content:
            digest.update(content.read(PIECE))
            content.seek(max(content.tell(), os.fstat(content.fileno()).st_size - PIECE))
            digest.update(content.read(PIECE))
    return digest.hexdigest()


def _feature_digests(bank: str, media: set[str]) -> dict:
    """{(bank, its row): key}, read a row at a time, so that a large bank is never in memory as a
    whole."""
    from corelib.data.banks import (
        bank_ids,
    )  # here, since it imports PyTorch, which a list of videos has no need of

    place = {name: index for index, name in enumerate(bank_ids(bank))}
    with safe_open(bank, framework="np") as opened:
        features = opened.get_slice("features")
        return {
            (bank, name): (
                hashlib.sha256(features[place[name] : place[name] + 1].tobytes()).hexdigest()
            )
            for name in media
        }
