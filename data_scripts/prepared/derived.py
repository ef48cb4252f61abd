"""A prepared dataset from another: other rows of its videos or features."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd

from corelib.data.leakage import ON_PURPOSE
from corelib.data.samples import SampleTable, new_dataset, path_from, write_table


def derive_dataset(
    table: SampleTable,
    samples: pd.DataFrame,
    out: str | Path,
    *,
    change: str,
    leaks_on_purpose: bool = False,
) -> SampleTable:
    """A prepared dataset `out` with another split, a part or copies of `table`'s rows.

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
    if differing_files(out, info, samples):
        with new_dataset(out, overwrite=True) as folder:
            write_table(folder, info, samples)
            if table.feature_bank is not None:
                shutil.copyfile(table.feature_bank, folder / table.feature_bank.name)
    return SampleTable.load(out)


def differing_files(folder: Path, card: dict, samples: pd.DataFrame) -> list[str]:
    """Which files of a prepared dataset are not there byte for byte as they would be written."""
    with tempfile.TemporaryDirectory() as scratch:
        write_table(scratch, card, samples)
        now = {path.name: path.read_bytes() for path in sorted(Path(scratch).iterdir())}
    return [
        name
        for name, content in now.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]
