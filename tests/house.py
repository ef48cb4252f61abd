"""How the house stands: rooms and lines, floors and arrows, circles, the longest of everything.

    python tests/house.py        (make check)

Format, style and imports are checked by ruff and import-linter; exit code 1 where one of them is
not content. Lines are counted as ruff formats them, at 100 columns; test_house.py asserts them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

TREE = Path(__file__).resolve().parents[1]
LESSON = (
    *("training", "evaluation", "task", "models", "tree", "kernel", "pairs", "i3d", "features"),
    *("metrics", "intervals", "recipe"),
)


def sources(*folders: str) -> list[Path]:
    """The Python files of these folders, by their path in the tree."""
    return sorted(path for folder in folders for path in (TREE / folder).rglob("*.py"))


def arrows() -> dict[str, set[str]]:
    """{module: modules of the kit that it imports}, imports within functions included."""
    graph = grimp.build_graph("corelib", "data_scripts", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle of imports; none if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def linter() -> list[str]:
    """The command that holds imports to the contracts of pyproject.toml."""
    return [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]


def lines(paths: list[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def functions(paths: list[Path]) -> list[tuple[str, int, int]]:
    """(file:name, lines, parameters) of every function, without its docstring, self and **more."""
    found = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                count = len([one for one in given if one.arg not in ("self", "cls")])
                name = f"{path.relative_to(TREE)}:{node.name}"
                told = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno - 1
                found.append((name, node.end_lineno - told, count))
    return found


def wide(paths: list[Path]) -> list[str]:
    """Lines of more than 100 characters: file:number."""
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > 100:
                found.append(f"{path.relative_to(TREE)}:{number}")
    return found


def excused(paths: list[Path]) -> int:
    """How many statements the formatter leaves alone."""
    return sum(path.read_text(encoding="utf-8").count("# fmt: " + "skip") for path in paths)


def main() -> int:
    ruff = [sys.executable, "-m", "ruff"]
    checks = ([*ruff, "format", "--check", "."], [*ruff, "check", "."], linter())
    codes = [subprocess.run(check, cwd=TREE, check=False).returncode for check in checks]
    graph, core = arrows(), sources("corelib")
    print(f"{'lesson':14}{len(LESSON):4} files {lines(lesson()):6} lines")
    for room in ("course", "figures", "runs", "data", "machine"):
        files = sources(f"corelib/{room}")
        print(f"{room:14}{len(files):4} files {lines(files):6} lines")
    print(f"{'corelib':14}{len(core):4} files {lines(core):6} lines")
    scripts = sources("data_scripts")
    print(f"{'data_scripts':14}{len(scripts):4} files {lines(scripts):6} lines")
    ours = core + scripts
    longest = sorted(ours, key=lambda path: -lines([path]))[:3]
    print("longest files:", ", ".join(f"{p.relative_to(TREE)} {lines([p])}" for p in longest))
    for name, length, count in functions(ours):
        if length > 40 or count > 8:
            print(f"long: {name}: {length} lines, {count} parameters")
    everything = sources("corelib", "data_scripts", "tests") + [TREE / "kit.py"]
    print(f"{len(wide(everything))} lines above 100 columns; {excused(ours)} tables not formatted")
    print(f"{sum(map(len, graph.values()))} arrows; circle: {' -> '.join(circle(graph)) or 'none'}")
    words = len((TREE / "README.md").read_text(encoding="utf-8").split())
    print(f"README.md: {words} words")
    return int(any(codes))


def lesson() -> list[Path]:
    return [TREE / "corelib" / f"{name}.py" for name in LESSON]


if __name__ == "__main__":
    sys.exit(main())
