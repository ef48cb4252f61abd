"""The command that makes a run of a checkpoint: `python -m corelib import-core`."""

from __future__ import annotations

import click

from corelib.machine.commands import warn, workers_option
from corelib.machine.installation import check_installation
from corelib.runs.options import (
    PLACE,
    device_option,
    difficulty_option,
    json_option,
    knobs_option,
    option,
    parse_knobs,
)


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
    from corelib.machine.files import json_text
    from corelib.runs.imported import import_core as make_run
    from corelib.runs.protocols import protocol_text

    table = SampleTable.load(dataset)
    run = make_run(file, table, out, progress=not as_json, **changes, **how)
    for sentence in [sentence for row in run.metrics for sentence in row["warnings"]]:
        warn(sentence)
    origin = run.origin
    if as_json:
        click.echo(json_text({"run": str(out), "metrics": run.metrics, "origin": origin}))
        return
    known = {key: number for key, number in origin["said"].items() if number is not None}
    shown = ", ".join(f"{key} {number:g}" for key, number in known.items())
    click.echo(f"run: {out}\n{origin['file']}: {shown} ({origin['note']})")
    if run.metrics:
        click.echo(f"measured here:\n{protocol_text(run.metrics)}")
