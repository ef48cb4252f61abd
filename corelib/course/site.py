"""Pages of an executed course, which open from disk without a network, and their index."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from jinja2 import Template, pass_context
from latex2mathml.converter import convert as to_mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image

from corelib.course.continuing import is_executed
from corelib.course.parameters import CourseError
from corelib.course.results import table_text
from corelib.machine.files import new_folder, write_atomically

TEMPLATES = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = '<p class="widget-note">A widget: run this notebook in JupyterLab to use it.</p>'
THUMBNAIL = 480  # pixels; half of them are shown, so that it stays sharp
PICTURE = re.compile(r"^!\[.*\n\n.*\n\n|^\[!\[.*\n", re.MULTILINE)  # with its sentence; buttons
# A notebook's title, and what stands below it up to the next heading.
OPENING = re.compile(r"^# (.*)\n?(?:(?:#.*|[ \t]*)\n)*((?:[^#\n].*\n?|\n)*)", re.MULTILINE)


class _Renderer(IPythonRenderer):
    """Equations as MathML, which browsers set themselves, in place of a script from the web."""

    def block_math(self, body: str) -> str:
        return to_mathml(body, display="block")

    def inline_math(self, body: str) -> str:
        return to_mathml(body)


class _Page(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source):
        renderer = _Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=True,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
            anchor_link_text=self.anchor_link_text,
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def write_html(executed: str | Path, *, images: str | Path) -> Path:
    """Write an executed notebook's page beside it: one file that opens without a network.

    images   the folder that pictures named in Markdown are relative to; they are put into the page
    """
    executed = Path(executed)
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell, caption in zip(notebook.cells, captions(notebook), strict=True):
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                output.data = {"text/html": WIDGET_NOTE}
            elif "data" in output:
                output.metadata["caption"] = caption
    exporter = _Page(template_file=str(TEMPLATES / "page.html"), embed_images=True)
    # Nothing that a course run could mend: nbconvert remarks on pictures without alternative text.
    exporter.log = logging.getLogger(f"{__name__}.nbconvert")
    exporter.log.setLevel(logging.ERROR)
    resources = {"metadata": {"path": str(images), "name": executed.stem}}
    path = executed.with_suffix(".html")
    write_atomically(path, exporter.from_notebook_node(notebook, resources)[0])
    return path


def captions(notebook: nbformat.NotebookNode) -> list[str]:
    """What is to be seen in each cell's figure, in words; a text a cell, in order.

    These are the sentences with "see" of the Markdown before it, or its first sentence.
    """
    found, caption = [], "Figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines = cell.source.splitlines()
            text = " ".join(line for line in lines if not line.startswith(("#", "|", "$$", "-")))
            text = re.sub(r"[*`]|\$+[^$]*\$+", "", text).strip()
            sentences = re.split(r"(?<=[.?!])\s+", text)
            seen = [one for one in sentences if re.search(r"\b[Ss]ee\b|\b[Cc]ompare\b", one)]
            caption = " ".join(seen or sentences[:1]) or caption
        found.append(caption)
    return found


def write_index(
    folder: str | Path, *, names: Iterable[str], profile: str, rows: list[Mapping], stamp: Mapping
) -> Path:
    """Write folder/index.html over the executed notebooks there (those of `names`, in that order).

    rows   the results table's rows (may be empty)
    stamp  what the results depend on: versions, device, source; written to environment.json too
    """
    folder = Path(folder)
    executed = [folder / f"{name}.ipynb" for name in names]
    entries = [_entry(path) for path in executed if path.is_file()]
    table = table_text(rows).to_html(index=False, border=0) if rows else None
    template = Template((TEMPLATES / "index.html").read_text(encoding="utf-8"), autoescape=True)
    page = template.render(profile=profile, entries=entries, table=table, stamp=stamp)
    write_atomically(folder / "environment.json", json.dumps(stamp, indent=2) + "\n")
    write_atomically(folder / "index.html", page + "\n")
    return folder / "index.html"


def _entry(executed: Path) -> dict:
    notebook = nbformat.read(executed, as_version=4)
    title, aims = title_and_aims(notebook)
    record = notebook.metadata.get("papermill", {})
    return {
        "name": executed.stem,
        "title": title or executed.stem,
        "aims": MarkdownWithMath(renderer=_Renderer(escape=False)).render(aims),
        "failed": record.get("exception"),
        "seconds": f"{record['duration']:.1f} s" if record.get("duration") else "",
        "thumbnail": _thumbnail(notebook),
    }


def title_and_aims(notebook: nbformat.NotebookNode, most: int = 7) -> tuple[str, str]:
    """A notebook's first heading, and the first lines under it; both empty without a heading."""
    for cell in notebook.cells:
        text = PICTURE.sub("", cell.source)
        if cell.cell_type == "markdown" and (found := OPENING.search(text)):
            below = [line.rstrip() for line in found[2].splitlines()]
            filled = [place for place, line in enumerate(below) if line][:most]
            return found[1].strip(), "\n".join(below[: filled[-1] + 1] if filled else [])
    return "", ""


def _thumbnail(notebook: nbformat.NotebookNode) -> str | None:
    """The first PNG that a cell put out, as a data address."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    encoded = [output.get("data", {}).get("image/png") for output in outputs]
    for png in filter(None, encoded):
        picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        small = io.BytesIO()
        picture.save(small, format="PNG")
        return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode("ascii")
    return None


def publish(folder: str | Path, out: str | Path, *, names: Iterable[str]) -> Path:
    """Copy the site of a finished course run into `out`, and return its index.

    names  the notebooks that must have been executed to their end; CourseError tells the others
    """
    folder, out = Path(folder), Path(out)
    missing = [name for name in names if not is_executed(folder / f"{name}.ipynb")]
    if missing:
        first = "run the course first: python -m corelib course run"
        raise CourseError(f"{folder}: not executed to the end: {', '.join(missing)}; {first}")
    if out.exists() and any(out.iterdir()) and not (out / "environment.json").is_file():
        mixed = "which the site would mix with"
        raise CourseError(f"{out} holds other files, {mixed}; choose an empty --out")
    pages = [f"{name}.html" for name in names]
    with new_folder(out, overwrite=True) as scratch:
        for name in ["index.html", "metrics.json", "environment.json", *pages]:
            shutil.copyfile(folder / name, scratch / name)
    return out / "index.html"
