"""How every command line of the kit speaks: `error: ...` or `warning: ...`, and an exit code.

2    what was given cannot be used: an option, a file, a folder
130  Ctrl-C, as in a shell
"""

from __future__ import annotations

import os
import sys
import warnings

import click

from corelib.machine.errors import KitError
from corelib.machine.messages import INTERRUPTED, describe_os_error, one_line, tell_interruption

SEED = click.IntRange(0, 2**32 - 1)
WORKERS = click.IntRange(0, 256)
workers_option = click.option(
    "--workers",
    type=WORKERS,
    default=min(8, os.cpu_count() or 1),
    help="threads that decode videos ahead  [default: one a core, at most 8]",
)
# What a program imports next may take seconds, in which Ctrl-C would print a page.
sys.excepthook = tell_interruption
# Its message is the help; click 8.1 prints that itself.
HELP_ITSELF = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Place(click.Path):
    """A file or folder. An empty name, as a shell's unset variable leaves it, is refused."""

    def convert(self, value, param, ctx):
        if not str(value):
            self.fail("an empty name", param, ctx)
        return super().convert(value, param, ctx)


class _OneLine:
    """click's own commands, but for what they say and how they end where something is wrong."""

    def main(self, *arguments, standalone_mode: bool = True, **options):
        if not standalone_mode:
            return super().main(*arguments, standalone_mode=False, **options)
        usual = warnings.showwarning

        def show(text, kind, *where, **more) -> None:
            return warn(str(text)) if kind is UserWarning else usual(text, kind, *where, **more)

        with warnings.catch_warnings():
            warnings.showwarning = show
            try:
                code = super().main(*arguments, standalone_mode=False, **options)
            except HELP_ITSELF as error:
                error.show()
                code = error.exit_code
            except click.ClickException as error:
                code = _tell(_describe_usage(error), error.exit_code)
            except KitError as error:
                code = _tell(str(error), error.exit_code)
            except OSError as error:
                code = _tell(describe_os_error(error), KitError.exit_code)
            except click.Abort as error:
                if isinstance(error.__cause__, EOFError):  # no Ctrl-D: no command asks for anything
                    raise error.__cause__ from None
                click.echo(INTERRUPTED, err=True)
                code = 130
        sys.exit(code if isinstance(code, int) else 0)


class Command(_OneLine, click.Command):
    """A program of one command."""


class Commands(_OneLine, click.Group):
    """A program of several commands."""


def warn(sentence: str) -> None:
    """Say it on standard error, once a call of the program."""
    context = click.get_current_context(silent=True)  # there is none in another thread
    said = context.find_root().meta.setdefault("corelib.warnings", set()) if context else set()
    if sentence not in said:
        said.add(sentence)
        click.echo(f"warning: {sentence}", err=True)


def _tell(sentence: str, code: int) -> int:
    click.echo(f"error: {sentence}", err=True)
    return code


def _describe_usage(error: click.ClickException) -> str:
    said, context = one_line(error.format_message()), getattr(error, "ctx", None)
    return f"{said} See: {context.command_path} --help" if context else said
