"""Turn any folder of videos with a table of scores (CSV) into a prepared dataset.

VIDEOS/       video files, or one folder of frames a video, at any depth
SCORES.csv    a line of column names, then one line a performance

The options name the columns; a table with the columns video and score needs none. What is taken
without them says readers/columns.py, and how the file is read readers/spreadsheets.py; both are
printed. A video is named by its path below VIDEOS, its suffix may be left out. Frames are counted,
so a variable frame rate does no harm. White space in an id becomes _, since a run lists ids
separated by blanks. Every further column is kept.
"""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from corelib.data.samples import new_dataset, write_table
from data_scripts.prepared.datasets import (
    NOT_STATED,
    CardOptions,
    count_splits,
    describe,
    tell_columns,
)
from data_scripts.prepared.options import (
    FILE_THERE,
    FOLDER_THERE,
    card_options,
    column_options,
    command,
    out_option,
    overwrite_option,
    place_option,
)
from data_scripts.readers.score_sheet import read_scores

ROLES = ("id", "video", "score", "difficulty", "group", "split", "start", "end", "judges")


def prepare_videos(
    videos: Path,
    scores: Path,
    out: Path,
    columns: dict[str, str | None] | None = None,
    *,
    decode: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **options,
) -> tuple[pd.DataFrame, dict]:
    """Write the prepared dataset `out`, which points to the videos and copies none.

    columns  {role: name of its column}, roles as in ROLES; those left out are looked for
    decode   decode every frame of every video: slow, and finds damage within
    options  fields of CardOptions; name defaults to that of the folder `out`

    Returns (samples, what was found). Raises DatasetError that lists every row that cannot be used,
    and FileExistsError.
    """
    options = CardOptions.of(options, name=out.name)
    wanted = dict.fromkeys(ROLES) | (columns or {})
    with new_dataset(out, overwrite=overwrite) as folder:
        samples, found = read_scores(
            scores,
            videos,
            wanted,
            score_range=options.score_range,
            decode=decode,
            progress=progress,
        )
        card = describe(samples, found, options) | {
            "raw_root": str(videos.resolve()),
            "split": found["split"],
            "table": f"{scores.name}, {found['how']}",
        }
        write_table(folder, card, samples)
    return samples, found


@command(__doc__)
@place_option("--videos", FOLDER_THERE, "Folder of videos or of folders of frames.")
@place_option("--scores", FILE_THERE, "CSV file, one line a performance.")
@out_option()
@column_options("video", "Path below VIDEOS, with or without suffix.", ROLES)
@card_options(NOT_STATED)
@click.option(
    "--decode", is_flag=True, help="Decode every frame now: slow, finds damage within a video."
)
@overwrite_option
def main(videos, scores, out, **options):
    columns = {role: options.pop(f"{role}_column") for role in ROLES}
    samples, found = prepare_videos(videos, scores, out, columns, **options)
    tell_columns(scores, found)
    shortest, longest = found["frames"]
    click.echo(
        f"{out}: {len(samples)} samples of {found['videos']} videos with {shortest} to {longest}"
        f" frames: {count_splits(samples)} (split {found['split']})"
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
