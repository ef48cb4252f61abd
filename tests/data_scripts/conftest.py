"""Fixtures of the scripts that turn an official layout into a prepared dataset."""

import importlib

import pytest
from click.testing import CliRunner


@pytest.fixture(scope="module")
def script(request):
    """The module that a file tests: of test_prepare_aqa7.py data_scripts.prepare_aqa7."""
    return importlib.import_module(f"data_scripts.{request.path.stem.removeprefix('test_')}")


@pytest.fixture(scope="module")
def prepare(script):
    """prepare(raw, out, option, ...) -> the result of the command: exit_code, stdout, stderr."""

    def run(raw, out, *more):
        words = ("--raw", raw, "--out", out, *more)
        return CliRunner().invoke(script.main, [str(word) for word in words])

    return run
