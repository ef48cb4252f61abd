"""Turn FineDiving (official annotations and trimmed frames) into a prepared dataset.

RAW/Annotations/             FineDiving_coarse_annotation.pkl, train_split.pkl, test_split.pkl
RAW/<event>/<dive>/*.jpg     the frames of one dive, in the order of their names

start_frame and end_frame count the frames of the whole competition's video, both ends included: the
one real dive that was looked at runs from 10635 to 10746, and its folder holds exactly these 112
frames. So the whole folder is the dive, whatever its files are called; the two numbers are kept as
first_frame and last_frame and only tell how many frames there should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.data.video import VideoError, frame_names
from corelib.machine.commands import SEED
from corelib.machine.messages import one_line
from data_scripts.prepared.datasets import count_flags, refuse, tell_flags
from data_scripts.prepared.options import (
    FILE,
    FOLDER,
    command,
    optional_place,
    out_option,
    overwrite_option,
)
from data_scripts.readers.dive_annotations import NO_NUMBER, OFF_RULE, read_splits
from data_scripts.readers.finediving_files import (
    NO_RULE,
    describe_dive,
    dive_key,
    load,
    read_annotations,
)

ANNOTATIONS, TRAIN, TEST = "FineDiving_coarse_annotation.pkl", "train_split.pkl", "test_split.pkl"
FRAMES_MISSING, FRAMES_MORE = "frames missing", "more frames than annotated"
FLAGS = (NO_NUMBER, OFF_RULE, NO_RULE, FRAMES_MISSING, FRAMES_MORE)
CARD = {
    "name": "finediving",
    "title": "FineDiving: dives of international competitions, with dive number, difficulty and"
    " judges' marks",
    "source": "github.com/xujinglin/FineDiving",
    "licence": "annotations under the MIT licence; of the frames, see the owners' page before you"
    " pass anything on",
    "citation": "Xu et al., FineDiving: A Fine-grained Dataset for Procedure-aware Action Quality"
    " Assessment (CVPR 2022)",
    "protocol": "fixed",
    "pairing_key": "group",
    "divided_by_difficulty": True,
    "frame_rate": None,
    "frame_size": None,
    "left_out": [],
}


@dataclass(frozen=True)
class Split:
    """Which dives are tested on.

    train, test  files of (event, dive), pickles or JSON; None for both draws the split:
    seed, test_share  of a drawn one; test_share, 0 .. 1, of the dives (0: all are learnt from)
    """

    train: Path | None = None
    test: Path | None = None
    seed: int = 0
    test_share: float = 0.25

    def in_words(self) -> str:
        if self.train:
            return f"{self.train.name}, {self.test.name}"
        if not self.test_share:
            return "none: all are learnt from"
        share = f"{self.test_share:.0%} tested on"
        return f"not the official one: drawn dive by dive, seed {self.seed}, {share}"

    def draw(self, dives: Mapping) -> dict[tuple[str, str], str]:
        """{(event, dive): split} at random; one dive at least stays to be learnt from."""
        if not 0 <= self.test_share < 1:
            raise DatasetError(
                "--test-share is the share of the dives to test on, from 0 to below 1, not"
                f" {self.test_share}"
            )
        count = min(round(self.test_share * len(dives)), len(dives) - 1)
        tested = set(np.random.default_rng(self.seed).permutation(len(dives))[:count].tolist())
        return {key: "test" if row in tested else "train" for row, key in enumerate(dives)}


def read_finediving(annotations: Path, split: Split = Split()) -> pd.DataFrame:
    """The annotations as one row a dive, in the order of event and dive; no frame is looked at.

    annotations  a pickle (event, dive) -> annotation, or JSON: one annotation, or a list of them,
                 each with its "key": [event, dive]

    Columns: id, split, score, difficulty, group (the dive number in capitals), media (event/dive),
    judges, flags, event, dive, first_frame, last_frame (both included). `flags` names what cannot
    be right; no dive is dropped for it. Raises DatasetError that lists every dive and split entry
    that cannot be used.
    """
    dives, problems = read_annotations(annotations)
    rows = []
    for key, dive in dives.items():
        try:
            rows.append(describe_dive(key, dive))
        except (ValueError, TypeError) as error:
            problems.append(f"{annotations.name} {key}: {one_line(error)}")
    if split.train is None:
        parts = split.draw(dives)
    else:
        files = {"train": split.train, "test": split.test}
        parts, wrong = read_splits(files, dives, dive_key, annotations.name, load)
        problems += wrong
    refuse(annotations, problems)
    samples = pd.DataFrame(rows)
    samples.insert(1, "split", [parts[key] for key in dives])
    return samples


def check_frames(
    samples: pd.DataFrame, frames: Path, *, keep_incomplete: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """The samples with flags for what their folders hold, and a line for each that is useless."""
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
            except VideoError as error:
                problems.append(f"id {dive.id}: {error}")
                continue
            except OSError:
                problems.append(f"id {dive.id}: {folder}: no such folder of frames")
                continue
            if held < wanted and not keep_incomplete:
                problems.append(
                    f"id {dive.id}: {folder} holds {held} frames, annotated are {wanted}; unpack it"
                    " again, or pass --keep-incomplete"
                )
            elif held != wanted:
                more = FRAMES_MISSING if held < wanted else FRAMES_MORE
                flags[dive.Index] = "; ".join(filter(None, [flags[dive.Index], more]))
    return samples.assign(flags=flags), problems


def prepare_finediving(
    annotations: Path,
    frames: Path,
    out: Path,
    split: Split = Split(),
    *,
    keep_incomplete: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write the prepared dataset `out`, which points to the frames and copies none.

    Arguments as in read_finediving and check_frames. Returns its samples. Raises DatasetError that
    lists every offending dive, split entry and folder.
    """
    samples = read_finediving(annotations, split)
    samples, problems = check_frames(samples, frames, keep_incomplete=keep_incomplete)
    refuse(frames, problems)
    highest = max(30 * samples["difficulty"].max(), samples["score"].max())
    card = CARD | {
        "score_range": [0.0, float(np.ceil(highest - 1e-9))],
        "raw_root": str(frames.resolve()),
        "split": split.in_words(),
        "flagged": count_flags(samples),
    }
    with new_dataset(out, overwrite=overwrite) as folder:
        write_table(folder, card, samples)
    return samples


def _split_asked_for(raw: Path | None, everything: str | None, options: dict) -> Split:
    """The split that the command's options name; they are taken out."""
    train, test = options.pop("train"), options.pop("test")
    seed, share = options.pop("split_seed"), options.pop("test_share")
    if everything and (train or test):
        raise click.UsageError("--all train leaves no room for --train and --test")
    if raw is not None and not (everything or train or test):
        held = (raw / "Annotations" / name for name in (TRAIN, TEST))
        train, test = (path if path.is_file() else None for path in held)
    if (train is None) != (test is None):
        lacking = "--train" if train is None else "--test"
        raise click.UsageError(f"a split is two files: there is {train or test}, but no {lacking}")
    return Split(train, test, seed, 0 if everything else share)


@command(__doc__)
@optional_place("--raw", FOLDER, "FineDiving's folder, with Annotations/ and the events' folders.")
@optional_place("--annotations", FILE, "Pickle or JSON.", f"RAW/Annotations/{ANNOTATIONS}")
@optional_place("--frames", FOLDER, "Folder of the events' folders.", "RAW")
@optional_place("--train", FILE, "Dives to learn from.", f"RAW/Annotations/{TRAIN}, if there")
@optional_place("--test", FILE, "Dives to test on.", f"RAW/Annotations/{TEST}, if there")
@out_option()
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
@overwrite_option
def main(raw, annotations, frames, out, **options):
    if raw is None and (annotations is None or frames is None):
        raise click.UsageError(
            "name FineDiving's folder with --raw, or its parts with --annotations and --frames"
        )
    annotations, frames = annotations or raw / "Annotations" / ANNOTATIONS, frames or raw
    everything = options.pop("everything")
    split = _split_asked_for(raw, everything, options)
    try:
        samples = prepare_finediving(annotations, frames, out, split, **options)
    except FileNotFoundError as error:
        held = f"{ANNOTATIONS}, {TRAIN} and {TEST}"
        raise DatasetError(
            f"{error.filename}: no such file; FineDiving's Annotations/ holds {held}"
        ) from None
    learnt, tested = (samples[samples["split"] == part] for part in ("train", "test"))
    click.echo(
        f"{out}: {len(learnt)} train, {len(tested)} test dives of {samples['event'].nunique()}"
        f" events, {learnt['group'].nunique()} dive numbers to learn from"
    )
    if split.train is None and not everything:
        click.echo(
            "no split files: the split is not the official one, it was drawn with seed"
            f" {split.seed}"
        )
    tell_flags(samples, FLAGS)


if __name__ == "__main__":
    main()
