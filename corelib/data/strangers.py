"""Pickles from strangers, read without letting them run anything.

A pickle is a small program: it may name any function of any module and call it, so opening one plainly
hands the machine to whoever wrote the file. Datasets of this field come as pickles all the same. What
they need is numbers, text, lists, dictionaries and numpy's arrays and scalars, and nothing else is let in.
"""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path

import numpy as np

from corelib.data.samples import DatasetError


def load_pickle(path: str | Path) -> object:
    """The content of a pickle of plain Python values and numpy arrays or scalars.

    Text that Python 2 wrote is read as latin1, which is what numpy's arrays of that time need.
    Raises DatasetError that names the file and the first class or function that it asks for and that
    is not numpy's; nothing of the kind is imported or called. A file that is no pickle, or is cut
    short, is a DatasetError too; a missing one stays FileNotFoundError. Arrays are read from protocols 0
    to 4, the ones that the published files use.
    """
    content = Path(path).read_bytes()
    try:
        return _Reader(content).load()
    except _Refused as refused:
        raise DatasetError(
            f"{path}: this pickle asks for {refused}, which a file of numbers has no need of; it was not opened. "
            "Get the file again from the dataset's own release."
        ) from None
    except Exception as error:  # damaged bytes raise nearly anything: EOFError, KeyError, struct's errors ...
        raise DatasetError(f"{path} cannot be read as a pickle: {type(error).__name__}: {error}") from None


class _Refused(Exception):
    """The dotted name that a pickle asked for in vain."""


def _to_latin1(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes for protocol 2 as encode(text, "latin1"); no other codec is ever meant.
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding!r}")
    return codecs.encode(text, "latin1")


# numpy moved the module from numpy.core to numpy._core; old and new files name either.
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_RECONSTRUCT, _SCALAR = np._core.multiarray._reconstruct, np._core.multiarray.scalar
_ALLOWED = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("_codecs", "encode"): _to_latin1,
    **{(module, "_reconstruct"): _RECONSTRUCT for module in _ARRAY_MODULES},
    **{(module, "scalar"): _SCALAR for module in _ARRAY_MODULES},
}


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None
