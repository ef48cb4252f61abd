"""The course is executed, checked and reported as run_course promises, on tiny notebooks."""

import base64
import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from PIL import Image

from corelib.course import continuing
from corelib.course.cli import course
from corelib.course.execute import NotebookError, plan_course, run_course, select_notebooks
from corelib.course.parameters import CourseError
from corelib.machine import files

REPOSITORY = Path(__file__).resolve().parents[2]


def write_notebook(path: Path, *cells: str, parameters: str = "", title: str = "A title") -> None:
    """A notebook: a heading (cell 1), the parameters cell (cell 2), then the code cells given."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                f"# {title}\n\nYou will be able to *count*.\n\n## Later\n\nMore."
            ),
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *[nbformat.v4.new_code_cell(cell) for cell in cells],
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    nbformat.write(notebook, path)


@pytest.fixture
def source(tmp_path):
    """An empty course: a notebooks folder with a profile `tiny` that sets nothing."""
    folder = tmp_path / "a course" / "notebooks"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "tiny.yaml").write_text("all: {}\n")
    return folder


def set_profile(source: Path, text: str) -> None:
    (source / "profiles" / "tiny.yaml").write_text(text)


def output_text(executed: Path) -> str:
    notebook = nbformat.read(executed, as_version=4)
    return "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


def fetched(page: str) -> list[str]:
    """The addresses from which a browser would load a part of the page."""
    parts = re.findall(
        r"""(?:<(?:script|img|iframe)[^>]*\ssrc|<link[^>]*\shref)=["']([^"']+)"""
        r"""|url\(["']?(http[^)"']+)|import ["'](http[^"']+)""",
        page,
    )
    return [
        address
        for found in parts
        for address in found
        if address and not address.startswith("data:")
    ]


ROW = (
    "dict(dataset='d', system='core', with_difficulty=False, recipe='tiny', seed=seed,"
    " split='test', spearman=rho, rl2_x100=1.0, score_range=[0, 100], n_train=9, n_test=5, epoch=1,"
    " selected_on='val', seconds=1, device='cpu')"
)


def test_a_good_course_leaves_copies_pages_index_and_results(source, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    write_notebook(
        source / "00_first.ipynb",
        "import matplotlib.pyplot as plt\nplt.plot([0, count]);",
        parameters="count: int = 2",
        title="Counting <dives>",
    )
    write_notebook(
        source / "01_second.ipynb",
        "from pathlib import Path\nimport os, sys\nprint(f'count={count} note={note}"
        " cwd={Path.cwd().name} hash={os.environ[\"PYTHONHASHSEED\"]}')\nprint('python=' +"
        " sys.executable)",
        "from corelib.course.results import record_results\n"
        f"rows = [{ROW} for seed, rho in [(0, 0.8), (1, 0.9)]]\n"
        "record_results(rows, notebook='01_second', folder=results);",
        parameters="count: int = 2\nnote = 'default'\nresults: str = 'nowhere'",
    )
    set_profile(source, "all: {count: 5}\n01_second: {note: mine}\n")

    index = run_course("tiny", source=source)

    folder = source.parent / "runs" / "course" / "tiny"
    assert index == folder / "index.html"
    assert {path.name for path in folder.iterdir()} == {
        "00_first.ipynb",
        "00_first.html",
        "01_second.ipynb",
        "01_second.html",
        "index.html",
        "metrics.json",
        "metrics-01_second.json",
        "environment.json",
    }
    text = output_text(folder / "01_second.ipynb")
    assert "count=5 note=mine cwd=a course hash=0" in text
    assert f"python={sys.executable}" in text

    rows = json.loads((folder / "metrics.json").read_text())
    assert [(row["seed"], row["spearman"], row["notebook"]) for row in rows] == [
        (0, 0.8, "01_second"),
        (1, 0.9, "01_second"),
    ]

    printed = capsys.readouterr().out
    assert "[1/2] 00_first ... " in printed and "[2/2] 01_second ... " in printed
    assert "0.850 +- 0.071" in printed  # mean and sample standard deviation of .8 and .9
    assert str(index) in printed

    page = index.read_text()
    assert "Counting &lt;dives&gt;" in page and "<em>count</em>" in page and "More." not in page
    assert 'href="00_first.html"' in page and "0.850 +- 0.071" in page
    encoded = page.split("data:image/png;base64,")[1].split('"')[0]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size[0] <= 480

    assert "source_sha256" in page and json.loads((folder / "environment.json").read_text())[
        "seeds"
    ] == [0, 1]

    # The pages open from disk: nothing in them comes from the web.
    assert "data:image/png;base64," in (folder / "00_first.html").read_text()
    assert [
        address
        for name in ("00_first.html", "index.html")
        for address in fetched((folder / name).read_text())
    ] == []
    # Nor does anything that was written name this machine's folders, but for what the notebook
    # printed itself.
    assert str(source.parent) not in (folder / "00_first.ipynb").read_text()


def test_a_failing_cell_is_named_keeps_its_page_and_ends_the_run(source):
    write_notebook(source / "00_good.ipynb", "print('fine')")
    write_notebook(
        source / "01_bad.ipynb", "steps", "print('before')\n1 / 0", parameters="steps = 3"
    )
    write_notebook(source / "02_never.ipynb", "print('never')")
    set_profile(source, "all: {steps: 4}\n")

    result = CliRunner().invoke(course, ["run", "--profile", "tiny", "--notebooks", str(source)])

    assert result.exit_code == 1
    # Cell 4 of the source: the heading, the parameters, `steps`, the division; papermill's own
    # cells do not count.
    assert "01_bad, cell 4: ZeroDivisionError: division by zero" in result.output
    folder = source.parent / "runs" / "course" / "tiny"
    assert "before" in output_text(folder / "01_bad.ipynb")
    assert "ZeroDivisionError" in (folder / "01_bad.html").read_text()
    assert not (folder / "02_never.ipynb").exists()
    index = (folder / "index.html").read_text()
    assert "00_good.html" in index and "failed" in index.split("01_bad.html")[1]


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
    earlier = folder / "00_good.html"
    earlier.write_text("the page of an earlier run")

    result = CliRunner().invoke(
        course,
        ["run", "--profile", "tiny", "--notebooks", str(source), "--only", "01", "--only", "02"],
    )

    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert re.match(rf"error: 01_bad, cell 4: {told}", first), first
    assert second == f"The executed copy, up to there: {folder / '01_bad.html'}"
    assert output_text(folder / "01_bad.ipynb") == "before\n" and "before" in (
        folder / "01_bad.html"
    ).read_text(encoding="utf-8")
    assert "01_bad.html" in (folder / "index.html").read_text(encoding="utf-8")
    assert (
        earlier.read_text() == "the page of an earlier run"
        and (folder / "metrics-00_good.json").is_file()
    )
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


@pytest.mark.parametrize("full", ["the copy", "the page", "the index"])
def test_a_disk_that_fills_under_the_run_itself_is_told_in_a_line_and_keeps_what_was_finished(
    source, monkeypatch, full
):
    write_notebook(source / "00_first.ipynb", "print(1)")
    write_notebook(source / "01_second.ipynb", "print(2)")
    folder = source.parent / "runs" / "course" / "tiny"
    folder.mkdir(parents=True)
    earlier = {
        "00_first.html": "the page of an earlier run",
        "index.html": "the index of an earlier run",
    }
    for name, text in earlier.items():
        (folder / name).write_text(text)

    writer = {
        "the copy": "notebook.write_atomically",
        "the page": "notebook.write_html",
        "the index": "execute.write_index",
    }[full]
    monkeypatch.setattr(f"corelib.course.{writer}", full_disk)
    result = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--only", "01"]
    )

    assert result.exit_code == 1
    first, *_ = result.stderr.splitlines()
    assert first.startswith(
        "error: the results" if full == "the index" else "error: 01_second, cell 3: OSError"
    )
    assert "the disk is full: free some space" in first and "Traceback" not in result.output
    assert (folder / "00_first.html").read_text() == earlier["00_first.html"]
    assert (
        (folder / "index.html")
        .read_text(encoding="utf-8")
        .endswith("</html>\n" if full != "the index" else earlier["index.html"])
    )
    assert (folder / "01_second.ipynb").exists() == (full != "the copy")


def test_nothing_is_executed_when_a_check_fails(source):
    write_notebook(source / "00_first.ipynb", "open('executed', 'w').close()")
    write_notebook(source / "01_second.ipynb", "print(epochs)", parameters="epochs = 3")
    set_profile(source, "all: {epoch: 5}\n")

    result = CliRunner().invoke(course, ["run", "--profile", "tiny", "--notebooks", str(source)])

    assert result.exit_code == 2
    assert "'epoch'" in result.output and "did you mean 'epochs'" in result.output
    assert not (source.parent / "executed").exists()
    assert not (source.parent / "runs").exists()


def test_an_unknown_profile_or_notebook_names_the_nearest(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    with pytest.raises(CourseError, match="did you mean 'tiny'"):
        run_course("tinny", source=source)
    with pytest.raises(CourseError, match="did you mean '00_first'"):
        run_course("tiny", source=source, notebooks=["00_frist"])


def test_notebooks_are_selected_by_number_or_beginning_in_reading_order():
    names = ["00_start", "01_data", "10_real", "11_yours"]
    assert select_notebooks(names, ["10", "1"]) == ["01_data", "10_real"]
    assert select_notebooks(names, ["11_y", "00_start", "0"]) == ["00_start", "11_yours"]
    assert select_notebooks(names, None) == names


def test_seeds_of_the_command_line_are_those_of_every_training(source):
    set_profile(source, "all: {seeds: [7], seedless: 1}\n")
    write_notebook(
        source / "00_first.ipynb",
        "print(seeds, seedless, more_seeds)",
        parameters="seeds: list = [0]\nseedless = 0\nmore_seeds: list = [0]",
    )
    write_notebook(source / "01_second.ipynb", "print(1)")
    assert plan_course("tiny", source=source) == {
        "00_first": {"seeds": [7], "seedless": 1},
        "01_second": {},
    }
    result = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--seeds", "1-2,5"]
    )
    assert result.exit_code == 0, result.output
    assert (
        output_text(source.parent / "runs" / "course" / "tiny" / "00_first.ipynb")
        == "[1, 2, 5] 1 [1, 2, 5]\n"
    )
    wrong = CliRunner().invoke(
        course, ["run", "--profile", "tiny", "--notebooks", str(source), "--seeds", "some"]
    )
    assert wrong.exit_code == 2 and "--seeds takes numbers" in wrong.output


def test_a_part_of_the_course_keeps_the_rest_and_a_failure_leaves_nothing_stale(
    source, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    record = "from corelib.course.results import record_results\nseed, rho = 0, 0.5\n"
    for name in ("00_first", "01_second"):
        write_notebook(
            source / f"{name}.ipynb",
            f"{record}record_results([{ROW}], notebook='{name}', folder=results);",
            parameters="results: str = ''",
        )
    folder = run_course("tiny", source=source).parent
    write_notebook(source / "01_second.ipynb", "raise ValueError('spoilt')")
    with pytest.raises(NotebookError, match="01_second, cell 3: ValueError: spoilt"):
        run_course("tiny", source=source, notebooks=["01"])
    rows = json.loads((folder / "metrics.json").read_text())
    assert [row["notebook"] for row in rows] == ["00_first"]
    assert (folder / "00_first.html").is_file()


def test_the_source_is_never_written_over(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    before = (source / "00_first.ipynb").read_bytes()
    with pytest.raises(CourseError, match="source notebooks"):
        run_course("tiny", source=source, out=source)
    run_course("tiny", source=source, out=source.parent / "elsewhere")
    assert (source / "00_first.ipynb").read_bytes() == before
    assert (source.parent / "elsewhere" / "00_first.ipynb").is_file()


def test_progress_bars_leave_nothing_in_the_executed_copy(source):
    bars = "print(sum(tqdm([1, 2])), *trange(2))"
    write_notebook(source / "00_bars.ipynb", "from tqdm.auto import tqdm, trange", bars)
    folder = run_course("tiny", source=source).parent
    executed = nbformat.read(folder / "00_bars.ipynb", as_version=4)
    assert [
        output.get("text") for cell in executed.cells for output in cell.get("outputs", [])
    ] == ["3 0 1\n"]
    assert "widgets" not in executed.metadata


def test_a_kernel_installed_by_the_user_does_not_take_the_interpreters_place(
    source, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "jupyter" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    argv = ["/no/such/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (elsewhere / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    write_notebook(source / "00_first.ipynb", "import sys\nprint(sys.executable)")
    folder = run_course("tiny", source=source).parent
    assert output_text(folder / "00_first.ipynb") == f"{sys.executable}\n"


def test_the_environment_is_left_as_it_was(source):
    write_notebook(source / "00_first.ipynb", "print(1)")
    before = dict(os.environ)
    run_course("tiny", source=source)
    # pytest notes the running test's phase in its own variable.
    ours = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    assert ours == {key: value for key, value in before.items() if key != "PYTEST_CURRENT_TEST"}


def test_a_notebooks_metadata_does_not_choose_what_program_runs(source, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    for name in ("evil", "python3"):
        spec = tmp_path / "jupyter" / "kernels" / name
        spec.mkdir(parents=True)
        argv = [sys.executable, "-c", f"open({str(marker)!r}, 'w').close()"]
        (spec / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": "x", "language": "python"})
        )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    write_notebook(source / "00_first.ipynb", "import sys\nprint(sys.executable)")
    notebook = nbformat.read(source / "00_first.ipynb", as_version=4)
    notebook.metadata["kernelspec"] = {
        "name": "evil",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, source / "00_first.ipynb")
    folder = run_course("tiny", source=source).parent
    assert output_text(folder / "00_first.ipynb") == f"{sys.executable}\n" and not marker.exists()


def test_a_link_out_of_the_folder_is_not_executed(source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_notebook(tmp_path / "elsewhere" / "00_first.ipynb", "open('executed', 'w').close()")
    write_notebook(source / "01_second.ipynb", "print(1)")
    (source / "00_first.ipynb").symlink_to(tmp_path / "elsewhere" / "00_first.ipynb")
    result = CliRunner().invoke(course, ["run", "--profile", "tiny", "--notebooks", str(source)])
    assert (
        result.exit_code == 2
        and "00_first.ipynb is a link to" in result.output
        and "out of the folder" in result.output
    )
    assert not (source.parent / "executed").exists() and not (source.parent / "runs").exists()


# Going on with what was interrupted


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
        main(["course", "run", "--profile", "tiny", "--notebooks", "notebooks"])
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
        {"00_first.ipynb", "00_first.html", "metrics-00_first.json"} <= set(line)
        and "01_second.ipynb" not in line
        for line in left
    )
    assert (
        "interrupted; the same command goes on from what is finished" in done.stderr.splitlines()
        and "Traceback" not in done.stderr
    )
    assert executions(counted) == [1, 2]
    folder = counted.parent / "runs" / "course" / "tiny"
    assert "00_first.html" in (folder / "index.html").read_text()

    run_course("tiny", source=counted)
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
    assert {path.name for path in folder.iterdir()} == {
        "00_first.ipynb",
        "00_first.html",
        "01_second.ipynb",
        "01_second.html",
        "index.html",
        "metrics.json",
        "metrics-00_first.json",
        "metrics-01_second.json",
        "environment.json",
    }
    run_course("tiny", source=counted)  # it had come to its end, so everything is executed
    assert executions(counted) == [2, 4]


def test_a_failed_course_run_goes_on_and_a_part_or_a_restart_executes_anew(counted):
    def run(**options) -> list[int]:
        (counted.parent / "fail").touch()
        with pytest.raises(NotebookError, match="01_second, cell 5: ValueError: spoilt"):
            run_course("tiny", source=counted, **options)
        return executions(counted)

    assert run() == [1, 1]
    assert run() == [1, 2]
    assert run(resume=False) == [2, 3]
    (counted.parent / "fail").unlink()
    run_course("tiny", source=counted, notebooks=["00"])
    assert executions(counted) == [3, 3]
    run_course("tiny", source=counted)
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
    assert not continuing.is_executed(executed, expected)  # its page is missing
    executed.with_suffix(".html").touch()
    assert continuing.is_executed(executed, expected) and not continuing.is_executed(
        executed, "other"
    )
    same.metadata["papermill"]["exception"] = True
    nbformat.write(same, executed)
    assert not continuing.is_executed(executed, expected)


def test_a_second_course_run_into_the_same_folder_is_refused(source, monkeypatch):
    write_notebook(source / "00_first.ipynb", "print(1)")
    folder = source.parent / "runs" / "course" / "tiny"
    monkeypatch.setattr(files, "PATIENCE", 0)
    with (
        files.only_one(folder, "executes the course into"),
        pytest.raises(files.BusyError, match="tiny: process .* executes the course into it"),
    ):
        run_course("tiny", source=source)
    assert not folder.exists()
