"""JupyterLab on the course, at the laptop profile's defaults or with another profile's values."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat

from corelib.course import project_root
from corelib.course.execute import list_notebooks, notebooks_folder, plan_course
from corelib.course.parameters import profile_name

DEFAULTS = "laptop"  # the profile whose values stand in the notebooks themselves
OPTIONS = [
    "--ServerApp.ip=127.0.0.1",
    f"--LabApp.app_settings_dir={Path(__file__).with_name('lab_settings')}",  # no news
    "--ServerApp.contents_manager_class=corelib.course.contents.Notebooks",
]


def notebooks_at(profile: str) -> Path:
    """The folder of the notebooks to open at a profile.

    That of the sources at DEFAULTS; else runs/lab/<profile>, with a copy of each notebook that is
    not there yet: what somebody has done there stays. Raises CourseError for an unknown profile.
    """
    source, plan = notebooks_folder(), plan_course(profile)
    if profile == DEFAULTS:
        return source
    import papermill

    folder = project_root() / "runs" / "lab" / profile_name(profile)
    shutil.copytree(source / "pictures", folder / "pictures", dirs_exist_ok=True)
    asked = {"prepare_only": True, "progress_bar": False}
    for name, path in list_notebooks(source).items():
        if not (folder / path.name).exists():
            copy = papermill.execute_notebook(path, folder / path.name, plan[name], **asked)
            for cell in copy.cells:
                if "injected-parameters" in cell.metadata.get("tags", []):
                    cell.metadata["jupyter"] = {"source_hidden": True}  # as those of the source
            nbformat.write(copy, folder / path.name)
    return folder


def open_lab(profile: str, options: list[str]) -> None:
    """Start JupyterLab on notebook 00, for this machine alone, until it is ended."""
    from jupyterlab.labapp import LabApp

    root = project_root()
    first = next(iter(list_notebooks(notebooks_at(profile)).values())).relative_to(root)
    place = [str(root), f"--LabApp.default_url=/lab/tree/{first.as_posix()}"]
    LabApp.launch_instance([*place, *OPTIONS, *options])
