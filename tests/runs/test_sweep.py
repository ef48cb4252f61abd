"""Sweeps: plans by hand, gaps filled, a failed job survived, one table; SLURM's commands are stood
in for by scripts."""

import json
import os
import stat
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.recipe import RecipeError, named
from corelib.runs.options import parse_seeds
from corelib.runs.sweep import plan_sweep, run_sweep

not_on_windows = pytest.mark.skipif(
    sys.platform == "win32",
    reason="submitit's jobs need signals that Windows does not have; sweep says so",
)


def test_seeds_are_numbers_and_ranges():
    assert (
        parse_seeds("0-2,7") == [0, 1, 2, 7]
        and parse_seeds("3") == [3]
        and parse_seeds("1,1-2") == [1, 2]
    )
    for wrong in ("", "a", "4-2", "1,,2", "-3"):
        with pytest.raises(RecipeError, match="0-4"):
            parse_seeds(wrong)


def test_a_plan_is_every_system_and_seed(small_dives):
    plans = plan_sweep([small_dives], named("smoke"), seeds=[0, 3], systems=["core", "mlp"])
    assert [(recipe.system, recipe.seed) for _, recipe in plans] == [
        ("core", 0),
        ("core", 3),
        ("mlp", 0),
        ("mlp", 3),
    ]


def test_windows_is_turned_away_before_anything_is_made(small_dives, tmp_path, monkeypatch):
    plans = plan_sweep([small_dives], named("smoke"), seeds=[0], systems=["mlp"])
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(RecipeError, match="sweep under WSL"):
        run_sweep(plans, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def sweep(*arguments):
    """python -m corelib sweep ... --json -> (exit code, its document)."""
    done = CliRunner(catch_exceptions=False).invoke(main, ["sweep", *map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout)


@not_on_windows
def test_gaps_are_filled_a_failure_is_survived_and_one_table_is_gathered(small_dives, tmp_path):
    out = tmp_path / "sweep"
    asked = [
        small_dives.folder,
        "--recipe",
        "smoke",
        "--systems",
        "mlp",
        "--seeds",
        "0-1",
        "--set",
        "epochs=1",
        "--out",
        out,
        "--device",
        "cpu",
    ]
    # a file where a run's folder should be made: one job fails
    first, second = [
        recipe
        for _, recipe in plan_sweep(
            [small_dives], named("smoke", epochs=1), seeds=[0, 1], systems=["mlp"]
        )
    ]
    from corelib.runs.fit import run_folder

    out.mkdir()
    run_folder(small_dives, second, out).write_text("in the way")
    code, found = sweep(*asked)
    assert code == 1 and [row["seed"] for row in found["rows"]] == [0]
    (failure,) = found["failed"]
    assert (
        failure["run"] == run_folder(small_dives, second, out).name
        and "exists" in failure["reason"].lower() + open(failure["log"]).read().lower()
    )

    run_folder(small_dives, second, out).unlink()
    made = (run_folder(small_dives, first, out) / "metrics.json").stat().st_mtime_ns
    code, found = sweep(*asked, "--jobs", "2")
    assert code == 0 and [row["seed"] for row in found["rows"]] == [0, 1] and found["failed"] == []
    assert (
        run_folder(small_dives, first, out) / "metrics.json"
    ).stat().st_mtime_ns == made  # it was there
    table = pd.read_csv(found["table"])
    assert table["seeds"].tolist() == [2]
    assert table["rl2_x100"][0] == pytest.approx(sum(row["rl2_x100"] for row in found["rows"]) / 2)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder of scripts that answer as SLURM's commands do; jobs stay in the queue. Returns the
    file of submissions."""
    tools, log = tmp_path / "slurm", tmp_path / "submitted"
    tools.mkdir()
    scripts = {
        "sbatch": f'echo "$@" >> {log}\necho "Submitted batch job $((41 + $(wc -l < {log})))"',
        "srun": "exit 1",
        "sacct": 'echo "JobID|State|NodeList"\nfor id in 42 43 44; do echo "$id|PENDING|"; done',
    }
    for name, body in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod((tools / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    log.touch()
    return log


@not_on_windows
def test_a_cluster_gets_every_run_once_however_often_it_is_called(small_dives, tmp_path, cluster):
    asked = [
        small_dives.folder,
        "--recipe",
        "smoke",
        "--seeds",
        "0-1",
        "--systems",
        "core",
        "--out",
        tmp_path / "sweep",
        "--executor",
        "slurm",
        "--no-wait",
    ]
    for _ in range(2):
        code, found = sweep(*asked, "--slurm", "slurm_partition=gpu", "--minutes", "30")
        assert code == 0 and found["waiting"] == 2 and found["rows"] == []
        assert len(cluster.read_text().splitlines()) == 2
    script = next((tmp_path / "sweep" / "logs").glob("*.sh")).read_text()
    assert "--partition=gpu" in script and "--time=30" in script


@not_on_windows
def test_local_jobs_are_waited_for(small_dives, tmp_path):
    plans = plan_sweep([small_dives], named("smoke"), seeds=[0], systems=["mlp"])
    with pytest.raises(RecipeError, match="--no-wait is for"):
        run_sweep(plans, tmp_path, wait=False)
