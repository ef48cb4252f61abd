"""The notebooks as JupyterLab opens them at a profile."""

import nbformat
import pytest

from corelib.course import lab
from corelib.course.execute import list_notebooks, notebooks_folder, plan_course
from corelib.course.parameters import CourseError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "project_root", lambda: tmp_path)


def test_the_sources_are_opened_at_their_own_profile(elsewhere, tmp_path):
    assert lab.notebooks_at("laptop") == notebooks_folder()
    assert list(tmp_path.iterdir()) == []


def test_copies_have_the_profiles_values_and_keep_what_was_done_in_them(elsewhere, tmp_path):
    folder = lab.notebooks_at("smoke")
    assert folder == tmp_path / "runs" / "lab" / "smoke"
    assert list(list_notebooks(folder)) == list(list_notebooks(notebooks_folder()))
    assert (folder / "pictures" / "00_start_here.png").is_file()
    for name, given in plan_course("smoke").items():
        notebook, values = nbformat.read(folder / f"{name}.ipynb", as_version=4), {}
        (cell,) = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
        exec(cell.source, values)
        assert {key: values[key] for key in given} == given
        assert cell.metadata["jupyter"] == {"source_hidden": True}
        assert not any(cell.get("outputs") for cell in notebook.cells)
    (folder / "03_i3d.ipynb").write_text("a student's own")
    (folder / "04_baseline.ipynb").unlink()
    lab.notebooks_at("smoke")
    assert (folder / "03_i3d.ipynb").read_text() == "a student's own"
    assert (folder / "04_baseline.ipynb").is_file()


def test_a_profile_that_there_is_not_is_named(elsewhere):
    with pytest.raises(CourseError, match="did you mean 'smoke'"):
        lab.notebooks_at("smok")
