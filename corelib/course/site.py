"""Pages of an executed course: one HTML a notebook, and an index with aims, times and thumbnails.

Figures, styles and equations are inside the pages, which open from disk without a network.
"""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert as to_mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image

from corelib.course.parameters import CourseError
from corelib.course.results import table_text
from corelib.machine.files import new_folder, write_atomically

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = re.compile(r"^!\[.*\n\n.*\n\n", re.MULTILINE)  # and the sentence below it
NO_TEXT = 'alt="No description has been provided for this image"'
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


class _Renderer(IPythonRenderer):
    """Equations as MathML, which browsers set themselves, in place of a script from the web."""

    def block_math(self, body: str) -> str:
        return to_mathml(body, display="block")

    def inline_math(self, body: str) -> str:
        return to_mathml(body)


class _Page(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source):
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(
            escape=False,
            attachments=attachments,
            embed_images=True,
            path=path,
            anchor_link_text=self.anchor_link_text,
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def write_html(executed: str | Path, *, images: str | Path) -> Path:
    """Write the page of an executed notebook beside it and return its path; it opens without a
    network.

    images   the folder that pictures named in Markdown are relative to; they are put into the page

    A figure's alternative text is the sentence before it that says what to see. A widget, which
    needs a kernel, is replaced by a line that says where it works.
    """
    executed = Path(executed)
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    seen = []
    for cell, caption in zip(notebook.cells, captions(notebook), strict=True):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                seen.append(html.escape(caption))
            if WIDGET in output.get("data", {}):
                output.data = {
                    "text/html": (
                        '<p class="widget-note">A widget: run this notebook in JupyterLab to use'
                        " it.</p>"
                    )
                }
    exporter = _Page(template_name="lab", embed_images=True)
    # Nothing that a course run could mend: nbconvert remarks on figures without a text alternative.
    exporter.log = logging.getLogger(f"{__name__}.nbconvert")
    exporter.log.setLevel(logging.ERROR)
    exporter.require_js_url = ""
    resources = {"metadata": {"path": str(images), "name": executed.stem}}
    page, _ = exporter.from_notebook_node(notebook, resources)
    page = re.sub(
        r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->", "", page, flags=re.DOTALL
    )
    page = re.sub(
        r'<script src=""></script>|<script type="module">(?:(?!</script>).)*mermaid.*?</script>',
        "",
        page,
        flags=re.DOTALL,
    )
    texts = iter(
        seen
    )  # nbconvert's template looks for no text where a figure's output could carry one
    page = re.sub(re.escape(NO_TEXT), lambda found: f'alt="{next(texts, "Figure")}"', page)
    path = executed.with_suffix(".html")
    write_atomically(path, page)
    return path


def captions(notebook: nbformat.NotebookNode) -> list[str]:
    """What is to be seen in each cell's figure, in words: the sentences with "see" of the Markdown
    before it, or its first sentence; a text a cell, in order."""
    found, caption = [], "Figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = " ".join(
                line
                for line in cell.source.splitlines()
                if not line.startswith(("#", "|", "$$", "-"))
            )
            text = re.sub(r"[*`]|\$+[^$]*\$+", "", text).strip()
            sentences = re.split(r"(?<=[.?!])\s+", text)
            seen = [
                sentence
                for sentence in sentences
                if re.search(r"\b[Ss]ee\b|\b[Cc]ompare\b", sentence)
            ]
            caption = " ".join(seen or sentences[:1]) or caption
        found.append(caption)
    return found


def write_index(
    folder: str | Path, *, names: Iterable[str], profile: str, rows: list[Mapping], stamp: Mapping
) -> Path:
    """Write folder/index.html over the executed notebooks there (those of `names`, in that order).

    rows   the results table's rows (may be empty)
    stamp  what the results depend on (versions, device, source ...); written to environment.json
           too
    """
    folder = Path(folder)
    entries = [
        _entry(folder / f"{name}.ipynb") for name in names if (folder / f"{name}.ipynb").is_file()
    ]
    table = (
        table_text(rows).to_html(index=False, border=0)
        if rows
        else "<p>No notebook recorded a result.</p>"
    )
    title = f"The course, executed at profile {html.escape(profile)}"
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
{"".join(entries)}
<h2>Results</h2>
<p class="note">Mean +- standard deviation over seeds. R-l2 divides by the range of scores shown beside it.</p>
<div class="wide">{table}</div>
<h2>Environment</h2>
<div class="wide"><table>{"".join(f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>" for key, value in stamp.items())}</table></div>
</body></html>
"""
    write_atomically(folder / "environment.json", json.dumps(stamp, indent=2) + "\n")
    path = folder / "index.html"
    write_atomically(path, page)
    return path


def publish(folder: str | Path, out: str | Path, *, names: Iterable[str]) -> Path:
    """Copy the site of a finished course run (index, pages, results, environment) into `out`;
    returns its index.

    names  the notebooks that must be there. Raises CourseError that names those that were not
           executed to their end, or when `out` holds other files.
    """
    folder, out = Path(folder), Path(out)
    missing = [
        name
        for name in names
        if not (folder / f"{name}.html").is_file() or _failed(folder / f"{name}.ipynb")
    ]
    if missing:
        raise CourseError(
            f"{folder}: not executed to the end: {', '.join(missing)}; run the course first: python"
            " -m corelib course run"
        )
    mark = out / "environment.json"
    if out.exists() and any(out.iterdir()) and not mark.is_file():
        raise CourseError(
            f"{out} holds other files, which the site would mix with; choose an empty --out"
        )
    with new_folder(out, overwrite=True) as scratch:
        for name in [
            "index.html",
            "metrics.json",
            "environment.json",
            *(f"{name}.html" for name in names),
        ]:
            shutil.copyfile(folder / name, scratch / name)
    return out / "index.html"


def _failed(executed: Path) -> bool:
    return (
        not executed.is_file()
        or nbformat.read(executed, as_version=4).metadata.get("papermill", {}).get("exception")
        is not False
    )


def title_and_aims(
    notebook: nbformat.NotebookNode, name: str, *, lines: int = 7
) -> tuple[str, str]:
    """A notebook's first heading, and the first lines under it as Markdown (at most `lines`,
    further headings and a picture skipped).

    Without a heading the title is `name`.
    """
    title, aims = name, []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        source = re.sub(PICTURE, "", cell.source)
        text = [line.rstrip() for line in source.splitlines()]
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
    page, shown = quote(f"{executed.stem}.html"), html.escape(executed.stem)
    picture = f'<img alt="First figure of this notebook" src="{thumbnail}">' if thumbnail else ""
    return (
        f'<article><div><h2><a href="{page}">{html.escape(title)}</a></h2>'
        f'<p class="note">{failed}{shown}'
        f" {seconds}</p>{MarkdownWithMath(renderer=_Renderer(escape=False)).render(aims)}</div>{picture}</article>\n"
    )


def _thumbnail(notebook: nbformat.NotebookNode, width: int = 480) -> str | None:
    # The first PNG that a cell put out, as a data address; half its width is shown, so that it
    # stays sharp.
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
