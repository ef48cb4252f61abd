"""kit.py and the Makefile: the set-up, done once and again only when it must be; what they start;
JupyterLab on localhost."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
with_make = pytest.mark.skipif(
    shutil.which("make") is None, reason="there is no make here; kit.py does without"
)

# Stands in for pip, uv, pytest and corelib: notes that it was started, and with what.
RECORDER = """
import json, sys, sysconfig
from pathlib import Path
name = Path(__file__).parent.name
with open("started.jsonl", "a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
if name == "pip" and "uv" in sys.argv:  # what pip would install
    Path("uv").mkdir(exist_ok=True)
    Path("uv", "__main__.py").write_text(Path(__file__).read_text())
    info = Path(sysconfig.get_path("purelib"), "uv-0.dist-info")
    info.mkdir(exist_ok=True)
    files = ("METADATA", "WHEEL", "INSTALLER", "RECORD")
    for file in files:
        (info / file).touch()
    lines = [f"uv-0.dist-info/{file},,\\n" for file in files]
    (info / "RECORD").write_text("".join(lines))
if Path("no-network").exists() and name == "uv" and "install" in sys.argv:
    sys.exit("could not resolve host")
"""


@pytest.fixture
def bare(tmp_path):
    """A folder with only what the set-up looks at, its path with a space."""
    return copy_bare(tmp_path)


def copy_bare(place: Path) -> Path:
    folder = place / "my course"
    folder.mkdir()
    for name in ("kit.py", "Makefile", "pyproject.toml", "requirements.lock"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def record(bare: Path) -> Path:
    """Make it a fresh clone whose installers and programs are recorders. Python finds them, as it
    looks into the current folder first."""
    for name in ("pip", "corelib", "pytest"):
        (bare / name).mkdir()
        (bare / name / "__init__.py").touch()
        (bare / name / "__main__.py").write_text(RECORDER)
    return bare


@pytest.fixture(scope="module")
def set_up(tmp_path_factory):
    """A fresh clone after the README's first line: (the clone, how that ended, what it started)."""
    clone = record(copy_bare(tmp_path_factory.mktemp("clone")))
    first = run([sys.executable, *lines_of_the_readme()[0][1:]], clone)
    return clone, first, started(clone)


def run(command, folder: Path) -> subprocess.CompletedProcess:
    # The tests themselves may run under make, whose flags must not reach another one; or under a
    # Python that does not look into the current folder.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONSAFEPATH")
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def started(folder: Path) -> list[str]:
    """What was started since the last call, a line each; questions after a version aside."""
    file = folder / "started.jsonl"
    lines = (
        [" ".join(json.loads(line)) for line in file.read_text().splitlines()]
        if file.exists()
        else []
    )
    file.unlink(missing_ok=True)
    return [line for line in lines if "--version" not in line]


def lines_of_the_readme() -> list[list[str]]:
    """The two steps without make, as the README has them."""
    return [
        line.split("#")[0].split()
        for line in re.findall(
            r"^    (python kit\.py .*)$",
            (ROOT / "README.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]


def test_the_two_lines_of_the_readme_set_a_fresh_clone_up_once_and_start_the_course_and_the_tests(
    set_up,
):
    clone, first, (*setup, last) = set_up
    assert first.returncode == 0, first.stderr
    assert "once; a few GB" in first.stdout
    assert [line.split()[:2] for line in setup] == [
        ["pip", "install"],
        ["uv", "pip"],
        ["uv", "pip"],
    ]
    assert (
        "--compile-bytecode" in setup[1].split()
    )  # else every process compiles PyTorch, where none may keep what it compiled
    assert (
        setup[0].endswith(" uv")
        and setup[1].endswith(" -r requirements.lock")
        and setup[2].endswith(" -e .")
    )
    assert all(".venv" in line for line in setup[1:])  # into the environment, whatever is active
    assert last == "corelib course run"  # at the profile that the command takes by itself: laptop

    _, tests = [[sys.executable, *line[1:]] for line in lines_of_the_readme()]
    assert run(tests, clone).returncode == 0
    (tests,) = started(clone)
    assert tests.split()[0] == "pytest"


def test_the_set_up_is_done_again_only_when_the_lock_or_the_project_has_changed(set_up):
    kit = [sys.executable, "kit.py"]
    clone, _, setup = set_up
    assert len(setup) == 3 + 1
    (clone / "requirements.lock").touch()
    result = run([*kit, "run", "--profile", "smoke", "--only", "05"], clone)
    assert result.returncode == 0 and "Setting up" not in result.stdout
    assert started(clone) == ["corelib course run --profile smoke --only 05"]
    for name in ("requirements.lock", "pyproject.toml"):
        with (clone / name).open("a") as file:
            file.write("\n")
        result = run([*kit, "test", "-x"], clone)
        assert "Setting up" not in result.stdout  # .venv is sound: it is kept, with uv in it
        *setup, last = started(clone)
        assert (
            [line.split()[0] for line in setup] == ["uv", "uv"]
            and last.startswith("pytest ")
            and last.endswith(" -x")
        )
    (clone / "pytest" / "__main__.py").write_text("raise SystemExit(5)")
    assert run([*kit, "test"], clone).returncode == 5  # what was started ends the command
    (clone / "pytest" / "__main__.py").write_text(RECORDER)


def test_a_set_up_that_fails_says_at_what_and_goes_on_the_next_time(bare):
    clone = record(bare)
    (clone / "no-network").touch()
    failed = run([sys.executable, "kit.py", "test"], clone)
    assert failed.returncode == 1
    assert "could not resolve host" in failed.stderr and "the set-up stopped at: " in failed.stderr
    assert "pytest" not in started(clone)
    (clone / "no-network").unlink()
    assert run([sys.executable, "kit.py", "test"], clone).returncode == 0
    assert [line.split()[0] for line in started(clone)] == ["uv", "uv", "pytest"]


def test_a_command_that_is_none_shows_those_that_are(bare):
    for arguments in ([], ["tset"]):
        result = run([sys.executable, "kit.py", *arguments], bare)
        assert result.returncode == 2 and "python kit.py test" in result.stderr
    assert not (bare / ".venv").exists()


def run_by_another_python(bare: Path, change: str) -> str:
    """The one line with which the set-up ends under an interpreter that differs from this one by
    `change`."""
    program = (
        f"import runpy, sys; {change}; sys.argv = ['kit.py', 'setup']; runpy.run_path('kit.py',"
        " run_name='__main__')"
    )
    result = run([sys.executable, "-c", program], bare)
    assert result.returncode == 1 and not (bare / ".venv").exists()
    (error,) = result.stderr.splitlines()
    return error


@pytest.mark.parametrize("version", ["(3, 9, 18)", "(3, 14, 0)", "(2, 7, 18)"])
def test_a_python_out_of_range_is_turned_away_in_one_line(bare, version):
    error = run_by_another_python(bare, f"sys.version_info = {version}")
    assert (
        "3.11 to 3.13 is needed" in error
        and "PYTHON=python3.11" in error
        and "py -3.11 kit.py" in error
    )


def test_a_python_without_venv_is_turned_away_in_one_line(bare):
    assert "python3-venv" in run_by_another_python(
        bare, "sys.version_info = (3, 12, 1); sys.modules['ensurepip'] = None"
    )


@with_make
@pytest.mark.parametrize(("arguments", "profile"), [([], "laptop"), (["PROFILE=smoke"], "smoke")])
def test_make_run_executes_the_course_at_the_profile(arguments, profile):
    planned = run(["make", "-n", "run", *arguments], ROOT)
    assert planned.returncode == 0
    assert f'kit.py run --profile "{profile}"' in planned.stdout


@with_make
@pytest.mark.parametrize("command", ["setup", "test", "lock"])
def test_make_goes_the_way_of_kit_py(command):
    assert f"kit.py {command}" in run(["make", "-n", command], ROOT).stdout


@with_make
def test_a_python_that_is_not_there_is_named(bare):
    result = run(["make", "setup", "PYTHON=no-such-python"], bare)
    assert result.returncode != 0
    (error,) = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert "no no-such-python found" in error


def lab_command(options: list[str]) -> list[str]:
    """What `make lab LAB_OPTIONS=...` starts, with this Python in place of .venv's: from what make
    and kit.py say that they would do."""
    if shutil.which("make"):
        planned = run(["make", "-n", "lab", f"LAB_OPTIONS={' '.join(options)}"], ROOT).stdout
        options = planned.strip().splitlines()[-1].partition("kit.py lab ")[2]
        options = shlex.split(options)
    program = (
        "import json, sys; sys.argv = ['kit.py', 'lab', *sys.argv[1:]]; import kit; kit.install ="
        " list; kit.start = lambda c: print(json.dumps(c)); kit.main()"
    )
    return [
        sys.executable,
        *json.loads(run([sys.executable, "-c", program, *options], ROOT).stdout)[1:],
    ]


def ask(address: str, token: str | None = None) -> int:
    """The status with which a request is answered."""
    request = urllib.request.Request(
        address, headers={"Authorization": f"token {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.fixture
def lab(tmp_path):
    """JupyterLab as `make lab` starts it, without a browser and under a configuration that would
    open it to the network: (its process, its address, its token)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "jupyter_server_config.py").write_text(
        "c.ServerApp.ip = '0.0.0.0'\nc.ServerApp.open_browser = True\n"
    )
    settings = {
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
    }
    environment = {
        key: value for key, value in os.environ.items() if key != "JUPYTER_TOKEN"
    } | settings
    command = lab_command(
        ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    )
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            until = time.monotonic() + 120
            while not (notes := list((tmp_path / "runtime").glob("jpserver-*.json"))):
                assert server.poll() is None and time.monotonic() < until, (
                    tmp_path / "log"
                ).read_text()
                time.sleep(0.2)
            said = json.loads(notes[0].read_text())
            yield server, f"http://127.0.0.1:{port}", said["token"]
        finally:
            server.kill()


def test_the_lab_listens_on_localhost_alone_and_answers_nobody_without_its_token(lab):
    server, address, token = lab
    heard = {
        connection.laddr.ip
        for connection in psutil.Process(server.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert heard and heard <= {"127.0.0.1", "::1"}
    assert len(token) >= 32
    assert ask(f"{address}/api/contents") == 403
    assert ask(f"{address}/api/contents", "a guess") == 403
    assert ask(f"{address}/api/contents/notebooks/00_start_here.ipynb", token) == 200
    with urllib.request.urlopen(f"{address}/?token={token}", timeout=30) as first:
        assert first.url.startswith(f"{address}/lab/tree/notebooks/00_start_here.ipynb")
