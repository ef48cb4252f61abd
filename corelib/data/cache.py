"""Decoded videos in one memory-mapped file of a dataset's folder, whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from corelib.machine.files import FULL, new_file, only_one, remove_unfinished


def open_cache(
    path: Path, layout: np.dtype, videos: int, fill: Callable, *, always: bool
) -> np.ndarray | None:
    """The cache [videos] of `layout` in a file KIND-CONTENT.npy, filled by fill(cache) if need be.

    None, with a warning, where it cannot be written or, unless `always`, would take more than half
    of what is free. Others of its kind show what the videos were, and go.
    """
    if (cache := _map(path, layout, videos)) is not None:
        return cache
    folder, size = path.parent, layout.itemsize * videos
    free = shutil.disk_usage(folder.parent).free
    slower = (
        "no cache of decoded videos, so they are decoded whenever they are needed, which is slower"
    )
    if not always and size > free / 2:
        room = f"{size / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free"
        warnings.warn(
            f"{folder.parent}: {slower}: {room}, and half of it is left to others", stacklevel=3
        )
        return None
    try:
        with only_one(folder, "decodes videos into", wait=True):
            if (cache := _map(path, layout, videos)) is not None:  # of who was waited for
                return cache
            folder.mkdir(exist_ok=True)
            remove_unfinished(folder)
            for older in folder.glob(f"{path.stem.partition('-')[0]}-*.npy"):
                with suppress(PermissionError):  # Windows, while another process maps it
                    older.unlink()
            with new_file(path, size=size) as scratch:
                cache = np.lib.format.open_memmap(scratch, "w+", layout, (videos,))
                _take_room(scratch)
                fill(cache)
                cache.flush()
                del cache  # Windows renames no file that is mapped
    except OSError as error:
        warnings.warn(f"{slower}: {error}", stacklevel=3)
        return None
    return _map(path, layout, videos)


def _map(path: Path, layout: np.dtype, videos: int) -> np.ndarray | None:
    """The cache in a file; None for none, or a part of one, as an interrupted copy leaves it."""
    try:
        cache = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # damaged headers raise nearly anything; the cache is made anew
        return None
    return cache if cache.dtype == layout and cache.shape == (videos,) else None


def _take_room(path: Path) -> None:
    """Raise OSError now where the disk has no room for a file that is filled through a map: later,
    a full disk would end the process without a word."""
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:  # some file systems cannot promise room
            if error.errno in FULL:
                raise
