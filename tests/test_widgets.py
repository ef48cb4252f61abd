"""The widgets, driven without a browser: a value is changed or a button pressed, and what is shown changes."""

import io

import av
import ipywidgets
import numpy as np
import pytest

from corelib import widgets
from corelib.data.samples import DatasetError, SampleTable, write_table


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


def test_scrub_attribution_draws_the_frame_that_is_asked_for():
    frames = np.zeros((6, 8, 8, 3), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None, None] * 40
    heat = np.zeros((6, 2, 2))
    heat[4, 1, 1] = -3
    box = widgets.scrub_attribution(frames, heat, inside=np.arange(6) > 3)
    shown = parts(box)
    slider, play, figure = shown["frame"], shown["play"], shown["Image"]
    assert isinstance(play, ipywidgets.Play) and slider.value == play.value == 4 and (slider.min, slider.max) == (0, 5)
    pictures = {slider.value: bytes(figure.value)}
    slider.value = 1
    pictures[1] = bytes(figure.value)
    play.value = 5  # as if it played
    assert slider.value == 5
    pictures[5] = bytes(figure.value)
    assert len(set(pictures.values())) == 3 and all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    slider.value = 4
    assert bytes(figure.value) == pictures[4]
    with pytest.raises(ValueError, match="equal T"):
        widgets.scrub_attribution(frames, heat[:3])


def test_show_sample_by_id_and_by_row_as_a_strip_or_a_film(small_dives):
    row = int(np.flatnonzero(small_dives.samples["main_fault"] != "none")[0])
    sample = small_dives.samples.iloc[row]
    strip = widgets.show_sample(small_dives, sample["id"])
    assert sample["id"] in strip.get_suptitle() and f"difficulty {sample['difficulty']}" in strip.get_suptitle()
    assert any(axis.spines["top"].get_visible() for axis in strip.axes)  # the fault's frames
    assert widgets.show_sample(small_dives, row).get_suptitle() == strip.get_suptitle()
    film = widgets.show_sample(small_dives, sample["id"], playable=True)
    assert "video/mp4;base64," in film._repr_html_() and "controls" in film._repr_html_()


def test_show_sample_names_the_nearest_id(small_dives):
    with pytest.raises(DatasetError, match="no sample 'dive-0001'; the nearest is 'dive-00"):
        widgets.show_sample(small_dives, "dive-0001")
