"""Widgets of the notebooks: each adds something to try beside a figure that makes the same point
without a kernel."""

from __future__ import annotations

import difflib
import html
import tempfile
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
from corelib.pairs import draw_exemplars
from corelib.tree import quantile_edges


def be_the_judge(
    table: SampleTable, *, rows: np.ndarray | None = None, seed: int = 0
) -> ipywidgets.VBox:
    """Mark dives yourself, and compare with the panel after each: its marks, your rho and your mean
    absolute error.

    table  a prepared dataset with videos and judges' marks (two a sample or more)
    rows   [N] rows of the table to judge; the test split by default
    seed   of the order in which they come

    Returns a box of the film, a slider (0 to 10 in half points), the buttons "Give mark" and "Next
    dive", and the figure plots.judge_against_panel of all marks given so far. Raises ValueError
    when no row has marks.
    """
    panels = table.marks()
    rows = table.rows("test") if rows is None else np.asarray(rows)
    order = np.random.default_rng(seed).permutation([row for row in rows if len(panels[row]) >= 2])
    if len(order) == 0:
        raise ValueError(
            f"{table.name}: none of the {len(rows)} rows has the marks of a panel to compare with"
        )
    names, given = table.samples["id"].to_numpy(), []

    film = ipywidgets.Video(
        format="mp4", autoplay=True, loop=True, controls=True, width=300, height=300
    )
    strip = ipywidgets.Image(format="png", layout={"max_width": "700px"})
    slider = ipywidgets.FloatSlider(
        value=5, min=0, max=10, step=0.5, description="your mark", readout_format=".1f"
    )
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
        answer.value = (
            f"Dive {len(given) + 1} of {len(order)}: {html.escape(names[row])}. How well was it"
            " done?"
        )

    def judge(_) -> None:
        panel = panels[order[len(given)]]
        given.append(slider.value)
        last = len(given) == len(order)
        slider.disabled, give.disabled, following.disabled = True, True, last
        answer.value = (
            f"You gave <b>{given[-1]:g}</b>, the panel"
            f" <b>{' '.join(f'{mark:g}' for mark in panel)}</b> (mean"
            f" {panel.mean():.2f}).{' That was the last dive.' if last else ''}"
        )
        redraw()

    give.on_click(judge)
    following.on_click(lambda _: show_dive())
    show_dive()
    redraw()
    controls = ipywidgets.VBox([film, slider, ipywidgets.HBox([give, following]), answer])
    return ipywidgets.VBox([ipywidgets.HBox([controls, figure]), strip])


def intervals_by_depth(
    differences: np.ndarray, *, depths: tuple[int, ...] = (3, 4, 5, 6, 7)
) -> ipywidgets.VBox:
    """Drag the tree's depth; see the score groups on the differences, and the share of pairs a leaf
    holds.

    differences  [P] absolute score differences of training pairs (pairs.pair_differences)
    depths       to choose from; depth h has 2 ** (h - 1) leaves

    Returns a box of the slider "depth", a line of text and the figure plots.intervals.
    """
    slider = ipywidgets.SelectionSlider(
        options=depths, value=depths[len(depths) // 2], description="depth"
    )
    text, figure = ipywidgets.HTML(), ipywidgets.Image(format="png", layout={"max_width": "900px"})

    def redraw(_=None) -> None:
        edges = quantile_edges(differences, slider.value)
        widths = np.diff(edges)
        open_leaves = 2 * int(np.count_nonzero(widths))
        text.value = (
            f"{2 * len(widths)} leaves, {open_leaves} of them open; widest interval"
            f" {widths.max():.2f}, narrowest open one {widths[widths > 0].min():.2f}"
        )
        figure.value = plots.intervals(differences, edges)._repr_png_()

    slider.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([slider, text, figure])


def scrub_attribution(
    frames: np.ndarray, heat: np.ndarray, *, inside: np.ndarray | None = None, title: str = ""
) -> ipywidgets.VBox:
    """Scrub through a video with its heat map laid over it, and the moment marked on the heat's
    course in time.

    frames  [T, H, W, 3] uint8, as attribution.seen_frames gives them
    heat    [T, h, w] contributions to the score, as attribution.over_frames gives them
    inside  [T] true where the thing to find can be seen, a fault; shaded

    Returns a box of a play button, a slider (0 .. T - 1) and the figure plots.attribution_moment.
    It begins at the hottest frame. Raises ValueError when frames and heat do not belong together.
    """
    heat, drawn = np.asarray(heat, float), {}
    figure = ipywidgets.Image(format="png", layout={"max_width": "900px"})

    def show(moment: int) -> None:
        if moment not in drawn:  # each is drawn once: then the film plays smoothly
            drawn[moment] = plots.attribution_moment(
                frames, heat, moment, inside=inside, title=title
            )._repr_png_()
        figure.value = drawn[moment]

    hottest = int(np.abs(heat).reshape(len(heat), -1).max(axis=1).argmax())
    show(hottest)
    last = len(frames) - 1
    slider = ipywidgets.IntSlider(
        value=hottest, min=0, max=last, description="frame", layout={"width": "600px"}
    )
    play = ipywidgets.Play(value=hottest, min=0, max=last, interval=300, description="play")
    ipywidgets.link((play, "value"), (slider, "value"))
    slider.observe(lambda change: show(change["new"]), names="value")
    return ipywidgets.VBox([ipywidgets.HBox([play, slider]), figure])


def show_sample(table: SampleTable, sample: str | int, *, playable: bool = False):
    """One sample to look at: a film strip, or its video with controls.

    table     a prepared dataset of videos
    sample    its id, or its row
    playable  True: an IPython.display.Video, which plays in the notebook and in its HTML

    The strip has the marks above and, where the table knows one, a border around the frames of the
    main fault. Raises DatasetError for an id that is not there (naming the nearest) or a dataset of
    features.
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
        return IPython.display.Video(
            _as_mp4(table, row),
            embed=True,
            mimetype="video/mp4",
            width=320,
            html_attributes="controls loop",
        )
    shown = samples.iloc[row]
    fault = (
        None
        if pd.isna(shown.get("fault_start"))
        else (int(shown["fault_start"]), int(shown["fault_end"]))
    )
    known = [
        f"{key.replace('_', ' ')} {shown[key]}"
        for key in ("group", "difficulty", "main_fault")
        if not pd.isna(shown.get(key))
    ]
    title = ", ".join([f"{shown['id']}: score {shown['score']:g}", *known])
    return plots.film_strip(
        _frames(table, row), marks=table.marks()[row], highlight=fault, title=title
    )


def _frames(table: SampleTable, row: int) -> np.ndarray:
    """The frames [T, H, W, 3] of a sample, of its own range where its video holds more."""
    frames, sample = read_video(table.root / table.samples["media"][row]), table.samples.iloc[row]
    start, end = (
        None if pd.isna(sample.get(key)) else int(sample[key]) for key in ("start", "end")
    )
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
    pool: np.ndarray | None = None,
    count: int = 10,
    seed: int = 0,
) -> ipywidgets.VBox:
    """Choose a query, how many exemplars and by which seed, and watch the differences, one pair's
    tree and the vote change.

    model           CoRe with its tree (models.CoRe); it is put into eval mode
    features        [N, D] of every sample of the table, encoded beforehand: no video is read here
    targets         [N] what the model regresses, scores or execution scores: everything is shown in
                    their unit
    groups          [N] labels that a query and its exemplars share
    queries, pool   rows to choose queries from (the validation split by default, or the test split
                    where there is none) and rows to draw exemplars from (the training split)
    count, seed     M and the seed of the draw to begin with

    Returns a box of the query, the slider "M", the "seed", plots.exemplar_vote, a sentence, the
    exemplar whose pair is looked at and plots.tree of that pair. Raises ValueError for a model
    without a tree and for no query.
    """
    if not hasattr(model, "relate"):
        raise ValueError(
            f"a bench of exemplars needs CoRe with its tree, not {type(model).__name__}"
        )
    if queries is None:
        queries = table.rows("val") if len(table.rows("val")) else table.rows("test")
    if len(queries) == 0:
        raise ValueError(f"{table.name}: there is no query to choose from")
    pool = table.rows("train") if pool is None else np.asarray(pool)
    samples, device = table.samples, next(model.parameters()).device
    ids, targets = samples["id"].to_numpy(), np.asarray(targets, float)
    difficulty = samples["difficulty"].to_numpy(float) if "difficulty" in samples else None
    features, known = (
        features.to(device),
        torch.as_tensor(targets, dtype=torch.float32, device=device),
    )
    model.eval()

    most = min(30, len(pool))
    query = ipywidgets.Dropdown(
        description="query",
        options=[(f"{ids[row]} ({targets[row]:.4g})", int(row)) for row in queries],
    )
    slider = ipywidgets.IntSlider(
        description="M", value=min(count, most), min=1, max=most, continuous_update=False
    )
    drawn = ipywidgets.BoundedIntText(description="seed", value=seed, min=0, max=9999)
    pair = ipywidgets.Dropdown(description="exemplar", options=[])
    voted = ipywidgets.Image(format="png", layout={"max_width": "760px"})
    decided = ipywidgets.Image(format="png", layout={"max_width": "900px"})
    answer = ipywidgets.HTML()

    @torch.no_grad()
    def show_pair(_=None) -> None:
        q, e = torch.tensor([query.value], device=device), torch.tensor([pair.value], device=device)
        log_probs, _positions = model.relate(features[q], features[e], known[e])
        predicted = model.predict(features[q], features[e], known[e]).item() - known[e].item()
        decided.value = plots.tree(
            log_probs[0].cpu(),
            model.groups.left.cpu(),
            model.groups.right.cpu(),
            predicted=predicted,
            true_difference=targets[query.value] - targets[pair.value],
            title=f"{ids[query.value]} against {ids[pair.value]}",
        )._repr_png_()

    @torch.no_grad()
    def show_vote(_=None) -> None:
        row = query.value
        chosen = draw_exemplars(
            np.array([row]),
            pool,
            ids=ids,
            groups=groups,
            difficulty=difficulty,
            count=slider.value,
            seed=drawn.value,
        ).exemplar
        q, e = features[[row] * len(chosen)], torch.as_tensor(chosen, device=device)
        verdicts = model.predict(q, features[e], known[e]).cpu().numpy()
        final, strangers = verdicts.mean(), int((groups[chosen] != groups[row]).sum())
        voted.value = plots.exemplar_vote(
            verdicts, targets[chosen], final, targets[row], names=ids[chosen].tolist()
        )._repr_png_()
        answer.value = (
            f"{len(chosen)} exemplar{'s' if len(chosen) > 1 else ''} of"
            f" {html.escape(ids[row])}{f' ({strangers} of another group, for its own is too small)' if strangers else ''}:"
            f" predicted <b>{final:.2f}</b>, true <b>{targets[row]:.2f}</b>, verdicts scatter by"
            f" {verdicts.std():.2f}"
        )
        pair.unobserve(show_pair, "value")  # the pair of the new exemplars is drawn below, once
        pair.options = [
            (f"{ids[m]} ({targets[m]:.4g}): {said - targets[m]:+.2f}", int(m))
            for m, said in zip(chosen, verdicts, strict=True)
        ]
        pair.value = int(chosen[0])
        pair.observe(show_pair, "value")
        show_pair()

    for control in (query, slider, drawn):
        control.observe(show_vote, "value")
    pair.observe(show_pair, "value")
    show_vote()
    return ipywidgets.VBox([ipywidgets.HBox([query, slider, drawn]), answer, voted, pair, decided])
