"""reproduce.py: each benchmark in its official layout -> prepared -> trained by the recipe `paper`
-> its protocol's table.

The recipe keeps everything of the paper but the size: 16 frames of 28 x 28, one snippet, a
sixteenth of I3D's width, one epoch. Its encoder starts from weights whose normalisation fits what
it sees, as Kinetics weights' does: frozen at random ones it gives all videos one feature.
"""

import io
import json
import math
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from corelib.data.video import read_video
from corelib.i3d import I3D
from corelib.metrics import fisher_z_mean
from corelib.runs.run import Run

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "reproduce.py"
SMALL = {
    "frames": 16,
    "resize": [32, 56],
    "crop": 28,
    "snippet_starts": [0],
    "temporal_shift": 1,
    "width": 0.0625,
    "epochs": 1,
}


@pytest.fixture(scope="module")
def reproduce(data_script):
    return data_script("reproduce")


def in_this_process(reproduce, arguments):
    """What the program prints: a click runner's streams are none that a preparation can write to,
    which is a process of its own."""
    said = io.StringIO()
    with redirect_stdout(said), warnings.catch_warnings(), pytest.raises(SystemExit) as end:
        warnings.simplefilter("default", UserWarning)
        reproduce.main(list(map(str, arguments)))
    assert end.value.code == 0, said.getvalue()
    return said.getvalue()


def in_a_process_of_its_own(arguments):
    result = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def command(reproduce, tmp_path_factory, small_dives):
    """command(benchmark, raw, option, ...) -> (its JSON document, the folder of datasets/ and
    runs/)."""
    place = tmp_path_factory.mktemp("reproduce")
    torch.manual_seed(0)
    encoder = I3D(width=SMALL["width"], eps=1e-5).train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = None  # the average over all it has seen
    videos = [
        read_video(small_dives.root / media)[:16] for media in small_dives.samples["media"][:16]
    ]
    with torch.no_grad():
        encoder(torch.from_numpy(np.stack(videos)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1)
    safetensors.torch.save_file(encoder.state_dict(), place / "start.safetensors")

    def run(benchmark, raw, *more, document=True, alone=False):
        knobs = [
            part for key, value in SMALL.items() for part in ("--set", f"{key}={json.dumps(value)}")
        ]
        arguments = [benchmark, "--raw", raw, "--weights", place / "start.safetensors"]
        arguments += ["--workers", "0", "--device", "cpu", *knobs, *more]
        arguments += ["--datasets", place / "datasets", "--runs", place / "runs"]
        arguments += ["--json"] * document
        said = (
            in_a_process_of_its_own(arguments) if alone else in_this_process(reproduce, arguments)
        )
        return (json.loads(said) if document else said), place

    return run


def by_system(compared):
    return {(row["system"], row["with_difficulty"]): row for row in compared}


def test_mtl_aqa(command, official_mtl_aqa):
    document, place = command("mtl-aqa", official_mtl_aqa[0], alone=True)
    rows = by_system(document["compared"])
    assert list(rows) == [("mlp", False), ("mlp", True), ("core", False), ("core", True)]
    assert rows["core", True]["published"] == [0.9512, 0.260] and rows["mlp", False][
        "published"
    ] == [0.9196, 0.465]
    assert all(
        row["recipe"] == "paper" and np.isfinite(row["rl2_x100"]) and -1 <= row["spearman"] <= 1
        for row in rows.values()
    )
    for row in document["rows"]:
        assert (row["n_test"], row["dataset"], row["epoch"]) == (8, "mtl-aqa", 0)
    text, _ = command(
        "mtl-aqa", official_mtl_aqa[0], document=False
    )  # prepared and trained already
    line = next(line for line in text.splitlines()[::-1] if line.startswith("CoRe (w/ DD)"))
    assert line.split()[3:] == [
        "0.9512",
        f"{rows['core', True]['spearman']:.4f}",
        "0.26",
        f"{rows['core', True]['rl2_x100']:.4f}",
        "1",
    ]


@pytest.mark.filterwarnings("ignore:a rho of 1 has an infinite z:UserWarning")  # of a few videos
def test_aqa7(command, official_aqa7):
    document, place = command("aqa7", official_aqa7[0])
    rows = by_system(document["compared"])
    assert list(rows) == [("mlp", False), ("core", False)]
    assert rows["core", False]["published"] == [0.8401, 2.12]
    for system in ("mlp", "core"):
        own = [row for row in document["rows"] if row["system"] == system]
        assert [row["dataset"] for row in own] == [
            "aqa7-diving",
            "aqa7-gym-vault",
            "aqa7-ski-big-air",
            "aqa7-snowboard-big-air",
            "aqa7-sync-diving-3m",
            "aqa7-sync-diving-10m",
        ]
        assert rows[system, False]["spearman"] == pytest.approx(
            fisher_z_mean([row["spearman"] for row in own])
        )
        assert rows[system, False]["rl2_x100"] == pytest.approx(
            np.mean([row["rl2_x100"] for row in own])
        )
    recipe = Run.load(next((place / "runs").glob("*aqa7-diving*"))).recipe
    assert (recipe.target_unit, recipe.batch, recipe.accumulate) == ("percent", 2, 2)
    assert "python data_scripts" not in document
    text, _ = command("aqa7", official_aqa7[0], document=False)
    assert (
        ".8433; the paper prints .8401" in text and text.count("Fisher-z mean") == 3
    )  # a line a system, and the note


def test_jigsaws(command, official_jigsaws):
    raw = official_jigsaws[0]
    document, place = command(
        "jigsaws", raw, "--prepare", f"--splits '{raw.parent / 'splits.pkl'}'"
    )
    rows = by_system(document["compared"])
    assert (
        rows["core", False]["published"] == [0.85, None] and rows["mlp", False]["published"] is None
    )
    for system in ("mlp", "core"):
        own = [row for row in document["rows"] if row["system"] == system]
        assert len(own) == 12 and {row["fold"] for row in own} == {0, 1, 2, 3}
        tasks = {}
        for row in own:
            tasks.setdefault(row["dataset"], []).append(row["spearman"])
        assert set(tasks) == {"jigsaws-knot-tying", "jigsaws-needle-passing", "jigsaws-suturing"}
        expected = fisher_z_mean([np.mean(folds) for folds in tasks.values()])
        assert rows[system, False]["spearman"] == pytest.approx(expected)
    runs = [Run.load(folder) for folder in sorted((place / "runs").glob("*suturing*"))]
    assert sorted(run.recipe.fold for run in runs) == sorted([0, 1, 2, 3] * 2)


# What is wrong is said before anything is prepared


def refused(reproduce, *arguments):
    result = CliRunner().invoke(reproduce.main, list(map(str, arguments)))
    assert result.exit_code == 2 and not isinstance(result.exception, ValueError), result.output
    return result.stderr


def test_missing_weights_say_where_they_come_from(reproduce, official_mtl_aqa, tmp_path):
    message = refused(
        reproduce,
        "mtl-aqa",
        "--raw",
        official_mtl_aqa[0],
        "--weights",
        tmp_path / "none.safetensors",
        "--datasets",
        tmp_path,
    )
    assert (
        "fetch_weights.py" in message
        and "--weights none" in message
        and not list(tmp_path.iterdir())
    )


def test_a_wrong_knob_is_named_before_anything_is_prepared(reproduce, official_mtl_aqa, tmp_path):
    arguments = (
        "mtl-aqa",
        "--raw",
        official_mtl_aqa[0],
        "--weights",
        "none",
        "--datasets",
        tmp_path,
    )
    assert "epochs" in refused(reproduce, *arguments, "--set", "epoch=1")
    assert "key=value" in refused(reproduce, *arguments, "--set", "epochs")
    assert not list(tmp_path.iterdir())


def test_the_preparations_own_error_and_exit_code_come_through(reproduce, tmp_path, capfd):
    command = ["mtl-aqa", "--raw", tmp_path, "--weights", "none", "--datasets", tmp_path / "d"]
    with pytest.raises(SystemExit) as end:
        reproduce.main(list(map(str, command)))
    said = capfd.readouterr().err
    assert end.value.code == 2
    assert "final_annotations_dict_with_dive_number.pkl: no such file" in said
    assert "Traceback" not in said


def test_the_recipe_of_each_benchmark_is_the_published_one(reproduce):
    paper = reproduce.benchmark_recipe("aqa7", "paper", system="core")
    assert (paper.frames, paper.batch, paper.target_unit, paper.theta) == (103, 2, "percent", 100.0)
    mtl = reproduce.benchmark_recipe("mtl-aqa", "paper", system="core", with_difficulty=True)
    assert (mtl.frames, mtl.batch, mtl.theta, mtl.target_unit, mtl.temporal_shift) == (
        103,
        1,
        30.0,
        "score",
        3,
    )
    jigsaws = reproduce.benchmark_recipe("jigsaws", "paper", system="core")
    assert (jigsaws.frames, jigsaws.snippet_starts) == (160, tuple(range(0, 160, 16)))
    assert reproduce.benchmark_recipe("jigsaws", "gpu", system="mlp").frames == 160
    assert math.isclose(reproduce.benchmark_recipe("mtl-aqa", "gpu", system="core").width, 1.0)
