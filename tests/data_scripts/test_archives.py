"""Archives from strangers: what is sound is unpacked whole, anything that reaches out or blows up
leaves nothing."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from data_scripts.readers.archives import ArchiveError, unpack

FILES = {
    "set/a.avi": b"a" * 3000,
    "set/deep/b.avi": bytes(range(256)) * 9,
    "notes.txt": b"",
    "set/ä ü.txt": "ä".encode(),
}


def write_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
    return path


def entry(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def write_tar(path, members, mode="w"):
    """members: {name: content}, or a list of (TarInfo, content)."""
    with tarfile.open(path, mode) as archive:
        for info, content in (
            [(entry(name, size=len(content)), content) for name, content in members.items()]
            if isinstance(members, dict)
            else members
        ):
            archive.addfile(info, io.BytesIO(content))
    return path


def content_of(folder: Path) -> dict:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refusal(archive, tmp_path, **options) -> str:
    """The one line with which an archive is refused; nothing of it is left, inside or outside of
    its folder."""
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ArchiveError) as error:
        unpack(archive, tmp_path / "in" / "out", **options)
    (tmp_path / "in").rmdir()  # holds nothing
    assert sorted(path for path in tmp_path.rglob("*")) == before
    message = str(error.value)
    assert (
        message.startswith(f"{archive}: ")
        and message.isprintable()
        and len(message) < len(str(archive)) + 500
    )
    return message


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_sound_archive_is_unpacked_whole_whatever_it_is_called(tmp_path, suffix):
    path = tmp_path / "archive.of.videos"
    write_zip(path) if suffix == ".zip" else write_tar(path, FILES, "w:" + suffix[5:])
    assert unpack(path, tmp_path / "out") == (4, sum(map(len, FILES.values())))
    assert content_of(tmp_path / "out") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.of.videos", "out"]


def test_folders_and_links_within_the_folder_are_made(tmp_path):
    members = [
        (entry("./", tarfile.DIRTYPE), b""),
        (entry("empty", tarfile.DIRTYPE), b""),
        (entry("set/a", size=1), b"a"),
        (entry("latest", tarfile.SYMTYPE, "set/a"), b""),
        (entry("set/up", tarfile.SYMTYPE, "../empty"), b""),
        (entry("twin", tarfile.LNKTYPE, "set/a"), b""),
    ]
    unpack(write_tar(tmp_path / "a.tar", members), tmp_path / "out")
    assert (
        os.readlink(tmp_path / "out" / "latest") == "set/a"
        and (tmp_path / "out" / "latest").read_bytes() == b"a"
    )
    assert (tmp_path / "out" / "set" / "up").is_dir() and (
        tmp_path / "out" / "twin"
    ).read_bytes() == b"a"


def test_neither_rights_nor_owners_come_from_the_archive(tmp_path):
    info = entry("set/tool", size=1)
    info.mode, info.mtime = 0o4777, 0
    unpack(write_tar(tmp_path / "a.tar", [(info, b"x")]), tmp_path / "out")
    found = (tmp_path / "out" / "set" / "tool").stat()
    assert not found.st_mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH) and found.st_mtime > 1e9


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("card", [b"{}", b"not json", b'{"name": "../.."}'])
def test_an_archive_of_a_dataset_is_unpacked_whatever_its_card_says(tmp_path, kind, card):
    files = {"dataset.json": card, "samples.csv": b"id\n", "a.avi": b"x"}
    path = (
        write_zip(tmp_path / "a.zip", files)
        if kind == "zip"
        else write_tar(tmp_path / "a.tar", files)
    )
    assert unpack(path, tmp_path / "out") == (3, sum(map(len, files.values())))
    assert content_of(tmp_path / "out") == files


@pytest.mark.parametrize("name", ["", ".", "\0"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_without_a_name_is_refused(tmp_path, kind, name):
    if kind == "zip":
        path = write_zip(tmp_path / "a.zip", {"b.avi": b"x", zipfile.ZipInfo("?"): b"y"})
        content = bytearray(path.read_bytes())
        for header, length, start in ((b"PK\x03\x04", 26, 30), (b"PK\x01\x02", 28, 46)):
            place = content.rindex(header)
            content[place + length] = len(name)
            content[place + start : place + start + 1] = name.encode()
        end = content.rindex(
            b"PK\x05\x06"
        )  # where the directory begins, and its size, when the name got shorter
        content[end + 12] -= 1 - len(name)
        content[end + 16] -= 1 - len(name)
        path.write_bytes(content)
    else:
        path = write_tar(
            tmp_path / "a.tar", [(entry("b", size=1), b"x"), (entry(name, size=1), b"y")]
        )
    assert "has no name" in refusal(path, tmp_path)


OUTSIDE = (
    "../escaped",
    "set/../../escaped",
    "/tmp/escaped",
    "..\\escaped",
    "C:\\escaped",
    "C:escaped",
    "\\\\host\\share\\escaped",
    "set/..",
)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, kind, name):
    files = {"before.avi": b"x", name: b"escaped"}
    path = (
        write_zip(tmp_path / "a.zip", files)
        if kind == "zip"
        else write_tar(tmp_path / "a.tar", files)
    )
    assert "nothing was unpacked" in refusal(path, tmp_path)
    assert not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "set/../../../secret"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_file_that_leaves_the_folder_is_refused(tmp_path, kind, target):
    (tmp_path / "secret").write_text("mine")
    members = [(entry("set/a", size=1), b"a"), (entry("set/link", kind, target), b"")]
    assert "link" in refusal(write_tar(tmp_path / "a.tar", members), tmp_path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "x" * 5000])
def test_a_link_in_a_zip_file_that_leaves_the_folder_is_refused(tmp_path, target):
    info = zipfile.ZipInfo("set/link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "secret").write_text("mine")
    if len(target) > 4096:
        with pytest.raises(OSError, match="too long"):
            unpack(write_zip(tmp_path / "a.zip", {info: target}), tmp_path / "out")
    else:
        assert "set/link is a link to" in refusal(
            write_zip(tmp_path / "a.zip", {info: target}), tmp_path
        )


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "home").mkdir()
    for target in (
        "../../home",
        "set",
    ):  # one that leaves, and one that would only hide what is written
        members = [(entry("way", tarfile.SYMTYPE, target), b""), (entry("way/key", size=1), b"x")]
        refusal(write_tar(tmp_path / "a.tar", members), tmp_path)
        assert not any((tmp_path / "home").iterdir())


def test_a_chain_of_links_that_leaves_the_folder_is_refused(tmp_path):
    # seen from its own path each of them stays inside; the second leads over the first, which
    # stands at the top
    members = [
        (entry("a/b/c/top", tarfile.SYMTYPE, "../../.."), b""),
        (entry("out", tarfile.SYMTYPE, "a/b/c/top/../../secret"), b""),
    ]
    members = [(entry("a/b/c/file", size=1), b"x"), *members]
    (tmp_path / "secret").write_text("mine")
    assert "out of the folder" in refusal(write_tar(tmp_path / "a.tar", members), tmp_path)


@pytest.mark.parametrize("target", ["set/gone", "set", "latest"])
def test_a_hard_link_to_no_file_of_the_archive_is_refused(tmp_path, target):
    members = [
        (entry("set/a", size=1), b"a"),
        (entry("latest", tarfile.SYMTYPE, "set/a"), b""),
        (entry("hard", tarfile.LNKTYPE, target), b""),
    ]
    assert "no file before it" in refusal(write_tar(tmp_path / "a.tar", members), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_is_refused(tmp_path, kind):
    assert "special file" in refusal(
        write_tar(tmp_path / "a.tar", [(entry("set/0.jpg", kind), b"")]), tmp_path
    )


@pytest.mark.parametrize(
    "second",
    [
        entry("set/a", size=1),
        entry("set/a", tarfile.SYMTYPE, "b"),
        entry("set/a", tarfile.DIRTYPE),
        entry("set/a/b", size=1),
        entry("set/./a", size=1),
        entry("set", size=1),
        entry("set", tarfile.LNKTYPE, "set/a"),
    ],
)
def test_a_member_that_comes_twice_is_refused(tmp_path, second):
    path = write_tar(tmp_path / "a.tar", [(entry("set/a", size=1), b"1"), (second, b"2")])
    assert "comes twice" in refusal(path, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_in_a_zip_file_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.avi", "first")
        archive.writestr("a.avi", "second")
    assert "a.avi comes twice" in refusal(path, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_archive_that_explodes_is_refused(tmp_path, kind):
    bomb = {f"{number}.avi": bytes(2**20) for number in range(20)}
    path = (
        write_zip(tmp_path / "a", bomb)
        if kind == "zip"
        else write_tar(tmp_path / "a", bomb, "w:gz")
    )
    assert path.stat().st_size < 100_000
    assert "more than 100 times its own size" in refusal(path, tmp_path)


def test_zeros_that_are_few_are_no_bomb(tmp_path):
    assert unpack(write_zip(tmp_path / "a.zip", {"mask.npy": bytes(10**6)}), tmp_path / "out") == (
        1,
        10**6,
    )


def test_limits_of_size_and_number_hold_for_what_an_archive_states(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"{number}": bytes(100) for number in range(10)})
    assert unpack(path, tmp_path / "whole", limit=1000, members=10) == (10, 1000)
    assert "more than 999 bytes, which is the limit" in refusal(path, tmp_path, limit=999)
    assert "more than 9 members, which is the limit" in refusal(path, tmp_path, members=9)
    # States a petabyte, holds nothing.
    (tmp_path / "huge.tar").write_bytes(
        entry("huge", size=10**15).tobuf(tarfile.GNU_FORMAT) + bytes(2 * tarfile.BLOCKSIZE)
    )
    assert "which is the limit" in refusal(tmp_path / "huge.tar", tmp_path)


def test_a_zip_file_that_lies_about_a_size_is_damaged(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(10**6)})
    content = path.read_bytes()
    path.write_bytes(content.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "damaged" in refusal(path, tmp_path)


def test_a_header_that_states_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "a.tar"
    name = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=2**33)
    path.write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert "a header of 8,589,934,592 bytes" in refusal(path, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_that_was_cut_short_is_refused(tmp_path, kind):
    rng = np.random.default_rng(0)
    noise = {f"{number}.avi": rng.bytes(700) for number in range(5)}
    path = (
        write_zip(tmp_path / "a", noise)
        if kind == "zip"
        else write_tar(tmp_path / "a", noise, f"w:{kind[4:]}")
    )
    content = path.read_bytes()
    needed = (
        5 * 1536 + 512 if kind == "tar" else len(content)
    )  # five members and the end mark; zeros follow
    for size in {*range(0, needed, 512), 300, 3 * 1024 + 300, needed - 1}:
        path.write_bytes(content[:size])
        refusal(path, tmp_path)
    path.write_bytes(content[:needed])
    assert unpack(path, tmp_path / "whole") == (5, 3500)


def test_bit_flips_are_refused_or_leave_the_rest_sound(tmp_path):
    originals = [
        write_zip(tmp_path / "a").read_bytes(),
        *(write_tar(tmp_path / "a", FILES, f"w:{kind}").read_bytes() for kind in ("", "gz", "xz")),
    ]
    sound = refused = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        content = bytearray(originals[number % len(originals)])
        for _ in range(2 ** int(rng.integers(0, 5))):
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"{number}.archive"
        path.write_bytes(content)
        try:
            unpack(path, tmp_path / f"{number}")
            sound += 1
        except ArchiveError as error:
            refused += 1
            assert str(error).isprintable() and not (tmp_path / f"{number}").exists()
    assert sound + refused == 200 and refused > 100
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be unpacked"),
        (b"Rar!\x1a\x07\x00" + bytes(600), "cannot be unpacked"),
        (b"<html>" * 200, "cannot be unpacked"),
        (bytes(10240), "holds no file"),
    ],
)
def test_what_is_no_archive_is_told(tmp_path, content, told):
    (tmp_path / "a.zip").write_bytes(content)
    assert told in refusal(tmp_path / "a.zip", tmp_path)


def test_an_encrypted_zip_file_is_told(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"x"})
    content = bytearray(path.read_bytes())
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(sign) + place] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refusal(path, tmp_path)


@pytest.mark.parametrize("name", ["line\nend", "\x1b[2Jcleared", "bell\x07"])
def test_a_name_of_control_characters_is_refused_and_not_printed(tmp_path, name):
    assert "control characters" in refusal(write_tar(tmp_path / "a.tar", {name: b""}), tmp_path)


def test_a_folder_that_is_there_is_replaced_only_on_demand(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("dear")
    with pytest.raises(FileExistsError, match="--overwrite"):
        unpack(path, tmp_path / "out")
    with pytest.raises(ArchiveError):
        unpack(write_zip(tmp_path / "b.zip", {"../x": b""}), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine").read_text() == "dear"
    unpack(path, tmp_path / "out", overwrite=True)
    assert content_of(tmp_path / "out") == FILES


def test_the_script_unpacks_and_tells_a_refusal_in_one_line(tmp_path, data_script):
    main = data_script("unpack").main
    done = CliRunner().invoke(
        main, [str(write_zip(tmp_path / "a.zip")), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0 and "out: 4 files" in done.output
    for archive, options in (
        (write_zip(tmp_path / "b.zip", {"../x": b""}), []),
        (tmp_path / "gone.zip", []),
        (tmp_path / "a.zip", ["--limit", "0.000001"]),
    ):
        refused = CliRunner().invoke(
            main, [str(archive), "--out", str(tmp_path / "other"), *options]
        )
        assert (
            refused.exit_code == 2
            and refused.output.startswith("error: ")
            and len(refused.output.strip().splitlines()) == 1
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "out"]
