"""Executes one notebook with papermill; what it left is kept, what went wrong is one line."""

from __future__ import annotations

import asyncio
import logging
import textwrap
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.execute import ERROR_MARKER_TAG

from corelib.course.kernels import Stop, client_config
from corelib.course.parameters import read_notebook
from corelib.machine.errors import KitError
from corelib.machine.files import write_atomically

# papermill warns of parameters that its own reading of the cell misses, which are checked by now,
# and says of kernels what is told here in words of our own.
logging.getLogger("papermill").setLevel(logging.CRITICAL)

MEMORY = "too little memory: close other programs, or take a smaller profile (--profile smoke)"
DISK = "the disk is full: free some space, then run it again; what is finished is kept"
NOT_STARTED = "the kernel did not start"
INSTALLATION = "ask `python -m corelib doctor` what is missing or broken"
# What to do: parts of an error's class or message (lower case). torch and numpy have errors of
# their own for a memory that is full, and each system its own words for a disk that is.
ADVICE = {
    MEMORY: (
        "memoryerror", "outofmemory", "out of memory", "can't allocate memory",
        "unable to allocate",
    ),
    DISK: ("no space left on device", "not enough space on the disk", "disk quota exceeded"),
    INSTALLATION: ("modulenotfounderror", "torchvision::nms"),
}  # fmt: skip


class NotebookError(KitError, RuntimeError):
    """A notebook of the course failed; the message names the notebook, the cell and the error."""

    exit_code = 1


@dataclass(frozen=True)
class Job:
    """A notebook to execute."""

    path: Path  # of the notebook; its kernel works in the folder above the notebooks
    executed: Path  # the copy to write
    parameters: dict
    checksum: str  # of all that it depends on (corelib.course.continuing); the copy carries it


def execute_notebook(job: Job, cell_timeout: int | None, stop: Stop, threads: int) -> None:
    """Write a notebook's executed copy; raises NotebookError, the copy kept.

    stop     asked from another thread, it ends this with KeyboardInterrupt, and nothing is written
    threads  of the kernel's PyTorch
    """
    for _ in range(2):  # another kernel may have taken a port that was free when this one chose it
        notebook, problem = _execute(job, cell_timeout, stop, threads)
        if not (problem or "").startswith(NOT_STARTED):
            break
    # What papermill notes of its own paths is this machine's; the names alone are enough.
    notebook.metadata.setdefault("papermill", {}).update(
        input_path=job.path.name, output_path=job.executed.name, exception=problem is not None
    )
    notebook.metadata["executed_from"] = job.checksum
    try:
        write_atomically(job.executed, nbformat.writes(notebook) + "\n")
    except OSError as error:
        problem = problem or explain_error(type(error).__name__, str(error))
    if problem is not None:
        page, copied = job.executed.with_suffix(".html"), job.executed.is_file()
        kept = f"The executed copy, up to there: {page}" if copied else "No copy could be written"
        raise NotebookError(f"{job.path.stem}, cell {_last_cell(notebook)}: {problem}\n{kept}")


def explain_error(kind: str, message: str) -> str:
    """One line of at most about 500 characters: an error, and what to do where that is known."""
    whole = f"{kind}: {message}" if message.strip() else kind
    said = textwrap.shorten(whole, 400, placeholder=" ...")
    for advice, signs in ADVICE.items():
        if any(sign in whole.lower() for sign in signs):
            return f"{said} - {advice}"
    return said


def _execute(
    job: Job, cell_timeout: int | None, stop: Stop, threads: int
) -> tuple[nbformat.NotebookNode, str | None]:
    """The notebook as far as it came, and what went wrong, or None."""
    problem, seen = None, []
    try:
        papermill.execute_notebook(
            job.path,
            None,
            job.parameters,
            kernel_name="python3",
            cwd=job.path.parent.parent,
            execution_timeout=cell_timeout,
            progress_bar=False,
            config=client_config(seen, stop, threads),
        )
    except papermill.PapermillExecutionError as error:
        problem = explain_error(error.ename, error.evalue)
    except CellTimeoutError:
        allow = "allow more with --cell-timeout, or take a smaller profile"
        problem = f"ran longer than the {cell_timeout} s allowed for one cell; {allow}"
    except (DeadKernelError, asyncio.CancelledError):
        if stop.asked:
            raise KeyboardInterrupt from None
        problem = f"the kernel died; the commonest cause is {MEMORY}"
    except RuntimeError as error:
        problem = f"{NOT_STARTED} ({' '.join(str(error).split())}); {INSTALLATION}"
    finally:
        _close(ensure_event_loop())  # this thread's, in which nbclient waited
    notebook = seen[0] if seen else read_notebook(job.path)
    if problem is None and _has_unexecuted(notebook):
        # papermill takes sys.exit() for a good end, and nbclient skips some tags.
        problem = "the notebook ended here without an error, but not every cell was executed"
    return notebook, problem


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what a stopped notebook left waiting in an event loop, and the loop."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def _last_cell(notebook: nbformat.NotebookNode) -> int:
    """The number, in the source notebook, of the cell with an error or else the last one begun."""
    own = {"injected-parameters", ERROR_MARKER_TAG}
    cells = [cell for cell in notebook.cells if not own & set(cell.metadata.get("tags", []))]
    last = 1
    for number, cell in enumerate(cells, start=1):
        if set(_errors(cell)) - {"SystemExit"}:
            return number
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time"):
            last = number
    return last


def _has_unexecuted(notebook: nbformat.NotebookNode) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return any(cell.execution_count is None or "SystemExit" in _errors(cell) for cell in code)


def _errors(cell: nbformat.NotebookNode) -> list[str]:
    return [output.ename for output in cell.get("outputs", []) if output.output_type == "error"]
