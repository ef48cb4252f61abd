"""nbgrader itself, in an environment of its own, as docs/lecturers.md says."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.exercises import find_exercise
from corelib.course.parameters import read_notebook
from corelib.course.student import exercise_cells, write_student_edition
from tests.smoke_course import plan_notebook

PATHS = list_notebooks(notebooks_folder())
GRADED = ("00_start_here", "05_pairs")


@pytest.fixture(scope="module")
def nbgrader(tmp_path_factory):
    """nbgrader(words ...) runs it in a course's folder, with the kit's Python as its kernel."""
    course, own = (tmp_path_factory.mktemp(name) for name in ("course", "nbgrader"))
    uv = Path(sys.executable).with_name("uv")
    python = ["--python", sys.executable]
    for command in (
        [uv, "venv", "-q", *python, own],
        [uv, "pip", "install", "-q", "--python", own],
    ):
        command += ["nbgrader"] if "pip" in command else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nbgrader cannot be installed: {done.stderr.strip()[-300:]}")
    kernel = [sys.executable, "-m", "ipykernel", "install", "--prefix", own, "--name", "python3"]
    subprocess.run(kernel, capture_output=True, check=True)
    programs = own / ("Scripts" if os.name == "nt" else "bin")
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    inside = {"HOME": str(own), "JUPYTER_PREFER_ENV_PATH": "1", "PATH": path}

    def run(*words):
        command = [programs / "nbgrader", *words]
        done = subprocess.run(
            command, cwd=course, env=os.environ | inside, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return course

    return run


def hand_in(folder, name, plan, *, solved):
    """A released notebook at the smoke profile, with the source's own solutions where `solved`."""
    released = read_notebook(folder / "release" / "core" / f"{name}.ipynb")
    source = {cell.id: cell.source for cell in read_notebook(PATHS[name]).cells}
    for cell in released.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{key} = {value!r}" for key, value in plan.items())
        if solved and cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = source[cell.id]
    student = folder / "submitted" / ("solved" if solved else "empty") / "core"
    student.mkdir(parents=True, exist_ok=True)
    nbformat.write(released, student / f"{name}.ipynb")


def test_assignments_are_made_graded_and_answered_without_a_person(nbgrader, smoke_kit):
    course = nbgrader("--version")
    write_student_edition(notebooks_folder(), course / "source" / "core")
    nbgrader("generate_assignment", "core", "--ClearSolutions.enabled=False")
    released = course / "release" / "core"
    for name in PATHS:
        notebook = read_notebook(released / f"{name}.ipynb")
        assert notebook.cells, name
        for number, solution, check in found_exercises(name, notebook):
            answers = find_exercise(number).answers
            assert all(answer in notebook.cells[solution].source for answer in answers), number
            assert notebook.cells[check].metadata.editable is False
    for name in GRADED:
        for solved in (True, False):
            hand_in(course, name, plan_notebook(smoke_kit, name), solved=solved)
    nbgrader("autograde", "core", "--Execute.timeout=600")
    nbgrader("generate_feedback", "core")
    nbgrader("export", "--to", "grades.csv")
    with (course / "grades.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"solved": 8.0, "empty": 0.0}
    for student in scores:
        for name in GRADED:
            page = course / "feedback" / student / "core" / f"{name}.html"
            assert "is still open" in page.read_text() or student == "solved"


def found_exercises(name, notebook):
    """The exercises of a notebook whose solutions are cut out, by the places in its source."""
    source = read_notebook(PATHS[name])
    assert [cell.id for cell in notebook.cells] == [cell.id for cell in source.cells]
    return exercise_cells(source)
