"""The hidden dives of a challenge: drawn by its secret, filmed, and named so that nothing tells."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.data.video import write_video
from corelib.machine.files import new_folder
from corelib.machine.messages import list_ids, one_line
from data_scripts.challenges.secret import ChallengeError, derive, find_or_draw_secret, keep_truth
from data_scripts.dives.camera import render_dive
from data_scripts.dives.dataset import DiveSet
from data_scripts.dives.judges import Dive, draw_dive
from data_scripts.dives.motion import CLIP_SECONDS

ID = r"dive-[0-9a-f]{12}"  # no number, which a spreadsheet would write otherwise
MOMENT = 1577836800  # when all files were changed, 1 January 2020: an order would say something
README = """# Score these dives

{dives} dives that nobody has seen: `videos/ID.mp4`, {frames} frames of {size} x {size} pixels each.
`dives.csv` names each dive's id, its number (`group`) and its difficulty, as they are announced at
a competition. What the dives were given for it is known to your lecturer alone.

Train a run as you like, by the rules of your class, and score them all with it:

    python -m data_scripts.challenge hand-in RUN --challenge FOLDER --out YOUR-NAME.csv

The file has a row for each dive: `id`, `score` (your prediction, already times the difficulty),
`low` and `high`. The true score should lie from low to high for nine dives in ten. A program of
your own may write it as well. Hand in the file; its name is your name in the ranking.

Ranked is by Spearman's rho, the agreement of two orders. Beside it stand R-l2 (how far the scores
are off), how many intervals hold the true score, and how wide they are: nine in ten, and narrow, is
good.
"""


def draw_dives(secret: bytes, count: int) -> dict[str, Dive]:
    """The dives of a secret by their ids, in the order of these; how many there are changes none.

    A dive's own 256 bits seed its generator, so that what is seen of one tells nothing of another.
    """
    drawn = {}
    for number in range(count):
        bits = int.from_bytes(derive(secret, f"dive {number}"), "big")
        name = f"dive-{derive(secret, f'id {number}').hex()[:12]}"
        drawn[name] = draw_dive(np.random.default_rng(bits))
    return dict(sorted(drawn.items()))


def make_challenge(
    out: Path, secret_file: Path, *, dives: int, frames: int, size: int, overwrite: bool = False
) -> None:
    """Write a folder of hidden dives to hand out, and their true scores beside the secret.

    out          gets README.md, dives.csv (id, group, difficulty) and videos/ID.mp4
    secret_file  is read, or made with a new secret; it may not lie in `out`
    frames, size of each video; size in pixels, square and even
    The same secret makes the same dives. Raises ChallengeError for a secret that cannot be used,
    DatasetError for sizes that cannot be, FileExistsError where `out` exists, unless `overwrite`.
    """
    DiveSet(train=dives, val=0, test=0, frames=frames, size=size)
    if secret_file.resolve().is_relative_to(out.resolve()):
        raise ChallengeError(f"{secret_file}: a secret in the folder that is handed out is none")
    with new_folder(out, overwrite=overwrite, doing="makes") as scratch:
        secret = find_or_draw_secret(secret_file)
        drawn = draw_dives(secret, dives)
        known = [(name, dive.number, dive.difficulty) for name, dive in drawn.items()]
        table = pd.DataFrame(known, columns=["id", "group", "difficulty"])
        content = table.to_csv(index=False, lineterminator="\n").encode()
        scores = {name: dive.score for name, dive in drawn.items()}
        keep_truth(secret_file, secret, scores, content)
        (scratch / "dives.csv").write_bytes(content)
        told = README.format(dives=dives, frames=frames, size=size)
        (scratch / "README.md").write_bytes(told.encode())
        (scratch / "videos").mkdir()
        for name, dive in tqdm(drawn.items(), desc="dives", unit="dive"):
            pictures = render_dive(dive, frames=frames, size=size)
            write_video(video_file(scratch, name), pictures, frames / CLIP_SECONDS)
        for path in (*scratch.rglob("*"), scratch):
            os.utime(path, (MOMENT, MOMENT))


def video_file(folder: Path, name: str) -> Path:
    return folder / "videos" / f"{name}.mp4"


def read_dives(folder: Path) -> tuple[pd.DataFrame, bytes]:
    """A challenge's dives.csv as a table (id, group, difficulty), and its bytes.

    Raises ChallengeError for a folder that is no challenge.
    """
    path = folder / "dives.csv"
    if not path.is_file():
        raise ChallengeError(f"{folder}: no dives.csv here; name the folder of a challenge")
    try:
        table = pd.read_csv(path, dtype={"id": str, "group": str, "difficulty": float})
        wrong = table.loc[~table["id"].str.fullmatch(ID, na=False) | table["id"].duplicated(), "id"]
        table = table[["id", "group", "difficulty"]]
    except (ValueError, KeyError, AttributeError) as error:
        raise ChallengeError(
            f"{path}: no table of a challenge's dives: {one_line(error)}"
        ) from None
    if len(wrong) or table.empty:
        listed = one_line(list_ids(wrong) or "no row")
        raise ChallengeError(f"{path}: no table of a challenge's dives: {listed}")
    return table, path.read_bytes()
