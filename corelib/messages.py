"""What is said about a file that came from elsewhere, in one line whatever the file holds."""

from __future__ import annotations

LONGEST = 200  # characters of what a library or a file says; more is cut off


def one_line(said: object) -> str:
    """An error or a value as text of one line, without control characters, of at most LONGEST characters.

    An error that says nothing is told by its type. A file's own text may hold line ends, a terminal's control
    codes or megabytes; none of it belongs into a message.
    """
    text = str(said) or type(said).__name__
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * LONGEST])
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."
