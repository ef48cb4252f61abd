"""Mutated videos and frame folders, and a program that puts them through the public doors of
corelib.data.

    python tests/mutated_media.py videos|folders ORIGINALS REPORT FIRST LAST

ORIGINALS is a folder of sound files. Of file FIRST <= number < LAST everything is drawn by its
number: which original, what is done to it, where. A line of JSON a file is appended to REPORT, the
first half before it is tried, so that a process that is killed by one leaves its number behind.
"""

from __future__ import annotations

import faulthandler
import json
import shutil
import struct
import sys
import types
import zlib
from pathlib import Path

import av
import numpy as np
from PIL import Image

KINDS = (
    "truncated",
    "bits flipped",
    "zero bytes",
    "wrong extension",
    "giant dimensions",
    "zero frames",
    "spliced",
)
SECONDS = 20  # after which one file counts as a hang
HEIGHT, WIDTH, FRAMES = 32, 48, 10
SIZES = (
    (65535, 65535),
    (65500, 65500),
    (16383, 16000),
    (16000, 12000),
    (4097, 4096),
    (65535, 1),
    (0, 0),
)


def moving(frames: int = FRAMES) -> np.ndarray:
    """A picture that moves, and noise, so that a frame has some hundred bytes: uint8 [T, H, W,
    3]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([np.stack([3 * x + 3 * t, 5 * y, 20 * t + 0 * x], -1) for t in range(frames)])
    return (smooth + np.random.default_rng(0).integers(0, 60, smooth.shape)).astype(np.uint8)


# --------------------------------------------------------------------------- sound files

CODECS = (
    ("h264.mp4", "libx264", "yuv420p"),
    ("mpeg4.mov", "mpeg4", "yuv420p"),
    ("mpeg4.avi", "mpeg4", "yuv420p"),
    ("mjpeg.avi", "mjpeg", "yuvj420p"),
    ("raw.avi", "rawvideo", "yuv420p"),
    ("h264.mkv", "libx264", "yuv420p"),
    ("ffv1.mkv", "ffv1", "yuv420p"),
    ("vp8.webm", "libvpx", "yuv420p"),
    ("vp9.webm", "libvpx-vp9", "yuv420p"),
)


def write_videos(folder: Path) -> list[str]:
    """Sound videos of every codec that is there, and one without a frame a container; returns their
    names."""
    for name, codec, layout in CODECS:
        if codec not in av.codecs_available:
            continue
        for frames in (FRAMES, 0):
            with av.open(str(folder / (name if frames else f"empty-{name}")), "w") as container:
                stream = container.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, layout
                for picture in moving(frames) if frames else ():
                    container.mux(
                        stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
                    )
                if frames:
                    container.mux(stream.encode())
                else:
                    container.start_encoding()
    return sorted(path.name for path in folder.iterdir())


IMAGES = {
    "plain.jpg": ("RGB", "JPEG", {}),
    "progressive.jpg": ("RGB", "JPEG", {"progressive": True}),
    "grey.jpg": ("L", "JPEG", {}),
    "cmyk.jpg": ("CMYK", "JPEG", {}),
    "colour.png": ("RGB", "PNG", {}),
    "grey.png": ("L", "PNG", {}),
    "palette.png": ("P", "PNG", {}),
    "alpha.png": ("RGBA", "PNG", {}),
}


def write_images(folder: Path) -> list[str]:
    """Sound images of every mode, as names of folders would be; returns their names."""
    for name, (mode, kind, options) in IMAGES.items():
        Image.fromarray(moving(2)[1]).convert(mode).save(folder / name, kind, **options)
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------- mutations


def mutate(
    kind: str, name: str, content: bytes, others: dict[str, bytes], rng: np.random.Generator
) -> tuple[str, bytes]:
    """(suffix, content) of a file that is no longer what it was."""
    suffix, size, data = Path(name).suffix, len(content), bytearray(content)
    if kind == "truncated":
        data = data[: int(rng.integers(0, size))]
    elif kind == "bits flipped":
        border = min(
            size, 1500
        )  # headers are where a bit does most: half of the times only there, at either end
        low, high = ((0, border), (size - border, size), (0, size), (0, size))[rng.integers(4)]
        for _ in range(int(2 ** rng.integers(0, 7))):
            data[rng.integers(low, high)] ^= 1 << int(rng.integers(8))
    elif kind == "zero bytes":
        begin, end = sorted(rng.integers(0, size + 1, 2))
        data[begin:end] = bytes(end - begin)
        if rng.random() < 0.1:
            data = bytearray((0, size)[rng.integers(2)])
    elif kind == "wrong extension":
        other = list(others)[rng.integers(len(others))]
        data = bytearray(
            (
                others[other],
                rng.bytes(200),
                b"GIF89a" + bytes(50),
                b"ffconcat version 1.0\nfile /etc/passwd\n",
                b"#EXTM3U\n",
            )[rng.integers(5)]
        )
    elif kind == "giant dimensions":
        state_dimensions(data, suffix, *SIZES[rng.integers(len(SIZES))])
    elif kind == "zero frames":
        data = state_no_frames(data, others.get(f"empty-{name}", b""), rng)
    elif kind == "spliced":
        other = others[list(others)[rng.integers(len(others))]]
        begin, end = sorted(rng.integers(0, size + 1, 2))
        first, last = sorted(rng.integers(0, len(other) + 1, 2))
        data[begin : (begin, end)[rng.integers(2)]] = other[first:last]
    return suffix, bytes(data)


def state_dimensions(data: bytearray, suffix: str, width: int, height: int) -> None:
    """Write another size wherever the file states one: container, stream, and frames of JPEG, VP8
    and PNG."""

    def put(sign: bytes, offset: int, kind: str, *values: int) -> None:
        place = data.find(sign)
        while place >= 0:
            packed = struct.pack(kind, *values)
            data[place + offset : place + offset + len(packed)] = packed
            place = data.find(sign, place + offset + len(packed))

    if suffix == ".avi":
        put(b"strf", 12, "<ii", width, height)
        put(b"avih", 40, "<II", width, height)
    if suffix in (".mp4", ".mov"):
        put(b"tkhd", 80, ">HHHH", width, 0, height, 0)
        put(b"avc1", 28, ">HH", width, height)
        put(b"mp4v", 28, ">HH", width, height)
    if suffix in (".avi", ".jpg"):
        for sign in (b"\xff\xc0\x00", b"\xff\xc2\x00"):
            put(sign, 5, ">HH", height, width)
    put(b"\x9d\x01\x2a", 3, "<HH", width & 0x3FFF, height & 0x3FFF)
    if suffix == ".png":
        put(b"IHDR", 4, ">II", width, height)
        place = data.find(b"IHDR")
        data[place + 17 : place + 21] = struct.pack(
            ">I", zlib.crc32(bytes(data[place : place + 17]))
        )


def state_no_frames(data: bytearray, empty: bytes, rng: np.random.Generator) -> bytearray:
    """A container that was closed before its first frame, or one whose header states that there is
    none."""
    if rng.random() < 0.5:
        return bytearray(empty)
    for sign, offset in (
        (b"avih", 24),
        (b"strh", 40),
        (b"stsz", 12),
        (b"stts", 8),
        (b"stco", 8),
        (b"stsc", 8),
    ):
        place = data.find(sign)
        if place >= 0 and rng.random() < 0.7:
            data[place + offset : place + offset + 4] = bytes(4)
    return data


def write_mutated(
    what: str, number: int, originals: dict[str, bytes], folder: Path
) -> tuple[str, str, Path]:
    """(kind, original, path) of mutated file `number`, or of a folder of three frames of which one
    or all are mutated."""
    rng, kind = np.random.default_rng([number, what == "folders"]), KINDS[number % len(KINDS)]
    sound = [name for name in originals if not name.startswith("empty-")]
    name = sound[rng.integers(len(sound))]
    if what == "videos":
        suffix, content = mutate(kind, name, originals[name], originals, rng)
        if kind == "wrong extension":
            suffix = (".mp4", ".avi", ".mkv", ".webm")[rng.integers(4)]
        path = folder / f"{number}{suffix}"
        path.write_bytes(content)
        return kind, name, path
    path = folder / str(number)
    path.mkdir()
    hit = range(3) if rng.random() < 0.3 else [int(rng.integers(3))]
    if kind == "zero frames":
        (path / "notes.txt").write_bytes(originals[name])
        return kind, name, path
    for place in range(3):
        suffix, content = Path(name).suffix, originals[name]
        if place in hit:
            suffix, content = mutate(kind, name, content, originals, rng)
        if kind == "wrong extension":
            suffix = (".jpg", ".png")[rng.integers(2)]
        (path / f"{place}{suffix}").write_bytes(content)
    return kind, name, path


# --------------------------------------------------------------------------- the doors


def try_doors(path: Path) -> dict[str, str]:
    """{door: "right", "refused", or what is wrong with its answer} of every public way to read a
    video."""
    from corelib.data.clips import load_clip
    from corelib.data.video import VideoError, count_frames, read_video
    from data_scripts.readers.video_check import check_video

    recipe = types.SimpleNamespace(frames=8, frame_choice="resample", resize=(24, 32))

    def right_video(video: np.ndarray, frames: int | None = None) -> bool:
        return (
            video.dtype == np.uint8
            and video.ndim == 4
            and video.shape[3] == 3
            and min(video.shape) > 0
            and frames in (None, len(video))
        )

    doors = {
        "count_frames": lambda: count_frames(path) >= 0,
        "read_video": lambda: right_video(read_video(path)),
        "read_video, some": lambda: right_video(
            read_video(path, np.array([2, 0, 0]), threads=2), 3
        ),
        "load_clip": lambda: load_clip(path, recipe).shape == (8, 24, 32, 3),
        "check_video": lambda: check_video(path).frames > 0,
        "check_video, all": lambda: check_video(path, decode=True).frames > 0,
    }
    answers = {}
    for door, enter in doors.items():
        try:
            answers[door] = "right" if enter() else "a wrong result"
        except VideoError as error:
            told = str(error)
            clean = (
                told.startswith(str(path))
                and len(told.splitlines()) == 1
                and told.isprintable()
                and len(told) < len(str(path)) + 400
            )
            answers[door] = "refused" if clean else f"no clean line: {told[:500]!r}"
        except Exception as error:
            answers[door] = f"{type(error).__name__}: {str(error)[:300]}"
    return answers


def main(what: str, originals: str, report: str, first: str, last: str) -> None:
    sound = {path.name: path.read_bytes() for path in sorted(Path(originals).iterdir())}
    scratch = Path(report).parent / f"{what}-{first}"
    scratch.mkdir()
    for (
        name,
        content,
    ) in sound.items():  # libraries are loaded and buffers filled before memory is measured
        whole = scratch / "whole" / name
        whole.parent.mkdir(exist_ok=True)
        whole.write_bytes(content)
        try_doors(whole)
    try_doors(scratch / "whole")
    before = peak()
    with open(report, "a") as lines:
        for number in range(int(first), int(last)):
            kind, name, path = write_mutated(what, number, sound, scratch)
            lines.write(json.dumps({"number": number, "kind": kind, "original": name}) + "\n")
            lines.flush()
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            answers = try_doors(path)
            faulthandler.cancel_dump_traceback_later()
            lines.write(
                json.dumps({"number": number, "answers": answers, "megabytes": peak() - before})
                + "\n"
            )
            lines.flush()
            if all(answer in ("right", "refused") for answer in answers.values()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def peak() -> float:
    """The most memory that this process has held so far, in MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
