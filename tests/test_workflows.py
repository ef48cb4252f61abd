"""The workflows of a public host do what the README says, on three systems, and may do no more."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEVELOPING = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
ON = True  # how YAML 1.1 reads the key `on`

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_there_are_a_workflow_of_every_change_and_one_of_every_week():
    assert set(WORKFLOWS) == {"test", "weekly"}
    assert {"push", "pull_request"} <= set(WORKFLOWS["test"][ON])
    (schedule,) = WORKFLOWS["weekly"][ON]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])


@each_workflow
def test_it_may_read_the_repository_and_nothing_else(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert [job for job in workflow["jobs"].values() if "permissions" in job] == []
    assert "secrets." not in yaml.safe_dump(workflow)


@each_workflow
def test_its_jobs_end_and_newer_ones_take_their_place(workflow):
    assert all(0 < job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())
    assert workflow["concurrency"]["cancel-in-progress"] is True


@each_workflow
def test_its_actions_are_well_known_and_pinned_to_a_major_version(workflow):
    used = {step["uses"] for step in steps(workflow) if "uses" in step}
    assert used and all(
        re.fullmatch(r"(actions|lycheeverse)/[a-z-]+@v\d+", action) for action in used
    )


def test_the_tests_run_on_three_systems_with_the_commands_of_the_readme():
    job = WORKFLOWS["test"]["jobs"]["test"]
    assert job["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert job["runs-on"] == "${{ matrix.os }}"
    conditions = {
        step["run"]: step["if"]
        for step in job["steps"]
        if step.get("run", "").split()[0:1] in (["make"], ["python"])
    }
    assert conditions == {
        "make test": "runner.os != 'Windows'",
        "python kit.py test": "runner.os == 'Windows'",
    }


def test_every_python_of_the_range_is_tested():
    matrix = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]
    pythons = set(matrix["python"]) | {entry["python"] for entry in matrix["include"]}
    low, high = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"',
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
    ).groups()
    assert pythons == {f"3.{minor}" for minor in range(int(low), int(high))}
    assert f"3.{int(high) - 1}" in matrix["python"]  # on each system: its wheels are the youngest


def test_the_course_runs_at_smoke_and_its_pages_are_kept_whatever_came_of_it():
    job = WORKFLOWS["test"]["jobs"]["course"]
    assert commands(job) == ["make run PROFILE=smoke"]
    kept = next(
        step for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")
    )
    assert (
        kept["with"]["path"] == "runs/course/smoke/"
        and kept["with"]["if-no-files-found"] == "error"
    )
    assert kept["if"] == "${{ !cancelled() }}"


def test_the_container_image_is_built_and_opened_as_its_first_line_says():
    steps = commands(WORKFLOWS["test"]["jobs"]["image"])
    said = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()[0]
    build, opened = said.partition(":   ")[2].split(" && ")
    assert steps[0] == build and steps[2] == opened.replace("docker run", "docker run -d")
    assert steps[1].endswith(".venv/bin/python -m corelib doctor") and "8888/api" in steps[3]


def test_every_week_the_ranges_are_installed_without_the_lock_and_tested():
    job = WORKFLOWS["weekly"]["jobs"]["ranges"]
    assert commands(job) == [
        'python -m pip install -e ".[test]"',
        "python -m corelib doctor",
        "python -m pytest",
    ]


def test_every_week_the_links_of_all_texts_are_followed():
    job = WORKFLOWS["weekly"]["jobs"]["links"]
    checked = next(
        step["with"]
        for step in job["steps"]
        if step.get("uses", "").startswith("lycheeverse/lychee-action@")
    )
    assert checked["fail"] is True
    words = checked["args"].split()
    places = [word for word in words if not word.startswith("--")]
    assert places == ["README.md", "notebooks", "docs"] and all(
        (ROOT / place).exists() for place in places
    )
    assert any("nbconvert --to markdown notebooks/*.ipynb" in command for command in commands(job))
    assert "https://" in README


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "make run PROFILE=smoke",
        "python kit.py test",
        'python -m pip install -e ".[test]"',
        "python -m pytest",
        "python -m corelib doctor",
    ],
)
def test_the_readme_and_developing_have_the_commands_that_the_workflows_run(command):
    assert any(
        command in commands(job)
        for workflow in WORKFLOWS.values()
        for job in workflow["jobs"].values()
    )
    assert command.partition("=")[0] in README + DEVELOPING
