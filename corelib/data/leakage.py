"""Leakage: the same performance in two splits, under two ids or in two files.

Ids, media and frame ranges are compared as samples.csv states them, files and rows of a feature
bank by what they hold. Another cut, broadcast or compression of the same performance is not
recognised. A `table` is a SampleTable, which asks `refuse_leaks` itself.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from corelib.data.contract import DatasetError, bank_ids
from corelib.data.frames import VideoError, frame_names

# Bytes at either end of a file that are compared: all of a small one, and large ones of one size
# do not share both by chance.
PIECE = 2**20
ON_PURPOSE = "leaks_on_purpose"  # dataset.json's key of a dataset that shows what a leak does


def refuse_leaks(table) -> None:
    """Raise DatasetError when the same id, or the same media and range, is learnt from and tested.

    That is train and test or, where the protocol is folds, two folds. The message names every pair.
    A dataset whose dataset.json says "leaks_on_purpose": true passes.
    """
    if table.info.get(ON_PURPOSE):
        return
    rows, lines = _rows(table), []
    for pair in dict.fromkeys(_meet(rows, "id", ranges="any") + _meet(rows, "name", ranges="same")):
        a, b = (rows.loc[row] for row in pair)
        if {a["split"], b["split"]} == {"train", "test"} or (a["split"] + b["split"]).isdigit():
            where = "" if np.isinf(a["end"]) else f", frames {a['start']:g} to {a['end']:g}"
            both = " and ".join(f"id {row['id']} ({row['split']})" for row in (a, b))
            lines.append(f"\n  {both}: {a['media']}{where}")
    if lines:
        raise DatasetError(
            f"{table.folder}: {len(lines)} pair(s) of samples are the same, one learnt from and one"
            " tested on; take one of each out or, to show what a leak does, say"
            f' "{ON_PURPOSE}": true in dataset.json:{"".join(lines)}'
        )


def find_leaks(table) -> list[str]:
    """What two splits share, in sentences that name the first few ids and how many there are.

    Looks for equal media with overlapping frame ranges, for files of equal content (size, then the
    checksum of both ends; of folders of frames the number of frames and their first and last file),
    and for equal rows of a feature bank. Files that are not there are passed over. Raises
    DatasetError as `refuse_leaks`.
    """
    refuse_leaks(table)
    meant = " (on purpose, as dataset.json says)" if table.info.get(ON_PURPOSE) else ""
    end = "so {} does not show how new performances are scored"
    return _sentences(_rows(table), f"leak between {{}} and {{}}{meant}", end)


def find_known(learnt, tested) -> list[str]:
    """What the test split of one table shares with what a run has learnt from another table."""
    known = _rows(learnt).query("split != 'test'").assign(split="training")
    rows = pd.concat([known, _rows(tested).query("split == 'test'")], ignore_index=True)
    end = "so this {} does not show how new performances are scored"
    return _sentences(rows, "leak between this run's {} and the {} split", end)


def _rows(table) -> pd.DataFrame:
    """One row a sample: id, split, media, name (the path behind every link, or the bank's row),
    start, end (exclusive; a blank range is the whole) and bank, the feature bank's file or ""."""
    samples = table.samples
    bank = os.path.realpath(table.feature_bank) if table.feature_bank else ""
    rows = samples[["id", "split", "media"]].astype(str).astype(object)
    rows = rows.reset_index(drop=True).assign(bank=bank)
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
    certain = set(_meet(rows, "name", ranges="same"))
    touching = set(_meet(rows, "name")) - certain
    alike = set(_meet(rows.assign(content=_contents(rows)), "content")) - certain - touching
    kinds = {
        "are the same media and frames": certain,
        "have frames in common": touching,
        "have the same content": alike,
    }
    ids, splits = rows["id"].tolist(), rows["split"].tolist()

    def order(row: int) -> tuple:  # train before val before test
        return splits[row] == "test", splits[row] == "val", splits[row]

    said = []
    for kind, pairs in kinds.items():
        between = defaultdict(list)
        for pair in sorted(pairs):
            a, b = sorted(pair, key=order)
            between[splits[a], splits[b]].append(f"{ids[a]} and {ids[b]}")
        for (a, b), found in sorted(between.items()):
            shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            pairs = f"{len(found)} pair(s) of samples {kind} ({shown})"
            said.append(f"{opening.format(a, b)}: {pairs}, {end.format(b)}")
    return said


def _meet(rows: pd.DataFrame, key: str, *, ranges: str = "overlap") -> list[tuple[int, int]]:
    """Pairs of rows of different splits with equal keys whose frame ranges "overlap", are the
    "same", or "any"."""
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
                if start[b] >= end[a] and ranges != "any":
                    break  # so does whatever starts later
                same = (start[a], end[a]) == (start[b], end[b])
                if split[a] != split[b] and (same or ranges != "same"):
                    pairs.append((min(a, b), max(a, b)))
    return pairs


def _contents(rows: pd.DataFrame) -> list[str]:
    """A key a sample that is equal for equal content."""
    keys = {}
    for bank, part in rows.groupby("bank", sort=False):
        digests = _feature_digests(bank, part["media"]) if bank else _file_digests(part)
        keys |= {(bank, name): digest for name, digest in digests.items()}
    named = zip(rows["bank"], rows["media"], rows["name"], strict=True)
    return [keys[bank, media if bank else name] for bank, media, name in named]


def _file_digests(rows: pd.DataFrame) -> dict[str, str]:
    """{path: key}; only those files are opened that agree in size across splits."""
    splits, by_size = defaultdict(set), defaultdict(list)
    for path, split in zip(rows["name"], rows["split"], strict=True):
        splits[path].add(split)
    for path in splits:
        by_size[_size(path)].append(path)
    keys = {path: path for path in splits}
    for size, alike in by_size.items():
        if size and len(alike) > 1 and len(set().union(*(splits[path] for path in alike))) > 1:
            keys |= {path: _digest(path) for path in alike}
    return keys


def _ends(path: str) -> list[str]:
    """The files that stand for a media path: itself, or a folder's first and last frame."""
    names = frame_names(path) if os.path.isdir(path) else ()
    return [os.path.join(path, name) for name in (names[0], names[-1])] if names else [path]


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


def _feature_digests(bank: str, media: pd.Series) -> dict[str, str]:
    """{row: key}, read a row at a time, so that a large bank is never in memory as a whole."""
    place = {name: index for index, name in enumerate(bank_ids(bank))}
    with safe_open(bank, framework="np") as opened:
        features = opened.get_slice("features")
        return {
            name: hashlib.sha256(features[place[name] : place[name] + 1].tobytes()).hexdigest()
            for name in set(media)
        }
