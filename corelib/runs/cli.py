"""Commands that begin from data sets: sweep, features and import-core."""

from __future__ import annotations

import click

from corelib.machine.commands import warn, workers_option
from corelib.machine.installation import check_installation
from corelib.recipe import named
from corelib.runs.options import (
    PLACE,
    datasets_argument,
    device_option,
    difficulty_option,
    json_option,
    knobs_option,
    option,
    parse_knobs,
    parse_seeds,
    parse_snippets,
    print_json,
    recipe_option,
)


@click.command()
@click.argument("dataset", type=PLACE)
@option("--weights", required=True, type=PLACE, help="file of I3D weights, or the folder of a run")
@option("--out", required=True, type=PLACE, help="folder of the dataset of features")
@option("--snippets", metavar="SxL", help="S snippets of L frames from each video [default: 10x16]")
@option(
    "--frames",
    type=click.IntRange(1, 10_000),
    help="frames a video is cut to [default: the first one's, at most 103]",
)
@option("--size", type=click.IntRange(16, 1024), help="pixels of the square seen [default: 224]")
@option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
@device_option
@workers_option
def features(dataset, weights, out, snippets, frames, size, **how) -> None:
    """Encode each video of DATASET once with a frozen I3D: a dataset of features.

    A run's encoder looks at videos as it was trained to; --snippets, --frames and --size are for a
    file of weights. Killed, the same command goes on where it was.
    """
    cut = {"snippets": parse_snippets(snippets), "frames": frames, "size": size}
    cut = {key: value for key, value in cut.items() if value is not None}
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.runs.features import frozen_run, frozen_weights, write_features
    from corelib.runs.run import Run

    table = SampleTable.load(dataset)
    if not weights.is_dir():
        frozen = frozen_weights(table, weights, **cut)
    elif cut:
        wrong = f"a run's encoder looks as it was trained to; leave --{', --'.join(cut)} out"
        raise click.UsageError(f"{weights}: {wrong}")
    else:
        frozen = frozen_run(Run.load(weights, table=table, device=how["device"]))
    made = write_features(table, frozen, out, progress=True, **how)
    count, (steps, width) = len(made.samples), made.info["feature_size"]
    click.echo(f"{out}: {count} videos, {steps} x {width} features each, by {made.info['encoder']}")
    onward = f"train {out} --recipe features --set stretches={steps}"
    click.echo(f"train on them with: python -m corelib {onward}")


@click.command("import-core")
@click.argument("file", type=PLACE)
@option("--dataset", required=True, type=PLACE, help="the prepared dataset that it was trained on")
@option("--out", required=True, type=PLACE, help="run folder")
@difficulty_option
@knobs_option
@option(
    "--evaluate/--no-evaluate", default=True, help="test it at once, or leave that to `evaluate`"
)
@device_option
@workers_option
@json_option
def import_core(file, dataset, out, with_difficulty, knobs, as_json, **how) -> None:
    """Make a run of a checkpoint FILE (best.pth, last.pth) that the released CoRe program saved.

    The file says neither its dataset nor whether it was trained with difficulty: name both.
    """
    changes = {"with_difficulty": with_difficulty, "knobs": parse_knobs(knobs)}
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.runs.imported import import_core as make_run
    from corelib.runs.protocols import protocol_text

    table = SampleTable.load(dataset)
    run = make_run(file, table, out, progress=not as_json, **changes, **how)
    for sentence in [sentence for row in run.metrics for sentence in row["warnings"]]:
        warn(sentence)
    origin = run.origin
    if as_json:
        print_json([{"run": str(out), "metrics": run.metrics, "origin": origin}])
        return
    known = {key: number for key, number in origin["said"].items() if number is not None}
    shown = ", ".join(f"{key} {number:g}" for key, number in known.items())
    click.echo(f"run: {out}\n{origin['file']}: {shown} ({origin['note']})")
    if run.metrics:
        click.echo(f"measured here:\n{protocol_text(run.metrics)}")


@click.command()
@datasets_argument
@option("--seeds", default="0-4", help="numbers and ranges: 0-2,7")
@option("--systems", default="core,mlp", help="core, mlp, kernel, with commas between")
@recipe_option
@knobs_option
@difficulty_option
@option("--out", default="runs/sweep", type=PLACE, help="folder of runs, logs and table")
@option("--executor", type=click.Choice(["local", "slurm"]), default="local")
@option(
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    help="runs at a time on this machine; a cluster's queue decides for itself",
)
@device_option
@workers_option
@option(
    "--minutes",
    type=click.IntRange(1, 60 * 24 * 365),
    default=60 * 12,
    help="time limit of a run on the cluster",
)
@option(
    "--slurm",
    multiple=True,
    metavar="KEY=VALUE",
    help="an option of the cluster, as slurm_partition=gpu; may be repeated",
)
@option("--no-wait", is_flag=True, help="hand the runs in and return; call again to gather them")
@json_option
def sweep(datasets, recipe, knobs, with_difficulty, seeds, systems, as_json, **how) -> None:
    """Train seeds x systems x DATASETs x folds as separate jobs, and gather one table.

    Called again it starts what is missing or failed, and nothing that is there.
    """
    chosen = named(recipe, **{"with_difficulty": with_difficulty} | parse_knobs(knobs))
    numbers = parse_seeds(seeds)
    check_installation()
    from corelib.data.samples import SampleTable
    from corelib.runs.protocols import protocol_text
    from corelib.runs.sweep import Jobs, plan_sweep, run_sweep

    tables = [SampleTable.load(dataset) for dataset in datasets]
    plans = plan_sweep(tables, chosen, seeds=numbers, systems=systems.split(","))
    given = parse_knobs(how.pop("slurm"), "--slurm").items()
    options = {key: _number(value) for key, value in given}
    out, wait = how.pop("out"), not how.pop("no_wait")
    found = run_sweep(plans, out, Jobs(options=options, **how), wait=wait)
    if as_json:
        failed = [vars(failure) for failure in found.failures]
        table = str(found.table) if found.table else None
        print_json(
            [{"rows": found.rows, "failed": failed, "waiting": found.waiting, "table": table}]
        )
    else:
        if found.rows:
            click.echo(f"{protocol_text(found.rows)}\ntable: {found.table}")
        if found.waiting:
            handed = f"{found.waiting} of {len(plans)} runs are handed in and not finished"
            click.echo(f"{handed}; the same command gathers them")
        for failure in found.failures:
            said = f"failed: {failure.run}: {failure.reason} (log: {failure.log})"
            click.echo(f"{said}; the same command tries it again", err=True)
    if found.failures:
        raise SystemExit(1)


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
