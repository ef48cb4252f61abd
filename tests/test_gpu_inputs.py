"""The inputs of the recipe `gpu` at full size: they begin with any number of workers and with
little shared memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from corelib.data.samples import write_table
from corelib.data.video import write_video
from tests.contract import card

READ = """
import shutil, sys, threading
import torch
from corelib.data.clips import VideoClips
from corelib.data.samples import SampleTable
from corelib.recipe import named
assert shutil.disk_usage("/dev/shm").total <= 64 * 2**20 or sys.argv[2] == "as it is"
table, recipe = SampleTable.load(sys.argv[1]), named("gpu")
for cache in (False, True):
    source = VideoClips(table, recipe, cache=cache, progress=False)
    for workers in (0, 1, 3, 16):
        raws = source.batches([[0, 1, 0, 1, 0, 1, 0, 1]] * 2, workers=workers)
        raw = next(raws)
        assert raw.shape == (8, 109, 256, 256, 3) and raw.nbytes > 2.5 * 64 * 2**20, raw.shape
        sums = raw.sum(dim=(1, 2, 3, 4))
        assert (sums[::2] == sums[0]).all() and (sums[1::2] == sums[1]).all() and sums[0] != sums[1]
        print(cache, workers, sums[:2].tolist(), flush=True)
        raws.close()
inputs = source.to_inputs(raw[:1], torch.Generator().manual_seed(0))
assert inputs.shape == (1, 10, 3, 16, 224, 224)
"""


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """Two videos of 103 frames of 256 x 256 pixels; little moves, as they are decoded often."""
    folder = tmp_path_factory.mktemp("full") / "d"
    folder.mkdir()
    for number in range(2):
        coarse = np.random.default_rng(number).integers(0, 256, (4, 16, 16, 3), np.uint8)
        frames = coarse.repeat(26, axis=0)[:103].repeat(16, axis=1).repeat(16, axis=2)
        write_video(folder / f"{number}.mp4", frames, 25)
    info = card("d", score_range=[0, 10], frame_rate=25, frame_size=[256, 256])
    write_table(
        folder,
        info,
        pd.DataFrame(
            {"id": ["a", "b"], "split": "train", "score": [1, 2], "media": ["0.mp4", "1.mp4"]}
        ),
    )
    return folder


def test_batches_larger_than_shared_memory_come_with_any_number_of_workers(full_size):
    read = [sys.executable, "-c", READ, str(full_size)]
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [*read, "as it is"]
    if sys.platform == "linux":
        limited = [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs -o size=64m none /dev/shm && exec "$@"',
            "sh",
        ]
        try:
            if subprocess.run([*limited, "true"], capture_output=True).returncode == 0:
                command = [*limited, *read, "64 MB"]
        except FileNotFoundError:  # no unshare: then with the shared memory that there is
            pass
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [
        [cache, workers] for cache in ("False", "True") for workers in ("0", "1", "3", "16")
    ]
    assert len({line[2] for line in lines}) == 1, "the same frames in every way"
