"""The course: execute the notebooks, publish them, gather their results."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from corelib.machine.installation import check_installation


def project_root() -> Path:
    """The repository corelib is installed from, or, without one, the folder it is installed in."""
    return Path(__file__).resolve().parents[2]


def start() -> None:
    """First line of every notebook: check this Python, work in the kit's folder, warn in a line.

    Where corelib is installed without its repository, that is the folder it is called from. Raises
    InstallationError for a wrong kernel, or a package that is missing, too old or broken.
    """
    check_installation()
    warnings.showwarning = lambda text, *where, **more: print(f"Note: {text}")  # nor a path
    if (project_root() / "notebooks").is_dir():
        os.chdir(project_root())
