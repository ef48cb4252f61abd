"""Evaluation: encode every needed video once, vote over exemplars on the features, report."""

from __future__ import annotations

import difflib
import hashlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from corelib import metrics
from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.clips import VideoClips, load_clip, resize_video
from corelib.data.samples import DatasetError, SampleTable, new_dataset, write_table
from corelib.machine import distributed
from corelib.machine.errors import KitError
from corelib.machine.messages import list_ids, one_line, warn_once
from corelib.models import lean_encoder
from corelib.pairs import Exemplars, draw_exemplars
from corelib.recipe import Recipe, RecipeError, parse_exemplars
from corelib.runs.soundness import check_predictions, check_sizes, check_votes, is_nearly_constant

INPUT_LIMIT = (
    2**27
)  # bytes of model inputs encoded at once; a full-size video of ten snippets has 10^8


class PredictionError(KitError, RuntimeError):
    """A model predicts what is no number; the message names the samples."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    predictions  data frame: id, true, predicted, spread (standard deviation of the exemplars'
                 verdicts, score units), exemplars (ids separated by spaces)
    votes        data frame, one row a query and exemplar: id, exemplar, exemplar_score, predicted
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
    if (table.feature_bank is not None) != (recipe.encoder == "projection"):
        kind, right = ("features", "projection") if table.feature_bank else ("videos", "i3d")
        raise RecipeError(
            f"{table.name} holds {kind}: its encoder must be {right!r}, not {recipe.encoder!r} (for"
            " features use recipe 'features')"
        )
    return (
        FeatureSteps(table) if table.feature_bank else VideoClips(table, recipe, progress=progress)
    )


def pairing_column(table: SampleTable, recipe: Recipe) -> str | None:
    """The column whose value a sample and its exemplars share, by recipe.pair_by ("auto": the
    dataset's pairing key where difficulty is used); None where everybody may be compared with
    everybody."""
    key = recipe.pair_by
    if key == "auto":
        key = table.info["pairing_key"] if recipe.with_difficulty else "none"
    if key in ("none", None):
        return None
    if key not in table.samples:
        raise RecipeError(
            f"pair_by={key!r}: {table.name} has no such column (it has: {', '.join(table.samples)})"
        )
    return key


def group_labels(table: SampleTable, recipe: Recipe) -> np.ndarray:
    """The label [N] that a sample and its exemplars share: its value in `pairing_column`, as
    text."""
    key = pairing_column(table, recipe)
    return (
        np.zeros(len(table.samples), int)
        if key is None
        else table.samples[key].astype(str).to_numpy()
    )


def find_group(
    table: SampleTable, recipe: Recipe, group: object = None, difficulty: float | None = None
) -> str | None:
    """The group of the training samples that a new video is compared with; None where a run
    compares with everybody.

    group       as written in the run's `pairing_column`; a number may be written otherwise (3 for
                3.0)
    difficulty  of the new video: where a run pairs by it, the nearest among the exemplars is the
                group
    Raises RecipeError for a group that is missing, unknown or of no use, naming those that there
    are.
    """
    key = pairing_column(table, recipe) if recipe.system == "core" else None
    if key is None:
        if group is not None:
            raise RecipeError(
                f"this run compares with {'nobody' if recipe.system == 'mlp' else 'all samples'},"
                " whatever their group; leave --group out"
            )
        return None
    labels = group_labels(table, recipe)[table.rows("train")]
    known = list(
        dict.fromkeys(sorted(labels[table.samples[key].iloc[table.rows("train")].notna()]))
    )
    if group is None and key == "difficulty" and difficulty:
        return min(known, key=lambda label: (abs(float(label) - difficulty), float(label)))
    if group is None:
        option = "--difficulty" if key == "difficulty" else "--group"
        raise RecipeError(
            f"this run compares samples of one {key}; give that of the video with {option}:"
            f" {list_ids(known, most=10)}"
        )
    same = [label for label in known if label == str(group)] or [
        label for label in known if _as_number(label) == _as_number(group)
    ]
    if not same:
        near = difflib.get_close_matches(str(group), known, n=3, cutoff=0.0)
        raise RecipeError(
            f"no exemplar has {key} {one_line(repr(str(group)))}; the nearest of {len(known)} are"
            f" {', '.join(near)} (--group)"
        )
    if key == "difficulty" and difficulty and float(same[0]) != difficulty:
        raise RecipeError(
            f"this run compares samples of one difficulty, and --group {one_line(group)} is not"
            f" --difficulty {difficulty:g}; leave --group out"
        )
    return same[0]


def _as_number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan  # equal to nothing


def pick_precision(precision: str, device: torch.device) -> str:
    """ "auto": bf16 where the processor multiplies it in hardware (AMX, AVX512_BF16, or a GPU from
    Ampere on), else fp32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type != "cpu":
        return "fp32"
    return (
        "bf16"
        if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        else "fp32"
    )


def autocast(device: torch.device, precision: str):
    """The mixed-precision context of a training: bf16 autocast, or none for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@torch.no_grad()
def encode(
    model,
    source,
    rows: np.ndarray,
    *,
    device: torch.device,
    precision="fp32",
    compiled=False,
    batch=None,
    workers=0,
    progress=False,
) -> Tensor:
    """Encode each of `rows` once: features [n, D] float32, in the order of `rows`, on `device`.

    precision, compiled  of the encoder's lean copy (models.lean_encoder); "auto" as pick_precision
                         says
    batch  videos at a time; None takes up to 32, and as many as fit into INPUT_LIMIT bytes of
           inputs
    """
    model.eval()
    rows = np.asarray(rows)
    everything, rows = (
        len(rows),
        rows[distributed.share(len(rows))],
    )  # under torchrun every process encodes a part
    if len(rows) == 0:
        return distributed.gather(
            torch.zeros(0, model.encoder.out_features, device=device), everything
        )
    if batch is None:
        batch = max(1, min(32, INPUT_LIMIT // source.to_inputs(source[int(rows[0])][None]).nbytes))
    encoder = lean_encoder(model, pick_precision(precision, device), compiled=compiled)
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    features = []
    batches = source.batches(parts, workers=workers, device=device)
    for raw in tqdm(
        batches, total=len(parts), desc="encoding", leave=False, disable=not progress or None
    ):
        features.append(encoder(source.to_inputs(raw)))
    return distributed.gather(torch.cat(features), everything)


@torch.no_grad()
def vote(
    model, features: Tensor, targets: Tensor, pairs: Exemplars, *, precision: str = "fp32"
) -> Tensor:
    """Every pair's verdict [P] on the query's target: features [V, D] and targets [V] of all
    videos, each once; pairs.query and pairs.exemplar [P] are positions in them."""
    model.eval()
    query, exemplar = (
        torch.as_tensor(part, device=features.device) for part in (pairs.query, pairs.exemplar)
    )
    return model.compare(
        features,
        targets,
        query,
        exemplar,
        dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
    )


def evaluate(
    model,
    source,
    table: SampleTable,
    recipe: Recipe,
    *,
    queries: np.ndarray,
    pool: np.ndarray,
    device: torch.device,
    exemplars: int | str | None = None,
    workers: int = 0,
    intervals: bool = True,
    progress: bool = False,
    warn: bool = True,
) -> Evaluation:
    """Score the queries with exemplars from the pool and compare with the judges.

    queries, pool  rows of the table; a query is never its own exemplar, and no row of the test
                   split is in the pool
    exemplars      M; "all" of the query's group; None takes the recipe's

    Each distinct video is encoded exactly once. Predictions are in the dataset's unit: the
    regressed target times the difficulty where the recipe uses it. The predicted score is the mean
    of the exemplars' verdicts (multi-exemplar voting, paper section 3.4). What is doubtful about
    the numbers (a constant predictor, one sample, a single exemplar, equal scores) stands in
    summary["warnings"] and, where `warn` is set, is warned of.
    Raises DatasetError for a test sample in the pool, PredictionError when a prediction is not
    finite.
    """
    count = exemplar_count(exemplars, recipe)
    samples, queries = table.samples, np.asarray(queries)
    ids = samples["id"].to_numpy()
    tested = np.intersect1d(pool, table.rows("test"))
    if len(tested):
        raise DatasetError(
            f"{len(tested)} sample(s) of the test split are among the exemplars:"
            f" {list_ids(ids[tested])}; take those of the training split, table.rows('train')"
        )
    targets = table.target(recipe.with_difficulty, recipe.target_unit)
    factor, offset = table.target_unit(recipe.with_difficulty, recipe.target_unit)
    if model.uses_exemplars:
        difficulty = (
            samples["difficulty"].to_numpy(float)
            if "difficulty" in samples and recipe.with_difficulty
            else None
        )
        chosen = draw_exemplars(
            queries,
            pool,
            ids=ids,
            groups=group_labels(table, recipe),
            difficulty=difficulty,
            count=count,
            fill=recipe.fill_exemplars,
            seed=recipe.seed,
        )
    else:
        chosen = Exemplars(np.arange(len(queries)), queries, {})
    needed = np.unique(np.concatenate([queries, chosen.exemplar]))
    precision = pick_precision(recipe.precision, device)
    features = encode(
        model,
        source,
        needed,
        device=device,
        precision=precision,
        compiled=recipe.compile,
        workers=workers,
        progress=progress,
    )
    local = Exemplars(
        np.searchsorted(needed, queries)[chosen.query], np.searchsorted(needed, chosen.exemplar), {}
    )
    known = torch.as_tensor(targets[needed], device=device)
    read = vote(model, features, known, local, precision=precision).cpu().numpy()
    _refuse_not_finite(read, ids[queries][chosen.query])
    doubts = []
    if model.uses_exemplars:
        given = targets[chosen.exemplar]
        doubts = check_votes(ids[queries], chosen.query, read - given, given, asked=count)
    judged = _report(
        samples,
        queries,
        chosen,
        offset + factor[queries][chosen.query] * read,
        intervals,
        len(needed),
        model.uses_exemplars,
    )
    judged.summary["precision"] = precision
    judged.summary["warnings"] += doubts
    warn_once(judged.summary["warnings"] if warn and distributed.rank() == 0 else [])
    return judged


def exemplar_count(asked: int | str | None, recipe: Recipe) -> int | None:
    """M as pairs.draw_exemplars takes it, from what every caller may ask for
    (recipe.parse_exemplars)."""
    asked = parse_exemplars(asked)
    return recipe.exemplars if asked is None else None if asked == "all" else asked


def _refuse_not_finite(predicted: np.ndarray, ids) -> None:
    wrong = ~np.isfinite(predicted)
    if wrong.any():
        names = list(dict.fromkeys(np.asarray(ids)[wrong]))
        raise PredictionError(
            f"the predictions of {len(names)} sample(s) are not finite: {list_ids(names)}"
        )


def _report(samples, queries, chosen, verdicts, intervals, encoded, uses_exemplars) -> Evaluation:
    ids, score = samples["id"].to_numpy(), samples["score"].to_numpy(float)
    votes = pd.DataFrame({"id": ids[queries][chosen.query], "predicted": verdicts})
    if uses_exemplars:
        votes.insert(1, "exemplar", ids[chosen.exemplar])
        votes.insert(2, "exemplar_score", score[chosen.exemplar])
    grouped = votes.groupby("id", sort=False)["predicted"]
    predictions = pd.DataFrame({"id": ids[queries], "true": score[queries]}).set_index("id")
    predictions["predicted"] = grouped.mean()
    predictions["spread"] = grouped.std(ddof=0) if uses_exemplars else 0.0
    predictions["exemplars"] = (
        votes.groupby("id", sort=False)["exemplar"].agg(" ".join) if uses_exemplars else ""
    )
    predictions = predictions.reset_index()
    true, predicted = predictions["true"].to_numpy(), predictions["predicted"].to_numpy()
    with warnings.catch_warnings(record=True) as undefined:
        warnings.simplefilter("always")
        unordered = is_nearly_constant(predicted, true)
        rho = float("nan") if unordered else metrics.spearman(predicted, true)
        distance = metrics.relative_l2(predicted, true)
    summary = {
        "spearman": rho,
        "rl2_x100": distance,
        "score_range": list(metrics.score_range_of(true)),
        "n_test": len(true),
        "fallbacks": chosen.fallbacks,
        "encoded": encoded,
        "warnings": [str(one.message) for one in undefined] + check_predictions(predicted, true),
    }
    if intervals:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # resamples of a few samples can be constant
            summary["spearman_95"] = (
                [rho, rho]
                if unordered
                else list(metrics.bootstrap_interval(metrics.spearman, predicted, true))
            )
            summary["rl2_x100_95"] = list(
                metrics.bootstrap_interval(metrics.relative_l2, predicted, true)
            )
    return Evaluation(predictions, votes, summary)


def freeze_features(
    run, out: str | Path, *, workers: int = 0, progress: bool = False
) -> SampleTable:
    """Encode every video of a run's dataset once and write the features [N, 1, D] as a prepared
    dataset.

    What is trained on it learns from a frozen encoder, in seconds. The dataset is made only if it
    is not there, or was made from other weights or data.
    """
    out, table = Path(out), run.table
    weights = hashlib.sha256((run.folder / "best.safetensors").read_bytes()).hexdigest()
    origin = {"encoder": run.folder.name, "encoder_sha256": weights, "dataset_sha256": table.sha256}
    if (out / "dataset.json").is_file():
        frozen = SampleTable.load(out)
        if all(frozen.info.get(key) == value for key, value in origin.items()):
            return frozen
    rows = np.arange(len(table.samples))
    features = encode(
        run.model,
        run.source,
        rows,
        device=run.device,
        precision=run.recipe.precision,
        workers=workers,
        progress=progress,
    )
    info = {key: value for key, value in table.info.items() if key != "raw_root"}
    with new_dataset(out, overwrite=True) as folder:
        write_bank(
            folder / "features.safetensors",
            features[:, None].cpu().numpy(),
            table.samples["id"].tolist(),
        )
        write_table(
            folder,
            info | {"name": out.name} | origin,
            table.samples.assign(media=table.samples["id"]),
        )
    return SampleTable.load(out)


@torch.no_grad()
def score_video(
    run,
    video: str | Path,
    *,
    difficulty: float | None = None,
    group: object = None,
    exemplars: int | str | None = None,
) -> dict:
    """Score one new video with a trained run (runs.Run).

    difficulty  of the action shown, where the run uses difficulty
    group       of the exemplars to compare with, where the run pairs by another column (find_group)
    exemplars   M; "all" of its group; None takes the recipe's

    Returns {video, score, spread, interval_90, paired_by, group, exemplars: [{id, score,
    predicted}, ...], warnings}; nine in ten validation errors are smaller than half the interval.
    Raises RecipeError when the difficulty or group is missing, or the run reads features instead of
    videos, PredictionError when the score is not finite.
    """
    recipe, table = run.recipe, run.table
    if recipe.encoder != "i3d":
        raise RecipeError(
            f"{run.folder}: this run reads precomputed features, so it cannot score a video"
        )
    if (recipe.with_difficulty and difficulty is None) or (
        difficulty is not None and not 0 < difficulty < math.inf
    ):
        raise RecipeError(
            "this run multiplies by the difficulty; give that of the action with --difficulty, for"
            " example 3.2"
            if difficulty is None
            else f"--difficulty must be a number above 0, not {difficulty}"
        )
    own = find_group(table, recipe, group, difficulty)
    frames, doubts = _as_trained(run, video)
    inputs = run.source.to_inputs(torch.from_numpy(frames)[None].to(run.device))
    precision = pick_precision(recipe.precision, run.device)
    query = lean_encoder(run.model.eval(), precision)(inputs)
    factors, offset = table.target_unit(recipe.with_difficulty, recipe.target_unit)
    factor = difficulty if recipe.with_difficulty else factors[0]
    if not run.model.uses_exemplars:
        votes, chosen = offset + factor * run.model.predict(query).cpu().numpy(), None
    else:
        pool, samples = table.rows("train"), table.samples
        ids = np.append(samples["id"].to_numpy(), f"new video {Path(video).name}")
        labels = group_labels(table, recipe)
        known = (
            np.append(samples["difficulty"].to_numpy(float), factor)
            if recipe.with_difficulty
            else None
        )
        chosen = draw_exemplars(
            np.array([len(samples)]),
            pool,
            ids=ids,
            groups=np.append(labels, labels[0] if own is None else own),
            difficulty=known,
            count=exemplar_count(exemplars, recipe),
            fill=True,
            seed=recipe.seed,
        ).exemplar
        rows = np.sort(chosen)
        features = encode(run.model, run.source, rows, device=run.device, precision=precision)
        targets = torch.as_tensor(
            table.target(recipe.with_difficulty, recipe.target_unit)[rows], device=run.device
        )
        votes = (
            offset
            + factor
            * run.model.predict(query.expand(len(rows), -1), features, targets).cpu().numpy()
        )
        chosen = samples.iloc[rows]
        doubts += _strange_exemplars(pairing_column(table, recipe), own, difficulty, labels[rows])
    warn_once(doubts)
    _refuse_not_finite(votes, [str(video)] * len(votes))
    half = run.metrics[0].get("residual_90", float("nan")) if run.metrics else float("nan")
    result = {"video": str(video), "score": float(votes.mean()), "spread": float(votes.std())}
    result["interval_90"] = [result["score"] - half, result["score"] + half]
    result |= {
        "paired_by": None if own is None else pairing_column(table, recipe),
        "group": own,
        "warnings": doubts,
    }
    compared = [] if chosen is None else zip(chosen["id"], chosen["score"], votes, strict=True)
    result["exemplars"] = [
        {"id": name, "score": float(given), "predicted": float(said)}
        for name, given, said in compared
    ]
    return result


def _as_trained(run, video: str | Path) -> tuple[np.ndarray, list[str]]:
    """The clip of a new video [T, H, W, 3] at the size of the frames that a run learnt from, and
    what is doubtful about it."""
    trained, resize = tuple(run.source.item_shape[1:3]), run.recipe.resize
    clip = load_clip(video, run.recipe.replace(resize=None), margin=run.recipe.temporal_shift)
    # of a recipe that resizes, the shape of the pictures before is known where the dataset states
    # it
    shape = run.table.info.get("frame_size") if resize else trained
    doubts = (
        check_sizes(video, clip.shape[1:3], trained, shape) if resize in (None, trained) else []
    )  # or a size chosen on purpose
    return resize_video(clip, resize or trained), doubts


def _strange_exemplars(
    key: str | None, own: str | None, difficulty: float | None, labels: np.ndarray
) -> list[str]:
    """What is said of exemplars [M] whose labels are not what was asked for."""
    if own is None:
        return []
    said, others = [], int((labels != own).sum())
    if key == "difficulty" and difficulty and float(own) != difficulty:
        said.append(
            f"no exemplar has difficulty {difficulty:g}; the nearest, {own}, is compared with"
        )
    if others:
        said.append(
            f"{others} of {len(labels)} exemplars are of another {key} than {own}, since it has too"
            f" few: {list_ids(sorted(set(labels[labels != own])))}"
        )
    return said
