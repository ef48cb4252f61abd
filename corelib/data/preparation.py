"""Writing several prepared datasets in one command, so that an interrupted one is completed by repeating it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from corelib.data.samples import new_dataset, write_table


def write_datasets(plan: list[tuple[Path, dict, pd.DataFrame]], *, overwrite: bool = False) -> list[bool]:
    """Write (folder, card, samples) for each of the plan; returns which were written and not kept.

    A folder that holds the same card and table already is kept, with the clip cache that lies in it.
    Raises FileExistsError that lists the folders that hold something else, unless `overwrite`.
    """
    differing = [_differing(*entry) for entry in plan]
    occupied = [f"{folder} ({', '.join(names)})" for (folder, _, _), names in zip(plan, differing, strict=True) if names and folder.exists()]
    if occupied and not overwrite:
        raise FileExistsError(
            f"finished datasets differ from what would be written now: {'; '.join(occupied)}; "
            "pass --overwrite to replace it, or choose another --out."
        )
    for (folder, card, samples), names in zip(plan, differing, strict=True):
        if names:
            with new_dataset(folder, overwrite=overwrite) as scratch:
                write_table(scratch, card, samples)
    return [bool(names) for names in differing]


def _differing(folder: Path, card: dict, samples: pd.DataFrame) -> list[str]:
    """Which files of a prepared dataset are not there, byte for byte, as they would be written now."""
    with tempfile.TemporaryDirectory() as scratch:
        write_table(scratch, card, samples)
        now = {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
    return [name for name, content in now.items() if not (folder / name).is_file() or (folder / name).read_bytes() != content]
