"""Slides of an executed course: a deck a notebook, one file that opens without a network."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import nbformat
from jinja2 import Template
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from corelib.course.execute import list_notebooks
from corelib.course.parameters import CourseError, read_notebook
from corelib.machine.files import write_atomically

KEPT = ("#", "$$", "!", "|", ">", "**See")  # paragraphs that a slide shows besides the first


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return convert(body, display="block")

    def inline_math(self, body: str) -> str:
        return convert(body)


def write_slides(executed: str | Path, source: str | Path, out: str | Path) -> list[Path]:
    """Write out/NAME.html for every notebook of the folder `executed`.

    source  the folder of the source notebooks, whose cells say in their metadata what is a slide
    """
    decks, page = [], Template((Path(__file__).parent / "slides.html").read_text(encoding="utf-8"))
    for name, path in list_notebooks(source).items():
        copy = Path(executed) / f"{name}.ipynb"
        if not copy.is_file():
            raise CourseError(f"no {copy}: run the course first: python -m corelib course run")
        slides = find_slides(read_notebook(path), read_notebook(copy), path.parent)
        decks.append(Path(out) / f"{name}.html")
        decks[-1].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(decks[-1], page.render(name=name, slides=slides))
    return decks


def find_slides(
    source: nbformat.NotebookNode, executed: nbformat.NotebookNode, pictures: Path
) -> list[dict[str, str]]:
    """{title, shown, notes} of each slide, as HTML; a figure has its section's title."""
    slides, outputs = [], {cell.id: cell.get("outputs", []) for cell in executed.cells}
    for cell in source.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "skip")
        if kind == "notes" and slides:
            slides[-1]["notes"] += _html(cell.source, pictures)
        elif cell.cell_type == "markdown" and kind in ("slide", "subslide"):
            shown, notes = split(cell.source)
            title = re.search(r"^#+ (.*)", shown, re.MULTILINE)
            title = escape(title[1]) if title else slides[-1]["title"]
            texts = {"shown": _html(shown, pictures), "notes": _html(notes, pictures)}
            slides.append({"title": title, **texts})
        elif kind in ("slide", "subslide"):
            data = [output.get("data", {}).get("image/png") for output in outputs.get(cell.id, [])]
            for png in filter(None, data):
                title = slides[-1]["title"]
                figure = f'<img alt="{title}" src="data:image/png;base64,{png.strip()}">'
                slides.append({"title": title, "shown": figure, "notes": ""})
    return slides


def split(source: str) -> tuple[str, str]:
    """A cell's paragraphs in two: what a slide shows (the heading, the first sentences, equations,
    pictures, tables, what to see), and what the speaker has to say."""
    shown, notes = [], []
    for paragraph in re.split(r"\n\s*\n", source):
        words = any(not one.startswith(KEPT) for one in shown)
        further = bool(words and paragraph.startswith("#")) or any(n.startswith("#") for n in notes)
        (notes if further or words and not paragraph.startswith(KEPT) else shown).append(paragraph)
    return "\n\n".join(shown), "\n\n".join(notes)


def _html(source: str, pictures: Path) -> str:
    renderer = _Renderer(escape=False, embed_images=True, path=str(pictures))
    return MarkdownWithMath(renderer=renderer).render(source)
