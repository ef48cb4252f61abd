"""The kernels of a course run: what they inherit, how they listen, and how they end when the run is
asked to end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import zmq
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config


def client_config(signals: list[int]) -> Config:
    """The configuration of nbclient for one notebook.

    signals  Ctrl-C and SIGTERM are noted here when they end the kernel, which nbclient reports as
             one that died
    """

    running = []  # the cell under way, if any

    class Kernel(AsyncKernelManager):
        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            # In the middle of a cell a kernel that may take leave prints a page of errors.
            if now or signals or running:
                await super().shutdown_kernel(now=True, restart=restart)
                return
            # The usual way interrupts before it asks, which a kernel that is not yet done with its
            # last message logs.
            await self.request_shutdown(restart=restart)
            await self.finish_shutdown(restart=restart)

    def done(cell_index: int, **_cell) -> None:
        running.remove(cell_index)

    def watch(cell_index: int, **_cell) -> None:
        running.append(cell_index)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def note(number: int) -> None:
            signals.append(number)
            task.cancel()

        with suppress(RuntimeError):  # on Windows, and outside of the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, note, number)  # in place of nbclient's own

    # Kernels listen on a local TCP port, which other users of the machine can read (and each kernel
    # warns of it).
    encryption = {"transport_encryption": "auto" if zmq.has("curve") else "disabled"}
    return Config(
        {
            "KernelManager": encryption,
            "NotebookClient": {
                "on_cell_execute": watch,
                "on_cell_executed": done,
                "kernel_manager_class": Kernel,
            },
        }
    )


@contextmanager
def kernel_environment() -> Iterator[None]:
    """The environment variables that kernels inherit, restored afterwards."""
    with tempfile.TemporaryDirectory(prefix="course-kernel-") as folder:
        # A kernel named python3 that the user installed elsewhere must not take the place of this
        # interpreter.
        spec = Path(folder, "kernels", "python3", "kernel.json")
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps(get_kernel_dict()), encoding="utf-8")
        wanted = {
            "JUPYTER_PATH": os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")])),
            "PYTHONHASHSEED": "0",
            "CUBLAS_WORKSPACE_CONFIG": (
                ":4096:8"
            ),  # without it some CUDA products are not reproducible
            # A progress bar's widget or hundred lines would be kept as the cell's output. tqdm's
            # bar for notebooks ignores TQDM_DISABLE, and tqdm.auto takes the one for terminals
            # wherever a variable SPYDER... is set.
            "TQDM_DISABLE": "1",
            "SPYDER": "",
            "MPLBACKEND": (
                "module://matplotlib_inline.backend_inline"
            ),  # MPLBACKEND=Agg would leave out every figure
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the kernel's debugger warns of frozen modules
        }
        before = {key: os.environ.get(key) for key in wanted}
        # papermill warns of parameters that its own reading of the cell misses; they are checked by
        # now.
        logger = logging.getLogger("papermill")
        level = logger.level
        logger.setLevel(logging.ERROR)
        os.environ.update(wanted)
        try:
            yield
        finally:
            logger.setLevel(level)
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
