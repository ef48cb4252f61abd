"""Make the procedural dives: invented, filmed and marked dives as a prepared dataset.

python data_scripts/make_dives.py --out datasets/dives
"""

import click

from corelib.machine.commands import SEED, WORKERS, Command
from data_scripts.dives.dataset import make_dives
from data_scripts.dives.judges import known_numbers
from data_scripts.dives.rules import DIFFICULTY
from data_scripts.prepared.datasets import count_splits
from data_scripts.prepared.options import out_option, overwrite_option


def _numbers(context, option, text: str | None) -> tuple[str, ...]:
    wanted = DIFFICULTY if text == "all" else [each for each in (text or "").split(",") if each]
    try:
        return known_numbers(wanted)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--numbers") from None


@click.command(cls=Command, help=__doc__, context_settings={"show_default": True})
@out_option()
@click.option("--train", default=450, help="Dives to learn from.")
@click.option("--val", default=60, help="Dives to choose the epoch on.")
@click.option("--test", default=150, help="Dives to evaluate on.")
@click.option(
    "--frames",
    default=36,
    help="Frames of each video; the whole dive is shown whatever their number.",
)
@click.option("--size", default=72, help="Height and width in pixels.")
@click.option("--seed", type=SEED, default=0, help="The same seed gives the same dives.")
@click.option(
    "--numbers",
    "dive_numbers",
    default=None,
    callback=_numbers,
    help="Dive numbers, by commas, or 'all'; a third of them if not given.",
)
@click.option(
    "--workers",
    default=None,
    type=click.IntRange(1, WORKERS.max),
    help="Processes; all cores if not given.",
)
@overwrite_option
def main(out, frames, size, **options):
    samples = make_dives(out, frames=frames, size=size, **options).samples
    marks = samples["score"] / samples["difficulty"] / 3
    click.echo(f"{out}: {count_splits(samples)}; {frames} frames of {size} x {size}")
    click.echo(
        f"mean of the counting marks {marks.mean():.2f}, standard deviation {marks.std():.2f}"
    )
    groups = samples.groupby("group").agg(difficulty=("difficulty", "first"), dives=("id", "size"))
    click.echo(
        "; ".join(f"{row.Index} ({row.difficulty:g}): {row.dives}" for row in groups.itertuples())
    )


if __name__ == "__main__":
    main()
