"""The formulas of all notebooks keep to the table of symbols in notebook 05."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
# What one notebook alone needs and introduces itself: no symbol of the table may stand here.
LOCAL = {
    "02": "F a b k x mu",
    "03": "W k p w x",
    "04": "delta",
    "06": "k p",
    "08": "p w",
    "08b": "A alpha z",
    "09": "a b",
    "10": "C k w",
}
# TeX that is no symbol: layout and operators.
WORDS = r"\\(?:text|mathrm|operatorname|begin|end)\{[^{}]*\}"
LAYOUT = (
    "hat frac tfrac big Big bigg left right underbrace qquad quad cdot dots le ge sum int sqrt"
    " partial log max min tanh arctanh exp lfloor rfloor lceil rceil pm times infty in bmod ell ne"
    " to"
).split()
SYMBOL = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")


def markdown(path):
    """{cell id: text} of a notebook's Markdown cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "markdown"}


def formulas(text):
    return [display or inline for display, inline in FORMULA.findall(text)]


def symbols(formula):
    """The letters of a formula, Greek ones by name; d before a variable of integration is none."""
    plain = re.sub(WORDS, " ", formula.replace(r"R\text{-}\ell_2", " ").replace(r"\,d", " "))
    found = [command or letter for command, letter in SYMBOL.findall(plain)]
    return [symbol for symbol in found if symbol not in LAYOUT]


def alone_below(formula):
    """The symbols that stand alone below another: m of s_m, but not of s_{-m}."""
    plain = re.sub(WORDS, " ", formula)
    below = re.findall(r"_(?:\{\s*)?(\\?[A-Za-z]+)(?=\s*[}=]|[^A-Za-z{(])", plain + " ")
    return [name.removeprefix("\\") for name in below if name.removeprefix("\\") not in LAYOUT]


def table():
    """(all symbols of the table, those that may stand below another)."""
    (text,) = (t for t in markdown(NOTEBOOKS[5]).values() if "| symbol | what it is |" in t)
    known, below = set(), {"K", "theta"}
    for row in re.findall(r"^\| (\$.+?) \| (.+?) \|", text, re.MULTILINE):
        own = {symbol for formula in formulas(row[0]) for symbol in symbols(formula)}
        known |= own
        below |= own if row[1].startswith("index") or "below other letters" in row[1] else set()
    return known, below


def wrong_in(text, allowed, below):
    found = formulas(text)
    strange = {symbol for formula in found for symbol in symbols(formula)} - allowed
    return strange | {f"_{name}" for formula in found for name in alone_below(formula)} - {
        f"_{name}" for name in below
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem.partition("_")[0])
def test_every_symbol_is_in_the_table_or_introduced_here(path):
    known, below = table()
    own = set(LOCAL.get(path.stem.partition("_")[0], "").split())
    cells = markdown(path)
    assert not own & known, "a symbol of the table has one meaning"
    text = " ".join(cells.values())
    for symbol in own:
        assert re.search(rf"[a-z,] \$[^$]*{symbol}", text), f"{symbol} is said nowhere"
    wrong = {key: wrong_in(cell, known | own, below | own) for key, cell in cells.items()}
    assert {key: found for key, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        (r"\hat s_q = s_m + \Delta(q, m)", {"_m"}),  # a mark is no exemplar
        (r"\frac1M \sum_{m=1}^{M} \big(s_m + \Delta(q, m)\big)", {"_m"}),
        (r"\hat s_n = s_m + T\big([\,f(v_m)\,;\,f(v_n)\,;\,s_m/\theta\,]\big)", {"T", "_m", "_n"}),
        (r"\max(k - s,\ 0)", {"k"}),
        (r"f_k = b - F + k", {"F", "b", "k", "_k"}),
        (r"\hat s_q = s_e + \hat\Delta([\,f_e\,;\,f_q\,;\,s_e/\theta\,])", set()),
        (r"s = d \cdot \big(m_{(3)} + m_{(4)}\big), \quad s_{-j}, s_{\max}", set()),
    ],
)
def test_a_second_meaning_is_found(formula, found):
    known, below = table()
    assert wrong_in(f"${formula}$", known, below) == found
