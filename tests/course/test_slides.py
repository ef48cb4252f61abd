"""Decks of slides from an executed course."""

import base64
import re

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from corelib.__main__ import main
from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.parameters import read_notebook
from corelib.course.slides import split

TITLE = "# 05 Pairs\n\n**Which one?**\n\n![Two dives](pictures/two.png)\n\nYou need: nothing."
SECTION = "## A pair\n\nOne sentence.\n\n$$a < b$$\n\nA long talk about $c$."
PNG = base64.b64encode(b"a figure").decode("ascii")


def cell(kind, source, *outputs):
    metadata = {"slideshow": {"slide_type": kind}} if kind else {}
    if outputs:
        return new_code_cell(source, id=f"c{len(source)}", metadata=metadata, outputs=list(outputs))
    return new_markdown_cell(source, id=f"m{len(source)}", metadata=metadata)


@pytest.fixture
def course(source):
    """A course of one notebook, and its executed copy, which lost the metadata."""
    figure = new_output("display_data", {"image/png": PNG, "text/plain": "a figure of 1"})
    text = new_output("stream", text="not for the wall")
    cells = [
        cell("slide", TITLE), cell("skip", "y = 2", text), cell("slide", SECTION),
        cell("subslide", "plots.tree(y)", text, figure), cell("notes", "And this is said."),
        cell(None, "no word of it"),
    ]  # fmt: skip
    executed = source.parent / "runs" / "course" / "tiny"
    executed.mkdir(parents=True)
    (source / "pictures").mkdir()
    (source / "pictures" / "two.png").write_bytes(b"two dives")
    nbformat.write(new_notebook(cells=cells), executed / "05_pairs.ipynb")
    for one in cells:
        one.update(outputs=[]) if one.cell_type == "code" else None
    nbformat.write(new_notebook(cells=cells), source / "05_pairs.ipynb")
    copy = nbformat.read(executed / "05_pairs.ipynb", as_version=4)
    for one in copy.cells:
        one.metadata.clear()
    nbformat.write(copy, executed / "05_pairs.ipynb")
    return source


def test_a_deck_shows_what_its_tags_say_and_needs_no_network(course, tmp_path):
    command = ["course", "slides", "--profile", "tiny", "--notebooks", str(course)]
    result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "decks")])
    assert result.exit_code == 0, result.output
    deck = (tmp_path / "decks" / "05_pairs.html").read_text(encoding="utf-8")
    title, section, figure = re.findall(r"<section.*?</section>", deck, re.DOTALL)
    assert "05 Pairs" in title and base64.b64encode(b"two dives").decode("ascii") in title
    shown, notes = section.split("<aside>")
    assert "One sentence." in shown and "<math" in shown and "long talk" in notes
    assert PNG in figure and 'alt="A pair"' in figure and "And this is said." in figure
    for absent in ("not for the wall", "plots.tree", "no word of it", "a figure of 1"):
        assert absent not in deck
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", deck) and "@import" not in deck


def test_a_course_that_was_not_run_is_told_so(course, tmp_path):
    (course.parent / "runs" / "course" / "tiny" / "05_pairs.ipynb").unlink()
    command = ["course", "slides", "--profile", "tiny", "--notebooks", str(course)]
    result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "decks")])
    assert result.exit_code == 2 and "run the course first" in result.output


def test_a_slide_shows_headings_equations_tables_and_the_first_words():
    said = "## H\n\nfirst\n\nsecond\n\n| a |\n|---|\n\n**See** it.\n\n> why?\n\n- last\n\n"
    shown, notes = split(said + "## Read on\n\n| b |")
    assert shown == "## H\n\nfirst\n\n| a |\n|---|\n\n**See** it.\n\n> why?"
    assert notes == "second\n\n- last\n\n## Read on\n\n| b |"


@pytest.mark.parametrize("path", list_notebooks(notebooks_folder()).values(), ids=lambda p: p.stem)
def test_every_cell_says_whether_it_is_shown(path):
    cells = read_notebook(path).cells
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in cells]
    assert kinds[0] == "slide" and set(kinds) <= {"slide", "subslide", "notes", "skip"}
    shown = [cell for cell, kind in zip(cells, kinds, strict=True) if "slide" in kind]
    assert any("plots." in cell.source for cell in shown)
    assert not any("BEGIN SOLUTION" in cell.source for cell in shown)
