"""The widgets, driven without a browser: a value is changed or a button pressed, and what is shown
changes."""

import dataclasses
import io

import av
import ipywidgets
import numpy as np
import pytest
import torch

from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.figures import widgets
from corelib.models import Baseline, CoRe
from corelib.pairs import draw_exemplars
from corelib.tree import RegressionTree, ScoreGroups, quantile_edges


def parts(box):
    """Every widget of a box, by its description or, where it has none, its type."""
    found = {}
    for child in getattr(box, "children", ()):
        found |= (
            parts(child)
            if hasattr(child, "children")
            else {getattr(child, "description", "") or type(child).__name__: child}
        )
    return found


def test_be_the_judge_compares_every_mark_with_the_panel(small_dives):
    box = widgets.be_the_judge(small_dives, rows=small_dives.rows("test")[:3])
    shown = parts(box)
    assert {"your mark", "Give mark", "Next dive", "Video", "Image", "HTML"} <= set(shown)
    figure = box.children[0].children[1]
    assert isinstance(figure, ipywidgets.Image)
    films, figures, marks = (
        [shown["Video"].value],
        [figure.value],
        {row: panel for row, panel in enumerate(small_dives.marks())},
    )
    ids = small_dives.samples["id"].tolist()
    for number, mark in enumerate((4.5, 8.0, 6.0), start=1):
        row = next(row for row in small_dives.rows("test") if ids[row] in shown["HTML"].value)
        assert shown["Next dive"].disabled and not shown["Give mark"].disabled
        shown["your mark"].value = mark
        shown["Give mark"].click()
        assert (
            f"<b>{mark:g}</b>" in shown["HTML"].value
            and f"mean {marks[row].mean():.2f}" in shown["HTML"].value
        )
        assert shown["Give mark"].disabled and shown["your mark"].disabled
        figures.append(figure.value)
        assert shown["Next dive"].disabled == (number == 3)
        if number < 3:
            shown["Next dive"].click()
            films.append(shown["Video"].value)
    assert len(set(films)) == 3 and len(set(figures)) == 4
    assert "last dive" in shown["HTML"].value
    assert page_of(box).count("The panel gave") == 2 * 3  # in the text and in the picture's


def test_be_the_judge_shows_only_a_samples_own_range_of_frames(small_dives, tmp_path):
    samples = small_dives.samples.assign(start=2, end=9)
    write_table(tmp_path, small_dives.info | {"raw_root": str(small_dives.root.resolve())}, samples)
    shown = parts(widgets.be_the_judge(SampleTable.load(tmp_path)))
    with av.open(io.BytesIO(shown["Video"].value)) as film:
        assert len(list(film.decode(video=0))) == 7


def test_be_the_judge_needs_a_panel(small_dives, tmp_path):
    write_table(
        tmp_path,
        small_dives.info | {"raw_root": str(small_dives.root.resolve())},
        small_dives.samples.drop(columns="judges"),
    )
    with pytest.raises(ValueError, match="none of the 8 rows has the marks of a panel"):
        widgets.be_the_judge(SampleTable.load(tmp_path))
    with pytest.raises(ValueError, match="none of the 0 rows"):
        widgets.be_the_judge(small_dives, rows=np.array([], int))


def test_intervals_by_depth_follow_the_slider():
    differences = np.r_[np.full(30, 0.5), np.arange(1, 41)]
    box = widgets.intervals_by_depth(differences)
    shown = parts(box)
    seen = {}
    for depth in (3, 4, 6):
        shown["depth"].value = depth
        seen[depth] = shown["HTML"].value, shown["Image"].value
        assert f"{2 ** (depth - 1)} leaves" in shown["HTML"].value
    assert len({picture for _, picture in seen.values()}) == 3
    assert "4 of them open" in seen[3][0]
    edges = quantile_edges(differences, 6)
    assert f"{2 * np.count_nonzero(np.diff(edges))} of them open" in seen[6][0]
    assert np.count_nonzero(np.diff(edges)) < 16  # many pairs share .5, so some leaves are closed
    page = page_of(box)
    assert page.count("<img ") == 5 and page.count("<div hidden>") == 4
    assert 'alt="depth = 3. 4 leaves, 4 of them open;' in page and shown["depth"].value == 6


def page_of(box):
    """What a widget leaves for pages without a kernel, beside what JupyterLab shows."""
    data = box._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    return data["text/html"]


def test_intervals_as_narrow_as_rounding_are_not_counted_as_open():
    differences = np.array([1, 2.5, 2.5 + 4e-15, 2.5 + 8e-15, 30])
    text = parts(widgets.intervals_by_depth(differences, depths=(4,)))["HTML"].value
    assert "8 leaves, 4 of them open" in text and "narrowest open one 2.50" in text


class Features(torch.nn.Module):
    out_features = 6


@pytest.fixture
def bench(small_dives):
    """(arguments of exemplar_bench, an untrained CoRe on random features of the small dives)."""
    torch.manual_seed(0)
    model = CoRe(
        Features(),
        ScoreGroups([0.0, 1.0, 2.5, 6.0, 30.0]),
        RegressionTree(13, depth=4, width=8),
        theta=5,
        decoding="expected",
        loss="mean",
    )
    features, targets = (
        torch.randn(len(small_dives.samples), 6),
        small_dives.target(with_difficulty=True),
    )
    return (
        model,
        features,
        small_dives,
        targets,
        small_dives.samples["difficulty"].astype(str).to_numpy(),
    )


def test_the_exemplar_bench_votes_as_the_model_does(bench):
    model, features, table, targets, groups = bench
    shown = parts(box := widgets.exemplar_bench(*bench, count=4))
    ids = table.samples["id"].to_numpy()
    assert [row for _, row in shown["query"].options] == table.rows("test").tolist(), (
        "no validation split: the test dives"
    )
    shown["query"].value = row = int(table.rows("test")[3])
    shown["exemplars"].value, shown["seed"].value = 3, 7
    chosen = draw_exemplars(
        np.array([row]),
        table.rows("train"),
        ids=ids,
        groups=groups,
        difficulty=table.samples["difficulty"].to_numpy(),
        count=3,
        seed=7,
    ).exemplar
    known = torch.as_tensor(targets[chosen], dtype=torch.float32)
    with torch.no_grad():
        verdicts = model.predict(features[[row] * 3], features[chosen], known)
    assert [value for _, value in shown["tree against"].options] == chosen.tolist()
    assert (
        f"predicted <b>{verdicts.mean():.2f}</b>, true <b>{targets[row]:.2f}</b>"
        in shown["HTML"].value
    )
    assert shown["tree against"].options[0][0].endswith(f"{verdicts[0] - known[0]:+.2f}")
    assert "exemplars = 1. 1 exemplar of" in page_of(box) and shown["exemplars"].value == 3


def test_every_control_of_the_exemplar_bench_changes_what_it_is_about(bench):
    box = widgets.exemplar_bench(*bench, count=4)
    shown = parts(box)
    vote, tree = (child for child in box.children if isinstance(child, ipywidgets.Image))
    for control, value, tree_too in (
        ("query", 25, True),
        ("exemplars", 5, False),
        ("seed", 3, True),
    ):
        before = vote.value, tree.value
        shown[control].value = value
        assert vote.value != before[0] and (tree.value != before[1] or not tree_too), control
    before = vote.value, tree.value
    shown["tree against"].value = shown["tree against"].options[2][1]
    assert vote.value == before[0] and tree.value != before[1]


def test_the_exemplar_bench_says_when_a_group_is_too_small(bench):
    model, features, table, targets, groups = bench
    alone = np.array([f"group {row}" for row in range(len(groups))])
    assert (
        "3 of another group"
        in parts(widgets.exemplar_bench(model, features, table, targets, alone, count=3))[
            "HTML"
        ].value
    )
    assert "another group" not in parts(widgets.exemplar_bench(*bench, count=3))["HTML"].value


def test_the_exemplar_bench_needs_a_tree_and_a_query(bench):
    with pytest.raises(ValueError, match="needs CoRe with its tree, not Baseline"):
        widgets.exemplar_bench(Baseline(Features(), hidden=4, mean=20, deviation=4), *bench[1:])
    with pytest.raises(ValueError, match="no query to choose from"):
        widgets.exemplar_bench(*bench, queries=np.array([], int))


def test_scrub_attribution_draws_the_frame_that_is_asked_for():
    frames = (
        np.zeros((6, 8, 8, 3), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None, None] * 40
    )
    heat = np.zeros((6, 2, 2))
    heat[4, 1, 1] = -3
    box = widgets.scrub_attribution(frames, heat, inside=np.arange(6) > 3)
    shown = parts(box)
    slider, play, figure = shown["frame"], shown["play"], shown["Image"]
    assert (
        isinstance(play, ipywidgets.Play)
        and slider.value == play.value == 4
        and (slider.min, slider.max) == (0, 5)
    )
    pictures = {slider.value: bytes(figure.value)}
    slider.value = 1
    pictures[1] = bytes(figure.value)
    play.value = 5  # as if it played
    assert slider.value == 5
    pictures[5] = bytes(figure.value)
    assert len(set(pictures.values())) == 3 and all(
        picture.startswith(b"\x89PNG") for picture in pictures.values()
    )
    slider.value = 4
    assert bytes(figure.value) == pictures[4]
    assert page_of(box).count("<img ") == 6 and slider.value == 4
    with pytest.raises(ValueError, match="equal T"):
        widgets.scrub_attribution(frames, heat[:3])


def test_show_sample_by_id_and_by_row_as_a_strip_or_a_film(small_dives):
    row = int(np.flatnonzero(small_dives.samples["main_fault"] != "none")[0])
    sample = small_dives.samples.iloc[row]
    strip = widgets.show_sample(small_dives, sample["id"])
    assert (
        sample["id"] in strip.get_suptitle()
        and f"difficulty {sample['difficulty']}" in strip.get_suptitle()
    )
    assert any(axis.spines["top"].get_visible() for axis in strip.axes)  # the fault's frames
    assert widgets.show_sample(small_dives, row).get_suptitle() == strip.get_suptitle()
    film = widgets.show_sample(small_dives, sample["id"], playable=True)
    assert "video/mp4;base64," in film._repr_html_() and "controls" in film._repr_html_()


def test_show_sample_names_the_nearest_id(small_dives):
    with pytest.raises(DatasetError, match="no sample 'dive-0001'; the nearest is 'dive-00"):
        widgets.show_sample(small_dives, "dive-0001")


def test_an_id_is_text_and_no_markup(small_dives, tmp_path, bench):
    name = "<img/src=x/onerror=alert(1)>"
    samples = small_dives.samples.assign(
        id=[f"{name}{row}" for row in range(len(small_dives.samples))]
    )
    renamed = dataclasses.replace(small_dives, samples=samples)
    model, features, _, targets, groups = bench
    for box in (
        widgets.be_the_judge(renamed),
        widgets.exemplar_bench(model, features, renamed, targets, groups),
    ):
        text = parts(box)["HTML"].value
        assert "&lt;img/src" in text and "<img/src" not in text
