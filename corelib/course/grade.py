"""Grades hand-ins without a person: a student's answers in the source notebooks, by their checks.

An answer is what stands in an exercise's own cell. It is put into the source notebook and executed
there in a process of its own, with those cells alone that the exercise needs, in a scratch folder
that holds what these cells had made before. Of a hand-in's other cells and files nothing is taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import nbformat

from corelib.course import parameters, project_root
from corelib.course.execute import list_notebooks, notebooks_folder, plan_course
from corelib.course.exercises import find_exercise
from corelib.course.grade_worker import OPEN
from corelib.course.kernels import ENVIRONMENT
from corelib.course.needed import needed_cells
from corelib.course.parameters import CourseError, declared_parameters, read_notebook
from corelib.course.student import CHECK, exercise_cells


@dataclass(frozen=True)
class Lesson:
    """A source notebook to grade by."""

    name: str
    notebook: nbformat.NotebookNode
    given: dict  # its parameters
    folder: Path  # what its cells made, with its own solutions
    isolated: list[str]  # see without_network
    seconds: int  # that one execution of a student's answers may take

    @property
    def solutions(self) -> dict[str, str]:
        cells = self.notebook.cells
        return {number: cells[place].source for number, place, _ in exercise_cells(self.notebook)}

    def make(self) -> None:
        """Fill the folder; CourseError where the source's own solutions do not pass here."""
        verdicts, end = self._execute(self.solutions, self.folder, None)
        for number in self.solutions:
            if said := verdicts.get(number, end):
                what = f"the source's own solution of exercise {number} does not pass here"
                raise CourseError(f"{self.name}: {what}: {said}")

    def grade(self, handin: Path) -> dict[str, str]:
        """{number: what is wrong, "" for nothing} for every exercise, whatever the hand-in holds.

        Answers are tried together first; what is not right then is tried again by itself, with the
        source's own solutions in place of all others, so that no answer spoils another.
        """
        files = sorted(handin.glob("*.ipynb")) if handin.is_dir() else [handin]
        files = [file for file in files if re.match(rf"0*{int(self.name[:2])}(?!\d)", file.name)]
        if len(files) != 1:
            missing = f"{len(files)} notebooks of this number" if files else "no notebook"
            return dict.fromkeys(self.solutions, missing)
        try:
            found = find_answers(read_notebook(files[0]))
        except CourseError as error:
            return dict.fromkeys(self.solutions, str(error))
        answers = {number: found[number] for number in self.solutions if number in found}
        together, _ = self._try(answers)
        verdicts = dict.fromkeys(self.solutions, "no cell for it") | together
        for number, answer in answers.items():
            if together.get(number) not in ("", OPEN):
                alone, end = self._try({number: answer})
                verdicts[number] = alone.get(number, end)
        return verdicts

    def _try(self, answers: Mapping[str, str]) -> tuple[dict[str, str], str]:
        with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            shutil.copytree(self.folder, scratch, dirs_exist_ok=True)
            return self._execute(answers, scratch, self.seconds)

    def _execute(self, answers: Mapping[str, str], folder: str | Path, seconds: int | None):
        """({number: what is wrong, "" for nothing} as far as it came, how it ended)."""
        paths = filter(None, [str(project_root()), os.environ.get("PYTHONPATH")])
        own = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(folder)}
        own["PYTHONPATH"] = os.pathsep.join(paths)
        command = [*self.isolated, sys.executable, "-m", "corelib.course.grade_worker"]
        with TemporaryFile("w+", encoding="utf-8") as told:
            process = subprocess.Popen(
                command, cwd=folder, env=os.environ | ENVIRONMENT | own, start_new_session=True,
                stdin=subprocess.PIPE, stdout=told, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            try:
                process.communicate(json.dumps(self._steps(answers)), timeout=seconds)
                end = f"the process ended with exit code {process.returncode}"
            except subprocess.TimeoutExpired:
                end = f"still running after {seconds} s"
            finally:
                with suppress(AttributeError, OSError):  # Windows; nothing is left
                    os.killpg(process.pid, 9)
                process.kill()
                process.wait()
            told.seek(0)
            lines = [json.loads(line) for line in told if line.endswith("\n")]
        end = "".join(line["failed"] for line in lines if "failed" in line) or end
        return {line["exercise"]: line["said"] for line in lines if "exercise" in line}, end

    def _steps(self, answers: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
        """What grade_worker executes: the cells that solutions, checks or answers need."""
        own, theirs = (nbformat.from_dict(self.notebook) for _ in range(2))
        numbers, checks = {}, []
        for number, solution, check in exercise_cells(self.notebook):
            if number in answers:
                reads = find_exercise(number).context
                own.cells[check].source = theirs.cells[check].source = "\n".join(reads)
                theirs.cells[solution].source = answers[number]
                numbers[solution] = number
                checks.append(check)
        needed = set(needed_cells(own, [*numbers, *checks]))
        with suppress(SyntaxError, ValueError):  # of a student's; the worker will say so
            needed |= set(needed_cells(theirs, [*numbers, *checks]))
        steps = []
        for place in sorted(needed - set(checks)):
            cell, number = self.notebook.cells[place], numbers.get(place)
            steps.append((cell.source, number, answers.get(number)))
            if parameters.TAG in cell.metadata.get("tags", []):
                lines = [f"{name} = {value!r}" for name, value in self.given.items()]
                steps.append(("\n".join(lines), None, None))
        return steps


def grade(
    handins: Iterable[str | Path],
    *,
    source: str | Path | None = None,
    profile: str = "smoke",
    only: Iterable[str] | None = None,
    seconds: int = 180,
    jobs: int | None = None,
) -> Iterator[dict[str, object]]:
    """A row a hand-in: student, 1 or 0 for each exercise, sum, remarks.

    handins  folders of notebooks, or notebooks; each is known by the number it begins with
    source   the source notebooks' folder  [default: corelib's own], executed at `profile`
    only     numbers or beginnings of the notebooks to grade; all by default
    seconds  that one execution of a hand-in's notebook may take
    jobs     notebooks at a time  [default: one a processor]

    Raises CourseError where the source's own solutions do not pass here.
    """
    source, isolated = Path(source or notebooks_folder()), without_network()
    scripts = project_root() / "data_scripts"  # which cells start by this path
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        lessons = []
        for name, given in plan_course(profile, notebooks=only, source=source).items():
            notebook, folder = read_notebook(list_notebooks(source)[name]), Path(scratch) / name
            if parameters.RESULTS in declared_parameters(notebook, name):
                given[parameters.RESULTS] = "results"
            ignored = shutil.ignore_patterns("*.ipynb", "*.png", "__pycache__")
            shutil.copytree(source, folder / "notebooks", ignore=ignored)
            shutil.copytree(scripts, folder / scripts.name, ignore=ignored)
            lessons.append(Lesson(name, notebook, given, folder, isolated, seconds))
        pool = ThreadPoolExecutor(jobs or os.cpu_count())
        try:
            list(pool.map(Lesson.make, lessons))
            for handin in map(Path, handins):
                verdicts = pool.map(lambda lesson, one=handin: lesson.grade(one), lessons)
                found = {number: said for one in verdicts for number, said in one.items()}
                marks = {number: int(said == "") for number, said in found.items()}
                remarks = "; ".join(f"{number}: {said}" for number, said in found.items() if said)
                total = sum(marks.values())
                yield {"student": handin.stem, **marks, "sum": total, "remarks": remarks}
        finally:
            pool.shutdown(cancel_futures=True)


def find_answers(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """{exercise: its cell's source} in a student's notebook: the cell marked as its solution, or
    where an editor lost the marks the one before its check."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = {}
    for before, cell in zip(code, code[1:], strict=False):
        found |= dict.fromkeys(CHECK.findall(cell.source), before.source)
    for cell in code:
        if mark := re.search(r"'grade_id': 'solution-(\d+)-(\d+)'", str(cell.metadata)):
            found[f"{mark[1]}.{mark[2]}"] = cell.source
    return found


def without_network() -> list[str]:
    """The beginning of a command that runs without a network, and whose end nothing outlives that
    it starts; empty where the system has none."""
    for how in ("--net", "-rn"):  # as root, or in a user's own namespace
        command = ["unshare", how, "--pid", "--fork", "--kill-child"]
        with suppress(OSError):
            if not subprocess.run([*command, "true"], capture_output=True).returncode:
                return command
    return []
