"""The paper's rows: what reproduce.py goes by is what the pages print."""

from pathlib import Path

import pytest

from corelib.recipe import named
from corelib.runs.options import parse_knobs
from data_scripts.prepared.benchmarks import BENCHMARKS, options_of, published_table

ROOT = Path(__file__).parents[2]
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_page_prints_the_table_of_published_rows_as_it_is():
    lines = RESULTS.splitlines()
    start = lines.index(published_table()[0])
    assert lines[start : start + len(published_table())] == published_table()
    assert lines[start + len(published_table())] == ""


def test_the_page_spells_out_every_letter_of_the_commands():
    letters = {each.letter: each.knobs("paper") for each in BENCHMARKS.values() if each.letter}
    assert sorted(letters) == ["A", "J"]
    for letter, knobs in letters.items():
        assert f"`{letter}` stands for `{options_of(knobs)}`" in RESULTS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_options_set_the_knobs_that_reproduce_sets(name):
    knobs = BENCHMARKS[name].knobs("paper")
    words = options_of(knobs).replace('"', "").split()[1::2]
    assert named("paper", **parse_knobs(words)) == named("paper", **knobs)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_page_prepares_what_reproduce_prepares(name):
    benchmark = BENCHMARKS[name]
    line = next(
        line for line in RESULTS.splitlines() if f"data_scripts/{benchmark.script} --raw" in line
    )
    assert line.startswith(f"| {benchmark.title} |")
    for option in benchmark.prepare.get("paper", []):
        assert option in line
    assert all(Path(folder).match(benchmark.glob) for folder in benchmark.datasets)


def test_every_row_has_its_numbers_and_says_whether_it_was_measured():
    rows = [line.strip("| ").split(" | ") for line in published_table()[2:]]
    said = {name: (numbers, measured) for name, numbers, measured, *_ in rows}
    assert len(said) == 8
    # worked by hand from the published tables
    assert said["MTL-AQA, CoRe (w/ DD)"][0] == ".9512, .260"
    assert said["AQA-7, CoRe"][0] == ".8401, 2.12"
    assert said["JIGSAWS, CoRe"][0] == ".85, - (second hand)"
    unmeasured = [row for benchmark in BENCHMARKS.values() for row in benchmark.published]
    unmeasured = len(unmeasured) - sum(len(each.measured) for each in BENCHMARKS.values())
    assert (
        sum("not measured: needs the videos" in measured for _, measured in said.values())
        == unmeasured
    )


def test_the_notebook_that_compares_the_systems_prints_the_same_numbers():
    notebook = (ROOT / "notebooks" / "08_evaluate.ipynb").read_text(encoding="utf-8")
    for rho, rl2 in BENCHMARKS["mtl-aqa"].published.values():
        assert f"{rho:.4f}, {rl2:.3f}" in notebook
