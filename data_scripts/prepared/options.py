"""Options that scripts share; those of a table of scores are for videos and for features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from corelib.machine.commands import SEED, Command, Place

ANY_THERE = Place(exists=True, path_type=Path)
FOLDER = Place(file_okay=False, path_type=Path)
FILE = Place(dir_okay=False, path_type=Path)
FOLDER_THERE = Place(exists=True, file_okay=False, path_type=Path)
FILE_THERE = Place(exists=True, dir_okay=False, path_type=Path)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the folder if it exists."
)
overwrite_several_option = click.option(
    "--overwrite", is_flag=True, help="Replace datasets that differ from what would be written."
)
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


def command(text: str) -> Callable:
    """A script's command; its help is the first line of `text`."""
    settings = {"show_default": True}
    return click.command(cls=Command, help=text.splitlines()[0], context_settings=settings)


def place_option(name: str, kind: Place, text: str) -> Callable:
    """A file or folder that must be given."""
    return click.option(name, required=True, type=kind, help=text)


def out_option(text: str = "Folder of the new dataset.") -> Callable:
    return place_option("--out", FOLDER, text)


def optional_place(name: str, kind: Place, text: str, default: str | None = None) -> Callable:
    """A file or folder that may be given; `default` in words."""
    text = f"{text}  [default: {default}]".strip() if default else text
    return click.option(name, type=kind, help=text, show_default=False)


def choice_option(name: str, choices: Sequence[str], text: str, *dest: str) -> Callable:
    """One of several words, the first if none is given."""
    kind = click.Choice(list(choices))
    return click.option(name, *dest, type=kind, default=kind.choices[0], help=text)


def several_option(name: str, dest: str, choices: Sequence[str], count: str) -> Callable:
    """Any of several words, all of them (in words `count`) if none is given."""
    text = f"Only this one; may be repeated.  [default: all {count}]"
    kind = click.Choice(list(choices))
    return click.option(name, dest, multiple=True, type=kind, help=text, show_default=False)


def column_options(media: str, text: str, roles: tuple[str, ...]) -> Callable:
    """--id-column, --<media>-column with its help text and so on: arguments id_column ..."""
    texts = {role: words.replace("MEDIA", f"--{media}-column") for role, words in COLUMNS.items()}
    texts |= {media: text}
    options = []
    for role in roles:
        names = [f"--{role}-columns" if role == "judges" else f"--{role}-column"]
        names += ["--score"] if (media, role) == ("features", "score") else []
        options.append(click.option(*names, f"{role}_column", help=texts[role], metavar="NAME"))
    return _all(*options)


def card_options(stated: str | None) -> Callable:
    """The fields of CardOptions; `stated` is the default of source, licence and citation."""
    return _all(
        click.option(
            "--score-range",
            nargs=2,
            type=float,
            default=None,
            show_default="from the scores",
            help="Lowest and highest score possible.",
        ),
        click.option(
            "--split-seed",
            "seed",
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
        click.option("--source", default=stated, help="Their origin."),
        click.option("--licence", default=stated, help="Their terms."),
        click.option("--citation", default=stated, help="What to cite."),
    )


def _all(*options: Callable) -> Callable:
    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
