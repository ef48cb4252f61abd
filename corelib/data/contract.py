"""What a prepared dataset may say: dataset.json, names and paths, and the ids of a feature bank.

A folder may come from anybody: runs are named by its name, its media opened, its ids listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from safetensors import safe_open

from corelib.machine.errors import KitError
from corelib.machine.messages import has_control_characters, one_line

INFO_KEYS = (
    "name", "title", "source", "licence", "citation", "score_range", "protocol", "pairing_key",
    "divided_by_difficulty", "frame_rate", "frame_size", "left_out",
)  # fmt: skip
TEXTS = (
    "title", "source", "licence", "citation", "split", "table", "folds", "camera", "score_column",
    "percent_range_from", "score_scale", "change", "derived_from", "derived_from_sha256", "encoder",
    "encoder_sha256", "dataset_sha256",
)  # fmt: skip
LONGEST_NAME = 100


class DatasetError(KitError, ValueError):
    """A prepared dataset, or something in it, breaks the contract; the message lists every case."""


def is_folder_name(name: object) -> bool:
    """Whether a text names a folder or file right here, on every system: no path, no drive."""
    good = _is_text(name) and 0 < len(name) <= LONGEST_NAME and name.strip(". ") != ""
    return good and not set(name) & set("/\\:")


def is_below(path: object) -> bool:
    """Whether a path stays below its folder: not absolute, no "..", drive or control character.

    Windows' separators and drives count on every system. Links are not looked at: whoever owns the
    folder made them.
    """
    if not _is_text(path) or not is_relative(path):
        return False
    parts = PureWindowsPath(path).parts
    return ".." not in parts and len(parts) > 0


def is_relative(path: str) -> bool:
    """Whether a path begins neither at a root nor on a drive, as any system writes them."""
    return not (PureWindowsPath(path).drive or PureWindowsPath(path).root)


def is_id(name: object) -> bool:
    """Whether a text can be an id: not empty, and no white space, which separates ids in lists."""
    return _is_text(name) and len(name.split()) == 1 and name == name.strip()


def bank_ids(path: str | Path) -> list[str]:
    """The row order of a feature bank.

    Raises ValueError unless it holds features [N, S, D] and N different ids.
    """
    with safe_open(path, framework="np") as bank:
        ids = json.loads((bank.metadata() or {}).get("ids", "[]"))
        features = bank.get_slice("features") if "features" in bank.keys() else None
        shape, kind = (features.get_shape(), features.get_dtype()) if features else ([], None)
    named = _is_list(ids, lambda name: isinstance(name, str)) and len(set(ids)) == len(ids)
    shaped = named and len(shape) == 3 and shape[0] == len(ids) and 0 not in shape
    if not shaped or kind not in ("F16", "BF16", "F32", "F64"):
        raise ValueError(
            "it must hold floating-point features [N, S, D] and a list of N different ids; its"
            f" features are {kind} {shape}"
        )
    return ids


def info_problems(info: object) -> list[str]:
    """Every way in which the content of dataset.json breaks the contract, a line each."""
    if not isinstance(info, dict):
        keys = ", ".join(INFO_KEYS)
        return [
            f"dataset.json: expected an object with the keys {keys}, not a {type(info).__name__}"
        ]
    return [
        f"dataset.json: the key {key!r} is missing" for key in INFO_KEYS if key not in info
    ] or [
        f"dataset.json: {key} must be {rule}, not {one_line(repr(info[key]))}"
        for key, (right, rule) in RULES.items()
        if key in info and not right(info[key])
    ]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not has_control_characters(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_list(value: object, of_what: Callable) -> bool:
    return isinstance(value, list) and all(map(of_what, value))


def _is_range(value: object) -> bool:
    return _is_list(value, _is_number) and len(value) == 2 and value[0] < value[1]


def _is_size(value: object) -> bool:
    return _is_list(value, _is_count) and len(value) == 2


def _is_rate(value: object) -> bool:
    return _is_number(value) and value > 0


def _is_seed(value: object) -> bool:
    return _is_count(value) or value is not False and value == 0


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _a(kind: type) -> Callable:
    return lambda value: isinstance(value, kind)


def _or_null(right: Callable) -> Callable:
    return lambda value: value is None or right(value)


RULES = {  # key: (whether a value is right, what would be); a key that is not there is right
    "name": (is_folder_name, f"a name that a folder can have, of at most {LONGEST_NAME} characters:"
                             " runs are named by it"),
    "score_range": (_is_range, "[lowest, highest]"),
    "percent_range": (_or_null(_is_range), "[lowest, highest]"),
    "protocol": (lambda value: value in ("fixed", "folds"), "'fixed' or 'folds'"),
    "pairing_key": (_or_null(_a(str)), "the name of a column, or null"),
    "frame_rate": (_or_null(_is_rate), "a number of frames a second, or null"),
    "raw_root": (_or_null(_is_text), "the path of the folder that media are relative to"),
    "divided_by_difficulty": (_a(bool), "true or false"),
    "leaks_on_purpose": (_a(bool), "true or false"),
    "frame_size": (_or_null(_is_size), "[height, width] in pixels, or null"),
    "left_out": (lambda value: _is_list(value, _a(str | dict)),
                 "a list of what was left out, each as text or with id and reason"),
    "dive_numbers": (lambda value: _is_list(value, _is_text), "a list of dive numbers"),
    "flagged": (_are_counts, "how many samples have each flag"),
    "seed": (_is_seed, "a whole number from 0 on"),
    **{key: (_or_null(_a(str)), "text, or null") for key in TEXTS},
    **{key: (_or_null(_is_count), "a whole number above 0") for key in ("frames", "steps")},
}  # fmt: skip
