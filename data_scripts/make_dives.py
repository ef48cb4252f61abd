"""Make the procedural dives: invented, filmed and marked dives as a prepared dataset.

python data_scripts/make_dives.py --out datasets/dives
"""

import click

from corelib.machine.commands import SEED, WORKERS, Command, Place
from data_scripts.dives.dataset import make_dives
from data_scripts.dives.judges import known_numbers
from data_scripts.dives.rules import DIFFICULTY


@click.command(cls=Command, help=__doc__, context_settings={"show_default": True})
@click.option(
    "--out", required=True, type=Place(file_okay=False), help="Folder of the new dataset."
)
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
    default=None,
    help="Dive numbers, by commas, or 'all'; a third of them if not given.",
)
@click.option(
    "--workers",
    default=None,
    type=click.IntRange(1, WORKERS.max),
    help="Processes; all cores if not given.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(out, train, val, test, frames, size, seed, numbers, workers, overwrite):
    try:
        chosen = known_numbers(
            DIFFICULTY
            if numbers == "all"
            else [text for text in (numbers or "").split(",") if text]
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--numbers") from None
    table = make_dives(
        out,
        train=train,
        val=val,
        test=test,
        frames=frames,
        size=size,
        seed=seed,
        overwrite=overwrite,
        workers=workers,
        dive_numbers=chosen,
    )
    samples = table.samples
    marks = samples["score"] / samples["difficulty"] / 3
    counts = ", ".join(
        f"{count} {split}" for split, count in samples["split"].value_counts(sort=False).items()
    )
    click.echo(f"{out}: {counts}; {frames} frames of {size} x {size}")
    click.echo(
        f"mean of the counting marks {marks.mean():.2f}, standard deviation {marks.std():.2f}"
    )
    groups = samples.groupby("group").agg(difficulty=("difficulty", "first"), dives=("id", "size"))
    click.echo(
        "; ".join(f"{row.Index} ({row.difficulty:g}): {row.dives}" for row in groups.itertuples())
    )


if __name__ == "__main__":
    main()
