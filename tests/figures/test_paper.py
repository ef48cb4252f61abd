"""Figures for a paper have its widths and its letters, and carry their fonts."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from corelib.figures import plots
from corelib.figures.paper import write_figure

rng = np.random.default_rng(0)
TRUE = rng.uniform(20, 100, 40)
PREDICTIONS = pd.DataFrame(
    {
        "true": TRUE,
        "predicted": TRUE + rng.normal(0, 5, 40),
        "spread": rng.uniform(1, 3, 40),
        "group": np.repeat(list("abcd"), 10),
        "difficulty": rng.uniform(1.6, 3.7, 40),
    }
).assign(error=lambda frame: frame["predicted"] - frame["true"])
HISTORY = pd.DataFrame(
    {
        "epoch": range(8),
        "loss": np.linspace(3, 1, 8),
        "val_spearman": np.linspace(0.2, 0.9, 8),
        "val_rl2_x100": np.linspace(5, 1, 8),
    }
)
PAIRS = (rng.normal(0, 10, 200), np.array([0, 2.0, 5, 9, 30]))


SEVERAL = [
    (plots.learning_curves, HISTORY),
    (plots.score_scatter, PREDICTIONS["true"], PREDICTIONS["predicted"]),
    (plots.error_views, PREDICTIONS, ["group", "difficulty"]),
    (plots.intervals, *PAIRS),
]
ONE = [
    (plots.pair_differences, TRUE, TRUE / 3),
    (plots.tree, np.log(np.full(8, 1 / 8)), np.arange(8.0), np.arange(8.0) + 1),
]
each_figure = pytest.mark.parametrize("call", SEVERAL + ONE, ids=lambda call: call[0].__name__)


@each_figure
def test_one_panel_is_as_wide_as_a_column_and_several_are_as_wide_as_a_page(call, tmp_path):
    before = dict(matplotlib.rcParams)
    write_figure(tmp_path / "sub" / "a.b", ["pdf", "svg", "png"], *call)
    assert dict(matplotlib.rcParams) == before  # the reader's own settings stay
    inches = 7 if call in SEVERAL else 3.3
    pdf = (tmp_path / "sub" / "a.b.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    width, height = (float(number) / 72 for number in box.groups())
    assert width == pytest.approx(inches, abs=0.01) and 2 < height < 4
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf  # every font is in the file
    with Image.open(tmp_path / "sub" / "a.b.png") as png:
        assert png.width == 300 * inches and png.info["dpi"][0] == pytest.approx(300, abs=0.1)
    svg = (tmp_path / "sub" / "a.b.svg").read_text()
    assert f'width="{72 * inches:g}pt"' in svg


@each_figure
def test_no_letter_is_larger_than_the_captions(call, tmp_path, monkeypatch):
    sizes = []

    def note(figure, *_, **__):
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        sizes.extend(text.get_fontsize() for text in texts)

    monkeypatch.setattr(Figure, "savefig", note)
    write_figure(tmp_path / "figure", ["pdf"], *call)
    assert set(sizes) == {8}


def test_the_title_is_left_to_the_caption(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_: shown.append(figure.get_suptitle()))
    title = write_figure(tmp_path / "figure", ["pdf"], *ONE[0])
    assert title.startswith("Median difference: ") and shown == [""]
