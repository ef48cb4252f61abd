"""The command line: python -m corelib train | evaluate | score | import-core | features ..."""

from __future__ import annotations

import sys

from corelib.machine.installation import check_installation, describe_missing
from corelib.machine.messages import tell_interruption

if __name__ == "__main__":  # before the imports below run into what is missing, or are interrupted
    sys.excepthook = tell_interruption

try:
    import click

    from corelib import __version__
    from corelib.course.cli import course
    from corelib.doctor import doctor
    from corelib.machine.commands import Commands, warn, workers_option
    from corelib.recipe import SYSTEMS, named, parse_exemplars
    from corelib.runs.cli import features, import_core, sweep
    from corelib.runs.options import (
        PLACE,
        datasets_argument,
        device_option,
        difficulty_option,
        exemplars_option,
        json_option,
        knobs_option,
        option,
        parse_knobs,
        print_json,
        recipe_option,
    )
except ModuleNotFoundError as error:
    sys.exit(f"error: {describe_missing([error.name])}")

# What each command does is imported in it, once its options are read: torch alone takes seconds to
# import, which --help and a typo would pay for.


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="corelib")
def main() -> None:
    """Contrastive regression (CoRe) for action quality assessment."""


for command in (course, doctor, features, import_core, sweep):
    main.add_command(command)


@main.command()
@datasets_argument
@option("--system", type=click.Choice(list(SYSTEMS)), default="core")
@recipe_option
@knobs_option
@difficulty_option
@option("--seed", default=0)
@option(
    "--out",
    type=PLACE,
    help="run folder, or folder of several runs [default: named by recipe and data under runs/]",
)
@device_option
@workers_option
@option("--resume/--restart", default=True, help="go on with an interrupted run, or start anew")
@option("--tensorboard", is_flag=True, help="write the history into RUN/tensorboard too")
@json_option
def train(datasets, recipe, knobs, system, with_difficulty, seed, as_json, **how) -> None:
    """Train CoRe or the baseline on prepared DATASETs: one model each, or one a fold.

    Several GPUs or machines: torchrun --nproc-per-node N -m corelib train ...
    """
    stated = {"system": system, "seed": seed, "with_difficulty": with_difficulty}
    chosen = named(recipe, **stated | parse_knobs(knobs))
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.machine import distributed
    from corelib.runs.protocols import protocol_text, train_protocol

    tables = [SampleTable.load(dataset) for dataset in datasets]
    trained = train_protocol(tables, chosen, progress=not as_json, **how)
    if distributed.rank() > 0:
        return
    _warn_of([row for run in trained for row in run.metrics])
    if as_json:
        print_json([{"run": str(run.folder), "metrics": run.metrics} for run in trained])
        return
    for run in trained:
        click.echo(f"run: {run.folder}")
        for row in run.metrics:
            how = "chosen on validation" if row["selected_on"] == "val" else row["selected_on"]
            click.echo(f"{row['split']} split, epoch {row['epoch']} ({how}): {_summary(row)}")
    if len(trained) > 1:
        click.echo(protocol_text([run.metrics[0] for run in trained if run.metrics]))


@main.command()
@click.argument("runs", nargs=-1, required=True, type=PLACE)
@option("--dataset", type=PLACE, help="another prepared dataset [default: each run's own]")
@option("--split", default="test")
@exemplars_option
@device_option
@workers_option
@json_option
def evaluate(runs, dataset, split, exemplars, device, workers, as_json) -> None:
    """Evaluate trained RUNs (or all in a folder of runs) from their folders.

    Of several runs - the folds of a task, the classes of a benchmark, seeds - the table of the
    protocol is printed: rho a fold and a dataset, and the Fisher-z mean over the classes
    of AQA-7 and the tasks of JIGSAWS.
    """
    asked = parse_exemplars(exemplars)
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.runs.protocols import protocol_text, run_folders
    from corelib.runs.records import metrics_row
    from corelib.runs.run import Run
    from corelib.runs.soundness import training_doubts

    other = SampleTable.load(dataset) if dataset else None
    rows = []
    for folder in run_folders(runs):
        run = Run.load(folder, table=other, device=device)
        judged = run.evaluate(split, exemplars=asked, workers=workers, progress=not as_json)
        doubts = run.origin_doubts + (run.doubts() if other else training_doubts(run.task))
        row = metrics_row(run.task, judged, split=split, device=run.device, doubts=doubts)
        voted = (asked or run.recipe.exemplars) if run.model.uses_exemplars else 0
        rows.append(row | {"exemplars": voted, "run": str(folder)})
    _warn_of(rows)
    if as_json:
        print_json(rows)
    else:
        click.echo(_summary(rows[0]) if len(rows) == 1 else protocol_text(rows))


@main.command()
@click.argument("run", type=PLACE)
@click.argument("videos", nargs=-1, required=True, type=PLACE)
@option("--difficulty", type=float, help="of the dives shown; needed by a run with difficulty")
@option("--group", help="whose exemplars to compare with, where a run pairs by another column")
@exemplars_option
@json_option
def score(run, videos, difficulty, group, exemplars, as_json) -> None:
    """Score VIDEOs (files or folders of frames) with a trained RUN, and show the exemplars."""
    asked = parse_exemplars(exemplars)
    check_installation()
    from corelib.machine.files import json_text
    from corelib.runs.run import Run
    from corelib.runs.score import score_video

    loaded, whom = Run.load(run), {"difficulty": difficulty, "group": group, "exemplars": asked}
    results = [score_video(loaded, video, **whom) for video in videos]
    if as_json:
        click.echo(json_text(results))
        return
    for result in results:
        low, high = result["interval_90"]
        interval = f"90 %: {low:.2f} .. {high:.2f}"
        interval = "no validation errors, so no interval" if loaded.validation.empty else interval
        click.echo(f"{result['video']}: {result['score']:.2f} ({interval})")
        if result["group"] is not None:
            click.echo(f"    {result['paired_by']} {result['group']}")
        for vote in result["exemplars"]:
            click.echo(f"    against {vote['id']} ({vote['score']:.2f}): {vote['predicted']:.2f}")


@main.command()
@click.argument("run", type=PLACE)
@option("--format", "formats", default="pdf,svg,png", help="of the files, with commas between them")
@option("--out", type=PLACE, help="folder [default: RUN/figures]")
def figures(run, formats, out) -> None:
    """Write a RUN's figures at the widths of a paper, and print their titles for the captions."""
    check_installation()
    from corelib.figures import plots
    from corelib.figures.paper import FORMATS, write_figure
    from corelib.pairs import pair_differences
    from corelib.runs.run import Run

    kinds = formats.split(",")
    if unknown := [kind for kind in kinds if kind not in FORMATS]:
        raise click.UsageError(f"--format takes {', '.join(FORMATS)}, not {unknown[0]!r}")
    loaded, drawn = Run.load(run), {}
    if (run / "history.csv").is_file():  # an imported run has none
        drawn["training"] = plots.learning_curves, loaded.history
    if (run / "predictions.csv").is_file():  # nor has one without test samples
        found = loaded.predictions_with_samples()
        drawn["predictions"] = plots.score_scatter, found["true"], found["predicted"]
        known = [name for name in ("group", "difficulty") if name in found]
        drawn |= {"errors": (plots.error_views, found, known)} if known else {}
    if loaded.recipe.system == "core":
        task, edges = loaded.task, loaded.model.groups.edges.cpu().numpy()
        differences = pair_differences(task.targets[task.fit], task.groups[task.fit])
        drawn["intervals"] = plots.intervals, differences, edges
    for name, figure in drawn.items():
        place = (out or run / "figures") / name
        title = write_figure(place, kinds, *figure)
        click.echo(": ".join(filter(None, [f"{place}.{{{formats}}}", title])))


def _warn_of(rows: list[dict]) -> None:
    """Say what stands in the rows of metrics.json and has not been said yet."""
    for row in rows:
        for sentence in row.get("warnings", []):
            warn(sentence)


def _summary(row: dict) -> str:
    low, high = row["score_range"]
    text = f"Spearman {row['spearman']:.4f}"
    if "spearman_95" in row:
        text += " (95 % {:.3f} .. {:.3f})".format(*row["spearman_95"])
    text += f", R-l2 x100 {row['rl2_x100']:.4f} over the range {low:g} .. {high:g}"
    text += f", {row['n_test']} samples"
    for level, (inside, width) in row.get("coverage", {}).items():
        text += f"; intervals of {level} % cover {100 * inside:.0f} % (width {width:.3g})"
    counts = (row.get("fallbacks") or {}).items()
    taken = ", ".join(f"{n} (taken: {name})" for name, n in counts if n)
    return text + (f"; queries whose group has too few exemplars: {taken}" if taken else "")


if __name__ == "__main__":
    main()
