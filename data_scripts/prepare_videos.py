"""Turn any folder of videos with a table of scores (CSV) into a prepared dataset.

VIDEOS/       video files, or one folder of frames a video, at any depth
SCORES.csv    a line of column names, then one line a performance

The options name the columns. What is taken without them says corelib/data/score_sheet.py (a table
with the columns video and score needs none), how the file is read, byte-order mark, separator and
decimal commas, corelib/data/spreadsheets.py; both are printed. A video is named by its path below
VIDEOS, its suffix may be left out. Frames are counted, so a variable frame rate does no harm. White
space in an id becomes _, since a run lists ids separated by blanks. Every further column is kept.
"""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from corelib.data.samples import new_dataset, write_table
from corelib.machine.commands import Command, Place
from data_scripts.readers.score_options import NOT_STATED, column_options, split_options
from data_scripts.readers.score_sheet import check_options, describe, read_scores

ROLES = ("id", "video", "score", "difficulty", "group", "split", "start", "end", "judges")


def prepare_videos(
    videos: Path,
    scores: Path,
    out: Path,
    columns: dict[str, str | None] | None = None,
    *,
    name: str | None = None,
    title: str | None = None,
    source: str = NOT_STATED,
    licence: str = NOT_STATED,
    citation: str = NOT_STATED,
    score_range: tuple[float, float] | None = None,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.2,
    decode: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict]:
    """Write the prepared dataset `out`, which points to the videos and copies none; returns
    (samples, what was found).

    columns                   {role: name of its column}, roles as in ROLES; those left out are
                              looked for
    name, title, ... citation what dataset.json says of the videos; name defaults to that of the
    folder `out`
    score_range               (lowest, highest); default: from 0, or the lowest score below it, to
                              the highest
    seed, val_share, test_share   of the drawn split, where no column gives one
    decode                    decode every frame of every video: slow, and finds damage within

    Raises DatasetError that lists every row that cannot be used, and FileExistsError.
    """
    name = out.name if name is None else name
    check_options(name, score_range)
    said = {
        "name": name,
        "title": title or name,
        "source": source,
        "licence": licence,
        "citation": citation,
    }
    wanted = dict.fromkeys(ROLES) | (columns or {})
    with new_dataset(out, overwrite=overwrite) as folder:
        samples, found = read_scores(
            scores, videos, wanted, score_range=score_range, decode=decode, progress=progress
        )
        card = describe(
            samples,
            found,
            said,
            score_range=score_range,
            seed=seed,
            val_share=val_share,
            test_share=test_share,
        )
        card |= {
            "raw_root": str(videos.resolve()),
            "split": found["split"],
            "table": f"{scores.name}, {found['how']}",
        }
        write_table(folder, card, samples)
    return samples, found


@click.command(cls=Command, help=__doc__.splitlines()[0], context_settings={"show_default": True})
@click.option(
    "--videos",
    required=True,
    type=Place(exists=True, file_okay=False, path_type=Path),
    help="Folder of videos or of folders of frames.",
)
@click.option(
    "--scores",
    required=True,
    type=Place(exists=True, dir_okay=False, path_type=Path),
    help="CSV file, one line a performance.",
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Folder of the new dataset.",
)
@column_options("video", "Path below VIDEOS, with or without suffix.", ROLES)
@split_options(NOT_STATED)
@click.option(
    "--decode", is_flag=True, help="Decode every frame now: slow, finds damage within a video."
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(videos, scores, out, split_seed, **options):
    columns = {role: options.pop(f"{role}_column") for role in ROLES}
    samples, found = prepare_videos(videos, scores, out, columns, seed=split_seed, **options)
    click.echo(f"{scores}: {found['how']}")
    click.echo(
        "columns: " + "; ".join(f"{role} from {name}" for role, name in found["columns"].items())
    )
    parts = ", ".join(
        f"{count} {split}" for split, count in samples["split"].value_counts(sort=False).items()
    )
    click.echo(
        f"{out}: {len(samples)} samples of {found['videos']} videos with {found['frames'][0]} to"
        f" {found['frames'][1]} frames: {parts} (split {found['split']})"
    )
    shared = samples.groupby("media")["split"].nunique().gt(1).sum()
    if shared:
        click.echo(
            f"note: {shared} videos have rows in more than one split, so a test may ask for what"
            " was learnt"
        )
    if found["variable"]:
        click.echo(
            f"note: {found['variable']} videos have a variable frame rate; frames are counted as"
            " they come, whatever their time"
        )
    if found["frame_size"] is None:
        click.echo("note: the videos differ in frame size; train with --set resize=[HEIGHT,WIDTH]")


if __name__ == "__main__":
    main()
