"""Evaluation: encode every needed video once, vote over exemplars on the features, report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from corelib import metrics
from corelib.data.banks import FeatureSteps
from corelib.data.clips import VideoClips
from corelib.data.samples import DatasetError, SampleTable
from corelib.features import FrozenEncoder
from corelib.i3d import SnippetEncoder
from corelib.machine import distributed
from corelib.machine.devices import pick_precision, weights_type
from corelib.machine.errors import KitError
from corelib.machine.messages import list_ids, warn_once
from corelib.pairs import Exemplars
from corelib.recipe import Recipe, RecipeError, parse_exemplars
from corelib.task import Task

INPUT_LIMIT = 2**27  # bytes of inputs encoded at once; a full-size video of ten snippets has 10^8
VIDEOS_AT_ONCE = 32
MOST_VOTES = 2**20  # kept in memory at once


class PredictionError(KitError, RuntimeError):
    """A model predicts what is no number; the message names the samples."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    predictions  data frame: id, true, predicted, spread (standard deviation of the exemplars'
                 verdicts, score units), exemplars (ids separated by spaces)
    votes        data frame, one row a query and exemplar: id, exemplar, exemplar_score, predicted;
                 empty, as `exemplars` is, where there are more than MOST_VOTES
    summary      spearman, rl2_x100, score_range, n_test, intervals, fallbacks, encoded (videos),
                 precision, and warnings: what is doubtful about these numbers, in plain sentences
    """

    predictions: pd.DataFrame
    votes: pd.DataFrame
    summary: dict


def open_inputs(
    table: SampleTable, recipe: Recipe, *, progress: bool = True
) -> VideoClips | FeatureSteps:
    """The model inputs of a prepared dataset: its videos, or its precomputed features."""
    bank = table.feature_bank is not None
    if bank != (recipe.encoder == "projection"):
        kind, right = ("features", "projection") if bank else ("videos", "i3d")
        wrong = f"its encoder must be {right!r}, not {recipe.encoder!r}"
        advice = "for features use recipe 'features'"
        raise RecipeError(f"{table.name} holds {kind}: {wrong} ({advice})")
    if bank:
        return FeatureSteps(table)
    cache = False if recipe.encoder == "frozen" else None  # every video is read once
    return VideoClips(table, recipe, cache=cache, progress=progress)


def lean_encoder(
    model: nn.Module, precision: str, *, compiled: bool = False
) -> Callable[[Tensor], Tensor]:
    """The function inputs -> features [B, D] float32 that evaluation calls.

    precision  fp32 | bf16, of a video encoder's lean copy; a projection of features stays as it is
    compiled   torch.compile the copy: minutes before the first video, worth it for thousands
    """
    if not isinstance(model.encoder, (SnippetEncoder, FrozenEncoder)):
        return lambda inputs: model.encode(inputs).float()
    dtype = weights_type(precision)
    lean = model.encoder.lean(dtype)
    encode = torch.compile(lean) if compiled else lean
    if isinstance(model.encoder, FrozenEncoder):  # its projection stays as it is
        return lambda inputs: encode(inputs).float()
    return lambda inputs: encode(inputs.to(dtype)).float()


def videos_at_once(source: VideoClips | FeatureSteps, row: int, most: int = VIDEOS_AT_ONCE) -> int:
    """How many videos as large as that of `row` are encoded together, within INPUT_LIMIT."""
    size = source.to_inputs(source[int(row)][None]).nbytes
    return max(1, min(most, INPUT_LIMIT // size))


@torch.no_grad()
def encode(
    model: nn.Module,
    source: VideoClips | FeatureSteps,
    rows: np.ndarray,
    *,
    device: torch.device,
    precision: str = "fp32",
    compiled: bool = False,
    workers: int = 0,
    progress: bool = False,
) -> Tensor:
    """Encode each of `rows` once: features [n, D] float32, in the order of `rows`, on `device`.

    precision, compiled  of the encoder's lean copy; "auto" as devices.pick_precision says

    As many are encoded together as `videos_at_once` says.
    """
    model.eval()
    everything, rows = len(rows), np.asarray(rows)[distributed.share(len(rows))]  # of this process
    if len(rows) == 0:
        none = torch.zeros(0, model.encoder.out_features, device=device)
        return distributed.gather(none, everything)
    batch = videos_at_once(source, rows[0])
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    encoder = lean_encoder(model, pick_precision(precision, device), compiled=compiled)
    raws = source.batches(parts, workers=workers, device=device)
    shown = {"desc": "encoding", "leave": False, "disable": not progress or None}
    features = [encoder(source.to_inputs(raw)) for raw in tqdm(raws, total=len(parts), **shown)]
    return distributed.gather(torch.cat(features), everything)


@torch.no_grad()
def vote(
    model: nn.Module, features: Tensor, targets: Tensor, pairs: Exemplars, *, precision="fp32"
) -> Tensor:
    """Every pair's verdict [P] on the query's target.

    features [V, D] and targets [V] of all videos, each once; pairs.query and pairs.exemplar [P] are
    positions in them.
    """
    model.eval()
    positions = (pairs.query, pairs.exemplar)
    query, exemplar = (torch.as_tensor(part, device=features.device) for part in positions)
    return model.compare(features, targets, query, exemplar, dtype=weights_type(precision))


def evaluate(
    model: nn.Module,
    source: VideoClips | FeatureSteps,
    task: Task,
    *,
    queries: np.ndarray,
    pool: np.ndarray,
    device: torch.device,
    exemplars: int | str | None = None,
    quick: bool = False,
    **reading,
) -> Evaluation:
    """Score the queries with exemplars from the pool and compare with the judges.

    queries, pool  rows of the table; a query is never its own exemplar
    exemplars      M; "all" of the query's group; None takes the recipe's
    quick          no bootstrap intervals, and no warning: of what training asks every epoch
    reading        workers and progress, as `encode` takes them

    Each video is encoded exactly once. A predicted score is the mean of the exemplars' verdicts
    (multi-exemplar voting, paper section 3.4), in the dataset's unit. What is doubtful about the
    numbers is warned of, and stands in summary["warnings"].
    Raises DatasetError for a test sample in the pool, PredictionError when a prediction is not
    finite.
    """
    count, recipe, queries = (
        exemplar_count(exemplars, task.recipe),
        task.recipe,
        np.asarray(queries),
    )
    if len(tested := np.intersect1d(pool, task.test)):
        raise DatasetError(
            f"{len(tested)} sample(s) of the test split are among the exemplars:"
            f" {list_ids(task.ids[tested])}; take those of the training split, table.rows('train')"
        )
    draw = partial(task.exemplars, queries, pool, count, most=MOST_VOTES)
    if not model.uses_exemplars:
        draw = partial(iter, [Exemplars(np.arange(len(queries)), queries, {})])
    blocks = _Blocks(draw)
    used = np.zeros(len(task.ids), bool)
    used[queries] = True
    for block in blocks:
        used[block.exemplar] = True
    needed = np.flatnonzero(used)  # [V] rows
    precision = pick_precision(recipe.precision, device)
    how = {"device": device, "precision": precision, "compiled": recipe.compile, **reading}
    features = encode(model, source, needed, **how)  # [V, D]
    known = torch.as_tensor(task.targets[needed], device=device)  # [V]
    found = _Votes(task, queries, exemplars=model.uses_exemplars, keep=blocks.only is not None)
    for block in blocks:
        query, exemplar = queries[block.query], block.exemplar  # [P] rows
        pairs = Exemplars(np.searchsorted(needed, query), np.searchsorted(needed, exemplar), {})
        read = vote(model, features, known, pairs, precision=precision).cpu().numpy()  # [P]
        refuse_not_finite(read, task.ids[query])
        found.add(block, read)
    predictions = pd.concat(found.parts, ignore_index=True)
    summary = summarise(predictions, intervals=not quick)
    summary |= {"fallbacks": found.fallbacks, "encoded": len(needed), "precision": precision}
    if model.uses_exemplars:
        seen = {"differences": found.differences, "exemplar_targets": found.targets}
        doubts = metrics.check_votes(task.ids[queries], found.counts, **seen, asked=count)
        summary["warnings"] += doubts
    warn_once(summary["warnings"] if not quick and distributed.rank() == 0 else [])
    return Evaluation(predictions, found.votes, summary)


class _Blocks:
    """The exemplars of queries, block by block. More than one is drawn anew each time that they are
    gone through, so that memory does not grow with the votes."""

    def __init__(self, draw: Callable[[], Iterator[Exemplars]]):
        first = list(islice(draw(), 2))
        self.draw, self.only = draw, first if len(first) == 1 else None

    def __iter__(self) -> Iterator[Exemplars]:
        return iter(self.only or self.draw())


class _Votes:
    """The tables of an evaluation, as the blocks of its votes come in.

    keep  the votes themselves: they fit into memory
    """

    def __init__(self, task: Task, queries: np.ndarray, *, exemplars: bool, keep: bool):
        self.task, self.queries, self.exemplars, self.keep = task, queries, exemplars, keep
        self.parts: list[pd.DataFrame] = []  # of the predictions
        self.votes = pd.DataFrame()
        self.fallbacks: dict[str, int] = {}
        self.counts = np.zeros(len(queries), int)  # votes of each query
        self.differences, self.targets = [], []  # the extremes of each block

    def add(self, block: Exemplars, read: np.ndarray) -> None:
        """A block's exemplars and what the model read: targets [P] of the queries."""
        task, targets = self.task, self.task.targets[block.exemplar]
        ids, score = task.ids, task.table.samples["score"].to_numpy(float)
        verdicts = task.offset + task.factor[self.queries[block.query]] * read  # [P]
        asked = self.queries[np.unique(block.query)]  # rows
        grouped = pd.Series(verdicts).groupby(block.query)
        part = pd.DataFrame({"id": ids[asked], "true": score[asked]})
        part["predicted"] = grouped.mean().to_numpy()
        part["spread"] = grouped.std(ddof=0).to_numpy() if self.exemplars else 0.0
        part["exemplars"] = ""
        if self.keep:
            votes = {"id": ids[self.queries[block.query]]}
            if self.exemplars:
                names = ids[block.exemplar]
                votes |= {"exemplar": names, "exemplar_score": score[block.exemplar]}
                part["exemplars"] = pd.Series(names).groupby(block.query).agg(" ".join).to_numpy()
            self.votes = pd.DataFrame(votes | {"predicted": verdicts})
        self.parts.append(part)
        for name, number in block.fallbacks.items():
            self.fallbacks[name] = self.fallbacks.get(name, 0) + number
        self.counts += np.bincount(block.query, minlength=len(self.counts))
        for seen, new in ((self.differences, read - targets), (self.targets, targets)):
            seen += [new.min(), new.max()]


def exemplar_count(asked: int | str | None, recipe: Recipe) -> int | None:
    """M as pairs.draw_exemplars takes it, of what callers may ask for (recipe.parse_exemplars)."""
    asked = parse_exemplars(asked)
    return recipe.exemplars if asked is None else None if asked == "all" else asked


def refuse_not_finite(predicted: np.ndarray, ids) -> None:
    """Raise PredictionError where predictions [P] of the samples `ids` [P] are no numbers."""
    wrong = ~np.isfinite(predicted)
    if wrong.any():
        names = list(dict.fromkeys(np.asarray(ids)[wrong]))
        told = f"the predictions of {len(names)} sample(s) are not finite"
        raise PredictionError(f"{told}: {list_ids(names)}")


def summarise(predictions: pd.DataFrame, *, intervals: bool = True) -> dict:
    """The metrics of predictions (columns true, predicted), and what is doubtful about them."""
    true, predicted = predictions["true"].to_numpy(), predictions["predicted"].to_numpy()
    constant = metrics.is_nearly_constant(predicted, true)
    with warnings.catch_warnings(record=True) as undefined:
        warnings.simplefilter("always")
        rho = float("nan") if constant else metrics.spearman(predicted, true)
        distance = metrics.relative_l2(predicted, true)
    summary = {"spearman": rho, "rl2_x100": distance}
    summary |= {"score_range": list(metrics.score_range_of(true)), "n_test": len(true)}
    if intervals:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # resamples of a few samples can be constant
            measures = {"spearman": metrics.spearman, "rl2_x100": metrics.relative_l2}
            for name, measure in measures.items():
                if constant and measure is metrics.spearman:
                    summary[f"{name}_95"] = [rho, rho]
                else:
                    found = metrics.bootstrap_interval(measure, predicted, true)
                    summary[f"{name}_95"] = list(found)
    summary["warnings"] = [str(one.message) for one in undefined]
    summary["warnings"] += metrics.check_predictions(predicted, true)
    return summary
