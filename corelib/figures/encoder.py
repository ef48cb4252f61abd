"""Figures of the encoder: its kernels, and what its features put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from corelib.figures.style import BLUE, GREEN, bare, limits, numbers, one_for_one, panels, styled


@styled
def inflate_kernel(kernel: ArrayLike, length: int, *, title: str = "") -> Figure:
    """A 2-D kernel repeated over time and divided: see that the time slices add up to the kernel.

    kernel: [h, w]; length: time steps L of the 3-D kernel [L, h, w], each slice kernel / L. On a
    video that stands still the inflated kernel therefore answers as the 2-D one does on one frame.
    """
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim != 2 or length < 1:
        got = f"{list(kernel.shape)} and {length}"
        raise ValueError(f"a kernel must be [h, w] and length 1 or more; got {got}")
    shape = " x ".join(map(str, kernel.shape))
    title = title or f"One {shape} kernel becomes {length} slices, each divided by {length}"
    size = (min(1.75 * (length + 1) + 0.6, 12), 2.6)
    figure, axes = panels(1, length + 1, size=size, title=title)
    bound = np.abs(kernel).max() or 1
    names = ["2-D kernel =", *(f"t = {step} +" for step in range(length - 1)), f"t = {length - 1}"]
    place = {"ha": "center", "va": "center", "fontsize": 10}
    for axis, name in zip(axes[0], names, strict=True):
        values = kernel if axis is axes[0, 0] else kernel / length
        # One colour scale for all, symmetric about zero: the slices look as pale as they are.
        axis.imshow(values, cmap="PuOr", vmin=-bound, vmax=bound)
        axis.set(xticks=[], yticks=[], title=name)
        axis.grid(False)
        if kernel.size <= 25 and length <= 5:
            for (y, x), value in np.ndenumerate(values):
                colour = "white" if abs(value) > 0.7 * bound else "black"
                axis.text(x, y, f"{value:.2g}", color=colour, **place)
    border = {"fill": False, "edgecolor": GREEN, "linewidth": 5}
    axes[0, 0].add_patch(Rectangle((-0.5, -0.5), *kernel.shape[::-1], **border))
    return figure


@styled
def feature_map(
    features: ArrayLike, values: ArrayLike, *, label: str = "score", title: str = ""
) -> Figure:
    """Features [N, D] on their two main directions (PCA): see whether the values' colours sort.

    A smooth change of colour by `values` [N] means that the feature already tells high from low
    scores.
    """
    features = np.asarray(features, dtype=float)
    if features.ndim != 2 or not features.size:
        raise ValueError(f"features must be [N, D] with N, D >= 1; got {list(features.shape)}")
    values = numbers(values, "values", len(features))
    left, singular, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    points, share = np.zeros((len(features), 2)), np.zeros(2)
    kept = min(2, len(singular))
    points[:, :kept] = left[:, :kept] * singular[:kept]
    share[:kept] = singular[:kept] ** 2 / (np.sum(singular**2) or 1)
    found = f"two directions hold {100 * share.sum():.0f} % of their variance"
    title = title or f"{len(features)} features: {found}"
    figure, [[axis]] = panels(size=(7.5, 4.8), title=title)
    dots = axis.scatter(*points.T, c=values, s=36, edgecolor="white", linewidth=0.4)
    first, second = (f"direction {n + 1} ({100 * part:.0f} %)" for n, part in enumerate(share))
    axis.set(xlabel=first, ylabel=second, xlim=limits(points[:, 0]), ylim=limits(points[:, 1]))
    figure.colorbar(dots, label=label)
    return figure


@styled
def kernels_over_time(kernels: ArrayLike, *, count: int = 5, title: str = "") -> Figure:
    """A first layer's kernels at each moment: see which stand still, and which answer to change.

    kernels: [O, 3, T, h, w] over red, green and blue. Above, the `count` whose slices differ least;
    below, those that differ most. Each in its own scale, grey where a slice weighs nothing.
    """
    kernels = np.asarray(kernels, dtype=float)
    if kernels.ndim != 5 or kernels.shape[1] != 3:
        raise ValueError(f"kernels must be [O, 3, T, h, w]; got {list(kernels.shape)}")
    mean = kernels.mean(axis=2, keepdims=True)
    moving = ((kernels - mean) ** 2).sum(axis=(1, 2, 3, 4))
    moving /= np.maximum((kernels**2).sum(axis=(1, 2, 3, 4)), 1e-12)  # share that the mean lacks
    order, T = np.argsort(moving, kind="stable"), kernels.shape[2]
    count = min(count, max(len(order) // 2, 1))
    chosen = np.unique(np.concatenate([order[:count], order[-count:]]))
    chosen = chosen[np.argsort(moving[chosen], kind="stable")]
    found = f"half of {len(kernels)} kernels change by more than {100 * np.median(moving):.0f} %"
    size = (0.85 * T + 2.2, 0.85 * len(chosen) + 0.8)
    figure, axes = panels(len(chosen), T, size=size, title=title or f"Over time {found}")
    for row, kernel in zip(axes, chosen, strict=True):
        bound = np.abs(kernels[kernel]).max() or 1
        for step, axis in enumerate(row):
            picture = kernels[kernel, :, step].transpose(1, 2, 0)  # [h, w, 3]
            axis.imshow(0.5 + picture / (2 * bound), interpolation="nearest")
            bare(axis)
        name = f"changes by {100 * moving[kernel]:.0f} %"
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    for step, axis in enumerate(axes[-1]):
        axis.set_xlabel(f"t = {step}", fontsize=10)
    return figure


@styled
def neighbours(
    queries: Sequence[np.ndarray],
    found: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    *,
    title: str = "",
) -> Figure:
    """Queries and what lies nearest to them in feature space: see by what features sort videos.

    queries: one frame [H, W, 3] each; found: the frames of each query's neighbours, nearest first;
    captions: of a query and then of its neighbours
    """
    one_for_one(queries=queries, found=found)
    one_for_one(queries=queries, captions=captions)
    if not queries:
        raise ValueError("queries is empty; there is nothing to draw")
    columns = 1 + max(map(len, found))
    size = (9.5, 9.5 / columns * 1.22 * len(queries) + 0.5)
    figure, axes = panels(len(queries), columns, size=size, title=title)
    for row, query, others, words in zip(axes, queries, found, captions, strict=True):
        one_for_one(pictures=[query, *others], captions=words)
        for axis in row:
            bare(axis)
        for axis, frame, caption in zip(row, [query, *others], words, strict=False):
            axis.imshow(frame)
            axis.set_xlabel(caption, fontsize=10)
        bare(row[0], BLUE)
    axes[0][0].set_title("query", fontsize=11)
    axes[0][1 % columns].set_title("nearest", fontsize=11)
    return figure
