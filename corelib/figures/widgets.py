"""Widgets of the notebooks: something to try beside a figure that makes the same point."""

from __future__ import annotations

import difflib
import html
import tempfile
from collections.abc import Iterator
from pathlib import Path

import IPython.display
import ipywidgets
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video, write_video
from corelib.figures import plots
from corelib.figures.bench import Bench
from corelib.figures.states import Pictured, walk
from corelib.figures.style import evenly
from corelib.tree import ScoreGroups, quantile_edges

STATES = 6  # of a widget, at most, that pages show as pictures


def _picture(width: int) -> ipywidgets.Image:
    """A place for figures, one after the other, at most `width` pixels wide."""
    return ipywidgets.Image(format="png", layout={"max_width": f"{width}px"})


def be_the_judge(
    table: SampleTable, *, rows: np.ndarray | None = None, seed: int = 0
) -> ipywidgets.VBox:
    """Mark dives yourself, and compare with the panel after each: its marks, your rho, your error.

    table  a prepared dataset with videos and judges' marks (two a sample or more)
    rows   [N] rows of the table to judge; the test split by default
    seed   of the order in which they come

    Returns a box of film, slider (0 to 10 in half points), buttons, and the figure
    plots.judge_against_panel of all marks given so far. Raises ValueError when no row has marks.
    """
    panels, given = table.marks(), []
    rows = table.rows("test") if rows is None else rows
    order = np.random.default_rng(seed).permutation(_judged(table, rows))
    film = ipywidgets.Video(format="mp4", width=300, height=300)
    reach = {"min": 0, "max": 10, "step": 0.5, "readout_format": ".1f"}
    slider = ipywidgets.FloatSlider(5, description="your mark", **reach)
    give = ipywidgets.Button(description="Give mark", button_style="primary")
    following = ipywidgets.Button(description="Next dive", disabled=True)
    answer, strip, figure = ipywidgets.HTML(), _picture(700), _picture(420)

    def show_dive(_=None) -> None:
        row = order[len(given)]
        film.value = _as_mp4(table, row)
        strip.value = plots.film_strip(_frames(table, row))._repr_png_()
        slider.disabled, give.disabled, following.disabled = False, False, True
        name = f"Dive {len(given) + 1} of {len(order)}: {html.escape(table.samples['id'][row])}"
        answer.value = f"{name}. How well was it done?"

    def judge(_) -> None:
        panel = panels[order[len(given)]]
        given.append(slider.value)
        slider.disabled = give.disabled = True
        following.disabled = last = len(given) == len(order)
        marks = " ".join(map("{:g}".format, panel))
        said = f"You gave <b>{given[-1]:g}</b>, the panel <b>{marks}</b>"
        answer.value = f"{said} (mean {panel.mean():.2f}).{' That was the last dive.' * last}"
        compare()

    def compare() -> None:
        judged = [panels[row] for row in order[: len(given)]]
        figure.value = plots.judge_against_panel(given, judged, judge="your")._repr_png_()

    give.on_click(judge)
    following.on_click(show_dive)
    show_dive()
    compare()

    controls = ipywidgets.VBox([film, slider, ipywidgets.HBox([give, following]), answer])
    box = [ipywidgets.HBox([controls, figure]), strip]
    return Pictured(box, lambda: _panels_words(table, order))


def _panels_words(table: SampleTable, order: np.ndarray) -> Iterator[tuple[str, str, list[bytes]]]:
    """The states of be_the_judge that pages show: the first dives and what the panel gave."""
    panels = table.marks()
    for place, row in enumerate(order[:STATES], 1):
        marks = " ".join(map("{:g}".format, panels[row]))
        told = f"The panel gave {marks} (mean {panels[row].mean():.2f})."
        chosen = f"Dive {place} of {len(order)}: {table.samples['id'][row]}"
        yield chosen, told, [plots.film_strip(_frames(table, row))._repr_png_()]


def _judged(table: SampleTable, rows) -> list[int]:
    """Those of the rows that have the marks of a panel."""
    panels = table.marks()
    judged = [row for row in rows if len(panels[row]) >= 2]
    if not judged:
        message = f"none of the {len(rows)} rows has the marks of a panel to compare with"
        raise ValueError(f"{table.name}: {message}")
    return judged


def intervals_by_depth(
    differences: np.ndarray, *, depths: tuple[int, ...] = (3, 4, 5, 6, 7)
) -> ipywidgets.VBox:
    """Drag the tree's depth; see the score groups, and the share of pairs that a leaf holds.

    differences  [P] absolute score differences of training pairs (pairs.pair_differences)
    depths       to choose from; depth h has 2 ** (h - 1) leaves

    Returns a box of the slider "depth", a line of text and the figure plots.intervals.
    """
    middle = depths[len(depths) // 2]
    slider = ipywidgets.SelectionSlider(options=depths, value=middle, description="depth")
    text, figure = ipywidgets.HTML(), _picture(900)

    def redraw(_=None) -> None:
        edges = quantile_edges(differences, slider.value)
        groups = ScoreGroups(edges)
        widths = groups.scale[groups.open]
        text.value = (
            f"{groups.leaves} leaves, {len(widths)} of them open; widest interval"
            f" {widths.max():.2f}, narrowest open one {widths.min():.2f}"
        )
        figure.value = plots.intervals(differences, edges)._repr_png_()

    slider.observe(redraw, "value")
    redraw()
    return Pictured([slider, text, figure], lambda: walk(slider, depths, text, figure))


def scrub_attribution(
    frames: np.ndarray, heat: np.ndarray, *, inside: np.ndarray | None = None, title: str = ""
) -> ipywidgets.VBox:
    """Scrub through a video with its heat map laid over it, the moment marked on its course.

    frames  [T, H, W, 3] uint8, as attribution.seen_frames gives them
    heat    [T, h, w] contributions to the score, as attribution.over_frames gives them
    inside  [T] true where the thing to find can be seen, a fault; shaded

    Returns a box of a play button, a slider (0 .. T - 1) and the figure plots.attribution_moment.
    It begins at the hottest frame. Raises ValueError when frames and heat do not belong together.
    """
    heat, drawn, figure = np.asarray(heat, float), {}, _picture(900)
    look = {"inside": inside, "title": title}

    def show(moment: int) -> None:
        if moment not in drawn:  # each is drawn once: then the film plays smoothly
            moments = plots.attribution_moment(frames, heat, moment, **look)
            drawn[moment] = moments._repr_png_()
        figure.value = drawn[moment]

    hottest = int(np.abs(heat).reshape(len(heat), -1).max(axis=1).argmax())
    show(hottest)
    reach = {"value": hottest, "min": 0, "max": len(frames) - 1}
    slider = ipywidgets.IntSlider(**reach, description="frame", layout={"width": "600px"})
    play = ipywidgets.Play(**reach, interval=500, description="play")
    ipywidgets.link((play, "value"), (slider, "value"))
    slider.observe(lambda change: show(change["new"]), names="value")
    some = evenly(len(frames), STATES).tolist()
    controls = ipywidgets.HBox([play, slider])
    return Pictured([controls, figure], lambda: walk(slider, some, figure))


def show_sample(table: SampleTable, sample: str | int, *, playable: bool = False):
    """One sample to look at: a film strip, or its video with controls.

    table     a prepared dataset of videos
    sample    its id, or its row
    playable  True: an IPython.display.Video, which plays in the notebook and in its HTML

    The strip has the marks above and, where the table knows one, a border around the frames of the
    main fault. Raises DatasetError for an id that is not there (naming the nearest) or a dataset of
    features.
    """
    ids = table.samples["id"]
    if table.feature_bank is not None:
        raise DatasetError(f"{table.name} holds precomputed features; there is no video to show")
    if isinstance(sample, str) and sample not in set(ids):
        near = difflib.get_close_matches(sample, ids, n=1, cutoff=0.0)
        raise DatasetError(f"{table.name} has no sample {sample!r}; the nearest is {near[0]!r}")
    row = int(np.flatnonzero(ids == sample)[0]) if isinstance(sample, str) else int(sample)
    if playable:
        look = {"mimetype": "video/mp4", "width": 320, "html_attributes": "controls loop"}
        return IPython.display.Video(_as_mp4(table, row), embed=True, **look)
    shown = table.samples.iloc[row]
    told = shown.dropna()
    fault = (int(told["fault_start"]), int(told["fault_end"])) if "fault_start" in told else None
    keys = [key for key in ("group", "difficulty", "main_fault") if key in told]
    known = [f"{key.replace('_', ' ')} {shown[key]}" for key in keys]
    title = ", ".join([f"{shown['id']}: score {shown['score']:g}", *known])
    frames, marks = _frames(table, row), table.marks()[row]
    return plots.film_strip(frames, marks=marks, highlight=fault, title=title)


def _frames(table: SampleTable, row: int) -> np.ndarray:
    """The frames [T, H, W, 3] of a sample, of its own range where its video holds more."""
    frames, sample = read_video(table.root / table.samples["media"][row]), table.samples.iloc[row]
    range_ = (sample.get(key) for key in ("start", "end"))
    start, end = (None if pd.isna(number) else int(number) for number in range_)
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


def exemplar_bench(
    model: torch.nn.Module,
    features: Tensor,
    table: SampleTable,
    targets: np.ndarray,
    groups: np.ndarray,
    *,
    queries: np.ndarray | None = None,
    count: int = 10,
    seed: int = 0,
) -> ipywidgets.VBox:
    """Choose a query and its exemplars; watch the differences, one pair's tree and the vote change.

    model        CoRe with its tree (models.CoRe); it is put into eval mode
    features     [N, D] of every sample of the table, encoded beforehand: no video is read here
    targets      [N] what the model regresses, scores or execution scores, whose unit is shown
    groups       [N] labels that a query and its exemplars share
    queries      rows to choose from: the validation split, or the test split where there is none
    count, seed  M and the seed of the draw from the training split, to begin with

    Returns a box of the query, the sliders "exemplars" and "seed", plots.exemplar_vote, a sentence,
    the exemplar whose pair is looked at and plots.tree of that pair. Raises ValueError for a model
    without a tree and for no query.
    """
    bench = Bench(model, features, table, targets, groups)
    ids, targets = bench.ids, bench.targets
    most = min(30, len(bench.pool))
    query = ipywidgets.Dropdown(description="query", options=bench.choices(queries))
    slider = ipywidgets.IntSlider(min(count, most), min=1, max=most, description="exemplars")
    slider.continuous_update = False
    drawn = ipywidgets.BoundedIntText(seed, min=0, max=9999, description="seed")
    pair = ipywidgets.Dropdown(description="tree against", options=[])
    answer, voted, decided = ipywidgets.HTML(), _picture(760), _picture(900)

    def show_pair(_=None) -> None:
        decided.value = bench.tree(query.value, pair.value)._repr_png_()

    def show_vote(_=None) -> None:
        row = query.value
        chosen = bench.exemplars(row, slider.value, drawn.value)
        said, own = bench.verdicts(row, chosen), targets[chosen]
        names = ids[chosen].tolist()
        vote = plots.exemplar_vote(said, own, said.mean(), targets[row], names=names)
        voted.value = vote._repr_png_()
        answer.value = bench.sentence(row, chosen, said)
        pair.unobserve(show_pair, "value")  # the pair of the new exemplars is drawn below, once
        texts = [f"{n} ({t:.4g}): {s - t:+.2f}" for n, t, s in zip(names, own, said, strict=True)]
        pair.options = list(zip(texts, chosen.tolist(), strict=True))
        pair.value = int(chosen[0])
        pair.observe(show_pair, "value")
        show_pair()

    for control in (query, slider, drawn):
        control.observe(show_vote, "value")
    pair.observe(show_pair, "value")
    show_vote()
    counts = (evenly(most, STATES) + 1).tolist()
    children = [ipywidgets.HBox([query, slider, drawn]), answer, voted, pair, decided]
    return Pictured(children, lambda: walk(slider, counts, answer, voted, decided))
