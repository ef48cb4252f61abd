"""The widgets, driven without a browser: a value is changed or a button pressed, and what is shown changes."""

import io

import av
import ipywidgets
import numpy as np
import pytest

from corelib import widgets
from corelib.data.samples import SampleTable, write_table
from corelib.tree import quantile_edges


def parts(box):
    """Every widget of a box, by its description or, where it has none, its type."""
    found = {}
    for child in getattr(box, "children", ()):
        found |= parts(child) if hasattr(child, "children") else {getattr(child, "description", "") or type(child).__name__: child}
    return found


def test_be_the_judge_compares_every_mark_with_the_panel(small_dives):
    box = widgets.be_the_judge(small_dives, rows=small_dives.rows("test")[:3])
    shown = parts(box)
    assert {"your mark", "Give mark", "Next dive", "Video", "Image", "HTML"} <= set(shown)
    figure = box.children[0].children[1]
    assert isinstance(figure, ipywidgets.Image)
    films, figures, marks = [shown["Video"].value], [figure.value], {row: panel for row, panel in enumerate(small_dives.marks())}
    ids = small_dives.samples["id"].tolist()
    for number, mark in enumerate((4.5, 8.0, 6.0), start=1):
        row = next(row for row in small_dives.rows("test") if ids[row] in shown["HTML"].value)
        assert shown["Next dive"].disabled and not shown["Give mark"].disabled
        shown["your mark"].value = mark
        shown["Give mark"].click()
        assert f"<b>{mark:g}</b>" in shown["HTML"].value and f"mean {marks[row].mean():.2f}" in shown["HTML"].value
        assert shown["Give mark"].disabled and shown["your mark"].disabled
        figures.append(figure.value)
        assert shown["Next dive"].disabled == (number == 3)
        if number < 3:
            shown["Next dive"].click()
            films.append(shown["Video"].value)
    assert len(set(films)) == 3 and len(set(figures)) == 4
    assert "last dive" in shown["HTML"].value


def test_be_the_judge_shows_only_a_samples_own_range_of_frames(small_dives, tmp_path):
    samples = small_dives.samples.assign(start=2, end=9)
    write_table(tmp_path, small_dives.info | {"raw_root": str(small_dives.root.resolve())}, samples)
    shown = parts(widgets.be_the_judge(SampleTable.load(tmp_path)))
    with av.open(io.BytesIO(shown["Video"].value)) as film:
        assert len(list(film.decode(video=0))) == 7


def test_be_the_judge_needs_a_panel(small_dives, tmp_path):
    write_table(tmp_path, small_dives.info | {"raw_root": str(small_dives.root.resolve())}, small_dives.samples.drop(columns="judges"))
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
