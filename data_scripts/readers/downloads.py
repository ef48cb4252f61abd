"""Files of public releases, pinned by checksums: fetched, or taken from where a reader put them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corelib.machine.errors import KitError

_NO_FILES = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for a file that was not fetched (git lfs pull fetches it)",
    ),
    (b"<", 'a web page (HTML or XML), as a browser\'s "save link" or a login page gives it'),
    (b"{", "a JSON message, as a server gives it in place of the file"),
)


class DownloadError(KitError, RuntimeError):
    """A file could not be fetched, or is another one; the message says which way is left."""


class _Pinned:
    """What the files below share: a checksum, which `digest` of the right file gives."""

    kind: ClassVar[str]  # of checksum, as a converted file's header names it
    words: ClassVar[str]  # and in words

    def check(self, path: Path, size: str = "") -> None:
        """Raise DownloadError, with what was expected and what came, unless `path` is this file."""
        found = self.digest(path)
        if found != self.checksum:
            expected = f"{size}, {self.words} {self.checksum}".removeprefix(", ")
            raise DownloadError(describe_other(path, str(self), expected, f"{self.words} {found}"))


@dataclass(frozen=True)
class GitFile(_Pinned):
    """A file of a public GitHub repository, pinned by the SHA-1 by which Git names its content."""

    repository: str  # owner/name on GitHub
    path: str  # of the file in it
    checksum: str  # git blob SHA-1 of the file
    commit: str = "HEAD"
    kind: ClassVar[str] = "git_blob_sha1"
    words: ClassVar[str] = "git blob SHA-1"

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/raw/{self.commit}/{self.path}"

    def __str__(self) -> str:
        return f"{self.path} of github.com/{self.repository}"

    def digest(self, path: Path) -> str:
        return git_blob_sha1(path)

    def fetch(self, folder: Path, mirror: str | None = None, **told: str) -> Path:
        """Download it into `folder`, from the address `mirror` if one is given; not checked yet.

        told  as `download` takes it
        """
        path = folder / Path(self.path).name
        download(mirror or self.url, path, **told)
        return path


@dataclass(frozen=True)
class PackageFile(_Pinned):
    """A source distribution of the Python package index, pinned by its SHA-256.

    pip fetches it from the index that it is set to, and checks it before it looks inside. Nothing
    of the package is installed.
    """

    name: str
    version: str
    checksum: str  # SHA-256 of the distribution
    kind: ClassVar[str] = "sha256"
    words: ClassVar[str] = "SHA-256"

    @property
    def url(self) -> str:
        return f"pip download {self.name}=={self.version}"

    def __str__(self) -> str:
        return f"{self.name} {self.version} of the Python package index"

    def digest(self, path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def fetch(self, folder: Path, mirror: str | None = None) -> Path:
        """Let pip download it into `folder`, from the index at `mirror` if one is given."""
        pinned, out = folder / "requirements.txt", folder / "came"
        pinned.write_text(f"{self.name}=={self.version} --hash=sha256:{self.checksum}\n")
        options = ["--no-deps", "--require-hashes", "--no-build-isolation"]
        options += ["--disable-pip-version-check", "--no-binary", self.name, "--dest", str(out)]
        options += ["--index-url", mirror] if mirror else []
        pip = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(pinned)]
        said = subprocess.run(pip, capture_output=True, text=True, check=False)
        if said.returncode:
            lines = [line for line in said.stderr.splitlines() if line.startswith("ERROR")]
            why = (lines or said.stderr.splitlines() or ["no word of why"])[-1].strip()
            raise DownloadError(
                f"{self.url}: the download failed ({why.removeprefix('ERROR: ')}); run this again,"
                " name another index with --mirror, or fetch the file on any machine and name it"
                " with --from-file"
            )
        return next(out.iterdir())


def git_blob_sha1(path: str | Path) -> str:
    """What Git calls the file: the SHA-1, in hexadecimal, of b"blob <size>\\0" and its content."""
    path = Path(path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def describe_other(path: Path, wanted: str, expected: str, came: str) -> str:
    """The lines that say of a file that it is another one, and what it looks like."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    size, other = path.stat().st_size, "the content of something else, or of a part of the file"
    what = next((name for sign, name in _NO_FILES if start.startswith(sign)), other)
    return (
        f"{path}: not {wanted}\n  expected: {expected}\n"
        f"  came:     {size:,} bytes, {came}: {what if size else 'an empty file'}"
    )


def download(url: str, path: Path, *, by_hand: str = "name it with --from-file") -> None:
    """Download `url` to `path`. Raises DownloadError with the reason and the way by hand.

    by_hand  what to do with a file that was fetched in a browser
    """
    import pooch
    import requests

    try:
        pooch.get_logger().setLevel("WARNING")  # it would print a checksum that nobody asked for
        pooch.retrieve(
            url,
            known_hash=None,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
        )
    except requests.RequestException as error:
        raise DownloadError(
            f"{url}: the download failed ({_reason(error)}); run this again, or fetch the file in a"
            f" browser, on any machine, and {by_hand}"
        ) from None


def _reason(error: OSError) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return str(error)
