"""The site: pages that open from disk, with equations, figures' alternative texts, pictures of
widgets, links that lead somewhere; what is published."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import v4

from corelib.course import site
from corelib.course.parameters import CourseError
from corelib.course.site import SMALL_RUN, SOLVED, captions, publish, write_site

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)
ROW = {
    "dataset": "dives",
    "system": "core",
    "with_difficulty": True,
    "recipe": "smoke",
    "exemplars": 10,
    "seed": 0,
    "split": "test",
    "spearman": 0.9,
    "rl2_x100": 1.0,
    "selected_on": "val",
    "score_range": [0, 100],
    "n_test": 5,
}
STAMP = {"profile": "smoke", "torch": "2 <b>"}
SOLUTION = "### BEGIN SOLUTION\nfan_score = 42\n### END SOLUTION"
NAMES = ["06_tree", "07_bad"]


def output(**data):
    return v4.new_output("display_data", {"text/plain": "shown", **data})


def executed(path: Path, *, failed: bool = False) -> nbformat.NotebookNode:
    """A notebook with a figure, a widget of two states, an equation and a solution."""
    widget = {site.WIDGET: {"model_id": "x"}, "text/html": "<div class='states'>two</div>"}
    cells = [
        v4.new_markdown_cell(
            "# Trees\n\nAim with $a_1$.\n\n$$ s = d \\cdot m_{(3)} $$\n\n**See how** the bars"
            " *fall*. More."
        ),
        v4.new_code_cell("steps = 1", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("steps = 5", metadata={"tags": ["injected-parameters"]}),
        v4.new_code_cell("plot()", outputs=[output(**{"image/png": PNG})]),
        v4.new_code_cell("slide()", outputs=[output(**widget)]),
        v4.new_markdown_cell("## Exercise\n\n![A tree](pictures/tree.png)"),
        v4.new_code_cell(SOLUTION),
        v4.new_code_cell('check("0.1")', outputs=[v4.new_output("stream", text="Right.")]),
    ]
    if failed:
        error = v4.new_output("error", ename="ValueError", evalue="spoilt", traceback=["spoilt"])
        cells.append(v4.new_code_cell("fail()", outputs=[error]))
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata["papermill"] = {"exception": failed, "duration": 1.0}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(notebook, path)
    return notebook


def course(folder: Path, *, failed: bool) -> tuple[Path, Path]:
    """A finished or failed course run of two notebooks: (its folder, that of the sources)."""
    run, source = folder / "run", folder / "course" / "notebooks"
    (source / "pictures").mkdir(parents=True)
    (source / "pictures" / "tree.png").write_bytes(site.base64.b64decode(PNG))
    (source.parent / "docs").mkdir()
    (source.parent / "docs" / "data.md").write_text(
        "# Data\n\nIn [06](../notebooks/06_tree.ipynb) and [09](../notebooks/09_more.ipynb);"
        " [below](#the-rest).\n\n## The rest\n\n    make run\n"
    )
    run.mkdir()
    executed(run / "06_tree.ipynb")
    executed(run / "07_bad.ipynb", failed=failed)
    (run / "metrics.json").write_text(json.dumps([ROW]))
    (run / "environment.json").write_text(json.dumps(STAMP))
    return run, source


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run in which a notebook failed and one was never executed, with its site."""
    run, source = course(tmp_path_factory.mktemp("site"), failed=True)
    (run / "08_never.html").write_text("the page of an earlier run")
    names = [*NAMES, "08_never"]
    assert write_site(run, source=source, names=names).parent == run
    return run


def read(folder: Path, name: str) -> str:
    """A page from its article on: without what the theme says in its head."""
    return (folder / f"{name}.html").read_text(encoding="utf-8").partition("<article")[2]


class Links(HTMLParser):
    """The addresses that a page loads and leads to, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.leads, self.anchors, self.images = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.leads.append(attrs["href"])
        elif tag != "a":
            self.loaded += [attrs[name] for name in ("src", "href") if attrs.get(name)]
        if tag == "img":
            self.images.append(attrs)


def dead_links(folder: Path) -> list[str]:
    """What the pages of a folder load or lead to, and is not there."""
    pages = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    found = {path.resolve(): Links(path.read_text(encoding="utf-8")) for path in pages}
    dead = []
    for path, links in found.items():
        for address in [*links.loaded, *links.leads]:
            place, _, anchor = unquote(address).partition("#")
            if re.match(r"https?:|mailto:|data:", address):
                continue
            target = (path.parent / place.partition("?")[0]).resolve() if place else path
            there = found[target].anchors if target in found else {anchor}
            if not target.is_file() or (anchor and anchor not in there):
                dead.append(f"{path.name}: {address}")
    return dead


FROM_THE_WEB = re.compile(
    r"""(?:url\(\s*["']?|@import\s*["']|\bimport\s*\(?\s*["']|\bfrom\s*["'])"""
    r"""((?:https?:)?//[^"')]+)"""
)


def from_the_web(folder: Path) -> list[str]:
    """The addresses in the web from which a page, a style or a script of it loads something."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text(encoding="utf-8")
            found += FROM_THE_WEB.findall(text)
            if path.suffix == ".html" and "_static" not in path.parts:
                found += [to for to in Links(text).loaded if re.match(r"(https?:)?//", to)]
    return found


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_the_web(run):
    assert dead_links(run) == [] and from_the_web(run) == []
    assert not (run / "08_never.html").exists()
    shown = Links((run / "docs" / "data.html").read_text()).leads
    assert "../06_tree.html" in shown and "09_more" not in read(run / "docs", "data")
    (run / "torn.html").write_text('<a href="no.html"></a><a href="index.html#no"></a>')
    (run / "cdn.html").write_text('<script src="https://cdn/x.js"></script>')
    (run / "font.css").write_text("@font-face { src: url(https://fonts/y.woff) }")
    assert dead_links(run) == ["torn.html: no.html", "torn.html: index.html#no"]
    assert sorted(from_the_web(run)) == ["https://cdn/x.js", "https://fonts/y.woff"]
    for name in ("torn.html", "cdn.html", "font.css"):
        (run / name).unlink()


def test_equations_are_mathml_and_no_script_sets_them(run):
    page = read(run, "06_tree")
    assert page.count("<math") == 2 and 'display="block"' in page and "<msub>" in page
    whole = (run / "06_tree.html").read_text().lower()
    assert "mathjax.js" not in whole and "tex-mml" not in whole and "require.js" not in whole


def test_a_figures_alternative_text_is_the_sentence_that_says_what_to_see(run):
    notebook = nbformat.read(run / "06_tree.ipynb", as_version=4)
    assert captions(notebook)[2] == "See how the bars fall."
    images = Links((run / "06_tree.html").read_text()).images
    assert [image["alt"] for image in images] == ["See how the bars fall.", "A tree"]


def test_a_widget_is_its_pictures_and_says_where_all_of_it_works(run):
    page = read(run, "06_tree")
    assert "<div class='states'>two</div>" in page and "run this notebook in JupyterLab" in page
    assert "widget-state" not in page and "widget-view" not in page


def test_what_a_run_was_given_stands_in_the_fold_of_the_parameters(run):
    page = (run / "06_tree.html").read_text(encoding="utf-8")
    assert page.count("<details") == 1 and page.count("steps") == 2


def test_the_start_page_has_results_in_words_a_banner_and_the_notebook_that_failed(run):
    whole, index = (run / "index.html").read_text(), read(run, "index")
    assert SMALL_RUN in whole and SOLVED in whole
    assert "CoRe (w/ DD), 10 exemplars" in index and "2 &lt;b&gt;" in index
    first, second = index.split("07_bad.html")[:2]
    assert "failed" in second and "failed" not in first and "thumbnails" not in index
    assert 'class="thumbnail" src="_images/06_tree.png"' in index
    assert "spoilt" in read(run, "07_bad")


def test_only_a_finished_run_is_published_and_without_its_solutions(tmp_path):
    run, source = course(tmp_path, failed=True)
    out, how = tmp_path / "site", {"source": source, "names": NAMES}
    with pytest.raises(CourseError, match="07_bad"):
        publish(run, out, **how)
    executed(run / "07_bad.ipynb")
    for solutions in (True, False):  # the second time over the first
        assert publish(run, out, solutions=solutions, **how) == out / "index.html"
        page, whole = read(out, "06_tree"), (out / "06_tree.html").read_text()
        assert ("fan_score = 42" in page) == ("BEGIN SOLUTION" in page) == solutions
        assert ("Your turn: replace the dots." in page) != solutions and "Right." in page
        assert (SOLVED in whole) == solutions and SMALL_RUN in whole
    texts = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not any(b"fan_score = 42" in text or b"BEGIN SOLUTION" in text for text in texts)
    assert json.loads((out / "metrics.json").read_text()) == [ROW]
    assert not list(out.rglob("*.ipynb")) and dead_links(out) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(CourseError, match="other files"):
        publish(run, tmp_path / "mine", **how)


def test_names_and_values_are_text_in_the_index(tmp_path):
    hostile = "<script>alert(1)</script>"
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A < b\n\nAims.")])
    nbformat.write(notebook, tmp_path / "00_a & b.ipynb")
    stamp, names = {"profile": "tiny<b>", hostile: hostile}, ["00_a & b"]
    (tmp_path / "metrics.json").write_text("[]")
    (tmp_path / "environment.json").write_text(json.dumps(stamp))
    write_site(tmp_path, source=tmp_path, names=names)
    index = read(tmp_path, "index")
    assert "alert(1)" in index and "<script>alert" not in index and "tiny<b>" not in index
    assert dead_links(tmp_path) == [] and 'href="00_a%20%26%20b.html"' in index
    assert "No notebook recorded a result." in index and SMALL_RUN not in index
