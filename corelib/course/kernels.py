"""The kernels of a course run: what they inherit, how they listen, and how they are ended."""

from __future__ import annotations

import asyncio
import signal
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


def client_config(seen: list[NotebookNode], signals: list[int]) -> Config:
    """The configuration of nbclient for one notebook.

    seen     gets hold of the notebook as it grows, whatever ends it
    signals  Ctrl-C and SIGTERM are noted here when they end the kernel, which nbclient reports as
             one that died
    """
    running = []  # the cell under way, if any

    class Kernel(AsyncKernelManager):
        # This interpreter, whatever kernel named python3 the user has installed.
        kernel_spec = KernelSpec(**get_kernel_dict(), env=ENVIRONMENT)

        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            # In the middle of a cell a kernel that may take leave prints a page of errors.
            if now or signals or running:
                await super().shutdown_kernel(now=True, restart=restart)
                return
            # The usual way interrupts first, which a kernel still busy with a message logs.
            await self.request_shutdown(restart=restart)
            await self.finish_shutdown(restart=restart)

    def watch(cell_index: int, **_cell) -> None:
        running.append(cell_index)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def note(number: int) -> None:
            signals.append(number)
            task.cancel()

        with suppress(RuntimeError):  # on Windows, and outside of the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, note, number)  # in place of nbclient's own

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
