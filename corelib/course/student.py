"""The student edition: the notebooks without the solutions.

A solution stands between `### BEGIN SOLUTION` and `### END SOLUTION`, with the next code cell
calling `check`. The markers are those of nbgrader and otter, which can take the notebooks too.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat

from corelib.course.parameters import CourseError, read_notebook
from corelib.machine.files import new_folder

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SOLUTION = re.compile(rf"^([^\S\n]*){BEGIN}\s*\n(?:.*\n)*?[^\S\n]*{END}[^\S\n]*$", re.MULTILINE)
PROMPT = "# Your turn: replace the dots."
WRONG = "wrong"  # a solution cell's metadata: an answer that its check must turn down


def without_solutions(source: str) -> str:
    """A cell's source with every solution replaced by a prompt and dots, indented as its marker."""
    lines = source.splitlines()
    markers = [line.strip() for line in lines if line.strip() in (BEGIN, END)]
    if markers != [BEGIN, END] * (len(markers) // 2):
        where = f"the cell that begins {lines[0]!r}"
        raise CourseError(f"{BEGIN!r} or {END!r} without its counterpart in {where}")
    return SOLUTION.sub(rf"\1{PROMPT}\n\1...", "\n".join(lines))


def student_notebook(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of a source notebook as students get it: no solution, no wrong answer, every check."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.source = without_solutions(cell.source)
        cell.metadata.pop(WRONG, None)
    return copy


def write_student_edition(source: str | Path, out: str | Path) -> list[Path]:
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
    paths = sorted(source.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise CourseError(f"no notebook in {source}: expected files such as 00_start_here.ipynb")
    contents = {path.name: student_notebook(read_notebook(path)) for path in paths}
    others = shutil.ignore_patterns("*.ipynb", "README.md", ".*")
    with new_folder(out, overwrite=True) as scratch:
        shutil.copytree(source, scratch, ignore=others, dirs_exist_ok=True)
        told = "written by `python -m corelib course student`; it is replaced as a whole\n"
        (scratch / mark.name).write_text(told, encoding="utf-8")
        for name, notebook in contents.items():
            nbformat.write(notebook, scratch / name)
    return [out / name for name in contents]
