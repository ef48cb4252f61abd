"""Turn MTL-AQA (official annotations and extracted frames) into a prepared dataset.

RAW/info/                         final_annotations_dict_with_dive_number.pkl, train_split_0.pkl,
                                  test_split_0.pkl
RAW/new/new_total_frames_256s/    one folder an event (01, 02, ...), the i-th file of the sorted
                                  folder is frame i
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.data.video import VideoError, frame_names
from corelib.machine.commands import SEED
from corelib.machine.messages import one_line
from data_scripts.dives.rules import panel_score, parse_dive_number
from data_scripts.prepared.datasets import count_flags, refuse, tell_flags
from data_scripts.prepared.options import (
    FOLDER,
    choice_option,
    command,
    optional_place,
    out_option,
    overwrite_option,
)
from data_scripts.readers.dive_annotations import (
    NO_NUMBER,
    OFF_RULE,
    ROUNDING,
    check_annotation,
    read_splits,
)
from data_scripts.readers.pickles import listed, load_pickle

ANNOTATIONS = "final_annotations_dict_with_dive_number.pkl"
SPLITS = {split: f"{split}_split_0.pkl" for split in ("train", "test")}
KEYS = (
    "start_frame", "end_frame", "position", "difficulty", "armstand", "rotation_type", "ss_no",
    "tw_no", "final_score", "judge_scores", "dive_number",
)  # fmt: skip
POSITIONS = {0: "free", 1: "pike", 2: "tuck"}
ROTATIONS = {0: "back", 1: "forward", 2: "inward", 3: "reverse"}
TEST_SHARE = 0.25  # of the dives, in the event-held-out split; the official split has as many
CARD = {
    "name": "mtl-aqa",
    "title": "MTL-AQA: Olympic diving, the judges' marks of 1,412 dives",
    "source": "github.com/ParitoshParmar/MTL-AQA; annotations with dive numbers as the released"
    " CoRe carries them",
    "licence": "research data of the MTL-AQA authors, no licence file: ask them before you pass"
    " anything on",
    "citation": "Parmar and Morris, What and How Well You Performed? A Multitask Learning Approach"
    " to Action Quality Assessment (CVPR 2019)",
    "protocol": "fixed",
    "divided_by_difficulty": True,
    "frame_rate": None,
    "frame_size": [256, 455],
    "left_out": [],
}


def read_mtl_aqa(info: Path, *, split: str = "official", seed: int = 0) -> pd.DataFrame:
    """The official annotations as one row a dive, in their order; no frame is looked at.

    info   folder of the three pickles
    split  "official": split 0, which has every event on both sides; "events": whole events are held
           out for testing, drawn by `seed` until they hold a quarter of the dives

    Columns: id, split, score, difficulty, group (the dive number), media (the event's folder),
    start, end (exclusive), judges, flags, event, dive, position, rotation, armstand,
    half_somersaults, half_twists. `flags` names what cannot be right; no dive is dropped for it.
    Raises DatasetError that lists every dive and split entry that cannot be used.
    """
    annotations, problems, rows = _read_annotations(info / ANNOTATIONS), [], []
    for key, dive in annotations.items():
        try:
            rows.append(_row(key, dive))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            problems.append(f"{ANNOTATIONS} {key}: {one_line(error)}")
    if split == "official":
        files = {part: info / name for part, name in SPLITS.items()}
        parts, wrong = read_splits(files, annotations, _listed_key, ANNOTATIONS)
        problems += wrong
    else:
        parts = _by_event(annotations, seed)
    refuse(info, problems)
    samples = pd.DataFrame(rows)
    samples.insert(1, "split", [parts[key] for key in annotations])
    return samples


def _read_annotations(path: Path) -> dict[tuple[int, int], object]:
    """{(event, dive): annotation}, in this order."""
    annotations = load_pickle(path)
    if not isinstance(annotations, Mapping):
        kind = type(annotations).__name__
        raise DatasetError(
            f"{path}: expected a dictionary (event, dive) -> annotation, not a {kind}"
        )
    for key in annotations:
        if _key(key) is None:
            raise DatasetError(
                f"{path}: a dive is named by two whole numbers (event, dive), not by"
                f" {one_line(repr(key))}"
            )
    named = {_key(key): dive for key, dive in annotations.items()}
    return {key: named[key] for key in sorted(named)}


def _key(written: object) -> tuple[int, int] | None:
    """(event, dive) as Python's numbers, whatever whole numbers and sequence they were saved as."""
    parts = listed(written) or ()
    whole = len(parts) == 2 and all(isinstance(part, int | np.integer) for part in parts)
    return tuple(map(int, parts)) if whole else None


def _listed_key(entry: object) -> tuple[int, int]:
    key = _key(entry)
    if key is None:
        raise ValueError(f"expected (event, dive), found {one_line(repr(entry))}")
    return key


def _row(key: tuple[int, int], dive: Mapping) -> dict:
    check_annotation(dive, KEYS)
    event, number = key
    score, difficulty = float(dive["final_score"]), float(dive["difficulty"])
    if not np.isfinite(score):
        raise ValueError(f"final_score is {dive['final_score']!r}; it must be a finite number")
    marks = np.asarray(dive["judge_scores"], float)
    flags = []
    try:
        parse_dive_number(dive["dive_number"])
    except ValueError:
        flags.append(NO_NUMBER)
    if abs(panel_score(marks, difficulty) - score) > ROUNDING:
        flags.append(OFF_RULE)
    return {
        "id": f"{event:02d}-{number:03d}",
        "score": score,
        "difficulty": difficulty,
        "group": dive["dive_number"],
        "media": f"{event:02d}",
        "start": int(dive["start_frame"]),
        "end": int(dive["end_frame"]),
        "judges": " ".join(f"{mark:g}" for mark in marks),
        "flags": "; ".join(flags),
        "event": event,
        "dive": number,
        "position": _named(POSITIONS, dive, "position"),
        "rotation": _named(ROTATIONS, dive, "rotation_type"),
        "armstand": int(dive["armstand"]),
        "half_somersaults": int(dive["ss_no"]),
        "half_twists": int(dive["tw_no"]),
    }


def _named(names: dict[int, str], dive: Mapping, field: str) -> str:
    code = float(dive[field])
    if code not in names:
        known = ", ".join(f"{known} ({name})" for known, name in names.items())
        raise ValueError(f"{field} is {code:g}; it must be one of {known}")
    return names[code]


def _by_event(annotations: Mapping, seed: int) -> dict:
    """{(event, dive): split}: whole events, drawn by the seed, are tested on."""
    dives = pd.Series([event for event, _ in annotations]).value_counts()
    held, count = set(), 0
    for event in np.random.default_rng(seed).permutation(sorted(dives.index)):
        # nearer to the share with it than without
        if count + dives[event] / 2 <= TEST_SHARE * len(annotations):
            held.add(int(event))
            count += dives[event]
    return {key: "test" if key[0] in held else "train" for key in annotations}


def frame_problems(samples: pd.DataFrame, frames: Path) -> list[str]:
    """A line for every event without a folder and every dive outside of its own."""
    problems = []
    for media, dives in samples.groupby("media", sort=True):
        try:
            available = len(frame_names(frames / media))
        except (OSError, VideoError) as error:
            reason = error if isinstance(error, VideoError) else "no such folder of frames"
            problems.append(f"{frames / media}: {reason}; {len(dives)} annotated dives lie there")
            continue
        for dive in dives.itertuples():
            if not 0 <= dive.start < dive.end <= available:
                problems.append(
                    f"id {dive.id}: frames {dive.start} to {dive.end} (exclusive), but"
                    f" {frames / media} holds {available}"
                )
    return problems


def prepare_mtl_aqa(
    info: Path,
    frames: Path,
    out: Path,
    *,
    split: str = "official",
    seed: int = 0,
    pair_by: str = "difficulty",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write the prepared dataset `out`, which points to the frames, and return its samples.

    pair_by  exemplars share the "difficulty" (the paper) or the "group", the dive number

    Raises DatasetError that lists every offending dive, split entry and folder.
    """
    samples = read_mtl_aqa(info, split=split, seed=seed)
    problems = frame_problems(samples, frames)
    refuse(frames, problems)
    card = CARD | {
        "score_range": [0.0, float(np.ceil(30 * samples["difficulty"].max()))],
        "pairing_key": pair_by,
        "raw_root": str(frames.resolve()),
        "split": split if split == "official" else f"events held out, seed {seed}",
        "flagged": count_flags(samples),
    }
    with new_dataset(out, overwrite=overwrite) as folder:
        write_table(folder, card, samples)
    return samples


@command(__doc__)
@optional_place("--raw", FOLDER, "MTL-AQA's folder, with info/ and new/.")
@optional_place("--info", FOLDER, "Folder of the pickles.", "RAW/info")
@optional_place(
    "--frames", FOLDER, "Folder of the events' folders.", "RAW/new/new_total_frames_256s"
)
@out_option()
@choice_option("--split", ("official", "events"), "Official split 0, or whole events held out.")
@click.option("--seed", type=SEED, default=0, help="Draws the events that are held out.")
@choice_option(
    "--pair-by", ("difficulty", "group"), "What exemplars share; group is the dive number."
)
@overwrite_option
def main(raw, info, frames, out, **options):
    if raw is None and (info is None or frames is None):
        raise click.UsageError(
            "name MTL-AQA's folder with --raw, or its parts with --info and --frames"
        )
    info, frames = info or raw / "info", frames or raw / "new" / "new_total_frames_256s"
    try:
        samples = prepare_mtl_aqa(info, frames, out, **options)
    except FileNotFoundError as error:
        held = f"{ANNOTATIONS}, {SPLITS['train']} and {SPLITS['test']}"
        raise DatasetError(
            f"{error.filename}: no such file; MTL-AQA's info/ holds {held}"
        ) from None
    train, test = (samples[samples["split"] == part] for part in ("train", "test"))
    click.echo(
        f"{out}: {len(train)} train, {len(test)} test dives of {samples['event'].nunique()} events,"
        f" {train['difficulty'].nunique()} difficulties to learn from"
    )
    tell_flags(samples, (NO_NUMBER, OFF_RULE))


if __name__ == "__main__":
    main()
