"""Pickles from strangers, read without letting them run anything.

A pickle is a small program: it may name any function of any module and call it, so opening one
plainly hands the machine to whoever wrote the file. Datasets of this field come as pickles all the
same. What they need is numbers, text, lists, sets, dictionaries and numpy's arrays and scalars, and
nothing else is let in. Nor is the state of an array taken as the file has it: numpy believes the
flags of a type and the length of a list, and with wrong ones takes any bytes for addresses of
objects.
"""

from __future__ import annotations

import codecs
import io
import math
import pickle
import struct
from pathlib import Path

import numpy as np

from corelib.data.samples import DatasetError
from corelib.machine.messages import one_line
from data_scripts.readers.archives import COMPRESSED, RATIO_LIMIT, SMALL


def load_pickle(path: str | Path) -> object:
    """The content of a pickle of plain Python values and numpy arrays or scalars.

    Text that Python 2 wrote is read as latin1, which is what numpy's arrays of that time need.
    Every protocol is read, compressed by gzip, bzip2 or xz or not; ordered and default dictionaries
    become plain ones. Raises DatasetError that names the file and the first class or function that
    it asks for and that is none of these; nothing of the kind is imported or called. A file that is
    no pickle, or is cut short, is a DatasetError too; a missing one stays FileNotFoundError.
    """
    content = _content(Path(path))
    kind = next((kind for sign, kind in _NO_PICKLES.items() if content.startswith(sign)), None)
    if kind:
        raise DatasetError(f"{path}: this is {kind}")
    try:
        return _Reader(content).load()
    except _Refused as refused:
        raise DatasetError(
            f"{path}: this pickle asks for {one_line(refused)}, which a file of numbers has no need"
            " of; it was not opened. Get the file again from the dataset's own release, or save"
            " what it holds as plain dictionaries, lists, numbers and numpy arrays."
        ) from None
    except Exception as error:  # damaged bytes raise nearly anything
        raise DatasetError(
            f"{path} cannot be read as a pickle: {type(error).__name__}: {one_line(error)}"
        ) from None


def listed(values: object) -> list | None:
    """A list, a tuple or an array as a list; None for anything else."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return list(values) if isinstance(values, list | tuple) else None


_AGAIN = (
    "; load it with {}, and save what it holds with pickle.dump, as plain dictionaries, lists,"
    " numbers and numpy arrays"
)
_NO_PICKLES = {
    b"PK\x03\x04": "a zip archive, as torch.save writes, and no pickle; unpack it, or"
    + _AGAIN.format("torch.load")[1:],
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.": "a file of torch.save and no plain pickle"
    + _AGAIN.format("torch.load"),
    b"\x93NUMPY": "a .npy file and no pickle" + _AGAIN.format("numpy.load"),
    b"version https://git-lfs": "a pointer of Git LFS to the file, not the file itself; get it with"
    " `git lfs pull`",
    b"<": "a web page and no pickle; open the address in a browser and save the file itself",
}


def _content(path: Path) -> bytes:
    """The bytes of a file, decompressed where it is compressed, and not beyond all measure."""
    content = path.read_bytes()
    opener = next((opener for sign, opener in COMPRESSED if content.startswith(sign)), None)
    if opener is None:
        return content
    limit = max(SMALL, RATIO_LIMIT * len(content))
    try:
        with opener(io.BytesIO(content), "rb") as file:
            found = file.read(limit + 1)
    except Exception as error:  # as many kinds as there are libraries
        raise DatasetError(
            f"{path} is compressed and cannot be decompressed ({one_line(error)}); get it again"
        ) from None
    if len(found) > limit:
        raise DatasetError(
            f"{path}: would unpack to more than {RATIO_LIMIT} times its own size; it was not opened"
        )
    return found


class _Refused(Exception):
    """What a pickle asked for in vain, in words."""


def _to_latin1(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes for protocol 2 as encode(text, "latin1"); no other codec is ever meant.
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding!r}")
    return codecs.encode(text, "latin1")


def _data_type(name: str, *_) -> np.dtype:
    """A type of its own, never numpy's one of that name, as a pickle's state is set in place."""
    data_type = np.dtype(str(name), False, True)
    if data_type.kind not in "biufcSUO":  # numbers, text, objects
        raise _Refused(f"an array of the type {name!r}")
    return data_type


def _empty_array(kind: object, *_) -> np.ndarray:
    if kind is not _ARRAY:
        raise _Refused("an array of a class of its own")
    return np._core.multiarray._reconstruct(np.ndarray, (0,), b"b")


def _no_bytes() -> bytes:  # how protocols before 3 write b""
    return b""


def _fill(array: np.ndarray, state: tuple) -> None:
    """Give an empty array its shape, type and content, once they fit together."""
    shape, data_type, _, content = state[-4:]
    count = math.prod(shape)
    kind, length = (bytes | str), count * data_type.itemsize
    if data_type.kind == "O":
        kind, length = list, count
    if not isinstance(content, kind) or len(content) != length or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} and type {data_type} has another content")
    array.__setstate__(state)
    if data_type.kind == "U":
        array.tolist()  # raises for what is no character


def _from_buffer(content: bytes, data_type: np.dtype, shape: tuple, order: str, axes=None):
    """How protocol 5 writes an array; `axes`: those in memory, if not C's or Fortran's."""
    array = _empty_array(_ARRAY)
    _fill(array, (1, shape, data_type, order == "F", bytes(content)))
    return array if axes is None else array.transpose(axes)


def _mapping(*stated: object) -> dict:
    """An ordered or default dictionary, or a counter: what makes it special is of no use here."""
    return dict(*(part for part in stated if isinstance(part, list | dict)))


def _scalar(data_type: np.dtype, content: bytes | str) -> np.generic:
    if data_type.kind == "O":
        raise _Refused("a scalar of the type object")
    return np._core.multiarray.scalar(data_type, content)


_ARRAY = object()  # stands for numpy.ndarray, which pickles name and never call
_FACTORY = object()  # stands for what a default dictionary makes entries of, and is never called
# numpy and Python have moved their modules; files name either.
_NUMPY, _BUILTINS = ("numpy.core", "numpy._core"), ("__builtin__", "builtins")
_FACTORIES = ("dict", "float", "int", "list", "str", "tuple", "bool")
_ALLOWED = {
    ("numpy", "dtype"): _data_type,
    ("numpy", "ndarray"): _ARRAY,
    ("_codecs", "encode"): _to_latin1,
    ("__builtin__", "bytes"): _no_bytes,
    **{(f"{core}.multiarray", "_reconstruct"): _empty_array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY},
    **{("collections", name): _mapping for name in ("OrderedDict", "defaultdict", "Counter")},
    **{(module, name): _FACTORY for module in _BUILTINS for name in _FACTORIES},
    **{(module, kind.__name__): kind for module in _BUILTINS for kind in (set, frozenset, complex)},
}


class _Reader(pickle._Unpickler):
    """The standard library's reader in Python, which lets states be looked at.

    Its fast twin sets them unseen, and takes memory for as many entries as ten bytes state.
    """

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if all(part.isidentifier() for part in f"{module}.{name}".split(".")):
            raise _Refused(f"{module}.{name}")
        raise pickle.UnpicklingError("this is no pickle")  # but a text, say, that begins like one

    def set_state(self) -> None:
        """The opcode BUILD: a new array's state, and of a type's only the order of its bytes."""
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, np.dtype):
            if state[1] == ">" and made.kind != "O":
                size, alignment = (made.itemsize, made.alignment) if made.kind == "U" else (-1, -1)
                made.__setstate__((3, ">", None, None, None, size, alignment, made.flags))
        elif type(made) is np.ndarray:
            _fill(made, state)
        else:
            raise _Refused(f"setting the state of a {type(made).__name__}")

    def read_bytearray(self) -> None:
        """The opcode BYTEARRAY8, which takes memory for any length that is stated."""
        (size,) = struct.unpack("<Q", self.read(8))
        content = bytearray(self.read(size))
        if len(content) < size:
            raise EOFError(f"{len(content)} of {size} bytes are there")
        self.append(content)

    dispatch = pickle._Unpickler.dispatch | {
        pickle.BUILD[0]: set_state,
        pickle.BYTEARRAY8[0]: read_bytearray,
    }
