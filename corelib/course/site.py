"""Pages of an executed course: one HTML a notebook, and an index with aims, times and thumbnails.

Figures and styles are inside the pages, which open without a network. Two things need one: equations
(the browser loads MathJax) and live widgets.
"""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from PIL import Image

from corelib.course.results import table_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
article { display: flex; gap: 1.5rem; border-top: 1px solid #ccc; padding: 1rem 0; }
article > div { flex: 1; }
article img { width: 240px; height: auto; align-self: flex-start; }
h2 { margin: 0; font-size: 1.15rem; }
.note { color: #555; font-size: .9rem; }
.failed { color: #a00000; font-weight: bold; }
table { border-collapse: collapse; font-size: .85rem; }
td, th { border-bottom: 1px solid #ccc; padding: .2rem .6rem; text-align: left; white-space: nowrap; }
.wide { overflow-x: auto; }
"""


def write_html(executed: str | Path, *, images: str | Path) -> Path:
    """Write the page of an executed notebook beside it and return its path.

    images   the folder that pictures named in Markdown are relative to; they are put into the page
    """
    executed = Path(executed)
    notebook = nbformat.read(executed, as_version=4)
    exporter = HTMLExporter(template_name="lab", embed_images=True)
    # Nothing that a course run could mend: nbconvert remarks on figures without a text alternative.
    exporter.log = logging.getLogger(f"{__name__}.nbconvert")
    exporter.log.setLevel(logging.ERROR)
    has_widgets = "widgets" in notebook.metadata
    if not has_widgets:
        exporter.require_js_url = ""
    resources = {"metadata": {"path": str(images), "name": executed.stem}}
    page, _ = exporter.from_notebook_node(notebook, resources)
    if not has_widgets:
        page = page.replace('<script src=""></script>', "")
    path = executed.with_suffix(".html")
    path.write_text(page, encoding="utf-8")
    return path


def write_index(folder: str | Path, *, names: Iterable[str], profile: str, rows: list[Mapping]) -> Path:
    """Write folder/index.html over the executed notebooks there (those of `names`, in that order).

    rows   the results table's rows (may be empty)
    """
    folder = Path(folder)
    entries = [_entry(folder / f"{name}.ipynb") for name in names if (folder / f"{name}.ipynb").is_file()]
    table = table_text(rows).to_html(index=False, border=0) if rows else "<p>No notebook recorded a result.</p>"
    title = f"The course, executed at profile {html.escape(profile)}"
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p class="note">Figures are inside the pages. Equations are set by MathJax and widgets by a script,
which the browser loads from the web.</p>
{"".join(entries)}
<h2>Results</h2>
<p class="note">Mean +- standard deviation over seeds. R-l2 divides by the range of scores shown beside it.</p>
<div class="wide">{table}</div>
</body></html>
"""
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def title_and_aims(notebook: nbformat.NotebookNode, name: str, *, lines: int = 6) -> tuple[str, str]:
    """A notebook's first heading, and the first lines under it as Markdown (at most `lines`, further headings skipped).

    Without a heading the title is `name`.
    """
    title, aims = name, []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = [line.rstrip() for line in cell.source.splitlines()]
        start = next((i for i, line in enumerate(text) if line.startswith("# ")), None)
        if start is None:
            continue
        title = text[start][2:].strip()
        for line in text[start + 1 :]:
            if line.startswith("#") and any(aims):
                break
            if not line.startswith("#") and len([aim for aim in aims if aim]) < lines:
                aims.append(line)
        break
    return title, "\n".join(aims).strip()


def _entry(executed: Path) -> str:
    notebook = nbformat.read(executed, as_version=4)
    title, aims = title_and_aims(notebook, executed.stem)
    record = notebook.metadata.get("papermill", {})
    seconds = f"{record['duration']:.1f} s" if record.get("duration") else ""
    failed = '<span class="failed">failed</span> ' if record.get("exception") else ""
    thumbnail = _thumbnail(notebook)
    picture = f'<img alt="First figure of this notebook" src="{thumbnail}">' if thumbnail else ""
    return (
        f'<article><div><h2><a href="{executed.stem}.html">{html.escape(title)}</a></h2>'
        f'<p class="note">{failed}{executed.stem} {seconds}</p>{markdown2html(aims)}</div>{picture}</article>\n'
    )


def _thumbnail(notebook: nbformat.NotebookNode, width: int = 480) -> str | None:
    # The first PNG that a cell put out, as a data address; half its width is shown, so that it stays sharp.
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            encoded = output.get("data", {}).get("image/png")
            if encoded:
                picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
                picture.thumbnail((width, width))
                small = io.BytesIO()
                picture.save(small, format="PNG")
                return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode("ascii")
    return None
