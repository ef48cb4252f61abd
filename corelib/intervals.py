"""Intervals that cover what they promise: split conformal prediction.

A run keeps what it predicted of rows that it had not learnt from (validation.csv). As long as a new
sample could as well have been one of those rows, it is at most as wrong as the k-th smallest of
their n errors with probability k / (n + 1), whatever the model is and however errors are
distributed. Another event or another camera is no such sample, and breaks the promise.

Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); Lei et al.,
Distribution-free predictive inference for regression (2018), with the errors scaled in section 5.2;
by groups: Vovk, Conditional validity of inductive conformal predictors (2012).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

LEVELS = (0.5, 0.8, 0.9)
KINDS = ("plain", "spread", "group")


def conformal_quantile(errors: np.ndarray, level: float) -> float:
    """What a new error stays below with probability `level` (0..1), by n earlier ones [n].

    Their ceil((n + 1) level)-th smallest; infinite where n are too few to promise that.
    """
    place = math.ceil((len(errors) + 1) * level - 1e-9)  # .9 * 10 is 9, not a little more
    return float(np.sort(errors)[place - 1]) if place <= len(errors) else math.inf


def half_widths(
    held: pd.DataFrame, asked: pd.DataFrame, level: float, kind: str = "plain"
) -> np.ndarray:
    """Half of the interval's width around each of the asked predictions [N], score units.

    held   predictions of held-back rows: true, predicted, spread; group (where kind is "group")
    asked  predictions, of whom the same columns but `true` are read
    kind   "plain": equally wide for all | "spread": as wide as the exemplars disagree; half of the
           median disagreement is added, so that no width is 0 | "group": of the errors of one's
           own group, of all where that has too few
    """
    errors = (held["predicted"] - held["true"]).abs().to_numpy(float)
    everywhere = conformal_quantile(errors, level)
    if kind == "group":
        parts = pd.Series(errors).groupby(held["group"].to_numpy())
        own = {name: conformal_quantile(part.to_numpy(), level) for name, part in parts}
        found = np.array([own.get(name, math.inf) for name in asked["group"]])
        return np.where(np.isfinite(found), found, everywhere)
    if kind == "spread" and len(held):
        floor = float(held["spread"].median()) / 2 or 1.0
        scaled = conformal_quantile(errors / (held["spread"].to_numpy(float) + floor), level)
        return scaled * (asked["spread"].to_numpy(float) + floor)
    return np.full(len(asked), everywhere)


def intervals(held, asked, level: float, limits, kind: str = "plain") -> np.ndarray:
    """(low, high) [N, 2] of the asked predictions, cut off at the scale's own limits (low, high).

    Other arguments as `half_widths` takes them.
    """
    half, middle = half_widths(held, asked, level, kind), asked["predicted"].to_numpy(float)
    return np.clip(np.stack([middle - half, middle + half], axis=1), *limits)


def coverage(held, judged, limits, kind: str = "plain", levels=LEVELS) -> dict[str, list[float]]:
    """{level in %: [share of the true scores inside, mean width]} of judged predictions.

    held and kind as in `half_widths`; judged has the true scores too; limits as in `intervals`.
    Nothing where no row was held back.
    """
    found, true = {}, judged["true"].to_numpy(float)
    for level in levels if len(held) else ():
        low, high = intervals(held, judged, level, limits, kind).T
        inside = (low <= true) & (true <= high)
        found[f"{100 * level:g}"] = [float(inside.mean()), float((high - low).mean())]
    return found
