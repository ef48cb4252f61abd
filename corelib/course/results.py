"""The rows of the results table: written by each notebook, merged and tabulated by the run.

A row says what was measured, on what, and how (REQUIRED); `notebook` is added when it is recorded.
Further keys are kept; `exemplars`, how many voted, is shown in the table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from corelib.figures.style import system_look
from corelib.machine.files import json_text, write_atomically
from corelib.recipe import SYSTEMS

REQUIRED = (
    "dataset", "system", "with_difficulty", "recipe", "seed", "split", "spearman", "rl2_x100",
    "score_range", "n_train", "n_test", "epoch", "selected_on", "seconds", "device",
)  # fmt: skip
# Rows that differ in one of these are other experiments, never other seeds of one experiment.
SETTING = [
    "dataset", "system", "with_difficulty", "recipe", "exemplars", "split", "selected_on",
    "score_range", "n_test",
]  # fmt: skip


def record_results(rows: Iterable[Mapping], *, notebook: str, folder: str | Path) -> Path:
    """Write a notebook's rows to folder/metrics-<notebook>.json, replacing what it recorded before.

    Returns the file. A number that is not finite becomes null. Raises ValueError, which names every
    row that lacks a key or is of a system that is not in recipe.SYSTEMS.
    """
    rows = [dict(row) for row in rows]
    problems = []
    for number, row in enumerate(rows):
        missing = [key for key in REQUIRED if key not in row]
        if missing:
            problems.append(f"row {number} lacks {', '.join(missing)}")
        elif row["system"] not in SYSTEMS:
            expected = f"expected one of {', '.join(SYSTEMS)}"
            problems.append(f"row {number}: system is {row['system']!r}, {expected}")
    if problems:
        raise ValueError(f"results of {notebook}: " + "; ".join(problems))
    path = Path(folder) / f"metrics-{notebook}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [row | {"notebook": notebook} for row in rows]
    write_atomically(path, json_text(content, indent=1) + "\n")
    return path


def merge_results(folder: str | Path) -> list[dict]:
    """Write folder/metrics.json from every notebook's rows, in their order, and return the rows."""
    recorded = sorted(Path(folder).glob("metrics-*.json"))
    rows = [row for path in recorded for row in json.loads(path.read_text(encoding="utf-8"))]
    write_atomically(Path(folder) / "metrics.json", json_text(rows, indent=1) + "\n")
    return rows


def results_table(rows: Iterable[Mapping]) -> pd.DataFrame:
    """One line an experiment, mean and spread over its seeds.

    Columns: those of SETTING (R-l2 divides by score_range), seeds (how many), spearman,
    spearman_sd, rl2_x100, rl2_x100_sd. The spread is the sample standard deviation, NaN for a
    single seed; the mean of Spearman is a plain mean, as seeds repeat one experiment. Where two
    notebooks report the same seed of the same experiment, the later row counts.
    """
    columns = [*SETTING, "seed", "spearman", "rl2_x100"]
    frame = pd.DataFrame([{key: row.get(key) for key in columns} for row in rows], columns=columns)
    frame["score_range"] = frame["score_range"].map(_range_text)
    frame = frame.drop_duplicates([*SETTING, "seed"], keep="last")
    frame = frame.astype({"spearman": float, "rl2_x100": float})
    table = frame.groupby(SETTING, dropna=False, sort=False).agg(
        seeds=("seed", "size"),
        spearman=("spearman", "mean"),
        spearman_sd=("spearman", "std"),
        rl2_x100=("rl2_x100", "mean"),
        rl2_x100_sd=("rl2_x100", "std"),
    )
    return table.reset_index()


def table_text(rows: Iterable[Mapping]) -> pd.DataFrame:
    """The results table to read: systems in words, "mean +- spread" as text."""
    table = results_table(rows)
    shown = table[["dataset", "recipe", "split", "selected_on", "score_range", "n_test", "seeds"]]
    shown.columns = ["dataset", "recipe", "split", "epoch by", "score range", "samples", "seeds"]
    said = [_words(*line) for line in table[["system", "with_difficulty", "exemplars"]].to_numpy()]
    shown.insert(1, "system", said)
    shown["samples"] = shown["samples"].map(_cell_text)
    for place, (title, measure) in enumerate((("Spearman", "spearman"), ("R-l2 x100", "rl2_x100"))):
        pairs = zip(table[measure], table[f"{measure}_sd"], strict=True)
        shown.insert(2 + place, title, [_mean_text(mean, spread) for mean, spread in pairs])
    return shown


def _words(system: str, with_difficulty: bool, exemplars: object) -> str:
    """CoRe (w/ DD), 10 exemplars."""
    label, count = system_look(system, bool(with_difficulty))[0], _cell_text(exemplars)
    if count in ("", "0"):  # a system without exemplars
        return label
    return f"{label}, {count} exemplar{'s' * (count != '1')}"


def _mean_text(mean: float, spread: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{mean:.3f}" + ("" if math.isnan(spread) else f" +- {spread:.3f}")


def _cell_text(value: object) -> str:
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _range_text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " to ".join(f"{end:g}" for end in value)
    return _cell_text(value)
