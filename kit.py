"""Sets the kit up and starts what is asked for, on every system; the Makefile goes this way too.

    python kit.py run [--profile smoke|laptop|seeds|gpu]    execute the course, print the results
    python kit.py test                                      pass the tests
    python kit.py check                                     look at format, imports and sizes
    python kit.py lab                                       open the notebooks in JupyterLab
    python kit.py setup                                     set up alone; the others begin with it
    python kit.py lock                                      compile requirements.lock

What follows is handed on: to `corelib course run`, pytest, JupyterLab. Needs Python with venv;
everything else goes into .venv, again only when requirements.lock or pyproject.toml have changed,
or where files of a package are missing or of another size than its RECORD says (hashing 5 GB each
time would take too long). A set-up that was killed goes on where it was. Written so plainly that
old interpreters understand it and can be turned away.
"""

from __future__ import print_function

import contextlib
import errno
import glob
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time

VENV = ".venv"
PYTHON = (
    os.path.join(VENV, "Scripts", "python.exe")
    if os.name == "nt"
    else os.path.join(VENV, "bin", "python")
)
LIBRARY = "Lib" if os.name == "nt" else os.path.join("lib", "python3*")
PACKAGES = os.path.join(VENV, LIBRARY, "site-packages")
DONE = os.path.join(VENV, ".installed")  # what was installed, and from which SOURCES
LOCK = ".venv.lock"  # beside .venv, which may be made anew under it
HANDED_ON = []  # file descriptors that the steps of the set-up keep open
SOURCES = ("requirements.lock", "pyproject.toml")
ARGUMENTS = {
    "setup": None,
    "run": ["-m", "corelib", "course", "run"],
    # Most tests wait for one process on one core: two at a time, each file's in one process.
    "test": ["-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"],
    "check": [os.path.join("tests", "house.py")],
    "lab": ["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1",
            "--LabApp.default_url=/lab/tree/notebooks",
            "--LabApp.app_settings_dir=" + os.path.join("corelib", "course", "lab_settings"),
            "--ServerApp.contents_manager_class=corelib.course.lab.Notebooks"],
    "lock": ["-m", "uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11",
             "--extra", "test", "--generate-hashes", "--no-emit-index-url", "--no-annotate",
             "--no-header", "pyproject.toml", "-o", "requirements.lock"],
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
            "error: %s is Python %d.%d, but 3.%d to 3.%d is needed; name one with: "
            "make PYTHON=python3.%d ... (without make: python3.%d kit.py ...; "
            "Windows: py -3.%d kit.py ...)"
            % ((sys.executable,) + tuple(sys.version_info[:2]) + (low, high - 1, low, low, low))
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit(
            "error: %s has no venv module; install it (Debian, Ubuntu: apt install python3-venv)"
            % sys.executable
        )


def shortcomings(packages=PACKAGES):
    """What is not as it was installed: {dist-info folder: the first file, as its RECORD names it}.

    A folder without the files that an installation ends with was torn in one.
    """
    found = {}
    for folder in glob.glob(os.path.join(packages, "*.dist-info")):
        wrong = first_wrong_file(folder)
        if wrong:
            found[folder] = wrong
    return found


def first_wrong_file(folder):
    """The first file of a distribution that is missing or not as long as RECORD says, or None."""
    packages, name = os.path.split(folder)
    record = name + "/RECORD"
    try:
        with io.open(os.path.join(folder, "RECORD"), encoding="utf-8", newline="") as file:
            text = file.read()
        lines = [line.rsplit(",", 2) for line in text.splitlines()]
        sizes = dict((path.strip('"').replace('""', '"'), size) for path, _, size in lines)
    except (EnvironmentError, ValueError):
        return record
    for path in (record, name + "/METADATA", name + "/WHEEL", name + "/INSTALLER"):
        if path not in sizes or not text.endswith("\n"):
            return record if path in sizes else path
    for path, size in sizes.items():
        try:
            there = os.stat(os.path.join(packages, path)).st_size
        except EnvironmentError:
            if "__pycache__" in path:  # compiled anew when it is needed
                continue
            return path
        if size and int(size) != there and "__pycache__" not in path:
            return path
    return None


def name_of(folder):
    """The distribution of a dist-info folder."""
    return os.path.basename(folder).partition("-")[0]


def installed():
    """{dist-info folder: size of its RECORD} of everything in .venv."""
    sizes = {}
    for folder in glob.glob(os.path.join(PACKAGES, "*.dist-info")):
        record = os.path.join(folder, "RECORD")
        if os.path.exists(record):
            sizes[folder] = os.path.getsize(record)
    return sizes


def is_sound():
    """Whether .venv can be kept: it is there, with pip and a Python of the range."""
    low, high = python_range()
    # Without its pyvenv.cfg it would be the Python that made it, and packages would go there.
    script = (
        "import os, sys, pip; there = os.path.samefile(sys.prefix, %r); "
        "sys.exit(not (there and (3, %d) <= sys.version_info[:2] < (3, %d)))"
        % (os.path.abspath(VENV), low, high)
    )
    return os.path.exists(PYTHON) and holds("pip") and succeeds([PYTHON, "-c", script])


def holds(name):
    """Whether a distribution is installed in .venv."""
    return name in [name_of(folder) for folder in installed()]


def succeeds(command):
    """Whether a command ends well; what it prints is not shown."""
    with open(os.devnull, "w") as nowhere:
        return subprocess.call(command, stdout=nowhere, stderr=nowhere) == 0


def do(command):
    """Run a step of the set-up; stop where it fails."""
    if subprocess.call(command, **({"pass_fds": HANDED_ON} if HANDED_ON else {})) != 0:
        sys.exit(
            "error: the set-up stopped at: %s\nThe lines above say why; the same command goes on "
            "from here, or from the beginning once %s is removed."
            % (" ".join(command), os.path.abspath(VENV))
        )


def remove(folder):
    """Take a distribution's description away: the installers then install it over what is there."""
    try:
        shutil.rmtree(folder)
    except EnvironmentError as error:
        sys.exit(
            "error: %s cannot be removed (%s); end what runs from %s and try again"
            % (folder, error.strerror, VENV)
        )


def prepare_venv():
    """.venv with uv in it. uv's own version is not pinned; what it installs is."""
    for folder in shortcomings():
        remove(folder)
    if not is_sound():
        check_python()
        print("Setting up %s (once; a few GB, as PyTorch is large) ..." % VENV)
        sys.stdout.flush()
        base = getattr(sys, "_base_executable", sys.executable)  # this one may be .venv's own
        do([base, "-m", "venv", "--clear", VENV])
    if not (holds("uv") and succeeds([PYTHON, "-m", "uv", "--version"])):
        pip = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        do(pip + ["--force-reinstall", "uv"])


def digest_of_sources():
    digest = hashlib.sha256()
    for name in SOURCES:
        with open(name, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_installed():
    """Whether .venv holds all that an earlier set-up noted for these SOURCES, each file of it.

    What was exchanged by hand for another version stays.
    """
    if not (os.path.exists(PYTHON) and os.path.exists(DONE)):
        return False
    with open(DONE) as file:
        noted = file.read().splitlines()
    if noted[-1:] != [digest_of_sources()]:  # last, so that a note torn in its middle is none
        return False
    here = installed()
    names = set(name_of(folder) for folder in here)
    for line in noted[:-1]:
        size, _, folder = line.partition(" ")
        if here.get(folder, int(size)) < int(size) or name_of(folder) not in names:
            return False
    return not shortcomings()


@contextlib.contextmanager
def only_one():
    """Wait until no other set-up is at work here. The lock ends with this process and its steps."""
    with open(LOCK, "a") as file:
        waiting = False
        while is_taken(file):
            if not waiting:
                place = os.path.abspath(VENV)
                print("Another set-up is at work on %s; waiting until it has ended ..." % place)
                sys.stdout.flush()
            waiting = True
            time.sleep(0.2)
        # A step outlives a kill of this process alone.
        if os.name != "nt" and sys.version_info[0] > 2:
            HANDED_ON.append(file.fileno())
        try:
            yield
        finally:
            del HANDED_ON[:]


def is_taken(file):
    """Take the lock; true where another process has it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except EnvironmentError as error:  # others: the file system knows no locks
        return error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return False


def install():
    """What requirements.lock names and corelib itself, unless .venv holds that already."""
    if is_installed():
        return
    with only_one():
        if is_installed():  # by the set-up that was waited for
            return
        if os.path.exists(DONE):
            os.remove(DONE)
        install_packages()
        short = shortcomings()
        if short:  # uv links the files of its cache: one that was cut short is short there too
            names = [name_of(folder) for folder in short]
            print(
                "Files are still missing; without uv's cache once more: %s ..." % ", ".join(names)
            )
            sys.stdout.flush()
            do([PYTHON, "-m", "uv", "cache", "clean", "-q"] + names)
            install_packages()
            short = shortcomings()
        for folder, path in short.items():
            sys.exit(
                "error: %s: %s is missing or incomplete, again after it was installed anew; see "
                "that the disk has room and nothing else works on %s, remove that folder and try "
                "again" % (os.path.basename(folder), path, os.path.abspath(VENV))
            )
        with open(DONE, "w") as file:
            lines = ["%d %s" % (size, folder) for folder, size in sorted(installed().items())]
            file.write("\n".join(lines + [digest_of_sources()]))


def install_packages():
    prepare_venv()
    into = [PYTHON, "-m", "uv", "pip", "install", "-q", "--python", PYTHON]
    # Compiled now, on all cores: where Python may not write its caches (as often in containers),
    # every notebook's kernel would otherwise compile PyTorch again as it starts.
    do(into + ["--compile-bytecode", "--require-hashes", "-r", "requirements.lock"])
    # No build isolation: setuptools comes pinned from the lock too.
    do(into + ["--no-deps", "--no-build-isolation", "-e", "."])


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
    try:
        prepare_venv() if asked == "lock" else install()
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on from here")
    if asked == "test":
        # Threads of two processes on the same cores would wait for each other.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if ARGUMENTS[asked]:
        start([PYTHON] + ARGUMENTS[asked] + sys.argv[2:])


if __name__ == "__main__":
    main()
