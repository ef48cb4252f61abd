"""Features from any extractor: one file a sample below a folder, or one file of all samples.

    .npy, .npz   numpy's; of a file that holds one sample the only array, or the one called features
    .pt, .pth    torch's, opened with weights_only

A sample is floating-point numbers [D] or [T, D]. A file of all samples is an .npz or a torch
dictionary. It has ids for names, or two entries, ids [N] and features [N, D] or [N, T, D].
"""

from __future__ import annotations

import math
import os
import pickle
import re
import unicodedata
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from corelib.data.samples import DatasetError
from corelib.data.video import VIDEO_SUFFIXES
from corelib.machine.messages import list_ids, one_line
from data_scripts.readers.archives import RATIO_LIMIT, SMALL

SUFFIXES = (".npy", ".npz", ".pt", ".pth")
_SUFFIX = re.compile(
    "({})+$".format("|".join(map(re.escape, (*SUFFIXES, *VIDEO_SUFFIXES)))), re.IGNORECASE
)


class FeatureFiles:
    """The features of many samples, by name. Raises DatasetError for a file that cannot be read."""

    def __init__(self, path: Path):
        self.path, self.files, self.arrays = path, defaultdict(list), None
        if path.is_dir():
            for folder, _, names in os.walk(path):
                for name in (name for name in names if name.lower().endswith(SUFFIXES)):
                    file = Path(folder, name)
                    self.files[plain_name(file.relative_to(path).as_posix())].append(file)
        else:
            self.arrays = _of_all(path)

    def find(self, name: str) -> str:
        """The name of a sample's features, for one that may have a suffix, or be a path there."""
        known = self.files if self.arrays is None else self.arrays
        if os.path.isabs(name):
            name = os.path.relpath(name, self.path)
        found = next((key for key in (name, plain_name(name)) if key in known), None)
        if found is None:
            held = one_line(list_ids(known, most=3)) if known else "none at all"
            wanted = one_line(plain_name(name))
            raise DatasetError(
                f"{self.path}: no features of {one_line(name)} ({wanted}.npy, .npz or .pt); "
                f"it holds {held}"
            )
        return found

    def read(self, name: str) -> np.ndarray:
        """A sample's features [T, D], finite floating-point numbers; of a file with [D] T is 1."""
        if self.arrays is not None:
            return _checked(f"{self.path}, {one_line(name)}", lambda: self.arrays[name])
        paths = sorted(self.files[name])
        if len(paths) > 1:
            several = " or ".join(path.name for path in paths)
            raise DatasetError(f"{self.path}: is {one_line(name)} {several}? Keep one of them")
        return _checked(paths[0], lambda: _of_one(paths[0]))


def plain_name(name: str) -> str:
    """A path with "/", without a suffix of features or videos, é in one of its two ways."""
    return _SUFFIX.sub("", unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./")))


def _checked(where: object, read) -> np.ndarray:
    try:
        array = _as_array(read())
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"expected floating-point numbers, found {array.dtype}")
        if array.ndim not in (1, 2) or 0 in array.shape:
            raise ValueError(f"expected [D] or [T, D], found {list(array.shape)}")
        if not np.isfinite(array).all():
            raise ValueError("holds values that are not finite")
    except Exception as error:  # damaged bytes raise nearly anything
        raise DatasetError(f"{where}: {one_line(error)}") from None
    return array[None] if array.ndim == 1 else array


def _as_array(value: object) -> np.ndarray:
    import torch

    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise ValueError("the tensor is sparse, quantized or without values; save a plain one")
        if value.untyped_storage().nbytes() < value.numel() * value.element_size():
            shape = list(value.shape)
            raise ValueError(f"states {shape} values, and holds fewer; save it with .contiguous()")
        value = value.detach()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if not isinstance(value, np.ndarray):
        raise ValueError(f"expected an array of numbers, found a {type(value).__name__}")
    return value


def _of_one(path: Path) -> object:
    content = _load(path)
    if isinstance(content, Mapping):
        names = list(content)
        if len(names) != 1 and "features" not in names:
            held = f"{len(names)} entries ({list_ids(names)})"
            raise ValueError(f"holds {held} where one sample has one; name it features")
        content = content["features" if "features" in names else names[0]]
    return content


def _of_all(path: Path) -> Mapping:
    try:
        content = _load(path)
        if not isinstance(content, Mapping):
            raise ValueError(
                "one array, which says nothing of whose features it holds; "
                "save an .npz or a torch dictionary with ids for names"
            )
        if set(content) == {"ids", "features"}:
            ids = [str(name) for name in np.asarray(content["ids"]).tolist()]
            if len(ids) != len(content["features"]) or len(set(ids)) != len(ids):
                different, count = len(set(ids)), len(content["features"])
                raise ValueError(
                    f"{len(ids)} ids ({different} different ones) for {count} features"
                )
            return dict(zip(map(plain_name, ids), content["features"], strict=True))
    except Exception as error:
        raise DatasetError(f"{path}: {one_line(error)}") from None
    if isinstance(content, _Archive):
        return content
    return {plain_name(str(name)): value for name, value in content.items()}


def _load(path: Path) -> object:
    """An array, or a mapping of them; no memory is taken for what a header merely states."""
    if path.suffix.lower() == ".npz":
        return _Archive(path)
    if path.suffix.lower() == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("expected floating-point numbers, found an archive")
        return array
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"expected {', '.join(SUFFIXES)}, not {path.suffix or 'a file without suffix'}"
        )
    import torch  # takes seconds, which --help need not wait for

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the time that checking a sparse tensor may take
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # what torch says of it invites to open the file all the same
        raise ValueError(
            "is damaged, or asks for more than tensors, and was not opened; "
            "save tensors, with torch.from_numpy for arrays"
        ) from None


class _Archive(Mapping):
    """The arrays of an .npz file, each read when it is asked for."""

    def __init__(self, path: Path):
        self.zip = zipfile.ZipFile(path)
        held = self.zip.infolist()
        if sum(info.file_size for info in held) > max(SMALL, RATIO_LIMIT * path.stat().st_size):
            raise ValueError(f"would unpack to more than {RATIO_LIMIT} times its own size")
        self.held = {
            plain_name(info.filename): info for info in held if info.filename.endswith(".npy")
        }
        if len(self.held) < len(held):
            raise ValueError("holds members that are no .npy files, or one name twice")

    def __getitem__(self, name: str) -> np.ndarray:
        info = self.held[name]
        with self.zip.open(info) as file:
            version = np.lib.format.read_magic(file)
            form = np.lib.format
            read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
            shape, _, kind = read(file)
            if math.prod(shape) * kind.itemsize > info.file_size:
                raise ValueError(
                    f"its header states {list(shape)} values, it holds {info.file_size} bytes"
                )
        with self.zip.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def __contains__(self, name: object) -> bool:  # without reading it, as Mapping does
        return name in self.held

    def __iter__(self):
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)
