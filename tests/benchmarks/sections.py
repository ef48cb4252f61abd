"""Minutes to read, to run and to solve each section of the course: the table of docs/exercises.md.

    python tests/benchmarks/sections.py RUN ...     (folders of executed courses, one a column)

To read: the words of its Markdown at 200 a minute, a formula being one word. To run: what its cells
took in each RUN. To solve: the guesses of the table of exercises in docs/exercises.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

TREE = Path(__file__).resolve().parents[2]
WORDS_A_MINUTE = 200


def words(text: str) -> int:
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " formula ", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]|\]\([^)]*\)|[|#*`>_\[]|(?<!\w)-+(?!\w)", " ", text)
    return len(text.split())


def guesses() -> dict[str, int]:
    """{exercise: minutes to solve it} of the table in docs/exercises.md."""
    page = (TREE / "docs" / "exercises.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+\.\d+) \|.*\| (\d+) \|$", page, re.MULTILINE)
    return {number: int(minutes) for number, minutes in rows}


def seconds(executed: Path) -> dict[str, float]:
    """{cell: seconds} of an executed notebook."""
    cells = nbformat.read(executed, as_version=4).cells
    return {cell.id: cell.metadata.get("papermill", {}).get("duration") or 0 for cell in cells}


def sections(path: Path, runs: list[Path]) -> list[tuple[str, int, list[float], int]]:
    """(heading, words, seconds in each run, minutes to solve) of a notebook's sections."""
    took = [seconds(run / path.name) for run in runs]
    to_solve, found = guesses(), [["(opening)", 0, [0.0] * len(runs), 0]]
    for cell in nbformat.read(path, as_version=4).cells:
        if heading := re.match(r"## (.+)", cell.source):
            short = re.split(r"[?.:](?: |$)", heading[1].removeprefix("A question: "))[0]
            short = short[0].upper() + short[1:]
            found.append([short, 0, [0.0] * len(runs), 0])
        if cell.cell_type == "markdown":
            found[-1][1] += words(cell.source)
            numbers = re.findall(r"^### Exercise ([\d.]+)", cell.source, re.MULTILINE)
            found[-1][3] += sum(to_solve.get(number, 0) for number in numbers)
        for column, run in enumerate(took):
            found[-1][2][column] += run.get(cell.id, 0)
    return [tuple(section) for section in found]


def main(runs: list[Path]) -> None:
    names = [f"run, {run.name} (min)" for run in runs]
    print("| notebook | section | read (min) |", " | ".join(names), "| solve (min) |")
    print("|---|---|", *["---|"] * (len(runs) + 2), sep="")
    for path in sorted((TREE / "notebooks").glob("[0-9]*.ipynb")):
        for heading, count, took, solve in sections(path, runs):
            minutes = [f"{count / WORDS_A_MINUTE:.1f}", *(f"{one / 60:.1f}" for one in took)]
            number = path.stem.partition("_")[0]
            print(f"| {number} | {heading} | {' | '.join(minutes)} | {solve or '-'} |")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
