"""The metrics: by hand, against scipy and brute force, by their properties, and on MTL-AQA's real
marks."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from corelib.metrics import (
    bootstrap_interval,
    fisher_z_mean,
    mean_and_spread,
    relative_l2,
    score_range_of,
    spearman,
)
from data_scripts.readers.pickles import load_pickle

USDL_RHOS = [0.8099, 0.7570, 0.6538, 0.7109, 0.9166, 0.8878]

# Half points up to 100, as in diving: many ties, and every sum exact.
half_points = st.integers(0, 200).map(lambda number: number / 2)
score_pairs = st.lists(st.tuples(half_points, half_points), min_size=2, max_size=30).filter(
    lambda pairs: all(len(set(column)) > 1 for column in zip(*pairs, strict=True))
)


def columns(pairs):
    return [np.array(column) for column in zip(*pairs, strict=True)]


# Spearman's rho


def test_spearman_by_hand():
    # Ranks 1 2 3 4 against 2 1 4 3: d = 1 each, rho = 1 - 6 * 4 / (4 * 15) = 0.6.
    assert spearman([10, 20, 30, 40], [7, 5, 90, 8]) == pytest.approx(0.6)


def test_spearman_with_a_tie_by_hand():
    # Ranks 1.5 1.5 3 against 1 2 3: centred -.5 -.5 1 and -1 0 1; rho = 1.5 / sqrt(1.5 * 2).
    assert spearman([4, 4, 9], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(3))


@given(score_pairs)
def test_spearman_agrees_with_scipy(pairs):
    predicted, true = columns(pairs)
    assert spearman(predicted, true) == pytest.approx(
        stats.spearmanr(predicted, true).statistic, abs=1e-12
    )


@given(score_pairs)
def test_spearman_knows_the_order_only(pairs):
    predicted, true = columns(pairs)
    rho = spearman(predicted, true)
    assert -1 <= rho <= 1
    assert spearman(predicted**3 + 2 * predicted, np.exp(true / 50)) == pytest.approx(
        rho, abs=1e-12
    )
    assert spearman(-predicted, true) == pytest.approx(-rho, abs=1e-12)
    assert spearman(true, predicted) == pytest.approx(rho, abs=1e-12)
    assert spearman(true, true) == 1


@pytest.mark.parametrize(
    ("predicted", "true", "reason"),
    [
        ([5, 5, 5], [1, 2, 3], "every predicted score is 5"),
        ([1, 2], [3, 3], "every true score is 3"),
        ([1], [1], "two samples"),
        ([], [], "got 0"),
    ],
)
def test_spearman_without_an_answer_is_nan_with_the_reason(predicted, true, reason):
    with pytest.warns(UserWarning, match=reason):
        assert math.isnan(spearman(predicted, true))


@pytest.mark.parametrize("metric", [spearman, relative_l2])
def test_wrong_input_is_named(metric):
    with pytest.raises(ValueError, match="3 predicted scores but 2 true ones"):
        metric([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"predicted\[1\] is nan"):
        metric([1, math.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match=r"true\[2\] is inf.*2 of 4"):
        metric([1, 2, 3, 4], [1, 2, math.inf, -math.inf])
    with pytest.raises(ValueError, match=r"shape \[2, 1\]"):
        metric([[1], [2]], [1, 2])


any_scores = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3).map(float)
)


def twice_the_ranks(values):
    return [
        2 * sum(other < value for other in values) + sum(other == value for other in values) + 1
        for value in values
    ]


@given(st.lists(st.tuples(any_scores, any_scores), max_size=12))
def test_spearman_of_any_scores_agrees_with_brute_force(pairs):
    predicted, true = ([pair[side] for pair in pairs] for side in (0, 1))
    n, x, y = len(pairs), twice_the_ranks(predicted), twice_the_ranks(true)
    product, squares_x, squares_y = (
        n * sum(map(math.prod, zip(a, b, strict=True))) - sum(a) * sum(b)
        for a, b in ((x, y), (x, x), (y, y))
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        rho = spearman(predicted, true)
    if squares_x * squares_y == 0:  # no sample, one, or a constant
        assert math.isnan(rho) and len(said) == 1 and "the answer is nan" in str(said[0].message)
    else:
        assert (
            rho == pytest.approx(product / math.sqrt(squares_x * squares_y), abs=1e-12)
            and said == []
        )


# R-l2


@given(
    st.lists(
        st.tuples(*[st.one_of(st.floats(-1e6, 1e6), st.integers(0, 3).map(float))] * 2), max_size=12
    )
)
def test_relative_l2_of_any_scores_agrees_with_brute_force(pairs):
    predicted, true = ([pair[side] for pair in pairs] for side in (0, 1))
    span = max(true) - min(true) if true else 0
    assume(span == 0 or span > 1e-100)  # the square of what is divided by less is no number
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        distance = relative_l2(predicted, true)
    if span == 0:
        assert (
            math.isnan(distance)
            and len(said) == 1
            and str(said[0].message).endswith("the answer is nan")
        )
    else:
        expected = 100 * sum((abs(s - s_hat) / span) ** 2 for s_hat, s in pairs) / len(pairs)
        assert distance == pytest.approx(expected, rel=1e-12) and said == []


def test_relative_l2_by_hand():
    # Errors 1, 0, 2 over a range of 10: 100 * (.01 + 0 + .04) / 3.
    assert relative_l2([1, 5, 12], [0, 5, 10]) == pytest.approx(5 / 3)
    # The class's range, 0 to 20, is twice as wide: a quarter of it.
    assert relative_l2([1, 5, 12], [0, 5, 10], score_range=(0, 20)) == pytest.approx(5 / 12)


@given(score_pairs)
def test_relative_l2_agrees_with_a_loop(pairs):
    predicted, true = columns(pairs)
    low, high = min(true), max(true)
    total = sum(
        (abs(s - s_hat) / (high - low)) ** 2 for s_hat, s in zip(predicted, true, strict=True)
    )
    assert relative_l2(predicted, true) == pytest.approx(100 * total / len(true))
    assert score_range_of(true) == (low, high)


@given(score_pairs, st.sampled_from([-4, 0.5, 3]), st.integers(-50, 50))
def test_relative_l2_has_no_unit(pairs, scale, shift):
    predicted, true = columns(pairs)
    rescaled = relative_l2(scale * predicted + shift, scale * true + shift)
    assert rescaled == pytest.approx(relative_l2(predicted, true))


@given(score_pairs, st.sampled_from([0.5, 2, 3]))
def test_relative_l2_grows_with_the_square_of_the_error(pairs, factor):
    predicted, true = columns(pairs)
    stretched = relative_l2(true + factor * (predicted - true), true)
    assert stretched == pytest.approx(factor**2 * relative_l2(predicted, true))
    assert relative_l2(true, true) == 0


def test_relative_l2_without_a_range():
    with pytest.warns(UserWarning, match="range is zero.*7"):
        assert math.isnan(relative_l2([6, 8], [7, 7]))
    assert relative_l2([6, 8], [7, 7], score_range=(0, 10)) == pytest.approx(1)
    with pytest.raises(ValueError, match="lowest, highest"):
        relative_l2([6, 8], [7, 7], score_range=(10, 0))
    with pytest.warns(UserWarning, match="no samples"):
        assert math.isnan(relative_l2([], []))
    with pytest.raises(ValueError, match="zero scores"):
        score_range_of([])


# Averages


def test_fisher_z_mean_of_the_published_rhos():
    assert round(fisher_z_mean(USDL_RHOS), 4) == 0.8102


def test_fisher_z_mean_by_hand():
    # z = ln((1 + r) / (1 - r)) / 2: ln 3 / 2 for .5 and ln 9 / 2 for .8; their mean ln(27) / 4 goes
    # back by (e^2z - 1) / (e^2z + 1) with e^2z = sqrt(27).
    assert fisher_z_mean([0.5, 0.8]) == pytest.approx((math.sqrt(27) - 1) / (math.sqrt(27) + 1))


@given(st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=10))
def test_fisher_z_mean_is_a_mean(rhos):
    mean = fisher_z_mean(rhos)
    assert min(rhos) - 1e-9 <= mean <= max(rhos) + 1e-9
    assert mean == pytest.approx(fisher_z_mean(rhos[::-1]), abs=1e-12)
    assert fisher_z_mean([-rho for rho in rhos]) == pytest.approx(-mean, abs=1e-12)


def test_fisher_z_mean_at_the_ends():
    with pytest.warns(UserWarning, match="alone decides"):
        assert fisher_z_mean([0.2, 1.0]) == 1
    with pytest.warns(UserWarning, match="alone decides"):
        assert fisher_z_mean([-1.0, 0.9]) == -1
    assert fisher_z_mean([1.0]) == 1
    with pytest.warns(UserWarning, match="1 and a rho of -1"):
        assert math.isnan(fisher_z_mean([1.0, -1.0]))
    with pytest.warns(UserWarning, match="position 1 is nan"):
        assert math.isnan(fisher_z_mean([0.5, math.nan]))
    with pytest.raises(ValueError, match="position 1 is 1.2"):
        fisher_z_mean([0.5, 1.2])
    with pytest.raises(ValueError, match="at least one"):
        fisher_z_mean([])


def test_mean_and_spread():
    # Deviations -2 0 2 about 4: sqrt((4 + 0 + 4) / 2) = 2.
    assert mean_and_spread([2, 4, 6]) == (4, 2)
    mean, spread = mean_and_spread([0.9])
    assert mean == 0.9 and math.isnan(spread)
    with pytest.raises(ValueError, match="at least one"):
        mean_and_spread([])


# Intervals


def some_scores(count, noise, seed=3):
    generator = np.random.default_rng(seed)
    true = generator.normal(60, 15, count)
    return true + generator.normal(0, noise, count), true


def test_an_interval_comes_again_with_its_seed():
    predicted, true = some_scores(60, 10)
    first = bootstrap_interval(spearman, predicted, true, seed=1, resamples=200)
    assert bootstrap_interval(spearman, predicted, true, seed=1, resamples=200) == first
    assert bootstrap_interval(spearman, predicted, true, seed=2, resamples=200) != first


@pytest.mark.parametrize("metric", [spearman, relative_l2])
def test_an_interval_holds_the_value_and_narrows_with_confidence_and_samples(metric):
    widths = []
    for count, confidence in ((40, 0.95), (40, 0.5), (640, 0.5)):
        predicted, true = some_scores(count, 10)
        low, high = bootstrap_interval(
            metric, predicted, true, confidence=confidence, resamples=400
        )
        widths.append(high - low)
        if confidence == 0.95:
            assert low < metric(predicted, true) < high
    assert widths[0] > widths[1] > widths[2] > 0


def test_an_interval_of_a_mean_is_the_textbook_one():
    # The mean error of 200 samples has the standard error sd / sqrt(200); 95 % lie within 1.96 of
    # them.
    predicted, true = some_scores(200, 10)
    errors = predicted - true
    low, high = bootstrap_interval(
        lambda p, t: float(np.mean(p - t)), predicted, true, resamples=4000
    )
    margin = 1.96 * errors.std() / math.sqrt(200)
    assert low == pytest.approx(errors.mean() - margin, abs=0.1 * margin)
    assert high == pytest.approx(errors.mean() + margin, abs=0.1 * margin)


def test_an_interval_keeps_predictions_with_their_scores():
    # Drawn apart, predictions and scores would be unrelated and rho near 0.
    low, high = bootstrap_interval(spearman, np.arange(50.0), np.arange(50.0), resamples=100)
    assert (low, high) == (1, 1)


def test_an_interval_of_few_samples_is_finite_or_says_why_not():
    # Three samples: with probability 1/9 a resample holds one of them three times, and rho has no
    # value there.
    with pytest.warns(UserWarning, match="left out"):
        low, high = bootstrap_interval(spearman, [1, 2, 3], [1, 3, 2], resamples=300)
    assert -1 <= low <= high <= 1
    with pytest.warns(UserWarning, match="no resample has a value"):
        assert all(
            map(math.isnan, bootstrap_interval(spearman, [4, 4, 4], [1, 2, 3], resamples=50))
        )
    with pytest.warns(UserWarning, match="got 1"):
        assert all(map(math.isnan, bootstrap_interval(spearman, [4], [4])))


# Reference levels on the real MTL-AQA test split: what a model must beat, and what a judge reaches


@pytest.fixture(scope="module")
def mtl_aqa(aqa_data):
    """The official annotations by split: difficulty [N], final score [N], marks [N, 7]."""
    folder = aqa_data / "mtl_aqa"

    annotations = load_pickle(folder / "final_annotations_dict_with_dive_number.pkl")
    splits = {}
    for split in ("train", "test"):
        dives = [annotations[key] for key in load_pickle(folder / f"{split}_split_0.pkl")]
        names = ("difficulty", "final_score", "judge_scores")
        splits[split] = [np.array([dive[name] for dive in dives], dtype=float) for name in names]
    return splits


def test_level_of_difficulty_alone_on_real_dives(mtl_aqa):
    # Every dive is given the training split's mean execution score, times its difficulty; R-l2 by
    # the test range.
    difficulty, score, _ = mtl_aqa["train"]
    mean_execution = np.mean(score / difficulty)
    difficulty, score, _ = mtl_aqa["test"]
    assert len(score) == 353
    assert round(spearman(mean_execution * difficulty, score), 3) == 0.560
    assert round(relative_l2(mean_execution * difficulty, score), 2) == 2.07


def test_level_of_one_judge_on_real_dives(mtl_aqa):
    # One judge's mark, three times it times the difficulty, against the rule on the other six: the
    # highest and the lowest dropped, three times the mean of the middle four, times the difficulty.
    # R-l2 by the range of the official test scores; both metrics averaged over the seven judges.
    difficulty, score, marks = mtl_aqa["test"]
    rhos, distances = [], []
    for judge in range(7):
        others = np.sort(np.delete(marks, judge, axis=1), axis=1)[:, 1:5]
        rule = 3 * others.mean(axis=1) * difficulty
        alone = 3 * marks[:, judge] * difficulty
        rhos.append(spearman(alone, rule))
        distances.append(relative_l2(alone, rule, score_range=score_range_of(score)))
    assert round(np.mean(rhos), 3) == 0.973
    assert round(np.mean(distances), 3) == 0.145


def test_one_outlying_score_moves_relative_l2_on_real_dives(mtl_aqa):
    # The one failed dive (score 0) widens the range from which every error is measured.
    difficulty, score, _ = mtl_aqa["test"]
    predicted = np.where(score == 0, 0, score + 5)
    kept = score > 0
    assert (~kept).sum() == 1
    ratio = relative_l2(predicted[kept], score[kept]) / relative_l2(predicted, score)
    assert ratio == pytest.approx(1.175 * 353 / 352, abs=1e-3)
