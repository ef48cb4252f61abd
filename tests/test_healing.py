"""A set-up heals: whatever was deleted, cut short or killed in .venv, the same command makes it
complete again, or says what to do.

Tiny wheels stand in for the packages of the lock and for uv, and an installer of a few lines for
pip's and uv's programs. Like uv it writes a description before the files that it tells of, and
takes a distribution that has one as installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("one", "two", "corelib")  # the lock's, and the project itself

# `pip install uv`, `uv pip install -r LOCK | -e .`, `uv cache clean NAMES`.
INSTALLER = """
import os, shutil, signal, sys, sysconfig, time, zipfile
from pathlib import Path
name, words = Path(__file__).parent.name, sys.argv[1:]
site, cache = Path(sysconfig.get_path("purelib")), Path("cache")

def files_written(left=[int(os.environ.get("DIE_AFTER", "1000"))]):
    left[0] -= 1
    if left[0] == 0:
        killed = os.getppid() if "KILL_PARENT" in os.environ else os.getpid()
        os.kill(killed, getattr(signal, "SIGKILL", signal.SIGTERM))
        time.sleep(1.5)  # as an installer that outlives the set-up

def unpack(package):
    if not (cache / package).exists():
        with zipfile.ZipFile(f"wheels/{package}-1-py3-none-any.whl") as wheel:
            wheel.extractall(cache / package)
    for path in sorted(path for path in (cache / package).rglob("*") if path.is_file()):
        target = site / path.relative_to(cache / package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        files_written()

if "--version" in words:
    print(name)
elif words[:2] == ["cache", "clean"]:
    for package in words[2:]:
        shutil.rmtree(cache / package, ignore_errors=True)
elif "-r" in words or "-e" in words or name == "pip":
    print(name, *words, file=open("started.txt", "a"))
    for package in ["uv"] if name == "pip" else ["one", "two"] if "-r" in words else ["corelib"]:
        info = site / f"{package}-1.dist-info"
        if not info.exists():
            unpack(package)
        elif not (info / "METADATA").exists():
            sys.exit(f"Failed to read metadata from installed package {package}")
    if name == "pip":
        Path("uv").mkdir(exist_ok=True)
        Path("uv", "__main__.py").write_text(Path(__file__).read_text())
"""


def write_wheel(folder: Path, name: str) -> None:
    """A wheel of six files, two of them with a name that RECORD must quote or that is not ASCII."""
    info = f"{name}-1.dist-info"
    files = {
        f"{name}_files/{file}": f"# {name} {file}\n" * 20
        for file in ("a.py", "b.py", "c,d.py", "é.py")
    }
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\n",
        f"{info}/INSTALLER": "a test\n",
    }
    quoted = {path: f'"{path}"' if "," in path else path for path in files}
    record = (
        "".join(f"{quoted[path]},sha256=,{len(text.encode())}\n" for path, text in files.items())
        + f"{info}/RECORD,,\n"
    )
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as wheel:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            wheel.writestr(path, text)


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory):
    """A clone whose set-up has ended."""
    folder = tmp_path_factory.mktemp("healing") / "a clone"
    (folder / "wheels").mkdir(parents=True)
    for name in ("kit.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "requirements.lock").write_text("one==1\ntwo==1\n")
    for name in ("uv", *PACKAGES):
        write_wheel(folder / "wheels", name)
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").touch()
    (folder / "pip" / "__main__.py").write_text(INSTALLER)
    ended = set_up(folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def clone(installed_once):
    """The same, complete: each test leaves it so, or it is the set-up that did not."""
    (installed_once / "started.txt").unlink(missing_ok=True)
    assert shortcomings(installed_once) == []
    return installed_once


def start(folder: Path, **environment) -> subprocess.Popen:
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"
    } | environment
    return subprocess.Popen(
        [sys.executable, "kit.py", "setup"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def set_up(folder: Path, **environment) -> subprocess.CompletedProcess:
    process = start(folder, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def site(folder: Path) -> Path:
    (found,) = [
        *folder.glob(".venv/lib/python3*/site-packages"),
        *folder.glob(".venv/Lib/site-packages"),
    ]
    return found


def shortcomings(folder: Path) -> list[str]:
    """Files of the wheels that .venv has not, or otherwise; by this test's own comparison."""
    wrong = []
    for wheel in folder.glob("wheels/*.whl"):
        with zipfile.ZipFile(wheel) as file:
            for name in file.namelist():
                there = site(folder) / name
                if not there.is_file() or there.read_bytes() != file.read(name):
                    wrong.append(name)
    return wrong


def started(folder: Path) -> bool:
    return (folder / "started.txt").exists()


def test_a_complete_set_up_is_believed(clone):
    assert set_up(clone).returncode == 0 and not started(clone)
    shutil.rmtree(site(clone) / "one_files" / "__pycache__", ignore_errors=True)
    assert set_up(clone).returncode == 0 and not started(clone)


DAMAGES = {
    "a file deleted": lambda site: (site / "one_files" / "b.py").unlink(),
    "a file of a quoted name": lambda site: (site / "two_files" / "c,d.py").unlink(),
    "a file of a name that is not ASCII": lambda site: (site / "two_files" / "é.py").unlink(),
    "a folder deleted": lambda site: shutil.rmtree(site / "two_files"),
    "a distribution deleted": lambda site: [
        shutil.rmtree(site / "one_files"),
        shutil.rmtree(site / "one-1.dist-info"),
    ],
    "a description deleted": lambda site: shutil.rmtree(site / "two-1.dist-info"),
    "a file cut short": lambda site: (site / "one_files" / "a.py").write_text("# one"),
    "a file emptied": lambda site: (site / "two_files" / "a.py").write_text(""),
    "RECORD deleted": lambda site: (site / "one-1.dist-info" / "RECORD").unlink(),
    "RECORD emptied": lambda site: (site / "one-1.dist-info" / "RECORD").write_text(""),
    "RECORD cut in a line": lambda site: cut(site / "one-1.dist-info" / "RECORD", 70),
    "RECORD cut behind a line": lambda site: cut(
        site / "two-1.dist-info" / "RECORD", len("two_files/a.py,sha256=,260\n")
    ),
    "RECORD is no text": (
        lambda site: (site / "one-1.dist-info" / "RECORD").write_bytes(b"\xff\xfe\x00,")
    ),
    "METADATA deleted": lambda site: (site / "two-1.dist-info" / "METADATA").unlink(),
    "METADATA emptied": lambda site: (site / "two-1.dist-info" / "METADATA").write_text(""),
    "an empty description": lambda site: [
        path.unlink() for path in (site / "one-1.dist-info").iterdir()
    ],
    "the project's own": lambda site: (site / "corelib-1.dist-info" / "RECORD").unlink(),
    "uv's own": lambda site: (site / "uv_files" / "a.py").unlink(),
    "pip half there": lambda site: shutil.rmtree(next(site.glob("pip-*.dist-info"))),
    "a torn note": lambda site: cut(venv_of(site) / ".installed", 30),
    "pyvenv.cfg deleted": lambda site: [
        path.unlink() for path in venv_of(site).iterdir() if path.is_file()
    ],
    "cut short in uv's cache too": lambda site: [
        cut(at / "one_files" / "a.py", 9) for at in (site, cache_of(site))
    ],
}


def venv_of(site: Path) -> Path:
    return next(folder for folder in site.parents if folder.name == ".venv")


def cache_of(site: Path) -> Path:
    return venv_of(site).parent / "cache" / "one"


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_missing_or_cut_short_is_mended(clone, damage):
    damage(site(clone))
    ended = set_up(clone)
    assert ended.returncode == 0, ended.stderr
    assert shortcomings(clone) == [] and started(clone)


def without_packages(clone: Path) -> None:
    """The clone before its first installation, with pip and uv."""
    for name in PACKAGES:
        shutil.rmtree(site(clone) / f"{name}_files")
        shutil.rmtree(site(clone) / f"{name}-1.dist-info")


def test_what_a_kill_of_the_installer_leaves_is_completed(clone):
    without_packages(clone)
    for files in (
        1,
        4,
        6,
        3,
        10,
        5,
    ):  # of two wheels of 8 files; each set-up goes on from what the last one left
        ended = set_up(clone, DIE_AFTER=str(files))
        assert ended.returncode == 1 and "the same command goes on from here" in ended.stderr
        assert not (clone / ".venv" / ".installed").exists()
    assert set_up(clone).returncode == 0 and shortcomings(clone) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows hands no lock on; there uv's own has to do")
def test_an_installer_that_outlives_its_set_up_is_waited_for(clone):
    without_packages(clone)
    with start(clone, DIE_AFTER="5", KILL_PARENT="yes") as killed:
        assert killed.wait() == -signal.SIGKILL
        ended = set_up(clone)
    assert ended.returncode == 0 and "Another set-up is at work" in ended.stdout
    assert shortcomings(clone) == []


def test_of_two_set_ups_at_once_one_installs_and_the_other_waits(clone):
    without_packages(clone)
    both = [start(clone) for _ in range(2)]
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0] and shortcomings(clone) == []
    assert (
        len((clone / "started.txt").read_text().splitlines()) == 2
    )  # requirements.lock and corelib, once


def test_a_venv_killed_half_made_is_made_anew(clone):
    shutil.rmtree(clone / ".venv")
    process = start(clone)
    while not list(clone.glob(".venv/[lL]ib/**/pip/__init__.py")):
        assert process.poll() is None
        time.sleep(0.01)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()
    assert set_up(clone).returncode == 0 and shortcomings(clone) == []


def test_a_package_that_stays_incomplete_is_named(clone):
    wheel = clone / "wheels" / "two-1-py3-none-any.whl"
    whole = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as file:
        kept = {name: file.read(name) for name in file.namelist() if name != "two_files/b.py"}
    with zipfile.ZipFile(wheel, "w") as file:
        for name, content in kept.items():
            file.writestr(name, content)
    shutil.rmtree(site(clone) / "two_files")
    shutil.rmtree(clone / "cache" / "two")
    ended = set_up(clone)
    assert ended.returncode == 1
    assert (
        ended.stderr.startswith("error: two-1.dist-info: two_files/b.py is missing")
        and len(ended.stderr.splitlines()) == 1
    )
    wheel.write_bytes(whole)
    shutil.rmtree(clone / "cache" / "two")
    assert set_up(clone).returncode == 0 and shortcomings(clone) == []
