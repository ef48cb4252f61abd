"""Batches of model inputs: read in this process, or ahead of time by worker processes that live as long as the source."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Inputs(Dataset):
    """A source of model inputs: __getitem__(row) gives one sample's raw tensor, to_inputs makes a batch of them ready.

    Worker processes receive a copy by pickling, as macOS and Windows start them, so a source pickles
    the names of the files it reads, not what lies in them.
    """

    in_features: int | None = None  # of a feature bank

    def read(self, rows: Sequence[int]) -> Tensor:
        """The raw tensors of some rows, stacked."""
        return torch.stack([self[int(row)] for row in rows])

    def to_inputs(self, raw: Tensor, generator: torch.Generator | None = None, place: int = 0) -> Tensor:
        """A batch of raw tensors -> what the encoder takes; augmented if a generator is given and there is something
        to augment. place: of the first of them in its batch, where several processes share one."""
        return raw

    def batches(self, parts: Sequence[np.ndarray], *, workers: int = 0) -> Iterator[Tensor]:
        """The raw tensors of each list of rows in `parts`, in order.

        workers  processes that read ahead; they are started once and kept from one call to the next
        """
        if workers == 0:
            return map(self.read, parts)
        kept = self.__dict__.setdefault("_loaders", {})
        if workers not in kept:
            plan: list = []
            # Each item of the plan is a whole batch, so collating has nothing left to do. The workers hold a copy: where the
            # source and its loader hold each other, ending the workers takes five seconds each.
            kept[workers] = plan, DataLoader(_Batches(copy.copy(self)), sampler=plan, batch_size=None, num_workers=workers, persistent_workers=True)
        plan, loader = kept[workers]
        plan[:] = [np.asarray(part).tolist() for part in parts]
        return iter(loader)

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != "_loaders"}


class _Batches(Dataset):
    """Item `rows` is a whole batch; what the workers hold."""

    def __init__(self, source: Inputs):
        self.source = source

    def __getitem__(self, rows: list[int]) -> Tensor:
        return self.source.read(rows)
