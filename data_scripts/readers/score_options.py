"""The options of a command that reads a table of scores, for videos and for features."""

from __future__ import annotations

from collections.abc import Callable

import click

from corelib.machine.commands import SEED

NOT_STATED = "not stated"
COLUMNS = {
    "id": "Unique name of a performance; without it the path of what MEDIA names.",
    "score": "What the judges gave.",
    "difficulty": "Multiplies the execution score.",
    "group": "Exemplars share it: an action, a class.",
    "split": "train, val or test, or fold numbers; without it a split is drawn.",
    "start": "First frame, counted from 0.",
    "end": "Frame behind the last one.",
    "judges": "Columns of marks, separated by commas; or one with all marks of a performance.",
}


def column_options(media: str, text: str, roles: tuple[str, ...]) -> Callable:
    """--id-column, --<media>-column with its help text and so on: arguments id_column ..."""
    texts = {role: words.replace("MEDIA", f"--{media}-column") for role, words in COLUMNS.items()}
    texts |= {media: text}
    options = []
    for role in roles:
        names = [f"--{role}-columns" if role == "judges" else f"--{role}-column"]
        names += ["--score"] if (media, role) == ("features", "score") else []
        options.append(click.option(*names, f"{role}_column", help=texts[role], metavar="NAME"))
    return _all(options)


def split_options(stated: str | None) -> Callable:
    """--score-range, --split-seed, the shares of a drawn split, and what dataset.json says.

    stated  the default of source, licence and citation
    """
    said = {"source": "Their origin.", "licence": "Their terms.", "citation": "What to cite."}
    return _all(
        [
            click.option(
                "--score-range",
                nargs=2,
                type=float,
                default=None,
                help="Lowest and highest score possible.",
                show_default="from the scores",
            ),
            click.option(
                "--split-seed",
                type=SEED,
                default=0,
                help="Draws the split where no column gives one.",
            ),
            click.option(
                "--val-share", default=0.1, help="Share of the videos to choose the epoch on."
            ),
            click.option("--test-share", default=0.2, help="Share of the videos to test on."),
            click.option("--name", default=None, show_default="the name of the folder OUT"),
            click.option("--title", default=None, show_default="the name"),
            *(click.option(f"--{key}", default=stated, help=text) for key, text in said.items()),
        ]
    )


def _all(options: list[Callable]) -> Callable:
    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
