"""Widgets of the notebooks: each adds something to try beside a figure that makes the same point without a kernel."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path

import ipywidgets
import IPython.display
import numpy as np
import pandas as pd

from corelib import plots
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video, write_video


def be_the_judge(table: SampleTable, *, rows: np.ndarray | None = None, seed: int = 0) -> ipywidgets.VBox:
    """Mark dives yourself, and compare with the panel after each: its marks, your rho and your mean absolute error.

    table  a prepared dataset with videos and judges' marks (two a sample or more)
    rows   [N] rows of the table to judge; the test split by default
    seed   of the order in which they come

    Returns a box of the film, a slider (0 to 10 in half points), the buttons "Give mark" and "Next dive", and the
    figure plots.judge_against_panel of all marks given so far. Raises ValueError when no row has marks.
    """
    panels = table.marks()
    rows = table.rows("test") if rows is None else np.asarray(rows)
    order = np.random.default_rng(seed).permutation([row for row in rows if len(panels[row]) >= 2])
    if len(order) == 0:
        raise ValueError(f"{table.name}: none of the {len(rows)} rows has the marks of a panel to compare with")
    names, given = table.samples["id"].to_numpy(), []

    film = ipywidgets.Video(format="mp4", autoplay=True, loop=True, controls=True, width=300, height=300)
    strip = ipywidgets.Image(format="png", layout={"max_width": "700px"})
    slider = ipywidgets.FloatSlider(value=5, min=0, max=10, step=0.5, description="your mark", readout_format=".1f")
    give = ipywidgets.Button(description="Give mark", button_style="primary")
    following = ipywidgets.Button(description="Next dive", disabled=True)
    answer = ipywidgets.HTML()
    figure = ipywidgets.Image(format="png", layout={"max_width": "420px"})

    def redraw() -> None:
        judged = [panels[row] for row in order[: len(given)]]
        figure.value = plots.judge_against_panel(given, judged, judge="you")._repr_png_()

    def show_dive() -> None:
        row = order[len(given)]
        film.value = _as_mp4(table, row)
        strip.value = plots.film_strip(_frames(table, row))._repr_png_()
        slider.disabled, give.disabled, following.disabled = False, False, True
        answer.value = f"Dive {len(given) + 1} of {len(order)}: {names[row]}. How well was it done?"

    def judge(_) -> None:
        panel = panels[order[len(given)]]
        given.append(slider.value)
        last = len(given) == len(order)
        slider.disabled, give.disabled, following.disabled = True, True, last
        answer.value = (
            f"You gave <b>{given[-1]:g}</b>, the panel <b>{' '.join(f'{mark:g}' for mark in panel)}</b> "
            f"(mean {panel.mean():.2f}).{' That was the last dive.' if last else ''}"
        )
        redraw()

    give.on_click(judge)
    following.on_click(lambda _: show_dive())
    show_dive()
    redraw()
    controls = ipywidgets.VBox([film, slider, ipywidgets.HBox([give, following]), answer])
    return ipywidgets.VBox([ipywidgets.HBox([controls, figure]), strip])


def scrub_attribution(
    frames: np.ndarray, heat: np.ndarray, *, inside: np.ndarray | None = None, title: str = ""
) -> ipywidgets.VBox:
    """Scrub through a video with its heat map laid over it, and the moment marked on the heat's course in time.

    frames  [T, H, W, 3] uint8, as attribution.seen_frames gives them
    heat    [T, h, w] contributions to the score, as attribution.over_frames gives them
    inside  [T] true where the thing to find can be seen, a fault; shaded

    Returns a box of a play button, a slider (0 .. T - 1) and the figure plots.attribution_moment. It begins at the
    hottest frame. Raises ValueError when frames and heat do not belong together.
    """
    heat, drawn = np.asarray(heat, float), {}
    figure = ipywidgets.Image(format="png", layout={"max_width": "900px"})

    def show(moment: int) -> None:
        if moment not in drawn:  # each is drawn once: then the film plays smoothly
            drawn[moment] = plots.attribution_moment(frames, heat, moment, inside=inside, title=title)._repr_png_()
        figure.value = drawn[moment]

    hottest = int(np.abs(heat).reshape(len(heat), -1).max(axis=1).argmax())
    show(hottest)
    last = len(frames) - 1
    slider = ipywidgets.IntSlider(value=hottest, min=0, max=last, description="frame", layout={"width": "600px"})
    play = ipywidgets.Play(value=hottest, min=0, max=last, interval=300, description="play")
    ipywidgets.link((play, "value"), (slider, "value"))
    slider.observe(lambda change: show(change["new"]), names="value")
    return ipywidgets.VBox([ipywidgets.HBox([play, slider]), figure])


def show_sample(table: SampleTable, sample: str | int, *, playable: bool = False):
    """One sample to look at: a film strip, or its video with controls.

    table     a prepared dataset of videos
    sample    its id, or its row
    playable  True: an IPython.display.Video, which plays in the notebook and in its HTML

    The strip has the marks above and, where the table knows one, a border around the frames of the main fault. Raises
    DatasetError for an id that is not there (naming the nearest) or a dataset of features.
    """
    samples = table.samples
    if table.feature_bank is not None:
        raise DatasetError(f"{table.name} holds precomputed features; there is no video to show")
    if not isinstance(sample, str):
        row = int(sample)
    elif sample in set(samples["id"]):
        row = int(np.flatnonzero(samples["id"] == sample)[0])
    else:
        near = difflib.get_close_matches(sample, samples["id"], n=1, cutoff=0.0)
        raise DatasetError(f"{table.name} has no sample {sample!r}; the nearest is {near[0]!r}")
    if playable:
        return IPython.display.Video(_as_mp4(table, row), embed=True, mimetype="video/mp4", width=320, html_attributes="controls loop")
    shown = samples.iloc[row]
    fault = None if pd.isna(shown.get("fault_start")) else (int(shown["fault_start"]), int(shown["fault_end"]))
    known = [f"{key.replace('_', ' ')} {shown[key]}" for key in ("group", "difficulty", "main_fault") if not pd.isna(shown.get(key))]
    title = ", ".join([f"{shown['id']}: score {shown['score']:g}", *known])
    return plots.film_strip(_frames(table, row), marks=table.marks()[row], highlight=fault, title=title)


def _frames(table: SampleTable, row: int) -> np.ndarray:
    """The frames [T, H, W, 3] of a sample, of its own range where its video holds more."""
    frames, sample = read_video(table.root / table.samples["media"][row]), table.samples.iloc[row]
    start, end = (None if pd.isna(sample.get(key)) else int(sample[key]) for key in ("start", "end"))
    return frames[start:end]


def _as_mp4(table: SampleTable, row: int) -> bytes:
    """A sample as an mp4 file that browsers play: the file itself, or its frames written as one."""
    media = table.root / table.samples["media"][row]
    if media.suffix == ".mp4" and not {"start", "end"} & set(table.samples):
        return media.read_bytes()
    frames = _frames(table, row)
    even = frames[:, : len(frames[0]) // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        write_video(path, even, table.info.get("frame_rate") or 25)
        return path.read_bytes()
