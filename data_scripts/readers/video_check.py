"""Looking at a stranger's videos: where each is, whether it is whole, how many frames it has."""

from __future__ import annotations

import difflib
import os
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from corelib.data.video import (
    VIDEO_SUFFIXES,
    VideoError,
    count_frames,
    count_shown,
    facts_of,
    frame_names,
    open_container,
    open_image,
    read_video,
    video_stream,
)
from corelib.machine.messages import one_line


@dataclass(frozen=True)
class VideoFacts:
    """What a video holds; height and width are in pixels."""

    frames: int
    height: int
    width: int
    frame_rate: float | None = None  # None for a folder of frames and where it varies
    variable: bool = False


def find_video(root: Path, name: str) -> str:
    """The path below `root`, with "/", of the video file or folder of frames that `name` names.

    name  a path below root, or an absolute one that leads there; the suffix may be left out. A
          folder's may end in "/"
    Raises VideoError, naming the nearest, where there is none or where several files differ in
    suffix alone.
    """
    name = name.replace("\\", "/")
    written = Path(name)
    absolute = Path(os.path.normpath(Path(os.path.abspath(root)) / written))
    if not absolute.is_relative_to(os.path.abspath(root)):  # Windows: on another drive, too
        raise VideoError(f"{name}: lies outside of {root}; name videos by their path below it")
    relative = absolute.relative_to(os.path.abspath(root))
    try:
        if (root / relative).is_dir() if name.endswith("/") else (root / relative).is_file():
            return relative.as_posix()
        folder = root / relative.parent
        entries = _entries(str(folder), os.stat(folder).st_mtime_ns) if folder.is_dir() else ()
    except OSError as error:
        raise VideoError(
            f"{one_line(name)}: cannot be a video's path ({one_line(error.strerror)})"
        ) from None
    wanted = unicodedata.normalize("NFC", relative.name)  # file systems write é in two ways
    same = [entry for entry in entries if _matches(entry, wanted)]
    if len(same) == 1:
        return (relative.parent / same[0]).as_posix()
    if same:
        folders = [f"{entry}/" if (folder / entry).is_dir() else entry for entry in same]
        raise VideoError(
            f"{name}: is it {' or '.join(folders)}? Give the suffix as well, and a folder's name"
            " with / behind it"
        )
    stems = {os.path.splitext(unicodedata.normalize("NFC", entry))[0]: entry for entry in entries}
    near = difflib.get_close_matches(os.path.splitext(wanted)[0], stems, n=1)
    hint = "" if entries else "; there is no such folder, or it is empty"
    hint = f"; the nearest there is {stems[near[0]]}" if near else hint
    raise VideoError(f"{name}: no such video file or folder of frames in {folder}{hint}")


@lru_cache(maxsize=64)
def _entries(folder: str, changed: int) -> tuple[str, ...]:
    return tuple(sorted(os.listdir(folder)))


def _matches(entry: str, wanted: str) -> bool:
    entry = unicodedata.normalize("NFC", entry)
    stem, suffix = os.path.splitext(entry)
    return entry == wanted or (stem == wanted and suffix.lower() in VIDEO_SUFFIXES)


def check_video(path: Path, *, decode: bool = False) -> VideoFacts:
    """Look at a video file or a folder of frames: open it, count, and decode its first frame.

    decode  decode all of it: as slow as an epoch of training, and finds damage within

    Raises VideoError for one that cannot be opened, holds no frame, or is cut short: fewer frames
    than its header states, a last frame that is incomplete, or an end well before the stated
    duration. An .avi states frames that its recorder dropped as well: fewer are an error only where
    the file ends before its header says.
    """
    if path.is_dir():
        return _check_folder(path, decode)
    height, width = read_video(path, np.array([0])).shape[1:3]
    with open_container(path) as container:
        stream = video_stream(container)
        packets, end, complete = _demux(path, container)
        if len(packets) < (stated := _stated_frames(path, container)) or not complete:
            whole = len(packets) - (not complete)
            raise VideoError(
                f"{path}: its header states {stated} frames, it holds {whole} whole ones; it was"
                " cut short: copy it again"
            )
        begin = (container.start_time or 0) / av.time_base
        length = (container.duration or 0) / av.time_base
        if "matroska" in container.format.name:  # whose duration counts from 0
            begin = 0
        if end - begin < 0.95 * length:
            raise VideoError(
                f"{path}: its header states {length:.2f} s, it ends after {end - begin:.2f} s; it"
                " was cut short: copy it again"
            )
        frames, rate = count_shown(packets, container), stream.average_rate
    frames = count_frames(path) if frames is None else frames
    if decode:
        _decode_all(path, frames)
    steps = np.diff(np.sort([time for time, _, _ in packets if time is not None]))
    variable = len(steps) > 0 and bool(steps.max() > 1.5 * steps.min())
    rate = None if variable or not rate else float(rate)
    return VideoFacts(frames, height, width, rate, variable)


def _demux(path: Path, container: av.container.InputContainer) -> tuple[list, float, bool]:
    """(facts of the video's packets, when the last of all ends, whether the last frame is whole)"""
    stream, packets, end, complete = video_stream(container), [], 0.0, True
    try:
        for packet in container.demux():
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is stream and packet.size:
                packets.append(facts_of(packet))
                complete = not packet.is_corrupt
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"{path}: reading stopped after {len(packets)} frames ({one_line(error)}); is the file"
            " complete?"
        ) from None
    return packets, end, complete


def _stated_frames(path: Path, container: av.container.InputContainer) -> int:
    """How many frames the header states, as far as that is to be believed."""
    stream = video_stream(container)
    if container.format.name == "avi" and not _ends_early(path):
        return 0
    if "mov" in container.format.name and stream.index_entries:
        return len(stream.index_entries)  # without the stretches that an edit list leaves out
    return stream.frames


def _ends_early(path: Path) -> bool:
    """Whether an .avi has fewer bytes than its RIFF chunks (several above 1 GB) announce."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while (head := file.read(8))[:4] == b"RIFF":
            position += 8 + int.from_bytes(head[4:], "little")
            file.seek(position)
    return position > size


def _check_folder(path: Path, decode: bool) -> VideoFacts:
    names = frame_names(path)
    image, _ = open_image(path / names[0])
    try:
        image.load()  # by Pillow, as torchvision's decoder takes seconds to import
    except Exception as error:  # damaged bytes raise nearly anything
        raise VideoError(
            f"{path / names[0]}: cannot be decoded as an image ({one_line(error)})"
        ) from None
    width, height = image.size
    for number, name in enumerate(names if decode else ()):
        shape = read_video(path, np.array([number])).shape
        if shape[1:3] != (height, width):
            raise VideoError(
                f"{path / name}: a frame of {shape[1:3]}, the first is one of {(height, width)}"
            )
    return VideoFacts(len(names), height, width)


def _decode_all(path: Path, frames: int) -> None:
    decoded = 0
    try:
        with open_container(path) as container:
            for _ in container.decode(video_stream(container)):
                decoded += 1
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"{path}: decoding stopped after {decoded} of {frames} frames ({one_line(error)}); is"
            " the file complete?"
        ) from None
    if decoded < frames:
        raise VideoError(
            f"{path}: {decoded} of its {frames} frames can be decoded; write it anew, for example"
            " with ffmpeg"
        )
