"""The contract: a prepared dataset is one folder with dataset.json and samples.csv.

Every source (procedural dives, MTL-AQA, AQA-7, JIGSAWS, FineDiving, precomputed features, a
user's own videos) is prepared into this form, and everything after preparation reads only this.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.data.contract import INFO_KEYS, info_problems, is_below, is_id
from corelib.machine.errors import KitError
from corelib.machine.files import new_folder, restore_folder, write_atomically
from corelib.machine.messages import one_line

SPLITS = ("train", "val", "test")
MOST_FRAMES = 2**31  # of a video; a larger start or end is no frame number


class DatasetError(KitError, ValueError):
    """A prepared dataset, or something in it, is not as the contract says; the message lists every
    case."""


@dataclass(frozen=True)
class SampleTable:
    """A prepared dataset: its description and one row a sample.

    folder   where dataset.json and samples.csv lie
    info     dataset.json as a dictionary (name, title, score_range, protocol, pairing_key, ...)
    samples  a pandas data frame, one row a sample, indexed 0..N-1, columns as in samples.csv;
             `start` and `end` are nullable integers, `judges` stays text
    sha256   checksum of what a training learns from: dataset.json, samples.csv and the feature bank
             or, of videos and frames in the dataset's own folder, every byte. Media below a
             raw_root elsewhere are not read for it.
    table_sha256   the same without the pictures, which another processor or encoder writes a little
                   differently
    """

    folder: Path
    info: dict
    samples: pd.DataFrame
    sha256: str
    table_sha256: str = ""

    @classmethod
    def load(cls, folder: str | Path) -> SampleTable:
        """Read and check a prepared dataset.

        Raises DatasetError with one message that lists every offending row; no row is ever dropped.
        """
        from corelib.data.leakage import refuse_leaks  # here, since it reads tables

        folder = Path(folder)
        restore_folder(folder)
        for name in ("dataset.json", "samples.csv"):
            if not (folder / name).is_file():
                raise DatasetError(
                    f"{folder}: no {name} here. A prepared dataset is a folder with dataset.json"
                    " and samples.csv; make one with a script of data_scripts/, for example"
                    " `python data_scripts/make_dives.py --out datasets/dives`."
                )
        try:
            info = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                f"{folder / 'dataset.json'} is not valid JSON: {one_line(error)}"
            ) from None
        samples = _read_samples(folder / "samples.csv")
        problems = info_problems(info) or _sample_problems(samples, info, folder)
        if problems:
            shown = "\n  ".join(problems)
            raise DatasetError(
                f"{folder}: {len(problems)} problem(s) in the prepared dataset:\n  {shown}"
            )
        samples["score"] = samples["score"].astype(float)
        for column in ("start", "end"):
            if column in samples:
                samples[column] = pd.to_numeric(samples[column]).astype("Int64")
        if "difficulty" in samples:
            samples["difficulty"] = samples["difficulty"].astype(float)
        own = _checksum(folder, ("dataset.json", "samples.csv", "features.safetensors"))
        pictured = not (info.get("raw_root") or (folder / "features.safetensors").is_file())
        table = cls(
            folder,
            info,
            samples,
            _checksum(folder, _own_files(folder, samples["media"]), own) if pictured else own,
            own,
        )
        refuse_leaks(table)
        return table

    @property
    def name(self) -> str:
        return self.info["name"]

    @property
    def root(self) -> Path:
        """The folder that `media` is relative to: the dataset's own, or the raw root named in
        dataset.json.

        The raw root may be anywhere, as datasets point to videos and copy none; media lie below it,
        never beside it.
        """
        return _media_root(self.folder, self.info)

    @property
    def feature_bank(self) -> Path | None:
        """The file of precomputed features, or None when the samples are videos."""
        bank = self.folder / "features.safetensors"
        return bank if bank.is_file() else None

    def rows(self, split: str) -> np.ndarray:
        """Row numbers [n] of a split ("train", "val", "test") or of a fold (its number)."""
        return np.flatnonzero(self.samples["split"].astype(str).to_numpy() == str(split))

    @property
    def folds(self) -> list[int]:
        """The fold numbers of a dataset whose protocol is folds, in rising order; none where the
        split is fixed."""
        return (
            sorted(map(int, set(self.samples["split"]))) if self.info["protocol"] == "folds" else []
        )

    def of_fold(self, fold: int | None) -> SampleTable:
        """The table as one fold's training sees it: that fold is the test split, all others the
        training split.

        A table with a fixed split is returned as it is, for fold None. Raises DatasetError for a
        fold that is not there, or none where one is needed.
        """
        if self.info["protocol"] == "fixed":
            if fold == self.info.get("fold"):
                return self
            raise DatasetError(
                f"{self.name}: its split is fixed, so there is no fold {fold}; leave fold out"
            )
        if fold not in self.folds:
            known = ", ".join(map(str, self.folds))
            raise DatasetError(
                f"{self.name} is divided into the folds {known}; name the one to test on"
                f" (fold={self.folds[0]}), not {fold}"
            )
        parts = np.where(self.samples["split"].astype(int) == fold, "test", "train").astype(object)
        return replace(
            self,
            info=self.info | {"protocol": "fixed", "fold": fold},
            samples=self.samples.assign(split=parts),
        )

    def marks(self) -> list[np.ndarray]:
        """The judges' marks of every sample, one array each (empty where none are known)."""
        if "judges" not in self.samples:
            return [np.empty(0)] * len(self.samples)
        return [
            np.array([float(mark) for mark in str(text).split()])
            for text in self.samples["judges"].fillna("")
        ]

    def target(self, with_difficulty: bool, unit: str = "score") -> np.ndarray:
        """What a model regresses, [N]: the score, the execution score (score / difficulty), or the
        score in percent of the range that `target_unit` says. Raises as `target_unit`."""
        factor, offset = self.target_unit(with_difficulty, unit)
        return (self.samples["score"].to_numpy(float) - offset) / factor

    def target_unit(self, with_difficulty: bool, unit: str = "score") -> tuple[np.ndarray, float]:
        """(factor [N], offset): score = offset + factor * target.

        unit  "score": the dataset's own; "percent": 0 and 100 are the ends of dataset.json's
              percent_range (its score_range where it names none), as the released code does on
              AQA-7

        Raises DatasetError when execution scores are asked of a dataset whose scores are not
        multiplied by a difficulty.
        """
        if unit == "percent":
            low, high = self.info.get("percent_range") or self.info["score_range"]
            return np.full(len(self.samples), (high - low) / 100), float(low)
        if not with_difficulty:
            return np.ones(len(self.samples)), 0.0
        if not self.info["divided_by_difficulty"]:
            raise DatasetError(
                f"{self.name}: its scores are not multiplied by a difficulty, so there is none to"
                " divide by; train with with_difficulty=false."
            )
        return self.samples["difficulty"].to_numpy(float), 0.0


def _read_samples(path: Path) -> pd.DataFrame:
    text_columns = {name: str for name in ("id", "split", "group", "media", "judges")}
    try:
        frame = pd.read_csv(path, dtype=text_columns, keep_default_na=True, encoding="utf-8-sig")
    except (
        ValueError,
        OverflowError,
    ) as error:  # pandas' own errors and those of text are ValueErrors
        raise DatasetError(f"{path} cannot be read as a CSV table: {one_line(error)}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise DatasetError(
            f"{path}: rows have more fields than the header, which has {len(frame.columns)}"
        )
    return frame.astype({name: object for name in text_columns if name in frame})


def _media_root(folder: Path, info: dict) -> Path:
    return (folder / info["raw_root"]).resolve() if info.get("raw_root") else folder


def _sample_problems(frame: pd.DataFrame, info: dict, folder: Path) -> list[str]:
    """Every way in which samples.csv breaks the contract, a line each; line numbers are the
    file's."""
    missing = [name for name in ("id", "split", "score", "media") if name not in frame]
    key = info["pairing_key"]
    missing += [key] if key and key not in frame and key not in missing else []
    missing += (
        ["difficulty"]
        if info["divided_by_difficulty"] and "difficulty" not in frame and key != "difficulty"
        else []
    )
    if missing:
        return [
            f"samples.csv: the column {name!r} is missing (it has: {', '.join(frame.columns)})"
            for name in missing
        ]

    problems: list[str] = []

    def report(bad: pd.Series, column: str, rule: str) -> None:
        for index in np.flatnonzero(bad.to_numpy()):
            value, name = frame[column].iloc[index], frame["id"].iloc[index]
            value = value.item() if isinstance(value, np.generic) else value
            problems.append(
                f"samples.csv line {index + 2} (id {one_line(name)}): {column} is"
                f" {one_line(repr(value))}; {rule}"
            )

    low, high = info["score_range"]
    report(frame["id"].isna(), "id", "every sample needs an id")
    report(
        frame["id"].notna() & ~frame["id"].map(is_id),
        "id",
        "it must have no white space and no control characters: lists of ids are separated by"
        " blanks",
    )
    report(frame["id"].duplicated(keep=False) & frame["id"].notna(), "id", "ids must be unique")
    folds = frame["split"].astype(str).str.fullmatch(r"\d+") & (info["protocol"] == "folds")
    report(
        ~(frame["split"].isin(SPLITS) | folds),
        "split",
        "it must be train, val or test, or a fold number where the protocol is folds",
    )
    score = pd.to_numeric(frame["score"], errors="coerce")
    report(~np.isfinite(score), "score", "it must be a finite number")
    report(
        np.isfinite(score) & ~score.between(low, high),
        "score",
        f"it must lie in the score range {low} to {high}",
    )
    if "difficulty" in frame:
        difficulty = pd.to_numeric(frame["difficulty"], errors="coerce")
        report(
            ~(np.isfinite(difficulty) & (difficulty > 0)),
            "difficulty",
            "it must be a positive number",
        )
    if key and key != "difficulty":
        report(frame[key].isna(), key, "exemplars are paired by it, so every sample needs one")
    if "judges" in frame:
        wrong = ~frame["judges"].fillna("").astype(str).str.fullmatch(r"\s*(\d+(\.\d*)?(\s+|$))*")
        report(wrong, "judges", "it must be numbers separated by spaces")
    if {"start", "end"} & set(frame):
        if not {"start", "end"} <= set(frame):
            return problems + [
                "samples.csv: start and end go together; one of the two columns is missing"
            ]
        start, end = (pd.to_numeric(frame[name], errors="coerce") for name in ("start", "end"))
        blank = frame["start"].isna() & frame["end"].isna()
        numbers = (
            (start >= 0) & (end > start) & (end < MOST_FRAMES) & (start % 1 == 0) & (end % 1 == 0)
        )
        report(
            ~blank & ~numbers,
            "end",
            "start must be a frame number, 0 or more, and end, exclusive, one above it",
        )
    if (folder / "features.safetensors").is_file():
        problems += _feature_problems(frame, folder / "features.safetensors")
    else:
        root = _media_root(folder, info)
        report(frame["media"].isna(), "media", "every sample needs a video or a folder of frames")
        below = frame["media"].map(is_below)
        report(
            ~below & frame["media"].notna(),
            "media",
            f"it must be a path below {root}: neither absolute nor with '..'",
        )
        exists = frame["media"].map(lambda media: is_below(media) and _has_content(root / media))
        report(~exists & below, "media", f"no such file or folder under {root}, or it is empty")
    if info["protocol"] == "fixed" and not (frame["split"] == "train").any():
        problems.append(
            "samples.csv: no row has split 'train', so there is nothing to learn from or compare"
            " with"
        )
    return problems


def _has_content(path: Path) -> bool:
    try:
        if path.is_dir():
            with os.scandir(
                path
            ) as entries:  # the first entry is enough; a folder may hold a whole competition
                return next(entries, None) is not None
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False


def _feature_problems(frame: pd.DataFrame, bank: Path) -> list[str]:
    from corelib.data.banks import bank_ids

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


def _checksum(folder: Path, names: Iterable[str], begin: str = "") -> str:
    """One checksum over the names and contents of those files that are there."""
    digest = hashlib.sha256(begin.encode())
    for name in names:
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                digest.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _own_files(folder: Path, media: Iterable[str]) -> Iterator[str]:
    """The files of a dataset's media, each once, by their path below the folder."""
    for name in dict.fromkeys(media):
        if (folder / name).is_dir():
            yield from (f"{name}/{entry}" for entry in sorted(os.listdir(folder / name)))
        else:
            yield name


def path_from(there: str | Path, here: str | Path) -> str:
    """The path that leads from folder `here` to `there`, with "/" between folders, so that both can
    be moved together and read on another system; whole where there is none (Windows: another
    drive)."""
    there, here = Path(there).resolve(), Path(here).resolve()
    try:
        return Path(os.path.relpath(there, here)).as_posix()
    except ValueError:
        return there.as_posix()


@contextmanager
def new_dataset(folder: str | Path, *, overwrite: bool = False):
    """Prepare a dataset in a scratch folder beside `folder`; it gets its name only when finished.

    Yields the scratch folder to write into. An error or an interruption leaves nothing that looks
    finished, and the dataset that was there before. Raises as corelib.machine.files.new_folder, and
    DatasetError as `SampleTable.load`; what else its splits share (leakage.find_leaks) is a
    warning.
    """
    from corelib.data.leakage import find_leaks

    with new_folder(folder, overwrite=overwrite, doing="prepares") as scratch:
        yield scratch
        if (scratch / "dataset.json").is_file():
            for sentence in find_leaks(SampleTable.load(scratch)):
                warnings.warn(f"{folder}: {sentence}", stacklevel=3)


def write_table(folder: str | Path, info: dict, samples: pd.DataFrame) -> None:
    """Write dataset.json and samples.csv into `folder`; the same input gives the same bytes."""
    folder = Path(folder)
    missing = [key for key in INFO_KEYS if key not in info]
    if missing:
        raise DatasetError(
            f"dataset.json needs {', '.join(INFO_KEYS)}; missing: {', '.join(missing)}"
        )
    text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / "dataset.json", text)
    write_atomically(folder / "samples.csv", samples.to_csv(index=False, lineterminator="\n"))
