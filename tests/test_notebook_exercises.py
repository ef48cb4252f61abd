"""The exercises of the notebooks: a wrong answer is turned down, the solution is right, the student edition stops where work begins."""

import textwrap

import nbformat
import pytest

from corelib.course.execute import NotebookError, list_notebooks, notebooks_folder, run_course
from corelib.course.exercises import WRONG, exercises_of, student_notebook

PATHS = list_notebooks(notebooks_folder())
each_notebook = pytest.mark.parametrize("name", PATHS)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Run one changed notebook at smoke, as the course would: run(name, change) -> the executed notebook."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "notebooks").symlink_to(notebooks_folder())

    def run(name, change):
        source = folder / f"{change.__name__}-{name}"
        source.mkdir()
        (source / "profiles").symlink_to(notebooks_folder() / "profiles")
        for other, path in PATHS.items():
            notebook = nbformat.read(path, as_version=4)
            nbformat.write(change(notebook) if other == name else notebook, source / f"{other}.ipynb")
        run_course("smoke", notebooks=[name], source=source, out=source / "out")
        return nbformat.read(source / "out" / f"{name}.ipynb", as_version=4)

    return run


@each_notebook
def test_it_has_two_to_four_exercises_each_with_a_wrong_answer(name):
    notebook = nbformat.read(PATHS[name], as_version=4)
    found = exercises_of(notebook)
    assert 2 <= len(found) <= 4
    assert [number for number, _, _ in found] == [f"{int(name[:2])}.{place}" for place in range(1, len(found) + 1)]
    headings = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    for number, solution, _ in found:
        assert any(line.startswith(f"### Exercise {number} ") for line in headings), number
        assert notebook.cells[solution].metadata.get(WRONG), f"exercise {number} lacks a wrong answer in its metadata"


def with_wrong_answers_first(notebook):
    cells = []
    places = {solution: check for _, solution, check in exercises_of(notebook)}
    for place, cell in enumerate(notebook.cells):
        if place in places:
            tried = textwrap.indent(notebook.cells[places[place]].source, "    ")
            cells.append(nbformat.v4.new_code_cell(cell.metadata[WRONG]))
            cells.append(nbformat.v4.new_code_cell(
                f"from corelib.course.exercises import OpenExercise\ntry:\n{tried}\nexcept OpenExercise as hint:\n    print(hint)\n"
                "else:\n    raise AssertionError('a wrong answer passed')"
            ))  # fmt: skip
        cells.append(cell)
    notebook.cells = cells
    return notebook


@each_notebook
def test_its_checks_turn_a_wrong_answer_down_and_pass_the_solution(name, course):
    executed = course(name, with_wrong_answers_first)
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    for number, _, _ in exercises_of(nbformat.read(PATHS[name], as_version=4)):
        assert f"Exercise {number} is" in printed and f"Exercise {number}: right." in printed


def student_edition(notebook):
    return student_notebook(notebook)


@each_notebook
def test_its_student_edition_runs_to_the_first_open_exercise(name, course):
    first = exercises_of(nbformat.read(PATHS[name], as_version=4))[0][0]
    with pytest.raises(NotebookError, match=f"OpenExercise: Exercise {first} is"):
        course(name, student_edition)
