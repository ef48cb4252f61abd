"""The site of an executed course: its notebooks and docs/ as pages that open from disk."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pandas as pd

from corelib.course.continuing import is_executed
from corelib.course.parameters import CourseError
from corelib.course.results import table_text
from corelib.course.student import student_notebook
from corelib.machine.files import new_folder

WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "<p>A widget: run this notebook in JupyterLab to use all of it.</p>"
SOLVED = "These pages show the solutions of the exercises."
SMALL_RUN = "A small run that shows that everything works; not results."
RECORDS = ("metrics.json", "environment.json")
PICTURE = re.compile(r"^!\[.*\n\n.*\n\n|^\[!\[.*\n", re.MULTILINE)  # with its sentence; buttons
# A notebook's title, and what stands below it up to the next heading.
OPENING = re.compile(r"^# (.*)\n?(?:(?:#.*|[ \t]*)\n)*((?:[^#\n].*\n?|\n)*)", re.MULTILINE)
TO_NOTEBOOK = re.compile(r"\[([^\]\n]*)\]\(\.\./notebooks/(\w+)\.ipynb\)")  # a link in docs/
THEME = {"use_download_button": False, "use_fullscreen_button": False, "home_page_in_toc": True}
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


def setup(app) -> None:
    """As a Sphinx extension: equations as MathML, which browsers set without a script."""
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    def inline(page, node):
        page.body.append(convert(node.astext()))
        raise SkipNode

    def block(page, node):
        equation = convert(node.astext(), display="block")
        page.body.append(f'<div class="math" tabindex="0">{equation}</div>')
        raise SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))


def write_site(
    folder: str | Path,
    *,
    source: str | Path,
    names: Iterable[str],
    out: str | Path | None = None,
    solutions: bool = True,
) -> Path:
    """Write the site of the executed notebooks in `folder`, with its RECORDS; return the index.

    source     the notebooks' folder, for their pictures; docs/ lies beside it
    names      in reading order; those that were not executed are left out
    out        where the site goes; `folder` by default
    solutions  show them, and say so on each page; False puts the students' prompt in their place
    """
    folder, source, out = Path(folder), Path(source), Path(out or folder)
    rows, stamp = (json.loads((folder / name).read_text(encoding="utf-8")) for name in RECORDS)
    told = [SMALL_RUN] * (stamp["profile"] == "smoke") + [SOLVED] * solutions
    names = [name for name in names if (folder / f"{name}.ipynb").is_file()]
    # On the same disk: what fits can be moved. The name is one that remove_unfinished knows.
    with tempfile.TemporaryDirectory(".unfinished", ".site.", out) as scratch:
        pages, built = Path(scratch, "pages"), Path(scratch, "built")
        for inside, given in (("pictures", source), ("docs", source.parent)):
            if (given / inside).is_dir():
                shutil.copytree(given / inside, pages / inside)
        (pages / "first").mkdir(parents=True)
        index = [f"# The course, executed at profile {html.escape(str(stamp['profile']))}"]
        for name in names:
            notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
            index.append(_entry(notebook, name, pages / "first" / f"{name}.png"))
            nbformat.write(page_of(notebook, solutions), pages / f"{name}.ipynb")
        documents = _documents(pages / "docs", names)
        index += [_tables(rows, stamp)]
        index += [_contents("Notebooks", names), _contents("Documents", documents)]
        (pages / "index.md").write_text("\n\n".join(index), encoding="utf-8")
        _build(pages, built, " ".join(told))
        _move(built, out)
    return out / "index.html"


def _build(pages: Path, built: Path, announcement: str) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    values = SPHINX | {"html_theme_options": THEME | {"announcement": announcement}}
    with patch_docutils(), docutils_namespace():
        doctrees = pages.with_name("doctrees")
        Sphinx(pages, None, built, doctrees, "html", values, None, None).build()


def _move(built: Path, out: Path) -> None:
    """Move what was built into `out`, in place of an earlier site there."""
    for page in out.glob("*.html"):
        page.unlink()
    for part in built.iterdir():
        if (out / part.name).is_dir():
            shutil.rmtree(out / part.name)
        shutil.move(part, out / part.name)


def _documents(docs: Path, names: list[str]) -> list[str]:
    """The pages of docs/, whose links to notebooks now lead to their pages, where they have one."""

    def lead(link: re.Match) -> str:
        text, name = link.groups()
        return f"[{text}](../{name}.ipynb)" if name in names else text

    paths = sorted(docs.glob("*.md"))
    for path in paths:
        text = TO_NOTEBOOK.sub(lead, path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    return [f"docs/{path.stem}" for path in paths]


def _contents(caption: str, documents: list[str]) -> str:
    listed = "\n".join(documents)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```"


def page_of(notebook: nbformat.NotebookNode, solutions: bool) -> nbformat.NotebookNode:
    """A copy of an executed notebook as its page shows it: without what needs a kernel."""
    page = nbformat.from_dict(notebook) if solutions else student_notebook(notebook)
    page.metadata.pop("widgets", None)
    for number, cell in reversed(list(enumerate(page.cells))):
        if "injected-parameters" in cell.metadata.get("tags", []):  # one fold holds both cells
            page.cells[number - 1].source += "\n\n" + cell.source
            del page.cells[number]
    for cell, caption in zip(page.cells, captions(page), strict=True):
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags:
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


def _entry(notebook: nbformat.NotebookNode, name: str, picture: Path) -> str:
    """What the index says of a notebook; its first figure goes into the file `picture`."""
    title, aims = title_and_aims(notebook)
    record, shown = notebook.metadata.get("papermill", {}), ""
    failed = '<strong class="failed">failed</strong> ' if record.get("exception") else ""
    seconds = f" {record['duration']:.1f} s" if record.get("duration") else ""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output.get("data", {}).get("image/png") for output in outputs]
    if figure := next(filter(None, figures), None):
        picture.write_bytes(base64.b64decode(figure))
        look = f":alt: First figure of {name}\n:class: thumbnail"
        shown = f"```{{image}} first/{picture.name}\n{look}\n```"
    heading = f"## [{html.escape(title or name)}](<{name}.ipynb>)"
    return f"{heading}\n\n{shown}\n\n{failed}`{name}`{seconds}\n\n{aims}"


def title_and_aims(notebook: nbformat.NotebookNode, most: int = 7) -> tuple[str, str]:
    """A notebook's first heading, and the first lines under it; both empty without a heading."""
    for cell in notebook.cells:
        text = PICTURE.sub("", cell.source)
        if cell.cell_type == "markdown" and (found := OPENING.search(text)):
            below = [line.rstrip() for line in found[2].splitlines()]
            filled = [place for place, line in enumerate(below) if line][:most]
            return found[1].strip(), "\n".join(below[: filled[-1] + 1] if filled else [])
    return "", ""


def _tables(rows: list[dict], stamp: dict) -> str:
    """The index's results and environment."""
    said = "No notebook recorded a result."
    if rows:
        means = "Mean +- standard deviation over seeds. R-l2 divides by the range of scores"
        said = f"{means} beside it.\n\n{_table(table_text(rows))}"
    environment = _table(pd.Series(stamp, dtype=object).to_frame(), index=True, header=False)
    return f"## Results\n\n{said}\n\n## Environment\n\n{environment}"


def _table(frame: pd.DataFrame, index: bool = False, header: bool = True) -> str:
    table = frame.to_html(index=index, header=header, border=0)
    return f'<div class="wide" tabindex="0">\n{table}\n</div>'


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
    with new_folder(out, overwrite=True) as scratch:
        for name in RECORDS:
            shutil.copyfile(folder / name, scratch / name)
        write_site(folder, source=source, names=names, out=scratch, solutions=solutions)
    return out / "index.html"
