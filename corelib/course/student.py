"""The student edition: the notebooks with a scaffold in place of every solution.

A solution stands between `### BEGIN SOLUTION` and `### END SOLUTION`, with the next code cell
calling `check`. The markers are nbgrader's.
"""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from pathlib import Path

import nbformat

from corelib.course.exercises import find_exercise
from corelib.course.parameters import CourseError, read_notebook
from corelib.machine.files import new_folder

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SOLUTION = re.compile(rf"^[^\S\n]*{BEGIN}\s*\n((?:.*\n)*?)[^\S\n]*{END}[^\S\n]*$", re.MULTILINE)
PROMPT = "# Your turn: replace the dots."
CHECK = re.compile(r'^check\("([\d.]+)"\)$', re.MULTILINE)


def without_solutions(source: str, answers: list[str]) -> str:
    """A cell's source with a scaffold in place of its solution: every answer's name, and dots."""
    lines = source.splitlines()
    markers = [line.strip() for line in lines if line.strip() in (BEGIN, END)]
    if markers not in ([], [BEGIN, END]):
        where = f"the cell that begins {lines[0]!r}"
        raise CourseError(f"{BEGIN!r} or {END!r} without its counterpart in {where}")
    return SOLUTION.sub(lambda found: scaffold(found[1], answers), "\n".join(lines))


def scaffold(solution: str, answers: list[str]) -> str:
    """What a student finds: `name = ...` for a value, the first line and dots for a function."""
    parts = [PROMPT]
    for node in ast.parse(textwrap.dedent(solution)).body:
        if isinstance(node, ast.FunctionDef) and node.name in answers:
            parts.append(f"def {node.name}({ast.unparse(node.args)}): ...")
        elif isinstance(node, ast.Assign):
            stored = [name for target in node.targets for name in ast.walk(target)]
            names = [name.id for name in stored if isinstance(name, ast.Name)]
            parts += [f"{name} = ..." for name in names if name in answers]
    return "\n".join(parts)


def exercise_cells(notebook: nbformat.NotebookNode) -> list[tuple[str, int, int]]:
    """(number, place of the solution's cell, place of the check's cell) of every exercise.

    Raises CourseError for a solution without a check in the next code cell, and the other way.
    """
    found, solution = [], None
    code = [(place, cell) for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for place, cell in code:
        called = CHECK.search(cell.source)
        if (called is None) != (solution is None):
            what = "a solution without a check right behind it, or a check without one"
            raise CourseError(f"cell {place + 1}: {what}")
        if called:
            found.append((called[1], solution, place))
        solution = place if BEGIN in cell.source else None
    if solution is not None:
        raise CourseError(f"the solution in cell {solution + 1} has no check behind it")
    return found


def student_notebook(
    notebook: nbformat.NotebookNode, *, with_solutions: bool = False
) -> nbformat.NotebookNode:
    """A copy of a source notebook as students get it: a scaffold for each solution, every check.

    with_solutions   fold each solution into a line below its check
    """
    copy = nbformat.from_dict(notebook)
    for number, solution, check in reversed(exercise_cells(notebook)):
        cell = copy.cells[solution]
        if with_solutions:
            shown = SOLUTION.search(cell.source)[1].strip("\n")
            text = f"<details><summary>Solution of exercise {number}</summary>\n\n"
            text += f"```python\n{shown}\n```\n\n</details>"
            folded = nbformat.v4.new_markdown_cell(text, id=f"solution-{number.replace('.', '-')}")
            copy.cells.insert(check + 1, folded)
        cell.source = without_solutions(cell.source, find_exercise(number).answers)
    return copy


def write_student_edition(
    source: str | Path, out: str | Path, *, with_solutions: bool = False
) -> list[Path]:
    """Write the student edition of all notebooks in `source` into the folder `out`: its paths.

    Everything else beside the notebooks but the lecturers' README.md is copied.
    Raises CourseError when `out` is the source, or holds anything but an earlier student edition.
    """
    source, out = Path(source).resolve(), Path(out).resolve()
    mark = out / ".student-edition"
    if out == source or out.is_relative_to(source):
        raise CourseError(f"{out} is where the source notebooks lie; choose another --out")
    if out.exists() and any(out.iterdir()) and not mark.is_file():
        mixed = "which the student edition would mix with"
        raise CourseError(f"{out} holds other files, {mixed}; choose an empty --out")
    paths = sorted(source.glob("[0-9][0-9]*_*.ipynb"))
    if not paths:
        raise CourseError(f"no notebook in {source}: expected files such as 00_start_here.ipynb")
    contents = {
        path.name: student_notebook(read_notebook(path), with_solutions=with_solutions)
        for path in paths
    }
    others = shutil.ignore_patterns("*.ipynb", "README.md", ".*")
    with new_folder(out, overwrite=True) as scratch:
        shutil.copytree(source, scratch, ignore=others, dirs_exist_ok=True)
        told = "written by `python -m corelib course student`; it is replaced as a whole\n"
        (scratch / mark.name).write_text(told, encoding="utf-8")
        for name, notebook in contents.items():
            nbformat.write(notebook, scratch / name)
    return [out / name for name in contents]
