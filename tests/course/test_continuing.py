"""A course run that was interrupted goes on with what it had not finished."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from corelib.course import continuing
from corelib.course.execute import NotebookError, run_course
from tests.course.tiny_courses import REPOSITORY, ROW, write_notebook


def counting(name: str) -> str:
    """A cell that counts in a file how often it was executed, and leaves a row as record_results
    does (whose import takes seconds)."""
    return (
        f"import json\nfrom pathlib import Path\nseed, rho = 0, 0.5\nwith open('{name}.txt', 'a')"
        " as file:\n    file.write('x')\nPath(results,"
        f" 'metrics-{name}.json').write_text(json.dumps([{ROW} | {{'notebook': '{name}'}}]));"
    )


def executions(source: Path) -> list[int]:
    return [len((source.parent / f"{name}.txt").read_text()) for name in ("00_first", "01_second")]


STOP = (
    "import os, signal, time\nstop = Path('stop')\nif stop.exists():\n    number = getattr(signal,"
    " stop.read_text())\n    stop.unlink()\n    os.kill(os.getppid(), number)\n    time.sleep(60)"
)


@pytest.fixture
def counted(source, monkeypatch):
    """Two notebooks that count their executions; the second one obeys a file `stop`, or fails while
    there is a file `fail`."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    write_notebook(source / "00_first.ipynb", counting("00_first"), parameters="results: str = ''")
    fails = "if Path('fail').exists():\n    raise ValueError('spoilt')"
    write_notebook(
        source / "01_second.ipynb",
        counting("01_second"),
        STOP,
        fails,
        parameters="results: str = ''",
    )
    return source


TWICE = """
import os
import sys
from pathlib import Path
import corelib.course.execute  # takes seconds, once
from corelib.__main__ import main
for name in ("SIGINT", "SIGKILL"):
    Path("stop").write_text(name)
    child = os.fork()
    if child == 0:
        main(["course", "run", "--profile", "tiny", "--notebooks", "notebooks", "--jobs", "1"])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = sorted(path.name for path in Path("runs/course/tiny").iterdir())
    print("\\nleft:", name, code, *left, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sends signals to a process")
def test_a_killed_course_run_goes_on_with_the_notebook_that_was_interrupted(counted, capfd):
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=counted.parent,
    )
    left = [line.split() for line in done.stdout.splitlines() if line.startswith("left:")]
    assert [line[:3] for line in left] == [
        ["left:", "SIGINT", "130"],
        ["left:", "SIGKILL", "-9"],
    ], done.stdout + done.stderr
    assert all(
        {"00_first.ipynb", "metrics-00_first.json", "metrics.json"} <= set(line)
        and "01_second.ipynb" not in line
        for line in left
    )
    assert (
        "interrupted; the same command goes on from what is finished" in done.stderr.splitlines()
        and "Traceback" not in done.stderr
    )
    assert executions(counted) == [1, 2]
    folder = counted.parent / "runs" / "course" / "tiny"
    assert not (folder / "index.html").exists()  # who interrupts does not wait for pages

    run_course("tiny", source=counted, jobs=1)
    said = capfd.readouterr().out
    assert (
        "1 of 2 notebooks are kept (--restart" in said
        and "[1/2] 00_first ... kept\n" in said
        and "[2/2] 01_second ... kept" not in said
    )
    assert executions(counted) == [1, 3]
    assert [row["notebook"] for row in json.loads((folder / "metrics.json").read_text())] == [
        "00_first",
        "01_second",
    ]
    there = {path.name for path in folder.iterdir()}
    assert there >= {"00_first.html", "01_second.html", "index.html"}
    assert "unfinished.json" not in there
    run_course("tiny", source=counted, jobs=1)  # it had come to its end, so everything is executed
    assert executions(counted) == [2, 4]


def test_a_failed_course_run_goes_on_and_a_part_or_a_restart_executes_anew(counted):
    def run(**options) -> list[int]:
        (counted.parent / "fail").touch()
        with pytest.raises(NotebookError, match="01_second, cell 5: ValueError: spoilt"):
            run_course("tiny", source=counted, jobs=1, **options)
        return executions(counted)

    assert run() == [1, 1]
    assert run() == [1, 2]
    assert run(resume=False) == [2, 3]
    (counted.parent / "fail").unlink()
    run_course("tiny", source=counted, jobs=1, notebooks=["00"])
    assert executions(counted) == [3, 3]
    run_course("tiny", source=counted, jobs=1)
    assert executions(counted) == [3, 4]


def test_an_executed_notebook_is_kept_only_as_long_as_nothing_it_depends_on_changes(counted):
    notebook = nbformat.read(counted / "00_first.ipynb", as_version=4)
    same = nbformat.from_dict(notebook)
    same.cells[2].outputs, same.cells[2].execution_count, same.metadata["editor"] = (
        [nbformat.v4.new_output("stream", text="3")],
        7,
        "other",
    )
    given = {"parameters": {"steps": 3}, "machine": {"source_sha256": "a", "torch": "2"}}
    expected = continuing.checksum(notebook, **given)
    assert continuing.checksum(same, **given) == expected
    other = nbformat.from_dict(notebook)
    other.cells[2].source += " "
    changes = [
        (other, given),
        (notebook, given | {"parameters": {"steps": 4}}),
        (notebook, given | {"machine": {"source_sha256": "b", "torch": "2"}}),
    ]
    assert len({expected, *(continuing.checksum(one, **with_) for one, with_ in changes)}) == 4

    executed = counted / "executed.ipynb"
    same.metadata |= {"executed_from": expected, "papermill": {"exception": False}}
    nbformat.write(same, executed)
    assert continuing.is_executed(executed, expected) and not continuing.is_executed(
        executed, "other"
    )
    same.metadata["papermill"]["exception"] = True
    nbformat.write(same, executed)
    assert not continuing.is_executed(executed, expected)
