"""The course at the smoke profile in a folder of its own, in which everything is made."""

import shutil
from pathlib import Path

import yaml

from corelib.course.execute import notebooks_folder, plan_course
from corelib.course.parameters import PROFILES, RESULTS, declared_parameters, read_notebook

MADE = ("dives", "my-videos", "runs")  # what the course makes at the smoke profile


def copy_notebooks(folder: Path) -> Path:
    """The notebooks in `folder`, docs/ beside them, whose smoke profile makes everything there;
    returns where they lie."""
    source = folder / "notebooks"
    shutil.copytree(notebooks_folder(), source)
    shutil.copytree(notebooks_folder().parent / "docs", folder / "docs")
    (source / "profiles").mkdir(exist_ok=True)
    shutil.copy(PROFILES / "smoke.yaml", source / "profiles")
    profile = source / "profiles" / "smoke.yaml"
    parameters = yaml.safe_load(profile.read_text(encoding="utf-8"))
    dives, mine, runs = (str(folder / name) for name in MADE)
    parameters["all"] |= {"dives": dives, "runs": runs}
    parameters["11_your_videos"]["mine"] = mine
    profile.write_text(yaml.safe_dump(parameters), encoding="utf-8")
    return source


def plan_notebook(folder: Path, name: str) -> dict:
    """What a notebook in that folder is given at the smoke profile, the place for its results
    included."""
    source = folder / "notebooks"
    plan = plan_course("smoke", source=source)[name]
    if RESULTS in declared_parameters(read_notebook(source / f"{name}.ipynb"), name):
        plan[RESULTS] = str(folder / "results")
    return plan
