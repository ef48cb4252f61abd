"""The command line of the course: `python -m corelib course ...`."""

from __future__ import annotations

import csv
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
only_option = click.option(
    "--only",
    "notebooks",
    multiple=True,
    metavar="NN",
    help="A notebook by number or beginning; may be repeated.",
)


def _profile_option(meaning: str):
    return click.option(
        "--profile", default="laptop", show_default=True, metavar="NAME_OR_PATH", help=meaning
    )


def _out_option(written: str):
    meaning = f"Where to write; an earlier {written} there is replaced."
    return click.option("--out", required=True, type=FOLDER, help=meaning)


@click.group(cls=Commands)
def course() -> None:
    """Execute the course's notebooks, write their student edition or their site, grade hand-ins."""


@course.command()
@_profile_option("smoke, laptop, seeds, gpu, or the path of a file NAME.yaml.")
@only_option
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


@course.command(context_settings={"ignore_unknown_options": True})
@_profile_option("Whose data and runs the notebooks take.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(profile: str, options: tuple[str, ...]) -> None:
    """Open the notebooks in JupyterLab (on this machine alone), which OPTIONS are handed on to.

    At another profile than the laptop's it opens copies with that profile's values, in
    runs/lab/PROFILE; what was changed in them stays.
    """
    check_installation()
    from corelib.course.lab import open_lab

    open_lab(profile, list(options))


@course.command()
@_out_option("student edition")
@notebooks_option
@click.option(
    "--with-solutions", is_flag=True, help="Fold each solution into a line below its check."
)
def student(out: Path, source: Path | None, with_solutions: bool) -> None:
    """Write the student edition: a scaffold in place of every solution, and every check."""
    check_installation()
    from corelib.course.execute import notebooks_folder
    from corelib.course.student import write_student_edition

    source = source or notebooks_folder()
    written = write_student_edition(source, out, with_solutions=with_solutions)
    click.echo(f"{len(written)} notebooks in {out}")


@course.command()
@_profile_option("The course run whose figures are shown.")
@_out_option("deck")
@notebooks_option
def slides(profile: str, out: Path, source: Path | None) -> None:
    """Write a deck of slides a notebook, which opens in any browser without a network."""
    check_installation()
    from corelib.course.execute import notebooks_folder, run_folder
    from corelib.course.slides import write_slides

    source = source or notebooks_folder()
    written = write_slides(run_folder(profile, source), source, out)
    click.echo(f"{len(written)} decks in {out}")


@course.command()
@click.argument("handins", nargs=-1, required=True, type=Place(exists=True, path_type=Path))
@click.option("--out", type=FILE, help="The CSV file to write.  [default: standard output]")
@only_option
@notebooks_option
@click.option(
    "--seconds",
    type=click.IntRange(1),
    default=180,
    show_default=True,
    help="That one execution of a hand-in's notebook may take.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Notebooks at a time.  [default: one a processor]"
)
def grade(handins: tuple[Path, ...], out: Path | None, notebooks, **options) -> None:
    """Grade students' notebooks by the source's checks: a CSV row each HANDIN.

    HANDIN is a student's folder of notebooks, or one notebook; each is known by the number that it
    begins with. The answers, which are strangers' code, are executed at the smoke profile.
    """
    check_installation()
    from corelib.course import grade as grading

    if not grading.without_network():
        click.echo("the network is open to the answers: this system has no `unshare`", err=True)
    click.echo("the source's own solutions first, which takes some minutes", err=True)
    rows = grading.grade(handins, only=notebooks, **options)
    with click.open_file(out or "-", "w", encoding="utf-8") as file:
        for place, row in enumerate(rows, start=1):
            table = csv.DictWriter(file, row, lineterminator="\n")
            if place == 1:
                table.writeheader()
            table.writerow(row)
            file.flush()
            click.echo(f"[{place}/{len(handins)}] {row['student']}: {row['sum']}", err=True)


@course.command()
@_profile_option("The course run to publish.")
@click.option("--run", "folder", type=PLACE, help="Its folder.  [default: runs/course/<profile>]")
@_out_option("site")
@click.option("--with-solutions", "solutions", is_flag=True, help="Show them; each page says so.")
def publish(profile: str, folder: Path | None, out: Path, solutions: bool) -> None:
    """Write a finished run's site, without solutions: pages that open from disk, with results."""
    check_installation()
    from corelib.course.execute import list_notebooks, notebooks_folder, run_folder
    from corelib.course.site import publish as write_site

    source = notebooks_folder()
    folder = folder or run_folder(profile, source)
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
    help="Write the reference from the RUNs instead: five seeds or more of every experiment; what"
    " it holds of other datasets stays.",
)
def check(runs: tuple[Path, ...], against: Path | None, update: bool) -> None:
    """Compare a course run's results with the reference of its profile.

    RUN is the folder of an executed course [default: runs/course/laptop]. Exit code 0: every value
    lies in its range; 1: one does not; 3: the run cannot be compared (another profile, dataset or
    definition of the metrics, or not finished); 2: a file is missing.
    """
    check_installation()
    from corelib.course import check as checks
    from corelib.course.execute import notebooks_folder, run_folder

    folders = runs or [run_folder("laptop", notebooks_folder())]
    found = [checks.CourseResults.load(folder) for folder in folders]
    path = against or notebooks_folder() / "references" / f"{found[0].environment['profile']}.json"
    if update:
        there = checks.read_reference(path) if path.is_file() else None
        reference = checks.make_reference(found, there)
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
