"""An empty course, for tests to fill."""

import pytest


@pytest.fixture
def source(tmp_path):
    """An empty course: a notebooks folder with a profile `tiny` that sets nothing."""
    folder = tmp_path / "a course" / "notebooks"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "tiny.yaml").write_text("all: {}\n")
    return folder
