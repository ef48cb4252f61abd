"""Checks with hints, and the student edition."""

import nbformat
import pytest

from corelib.course.exercises import OpenExercise, check
from corelib.course.parameters import CourseError
from corelib.course.student import without_solutions, write_student_edition


def test_a_right_answer_is_confirmed(capsys):
    check("5.1", (lambda: 1 + 1 == 2, "add"))
    assert capsys.readouterr().out == "Exercise 5.1: right.\n"


def test_the_first_condition_that_fails_gives_its_hint():
    with pytest.raises(
        OpenExercise, match="Exercise 5.1 is not solved yet. Hint: second"
    ) as caught:
        check("5.1", (lambda: True, "first"), (lambda: False, "second"), (lambda: False, "third"))
    assert caught.value._render_traceback_() == [str(caught.value)]


def test_a_name_that_is_not_there_means_the_exercise_is_open():
    with pytest.raises(OpenExercise, match="still open .*answer.*replace the dots"):
        check("5.1", (lambda: answer == 3, "count"))  # noqa: F821


def test_an_error_of_the_students_own_code_is_shown_with_the_hint():
    with pytest.raises(OpenExercise, match="Hint: divide by the number.*ZeroDivisionError"):
        check("5.1", (lambda: 1 / 0, "divide by the number"))


def test_solutions_become_a_prompt_and_dots_where_they_stood():
    source = (
        "def f(x):\n    y = 2\n    ### BEGIN SOLUTION\n    z = x\n    return y * z\n    ### END"
        " SOLUTION\n\nprint(f(1))"
    )
    expected = "def f(x):\n    y = 2\n    # Your turn: replace the dots.\n    ...\n\nprint(f(1))"
    assert without_solutions(source) == expected
    compile(expected, "cell", "exec")


@pytest.mark.parametrize(
    "source",
    [
        "### BEGIN SOLUTION\nx = 1",
        "x = 1\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
    ],
)
def test_markers_without_a_counterpart_are_an_error(source):
    with pytest.raises(CourseError, match="without"):
        without_solutions(source)


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


SOLUTION, CHECK = (
    "### BEGIN SOLUTION\nanswer = 3\n### END SOLUTION",
    'check("5.1", (lambda: answer == 3, "count"))',
)


def test_the_student_edition_keeps_checks_and_carries_no_answer(tmp_path):
    source = tmp_path / "notebooks"
    (source / "profiles").mkdir(parents=True)
    (source / "profiles" / "laptop.yaml").write_text("all: {}\n")
    nb = notebook(SOLUTION, CHECK)
    nb.cells[0].metadata["wrong"] = "answer = 4"
    nbformat.write(nb, source / "05_pairs.ipynb")
    out = tmp_path / "students"
    for _ in range(2):  # the second time over the first
        (written,) = write_student_edition(source, out)
        text = written.read_text()
        assert (
            "answer = 3" not in text
            and "answer = 4" not in text
            and "check(" in text
            and "Your turn" in text
        )
        assert (out / "profiles" / "laptop.yaml").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(CourseError, match="other files"):
        write_student_edition(source, tmp_path / "mine")
    with pytest.raises(CourseError, match="source notebooks"):
        write_student_edition(source, source)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"
