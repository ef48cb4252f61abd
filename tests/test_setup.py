"""pyproject.toml, requirements.lock, environment.yml and continuous integration say the same."""

import os
import re
import shutil
import subprocess
import tomllib
import venv
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
    "linux": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
    },
    "mac": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "os_name": "posix",
        "platform_machine": "arm64",
    },
    "windows": {
        "sys_platform": "win32",
        "platform_system": "Windows",
        "os_name": "nt",
        "platform_machine": "AMD64",
    },
}
DECLARED = [
    Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]


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
        if requirement.marker and not requirement.marker.evaluate(machine):
            continue
        assert canonical(requirement.name) in pins, (
            f"{requirement.name} is not in requirements.lock: make lock"
        )
        (version,) = pins[canonical(requirement.name)]
        assert requirement.specifier.contains(version), (
            f"{requirement} does not allow the lock's {version}: make lock"
        )


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
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
        "requires"
    ]
    names = {
        canonical(Requirement(line).name) for line, _ in LOCK if Requirement(line).marker is None
    }
    assert {canonical(Requirement(text).name) for text in build} <= names


def test_the_tested_pythons_are_those_of_the_range():
    allowed = SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}.5" for minor in range(6, 30) if allowed.contains(f"3.{minor}.5")]
    assert [minor.rpartition(".")[0] for minor in minors] == [
        python.rpartition(".")[0] for python in PYTHONS
    ]


def test_the_conda_environment_points_at_the_lock_alone():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, rest = environment["dependencies"]
    name, _, versions = python.partition(" ")
    assert name == "python" and SpecifierSet(versions) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.lock"]}


def test_conda_s_two_steps_install_hashed_requirements_and_then_the_project(tmp_path):
    """What `conda env create` gives pip, with a few packages of the lock, and the second step."""
    small = ["filelock", "tqdm", "click", "setuptools", "colorama"]
    lock = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    (tmp_path / "requirements.lock").write_text(
        "\n".join(entry for entry in lock if entry.partition("==")[0] in small) + "\n"
    )
    shutil.copytree(
        ROOT / "corelib", tmp_path / "corelib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "environment.yml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def pip(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [python, "-m", "pip", *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    (requirements,) = yaml.safe_load((tmp_path / "environment.yml").read_text())["dependencies"][2][
        "pip"
    ]
    first = pip("install", *requirements.split())
    if (
        first.returncode
        and "No matching distribution" in first.stderr
        and "connection" in first.stderr
    ):
        pytest.skip("the package index cannot be reached")
    assert first.returncode == 0, first.stderr
    second = re.search(
        r"&& pip (install .*)$", (tmp_path / "environment.yml").read_text(), re.MULTILINE
    ).group(1)
    ended = pip(*second.split())
    assert ended.returncode == 0, ended.stderr
    version = subprocess.run(
        [python, "-c", "import corelib; print(corelib.__version__, corelib.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path / "bare",
    )
    assert version.stdout.split() == [
        PROJECT["version"],
        str(tmp_path / "corelib" / "__init__.py"),
    ], version.stderr

    digits = iter("0123456789abcdef")
    text = (tmp_path / "requirements.lock").read_text()
    (tmp_path / "requirements.lock").write_text(
        re.sub(r"sha256:[0-9a-f]{64}", lambda _: "sha256:" + next(digits, "f") * 64, text)
    )
    forged = pip("install", "--ignore-installed", *requirements.split())
    assert forged.returncode != 0 and "DO NOT MATCH THE HASHES" in forged.stderr


def test_the_version_stands_in_the_package_as_in_the_project():
    import corelib

    assert corelib.__version__ == PROJECT["version"]


def ci(
    tmp_path, script: str, programs: dict[str, int], user: int = 0
) -> subprocess.CompletedProcess:
    """Run a script of .ci/ whose programs only say what they were asked for: {path: exit code}."""
    for path, code in (programs | {"bin/chromedriver": 0, "bin/chromium": 0}).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "{file.name} asked: $*"\nexit {code}\n')
        file.chmod(0o755)
    (tmp_path / "bin" / "id").write_text(f"#!/bin/sh\necho {user}\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    (tmp_path / "kit" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / script, tmp_path / "kit" / ".ci")
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    return subprocess.run(
        [tmp_path / "kit" / ".ci" / script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )


on_posix = pytest.mark.skipif(
    os.name == "nt", reason="continuous integration's scripts are for bash"
)


@on_posix
@pytest.mark.parametrize(("first", "second", "code"), [(0, 0, 0), (2, 0, 1), (0, 3, 1), (2, 3, 1)])
def test_ci_passes_the_tests_on_two_pythons_and_fails_where_one_does(tmp_path, first, second, code):
    ended = ci(tmp_path, "run", {"bin/make": first, "shared/tools/on-python313": second})
    assert ended.returncode == code, ended.stderr
    assert (
        "make asked: test\nmake asked: check" in ended.stdout
        and "on-python313 asked: . .ci/second-python" in ended.stdout
    )
    told = f"exit codes: make test {first}; make check {first}; the second Python {second}"
    assert told in ended.stdout


@on_posix
@pytest.mark.parametrize(("tool", "user"), [("elsewhere", 0), ("shared/tools/on-python313", 1000)])
def test_ci_says_so_where_it_skips_the_second_python(tmp_path, tool, user):
    ended = ci(tmp_path, "run", {"bin/make": 0, tool: 1}, user)
    assert ended.returncode == 0 and "the second Python is skipped" in ended.stdout


@on_posix
@pytest.mark.parametrize("fails", [True, False])
def test_each_part_on_the_second_python_says_how_it_ended(tmp_path, fails):
    ended = ci(tmp_path, "second-python", {"bin/python3": 0, "kit/.venv/bin/python": 7 * fails})
    assert ended.returncode == fails
    said = ended.stdout
    assert (
        "python3 asked: kit.py run --profile smoke" in said
        and "python asked: -m corelib doctor" in said
    )
    assert said.index("--upgrade av") < said.index(
        " tests/data/test_video*.py"
    )  # the newest, whatever the lock has
    codes = re.findall(r"^--- (.+): exit code (\d+)$", said, re.MULTILINE)
    assert len(codes) >= 7 and {code for _, code in codes} == ({"0", "7"} if fails else {"0"})
    assert ("failed: doctor" in said) == fails


@on_posix
def test_the_second_python_tests_files_that_are_there():
    named = re.findall(r"tests/\S+", (ROOT / ".ci" / "second-python").read_text())
    assert named and all(list(ROOT.glob(name)) for name in named)
