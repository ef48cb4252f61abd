"""The figures that benchmarks draw of cost: slopes, and progress for what was spent."""

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.cost_figures import cost_growth, growth, progress_for_cost
from tests.figures.test_plots import legend, lines_of, tick_names


def costs(power, sizes=(1, 2, 4, 8, 16)):
    """Time that grows with a power of the size beyond a constant part, and memory that does not
    grow."""
    return pd.DataFrame(
        {"size": sizes, "seconds": [3.0 * size**power for size in sizes], "gb": 0.5}
    )


def spent(rho):
    """The history of a training that validates every second epoch of 100 clips and 7 seconds."""
    judged = [value for pair in zip([np.nan] * len(rho), rho, strict=False) for value in pair]
    return pd.DataFrame(
        {"encoded": 100, "seconds": 7.0 * np.arange(1, len(judged) + 1), "val_spearman": judged}
    )


def test_growth_is_the_power_of_the_size():
    for power in (0, 1, 1.5):
        assert growth(costs(power)["size"], costs(power)["seconds"]) == pytest.approx(
            power, abs=1e-9
        )
    assert growth([1, 10, 100, 1000], [5, 5, 10, 100]) == pytest.approx(
        0.65, abs=0.01
    )  # of the upper half: three sizes


def test_cost_growth_draws_the_expected_slope_through_the_last_point():
    figure = cost_growth({"videos": costs(2)})
    seconds, expected = lines_of(figure.axes[0])
    assert seconds[-1] == expected[-1] == [16, 768] and expected[0] == [1, 48]
    assert "2.00" in figure.axes[0].get_title(loc="left")
    assert legend(figure) == ["proportional to the size"]
    low, high = figure.axes[0].get_ylim()
    shown = [tick for tick in figure.axes[0].get_yticks() if low <= tick <= high]
    assert len(shown) >= 3 and "10" in tick_names(figure.axes[0].yaxis)


def test_progress_for_cost_adds_clips_up_and_draws_the_mean_of_the_seeds():
    clips, seconds = progress_for_cost({"batch": [spent([0.5, 0.9]), spent([0.7, 0.8])]}).axes
    np.testing.assert_allclose(lines_of(clips)[-1], [[200, 0.6], [400, 0.85]])
    np.testing.assert_allclose(lines_of(seconds)[-1], [[14, 0.6], [28, 0.85]])
    assert len(clips.get_lines()) == 3


def test_work_that_adds_no_memory_and_takes_no_longer_is_drawn_all_the_same():
    figure = cost_growth({"videos": costs(0, (1, 2)).assign(gb=0)})
    assert "0.00" in figure.axes[0].get_title(loc="left")
