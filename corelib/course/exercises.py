"""Exercises: checks that answer at once with a hint."""

from __future__ import annotations

from collections.abc import Callable


class OpenExercise(Exception):
    """An exercise is not solved yet; the message is a hint, and all that a notebook shows."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython asks for this; a student has no use for the check's inside


def check(exercise: str, *conditions: tuple[Callable[[], object], str]) -> None:
    """Say at once whether an exercise is solved.

    exercise    its number as in its heading, for example "5.1"
    conditions  (condition, hint): a function without arguments that is true where this part is
                right, and what to think of when it is not; they are tried in order

    Prints that the exercise is right, or raises OpenExercise with the first hint.
    """
    for condition, hint in conditions:
        try:
            right = bool(condition())
        except NameError as error:
            what = "replace the dots in the cell above, run it, then run this one again."
            raise OpenExercise(f"Exercise {exercise} is still open ({error}): {what}") from None
        except Exception as error:  # whatever a student's own code raises belongs into the hint
            right, hint = False, f"{hint} (Trying it gave {type(error).__name__}: {error})"
        if not right:
            raise OpenExercise(f"Exercise {exercise} is not solved yet. Hint: {hint}")
    print(f"Exercise {exercise}: right.")
