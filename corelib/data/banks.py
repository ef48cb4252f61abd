"""Banks of precomputed features: one safetensors file with features [N, S, D] and their order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from corelib.data.contract import DatasetError, bank_ids
from corelib.data.loading import Inputs
from corelib.machine.digests import DamagedError, pack_tensors, read_tensors
from corelib.machine.files import write_atomically
from corelib.machine.messages import list_ids


def write_bank(path: str | Path, features: np.ndarray, ids: list[str]) -> None:
    """Write features [N, S, D] (float16 or float32), row i being that of ids[i]."""
    features = np.ascontiguousarray(features)
    if features.ndim != 3 or len(features) != len(ids) or len(set(ids)) != len(ids):
        raise ValueError(
            f"features must be [N, S, D] with N different ids, not {features.shape} with"
            f" {len(ids)} ids"
        )
    tensors, metadata = {"features": torch.from_numpy(features)}, {"ids": json.dumps(list(ids))}
    write_atomically(path, pack_tensors(tensors, metadata))


class FeatureSteps(Inputs):
    """The features of a prepared dataset (a SampleTable) as model inputs: a row is float32 [S, D].

    Raises DatasetError when the bank has changed since it was written, or holds a value that is not
    finite.
    """

    def __init__(self, table):
        bank, samples = table.feature_bank, table.samples
        order = {name: index for index, name in enumerate(bank_ids(bank))}
        try:
            features = read_tensors(bank)["features"]
        except DamagedError as error:
            raise DatasetError(f"{bank}: {error}; prepare the dataset anew") from None
        self.features = features[[order[media] for media in samples["media"]]].float()
        rows = enumerate(self.features)
        bad = [samples["id"].iloc[row] for row, steps in rows if not steps.isfinite().all()]
        if bad:
            raise DatasetError(
                f"{bank}: features that are not finite, of {len(bad)} sample(s):"
                f" {list_ids(bad, most=20)}; compute them anew or leave these samples out"
            )
        self.in_features = self.features.shape[2]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.features[int(row)]

    def batches(
        self, parts: Iterable[Sequence[int]], *, workers: int = 0, device="cpu"
    ) -> Iterator[torch.Tensor]:
        """As Inputs says; all features lie in memory, so nothing is read ahead."""
        for rows in parts:
            yield self.features[torch.as_tensor(np.asarray(rows))].to(device)
