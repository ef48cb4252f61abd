"""Reading and writing videos: PyAV for video files, torchvision's decoder for JPEG frames, Pillow's for PNG frames.

All carry their own decoders, so none needs FFmpeg on the machine. Files may come from anybody: what they are is told
by their content, and what their headers state is not believed before it has been looked at.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from corelib.errors import KitError
from corelib.messages import one_line

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of one frame: 4096 x 4096, above 4K. A header may state any size, and decoders take memory for what it states.
MAX_PIXELS = 2**24
# FFmpeg goes by content, not by name, and some formats that it knows are play lists: they name other files to open.
CONTAINERS = ("mov", "matroska", "webm", "avi", "mpeg", "mpegts", "flv", "asf", "ogg")


class VideoError(KitError, ValueError):
    """A video or a folder of frames cannot be read; the message names it and says what would be right."""


def write_video(path: str | Path, frames: np.ndarray, frame_rate: float, *, crf: int = 16) -> None:
    """Write frames as an H.264 mp4 file that browsers and PyAV play.

    frames      uint8 [T, H, W, 3], H and W even (the 4:2:0 chroma grid needs it)
    frame_rate  frames a second
    crf         quality: 0 is lossless, 16 looks so
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise VideoError(f"{path}: frames must be uint8 [T, H, W, 3] with T > 0, not {frames.dtype} {frames.shape}")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise VideoError(f"{path}: H.264 needs an even height and width, not {height} x {width}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1  # more threads split the picture, and the file would depend on the machine
        # without B-frames the same frames give the same bytes; with them x264 does not promise it
        stream.options = {"crf": str(crf), "preset": "veryfast", "g": "8", "bf": "0"}
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def count_frames(path: str | Path) -> int:
    """How many frames a video file or a folder of frames holds.

    Takes the container's own count where it states one and counts packets otherwise; always for AVI, whose
    own count includes frames that the camera dropped (a variable frame rate) or that were cut off.
    """
    path = Path(path)
    if path.is_dir():
        return len(frame_names(path))
    with open_container(path) as container:
        stream = container.streams.video[0]
        stated = 0 if container.format.name == "avi" else stream.frames
        try:
            return stated or sum(1 for packet in container.demux(stream) if packet.size)
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{path}: reading stopped ({_reason(error)}); is the file complete?") from None


def frame_names(folder: str | Path) -> tuple[str, ...]:
    """The names of a folder's image files in sorted order: the i-th is frame i.

    A folder may hold a whole competition, some hundred thousand frames: it is listed once, and again
    only after something has been added to it or taken away.
    """
    return _listed(str(folder), os.stat(folder).st_mtime_ns)


@lru_cache(maxsize=64)
def _listed(folder: str, changed: int) -> tuple[str, ...]:
    names = tuple(sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES)))
    if not names:
        raise VideoError(f"{folder}: no {', '.join(IMAGE_SUFFIXES)} file in this folder of frames")
    return names


def read_video(path: str | Path, numbers: np.ndarray | None = None, *, threads: int | None = None) -> np.ndarray:
    """Decode a video file or a folder of frames.

    path     a video file, or a folder whose sorted image files are the frames, all of one size
    numbers  frame numbers [T] in any order, repeats allowed; None reads all
    threads  that decode a folder's images; None takes PyTorch's number, which is 1 in a DataLoader's worker

    Frames are counted and never timed, so a variable frame rate changes nothing. Images are taken as they
    are stored: an EXIF note that a viewer should turn them is not followed.
    Returns uint8 [T, H, W, 3]; a grey image gets three equal channels. Raises VideoError when something cannot
    be decoded, is cut short, differs in size or is larger than MAX_PIXELS, and when there are fewer frames than
    asked for.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, numbers, threads)
    wanted, available = _decode(path, None if numbers is None else set(np.asarray(numbers).tolist()))
    numbers = np.arange(available) if numbers is None else np.asarray(numbers)
    _check_numbers(path, numbers, available)
    return np.stack([wanted[number] for number in numbers])


def _read_folder(folder: Path, numbers: np.ndarray | None, threads: int | None) -> np.ndarray:
    import torch  # here, since it takes seconds to import, which every process that only writes videos would pay for

    threads = threads or torch.get_num_threads()
    names = frame_names(folder)
    numbers = np.arange(len(names)) if numbers is None else np.asarray(numbers)
    _check_numbers(folder, numbers, len(names))
    wanted, where = np.unique(numbers, return_inverse=True)
    first = _read_image(f"{folder}/{names[wanted[0]]}")
    video = np.empty((len(numbers), *first.shape), np.uint8)

    def read(place: int) -> None:
        image = _read_image(f"{folder}/{names[wanted[place]]}") if place else first
        if image.shape != first.shape:
            sizes = [f"{width} x {height} pixels" for height, width, _ in (image.shape, first.shape)]
            raise VideoError(f"{folder / names[wanted[place]]}: has {sizes[0]}, frame {wanted[0]} of this folder has {sizes[1]}; "
                             "frames must not differ in size")  # fmt: skip
        video[where == place] = image

    def read_share(begin: int) -> None:
        for place in range(begin, len(wanted), threads):
            read(place)

    if threads == 1:
        read_share(0)
    else:  # torchvision decodes outside Python's lock; a thread gets its whole share at once, as handing out costs time
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read_share, range(threads)))
    return video


def open_container(path: str | Path) -> av.container.InputContainer:
    """A video file opened by PyAV, to be closed by `with`: it has a video stream, of frames that are not too large.

    Raises VideoError for a file that is not there, is none of CONTAINERS, holds no video stream that can be
    decoded, or states frames of more than MAX_PIXELS.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: no such video file or folder of frames")
    allowed = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
    limit = {"max_pixels": str(MAX_PIXELS)}
    try:
        # Absolute, since FFmpeg takes a name's part before a colon for a protocol. Titles and the like may be no text.
        container = av.open(os.path.abspath(path), options=limit, container_options=allowed, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        kinds = ", ".join(VIDEO_SUFFIXES)
        raise VideoError(f"{path}: cannot be opened as a video ({_reason(error)}); is the file complete? Read are {kinds}") from None
    try:
        stream = next(iter(container.streams.video), None)
        if stream is None or stream.codec_context is None:
            raise VideoError(f"{path}: holds no video stream" + (" that can be decoded" if stream else ""))
        _check_size(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = limit  # what the frames themselves state, which may differ from the header
    except VideoError:
        container.close()
        raise
    return container


def _reason(error: OSError) -> str:
    return one_line(getattr(error, "strerror", None) or error)  # without the path, which begins the message


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise VideoError(f"{path}: states frames of {width} x {height} pixels; at most {MAX_PIXELS:,} pixels are read: make it smaller")


def _decode(path: Path, wanted: set[int] | None) -> tuple[dict[int, np.ndarray], int]:
    """The wanted frames by number (all if None), of one size, and how many there are up to the last one wanted."""
    last = max(wanted) if wanted else None
    frames: dict[int, np.ndarray] = {}
    seen, first = 0, None
    with open_container(path) as container:
        try:
            for number, frame in enumerate(container.decode(video=0)):
                seen = number + 1
                if wanted is None or number in wanted:
                    image = frame.to_ndarray(format="rgb24")
                    first = image if first is None else first
                    if image.shape != first.shape:
                        raise VideoError(f"{path}: frames differ in size: {first.shape}, and from frame {number} on {image.shape}")
                    frames[number] = image
                if last is not None and number >= last:
                    break
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{path}: decoding stopped after {seen} frames ({_reason(error)}); is the file complete?") from None
    if not seen:
        raise VideoError(f"{path}: holds no frame that can be decoded")
    return frames, seen


def _check_numbers(path: Path, numbers: np.ndarray, available: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= available):
        raise VideoError(f"{path}: has {available} frames, frame {int(numbers.max())} was asked for")


def open_image(file: str | Path) -> tuple[ImageFile, bytes]:
    """A JPEG or PNG image whose header is read and whose pixels are not decoded yet, and the file's bytes.

    Raises VideoError for any other file, for an image of more than MAX_PIXELS, and for one of 16 bits a channel.
    """
    try:
        if not os.path.isfile(file):
            raise OSError("no such file")  # nor is a pipe of that name waited for
        content = Path(file).read_bytes()
        if content.startswith(b"\x89PNG"):
            image = PngImageFile(io.BytesIO(content))
        elif content.startswith(b"\xff\xd8"):
            image = JpegImageFile(io.BytesIO(content))
        else:
            raise OSError("it is neither JPEG nor PNG")
    except Exception as error:  # damaged headers raise nearly anything
        raise VideoError(f"{file}: cannot be decoded as an image ({one_line(error)})") from None
    _check_size(file, *image.size)
    if isinstance(image, PngImageFile) and content[24] == 16:
        raise VideoError(f"{file}: has 16 bits a channel; save it with 8")
    return image, content


def _read_image(file: str) -> np.ndarray:
    image, content = open_image(file)
    try:
        if isinstance(image, PngImageFile):  # torchvision's decoder crashes on a damaged one
            return np.asarray(image.convert("RGB"))
        import torch
        from torchvision.io import ImageReadMode, decode_image

        return decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
    except Exception as error:  # as above
        raise VideoError(f"{file}: cannot be decoded as an image ({one_line(error)})") from None
