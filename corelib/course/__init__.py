"""The course: execute the notebooks, publish them, gather their results."""

from __future__ import annotations

import os
from pathlib import Path

from corelib.machine.installation import check_installation


def project_root() -> Path:
    """The folder of notebooks/, datasets/ and runs/: the repository corelib is installed from."""
    return Path(__file__).resolve().parents[2]


def start() -> None:
    """First line of every notebook: check this Python, and work in the project's folder.

    Raises InstallationError for a wrong kernel, or a package that is missing, too old or broken.
    """
    check_installation()
    root = project_root()
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            f"{root} holds no notebooks/: install corelib from a clone of the kit (`make lab`)"
        )
    os.chdir(root)
