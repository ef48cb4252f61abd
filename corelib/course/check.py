"""The reproducibility check: a course run's results against the stored reference of its profile.

A reference (notebooks/references/<profile>.json) is written from course runs of five seeds or more.
For every experiment it holds mean and spread of both metrics, and the range that one more seed
falls into 99 times of 100.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from corelib.course.parameters import CourseError
from corelib.machine.errors import KitError
from corelib.machine.files import write_atomically
from corelib.machine.messages import one_line
from corelib.metrics import DEFINITION

MEASURES = ("spearman", "rl2_x100")
# Rows that differ in one of these are other experiments; two notebooks may report the same one.
EXPERIMENT = ("dataset", "system", "with_difficulty", "recipe", "exemplars", "split", "selected_on")
LEAST_SEEDS = 5
COVERAGE = 0.99  # of the range
ROOM = 1e-3  # on either side, for another processor's rounding where seeds do not differ at all


class NotComparable(KitError, ValueError):
    """The run and the reference cannot be compared; the message says what differs."""

    exit_code = 3

    def __str__(self) -> str:
        return f"not comparable: {super().__str__()}"


@dataclass(frozen=True)
class CourseResults:
    """A course run's folder, its environment.json and the rows of its metrics.json."""

    folder: Path
    environment: dict
    rows: list[dict]

    @classmethod
    def load(cls, folder: str | Path) -> CourseResults:
        """Raises CourseError where the folder holds no finished course run."""
        files = [Path(folder) / name for name in ("environment.json", "metrics.json")]
        for file in files:
            if not file.is_file():
                make = "make one with `python -m corelib course run`"
                raise CourseError(f"{folder}: no {file.name}, so it is no course run; {make}")
        keys = {*EXPERIMENT, "seed", *MEASURES}
        try:
            environment, rows = (json.loads(file.read_text(encoding="utf-8")) for file in files)
            if "profile" not in environment or not all(keys <= set(row) for row in rows):
                raise ValueError("keys are missing")
        except (ValueError, TypeError, RecursionError) as error:
            what = "metrics.json and environment.json are not those of a course run"
            raise CourseError(f"{folder}: {what} ({one_line(error)}); execute it again") from None
        return cls(Path(folder), environment, rows)


def experiments(rows: Iterable[Mapping]) -> dict[tuple, dict[int, dict]]:
    """{experiment: {seed: row}}; where two notebooks report the same seed, the later row counts."""
    found: dict[tuple, dict[int, dict]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(key) for key in EXPERIMENT), {})[row["seed"]] = row
    return found


def range_of(values: Iterable[float]) -> tuple[float, float]:
    """(low, high): where one more value of a normal distribution falls with probability COVERAGE.

    The prediction interval mean +- t s sqrt(1 + 1/n) of n >= 2 values, and ROOM beside it. The t is
    Student's, of n - 1 degrees of freedom.
    """
    values = np.asarray(list(values), float)
    n, sd = len(values), values.std(ddof=1)
    reach = stats.t.ppf((1 + COVERAGE) / 2, n - 1) * sd * math.sqrt(1 + 1 / n) + ROOM
    return float(values.mean() - reach), float(values.mean() + reach)


def make_reference(runs: list[CourseResults], old: Mapping | None = None) -> dict:
    """The reference of one profile from the rows of one or several course runs.

    old  a reference whose experiments on other datasets stay, each with where it was made
    """
    profiles = sorted({run.environment["profile"] for run in runs})
    if len(profiles) > 1:
        raise CourseError(f"a reference is made of one profile, not of {', '.join(profiles)}")
    others = [str(run.folder) for run in runs if run.environment.get("metrics") != DEFINITION]
    if others:
        other = "made with another definition of the metrics"
        raise CourseError(f"{', '.join(others)}: {other}; run the course again")
    found = experiments(row for run in runs for row in run.rows)
    problems = [f"{_name(key)}: {why}" for key in found if (why := _problem(found[key]))]
    if problems or not found:
        problems = problems or ["the runs recorded no result"]
        raise CourseError("\n  ".join(["no reference was written:", *problems]))
    told = old if old and old["metrics"] == DEFINITION else {"experiments": [], "made_on": {}}
    measured = {key[0] for key in found}
    others = [entry for entry in told["experiments"] if entry["dataset"] not in measured]
    return {
        "profile": profiles[0],
        "metrics": DEFINITION,
        "made_on": {k: v for k, v in runs[0].environment.items() if k not in ("profile", "seeds")},
        "experiments": [{"made_on": told["made_on"]} | entry for entry in others]
        + [_entry(key, seeds) for key, seeds in found.items()],
    }


def _problem(seeds: Mapping[int, Mapping]) -> str | None:
    """Why an experiment's rows make no reference, or None."""
    if len(seeds) < LEAST_SEEDS:
        return f"{len(seeds)} seed(s), {LEAST_SEEDS} are needed"
    if len({row.get("table_sha256") for row in seeds.values()}) > 1:
        return "its seeds were measured on different data"
    if any(row[measure] is None for row in seeds.values() for measure in MEASURES):
        return "a metric is not defined"
    return None


def _entry(key: tuple, seeds: Mapping[int, Mapping]) -> dict:
    data = next(iter(seeds.values())).get("table_sha256")
    entry = dict(zip(EXPERIMENT, key, strict=True), table_sha256=data, seeds=sorted(seeds))
    for measure in MEASURES:
        values = [seeds[seed][measure] for seed in sorted(seeds)]
        low, high = range_of(values)
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        entry[measure] = {"mean": mean, "sd": sd, "low": low, "high": high}
    return entry


def write_reference(path: str | Path, reference: dict) -> None:
    """Write what `make_reference` gave."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(reference, indent=1) + "\n")


def read_reference(path: str | Path) -> dict:
    """Raises CourseError where there is no such file, or it is no reference."""
    path = Path(path)
    if not path.is_file():
        make = "make it from five seeds with `course check --update`"
        raise CourseError(f"no reference {path}; name one with --against, or {make}")
    try:
        reference = json.loads(path.read_text(encoding="utf-8"))
        if not {"profile", "metrics", "made_on", "experiments"} <= set(reference):
            raise ValueError("keys are missing")
    except (ValueError, TypeError) as error:
        raise CourseError(f"{path} is no reference of a course run: {error}") from None
    return reference


def compare(run: CourseResults, reference: Mapping) -> pd.DataFrame:
    """One line an experiment, seed and metric: measured, mean, sd, low, high and verdict.

    The verdict is "ok" or "outside"; "not measured" for the experiments of a dataset that the run
    has no row of, as the real ones where CORE_AQA_DATA is not set. Raises NotComparable for another
    profile, definition of the metrics or data, and where other experiments are missing.
    """
    for what, here, there in (
        ("profile", run.environment["profile"], reference["profile"]),
        ("metrics of definition", run.environment.get("metrics"), reference["metrics"]),
    ):
        if here != there:
            raise NotComparable(f"the run has {what} {here}, the reference {there}")
    known = {tuple(entry[key] for key in EXPERIMENT): entry for entry in reference["experiments"]}
    found = experiments(run.rows)
    datasets = {key[0] for key in found}
    missing = [_name(key) for key in known if key not in found and key[0] in datasets]
    if missing or not datasets & {key[0] for key in known}:
        lacks = f"of {len(known)} experiments it lacks {'; '.join(missing) or 'all'}"
        raise NotComparable(f"the run did not finish, or is another one: {lacks}")
    lines = []
    for key, entry in known.items():
        for seed, row in sorted(found.get(key, {}).items()) or [(None, None)]:
            if row and row.get("table_sha256") != entry["table_sha256"]:
                both = (row.get("table_sha256"), entry["table_sha256"])
                here, there = ((sha256 or "not stated")[:12] for sha256 in both)
                data = f"the run's dataset is {here}, the reference's {there}"
                raise NotComparable(f"{_name(key)}: {data}")
            for measure in MEASURES:
                line = {"experiment": _name(key), "seed": seed, "metric": measure}
                lines.append(line | entry[measure] | _judge(row, measure, entry[measure]))
    return pd.DataFrame(lines)


def _judge(row: Mapping | None, measure: str, expected: Mapping) -> dict:
    if row is None:
        return {"measured": math.nan, "verdict": "not measured"}
    value = math.nan if row[measure] is None else row[measure]
    inside = expected["low"] <= value <= expected["high"]
    return {"measured": value, "verdict": "ok" if inside else "outside"}


def comparison_text(table: pd.DataFrame) -> str:
    """The comparison for a terminal."""
    shown, number = table[["experiment", "seed", "metric"]].copy(), "{:.4f}".format
    shown["seed"] = table["seed"].map(lambda seed: "" if pd.isna(seed) else f"{seed:.0f}")
    shown["measured"] = table["measured"].map(number).where(table["verdict"] != "not measured", "")
    shown["reference"] = table["mean"].map(number) + " +- " + table["sd"].map(number)
    shown["range"] = table["low"].map(number) + " to " + table["high"].map(number)
    shown["verdict"] = table["verdict"]
    return shown.to_string(index=False)


def _name(key: tuple) -> str:
    dataset, system, with_difficulty, recipe, exemplars, split, selected_on = key
    votes = f", M = {exemplars}" if exemplars else ""
    known = " w/ DD" if with_difficulty else ""
    return f"{dataset} {system}{known} ({recipe}{votes}), {split}, epoch by {selected_on}"
