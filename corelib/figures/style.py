"""What all figures share: one style, one meaning for each colour, a figure without pyplot."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterable, Sized
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from corelib.recipe import SYSTEMS

STYLE = Path(__file__).with_name("style.mplstyle")

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000",
)  # fmt: skip
PALE = "#BBBBBB"
# A system keeps its colour in every figure; with difficulty is solid, without is dashed or hollow.
SYSTEM_COLOURS = {"mlp": ORANGE, "core": BLUE, "kernel": GREEN}
GROUP_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # a legend right of its axes


class Drawing(Figure):
    """A matplotlib figure that a notebook shows as the last expression of a cell.

    It is not registered with pyplot, so nothing has to be closed and nothing is shown twice.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a figure be drawn in the course's style, and leave the reader's own settings alone."""

    @functools.wraps(draw)
    def drawn_in_style(*arguments, **keywords):
        with matplotlib.style.context(STYLE, after_reset=True):
            figure = draw(*arguments, **keywords)
            # Ticks take their style when they are first drawn: here, inside the context.
            figure.draw_without_rendering()
        return figure

    return drawn_in_style


def drawing(size: tuple[float, float], title: str = "") -> Drawing:
    """A new figure of `size` inches without axes."""
    figure = Drawing(figsize=size)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def panels(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], title: str = "", **keywords
) -> tuple[Drawing, np.ndarray]:
    """A new figure of `size` inches with axes [rows, columns]; `keywords` go to Figure.subplots."""
    figure = drawing(size, title)
    return figure, figure.subplots(rows, columns, squeeze=False, **keywords)


def numbers(values: ArrayLike, name: str, length: int | None = None) -> np.ndarray:
    """`values` as floats [N], N >= 1; ValueError when empty, not finite or not of `length`."""
    values = np.asarray(values, dtype=float).reshape(-1)
    if values.size == 0:
        raise ValueError(f"{name} is empty; there is nothing to draw")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is not a finite number")
    if length not in (None, values.size):
        raise ValueError(f"{name} has {values.size} values where {length} belong")
    return values


def one_for_one(**two: Sized) -> None:
    """Raises ValueError unless the two sequences are equally long; their keywords name them."""
    (first, n), (second, m) = ((name, len(values)) for name, values in two.items())
    if n != m:
        raise ValueError(f"{n} {first} and {m} {second}; there must be one for one")


def require(frame: pd.DataFrame, columns: Iterable[str], name: str = "rows") -> None:
    """Raises ValueError when a frame lacks one of the columns, or has no row."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{name} has no column {', '.join(missing)}")
    if not len(frame):
        raise ValueError(f"{name} is empty; there is nothing to draw")


def evenly(length: int, count: int) -> np.ndarray:
    """At most `count` different numbers of 0 .. length - 1, evenly spaced, with both ends."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int))


def limits(*values: np.ndarray, margin: float = 0.05) -> tuple[float, float]:
    """Axis limits that hold all values, with a margin; a constant gets room on both sides."""
    low = float(min(np.min(array) for array in values))
    high = float(max(np.max(array) for array in values))
    room = margin * (high - low) or max(0.05 * abs(high), 0.5)
    return low - room, high + room


def identity_line(axes: Axes, low: float, high: float) -> None:
    """The line on which both axes' values are equal; the artist's gid is "identity"."""
    look = {"color": BLACK, "linewidth": 1, "linestyle": ":", "zorder": 1}
    axes.plot([low, high], [low, high], gid="identity", **look)
    axes.set_title("dotted: both equal")


def bare(axes: Axes, border: str | None = None) -> None:
    """A picture's axes without ticks and grid, in a thick border of a colour or in none."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=border is not None, edgecolor=border or BLACK, linewidth=4)


def legend_below(figure: Figure, axes: Axes, columns: int, more: Iterable[Artist] = (), **look):
    """The legend of one of the axes, and of `more`, below the whole figure."""
    handles = [*axes.get_legend_handles_labels()[0], *more]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, **look)


def by_group(groups: ArrayLike | None, length: int) -> list[tuple[str, np.ndarray, str]]:
    """(name, row mask [N], colour) of every group; beyond seven, the six largest and "other"."""
    if groups is None:
        return [("", np.ones(length, dtype=bool), BLUE)]
    groups = np.asarray(groups).astype(str)
    if groups.size != length:
        raise ValueError(f"groups has {groups.size} values where {length} belong")
    kept, counts = np.unique(groups, return_counts=True)
    if len(kept) > len(GROUP_COLOURS):
        kept = np.sort(kept[np.argsort(-counts, kind="stable")[:6]])
    coloured = zip(kept, GROUP_COLOURS, strict=False)
    parts = [(str(name), groups == name, colour) for name, colour in coloured]
    rest = ~np.isin(groups, kept)
    return parts + ([(f"other ({len(counts) - len(kept)})", rest, PALE)] if rest.any() else [])


def system_look(system: str, with_difficulty: bool) -> tuple[str, str]:
    """(label, colour) of a system, as in the paper's tables: CoRe, CoRe (w/ DD), I3D+MLP ..."""
    label = SYSTEMS.get(system, system) + (" (w/ DD)" if with_difficulty else "")
    return label, SYSTEM_COLOURS.get(system, GREEN)


def line_colour(name: str, place: int) -> str:
    """The colour of a line: a system's own where that is its name ("CoRe", "CoRe, seed 0",
    "CoRe (w/ DD)"), else that of its place."""
    first = re.split(r",| \(", str(name))[0]
    own = [SYSTEM_COLOURS[system] for system, word in SYSTEMS.items() if word == first]
    return own[0] if own else GROUP_COLOURS[place % len(GROUP_COLOURS)]
