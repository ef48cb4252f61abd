"""A notebook's failure becomes one line; where the cause is known it says what to do."""

import errno
import re

import pytest
from click.testing import CliRunner

from corelib.course.cli import course
from corelib.course.execute import NotebookError, run_course
from corelib.course.notebook import explain_error
from tests.course.test_site import read
from tests.course.tiny_courses import REPOSITORY, output_text, set_profile, write_notebook


@pytest.mark.parametrize(
    ("kind", "message", "advice"),
    [
        ("MemoryError", "", "too little memory"),
        (
            "_ArrayMemoryError",
            "Unable to allocate 3.64 TiB for an array with shape (1000000, 1000000)",
            "too little memory",
        ),
        (
            "OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 2.00 GiB.",
            "too little memory",
        ),
        (
            "RuntimeError",
            (
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate"
                " memory: you tried"
            ),
            "too little memory",
        ),
        ("OSError", "[Errno 28] No space left on device: 'last.pt'", "the disk is full"),
        ("OSError", "[WinError 112] There is not enough space on the disk", "the disk is full"),
        ("OSError", "[Errno 122] Disk quota exceeded", "the disk is full"),
        ("ModuleNotFoundError", "No module named 'captum'", "python -m corelib doctor"),
        ("RuntimeError", "operator torchvision::nms does not exist", "python -m corelib doctor"),
    ],
)
def test_known_causes_say_what_to_do(kind, message, advice):
    said = explain_error(kind, message)
    assert said.startswith(kind) and message in said and advice in said.split(" - ")[-1]
    assert "\n" not in said


def test_other_errors_are_told_as_they_are_in_one_line():
    assert (
        explain_error("ZeroDivisionError", "division by zero")
        == "ZeroDivisionError: division by zero"
    )
    assert explain_error("KeyboardInterrupt", "") == "KeyboardInterrupt"
    said = explain_error("DatasetError", "3 problems:\n  line 2\n" + "  and more\n" * 500)
    assert (
        said.startswith("DatasetError: 3 problems: line 2")
        and said.endswith(" ...")
        and len(said) < 500
    )


def test_a_failing_cell_is_named_keeps_its_page_and_ends_the_run(source):
    write_notebook(source / "00_good.ipynb", "print('fine')")
    write_notebook(
        source / "01_bad.ipynb", "steps", "print('before')\n1 / 0", parameters="steps = 3"
    )
    write_notebook(source / "02_never.ipynb", "print('never')")
    set_profile(source, "all: {steps: 4}\n")

    result = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--jobs", "1"]
    )

    assert result.exit_code == 1
    # Cell 4 of the source: the heading, the parameters, `steps`, the division; papermill's own
    # cells do not count.
    assert "01_bad, cell 4: ZeroDivisionError: division by zero" in result.output
    folder = source.parent / "runs" / "course" / "tiny"
    assert "before" in output_text(folder / "01_bad.ipynb")
    assert "ZeroDivisionError" in (folder / "01_bad.html").read_text()
    assert not (folder / "02_never.ipynb").exists()
    first, second = read(folder, "index").split("01_bad.html")[:2]
    assert "00_good.html" in first and "failed" not in first and "failed" in second


def test_a_slow_cell_a_dead_kernel_and_an_early_exit_are_told_with_notebook_and_cell(source):
    write_notebook(source / "00_slow.ipynb", "import time", "time.sleep(60)", "print('later')")
    write_notebook(source / "01_dead.ipynb", "import os", "os._exit(1)", "print('later')")
    write_notebook(source / "02_exit.ipynb", "import sys", "sys.exit()", "print('later')")
    for name, expected in [
        ("00", "00_slow, cell 4: ran longer than the 2 s"),
        ("01", "01_dead, cell 4: the kernel died"),
        ("02", "02_exit, cell 4: .* not every cell was executed"),
    ]:
        with pytest.raises(NotebookError, match=expected):
            run_course("tiny", notebooks=[name], source=source, cell_timeout=2)
    assert (source.parent / "runs" / "course" / "tiny" / "01_dead.html").is_file()


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (
            "import os, signal\nos.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))",
            "the kernel died; .* too little memory",
        ),
        ("bytes(2**62)", "MemoryError.* - too little memory: .*--profile smoke"),
        (
            "raise OSError(28, 'No space left on device', 'last.pt')",
            (
                r"OSError: \[Errno 28\] No space left on device: 'last.pt' - the disk is full: free"
                r" some space"
            ),
        ),
    ],
    ids=["killed", "memory", "disk"],
)
def test_what_a_machine_runs_out_of_is_told_in_a_line_and_what_was_finished_is_kept(
    source, monkeypatch, cell, told
):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    folder = source.parent / "runs" / "course" / "tiny"
    write_notebook(source / "00_good.ipynb", "print('fine')")
    folder.mkdir(parents=True)
    (folder / "metrics-00_good.json").write_text("[]")
    write_notebook(source / "01_bad.ipynb", "print('before')", cell, "print('after')")
    write_notebook(source / "02_never.ipynb", "print('never')")

    result = CliRunner().invoke(
        course,
        [
            *("run", "--profile", "tiny", "--notebooks", str(source), "--jobs", "1"),
            *("--only", "01", "--only", "02"),
        ],
    )

    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert re.match(rf"error: 01_bad, cell 4: {told}", first), first
    assert second == f"The executed copy, up to there: {folder / '01_bad.html'}"
    assert output_text(folder / "01_bad.ipynb") == "before\n" and "before" in (
        folder / "01_bad.html"
    ).read_text(encoding="utf-8")
    assert "01_bad.html" in (folder / "index.html").read_text(encoding="utf-8")
    assert (folder / "metrics-00_good.json").is_file()
    assert not (folder / "02_never.ipynb").exists()


def test_a_kernel_that_does_not_start_is_told_with_the_notebook(source, tmp_path, monkeypatch):
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit('torn apart')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_notebook(source / "00_first.ipynb", "print(1)")
    with pytest.raises(
        NotebookError,
        match="^00_first, cell 1: the kernel did not start .*python -m corelib doctor",
    ):
        run_course("tiny", source=source)


def test_a_kernel_that_found_its_port_taken_is_started_again(source, tmp_path, monkeypatch):
    launcher = "from pathlib import Path\nonce = Path(__file__).with_name('once')\n"
    launcher += "if not once.exists():\n    once.touch()\n    raise SystemExit('in use')\n"
    launcher += "from ipykernel import kernelapp\nkernelapp.launch_new_instance()\n"
    (tmp_path / "ipykernel_launcher.py").write_text(launcher)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_notebook(source / "00_first.ipynb", "print(1)")
    folder = run_course("tiny", source=source).parent
    assert (tmp_path / "once").exists() and output_text(folder / "00_first.ipynb") == "1\n"


SLOW_LAST_ANSWER = """
import time
session = get_ipython().kernel.session
send = session.send
def late(stream, kind, *more, **options):
    sent = send(stream, kind, *more, **options)
    if kind == "kernel_info_reply":  # papermill asks for it last; a busy kernel takes its time
        time.sleep(1)
    return sent
session.send = late
"""


def test_a_kernel_that_still_handles_a_message_at_the_end_is_not_interrupted(source, capfd):
    write_notebook(source / "00_first.ipynb", SLOW_LAST_ANSWER)
    run_course("tiny", source=source)
    said = capfd.readouterr()
    assert "KeyboardInterrupt" not in said.out + said.err and "IPKernelApp" not in said.err


def test_a_kernel_whose_cell_takes_too_long_ends_without_a_page_of_errors(source, capfd):
    write_notebook(source / "00_first.ipynb", "import time; time.sleep(60)")
    with pytest.raises(NotebookError, match="--cell-timeout"):
        run_course("tiny", source=source, cell_timeout=1)
    assert "IPKernelApp" not in capfd.readouterr().err


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full", ["the copy", "the site"])
def test_a_disk_that_fills_under_the_run_itself_is_told_in_a_line_and_keeps_what_was_finished(
    source, monkeypatch, full
):
    write_notebook(source / "00_first.ipynb", "print(1)")
    write_notebook(source / "01_second.ipynb", "print(2)")
    folder = source.parent / "runs" / "course" / "tiny"
    folder.mkdir(parents=True)
    index, earlier = folder / "index.html", "the index of an earlier run"
    index.write_text(earlier)

    writer = {"the copy": "notebook.write_atomically", "the site": "execute.write_site"}[full]
    monkeypatch.setattr(f"corelib.course.{writer}", full_disk)
    result = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--only", "01"]
    )

    assert result.exit_code == 1
    first, *_ = result.stderr.splitlines()
    assert first.startswith(
        "error: the results" if full == "the site" else "error: 01_second, cell 3: OSError"
    )
    assert "the disk is full: free some space" in first and "Traceback" not in result.output
    there = index.read_text(encoding="utf-8")
    assert there == earlier if full == "the site" else there.endswith("</html>")
    assert (folder / "01_second.ipynb").exists() == (full != "the copy")
