"""What the kit's own errors have in common. Imports the standard library alone."""

from __future__ import annotations


class KitError(Exception):
    """What was given cannot be used; the message is made for who gave it, and says what to do.

    Each module mixes it into errors of its own: `class DatasetError(KitError, ValueError)`. A
    command line prints the message and ends with `exit_code`; any other error is a defect.
    """

    exit_code = 2
