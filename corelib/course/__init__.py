"""The course: execute the notebooks, publish them, gather their results."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The folder of notebooks/, datasets/ and runs/: the repository corelib is installed from."""
    return Path(__file__).resolve().parents[2]


def start() -> Path:
    """First line of every notebook: work in the project's folder, wherever Jupyter was started."""
    root = project_root()
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            f"{root} holds no notebooks/: install corelib from a clone of the kit (`make lab`)"
        )
    os.chdir(root)
    return root
