"""Make a prepared dataset of invented dives: mp4 files, samples.csv, dataset.json."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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


def make_dives(
    out: str | Path,
    *,
    train: int = 450,
    val: int = 60,
    test: int = 150,
    frames: int = 36,
    size: int = 72,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    dive_numbers: Sequence[str] | None = None,
) -> SampleTable:
    """Invent, film and mark dives, and write them as a prepared dataset.

    out           the dataset's folder
    train, val, test   how many dives of each split
    frames, size  frames of a video; its height and width in pixels, even
    seed          dive k depends on (seed, k) alone, so any number of workers makes the same files
    overwrite     replace `out` if it exists; otherwise FileExistsError is raised
    workers       processes to draw with (default: as many as the machine has cores)
    dive_numbers  dive numbers to draw from (default: a third of the table, DEFAULT_NUMBERS)
    Raises DatasetError for numbers or sizes that cannot be made, and where the processes end too
    early. Returns the table, read back and checked.
    """
    counts = {"train": train, "val": val, "test": test}
    if min(counts.values()) < 0 or train == 0:
        raise DatasetError(f"train must be 1 or more, val and test 0 or more: got {counts}")
    if frames < 2 or size < 16 or size % 2:
        got = f"{frames} frames of {size} pixels"
        raise DatasetError(f"frames must be 2 or more and size an even number from 16: got {got}")
    if seed < 0:
        raise DatasetError(f"seed must be 0 or more, not {seed}")
    numbers = known_numbers(dive_numbers)
    total = sum(counts.values())
    workers = max(1, min(workers or os.cpu_count() or 1, total))
    splits = [split for split, count in counts.items() for _ in range(count)]
    with new_dataset(out, overwrite=overwrite) as scratch:
        (scratch / "videos").mkdir()
        job = partial(film_dive, scratch, seed=seed, numbers=numbers, frames=frames, size=size)
        bar = partial(tqdm, total=total, desc="dives", unit="dive")
        if workers == 1:
            rows = list(bar(map(job, range(total))))
        else:
            # Spawned processes behave alike on every system and inherit no threads.
            try:
                with ProcessPoolExecutor(
                    workers, mp_context=get_context("spawn"), initializer=_end_with_parent
                ) as pool:
                    rows = list(
                        bar(
                            pool.map(
                                job, range(total), chunksize=max(1, min(8, total // (4 * workers)))
                            )
                        )
                    )
            except BrokenProcessPool:
                raise DatasetError(
                    f"{out}: a process that draws dives was ended (by the system, where memory is"
                    f" short); {MAIN_GUARD}"
                ) from None
        samples = pd.DataFrame(rows)
        samples.insert(1, "split", splits)
        for column in ("fault_start", "fault_end"):
            samples[column] = samples[column].astype("Int64")
        write_table(scratch, _describe(frames, size, seed, numbers), samples)
    return SampleTable.load(out)


def _end_with_parent() -> None:
    """In a worker process: leave Ctrl-C to the process that started it, and end when that one is
    killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def film_dive(
    folder: Path, number: int, *, seed: int, numbers: Sequence[str], frames: int, size: int
) -> dict:
    """Draw dive `number` (from 0), write its video under folder/videos, and return its row of
    samples.csv."""
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


def _describe(frames: int, size: int, seed: int, numbers: Sequence[str]) -> dict:
    rate = frames / CLIP_SECONDS
    return {
        "name": "dives",
        "title": "Procedural dives",
        "source": (
            f"generated by this kit (data_scripts/make_dives.py, seed {seed}); no real diver, no"
            " real judge"
        ),
        "licence": "MIT",
        "citation": (
            "none: invented data; difficulties and the spread of marks follow MTL-AQA's annotations"
        ),
        "score_range": [0, round(30 * max(DIFFICULTY.values()), 2)],
        "protocol": "fixed",
        "pairing_key": "difficulty",
        "divided_by_difficulty": True,
        "frame_rate": int(rate) if rate == int(rate) else round(rate, 4),
        "frame_size": [size, size],
        "frames": frames,
        "seed": seed,
        "dive_numbers": list(numbers),
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
    """The dive behind a row of a dataset of invented dives, drawn anew from the dataset's seed and
    the dive's number.

    So that it can be filmed once more with a fault changed. Raises DatasetError where the dive
    drawn is not the one that the table tells of: another dataset, or one made by another version of
    the kit.
    """
    sample, info = table.samples.iloc[row], table.info
    if not {"seed", "dive_numbers"} <= set(info):
        raise DatasetError(
            f"{table.folder}: {table.name} is no dataset of invented dives, so {sample['id']}"
            " cannot be drawn anew"
        )
    dive = draw_dive(
        np.random.default_rng([info["seed"], int(sample["id"].rpartition("-")[2]) - 1]),
        info["dive_numbers"],
    )
    if (dive.number, dive.score) != (sample["group"], sample["score"]):
        raise DatasetError(
            f"{table.folder}: {sample['id']} is another dive than this version of the kit draws;"
            " make the dives anew"
        )
    return dive
