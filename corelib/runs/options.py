"""Options of several command lines, read before torch is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from corelib.machine.commands import Place
from corelib.machine.messages import one_line
from corelib.recipe import RANGES, RecipeError

MOST_SEEDS = 1000


PLACE = Place(path_type=Path)
ALL_EXEMPLARS = "how many exemplars vote, or 'all' [default: the recipe's]"


def option(*names: str, **stated):
    """click.option that shows its default, where it has one."""
    return click.option(*names, show_default="default" in stated, **stated)


datasets_argument = click.argument("datasets", nargs=-1, required=True, type=PLACE)
recipe_option = option(
    "--recipe", default="laptop", help="smoke, laptop, gpu, paper, features or frozen"
)
knobs_option = option(
    "--set",
    "knobs",
    multiple=True,
    metavar="KEY=VALUE",
    help="change a knob of the recipe; may be repeated",
)
difficulty_option = option(
    "--with-difficulty", is_flag=True, help="regress score / difficulty, as the paper's (w/ DD)"
)
device_option = option("--device", default="auto")
exemplars_option = option("--exemplars", help=ALL_EXEMPLARS)
json_option = option(
    "--json", "as_json", is_flag=True, help="print one JSON document and nothing else"
)


def parse_knobs(knobs: Iterable[str], option: str = "--set") -> dict[str, str]:
    """["epochs=3", "theta=none"] -> {"epochs": "3", "theta": "none"}.

    Raises RecipeError for one without a name or `=`.
    """
    for knob in knobs:
        if not knob.partition("=")[0] or "=" not in knob:
            raise RecipeError(f"{option} takes key=value, not {one_line(repr(knob))}")
    return dict(knob.split("=", 1) for knob in knobs)


def parse_seeds(text: str) -> list[int]:
    """ "0-2,7" -> [0, 1, 2, 7]. Raises RecipeError for anything else."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)[: MOST_SEEDS + 1]
    except ValueError:
        seeds = []
    given = one_line(repr(text))
    if not seeds:
        right = "numbers and rising ranges such as 0-4 or 0-2,7"
        raise RecipeError(f"--seeds takes {right}, not {given}")
    if len(seeds) > MOST_SEEDS or max(seeds) > RANGES["seed"][1]:
        right = f"at most {MOST_SEEDS} numbers from 0 to {RANGES['seed'][1]}"
        raise RecipeError(f"--seeds takes {right}, not {given}")
    return list(dict.fromkeys(seeds))


def parse_snippets(text: str | None) -> tuple[int, int] | None:
    """ "10x16" -> (10, 16): how many snippets, frames in each. Raises RecipeError for others."""
    if text is None:
        return None
    count, _, length = text.lower().partition("x")
    if not (count.isdecimal() and length.isdecimal() and 0 < int(count) <= 1000 >= int(length) > 0):
        right = "how many and of how many frames, such as 10x16"
        raise RecipeError(f"--snippets takes {right}, not {one_line(repr(text))}")
    return int(count), int(length)


def print_json(documents: list[dict]) -> None:
    """One JSON document on standard output."""
    from corelib.machine.files import json_text

    click.echo(json_text(documents[0] if len(documents) == 1 else documents))
