"""A course run that was interrupted goes on: which notebooks are executed already, and from what.

An executed copy carries the checksum of what it was executed from. The run's folder holds
unfinished.json, the notebooks of each command that has not come to its end; after the end there is
none, and the same command executes everything anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat

from corelib.machine.files import write_atomically

MARK = "unfinished.json"


def checksum(notebook: nbformat.NotebookNode, parameters: Mapping, machine: Mapping) -> str:
    """Of what an execution depends on: cells (no outputs), parameters, runs.records.machine."""
    cells = [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
    content = json.dumps([cells, dict(parameters), dict(machine)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def is_executed(executed: Path, expected: str | None = None) -> bool:
    """Whether a notebook's copy is there, executed to the end, from `expected`."""
    try:
        metadata = nbformat.read(executed, as_version=4).metadata
    except (FileNotFoundError, ValueError, nbformat.ValidationError):  # or of something else
        return False
    failed = metadata.get("papermill", {}).get("exception")
    return failed is False and expected in (None, metadata.get("executed_from"))


def unfinished(folder: Path) -> list[list[str]]:
    """The notebooks of each command that was interrupted in this folder."""
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []


@contextmanager
def under_way(folder: Path, names: list[str]) -> Iterator[None]:
    """Note that a command executes these notebooks, until the block ends without an error."""
    others = [plan for plan in unfinished(folder) if not set(plan) <= set(names)]
    write_atomically(folder / MARK, json.dumps([*others, names], indent=1) + "\n")
    yield
    if others:
        write_atomically(folder / MARK, json.dumps(others, indent=1) + "\n")
    else:
        (folder / MARK).unlink(missing_ok=True)
