"""Writing prepared datasets from what is there: several in one command, or one with other rows of
another's videos."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd

from corelib.data.leakage import ON_PURPOSE
from corelib.data.samples import SampleTable, new_dataset, path_from, write_table


def write_datasets(
    plan: list[tuple[Path, dict, pd.DataFrame]], *, overwrite: bool = False
) -> list[bool]:
    """Write (folder, card, samples) for each of the plan; returns which were written and not kept.

    A folder that holds the same card and table already is kept, with the clip cache that lies in
    it. Raises FileExistsError that lists the folders that hold something else, unless `overwrite`.
    """
    differing = [_differing(*entry) for entry in plan]
    occupied = [
        f"{folder} ({', '.join(names)})"
        for (folder, _, _), names in zip(plan, differing, strict=True)
        if names and folder.exists()
    ]
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


def derive_dataset(
    table: SampleTable,
    samples: pd.DataFrame,
    out: str | Path,
    *,
    change: str,
    leaks_on_purpose: bool = False,
) -> SampleTable:
    """A prepared dataset `out` with other rows of `table`'s videos or features: another split, a
    part, copies.

    samples  rows as in table.samples; `media` names what `table` holds
    change   one sentence on what is different; it stands in dataset.json
    leaks_on_purpose  let the same sample be learnt from and tested on, to show what that does; said
                      in dataset.json

    Nothing but a bank of features is copied. Kept as it is where it is there already. Raises
    DatasetError that lists every row that breaks the contract.
    """
    out = Path(out)
    info = table.info | {
        "name": out.name,
        "derived_from": table.name,
        "derived_from_sha256": table.sha256,
        "change": change,
    }
    if table.feature_bank is None:
        info["raw_root"] = path_from(table.root, out)
    if leaks_on_purpose:
        info[ON_PURPOSE] = True
    if _differing(out, info, samples):
        with new_dataset(out, overwrite=True) as folder:
            write_table(folder, info, samples)
            if table.feature_bank is not None:
                shutil.copyfile(table.feature_bank, folder / table.feature_bank.name)
    return SampleTable.load(out)


def _differing(folder: Path, card: dict, samples: pd.DataFrame) -> list[str]:
    """Which files of a prepared dataset are not there, byte for byte, as they would be written
    now."""
    with tempfile.TemporaryDirectory() as scratch:
        write_table(scratch, card, samples)
        now = {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
    return [
        name
        for name, content in now.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]
