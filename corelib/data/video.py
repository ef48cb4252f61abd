"""Reading and writing videos: PyAV for video files, torchvision's decoder for JPEG frames, Pillow's
for PNG frames.

All carry their own decoders, so none needs FFmpeg on the machine. Files may come from anybody: what
they are is told by their content, and what their headers state is not believed before it has been
looked at.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from corelib.machine.errors import KitError
from corelib.machine.messages import one_line

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of one frame: 4096 x 4096, above 4K. A header may state any size, and decoders take memory for
# what it states.
MAX_PIXELS = 2**24
ONE_DIGIT = str.maketrans(
    "123456789", "000000000"
)  # names that are equal then sort by number as they are
# FFmpeg goes by content, not by name, and some formats that it knows are play lists: they name
# other files to open.
CONTAINERS = ("mov", "matroska", "webm", "avi", "mpeg", "mpegts", "flv", "asf", "ogg")
# Titles and the like may be no text; PyAV from 19 on takes them as they are, and has no such
# option.
NO_TEXT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class VideoError(KitError, ValueError):
    """A video or a folder of frames cannot be read; the message names it and says what would be
    right."""


def write_video(path: str | Path, frames: np.ndarray, frame_rate: float, *, crf: int = 16) -> None:
    """Write frames as an H.264 mp4 file that browsers and PyAV play.

    frames      uint8 [T, H, W, 3], H and W even (the 4:2:0 chroma grid needs it)
    frame_rate  frames a second
    crf         quality: 0 is lossless, 16 looks so
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise VideoError(
            f"{path}: frames must be uint8 [T, H, W, 3] with T > 0, not {frames.dtype}"
            f" {frames.shape}"
        )
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise VideoError(f"{path}: H.264 needs an even height and width, not {height} x {width}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = (
            1  # more threads split the picture, and the file would depend on the machine
        )
        # Without B-frames the same frames give the same bytes; with them x264 does not promise it.
        # Nor does it with the instructions that take 32 or 64 bytes at once, where lines are no
        # multiple of that long.
        stream.options = {
            "crf": str(crf),
            "preset": "veryfast",
            "g": "8",
            "bf": "0",
            "x264-params": "asm=sse4.2",
        }
        for image in frames:
            for packet in stream.encode(_to_yuv420(image)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _to_yuv420(image: np.ndarray) -> av.VideoFrame:
    """rgb24 [H, W, 3] -> a frame of yuv420p whose memory holds nothing but the picture and zeros.

    It is converted at a width without a remainder, since converters read and write whole registers.
    """
    height, width = image.shape[:2]
    wide = np.pad(image, ((0, 0), (0, -width % 64), (0, 0)), mode="edge")
    converted = av.VideoFrame.from_ndarray(wide, format="rgb24").reformat(format="yuv420p")
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, source, step in zip(frame.planes, converted.planes, (1, 2, 2), strict=True):
        lines, picture = (
            np.frombuffer(part, np.uint8).reshape(-1, part.line_size) for part in (plane, source)
        )
        lines[:] = 0
        lines[: height // step, : width // step] = picture[: height // step, : width // step]
    return frame


def count_frames(path: str | Path) -> int:
    """How many frames a video file or a folder of frames holds: as many as `read_video` gives.

    A container's own count is not taken: it includes what a recorder dropped, what was cut off, and
    what an edit list hides. Packets are counted instead, without decoding them.
    """
    path = Path(path)
    if path.is_dir():
        return len(frame_names(path))
    if not path.is_file():
        raise VideoError(f"{path}: no such video file or folder of frames")
    facts = os.stat(path)
    return _counted(str(path), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _counted(path: str, size: int, changed: int) -> int:
    with open_container(path) as container:
        stream = video_stream(container)
        try:
            packets = [facts_of(packet) for packet in container.demux(stream) if packet.size]
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(
                f"{path}: reading stopped ({_reason(error)}); is the file complete?"
            ) from None
        count = count_shown(packets, container)
    return _decode(Path(path), set())[1] if count is None else count


def facts_of(packet: av.Packet) -> tuple[int | None, bool, bool]:
    """What is remembered of a packet, without the bytes in it: its time, whether it is a key frame,
    and hidden."""
    return packet.pts, packet.is_keyframe, packet.is_discard


def count_shown(packets: list[tuple], container: av.container.InputContainer) -> int | None:
    """How many frames are decoded from the packets of a stream (`facts_of` each); None where only a
    decoder can tell.

    What is shown before the first key frame, or at no time, may refer to frames that were cut away.
    """
    shown = [(time, key) for time, key, hidden in packets if not hidden]
    if not shown or not shown[0][1]:
        return None
    times = [time for time, _ in shown if time is not None]
    if container.format.name != "avi" and (len(times) < len(shown) or min(times) < shown[0][0]):
        return None  # packets of an .avi need no time
    return len(shown)


def frame_names(folder: str | Path) -> tuple[str, ...]:
    """The names of a folder's image files in the order of their numbers: the i-th is frame i.

    Numbers count by value, with or without leading zeros; hidden files are passed over. Missing
    numbers are warned of. A folder may hold a whole competition, some hundred thousand frames: it
    is listed once, and again only after something has been added to it or taken away. Raises
    VideoError for a folder without images, and for two of one frame.
    """
    return _listed(str(folder), os.stat(folder).st_mtime_ns)


@lru_cache(maxsize=64)
def _listed(folder: str, changed: int) -> tuple[str, ...]:
    found = [
        name
        for name in os.listdir(folder)
        if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != "."
    ]
    if not found:
        raise VideoError(f"{folder}: no {', '.join(IMAGE_SUFFIXES)} file in this folder of frames")
    if len({name.translate(ONE_DIGIT) for name in found}) > 1:  # numbers of several lengths
        keyed = sorted((_frame_key(name), name) for name in found)
        for (key, name), (other, twin) in pairwise(keyed):
            if key == other:
                raise VideoError(
                    f"{folder}: {name} and {twin} are one frame twice; keep one of them, and one"
                    " kind of images"
                )
        names = [name for _, name in keyed]
    else:
        names = sorted(found)
    if missing := _missing_numbers(names):
        warnings.warn(
            f"{folder}: of its frames the numbers {missing} are missing; those that are there are"
            " taken one after the other",
            stacklevel=2,
        )
    return tuple(names)


def _frame_key(name: str) -> tuple:
    """What frames are sorted by: "cam2_frame10.jpg" -> ("cam", 2, "_frame", 10, "")."""
    parts = re.split(r"([0-9]+)", os.path.splitext(name)[0])
    return tuple(int(part) if number % 2 else part for number, part in enumerate(parts))


def _missing_numbers(names: list[str]) -> str:
    """The numbers that a run of frames leaves out, in words; every so-manieth frame, as tools
    extract them, is a run."""
    found = re.match(r"(.*?)([0-9]+)([^0-9]*)$", os.path.splitext(names[0])[0])
    if found is None:
        return ""
    begin, end = found[1], found[3] + os.path.splitext(names[0])[1]
    last = names[-1][len(begin) : len(names[-1]) - len(end)]
    if last.isdecimal() and int(last) - int(found[2]) == len(names) - 1:
        return ""  # as many as there can be: a whole competition is not looked at one by one
    numbers = [
        name[len(begin) : len(name) - len(end)]
        for name in names
        if name.startswith(begin) and name.endswith(end)
    ]
    if len(numbers) < max(3, len(names)) or not all(map(str.isdecimal, numbers)):
        return ""  # not one text with one number
    steps = np.diff(np.array(list(map(int, numbers)), dtype=np.float64))
    step = Counter(steps.tolist()).most_common(1)[0][0]
    words = []
    for place in np.flatnonzero(steps > step):
        first, last = int(numbers[place]) + int(step), int(numbers[place + 1]) - int(step)
        words.append(str(first) if first >= last else f"{first} to {last}")
    return ", ".join(words[:10]) + (f" and {len(words) - 10} more gaps" if len(words) > 10 else "")


def read_video(
    path: str | Path, numbers: np.ndarray | None = None, *, threads: int | None = None
) -> np.ndarray:
    """Decode a video file or a folder of frames.

    path     a video file, or a folder whose image files are the frames in the order of their
             numbers, all of one size
    numbers  frame numbers [T] in any order, repeats allowed; None reads all
    threads  that decode one file, or a folder's images; None leaves it to the decoder, and to
             PyTorch's number

    Frames are counted and never timed, so a variable frame rate changes nothing. Videos are turned
    as players show them (phones store them lying, with a note). Images are taken as they are
    stored: an EXIF note is not followed. Returns uint8 [T, H, W, 3]; a grey image gets three equal
    channels. Raises VideoError when something cannot be decoded, is cut short, differs in size or
    is larger than MAX_PIXELS, and when there are fewer frames than asked for.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, numbers, threads)
    wanted, available = _decode(
        path, None if numbers is None else set(np.asarray(numbers).tolist()), threads
    )
    numbers = np.arange(available) if numbers is None else np.asarray(numbers)
    _check_numbers(path, numbers, available)
    return np.stack([wanted[number] for number in numbers])


def _read_folder(folder: Path, numbers: np.ndarray | None, threads: int | None) -> np.ndarray:
    # here, since it takes seconds to import, which every process that only writes videos would pay
    # for
    import torch

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
            sizes = [
                f"{width} x {height} pixels" for height, width, _ in (image.shape, first.shape)
            ]
            raise VideoError(
                f"{folder / names[wanted[place]]}: has {sizes[0]}, frame {wanted[0]} of this folder"
                f" has {sizes[1]}; frames must not differ in size"
            )
        video[where == place] = image

    def read_share(begin: int) -> None:
        for place in range(begin, len(wanted), threads):
            read(place)

    if threads == 1:
        read_share(0)
    # torchvision decodes outside Python's lock; a thread gets its whole share at once, as handing
    # out costs time
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read_share, range(threads)))
    return video


def open_container(path: str | Path) -> av.container.InputContainer:
    """A video file opened by PyAV, to be closed by `with`: it has a video stream, of frames that
    are not too large.

    Raises VideoError for a file that is not there, is none of CONTAINERS, holds no video stream
    that can be decoded, or states frames of more than MAX_PIXELS.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: no such video file or folder of frames")
    allowed = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
    limit = {"max_pixels": str(MAX_PIXELS)}
    try:
        # Absolute, since FFmpeg takes a name's part before a colon for a protocol.
        container = av.open(
            os.path.abspath(path), options=limit, container_options=allowed, **NO_TEXT
        )
    except (av.error.FFmpegError, OSError) as error:
        kinds = ", ".join(VIDEO_SUFFIXES)
        raise VideoError(
            f"{path}: cannot be opened as a video ({_reason(error)}); is the file complete? Read"
            f" are {kinds}"
        ) from None
    try:
        stream = video_stream(container)
        if stream is None or stream.codec_context is None:
            raise VideoError(
                f"{path}: holds no video stream" + (" that can be decoded" if stream else "")
            )
        _check_size(path, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = (
            limit  # what the frames themselves state, which may differ from the header
        )
    except VideoError:
        container.close()
        raise
    return container


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The stream that is read: the first that is no cover picture, which sound files carry as a
    video of one frame."""
    return next(
        (s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None
    )


def _reason(error: OSError) -> str:
    return one_line(
        getattr(error, "strerror", None) or error
    )  # without the path, which begins the message


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"{path}: states frames of {width} x {height} pixels; at most {MAX_PIXELS:,} pixels are"
            " read: make it smaller"
        )


def _decode(
    path: Path, wanted: set[int] | None, threads: int | None = None
) -> tuple[dict[int, np.ndarray], int]:
    """The wanted frames by number (all if None), of one size, and how many there are up to the last
    one wanted."""
    last = max(wanted) if wanted else None
    frames: dict[int, np.ndarray] = {}
    seen, first = 0, None
    colours = (
        VideoReformatter()
    )  # one for all frames: making one takes as long as decoding a small picture
    with open_container(path) as container:
        stream = video_stream(container)
        if threads:
            stream.codec_context.thread_count = threads
        try:
            for number, frame in enumerate(container.decode(stream)):
                seen = number + 1
                if wanted is None or number in wanted:
                    image = _upright(
                        frame, colours.reformat(frame, format="rgb24").to_ndarray(), path
                    )
                    first = image if first is None else first
                    if image.shape != first.shape:
                        raise VideoError(
                            f"{path}: frames differ in size: {first.shape}, and from frame {number}"
                            f" on {image.shape}"
                        )
                    frames[number] = image
                if last is not None and number >= last:
                    break
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(
                f"{path}: decoding stopped after {seen} frames ({_reason(error)}); is the file"
                " complete?"
            ) from None
    if not seen:
        raise VideoError(f"{path}: holds no frame that can be decoded")
    return frames, seen


def _upright(frame: av.VideoFrame, image: np.ndarray, path: Path) -> np.ndarray:
    """A frame's picture as players show it, uint8 [H, W, 3]: turned and mirrored as its display
    matrix says.

    The matrix takes a pixel (x, y) of the stored picture to (a x + c y, b x + d y); numbers are
    16.16 fixed point.
    """
    note = frame.side_data.get("DISPLAYMATRIX")
    if note is None:
        return image
    matrix = np.frombuffer(bytes(note), np.int32).reshape(3, 3)[:2, :2] / 2**16
    length = np.abs(matrix).max()
    (a, b), (c, d) = np.rint(matrix / length).astype(int) if length else np.eye(2, dtype=int)
    if (
        not length
        or np.abs(matrix / length - [[a, b], [c, d]]).max() > 0.02
        or abs(a * d - b * c) != 1
    ):
        raise VideoError(
            f"{path}: its display matrix turns the picture by no right angle; write it anew, for"
            " example with ffmpeg"
        )
    if a == 0:  # a quarter turn: columns become rows
        image, down, right = image.transpose(1, 0, 2), b, c
    else:
        down, right = d, a
    return np.ascontiguousarray(image[::down, ::right])


def _check_numbers(path: Path, numbers: np.ndarray, available: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= available):
        raise VideoError(
            f"{path}: has {available} frames, frame {int(numbers.max())} was asked for"
        )


def open_image(file: str | Path) -> tuple[ImageFile, bytes]:
    """A JPEG or PNG image whose header is read and whose pixels are not decoded yet, and the file's
    bytes.

    Raises VideoError for any other file, for an image of more than MAX_PIXELS, and for one of 16
    bits a channel.
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

        return (
            decode_image(
                torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB
            )
            .permute(1, 2, 0)
            .numpy()
        )
    except Exception as error:  # as above
        raise VideoError(f"{file}: cannot be decoded as an image ({one_line(error)})") from None
