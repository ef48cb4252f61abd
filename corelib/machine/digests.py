"""Digests inside files of tensors: a bit that flips on a disk or in a copy is never learnt from.

safetensors keep none of their own, and torch.load reads past the checksums of its zip files. Files
without a digest, which other programs and earlier versions write, are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from corelib.machine.errors import KitError

KEY = "content_sha256"  # of a safetensors file's metadata, or of a checkpoint's dictionary
CHANGED = "it has changed since it was written: its digest is another"


class DamagedError(KitError, ValueError):
    """A file's content is not what was written into it."""


def digest(value: object) -> str:
    """SHA-256 of tensors (types, shapes, bytes) and plain values in dictionaries and lists, in hex.

    The order of a dictionary's keys and the device of a tensor make no difference.
    """
    total = hashlib.sha256()
    _add(total, value)
    return total.hexdigest()


def _add(total, value: object) -> None:
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        total.update(f"tensor {plain.dtype} {list(plain.shape)};".encode())
        total.update(plain.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        total.update(f"dict {len(value)};".encode())
        for key in sorted(value, key=repr):
            total.update(f"{key!r};".encode())
            _add(total, value[key])
    elif isinstance(value, (list, tuple)):
        total.update(f"list {len(value)};".encode())
        for item in value:
            _add(total, item)
    else:
        total.update(f"{type(value).__name__} {value!r};".encode())


def sign(content: dict) -> dict:
    """The dictionary with its digest, to be saved by torch.save."""
    return content | {KEY: digest(content)}


def check_signed(content: dict) -> dict:
    """The dictionary that `sign` was given. Raises DamagedError where it has changed since."""
    rest = {key: value for key, value in content.items() if key != KEY}
    if content.get(KEY) not in (None, digest(rest)):
        raise DamagedError(CHANGED)
    return rest


def pack_tensors(tensors: dict[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file with a digest of its content; the same content gives the same bytes."""
    metadata = dict(metadata or {})
    signed = metadata | {KEY: digest([tensors, metadata])}
    packed = memoryview(safetensors.torch.save(tensors, signed))
    start = 8 + int.from_bytes(packed[:8], "little")
    content = json.loads(bytes(packed[8:start]))  # the library orders metadata by chance
    header = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at multiples of 8
    return b"".join([len(header).to_bytes(8, "little"), header, packed[start:]])


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, checked where `pack_tensors` wrote it.

    Raises DamagedError, safetensors.SafetensorError for a file that is none, and OSError with the
    file's name.
    """
    with Path(path).open("rb"):  # what the library says of a file that cannot be opened has no name
        pass
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if metadata.pop(KEY, None) not in (None, digest([tensors, metadata])):
        raise DamagedError(CHANGED)
    return tensors
