"""The site of an executed course: its notebooks and docs/ as pages that open from disk."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from PIL import Image

from corelib.course.continuing import is_executed
from corelib.course.parameters import CourseError
from corelib.course.results import table_text
from corelib.course.student import student_notebook
from corelib.machine.files import new_folder

WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "<p>A widget: run this notebook in JupyterLab to use all of it.</p>"
SOLVED = "These pages show the solutions of the exercises."
SMALL_RUN = "A small run that shows that everything works; not results."
THUMBNAIL = 480  # pixels; half of them are shown, so that it stays sharp
PICTURE = re.compile(r"^!\[.*\n\n.*\n\n|^\[!\[.*\n", re.MULTILINE)  # with its sentence; buttons
# A notebook's title, and what stands below it up to the next heading.
OPENING = re.compile(r"^# (.*)\n?(?:(?:#.*|[ \t]*)\n)*((?:[^#\n].*\n?|\n)*)", re.MULTILINE)
TO_NOTEBOOK = re.compile(r"\[([^\]\n]*)\]\(\.\./notebooks/(\w+)\.ipynb\)")  # a link in docs/
SPHINX = {
    "html_title": "Group-aware contrastive regression",
    "extensions": ["myst_nb", "corelib.course.site"],
    "nb_execution_mode": "off",
    "nb_ipywidgets_js": {},
    "nb_merge_streams": True,
    "nb_code_prompt_show": "The parameters",  # nothing else is folded
    "nb_code_prompt_hide": "The parameters",
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 4,
    "highlight_language": "none",
    "html_theme": "sphinx_book_theme",
    "html_math_renderer": "mathml",
    "html_static_path": [str(Path(__file__).with_name("static"))],
    "html_css_files": ["site.css"],
    "html_context": {"default_mode": "auto"},
    "html_copy_source": False,  # it would hold the solutions
    "html_show_copyright": False,
    "html_show_search_summary": False,  # would be fetched, which a page on the disk may not
    "html_use_index": False,
}
THEME = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "show_toc_level": 2,
}


def setup(app) -> dict:
    """As a Sphinx extension: equations as MathML, which browsers set without a script."""
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    def inline(page, node):
        page.body.append(convert(node.astext()))
        raise SkipNode

    def block(page, node):
        page.body.append(
            f'<div class="math" tabindex="0">{convert(node.astext(), display="block")}</div>'
        )
        raise SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}


def write_site(
    folder: str | Path,
    *,
    source: str | Path,
    names: Iterable[str],
    rows: list[Mapping],
    stamp: Mapping,
    out: str | Path | None = None,
    solutions: bool = True,
) -> Path:
    """Write the site of the executed notebooks in `folder`, and return its index.

    source     the notebooks' folder, for their pictures; docs/ lies beside it
    names      in reading order; those that were not executed are left out
    rows       the results table's rows (may be empty)
    stamp      what the results depend on: profile, versions, device
    out        where the site goes; `folder` by default
    solutions  show them, and say so on each page; False puts the students' prompt in their place
    """
    folder, source, out = Path(folder), Path(source), Path(out or folder)
    paths = [path for name in names if (path := folder / f"{name}.ipynb").is_file()]
    told = [SMALL_RUN] * (stamp["profile"] == "smoke") + [SOLVED] * solutions
    out.mkdir(parents=True, exist_ok=True)
    # On the same disk: what fits can be moved. The name is one that remove_unfinished knows.
    with tempfile.TemporaryDirectory(".unfinished", ".site.", out) as scratch:
        pages, built = Path(scratch, "pages"), Path(scratch, "built")
        for inside, given in (("pictures", source), ("docs", source.parent)):
            if (given / inside).is_dir():
                shutil.copytree(given / inside, pages / inside)
        (pages / "thumbnails").mkdir(parents=True)
        index = [f"# The course, executed at profile {html.escape(str(stamp['profile']))}\n"]
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            index += _entry(notebook, path.stem, pages / "thumbnails")
            nbformat.write(page_of(notebook, solutions), pages / path.name)
        documents = sorted((pages / "docs").glob("*.md"))
        for page in documents:
            text = page.read_text(encoding="utf-8")
            page.write_text(TO_NOTEBOOK.sub(lambda m: _link(*m.groups(), pages), text), "utf-8")
        index += [_tables(rows, stamp)]
        index += [_contents("Notebooks", [path.stem for path in paths])]
        index += [_contents("Documents", [f"docs/{page.stem}" for page in documents])]
        (pages / "index.md").write_text("\n".join(index), encoding="utf-8")
        _build(pages, built, Path(scratch, "doctrees"), " ".join(told))
        _move(built, out)
    return out / "index.html"


def _build(pages: Path, built: Path, doctrees: Path, announcement: str) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    values = SPHINX | {"html_theme_options": THEME | {"announcement": announcement}}
    with patch_docutils(), docutils_namespace():
        Sphinx(pages, None, built, doctrees, "html", values, None, None).build()


def _move(built: Path, out: Path) -> None:
    """Move what was built into `out`, in place of an earlier site there."""
    for page in out.glob("*.html"):
        page.unlink()
    for part in built.iterdir():
        if (out / part.name).is_dir():
            shutil.rmtree(out / part.name)
        shutil.move(part, out / part.name)


def _contents(caption: str, documents: list[str]) -> str:
    listed = "\n".join(documents)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n" if listed else ""


def _link(text: str, name: str, pages: Path) -> str:
    return f"[{text}](../{name}.ipynb)" if (pages / f"{name}.ipynb").is_file() else text


def page_of(notebook: nbformat.NotebookNode, solutions: bool) -> nbformat.NotebookNode:
    """A copy of an executed notebook as its page shows it: without what needs a kernel."""
    page = nbformat.from_dict(notebook) if solutions else student_notebook(notebook)
    page.metadata.pop("widgets", None)
    for cell, caption in zip(page.cells, captions(page), strict=True):
        tags = cell.metadata.get("tags", [])
        if {"parameters", "injected-parameters"} & set(tags):
            cell.metadata["tags"] = [*tags, "hide-input"]
        if cell.cell_type == "code":
            cell.metadata["mystnb"] = {"image": {"alt": caption}}
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if data.pop(WIDGET, None):
                data["text/html"] = data.get("text/html", "") + WIDGET_NOTE
    return page


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


def _entry(notebook: nbformat.NotebookNode, name: str, thumbnails: Path) -> list[str]:
    """What the index says of a notebook."""
    title, aims = title_and_aims(notebook)
    record = notebook.metadata.get("papermill", {})
    failed = '<strong class="failed">failed</strong> ' if record.get("exception") else ""
    seconds = f" {record['duration']:.1f} s" if record.get("duration") else ""
    picture = "```{image} thumbnails/%s.png\n:alt: First figure of %s\n:class: thumbnail\n```\n"
    return [
        f"## [{html.escape(title or name)}](<{name}.ipynb>)\n",
        picture % (name, name) if _thumbnail(notebook, thumbnails / f"{name}.png") else "",
        f"{failed}`{name}`{seconds}\n\n{aims}\n",
    ]


def title_and_aims(notebook: nbformat.NotebookNode, most: int = 7) -> tuple[str, str]:
    """A notebook's first heading, and the first lines under it; both empty without a heading."""
    for cell in notebook.cells:
        text = PICTURE.sub("", cell.source)
        if cell.cell_type == "markdown" and (found := OPENING.search(text)):
            below = [line.rstrip() for line in found[2].splitlines()]
            filled = [place for place, line in enumerate(below) if line][:most]
            return found[1].strip(), "\n".join(below[: filled[-1] + 1] if filled else [])
    return "", ""


def _thumbnail(notebook: nbformat.NotebookNode, path: Path) -> bool:
    """Write the first PNG that a cell put out, smaller; False where there is none."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    encoded = [output.get("data", {}).get("image/png") for output in outputs]
    for png in filter(None, encoded):
        picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(path)
        return True
    return False


def _tables(rows: list[Mapping], stamp: Mapping) -> str:
    """The index's results and environment."""
    results = table_text(rows).to_html(index=False, border=0) if rows else ""
    said = "Mean +- standard deviation over seeds. R-l2 divides by the range of scores beside it."
    lines = [
        f"<tr><th>{html.escape(str(word))}</th><td>{html.escape(str(value))}</td></tr>"
        for word, value in stamp.items()
    ]
    tables = [
        f'<div class="wide" tabindex="0">\n{table}\n</div>\n'
        for table in (results, f"<table>{''.join(lines)}</table>")
    ]
    first = f"{said}\n\n{tables[0]}" if rows else "No notebook recorded a result.\n"
    return f"## Results\n\n{first}\n## Environment\n\n{tables[1]}"


def publish(
    folder: str | Path,
    out: str | Path,
    *,
    source: str | Path,
    names: Iterable[str],
    solutions: bool = False,
) -> Path:
    """Write the site of a finished course run into `out`, and return its index.

    names  the notebooks that must have been executed to their end; CourseError tells the others
    Further arguments as for `write_site`.
    """
    folder, out = Path(folder), Path(out)
    missing = [name for name in names if not is_executed(folder / f"{name}.ipynb")]
    if missing:
        first = "run the course first: python -m corelib course run"
        raise CourseError(f"{folder}: not executed to the end: {', '.join(missing)}; {first}")
    if out.exists() and any(out.iterdir()) and not (out / "environment.json").is_file():
        mixed = "which the site would mix with"
        raise CourseError(f"{out} holds other files, {mixed}; choose an empty --out")
    records = [folder / name for name in ("metrics.json", "environment.json")]
    rows, stamp = (json.loads(path.read_text(encoding="utf-8")) for path in records)
    with new_folder(out, overwrite=True) as scratch:
        for path in records:
            shutil.copyfile(path, scratch / path.name)
        write_site(
            folder,
            source=source,
            names=names,
            rows=rows,
            stamp=stamp,
            out=scratch,
            solutions=solutions,
        )
    return out / "index.html"
