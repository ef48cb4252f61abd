"""The command line: python -m corelib train | evaluate | score | sweep | course | doctor."""

from __future__ import annotations

import sys
from pathlib import Path

from corelib.machine.installation import check_installation, describe_missing
from corelib.machine.messages import tell_interruption

if __name__ == "__main__":  # before the imports below run into what is missing, or are interrupted
    sys.excepthook = tell_interruption

try:
    import click

    from corelib import __version__
    from corelib.course.cli import course
    from corelib.doctor import doctor
    from corelib.machine.commands import Commands, Place, warn, workers_option
    from corelib.recipe import named, parse_exemplars, parse_knobs, parse_seeds
except ModuleNotFoundError as error:
    sys.exit(f"error: {describe_missing([error.name])}")

# What each command does is imported in it, once its options are read: torch alone takes seconds to
# import, which --help and a typo would pay for.


def _warn_of(rows: list[dict]) -> None:
    """Say what stands in the rows of metrics.json and has not been said yet."""
    for row in rows:
        for sentence in row.get("warnings", []):
            warn(sentence)


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="corelib")
def main() -> None:
    """Contrastive regression (CoRe) for action quality assessment."""


main.add_command(course)
main.add_command(doctor)


@main.command()
@click.argument("datasets", nargs=-1, required=True, type=Place(path_type=Path))
@click.option("--system", type=click.Choice(["core", "mlp"]), default="core", show_default=True)
@click.option(
    "--recipe", default="laptop", show_default=True, help="smoke, laptop, gpu, paper or features"
)
@click.option(
    "--set",
    "knobs",
    multiple=True,
    metavar="KEY=VALUE",
    help="change a knob of the recipe; may be repeated",
)
@click.option(
    "--with-difficulty", is_flag=True, help="regress score / difficulty, as the paper's (w/ DD)"
)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out",
    type=Place(path_type=Path),
    help=(
        "run folder, or the folder of several runs [default: names from recipe and data under"
        " runs/]"
    ),
)
@click.option("--device", default="auto", show_default=True)
@workers_option
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="go on with an interrupted run, or start anew",
)
@click.option(
    "--tensorboard",
    is_flag=True,
    help="write the history for TensorBoard too, into RUN/tensorboard",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
def train(
    datasets,
    system,
    recipe,
    knobs,
    with_difficulty,
    seed,
    out,
    device,
    workers,
    resume,
    tensorboard,
    as_json,
) -> None:
    """Train CoRe or the baseline on prepared DATASETs; one model each, or one a fold where it is
    divided into folds.

    Several GPUs or machines: torchrun --nproc-per-node N -m corelib train ...
    """
    chosen = named(
        recipe,
        **{"system": system, "seed": seed, "with_difficulty": with_difficulty} | parse_knobs(knobs),
    )
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.machine import distributed
    from corelib.machine.files import json_text
    from corelib.runs.protocols import protocol_text, train_protocol

    tables = [SampleTable.load(dataset) for dataset in datasets]
    options = {
        "device": device,
        "workers": workers,
        "resume": resume,
        "progress": not as_json,
        "tensorboard": tensorboard,
    }
    trained = train_protocol(tables, chosen, out=out, **options)
    if distributed.rank() > 0:
        return
    _warn_of([row for run in trained for row in run.metrics])
    if as_json:
        documents = [{"run": str(run.folder), "metrics": run.metrics} for run in trained]
        click.echo(json_text(documents[0] if len(documents) == 1 else documents))
        return
    for run in trained:
        click.echo(f"run: {run.folder}")
        for row in run.metrics:
            click.echo(f"{row['selected_on']:>5} epoch {row['epoch']:>3}: {_summary(row)}")
    if len(trained) > 1:
        click.echo(protocol_text([run.metrics[0] for run in trained if run.metrics]))


@main.command()
@click.argument("runs", nargs=-1, required=True, type=Place(path_type=Path))
@click.option(
    "--dataset",
    type=Place(path_type=Path),
    help="another prepared dataset [default: each run's own]",
)
@click.option("--split", default="test", show_default=True)
@click.option(
    "--exemplars", default=None, help="how many exemplars vote, or 'all' [default: the recipe's]"
)
@click.option("--device", default="auto", show_default=True)
@workers_option
@click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
def evaluate(runs, dataset, split, exemplars, device, workers, as_json) -> None:
    """Evaluate trained RUNs (or all in a folder of runs) from their folders.

    Of several runs - the folds of a task, the classes of a benchmark, seeds - the table of the
    protocol is printed: rho a fold and a dataset, and the Fisher-z mean over the datasets.
    """
    asked = parse_exemplars(exemplars)
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.machine.files import json_text
    from corelib.runs.protocols import protocol_text, run_folders
    from corelib.runs.run import Run
    from corelib.training import metrics_row, training_doubts

    other = SampleTable.load(dataset) if dataset else None
    rows = []
    for folder in run_folders(runs):
        loaded = Run.load(folder, table=other, device=device)
        judged = loaded.evaluate(split, exemplars=asked, workers=workers, progress=not as_json)
        doubts = loaded.doubts() if other else training_doubts(loaded.table, loaded.recipe)
        rows.append(
            metrics_row(
                loaded.table,
                loaded.recipe,
                judged,
                split=split,
                device=loaded.device,
                notebook="",
                doubts=doubts,
            )
        )
        rows[-1]["exemplars"] = (
            0 if loaded.recipe.system == "mlp" else asked or loaded.recipe.exemplars
        )
    _warn_of(rows)
    if as_json:
        click.echo(json_text(rows[0] if len(rows) == 1 else rows))
    else:
        click.echo(_summary(rows[0]) if len(rows) == 1 else protocol_text(rows))


@main.command()
@click.argument("run", type=Place(path_type=Path))
@click.argument("videos", nargs=-1, required=True, type=Place(path_type=Path))
@click.option(
    "--difficulty", type=float, help="of the dives shown; needed by a run with difficulty"
)
@click.option(
    "--group",
    help=(
        "whose exemplars to compare with; needed by a run that pairs by a column other than"
        " difficulty"
    ),
)
@click.option(
    "--exemplars", default=None, help="how many exemplars vote, or 'all' [default: the recipe's]"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
def score(run, videos, difficulty, group, exemplars, as_json) -> None:
    """Score VIDEOs (files or folders of frames) with a trained RUN, and show the exemplars it
    compared them with."""
    asked = parse_exemplars(exemplars)
    check_installation()
    from corelib.evaluation import score_video
    from corelib.machine.files import json_text
    from corelib.runs.run import Run

    loaded = Run.load(run)
    results = [
        score_video(loaded, video, difficulty=difficulty, group=group, exemplars=asked)
        for video in videos
    ]
    if as_json:
        click.echo(json_text(results))
        return
    for result in results:
        low, high = result["interval_90"]
        click.echo(
            f"{result['video']}: {result['score']:.2f} (90 % of validation errors lie within"
            f" {low:.2f} .. {high:.2f})"
        )
        if result["group"] is not None:
            click.echo(f"    {result['paired_by']} {result['group']}")
        for vote in result["exemplars"]:
            click.echo(f"    against {vote['id']} ({vote['score']:.2f}): {vote['predicted']:.2f}")


@main.command()
@click.argument("datasets", nargs=-1, required=True, type=Place(path_type=Path))
@click.option("--seeds", default="0-4", show_default=True, help="numbers and ranges: 0-2,7")
@click.option("--systems", default="core,mlp", show_default=True, help="core, mlp or both")
@click.option(
    "--recipe", default="laptop", show_default=True, help="smoke, laptop, gpu, paper or features"
)
@click.option(
    "--set",
    "knobs",
    multiple=True,
    metavar="KEY=VALUE",
    help="change a knob of the recipe; may be repeated",
)
@click.option(
    "--with-difficulty", is_flag=True, help="regress score / difficulty, as the paper's (w/ DD)"
)
@click.option(
    "--out",
    default="runs/sweep",
    show_default=True,
    type=Place(path_type=Path),
    help="folder of runs, logs and table",
)
@click.option(
    "--executor", type=click.Choice(["local", "slurm"]), default="local", show_default=True
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="runs at a time on this machine; a cluster's queue decides for itself",
)
@click.option("--device", default="auto", show_default=True)
@workers_option
@click.option(
    "--minutes",
    type=click.IntRange(1, 60 * 24 * 365),
    default=60 * 12,
    show_default=True,
    help="time limit of a run on the cluster",
)
@click.option(
    "--slurm",
    "slurm_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="an option of the cluster, as slurm_partition=gpu; may be repeated",
)
@click.option(
    "--no-wait", is_flag=True, help="hand the runs in and return; call again to gather them"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON document and nothing else")
def sweep(
    datasets,
    seeds,
    systems,
    recipe,
    knobs,
    with_difficulty,
    out,
    executor,
    jobs,
    device,
    workers,
    minutes,
    slurm_options,
    no_wait,
    as_json,
) -> None:
    """Train seeds x systems x DATASETs x folds as separate jobs, and gather one table.

    Called again it starts what is missing or failed, and nothing that is there.
    """
    chosen, numbers = (
        named(recipe, **{"with_difficulty": with_difficulty} | parse_knobs(knobs)),
        parse_seeds(seeds),
    )
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.machine.files import json_text
    from corelib.runs.protocols import protocol_text
    from corelib.runs.sweep import plan_sweep, run_sweep

    plans = plan_sweep(
        [SampleTable.load(dataset) for dataset in datasets],
        chosen,
        seeds=numbers,
        systems=systems.split(","),
    )
    options = {key: _number(value) for key, value in parse_knobs(slurm_options, "--slurm").items()}
    found = run_sweep(
        plans,
        out,
        executor=executor,
        jobs=jobs,
        device=device,
        workers=workers,
        minutes=minutes,
        options=options,
        wait=not no_wait,
    )
    if as_json:
        click.echo(
            json_text(
                {
                    "rows": found.rows,
                    "failed": [vars(failure) for failure in found.failures],
                    "waiting": found.waiting,
                    "table": str(found.table) if found.table else None,
                }
            )
        )
    else:
        if found.rows:
            click.echo(f"{protocol_text(found.rows)}\ntable: {found.table}")
        if found.waiting:
            click.echo(
                f"{found.waiting} of {len(plans)} runs are handed in and not finished; the same"
                " command gathers them"
            )
        for failure in found.failures:
            click.echo(
                f"failed: {failure.run}: {failure.reason} (log: {failure.log}); the same command"
                " tries it again",
                err=True,
            )
    if found.failures:
        raise SystemExit(1)


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _summary(row: dict) -> str:
    low, high = row["score_range"]
    text = f"Spearman {row['spearman']:.4f}"
    if "spearman_95" in row:
        text += " (95 % {:.3f} .. {:.3f})".format(*row["spearman_95"])
    text += (
        f", R-l2 x100 {row['rl2_x100']:.4f} over the range {low:g} .. {high:g}, {row['n_test']}"
        " samples"
    )
    fallbacks = {name: n for name, n in (row.get("fallbacks") or {}).items() if n}
    return text + (f", exemplars from other groups: {fallbacks}" if fallbacks else "")


if __name__ == "__main__":
    main()
