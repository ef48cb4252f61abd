"""The metrics of action quality assessment: pure functions from scores to numbers.

Every table of the course is made with these: Spearman's rank correlation, its average over classes
or folds (Fisher z), the relative L2 distance (R-l2, always x100), and intervals by the bootstrap. A
question that has no answer (a rank correlation with a constant, a distance relative to a range of
zero) is answered with nan and a warning that says why; input that cannot be meant (other lengths,
nan, infinity) is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy  # whose parts are imported when they are used
from numpy.typing import ArrayLike

from corelib.machine.messages import list_ids

NOTHING = 1e-6  # of the numbers compared: what differs by less is equal, to float32's digits
DEFINITION = 1  # of the numbers below; it rises when the meaning of one of them changes


def spearman(predicted: ArrayLike, true: ArrayLike) -> float:
    """How well `predicted` puts the samples in the order of `true`: Spearman's rho, -1..1.

    predicted, true: [N] scores in any unit. Both are replaced by their ranks (equal values share
    the mean of their ranks), and rho is the correlation of the ranks. nan with a warning when one
    of them is constant, or N < 2. Raises ValueError for different lengths and for values that are
    not finite, naming the position.
    """
    predicted, true = _paired(predicted, true)
    if len(true) < 2:
        few = f"Spearman's rho needs two samples or more and got {len(true)}"
        return _undefined(f"{few}: there is no order to compare")
    for name, values in (("predicted", predicted), ("true", true)):
        if values.min() == values.max():
            constant = f"every {name} score is {values[0]:g}"
            return _undefined(f"Spearman's rho is undefined: {constant}, so there is no order")
    x, y = (_centred_ranks(values) for values in (predicted, true))
    # Rounding may carry a perfect correlation a hair past 1, where arctanh ends.
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    # A value's rank is the middle of the positions, `left` + 1 to `right`, of those equal to it:
    # stats.rankdata's, in a fraction of its time, as a bootstrap asks 2000 times.
    ordered = np.sort(values)
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (left + right - len(values)) / 2


def score_range_of(true: ArrayLike) -> tuple[float, float]:
    """The lowest and the highest of scores [N], N >= 1: what R-l2 divides by unless told."""
    true = _finite(true, "true")
    if true.size == 0:
        raise ValueError("there is no range of zero scores; give at least one")
    return float(true.min()), float(true.max())


def relative_l2(
    predicted: ArrayLike, true: ArrayLike, *, score_range: tuple[float, float] | None = None
) -> float:
    """The relative L2 distance x100: 100 * mean((|true - predicted| / (highest - lowest)) ** 2); 0
    is perfect.

    predicted, true: [N] scores in one unit. score_range: (lowest, highest) of the class, the
    paper's definition; without it the range of `true` is taken, as in the released code, and then a
    single outlying score changes every figure: print the range beside the result. nan with a
    warning when the range is zero or N = 0. Raises ValueError for different lengths, values that
    are not finite, or a range the wrong way round. Source: Yu et al., ICCV 2021, section 4.1.
    """
    predicted, true = _paired(predicted, true)
    if len(true) == 0:
        return _undefined("R-l2 of no samples is undefined")
    low, high = (
        score_range_of(true) if score_range is None else (float(bound) for bound in score_range)
    )
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(
            f"score_range must be (lowest, highest), both finite; got ({low:g}, {high:g})"
        )
    if low == high:
        return _undefined(
            f"R-l2 is undefined: its score range is zero (lowest = highest = {low:g}); give the"
            " class range instead"
        )
    return float(100 * np.mean(((predicted - true) / (high - low)) ** 2))


def fisher_z_mean(rhos: ArrayLike) -> float:
    """The average of rank correlations over classes or folds: tanh(mean(arctanh(rho))).

    rhos: [C], each -1..1. A rho of exactly 1 or -1 has an infinite z and would decide the mean
    alone, so the mean is then 1 (or -1), with a warning; with both of them there, or with a nan
    among the rhos, it is nan. Raises ValueError when there is no rho, or one outside -1..1.
    """
    rhos = np.atleast_1d(np.asarray(rhos, dtype=float))
    if rhos.size == 0:
        raise ValueError("fisher_z_mean needs at least one rho")
    outside = np.flatnonzero(np.abs(rhos) > 1)
    if outside.size:
        raise ValueError(
            f"rho at position {outside[0]} is {rhos.flat[outside[0]]:g}; a correlation lies in"
            " -1..1"
        )
    if np.isnan(rhos).any():
        return _undefined(
            f"the Fisher-z mean is undefined: rho at position {int(np.isnan(rhos).argmax())} is nan"
        )
    perfect = set(rhos[np.abs(rhos) == 1])
    if len(perfect) == 2:
        return _undefined("the Fisher-z mean of a rho of 1 and a rho of -1 is undefined")
    if perfect and len(set(rhos)) > 1:
        warnings.warn(
            f"a rho of {min(perfect):g} has an infinite z: it alone decides this Fisher-z mean (is"
            " its fold tiny?)",
            stacklevel=2,
        )
    with np.errstate(divide="ignore"):
        return float(np.tanh(np.mean(np.arctanh(rhos))))


def bootstrap_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    predicted: ArrayLike,
    true: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """How far a metric might lie from its value had other samples been tested: a percentile
    bootstrap interval.

    statistic: a function (predicted [N], true [N]) -> float, such as `spearman`. The samples are
    drawn with replacement `resamples` times, each prediction together with its true score; the
    interval holds the middle `confidence` (0..1) of the metric's values. Percentiles, not BCa,
    because they stay inside the metric's own range and exist for every sample; resamples on which
    the metric is nan (all draws alike) are left out, with a warning when they are more than one in
    twenty. (nan, nan) with a warning for fewer than 2 samples or when no resample has a value. The
    same seed gives the same interval. The interval covers the choice of test samples only, not the
    training seeds. Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    predicted, true = _paired(predicted, true)
    if len(true) < 2:
        return (
            _undefined(f"a bootstrap interval needs two samples or more and got {len(true)}"),
        ) * 2
    with warnings.catch_warnings():
        # A resample may well be constant, and scipy remarks on nan: both are counted below.
        warnings.simplefilter("ignore")
        result = scipy.stats.bootstrap(
            (predicted, true),
            statistic,
            paired=True,
            vectorized=False,
            method="percentile",
            n_resamples=resamples,
            confidence_level=confidence,
            rng=np.random.default_rng(seed),
        )
    values = result.bootstrap_distribution
    values = values[np.isfinite(values)]
    if values.size == 0:
        return (
            _undefined("no resample has a value: the metric is undefined on these samples"),
        ) * 2
    if values.size < 0.95 * resamples:
        warnings.warn(
            f"the metric is undefined on {resamples - values.size} of {resamples} resamples, which"
            " are left out: too few different samples for an interval to rely on",
            stacklevel=2,
        )
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def mean_and_spread(values: ArrayLike) -> tuple[float, float]:
    """Mean and sample standard deviation (divided by n - 1) over seeds or folds; the spread of one
    value is nan.

    values: [n], n >= 1. nan among the values makes both nan. Raises ValueError when there is no
    value.
    """
    values = np.atleast_1d(np.asarray(values, dtype=float))
    if values.size == 0:
        raise ValueError("mean_and_spread needs at least one value")
    return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else float("nan")


def _undefined(reason: str) -> float:
    warnings.warn(f"{reason}; the answer is nan", stacklevel=3)
    return float("nan")


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(
            f"{name} must be one list of scores [N]; got an array of shape {list(values.shape)}"
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(
            f"{name}[{bad[0]}] is {values[bad[0]]}; scores must be finite numbers ({bad.size} of"
            f" {len(values)} are not)"
        )
    return values


def _paired(predicted: ArrayLike, true: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = _finite(predicted, "predicted"), _finite(true, "true")
    if len(predicted) != len(true):
        raise ValueError(
            f"{len(predicted)} predicted scores but {len(true)} true ones; there must be one"
            " for one"
        )
    return predicted, true


def check_predictions(predicted: np.ndarray, true: np.ndarray) -> list[str]:
    """What a constant predictor looks like: predictions [N] that differ by rounding alone."""
    if not is_nearly_constant(predicted, true):
        return []
    alike = f"all {len(predicted)} predictions are {predicted[0]:g} to within"
    spread = f"{np.ptp(predicted):.1g}: as good as a constant"
    return [f"{alike} {spread}, so their order says nothing"]


def is_nearly_constant(predicted: np.ndarray, true: np.ndarray) -> bool:
    """Whether predictions [N] differ, but by rounding alone: their order is not the model's."""
    spread = np.ptp(predicted) if len(predicted) > 1 else np.inf
    return bool(0 < spread <= NOTHING * max(np.abs(predicted).max(), np.ptp(true)))


def check_votes(
    ids: np.ndarray, counts: np.ndarray, differences, exemplar_targets, *, asked: int | None
) -> list[str]:
    """What is doubtful about the votes of exemplars.

    ids [Q] of the queries, counts [Q] of their votes; the differences that were read and the
    exemplars' targets, all or the smallest and largest; asked: the exemplars a query should have
    had, None for all of its group
    """
    said, single = [], counts == 1
    if asked != 1 and single.any():
        some = f"{single.sum()} of {len(ids)} samples were compared with a single exemplar"
        said.append(f"{some}, so their spread of 0 says nothing: {list_ids(ids[single])}")
    if counts.sum() > 1:
        size = max(np.abs(differences).max(), np.ptp(exemplar_targets))
        if np.ptp(differences) <= NOTHING * size:
            same = f"the model reads the same difference, {differences[0]:.4g}"
            said.append(f"{same}, off all {counts.sum()} pairs: it does not look at the query")
    return said
