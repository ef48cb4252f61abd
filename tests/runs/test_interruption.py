"""Kills at chosen moments, a full disk, Ctrl-C, two processes in one folder: nothing is lost, and
nothing half done passes for done."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data import clips
from corelib.data.banks import write_bank
from corelib.data.clips import VideoClips
from corelib.data.samples import DatasetError, SampleTable, new_dataset, write_table
from corelib.machine import files
from corelib.machine.files import NoSpaceError, new_folder, only_one
from corelib.recipe import named
from corelib.runs import loop
from corelib.runs.fit import fit
from corelib.runs.records import RunError
from data_scripts.dives.dataset import find_or_make_dives, make_dives
from tests.contract import RUN_FILES
from tests.kills import KILLED

# Each process is killed at one of these and the next one goes on: before the first checkpoint, in a
# step, while a file is written, before and after it gets its name, between the files of a
# checkpoint, between epochs, in an evaluation.
MOMENTS = {
    "videos": [
        ("half", "recipe.json"),
        ("behind", "backward:1"),
        ("behind", "backward:2"),
        ("before", "evaluate:1"),
        ("half", "last.pt"),
        ("whole", "last.pt"),
        ("named", "last.pt"),
        ("half", "best.safetensors"),
        ("named", "best.safetensors"),
        ("half", "history.csv"),
        ("named", "history.csv"),
        ("behind", "backward:3"),
        ("half", "last.pt"),
        ("named", "last.pt"),
        ("whole", "history.csv"),
        ("behind", "evaluate:1"),
        ("whole", "last.pt"),
        ("named", "last.pt"),
        ("before", "evaluate:1"),
        ("half", "predictions.csv"),
        ("named", "predictions.csv"),
        ("half", "metrics.json"),
        ("whole", "metrics.json"),
    ],
    "refitted features": [  # first the run in the folder `choice`, then the one that refits
        ("behind", "backward:2"),
        ("named", "last.pt"),
        ("named", "history.csv"),
        ("half", "metrics.json"),
        ("named", "metrics.json"),
        ("behind", "backward:2"),
        ("half", "last.pt"),
        ("named", "last.pt"),
        ("whole", "history.csv"),
        ("named", "last.pt"),
        ("half", "last.pt"),
        ("named", "last.pt"),
        ("before", "evaluate:1"),
        ("whole", "predictions.csv"),
        ("half", "metrics.json"),
    ],
}
PREPARATION = [
    ("half", "features.safetensors"),
    ("half", "samples.csv"),
    ("named", "samples.csv"),
    ("aside", "v1.5"),
    ("whole", "v1.5"),
    ("named", "v1.5"),
    ("half", "dataset.json"),
]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def few_dives(tmp_path_factory):
    """14 procedural dives: some forty processes train on them or go on."""
    folder = tmp_path_factory.mktemp("few") / "dives"
    return make_dives(
        folder, train=11, val=0, test=3, frames=16, size=32, workers=1, dive_numbers=["103B"]
    )


@pytest.fixture(scope="module")
def features(small_dives, tmp_path_factory):
    """The small dives with a bank of features in place of videos."""
    folder = tmp_path_factory.mktemp("features") / "bank"
    folder.mkdir()
    bank = np.random.default_rng(0).normal(size=(len(small_dives.samples), 5, 6)).astype(np.float32)
    write_bank(folder / "features.safetensors", bank, small_dives.samples["id"].tolist())
    write_table(
        folder,
        small_dives.info | {"name": "bank"},
        small_dives.samples.assign(media=small_dives.samples["id"]),
    )
    return SampleTable.load(folder)


def recipes(kind: str):
    if kind == "videos":
        return named("smoke", epochs=3, dropout=0.2, batch=4)
    return named(
        "features",
        epochs=3,
        validate_every=1,
        tree_width=16,
        batch=8,
        refit=kind == "refitted features",
    )


@pytest.fixture(scope="module")
def killed(few_dives, features, tmp_path_factory):
    """What tests/kills.py found, all of its scenarios in one process: killed(scenario) -> (what it
    returned, what was said, its folder)."""
    folders = {
        name: tmp_path_factory.mktemp("killed")
        for name in (
            "said",
            "videos",
            "refitted features",
            "dataset",
            "cache",
            "beside",
            "disk",
            "ctrl-c",
        )
    }
    tables = {"videos": few_dives, "refitted features": features}
    delays = np.random.default_rng(1).uniform(0.05, 1, 6).tolist()
    asked = {
        f"kill_trainings:{kind}": {
            "dataset": table.folder,
            "recipe": recipes(kind).to_dict(),
            "out": folders[kind],
            "moments": MOMENTS[kind],
            "seconds": delays,
        }
        for kind, table in tables.items()
    }
    bank = folders["dataset"] / "v1.5"
    bank.mkdir()
    write_bank(
        bank / "features.safetensors",
        np.zeros((len(features.samples), 1, 2), np.float32),
        features.samples["id"].tolist(),
    )
    write_table(bank, features.info | {"mark": 0}, features.samples)
    asked["kill_preparations"] = {"folder": bank, "moments": PREPARATION}
    shutil.copytree(
        few_dives.folder, folders["cache"] / "dives", ignore=shutil.ignore_patterns("cache")
    )
    videos, few = recipes("videos").to_dict(), recipes("features").to_dict()
    asked["fill_cache"] = {
        "dataset": folders["cache"] / "dives",
        "recipe": videos,
        "moment": ["before", "load_clip:9"],
    }
    asked["train_into_one_folder"] = {
        "dataset": features.folder,
        "recipe": few,
        "out": folders["beside"] / "run",
    }
    asked["fill_disk"] = {
        "dataset": few_dives.folder,
        "recipe": videos,
        "small": folders["disk"] / "small",
        "alone": folders["videos"] / "alone",  # the same training, finished above
    }
    out = folders["ctrl-c"] / "run"
    command = [
        "train",
        features.folder,
        "--recipe",
        "features",
        "--set",
        "epochs=4000",
        "--set",
        "validate_every=1000",
        "--out",
        out,
        "--device",
        "cpu",
    ]
    asked["interrupt_training"] = {
        "arguments": command,
        "beginning": out / "choice" / "history.csv",
    }

    command = [
        sys.executable,
        "-m",
        "tests.kills",
        json.dumps(asked, default=str),
        str(folders["said"]),
    ]
    if (
        sys.platform == "linux"
        and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    ):
        command = [
            "unshare",
            "-m",
            *command,
        ]  # what is mounted there is seen, and ends, with this process alone
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=900)
    assert done.returncode == 0, (
        done.stdout
        + done.stderr
        + "".join(path.read_text()[-2000:] for path in folders["said"].glob("*.txt"))
    )
    found = json.loads((folders["said"] / "found.json").read_text())
    return lambda scenario, folder="said": (
        found[scenario],
        (folders["said"] / f"{scenario}.txt").read_text(),
        folders[folder],
    )


def contents(run: Path) -> dict:
    """What a run came to, without the seconds it took."""
    history = pd.read_csv(run / "history.csv", dtype=str).drop(columns="seconds")
    state = torch.load(run / "last.pt", weights_only=True)
    return {
        "best": (run / "best.safetensors").read_bytes(),
        "predictions": (run / "predictions.csv").read_bytes(),
        "history": history.to_csv(),
        "metrics": [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in json.loads((run / "metrics.json").read_text())
        ],
        "last": {name: tensor.numpy().tobytes() for name, tensor in state["model"].items()},
    }


# Kills


@pytest.mark.parametrize("kind", list(MOMENTS))
def test_a_training_killed_at_any_moment_gives_what_one_left_alone_gives(killed, kind):
    found, _, folder = killed(f"kill_trainings:{kind}", kind)
    assert found["killed"] == [KILLED] * len(MOMENTS[kind]) and (
        found["alone"],
        found["resumed"],
    ) == (0, [0, 0])
    assert any(
        any(name.startswith(".") for name in left) for left in found["left"]
    )  # some were killed while they wrote
    for moment, left in zip(MOMENTS[kind], found["left"], strict=True):
        assert "last.pt" in left or "best.safetensors" not in left, (
            f"{moment}: weights of an epoch that no checkpoint knows"
        )
    alone = contents(folder / "alone")
    for name in ("killed", "by the clock"):
        assert contents(folder / name) == alone
        assert {path.name for path in (folder / name).iterdir()} == RUN_FILES | (
            {"choice"} if "refit" in kind else set()
        )
    assert {path.name for path in folder.iterdir()} == {"alone", "killed", "by the clock"}


def test_a_killed_preparation_leaves_the_old_dataset_or_the_new_one(killed):
    found, _, folder = killed("kill_preparations", "dataset")
    # the first five leave what was there before; the sixth is killed when the new one has its name
    assert [(entry["code"], entry["mark"], entry["features"]) for entry in found] == [
        *[(KILLED, 0, [0])] * 5,
        *[(KILLED, 6, [6])] * 2,
        (0, 8, [8]),
    ]
    assert [path.name for path in folder.iterdir()] == ["v1.5"]


def test_a_cache_whose_filling_was_killed_is_filled_again_and_half_of_one_is_not_taken_for_one(
    few_dives, killed
):
    found, _, folder = killed("fill_cache", "cache")
    cache = folder / "dives" / "cache"
    assert found == KILLED and [
        path.name.endswith(".unfinished.npy") for path in cache.iterdir()
    ] == [True]
    table, recipe = SampleTable.load(folder / "dives"), recipes("videos")
    expected = VideoClips(few_dives, recipe, progress=False).read(range(14))
    assert torch.equal(VideoClips(table, recipe, progress=False).read(range(14)), expected)
    (file,) = cache.iterdir()
    os.truncate(file, file.stat().st_size // 2)  # as a copy of the folder that was cut off
    assert torch.equal(VideoClips(table, recipe, progress=False).read(range(14)), expected)


def test_a_training_started_anew_and_interrupted_does_not_pass_for_the_finished_one(
    features, tmp_path, monkeypatch
):
    recipe = named("features", epochs=2, validate_every=1, tree_width=16)
    fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    alone = contents(tmp_path / "run")

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(features, recipe, tmp_path / "run", device="cpu", progress=False, resume=False)
    monkeypatch.undo()
    assert not {"metrics.json", "last.pt", "best.safetensors"} & {
        path.name for path in (tmp_path / "run").iterdir()
    }
    fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    assert contents(tmp_path / "run") == alone


def test_a_damaged_checkpoint_is_named_with_the_way_out(features, tmp_path, monkeypatch):
    recipe = named("features", epochs=2, refit=False, tree_width=16)
    fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    (tmp_path / "run" / "metrics.json").unlink()
    whole = (tmp_path / "run" / "last.pt").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"hello"):
        (tmp_path / "run" / "last.pt").write_bytes(damaged)
        with pytest.raises(RunError, match=r"last.pt: not a checkpoint to go on from .*--restart"):
            fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    fit(features, recipe, tmp_path / "run", device="cpu", progress=False, resume=False)


# Two at the same time


def test_a_second_training_in_the_same_folder_is_refused_until_the_first_is_killed(killed):
    found, said, folder = killed("train_into_one_folder", "beside")
    assert (
        found["beside"] == 1
        and f"BusyError: {folder / 'run'}: process {found['first']} on " in said
    )
    assert found["after"] == 0 and (folder / "run" / "metrics.json").is_file()


def test_the_command_line_says_in_one_line_that_a_folder_is_busy(features, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0)
    asked = [
        "train",
        str(features.folder),
        "--recipe",
        "features",
        "--set",
        "epochs=1",
        "--out",
        str(tmp_path / "run"),
    ]
    with only_one(tmp_path / "run", "trains into"):
        done = CliRunner(catch_exceptions=False).invoke(main, asked)
    assert done.exit_code == 2 and re.fullmatch(
        r"error: \S+run: process \d+ on \S+ trains into it at this moment; [^\n]+\n", done.stderr
    )
    assert list(tmp_path.iterdir()) == []
    fit(features, named("features", epochs=1), tmp_path / "run", device="cpu", progress=False)
    with only_one(tmp_path / "run", "trains into"):  # a finished run is looked at all the same
        assert CliRunner(catch_exceptions=False).invoke(main, asked).exit_code == 0


def beside(*functions) -> list:
    """Call functions in threads at the same time; what each returned or raised."""
    found = [None] * len(functions)

    def call(number: int) -> None:
        try:
            found[number] = functions[number]()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(functions))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found


def test_two_that_make_the_same_dives_make_them_once(tmp_path, capfd):
    def make():
        return find_or_make_dives(tmp_path / "dives", counts=(3, 1, 1), frames=6, size=16)

    first, second = beside(make, make)
    assert first.sha256 == second.sha256 and len(first.samples) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["dives"]


def test_one_that_prepares_a_dataset_waits_for_another_that_does(
    features, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(files, "PATIENCE", 0)
    begun, waits = threading.Event(), threading.Event()

    def first():
        with new_dataset(tmp_path / "d") as scratch:
            begun.set()
            waits.wait(60)
            shutil.copytree(features.folder, scratch, dirs_exist_ok=True)

    def second():
        begun.wait(60)
        threading.Timer(0.3, waits.set).start()
        with new_dataset(tmp_path / "d"):
            pytest.fail("both prepare it")

    none, refused = beside(first, second)
    assert none is None and isinstance(refused, FileExistsError) and "--overwrite" in str(refused)
    assert re.search(
        r"d: waiting for process \d+ on \S+, which prepares it", capfd.readouterr().err
    )
    assert SampleTable.load(tmp_path / "d").sha256 == features.sha256


def test_two_that_fill_one_cache_decode_every_video_once(small_dives, tmp_path, monkeypatch):
    shutil.copytree(small_dives.folder, tmp_path / "dives", ignore=shutil.ignore_patterns("cache"))
    table, decoded, original = SampleTable.load(tmp_path / "dives"), [], clips.load_clip
    monkeypatch.setattr(
        clips, "load_clip", lambda path, *a, **o: (decoded.append(path), original(path, *a, **o))[1]
    )
    first, second = beside(
        *[lambda: VideoClips(table, named("smoke"), progress=False).read(range(28))] * 2
    )
    assert torch.equal(first, second)
    assert len(decoded) == 2 + 28  # each looks at one video to know the size
    assert len(list((table.folder / "cache").iterdir())) == 1


def test_a_file_system_without_locks_is_told_and_does_not_stop_the_work(tmp_path, monkeypatch):
    def none(*arguments, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.FileLock, "acquire", none)
    with (
        pytest.warns(UserWarning, match="no lock can be had there .No locks available"),
        new_folder(tmp_path / "d") as scratch,
    ):
        (scratch / "file").touch()
    assert (tmp_path / "d" / "file").exists()


# A full disk


def test_a_full_disk_is_told_with_what_was_needed_and_the_checkpoint_before_survives(
    features, tmp_path, monkeypatch
):
    recipe = named("features", epochs=3, validate_every=1, refit=False, tree_width=16)
    fit(features, recipe, tmp_path / "alone", device="cpu", progress=False)
    sync, synced = os.fsync, []

    def full(number: int) -> None:  # where file systems that write later report a full disk
        size = os.fstat(number).st_size
        synced.append(size)
        if (
            len([size for size in synced if size > 50_000]) == 4
        ):  # last.pt of the third epoch, best.safetensors or last.pt of the second
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    asked = [
        "train",
        str(features.folder),
        "--recipe",
        "features",
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    asked += [
        word
        for knob in ("epochs=3", "validate_every=1", "refit=false", "tree_width=16")
        for word in ("--set", knob)
    ]
    done = CliRunner(catch_exceptions=False).invoke(main, asked)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    needed, free = re.search(
        r"the disk \(or your quota\) is full: ([\d.]+) MB needed, ([\d.]+) MB free; the one that"
        r" was there is kept",
        line,
    ).groups()
    assert (
        done.exit_code == 2
        and float(needed) == pytest.approx(synced[-1] / 1e6, abs=0.05)
        and float(free) > 0
    )
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["epoch"] in (0, 1)
    assert not any(path.name.startswith(".") for path in (tmp_path / "run").iterdir())
    monkeypatch.undo()
    assert CliRunner(catch_exceptions=False).invoke(main, asked).exit_code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "alone")


def test_a_dataset_that_does_not_fit_leaves_the_old_one(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    with pytest.raises(
        NoSpaceError,
        match=(
            r"d: the disk .*more than 2.0 MB needed, [\d.]+ MB free; the one that was there is kept"
        ),
    ):
        with new_folder(tmp_path / "d", overwrite=True) as scratch:
            (scratch / "part").write_bytes(bytes(2_000_000))
            raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "old"]


def test_no_room_for_the_cache_is_told_and_videos_are_decoded_when_they_are_needed(
    small_dives, tmp_path, monkeypatch
):
    shutil.copytree(small_dives.folder, tmp_path / "dives", ignore=shutil.ignore_patterns("cache"))
    table, usage = SampleTable.load(tmp_path / "dives"), shutil.disk_usage(tmp_path)
    expected = VideoClips(small_dives, named("smoke"), progress=False).read([3, 5])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.warns(UserWarning, match=r"decoded whenever .* MB needed, 0.0 MB free"):
        source = VideoClips(table, named("smoke"), progress=False)
    assert torch.equal(source.read([3, 5]), expected)
    assert not (tmp_path / "dives" / "cache").exists()


def test_on_a_small_file_system_checkpoints_and_the_cache_meet_its_end_in_words(killed):
    found, said, _ = killed("fill_disk")
    if not found:
        pytest.skip(
            "this user may not mount a small file system; the tests above let writes fail in its"
            " place"
        )
    assert (found["alone"], found["cache"], found["full"], found["room again"]) == (
        0,
        0,
        1,
        0,
    ) and found["equal"]
    assert found["epoch"] == 0 and found["left"] == [
        "best.safetensors",
        "environment.json",
        "history.csv",
        "last.pt",
        "recipe.json",
    ]
    assert re.search(r"decoded whenever .* MB needed, 0.2 MB free", said)
    assert re.search(
        r"NoSpaceError: \S+/last.pt: the disk .* is full: [\d.]+ MB needed, 0.1 MB free; the one"
        r" that was there is kept",
        said,
    )


# Ctrl-C


@pytest.mark.skipif(
    os.name != "posix", reason="sends SIGINT, which Windows has no way to send to one process"
)
def test_ctrl_c_in_a_training_is_one_line(killed):
    found, said, _ = killed("interrupt_training")
    assert (
        found == 130
        and said.splitlines()[-1] == "interrupted; the same command goes on from what is finished"
    )
    assert "Traceback" not in said


def test_ctrl_c_while_the_command_line_still_imports_is_one_line(tmp_path):
    (tmp_path / "click.py").write_text(
        "raise KeyboardInterrupt\n"
    )  # as when the key is pressed at that moment
    environment = ENVIRONMENT | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    }
    done = subprocess.run(
        [sys.executable, "-m", "corelib", "--help"], capture_output=True, text=True, env=environment
    )
    assert (
        done.returncode != 0
        and done.stderr == "\ninterrupted; the same command goes on from what is finished\n"
    )


def both_draw(videos) -> bool:
    """Whether a dive is still missing before one that is there: neither of two processes, which
    draw eight in a row each, is still importing, which no handler covers."""
    drawn = {int(path.stem.rpartition("-")[2]) for path in videos}
    return bool(drawn) and len(drawn) <= max(drawn) - min(drawn)


@pytest.mark.skipif(os.name != "posix", reason="sends signals to a group of processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL] if os.name == "posix" else [])
def test_dives_that_are_no_longer_wanted_end_with_all_their_processes(tmp_path, number):
    command = [sys.executable, "data_scripts/make_dives.py", "--out", tmp_path / "dives"]
    command += "--workers 2 --train 3000 --frames 8 --size 32".split()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(
        command, env=ENVIRONMENT, cwd=Path(__file__).parents[2], start_new_session=True, **pipes
    )
    while not both_draw(tmp_path.glob(".dives.*/videos/*.mp4")):
        assert process.poll() is None
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.kill()
    said, _ = process.communicate(timeout=60)  # returns when the last process has closed its output
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert (
            process.returncode == 130
            and said.splitlines()[-1].startswith("interrupted; ")
            and list(tmp_path.iterdir()) == []
        )
    with pytest.raises(DatasetError, match="no dataset.json"):
        SampleTable.load(tmp_path / "dives")
