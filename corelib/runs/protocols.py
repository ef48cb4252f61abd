"""Published protocols: folds of a task, classes of a benchmark, and the averages over them.

A dataset that is divided into folds is trained once a fold; a benchmark of several classes or tasks
(AQA-7, JIGSAWS) has one model each. The figures printed for them are averages of averages, and
which average is where decides the last digits: here they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.data.samples import SampleTable
from corelib.metrics import fisher_z_mean, mean_and_spread
from corelib.recipe import SYSTEMS, Recipe
from corelib.runs.fit import find_or_train, fit
from corelib.runs.records import RunError
from corelib.runs.run import Run

FISHER_MEAN = "Fisher-z mean"
AVERAGED = ("aqa7-", "jigsaws-")  # published as an average over classes or tasks


def each_fold(tables: list[SampleTable], recipe: Recipe) -> list[tuple[SampleTable, Recipe]]:
    """(dataset, recipe) of every training: one a dataset or, where it has folds, one a fold.

    A recipe that names a fold is of that one.
    """
    plans = []
    for table in tables:
        folds = table.folds if recipe.fold is None and table.folds else [recipe.fold]
        plans += [(table, recipe.replace(fold=fold)) for fold in folds]
    return plans


def train_protocol(
    tables: list[SampleTable],
    recipe: Recipe,
    *,
    out: Path | None = None,
    runs=Path("runs"),
    **options,
) -> list[Run]:
    """One run for each of `each_fold`.

    out      the run's folder; of several runs the folder that holds them
    runs     where runs are found again by recipe and data when `out` is not given
    options  of fit.fit (device, workers, resume, progress)
    """
    plans = each_fold(tables, recipe)
    if out is None:
        return [find_or_train(table, plan, runs, **options) for table, plan in plans]
    if len(plans) == 1:
        return [fit(*plans[0], out, **options)]
    trained = []
    for table, plan in plans:
        name = table.name + ("" if plan.fold is None else f"-fold{plan.fold}")
        trained.append(fit(table, plan, out / name, **options))
    return trained


def run_folders(folders: Iterable[Path]) -> list[Path]:
    """The run folders among `folders` and right inside them, in the order given.

    Raises RunError for a folder that neither is a run nor holds one.
    """
    found = []
    for folder in map(Path, folders):
        inside = sorted(path.parent for path in folder.glob("*/recipe.json"))
        if (folder / "recipe.json").is_file():
            inside = [folder]
        if not inside:
            none = f"{folder}: no run (recipe.json) here or one folder below"
            raise RunError(f"{none}; make one with `python -m corelib train`")
        found += inside
    return found


def protocol_table(rows: Iterable[Mapping]) -> pd.DataFrame:
    """Rows of metrics.json -> one line a dataset and system, below a benchmark's their average.

    Columns: dataset, system, with_difficulty, recipe, exemplars, seeds, folds (rho of each, a list;
    empty where the split is fixed), spearman, spearman_sd, rl2_x100, rl2_x100_sd, score_range,
    n_test.

    Over folds rho and R-l2 are plain means (as published for JIGSAWS). Over datasets rho is
    averaged by Fisher's z and R-l2 plainly, for each seed alone. The spread is the standard
    deviation over the seeds, nan for a single one. An undefined rho makes every average that it
    belongs to nan: nothing is left out. A dataset's score range spans its folds. Only those
    of a benchmark of AVERAGED are averaged. Rows that `run` tells apart say it.
    """
    system = ["system", "with_difficulty", "recipe", "exemplars"]
    frame = pd.DataFrame(list(rows))
    if "fold" not in frame:
        frame["fold"] = None
    alone = ["dataset", *system, "seed", "fold"]
    if "run" in frame:
        alike = frame.duplicated(alone, keep=False)
        frame.loc[alike, "recipe"] += ", " + frame.loc[alike, "run"]
    frame = frame.drop_duplicates(alone, keep="last")
    frame["benchmark"] = [re.sub("(?<=-).*", "", name) for name in frame["dataset"]]
    lines = []
    for (*key, benchmark), part in frame.groupby([*system, "benchmark"], sort=False):
        found = part.groupby(["dataset", "seed"], sort=False)[["spearman", "rl2_x100"]]
        per_seed, own_lines = found.agg(_mean), []  # over folds
        for name, own in part.groupby("dataset", sort=False):
            folds = own.dropna(subset="fold").groupby("fold")["spearman"].agg(_mean).tolist()
            tested = int(own.groupby("seed")["n_test"].sum().iloc[0])
            line = {"dataset": name, **dict(zip(system, key, strict=True))}
            line |= _over_seeds(per_seed.loc[name]) | {"folds": folds}
            own_lines.append(line | {"score_range": _span(own["score_range"]), "n_test": tested})
        if len(own_lines) > 1 and benchmark in AVERAGED:
            ways = {"spearman": fisher_z_mean, "rl2_x100": _mean}
            seeds = per_seed.groupby("seed", sort=False).agg(ways)
            tested = sum(line["n_test"] for line in own_lines)
            line = {"dataset": FISHER_MEAN, **dict(zip(system, key, strict=True))}
            line |= _over_seeds(seeds) | {"folds": [], "score_range": [], "n_test": tested}
            own_lines.append(line)
        lines += own_lines
    return pd.DataFrame(lines)


def _mean(values: pd.Series) -> float:
    return values.mean(skipna=False)  # pandas would leave an undefined rho out


def _over_seeds(values: pd.DataFrame) -> dict:
    summary = {"seeds": len(values)}
    for measure in ("spearman", "rl2_x100"):
        summary[measure], summary[f"{measure}_sd"] = mean_and_spread(values[measure])
    return summary


def _span(ranges: pd.Series) -> list[float]:
    low, high = zip(*ranges, strict=True)
    return [float(np.min(low)), float(np.max(high))]


def protocol_text(rows: Iterable[Mapping]) -> str:
    """`protocol_table` for a terminal: a line each, with the score range that R-l2 divides by."""
    lines = ["dataset, system, recipe, exemplars, seeds, rho, R-l2 x100, tested".split(", ")]
    lines[0].append("range, folds")
    for row in protocol_table(rows).itertuples():
        system = SYSTEMS[row.system]
        system += " (w/ DD)" if row.with_difficulty else ""
        rho, distance = (
            _stated(row.spearman, row.spearman_sd),
            _stated(row.rl2_x100, row.rl2_x100_sd),
        )
        where = "{:g} .. {:g}".format(*row.score_range) if row.score_range else ""
        if row.folds:
            where += "; rho of each fold " + " ".join(f"{fold:.3f}" for fold in row.folds)
        who = [row.dataset, system, row.recipe, f"{row.exemplars or '-'}", f"{row.seeds}"]
        lines.append([*who, rho, distance, f"{row.n_test}", where])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(n) for cell, n in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _stated(mean: float, deviation: float) -> str:
    return f"{mean:.4f}" + ("" if np.isnan(deviation) else f" +- {deviation:.4f}")
