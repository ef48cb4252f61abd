"""The course: execute the notebooks, publish them, gather their results."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from corelib.machine.installation import check_installation


def project_root() -> Path:
    """The folder of notebooks/, datasets/ and runs/: the repository corelib is installed from."""
    return Path(__file__).resolve().parents[2]


def start() -> None:
    """First line of every notebook: check this Python, work in the kit's folder, warn in a line.

    Raises InstallationError for a wrong kernel, or a package that is missing, too old or broken.
    """
    check_installation()
    warnings.showwarning = lambda text, *where, **more: print(f"Note: {text}")  # nor a path
    root = project_root()
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            f"{root} holds no notebooks/: install corelib from a clone of the kit (`make lab`)"
        )
    os.chdir(root)
