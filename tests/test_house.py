"""The shape of the house: no circle, arrows downwards, files and functions that can be read."""

import re
import subprocess

from tests import house

OURS = house.sources("corelib", "data_scripts")


def test_there_is_no_circle():
    assert house.circle({"a": {"b"}, "b": {"a"}}) and house.circle(house.arrows()) == []


def test_imports_keep_the_contracts():
    done = subprocess.run(house.linter(), cwd=house.TREE, capture_output=True, text=True)
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout


def test_the_lesson_is_twelve_files_that_can_be_read_in_an_evening():
    assert len(house.lesson()) == 12 and house.lines(house.lesson()) <= 2700
    top = {path.stem for path in (house.TREE / "corelib").glob("*.py")}
    assert top == {*house.LESSON, "__init__", "__main__", "doctor"}


def test_the_developers_page_tells_of_every_file_of_the_lesson():
    page = (house.TREE / "docs" / "developing.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `corelib/(\w+)\.py` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(house.LESSON)


def test_a_file_is_one_idea():
    assert [str(path) for path in OURS if house.lines([path]) > 300] == []


def test_functions_are_short_and_take_few_things():
    found = house.functions(OURS)
    assert [name for name, length, _ in found if length > 45] == []
    assert [name for name, _, count in found if count > 9] == []


def test_no_line_is_wider_than_a_hundred_columns():
    every = house.sources("corelib", "data_scripts", "tests")
    assert house.wide([*every, house.TREE / "kit.py"]) == []


def test_corelib_stays_small():
    """But for what the exercises ask for, which is text of the course."""
    checks = house.TREE / "corelib" / "course" / "checks"
    counted = [path for path in house.sources("corelib") if checks not in path.parents]
    assert house.lines(counted) <= 13200
