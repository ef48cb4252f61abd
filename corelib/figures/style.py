"""What all figures share: one style, one meaning for each colour, and a figure that needs no
pyplot."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

STYLE = Path(__file__).with_name("style.mplstyle")

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000",
)  # fmt: skip
PALE = "#BBBBBB"
# A system keeps its colour in every figure; with difficulty is solid, without is dashed or hollow.
SYSTEM_COLOURS = {"mlp": ORANGE, "core": BLUE}
SYSTEM_NAMES = {"mlp": "I3D+MLP", "core": "CoRe"}
GROUP_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)


class Drawing(Figure):
    """A matplotlib figure that a notebook shows as the last expression of a cell, whatever the
    backend.

    It is not registered with pyplot, so nothing has to be closed and nothing is shown twice.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a drawing function work in the course's style and leave the reader's own settings
    alone."""

    @functools.wraps(draw)
    def drawn_in_style(*arguments, **keywords):
        with matplotlib.style.context(STYLE, after_reset=True):
            figure = draw(*arguments, **keywords)
            # Ticks take their style when they are first drawn: that has to happen inside the
            # context.
            both = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
            logarithmic = [axis for axis in both if axis.get_scale() == "log"]
            for axis in logarithmic:
                for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                    tick.label1.set_parse_math(True)
                    tick.label2.set_parse_math(True)
            with matplotlib.rc_context({"text.parse_math": bool(logarithmic)}):
                figure.draw_without_rendering()
        return figure

    return drawn_in_style


def panels(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], title: str = "", **keywords
) -> tuple[Drawing, np.ndarray]:
    """A new figure of `size` inches with axes [rows, columns]; `keywords` go to Figure.subplots."""
    figure = Drawing(figsize=size)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure, figure.subplots(rows, columns, squeeze=False, **keywords)


def numbers(values: ArrayLike, name: str, length: int | None = None) -> np.ndarray:
    """`values` as floats [N], N >= 1; raises ValueError when empty, not finite or not of the length
    wanted."""
    values = np.asarray(values, dtype=float).reshape(-1)
    if values.size == 0:
        raise ValueError(f"{name} is empty; there is nothing to draw")
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name}[{int(np.flatnonzero(~np.isfinite(values))[0])}] is not a finite number"
        )
    if length is not None and values.size != length:
        raise ValueError(f"{name} has {values.size} values where {length} belong")
    return values


def limits(*values: np.ndarray, margin: float = 0.05) -> tuple[float, float]:
    """Axis limits that hold all values, with a margin; a constant gets room on both sides."""
    low, high = (
        float(function([function(array) for array in values])) for function in (np.min, np.max)
    )
    room = margin * (high - low) or max(0.05 * abs(high), 0.5)
    return low - room, high + room


def identity_line(axes: Axes, low: float, high: float) -> None:
    """The line on which predicted equals true; the artist's gid is "identity"."""
    axes.plot(
        [low, high], [low, high], color=BLACK, linewidth=1, linestyle=":", zorder=1, gid="identity"
    )


def by_group(groups: ArrayLike | None, length: int) -> list[tuple[str, np.ndarray, str]]:
    """(name, row mask [N], colour) of every group, the largest six by name and the rest together as
    "other"."""
    if groups is None:
        return [("", np.ones(length, dtype=bool), BLUE)]
    groups = np.asarray(groups).astype(str)
    if groups.size != length:
        raise ValueError(f"groups has {groups.size} values where {length} belong")
    names, counts = np.unique(groups, return_counts=True)
    kept = (
        names
        if len(names) <= len(GROUP_COLOURS)
        else np.sort(names[np.argsort(-counts, kind="stable")[:6]])
    )
    parts = [
        (str(name), groups == name, colour)
        for name, colour in zip(kept, GROUP_COLOURS, strict=False)
    ]
    rest = ~np.isin(groups, kept)
    return parts + ([(f"other ({len(names) - len(kept)})", rest, PALE)] if rest.any() else [])


def system_look(system: str, with_difficulty: bool) -> tuple[str, str]:
    """(label, colour) of a system, as in the paper's tables: CoRe, CoRe (w/ DD), I3D+MLP, I3D+MLP
    (w/ DD)."""
    label = SYSTEM_NAMES.get(system, system) + (" (w/ DD)" if with_difficulty else "")
    return label, SYSTEM_COLOURS.get(system, GREEN)
