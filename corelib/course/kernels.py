"""The kernels of a course run: what they inherit, how they listen, and how they are ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import zmq
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from traitlets.config import Config

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it some CUDA products are not reproducible
    # A progress bar would be kept as the cell's output. tqdm's bar for notebooks ignores
    # TQDM_DISABLE, and tqdm.auto takes the one for terminals where a variable SPYDER... is set.
    "TQDM_DISABLE": "1",
    "SPYDER": "",
    # MPLBACKEND=Agg would leave out every figure
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the kernel's debugger warns of frozen modules
}


class Stop:
    """Ends the notebooks under way, each in a thread of its own, in the middle of their cells."""

    def __init__(self):
        self.asked = self.no_more = False  # no_more: what is under way goes on to its end
        self.tasks = {}  # task that executes a notebook -> its event loop

    def now(self) -> None:
        self.asked = self.no_more = True
        for task, loop in list(self.tasks.items()):
            with suppress(RuntimeError):  # that one has come to its end
                loop.call_soon_threadsafe(task.cancel)

    def watch(self) -> None:
        """A cell begins, in the task that executes its notebook."""
        task = asyncio.current_task()
        self.tasks[task] = asyncio.get_running_loop()
        if self.asked:
            task.cancel()


def client_config(seen: list[NotebookNode], stop: Stop, threads: int) -> Config:
    """The configuration of nbclient for one notebook.

    seen     gets hold of the notebook as it grows, whatever ends it
    stop     ends it, which nbclient reports as a kernel that died
    threads  of the kernel's PyTorch
    """
    running = []  # the cell under way, if any
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}

    class Kernel(AsyncKernelManager):
        # This interpreter, whatever kernel named python3 the user has installed.
        kernel_spec = KernelSpec(**get_kernel_dict(), env=environment)

        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            # In the middle of a cell a kernel that may take leave prints a page of errors.
            if now or stop.asked or running:
                await super().shutdown_kernel(now=True, restart=restart)
                return
            # The usual way interrupts first, which a kernel still busy with a message logs.
            await self.request_shutdown(restart=restart)
            await self.finish_shutdown(restart=restart)

    def watch(cell_index: int, **_cell) -> None:
        running.append(cell_index)
        stop.watch()

    # Kernels listen on a local TCP port, which other users can read (and each kernel warns of it).
    encryption = "auto" if zmq.has("curve") else "disabled"
    return Config(
        KernelManager={"transport_encryption": encryption},
        NotebookClient={
            "on_notebook_start": lambda notebook: seen.append(notebook),
            "on_cell_execute": watch,
            "on_cell_executed": lambda **_cell: running.clear(),
            "kernel_manager_class": Kernel,
        },
    )
