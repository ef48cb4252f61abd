"""Make a prepared dataset of invented dives: mp4 files, samples.csv, dataset.json."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.samples import DatasetError, SampleTable, new_dataset, write_table
from corelib.data.video import write_video
from corelib.machine.files import MAIN_GUARD, restore_folder
from data_scripts.dives.camera import render_dive
from data_scripts.dives.judges import FAULTS, Dive, draw_dive, known_numbers
from data_scripts.dives.motion import CLIP_SECONDS, fault_times
from data_scripts.dives.rules import DIFFICULTY


@dataclass(frozen=True)
class DiveSet:
    """Which dives are made; raises DatasetError for numbers or sizes that cannot be.

    train, val, test  how many dives of each split
    frames, size      frames of a video; its height and width in pixels, even
    seed              dive k depends on (seed, k) alone
    dive_numbers      dive numbers to draw from; None: a third of the table, DEFAULT_NUMBERS
    """

    train: int = 450
    val: int = 60
    test: int = 150
    frames: int = 36
    size: int = 72
    seed: int = 0
    dive_numbers: Sequence[str] | None = None

    def __post_init__(self) -> None:
        counts = {"train": self.train, "val": self.val, "test": self.test}
        if min(counts.values()) < 0 or self.train == 0:
            raise DatasetError(f"train must be 1 or more, val and test 0 or more: got {counts}")
        if self.frames < 2 or self.size < 16 or self.size % 2:
            got = f"{self.frames} frames of {self.size} pixels"
            raise DatasetError(
                f"frames must be 2 or more and size an even number from 16: got {got}"
            )
        if self.seed < 0:
            raise DatasetError(f"seed must be 0 or more, not {self.seed}")
        object.__setattr__(self, "dive_numbers", known_numbers(self.dive_numbers))

    @property
    def splits(self) -> list[str]:
        return ["train"] * self.train + ["val"] * self.val + ["test"] * self.test


def make_dives(
    out: str | Path, *, overwrite: bool = False, workers: int | None = None, **dives
) -> SampleTable:
    """Invent, film and mark dives, and write them as a prepared dataset.

    out        the dataset's folder
    overwrite  replace `out` if it exists; otherwise FileExistsError is raised
    workers    processes to draw with, any number of which makes the same files; None: one a core
    dives      fields of DiveSet
    Returns the table, read back and checked. Raises DatasetError as DiveSet, and where the
    processes end too early.
    """
    wanted = DiveSet(**dives)
    with new_dataset(out, overwrite=overwrite) as scratch:
        (scratch / "videos").mkdir()
        try:
            samples = pd.DataFrame(_film(scratch, wanted, workers))
        except BrokenProcessPool:
            raise DatasetError(
                f"{out}: a process that draws dives was ended (by the system, where memory is"
                f" short); {MAIN_GUARD}"
            ) from None
        samples.insert(1, "split", wanted.splits)
        for column in ("fault_start", "fault_end"):
            samples[column] = samples[column].astype("Int64")
        write_table(scratch, _describe(wanted), samples)
    return SampleTable.load(out)


def _film(folder: Path, wanted: DiveSet, workers: int | None) -> list[dict]:
    """Film all dives, several at a time; their rows of samples.csv."""
    total = len(wanted.splits)
    workers = max(1, min(workers or os.cpu_count() or 1, total))
    look = {"frames": wanted.frames, "size": wanted.size}
    job = partial(film_dive, folder, seed=wanted.seed, numbers=wanted.dive_numbers, **look)
    bar = partial(tqdm, total=total, desc="dives", unit="dive")
    if workers == 1:
        return list(bar(map(job, range(total))))
    # Spawned processes behave alike on every system and inherit no threads.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_end_with_parent) as pool:
        chunk = max(1, min(8, total // (4 * workers)))
        return list(bar(pool.map(job, range(total), chunksize=chunk)))


def _end_with_parent() -> None:
    """In a worker process: leave Ctrl-C to its parent, and end when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def film_dive(
    folder: Path, number: int, *, seed: int, numbers: Sequence[str], frames: int, size: int
) -> dict:
    """Draw dive `number` (from 0) and write folder/videos/...; returns its row of samples.csv."""
    dive = draw_dive(np.random.default_rng([seed, number]), numbers)
    name = f"dive-{number + 1:05d}"
    pictures = render_dive(dive, frames=frames, size=size)
    write_video(Path(folder) / "videos" / f"{name}.mp4", pictures, frames / CLIP_SECONDS)
    return describe_dive(dive, name, frames)


def describe_dive(dive: Dive, name: str, frames: int) -> dict:
    """A dive's row of samples.csv: the contract's columns, then what only its maker knows.

    fault_start and fault_end (exclusive) are frames of the main fault, blank when there is none.
    """
    start = end = None
    if dive.main_fault != "none":
        seconds = fault_times(dive)[dive.main_fault]
        start = min(max(math.floor(seconds[0] / CLIP_SECONDS * frames), 0), frames - 1)
        end = max(min(math.ceil(seconds[1] / CLIP_SECONDS * frames), frames), start + 1)
    return {
        "id": name,
        "score": dive.score,
        "difficulty": dive.difficulty,
        "group": dive.number,
        "media": f"videos/{name}.mp4",
        "judges": " ".join(f"{mark:g}" for mark in dive.marks),
        "height": int(dive.height),
        "skill": dive.skill,
        "main_fault": dive.main_fault,
        "fault_start": start,
        "fault_end": end,
        **{f"fault_{fault}": dive.faults[fault] for fault in FAULTS},
    }


def _describe(dives: DiveSet) -> dict:
    rate = dives.frames / CLIP_SECONDS
    return {
        "name": "dives",
        "title": "Procedural dives",
        "source": f"generated by this kit (data_scripts/make_dives.py, seed {dives.seed}); no real"
        " diver, no real judge",
        "licence": "MIT",
        "citation": "none: invented data; difficulties and the spread of marks follow MTL-AQA's"
        " annotations",
        "score_range": [0, round(30 * max(DIFFICULTY.values()), 2)],
        "protocol": "fixed",
        "pairing_key": "difficulty",
        "divided_by_difficulty": True,
        "frame_rate": int(rate) if rate == int(rate) else round(rate, 4),
        "frame_size": [dives.size, dives.size],
        "frames": dives.frames,
        "seed": dives.seed,
        "dive_numbers": list(dives.dive_numbers),
        "left_out": [],
    }


def find_or_make_dives(
    folder: str | Path,
    *,
    counts: Sequence[int] = (450, 60, 150),
    frames: int = 36,
    size: int = 72,
    seed: int = 0,
) -> SampleTable:
    """The procedural dives in `folder`: loaded if they are there, made if not.

    counts  dives to learn from, to choose the epoch on, to evaluate on
    frames, size  of each video; size in pixels, square

    Raises DatasetError when the folder holds dives of another number, length, size or seed.
    """
    restore_folder(folder)
    if not (Path(folder) / "dataset.json").is_file():
        train, val, test = counts
        try:
            make_dives(folder, train=train, val=val, test=test, frames=frames, size=size, seed=seed)
        except FileExistsError:
            pass  # another process has made them meanwhile
    table = SampleTable.load(folder)
    found = [len(table.rows(split)) for split in ("train", "val", "test")]
    there = (found, *(table.info.get(key) for key in ("frames", "frame_size", "seed")))
    wanted = (list(counts), frames, [size, size], seed)
    if there != wanted:
        raise DatasetError(
            f"{folder} holds other dives (counts, frames, size, seed: {there}, wanted {wanted}); "
            "name another folder or delete it"
        )
    return table


def redraw_dive(table: SampleTable, row: int) -> Dive:
    """The dive behind a row of a dataset of invented dives, to be filmed with a fault changed.

    It is drawn anew from the dataset's seed and the dive's number. Raises DatasetError where that
    is not the dive that the table tells of: another dataset, or one of another version of the kit.
    """
    sample, info = table.samples.iloc[row], table.info
    if not {"seed", "dive_numbers"} <= set(info):
        raise DatasetError(
            f"{table.folder}: {table.name} is no dataset of invented dives, so {sample['id']}"
            " cannot be drawn anew"
        )
    number = int(sample["id"].rpartition("-")[2]) - 1
    dive = draw_dive(np.random.default_rng([info["seed"], number]), info["dive_numbers"])
    if (dive.number, dive.score) != (sample["group"], sample["score"]):
        raise DatasetError(
            f"{table.folder}: {sample['id']} is another dive than this version of the kit draws;"
            " make the dives anew"
        )
    return dive
