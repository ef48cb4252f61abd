"""The contract: a prepared dataset is one folder with dataset.json and samples.csv.

Every source, from procedural dives to a user's own videos, is prepared into this form, and
everything after preparation reads only this.
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

from corelib.data.contract import INFO_KEYS, DatasetError, info_problems
from corelib.data.leakage import find_leaks, refuse_leaks
from corelib.data.rows import BANK, SPLITS, media_root, sample_problems
from corelib.machine.files import new_folder, restore_folder, write_atomically
from corelib.machine.messages import one_line

__all__ = ["SPLITS", "DatasetError", "SampleTable", "new_dataset", "path_from", "write_table"]


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
        folder = Path(folder)
        restore_folder(folder)
        info, samples = _read(folder)
        if problems := info_problems(info) or sample_problems(samples, info, folder):
            shown = "\n  ".join(problems)
            raise DatasetError(
                f"{folder}: {len(problems)} problem(s) in the prepared dataset:\n  {shown}"
            )
        for column in {"score", "difficulty"} & set(samples):
            samples[column] = samples[column].astype(float)
        for column in {"start", "end"} & set(samples):
            samples[column] = pd.to_numeric(samples[column]).astype("Int64")
        own = every = _checksum(folder, ("dataset.json", "samples.csv", BANK))
        if not (info.get("raw_root") or (folder / BANK).is_file()):
            every = _checksum(folder, _own_files(folder, samples["media"]), own)
        table = cls(folder, info, samples, every, own)
        refuse_leaks(table)
        return table

    @property
    def name(self) -> str:
        return self.info["name"]

    @property
    def root(self) -> Path:
        """The folder that media are relative to: the dataset's own, or dataset.json's raw_root.

        The raw root may be anywhere, as datasets point to videos and copy none; media lie below it,
        never beside it.
        """
        return media_root(self.folder, self.info)

    @property
    def feature_bank(self) -> Path | None:
        """The file of precomputed features, or None when the samples are videos."""
        bank = self.folder / BANK
        return bank if bank.is_file() else None

    def rows(self, split: str) -> np.ndarray:
        """Row numbers [n] of a split ("train", "val", "test") or of a fold (its number)."""
        return np.flatnonzero(self.samples["split"].astype(str).to_numpy() == str(split))

    @property
    def folds(self) -> list[int]:
        """The fold numbers in rising order; none where the split is fixed."""
        folds = self.samples["split"] if self.info["protocol"] == "folds" else ()
        return sorted(map(int, set(folds)))

    def of_fold(self, fold: int | None) -> SampleTable:
        """The table as one fold's training sees it: that fold is the test split, all others train.

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
        info = self.info | {"protocol": "fixed", "fold": fold}
        return replace(self, info=info, samples=self.samples.assign(split=parts))

    def marks(self) -> list[np.ndarray]:
        """The judges' marks of every sample, one array each (empty where none are known)."""
        if "judges" not in self.samples:
            return [np.empty(0)] * len(self.samples)
        texts = self.samples["judges"].fillna("")
        return [np.array([float(mark) for mark in str(text).split()]) for text in texts]

    def target(self, with_difficulty: bool, unit: str = "score") -> np.ndarray:
        """What a model regresses, [N]: the score, the execution score (score / difficulty), or the
        score in percent. Units and errors as of `target_unit`."""
        factor, offset = self.target_unit(with_difficulty, unit)
        return (self.samples["score"].to_numpy(float) - offset) / factor

    def target_unit(self, with_difficulty: bool, unit: str = "score") -> tuple[np.ndarray, float]:
        """(factor [N], offset): score = offset + factor * target.

        unit  "score": the dataset's own; "percent": 0 and 100 are the ends of dataset.json's
              percent_range, else of its score_range, as the released code does on AQA-7

        Raises DatasetError for execution scores where none is multiplied by a difficulty.
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


def _read(folder: Path) -> tuple[object, pd.DataFrame]:
    """(dataset.json, samples.csv) as they stand there."""
    card, rows = folder / "dataset.json", folder / "samples.csv"
    for path in (card, rows):
        if not path.is_file():
            raise DatasetError(
                f"{folder}: no {path.name} here. A prepared dataset is a folder with dataset.json"
                " and samples.csv; make one with a script of data_scripts/, for example"
                " `python data_scripts/make_dives.py --out datasets/dives`."
            )
    try:
        info = json.loads(card.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{card} is not valid JSON: {one_line(error)}") from None
    texts = {name: str for name in ("id", "split", "group", "media", "judges")}
    try:
        frame = pd.read_csv(rows, dtype=texts, keep_default_na=True, encoding="utf-8-sig")
    except (ValueError, OverflowError) as error:  # pandas' own and those of text are ValueErrors
        raise DatasetError(f"{rows} cannot be read as a CSV table: {one_line(error)}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        fields = len(frame.columns)
        raise DatasetError(f"{rows}: rows have more fields than the header, which has {fields}")
    return info, frame.astype({name: object for name in texts if name in frame})


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
    be moved together; whole where there is none (Windows: another drive)."""
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
    as `SampleTable.load`; what else its splits share (`find_leaks`) is a warning.
    """
    with new_folder(folder, overwrite=overwrite, doing="prepares") as scratch:
        yield scratch
        if (scratch / "dataset.json").is_file():
            for sentence in find_leaks(SampleTable.load(scratch)):
                warnings.warn(f"{folder}: {sentence}", stacklevel=3)


def write_table(folder: str | Path, info: dict, samples: pd.DataFrame) -> None:
    """Write dataset.json and samples.csv into `folder`; the same input gives the same bytes."""
    if missing := [key for key in INFO_KEYS if key not in info]:
        raise DatasetError(
            f"dataset.json needs {', '.join(INFO_KEYS)}; missing: {', '.join(missing)}"
        )
    text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
    write_atomically(Path(folder) / "dataset.json", text)
    samples = samples.to_csv(index=False, lineterminator="\n")
    write_atomically(Path(folder) / "samples.csv", samples)
