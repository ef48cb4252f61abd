"""Conformal intervals: by hand, and covering what they promise wherever that can be promised."""

import math

import numpy as np
import pandas as pd
import pytest

from corelib.intervals import LEVELS, conformal_quantile, coverage, half_widths, intervals


def told(true, predicted, spread=0.0, group="a") -> pd.DataFrame:
    columns = {"true": true, "predicted": predicted, "spread": spread, "group": group}
    return pd.DataFrame(columns)


def drawn(rng, n: int, *, noise=5.0) -> pd.DataFrame:
    """Predictions whose error grows with what their exemplars disagree by."""
    spread = rng.uniform(0.2, 2.0, n)
    true = rng.uniform(20, 80, n)
    return told(true, true + noise * spread * rng.standard_normal(n), spread)


def test_the_quantile_counts_the_new_sample_too():
    errors = np.array([4.0, 1, 3, 2, 9, 5, 8, 7, 6])
    assert conformal_quantile(errors, 0.5) == 5 and conformal_quantile(errors, 0.9) == 9
    assert conformal_quantile(errors[:8], 0.9) == math.inf  # eight cannot promise nine in ten
    assert conformal_quantile(errors[:0], 0.5) == math.inf


def test_an_interval_is_cut_off_at_the_scales_limits():
    held = told([50.0, 50.0, 50.0], [52.0, 45.0, 51.0])
    between = intervals(held, told([0.0, 0.0], [50.0, 99.0]), 0.5, (0, 100))
    assert between.tolist() == [[48, 52], [97, 100]]
    everything = intervals(held, told([0.0], [50.0]), 0.9, (0, 100))
    assert everything.tolist() == [[0, 100]]


@pytest.mark.parametrize("kind", ["plain", "spread"])
@pytest.mark.parametrize("level", LEVELS)
def test_coverage_is_what_was_promised_over_many_draws(kind, level):
    rng, n = np.random.default_rng(0), 39
    found = [
        coverage(drawn(rng, n), drawn(rng, 50), (-1e9, 1e9), kind, [level])[f"{100 * level:g}"][0]
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(math.ceil((n + 1) * level) / (n + 1), abs=0.012)


def test_errors_that_grow_with_the_spread_make_widths_that_do():
    rng = np.random.default_rng(1)
    held, asked = drawn(rng, 400), drawn(rng, 400)
    wide = half_widths(held, asked, 0.9, "spread")
    assert np.corrcoef(wide, asked["spread"])[0, 1] == pytest.approx(1)
    assert wide.mean() < half_widths(held, asked, 0.9).mean()
    agreed = told([1.0, 2.0], [2.0, 4.0])  # exemplars that never disagree: as plain
    alike = half_widths(agreed, agreed, 0.5, "spread")
    assert alike.tolist() == half_widths(agreed, agreed, 0.5).tolist() == [2, 2]


def test_a_group_has_its_own_width_and_a_small_one_that_of_all():
    held = told(np.zeros(12), [*np.arange(1.0, 10), 20, 30, 40], group=["a"] * 9 + ["b"] * 3)
    asked = told([0.0] * 3, [0.0] * 3, group=["a", "b", "c"])
    assert half_widths(held, asked, 0.9, "group").tolist() == [9, 40, 40]
    assert half_widths(held, asked, 0.5, "group").tolist() == [5, 30, 7]


def test_another_camera_breaks_the_promise_and_no_held_back_row_gives_none():
    rng = np.random.default_rng(2)
    elsewhere = drawn(rng, 500, noise=15)
    assert coverage(drawn(rng, 60), elsewhere, (-1e9, 1e9))["90"][0] < 0.7
    assert coverage(elsewhere[:0], elsewhere, (0, 100)) == {}
