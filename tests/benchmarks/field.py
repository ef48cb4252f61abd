"""Published rho on MTL-AQA over the years, beside one judge: the picture and the table of
docs/field.md, both made of docs/field.csv.

    python tests/benchmarks/field.py [--raw FOLDER] [--out docs]

With `--raw`, MTL-AQA's folder of annotations, the judges' rho is computed from the real marks and
printed; the picture takes JUDGES, what came out.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from corelib.figures.style import BLACK, BLUE, ORANGE, PALE, VERMILLION, panels, styled
from corelib.metrics import spearman
from data_scripts.readers.pickles import load_pickle

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEST_DIVES = 353
# Each of the seven judges against the rule on the other six: `judges` on the real test split.
JUDGES = (0.9738, 0.9694, 0.9730, 0.9762, 0.9707, 0.9709, 0.9728)
EPOCH = {  # how the released code chooses the epoch: words, marker, colour
    "test": ("the best on the test set", "o", VERMILLION),
    "elsewhere": ("the best on the test set, in code for other data or a variant", "D", ORANGE),
    "printed": ("results of every epoch, no rule", "^", BLUE),
    "validation": ("the best on a validation part", "P", BLACK),
    "unknown": ("not known: no such code read", "s", PALE),
}
WORDS = {  # the same in the table
    "test": "test set",
    "elsewhere": "test set, elsewhere",
    "printed": "every epoch",
    "validation": "validation",
    "unknown": "not known",
}
DIFFICULTY = {"known": "full", "unknown": "none", "not said": "left"}  # how a marker is filled
HANDS = ("paper", "list")  # the number read in the paper or its results entry | in others' table
STEP = 0.0026  # of rho between two labels
MARKS = ("<!-- made by tests/benchmarks/field.py -->", "<!-- end -->")


def read_rows(path: Path = DOCS / "field.csv") -> list[dict[str, str]]:
    """The rows of docs/field.csv, a method each; values as they are printed."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def judges(marks: ArrayLike, difficulty: ArrayLike) -> list[float]:
    """rho of each judge alone against the rule on the others, as `levels` of notebook 10 has it.

    marks: [N, 7], 0..10; difficulty: [N]. The others' highest and lowest are dropped.
    """
    marks, difficulty = np.asarray(marks, float), np.asarray(difficulty, float)
    found = []
    for judge in range(marks.shape[1]):
        others = np.sort(np.delete(marks, judge, axis=1), axis=1)[:, 1:-1].mean(axis=1)
        pair = [(3 * difficulty * given).round(6) for given in (marks[:, judge], others)]
        found.append(spearman(*pair))
    return found


def real_judges(raw: Path) -> list[float]:
    """`judges` on the test split of MTL-AQA's annotations in the folder `raw`."""
    dives = load_pickle(raw / "final_annotations_dict_with_dive_number.pkl")
    keys = [tuple(key) for key in load_pickle(raw / "test_split_0.pkl")]
    rows = [dives[key] for key in keys]
    return judges([row["judge_scores"] for row in rows], [row["difficulty"] for row in rows])


def interval(rho: float, samples: int) -> tuple[float, float]:
    """About where 95 % of the rhos of other test sets of this size would lie.

    Fisher's z with the variance of Bonett and Wright (2000), (1 + rho^2 / 2) / (samples - 3).
    """
    away = 1.96 * np.sqrt((1 + rho**2 / 2) / (samples - 3))
    return float(np.tanh(np.arctanh(rho) - away)), float(np.tanh(np.arctanh(rho) + away))


def apart(heights: ArrayLike, step: float) -> np.ndarray:
    """Heights [n], moved as little as it takes for each two to lie `step` apart, in their order."""
    heights = np.asarray(heights, float)
    if not heights.size:
        return heights
    order = np.argsort(heights, kind="stable")
    places = heights[order]
    blocks = [[place, 1] for place in places]  # [mean, how many], merged while they overlap
    at = 0
    while at < len(blocks) - 1:
        (low, n), (high, m) = blocks[at], blocks[at + 1]
        if high - low < step * (n + m) / 2 - 1e-12:
            blocks[at : at + 2] = [[(n * low + m * high) / (n + m), n + m]]
            at = max(at - 1, 0)
        else:
            at += 1
    spread = [mean + step * (np.arange(n) - (n - 1) / 2) for mean, n in blocks]
    found = np.empty(len(places))
    found[order] = np.concatenate(spread)
    return found


def beside(rhos: np.ndarray, near: float = 0.0017) -> np.ndarray:
    """Shifts [n] to the left, in years, of points that would cover one another."""
    columns: list[list[float]] = []
    shifts = np.zeros(len(rhos))
    for at in np.argsort(rhos, kind="stable"):
        free = (n for n, taken in enumerate(columns) if rhos[at] - taken[-1] >= near)
        column = next(free, len(columns))
        columns += [[]] * (column == len(columns))
        columns[column] = [*columns[column], rhos[at]]
        shifts[at] = -0.12 * column
    return shifts


def look(row: dict[str, str]) -> dict:
    """Marker, colour and filling of a row's point."""
    _, marker, colour = EPOCH[row["epoch"]]
    edge = "#666666" if row["epoch"] == "unknown" else colour
    return {
        "marker": marker,
        "fillstyle": DIFFICULTY[row["difficulty"]],
        "markerfacecolor": colour,
        "markerfacecoloralt": "white",
        "markeredgecolor": edge,
        "linestyle": "none",
        "markersize": 8.5,
        "markeredgewidth": 1.4,
    }


def draw_methods(axis: Axes, rows: list[dict[str, str]]) -> None:
    """A point a row, its gid the method; names right of the year, of shifted points left of it."""
    for year in sorted({int(row["year"]) for row in rows}):
        here = [row for row in rows if int(row["year"]) == year]
        rhos = np.array([float(row["rho"]) for row in here])
        shifts = beside(rhos)
        for side, align in ((shifts == 0, "left"), (shifts < 0, "right")):
            edge = 0.16 if align == "left" else shifts.min() - 0.16
            for at, y in zip(np.flatnonzero(side), apart(rhos[side], STEP), strict=True):
                x, rho, name = year + shifts[at], rhos[at], here[at]["method"]
                thin = {"color": "#999999", "linewidth": 0.8, "zorder": 1}
                axis.plot([x, year + edge], [rho, y], **thin)
                axis.plot(x, rho, gid=name, zorder=3, **look(here[at]))
                away = np.copysign(0.02, edge)
                axis.text(year + edge + away, y, name, ha=align, va="center", fontsize=10.5)


def draw_levels(axis: Axes) -> None:
    """One judge, with the range of the seven, and how far a rho of .95 may be off by its dives."""
    judge = np.mean(JUDGES)
    axis.axhspan(min(JUDGES), max(JUDGES), color=BLACK, alpha=0.12, linewidth=0)
    axis.axhline(judge, color=BLACK, gid="judge")
    said = f"one judge against the other six: {judge:.3f}".replace("0.", ".")
    axis.text(2018.75, max(JUDGES) + 0.0008, f"{said} (band: the seven)", va="bottom")
    low, high = interval(0.95, TEST_DIVES)
    axis.errorbar(2019, 0.95, [[0.95 - low], [high - 0.95]], color="#555555", capsize=5, gid="95")
    said = f"a rho of .95 on {TEST_DIVES} dives:\nother dives would give\nthis much more or less"
    axis.text(2019.12, 0.95, said, va="center", color="#555555", fontsize=10.5)


@styled
def field(rows: list[dict[str, str]]) -> Figure:
    """Published rho over the years: see that none reaches one judge, and red: chosen on the test
    set.

    rows: of `read_rows`.
    """
    title = "MTL-AQA: no published rho reaches one judge; red: the epoch was chosen on the test set"
    figure, [[axis]] = panels(size=(11, 6.6), title=title)
    draw_levels(axis)
    draw_methods(axis, rows)
    axis.set(xlim=(2018.7, 2026.1), ylim=(0.898, 0.981), ylabel="published Spearman's rho")
    axis.set_xticks(range(2019, 2026))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}".removeprefix("0"))
    axis.grid(False, axis="x")
    used = [name for name in EPOCH if any(row["epoch"] == name for row in rows)]
    shown = [
        look({"epoch": name, "difficulty": "known"}) | {"label": EPOCH[name][0]} for name in used
    ]
    handles = [Line2D([], [], **one) for one in shown]
    filled = {"known": "difficulty known", "not said": "not said", "unknown": "unknown"}
    for name, words in filled.items():
        one = look({"epoch": "unknown", "difficulty": name}) | {"marker": "o", "label": words}
        handles.append(Line2D([], [], **one | {"markerfacecolor": "#666666"}))
    first = axis.legend(
        handles=handles[: len(used)],
        loc="lower right",
        bbox_to_anchor=(1, 0.14),
        title="Epoch, by the released code:",
        alignment="left",
    )
    axis.add_artist(first)
    axis.legend(handles=handles[len(used) :], loc="lower right", ncols=3, columnspacing=1.2)
    return figure


def cell(row: dict[str, str], rho: str, rl2: str) -> str:
    """rho and R-l2 as a cell: .9512, .260; - where not printed."""
    return ", ".join(value for value in (row[rho], row[rl2]) if value) or "-"


def table(rows: list[dict[str, str]]) -> str:
    """The table of docs/field.md, and below it what there is to know of single rows."""
    heads = ["method", "rho, R-l2 x100", "difficulty", "without it", "what it added"]
    lines = [[*heads, "epoch", "read in"], ["---"] * 7]
    for row in rows:
        epoch = WORDS[row["epoch"]]
        epoch = f"[{epoch}]({row['epoch_source']})" if row["epoch_source"] else epoch
        lines.append(
            [f"{row['method']}, {row['venue']} {row['year']}", cell(row, "rho", "rl2_x100")]
            + [row["difficulty"], cell(row, "rho_without", "rl2_without_x100"), row["added"]]
            + [epoch, f"[{row['hand']}]({row['source']})"]
        )
    notes = [f"- {row['method']}: {row['note']}." for row in rows if row["note"]]
    return "\n".join([f"| {' | '.join(line)} |" for line in lines] + ["", *notes])


def with_table(page: str, rows: list[dict[str, str]]) -> str:
    """The page's text with the table of these rows between its MARKS."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{table(rows)}\n\n{MARKS[1]}{after}"


@click.command(help=__doc__.splitlines()[0])
@click.option("--raw", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(raw: Path | None, out: Path) -> None:
    rows = read_rows()
    if raw:
        found = real_judges(raw)
        print("judges:", " ".join(f"{rho:.4f}" for rho in found), f"mean {np.mean(found):.4f}")
    field(rows).savefig(out / "field.png")
    page = DOCS / "field.md"
    text = with_table(page.read_text(encoding="utf-8"), rows)
    (out / "field.md").write_text(text, encoding="utf-8")
    print(f"{len(rows)} rows; an interval of .95: {interval(0.95, TEST_DIVES)}")


if __name__ == "__main__":
    main()
