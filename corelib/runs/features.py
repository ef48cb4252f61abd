"""A dataset of videos in, a dataset of a frozen encoder's features out.

Every video is encoded once; what is trained on the features learns in minutes. What was encoded
before a kill is kept, block by block, in a hidden folder beside the new dataset.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.clips import VideoClips
from corelib.data.loading import say
from corelib.data.rows import BANK
from corelib.data.samples import SampleTable, new_dataset, write_table
from corelib.data.video import count_frames, read_video
from corelib.evaluation import videos_at_once
from corelib.i3d import SnippetEncoder
from corelib.machine.devices import pick_device, pick_precision, weights_type
from corelib.machine.digests import digest
from corelib.machine.files import json_text, new_file, only_one, remove_unfinished, write_atomically
from corelib.models import build_encoder
from corelib.recipe import Recipe, named

BLOCK = 16  # videos encoded together into one file: what a kill can cost


@dataclass(frozen=True)
class Frozen:
    """An encoder that learns no more: how it looks at videos, and what dataset.json says of it."""

    encoder: SnippetEncoder
    source: VideoClips  # of the dataset that is encoded
    origin: dict


def frozen_weights(
    table: SampleTable,
    weights: str | Path,
    *,
    snippets: tuple[int, int] = (10, 16),
    frames: int | None = None,
    size: int = 224,
) -> Frozen:
    """I3D at full width with a file's weights (see data.weights), "" for random ones.

    snippets  (how many, frames in each), evenly spread over a clip
    frames    of a clip, spread evenly over the sample; None: as many as the first sample has, at
              most 103, and at least one snippet's
    size      pixels: the shorter side is resized to it, and the square in the middle cut out

    Raises WeightsError for a file that does not fit, RecipeError for a clip that cannot be cut so.
    """
    count, length = snippets
    first, start, end = table.root / table.samples["media"][0], 0, None
    if "start" in table.samples and table.samples["start"].notna()[0]:
        start, end = (int(table.samples[side][0]) for side in ("start", "end"))
    if frames is None:
        frames = max(min(103, (end or count_frames(first)) - start), length)
    H, W = read_video(first, np.array([start])).shape[1:3]
    shape = [round(side * size / min(H, W)) for side in (H, W)]
    starts = np.linspace(0, max(frames - length, 0), count).round().astype(int).tolist()
    clip = {"frames": frames, "resize": None if shape == [H, W] else shape, "crop": size}
    cut = {"snippet_length": length, "snippet_starts": starts, "temporal_shift": 0}
    recipe = named("gpu", **clip, **cut, weights=str(weights))
    encoder = build_encoder(recipe.replace(encoder="frozen"), None).i3d
    named_so = Path(weights).name if weights else "random numbers, seed 0"
    origin = _origin(table, recipe, named_so, digest(encoder.state_dict()))
    return Frozen(encoder, VideoClips(table, recipe, cache=False), origin)


def frozen_run(run) -> Frozen:
    """The encoder of a run (runs.run.Run), which looks at run.table's videos as in its training."""
    return frozen_in(run.model, run.table, run.recipe, run.source, run.folder.name)


def frozen_in(model, table: SampleTable, recipe: Recipe, source: VideoClips, name: str) -> Frozen:
    """The I3D of a model, called `name`, on the videos of a table as `source` reads them."""
    i3d = model.encoder.i3d if recipe.encoder == "frozen" else model.encoder
    return Frozen(i3d, source, _origin(table, recipe, name, digest(i3d.state_dict())))


class FrozenInputs(FeatureSteps):
    """The inputs of a model whose I3D is frozen: the features of every video, encoded once.

    table  those features; clips: the videos, of which a new one's frames become snippets
    """

    def __init__(self, table: SampleTable, clips: VideoClips):
        super().__init__(table)
        self.clips, self.item_shape = clips, clips.item_shape

    def to_inputs(self, raw, generator=None, place: int = 0) -> torch.Tensor:
        return raw if raw.ndim == 3 else self.clips.to_inputs(raw)


def frozen_inputs(
    model, table: SampleTable, recipe: Recipe, source: VideoClips, device, **reading
) -> FrozenInputs:
    """Encode every video that was not yet, and keep the features in the dataset's folder `cache`.

    reading  workers and progress, as write_features takes them
    """
    frozen = frozen_in(model, table, recipe, source, Path(recipe.weights).name)
    key = hashlib.sha256(json_text([frozen.origin, recipe.precision]).encode()).hexdigest()[:8]
    how = {"device": device, "precision": recipe.precision, **reading}
    bank = write_features(table, frozen, table.folder / "cache" / f"features-{key}", **how)
    return FrozenInputs(bank, source)


def _origin(table: SampleTable, recipe: Recipe, encoder: str, sha256: str) -> dict:
    """What of a video the features tell; features of another origin are other features."""
    knobs = ("frames", "frame_choice", "resize", "crop", "snippet_length", "snippet_starts")
    looks = {knob: recipe.to_dict()[knob] for knob in (*knobs, "normalisation", "batchnorm_eps")}
    return {
        "derived_from": table.name,
        "dataset_sha256": table.sha256,
        "encoder": encoder,
        "encoder_sha256": sha256,
        "encoded": looks | {"width": recipe.width},
    }


def write_features(
    table: SampleTable,
    frozen: Frozen,
    out: str | Path,
    *,
    averaged: bool = False,
    device: str | torch.device = "auto",
    precision: str = "auto",
    workers: int = 0,
    progress: bool = False,
) -> SampleTable:
    """Encode every video of a dataset once and write the features [N, S, D] to `out`.

    averaged   over the S snippets, as the models that train an encoder take them: [N, 1, D]
    precision  fp32, bf16 or auto, as devices.pick_precision says

    A dataset that is there is replaced where it was made from other weights, data or cuts. A call
    that follows a killed one goes on behind the last block it wrote.
    """
    out, device = Path(out), pick_device(device)
    how = {"precision": pick_precision(precision, device), "averaged": averaged}
    origin = frozen.origin | {"encoded": frozen.origin["encoded"] | how}
    if (out / "dataset.json").is_file():
        there = SampleTable.load(out)
        if all(there.info.get(key) == value for key, value in origin.items()):
            return there
    blocks = out.with_name(f".{out.name}.features")
    with only_one(blocks, "encodes", wait=True):
        _open(blocks, origin)
        dtype = weights_type(how["precision"])
        reading = {"device": device, "dtype": dtype, "workers": workers, "progress": progress}
        _encode(frozen.source, frozen.encoder.to(device).lean(dtype), blocks, reading)
        paths = sorted(blocks.glob("*.npy"))
        features = np.concatenate([np.load(path, allow_pickle=False) for path in paths])
        if averaged:
            features = features.mean(axis=1, keepdims=True)
        info = {key: value for key, value in table.info.items() if key != "raw_root"} | origin
        info["feature_size"] = list(features.shape[1:])  # [S, D]
        with new_dataset(out, overwrite=True) as folder:
            ids = table.samples["id"].tolist()
            write_bank(folder / BANK, features, ids)
            write_table(folder, info | {"name": out.name}, table.samples.assign(media=ids))
        shutil.rmtree(blocks)
    return SampleTable.load(out)


def _open(blocks: Path, origin: dict) -> None:
    """The folder of blocks, without those of another origin."""
    key, text = blocks / "origin.json", json_text(origin)
    if not key.is_file() or json.loads(key.read_text(encoding="utf-8")) != json.loads(text):
        shutil.rmtree(blocks, ignore_errors=True)
        blocks.mkdir(parents=True)
        write_atomically(key, text)
    remove_unfinished(blocks)


@torch.no_grad()
def _encode(source: VideoClips, encoder: SnippetEncoder, blocks: Path, how: dict) -> None:
    """Write the blocks that are not there yet, [n, S, D] float32 each."""
    every = range(len(source))
    rows = {blocks / f"{at:07}.npy": every[at : at + BLOCK] for at in every[::BLOCK]}
    wanted = {path: part for path, part in rows.items() if not path.is_file()}
    step = videos_at_once(source, 0, most=BLOCK) if wanted else 1
    parts = [part[at : at + step] for part in wanted.values() for at in range(0, len(part), step)]
    raws = source.batches(parts, workers=how["workers"], device=how["device"])
    first = done = len(every) - sum(map(len, parts))
    shown = {"desc": "encoding", "unit": "video"}
    started = told = time.monotonic()
    with tqdm(total=len(every), initial=done, disable=not how["progress"] or None, **shown) as bar:
        for path, part in wanted.items():
            features = []
            while sum(map(len, features)) < len(part):
                snippets = source.to_inputs(next(raws)).to(how["dtype"])  # [B, S, 3, L, H, W]
                features.append(encoder.each(snippets).float().cpu().numpy())  # [B, S, D]
                bar.update(len(snippets))
            with new_file(path) as scratch:
                np.save(scratch, np.concatenate(features))
            done += len(part)
            if how["progress"] and bar.disable and time.monotonic() > told + 60:  # a log: no bar
                told = time.monotonic()
                pace = (time.monotonic() - started) / (done - first)
                left = (len(every) - done) * pace / 60
                say(f"encoded {done} of {len(every)} videos, about {left:.1f} min left")
