"""What is missing, out of its range or broken is said in one line that says what to do, before
anything runs into it."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from PIL import Image

import corelib.machine.installation
from corelib import doctor
from corelib.machine.installation import (
    InstallationError,
    check_installation,
    describe_missing,
    describe_reinstall,
    files_problem,
    installed_packages,
    package_problem,
)

ROOT = Path(__file__).resolve().parents[2]


PYTHON = Path(".venv") / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# what mends an installation, as the tests themselves may be run by a Python beside the kit's own
MENDED = (
    "use the kit's own Python"
    if (ROOT / PYTHON).is_file()
    and Path(sys.executable).parent.resolve() != (ROOT / PYTHON).parent.resolve()
    else "pip install"
)


def run(arguments, *, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess:
    """A Python started elsewhere, with this corelib; modules in `path` come before those
    installed."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [path, ROOT] if path else [ROOT]))
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_here_nothing_is_wrong():
    check_installation()
    assert {"torch", "torchvision", "av", "packaging"} <= {
        name for name, _, _, fits in installed_packages() if fits
    }


def without_own_python(folder: Path) -> Path:
    """A clone of the kit before its set-up, as far as an installation looks at it."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def with_own_python(folder: Path) -> Path:
    """The same after its set-up: its Python is another than this one."""
    (folder / PYTHON).parent.mkdir(parents=True)
    (folder / PYTHON).touch()
    return without_own_python(folder)


def test_where_the_kit_has_a_python_of_its_own_no_other_one_is_mended(monkeypatch, tmp_path):
    monkeypatch.setattr(corelib.machine.installation, "ROOT", with_own_python(tmp_path))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1")
    for said in (package_problem(), describe_missing(["torch"]), describe_reinstall("av")):
        assert (
            f"use the kit's own Python in place of {sys.executable}: " in said
            and str(tmp_path / ".venv") in said
        )
        assert "pip install" not in said and "\n" not in said
    monkeypatch.setattr(sys, "executable", str(tmp_path / PYTHON))
    assert "pip install --force-reinstall" in describe_reinstall("av")


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch, tmp_path):
    version = importlib.metadata.version

    def without_two(name):
        if name in ("captum", "av"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_two)
    with pytest.raises(InstallationError) as caught:
        check_installation()
    said = str(caught.value)
    assert (
        said.startswith(f"av, captum are not installed in {sys.executable}: ")
        and MENDED in said
        and "\n" not in said
    )
    monkeypatch.setattr(corelib.machine.installation, "ROOT", without_own_python(tmp_path))
    with pytest.raises(InstallationError) as caught:
        check_installation()
    assert f'run "{sys.executable}" -m pip install -e "{tmp_path}"' in str(
        caught.value
    ) and "make lab" in str(caught.value)


@pytest.mark.parametrize(
    ("package", "found", "needed"),
    [("scipy", "1.9.3", ">=1.15"), ("torch", "2.4.1+cu121", ">=2.11")],
)
def test_a_package_outside_its_range_is_named_with_both(monkeypatch, package, found, needed):
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: found if name == package else version(name)
    )
    with pytest.raises(
        InstallationError,
        match=(
            rf"^{package} {found.replace('+', r'.')} is installed and {needed} needed: .*{MENDED}"
        ),
    ):
        check_installation()


def test_another_python_is_named_with_the_range_and_the_kernel_to_take(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.12")
    with pytest.raises(
        InstallationError, match=r"is Python 3\.10\.12, and corelib needs >=3\.11,<3\.14: .* kernel"
    ):
        check_installation()


@pytest.fixture
def cpu_build(monkeypatch):
    """torch and torchvision as PyTorch's selector gives them for machines without a GPU."""
    version, requires = importlib.metadata.version, importlib.metadata.requires
    pair = {name: version(name).partition("+")[0] for name in ("torch", "torchvision")}
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: f"{pair[name]}+cpu" if name in pair else version(name),
    )
    needed = [f"torch=={pair['torch']}", "numpy"]
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: needed if name == "torchvision" else requires(name),
    )
    return pair


def test_the_small_build_for_machines_without_a_gpu_is_accepted(cpu_build):
    check_installation()
    finding = doctor.run_check("packages")
    assert finding["ok"] and f"torch {cpu_build['torch']}+cpu" in finding["said"], finding


def test_the_small_build_is_mended_with_the_small_build(cpu_build, monkeypatch, tmp_path):
    monkeypatch.setattr(corelib.machine.installation, "ROOT", tmp_path)
    index = "--index-url https://download.pytorch.org/whl/cpu"
    assert index in describe_reinstall("torch", "torchvision")
    assert index not in describe_reinstall("av")
    monkeypatch.undo()
    assert "--index-url" not in describe_reinstall("torch", "torchvision")


def test_a_set_up_keeps_the_small_build_that_was_put_in_the_place_of_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import kit

    for name in kit.SOURCES:
        (tmp_path / name).write_text("")
    site = tmp_path / ".venv" / "lib" / "python3.12" / "site-packages"
    parts = {"PYTHON": "python", "PACKAGES": site, "DONE": tmp_path / ".venv" / ".installed"}
    for name, path in parts.items():
        monkeypatch.setattr(kit, name, str(tmp_path / path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python").touch()
    info = site / "torch-2.15.0+cpu.dist-info"
    info.mkdir(parents=True)
    files = [f"{info.name}/{file},,\n" for file in ("METADATA", "WHEEL", "INSTALLER", "RECORD")]
    for file in ("METADATA", "WHEEL", "INSTALLER"):
        (info / file).touch()
    (info / "RECORD").write_text("".join(files))
    before = info.with_name("torch-2.15.0.dist-info")
    (tmp_path / ".venv" / ".installed").write_text(f"9000 {before}\n{kit.digest_of_sources()}")
    assert kit.is_installed()


@pytest.mark.parametrize("command", [["train", "nowhere"], ["course", "run"], ["doctor"]])
def test_a_python_without_the_packages_ends_every_command_in_one_line(tmp_path, command):
    ended = run(["-S", "-m", "corelib", *command], folder=tmp_path)
    assert ended.returncode == 1 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "is not installed in" in line and MENDED in line


def test_torch_and_torchvision_that_do_not_match_end_a_command_in_one_line(tmp_path):
    info = tmp_path / "torchvision-0.99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\nRequires-Dist: torch==2.99.0\n"
    )
    ended = run(["-m", "corelib", "train", "nowhere"], folder=tmp_path, path=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    torch = importlib.metadata.version("torch")
    assert line.startswith(
        f"error: torch {torch} and torchvision 0.99.0 do not match (it needs torch==2.99.0): "
    )
    assert MENDED in line


@pytest.mark.parametrize("use", ["resize_video(np.zeros((2, 8, 8, 3), 'uint8'), (4, 4))", "read()"])
def test_a_torchvision_that_does_not_start_is_told_where_it_is_needed(tmp_path, use):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    Image.new("RGB", (32, 32)).save(tmp_path / "1.jpg")
    program = f"""
import numpy as np
from corelib.data.clips import resize_video
from corelib.data.frames import _read_image
from corelib.machine.installation import check_installation
check_installation()
read = lambda: _read_image({str(tmp_path / "1.jpg")!r})
{use}
"""
    ended = run(["-c", program], folder=tmp_path, path=tmp_path)
    assert ended.returncode == 1
    pair = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
    last = ended.stderr.splitlines()[-1]
    assert "InstallationError: " in last and MENDED in last
    assert (
        f"torch {pair[0]} and torchvision {pair[1]} do not match (RuntimeError: operator"
        " torchvision::nms"
    ) in last


def test_a_distribution_without_all_its_files_is_named(tmp_path, monkeypatch):
    for name, size in (("jedi", 9), ("selenium", 4), ("someone_elses", 9)):  # RECORD states 4 bytes
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (tmp_path / f"{name}.py").write_bytes(bytes(size))
        for file in ("METADATA", "WHEEL", "INSTALLER"):
            (info / file).touch()
        described = [
            f"{info.name}/{file},,\n" for file in ("METADATA", "WHEEL", "INSTALLER", "RECORD")
        ]
        (info / "RECORD").write_text(f"{name}.py,,4\n" + "".join(described))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    said = files_problem()
    assert said.startswith("files are missing or incomplete in jedi==1.0 (jedi.py): ")
    assert "\n" not in said
    assert "selenium" not in said and "someone" not in said
    (tmp_path / "selenium.py").unlink()
    (tmp_path / "jedi.py").write_bytes(bytes(4))
    assert "in selenium==1.0 (selenium.py): " in files_problem()
    (tmp_path / "selenium.py").write_bytes(bytes(4))
    assert files_problem() is None


def test_a_reinstallation_takes_the_lock_s_versions(tmp_path, monkeypatch):
    # As names with versions: pip refuses a bare name beside hashes, were they only constraints.
    (tmp_path / "requirements.lock").write_text(
        f"av==18.1.0 \\\n    --hash=sha256:{'0' * 64}\ntqdm==4.70.1\n"
    )
    monkeypatch.setattr(corelib.machine.installation, "ROOT", tmp_path)
    run_pip = f'run "{sys.executable}" -m pip install --force-reinstall'
    assert describe_reinstall("av", "tqdm") == f"{run_pip} --no-deps av==18.1.0 tqdm==4.70.1"
    (tmp_path / "requirements.lock").unlink()
    assert describe_reinstall("av") == f"{run_pip} av"
