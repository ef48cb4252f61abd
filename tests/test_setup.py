"""pyproject.toml, requirements.lock, environment.yml and continuous integration say the same."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Each entry of the lock: its requirement, and the hashes of the files that may be installed for it.
LOCK = [
    (entry.split(" \\\n")[0], re.findall(r"--hash=(\S+)", entry))
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
]
PYTHONS = ("3.11.9", "3.12.4", "3.13.1")
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "mac": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}
DECLARED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_every_dependency_once_within_its_range(python, platform):
    machine = PLATFORMS[platform] | {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    pins = {}
    for line, _ in LOCK:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(machine):
            (specifier,) = requirement.specifier
            pins.setdefault(canonical(requirement.name), []).append(specifier.version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}
    for requirement in [*DECLARED, Requirement("setuptools>=77")]:
        assert canonical(requirement.name) in pins, f"{requirement.name} is not in requirements.lock: make lock"
        (version,) = pins[canonical(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} does not allow the lock's {version}: make lock"


def test_the_lock_is_exact_and_names_no_index_host_or_path():
    text = (ROOT / "requirements.lock").read_text()
    pin = r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*( ; [A-Za-z0-9_ .*'=<>!()-]+)?"
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.fullmatch(rf"{pin}( \\\n    --hash=sha256:[0-9a-f]{{64}})+", entry), entry


def test_the_lock_has_the_hashes_of_every_platform_s_files():
    # 3 Pythons on 3 systems; a lock compiled from one machine's files would have one or two.
    hashes = {line.partition("==")[0]: found for line, found in LOCK}
    assert all(len(found) == len(set(found)) for found in hashes.values())
    for name in ("torch", "numpy", "pandas", "scipy", "pillow", "matplotlib"):
        assert len(hashes[name]) >= 9, name


def test_every_python_gets_one_pyav():
    # One that all have wheels for: else a Python runs other code than the one that is tested.
    assert [line.partition("==")[0] for line, _ in LOCK].count("av") == 1


def test_what_builds_the_project_is_pinned_by_the_lock():
    # kit.py installs without build isolation, so that setuptools must come from the lock.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    names = {canonical(Requirement(line).name) for line, _ in LOCK if Requirement(line).marker is None}
    assert {canonical(Requirement(text).name) for text in build} <= names


def test_the_tested_pythons_are_those_of_the_range():
    allowed = SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}.5" for minor in range(6, 30) if allowed.contains(f"3.{minor}.5")]
    assert [minor.rpartition(".")[0] for minor in minors] == [python.rpartition(".")[0] for python in PYTHONS]


def test_the_conda_environment_points_at_the_lock_alone():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, rest = environment["dependencies"]
    name, _, versions = python.partition(" ")
    assert name == "python" and SpecifierSet(versions) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.lock"]}


def test_the_version_stands_in_the_package_as_in_the_project():
    import corelib

    assert corelib.__version__ == PROJECT["version"]


def test_ci_runs_the_same_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test")
