"""The whole course at the smoke profile, as `make run PROFILE=smoke` executes it, and its trainings
once more."""

import json
from pathlib import Path

import nbformat
import pytest
import yaml

from corelib.course.execute import list_notebooks, notebooks_folder, run_course
from tests.needed_cells import joined, with_needed_cells
from tests.smoke_course import copy_notebooks

TRAININGS = ["04", "06", "07", "08"]  # the notebooks that train and evaluate the dives' systems


def run_smoke(folder: Path) -> Path:
    """Execute the course from scratch, with dives and runs of its own below `folder`; returns the
    folder of its pages."""
    return run_course("smoke", source=copy_notebooks(folder), out=folder / "course").parent


def run_trainings(folder: Path) -> Path:
    """The same of the cells that train, evaluate and record, and of those that they need: one
    notebook, as these four have the same set-up and parameters."""
    source = copy_notebooks(folder)
    parts = []
    for name, path in list_notebooks(source).items():
        if name[:2] in TRAININGS:
            whole = nbformat.read(path, as_version=4)
            parts.append(with_needed_cells(whole, "find_or_train(", "record_results("))
        path.unlink()
    nbformat.write(joined(parts), source / "08_together.ipynb")
    sections = yaml.safe_load((source / "profiles" / "smoke.yaml").read_text(encoding="utf-8"))
    (source / "profiles" / "smoke.yaml").write_text(yaml.safe_dump({"all": sections["all"]}))
    return run_course("smoke", source=source, out=folder / "course").parent


@pytest.fixture(scope="module")
def executed(tmp_path_factory, course_made):
    """A course run of every notebook."""
    folder = tmp_path_factory.mktemp("first")
    pages = run_smoke(folder)
    course_made.write_text(str(folder), encoding="utf-8")
    return pages


def test_the_course_runs_at_smoke(executed):
    assert (executed / "index.html").is_file()
    for name in list_notebooks(notebooks_folder()):
        assert (executed / f"{name}.ipynb").is_file() and (executed / f"{name}.html").is_file()
    rows = json.loads((executed / "metrics.json").read_text())
    dives = {(row["system"], row["with_difficulty"]) for row in rows if row["dataset"] == "dives"}
    assert dives == {("mlp", False), ("mlp", True), ("core", False), ("core", True)}
    for row in rows:
        constant = any("as good as a constant" in sentence for sentence in row["warnings"])
        assert row["spearman"] is None if constant else -1 <= row["spearman"] <= 1
        assert row["rl2_x100"] >= 0


def test_a_second_run_gives_the_same_metrics_predictions_and_weights_bit_for_bit(
    executed, tmp_path
):
    again = run_trainings(tmp_path / "second")
    first, second = executed.parent / "runs", again.parent / "runs"
    runs = sorted(path.parent.relative_to(second) for path in second.rglob("predictions.csv"))
    assert len(runs) >= 4  # both systems, with difficulty and without
    for run in runs:
        for name in ("predictions.csv", "best.safetensors", "recipe.json"):
            assert (second / run / name).read_bytes() == (first / run / name).read_bytes(), (
                f"{run}: {name}"
            )

    def rows(folder: Path) -> list[dict]:
        found = json.loads((folder / "metrics.json").read_text())
        wanted = [row for row in found if row["notebook"][:2] in TRAININGS]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in wanted]

    assert rows(again) == rows(executed) and rows(again)


def test_with_real_weights_the_network_names_actions_and_a_head_learns_from_its_features(
    executed, kinetics_weights
):
    knows, learns = (_printed(executed / name) for name in ("03_i3d.ipynb", "07_train.ipynb"))
    assert "a procedural dive, by Kinetics weights" in knows
    assert "Kinetics weights  same dive number" in knows
    assert "I3D+MLP on frozen features, seed 0: rho" in learns


def _printed(path: Path) -> str:
    """What a notebook's cells printed."""
    outputs = [out for cell in nbformat.read(path, 4).cells for out in cell.get("outputs", ())]
    return "".join(out.text for out in outputs if out.output_type == "stream")
