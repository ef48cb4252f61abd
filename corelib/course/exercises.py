"""Exercises: checks that answer at once, with hints that say more at each attempt.

What an exercise asks for is checked by a function in `corelib.course.checks`, out of the student's
view: it takes the answers by their names, and returns its conditions and hints in order.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase

from corelib.machine.errors import KitError

Condition = tuple[Callable[[], object], str]  # true where this part is right, and what to think of
EXERCISES: dict[str, Exercise] = {}
attempts: Counter[str] = Counter()  # wrong answers to each exercise, in this kernel


class OpenExercise(Exception):
    """An exercise is not solved yet; the message is a hint, and all that a notebook shows."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython asks for this; a student has no use for the check's inside


class UnknownExercise(KitError, ValueError):
    """The course has no exercise of this number."""


class UnreadableAnswer(ValueError):
    """An answer is not of the kind that is asked for; the message says what to write."""


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

    @property
    def context(self) -> list[str]:
        """The names of the notebook that the conditions read besides."""
        return inspect.getfullargspec(self.conditions).kwonlyargs


def exercise(number: str, *, method: str, nearly: str):
    """Enter a function that returns the conditions of exercise `number`, for example "5.1"."""

    def enter(conditions):
        EXERCISES[number] = Exercise(conditions, method, nearly)
        return conditions

    return enter


def find_exercise(number: str) -> Exercise:
    """The exercise of that number; UnknownExercise where the course has none."""
    notebook = number.partition(".")[0]
    if notebook.isdecimal():
        try:
            importlib.import_module(f"corelib.course.checks.n{int(notebook):02d}")
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("corelib.course.checks"):
                raise
    if number not in EXERCISES:
        raise UnknownExercise(f"the course has no exercise {number!r}")
    return EXERCISES[number]


def letters(answer: object) -> set[str]:
    """The letters of an answer such as {"a", "e"}, in lower case.

    Raises UnreadableAnswer for text, for words, and for whatever else is no set of letters.
    """
    several = isinstance(answer, Iterable) and not isinstance(answer, str | Mapping)
    found = {str(one).strip().lower() for one in answer} if several else {""}
    if not found <= set(ascii_lowercase):
        what = "write the letters one by one, each in quotation marks, as a set"
        raise UnreadableAnswer(f'{what}: {{"a", "e"}} for a and e.')
    return found


def statements(answer: object, true: str, **hints: str) -> list[Condition]:
    """The conditions of an answer that names the true ones among statements a, b, ...

    true  their letters; hints: a letter each, for who has it wrong, in the order of asking
    """
    found = letters(answer)
    return [
        (lambda letter=letter: (letter in found) == (letter in true), hint)
        for letter, hint in hints.items()
    ]


def one_number(answer: object) -> float:
    """An answer that is one number, whatever its type; UnreadableAnswer for text and all else."""
    try:
        if not isinstance(answer, str):
            return float(answer)
    except (TypeError, ValueError):
        pass
    raise UnreadableAnswer("write one number, without quotation marks or brackets.")


def find_fault(number: str, names: Mapping[str, object]) -> str | None:
    """What is wrong with the answers among a notebook's `names`, as a hint; None: they are right.

    Raises OpenExercise where there is no answer yet, or a cell above was not run.
    """
    one = find_exercise(number)
    for name in one.answers:
        if name not in names or names[name] is ... or _is_scaffold(names[name]):
            what = f"give `{name}` its value in the cell above"
            raise OpenExercise(f"Exercise {number} is still open: {what}, run it, then this one.")
    for name in one.context:
        if name not in names:
            cells = "run the cells of this notebook from its beginning"
            raise OpenExercise(f"Exercise {number} needs `{name}`: {cells}.")
    given = [names[name] for name in one.answers]
    context = {name: names[name] for name in one.context}
    hint = "why can this answer not be tried?"  # where the conditions cannot even be made
    try:
        for condition, hint in one.conditions(*given, **context):
            if not bool(condition()):
                return hint
    except UnreadableAnswer as error:
        return str(error)
    except Exception as error:  # whatever a student's own code raises belongs into the hint
        return f"{hint} (Trying it gave {type(error).__name__}: {error})"
    return None


def _is_scaffold(value: object) -> bool:
    """Whether a function is still the scaffold: dots in place of a body."""
    code = getattr(value, "__code__", None)
    empty = (_dots.__code__.co_code, _dots.__code__.co_consts)
    return code is not None and (code.co_code, code.co_consts) == empty


def _dots(): ...


def _failure(number: str, names: Mapping[str, object]) -> BaseException | None:
    """What the cell before the check raised, if it was to give an answer: the names then hold what
    they held before."""
    shell = names.get("get_ipython", lambda: None)()
    last = getattr(shell, "last_execution_result", None)
    error = last and (last.error_before_exec or last.error_in_exec)
    if isinstance(error, OpenExercise):  # of a check; where it spoke of a failure, this holds still
        return error.__cause__ if f'"{number}"' in last.info.raw_cell else None
    one = rf"\b({'|'.join(find_exercise(number).answers)})\b"
    gives = rf"^\s*(def {one}|[\w, ]*{one}[\w, ]*=(?!=))"
    return error if error and re.search(gives, last.info.raw_cell, re.MULTILINE) else None


def check(number: str) -> None:
    """Say whether an exercise is solved by what the calling notebook has given its answers.

    Prints that it is right, or raises OpenExercise with a hint: at the first wrong answer what to
    think of, at the second the method besides, from the third on nearly the answer.
    """
    names = sys._getframe(1).f_globals
    if (error := _failure(number, names)) is not None:
        said = f"the cell above ended with {type(error).__name__}: {error}"
        what = f"Exercise {number} is still open: {said}. Mend it, run it, then this one."
        raise OpenExercise(what) from error
    fault = find_fault(number, names)
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
