"""How the kernels of a course run listen, and how they end when the run is asked to end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import zmq
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config


def client_config(signals: list[int]) -> Config:
    """The configuration of nbclient for one notebook.

    signals  Ctrl-C and SIGTERM are noted here when they end the kernel, which nbclient reports as one that died
    """

    class Kernel(AsyncKernelManager):
        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            # In the middle of a cell a kernel that may take leave prints a page of errors.
            await super().shutdown_kernel(now=now or bool(signals), restart=restart)

    def watch(**_cell) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def note(number: int) -> None:
            signals.append(number)
            task.cancel()

        with suppress(RuntimeError):  # on Windows, and outside of the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, note, number)  # in place of nbclient's own

    # Kernels listen on a local TCP port, which other users of the machine can read (and each kernel warns of it).
    encryption = {"transport_encryption": "auto" if zmq.has("curve") else "disabled"}
    return Config({"KernelManager": encryption, "NotebookClient": {"on_cell_start": watch, "kernel_manager_class": Kernel}})
