"""Executes the course: every notebook in order, with a profile's parameters, all checked first."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from corelib.course import continuing, parameters, project_root
from corelib.course.kernels import Stop
from corelib.course.notebook import Job, NotebookError, execute_notebook, explain_error
from corelib.course.parameters import CourseError, declared_parameters, nearest, read_notebook
from corelib.course.results import merge_results, table_text
from corelib.course.site import write_site
from corelib.machine.devices import pick_device
from corelib.machine.files import only_one, remove_unfinished, write_atomically
from corelib.metrics import DEFINITION
from corelib.runs.records import machine


def notebooks_folder() -> Path:
    """The course's notebooks, beside the corelib that is running, or CourseError."""
    folder = project_root() / "notebooks"
    if not folder.is_dir():
        raise CourseError(
            f"no notebooks at {folder}: corelib is installed away from its repository; run from a"
            " clone of it, or say where the notebooks are with --notebooks FOLDER"
        )
    return folder


def run_folder(profile: str, source: Path) -> Path:
    """Where a course run of a profile goes by default: beside the notebooks' folder."""
    return source.parent / "runs" / "course" / parameters.profile_name(profile)


def list_notebooks(source: str | Path) -> dict[str, Path]:
    """The course's notebooks in reading order, {name: path}: source/NN_name.ipynb.

    Raises CourseError when there is none, and for a link: executed is what lies in the folder.
    """
    found = {path.stem: path for path in sorted(Path(source).glob("[0-9][0-9]*_*.ipynb"))}
    if not found:
        raise CourseError(f"no notebook in {source}: expected files such as 00_start_here.ipynb")
    for path in found.values():
        if path.resolve().parent != Path(source).resolve():
            out = f"{path} is a link to {path.resolve()}, out of the folder"
            raise CourseError(f"{out}; copy it, or name its own folder with --notebooks")
    return found


def select_notebooks(names: Iterable[str], wanted: Iterable[str] | None) -> list[str]:
    """The names asked for by number ("3", "03") or beginning, in reading order; all by default."""
    names, selected = list(names), set()
    for word in wanted or ():
        beginning = f"{int(word):02}_" if word.isdigit() else word
        matches = {name for name in names if beginning and name.startswith(beginning)}
        if not matches:
            raise CourseError(f"no notebook {word!r}{nearest(word, names)}")
        selected |= matches
    return [name for name in names if not wanted or name in selected]


def plan_course(
    profile: str,
    *,
    notebooks: Iterable[str] | None = None,
    source: str | Path | None = None,
    seeds: list[int] | None = None,
) -> dict[str, dict]:
    """Check a profile against the notebooks: {notebook: {parameter: value}} that each is given.

    Arguments as for run_course. Executes nothing. Raises CourseError.
    """
    source = Path(source) if source else notebooks_folder()
    paths = list_notebooks(source)
    selected = select_notebooks(paths, notebooks)
    sections = parameters.read_profile(source / "profiles", profile)
    contents = {name: read_notebook(path) for name, path in paths.items()}
    origin = f"profile {profile}"
    plan = parameters.plan_parameters(sections, contents, selected=selected, origin=origin)
    for name in plan if seeds else ():
        declared = declared_parameters(contents[name], name)
        plan[name] |= {key: seeds for key in declared if f"_{key}".endswith("_seeds")}
    return plan


def run_course(
    profile: str,
    *,
    notebooks: Iterable[str] | None = None,
    out: str | Path | None = None,
    source: str | Path | None = None,
    cell_timeout: int | None = None,
    resume: bool = True,
    seeds: list[int] | None = None,
    jobs: int | None = None,
) -> Path:
    """Execute a profile's notebooks; write copies, results and their site; print progress.

    profile       a name in source/profiles or of the kit's own, or the path of a file NAME.yaml
    notebooks     numbers or beginnings of those to execute; all by default
    out           where everything goes  [default: runs/course/<profile> beside the notebooks]
    source        the notebooks' folder; they are executed in its parent  [default: corelib's own]
    cell_timeout  seconds that one cell may take; no limit by default
    resume        False executes anew what an interrupted or failed call of the same had finished
    seeds         of every training (parameters `seeds` and `..._seeds`), not the profile's
    jobs          notebooks at a time  [default: see default_jobs]

    Returns the index page. A notebook that declares the parameter `results` is told there where to
    record its rows. Raises CourseError before anything is executed, BusyError where another process
    executes into the folder, NotebookError when a notebook fails, which ends the run.
    """
    source = (Path(source) if source else notebooks_folder()).resolve()
    called = parameters.profile_name(profile)
    folder = Path(out).resolve() if out else run_folder(profile, source)
    if folder == source:
        raise CourseError(f"{folder} holds the source notebooks; write the executed ones elsewhere")
    plan = plan_course(profile, notebooks=notebooks, source=source, seeds=seeds)
    paths = list_notebooks(source)
    contents = {name: read_notebook(paths[name]) for name in plan}
    for name, given in plan.items():
        if parameters.RESULTS in declared_parameters(contents[name], name):
            given[parameters.RESULTS] = _told_to_notebooks(folder, source.parent)
    _make_folder(folder.parent)
    with only_one(folder, "executes the course into"):
        _make_folder(folder)
        remove_unfinished(folder)
        made_on = machine(pick_device())
        jobs = jobs or default_jobs(made_on["device"])
        if jobs > 1 and made_on["device"] == "cpu":  # for one notebook too, so that it rounds alike
            made_on["threads"] = max(1, made_on["threads"] // 2)
        work = {}
        for name, given in plan.items():
            checksum = continuing.checksum(contents[name], given, made_on)
            work[name] = Job(paths[name], folder / f"{name}.ipynb", given, checksum)
        how = {"cell_timeout": cell_timeout, "threads": made_on["threads"], "jobs": jobs}
        try:
            _execute_all(folder, work, list(plan) == list(paths), resume, **how)
        except BaseException as error:
            with suppress(Exception):  # what has to be told is why the run ended
                failed = isinstance(error, Exception)  # and not interrupted, which means at once
                _write_results(folder, paths, called, made_on, site=failed)
            raise
        rows, index = _write_results(folder, paths, called, made_on)
    print()
    print(table_text(rows).to_string(index=False) if rows else "No notebook recorded a result.")
    print(f"\nPages: {index}")
    return index


def _told_to_notebooks(folder: Path, root: Path) -> str:
    # A path inside the repository is given relative to it, so that executed copies name no
    # machine's folders; elsewhere it is whole, as `start` moves every notebook into the repository.
    inside = root == project_root() and folder.is_relative_to(root)
    return folder.relative_to(root).as_posix() if inside else str(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{folder} cannot be made ({error.strerror})"
        raise CourseError(f"{why}; name another folder with --out") from None


def default_jobs(device: str) -> int:
    """How many notebooks are executed at a time: one on a GPU or a single core, else three.

    Two trainings of one thread each are done sooner than one of two threads after the other, and
    the third notebook has something to do when another waits for a training of its neighbour's.
    """
    return 3 if device == "cpu" and (os.cpu_count() or 1) > 1 else 1


def _execute_all(
    folder: Path, work: dict[str, Job], whole: bool, resume: bool, *, jobs: int, **how
) -> None:
    """Execute the notebooks that are not kept; `whole` where they are those of the whole course."""
    kept = set()
    if resume and list(work) in continuing.unfinished(folder):
        kept = {n for n, job in work.items() if continuing.is_executed(job.executed, job.checksum)}
    # What an earlier run left must not pass for this one's, least of all when this one fails.
    recorded = folder.glob("metrics-*.json") if whole else ()
    for name in {*work, *(path.stem.removeprefix("metrics-") for path in recorded)} - kept:
        for file in (f"{name}.ipynb", f"{name}.html", f"metrics-{name}.json"):
            (folder / file).unlink(missing_ok=True)
    # Only now: what is there bears witness to this command from here on.
    with continuing.under_way(folder, list(work)):
        if kept:
            print(
                f"Going on with the run that was interrupted; {len(kept)} of {len(work)} notebooks"
                " are kept (--restart executes them anew)."
            )
        stop = Stop()

        def execute(name: str) -> None:
            told = f"[{list(work).index(name) + 1}/{len(work)}] {name} ..."
            if name in kept:
                print(f"{told} kept", flush=True)
                return
            if stop.no_more:
                return
            started = time.perf_counter()
            try:
                execute_notebook(work[name], stop=stop, **how)
            except NotebookError:
                stop.no_more = True
                print(f"{told} failed", flush=True)
                raise
            print(f"{told} {time.perf_counter() - started:.1f} s", flush=True)

        _in_threads(execute, work, jobs, stop)


def _in_threads(execute: Callable[[str], None], names: Iterable[str], jobs: int, stop: Stop):
    """Call `execute` for each name, `jobs` at a time and in order.

    After one that fails no other begins, and its error is raised when those under way have ended.
    Ctrl-C and SIGTERM stop all of them.
    """
    with _terminated_as_interrupted(), ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(execute, name) for name in names}
        try:
            while pending:
                # with a limit, as Windows lets nobody interrupt a wait without one
                done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except NotebookError:
            raise
        except BaseException:
            stop.now()
            raise


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """While the block runs, SIGTERM raises KeyboardInterrupt as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_results(
    folder: Path, paths: Mapping[str, Path], profile: str, made_on: dict, site: bool = True
) -> tuple[list[dict], Path]:
    """Merge what the notebooks recorded and write the site over their copies: (rows, index)."""
    try:
        rows, index = merge_results(folder), folder / "index.html"
        seeds = sorted({row["seed"] for row in rows})
        stamp = {"profile": profile, "seeds": seeds, "metrics": DEFINITION} | made_on
        write_atomically(folder / "environment.json", json.dumps(stamp, indent=2) + "\n")
        if site:
            source = next(iter(paths.values())).parent
            index = write_site(folder, source=source, names=paths)
    except OSError as error:
        said = explain_error(type(error).__name__, str(error))
        raise NotebookError(f"the results and the site cannot be written: {said}") from None
    return rows, index
