"""From videos to batches of clips: which frames, what size, augmentation, normalisation, snippets.

Shapes: video [T, H, W, 3] uint8 -> clip [B, 3, T, H, W] float -> snippets [B, S, 3, L, H, W].
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms
from tqdm.auto import tqdm

from corelib.data.loading import Inputs
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, count_frames, read_video
from corelib.files import FULL, new_file, only_one, remove_unfinished

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CACHE_LIMIT = 4 * 2**30  # bytes; larger sets of clips are decoded as they are needed


def frame_numbers(start: int, end: int, available: int, *, frames: int, choice: str, margin: int = 0) -> np.ndarray:
    """Which frames of a video make a clip, [frames + 2 margin] frame numbers.

    start, end  the sample's range, end exclusive; available: frames in the file
    choice      "resample": spread evenly over the whole range, first and last frame included;
                "last": the `frames` frames before `end`, whatever the start (the paper)
    margin      further frames on either side, for temporal shifts

    Numbers that would leave the range ("last": the file) are held at its border.
    """
    steps = np.arange(-margin, frames + margin)
    if choice == "last":
        return np.clip(end - frames + steps, 0, available - 1)
    span = (end - 1 - start) / max(frames - 1, 1)
    return np.clip(np.rint(start + span * steps), start, end - 1).astype(int)


def resize_video(video: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """video [T, H, W, 3] uint8 -> [T, h, w, 3] uint8, size = (h, w), antialiased; None keeps it."""
    if size is None or video.shape[1:3] == tuple(size):
        return video
    frames = torch.from_numpy(video).permute(0, 3, 1, 2)
    return transforms.resize(frames, list(size), antialias=True).permute(0, 2, 3, 1).contiguous().numpy()


def augment(
    clips: Tensor, *, frames: int, crop: int, shift: int = 0, flip: bool = False, generator: torch.Generator | None = None, place: int = 0
) -> Tensor:
    """Cut a clip out of stored frames: uint8 [B, T + 2 margin, H, W, 3] -> uint8 [B, T, crop, crop, 3].

    With a generator every video gets its own temporal shift of -shift .. shift frames, random crop
    and, if `flip`, a horizontal flip with probability 1/2, one draw for all its frames. Without one
    the cut is central in space and time: what evaluation uses.
    place  of the first of these videos in its batch: a process that holds a part of a batch passes over
           the draws of the videos before, and so draws what one process would
    """
    B, stored, H, W = clips.shape[:4]
    if crop > min(H, W):
        raise ValueError(f"a crop of {crop} pixels does not fit into frames of {H} x {W}; set a smaller crop or resize")
    margin = (stored - frames) // 2
    result = clips.new_empty(B, frames, crop, crop, clips.shape[4])
    for _ in range(place if generator is not None else 0):
        torch.rand(4, generator=generator)
    for number, clip in enumerate(clips.movedim(4, 2)):  # torchvision wants [T, C, H, W]; all of this are views
        t, y, x, mirrored = margin, (H - crop) // 2, (W - crop) // 2, False
        if generator is not None:
            draw = torch.rand(4, generator=generator).tolist()
            reach = min(shift, margin)
            t = margin - reach + int(draw[0] * (2 * reach + 1))
            y, x = int(draw[1] * (H - crop + 1)), int(draw[2] * (W - crop + 1))
            mirrored = flip and draw[3] < 0.5
        clip = transforms.crop(clip[t : t + frames], y, x, crop, crop)
        result[number] = (transforms.horizontal_flip(clip) if mirrored else clip).movedim(1, 3)
    return result


def normalise(clips: Tensor, kind: str = "kinetics") -> Tensor:
    """uint8 [B, T, H, W, 3] -> float [B, 3, T, H, W]; "kinetics": [-1, 1], what the public I3D weights
    expect; "imagenet": channel mean and deviation, what the released CoRe does."""
    x = clips.movedim(4, 1).float()
    if kind == "kinetics":
        return x.div_(127.5).sub_(1)
    mean, deviation = (torch.tensor(v, device=x.device).view(1, 3, 1, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return x.div_(255).sub_(mean).div_(deviation)


def cut_snippets(clip: Tensor, starts: tuple[int, ...], length: int) -> Tensor:
    """clip [B, 3, T, H, W] -> snippets [B, S, 3, length, H, W], snippet s from frame starts[s] on."""
    if max(starts) + length > clip.shape[2]:
        raise ValueError(f"a snippet of {length} frames from {max(starts)} on does not fit into {clip.shape[2]} frames")
    return torch.stack([clip[:, :, start : start + length] for start in starts], dim=1)


class VideoClips(Inputs):
    """The videos of a prepared dataset as model inputs: item `row` is uint8 [T + 2 margin, H, W, 3].

    Decoded and resized frames are kept in one memory-mapped file in the dataset's folder, made at
    first use, whenever they take less than CACHE_LIMIT bytes; its name depends on all that shapes it. Of several
    processes one makes it, and the others wait.
    """

    def __init__(self, table: SampleTable, recipe, *, cache: bool | None = None, progress: bool = True):
        self.table, self.recipe = table, recipe
        self.margin = recipe.temporal_shift
        samples = table.samples
        self.media = [table.root / media for media in samples["media"]]
        blank = [None] * len(samples)
        self.start = samples["start"].tolist() if "start" in samples else blank
        self.end = samples["end"].tolist() if "end" in samples else blank
        first = self._decode(0)
        size = first.nbytes * len(samples)
        self.frames = self._cached(first, progress) if (size <= CACHE_LIMIT if cache is None else cache) else None

    def __len__(self) -> int:
        return len(self.media)

    def __getitem__(self, row: int) -> Tensor:
        video = self._decode(int(row)) if self.frames is None else np.array(self.frames[int(row)])
        return torch.from_numpy(video)

    def read(self, rows: Sequence[int]) -> Tensor:
        return super().read(rows) if self.frames is None else torch.from_numpy(self.frames[np.asarray(rows)])

    def to_inputs(self, raw: Tensor, generator: torch.Generator | None = None, place: int = 0) -> Tensor:
        """uint8 [B, T + 2 margin, H, W, 3] -> snippets [B, S, 3, L, crop, crop]; augmented if a generator is given
        (place: as `augment` takes it)."""
        r = self.recipe
        cut = {"frames": r.frames, "crop": r.crop, "shift": r.temporal_shift, "flip": r.flip}
        clips = augment(raw, **cut, generator=generator, place=place)  # [B, T, crop, crop, 3]
        # Snippets are cut while a number is a byte, and their channels stay last in memory, as the encoder wants them.
        bytes_ = torch.stack([clips[:, s : s + r.snippet_length] for s in r.snippet_starts], dim=1).flatten(0, 1)
        return normalise(bytes_, r.normalisation).unflatten(0, (len(raw), -1))

    def __getstate__(self) -> dict:
        """Without the frames in the cache: a copy in another process maps the file itself."""
        return super().__getstate__() | {"frames": None if self.frames is None else Path(self.frames.filename)}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state | {"frames": None if state["frames"] is None else np.load(state["frames"], mmap_mode="r", allow_pickle=False)}

    def _decode(self, row: int, threads: int | None = None) -> np.ndarray:
        part = {"start": self.start[row], "end": self.end[row], "margin": self.margin}
        return load_clip(self.media[row], self.recipe, **part, threads=threads)

    def _cached(self, first: np.ndarray, progress: bool) -> np.ndarray | None:
        """The decoded frames of all videos, mapped from the cache; None where it cannot be written: a full disk, a folder to read only."""
        shape = (len(self.media), *first.shape)
        path = self.table.folder / "cache" / f"{self._digest(shape)}.npy"
        if (frames := _map_frames(path, shape)) is not None:
            return frames
        try:
            with only_one(path.parent, "decodes videos into", wait=True):
                if (frames := _map_frames(path, shape)) is not None:  # the process that was waited for has made it
                    return frames
                path.parent.mkdir(exist_ok=True)
                remove_unfinished(path.parent)
                with new_file(path, size=math.prod(shape)) as scratch:
                    store = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=shape)
                    _take_room(scratch)
                    self._fill(store, progress)
                    store.flush()
                    del store  # Windows renames no file that is mapped
        except OSError as error:
            warnings.warn(f"no cache of decoded videos, so they are decoded whenever they are needed, which is slower: {error}", stacklevel=2)
            return None
        return _map_frames(path, shape)

    def _fill(self, store: np.ndarray, progress: bool) -> None:
        problems = []

        def one(row: int) -> None:
            try:
                video = self._decode(row, threads=1)  # videos are decoded side by side already
                if video.shape != store.shape[1:]:
                    raise VideoError(f"{self.media[row]}: frames of {video.shape[1:3]}, others have {store.shape[2:4]}; set resize")  # fmt: skip
                store[row] = video
            except VideoError as error:
                problems.append(f"id {self.table.samples['id'][row]}: {error}")

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # PyAV and torchvision decode outside Python's lock
            total = f"decoding {len(store)} videos ({store.nbytes / 1e6:.0f} MB)"
            list(tqdm(pool.map(one, range(len(store))), total=len(store), desc=total, disable=not progress or None))
        if problems:
            raise DatasetError(f"{self.table.folder}: {len(problems)} video(s) cannot be read:\n  " + "\n  ".join(sorted(problems)))  # fmt: skip

    def _digest(self, shape: tuple) -> str:
        r = self.recipe
        parts = [self.table.sha256, str(shape), str((r.frames, r.frame_choice, r.resize, self.margin))]
        parts += [f"{p.stat().st_size},{p.stat().st_mtime_ns}" for p in self.media]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _map_frames(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The frames in a cache file; None where there is none, or a part of one, as a copy that was cut off leaves it."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return frames if frames.shape == shape else None


def _take_room(path: Path) -> None:
    """Raise OSError now where the disk has no room for a file that is to be filled through a map: later, a full disk
    would end the process without a word."""
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:  # some file systems cannot promise room
            if error.errno in FULL:
                raise


def load_clip(
    path: str | Path, recipe, *, start: int | None = None, end: int | None = None, margin: int = 0, threads: int | None = None
) -> np.ndarray:
    """Decode the frames a recipe takes of one video or folder of frames: uint8 [T + 2 margin, H, W, 3].

    threads  as read_video takes them
    """
    available = count_frames(path)
    end = available if end is None or end is pd.NA else int(end)
    start = 0 if start is None or start is pd.NA else int(start)
    if available == 0 or end > available:
        raise VideoError(f"{path}: has {available} frames, the sample ends at {end}")
    numbers = frame_numbers(start, end, available, frames=recipe.frames, choice=recipe.frame_choice, margin=margin)
    return resize_video(read_video(path, numbers, threads=threads), recipe.resize)
