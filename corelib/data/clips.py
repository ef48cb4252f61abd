"""From videos to batches of clips: which frames, what size, augmentation, normalisation, snippets.

Shapes: video [T, H, W, 3] uint8 -> clip [B, 3, T, H, W] float -> snippets [B, S, 3, L, H, W].
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms
from tqdm.auto import tqdm

from corelib.data.loading import Inputs, Reading
from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import VideoError, count_frames, frame_names, read_video
from corelib.machine.files import FULL, new_file, only_one, remove_unfinished
from corelib.recipe import RecipeError

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    return (
        transforms.resize(frames, list(size), antialias=True)
        .permute(0, 2, 3, 1)
        .contiguous()
        .numpy()
    )


def refuse_crop(crop: int, H: int, W: int, where: str = "") -> None:
    """Raise RecipeError for a crop that is larger than frames of H x W pixels."""
    if crop > min(H, W):
        raise RecipeError(
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
    """Cut a clip out of stored frames: uint8 [B, T + 2 margin, H, W, 3] -> uint8 [B, T, crop, crop,
    3].

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
    for number, clip in enumerate(
        clips.movedim(4, 2)
    ):  # torchvision wants [T, C, H, W]; all of this are views
        # centred as torchvision does, and the released program: 115.5 rounds to the even 116
        t, y, x, mirrored = margin, round((H - crop) / 2), round((W - crop) / 2), False
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
    """uint8 [B, T, H, W, 3] -> float [B, 3, T, H, W]; "kinetics": [-1, 1], what the public I3D
    weights expect; "imagenet": channel mean and deviation, what the released CoRe does."""
    x = clips.movedim(4, 1).float()
    if kind == "kinetics":
        return x.div_(127.5).sub_(1)
    mean, deviation = (
        torch.tensor(v, device=x.device).view(1, 3, 1, 1, 1)
        for v in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    return x.div_(255).sub_(mean).div_(deviation)


def cut_snippets(clip: Tensor, starts: tuple[int, ...], length: int) -> Tensor:
    """clip [B, 3, T, H, W] -> snippets [B, S, 3, length, H, W], snippet s from frame starts[s]
    on."""
    if max(starts) + length > clip.shape[2]:
        raise ValueError(
            f"a snippet of {length} frames from {max(starts)} on does not fit into {clip.shape[2]}"
            " frames"
        )
    return torch.stack([clip[:, :, start : start + length] for start in starts], dim=1)


class VideoClips(Inputs):
    """The videos of a prepared dataset as model inputs: a row is uint8 [T + 2 margin, H, W, 3].

    Decoded and resized frames are kept in one memory-mapped file in the dataset's folder, made at
    first use, whenever they take no more than half of the disk's free space (cache: True or False
    decide instead). Each video's frames are checked by their checksum when they are first read. Of
    several processes one makes the file, and the others wait.
    """

    item_type = torch.uint8

    def __init__(
        self, table: SampleTable, recipe, *, cache: bool | None = None, progress: bool = True
    ):
        self.table, self.recipe = table, recipe
        self.margin = recipe.temporal_shift
        samples = table.samples
        self.media = [table.root / media for media in samples["media"]]
        blank = [None] * len(samples)
        self.start = samples["start"].tolist() if "start" in samples else blank
        self.end = samples["end"].tolist() if "end" in samples else blank
        self.item_shape = self._decode(0).shape
        refuse_crop(
            recipe.crop, *self.item_shape[1:3], f"{self.media[0]}: "
        )  # before all of them are decoded
        self.checked = np.zeros(len(samples), bool)  # rows of the cache whose checksum was right
        self.cache = None
        if cache is not False:
            self.cache = self._open_cache(cache is True, progress)

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
        """uint8 [B, T + 2 margin, H, W, 3] -> snippets [B, S, 3, L, crop, crop]; augmented if a
        generator is given (place: as `augment` takes it)."""
        r = self.recipe
        cut = {"frames": r.frames, "crop": r.crop, "shift": r.temporal_shift, "flip": r.flip}
        clips = augment(raw, **cut, generator=generator, place=place)  # [B, T, crop, crop, 3]
        # Snippets are cut while a number is a byte, and their channels stay last in memory, as the
        # encoder wants them.
        bytes_ = torch.stack(
            [clips[:, s : s + r.snippet_length] for s in r.snippet_starts], dim=1
        ).flatten(0, 1)
        return normalise(bytes_, r.normalisation).unflatten(0, (len(raw), -1))

    def _decode(self, row: int, threads: int | None = None) -> np.ndarray:
        part = {"start": self.start[row], "end": self.end[row], "margin": self.margin}
        return load_clip(self.media[row], self.recipe, **part, threads=threads)

    def _open_cache(self, wanted: bool, progress: bool) -> np.ndarray | None:
        """The cache, [N] of (checksum, frames), made if need be; None where there is no room for
        it, or no writing."""
        store = np.dtype([("checksum", "<u4"), ("frames", "u1", self.item_shape)])
        folder = self.table.folder / "cache"
        path = folder / f"{self._kind()}-{self._content()}.npy"
        size = store.itemsize * len(self)
        if (cache := _map_cache(path, store, len(self))) is not None:
            return cache
        free = shutil.disk_usage(self.table.folder).free
        slower = (
            "no cache of decoded videos, so they are decoded whenever they are needed, which is"
            " slower"
        )
        if not wanted and size > free / 2:
            room = (
                f"{size / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free, and half of it is left to"
                " others"
            )
            warnings.warn(f"{self.table.folder}: {slower}: {room}", stacklevel=3)
            return None
        try:
            with only_one(folder, "decodes videos into", wait=True):
                if (
                    cache := _map_cache(path, store, len(self))
                ) is not None:  # the process that was waited for made it
                    return cache
                folder.mkdir(exist_ok=True)
                remove_unfinished(folder)
                for older in folder.glob(
                    f"{self._kind()}-*.npy"
                ):  # of other content: no longer what the videos show
                    with suppress(PermissionError):  # Windows, while another process maps it
                        older.unlink()
                with new_file(path, size=size) as scratch:
                    cache = np.lib.format.open_memmap(
                        scratch, mode="w+", dtype=store, shape=(len(self),)
                    )
                    _take_room(scratch)
                    self._fill(cache, progress)
                    cache.flush()
                    del cache  # Windows renames no file that is mapped
        except OSError as error:
            warnings.warn(f"{slower}: {error}", stacklevel=3)
            return None
        return _map_cache(path, store, len(self))

    def _fill(self, cache: np.ndarray, progress: bool) -> None:
        problems = []

        def store(row: int) -> None:
            try:
                frames = self.fetch(row, threads=1)  # videos are decoded side by side already
                cache[row] = zlib.crc32(frames), frames
            except VideoError as error:
                problems.append(f"id {self.table.samples['id'][row]}: {error}")

        doing = f"decoding {len(self)} videos into a cache of {cache.nbytes / 1e6:.0f} MB"
        with (
            Reading(os.cpu_count() or 1) as reading,
            tqdm(total=len(self), desc=doing, disable=not progress or None) as bar,
        ):
            reading.wait(
                [reading.submit(self.name(row), store, row) for row in range(len(self))], doing, bar
            )
        if problems:
            raise DatasetError(
                f"{self.table.folder}: {len(problems)} video(s) cannot be read:\n  "
                + "\n  ".join(sorted(problems))
            )

    def _give_up(self, path: Path, row: int) -> None:
        """The cache is damaged at `row`: take it away, so that the next process makes it anew, and
        decode from now on."""
        self.cache = None
        warnings.warn(
            f"{path}: damaged where it holds {self.media[row]}; it is removed and made anew next"
            " time",
            stacklevel=2,
        )
        with suppress(OSError):
            path.unlink()

    def _kind(self) -> str:
        """What a recipe takes of a video, in eight characters; caches of one kind replace each
        other."""
        r = self.recipe
        taken = (r.frames, r.frame_choice, r.resize, self.margin)
        return hashlib.sha256(repr((taken, self.item_shape)).encode()).hexdigest()[:8]

    def _content(self) -> str:
        """What the pixels depend on, in 16 characters: the table, and each file's size and times,
        those of frames too."""
        digest = hashlib.sha256(self.table.sha256.encode())
        for medium, start, end in zip(self.media, self.start, self.end, strict=True):
            for file in files_of(medium, start, end, before=self.recipe.frames + 2 * self.margin):
                facts = os.stat(file)
                digest.update(f"{facts.st_size},{facts.st_mtime_ns},{facts.st_ctime_ns};".encode())
        return digest.hexdigest()[:16]


def files_of(medium: Path, start: int | None, end: int | None, *, before: int) -> list[str]:
    """The files that a sample's pixels may come from: the video or, of a folder, the frames of its
    range, and `before` more, as a clip may begin earlier than its sample."""
    if not medium.is_dir():
        return [str(medium)]
    names = frame_names(medium)
    start, end = _frame_range(start, end, len(names))
    return [f"{medium}/{name}" for name in names[max(0, start - before) : end + before]]


def _frame_range(start: int | None, end: int | None, available: int) -> tuple[int, int]:
    """(first frame, frame behind the last) of a sample whose table may leave both blank."""
    whole = start is None or start is pd.NA, end is None or end is pd.NA
    return 0 if whole[0] else int(start), available if whole[1] else int(end)


def _map_cache(path: Path, store: np.dtype, videos: int) -> np.ndarray | None:
    """The cache in a file; None where there is none that can be read, or a part of one, as an
    interrupted copy leaves it."""
    try:
        cache = np.lib.format.open_memmap(path, mode="r")
    except (
        Exception
    ):  # damaged headers raise nearly anything; whatever it is, the cache is made anew
        return None
    return cache if cache.dtype == store and cache.shape == (videos,) else None


def _take_room(path: Path) -> None:
    """Raise OSError now where the disk has no room for a file that is to be filled through a map:
    later, a full disk would end the process without a word."""
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
    path: str | Path,
    recipe,
    *,
    start: int | None = None,
    end: int | None = None,
    margin: int = 0,
    threads: int | None = None,
) -> np.ndarray:
    """Decode the frames a recipe takes of one video or folder of frames: uint8 [T + 2 margin, H, W,
    3].

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
