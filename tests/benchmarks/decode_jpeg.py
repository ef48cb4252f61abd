"""Frames a second from folders of 455x256 JPEG frames: PIL one by one, and the kit with threads.

Writes clips of 103 procedural frames (grain of all sizes, quality 90, about 40 KB a frame), reads
each of them in every way, round after round, and prints the median rate; what counts is the ratio
to PIL. The kit always gives a clip's frames as one array, so PIL is measured with and without
putting them into one.

    python tests/benchmarks/decode_jpeg.py [--clips 8] [--cores 2] [--rounds 5]
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
import PIL
import torch
import torchvision
from PIL import Image

from corelib.data.clips import VideoClips
from corelib.data.samples import SampleTable, write_table
from corelib.data.video import read_video
from corelib.recipe import named

FRAMES, HEIGHT, WIDTH = 103, 256, 455
CARD = {
    "name": "grain",
    "title": "Procedural grain",
    "source": "tests/benchmarks/decode_jpeg.py",
    "licence": "none needed",
    "citation": "none",
    "score_range": [0, 1],
    "protocol": "fixed",
    "pairing_key": None,
    "divided_by_difficulty": False,
    "frame_rate": None,
    "frame_size": [HEIGHT, WIDTH],
    "left_out": [],
}


def grain(seed: int) -> np.ndarray:
    """A picture with detail at every scale, as a crowd or water has it: uint8 [HEIGHT, WIDTH,
    3]."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 128.0)
    for size in (1, 2, 4, 8, 16, 32, 64):
        coarse = rng.normal(0, 4 * size**0.5, (HEIGHT // size + 1, WIDTH // size + 1, 3))
        picture += coarse.repeat(size, 0).repeat(size, 1)[:HEIGHT, :WIDTH]
    return picture.clip(0, 255).astype(np.uint8)


def write_clips(root: Path, count: int) -> SampleTable:
    """A prepared dataset of `count` folders of FRAMES frames each; the picture moves by two pixels
    a frame."""
    for clip in range(count):
        (root / str(clip)).mkdir()
        picture = grain(clip)
        for number in range(FRAMES):
            Image.fromarray(np.roll(picture, 2 * number, axis=1)).save(
                root / str(clip) / f"{number:05d}.jpg", quality=90
            )
    media = [str(clip) for clip in range(count)]
    write_table(
        root, CARD, pd.DataFrame({"id": media, "split": "train", "score": 0.5, "media": media})
    )
    return SampleTable.load(root)


def pil_frames(folder: Path) -> Iterator[np.ndarray]:
    for file in sorted(folder.iterdir()):
        with Image.open(file) as image:
            yield np.asarray(image.convert("RGB"))


def with_pil(table: SampleTable, stacked: bool) -> None:
    for media in table.samples["media"]:
        if stacked:
            np.stack(list(pil_frames(table.root / media)))
        else:
            for _ in pil_frames(table.root / media):
                pass


def in_one_process(table: SampleTable, threads: int) -> None:
    for media in table.samples["media"]:
        read_video(table.root / media, threads=threads)


def in_batches(clips: VideoClips, workers: int) -> None:
    for batch in clips.batches([[row] for row in range(len(clips))], workers=workers):
        assert batch.shape == (1, FRAMES, HEIGHT, WIDTH, 3)


@click.command(help=__doc__.splitlines()[0])
@click.option("--clips", "count", default=8, show_default=True, help="Folders of 103 frames.")
@click.option(
    "--cores", default=2, show_default=True, help="Threads, and cores this process may use."
)
@click.option("--rounds", default=5, show_default=True, help="Times that each way is measured.")
def main(count: int, cores: int, rounds: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    torch.set_num_threads(cores)
    ways = {
        "PIL one by one, frames let go": lambda table: with_pil(table, stacked=False),
        "PIL one by one, into a video": lambda table: with_pil(table, stacked=True),
        "read_video, 1 thread": lambda table: in_one_process(table, 1),
        f"read_video, {cores} threads": lambda table: in_one_process(table, cores),
        f"batches read ahead, {cores} workers": lambda table: in_batches(clips, cores),
    }
    seconds = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        table = write_clips(Path(folder), count)
        clips = VideoClips(
            table, named("paper", frames=FRAMES, temporal_shift=0, resize=None), cache=False
        )
        size = np.mean([file.stat().st_size for file in Path(folder).glob("*/*.jpg")])
        in_one_process(table, cores)  # imports, and the files into the page cache
        for _ in range(rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                way(table)
                seconds[name].append(time.perf_counter() - started)
    print(
        f"{count} clips of {FRAMES} frames, {WIDTH}x{HEIGHT}, {size / 1e3:.0f} KB a frame;"
        f" {platform.machine()}, {cores} cores, PIL {PIL.__version__}, torch {torch.__version__},"
        f" torchvision {torchvision.__version__}"
    )
    first = np.median(next(iter(seconds.values())))
    for name, taken in seconds.items():
        print(
            f"{name:32} {count * FRAMES / np.median(taken):7.0f} frames/s  "
            f" {first / np.median(taken):4.2f} x the first"
        )


if __name__ == "__main__":
    main()
