"""Reading and writing videos: PyAV for video files, `frames` for folders of images.

All carry their own decoders, so none needs FFmpeg on the machine. Files may come from anybody: what
they are is told by their content, and what their headers state is not believed before it has been
looked at.
"""

from __future__ import annotations

import os
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from corelib.data.frames import (
    MAX_PIXELS,
    VideoError,
    check_size,
    frame_names,
    read_folder,
    which_frames,
)
from corelib.data.frames import open_image as open_image
from corelib.machine.messages import one_line

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
# FFmpeg goes by content, not by name, and some formats that it knows are play lists: they name
# other files to open.
CONTAINERS = ("mov", "matroska", "webm", "avi", "mpeg", "mpegts", "flv", "asf", "ogg")
# Titles and the like may be no text; PyAV from 19 on takes them as they are, without this option.
NO_TEXT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
# Without B-frames the same frames give the same bytes; with them x264 does not promise it. Nor does
# it with instructions that take 32 or 64 bytes at once, where lines are no multiple of that long.
X264 = {"preset": "veryfast", "g": "8", "bf": "0", "x264-params": "asm=sse4.2"}


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
        stream.thread_count = 1  # more split the picture, and the file would depend on the machine
        stream.options = {"crf": str(crf), **X264}
        convert = VideoReformatter().reformat  # one for all frames: it is costly to make
        for image in frames:
            container.mux(stream.encode(_to_yuv420(image, convert)))
        container.mux(stream.encode())


def _to_yuv420(image: np.ndarray, convert) -> av.VideoFrame:
    """rgb24 [H, W, 3] -> a frame of yuv420p whose memory holds nothing but the picture and zeros.

    It is converted at a width without a remainder, since converters read and write whole registers.
    """
    height, width = image.shape[:2]
    wide = np.pad(image, ((0, 0), (0, -width % 64), (0, 0)), mode="edge")
    converted = convert(av.VideoFrame.from_ndarray(wide, format="rgb24"), format="yuv420p")
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
            reason = _reason(error)
            raise VideoError(f"{path}: reading stopped ({reason}); is the file complete?") from None
        count = count_shown(packets, container)
    return _decode(Path(path), set())[1] if count is None else count


def facts_of(packet: av.Packet) -> tuple[int | None, bool, bool]:
    """What is remembered of a packet: its time, whether it is a key frame, and hidden."""
    return packet.pts, packet.is_keyframe, packet.is_discard


def count_shown(packets: list[tuple], container: av.container.InputContainer) -> int | None:
    """How many frames a stream's packets give (`facts_of` each); None: only a decoder can tell.

    What is shown before the first key frame, or at no time, may refer to frames that were cut away.
    """
    shown = [(time, key) for time, key, hidden in packets if not hidden]
    if not shown or not shown[0][1]:
        return None
    times = [time for time, _ in shown if time is not None]
    if container.format.name != "avi" and (len(times) < len(shown) or min(times) < shown[0][0]):
        return None  # packets of an .avi need no time
    return len(shown)


def read_video(
    path: str | Path, numbers: np.ndarray | None = None, *, threads: int | None = None
) -> np.ndarray:
    """Decode a video file or a folder of frames: uint8 [T, H, W, 3].

    path     a video file, or a folder whose image files are the frames in the order of their
             numbers, all of one size; a grey image gets three equal channels
    numbers  frame numbers [T] in any order, repeats allowed; None reads all
    threads  that decode one file, or a folder's images; None leaves it to the decoder, and to
             PyTorch's number

    Frames are counted and never timed, so a variable frame rate changes nothing. Videos are turned
    as players show them (phones store them lying, with a note). Images are taken as they are
    stored: an EXIF note is not followed. Raises VideoError for what cannot be decoded, is cut
    short, differs in size, exceeds MAX_PIXELS, or lacks a frame that is asked for.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path, numbers, threads)
    wanted = None if numbers is None else set(np.asarray(numbers).tolist())
    frames, available = _decode(path, wanted, threads)
    return np.stack([frames[number] for number in which_frames(path, numbers, available)])


def open_container(path: str | Path) -> av.container.InputContainer:
    """A video file opened by PyAV, to be closed by `with`, that has a video stream.

    Raises VideoError for one that is not there, is none of CONTAINERS, holds no video that can be
    decoded, or states frames of more than MAX_PIXELS.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: no such video file or folder of frames")
    allowed = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
    options = {"options": {"max_pixels": str(MAX_PIXELS)}, "container_options": allowed}
    try:  # absolute, since FFmpeg takes a name's part before a colon for a protocol
        container = av.open(os.path.abspath(path), **options, **NO_TEXT)
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"{path}: cannot be opened as a video ({_reason(error)}); is the file complete? Read"
            f" are {', '.join(VIDEO_SUFFIXES)}"
        ) from None
    try:
        stream = video_stream(container)
        if stream is None or stream.codec_context is None:
            which = " that can be decoded" if stream else ""
            raise VideoError(f"{path}: holds no video stream{which}")
        check_size(path, stream.codec_context.width, stream.codec_context.height)
    except VideoError:
        container.close()
        raise
    # For what the frames themselves state, which may differ from the header.
    stream.codec_context.options = options["options"]
    return container


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The stream that is read: the first that is no cover picture, as sound files carry."""
    streams = container.streams.video
    return next((s for s in streams if not s.disposition & Disposition.attached_pic), None)


def _reason(error: OSError) -> str:  # without the path, which begins the message
    return one_line(getattr(error, "strerror", None) or error)


def _decode(
    path: Path, wanted: set[int] | None, threads: int | None = None
) -> tuple[dict[int, np.ndarray], int]:
    """The wanted frames by number (None: all), of one size, and how many there are up to the last
    one wanted."""
    last = max(wanted) if wanted else None
    frames: dict[int, np.ndarray] = {}
    seen, shape = 0, None
    colours = VideoReformatter()  # making one takes as long as decoding a small picture
    with open_container(path) as container:
        stream = video_stream(container)
        if threads:
            stream.codec_context.thread_count = threads
        try:
            for number, frame in enumerate(container.decode(stream)):
                seen = number + 1
                if wanted is None or number in wanted:
                    image = colours.reformat(frame, format="rgb24").to_ndarray()
                    frames[number] = image = _upright(frame, image, path)
                    shape = shape or image.shape
                    if image.shape != shape:
                        raise VideoError(
                            f"{path}: frames differ in size: {shape}, and from frame {number} on"
                            f" {image.shape}"
                        )
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
    """A frame's picture as players show it, uint8 [H, W, 3]: turned and mirrored as it says.

    Its display matrix takes a pixel (x, y) of the stored picture to (a x + c y, b x + d y); numbers
    are 16.16 fixed point.
    """
    note = frame.side_data.get("DISPLAYMATRIX")
    if note is None:
        return image
    matrix = np.frombuffer(bytes(note), np.int32).reshape(3, 3)[:2, :2] / 2**16
    length = np.abs(matrix).max() or 1.0  # of zeros the determinant below is no 1
    (a, b), (c, d) = whole = np.rint(matrix / length).astype(int)
    if np.abs(matrix / length - whole).max() > 0.02 or abs(a * d - b * c) != 1:
        raise VideoError(
            f"{path}: its display matrix turns the picture by no right angle; write it anew, for"
            " example with ffmpeg"
        )
    if a == 0:  # a quarter turn: columns become rows
        image, down, right = image.transpose(1, 0, 2), b, c
    else:
        down, right = d, a
    return np.ascontiguousarray(image[::down, ::right])
