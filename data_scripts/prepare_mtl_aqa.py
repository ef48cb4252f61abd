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
from corelib.machine.commands import SEED, Command, Place
from corelib.machine.messages import one_line
from data_scripts.dives.rules import panel_score, parse_dive_number
from data_scripts.readers.pickles import load_pickle

ANNOTATIONS = "final_annotations_dict_with_dive_number.pkl"
KEYS = ("start_frame", "end_frame", "position", "difficulty", "armstand", "rotation_type", "ss_no", "tw_no",
        "final_score", "judge_scores", "dive_number")  # fmt: skip
POSITIONS = {0: "free", 1: "pike", 2: "tuck"}
ROTATIONS = {0: "back", 1: "forward", 2: "inward", 3: "reverse"}
NO_NUMBER, OFF_RULE = "impossible dive number", "score off the rule"
ROUNDING = 0.06  # three scores are .05 beside the rule
TEST_SHARE = 0.25  # of the dives, in the event-held-out split; the official split has as many
CARD = {
    "name": "mtl-aqa",
    "title": "MTL-AQA: Olympic diving, the judges' marks of 1,412 dives",
    "source": (
        "github.com/ParitoshParmar/MTL-AQA; annotations with dive numbers as the released CoRe"
        " carries them"
    ),
    "licence": (
        "research data of the MTL-AQA authors, no licence file: ask them before you pass"
        " anything on"
    ),
    "citation": (
        "Parmar and Morris, What and How Well You Performed? A Multitask Learning Approach to"
        " Action Quality Assessment (CVPR 2019)"
    ),
    "protocol": "fixed",
    "divided_by_difficulty": True,
    "frame_rate": None,
    "frame_size": [256, 455],
    "left_out": [],
}


def read_mtl_aqa(info: Path, *, split: str = "official", seed: int = 0) -> pd.DataFrame:
    """The official annotations as one row a dive, in the order of (event, dive); no frame is looked
    at.

    info   folder of the three pickles
    split  "official": split 0, which has every event on both sides; "events": whole events are held
           out for testing, drawn by `seed` until they hold a quarter of the dives

    Columns: id, split, score, difficulty, group (the dive number), media (the event's folder),
    start, end (exclusive), judges, flags, event, dive, position, rotation, armstand,
    half_somersaults, half_twists. `flags` names what cannot be right; no dive is dropped for it.
    Raises DatasetError that lists every dive and split entry that cannot be used.
    """
    annotations = load_pickle(info / ANNOTATIONS)
    if not isinstance(annotations, Mapping):
        raise DatasetError(
            f"{info / ANNOTATIONS}: expected a dictionary (event, dive) -> annotation, not a"
            f" {type(annotations).__name__}"
        )
    wrong = [key for key in annotations if _key(key) is None]
    if wrong:
        raise DatasetError(
            f"{info / ANNOTATIONS}: a dive is named by two whole numbers (event, dive), not by"
            f" {one_line(repr(wrong[0]))}"
        )
    annotations = {_key(key): dive for key, dive in annotations.items()}
    rows, problems = [], []
    for key in sorted(annotations):
        try:
            rows.append(_row(key, annotations[key]))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            problems.append(f"{ANNOTATIONS} {key}: {one_line(error)}")
    parts, wrong = (
        _official(info, annotations) if split == "official" else (_by_event(annotations, seed), [])
    )
    if problems + wrong:
        raise DatasetError(
            f"{info}: {len(problems + wrong)} problem(s):\n  " + "\n  ".join(problems + wrong)
        )
    samples = pd.DataFrame(rows)
    samples.insert(1, "split", [parts[key] for key in sorted(annotations)])
    return samples


def _key(written: object) -> tuple[int, int] | None:
    """(event, dive) as Python's numbers, whatever whole numbers and sequence they were saved as."""
    listed = isinstance(written, tuple | list) or isinstance(written, np.ndarray) and written.ndim
    parts = tuple(written) if listed else ()
    whole = len(parts) == 2 and all(isinstance(part, int | np.integer) for part in parts)
    return tuple(map(int, parts)) if whole else None


def _row(key: tuple[int, int], dive: Mapping) -> dict:
    if not isinstance(dive, Mapping):
        raise TypeError(
            f"expected a dictionary with {', '.join(KEYS)}, not a {type(dive).__name__}"
        )
    missing = [name for name in KEYS if name not in dive]
    if missing:
        raise ValueError(f"the annotation lacks {', '.join(missing)}")
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


def _official(info: Path, annotations: Mapping) -> tuple[dict, list[str]]:
    """{(event, dive): split} of split 0, and what is wrong with it."""
    parts, problems = {}, []
    for split in ("train", "test"):
        entries = load_pickle(info / f"{split}_split_0.pkl")
        if not isinstance(entries, list | tuple) and not (
            isinstance(entries, np.ndarray) and entries.ndim
        ):
            raise DatasetError(
                f"{info / f'{split}_split_0.pkl'}: expected a list of (event, dive), not a"
                f" {type(entries).__name__}"
            )
        for row, entry in enumerate(entries):
            key, where = _key(entry), f"{split}_split_0.pkl entry {row}"
            if key is None:
                problems.append(f"{where}: expected (event, dive), found {one_line(repr(entry))}")
            elif key not in annotations:
                problems.append(f"{where}: dive {key} is not in {ANNOTATIONS}")
            elif key in parts:
                problems.append(f"{where}: dive {key} is already in the {parts[key]} split")
            else:
                parts[key] = split
    return parts, problems + [
        f"{ANNOTATIONS} {key}: the dive is in neither split"
        for key in sorted(set(annotations) - set(parts))
    ]


def _by_event(annotations: Mapping, seed: int) -> dict:
    """{(event, dive): split}: whole events, drawn by the seed, are tested on."""
    dives = pd.Series([event for event, _ in annotations]).value_counts()
    held, count = set(), 0
    for event in np.random.default_rng(seed).permutation(sorted(dives.index)):
        if count + dives[event] / 2 <= TEST_SHARE * len(
            annotations
        ):  # nearer to the share with it than without
            held.add(int(event))
            count += dives[event]
    return {key: "test" if key[0] in held else "train" for key in annotations}


def frame_problems(samples: pd.DataFrame, frames: Path) -> list[str]:
    """A line for every event without a folder and every dive outside its folder; each folder is
    listed once."""
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
    """Write the prepared dataset `out`, which points to the frames and copies none; returns its
    samples.

    pair_by  exemplars share the "difficulty" (the paper) or the "group", the dive number

    Raises DatasetError that lists every offending dive, split entry and folder.
    """
    samples = read_mtl_aqa(info, split=split, seed=seed)
    problems = frame_problems(samples, frames)
    if problems:
        raise DatasetError(f"{frames}: {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    card = CARD | {
        "score_range": [0.0, float(np.ceil(30 * samples["difficulty"].max()))],
        "pairing_key": pair_by,
        "raw_root": str(frames.resolve()),
        "split": split if split == "official" else f"events held out, seed {seed}",
        "flagged": (
            samples["flags"]
            .str.split("; ")
            .explode()
            .value_counts()
            .drop("", errors="ignore")
            .to_dict()
        ),
    }
    with new_dataset(out, overwrite=overwrite) as folder:
        write_table(folder, card, samples)
    return samples


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.option(
    "--raw",
    type=Place(file_okay=False, path_type=Path),
    help="MTL-AQA's folder, with info/ and new/.",
)
@click.option(
    "--info",
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the pickles.  [default: RAW/info]",
    show_default=False,
)
@click.option(
    "--frames",
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the events' folders.  [default: RAW/new/new_total_frames_256s]",
    show_default=False,
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the new dataset.",
)
@click.option(
    "--split",
    type=click.Choice(["official", "events"]),
    default="official",
    help="Official split 0, or whole events held out.",
)
@click.option("--seed", type=SEED, default=0, help="Draws the events that are held out.")
@click.option(
    "--pair-by",
    type=click.Choice(["difficulty", "group"]),
    default="difficulty",
    help="What exemplars share; group is the dive number.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(raw, info, frames, out, split, seed, pair_by, overwrite):
    if raw is None and (info is None or frames is None):
        raise click.UsageError(
            "name MTL-AQA's folder with --raw, or its parts with --info and --frames"
        )
    info, frames = info or raw / "info", frames or raw / "new" / "new_total_frames_256s"
    try:
        samples = prepare_mtl_aqa(
            info, frames, out, split=split, seed=seed, pair_by=pair_by, overwrite=overwrite
        )
    except FileNotFoundError as error:
        raise DatasetError(
            f"{error.filename}: no such file; MTL-AQA's info/ holds {ANNOTATIONS},"
            " train_split_0.pkl and test_split_0.pkl"
        ) from None
    train, test = (samples[samples["split"] == part] for part in ("train", "test"))
    click.echo(
        f"{out}: {len(train)} train, {len(test)} test dives of {samples['event'].nunique()} events,"
        f" {train['difficulty'].nunique()} difficulties to learn from"
    )
    for flag in (NO_NUMBER, OFF_RULE):
        click.echo(
            f"flagged, not dropped: {samples['flags'].str.contains(flag).sum()} dives, {flag}"
        )


if __name__ == "__main__":
    main()
