"""Figures for a paper: files at the width of a column or a page, with letters of 8 points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.style
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from corelib.figures.style import STYLE

PAPER = Path(__file__).with_name("paper.mplstyle")
COLUMN, PAGE = 3.3, 7.0  # inches
LETTERS, SMALLER = 8, 8 / 12  # points; than in the course, whose letters have 12
FORMATS = ("pdf", "svg", "png")


def write_figure(
    path: Path, formats: Iterable[str], draw: Callable[..., Figure], *arguments, **keywords
) -> str:
    """Write what a function of `plots` draws as path.pdf, path.svg ...; returns its title.

    One panel is as wide as a column, several are as wide as a page; the title is the caption's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context([STYLE, PAPER], after_reset=True):
        figure = draw.__wrapped__(*arguments, **keywords)
        title = figure.get_suptitle()
        figure.suptitle("")
        width = PAGE if len(figure.axes) > 1 else COLUMN
        figure.set_size_inches(width, figure.get_figheight() * SMALLER)
        for text in figure.findobj(Text):
            text.set_fontsize(min(text.get_fontsize(), LETTERS))
        for line in figure.findobj(Line2D):
            line.set_linewidth(line.get_linewidth() * SMALLER)
            line.set_markersize(line.get_markersize() * SMALLER)
        for dots in figure.findobj(PathCollection):
            dots.set_sizes(dots.get_sizes() * SMALLER**2)
        for kind in formats:
            figure.savefig(path.with_name(f"{path.name}.{kind}"))
    return title
