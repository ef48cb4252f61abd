"""What a prepared dataset may say: dataset.json, and the names and paths in samples.csv.

A folder may come from anybody. Runs are named by its name, its media are opened, its ids stand in
pages and lists.
"""

from __future__ import annotations

from pathlib import PureWindowsPath

from corelib.machine.messages import has_control_characters, one_line

INFO_KEYS = (
    "name", "title", "source", "licence", "citation", "score_range", "protocol", "pairing_key",
    "divided_by_difficulty", "frame_rate", "frame_size", "left_out",
)  # fmt: skip
TEXTS = (
    "title", "source", "licence", "citation", "split", "table", "folds", "camera", "score_column", "percent_range_from",
    "change", "derived_from", "derived_from_sha256", "encoder", "encoder_sha256", "dataset_sha256",
)  # fmt: skip
LONGEST_NAME = 100


def info_problems(info: object) -> list[str]:
    """Every way in which the content of dataset.json breaks the contract, a line each."""
    if not isinstance(info, dict):
        return [
            f"dataset.json: expected an object with the keys {', '.join(INFO_KEYS)}, not a"
            f" {type(info).__name__}"
        ]
    missing = [f"dataset.json: the key {key!r} is missing" for key in INFO_KEYS if key not in info]
    if missing:
        return missing
    rules = {
        "name": (
            is_folder_name(info["name"]),
            (
                f"a name that a folder can have, of at most {LONGEST_NAME} characters: runs are"
                " named by it"
            ),
        ),
        "score_range": (_is_range(info["score_range"]), "[lowest, highest]"),
        "percent_range": (
            info.get("percent_range") is None or _is_range(info["percent_range"]),
            "[lowest, highest]",
        ),
        "protocol": (info["protocol"] in ("fixed", "folds"), "'fixed' or 'folds'"),
        "pairing_key": (
            info["pairing_key"] is None or isinstance(info["pairing_key"], str),
            "the name of a column, or null",
        ),
        "frame_rate": (
            info["frame_rate"] is None or _is_number(info["frame_rate"]) and info["frame_rate"] > 0,
            "a number of frames a second, or null",
        ),
        "raw_root": (
            info.get("raw_root") is None or _is_text(info["raw_root"]),
            "the path of the folder that media are relative to",
        ),
        "divided_by_difficulty": (isinstance(info["divided_by_difficulty"], bool), "true or false"),
        "leaks_on_purpose": (
            isinstance(info.get("leaks_on_purpose", False), bool),
            "true or false",
        ),
        "frame_size": (
            info["frame_size"] is None or _is_size(info["frame_size"]),
            "[height, width] in pixels, or null",
        ),
        "left_out": (
            _is_list(info["left_out"], lambda entry: isinstance(entry, str | dict)),
            "a list of what was left out, each as text or with id and reason",
        ),
        "dive_numbers": (
            _is_list(info.get("dive_numbers", []), _is_text),
            "a list of dive numbers",
        ),
        "flagged": (_are_counts(info.get("flagged", {})), "how many samples have each flag"),
        "seed": (
            _is_count(info.get("seed", 1)) or info["seed"] is not False and info["seed"] == 0,
            "a whole number from 0 on",
        ),
        **{
            key: (info.get(key) is None or isinstance(info[key], str), "text, or null")
            for key in TEXTS
        },
        **{
            key: (info.get(key) is None or _is_count(info[key]), "a whole number above 0")
            for key in ("frames", "steps")
        },
    }
    return [
        f"dataset.json: {key} must be {rule}, not {one_line(repr(info.get(key)))}"
        for key, (right, rule) in rules.items()
        if not right
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_size(value: object) -> bool:
    return _is_list(value, _is_count) and len(value) == 2


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_list(value: object, of_what) -> bool:
    return isinstance(value, list) and all(map(of_what, value))


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(map(_is_number, value))
        and value[0] < value[1]
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not has_control_characters(value)


def is_folder_name(name: object) -> bool:
    """Whether a text names a folder or file right where it is looked for, on every system: no path,
    no drive."""
    return (
        _is_text(name)
        and 0 < len(name) <= LONGEST_NAME
        and name.strip(". ") != ""
        and not set(name) & set("/\\:")
    )


def is_below(path: object) -> bool:
    """Whether a path stays below the folder that it is relative to: not absolute, no "..", no
    drive, no control character.

    Windows' separators and drives count on every system. Links are not looked at: whoever owns the
    folder made them.
    """
    return (
        _is_text(path)
        and is_relative(path)
        and ".." not in (parts := PureWindowsPath(path).parts)
        and len(parts) > 0
    )


def is_relative(path: str) -> bool:
    """Whether a path begins neither at a root nor on a drive, as any system writes them."""
    return not (PureWindowsPath(path).drive or PureWindowsPath(path).root)


def is_id(name: object) -> bool:
    """Whether a text can be an id: not empty, and without white space, which separates ids in a
    run's lists."""
    return _is_text(name) and len(name.split()) == 1 and name == name.strip()
