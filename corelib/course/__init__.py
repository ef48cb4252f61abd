"""The course: execute the notebooks, publish them, gather their results."""

from __future__ import annotations

import os
from pathlib import Path

from corelib.machine.installation import check_installation


def project_root() -> Path:
    """The repository corelib is installed from, or, without one, the folder it is installed in."""
    return Path(__file__).resolve().parents[2]


def start() -> None:
    """First line of every notebook: check this Python, and work in the project's folder.

    Where corelib is installed without its repository, that is the folder it is called from. Raises
    InstallationError for a wrong kernel, or a package that is missing, too old or broken.
    """
    check_installation()
    if (project_root() / "notebooks").is_dir():
        os.chdir(project_root())
