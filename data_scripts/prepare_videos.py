"""Turn any folder of videos with a table of scores (CSV) into a prepared dataset.

VIDEOS/       video files, or one folder of frames a video, at any depth
SCORES.csv    a line of column names, then one line a performance

The options name the columns. What is taken without them says corelib/data/score_sheet.py (a table with the
columns video and score needs none), how the file is read, byte-order mark, separator and decimal commas,
corelib/data/spreadsheets.py; both are printed. A video is named by its path below VIDEOS, its suffix may be
left out. Frames are counted, so a variable frame rate does no harm. White space in an id becomes _, since a
run lists ids separated by blanks. Every further column is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import numpy as np
import pandas as pd

from corelib.commands import SEED, Command, Place
from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.data.score_sheet import read_scores

ROLES = ("id", "video", "score", "difficulty", "group", "split", "start", "end", "judges")
NOT_STATED = "not stated"


def draw_split(samples: pd.DataFrame, *, seed: int, val_share: float, test_share: float) -> list[str]:
    """The split of every row, drawn by the seed video by video: rows of one video never lie on both sides.

    The shares are of the videos, each at least one where there are four videos or more; the order of the
    rows does not matter.
    """
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise DatasetError(f"--val-share {val_share} and --test-share {test_share} must be 0 or more, and below 1 together")
    media = sorted(set(samples["media"]))
    counts = [max(round(share * len(media)), int(share > 0 and len(media) > 3)) for share in (test_share, val_share)]
    while sum(counts) >= len(media):  # one video at least is learnt from
        counts[counts[1] > 0] -= 1
    parts = dict.fromkeys(media, "train")
    for place, row in enumerate(np.random.default_rng(seed).permutation(len(media))[: sum(counts)]):
        parts[media[row]] = "test" if place < counts[0] else "val"
    return [parts[name] for name in samples["media"]]


def prepare_videos(
    videos: Path, scores: Path, out: Path, columns: dict[str, str | None] | None = None, *, name: str | None = None,
    title: str | None = None, source: str = NOT_STATED, licence: str = NOT_STATED, citation: str = NOT_STATED,
    score_range: tuple[float, float] | None = None, seed: int = 0, val_share: float = 0.1, test_share: float = 0.2,
    decode: bool = False, overwrite: bool = False, progress: bool = True,
) -> tuple[pd.DataFrame, dict]:  # fmt: skip
    """Write the prepared dataset `out`, which points to the videos and copies none; returns (samples, what was found).

    columns                   {role: name of its column}, roles as in ROLES; those left out are looked for
    name, title, ... citation what dataset.json says of the videos; name defaults to that of the folder `out`
    score_range               (lowest, highest); default: from 0, or the lowest score below it, to the highest
    seed, val_share, test_share   of the drawn split, where no column gives one
    decode                    decode every frame of every video: slow, and finds damage within

    Raises DatasetError that lists every row that cannot be used, and FileExistsError.
    """
    name = out.name if name is None else name
    if not re.fullmatch(r"[\w.-]+", name):
        raise DatasetError(f"--name {name!r}: runs are named by it, so it is made of letters, digits, '.', '-' and '_'")
    if score_range is not None and not score_range[0] < score_range[1]:
        raise DatasetError(f"--score-range {score_range[0]:g} {score_range[1]:g}: the lowest score must lie below the highest")
    wanted = dict.fromkeys(ROLES) | (columns or {})
    with new_dataset(out, overwrite=overwrite) as folder:
        samples, found = read_scores(scores, videos, wanted, score_range=score_range, decode=decode, progress=progress)
        found["split"] = "as the table says"
        if "split" not in samples:
            samples.insert(1, "split", draw_split(samples, seed=seed, val_share=val_share, test_share=test_share))
            found["split"] = f"drawn video by video, seed {seed}, {val_share:.0%} val and {test_share:.0%} test"
        low, high = float(np.floor(min(samples["score"].min(), 0))), float(np.ceil(samples["score"].max()))
        card = {
            "name": name, "title": title or name, "source": source, "licence": licence, "citation": citation,
            "score_range": list(score_range or (low, high if high > low else low + 1)),
            "protocol": "folds" if samples["split"].str.isdecimal().all() else "fixed",
            "pairing_key": "group" if "group" in samples else "difficulty" if "difficulty" in samples else None,
            "divided_by_difficulty": "difficulty" in samples, "frame_rate": found["frame_rate"], "frame_size": found["frame_size"],
            "left_out": [], "raw_root": str(videos.resolve()), "split": found["split"], "table": f"{scores.name}, {found['how']}",
        }  # fmt: skip
        write_table(folder, card, samples)
    return samples, found


def _column(role: str, text: str):
    return click.option(f"--{role}-column" if role != "judges" else "--judges-columns", role, help=text, metavar="NAME")


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.option("--videos", required=True, type=Place(exists=True, file_okay=False, path_type=Path), help="Folder of videos or of folders of frames.")
@click.option("--scores", required=True, type=Place(exists=True, dir_okay=False, path_type=Path), help="CSV file, one line a performance.")
@click.option("--out", required=True, type=Place(file_okay=False, path_type=Path), help="Folder of the new dataset.")
@_column("id", "Unique name of a performance; without it the video's path.")
@_column("video", "Path below VIDEOS, with or without suffix.")
@_column("score", "What the judges gave.")
@_column("difficulty", "Multiplies the execution score.")
@_column("group", "Exemplars share it: an action, a class.")
@_column("split", "train, val or test, or fold numbers; without it a split is drawn.")
@_column("start", "First frame, counted from 0.")
@_column("end", "Frame behind the last one.")
@_column("judges", "Columns of marks, separated by commas; or one with all marks of a performance.")
@click.option("--score-range", nargs=2, type=float, default=None, help="Lowest and highest score possible.  [default: from the scores]", show_default=False)
@click.option("--split-seed", type=SEED, default=0, help="Draws the split where no column gives one.")
@click.option("--val-share", default=0.1, help="Share of the videos to choose the epoch on.")
@click.option("--test-share", default=0.2, help="Share of the videos to test on.")
@click.option("--name", default=None, help="[default: the name of the folder OUT]", show_default=False)
@click.option("--title", default=None, help="[default: the name]", show_default=False)
@click.option("--source", default=NOT_STATED, help="Where the videos come from.")
@click.option("--licence", default=NOT_STATED, help="Their terms.")
@click.option("--citation", default=NOT_STATED, help="What to cite.")
@click.option("--decode", is_flag=True, help="Decode every frame now: slow, finds damage within a video.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(videos, scores, out, split_seed, **options):
    columns = {role: options.pop(role) for role in ROLES}
    samples, found = prepare_videos(videos, scores, out, columns, seed=split_seed, **options)
    click.echo(f"{scores}: {found['how']}")
    click.echo("columns: " + "; ".join(f"{role} from {name}" for role, name in found["columns"].items()))
    parts = ", ".join(f"{count} {split}" for split, count in samples["split"].value_counts(sort=False).items())
    click.echo(f"{out}: {len(samples)} samples of {found['videos']} videos with {found['frames'][0]} to {found['frames'][1]} frames: {parts} (split {found['split']})")
    shared = samples.groupby("media")["split"].nunique().gt(1).sum()
    if shared:
        click.echo(f"note: {shared} videos have rows in more than one split, so a test may ask for what was learnt")
    if found["variable"]:
        click.echo(f"note: {found['variable']} videos have a variable frame rate; frames are counted as they come, whatever their time")
    if found["frame_size"] is None:
        click.echo("note: the videos differ in frame size; train with --set resize=[HEIGHT,WIDTH]")


if __name__ == "__main__":
    main()
