"""Reproduce a benchmark of the CoRe paper, and print its row beside the published one.

It is prepared, trained and evaluated by its protocol.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from corelib.machine.commands import SEED, Command, workers_option
from data_scripts.prepared.benchmarks import BENCHMARKS, name_of
from data_scripts.prepared.options import FOLDER, FOLDER_THERE, place_option

if TYPE_CHECKING:  # they take seconds, which --help need not wait for
    from corelib.data.samples import SampleTable
    from corelib.recipe import Recipe


def prepare(
    benchmark: str, raw: Path, folder: Path, *, recipe: str, options: tuple[str, ...] = ()
) -> list[SampleTable]:
    """The benchmark's datasets, loaded; its preparation script runs unless they are there already.

    folder  where the prepared datasets lie; options: more arguments of the script, as
            `("--splits", FILE)`

    Raises SystemExit with the script's exit code when it fails: its own message says why.
    """
    from corelib.data.samples import SampleTable

    plan = BENCHMARKS[benchmark]
    folders = [folder / name for name in plan.datasets]
    if not all((place / "dataset.json").is_file() for place in folders):
        out = folders[0] if len(folders) == 1 else folder
        arguments = ["--raw", str(raw), "--out", str(out)]
        arguments += [*plan.prepare.get(recipe, []), *options]
        script = Path(__file__).parent / plan.script
        click.echo(f"$ python data_scripts/{plan.script} {' '.join(arguments)}", err=True)
        code = subprocess.run([sys.executable, script, *arguments], stdout=sys.stderr).returncode
        if code:
            raise SystemExit(code)
    return [SampleTable.load(place) for place in folders]


def benchmark_recipe(benchmark: str, recipe: str, **changes) -> Recipe:
    """The named recipe with the benchmark's own settings, and `changes` on top."""
    from corelib.recipe import named

    return named(recipe, **BENCHMARKS[benchmark].knobs(recipe) | changes)


def compare(benchmark: str, rows: list[dict]) -> list[dict]:
    """The measured averages of metrics rows beside the published ones, a dictionary a system."""
    from corelib.runs.protocols import FISHER_MEAN, protocol_table

    table = protocol_table(rows)
    if len(BENCHMARKS[benchmark].datasets) > 1:
        table = table[table["dataset"] == FISHER_MEAN]
    return [
        {
            "benchmark": benchmark,
            "system": row.system,
            "with_difficulty": bool(row.with_difficulty),
            "recipe": row.recipe,
            "seeds": int(row.seeds),
            "spearman": row.spearman,
            "spearman_sd": row.spearman_sd,
            "rl2_x100": row.rl2_x100,
            "rl2_x100_sd": row.rl2_x100_sd,
            "published": BENCHMARKS[benchmark].published[row.system, bool(row.with_difficulty)],
        }
        for row in table.itertuples()
    ]


def in_words(benchmark: str, recipe: str, compared: list[dict]) -> str:
    """The table of `compare`, and what there is to note of it."""
    lines = [
        f"{benchmark}, recipe {recipe}",
        f"{'system':<18}{'rho':<28}{'R-l2 x100':<28}",
        f"{'':<18}" + f"{'published':<14}{'measured':<14}" * 2 + "seeds",
    ]
    for row in compared:
        system = name_of(row["system"], row["with_difficulty"])
        rho, rl2 = (
            "-" if value is None else f"{value:g}" for value in row["published"] or (None, None)
        )
        lines.append(
            f"{system:<18}{rho:<14}{row['spearman']:<14.4f}{rl2:<14}{row['rl2_x100']:<14.4f}"
            f"{row['seeds']}"
        )
    lines += [BENCHMARKS[benchmark].note] if BENCHMARKS[benchmark].note else []
    return "\n".join(lines)


def plans(
    benchmark: str, recipe: str, systems: tuple[str, ...], seeds: tuple[int, ...], changes: dict
) -> list[Recipe]:
    """A recipe for each published row of the systems and each seed."""
    return [
        benchmark_recipe(
            benchmark,
            recipe,
            **changes | {"system": system, "with_difficulty": difficulty, "seed": seed},
        )
        for system, difficulty in BENCHMARKS[benchmark].published
        if system in systems
        for seed in seeds
    ]


def _changes(weights: str, knobs: tuple[str, ...]) -> dict:
    """The knobs that --weights and --set change."""
    from corelib.recipe import RecipeError
    from corelib.runs.options import parse_knobs

    if weights != "none" and not Path(weights).is_file():
        raise RecipeError(
            f"no weights file {weights}: run `python data_scripts/fetch_weights.py`, or start from"
            " random numbers with --weights none"
        )
    found = "" if weights == "none" else str(Path(weights).resolve())
    return parse_knobs(knobs) | {"weights": found}


def _arguments(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise click.BadParameter(f"{text} ({error})", param_hint="--prepare") from None


@click.command(cls=Command, help=__doc__, context_settings={"show_default": True})
@click.argument("benchmark", type=click.Choice(list(BENCHMARKS)))
@place_option("--raw", FOLDER_THERE, "The benchmark's folder, as its owners lay it out.")
@click.option(
    "--prepare",
    "prepare_options",
    default="",
    help="More options of the preparation script, in quotes.",
)
@click.option("--recipe", default="paper", help="paper, gpu, laptop or smoke.")
@click.option(
    "--system",
    "systems",
    type=click.Choice(["mlp", "core"]),
    multiple=True,
    default=("mlp", "core"),
)
@click.option("--seed", "seeds", type=SEED, multiple=True, default=(0,), help="May be repeated.")
@click.option(
    "--weights",
    default="weights/i3d-hassony2.safetensors",
    help="Kinetics weights (data_scripts/fetch_weights.py), or none.",
)
@click.option(
    "--set",
    "knobs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a knob of the recipe; may be repeated.",
)
@click.option(
    "--datasets", default="datasets", type=FOLDER, help="Where the prepared datasets lie."
)
@click.option("--runs", default="runs", type=FOLDER, help="Where the runs lie.")
@click.option("--device", default="auto")
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def main(benchmark, raw, recipe, systems, seeds, datasets, as_json, **options):
    from corelib.runs.protocols import protocol_text, train_protocol

    changes = _changes(options.pop("weights"), options.pop("knobs"))
    recipes = plans(benchmark, recipe, systems, seeds, changes)
    arguments = _arguments(options.pop("prepare_options"))
    tables = prepare(benchmark, raw, datasets, recipe=recipe, options=arguments)
    rows = []
    for each in recipes:
        trained = train_protocol(tables, each, progress=not as_json, **options)
        rows += [run.metrics[0] for run in trained]
    compared = compare(benchmark, rows)
    if as_json:
        click.echo(json.dumps({"rows": rows, "compared": compared}))
    else:
        click.echo(f"{protocol_text(rows)}\n\n{in_words(benchmark, recipe, compared)}")


if __name__ == "__main__":
    main()
