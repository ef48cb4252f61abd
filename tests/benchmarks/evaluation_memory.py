"""Host memory of an evaluation at MTL-AQA's full size: 103 frames of 455x256, full I3D, recipe
`paper`.

Evaluates so many dives, then twice as many, with random weights, and prints the process's peak
memory after each: what a longer evaluation adds is a feature of 1,024 numbers a video.

    python tests/benchmarks/evaluation_memory.py [--videos 4]
"""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from corelib.data.clips import VideoClips, resize_video
from corelib.data.samples import SampleTable, write_table
from corelib.data.video import read_video
from corelib.evaluation import evaluate
from corelib.models import build_model
from corelib.recipe import named
from corelib.task import Task, group_labels
from data_scripts.dives.dataset import make_dives


def full_size_dives(folder: Path, count: int) -> SampleTable:
    """`count` procedural dives as folders of 103 JPEG frames of 455x256, half of them for
    testing."""
    from PIL import Image

    dives = make_dives(
        folder / "dives", train=count - count // 2, val=0, test=count // 2, frames=103, size=128
    )
    for media in dives.samples["media"]:
        target = folder / "frames" / Path(media).stem
        target.mkdir(parents=True)
        for number, picture in enumerate(resize_video(read_video(dives.root / media), (256, 455))):
            Image.fromarray(picture).save(target / f"{number:05d}.jpg", quality=90)
    media = ["frames/" + Path(name).stem for name in dives.samples["media"]]
    write_table(folder, dives.info | {"frame_size": [256, 455]}, dives.samples.assign(media=media))
    return SampleTable.load(folder)


def peak_gb() -> float:
    """Peak resident memory of this process so far, in GB (ru_maxrss is in KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@click.command(help=__doc__.splitlines()[0])
@click.option(
    "--videos",
    default=4,
    show_default=True,
    help="Test dives in the first evaluation; the second has twice as many.",
)
def main(videos: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = full_size_dives(Path(folder), 4 * videos)
        recipe = named("paper", exemplars=2)
        source = VideoClips(
            table, recipe, cache=False
        )  # MTL-AQA exceeds the cache, so its frames are streamed
        targets, groups, train = (
            table.target(False),
            group_labels(table, recipe),
            table.rows("train"),
        )
        model = build_model(recipe, targets[train], groups[train])
        print(
            f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__};"
            f" before: {peak_gb():.2f} GB"
        )
        for count in (videos, 2 * videos):
            started = time.perf_counter()
            judged = evaluate(
                model,
                source,
                Task.of(table, recipe),
                queries=table.rows("test")[:count],
                pool=train,
                device=torch.device("cpu"),
                quick=True,
            )
            assert np.isfinite(judged.predictions["predicted"]).all()
            seconds = time.perf_counter() - started
            print(
                f"{count} test dives, {judged.summary['encoded']} videos encoded: peak"
                f" {peak_gb():.2f} GB, {seconds / judged.summary['encoded']:.1f} s a video"
            )


if __name__ == "__main__":
    main()
