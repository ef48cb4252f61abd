"""The command line of the course: `python -m corelib course ...`."""

from __future__ import annotations

from pathlib import Path

import click

from corelib.machine.commands import Commands, Place
from corelib.machine.installation import check_installation
from corelib.runs.options import parse_seeds


@click.group(cls=Commands)
def course() -> None:
    """Execute the course's notebooks, write their student edition or their site."""


@course.command()
@click.option(
    "--profile",
    default="laptop",
    show_default=True,
    metavar="NAME",
    help="A file of notebooks/profiles.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NN",
    help="A notebook by number or beginning; may be repeated.",
)
@click.option(
    "--out", type=Place(path_type=Path), help="Where to write.  [default: runs/course/<profile>]"
)
@click.option(
    "--notebooks",
    "source",
    type=Place(exists=True, file_okay=False, path_type=Path),
    help="The notebooks' folder.  [default: the one beside corelib]",
)
@click.option(
    "--cell-timeout",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Stop a cell that takes longer.",
)
@click.option(
    "--seeds", metavar="A-B,C", help="Of every training, in place of the profile's: 0-4 or 0-2,7."
)
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="Go on with a run that was interrupted, or execute everything anew.",
)
def run(
    profile: str,
    only: tuple[str, ...],
    out: Path | None,
    source: Path | None,
    cell_timeout: int | None,
    seeds: str | None,
    resume: bool,
) -> None:
    """Execute every notebook, write pages and results, print the results table.

    Exit code 2: nothing was executed, as the profile or an option is wrong; 1: a notebook failed.
    """
    chosen = parse_seeds(seeds) if seeds is not None else None
    check_installation()
    from corelib.course.execute import run_course

    run_course(
        profile,
        notebooks=only or None,
        out=out,
        source=source,
        cell_timeout=cell_timeout,
        resume=resume,
        seeds=chosen,
    )


@course.command()
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Where to write; an earlier student edition there is replaced.",
)
@click.option(
    "--notebooks",
    "source",
    type=Place(exists=True, file_okay=False, path_type=Path),
    help="The notebooks' folder.  [default: the one beside corelib]",
)
def student(out: Path, source: Path | None) -> None:
    """Write the student edition: every notebook without its solutions, with its checks."""
    check_installation()
    from corelib.course.execute import notebooks_folder
    from corelib.course.exercises import write_student_edition

    written = write_student_edition(source or notebooks_folder(), out)
    click.echo(f"{len(written)} notebooks in {out}")


@course.command()
@click.option(
    "--profile",
    default="laptop",
    show_default=True,
    metavar="NAME",
    help="The course run to publish.",
)
@click.option(
    "--run",
    "folder",
    type=Place(path_type=Path),
    help="Its folder.  [default: runs/course/<profile>]",
)
@click.option(
    "--out",
    required=True,
    type=Place(file_okay=False, path_type=Path),
    help="Where to write; an earlier site there is replaced.",
)
def publish(profile: str, folder: Path | None, out: Path) -> None:
    """Write the site of a finished course run: pages that open from disk, index, results,
    environment."""
    check_installation()
    from corelib.course.execute import list_notebooks, notebooks_folder
    from corelib.course.site import publish as write_site

    source = notebooks_folder()
    index = write_site(
        folder or source.parent / "runs" / "course" / profile, out, names=list_notebooks(source)
    )
    click.echo(f"{index}: written")


@course.command()
@click.argument("runs", nargs=-1, type=Place(path_type=Path))
@click.option(
    "--against",
    type=Place(dir_okay=False, path_type=Path),
    help="The reference.  [default: notebooks/references/<the run's profile>.json]",
)
@click.option(
    "--update",
    is_flag=True,
    help="Write the reference from the RUNs instead: five seeds or more of every experiment.",
)
def check(runs: tuple[Path, ...], against: Path | None, update: bool) -> None:
    """Compare a course run's results with the reference of its profile.

    RUN is the folder of an executed course [default: runs/course/laptop]. Exit code 0: every value
    lies in its range; 1: one does not; 3: the run cannot be compared (another profile, dataset or
    definition of the metrics, or not finished); 2: a file is missing.
    """
    check_installation()
    from corelib.course.check import (
        CourseResults,
        compare,
        comparison_text,
        make_reference,
        read_reference,
        write_reference,
    )
    from corelib.course.execute import notebooks_folder

    found = [
        CourseResults.load(folder)
        for folder in runs or [notebooks_folder().parent / "runs" / "course" / "laptop"]
    ]
    path = against or notebooks_folder() / "references" / f"{found[0].profile}.json"
    reference = make_reference(found) if update else read_reference(path)
    if update:
        write_reference(path, reference)
        click.echo(f"{path}: written, {len(reference['experiments'])} experiments")
        return
    tables = [compare(run, reference) for run in found]
    for table in tables:
        click.echo(comparison_text(table))
    outside = sum(int((table["verdict"] == "outside").sum()) for table in tables)
    click.echo(
        f"{outside} value(s) outside their range"
        if outside
        else "every value that was measured lies in its range"
    )
    if outside:
        raise SystemExit(1)
