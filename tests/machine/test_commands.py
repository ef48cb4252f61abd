"""How every command line speaks: options before imports, errors in a line, defects seen."""

import errno
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import corelib
from corelib.__main__ import main
from corelib.machine.errors import KitError
from corelib.machine.messages import describe_os_error

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "data_scripts").glob("[a-z]*.py"))
PROGRAM = """
import json, sys
HEAVY = {"torch", "torchvision", "matplotlib", "pandas", "scipy", "numpy", "nbformat", "papermill"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in HEAVY, f"{name} is imported"
sys.meta_path.insert(0, Refuse())
from corelib.__main__ import main
calls = json.loads(sys.argv[1])
calls += [[name, "--help"] for name in main.commands]
calls += [["course", name, "--help"] for name in main.commands["course"].commands]
codes = []
for call in calls:
    try:
        main(call, prog_name="python -m corelib")
    except SystemExit as ended:
        codes.append(ended.code)
print(json.dumps([len(calls), codes]))
"""


def test_nothing_heavy_is_imported_before_the_options_are_read():
    good = [["--help"], ["--version"]]
    bad = [
        [],
        ["trian", "dives"],
        ["train"],
        ["train", "dives", "--wrkers", "2"],
        ["train", "dives", "--recipe", "labtop"],
        ["train", "dives", "--set", "epoch=3"],
        ["train", "dives", "--set", "depth=40"],
        ["train", "dives", "--seed", "-1"],
        ["evaluate", "run", "--exemplars", "0"],
        ["score", "run"],
        ["score", "run", "video.mp4", "--exemplars", "few"],
        ["sweep", "dives", "--jobs", "0"],
        ["sweep", "dives", "--minutes", "0"],
        ["sweep", "dives", "--seeds", "0-99999999999"],
        ["course"],
        ["course", "rnu"],
        ["course", "run", "--cell-timeout", "0"],
        ["course", "run", "--seeds", "x"],
        ["doctor", "--jsn"],
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(good + bad)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    count, codes = json.loads(done.stdout.splitlines()[-1])
    assert (
        codes == [0] * len(good) + [2] * len(bad) + [0] * (count - len(good) - len(bad))
        and count >= len(good) + len(bad) + 10
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (
        len(told) == len(bad) - 2 and "Error: " not in done.stderr
    )  # without any argument the help is shown
    assert f"corelib, version {corelib.__version__}" in done.stdout


def programs(data_script):
    """{name: its click command} of every script and every command of `python -m corelib`."""
    scripts = {}
    for name in SCRIPTS:
        own = getattr(data_script(name).main, "commands", {})
        scripts |= {f"{name} {part}": command for part, command in own.items()}
        scripts |= {} if own else {name: data_script(name).main}
    course = main.commands["course"].commands
    return (
        scripts
        | {name: main.commands[name] for name in main.commands if name != "course"}
        | {f"course {name}": course[name] for name in course}
    )


ENDS = {
    "a folder of another user": (
        PermissionError(errno.EACCES, "Permission denied", "a/folder"),
        2,
        "error: a/folder: permission denied; name a place",
    ),
    "a read-only file system": (
        OSError(errno.EROFS, "Read-only file system", "runs"),
        2,
        "error: runs: the file system is read-only; name a folder",
    ),
    "a message of the kit's own": (
        FileExistsError("out exists already; pass --overwrite"),
        2,
        "error: out exists already; pass --overwrite",
    ),
    "an error of the kit": (
        KitError("samples.csv line 3: no score"),
        2,
        "error: samples.csv line 3: no score",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted; the same command"),
}


@pytest.mark.parametrize("what", ENDS)
def test_every_program_ends_alike(what, data_script, monkeypatch):
    error, code, said = ENDS[what]

    def fail(**_options):
        raise error

    for name, program in programs(data_script).items():
        monkeypatch.setattr(program, "callback", fail)
        monkeypatch.setattr(program, "params", [])
        script, *rest = name.split()
        top, asked = main, [script, *rest]
        if script in SCRIPTS:
            top, asked = data_script(script).main, rest
        done = CliRunner().invoke(top, asked)
        lines = done.stderr.strip().splitlines()
        assert (done.exit_code, len(lines), done.stdout) == (code, 1, ""), (name, done.output)
        assert lines[0].startswith(said), name


def test_every_program_tells_a_wrong_option_in_one_line(data_script):
    for name in SCRIPTS:
        done = CliRunner().invoke(data_script(name).main, ["--no-such-option"])
        assert done.exit_code == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: No such option") and done.stderr.rstrip().endswith(
            "--help"
        )


def test_a_defect_is_not_hidden(monkeypatch):
    for defect in (
        ZeroDivisionError("division by zero"),
        ValueError("what"),
        EOFError("ran out of input"),
    ):
        monkeypatch.setattr(
            main.commands["train"], "callback", lambda defect=defect, **_options: raises(defect)
        )
        done = CliRunner().invoke(main, ["train", "dives"])
        assert done.exception is defect and "error" not in done.stderr


def raises(error):
    raise error


def test_every_error_of_the_kit_is_one_that_the_command_line_tells():
    defined = set()
    for module in pkgutil.walk_packages(corelib.__path__, "corelib."):
        found = vars(importlib.import_module(module.name)).values()
        defined |= {
            kind
            for kind in found
            if isinstance(kind, type)
            and issubclass(kind, Exception)
            and kind.__module__ == module.name
        }
    untold = {
        kind.__name__
        for kind in defined
        if not issubclass(kind, (KitError, OSError)) and not kind.__name__.startswith("_")
    }
    assert len(defined) > 10 and untold == {"OpenExercise", "UnreadableAnswer"}  # a student's


def test_a_warning_is_a_line_and_said_once(monkeypatch):
    def warns(**_options):
        for _ in range(2):
            warnings.warn("the videos are dark", stacklevel=1)

    monkeypatch.setattr(main.commands["train"], "callback", warns)
    done = CliRunner().invoke(main, ["train", "dives"])
    assert (done.exit_code, done.stderr) == (0, "warning: the videos are dark\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "the name is too long"),
        (OSError(errno.ENOENT, "No such file or directory", b"a\nb\xff"), "check the path"),
        (OSError(errno.ENOSPC, "No space left on device", "last.pt"), "last.pt: the disk is full"),
        (OSError(errno.EIO, "Input/output error", "disk"), "disk: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(), "OSError"),
        (OSError("two\nlines"), "two lines"),
        (FileNotFoundError(errno.ENOENT, "No such file", ""), "an empty name: no such"),
    ],
)
def test_what_the_system_refuses_is_one_short_line(error, said):
    line = describe_os_error(error)
    assert said in line and len(line) <= 300 and line.isprintable()
