"""Every script runs by its path and by its name, from any folder, where the kit is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "data_scripts").glob("[a-z]*.py"))


@pytest.mark.parametrize("by", ["path", "name"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_from_another_folder_without_pythonpath(tmp_path, script, by):
    command = [str(script)] if by == "path" else ["-m", f"data_scripts.{script.stem}"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    what = script.read_text().split("\n")[0].strip('"')
    assert done.stdout.startswith("Usage: ") and what in " ".join(done.stdout.split())


def test_help_waits_for_no_heavy_library(tmp_path):
    told = "import sys, importlib; " + "; ".join(
        f"importlib.import_module('data_scripts.{script.stem}')" for script in SCRIPTS
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{told}; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS[0].parents[1])},
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
