"""A profile that does not fit the notebooks is refused, with a message that says what would."""

import json
import sys

import nbformat
import pytest
import yaml

from corelib.course.parameters import (
    CourseError,
    declared_parameters,
    plan_parameters,
    profile_name,
    read_notebook,
    read_profile,
    unread_parameters,
)


def notebook(parameters: str, *cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *[nbformat.v4.new_code_cell(cell) for cell in cells],
        ]
    )


def plan(sections: dict, notebooks: dict, selected=None) -> dict:
    return plan_parameters(
        sections, notebooks, selected=list(selected or notebooks), origin="profile tiny"
    )


TWO = {
    "06_tree": notebook("seed: int = 0\ndepth = 4", "print(seed, depth)"),
    "07_train": notebook(
        "seed: int = 0\nepochs = 3\nrate: float = 0.1", "print(seed, epochs, rate)"
    ),
}


def test_all_goes_to_those_that_declare_it_and_a_notebooks_own_value_wins():
    sections = {"all": {"seed": 1, "epochs": 9}, "07_train": {"seed": 2}}
    assert plan(sections, TWO) == {"06_tree": {"seed": 1}, "07_train": {"seed": 2, "epochs": 9}}


def test_only_the_selected_are_planned_but_all_is_checked_against_every_notebook():
    assert plan({"all": {"depth": 5}}, TWO, ["07_train"]) == {"07_train": {}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"all": {"epoch": 3}}, "no notebook declares a parameter 'epoch'; did you mean 'epochs'"),
        (
            {"06_tree": {"epochs": 3}},
            "06_tree does not declare a parameter 'epochs'; valid: depth, seed",
        ),
        ({"06_trees": {"seed": 3}}, "no notebook is called '06_trees'; did you mean '06_tree'"),
        ({"all": {"results": "here"}}, "`results` is set by the run"),
        ({"all": {"epochs": "3"}}, "epochs is '3' \\(str\\), the default is 3 \\(int\\)"),
        ({"all": {"epochs": 2.5}}, "epochs is 2.5 \\(float\\)"),
        ({"all": {"epochs": True}}, "epochs is True \\(bool\\)"),
        ({"all": {"rate": "1e-3"}}, "YAML reads 1e-3 as text, write 1.0e-3"),
    ],
)
def test_what_does_not_fit_is_refused(sections, message):
    with pytest.raises(CourseError, match=message):
        plan(sections, TWO)


def test_every_problem_is_listed_at_once():
    with pytest.raises(CourseError) as caught:
        plan({"all": {"epoch": 3, "rate": "fast"}, "06_tree": {"dept": 4}}, TWO)
    assert all(
        word in str(caught.value)
        for word in ("'epoch'", "'fast'", "'dept'", "nothing was executed")
    )


def test_an_int_does_for_a_float_and_lists_are_checked_by_element():
    notebooks = {"00_a": notebook("rate = 0.5\nseeds = [0, 1]", "print(rate, seeds)")}
    assert plan({"all": {"rate": 1, "seeds": [5]}}, notebooks) == {
        "00_a": {"rate": 1, "seeds": [5]}
    }
    with pytest.raises(CourseError, match="seeds"):
        plan({"all": {"seeds": ["five"]}}, notebooks)


def test_an_unread_parameter_stops_the_plan():
    notebooks = {"00_a": notebook("seed = 0\nepochs = 3", "print(seed)")}
    with pytest.raises(
        CourseError, match="00_a: the parameter 'epochs' is declared, but no later cell reads it"
    ):
        plan({}, notebooks)


@pytest.mark.parametrize(
    "cell",
    [
        "print(f'{epochs} epochs')",
        "def train():\n    return epochs",
        "%matplotlib inline\ntrain(epochs=epochs)",
        "epochs = epochs + 1",
        "rate = [n / epochs for n in range(3)]",
        "if True:\n    class Loop:\n        count = epochs",
    ],
)
def test_these_read_the_parameter(cell):
    assert unread_parameters(notebook("epochs = 3", cell), "00_a") == []


@pytest.mark.parametrize(
    "cell",
    [
        "print('epochs')",
        "def train(epochs):\n    return epochs",
        "train(epochs=3)",
        "epochs = 5\nprint(epochs)",
        "# epochs",
        "history.epochs",
    ],
)
def test_these_do_not(cell):
    assert unread_parameters(notebook("epochs = 3", cell), "00_a") == ["epochs"]


def test_the_parameters_cell_holds_literals_only():
    good = notebook("a: int = -1\nb = [1, 2]\nc = None")
    assert declared_parameters(good, "00_a") == {"a": -1, "b": [1, 2], "c": None}
    for source in ("a = 1\nb = a + 1", "import os", "a, b = 1, 2", "a: int"):
        with pytest.raises(CourseError, match="derive values in the next cell"):
            declared_parameters(notebook(source), "00_a")


def test_two_parameters_cells_are_refused():
    twice = notebook("a = 1")
    twice.cells.append(nbformat.v4.new_code_cell("b = 1", metadata={"tags": ["parameters"]}))
    with pytest.raises(CourseError, match="2 cells are tagged"):
        declared_parameters(twice, "00_a")


def test_a_profile_is_two_levels_and_may_be_empty(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing differs from the defaults\n")
    (tmp_path / "good.yaml").write_text("all: {seed: 1}\n07_train:\n")
    assert read_profile(tmp_path, "empty") == {}
    assert read_profile(tmp_path, "good") == {"all": {"seed": 1}, "07_train": {}}
    for text in ("[1, 2]", "seed: 1", "all: {"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(CourseError, match="bad.yaml"):
            read_profile(tmp_path, "bad")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/object/apply:builtins.eval",
    ],
)
def test_a_profile_that_runs_something_is_refused_and_nothing_runs(tmp_path, tag):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w').close()"
    call = code if "eval" in tag else f'"{sys.executable}" -c "{code}"'
    given = f"- {json.dumps(call)}" if "apply" in tag else f"args: {json.dumps([call])}"
    text = f"all: {tag}\n  {given}\n"
    yaml.unsafe_load(text)
    assert marker.exists(), "the trap must work, or this test shows nothing"
    marker.unlink()
    (tmp_path / "evil.yaml").write_text(text)
    with pytest.raises(
        CourseError, match="evil.yaml is not valid YAML: could not determine a constructor"
    ) as error:
        read_profile(tmp_path, "evil")
    assert not marker.exists() and len(str(error.value).splitlines()) == 1


def test_a_profile_of_a_few_lines_that_stand_for_billions_is_refused(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(CourseError, match="bomb.yaml: holds an alias"):
        read_profile(tmp_path, "bomb")


@pytest.mark.parametrize(
    "content", [b"all: " + b"[" * 1_200, b"all: {a: \xff}", b"all: {a: 1\0}", b"? {a: 1}\n: 2"]
)
def test_a_profile_that_is_no_yaml_is_told_in_one_line(tmp_path, content):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(CourseError, match="bad.yaml is not valid YAML: ") as error:
        read_profile(tmp_path, "bad")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../elsewhere/tiny", "/etc/tiny", "..", "profiles/tiny"])
def test_a_profile_is_named_and_not_a_path_without_its_ending(tmp_path, name):
    for folder in ("profiles", "elsewhere", "profiles/profiles"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tiny.yaml").write_text("all: {}\n")
    with pytest.raises(
        CourseError, match="no profile .*did you mean 'tiny'|no profile .*valid: .*tiny"
    ):
        read_profile(tmp_path / "profiles", name)


def test_a_profile_is_a_path_or_a_name_of_the_course_s_own_or_of_the_kit_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    for place, seed in (("own/smoke.yaml", 1), ("mine.v2.yaml", 2)):
        (tmp_path / place).write_text(f"all: {{seed: {seed}}}\n")
    assert read_profile("own", "smoke") == {"all": {"seed": 1}}
    assert read_profile("nowhere", "smoke")["all"]["recipe"] == "smoke"
    for path in ("mine.v2.yaml", str(tmp_path / "mine.v2.yaml")):
        assert read_profile("own", path) == {"all": {"seed": 2}} and profile_name(path) == "mine.v2"
    with pytest.raises(CourseError, match="no profile 'nowhere'; valid: .*, or the path of a file"):
        read_profile("own", "own/nowhere.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        "[" * 100_000,
        "{}",
        '{"nbformat": 4}',
        '{"nbformat": 99, "cells": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 7}',
    ],
)
def test_a_notebook_that_is_none_is_told_in_one_line(tmp_path, text):
    (tmp_path / "00_a.ipynb").write_text(text)
    with pytest.raises(CourseError, match="00_a.ipynb is not a valid notebook: ") as error:
        read_notebook(tmp_path / "00_a.ipynb")
    assert len(str(error.value).splitlines()) == 1
