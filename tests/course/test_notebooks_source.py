"""The committed notebooks are clean, small-celled and agree with the profiles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from corelib.course.execute import plan_course
from corelib.course.parameters import declared_parameters, read_profile

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
PROFILES = ("smoke", "laptop", "seeds", "gpu")

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_every_notebook_has_a_number_of_its_own():
    assert PATHS, f"no notebooks in {FOLDER}"
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in PATHS)
    assert len({path.name[:2] for path in PATHS}) == len(PATHS)


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


def first_code(path):
    return next(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )


@each_notebook
def test_its_first_cell_is_the_guard_of_all(path):
    assert first_code(path) == first_code(PATHS[0])
    assert len(first_code(path).splitlines()) <= 12


def test_where_corelib_is_missing_the_first_cell_says_the_line_that_installs_it_and_stops():
    bare = [sys.executable, "-I", "-S", "-c"]  # a Python without site-packages
    stopped = subprocess.run(
        [*bare, first_code(PATHS[0]) + "\nprint('went on')"], capture_output=True, text=True
    )
    assert stopped.returncode != 0 and "went on" not in stopped.stdout
    assert "corelib is not installed" in stopped.stderr and "make lab" in stopped.stderr
    assert sys.executable in stopped.stderr  # the kernel's Python is another than the kit's: which?
    line = next(line for line in stopped.stderr.splitlines() if line.startswith("!"))
    assert (
        "pip install -c keep.txt -e .." in line and "torch" in line
    )  # what is there of torch stays
    subprocess.run([sys.executable, "-c", first_code(PATHS[0])], check=True)


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
    assert {path.stem for path in (FOLDER / "profiles").glob("*.yaml")} == set(PROFILES)
    assert all(isinstance(read_profile(FOLDER / "profiles", profile), dict) for profile in PROFILES)
