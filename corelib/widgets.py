"""Widgets of the notebooks: each adds something to try beside a figure that makes the same point without a kernel."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd

from corelib import plots
from corelib.data.samples import SampleTable
from corelib.data.video import read_video, write_video
from corelib.tree import quantile_edges


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


def intervals_by_depth(differences: np.ndarray, *, depths: tuple[int, ...] = (3, 4, 5, 6, 7)) -> ipywidgets.VBox:
    """Drag the tree's depth; see the score groups on the differences, and the share of pairs a leaf holds.

    differences  [P] absolute score differences of training pairs (pairs.pair_differences)
    depths       to choose from; depth h has 2 ** (h - 1) leaves

    Returns a box of the slider "depth", a line of text and the figure plots.intervals.
    """
    slider = ipywidgets.SelectionSlider(options=depths, value=depths[len(depths) // 2], description="depth")
    text, figure = ipywidgets.HTML(), ipywidgets.Image(format="png", layout={"max_width": "900px"})

    def redraw(_=None) -> None:
        edges = quantile_edges(differences, slider.value)
        widths = np.diff(edges)
        open_leaves = 2 * int(np.count_nonzero(widths))
        text.value = (
            f"{2 * len(widths)} leaves, {open_leaves} of them open; widest interval {widths.max():.2f}, "
            f"narrowest open one {widths[widths > 0].min():.2f}"
        )
        figure.value = plots.intervals(differences, edges)._repr_png_()

    slider.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([slider, text, figure])


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
