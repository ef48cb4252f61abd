"""Hand-ins are graded in processes of their own, whatever is in them."""

import csv

import nbformat
import pytest
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.course import grade as grading
from corelib.course.execute import notebooks_folder
from corelib.course.grade import find_answers, grade
from corelib.course.parameters import CourseError, read_notebook
from corelib.course.student import exercise_cells, student_notebook

NAME = "00_start_here.ipynb"
GIVEN = """import numpy as np
def panel_score(marks, difficulty):
    return difficulty * sum(sorted(marks)[2:5])
def check(number): raise SystemExit("the verdict is not the notebook's")"""


def code(source, **metadata):
    return nbformat.v4.new_code_cell(source, metadata=metadata)


@pytest.fixture
def course(source):
    """A course of one notebook, with the exercises 0.1 and 0.4 of the real one."""
    real = read_notebook(notebooks_folder() / NAME)
    cells = [code("start = 1"), code("tiny: int = 1", tags=["parameters"]), code(GIVEN)]
    for number, solution, check in exercise_cells(real):
        if number in ("0.1", "0.4"):
            real.cells[solution].source += "\nat = np.array([panel_score([1] * 7, tiny)])"
            cells += [real.cells[solution], real.cells[check]]
    cells += [code("raise RuntimeError('no exercise needs this')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source / NAME)
    return source


@pytest.fixture
def hand_in(course, tmp_path):
    """hand_in(student, first answer, last answer) -> a student's folder."""

    def write(student, first=None, last=None, change=None):
        notebook = read_notebook(course / NAME)
        (_, one, _), (_, two, _) = exercise_cells(notebook)
        notebook.cells[one].source = first or notebook.cells[one].source
        notebook.cells[two].source = last or notebook.cells[two].source
        (change or (lambda notebook: None))(notebook)
        (tmp_path / student).mkdir()
        nbformat.write(notebook, tmp_path / student / f"0 of {student}.ipynb")
        return tmp_path / student

    return write


def graded(course, handins, **options):
    """{student: ((0.1, 0.4), remarks)}"""
    rows = list(grade(handins, source=course, profile="tiny", **options))
    assert all(row["sum"] == row["0.1"] + row["0.4"] for row in rows)
    return {row["student"]: ((row["0.1"], row["0.4"]), row["remarks"]) for row in rows}


def test_a_perfect_an_empty_a_wrong_and_a_missing_hand_in(course, hand_in, tmp_path):
    def pass_by_hand(notebook):
        for cell in notebook.cells:
            if cell.source == 'check("0.1")':
                cell.source = 'fan_score = 60\nprint("Exercise 0.1: right.")'

    (tmp_path / "empty").mkdir()
    empty = student_notebook(read_notebook(course / NAME))
    nbformat.write(empty, tmp_path / "empty" / NAME)
    (tmp_path / "missing").mkdir()
    twice = hand_in("twice")
    nbformat.write(empty, twice / NAME)
    (tmp_path / "00 broken.ipynb").write_text("{}")
    handins = [
        hand_in("perfect"), tmp_path / "empty", hand_in("wrong", "fan_score = 58.5"),
        hand_in("edited", "fan_score = 58.5", change=pass_by_hand), tmp_path / "missing", twice,
        tmp_path / "00 broken.ipynb", next(hand_in("file").glob("*")),
    ]  # fmt: skip
    found = graded(course, handins)
    assert found["perfect"] == found["0 of file"] == ((1, 1), "")
    assert found["empty"] == ((0, 0), "0.1: open; 0.4: open")
    assert found["missing"] == ((0, 0), "0.1: no notebook; 0.4: no notebook")
    assert found["twice"][0] == (0, 0) and "2 notebooks of this number" in found["twice"][1]
    assert found["00 broken"][0] == (0, 0) and "not a valid notebook" in found["00 broken"][1]
    for student in ("wrong", "edited"):
        marks, remarks = found[student]
        assert marks == (0, 1) and remarks.startswith("0.1: ") and "in order" in remarks


def test_one_that_crashes_spoils_no_other_answer_and_no_file(course, hand_in, tmp_path):
    answers = {
        "ValueError: no idea": "raise ValueError('no idea')",
        "SystemExit": "import sys; sys.exit()",
        "exit code 3": "import os; os._exit(3)",
        "SyntaxError": "fan_score = = 1",
        "EOFError": "fan_score = input()",
        "58.5": "del np, panel_score; set = open; raise ValueError(58.5)",
    }
    handins = [hand_in(f"s{place}", answer) for place, answer in enumerate(answers.values())]
    writes = f"open('mine.txt', 'w').write('x'); import shutil; shutil.rmtree('notebooks')\n{60}"
    handins.append(hand_in("writes", f"fan_score = 60\n{writes}"))
    found = graded(course, handins)
    for place, said in enumerate(answers):
        marks, remarks = found[f"s{place}"]
        assert marks == (0, 1) and said in remarks, remarks
    assert found["writes"] == ((1, 1), "")
    assert not list(tmp_path.rglob("mine.txt")) and (course / "profiles").is_dir()


def test_one_that_does_not_end_is_stopped_and_its_other_answers_count(course, hand_in):
    handin = hand_in("endless", "import os\nos.fork() if hasattr(os, 'fork') else 0\nwhile True: 1")
    found = graded(course, [handin], seconds=10)
    assert found == {"endless": ((0, 1), "0.1: still running after 10 s")}


@pytest.mark.skipif(not grading.without_network(), reason="needs `unshare` and its permission")
def test_there_is_no_network(course, hand_in):
    opens = "import socket\nsocket.create_connection(('127.0.0.1', {}), timeout=5)\nfan_score = 60"
    with __import__("socket").create_server(("127.0.0.1", 0)) as server:
        handin = hand_in("online", opens.format(server.getsockname()[1]))
        marks, remarks = graded(course, [handin])["online"]
    assert marks == (0, 1) and "OSError" in remarks


def test_a_course_whose_own_solutions_fail_grades_nobody(course, hand_in):
    handin = hand_in("perfect")
    notebook = read_notebook(course / NAME)
    notebook.cells[exercise_cells(notebook)[0][1]].source = "### BEGIN SOLUTION\nfan_score = 1"
    nbformat.write(notebook, course / NAME)
    with pytest.raises(CourseError, match="own solution of exercise 0.1 does not pass here"):
        list(grade([handin], source=course, profile="tiny"))


def test_answers_are_found_where_an_editor_lost_the_marks(course):
    notebook = read_notebook(course / NAME)
    marked = find_answers(notebook)
    for cell in notebook.cells:
        cell.metadata.clear()
    assert find_answers(notebook) == marked and list(marked) == ["0.1", "0.4"]


def test_the_command_writes_a_row_a_student(course, hand_in, tmp_path):
    profile = course / "profiles" / "tiny.yaml"
    profile.rename(profile.with_stem("smoke"))
    handins = [str(hand_in("a", "fan_score = 1")), str(hand_in("b"))]
    out = tmp_path / "grades.csv"
    command = ["course", "grade", *handins, "--notebooks", str(course), "--out", str(out)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    with out.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == ["student", "0.1", "0.4", "sum", "remarks"]
    assert (first["student"], first["0.1"], first["sum"]) == ("a", "0", "1") and first["remarks"]
    assert second == {"student": "b", "0.1": "1", "0.4": "1", "sum": "2", "remarks": ""}
