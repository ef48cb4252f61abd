"""The course is executed, checked and reported as run_course promises, on tiny notebooks."""

import json
import os
import sys

import nbformat
import pytest
from click.testing import CliRunner

from corelib.course.cli import course
from corelib.course.execute import NotebookError, plan_course, run_course, select_notebooks
from corelib.course.parameters import CourseError
from corelib.machine import files
from tests.course.tiny_courses import REPOSITORY, ROW, output_text, set_profile, write_notebook


def test_a_good_course_leaves_copies_pages_index_and_results(source, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    write_notebook(
        source / "00_first.ipynb",
        "import matplotlib.pyplot as plt\nplt.plot([0, count]);",
        parameters="count: int = 2",
        title="Counting <dives>",
    )
    write_notebook(
        source / "01_second.ipynb",
        "from pathlib import Path\nimport os, sys\nprint(f'count={count} note={note}"
        " cwd={Path.cwd().name} hash={os.environ[\"PYTHONHASHSEED\"]}')\nprint('python=' +"
        " sys.executable)",
        "from corelib.course.results import record_results\n"
        f"rows = [{ROW} for seed, rho in [(0, 0.8), (1, 0.9)]]\n"
        "record_results(rows, notebook='01_second', folder=results);",
        parameters="count: int = 2\nnote = 'default'\nresults: str = 'nowhere'",
    )
    set_profile(source, "all: {count: 5}\n01_second: {note: mine}\n")

    index = run_course("tiny", source=source)

    folder = source.parent / "runs" / "course" / "tiny"
    assert index == folder / "index.html"
    assert {path.name for path in folder.iterdir()} == {
        *("00_first.ipynb", "00_first.html", "01_second.ipynb", "01_second.html"),
        *("metrics.json", "metrics-01_second.json", "environment.json"),
        *("index.html", "search.html", "searchindex.js", "objects.inv", ".buildinfo"),
        *("_images", "_sources", "_static"),
    }
    text = output_text(folder / "01_second.ipynb")
    assert "count=5 note=mine cwd=a course hash=0" in text
    assert f"python={sys.executable}" in text

    rows = json.loads((folder / "metrics.json").read_text())
    assert [(row["seed"], row["spearman"], row["notebook"]) for row in rows] == [
        (0, 0.8, "01_second"),
        (1, 0.9, "01_second"),
    ]

    printed = capsys.readouterr().out
    assert "[1/2] 00_first ... " in printed and "[2/2] 01_second ... " in printed
    assert "0.850 +- 0.071" in printed  # mean and sample standard deviation of .8 and .9
    assert str(index) in printed

    page = index.read_text()
    assert "Counting &lt;dives&gt;" in page and "<em>count</em>" in page and "More." not in page
    assert 'href="00_first.html"' in page and "0.850 +- 0.071" in page
    assert 'class="thumbnail" src="_images/00_first.png"' in page

    assert "source_sha256" in page and json.loads((folder / "environment.json").read_text())[
        "seeds"
    ] == [0, 1]

    # Nothing that was written names this machine's folders, but for what the notebook printed.
    assert str(source.parent) not in page
    assert str(source.parent) not in (folder / "00_first.ipynb").read_text()


def test_nothing_is_executed_when_a_check_fails(source):
    write_notebook(source / "00_first.ipynb", "open('executed', 'w').close()")
    write_notebook(source / "01_second.ipynb", "print(epochs)", parameters="epochs = 3")
    set_profile(source, "all: {epoch: 5}\n")

    result = CliRunner().invoke(course, ["run", "--profile", "tiny", "--notebooks", str(source)])

    assert result.exit_code == 2
    assert "'epoch'" in result.output and "did you mean 'epochs'" in result.output
    assert not (source.parent / "executed").exists()
    assert not (source.parent / "runs").exists()


def test_an_unknown_profile_or_notebook_names_the_nearest(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    with pytest.raises(CourseError, match="did you mean 'tiny'"):
        run_course("tinny", source=source)
    with pytest.raises(CourseError, match="did you mean '00_first'"):
        run_course("tiny", source=source, notebooks=["00_frist"])


def test_notebooks_are_selected_by_number_or_beginning_in_reading_order():
    names = ["00_start", "01_data", "10_real", "11_yours"]
    assert select_notebooks(names, ["10", "1"]) == ["01_data", "10_real"]
    assert select_notebooks(names, ["11_y", "00_start", "0"]) == ["00_start", "11_yours"]
    assert select_notebooks(names, None) == names


def test_seeds_of_the_command_line_are_those_of_every_training(source):
    set_profile(source, "all: {seeds: [7], seedless: 1}\n")
    write_notebook(
        source / "00_first.ipynb",
        "print(seeds, seedless, more_seeds)",
        parameters="seeds: list = [0]\nseedless = 0\nmore_seeds: list = [0]",
    )
    write_notebook(source / "01_second.ipynb", "print(1)")
    assert plan_course("tiny", source=source) == {
        "00_first": {"seeds": [7], "seedless": 1},
        "01_second": {},
    }
    result = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--seeds", "1-2,5"]
    )
    assert result.exit_code == 0, result.output
    assert (
        output_text(source.parent / "runs" / "course" / "tiny" / "00_first.ipynb")
        == "[1, 2, 5] 1 [1, 2, 5]\n"
    )
    wrong = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--seeds", "some"]
    )
    assert wrong.exit_code == 2 and "--seeds takes numbers" in wrong.output


def test_a_part_of_the_course_keeps_the_rest_and_a_failure_leaves_nothing_stale(
    source, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    record = "from corelib.course.results import record_results\nseed, rho = 0, 0.5\n"
    for name in ("00_first", "01_second"):
        write_notebook(
            source / f"{name}.ipynb",
            f"{record}record_results([{ROW}], notebook='{name}', folder=results);",
            parameters="results: str = ''",
        )
    folder = run_course("tiny", source=source).parent
    write_notebook(source / "01_second.ipynb", "raise ValueError('spoilt')")
    with pytest.raises(NotebookError, match="01_second, cell 3: ValueError: spoilt"):
        run_course("tiny", source=source, notebooks=["01"])
    rows = json.loads((folder / "metrics.json").read_text())
    assert [row["notebook"] for row in rows] == ["00_first"]
    assert (folder / "00_first.html").is_file()


def test_the_source_is_never_written_over(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    before = (source / "00_first.ipynb").read_bytes()
    with pytest.raises(CourseError, match="source notebooks"):
        run_course("tiny", source=source, out=source)
    run_course("tiny", source=source, out=source.parent / "elsewhere")
    assert (source / "00_first.ipynb").read_bytes() == before
    assert (source.parent / "elsewhere" / "00_first.ipynb").is_file()


def test_progress_bars_leave_nothing_in_the_executed_copy(source):
    bars = "print(sum(tqdm([1, 2])), *trange(2))"
    write_notebook(source / "00_bars.ipynb", "from tqdm.auto import tqdm, trange", bars)
    folder = run_course("tiny", source=source).parent
    executed = nbformat.read(folder / "00_bars.ipynb", as_version=4)
    assert [
        output.get("text") for cell in executed.cells for output in cell.get("outputs", [])
    ] == ["3 0 1\n"]
    assert "widgets" not in executed.metadata


def test_a_kernel_installed_by_the_user_does_not_take_the_interpreters_place(
    source, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "jupyter" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    argv = ["/no/such/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (elsewhere / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    write_notebook(source / "00_first.ipynb", "import sys\nprint(sys.executable)")
    folder = run_course("tiny", source=source).parent
    assert output_text(folder / "00_first.ipynb") == f"{sys.executable}\n"


def test_the_environment_is_left_as_it_was(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    before = dict(os.environ)
    run_course("tiny", source=source)
    # pytest notes the running test's phase in its own variable.
    ours = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    assert ours == {key: value for key, value in before.items() if key != "PYTEST_CURRENT_TEST"}


def test_a_notebooks_metadata_does_not_choose_what_program_runs(source, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    for name in ("evil", "python3"):
        spec = tmp_path / "jupyter" / "kernels" / name
        spec.mkdir(parents=True)
        argv = [sys.executable, "-c", f"open({str(marker)!r}, 'w').close()"]
        (spec / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": "x", "language": "python"})
        )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    write_notebook(source / "00_first.ipynb", "import sys\nprint(sys.executable)")
    notebook = nbformat.read(source / "00_first.ipynb", as_version=4)
    notebook.metadata["kernelspec"] = {
        "name": "evil",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, source / "00_first.ipynb")
    folder = run_course("tiny", source=source).parent
    assert output_text(folder / "00_first.ipynb") == f"{sys.executable}\n" and not marker.exists()


def test_a_link_out_of_the_folder_is_not_executed(source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_notebook(tmp_path / "elsewhere" / "00_first.ipynb", "open('executed', 'w').close()")
    write_notebook(source / "01_second.ipynb", "print(1)")
    (source / "00_first.ipynb").symlink_to(tmp_path / "elsewhere" / "00_first.ipynb")
    result = CliRunner().invoke(course, ["run", "--profile", "tiny", "--notebooks", str(source)])
    assert (
        result.exit_code == 2
        and "00_first.ipynb is a link to" in result.output
        and "out of the folder" in result.output
    )
    assert not (source.parent / "executed").exists() and not (source.parent / "runs").exists()


def test_a_second_course_run_into_the_same_folder_is_refused(source, monkeypatch):
    write_notebook(source / "00_first.ipynb", "print(1)")
    folder = source.parent / "runs" / "course" / "tiny"
    monkeypatch.setattr(files, "PATIENCE", 0)
    with (
        files.only_one(folder, "executes the course into"),
        pytest.raises(files.BusyError, match="tiny: process .* executes the course into it"),
    ):
        run_course("tiny", source=source)
    assert not folder.exists()


def test_a_profile_may_be_a_file_anywhere_and_its_name_is_the_run_s(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    write_notebook(source / "00_first.ipynb", "print(f'{count=}')", parameters="count: int = 2")
    mine = tmp_path / "elsewhere" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("all: {count: 7}\n")
    folder = run_course(str(mine), source=source).parent
    assert folder == source.parent / "runs" / "course" / "mine"
    assert "count=7" in output_text(folder / "00_first.ipynb")
    assert json.loads((folder / "environment.json").read_text())["profile"] == "mine"
