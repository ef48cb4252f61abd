"""Mutated videos and frame folders, 500 each, through every public door: a clean error or a correct
result, and nothing else.

They are read in processes of their own (tests/mutated_media.py), so that a crash or a hang is told
with the file's number; the file can be made again from it.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutated_media import KINDS, SECONDS, write_images, write_videos

FILES = 500
PROGRAM = Path(__file__).parents[1] / "mutated_media.py"
MEGABYTES = 1000  # that reading mutated files may take beyond what reading sound ones took


def read_all(what: str, folder: Path) -> tuple[list[dict], list[str]]:
    """(what became of each file: number, kind, original, answers, megabytes; what ended a process,
    a line each)."""
    report, ended, first = folder / "report.jsonl", [], 0
    while first < FILES:
        command = [sys.executable, PROGRAM, what, folder / "originals", report, first, FILES]
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            cwd=PROGRAM.parents[1],
            timeout=SECONDS * 15,
        )
        lines = (
            [json.loads(line) for line in report.read_text().splitlines()]
            if report.exists()
            else []
        )
        if done.returncode == 0:
            break
        begun = [line for line in lines if "kind" in line]
        assert begun and begun[-1]["number"] >= first, done.stderr
        ended.append(f"{what} {begun[-1]}: exit {done.returncode}: {done.stderr.strip()[:500]}")
        first = begun[-1]["number"] + 1
    found: dict[int, dict] = {}
    for line in lines:
        found.setdefault(line["number"], {}).update(line)
    return [found[number] for number in sorted(found)], ended


@pytest.fixture(scope="module", params=["videos", "folders"])
def outcome(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "originals").mkdir()
    names = (write_videos if request.param == "videos" else write_images)(folder / "originals")
    return request.param, names, *read_all(request.param, folder)


def test_no_file_ends_the_process_that_reads_it(outcome):
    what, names, files, ended = outcome
    assert ended == []
    assert [file["number"] for file in files] == list(range(FILES))
    assert {"h264.mp4", "mpeg4.avi"} <= set(names) if what == "videos" else len(names) == 8


def test_every_answer_is_right_or_one_clean_line(outcome):
    _, _, files, _ = outcome
    wrong = {
        file["number"]: {
            door: told for door, told in file["answers"].items() if told not in ("right", "refused")
        }
        for file in files
    }
    assert {number: doors for number, doors in wrong.items() if doors} == {}


def test_no_file_takes_a_gigabyte(outcome):
    _, _, files, _ = outcome
    assert max(file["megabytes"] for file in files) < MEGABYTES


def test_every_kind_of_mutation_does_something(outcome):
    what, _, files, _ = outcome
    refused = Counter(file["kind"] for file in files if "refused" in file["answers"].values())
    assert Counter(file["kind"] for file in files) == {
        kind: FILES // len(KINDS) + (place < FILES % len(KINDS)) for place, kind in enumerate(KINDS)
    }
    assert all(refused[kind] > 15 for kind in KINDS), refused
    read = sum("right" in file["answers"].values() for file in files)
    assert read > 100, "a reader that refuses everything would pass all the rest"
