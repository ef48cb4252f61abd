"""Sets the kit up and starts what is asked for, on every system; the Makefile goes this way too.

    python kit.py run [--profile smoke|laptop|seeds|gpu]    execute the whole course, print the results table
    python kit.py test                                      pass the tests
    python kit.py lab                                       open the notebooks in JupyterLab (localhost only)
    python kit.py setup                                     nothing more than the set-up, which the others begin with
    python kit.py lock                                      compile requirements.lock from pyproject.toml

What follows is handed on: to `corelib course run`, pytest, JupyterLab. Needs Python with venv; everything else goes
into .venv, again only when requirements.lock or pyproject.toml have changed. Written so plainly that old
interpreters understand it and can be turned away.
"""

from __future__ import print_function

import hashlib
import os
import re
import signal
import subprocess
import sys

VENV = ".venv"
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
DONE = os.path.join(VENV, ".installed")
SOURCES = ("requirements.lock", "pyproject.toml")
ARGUMENTS = {
    "setup": None,
    "run": ["-m", "corelib", "course", "run"],
    # Most tests wait for one process that computes on one core: two at a time, each file's in one process.
    "test": ["-m", "pytest", "-n", "2", "--dist", "loadfile"],
    "lab": ["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", "--LabApp.default_url=/lab/tree/notebooks"],
    "lock": ["-m", "uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--extra", "test",
             "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header",
             "pyproject.toml", "-o", "requirements.lock"],
}  # fmt: skip


def python_range():
    """The lowest and the first too high minor version of Python 3, as pyproject.toml has them."""
    with open("pyproject.toml", "rb") as file:
        found = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', file.read().decode("utf-8"))
    return int(found.group(1)), int(found.group(2))


def check_python():
    """Stop, with one line, unless this interpreter can make the environment."""
    low, high = python_range()
    if not (3, low) <= sys.version_info[:2] < (3, high):
        sys.exit(
            "error: %s is Python %d.%d, but 3.%d to 3.%d is needed; name one with: make PYTHON=python3.%d ... "
            "(without make: python3.%d kit.py ...; Windows: py -3.%d kit.py ...)"
            % ((sys.executable,) + tuple(sys.version_info[:2]) + (low, high - 1, low, low, low))
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit("error: %s has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" % sys.executable)


def is_sound():
    """Whether .venv is there, with pip and a Python of the range: then it is kept, and made anew otherwise."""
    low, high = python_range()
    script = "import sys, pip; sys.exit(not (3, %d) <= sys.version_info[:2] < (3, %d))" % (low, high)
    return os.path.exists(PYTHON) and succeeds([PYTHON, "-c", script])


def succeeds(command):
    """Whether a command ends well; what it prints is not shown."""
    with open(os.devnull, "w") as nowhere:
        return subprocess.call(command, stdout=nowhere, stderr=nowhere) == 0


def do(command):
    """Run a step of the set-up; stop where it fails."""
    if subprocess.call(command) != 0:
        sys.exit("error: the set-up stopped at: %s\nThe lines above say why; the same command goes on from here." % " ".join(command))


def prepare_venv():
    """.venv with uv in it. uv's own version is not pinned: what it installs is, to the last package."""
    if not is_sound():
        check_python()
        print("Setting up %s (once; a few GB, as PyTorch is large) ..." % VENV)
        sys.stdout.flush()
        do([sys.executable, "-m", "venv", "--clear", VENV])
    if not succeeds([PYTHON, "-m", "uv", "--version"]):
        do([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"])


def install():
    """What requirements.lock names, then corelib itself, unless that is what .venv holds already."""
    digest = hashlib.sha256()
    for name in SOURCES:
        with open(name, "rb") as file:
            digest.update(file.read())
    if os.path.exists(PYTHON) and os.path.exists(DONE):
        with open(DONE) as file:
            if file.read() == digest.hexdigest():
                return
    prepare_venv()
    into = [PYTHON, "-m", "uv", "pip", "install", "-q", "--python", PYTHON]
    # Compiled now, on all cores: where Python may not write its caches (containers often forbid it), every notebook's
    # kernel would otherwise compile PyTorch again as it starts.
    do(into + ["--compile-bytecode", "--require-hashes", "-r", "requirements.lock"])
    # No build isolation: setuptools comes pinned from the lock too.
    do(into + ["--no-deps", "--no-build-isolation", "-e", "."])
    with open(DONE, "w") as file:
        file.write(digest.hexdigest())


def start(command):
    """Become the command (Windows: wait for it), so that Ctrl-C and its exit code are its own."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(child.wait())


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    os.environ["PYTHONUTF8"] = "1"  # the kit's texts are UTF-8, whatever the system takes for usual
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked not in ARGUMENTS:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    prepare_venv() if asked == "lock" else install()
    if asked == "test":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process of torch's threads beside another's wait for each other
    if ARGUMENTS[asked]:
        start([PYTHON] + ARGUMENTS[asked] + sys.argv[2:])


if __name__ == "__main__":
    main()
