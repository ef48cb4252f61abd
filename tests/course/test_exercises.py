"""Checks with hints, and the student edition."""

import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from corelib.course import exercises
from corelib.course.exercises import (
    OpenExercise,
    UnreadableAnswer,
    check,
    exercise,
    find_exercise,
    find_fault,
    letters,
    one_number,
)
from corelib.course.parameters import CourseError
from corelib.course.student import scaffold, without_solutions, write_student_edition


@pytest.fixture
def answering(monkeypatch):
    """An exercise 99.1 that asks for a `share` of what the notebook calls `apples`; an answer alone
    is set to globals of this file, as a notebook's cells set theirs."""
    monkeypatch.setattr(exercises, "EXERCISES", dict(exercises.EXERCISES))
    monkeypatch.setattr(exercises, "attempts", type(exercises.attempts)())

    @exercise("99.1", method="divide by the number of apples", nearly="1 over apples")
    def exercise_99_1(share, *, apples):
        return [(lambda: share > 0, "first"), (lambda: 1 / share(apples) == apples, "second")]

    def give(**names):
        for name, value in names.items():
            monkeypatch.setitem(globals(), name, value)

    return give


def scaffold_of_share(apples): ...


class Share(float):
    def __call__(self, apples):
        return self / apples


def test_a_right_answer_is_confirmed(answering, capsys):
    answering(share=Share(1), apples=4)
    check("99.1")
    assert capsys.readouterr().out == "Exercise 99.1: right.\n"


def test_the_first_condition_that_fails_gives_its_hint_and_each_attempt_says_more(answering):
    answering(share=-1, apples=4)
    said = []
    for _ in range(4):
        with pytest.raises(OpenExercise) as caught:
            check("99.1")
        assert caught.value._render_traceback_() == [str(caught.value)]
        said.append(str(caught.value).splitlines())
    first = ["Exercise 99.1 is not solved yet.", "Hint: first"]
    second = [*first, "The method: divide by the number of apples"]
    third = [*second, "Nearly the answer: 1 over apples"]
    assert said == [first, second, third, third]


@pytest.mark.parametrize("value", ["missing", ..., scaffold_of_share])
def test_what_is_not_there_or_still_the_scaffold_means_the_exercise_is_open(answering, value):
    answering(apples=4, **({} if isinstance(value, str) else {"share": value}))
    with pytest.raises(OpenExercise, match="99.1 is still open: give `share` its value"):
        check("99.1")
    assert not exercises.attempts  # no attempt yet


def test_a_notebook_whose_cells_were_not_run_is_told_so(answering):
    answering(share=Share(1))
    with pytest.raises(OpenExercise, match="needs `apples`: run the cells of this notebook"):
        check("99.1")


def test_an_error_of_the_students_own_code_is_shown_with_the_hint(answering):
    answering(share=0.5, apples=4)
    with pytest.raises(OpenExercise, match="Hint: second .*TypeError: 'float' object is not call"):
        check("99.1")


@pytest.mark.parametrize("answer", [{"a", "e"}, ["E", "a", "a"], ("a ", "e"), iter("ae")])
def test_letters_may_come_in_any_collection(answer):
    assert letters(answer) == {"a", "e"}


@pytest.mark.parametrize("answer", ["a, e", "ae", {"a, e"}, ["ae"], {"a": 1}, {1}, {""}, True, 5])
def test_text_and_words_are_no_letters_and_the_hint_says_what_to_write(answering, answer):
    with pytest.raises(UnreadableAnswer) as caught:
        letters(answer)
    assert '{"a", "e"}' in str(caught.value)

    @exercise("99.2", method="-", nearly="-")
    def exercise_99_2(chosen):
        return [(lambda: "a" in letters(chosen), "is a true?")]

    assert find_fault("99.2", {"chosen": answer}) == str(caught.value)


@pytest.mark.parametrize("answer", ["60", [60, 1], None, {60}, "sixty"])
def test_a_number_may_have_any_type_but_text(answer):
    assert {one_number(60), one_number(60.0), one_number(np.float32(60))} == {60}
    with pytest.raises(UnreadableAnswer, match="one number"):
        one_number(answer)


def test_an_answer_that_fails_before_any_condition_gets_no_hint_that_does_not_fit(answering):
    @exercise("99.2", method="-", nearly="-")
    def exercise_99_2(double):
        said = double(2)
        return [(lambda: said == 4, "is that the double?")]

    stopped = (
        "why can this answer not be tried? (Trying it gave ZeroDivisionError: division by zero)"
    )
    assert find_fault("99.2", {"double": lambda x: x / 0}) == stopped
    assert find_fault("99.2", {"double": lambda x: x}) == "is that the double?"


def test_an_answer_whose_cell_failed_is_open_whatever_its_name_held_before(answering, capsys):
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))

    def run(source):
        result = shell.run_cell(source)
        return str(result.error_before_exec or result.error_in_exec)

    run("from corelib.course.exercises import check\napples = 4\nshare = -1")
    assert "Hint: first" in run('check("99.1")')
    for source, error in (
        ("share = peach", "NameError: name 'peach'"),
        ("share = (", "SyntaxError"),
    ):
        run(source)
        for _ in range(2):
            assert f"still open: the cell above ended with {error}" in run('check("99.1")')
    run("peach")  # fails, but was not to give the answer
    assert "Hint: first" in run('check("99.1")')
    run("class Share(float):\n    def __call__(self, apples): return self / apples")
    run("share = Share(1)")
    assert run('check("99.1")') == "None"


def test_an_exercise_that_there_is_not():
    for number in ("98.1", "0.9", "first"):
        with pytest.raises(ValueError, match=f"no exercise '{number}'"):
            find_exercise(number)


def test_a_solution_becomes_a_scaffold_of_the_answers_where_it_stood():
    solution = "help = 3\nbest, worst = 1, help\n\n\ndef f(x, *, y=2):\n    return x * y\n"
    source = f"x = 1\n### BEGIN SOLUTION\n{solution}### END SOLUTION\nprint(x)"
    prompt = "# Your turn: replace the dots."
    expected = f"x = 1\n{prompt}\nbest = ...\nworst = ...\ndef f(x, *, y=2): ...\nprint(x)"
    assert without_solutions(source, ["best", "worst", "f"]) == expected
    compile(expected, "cell", "exec")
    assert scaffold(solution, ["f"]) == f"{prompt}\ndef f(x, *, y=2): ..."


@pytest.mark.parametrize(
    "source",
    [
        "### BEGIN SOLUTION\nx = 1",
        "x = 1\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
    ],
)
def test_markers_without_a_counterpart_are_an_error(source):
    with pytest.raises(CourseError, match="without"):
        without_solutions(source, [])


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


SOLUTION = "### BEGIN SOLUTION\nfan_score = 17\n### END SOLUTION"


def test_the_student_edition_keeps_checks_and_carries_no_answer(tmp_path):
    source = tmp_path / "notebooks"
    (source / "profiles").mkdir(parents=True)
    (source / "profiles" / "laptop.yaml").write_text("all: {}\n")
    nbformat.write(notebook(SOLUTION, 'check("0.1")', "print(1)"), source / "05_pairs.ipynb")
    out = tmp_path / "students"
    for _ in range(2):  # the second time over the first
        (written,) = write_student_edition(source, out)
        cells = [cell.source for cell in nbformat.read(written, as_version=4).cells]
        assert cells == [
            "# Your turn: replace the dots.\nfan_score = ...", 'check("0.1")', "print(1)"
        ]  # fmt: skip
        assert (out / "profiles" / "laptop.yaml").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(CourseError, match="other files"):
        write_student_edition(source, tmp_path / "mine")
    with pytest.raises(CourseError, match="source notebooks"):
        write_student_edition(source, source)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_a_lecturer_may_let_the_solutions_be_unfolded(tmp_path):
    source = tmp_path / "notebooks"
    source.mkdir()
    nbformat.write(notebook(SOLUTION, 'check("0.1")', "print(1)"), source / "05_pairs.ipynb")
    (written,) = write_student_edition(source, tmp_path / "out", with_solutions=True)
    given, _, folded, last = nbformat.read(written, as_version=4).cells
    assert "17" not in given.source and last.source == "print(1)"
    assert folded.source.startswith("<details><summary>Solution of exercise 0.1</summary>")
    assert "fan_score = 17" in folded.source
