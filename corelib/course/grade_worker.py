"""Executes the cells of one notebook with a student's answers, in a process of its own: grade.py.

Standard input holds the steps as JSON: (source, number, answer) of each cell, where number and
answer are None but for an answer to judge. Standard output gets a JSON line a verdict.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from corelib.course.exercises import find_exercise, find_fault
from corelib.machine.messages import one_line

OPEN = "open"


def main() -> None:
    steps = json.load(sys.stdin)
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (
        0,
        1,
        2,
    ):  # a student's input() finds its end, and nobody reads what is printed
        os.dup2(nowhere, standard)
    warnings.simplefilter("ignore")
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.display_formatter.active_types = ["text/plain"]
    folder = os.getcwd()
    for source, number, answer in steps:
        said = None
        if number is not None:
            said = judge(shell, number, answer)
            print(json.dumps({"exercise": number, "said": said}), file=told, flush=True)
        if said != "" and (error := run(shell, source)):
            print(json.dumps({"failed": error}), file=told, flush=True)
            os._exit(1)
        os.chdir(folder)  # which the set-up left for the kit's own
    os._exit(0)  # whatever a student's code left running


def judge(shell: InteractiveShell, number: str, answer: str) -> str:
    """What is wrong with an answer: a hint, an error of its cell, or OPEN; "" where it is right."""
    for name in find_exercise(number).answers:
        shell.user_ns.pop(name, None)
    if error := run(shell, answer):
        return error
    try:
        return find_fault(number, shell.user_ns) or ""
    except BaseException as error:  # a student's function may even exit
        return OPEN if "still open" in str(error) else named(error)


def run(shell: InteractiveShell, source: str) -> str | None:
    """Execute a cell as a kernel would; the error that it raised, if any."""
    result = shell.run_cell(source)
    error = result.error_before_exec or result.error_in_exec
    return None if error is None else named(error)


def named(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
