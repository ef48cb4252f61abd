"""Archives from strangers, unpacked so that they neither leave their folder nor fill the disk.

A zip or tar file states where each member goes, what it is and how large. It may state a path or a
link that leaves the folder, a device, a thousand times its own size. The first such member refuses
the archive, and nothing of it stays.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm.auto import tqdm

from corelib.data.contract import is_below, is_relative
from corelib.machine.errors import KitError
from corelib.machine.files import new_folder
from corelib.machine.messages import has_control_characters, one_line

SIZE_LIMIT = 200 * 10**9  # bytes unpacked; the benchmarks' archives take some tens of GB
MEMBER_LIMIT = 3_000_000  # MTL-AQA has 2.4 million frames
# times the archive's own size: videos and frames shrink by a few percent, tables to a tenth
RATIO_LIMIT = 100
SMALL = 2**24  # bytes that an archive may unpack to whatever its ratio
CHUNK = 2**20  # bytes copied at a time, and the longest header of a tar file that is read
PADDING = 2**24  # bytes behind a tar file's end mark that are read
LONGEST_LINK = 4096  # bytes
COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    RuntimeError, ValueError, LookupError, ArithmeticError,
)  # fmt: skip  # RuntimeError: a kind of zip file that zipfile does not know
NOTHING = "; nothing was unpacked"


class ArchiveError(KitError):
    """An archive is damaged or must not be unpacked; the message names the member and says why."""


@dataclass(frozen=True)
class Member:
    """An entry of an archive: its name as written, the bytes that it unpacks to, and what it is."""

    name: str
    size: int
    kind: str  # "file", "folder", "link" (seen from its place), "hard link" (to another member)
    target: str = ""  # of a link


def unpack(
    archive: str | Path,
    out: str | Path,
    *,
    limit: int = SIZE_LIMIT,
    members: int = MEMBER_LIMIT,
    overwrite: bool = False,
    progress: bool = False,
) -> tuple[int, int]:
    """Unpack a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file into the new folder `out`.

    limit, members  the most bytes and the most entries that it may unpack to

    Returns (files, bytes). The folder gets its name when all is unpacked; files get the rights and
    the time of any new file. Links within the folder are made last: nothing is written through one.
    Raises ArchiveError for an archive that is damaged or too large, also for its own size; and for
    a member that leaves the folder, is a device or comes twice. Raises FileExistsError as
    new_folder.
    """
    archive = Path(archive)
    if not archive.is_file():
        raise ArchiveError(f"{archive}: no such file")
    bar = tqdm(unit="B", unit_scale=True, desc=archive.name, disable=not progress or None)
    unpacking = new_folder(out, overwrite=overwrite, doing="unpacks")
    with unpacking as scratch, _damage_told(archive), bar:
        files, size, links = 0, 0, []
        for member, content in _within(archive, _members(archive, scratch), limit, members):
            place = scratch / _inside(archive, member.name)
            if place == scratch and member.kind != "folder":
                raise ArchiveError(f"{archive}: a member has no name{NOTHING}")
            if member.kind == "folder":
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "file":
                _write(archive, member, content, place)
            else:
                links.append((member, place))
            files, size = files + 1, size + member.size
            bar.update(member.size)
        if not files:
            raise ArchiveError(f"{archive}: holds no file")
        _make_links(archive, links, scratch)
    return files, size


def _within(archive: Path, found: Iterator, limit: int, members: int) -> Iterator:
    """The entries, as long as they are not too many and not too large together."""
    size, by_ratio = 0, max(SMALL, RATIO_LIMIT * archive.stat().st_size)
    for count, (member, content) in enumerate(found, 1):
        size += member.size
        if count > members:
            wrong = f"holds more than {members:,} members, which is the limit"
        elif size > limit:
            wrong = f"would unpack to more than {limit:,} bytes, which is the limit"
        elif size > by_ratio:
            wrong = f"would unpack to more than {RATIO_LIMIT} times its own size"
        else:
            yield member, content
            continue
        raise ArchiveError(f"{archive}: {wrong}{NOTHING}")


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    """What the libraries raise for a damaged archive, as one line."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        name = one_line(Path(error.filename2 or error.filename).name)
        raise ArchiveError(f"{archive}: the member {name} comes twice{NOTHING}") from None
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the archive's
            raise
        raise ArchiveError(
            f"{archive}: cannot be unpacked ({one_line(error)}); it is damaged or not whole, get it"
            " again"
        ) from None


def _inside(archive: Path, name: str) -> PurePosixPath:
    """A member's path below the folder, or of the folder itself ("./")."""
    if has_control_characters(name):
        raise ArchiveError(
            f"{archive}: the name of the member {one_line(name)} holds control characters or is no"
            f" text{NOTHING}"
        )
    if not is_below(name) and PurePosixPath(name).parts:
        raise ArchiveError(
            f"{archive}: the path of the member {one_line(name)} leaves the folder{NOTHING}"
        )
    return PurePosixPath(name)


def _write(archive: Path, member: Member, content: BinaryIO, place: Path) -> None:
    with content, open(place, "xb") as file:
        shutil.copyfileobj(content, file, CHUNK)
        if file.tell() != member.size:
            raise ArchiveError(
                f"{archive}: the member {member.name} has {file.tell():,} of its {member.size:,}"
                " bytes; get the archive again"
            )


def _make_links(archive: Path, links: list[tuple[Member, Path]], folder: Path) -> None:
    def refuse(member: Member, wrong: str) -> None:
        target = one_line(member.target)
        raise ArchiveError(
            f"{archive}: the member {member.name} is a link to {target}, {wrong}{NOTHING}"
        )

    root = os.path.realpath(folder)
    for member, place in sorted(links, key=lambda link: link[0].kind != "hard link"):
        if member.kind == "hard link":
            source = folder / _inside(archive, member.target)
            if not source.is_file():  # itself no link: those come after
                refuse(member, "which is no file before it")
            os.link(source, place)
        else:
            os.symlink(member.target, place)
    for member, place in links:  # only now, as the way to a target may lead over other links
        below = os.path.commonpath([root, os.path.realpath(place)]) == root
        if not is_relative(member.target) or not below:
            refuse(member, "out of the folder")


def _members(archive: Path, folder: Path) -> Iterator[tuple[Member, BinaryIO | None]]:
    """Every entry, and the content of a file; to be unpacked below `folder`."""
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(archive)
    opener = next((opener for sign, opener in COMPRESSED if start.startswith(sign)), open)
    return _of_tar(archive, opener, folder)


def _of_zip(archive: Path) -> Iterator[tuple[Member, BinaryIO | None]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16  # of a Unix file, 0 from other systems
            if info.flag_bits & 1:
                raise ArchiveError(
                    f"{archive}: the member {one_line(info.filename)} is encrypted; unpack it with"
                    " the program that its owners name"
                )
            if info.filename.endswith("/"):  # is_dir fails for an empty name
                yield Member(info.filename, 0, "folder"), None
            elif stat.S_ISLNK(mode):
                with opened.open(info) as content:
                    target = content.read(LONGEST_LINK).decode()
                yield Member(info.filename, 0, "link", target), None
            else:
                yield Member(info.filename, info.file_size, "file"), opened.open(info)


def _of_tar(archive: Path, opener, folder: Path) -> Iterator[tuple[Member, BinaryIO | None]]:
    with opener(archive, "rb") as file:
        stream = _Stream(file)
        with tarfile.open(fileobj=stream, mode="r:") as opened:
            while (info := opened.next()) is not None:
                opened.members = []  # millions of them would fill the memory
                try:
                    tarfile.data_filter(info, str(folder))
                except tarfile.FilterError as error:
                    raise ArchiveError(f"{archive}: {one_line(error)}{NOTHING}") from None
                if info.isdir():
                    yield Member(info.name, 0, "folder"), None
                elif info.issym() or info.islnk():
                    kind = "link" if info.issym() else "hard link"
                    yield Member(info.name, 0, kind, info.linkname), None
                else:
                    yield Member(info.name, info.size, "file"), opened.extractfile(info)
        if stream.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError("there is no end mark where it ends")
        # behind the padding stands the checksum of a compressed file
        all(stream.read(CHUNK) for _ in range(PADDING // CHUNK))


class _Stream:
    """A file of CHUNK bytes at most at a time, as a tar header may state a name of gigabytes."""

    def __init__(self, file: BinaryIO):
        self.file, self.last = file, b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"it states a header of {size:,} bytes")
        self.last = self.file.read(size)
        return self.last
