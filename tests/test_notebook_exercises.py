"""The exercises of the notebooks: open or wrong they are turned down with a hint, the solution
passes; the student edition stops there."""

import re
import shutil

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from corelib.course import project_root
from corelib.course.execute import NotebookError, list_notebooks, notebooks_folder, run_course
from corelib.course.exercises import OpenExercise
from corelib.course.student import BEGIN, WRONG, student_notebook
from tests.needed_cells import needed_cells
from tests.smoke_course import plan_notebook

PATHS = list_notebooks(notebooks_folder())
each_notebook = pytest.mark.parametrize("name", PATHS)


def read(name):
    return nbformat.read(PATHS[name], as_version=4)


def exercises_of(notebook):
    """(number, place of the solution's cell, place of the check's cell) of every exercise."""
    found, solution = [], None
    code = [(place, cell) for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for place, cell in code:
        called = re.match(r'\s*check\(\s*"([\d.]+)"', cell.source)
        assert (called is None) == (solution is None), (
            f"cell {place + 1}: a solution without a check right behind it, or a check without one"
        )
        if called:
            found.append((called[1], solution, place))
        solution = place if BEGIN in cell.source else None
    assert solution is None, f"the solution in cell {solution + 1} has no check behind it"
    return found


def test_exercises_are_found_with_their_checks():
    solution, check = "### BEGIN SOLUTION\nanswer = 3\n### END SOLUTION", 'check("5.1", ())'

    def notebook(*sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        return nbformat.v4.new_notebook(cells=cells)

    assert exercises_of(notebook("x = 1", solution, check)) == [("5.1", 1, 2)]
    for broken in ((solution,), (solution, "x = 1"), (check,), (solution, solution, check)):
        with pytest.raises(AssertionError):
            exercises_of(notebook(*broken))


@each_notebook
def test_it_has_two_to_four_exercises_each_with_a_wrong_answer(name):
    notebook = read(name)
    found = exercises_of(notebook)
    assert 2 <= len(found) <= 4
    assert [number for number, _, _ in found] == [
        f"{int(name[:2])}.{place}" for place in range(1, len(found) + 1)
    ]
    headings = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    ]
    for number, solution, _ in found:
        assert any(line.startswith(f"### Exercise {number} ") for line in headings), number
        assert notebook.cells[solution].metadata.get(WRONG), (
            f"exercise {number} lacks a wrong answer in its metadata"
        )


@pytest.fixture
def shell(monkeypatch):
    """shell(source) -> the error that a cell raises, or None: cells run as in a kernel, without the
    kernel's start."""
    monkeypatch.chdir(project_root())
    inside = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    inside.display_formatter.active_types = ["text/plain"]

    def run(source):
        result = inside.run_cell(source)
        return result.error_before_exec or result.error_in_exec

    yield run
    inside.reset(new_session=False)


@pytest.mark.filterwarnings("ignore::UserWarning")  # what a cell warns of is for its reader
@each_notebook
def test_an_open_and_a_wrong_answer_are_turned_down_and_the_solution_passes(
    name, shell, smoke_kit, capsys
):
    notebook, student = read(name), student_notebook(read(name))
    plan = plan_notebook(smoke_kit, name)
    parameters = "\n".join(f"{key} = {value!r}" for key, value in plan.items())
    found = exercises_of(notebook)
    exercises = {solution: (number, check) for number, solution, check in found}
    for place in needed_cells(notebook, [place for _, *both in found for place in both]):
        cell = notebook.cells[place]
        if place in exercises:
            number, check = exercises[place]
            for answer in (student.cells[place].source, cell.metadata[WRONG]):
                assert shell(answer) is None, answer
                hint = shell(notebook.cells[check].source)
                assert isinstance(hint, OpenExercise), (
                    f"exercise {number} takes this for right:\n{answer}"
                )
                assert str(hint).startswith(f"Exercise {number} is ")
        assert shell(cell.source) is None, cell.source
        if "parameters" in cell.metadata.get("tags", []):
            assert shell(parameters) is None
    printed = capsys.readouterr().out
    for number, _ in exercises.values():
        assert f"Exercise {number}: right." in printed


def test_a_notebook_of_the_student_edition_runs_to_its_first_open_exercise(smoke_kit, tmp_path):
    source = tmp_path / "notebooks"
    source.mkdir()
    shutil.copytree(smoke_kit / "notebooks" / "profiles", source / "profiles")
    for name in PATHS:
        nbformat.write(student_notebook(read(name)), source / f"{name}.ipynb")
    with pytest.raises(NotebookError, match="OpenExercise: Exercise 6.1 is"):
        run_course("smoke", notebooks=["06"], source=source, out=tmp_path / "out")
    executed = nbformat.read(tmp_path / "out" / "06_tree.ipynb", as_version=4)
    errors = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert len(errors) == 1
    assert "replace the dots" in errors[0].evalue or "Hint:" in errors[0].evalue
