"""The command line of the course: `python -m corelib course ...`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def course() -> None:
    """Execute the course's notebooks, write their student edition or their site."""


@course.command()
@click.option("--profile", default="laptop", show_default=True, metavar="NAME", help="A file of notebooks/profiles.")
@click.option("--only", multiple=True, metavar="NN", help="A notebook by number or beginning; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write.  [default: runs/course/<profile>]")
@click.option(
    "--notebooks",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The notebooks' folder.  [default: the one beside corelib]",
)
@click.option("--cell-timeout", type=click.IntRange(min=1), metavar="SECONDS", help="Stop a cell that takes longer.")
@click.option("--resume/--restart", default=True, show_default=True, help="Go on with a run that was interrupted, or execute everything anew.")
def run(profile: str, only: tuple[str, ...], out: Path | None, source: Path | None, cell_timeout: int | None, resume: bool) -> None:
    """Execute every notebook, write pages and results, print the results table.

    Exit code 2: nothing was executed, as the profile or an option is wrong; 1: a notebook failed.
    """
    # Here, since papermill and nbconvert take seconds to import, which every other command would pay for.
    from corelib.course.execute import NotebookError, run_course
    from corelib.course.parameters import CourseError

    try:
        run_course(profile, notebooks=only or None, out=out, source=source, cell_timeout=cell_timeout, resume=resume)
    except CourseError as error:
        problem = click.ClickException(str(error))
        problem.exit_code = 2
        raise problem from None
    except NotebookError as error:
        raise click.ClickException(str(error)) from None


@course.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write; an earlier student edition there is replaced.")
@click.option("--notebooks", "source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The notebooks' folder.  [default: the one beside corelib]")
def student(out: Path, source: Path | None) -> None:
    """Write the student edition: every notebook without its solutions, with its checks."""
    from corelib.course.execute import notebooks_folder
    from corelib.course.exercises import write_student_edition
    from corelib.course.parameters import CourseError

    try:
        written = write_student_edition(source or notebooks_folder(), out)
    except CourseError as error:
        problem = click.ClickException(str(error))
        problem.exit_code = 2
        raise problem from None
    click.echo(f"{len(written)} notebooks in {out}")


@course.command()
@click.option("--profile", default="laptop", show_default=True, metavar="NAME", help="The course run to publish.")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Its folder.  [default: runs/course/<profile>]")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write; an earlier site there is replaced.")
def publish(profile: str, folder: Path | None, out: Path) -> None:
    """Write the site of a finished course run: pages that open from disk, index, results, environment."""
    from corelib.course.execute import list_notebooks, notebooks_folder
    from corelib.course.parameters import CourseError
    from corelib.course.site import publish as write_site

    try:
        source = notebooks_folder()
        index = write_site(folder or source.parent / "runs" / "course" / profile, out, names=list_notebooks(source))
    except CourseError as error:
        problem = click.ClickException(str(error))
        problem.exit_code = 2
        raise problem from None
    click.echo(f"{index}: written")
