"""Annotations of dives, each named by (event, dive), and the files that split them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from corelib.data.samples import DatasetError
from data_scripts.readers.pickles import listed, load_pickle

NO_NUMBER, OFF_RULE = "impossible dive number", "score off the rule"
ROUNDING = 0.06  # three of MTL-AQA's scores are .05 beside the rule


def check_annotation(dive: object, keys: tuple[str, ...]) -> None:
    """Raise ValueError unless it is a dictionary that has these keys."""
    if not isinstance(dive, Mapping):
        kind = type(dive).__name__
        raise ValueError(f"expected a dictionary with {', '.join(keys)}, not a {kind}")
    missing = [name for name in keys if name not in dive]
    if missing:
        raise ValueError(f"the annotation lacks {', '.join(missing)}")


def read_splits(
    files: dict[str, Path],
    dives: Mapping,
    key_of: Callable[[object], tuple],
    source: str,
    load: Callable[[Path], object] = load_pickle,
) -> tuple[dict[tuple, str], list[str]]:
    """{(event, dive): split} of the files, and what is wrong with them.

    files   {split: a list of (event, dive)}
    dives   {(event, dive): annotation} that the file `source` holds
    key_of  entry -> (event, dive); raises ValueError
    """
    parts, problems = {}, []
    for split, path in files.items():
        content = load(path)
        entries = listed(content)
        if entries is None:
            raise DatasetError(
                f"{path}: expected a list of (event, dive), not a {type(content).__name__}"
            )
        for row, entry in enumerate(entries):
            try:
                key = key_of(entry)
                if key not in dives:
                    raise ValueError(f"dive {key} is not in {source}")
                if key in parts:
                    raise ValueError(f"dive {key} is already in the {parts[key]} split")
                parts[key] = split
            except ValueError as error:
                problems.append(f"{path.name} entry {row}: {error}")
    lost = [f"{source} {key}: the dive is in neither split" for key in dives if key not in parts]
    return parts, problems + lost
