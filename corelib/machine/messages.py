"""Text that came from elsewhere, and what may be said of it: one line, whatever a file holds."""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from collections.abc import Iterable

INTERRUPTED = "\ninterrupted; the same command goes on from what is finished"
SAID: set[str] = set()  # what has been a warning of Python in this process
LONGEST = 300  # characters of what a library or a file says; more is cut off
OS_ADVICE = {
    errno.ENOENT: "no such file or folder; check the path",
    errno.EACCES: "permission denied; name a place that this user may read and write, or change its"
                  " permissions",
    errno.EPERM: "not permitted; name a place that this user may read and write, or change its"
                 " permissions",
    errno.EROFS: "the file system is read-only; name a folder that can be written (--out)",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one (--out)",
    errno.ENOTDIR: "a file stands where a folder is needed; name another place",
    errno.EEXIST: "something of that name is there already; name another place (--out)",
    errno.EISDIR: "a folder stands where a file is needed; name another place",
    errno.ENOSPC: "the disk is full; free some space and give the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and give the same command again",
}  # fmt: skip
# The last stand for bytes that are no text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def has_control_characters(text: str) -> bool:
    """Whether a text holds line ends, a terminal's control codes or bytes that are no text."""
    return _CONTROL.search(text) is not None


def one_line(said: object) -> str:
    """A value or an error, or the type of one that says nothing, in LONGEST characters or less."""
    text = " ".join(_CONTROL.sub(" ", (str(said) or type(said).__name__)[: 4 * LONGEST]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def describe_os_error(error: OSError) -> str:
    """What the system refused, as one line: the path, what is wrong and, if known, what to do."""
    if error.filename is None or isinstance(error.filename, int):
        return one_line(error)
    path, part = os.fsdecode(error.filename) or "an empty name", LONGEST // 5
    short = path if len(path) <= 2 * part else f"{path[:part]} ... {path[-part:]}"
    return one_line(f"{short}: {OS_ADVICE.get(error.errno) or error.strerror}")


def list_ids(ids: Iterable, most: int = 5) -> str:
    """The first few of them, and how many more there are."""
    ids = list(ids)
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(map(str, ids[:most])) + more


def tell_interruption(kind, error, trace) -> None:
    """sys.excepthook of a program that Ctrl-C may end while it imports: a line and no page."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def warn_once(sentences: Iterable[str]) -> None:
    """Each as a warning of Python, at the caller's line outside of the kit, and once in a process.

    Python's own memory of what it has said is lost whenever somebody changes a filter for a moment.
    """
    frame, level, inside = sys._getframe(1), 2, ("corelib.", "data_scripts.", "torch.")
    while frame.f_back and frame.f_globals["__name__"].startswith(inside):
        frame, level = frame.f_back, level + 1
    for sentence in sentences:
        if sentence not in SAID:
            SAID.add(sentence)
            warnings.warn(sentence, stacklevel=level)
