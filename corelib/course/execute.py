"""Executes the course: every notebook in order, with a profile's parameters.

Everything is checked first (corelib.course.parameters); a notebook that fails ends the run, its
executed copy and page kept for reading.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from corelib.course import continuing, project_root
from corelib.course.failures import explain_error
from corelib.course.kernels import kernel_environment
from corelib.course.notebook import NotebookError, execute_notebook
from corelib.course.parameters import (
    RESULTS,
    CourseError,
    declared_parameters,
    nearest,
    plan_parameters,
    read_notebook,
    read_profile,
)
from corelib.course.results import merge_results, table_text
from corelib.course.site import write_index
from corelib.machine.devices import pick_device
from corelib.machine.files import only_one, remove_unfinished
from corelib.metrics import DEFINITION
from corelib.runs.records import machine


def notebooks_folder() -> Path:
    """The course's notebooks, beside the corelib that is running.

    Raises CourseError when they are not there, as when corelib is installed without its repository.
    """
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    if not folder.is_dir():
        raise CourseError(
            f"no notebooks at {folder}: corelib is installed away from its repository; "
            "run from a clone of it, or say where the notebooks are with --notebooks FOLDER"
        )
    return folder


def list_notebooks(source: str | Path) -> dict[str, Path]:
    """The course's notebooks in reading order, {name: path}: source/NN_name.ipynb.

    Raises CourseError when there is none, and for a link out of the folder: executed is what lies
    in it.
    """
    found = {path.stem: path for path in sorted(Path(source).glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise CourseError(f"no notebook in {source}: expected files such as 00_start_here.ipynb")
    for path in found.values():
        if path.resolve().parent != Path(source).resolve():
            raise CourseError(
                f"{path} is a link to {path.resolve()}, out of the folder; copy the notebook into"
                " it, or name its own folder with --notebooks"
            )
    return found


def select_notebooks(names: Iterable[str], wanted: Iterable[str] | None) -> list[str]:
    """The names asked for by number ("3", "03") or beginning ("03_i3d"), in reading order; all of
    them for None.

    Raises CourseError for one that matches nothing.
    """
    names = list(names)
    if wanted is None:
        return names
    selected = set()
    for word in wanted:
        matches = [
            name
            for name in names
            if (int(name[:2]) == int(word) if word.isdigit() else word and name.startswith(word))
        ]
        if not matches:
            raise CourseError(f"no notebook {word!r}{nearest(word, names)}")
        selected.update(matches)
    return [name for name in names if name in selected]


def plan_course(
    profile: str,
    *,
    notebooks: Iterable[str] | None = None,
    source: str | Path | None = None,
    seeds: list[int] | None = None,
) -> dict[str, dict]:
    """Check a profile against the notebooks and return what each would be given: {notebook:
    {parameter: value}}.

    Arguments as for run_course. Executes nothing. Raises CourseError.
    """
    source = Path(source) if source else notebooks_folder()
    paths = list_notebooks(source)
    selected = select_notebooks(paths, notebooks)
    sections = read_profile(source / "profiles", profile)
    contents = {name: read_notebook(path) for name, path in paths.items()}
    plan = plan_parameters(sections, contents, selected=selected, origin=f"profile {profile}")
    for name in plan if seeds else ():
        plan[name] |= {
            key: seeds
            for key in declared_parameters(contents[name], name)
            if key == "seeds" or key.endswith("_seeds")
        }
    return plan


def run_course(
    profile: str,
    *,
    notebooks: Iterable[str] | None = None,
    out: str | Path | None = None,
    source: str | Path | None = None,
    kernel: str = "python3",
    cell_timeout: int | None = None,
    resume: bool = True,
    seeds: list[int] | None = None,
) -> Path:
    """Execute the notebooks of a profile, write their copies, pages, index and results, and print
    progress.

    Where the same call was interrupted or has failed, those of its notebooks are kept that were
    executed to their end from the same cells, parameters, versions and source of corelib; a call
    that came to its end starts anew.

    profile       the name of source/profiles/<profile>.yaml
    notebooks     numbers or beginnings of those to execute; all by default
    out           where everything goes; runs/course/<profile> beside the notebooks' folder by
                  default
    source        the notebooks' folder; the one beside corelib by default. Notebooks are executed
                  in its parent, so that datasets/ and runs/ mean the repository's
    kernel        "python3" is the interpreter that runs this, whatever kernels the user has
                  installed
    cell_timeout  seconds that one cell may take; no limit by default
    resume        False executes everything anew
    seeds         of every training (the parameters `seeds` and `..._seeds`), in place of the
                  profile's

    Returns the index page. A notebook that declares the parameter `results` is told there where to
    record its rows. Raises CourseError before anything is executed, BusyError when another process
    executes the course into the same folder, NotebookError when a notebook fails; those after it
    are not executed.
    """
    source = (Path(source) if source else notebooks_folder()).resolve()
    root = source.parent
    folder = Path(out).resolve() if out else root / "runs" / "course" / profile
    if folder == source:
        raise CourseError(f"{folder} holds the source notebooks; write the executed ones elsewhere")
    plan = plan_course(profile, notebooks=notebooks, source=source, seeds=seeds)
    paths = list_notebooks(source)
    # A path inside the repository is given relative to it, so that executed copies name no
    # machine's folders; elsewhere it is whole, since `start` moves every notebook into the
    # repository.
    results = (
        folder.relative_to(root).as_posix()
        if root == project_root() and folder.is_relative_to(root)
        else str(folder)
    )
    contents = {name: read_notebook(paths[name]) for name in plan}
    for name in plan:
        plan[name] |= (
            {RESULTS: results} if RESULTS in declared_parameters(contents[name], name) else {}
        )

    _make_folder(folder.parent)
    with only_one(folder, "executes the course into"):
        _make_folder(folder)
        remove_unfinished(folder)
        depends = machine(pick_device())
        sums = {
            name: continuing.checksum(contents[name], parameters, depends)
            for name, parameters in plan.items()
        }
        interrupted = resume and list(plan) in continuing.unfinished(folder)
        kept = {
            name
            for name in plan
            if interrupted and continuing.is_executed(folder / f"{name}.ipynb", sums[name])
        }
        _remove_earlier(folder, list(plan), kept, everything=list(plan) == list(paths))
        continuing.begin(
            folder, list(plan)
        )  # only now: what is there bears witness to this command from here on
        if kept:
            print(
                f"Going on with the run that was interrupted; {len(kept)} of {len(plan)} notebooks"
                " are kept (--restart executes them anew)."
            )
        try:
            with kernel_environment():
                for number, (name, parameters) in enumerate(plan.items(), start=1):
                    print(f"[{number}/{len(plan)}] {name} ... ", end="", flush=True)
                    if name in kept:
                        print("kept", flush=True)
                        continue
                    started = time.perf_counter()
                    try:
                        execute_notebook(
                            paths[name],
                            folder / f"{name}.ipynb",
                            parameters,
                            root,
                            kernel,
                            cell_timeout,
                            sums[name],
                        )
                    except NotebookError:
                        print("failed", flush=True)
                        raise
                    print(f"{time.perf_counter() - started:.1f} s", flush=True)
            continuing.end(folder, list(plan))
        except BaseException:
            with suppress(OSError):  # a disk too full for the index is not what has to be told
                _write_results(folder, paths, profile, depends)
            raise
        try:
            rows, index = _write_results(folder, paths, profile, depends)
        except OSError as error:
            raise NotebookError(
                "the results and the index cannot be written:"
                f" {explain_error(type(error).__name__, str(error))}"
            ) from None

    print()
    print(table_text(rows).to_string(index=False) if rows else "No notebook recorded a result.")
    print(f"\nPages: {index}")
    return index


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"{folder} cannot be made ({error.strerror}); name another folder with --out"
        ) from None


def _write_results(
    folder: Path, names: Iterable[str], profile: str, made_on: dict
) -> tuple[list[dict], Path]:
    """Merge what the notebooks recorded and write the index over their pages: (rows, index)."""
    rows = merge_results(folder)
    stamp = {
        "profile": profile,
        "seeds": sorted({row["seed"] for row in rows}),
        "metrics": DEFINITION,
    } | made_on
    return rows, write_index(folder, names=names, profile=profile, rows=rows, stamp=stamp)


def _remove_earlier(folder: Path, names: list[str], kept: set[str], *, everything: bool) -> None:
    # What an earlier run left must not pass for this one's, least of all when this one fails
    # half-way.
    if everything:
        names = [
            *names,
            *(path.stem.removeprefix("metrics-") for path in folder.glob("metrics-*.json")),
        ]
    for name in set(names) - kept:
        for file in (f"{name}.ipynb", f"{name}.html", f"metrics-{name}.json"):
            (folder / file).unlink(missing_ok=True)
