"""Executes one notebook with papermill; what it left is kept, and what went wrong is told in one
line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.execute import ERROR_MARKER_TAG

from corelib.course.failures import INSTALLATION, KERNEL_DIED, explain_cell_time, explain_error
from corelib.course.kernels import client_config
from corelib.course.parameters import read_notebook
from corelib.course.site import write_html
from corelib.machine.errors import KitError
from corelib.machine.files import write_atomically


class NotebookError(KitError, RuntimeError):
    """A notebook of the course failed; the message names the notebook, the cell and the error."""

    exit_code = 1


def execute_notebook(
    path: Path,
    executed: Path,
    parameters: dict,
    root: Path,
    kernel: str,
    cell_timeout: int | None,
    executed_from: str,
) -> None:
    """Execute one notebook into `executed` and write its page; raises NotebookError, both files
    kept.

    path           of the notebook; root: the working folder of its kernel
    kernel, cell_timeout  as corelib.course.execute.run_course takes them
    executed_from  the checksum that the copy is to carry (corelib.course.continuing)
    """
    problem, seen, signals, page = None, [], [], None
    try:
        papermill.execute_notebook(
            path,
            None,
            parameters,
            engine_name=_Engine.__name__,
            seen=seen,
            kernel_name=kernel,
            cwd=root,
            execution_timeout=cell_timeout,
            progress_bar=False,
            config=client_config(signals),
        )
    except papermill.PapermillExecutionError as error:
        problem = explain_error(error.ename, error.evalue)
    except CellTimeoutError:
        problem = explain_cell_time(cell_timeout)
    except (DeadKernelError, asyncio.CancelledError):
        if signals:
            raise KeyboardInterrupt from None
        problem = KERNEL_DIED
    except RuntimeError as error:
        problem = f"the kernel did not start ({' '.join(str(error).split())}); {INSTALLATION}"
    notebook = seen[0] if seen else read_notebook(path)
    # What papermill notes of its own paths is this machine's; the names alone are enough.
    notebook.metadata.setdefault("papermill", {}).update(
        input_path=path.name, output_path=executed.name
    )
    if problem is None and _has_unexecuted(notebook):
        # papermill takes sys.exit() for a good end, and nbclient skips some tags; the course wants
        # every cell executed.
        problem = "the notebook ended here without an error, but not every cell was executed"
    notebook.metadata.papermill["exception"] = problem is not None
    notebook.metadata["executed_from"] = executed_from
    try:
        write_atomically(executed, nbformat.writes(notebook) + "\n")
        page = write_html(executed, images=path.parent)
    except OSError as error:
        problem = problem or explain_error(type(error).__name__, str(error))
    if problem is not None:
        kept = (
            f"The executed copy, up to there: {page}"
            if page
            else "There is no page of it: it could not be written"
        )
        raise NotebookError(
            f"{path.stem}, cell {_last_cell(notebook)}: {problem}\n{kept}"
        ) from None


class _Engine(NBClientEngine):
    """papermill's own; `seen` gets hold of the notebook as it grows, whatever ends it."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, seen: list, **options):
        seen.append(nb_man.nb)
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(_Engine.__name__, _Engine)


def _last_cell(notebook: nbformat.NotebookNode) -> int:
    """The number, counted from 1 as in the source notebook, of the cell with an error, or of the
    last one begun."""
    # papermill's own cells are not in the source, so they do not count.
    own = {"injected-parameters", ERROR_MARKER_TAG}
    cells = [cell for cell in notebook.cells if not own & set(cell.metadata.get("tags", []))]
    last = 1
    for number, cell in enumerate(cells, start=1):
        if any(
            output.output_type == "error" and output.ename != "SystemExit"
            for output in cell.get("outputs", [])
        ):
            return number
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time"):
            last = number
    return last


def _has_unexecuted(notebook: nbformat.NotebookNode) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return any(cell.execution_count is None or _exited(cell) for cell in code)


def _exited(cell: nbformat.NotebookNode) -> bool:
    return any(
        output.output_type == "error" and output.ename == "SystemExit" for output in cell.outputs
    )
