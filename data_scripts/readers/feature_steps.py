"""Features as somebody has computed them, for a bank: so many steps, and the smallest type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corelib.data.contract import DatasetError


def average_steps(steps: np.ndarray, count: int) -> np.ndarray:
    """Features [T, D] -> [count, D]: the mean of each of `count` equal stretches of time."""
    edges = np.linspace(0, len(steps), count + 1)
    begins = edges[:-1].astype(int)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), begins + 1)
    stretches = zip(begins, ends, strict=True)
    return np.stack([steps[a:b].mean(axis=0, dtype=np.float64) for a, b in stretches])


def smallest_type(features: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """Features [N, S, D] (float64) as float16 where that holds them, else as float32.

    Held is a feature whose rounding errors are below a hundredth of its standard deviation over all
    samples and steps. Raises DatasetError where even float32 rounds half of one away, naming it.
    """
    half, single = _lost(features, np.float16), _lost(features, np.float32)
    if (single > 0.5).any():
        place = int(single.argmax())
        row = int(np.abs(features[:, :, place]).max(axis=1).argmax())
        raise DatasetError(
            f"{(single > 0.5).sum()} of {len(single)} features are too large, too small or too"
            f" little different for their size for float32: feature {place}, for example"
            f" {features[row, 0, place]:g} of {ids[row]}; scale them, or subtract their mean"
        )
    return features.astype(np.float16 if (half < 0.01).all() else np.float32)


def _lost(features: np.ndarray, kind: type) -> np.ndarray:
    """What rounding to a type does to each of D features, in standard deviations or a constant's
    size."""
    lost = np.zeros(features.shape[2])
    with np.errstate(all="ignore"):  # what is too large becomes infinite, and infinitely wrong
        for place in range(len(lost)):
            values = features[:, :, place]
            size = np.abs(values).max()
            if size > 0:
                error = (values.astype(kind).astype(np.float64) - values) / size
                spread = (values / size).std()
                lost[place] = np.sqrt(np.mean(error**2)) / (spread if spread > 1e-14 else 1)
    return np.where(np.isnan(lost), np.inf, lost)
