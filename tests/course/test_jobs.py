"""Several notebooks at a time: how many, with how many threads, and how they end together."""

import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from corelib.course import execute
from corelib.course.execute import NotebookError, run_course
from tests.course.tiny_courses import REPOSITORY, output_text, write_notebook

MEET = """import time
from pathlib import Path
Path({mine!r}).touch()
ends = time.monotonic() + 60
while not Path({other!r}).exists():
    assert time.monotonic() < ends, "the other notebook does not run beside this one"
    time.sleep(0.05)
"""
ENDLESS = """import os, time
from pathlib import Path
Path("pid-{name}").write_text(str(os.getpid()))
time.sleep(600)"""


@pytest.fixture
def folder(source):
    return source.parent / "runs" / "course" / "tiny"


def test_notebooks_run_beside_each_other_each_with_its_share_of_threads(source, folder, capsys):
    shown = "import os, torch\nprint(torch.get_num_threads())"
    write_notebook(source / "00_a.ipynb", MEET.format(mine="a", other="b"), shown)
    write_notebook(source / "01_b.ipynb", MEET.format(mine="b", other="a"), shown)
    run_course("tiny", source=source, jobs=2)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line[:12] for line in lines[:2]) == ["[1/2] 00_a .", "[2/2] 01_b ."]
    assert all(re.fullmatch(r".* \.\.\. [\d.]+ s", line) for line in lines[:2])
    stamp = (folder / "environment.json").read_text(encoding="utf-8")
    threads = int(re.search(r'"threads": (\d+)', stamp)[1])
    for name in ("00_a", "01_b"):
        assert output_text(folder / f"{name}.ipynb") == f"{threads}\n"


@pytest.mark.parametrize(
    ("device", "cores", "jobs"), [("cpu", 2, 3), ("cpu", 1, 1), ("H100", 9, 1)]
)
def test_one_notebook_at_a_time_on_a_gpu_or_a_single_core(monkeypatch, device, cores, jobs):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert execute.default_jobs(device) == jobs


def test_after_a_failure_those_under_way_come_to_their_end_and_no_other_begins(
    source, folder, capsys
):
    fails = MEET.format(mine="a", other="b") + "raise ValueError('spoilt')"
    write_notebook(source / "00_bad.ipynb", fails)
    later = MEET.format(mine="b", other="a") + "time.sleep(3)\nprint('at its end')"
    write_notebook(source / "01_good.ipynb", later)
    write_notebook(source / "02_never.ipynb", "print('never')")
    with pytest.raises(NotebookError, match="00_bad, cell 3: ValueError: spoilt"):
        run_course("tiny", source=source, jobs=2)
    assert output_text(folder / "01_good.ipynb") == "at its end\n"
    assert not (folder / "02_never.ipynb").exists()
    said = capsys.readouterr().out
    assert (
        "[1/3] 00_bad ... failed" in said and "01_good.html" in (folder / "index.html").read_text()
    )


@pytest.mark.skipif(os.name == "nt", reason="sends signals to a process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interruption_ends_all_kernels_and_keeps_what_was_finished(source, folder, number):
    write_notebook(source / "00_done.ipynb", "print('done')")
    for name in ("01_a", "02_b"):
        write_notebook(source / f"{name}.ipynb", ENDLESS.format(name=name))
    command = ["course", "run", "--profile", "tiny", "--notebooks", "notebooks", "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "corelib", *command],
        cwd=source.parent,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [source.parent / f"pid-{name}" for name in ("01_a", "02_b")]
    ends = time.monotonic() + 120
    while not all(file.is_file() and file.read_text() for file in files):
        assert time.monotonic() < ends and process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line for line in said.splitlines() if line] == [
        "interrupted; the same command goes on from what is finished"
    ]
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
    assert nbformat.read(folder / "00_done.ipynb", as_version=4).metadata.executed_from
    assert not (folder / "01_a.ipynb").exists() and not (folder / "02_b.ipynb").exists()
