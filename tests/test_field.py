"""The published numbers: each says where it was read, and picture and page are those of the table
docs/field.csv."""

import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from corelib.metrics import spearman
from data_scripts.prepared.benchmarks import BENCHMARKS
from tests.benchmarks import field

ROWS = field.read_rows()
PAGE = (field.DOCS / "field.md").read_text(encoding="utf-8")
ADDRESS = re.compile(r"https://[\w.-]+/\S+")

each_row = pytest.mark.parametrize("row", ROWS, ids=[row["method"] for row in ROWS])


@each_row
def test_a_row_says_what_was_printed_where_and_how_its_epoch_was_chosen(row):
    assert row["method"] and row["venue"] and row["added"] and None not in row
    assert 2019 <= int(row["year"]) <= 2030  # MTL-AQA is of 2019
    assert row["difficulty"] in field.DIFFICULTY and row["hand"] in field.HANDS
    assert ADDRESS.fullmatch(row["source"])
    assert row["epoch"] in field.EPOCH
    assert (row["epoch"] == "unknown") == (row["epoch_source"] == "")
    assert not row["epoch_source"] or ADDRESS.fullmatch(row["epoch_source"])


@each_row
def test_rho_and_r_l2_are_possible(row):
    for name in ("rho", "rho_without"):
        assert re.fullmatch(r"(\.\d{3,4})?", row[name])
    assert 0 < float(row["rho"]) < 1
    assert float(row["rho_without"] or row["rho"]) <= float(row["rho"])
    for name in ("rl2_x100", "rl2_without_x100"):
        assert not row[name] or 0 < float(row[name]) < 10
    assert not row["rho_without"] or row["difficulty"] == "known"


def test_methods_come_once_and_by_year():
    assert max(Counter(row["method"] for row in ROWS).values()) == 1
    years = [int(row["year"]) for row in ROWS]
    assert years == sorted(years)


def test_core_s_rows_are_those_of_the_benchmarks():
    published = BENCHMARKS["mtl-aqa"].published
    for system, method in (("mlp", "I3D+MLP"), ("core", "CoRe")):
        row = next(row for row in ROWS if row["method"] == method)
        assert (float(row["rho"]), float(row["rl2_x100"])) == published[system, True]
        without = float(row["rho_without"]), float(row["rl2_without_x100"])
        assert without == published[system, False]


def points(figure):
    axis = figure.axes[0]
    names = {row["method"] for row in ROWS}
    return {line.get_gid(): line for line in axis.lines if line.get_gid() in names}


def test_the_picture_has_a_point_a_row_at_its_rho_and_year():
    drawn = points(field.field(ROWS))
    assert len(drawn) == len(ROWS)
    for row in ROWS:
        (x,), (y,) = drawn[row["method"]].get_data()
        assert y == float(row["rho"]) and 0 <= int(row["year"]) - x < 0.5
        assert drawn[row["method"]].get_marker() == field.EPOCH[row["epoch"]][1]


def test_no_name_covers_another_or_a_point():
    figure = field.field(ROWS)
    axis = figure.axes[0]
    names = [text for text in axis.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in names]
    for at, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[at + 1 :])
        for line in points(figure).values():
            x, y = axis.transData.transform(np.column_stack(line.get_data()))[0]
            assert not box.contains(x, y), line.get_gid()


def test_the_page_s_table_is_that_of_the_csv():
    assert field.with_table(PAGE, ROWS) == PAGE
    assert PAGE.count("\n| ") == len(ROWS) + 2
    assert Image.open(field.DOCS / "field.png").width > 1000


def test_the_page_counts_as_the_table_does():
    of = Counter(row["epoch"] for row in ROWS)
    seen = len(ROWS) - of["unknown"]
    assert f"Of the {seen} methods" in PAGE and f"{of['test'] + of['elsewhere']} keep" in PAGE
    second = sum(row["hand"] == "list" for row in ROWS)
    assert f"{second} of the {len(ROWS)} numbers are second hand" in PAGE
    best = max(float(row["rho"]) for row in ROWS)
    assert f"best printed rho is {best:.3f}".replace("0.", ".") in PAGE
    low, high = field.interval(0.95, field.TEST_DIVES)
    assert f"from {low:.3f} to {high:.3f}".replace("0.", ".") in PAGE
    assert f"reaches rho {np.mean(field.JUDGES):.3f}".replace("0.", ".") in PAGE


def test_labels_are_spread_as_little_as_needed():
    assert field.apart([3, 1, 2], 0.5).tolist() == [3, 1, 2]
    assert field.apart([1, 1, 5], 1).tolist() == [0.5, 1.5, 5]
    spread = field.apart([1, 1.2, 1.9, 9], 1)  # the pair moved apart now meets the third
    assert np.allclose(np.diff(spread[:3]), 1) and np.isclose(spread[:3].mean(), 4.1 / 3)
    assert field.apart([], 1).size == 0


def test_the_interval_holds_what_drawn_test_sets_show():
    # Of normal pairs the correlation that gives a rank correlation rho is 2 sin(pi rho / 6).
    generator, r = np.random.default_rng(0), 2 * np.sin(np.pi * 0.95 / 6)
    low, high = field.interval(0.95, field.TEST_DIVES)
    inside = 0
    for _ in range(400):
        x, noise = generator.standard_normal((2, field.TEST_DIVES))
        inside += low <= spearman(x, r * x + np.sqrt(1 - r**2) * noise) <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_judges_by_hand():
    # Seven judges who agree are as good as their panel; one who turns the order round is not.
    marks = np.tile(np.arange(1.0, 10.0)[:, None], 7)
    assert field.judges(marks, np.ones(9)) == [1] * 7
    marks[:, 3] = marks[::-1, 3].copy()
    found = field.judges(marks, np.ones(9))
    assert found[3] == -1 and min(found[:3] + found[4:]) == 1


def test_the_judges_of_the_picture_are_the_real_ones(aqa_data):
    assert np.round(field.real_judges(aqa_data / "mtl_aqa"), 4).tolist() == list(field.JUDGES)
