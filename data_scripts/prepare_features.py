"""Turn precomputed features (Fis-V, Rhythmic Gymnastics, as GDLT released them) into a prepared dataset.

One .npy file [T, D] a video; train.txt and test.txt with rows `id TES PCS deductions`, no header.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.commands import Command, Place
from corelib.data.contract import is_folder_name
from corelib.data.features import average_steps, write_bank
from corelib.data.samples import DatasetError, new_dataset, write_table
from corelib.messages import one_line

COLUMNS = ("TES", "PCS", "deductions")


def prepare_features(features: Path, labels: Path, out: Path, *, score: str, name: str, title: str, source: str,
                     licence: str, citation: str, steps: int = 32, overwrite: bool = False) -> Path:  # fmt: skip
    """Write the prepared dataset `out`; its score is the column `score` (TES or PCS) of the label files.

    features  folder of <id>.npy, float [T, D], T may differ
    labels    folder with train.txt and test.txt
    steps     every video's features are averaged to this many time steps

    Raises DatasetError that lists every label row and feature file that is wrong.
    """
    if score not in COLUMNS:
        raise DatasetError(f"the score column is one of {', '.join(COLUMNS)}, not {score!r}")
    rows, problems = [], []
    for split in ("train", "test"):
        found, wrong = _read_labels(labels / f"{split}.txt", split)
        rows += found
        problems += wrong
    banks = []
    for row in tqdm(rows, desc="features", disable=None):
        path = features / f"{row['id']}.npy"
        try:
            video = np.load(path, mmap_mode="r", allow_pickle=False)  # no memory is taken for what a header states
            if not isinstance(video, np.ndarray) or not np.issubdtype(video.dtype, np.floating):
                raise ValueError(f"expected floating-point numbers, found {getattr(video, 'dtype', 'an archive')}")
            if video.ndim != 2 or len(video) == 0 or (banks and video.shape[1] != banks[0].shape[1]):
                raise ValueError(f"expected [T, {banks[0].shape[1] if banks else 'D'}], found {list(video.shape)}")
            if not np.isfinite(video).all():
                raise ValueError("holds values that are not finite")
            banks.append(average_steps(video, steps).astype(np.float16))
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            problems.append(f"{path}: {one_line(error)}")
    if problems:
        raise DatasetError(f"{len(problems)} problem(s):\n  " + "\n  ".join(problems))
    samples = pd.DataFrame(rows)
    samples.insert(2, "score", samples[score])
    samples.insert(3, "media", samples["id"])
    values = samples["score"]
    info = {
        "name": name, "title": title, "source": source, "licence": licence, "citation": citation,
        "score_range": [min(0.0, float(np.floor(values.min()))), float(np.ceil(values.max()))], "protocol": "fixed",
        "pairing_key": None, "divided_by_difficulty": False, "frame_rate": None, "frame_size": None, "left_out": [],
        "score_column": score, "steps": steps,
    }  # fmt: skip
    with new_dataset(out, overwrite=overwrite) as folder:
        write_bank(folder / "features.safetensors", np.stack(banks), samples["id"].tolist())
        write_table(folder, info, samples)
    return out


def _read_labels(path: Path, split: str) -> tuple[list[dict], list[str]]:
    if not path.is_file():
        return [], [f"{path}: no such file; it should hold one row a video: id TES PCS deductions"]
    rows, problems = [], []
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", errors="replace").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            if not is_folder_name(parts[0]):
                raise ValueError("the id names a file")
            values = dict(zip(COLUMNS, map(float, parts[1:]), strict=True))
            rows.append({"id": parts[0], "split": split, **values})
        except ValueError:
            problems.append(f"{path} line {number}: expected `id TES PCS deductions`, found {one_line(repr(line))}")
    return rows, problems


@click.command(cls=Command, help=__doc__.splitlines()[0])
@click.option("--features", required=True, type=Place(exists=True, file_okay=False, path_type=Path), help="Folder of .npy files.")
@click.option("--labels", type=Place(exists=True, file_okay=False, path_type=Path), help="Folder of train.txt and test.txt [default: the one above --features]")
@click.option("--score", required=True, type=click.Choice(COLUMNS, case_sensitive=False), help="Which score to learn.")
@click.option("--out", required=True, type=Place(path_type=Path))
@click.option("--steps", type=click.IntRange(1, 10**5), default=32, show_default=True)
@click.option("--name", default=None, help="[default: fisv-<score>]")
@click.option("--title", default=None)
@click.option("--source", default="Fis-V: Video-Swin features released with GDLT (CVPR 2022)", show_default=True)
@click.option("--licence", default="no licence file; ask the data set's authors", show_default=True)
@click.option("--citation", default="Xu et al., Learning to Score Figure Skating Sport Videos (2019); Xu et al., Likert Scoring With Grade Decoupling (CVPR 2022)")
@click.option("--overwrite", is_flag=True)
def main(features, labels, score, out, steps, name, title, source, licence, citation, overwrite):
    prepare_features(
        features, labels or features.parent, out, score=score, name=name or f"fisv-{score.lower()}",
        title=title or f"Fis-V, {score}", source=source, licence=licence, citation=citation, steps=steps,
        overwrite=overwrite,
    )  # fmt: skip
    click.echo(f"{out}: written")


if __name__ == "__main__":
    main()
