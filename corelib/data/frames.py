"""Folders of frames: torchvision's decoder for JPEG, Pillow's for PNG.

Files may come from anybody: what they are is told by their content, and what their headers state is
not believed before it has been looked at.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from corelib.machine.errors import KitError
from corelib.machine.installation import InstallationError, torchvision_part
from corelib.machine.messages import one_line

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of one frame: 4096 x 4096, above 4K. Decoders take memory for whatever a header states.
MAX_PIXELS = 2**24
# Names that are equal but for their digits sort by number as they are.
ONE_DIGIT = str.maketrans("123456789", "000000000")


class VideoError(KitError, ValueError):
    """A video or folder of frames cannot be read; the message names it and what would be right."""


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
    entries = os.listdir(folder)
    names = sorted(n for n in entries if n.lower().endswith(IMAGE_SUFFIXES) and n[0] != ".")
    if not names:
        raise VideoError(f"{folder}: no {', '.join(IMAGE_SUFFIXES)} file in this folder of frames")
    if len({name.translate(ONE_DIGIT) for name in names}) > 1:  # numbers of several lengths
        keyed = sorted((_frame_key(name), name) for name in names)
        for (key, name), (other, twin) in pairwise(keyed):
            if key == other:
                raise VideoError(
                    f"{folder}: {name} and {twin} are one frame twice; keep one of them, and one"
                    " kind of images"
                )
        names = [name for _, name in keyed]
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
    """The numbers that a run of frames leaves out, in words; every so-manieth frame is a run."""
    stem, suffix = os.path.splitext(names[0])
    found = re.match(r"(.*?)([0-9]+)([^0-9]*)$", stem)
    if found is None:
        return ""
    begin, end = found[1], found[3] + suffix
    last = names[-1][len(begin) : len(names[-1]) - len(end)]
    if last.isdecimal() and int(last) - int(found[2]) == len(names) - 1:
        return ""  # as many as there can be: a whole competition is not looked at one by one
    alike = [name for name in names if name.startswith(begin) and name.endswith(end)]
    numbers = [name[len(begin) : len(name) - len(end)] for name in alike]
    if len(numbers) < max(3, len(names)) or not all(map(str.isdecimal, numbers)):
        return ""  # not one text with one number
    steps = np.diff(np.array(list(map(int, numbers)), dtype=np.float64))
    step = int(Counter(steps.tolist()).most_common(1)[0][0])
    words = []
    for place in np.flatnonzero(steps > step):
        first, last = int(numbers[place]) + step, int(numbers[place + 1]) - step
        words.append(str(first) if first >= last else f"{first} to {last}")
    return ", ".join(words[:10]) + (f" and {len(words) - 10} more gaps" if len(words) > 10 else "")


def check_size(path: str | Path, width: int, height: int) -> None:
    """Raise VideoError for frames of more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"{path}: states frames of {width} x {height} pixels; at most {MAX_PIXELS:,} pixels are"
            " read: make it smaller"
        )


def which_frames(path: Path, numbers: np.ndarray | None, available: int) -> np.ndarray:
    """The frame numbers that are asked for, all where that is None, of those that there are."""
    numbers = np.arange(available) if numbers is None else np.asarray(numbers)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= available):
        asked = int(numbers.max())
        raise VideoError(f"{path}: has {available} frames, frame {asked} was asked for")
    return numbers


def read_folder(folder: Path, numbers: np.ndarray | None, threads: int | None) -> np.ndarray:
    """The frames of a folder, uint8 [T, H, W, 3], as `read_video` takes its arguments."""
    import torch  # here: whatever only writes videos has no need of it, and it takes seconds

    threads = threads or torch.get_num_threads()
    names = frame_names(folder)
    numbers = which_frames(folder, numbers, len(names))
    wanted, where = np.unique(numbers, return_inverse=True)
    first = _read_image(f"{folder}/{names[wanted[0]]}")
    video = np.empty((len(numbers), *first.shape), np.uint8)

    def read_share(begin: int) -> None:
        for place in range(begin, len(wanted), threads):
            image = _read_image(f"{folder}/{names[wanted[place]]}") if place else first
            if image.shape != first.shape:
                its, others = (
                    f"{size[1]} x {size[0]} pixels" for size in (image.shape, first.shape)
                )
                raise VideoError(
                    f"{folder / names[wanted[place]]}: has {its}, frame {wanted[0]} of this folder"
                    f" has {others}; frames must not differ in size"
                )
            video[where == place] = image

    if threads == 1:
        read_share(0)
        return video
    # Decoding leaves Python's lock; handing out less than a whole share at once would cost time.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read_share, range(threads)))
    return video


def open_image(file: str | Path) -> tuple[ImageFile, bytes]:
    """A JPEG or PNG image, header read and pixels not decoded yet, and the file's bytes.

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
    check_size(file, *image.size)
    if isinstance(image, PngImageFile) and content[24] == 16:
        raise VideoError(f"{file}: has 16 bits a channel; save it with 8")
    return image, content


def _read_image(file: str) -> np.ndarray:
    image, content = open_image(file)
    try:
        if isinstance(image, PngImageFile):  # torchvision's decoder crashes on a damaged one
            return np.asarray(image.convert("RGB"))
        import torch

        decode = torchvision_part("io").decode_image
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return decode(encoded, mode="RGB").permute(1, 2, 0).numpy()
    except InstallationError:
        raise
    except Exception as error:  # as above
        raise VideoError(f"{file}: cannot be decoded as an image ({one_line(error)})") from None
