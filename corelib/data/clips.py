"""From videos to batches of clips: which frames, what size, augmentation, normalisation, snippets.

Shapes: video [T, H, W, 3] uint8 -> clip [B, 3, T, H, W] float -> snippets [B, S, 3, L, H, W].
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from corelib.data.cache import open_cache
from corelib.data.loading import Inputs, Reading
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, count_frames, frame_names, read_video
from corelib.machine.errors import KitError
from corelib.machine.installation import torchvision_part

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class CropError(KitError, ValueError):
    """A crop does not fit into the frames."""


def frame_numbers(
    start: int, end: int, available: int, *, frames: int, choice: str, margin: int = 0
) -> np.ndarray:
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
    transforms = torchvision_part("transforms.v2.functional")
    resized = transforms.resize(frames, list(size), antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous().numpy()


def refuse_crop(crop: int, H: int, W: int, where: str = "") -> None:
    """Raise CropError for a crop that is larger than frames of H x W pixels."""
    if crop > min(H, W):
        raise CropError(
            f"{where}a crop of {crop} pixels does not fit into frames of {H} x {W}; set a smaller"
            " crop or resize (--set resize=[height,width])"
        )


def augment(
    clips: Tensor,
    *,
    frames: int,
    crop: int,
    shift: int = 0,
    flip: bool = False,
    generator: torch.Generator | None = None,
    place: int = 0,
) -> Tensor:
    """Cut a clip out of stored frames: [B, T + 2 margin, H, W, 3] -> uint8 [B, T, crop, crop, 3].

    With a generator every video gets its own temporal shift of -shift .. shift frames, random crop
    and, if `flip`, a horizontal flip with probability 1/2, one draw for all its frames. Without one
    the cut is central in space and time: what evaluation uses.
    place  of the first of these videos in its batch: a process that holds a part of a batch passes
           over the draws of the videos before, and so draws what one process would
    """
    B, stored, H, W = clips.shape[:4]
    refuse_crop(crop, H, W)
    margin = (stored - frames) // 2
    result = clips.new_empty(B, frames, crop, crop, clips.shape[4])
    for _ in range(place if generator is not None else 0):
        torch.rand(4, generator=generator)
    for number, clip in enumerate(clips):  # [T + 2 margin, H, W, 3]
        # centred as torchvision does, and the released program: 115.5 rounds to the even 116
        t, y, x, mirrored = margin, round((H - crop) / 2), round((W - crop) / 2), False
        if generator is not None:
            draw = torch.rand(4, generator=generator).tolist()
            reach = min(shift, margin)
            t = margin - reach + int(draw[0] * (2 * reach + 1))
            y, x = int(draw[1] * (H - crop + 1)), int(draw[2] * (W - crop + 1))
            mirrored = flip and draw[3] < 0.5
        clip = clip[t : t + frames, y : y + crop, x : x + crop]
        result[number] = clip.flip(2) if mirrored else clip
    return result


def normalise(clips: Tensor, kind: str = "kinetics") -> Tensor:
    """uint8 [B, T, H, W, 3] -> float [B, 3, T, H, W].

    kind  "kinetics": [-1, 1], what the public I3D weights expect; "imagenet": channel mean and
          deviation, what the released CoRe does
    """
    x = clips.movedim(4, 1).float()
    if kind == "kinetics":
        return x.div_(127.5).sub_(1)
    numbers = torch.tensor([IMAGENET_MEAN, IMAGENET_DEVIATION], device=x.device)
    mean, deviation = numbers.view(2, 1, 3, 1, 1, 1)
    return x.div_(255).sub_(mean).div_(deviation)


def cut_snippets(clip: Tensor, starts: tuple[int, ...], length: int) -> Tensor:
    """clip [B, 3, T, H, W] -> snippets [B, S, 3, length, H, W], snippet s from starts[s] on."""
    if max(starts) + length > clip.shape[2]:
        raise ValueError(
            f"a snippet of {length} frames from {max(starts)} on does not fit into {clip.shape[2]}"
            " frames"
        )
    return torch.stack([clip[:, :, start : start + length] for start in starts], dim=1)


class VideoClips(Inputs):
    """The videos of a prepared dataset as model inputs: a row is uint8 [T + 2 margin, H, W, 3].

    Decoded and resized frames are kept in a file of the dataset's folder, made at first use by one
    of several processes, where they take at most half of what is free (cache: True or False decide
    instead). A video's frames are checked by their checksum when they are first read.
    """

    item_type = torch.uint8

    def __init__(
        self, table: SampleTable, recipe, *, cache: bool | None = None, progress: bool = True
    ):
        self.table, self.recipe, self.progress = table, recipe, progress
        self.margin = recipe.temporal_shift
        samples, blank = table.samples, [None] * len(table.samples)
        self.media = [table.root / media for media in samples["media"]]
        self.start = samples["start"].tolist() if "start" in samples else blank
        self.end = samples["end"].tolist() if "end" in samples else blank
        self.item_shape = self._decode(0).shape
        # before all of them are decoded
        refuse_crop(recipe.crop, *self.item_shape[1:3], f"{self.media[0]}: ")
        self.checked = np.zeros(len(samples), bool)  # rows of the cache whose checksum was right
        self.cache = None
        if cache is not False:
            layout = np.dtype([("checksum", "<u4"), ("frames", "u1", self.item_shape)])
            path = table.folder / "cache" / f"{self._kind()}-{self._content()}.npy"
            self.cache = open_cache(path, layout, len(self), self._fill, always=cache is True)

    def __len__(self) -> int:
        return len(self.media)

    def name(self, row: int) -> str:
        return str(self.media[row])

    def fetch(self, row: int, threads: int | None = None) -> np.ndarray:
        if (cache := self.cache) is not None:
            frames = cache["frames"][row]
            if self.checked[row] or zlib.crc32(frames) == cache["checksum"][row]:
                self.checked[row] = True
                return frames
            self._give_up(Path(cache.filename), row)
        video = self._decode(row, threads)
        if video.shape != self.item_shape:
            raise VideoError(
                f"{self.media[row]}: frames of {video.shape[1:3]}, others have"
                f" {self.item_shape[1:3]}; set resize"
            )
        return video

    def to_inputs(
        self, raw: Tensor, generator: torch.Generator | None = None, place: int = 0
    ) -> Tensor:
        """uint8 [B, T + 2 margin, H, W, 3] -> snippets [B, S, 3, L, crop, crop]; arguments as of
        `augment`."""
        r = self.recipe
        cut = {"frames": r.frames, "crop": r.crop, "shift": r.temporal_shift, "flip": r.flip}
        clips = augment(raw, **cut, generator=generator, place=place)  # [B, T, crop, crop, 3]
        # Cut while a number is a byte; channels stay last in memory, as the encoder wants them.
        snippets = [clips[:, start : start + r.snippet_length] for start in r.snippet_starts]
        stacked = torch.stack(snippets, dim=1).flatten(0, 1)  # [B S, L, crop, crop, 3]
        return normalise(stacked, r.normalisation).unflatten(0, (len(raw), -1))

    def _decode(self, row: int, threads: int | None = None) -> np.ndarray:
        part = {"start": self.start[row], "end": self.end[row], "margin": self.margin}
        return load_clip(self.media[row], self.recipe, **part, threads=threads)

    def _fill(self, cache: np.ndarray) -> None:
        problems = []

        def store(row: int) -> None:
            try:
                frames = self.fetch(row, threads=1)  # videos are decoded side by side already
                cache[row] = zlib.crc32(frames), frames
            except VideoError as error:
                problems.append(f"\n  id {self.table.samples['id'][row]}: {error}")

        doing = f"decoding {len(self)} videos into a cache of {cache.nbytes / 1e6:.0f} MB"
        bar = tqdm(total=len(self), desc=doing, disable=not self.progress or None)
        with Reading(os.cpu_count() or 1) as reading, bar:
            rows = range(len(self))
            reading.wait([reading.submit(self.name(row), store, row) for row in rows], doing, bar)
        if problems:
            raise DatasetError(
                f"{self.table.folder}: {len(problems)} video(s) cannot be read:"
                + "".join(sorted(problems))
            )

    def _give_up(self, path: Path, row: int) -> None:
        """The cache is damaged at `row`: the next process makes it anew, and this one decodes."""
        self.cache = None
        warnings.warn(
            f"{path}: damaged where it holds {self.media[row]}; it is removed and made anew next"
            " time",
            stacklevel=2,
        )
        with suppress(OSError):
            path.unlink()

    def _kind(self) -> str:
        """What a recipe takes of a video, in eight characters; caches of a kind replace others."""
        r = self.recipe
        taken = (r.frames, r.frame_choice, r.resize, self.margin)
        return hashlib.sha256(repr((taken, self.item_shape)).encode()).hexdigest()[:8]

    def _content(self) -> str:
        """What the pixels depend on, in 16 characters: the table, and size and times of files."""
        digest = hashlib.sha256(self.table.sha256.encode())
        for medium, start, end in zip(self.media, self.start, self.end, strict=True):
            for file in _files(medium, start, end, before=self.recipe.frames + 2 * self.margin):
                facts = os.stat(file)
                digest.update(f"{facts.st_size},{facts.st_mtime_ns},{facts.st_ctime_ns};".encode())
        return digest.hexdigest()[:16]


def _files(medium: Path, start: int | None, end: int | None, *, before: int) -> list[str]:
    """The files that a sample's pixels may come from: the video or, of a folder, the frames of its
    range, and `before` more, as a clip may begin earlier than its sample."""
    if not medium.is_dir():
        return [str(medium)]
    names = frame_names(medium)
    start, end = _frame_range(start, end, len(names))
    return [f"{medium}/{name}" for name in names[max(0, start - before) : end + before]]


def _frame_range(start: int | None, end: int | None, available: int) -> tuple[int, int]:
    """(first frame, frame behind the last) of a sample whose table may leave both blank."""
    first = 0 if start is None or start is pd.NA else int(start)
    return first, available if end is None or end is pd.NA else int(end)


def load_clip(
    path: str | Path,
    recipe,
    *,
    start: int | None = None,
    end: int | None = None,
    margin: int = 0,
    threads: int | None = None,
) -> np.ndarray:
    """Decode the frames a recipe takes of one video or folder: uint8 [T + 2 margin, H, W, 3].

    threads  as read_video takes them
    """
    available = count_frames(path)
    start, end = _frame_range(start, end, available)
    if available == 0 or end > available:
        raise VideoError(f"{path}: has {available} frames, the sample ends at {end}")
    numbers = frame_numbers(
        start, end, available, frames=recipe.frames, choice=recipe.frame_choice, margin=margin
    )
    return resize_video(read_video(path, numbers, threads=threads), recipe.resize)
