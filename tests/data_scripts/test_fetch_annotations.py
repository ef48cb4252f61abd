"""Labels and splits: fetched from a local server or taken from a folder, whole and as published, or
not at all."""

import dataclasses
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from data_scripts.prepare_aqa7 import read_aqa7
from data_scripts.prepare_mtl_aqa import read_mtl_aqa
from data_scripts.readers.downloads import git_blob_sha1
from data_scripts.readers.jigsaws_files import TASKS, read_labels, read_splits
from tests.web_server import serving

NAMES = ("mtl-aqa", "aqa-7", "jigsaws")
# {data set: its folder below CORE_AQA_DATA}
REAL = {"mtl-aqa": "mtl_aqa", "aqa-7": "aqa7", "jigsaws": "jigsaws"}
FIRST, SECOND = "consolidated_train_list.mat", "consolidated_test_list.mat"  # of AQA-7


@pytest.fixture(scope="module")
def script(data_script):
    return data_script("fetch_annotations")


@pytest.fixture
def fetch(script):
    """fetch(option, ...) -> the result of the command: exit_code, stdout, stderr."""
    return lambda *options: CliRunner().invoke(script.main, [str(option) for option in options])


@pytest.fixture
def published(script, monkeypatch, tmp_path):
    """published(name) -> a folder of files that stand for the public ones: the command expects
    their checksums from now on."""

    def publish(name):
        folder, files = tmp_path / "published" / name, {}
        folder.mkdir(parents=True)
        for place, file in script.DATASETS[name].files.items():
            path = folder / place.rpartition("/")[2]
            path.write_bytes(f"{name} {place}\n".encode() * 50)
            files[place] = dataclasses.replace(file, checksum=git_blob_sha1(path))
        entry = dataclasses.replace(script.DATASETS[name], files=files)
        monkeypatch.setitem(script.DATASETS, name, entry)
        return folder

    return publish


@pytest.fixture
def server():
    """A local web server: server.answers is {path: (status, content, length it promises)}."""
    told = SimpleNamespace(answers={}, asked=[])

    def answer(path):
        told.asked.append(path)
        return told.answers.get(path, (404, b"", 0))

    with serving(answer) as address:
        told.url = f"{address}/labels"
        yield told


def serve(server, folder):
    for path in folder.iterdir():
        content = path.read_bytes()
        server.answers[f"/labels/{path.name}"] = (200, content, len(content))


def found(folder):
    """{path below the folder: content}, hidden files among them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_download_says_from_where_how_much_and_under_which_terms(
    published, script, fetch, server, tmp_path, name
):
    folder = published(name)
    serve(server, folder)
    result = fetch(name, "--mirror", server.url + "/", "--out", tmp_path / "raw")
    assert result.exit_code == 0, result.output
    wanted = script.DATASETS[name]
    assert wanted.size in result.stdout and f"terms: {wanted.terms}" in result.stdout
    assert set(found(tmp_path / "raw")) == set(wanted.files)
    for place, content in found(tmp_path / "raw").items():
        file = place.rpartition("/")[2]
        assert content == (folder / file).read_bytes()
        assert f"from:  {server.url}/{file}" in result.stdout
    assert f"--raw {tmp_path / 'raw'}" in result.stdout.splitlines()[-1]
    again = fetch(name, "--mirror", server.url, "--out", tmp_path / "raw")
    assert again.exit_code == 0 and f"0 of {len(wanted.files)} files are missing" in again.stdout
    assert len(server.asked) == len(wanted.files)


def test_what_is_there_is_kept_and_the_rest_is_fetched(published, fetch, server, tmp_path):
    folder = published("aqa-7")
    serve(server, folder)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / FIRST).write_bytes((folder / FIRST).read_bytes())
    result = fetch("aqa-7", "--mirror", server.url, "--out", tmp_path / "raw")
    assert result.exit_code == 0 and server.asked == [f"/labels/{SECOND}"]
    assert set(found(tmp_path / "raw")) == {FIRST, SECOND}


def test_another_file_is_not_overwritten_unasked(published, fetch, server, tmp_path):
    folder = published("aqa-7")
    serve(server, folder)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / SECOND).write_bytes(b"mine")
    options = ("aqa-7", "--mirror", server.url, "--out", tmp_path / "raw")
    refused = fetch(*options)
    assert refused.exit_code == 2 and str(tmp_path / "raw" / SECOND) in refused.stderr
    assert "--overwrite" in refused.stderr and "Traceback" not in refused.stderr
    assert found(tmp_path / "raw") == {SECOND: b"mine"} and server.asked == []
    assert fetch(*options, "--overwrite").exit_code == 0
    assert found(tmp_path / "raw") == found(folder)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((503, b"", 0), "answered 503"),
        ((200, b"half", 1000), "the connection broke off"),
        ((200, b"<html>Sign in</html>", 20), "a web page"),
        ((200, b"version https://git-lfs.github.com/spec/v1\n", 43), "a Git LFS pointer"),
    ],
)
def test_a_download_that_fails_in_the_middle_leaves_nothing(
    published, fetch, server, tmp_path, answer, told
):
    serve(server, published("aqa-7"))
    server.answers[f"/labels/{SECOND}"] = answer
    result = fetch("aqa-7", "--mirror", server.url, "--out", tmp_path / "raw")
    assert result.exit_code == 2 and told in result.stderr
    assert FIRST in server.asked[0] and not (tmp_path / "raw").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


def test_what_a_killed_command_left_is_cleared_away(published, fetch, tmp_path):
    folder, raw = published("jigsaws"), tmp_path / "raw"
    raw.mkdir()
    (raw / ".label.0123abcd.unfinished.pkl").write_bytes(b"half")
    (raw / "video.avi").write_bytes(b"a frame")
    assert fetch("jigsaws", "--from", folder, "--out", raw).exit_code == 0
    assert found(raw) == found(folder) | {"video.avi": b"a frame"}


def test_without_a_network_the_way_by_hand_is_named(published, fetch, tmp_path):
    published("jigsaws")
    result = fetch("jigsaws", "--mirror", "http://127.0.0.1:9", "--out", tmp_path / "raw")
    assert result.exit_code == 2 and "no connection to the server" in result.stderr
    assert "--from" in result.stderr and "--from-file" not in result.stderr


def test_a_folder_by_hand_may_be_flat_or_laid_out(published, script, fetch, tmp_path):
    folder = published("mtl-aqa")
    assert fetch("mtl-aqa", "--from", folder, "--out", tmp_path / "raw").exit_code == 0
    assert set(found(tmp_path / "raw")) == set(script.DATASETS["mtl-aqa"].files)
    assert fetch("mtl-aqa", "--from", tmp_path / "raw", "--out", tmp_path / "two").exit_code == 0
    assert found(tmp_path / "two") == found(tmp_path / "raw")


def test_a_folder_by_hand_that_lacks_a_file_is_told_where_it_is(published, fetch, tmp_path):
    folder = published("jigsaws")
    (folder / "splits.pkl").unlink()
    result = fetch("jigsaws", "--from", folder, "--out", tmp_path / "raw")
    assert result.exit_code == 2 and not (tmp_path / "raw").exists()
    assert f"no file {folder / 'splits.pkl'}" in result.stderr
    assert "https://github.com/nzl-thu/MUSDL/raw/205868a8" in result.stderr


def test_options_that_cannot_be(fetch, tmp_path):
    both = fetch("aqa-7", "--from", tmp_path, "--mirror", "http://localhost/")
    assert both.exit_code == 2 and "takes no --mirror" in both.stderr
    assert fetch("finediving").exit_code == 2


def test_every_address_is_pinned_by_commit_and_content(script):
    files = [file for name in NAMES for file in script.DATASETS[name].files.values()]
    assert len(files) == 8
    for file in files:
        assert len(file.commit) == len(file.checksum) == 40 and file.commit in file.url


# The real files


@pytest.mark.parametrize("name", NAMES)
def test_the_real_files_are_as_published(aqa_data, script, name):
    checked = 0
    for place, file in script.DATASETS[name].files.items():
        path = aqa_data / REAL[name] / place.rpartition("/")[2]
        if path.is_file():  # MTL-AQA's own annotations, without dive numbers, need not be
            file.check(path)
            checked += 1
    assert checked == {"mtl-aqa": 3, "aqa-7": 2, "jigsaws": 2}[name]


def real(aqa_data, name):
    folder = aqa_data / REAL[name]
    if not folder.is_dir():
        pytest.skip(f"no {REAL[name]}/ in CORE_AQA_DATA")
    return folder


def test_the_real_files_are_read_where_they_were_put(
    aqa_data, fetch, script, tmp_path, monkeypatch
):
    own = script.DATASETS["mtl-aqa"]
    files = {place: file for place, file in own.files.items() if "dict.pkl" not in place}
    monkeypatch.setitem(script.DATASETS, "mtl-aqa", dataclasses.replace(own, files=files))
    for name in NAMES:
        result = fetch(name, "--from", real(aqa_data, name), "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
    dives = read_mtl_aqa(tmp_path / "mtl-aqa" / "info")
    assert dives["split"].value_counts().to_dict() == {"train": 1059, "test": 353}
    tables, scale, _ = read_aqa7(tmp_path / "aqa-7")  # without their frames
    assert sum(len(table) for table in tables.values()) == 803 + 303 and "divided by 100" in scale
    labels, wrong = read_labels(tmp_path / "jigsaws" / "label.pkl")
    assert len(labels) == 103 and not wrong
    folds = [read_splits(tmp_path / "jigsaws" / "splits.pkl", task) for task in TASKS]
    assert not any(wrong for _, wrong in folds)
