"""The figures: each shows what it says, leaves no trace in pyplot, and stands the extremes."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.formatters import PNGFormatter
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text

from corelib.figures import plots
from corelib.figures.style import GROUP_COLOURS, SYSTEM_COLOURS, line_colour

EDGES = np.array([0, 1.0, 2.5, 30])
LEFT, RIGHT = np.array([-30, -4, 0, 4.0]), np.array([-4, 0, 4, 30.0])
QUARTERS = np.log([0.1, 0.2, 0.6, 0.1])


def film(frames, height=6, width=8):
    return np.broadcast_to(
        np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, height, width, 3)
    )


def history(epochs):
    return pd.DataFrame(
        {
            "epoch": range(epochs),
            "loss": np.linspace(3, 1, epochs),
            "val_spearman": [np.nan if epoch % 2 else epoch / 10 for epoch in range(epochs)],
            "val_rl2_x100": [np.nan if epoch % 2 else 3 - epoch / 10 for epoch in range(epochs)],
        }
    )


def runs(seeds=3):
    systems = (("core", False, 0.93), ("mlp", False, 0.91), ("core", True, 0.95))
    rows = [
        (system, dd, seed, rho + seed / 100, 1 - rho)
        for system, dd, rho in systems
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["system", "with_difficulty", "seed", "spearman", "rl2_x100"])


def promises(seeds: int) -> pd.DataFrame:
    """Coverage at two levels: on the spot, one seed a point apart from the next, and too low."""
    rows = []
    for what, way, off in (("dives", "split", 0), ("dives", "afar", -0.3), ("Fis-V", "split", 0)):
        for seed in range(seeds):
            inside = [level + off + 0.01 * seed for level in (0.5, 0.9)]
            rows.append({"what": what, "way": way, "seed": seed, "inside": inside})
    return pd.DataFrame(rows)


def steps(seeds=3):
    """One row a run: rho rises with the exemplars, R-l2 falls; "all" follows 10."""
    rows = [
        ("core", m, seed, 0.9 + place / 50 + seed / 100, 0.6 - place / 10)
        for place, m in enumerate((1, 10, "all"))
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["system", "exemplars", "seed", "spearman", "rl2_x100"])


def rated(people):
    """A row a person: two items, which are 1, 2, ... and 5, in two folds."""
    marks = {"item_1": [1 + place % 5 for place in range(len(people))], "item_2": 5}
    frame = pd.DataFrame(marks | {"split": np.arange(len(people)) % 2, "group": list(people)})
    return frame.assign(score=frame["item_1"] + frame["item_2"])


def heat(frames):
    """Lowers at frame 7, raises a little elsewhere, in 3 x 4 cells."""
    found = np.full((frames, 3, 4), 0.1)
    found[7, 1, 2] = -5
    return found


def errors(n):
    rng = np.random.default_rng(0)
    columns = {"error": rng.normal(size=n), "group": rng.choice(["103B", "407C"], n)}
    return pd.DataFrame(
        columns | {"difficulty": rng.choice([2.0, 3.1], n), "judges_spread": rng.uniform(0, 1, n)}
    )


# Every figure, at an ordinary size and at the smallest: one sample, one frame, one seed, constants.
FIGURES = {
    "film_strip": lambda: plots.film_strip(film(20), marks=[7.5, 8], highlight=(3, 9)),
    "film_strip of one frame": lambda: plots.film_strip(film(1)),
    "film_strips": lambda: plots.film_strips(
        [film(20), film(3, 9, 5)], ["query", "exemplar"], title="Two"
    ),
    "score_histogram": lambda: plots.score_histogram([3, 4, 4.5, 9], ["a", "a", "b", "b"]),
    "score_histogram of one": lambda: plots.score_histogram([3]),
    "score_panels": lambda: plots.score_panels({"a": [3, 4, 4], "b": [100, 50]}, columns=1),
    "score_panels of one": lambda: plots.score_panels({"a": [3]}),
    "rated_items": lambda: plots.rated_items({"a": rated("BBCD"), "b": rated("BEFGHIJK")}),
    "rated_items of one": lambda: plots.rated_items({"a": rated("B")}),
    "exemplar_counts": lambda: plots.exemplar_counts({"a": [0, 3, 200], "b": [12]}),
    "exemplar_counts of nobody": lambda: plots.exemplar_counts({"a": [0]}),
    "judges_agreement": lambda: plots.judges_agreement([[7, 7.5, 8], [], [2, 2.5, 2]]),
    "judges_agreement without disagreement": lambda: plots.judges_agreement([[7, 7]]),
    "judge_against_panel": lambda: plots.judge_against_panel([7, 3.5], [[7, 7.5, 8], [2, 2.5, 2]]),
    "judge_against_panel before the first mark": lambda: plots.judge_against_panel([], []),
    "judges_worth": lambda: plots.judges_worth([0.5, 1, 3], [0.8, 0.9, 0.95], {"CoRe": 0.85}),
    "judges_worth of a model beyond": lambda: plots.judges_worth([1, 2], [0.8, 0.9], {"a": 0.99}),
    "reliability": lambda: plots.reliability(promises(seeds=2), [0.5, 0.9]),
    "reliability of one seed": lambda: plots.reliability(promises(seeds=1), [0.5, 0.9]),
    "score_scatter": lambda: plots.score_scatter(
        [1, 2, 3], [1, 3, 2], groups=[1, 1, 2], spread=[0.1, 0.2, 0.1]
    ),
    "score_scatter of one": lambda: plots.score_scatter([5], [5]),
    "pair_differences": lambda: plots.pair_differences([5, 6, -7], [1, 2]),
    "pair_differences all zero": lambda: plots.pair_differences([0], [0]),
    "intervals": lambda: plots.intervals([0.5, 2, 9], EDGES),
    "intervals, mirrored": lambda: plots.intervals([0.5, 2, 9], EDGES, mirrored=True),
    "intervals, one without width": lambda: plots.intervals([0], [0, 1, 1, 2]),
    "tree": lambda: plots.tree(QUARTERS, LEFT, RIGHT, true_difference=5, predicted=3.1),
    "tree of one leaf": lambda: plots.tree([0.0], [0], [4]),
    "tree with a closed leaf": lambda: plots.tree([-np.inf, 0.0], [-4, 0], [0, 4], predicted=100),
    "vote_weights": lambda: plots.vote_weights(
        [0.7, 0.5, -0.2], [20.0, 30.0, 40.0], 25.0, label="TES"
    ),
    "spread_curves": lambda: plots.spread_curves(steps(), "exemplars", by="system"),
    "spread_curves of one seed": lambda: plots.spread_curves(steps(seeds=1), "exemplars"),
    "learning_curves": lambda: plots.learning_curves(
        {"CoRe": history(5), "CoRe (w/ DD)": history(4)}
    ),
    "learning_curves of one epoch": lambda: plots.learning_curves(history(1)),
    "system_comparison": lambda: plots.system_comparison(
        runs(), levels={"one judge": (0.973, 0.145)}
    ),
    "system_comparison of one run": lambda: plots.system_comparison(runs(1)[:1]),
    "exemplar_vote": lambda: plots.exemplar_vote([63, 66], [50, 80], 64.5, 66, names=["a", "b"]),
    "exemplar_vote of one": lambda: plots.exemplar_vote([63], [63], 63),
    "clip_grid": lambda: plots.clip_grid(np.linspace(-1, 1, 3 * 5 * 6 * 7).reshape(3, 5, 6, 7)),
    "clip_grid, constant": lambda: plots.clip_grid(np.full((3, 1, 4, 4), 2.5)),
    "snippet_layout": lambda: plots.snippet_layout([0, 4, 9], 6, 16),
    "inflate_kernel": lambda: plots.inflate_kernel([[1, 0], [0, -2]], 3),
    "inflate_kernel of zeros": lambda: plots.inflate_kernel(np.zeros((7, 7)), 1),
    "kernels_over_time": lambda: plots.kernels_over_time(
        np.random.default_rng(0).normal(size=(12, 3, 4, 5, 5)), count=2
    ),
    "kernels_over_time of one that is zero": lambda: plots.kernels_over_time(
        np.zeros((1, 3, 1, 1, 1))
    ),
    "neighbours": lambda: plots.neighbours(
        list(film(2)), [list(film(3)), list(film(2))], [["a", "b", "c", "d"], ["e", "f", "g"]]
    ),
    "neighbours of one alone": lambda: plots.neighbours(list(film(1)), [[]], [["a"]]),
    "feature_map": lambda: plots.feature_map(
        np.random.default_rng(0).normal(size=(9, 5)), range(9)
    ),
    "feature_map of one": lambda: plots.feature_map([[1.0]], [3]),
    "score_steps": lambda: plots.score_steps(60, [1, -4], 57),
    "score_steps of one, with a rest": lambda: plots.score_steps(60, [0], 57),
    "attribution_strip": lambda: plots.attribution_strip(
        film(20), heat(20), inside=np.arange(20) > 12
    ),
    "attribution_strip of one frame without heat": lambda: plots.attribution_strip(
        film(1), np.zeros((1, 1, 1))
    ),
    "attribution_moment": lambda: plots.attribution_moment(
        film(20), heat(20), 7, inside=np.arange(20) % 3 == 0
    ),
    "attributed_moments": lambda: plots.attributed_moments(
        np.eye(4, 9), np.eye(4, 9, 2) > 0, ["b", "a", "b", "c_d"]
    ),
    "attributed_moments of one": lambda: plots.attributed_moments([[0.0]], [[True]], ["a"]),
    "fault_effects": lambda: plots.fault_effects(
        [1, 2, 1], [3, 0, -1], ["splash", "splash", "legs_apart"]
    ),
    "fault_effects of one": lambda: plots.fault_effects([1], [1], ["splash"]),
    "error_views": lambda: plots.error_views(errors(30), title="Errors"),
    "error_views of one": lambda: plots.error_views(errors(1)),
    "feature_map, constant": lambda: plots.feature_map(np.ones((4, 3)), [1, 1, 1, 1]),
}


def test_every_figure_of_the_module_is_tried_here():
    named = {name.split()[0].rstrip(",") for name in FIGURES}
    assert {name for name, value in vars(plots).items() if callable(value)} == named


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_returned_shown_by_a_notebook_and_unknown_to_pyplot(name, tmp_path):
    settings_before = dict(matplotlib.rcParams)
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings_before
    assert PNGFormatter()(figure).startswith(
        b"\x89PNG"
    )  # what a notebook asks of a cell's last value
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 0


def test_readers_settings_do_not_change_a_figure():
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False}):
        loud = FIGURES["pair_differences"]()
    plain = FIGURES["pair_differences"]()
    sizes = [figure.axes[0].xaxis.get_ticklabels()[0].get_size() for figure in (loud, plain)]
    assert sizes[0] == sizes[1]


def line_points(line):
    return np.column_stack(line.get_data()).tolist()


def lines_of(axes):
    return [line_points(line) for line in axes.get_lines()]


def vertical_lines(axes):
    """Where lines stand that cross the axes from bottom to top."""
    whole = [line.get_xdata() for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]]
    return sorted({x[0] for x in whole if x[0] == x[1]})


def legend(figure):
    """What stands in the legends below or beside the axes."""
    boxes = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for box in boxes if box for text in box.get_texts()]


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# Films, scores, judges


def test_film_strip_shows_the_frames_it_numbers():
    figure = plots.film_strip(film(21), count=5, marks=[7.5, 8.0], highlight=(5, 11))
    shown = [int(axis.get_images()[0].get_array()[0, 0, 0]) for axis in figure.axes]
    assert shown == [0, 5, 10, 15, 20]
    assert [axis.get_xlabel() for axis in figure.axes] == ["frame 0", "5", "10", "15", "20"]
    assert [bool(axis.spines["top"].get_visible()) for axis in figure.axes] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert figure.axes[0].get_title(loc="left") == "judges: 7.5  8"


def test_film_strips_have_a_row_and_a_caption_each():
    figure = plots.film_strips([film(9), film(4)], ["query, 64.5", "exemplar, 72"], count=6)
    assert len(figure.axes) == 12
    assert [figure.axes[row].get_title(loc="left") for row in (0, 6)] == [
        "query, 64.5",
        "exemplar, 72",
    ]
    assert sum(len(axis.get_images()) for axis in figure.axes[6:]) == 4
    with pytest.raises(ValueError, match="2 films and 1 captions"):
        plots.film_strips([film(9), film(4)], ["query"])
    with pytest.raises(ValueError, match=r"\[9, 6, 8\]"):
        plots.film_strip(film(9)[..., 0])


def test_score_histogram_counts_every_score_once_and_gathers_small_groups():
    scores, groups = np.arange(40.0), np.repeat([f"g{number}" for number in range(10)], 4)
    figure = plots.score_histogram(scores, groups, bins=8)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 40
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(names) == 7 and names[-1] == "other (4)"
    assert vertical_lines(figure.axes[0]) == [19.5]


def test_score_panels_have_an_axis_each_and_say_how_many_pairs_tie():
    figure = plots.score_panels({"a": [1, 1, 1, 2], "b": [700, 800.0], "c": [5]}, columns=2)
    first, second, third, empty = figure.axes
    # of the six pairs of 1 1 1 2 three tie
    assert first.get_title(loc="left").split("\n") == ["a", "4, 2 different, 50.0 % ties"]
    assert second.get_xlim()[0] > 600 and vertical_lines(second) == [750]
    assert sum(bar.get_height() for bar in first.patches) == 4
    assert third.get_title(loc="left").endswith("1, 1 different, 0.0 % ties") and not empty.axison
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.score_panels({})


def test_rated_items_count_every_mark_and_place_every_trial_in_its_fold():
    above, below = plots.rated_items({"task": rated("BBCB")}).axes
    assert np.asarray(above.get_images()[0].get_array()).tolist() == [
        [1, 1, 1, 1, 0],
        [0, 0, 0, 0, 4],
    ]
    drawn = {line.get_label(): line_points(line) for line in below.get_lines()}
    assert [(round(x), y) for x, y in drawn["B"]] == [(0, 6), (1, 7), (1, 9)]
    assert [(round(x), y) for x, y in drawn["C"]] == [(0, 8)]
    with pytest.raises(ValueError, match="task has no column group"):
        plots.rated_items({"task": rated("B").drop(columns="group")})


def test_exemplar_counts_climb_to_the_share_of_samples_with_at_most_so_many():
    axis = plots.exemplar_counts({"a": [20, 1, 3, 3]}, wanted=10).axes[0]
    step = axis.get_lines()[0]
    places = [(round(np.expm1(x)), y) for x, y in line_points(step)]
    assert places == [(1, 0), (1, 25), (3, 50), (3, 75), (20, 100)]
    assert step.get_label() == "a: 3 of 4 below 10" and step.get_drawstyle() == "steps-post"
    assert np.expm1(vertical_lines(axis)[0]) == pytest.approx(10)
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.exemplar_counts({})


def test_judges_agreement_draws_ranges_and_needs_two_judges():
    figure = plots.judges_agreement([[7, 8], [7, 8], [5, 5]])
    counts = {
        patch.get_x() + patch.get_width() / 2: patch.get_height()
        for patch in figure.axes[1].patches
    }
    assert counts[0.0] == 1 and counts[1.0] == 2
    spots = figure.axes[0].collections[0].get_offsets()
    assert sorted(map(tuple, np.asarray(spots))) == [(5, 5), (7.5, 7), (7.5, 8)]
    with pytest.raises(ValueError, match="two judges"):
        plots.judges_agreement([[7], []])


# Scores, pairs, intervals, tree


def test_a_judge_against_the_panel_says_rho_and_error_where_there_are_any():
    figure = plots.judge_against_panel([7, 3, 5], [[7, 8], [2, 3], [5, 5]], judge="you")
    assert figure.get_suptitle() == "3 dives: rho 1.00, mean absolute error 0.33"
    assert "rho not defined yet" in plots.judge_against_panel([7], [[7, 8]]).get_suptitle()
    with pytest.raises(ValueError, match="2 marks and 1 panels"):
        plots.judge_against_panel([7, 3], [[7, 8]])


def test_score_scatter_has_its_identity_line_and_residuals():
    figure = plots.score_scatter([10, 20, 40], [12, 20, 35], groups=["x", "y", "x"])
    left, right = figure.axes
    (x0, y0), (x1, y1) = lines_of(left)[0]
    assert x0 == y0 <= 10 and x1 == y1 >= 40
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in right.collections])
    assert sorted(map(tuple, drawn)) == [(10, 2), (20, 0), (40, -5)]
    assert len({tuple(dots.get_facecolor()[0]) for dots in right.collections}) == 2
    with pytest.raises(ValueError, match="2 values where 3 belong"):
        plots.score_scatter([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"predicted\[1\]"):
        plots.score_scatter([1, 2], [1, np.nan])
    with pytest.raises(ValueError, match="empty"):
        plots.score_scatter([], [])


def test_pair_differences_mark_both_medians_whatever_the_sign():
    figure = plots.pair_differences([10, -20, 30], [-2, 4, 6], labels=("all", "same dive"))
    assert vertical_lines(figure.axes[0]) == [4, 20]
    assert "same dive (3 pairs)" in [
        text.get_text() for text in figure.axes[0].get_legend().get_texts()
    ]


def test_intervals_draw_their_edges_and_share_of_pairs():
    differences = [0.2, 0.7, 1.0, -1.5, 2, 5, 7, 12]
    figure = plots.intervals(differences, EDGES)
    assert vertical_lines(figure.axes[0]) == [0, 1, 2.5, 30]
    # 0.2 0.7 | 1.0 (on the edge: farther from zero) 1.5 2 | 5 7 12
    assert [bar.get_width() for bar in figure.axes[1].patches] == [25, 37.5, 37.5]
    assert tick_names(figure.axes[1].yaxis) == ["0 to 1", "1 to 2.5", "2.5 to 30"]
    with pytest.raises(ValueError, match="must rise"):
        plots.intervals(differences, [0, 2, 1])


def test_intervals_as_narrow_as_rounding_are_empty_as_score_groups_say():
    figure = plots.intervals([1, 2.5, 2.5, 20], [0, 2.5, 2.5 + 4e-15, 30])
    assert [bar.get_width() for bar in figure.axes[1].patches] == [25, 0, 75]
    assert tick_names(figure.axes[1].yaxis)[1] == "2.5 to 2.5 (empty)"
    assert figure.get_suptitle().startswith("3 intervals (1 empty), the others with 25 to 75 %")


def test_mirrored_intervals_are_symmetric():
    figure = plots.intervals([0.2, 0.7, 1.0, 12], EDGES, mirrored=True)
    assert vertical_lines(figure.axes[0]) == [-30, -2.5, -1, 0, 1, 2.5, 30]
    assert [bar.get_width() for bar in figure.axes[1].patches] == [12.5, 12.5, 25, 25, 12.5, 12.5]
    assert tick_names(figure.axes[1].yaxis)[2] == "-1 to 0"


@settings(max_examples=8)
@given(st.integers(1, 5), st.integers(0, 99))
def test_a_tree_names_every_leaf_and_adds_up_its_probabilities(depth, seed):
    K = 2**depth
    probability = np.random.default_rng(seed).dirichlet(np.ones(K))
    borders = np.linspace(-30, 30, K + 1)
    axis = plots.tree(np.log(probability), borders[:-1], borders[1:]).axes[0]
    assert len(tick_names(axis.xaxis)) == K
    numbers = [text.get_text() for text in axis.texts]
    assert len(numbers) == 2 * K - 1 and numbers[0] == "100"
    assert numbers[1] == f"{100 * probability[: K // 2].sum():.0f}"
    assert numbers[-K:] == [f"{100 * leaf:.0f}" for leaf in probability]
    *lines, named = axis.get_lines()
    best = [line for line in lines if line.get_color() == named.get_color()]
    assert named.get_label() == "path to the most probable leaf"
    assert probability.argmax() in {line.get_xdata()[1] for line in best}
    assert len(best) == depth
    assert "not to scale" in axis.get_xlabel()


def test_a_tree_marks_the_differences_within_their_intervals():
    # Leaf 2 stands for 0 to 4, from 1.5 to 2.5 on the axis: 1 lies a quarter into it. 17 is halfway
    # through leaf 3.
    axis = plots.tree(QUARTERS, LEFT, RIGHT, true_difference=17, predicted=1).axes[0]
    named = [line for line in axis.get_lines() if not line.get_label().startswith("_")]
    places = {line.get_label(): line.get_xdata()[0] for line in named if len(line.get_xdata())}
    assert places == {"true difference 17": 3.0, "predicted 1": 1.75}
    with pytest.raises(ValueError, match="3 leaves"):
        plots.tree(np.log([0.2, 0.3, 0.5]), LEFT[:3], RIGHT[:3])
    with pytest.raises(ValueError, match="3 values where 4 belong"):
        plots.tree(QUARTERS, LEFT[:3], RIGHT)


# Runs


def test_learning_curves_skip_unjudged_epochs_and_ring_the_best():
    figure = plots.learning_curves(
        {"CoRe": history(6), "CoRe (w/ DD)": history(6), "I3D+MLP": history(6)}
    )
    loss, rho, distance = figure.axes
    assert [len(line.get_xdata()) for line in loss.get_lines()] == [6, 6, 6]
    curve, ring = rho.get_lines()[:2]
    assert list(curve.get_xdata()) == [0, 2, 4]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (4, 0.4)
    assert distance.get_lines()[1].get_ydata()[0] == pytest.approx(2.6)
    core, core_dd, mlp = loss.get_lines()
    assert core.get_color() == core_dd.get_color() != mlp.get_color()
    assert core.get_linestyle() != core_dd.get_linestyle()
    with pytest.raises(ValueError, match="no column loss"):
        plots.learning_curves({"core": history(3).drop(columns="loss")})


def test_a_line_has_its_systems_colour_where_it_bears_its_name():
    names = ("I3D+MLP", "CoRe, seed 0", "CoRe (w/ DD)", "Kernel ridge", "CoRe on likeness", "")
    found = [line_colour(name, place) for place, name in enumerate(names)]
    own = [SYSTEM_COLOURS[system] for system in ("mlp", "core", "core", "kernel")]
    assert found == [*own, *GROUP_COLOURS[4:6]]
    figure = plots.judges_worth([1, 2], [0.8, 0.9], {"I3D+MLP": 0.85, "CoRe": 0.86})
    told = {line.get_label().split(":")[0]: line.get_color() for line in figure.axes[0].lines}
    assert told["CoRe"] == SYSTEM_COLOURS["core"] and told["I3D+MLP"] == SYSTEM_COLOURS["mlp"]


def test_judges_worth_says_at_which_size_a_panel_is_as_good():
    models = {"half": 0.85, "one": 0.9, "beyond": 0.99}
    figure = plots.judges_worth([0.25, 1, 4], [0.8, 0.9, 0.95], models)
    told = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert told == [
        "panels of judges",
        "half: rho 0.850, 0.5 judges",
        "one: rho 0.900, 1 judges",
        "beyond: rho 0.990",
    ]


def test_reliability_draws_a_panel_a_kind_of_data_and_a_line_a_way():
    figure = plots.reliability(promises(seeds=3), [0.5, 0.9])
    assert [axis.get_title("left") for axis in figure.axes] == ["dives", "Fis-V"]
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in lines] == ["split", "afar"]
    np.testing.assert_allclose(lines[0].get_xydata(), [(50, 51), (90, 91)])  # mean of the seeds


def test_vote_weights_say_how_many_speak_against_and_where_the_vote_falls():
    figure = plots.vote_weights([0.7, 0.5, -0.2], [20.0, 30.0, 40.0], 25.0)
    assert figure.get_suptitle() == "3 exemplars vote, 1 of them with a negative weight"
    told, true = figure.axes[0].get_lines()[-2:]
    assert told.get_xdata()[0] == pytest.approx(21) and true.get_xdata()[0] == 25


def test_system_comparison_draws_every_seed_with_mean_and_spread():
    figure = plots.system_comparison(runs(), levels={"one judge": (0.973, 0.145)})
    left, right = figure.axes
    assert tick_names(left.yaxis) == ["I3D+MLP", "CoRe", "CoRe (w/ DD)"]
    assert vertical_lines(left) == [0.973] and vertical_lines(right) == [0.145]
    points = {
        tuple(np.round(np.array(line.get_xdata(), dtype=float), 4)) for line in left.get_lines()
    }
    assert {(0.91, 0.92, 0.93), (0.93, 0.94, 0.95), (0.95, 0.96, 0.97)} <= points
    # Means .92 .94 .96, each with a sample standard deviation of .01.
    bars = [bar.get_segments()[0][:, 0] for bar in left.collections]
    assert np.allclose(bars, [[0.91, 0.93], [0.93, 0.95], [0.95, 0.97]])
    assert {(0.92,), (0.94,), (0.96,)} <= points
    with pytest.raises(ValueError, match="one dataset"):
        plots.system_comparison(runs().assign(dataset=["a", "b", "c"] * 3))
    with pytest.raises(ValueError, match="empty"):
        plots.system_comparison(runs()[:0])


def test_system_comparison_says_which_runs_have_no_value():
    rows = runs()
    rows.loc[0, "spearman"] = np.nan
    left, right = plots.system_comparison(rows).axes
    assert tick_names(left.yaxis) == ["I3D+MLP", "CoRe\n(1 undefined)", "CoRe (w/ DD)"]
    assert sorted(len(line.get_xdata()) for line in left.get_lines())[-3:] == [2, 3, 3]
    assert sorted(len(line.get_xdata()) for line in right.get_lines())[-3:] == [3, 3, 3]


def test_system_comparison_by_another_column_keeps_its_order():
    rows = runs().assign(ablation=np.repeat(["whole", "no tree", "no groups"], 3))
    assert tick_names(plots.system_comparison(rows, by="ablation").axes[0].yaxis) == [
        "whole",
        "no tree",
        "no groups",
    ]


def test_exemplar_vote_sorts_by_the_exemplars_scores():
    axis = plots.exemplar_vote([63, 66, 65], [80, 50, 60], 64.7, 66, names=["a", "b", "c"]).axes[0]
    assert tick_names(axis.yaxis) == ["b", "c", "a"]
    own, told = axis.get_lines()[:2]
    assert list(own.get_xdata()) == [50, 60, 80] and list(told.get_xdata()) == [66, 65, 63]
    assert vertical_lines(axis) == [64.7, 66]


# Clips, snippets, kernels, features


def test_clip_grid_reads_both_orders_and_restores_colours():
    clip = np.zeros((3, 2, 4, 5))
    clip[0], clip[2, 1] = 1, -1
    for given_clip in (clip, np.moveaxis(clip, 0, -1)):
        figure = plots.clip_grid(given_clip)
        images = [axis.get_images()[0].get_array() for axis in figure.axes if axis.get_images()]
        assert [image.shape for image in images] == [(4, 5, 3)] * 2
        assert images[0][0, 0].tolist() == [1, 0.5, 0.5] and images[1][0, 0].tolist() == [1, 0.5, 0]
    with pytest.raises(ValueError, match=r"\[2, 4, 5\]"):
        plots.clip_grid(clip[0])


def test_snippet_layout_of_the_paper_never_sees_the_last_frame():
    figure = plots.snippet_layout([0, 10, 20, 30, 40, 50, 60, 70, 80, 86], 16, 103)
    top, bottom = figure.axes
    assert [(bar.get_x(), bar.get_width()) for bar in top.patches][-1] == (86, 16)
    assert "1 never seen (102)" in figure.get_suptitle()
    uses = [bar.get_height() for bar in bottom.patches[:103]]
    assert sum(uses) == 160 and uses[0] == 1 and uses[12] == 2 and uses[102] == 0
    (cross,) = bottom.get_lines()
    assert line_points(cross) == [[102.5, 0]] and cross.get_label() == "never seen"
    assert len(bottom.patches) == 103 and max(uses) == 2
    with pytest.raises(ValueError, match="leaves the clip"):
        plots.snippet_layout([0, 90], 16, 103)


@given(st.integers(1, 6))
@settings(max_examples=6)
def test_inflated_slices_add_up_to_the_kernel(length):
    kernel = np.array([[1.0, -2], [0.5, 4]])
    images = [axis.get_images()[0] for axis in plots.inflate_kernel(kernel, length).axes]
    assert np.array_equal(images[0].get_array(), kernel)
    assert np.allclose(sum(image.get_array() for image in images[1:]), kernel)
    assert len({image.get_clim() for image in images}) == 1 and len(images) == length + 1


def test_feature_map_finds_the_direction_that_varies():
    # Along one direction only: the first coordinate carries all variance, in order, the second
    # none.
    steps = np.array([-2.0, -1, 0, 1, 2])
    axis = plots.feature_map(steps[:, None] * [[0.6, 0.8, 0]] + 5, steps).axes[0]
    points = np.asarray(axis.collections[0].get_offsets())
    assert np.allclose(points[:, 0], steps) or np.allclose(points[:, 0], -steps)
    assert np.allclose(points[:, 1], 0)
    assert axis.get_xlabel() == "direction 1 (100 %)"
    with pytest.raises(ValueError, match="4 values where 5 belong"):
        plots.feature_map(np.ones((5, 2)), [1, 2, 3, 4])


# Why a score


def test_what_moves_the_score_by_nothing_looks_like_nothing():
    """An untrained model's heat is some millionths of a point: no axis of its own, no full bar."""
    steps_ = plots.score_steps(66.5, [-5e-6], 66.5 - 5.2e-6).axes[0]
    assert [text.get_text() for text in steps_.texts] == ["0.00"]
    assert np.ptp(steps_.get_xlim()) > 0.6 and tick_names(steps_.yaxis) == ["snippet 1"]
    strip = plots.attribution_strip(film(20), heat(20) * 1e-7)
    course = strip.axes[-1]
    assert np.ptp(course.get_ylim()) >= 0.02
    rows = plots.attributed_moments([[1e-6, -1e-6]], [[True, False]], ["splash"]).axes[0]
    assert np.abs(rows.get_images()[0].get_array()).max() < 0.001
    for figure in (steps_.figure, strip):
        offsets = [
            axis.get_offset_text() for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
        ]
        assert not any(text.get_text() for text in offsets)


def test_the_legend_of_a_moment_stays_where_it_is():
    places = set()
    for moment in (0, 7, 19):
        figure = plots.attribution_moment(film(20), heat(20), moment, inside=np.arange(20) > 12)
        (box,) = figure.legends
        places.add(tuple(np.round(box.get_window_extent().bounds, 3)))
        assert figure.axes[2].get_legend() is None
    assert len(places) == 1


def test_score_steps_lead_from_the_reference_to_the_score():
    axis = plots.score_steps(60, [1, -4], 57).axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axis.patches] == [(60, 1), (61, -4)]
    assert vertical_lines(axis) == [57, 60] and tick_names(axis.yaxis) == ["snippet 1", "snippet 2"]
    rest = plots.score_steps(60, [1, -3], 57, names=["start", "end"]).axes[0]
    assert (
        tick_names(rest.yaxis) == ["start", "end", "not explained"]
        and rest.patches[2].get_width() == -1
    )
    with pytest.raises(ValueError, match="1 names and 2 parts"):
        plots.score_steps(60, [1, -4], 57, names=["a"])


def test_attribution_strip_marks_the_fault_and_sums_the_heat_of_each_frame():
    figure = plots.attribution_strip(film(20), heat(20), inside=np.arange(20) > 12, count=5)
    *pictures, course = figure.axes
    assert [axis.get_xlabel() for axis in pictures[1::2]] == [
        "frame 0",
        "7",
        "10",
        "14",
        "19",
    ]  # the hottest for 5
    assert [bool(axis.spines["top"].get_visible()) for axis in pictures[::2]] == [
        False,
        False,
        False,
        True,
        True,
    ]
    heights = np.array([patch.get_height() for patch in course.patches[:40]])
    np.testing.assert_allclose(heights[:20] + heights[20:40], heat(20).sum(axis=(1, 2)))
    assert heights[27] == pytest.approx(-3.9) and heights[7] == 0
    span = course.patches[40]
    assert (span.get_x(), span.get_width()) == (12.5, 7)
    with pytest.raises(ValueError, match="equal T"):
        plots.attribution_strip(film(20), heat(19))
    with pytest.raises(ValueError, match="3 values where 20 belong"):
        plots.attribution_strip(film(20), heat(20), inside=[True] * 3)


def test_attribution_moment_stands_at_its_frame():
    plain, laid, course = plots.attribution_moment(film(20), heat(20), 7).axes
    assert plain.get_images()[0].get_array()[0, 0, 0] == 7
    overlay = laid.get_images()[1]
    assert overlay.get_array().min() == -5 and overlay.get_alpha().max() == 1
    assert vertical_lines(course) == [7]


def test_attributed_moments_sort_by_fault_and_outline_every_span():
    spans = np.eye(4, 9, 2) > 0
    axis = plots.attributed_moments(np.eye(4, 9), spans, ["b", "a", "b", "c_d"]).axes[0]
    assert tick_names(axis.yaxis) == ["a", "b", "c d"]
    drawn = np.asarray(axis.get_images()[0].get_array())
    assert drawn.argmax(axis=1).tolist() == [1, 0, 2, 3]
    sides = [line.get_xdata()[0] for line in axis.get_lines() if line.get_gid() == "span"]
    assert sides == [2.5, 3.5, 1.5, 2.5, 3.5, 4.5, 4.5, 5.5]
    with pytest.raises(ValueError, match="do not belong together"):
        plots.attributed_moments(np.eye(4, 9), spans, ["a"])


def test_fault_effects_put_the_fault_that_the_model_sees_best_first():
    axis = plots.fault_effects([1, 2, 1], [0, 0.5, 3], ["legs_apart", "legs_apart", "splash"]).axes[
        0
    ]
    assert tick_names(axis.yaxis) == ["splash (1)", "legs apart (2)"]
    means = [line.get_xdata()[0] for line in axis.get_lines() if line.get_marker() == "D"]
    assert means == [3, 0.25]
    assert [line.get_xdata()[0] for line in axis.get_lines() if line.get_marker() == "|"] == [
        1,
        1.5,
    ]


def test_error_views_draw_a_box_a_group_and_a_trend_along_many_values():
    group, difficulty, spread = plots.error_views(errors(30)).axes
    assert tick_names(group.xaxis) == ["103B", "407C"] and tick_names(difficulty.xaxis) == [
        "2.0",
        "3.1",
    ]
    assert "rho with the error's size" in spread.get_title(loc="left")
    assert len(spread.collections[0].get_offsets()) == 30
    with pytest.raises(ValueError, match="no column judges_spread"):
        plots.error_views(errors(30).drop(columns="judges_spread"))
    with pytest.raises(ValueError, match="empty"):
        plots.error_views(errors(30)[:0])


def test_spread_curves_show_means_spreads_and_the_order_of_the_rows():
    rho, rl2 = plots.spread_curves(steps(), "exemplars").axes
    means, dots = rho.get_lines()[0], rho.get_lines()[-1]
    np.testing.assert_allclose(np.asarray(means.get_ydata(), float), [0.91, 0.93, 0.95])
    np.testing.assert_allclose(
        sorted(np.asarray(dots.get_ydata(), float)), sorted(steps()["spearman"])
    )
    assert [text.get_text() for text in rho.get_xticklabels()] == ["1", "10", "all"]
    bars = rho.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(
        [top[1] - bottom[1] for bottom, top in bars], 0.02
    )  # twice the standard deviation of 0, .01, .02
    assert "lower is better" in rl2.get_title(loc="left")


def test_dot_diamond_and_bar_are_named_and_one_seed_is_a_dot_alone():
    mean = "mean of several; bar: their standard deviation"
    for draw in (lambda n: plots.system_comparison(runs(n)), lambda n: curves(n)):
        assert legend(draw(3)) == ["one seed", mean] and legend(draw(1)) == ["one seed"]
    alone = plots.system_comparison(runs(1)).axes[0]
    assert not alone.containers and [line.get_marker() for line in alone.get_lines()] == ["o"] * 3
    assert lines_of(alone)[0][0][1] == 0 and not curves(1).axes[0].containers[0].has_yerr
    folds = plots.spread_curves(steps(), "exemplars", unit="fold")
    assert legend(folds)[0] == "one fold"


def curves(seeds):
    return plots.spread_curves(steps(seeds), "exemplars")


def test_spread_curves_without_what_they_need_are_refused():
    with pytest.raises(ValueError, match="no column depth"):
        plots.spread_curves(steps(), "depth")
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.spread_curves(steps()[:0], "exemplars")


DOLLARS = ("$a$", "$\\frac{$", "cost $5", "5$_6$", "a_b^c")


def test_a_dollar_in_an_id_or_a_group_is_a_dollar():
    groups = list(DOLLARS)
    figures = [
        plots.score_scatter(range(5), range(5), groups=groups, title="$x^$"),
        plots.exemplar_vote(range(5), range(5), 2.0, names=groups),
        plots.score_steps(1, [1, 2, 3, 4, 5], 16, names=groups),
        plots.film_strips([film(3)] * 5, groups),
        plots.learning_curves({name: history(3) for name in groups}),
        plots.error_views(pd.DataFrame({"group": groups * 4, "error": range(20)}), ("group",)),
        plots.fault_effects(np.arange(4), np.arange(4), groups[:4]),
    ]
    for figure in figures:
        assert PNGFormatter()(figure)  # read as formulas, some of these names are errors
        dollars = [text for text in figure.findobj(Text) if "$" in text.get_text()]
        assert any("$a$" in text.get_text() for text in dollars) and not any(
            text.get_parse_math() for text in dollars
        )
