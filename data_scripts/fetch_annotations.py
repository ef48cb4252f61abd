"""Fetch the labels and splits of MTL-AQA, AQA-7 or JIGSAWS, so that the frames alone are missing.

Every file is downloaded from its project's own repository, or taken from --from, and checked
against the SHA-1 by which Git names its content. All are checked before the first is written.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from corelib.machine.files import only_one, remove_unfinished, write_atomically
from data_scripts.prepared.options import FOLDER, FOLDER_THERE, command, optional_place
from data_scripts.readers.downloads import DownloadError, GitFile

MTL_AQA = ("ParitoshParmar/MTL-AQA", "bf7dcb2e09e7e9d91eafe9ce58ed28f5b31f05d4")
SPLIT_0 = "MTL-AQA_dataset_release/Ready_2_Use/MTL-AQA_split_0_data"
CORE = ("yuxumin/CoRe", "f7881a9ff6d8be3cd6549fd58f1456d671537e76")
C3D_LSTM = ("ParitoshParmar/C3D-LSTM--PyTorch", "844747aa80d25837fe7ce1e6236a2f67bc302f85")
MUSDL = ("nzl-thu/MUSDL", "205868a826e4df3d0bcac5aa03ca36761aad43cd")


def _file(release: tuple[str, str], path: str, blob: str) -> GitFile:
    repository, commit = release
    return GitFile(repository, path, blob, commit)


@dataclass(frozen=True)
class Annotations:
    """What a data set's authors publish beside its videos.

    files  {place below the data set's folder, as its preparation script reads it: file}
    size   of all files
    terms  whose they are, under which terms
    after  what is missing still, and the command that prepares the data set; FOLDER stands for the
           folder
    """

    files: dict[str, GitFile]
    size: str
    terms: str
    after: str


DATASETS = {
    "mtl-aqa": Annotations(
        {
            "info/final_annotations_dict_with_dive_number.pkl": _file(
                CORE,
                "MTL-AQA/info/final_annotations_dict_with_dive_number.pkl",
                "f392432605cc1b7b83d374256f69a4e97ac24090",
            ),
            "info/final_annotations_dict.pkl": _file(
                MTL_AQA,
                f"{SPLIT_0}/final_annotations_dict.pkl",
                "01f711ac6436e4b0e8cd73a66c13f0a97f583e6d",
            ),
            "info/train_split_0.pkl": _file(
                MTL_AQA, f"{SPLIT_0}/train_split_0.pkl", "75ed272841d61a9ae7e93a6ed078893fca4c45d4"
            ),
            "info/test_split_0.pkl": _file(
                MTL_AQA, f"{SPLIT_0}/test_split_0.pkl", "4ffd5d55150f54cef7afbc5b45de5c799a687358"
            ),
        },
        "354,107 bytes",
        "research data of the MTL-AQA authors (Parmar and Morris, CVPR 2019), no licence file: ask"
        " them before you pass anything on",
        "the frames belong below FOLDER/new/new_total_frames_256s (docs/data.md, MTL-AQA); then:"
        " python data_scripts/prepare_mtl_aqa.py --raw FOLDER --out datasets/mtl-aqa",
    ),
    "aqa-7": Annotations(
        {
            "consolidated_train_list.mat": _file(
                C3D_LSTM,
                "input/consolidated_train_list.mat",
                "b5385d17fa862520c07ae54daa73e40fa4fc7fcf",
            ),
            "consolidated_test_list.mat": _file(
                C3D_LSTM,
                "input/consolidated_test_list.mat",
                "441de8792602f68f60182f3f8efdf117bfd3b508",
            ),
        },
        "4,596 bytes",
        "research data of the AQA-7 authors (Parmar and Morris, WACV 2019), no licence file: ask"
        " them before you pass anything on",
        "the frames or videos belong into FOLDER/diving-out and so on (docs/data.md, AQA-7); then:"
        " python data_scripts/prepare_aqa7.py --raw FOLDER --out datasets",
    ),
    "jigsaws": Annotations(
        {
            "label.pkl": _file(
                MUSDL, "JIGSAWS/data/info/label.pkl", "813d319f25939da8e5ec63e3d203ac84972eac96"
            ),
            "splits.pkl": _file(
                MUSDL, "JIGSAWS/data/info/splits.pkl", "750994b8d05f688cd2fd4858359da146483ca4d2"
            ),
        },
        "10,554 bytes",
        "labels and folds as published with USDL (Tang et al., CVPR 2020), no licence file; JIGSAWS"
        " itself needs its owners' form, whose terms hold",
        "the videos belong into FOLDER/Suturing/video and so on (docs/data.md, JIGSAWS); then:"
        " python data_scripts/prepare_jigsaws.py --raw FOLDER --splits FOLDER/splits.pkl --labels"
        " FOLDER/label.pkl --out datasets",
    ),
}


def missing_files(
    files: dict[str, GitFile], folder: Path, *, overwrite: bool
) -> dict[str, GitFile]:
    """Those of `files` that are not in `folder` as published.

    Raises DownloadError that names every other file in their places, unless `overwrite`.
    """
    missing = {
        place: file
        for place, file in files.items()
        if not (folder / place).is_file() or file.digest(folder / place) != file.checksum
    }
    others = [str(folder / place) for place in missing if (folder / place).exists()]
    if others and not overwrite:
        raise DownloadError(
            f"there already, and not as published: {', '.join(others)}; move them away, or pass"
            " --overwrite"
        )
    return missing


def take(place: str, file: GitFile, source: Path) -> Path:
    """The file as the reader put it into `source`: by its name, or as below a data set's folder."""
    name = Path(place).name
    path = next((path for path in (source / name, source / place) if path.is_file()), None)
    if path is None:
        raise DownloadError(f"no file {source / name}; fetch {file.url} and save it there")
    file.check(path)
    return path


def fetch(
    missing: dict[str, GitFile], folder: Path, *, source: Path | None, mirror: str | None
) -> None:
    """Write the missing files into `folder`, from `source`, or downloaded; all of them, or none.

    source  a folder in which they lie
    mirror  an address below which they lie by their names, in place of their own ones

    Raises DownloadError where one cannot be had, or is another file than the published one.
    """
    contents = {}
    with tempfile.TemporaryDirectory() as scratch:
        for place, file in missing.items():
            if source:
                path = take(place, file, source)
            else:
                url = f"{mirror.rstrip('/')}/{Path(place).name}" if mirror else file.url
                click.echo(f"from:  {url}")
                by_hand = "name the folder in which it lies with --from"
                path = file.fetch(Path(scratch), url, by_hand=by_hand)
                file.check(path)
            contents[place] = path.read_bytes()
    for place, content in contents.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path.parent, path.name)
        write_atomically(path, content)
        click.echo(f"{path}: {len(content):,} bytes, checksum verified")


@command(__doc__)
@click.argument("name", metavar="|".join(DATASETS), type=click.Choice(list(DATASETS)))
@optional_place(
    "--out", FOLDER, "The data set's folder, which its frames share.", "datasets-raw/NAME"
)
@optional_place("--from", FOLDER_THERE, "A folder that holds the files; nothing is downloaded.")
@click.option(
    "--mirror",
    metavar="URL",
    help="Another address, below which all files lie by their names; the checksums stay the same.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def main(name, out, mirror, overwrite, **options):
    source, wanted = options["from"], DATASETS[name]
    folder = out or Path("datasets-raw") / name
    if source and mirror:
        raise click.UsageError("--from downloads nothing, so it takes no --mirror")
    with only_one(folder, "fetches into", wait=True):
        missing = missing_files(wanted.files, folder, overwrite=overwrite)
        count = f"{len(missing)} of {len(wanted.files)} files are missing"
        click.echo(f"{folder}: {count}\nsize:  {wanted.size} in all\nterms: {wanted.terms}")
        fetch(missing, folder, source=source, mirror=mirror)
    click.echo(f"{folder}: all {len(wanted.files)} files are as published")
    click.echo(f"next:  {wanted.after.replace('FOLDER', str(folder))}")


if __name__ == "__main__":
    main()
