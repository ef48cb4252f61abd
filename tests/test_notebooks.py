"""The whole course at the smoke profile, as `make run PROFILE=smoke` executes it."""

import json

from corelib.course.execute import list_notebooks, notebooks_folder, run_course


def test_the_course_runs_at_smoke(tmp_path):
    out = tmp_path / "course"
    index = run_course("smoke", out=out)
    names = list(list_notebooks(notebooks_folder()))
    assert index.is_file()
    for name in names:
        assert (out / f"{name}.ipynb").is_file() and (out / f"{name}.html").is_file()
    rows = json.loads((out / "metrics.json").read_text())
    dives = {(row["system"], row["with_difficulty"]) for row in rows if row["dataset"] == "dives"}
    assert dives == {("mlp", False), ("mlp", True), ("core", False), ("core", True)}
    for row in rows:
        assert -1 <= row["spearman"] <= 1
        assert row["rl2_x100"] >= 0
