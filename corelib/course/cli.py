"""The command line of the course: `python -m corelib course ...`."""

from __future__ import annotations

from pathlib import Path

import click

from corelib.machine.commands import Commands, Place
from corelib.machine.installation import check_installation
from corelib.runs.options import parse_seeds

PLACE, FILE = Place(path_type=Path), Place(dir_okay=False, path_type=Path)
FOLDER = Place(file_okay=False, path_type=Path)
notebooks_option = click.option(
    "--notebooks",
    "source",
    type=Place(exists=True, file_okay=False, path_type=Path),
    help="The notebooks' folder.  [default: the one beside corelib]",
)


def _profile_option(meaning: str):
    return click.option(
        "--profile", default="laptop", show_default=True, metavar="NAME", help=meaning
    )


def _out_option(written: str):
    meaning = f"Where to write; an earlier {written} there is replaced."
    return click.option("--out", required=True, type=FOLDER, help=meaning)


@click.group(cls=Commands)
def course() -> None:
    """Execute the course's notebooks, write their student edition or their site."""


@course.command()
@_profile_option("A file of notebooks/profiles.")
@click.option(
    "--only",
    "notebooks",
    multiple=True,
    metavar="NN",
    help="A notebook by number or beginning; may be repeated.",
)
@click.option("--out", type=PLACE, help="Where to write.  [default: runs/course/<profile>]")
@notebooks_option
@click.option(
    "--cell-timeout",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="Stop a cell that takes longer.",
)
@click.option(
    "--seeds", metavar="A-B,C", help="Of every training, in place of the profile's: 0-4 or 0-2,7."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    help="Notebooks at a time.  [default: 3; on a GPU or a single core 1]",
)
@click.option(
    "--resume/--restart",
    default=True,
    show_default=True,
    help="Go on with a run that was interrupted, or execute everything anew.",
)
def run(profile: str, seeds: str | None, **options) -> None:
    """Execute every notebook, write pages and results, print the results table.

    Exit code 2: nothing was executed, as the profile or an option is wrong; 1: a notebook failed.
    """
    chosen = parse_seeds(seeds) if seeds is not None else None
    check_installation()
    from corelib.course.execute import run_course

    run_course(profile, seeds=chosen, **options)


@course.command()
@_out_option("student edition")
@notebooks_option
def student(out: Path, source: Path | None) -> None:
    """Write the student edition: every notebook without its solutions, with its checks."""
    check_installation()
    from corelib.course.execute import notebooks_folder
    from corelib.course.student import write_student_edition

    written = write_student_edition(source or notebooks_folder(), out)
    click.echo(f"{len(written)} notebooks in {out}")


@course.command()
@_profile_option("The course run to publish.")
@click.option("--run", "folder", type=PLACE, help="Its folder.  [default: runs/course/<profile>]")
@_out_option("site")
@click.option("--with-solutions", "solutions", is_flag=True, help="Show them; each page says so.")
def publish(profile: str, folder: Path | None, out: Path, solutions: bool) -> None:
    """Write a finished run's site, without solutions: pages that open from disk, with results."""
    check_installation()
    from corelib.course.execute import list_notebooks, notebooks_folder
    from corelib.course.site import publish as write_site

    source = notebooks_folder()
    folder = folder or source.parent / "runs" / "course" / profile
    index = write_site(
        folder, out, source=source, names=list_notebooks(source), solutions=solutions
    )
    click.echo(f"{index}: written")


@course.command()
@click.argument("runs", nargs=-1, type=PLACE)
@click.option(
    "--against",
    type=FILE,
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
    from corelib.course import check as checks
    from corelib.course.execute import notebooks_folder

    folders = runs or [notebooks_folder().parent / "runs" / "course" / "laptop"]
    found = [checks.CourseResults.load(folder) for folder in folders]
    path = against or notebooks_folder() / "references" / f"{found[0].environment['profile']}.json"
    if update:
        reference = checks.make_reference(found)
        checks.write_reference(path, reference)
        click.echo(f"{path}: written, {len(reference['experiments'])} experiments")
        return
    reference = checks.read_reference(path)
    tables = [checks.compare(run, reference) for run in found]
    for table in tables:
        click.echo(checks.comparison_text(table))
    outside = sum(int((table["verdict"] == "outside").sum()) for table in tables)
    if outside:
        click.echo(f"{outside} value(s) outside their range")
        raise SystemExit(1)
    click.echo("every value that was measured lies in its range")
