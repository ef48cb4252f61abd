"""The lecturers' table of exercises holds those of the notebooks."""

import re
from pathlib import Path

from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.parameters import read_notebook

PAGE = Path(__file__).parents[1] / "docs" / "exercises.md"


def test_every_exercise_has_its_kind_stars_importance_and_minutes():
    row = r"^\| (\d+\.\d+) \| (\w+) \| .+ \| (★{1,3}) \| (must|should|may) \| (\d+) \|$"
    rows = re.findall(row, PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    notebooks = [read_notebook(path) for path in list_notebooks(notebooks_folder()).values()]
    texts = [cell.source for notebook in notebooks for cell in notebook.cells]
    heading = r"^### Exercise ([\d.]+) · (\w+)"
    assert [(number, kind) for number, kind, *_ in rows] == [
        found for text in texts for found in re.findall(heading, text, re.MULTILINE)
    ]
