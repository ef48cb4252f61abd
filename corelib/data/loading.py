"""Batches of model inputs, read ahead by threads.

Decoders and copies work outside Python's lock, so threads of this process are enough: nothing is
forked or pickled, no frame goes through shared memory, and it is the same in a notebook, on Windows
and beside a GPU.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

FIRST_WORD = 5.0  # seconds of waiting after which is said what is waited for
STALL = 60.0  # seconds without a finished sample after which the ones under way are named


class Inputs:
    """A source of model inputs, read sample by sample: what VideoClips is.

    item_shape, item_type  of a sample's raw tensor, the same for every row
    fetch(row, threads)    its raw numbers, an array to be copied; threads: that may decode it,
                           None for all there are
    name(row)              the file that it is read from, for messages
    """

    in_features: int | None = None  # of a feature bank
    item_shape: tuple[int, ...]
    item_type: torch.dtype

    def __getitem__(self, row: int) -> Tensor:
        return torch.from_numpy(np.array(self.fetch(int(row))))

    def to_inputs(
        self, raw: Tensor, generator: torch.Generator | None = None, place: int = 0
    ) -> Tensor:
        """Raw tensors -> what the encoder takes, augmented if a generator is given.

        place  of the first of them in its batch, where several processes share one
        """
        return raw

    def read(self, rows: Sequence[int]) -> Tensor:
        """The raw tensors of some rows, stacked."""
        return next(self.batches([rows]))

    def batches(
        self,
        parts: Iterable[Sequence[int]],
        *,
        workers: int = 0,
        device: torch.device | str = "cpu",
    ) -> Iterator[Tensor]:
        """The raw tensors of each list of rows in `parts`, in order, on `device`.

        workers  threads that read ahead, a sample each; 0: a batch is read when it is asked for.
                 As many batches as keep them busy, and two, lie ready; for a GPU in pinned memory.
        """
        on_gpu = torch.device(device).type == "cuda"
        coming: deque[tuple[Tensor, list[Future]]] = deque()
        with Reading(max(1, workers)) as reading:

            def start(rows: Sequence[int]) -> None:
                # torch keeps pinned memory that is free again, and knows when a copy out of it ends
                shape = (len(rows), *self.item_shape)
                raw = torch.empty(shape, dtype=self.item_type, pin_memory=on_gpu)

                def fill(place: int, row: int) -> None:
                    raw.numpy()[place] = self.fetch(row, 1 if workers else None)

                placed = enumerate(map(int, rows))
                samples = [
                    reading.submit(self.name(row), fill, place, row) for place, row in placed
                ]
                coming.append((raw, samples))

            def deliver() -> Tensor:
                raw, samples = coming.popleft()
                reading.wait(samples, "reading the first batch")
                return raw.to(device, non_blocking=True)

            for rows in parts:
                start(rows)
                if len(coming) > (2 + math.ceil(workers / len(rows)) if workers else 0):
                    yield deliver()
            while coming:
                yield deliver()


class Reading:
    """Threads that read samples, and tell how far they are and which file keeps them."""

    def __init__(self, threads: int):
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
        self.waits = 0
        self.under_way: dict[int, tuple[float, str]] = {}  # thread -> since when, what

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error) -> None:
        # A file that hangs must not keep Ctrl-C waiting.
        self.pool.shutdown(wait=not any(error), cancel_futures=True)

    def submit(self, name: str, read, *arguments) -> Future:
        """read(*arguments) in a thread; name: what is read."""

        def call():
            me = threading.get_ident()
            self.under_way[me] = time.monotonic(), name
            try:
                return read(*arguments)
            finally:
                del self.under_way[me]

        return self.pool.submit(call)

    def wait(self, samples: Sequence[Future], doing: str, bar=None) -> None:
        """Until all `samples` are read. Raises what reading one of them raised.

        A first wait of FIRST_WORD seconds is told, as "`doing`: so many of so many", and again ever
        more rarely, unless a bar shows it; STALL seconds without a sample, by naming the file that
        has been read longest.
        """
        started = moved = time.monotonic()
        pending, tell_at, shown = set(samples), FIRST_WORD, bar is not None and not bar.disable
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for sample in done:
                sample.result()
            now = time.monotonic()
            if bar is not None:
                bar.update(len(done))
            if done:
                moved = now
            elif now - moved > STALL:
                said = f"nothing was read for {now - moved:.0f} s"
                for since, name in sorted(self.under_way.copy().values())[:1]:
                    said += f"; under way for {now - since:.0f} s: {name}"
                say(said)
                moved = now
            if self.waits == 0 and now - started > tell_at and not shown and pending:
                read = f"{len(samples) - len(pending)} of {len(samples)} done"
                say(f"{doing}: {read} after {now - started:.0f} s")
                tell_at *= 3
        self.waits += 1


def say(sentence: str) -> None:
    """On standard error, above a bar if there is one: a log without bars gets this line."""
    tqdm.write(sentence, file=sys.stderr)
    sys.stderr.flush()
