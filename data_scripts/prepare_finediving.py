"""Turn FineDiving (official annotations and trimmed frames) into a prepared dataset.

RAW/Annotations/             FineDiving_coarse_annotation.pkl, train_split.pkl, test_split.pkl
RAW/<event>/<dive>/*.jpg     the frames of one dive, in the order of their names

start_frame and end_frame count the frames of the whole competition's video, both ends included: the
one real dive that was looked at runs from 10635 to 10746, and its folder holds exactly these 112
frames. So the whole folder is the dive, whatever its files are called; the two numbers are kept as
first_frame and last_frame and only tell how many frames there should be.
"""

from __future__ import annotations

import json
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

ANNOTATIONS, TRAIN, TEST = "FineDiving_coarse_annotation.pkl", "train_split.pkl", "test_split.pkl"
KEYS = ("action_type", "start_frame", "end_frame", "dive_score", "difficulty", "judge_scores")
NO_NUMBER, OFF_RULE, NO_RULE = (
    "impossible dive number",
    "score off the rule",
    "a panel without a rule",
)
FRAMES_MISSING, FRAMES_MORE = "frames missing", "more frames than annotated"
FLAGS = (NO_NUMBER, OFF_RULE, NO_RULE, FRAMES_MISSING, FRAMES_MORE)
ROUNDING = 0.06  # as for MTL-AQA, some of whose scores are .05 beside the rule
CARD = {
    "name": "finediving",
    "title": (
        "FineDiving: dives of international competitions, with dive number, difficulty and judges'"
        " marks"
    ),
    "source": "github.com/xujinglin/FineDiving",
    "licence": (
        "annotations under the MIT licence; of the frames, see the owners' page before you pass"
        " anything on"
    ),
    "citation": (
        "Xu et al., FineDiving: A Fine-grained Dataset for Procedure-aware Action Quality"
        " Assessment (CVPR 2022)"
    ),
    "protocol": "fixed",
    "pairing_key": "group",
    "divided_by_difficulty": True,
    "frame_rate": None,
    "frame_size": None,
    "left_out": [],
}


def read_finediving(
    annotations: Path,
    *,
    train: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
    test_share: float = 0.25,
) -> pd.DataFrame:
    """The annotations as one row a dive, in the order of event and dive; no frame is looked at.

    annotations  a pickle (event, dive) -> annotation, or JSON: one annotation, or a list of them,
                 each with its "key": [event, dive]
    train, test  the split, lists of (event, dive) as pickles or JSON; None for both draws one:
    seed         of the drawn split; test_share, 0 .. 1, of the dives are tested on (0: all are
                 learnt from)

    Columns: id, split, score, difficulty, group (the dive number in capitals), media (event/dive),
    judges, flags, event, dive, first_frame, last_frame (both included). `flags` names what cannot
    be right; no dive is dropped for it. Raises DatasetError that lists every dive and split entry
    that cannot be used.
    """
    dives, problems = _read_annotations(annotations)
    rows = []
    for key in sorted(dives, key=_order):
        try:
            rows.append(_row(key, dives[key]))
        except (ValueError, TypeError, KeyError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            problems.append(f"{annotations.name} {key}: {one_line(reason)}")
    if train is None:
        parts = _drawn(sorted(dives, key=_order), seed, test_share)
    else:
        parts, wrong = _given({"train": train, "test": test}, dives, annotations.name)
        problems += wrong
    if problems:
        raise DatasetError(
            f"{annotations}: {len(problems)} problem(s):\n  " + "\n  ".join(problems)
        )
    samples = pd.DataFrame(rows)
    samples.insert(
        1, "split", [parts[key] for key in zip(samples["event"], samples["dive"], strict=True)]
    )
    return samples


def _load(path: Path) -> object:
    if path.suffix.lower() != ".json":
        return load_pickle(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {one_line(error)}") from None


def _read_annotations(path: Path) -> tuple[dict, list[str]]:
    """{(event, dive): annotation}, both as text, and what is wrong with the keys."""
    content = _load(path)
    if path.suffix.lower() == ".json":
        entries = [content] if isinstance(content, dict) else content
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and "key" in entry for entry in entries
        ):
            raise DatasetError(
                f'{path}: expected an annotation with its "key": [event, dive], or a list of such'
                " annotations"
            )
        pairs = [(entry["key"], entry) for entry in entries]
    elif isinstance(content, Mapping):
        pairs = list(content.items())
    else:
        raise DatasetError(
            f"{path}: expected a dictionary (event, dive) -> annotation, not a"
            f" {type(content).__name__}"
        )
    if not pairs:
        raise DatasetError(f"{path}: holds no dive")
    dives, problems = {}, []
    for written, dive in pairs:
        try:
            key = _key(written)
            if key in dives:
                raise ValueError("this dive is annotated twice")
            dives[key] = dive
        except ValueError as error:
            problems.append(f"{path.name} {one_line(repr(written))}: {error}")
    return dives, problems


def _key(written: object) -> tuple[str, str]:
    """(event, dive) as text, whether the dive was a number or not: they name two folders."""
    parts = (
        tuple(written)
        if isinstance(written, tuple | list) or isinstance(written, np.ndarray) and written.ndim
        else ()
    )
    if len(parts) != 2 or not all(isinstance(part, (str, int, np.integer)) for part in parts):
        raise ValueError("a dive is named by (event, dive)")
    event, dive = (str(part) for part in parts)
    if any(part in ("", ".", "..") or set(part) & set("/\\") for part in (event, dive)):
        raise ValueError("event and dive must be names of folders")
    return event, dive


def _order(key: tuple[str, str]) -> tuple:
    event, dive = key
    return event, int(dive) if dive.isdecimal() else -1, dive


def _row(key: tuple[str, str], dive: object) -> dict:
    if not isinstance(dive, Mapping):
        raise TypeError(
            f"expected a dictionary with {', '.join(KEYS)}, not a {type(dive).__name__}"
        )
    missing = [name for name in KEYS if name not in dive]
    if missing:
        raise KeyError(f"the annotation lacks {', '.join(missing)}")
    event, number = key
    score, difficulty = (_number(dive, name) for name in ("dive_score", "difficulty"))
    first, last = (int(_number(dive, name)) for name in ("start_frame", "end_frame"))
    action = str(dive["action_type"]).strip().upper()
    marks = np.asarray(dive["judge_scores"], float).ravel()
    if not (difficulty > 0 and score >= 0):
        raise ValueError(
            f"difficulty is {difficulty:g} and dive_score {score:g}; the one must be positive, the"
            " other not negative"
        )
    if not action or last < first:
        raise ValueError(
            f"action_type is {action!r}, start_frame {first}, end_frame {last}; expected a dive"
            " number, and an end after the start"
        )
    if not (np.isfinite(marks) & (marks >= 0)).all():
        raise ValueError(f"judge_scores are {marks.tolist()}; they must be numbers from 0 on")
    return {
        "id": "_".join(f"{event}-{number}".split()),
        "score": score,
        "difficulty": difficulty,
        "group": action,
        "media": f"{event}/{number}",
        "judges": " ".join(f"{mark:g}" for mark in marks),
        "flags": "; ".join(_flags(action, marks, score, difficulty)),
        "event": event,
        "dive": number,
        "first_frame": first,
        "last_frame": last,
    }


def _number(dive: Mapping, name: str) -> float:
    try:
        value = float(dive[name])
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} is {dive[name]!r}; it must be a finite number")
    return value


def _flags(action: str, marks: np.ndarray, score: float, difficulty: float) -> list[str]:
    flags = []
    try:
        parse_dive_number(action)
    except ValueError:
        flags.append(NO_NUMBER)
    try:
        if abs(panel_score(marks, difficulty) - score) > ROUNDING:
            flags.append(OFF_RULE)
    except ValueError:  # not 3, 5 or 7 judges, as in synchronised diving, or a mark above 10
        flags.append(NO_RULE)
    return flags


def _given(files: dict[str, Path], dives: dict, source: str) -> tuple[dict, list[str]]:
    """{(event, dive): split} of the split files, and what is wrong with them."""
    parts, problems = {}, []
    for split, path in files.items():
        entries = _load(path)
        if not (
            isinstance(entries, list | tuple) or isinstance(entries, np.ndarray) and entries.ndim
        ):
            raise DatasetError(
                f"{path}: expected a list of (event, dive), not a {type(entries).__name__}"
            )
        for row, entry in enumerate(entries):
            try:
                key = _key(entry)
                if key not in dives:
                    raise ValueError(f"dive {key} is not in {source}")
                if key in parts:
                    raise ValueError(f"dive {key} is already in the {parts[key]} split")
                parts[key] = split
            except ValueError as error:
                problems.append(f"{path.name} entry {row}: {error}")
    return parts, problems + [
        f"{source} {key}: the dive is in neither split"
        for key in sorted(set(dives) - set(parts), key=_order)
    ]


def _drawn(keys: list, seed: int, test_share: float) -> dict:
    """{(event, dive): split} drawn at random; one dive at least stays to be learnt from."""
    if not 0 <= test_share < 1:
        raise DatasetError(
            "--test-share is the share of the dives to test on, from 0 to below 1, not"
            f" {test_share}"
        )
    count = min(round(test_share * len(keys)), len(keys) - 1)
    tested = set(np.random.default_rng(seed).permutation(len(keys))[:count].tolist())
    return {key: "test" if row in tested else "train" for row, key in enumerate(keys)}


def check_frames(
    samples: pd.DataFrame, frames: Path, *, keep_incomplete: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """The samples with flags for what their folders hold, and a line for every event or dive that
    cannot be used."""
    problems, flags = [], samples["flags"].tolist()
    for event, dives in samples.groupby("event", sort=True):
        if not (frames / event).is_dir():
            problems.append(
                f"{frames / event}: no such folder; {len(dives)} annotated dives lie there"
            )
            continue
        for dive in dives.itertuples():
            folder, wanted = frames / dive.media, dive.last_frame - dive.first_frame + 1
            try:
                held = len(frame_names(folder))
            except (OSError, VideoError) as error:
                reason = (
                    error
                    if isinstance(error, VideoError)
                    else f"{folder}: no such folder of frames"
                )
                problems.append(f"id {dive.id}: {reason}")
                continue
            if held < wanted and not keep_incomplete:
                problems.append(
                    f"id {dive.id}: {folder} holds {held} frames, annotated are {wanted}; unpack it"
                    " again, or pass --keep-incomplete"
                )
            elif held != wanted:
                flags[dive.Index] = "; ".join(
                    filter(
                        None, [flags[dive.Index], FRAMES_MISSING if held < wanted else FRAMES_MORE]
                    )
                )
    return samples.assign(flags=flags), problems


def prepare_finediving(
    annotations: Path,
    frames: Path,
    out: Path,
    *,
    train: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
    test_share: float = 0.25,
    keep_incomplete: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write the prepared dataset `out`, which points to the frames and copies none; returns its
    samples.

    Arguments as in read_finediving and check_frames. Raises DatasetError that lists every offending
    dive, split entry and folder.
    """
    samples = read_finediving(annotations, train=train, test=test, seed=seed, test_share=test_share)
    samples, problems = check_frames(samples, frames, keep_incomplete=keep_incomplete)
    if problems:
        raise DatasetError(f"{frames}: {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    drawn = (
        f"not the official one: drawn dive by dive, seed {seed}, {test_share:.0%} tested on"
        if test_share
        else "none: all are learnt from"
    )
    highest = max(30 * samples["difficulty"].max(), samples["score"].max())
    card = CARD | {
        "score_range": [0.0, float(np.ceil(highest - 1e-9))],
        "raw_root": str(frames.resolve()),
        "split": f"{train.name}, {test.name}" if train else drawn,
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
    help="FineDiving's folder, with Annotations/ and the events' folders.",
)
@click.option(
    "--annotations",
    type=Place(dir_okay=False, path_type=Path),
    help=f"Pickle or JSON.  [default: RAW/Annotations/{ANNOTATIONS}]",
    show_default=False,
)
@click.option(
    "--frames",
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the events' folders.  [default: RAW]",
    show_default=False,
)
@click.option(
    "--train",
    type=Place(dir_okay=False, path_type=Path),
    help=f"Dives to learn from.  [default: RAW/Annotations/{TRAIN}, if there]",
    show_default=False,
)
@click.option(
    "--test",
    type=Place(dir_okay=False, path_type=Path),
    help=f"Dives to test on.  [default: RAW/Annotations/{TEST}, if there]",
    show_default=False,
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the new dataset.",
)
@click.option(
    "--split-seed", type=SEED, default=0, help="Draws the split where there are no split files."
)
@click.option(
    "--test-share", default=0.25, help="Share of the dives to test on, where the split is drawn."
)
@click.option(
    "--all",
    "everything",
    type=click.Choice(["train"]),
    help="No split: put every dive into the training split.",
)
@click.option(
    "--keep-incomplete",
    is_flag=True,
    help="Flag dives with fewer frames than annotated instead of refusing them.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(
    raw,
    annotations,
    frames,
    train,
    test,
    out,
    split_seed,
    test_share,
    everything,
    keep_incomplete,
    overwrite,
):
    if raw is None and (annotations is None or frames is None):
        raise click.UsageError(
            "name FineDiving's folder with --raw, or its parts with --annotations and --frames"
        )
    annotations, frames = annotations or raw / "Annotations" / ANNOTATIONS, frames or raw
    if everything and (train or test):
        raise click.UsageError("--all train leaves no room for --train and --test")
    if raw is not None and not (everything or train or test):
        train, test = (
            path if path.is_file() else None
            for path in (raw / "Annotations" / TRAIN, raw / "Annotations" / TEST)
        )
    if (train is None) != (test is None):
        raise click.UsageError(
            f"a split is two files: there is {train or test}, but no"
            f" {'--train' if train is None else '--test'}"
        )
    try:
        samples = prepare_finediving(
            annotations,
            frames,
            out,
            train=train,
            test=test,
            seed=split_seed,
            test_share=0 if everything else test_share,
            keep_incomplete=keep_incomplete,
            overwrite=overwrite,
        )
    except FileNotFoundError as error:
        raise DatasetError(
            f"{error.filename}: no such file; FineDiving's Annotations/ holds {ANNOTATIONS},"
            f" {TRAIN} and {TEST}"
        ) from None
    learnt, tested = (samples[samples["split"] == part] for part in ("train", "test"))
    click.echo(
        f"{out}: {len(learnt)} train, {len(tested)} test dives of {samples['event'].nunique()}"
        f" events, {learnt['group'].nunique()} dive numbers to learn from"
    )
    if train is None and not everything:
        click.echo(
            "no split files: the split is not the official one, it was drawn with seed"
            f" {split_seed}"
        )
    for flag in FLAGS:
        click.echo(
            f"flagged, not dropped: {samples['flags'].str.contains(flag).sum()} dives, {flag}"
        )


if __name__ == "__main__":
    main()
