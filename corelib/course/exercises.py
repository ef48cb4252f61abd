"""Exercises: checks that answer at once, with hints that say more at each attempt.

What an exercise asks for is checked by a function in `corelib.course.checks`, out of the student's
view: it takes the answers by their names, and returns its conditions and hints in order.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Condition = tuple[Callable[[], object], str]  # true where this part is right, and what to think of
EXERCISES: dict[str, Exercise] = {}
attempts: Counter[str] = Counter()  # wrong answers to each exercise, in this kernel


class OpenExercise(Exception):
    """An exercise is not solved yet; the message is a hint, and all that a notebook shows."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython asks for this; a student has no use for the check's inside


@dataclass(frozen=True)
class Exercise:
    """conditions  a function of the answers, and by keyword of what else it reads in the notebook
    method, nearly  what a second and a third wrong answer are told besides
    """

    conditions: Callable[..., list[Condition]]
    method: str
    nearly: str

    @property
    def answers(self) -> list[str]:
        """The names that the student gives a value to, in the order of the scaffold."""
        return inspect.getfullargspec(self.conditions).args


def exercise(number: str, *, method: str, nearly: str):
    """Enter a function that returns the conditions of exercise `number`, for example "5.1"."""

    def enter(conditions):
        EXERCISES[number] = Exercise(conditions, method, nearly)
        return conditions

    return enter


def find_exercise(number: str) -> Exercise:
    """The exercise of that number; ValueError where the course has none."""
    notebook = number.partition(".")[0]
    if notebook.isdecimal():
        try:
            importlib.import_module(f"corelib.course.checks.n{int(notebook):02d}")
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("corelib.course.checks"):
                raise
    if number not in EXERCISES:
        raise ValueError(f"the course has no exercise {number!r}")
    return EXERCISES[number]


def find_fault(number: str, names: Mapping[str, object]) -> str | None:
    """What is wrong with the answers among a notebook's `names`, as a hint; None: they are right.

    Raises OpenExercise where there is no answer yet, or a cell above was not run.
    """
    one = find_exercise(number)
    for name in one.answers:
        if name not in names or names[name] is ... or _is_scaffold(names[name]):
            what = f"give `{name}` its value in the cell above"
            raise OpenExercise(f"Exercise {number} is still open: {what}, run it, then this one.")
    context = inspect.getfullargspec(one.conditions).kwonlyargs
    for name in context:
        if name not in names:
            cells = "run the cells of this notebook from its beginning"
            raise OpenExercise(f"Exercise {number} needs `{name}`: {cells}.")
    given = [names[name] for name in one.answers]
    for condition, hint in one.conditions(*given, **{name: names[name] for name in context}):
        try:
            if not bool(condition()):
                return hint
        except Exception as error:  # whatever a student's own code raises belongs into the hint
            return f"{hint} (Trying it gave {type(error).__name__}: {error})"
    return None


def _is_scaffold(value: object) -> bool:
    """Whether a function is still the scaffold: dots in place of a body."""
    code = getattr(value, "__code__", None)
    return code is not None and code.co_code == _dots.__code__.co_code and not code.co_names


def _dots(): ...


def check(number: str) -> None:
    """Say whether an exercise is solved by what the calling notebook has given its answers.

    Prints that it is right, or raises OpenExercise with a hint: at the first wrong answer what to
    think of, at the second the method besides, from the third on nearly the answer.
    """
    fault = find_fault(number, sys._getframe(1).f_globals)
    if fault is None:
        print(f"Exercise {number}: right.")
        return
    attempts[number] += 1
    one, hints = find_exercise(number), [f"Hint: {fault}"]
    if attempts[number] > 1:
        hints.append(f"The method: {one.method}")
    if attempts[number] > 2:
        hints.append(f"Nearly the answer: {one.nearly}")
    raise OpenExercise("\n".join([f"Exercise {number} is not solved yet.", *hints]))


def letters(answer: object) -> set[str]:
    """The letters of an answer, in lower case; ValueError where it is no set, list or tuple."""
    single = isinstance(answer, set | frozenset | list | tuple)
    if not single or not all(isinstance(one, str) and len(one) == 1 for one in answer):
        raise ValueError('write the letters one by one, as a set: {"a", "e"} for a and e.')
    return {one.lower() for one in answer}
