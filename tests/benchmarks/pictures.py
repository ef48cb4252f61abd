"""The picture that each notebook opens with, taken from a course that was executed at laptop.

    python -m corelib course run
    python tests/benchmarks/pictures.py [RUN] [--out notebooks/pictures]

Look at what it wrote before you commit it, and at the sentence below the picture. Those committed
first show, from 06 on, smaller models than laptop's: 06 to 08 and 11 that of notebook 00.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import click
import nbformat
from PIL import Image

CELLS = {  # of each notebook, the cell whose figure it opens with
    "00_start_here": "nb00-11",
    "01_data": "nb01-15",
    "02_clips": "nb02-07",
    "03_i3d": "nb03-05",
    "04_baseline": "nb04-14",
    "05_pairs": "nb05-07",
    "06_tree": "nb06-22",
    "07_train": "nb07-12",
    "08_evaluate": "nb08-06",
    "08b_why_this_score": "nb08-41",
    "09_ablations": "nb09-22",
    "10_real_judges": "nb10-34",
    "11_your_videos": "nb11-19",
}
WIDTH = 1000  # pixels at most


@click.command()
@click.argument("run", default="runs/course/laptop", type=click.Path(exists=True, path_type=Path))
@click.option("--out", default="notebooks/pictures", type=click.Path(path_type=Path))
def main(run: Path, out: Path) -> None:
    """Take the pictures of the notebooks that lie executed in RUN."""
    for name, wanted in CELLS.items():
        if not (run / f"{name}.ipynb").is_file():
            click.echo(f"{name}: not executed in {run}, its picture stays")
            continue
        cells = nbformat.read(run / f"{name}.ipynb", as_version=4).cells
        outputs = next(cell.outputs for cell in cells if cell.id == wanted)
        data = next(
            found.data["image/png"] for found in outputs if "image/png" in found.get("data", {})
        )
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        path = out / f"{name}.png"
        picture.quantize(256).save(path, optimize=True)  # a third of the bytes
        click.echo(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
