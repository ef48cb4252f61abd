"""Text that came from elsewhere, and what may be said of it: one line, whatever a file holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

INTERRUPTED = "\ninterrupted; the same command goes on from what is finished"
LONGEST = 300  # characters of what a library or a file says; more is cut off
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # the last stand for bytes that are no text


def has_control_characters(text: str) -> bool:
    """Whether a name holds line ends, a terminal's control codes or bytes that are no text: no file needs such a name."""
    return _CONTROL.search(text) is not None


def one_line(said: object) -> str:
    """An error or a value as one line of at most LONGEST characters; an error that says nothing is told by its type."""
    text = " ".join(_CONTROL.sub(" ", (str(said) or type(said).__name__)[: 4 * LONGEST]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def list_ids(ids: Iterable, most: int = 5) -> str:
    """The first few of them, and how many more there are."""
    ids = list(ids)
    return ", ".join(map(str, ids[:most])) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def tell_interruption(kind, error, trace) -> None:
    """sys.excepthook for a program that may be ended by Ctrl-C while it is still importing: one line instead of a page."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
