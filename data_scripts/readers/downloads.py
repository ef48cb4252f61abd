"""Files of public releases, pinned by checksums: fetched, or taken from where a reader put them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class GitFile:
    """A file of a public GitHub repository, pinned by the SHA-1 by which Git names its content."""

    repository: str  # owner/name on GitHub
    path: str  # of the file in it
    blob: str  # git blob SHA-1 of the file
    commit: str = "HEAD"

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/raw/{self.commit}/{self.path}"

    def __str__(self) -> str:
        return f"{self.path} of github.com/{self.repository}"

    def check(self, path: Path, size: str = "") -> None:
        """Raise DownloadError, with what was expected and what came, unless `path` is this file."""
        blob = git_blob_sha1(path)
        if blob != self.blob:
            expected = f"{size}, git blob SHA-1 {self.blob}".removeprefix(", ")
            raise DownloadError(describe_other(path, str(self), expected, f"git blob SHA-1 {blob}"))


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
