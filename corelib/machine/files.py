"""Files and folders that are complete or not there, and one writer at a time.

    new_file, new_folder   written beside, under a scratch name, then renamed
    json_text              what a file of results says
    only_one               a lock that ends with its process, however that ends

A process may be killed, and a disk be full, at any moment: what was there stays until what replaces
it is complete.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
import secrets
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import current_process
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

# Seconds that a lock is waited for before it counts as held: who was killed takes a moment to end.
PATIENCE = 5.0
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_LOCKS = (  # of a file system, or of a folder
    errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EROFS,
)  # fmt: skip
MAIN_GUARD = (
    'in a script of your own, put what it does under if __name__ == "__main__": since the processes'
    " it starts read it too"
)


class NoSpaceError(OSError):
    """A file does not fit on its disk; the message says how much is needed and free."""


class BusyError(OSError):
    """Another process is writing there now; the message says what it does, and what to do."""


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file that is complete or not there. Raises NoSpaceError; what was there is kept."""
    content = content.encode() if isinstance(content, str) else content
    with new_file(path, size=len(content)) as scratch:
        scratch.write_bytes(content)


def json_text(value, indent: int | None = None) -> str:
    """A value as JSON: an array is a list, and a number that is not finite is null."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value):
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def new_file(path: str | Path, *, size: int | None = None) -> Iterator[Path]:
    """Yields the path of a scratch file beside `path`; its name comes when the block is done.

    size  how many bytes it will have, for the message, where that is known. Raises NoSpaceError.
    """
    path = Path(path)
    # Writers go by the suffix.
    scratch = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.unfinished{path.suffix}")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the new name
        os.replace(scratch, path)
    except Exception as error:
        if getattr(error, "errno", None) not in FULL:
            raise
        reached = scratch.stat().st_size if scratch.exists() else 0
        scratch.unlink(missing_ok=True)  # before what is free is looked up
        raise no_space(path, size or reached, at_least=size is None) from None
    finally:
        with suppress(PermissionError):  # Windows, while an error's traceback holds the mapped file
            scratch.unlink(missing_ok=True)


@contextmanager
def new_folder(
    folder: str | Path, *, overwrite: bool = False, doing: str = "writes"
) -> Iterator[Path]:
    """Yields a scratch folder beside `folder`; its name comes when the block is done.

    doing  what this process does to the folder, in a word, for one that has to wait

    A kill at any moment leaves the new folder or, with `overwrite`, the old one (see
    `restore_folder`). Raises FileExistsError when `folder` is there and `overwrite` is false,
    NoSpaceError when the disk is full.
    """
    folder = Path(folder)
    folder = folder.resolve() if folder.is_symlink() else folder
    with only_one(folder, doing, wait=True):
        _put_back(folder)
        if folder.exists() and not overwrite:
            raise FileExistsError(
                f"{folder} exists already; pass --overwrite to replace it, or choose another --out."
            )
        shutil.rmtree(_aside(folder), ignore_errors=True)
        remove_unfinished(folder.parent, folder.name)
        scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.unfinished")
        scratch.mkdir()
        try:
            yield scratch
            if folder.exists():
                os.rename(folder, _aside(folder))
            os.rename(scratch, folder)
        except Exception as error:
            if getattr(error, "errno", None) not in FULL:
                raise
            reached = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
            shutil.rmtree(scratch, ignore_errors=True)
            raise no_space(folder, reached, at_least=True) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            _put_back(folder)
            shutil.rmtree(_aside(folder), ignore_errors=True)


def restore_folder(folder: str | Path) -> None:
    """Give a folder its name back where `new_folder` was killed between the old and the new one."""
    folder = Path(folder)
    if not folder.exists() and _aside(folder).exists():
        with only_one(folder, "replaces", wait=True):  # who is about to name the new folder
            _put_back(folder)


@contextmanager
def only_one(path: str | Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file or folder; it ends with this process, were it by a kill.

    doing  what the holder does, as another process will read it: "trains into"
    wait   for the holder to end, with a line that says so. Otherwise BusyError is raised after
           PATIENCE seconds.
    Raises BusyError at once in a spawned process that is still reading its parent's script: the
    parent may hold the lock and wait for that process.
    """
    # By this, Python itself knows that a process may start no others yet.
    if getattr(current_process(), "_inheriting", False):
        raise BusyError(f"{path}: {MAIN_GUARD}")
    place = Path(path).resolve()  # one lock by whatever name
    file = place.with_name(f".{place.name}.lock")
    lock = FileLock(file, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, path, file, doing, wait)
    except OSError as error:
        if error.errno in FULL:
            raise no_space(file, 0) from None
        if isinstance(error, BusyError) or error.errno not in NO_LOCKS:
            raise
        warnings.warn(
            f"{place.parent}: no lock can be had there ({error.strerror}), so see to it yourself"
            f" that one process at a time {doing} {place.name}",
            stacklevel=3,
        )
    try:
        yield
    finally:
        if lock.is_locked:
            if os.name == "posix":  # who waits notices that it is gone; Windows removes it itself
                file.unlink(missing_ok=True)
            lock.release()


def _acquire(lock: FileLock, path: str | Path, file: Path, doing: str, wait: bool) -> None:
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        holder = ""
        with suppress(OSError):  # Windows lets nobody read a locked file
            holder = file.read_text()
        holder = holder or "another process"
        if not wait:
            raise BusyError(
                f"{path}: {holder} {doing} it at this moment; wait until that has ended, or stop"
                " it, or name another folder"
            ) from None
        if os.environ.get("TQDM_DISABLE") != "1":  # who wants no bars wants no such line either
            print(
                f"{path}: waiting for {holder}, which {doing} it ...", file=sys.stderr, flush=True
            )
        lock.acquire()
    with suppress(OSError):  # Windows lets nobody write into a locked file
        file.write_text(f"process {os.getpid()} on {platform.node()}")


def remove_unfinished(folder: str | Path, name: str | None = None) -> None:
    """Remove what killed processes have left unfinished in a folder (of `name` alone, if given).

    For the holder of its lock: the scratch of a living process must not be taken away.
    """
    for path in Path(folder).iterdir():
        found = re.fullmatch(r"\.(.+)\.[0-9a-z_]{8}\.unfinished(\.\w+)?", path.name)
        if found and name in (None, found[1] + (found[2] or "")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def no_space(path: Path, size: int, *, at_least: bool = False) -> NoSpaceError:
    """The error of a file or folder that did not fit; call it when its scratch is removed."""
    free = shutil.disk_usage(path.parent).free
    needed = f"more than {size / 1e6:.1f}" if at_least else f"{size / 1e6:.1f}"
    kept = "; the one that was there is kept" if path.exists() else ""
    return NoSpaceError(
        f"{path}: the disk (or your quota) is full: {needed} MB needed, {free / 1e6:.1f} MB"
        f" free{kept}. Make room and give the same command again."
    )


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _put_back(folder: Path) -> None:
    if not folder.exists() and _aside(folder).exists():
        os.rename(_aside(folder), folder)
