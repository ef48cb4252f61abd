"""The committed notebooks are clean, small-celled, soon at their first idea, and agree with the
profiles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from corelib.course.execute import plan_course
from corelib.course.parameters import PROFILES as KITS_PROFILES
from corelib.course.parameters import declared_parameters, read_profile
from corelib.course.site import title_and_aims

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
PROFILES = ("smoke", "laptop", "seeds", "gpu")

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_every_notebook_has_a_number_of_its_own():
    assert PATHS, f"no notebooks in {FOLDER}"
    assert all(re.fullmatch(r"\d\d[a-z]?_[a-z0-9_]+", path.stem) for path in PATHS)
    assert len({path.name.partition("_")[0] for path in PATHS}) == len(PATHS)


@each_notebook
def test_it_carries_no_outputs_counts_or_widget_state(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata and "papermill" not in notebook.metadata
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []


@each_notebook
def test_it_names_the_kernel_python3_and_tags_one_code_cell_parameters(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    tagged = [
        cell.cell_type for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    ]
    assert tagged == ["code"]


@each_notebook
def test_its_code_cells_have_at_most_25_lines(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert [source for source in code if len(source.splitlines()) > 25] == []


@each_notebook
def test_no_line_of_its_code_is_longer_than_100_and_none_is_kept_from_the_formatter(path):
    lines = [line for _, source in code_of(path) for line in source.splitlines()]
    assert [line for line in lines if len(line) > 100 or "# fmt:" in line] == []


def code_of(path):
    """(place among all cells, source) of every code cell but parameters and what hosts need."""
    return [
        (place, cell.source)
        for place, cell in enumerate(nbformat.read(path, as_version=4).cells)
        if cell.cell_type == "code"
        and not {"parameters", "install"} & set(cell.metadata.get("tags", []))
    ]


def first_code(path):
    return code_of(path)[0][1]


def lines_of(source):
    """Its lines, comments among them, that are not blank."""
    return [line for line in source.splitlines() if line.strip()]


@each_notebook
def test_it_opens_with_its_title_its_question_and_a_picture_of_its_own_folder(path):
    opening = nbformat.read(path, as_version=4).cells[0]
    assert opening.cell_type == "markdown"
    title, question, picture, see = opening.source.split("\n\n")[:4]
    assert title.startswith(f"# {path.stem.partition('_')[0]} ")
    assert re.fullmatch(r"\*\*[^*]+\?\*\*", question)
    text, name = re.fullmatch(r"!\[([^]]+)\]\(([^)]+)\)", picture).groups()
    assert len(text) > 20, "what is to be seen, for those who cannot see it"
    assert name == f"pictures/{path.stem}.png"  # inside the folder: copies and pages take it along
    with Image.open(path.parent / name) as shown:
        assert shown.format == "PNG" and 600 <= shown.width <= 1600 and shown.height <= 900
    assert see.startswith("See ")
    assert "You will be able to:" in opening.source and "You need:" in opening.source


@each_notebook
def test_the_index_of_an_executed_course_shows_its_question_and_its_aims_without_the_picture(path):
    _, aims = title_and_aims(nbformat.read(path, as_version=4))
    question, able, *aims_of_it = [line for line in aims.splitlines() if line]
    assert question.endswith("?**") and able == "You will be able to:"
    assert all(line.startswith("- ") for line in aims_of_it[:3]) and "pictures/" not in aims


@each_notebook
def test_at_most_eight_lines_of_code_stand_before_the_first_idea(path):
    # the first idea: the first Markdown below the opening, whose code is the first that teaches
    kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
    idea = kinds.index("markdown", 1)
    before = [source for place, source in code_of(path) if place < idea]
    assert len(before) == 2, "the set-up, and the imports of most sections"
    assert sum(len(lines_of(source)) for source in before) <= 8
    assert all(
        re.match(r"(from|import) |table = find_or_make_dives\(", line)
        for line in lines_of(before[1])
    )


@each_notebook
def test_its_parameters_are_collapsed(path):
    cells = nbformat.read(path, as_version=4).cells
    tagged = next(cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    assert tagged.metadata.jupyter.source_hidden is True
    assert all("jupyter" not in cell.metadata for cell in cells if cell is not tagged)


@each_notebook
def test_its_first_cell_is_the_setup_of_all(path):
    assert first_code(path) == first_code(PATHS[0])
    assert len(lines_of(first_code(path))) <= 3


def test_where_corelib_is_missing_the_first_cell_stops_and_shows_the_line_that_installs_it():
    code = first_code(PATHS[0]) + "\nprint('went on')"
    cell = f"""import sys
from IPython.core.interactiveshell import InteractiveShell

sys.modules["corelib"] = None  # as where there is no such package
sys.exit(not InteractiveShell().run_cell({code!r}).success)"""
    stopped = subprocess.run([sys.executable, "-c", cell], capture_output=True, text=True)
    assert stopped.returncode == 1 and "went on" not in stopped.stdout.splitlines()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stopped.stdout)
    assert "ModuleNotFoundError" in shown and "corelib" in shown.splitlines()[-1]
    assert re.search(r"--> 1 from corelib.course import start  # missing\? Run `make lab`", shown)
    line = next(line for line in shown.splitlines() if "!pip" in line)
    assert "pip install -c keep.txt -e .." in line and "torch" in line  # what is there of it stays
    assert "restart the kernel" in line
    bare = [sys.executable, "-I", "-S", "-c"]  # a Python without site-packages
    stopped = subprocess.run([*bare, code], capture_output=True, text=True)
    assert stopped.returncode != 0 and "went on" not in stopped.stdout
    assert "No module named 'corelib'" in stopped.stderr


def test_where_corelib_is_there_the_first_cell_says_nothing_and_works_in_the_kits_folder(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent)}
    code = first_code(PATHS[0]) + "\nimport os\nprint(os.getcwd())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [str(FOLDER.parent)], done.stderr


def test_what_the_kit_warns_of_is_a_line_without_a_path():
    code = first_code(PATHS[0]) + "\nimport warnings\nwarnings.warn('2 of 24 are never paired')"
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "Note: 2 of 24 are never paired\n" and done.stderr == ""


def test_where_a_package_is_too_old_the_first_cell_says_the_line_that_mends_it_and_stops(tmp_path):
    old = tmp_path / "captum-0.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: captum\nVersion: 0.1\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(FOLDER.parent)])}
    code = first_code(PATHS[0]) + "\nprint('went on')"
    stopped = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert stopped.returncode != 0 and "went on" not in stopped.stdout
    last = stopped.stderr.splitlines()[-1]
    assert "InstallationError: captum 0.1 is installed and >=0.8 needed: " in last and (
        "pip install -e" in last or "the kit's own Python" in last
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_fits_the_notebooks(profile):
    assert set(plan_course(profile, source=FOLDER)) == {path.stem for path in PATHS}


def test_the_laptop_profile_says_nothing_else_than_the_defaults():
    plan = plan_course("laptop", source=FOLDER)
    for path in PATHS:
        defaults = declared_parameters(nbformat.read(path, as_version=4), path.stem)
        assert plan[path.stem] == {key: defaults[key] for key in plan[path.stem]}, path.stem


def test_there_is_no_profile_beyond_the_three():
    assert {path.stem for path in KITS_PROFILES.glob("*.yaml")} == set(PROFILES)
    assert all(isinstance(read_profile(KITS_PROFILES, profile), dict) for profile in PROFILES)


def test_the_setup_of_no_notebook_imports_what_takes_seconds_and_comes_later():
    lines = {line for path in PATHS for _, code in code_of(path)[:2] for line in lines_of(code)}
    imports = sorted(line for line in lines if re.match("(from|import) ", line))
    assert len(imports) > 5
    later = ["torchvision", "torch._dynamo", "scipy.stats", "nbformat", "papermill", "captum"]
    program = f"import sys; start(); print([name for name in {later} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*imports, program])],
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["[]"], done.stderr
