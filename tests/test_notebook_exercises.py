"""The exercises of the notebooks: open or wrong they are turned down with a hint, the solution
passes; the student edition stops there."""

import importlib
import re
import shutil

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from corelib.course import project_root
from corelib.course.execute import NotebookError, list_notebooks, notebooks_folder, run_course
from corelib.course.exercises import OpenExercise, attempts, find_exercise
from corelib.course.parameters import CourseError
from corelib.course.student import SOLUTION, exercise_cells, student_notebook
from tests.needed_cells import needed_cells
from tests.smoke_course import plan_notebook

PATHS = list_notebooks(notebooks_folder())
each_notebook = pytest.mark.parametrize("name", PATHS)


def read(name):
    return nbformat.read(PATHS[name], as_version=4)


def wrong_answers(name):
    """number -> [(answer, a part of the hint that it gets)] of a notebook."""
    return importlib.import_module(f"tests.wrong_answers.n{name[:2]}").WRONG


def right_answers(name):
    """number -> answers that are right beside the solution, where there are any."""
    return getattr(importlib.import_module(f"tests.wrong_answers.n{name[:2]}"), "RIGHT", {})


def prompt_of(notebook, number):
    """The text below the heading of an exercise."""
    heading = rf"^### Exercise {re.escape(number)} .*"
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    (prompt,) = [
        re.split(heading, text, flags=re.M)[1] for text in texts if re.search(heading, text, re.M)
    ]
    return prompt


def test_exercises_are_found_with_their_checks():
    solution, check = "### BEGIN SOLUTION\nanswer = 3\n### END SOLUTION", 'check("5.1")'

    def notebook(*sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        return nbformat.v4.new_notebook(cells=cells)

    assert exercise_cells(notebook("x = 1", solution, check)) == [("5.1", 1, 2)]
    for broken in ((solution,), (solution, "x = 1"), (check,), (solution, solution, check)):
        with pytest.raises(CourseError):
            exercise_cells(notebook(*broken))


@each_notebook
def test_it_has_two_to_five_exercises_each_with_three_wrong_answers(name):
    notebook = read(name)
    found = exercise_cells(notebook)
    assert 2 <= len(found) <= 5
    numbers = [number for number, _, _ in found]
    lessons = [read(other) for other in PATHS if other[:2] == name[:2]]  # as 08 and 08b
    every = [number for lesson in lessons for number, _, _ in exercise_cells(lesson)]
    expected = [f"{int(name[:2])}.{place}" for place in range(1, len(every) + 1)]
    assert every == expected == list(wrong_answers(name))
    for number in numbers:
        assert prompt_of(notebook, number), number
        answers = wrong_answers(name)[number]
        assert len({answer for answer, _ in answers}) >= 3, number


@each_notebook
def test_an_exercise_names_what_its_check_reads(name):
    """In the prompt, and in the scaffold, where the student writes; the check is one line."""
    notebook = read(name)
    student = student_notebook(notebook)
    for number, solution, check in exercise_cells(notebook):
        one = find_exercise(number)
        assert one.answers, number
        assert notebook.cells[check].source == f'check("{number}")'
        assert min(len(one.method), len(one.nearly)) > 20, number
        given, prompt = student.cells[solution].source, prompt_of(notebook, number)
        for answer in one.answers:
            scaffold = rf"^(def {answer}\(.*\): \.\.\.|{answer} = \.\.\.)$"
            assert re.search(scaffold, given, re.MULTILINE), f"{number}: {answer} in the scaffold"
            assert re.search(rf"`{answer}\b", prompt), f"{number}: `{answer}` in the prompt"


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


def cells_of_exercises(notebook, name):
    """The places of the cells that exercises need, with what checks and answers read."""
    reading, wanted = read(name), []
    for number, solution, check in exercise_cells(notebook):
        answers = [answer for answer, _ in wrong_answers(name)[number]]
        answers += right_answers(name).get(number, [])
        reading.cells[solution].source += "\n".join(["", *answers])
        reading.cells[check].source += "\n".join(["", *find_exercise(number).context])
        wanted += [solution, check]
    return needed_cells(reading, wanted)


@pytest.mark.filterwarnings("ignore::UserWarning")  # what a cell warns of is for its reader
@each_notebook
def test_an_open_and_a_wrong_answer_are_turned_down_and_what_is_right_passes(
    name, shell, smoke_kit, capsys
):
    notebook, student = read(name), student_notebook(read(name))
    plan = plan_notebook(smoke_kit, name)
    parameters = "\n".join(f"{key} = {value!r}" for key, value in plan.items())
    exercises = {solution: (number, check) for number, solution, check in exercise_cells(notebook)}
    for place in cells_of_exercises(notebook, name):
        cell = notebook.cells[place]
        if place in exercises:
            number, check = exercises[place]
            answers = [(student.cells[place].source, "is still open")]
            given = SOLUTION.sub("", cell.source)  # what the cell gives beside the solution
            answers += [(f"{given}\n{wrong}", hint) for wrong, hint in wrong_answers(name)[number]]
            for answer, hint in answers:
                attempts.clear()  # the first hint alone
                assert shell(answer) is None, answer
                said = shell(notebook.cells[check].source)
                taken = f"exercise {number} takes this for right:\n{answer}"
                assert isinstance(said, OpenExercise), taken
                assert hint in str(said), f"exercise {number}, after\n{answer}"
            for answer in right_answers(name).get(number, []):
                assert shell(f"{given}\n{answer}") is None, answer
                assert shell(notebook.cells[check].source) is None, answer
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
    assert "is still open" in errors[0].evalue
