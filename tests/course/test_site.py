"""Pages that open from disk: equations, figures' alternative text, widgets; publishing them."""

import nbformat
import pytest

from corelib.course.parameters import CourseError
from corelib.course.site import captions, publish, write_html, write_index

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)


def executed(path, *, failed=False):
    figure = nbformat.v4.new_code_cell("plot()", execution_count=1)
    figure.outputs = [
        nbformat.v4.new_output("display_data", {"image/png": PNG, "text/plain": "<Figure>"})
    ]
    widget = nbformat.v4.new_code_cell("slide()", execution_count=2)
    widget.outputs = [
        nbformat.v4.new_output(
            "display_data",
            {
                "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
                "text/plain": "IntSlider",
            },
        )
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                "# Trees\n\nAim with $a_1$.\n\n$$ s = d \\cdot m_{(3)} $$\n\n**See how** the bars"
                " *fall*. More."
            ),
            figure,
            widget,
        ]
    )
    notebook.metadata["papermill"] = {"exception": failed, "duration": 1.0}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(notebook, path)
    return notebook


def test_equations_are_mathml_and_no_script_is_fetched(tmp_path):
    executed(tmp_path / "06_tree.ipynb")
    page = write_html(tmp_path / "06_tree.ipynb", images=tmp_path).read_text()
    assert page.count("<math") == 2 and 'display="block"' in page and "<msub>" in page
    assert "cdnjs" not in page and "init_mathjax" not in page


def test_a_figures_alternative_text_is_the_sentence_that_says_what_to_see(tmp_path):
    notebook = executed(tmp_path / "06_tree.ipynb")
    assert captions(notebook)[1] == "See how the bars fall."
    page = write_html(tmp_path / "06_tree.ipynb", images=tmp_path).read_text()
    assert 'alt="See how the bars fall."' in page


def test_a_widget_says_where_it_works(tmp_path):
    executed(tmp_path / "06_tree.ipynb")
    page = write_html(tmp_path / "06_tree.ipynb", images=tmp_path).read_text()
    assert "run this notebook in JupyterLab" in page and "widget-state" not in page


def test_only_a_finished_run_is_published(tmp_path):
    run, out = tmp_path / "run", tmp_path / "site"
    run.mkdir()
    for name in ("00_a", "01_b"):
        executed(run / f"{name}.ipynb", failed=name == "01_b")
        write_html(run / f"{name}.ipynb", images=tmp_path)
    write_index(
        run, names=["00_a", "01_b"], profile="tiny", rows=[], stamp={"torch": "2", "seeds": [0]}
    )
    (run / "metrics.json").write_text("[]")
    with pytest.raises(CourseError, match="01_b"):
        publish(run, out, names=["00_a", "01_b"])
    executed(run / "01_b.ipynb")
    for _ in range(2):  # the second time over the first
        index = publish(run, out, names=["00_a", "01_b"])
        assert sorted(path.name for path in out.iterdir()) == [
            "00_a.html",
            "01_b.html",
            "environment.json",
            "index.html",
            "metrics.json",
        ]
    assert "torch" in index.read_text() and "thumbnail" not in index.read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(CourseError, match="other files"):
        publish(run, tmp_path / "mine", names=["00_a", "01_b"])


def test_a_notebooks_name_is_text_in_the_index(tmp_path):
    name = "00_<img src=x onerror=alert(1)> & more"
    executed(tmp_path / f"{name}.ipynb")
    page = write_index(
        tmp_path, names=[name], profile="tiny<b>", rows=[], stamp={"<script>": "<script>"}
    ).read_text()
    assert "<img src=x" not in page and "<script>" not in page and "tiny<b>" not in page
    assert (
        'href="00_%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%20%26%20more.html"' in page
        and "00_&lt;img src=x" in page
    )
