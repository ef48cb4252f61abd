"""Kinetics weights: both public releases at full size under their own names, and every file that is
not one of them."""

import dataclasses
import re
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import safetensors
import torch
from click.testing import CliRunner

from corelib.data.weights import WeightsError, load_weights
from corelib.i3d import I3D
from corelib.models import build_model
from corelib.recipe import named
from data_scripts import fetch_weights
from data_scripts.readers.downloads import git_blob_sha1
from tests.payloads import payloads
from tests.web_server import serving

LISTS = {"hassony2": "hassony2_model_rgb.keys.txt", "piergiaj": "piergiaj_rgb_imagenet.keys.txt"}


@pytest.fixture(scope="module")
def script(data_script):
    return data_script("fetch_weights")


@pytest.fixture(scope="module")
def numbers():
    """Random numbers for each of the encoder's 344 tensors, in the order of its state dict; signals
    keep their size."""
    torch.manual_seed(0)
    state = I3D(num_classes=400).state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.05, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.2)
        elif name.endswith("batch3d.weight"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        else:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
    return state


@pytest.fixture(scope="module")
def releases(aqa_data, numbers, tmp_path_factory):
    """{release: a file with the names, shapes and types of its public list}; both hold the same
    numbers."""
    folder = tmp_path_factory.mktemp("releases")
    files = {}
    for (release, listed), form in zip(LISTS.items(), (True, False), strict=True):
        state = {}
        for line in (aqa_data / "i3d_weights" / listed).read_text().splitlines():
            name, shape, dtype = line.split("\t")
            state[name] = tensor = numbers[_our_name(name) if release == "piergiaj" else name]
            assert list(tensor.shape) == [int(n) for n in re.findall(r"\d+", shape)], name
            assert str(tensor.dtype) == f"torch.{dtype}", name
        assert len(state) == 344
        files[release] = folder / f"{release}.pt"
        torch.save(
            state, files[release], _use_new_zipfile_serialization=form
        )  # the old form too: the releases are of 2017 and 2018
    return files


def _our_name(name):
    """The encoder's name of a tensor of piergiaj's; written for the test, apart from corelib's."""
    branches = {
        "b0": "branch_0",
        "b1a": "branch_1.0",
        "b1b": "branch_1.1",
        "b2a": "branch_2.0",
        "b2b": "branch_2.1",
        "b3b": "branch_3.1",
    }
    layer, *rest = name.replace("logits", "Conv3d_0c_1x1").split(".")
    return ".".join([layer.lower(), *(branches.get(part, part) for part in rest)]).replace(
        ".bn.", ".batch3d."
    )


def _pinned_to(path, release):
    """The release, of which `path` is the file."""
    entry = fetch_weights.RELEASES[release]
    file = dataclasses.replace(entry.file, checksum=git_blob_sha1(path))
    return dataclasses.replace(entry, file=file)


@pytest.fixture
def fake(script, monkeypatch, releases):
    """fake(release) -> the file that stands for the public one: the command expects its checksum
    from now on."""

    def expect(release):
        monkeypatch.setitem(script.RELEASES, release, _pinned_to(releases[release], release))
        return releases[release]

    return expect


@pytest.fixture
def fetch(script):
    """fetch(option, ...) -> the result of the command: exit_code, stdout, stderr."""
    return lambda *options: CliRunner().invoke(script.main, [str(option) for option in options])


@pytest.fixture
def server():
    """A local web server: server.answers is a list of (status, content, length it promises), taken
    from the front, the last stays."""
    told = SimpleNamespace(answers=[], asked=0)

    def answer(_):
        told.asked += 1
        return told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]

    with serving(answer) as address:
        told.url = f"{address}/weights"
        yield told


# One function, whatever the file


@torch.no_grad()
def features_and_logits(i3d, clip):
    """Both of one pass through the layers, which takes a second at full size."""
    last = i3d.feature_map(clip)
    with mock.patch.object(i3d, "feature_map", lambda clip: last):
        return i3d(clip), i3d.logits(clip)


def test_both_releases_and_the_converted_files_give_the_same_features(
    releases, fake, fetch, tmp_path
):
    files = dict(releases)
    for release in releases:
        converted = tmp_path / f"{release}.safetensors"
        result = fetch("--release", release, "--from-file", fake(release), "--out", converted)
        assert result.exit_code == 0, result.output
        files[f"{release}, converted"] = converted
    models = {name: I3D(num_classes=400).eval() for name in files}
    for name, file in files.items():
        load_weights(models[name], file)
    torch.manual_seed(1)
    for size in ((16, 224, 224), (17, 112, 97), (9, 65, 130)):
        clip = torch.rand(1, 3, *size) * 2 - 1
        features, logits = {}, {}
        for name, i3d in models.items():
            features[name], logits[name] = features_and_logits(i3d, clip)
        first = features.pop("hassony2")
        assert first.shape == (1, 1024)
        assert first.std() > 0.01  # they are features of something
        for name, feature in features.items():
            torch.testing.assert_close(
                feature, first, rtol=1e-6, atol=1e-6, msg=f"{name} at {size}"
            )
            torch.testing.assert_close(logits[name], logits["hassony2"], rtol=1e-6, atol=1e-6)


def test_the_encoder_of_a_recipe_takes_its_weights_and_epsilon(releases, numbers):
    clip = torch.rand(1, 3, 16, 64, 64)
    features = {}
    for name in ("paper", "gpu"):
        recipe = named(name, weights=str(releases["piergiaj"]))
        model = build_model(recipe, np.linspace(0, 100, 50), np.zeros(50, int))
        i3d = next(module for module in model.modules() if isinstance(module, I3D)).eval()
        assert torch.equal(
            i3d.state_dict()["mixed_4c.branch_1.1.conv3d.weight"],
            numbers["mixed_4c.branch_1.1.conv3d.weight"],
        )
        with torch.no_grad():
            features[name] = i3d(clip)
    assert not torch.allclose(
        features["paper"], features["gpu"], rtol=1e-4
    )  # epsilon 1e-5 and 1e-3
    assert torch.cosine_similarity(features["paper"], features["gpu"]) > 0.99


def test_the_converted_file_says_what_it_is(fake, fetch, script, tmp_path):
    out = tmp_path / "weights" / "i3d.safetensors"
    result = fetch("--from-file", fake("hassony2"), "--out", out)
    assert result.exit_code == 0, result.output
    assert f"--set weights={out}" in result.stdout
    with safetensors.safe_open(out, "pt") as file:
        metadata = file.metadata()
        assert len(file.keys()) == 344
    assert metadata["git_blob_sha1"] == script.RELEASES["hassony2"].file.checksum
    assert "hassony2/kinetics_i3d_pytorch" in metadata["source"]
    assert "MIT" in metadata["licence"]
    assert "-1 to 1" in metadata["input"]
    assert metadata["batch_norm_eps"] == "0.001"
    assert [path.name for path in out.parent.iterdir()] == ["i3d.safetensors"]


def test_the_checksum_is_gits(tmp_path):
    # `printf 'hello\n' | git hash-object --stdin` prints this
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob_sha1(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_checksums_of_the_public_files(script):
    assert script.RELEASES["hassony2"].file.checksum == "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb"
    assert script.RELEASES["piergiaj"].file.checksum == "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a"


# The download


def test_a_download_says_from_where_how_much_and_under_which_terms_and_is_not_repeated(
    fake, fetch, server, tmp_path
):
    content, out = fake("hassony2").read_bytes(), tmp_path / "i3d.safetensors"
    server.answers = [(200, content, len(content))]
    result = fetch("--mirror", server.url, "--out", out)
    assert result.exit_code == 0, result.output
    announced = result.stdout[: result.stdout.index("344 tensors")]
    assert server.url in announced and "51 MB" in announced and "MIT licence" in announced
    assert "100%" in result.stderr  # the progress bar
    load_weights(I3D(), out)
    again = fetch("--mirror", server.url, "--out", out)
    assert again.exit_code == 0
    assert "nothing to do" in again.stdout
    assert server.asked == 1


def test_an_interrupted_download_leaves_nothing_and_the_next_one_completes_it(
    fake, fetch, server, tmp_path
):
    content, out = fake("piergiaj").read_bytes(), tmp_path / "i3d.safetensors"
    server.answers = [
        (200, content[: len(content) // 2], len(content)),
        (200, content, len(content)),
    ]
    broken = fetch("--release", "piergiaj", "--mirror", server.url, "--out", out)
    assert broken.exit_code == 2
    assert "the connection broke off" in broken.stderr and "--from-file" in broken.stderr
    assert list(tmp_path.iterdir()) == []
    assert fetch("--release", "piergiaj", "--mirror", server.url, "--out", out).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["i3d.safetensors"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b'{"message": "Not Found"}', "a JSON message"),
        (b"", "an empty file"),
        (b"PK\x03\x04 and something else", "something else"),
    ],
)
def test_a_download_of_something_else_is_refused_with_what_was_expected_and_what_came(
    fetch, server, script, tmp_path, content, what
):
    server.answers = [(200, content, len(content))]
    result = fetch("--mirror", server.url, "--out", tmp_path / "i3d.safetensors")
    assert result.exit_code == 2
    assert script.RELEASES["hassony2"].file.checksum in result.stderr
    assert f"came:     {len(content)} bytes" in result.stderr and what in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_refused(fake, fetch, tmp_path):
    content = fake("hassony2").read_bytes()
    (tmp_path / "part.pth").write_bytes(content[:-1000])
    result = fetch("--from-file", tmp_path / "part.pth", "--out", tmp_path / "i3d.safetensors")
    assert result.exit_code == 2
    assert (
        f"{len(content) - 1000:,} bytes" in result.stderr and "a part of the file" in result.stderr
    )
    assert [path.name for path in tmp_path.iterdir()] == ["part.pth"]


def test_the_other_release_is_not_taken_for_this_one(releases, fake, fetch, tmp_path):
    fake("hassony2")
    result = fetch("--from-file", releases["piergiaj"], "--out", tmp_path / "i3d.safetensors")
    assert result.exit_code == 2
    assert "not model/model_rgb.pth of github.com/hassony2/kinetics_i3d_pytorch" in result.stderr


@pytest.mark.parametrize(("status", "reason"), [(404, "answered 404"), (503, "answered 503")])
def test_a_refusing_server_is_named_with_the_way_by_hand(fetch, server, tmp_path, status, reason):
    server.answers = [(status, b"", 0)]
    result = fetch("--mirror", server.url, "--out", tmp_path / "i3d.safetensors")
    assert result.exit_code == 2
    assert (
        server.url in result.stderr and reason in result.stderr and "--from-file" in result.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_way_by_hand_is_named(fetch, tmp_path):
    result = fetch("--mirror", "http://127.0.0.1:9/weights", "--out", tmp_path / "i3d.safetensors")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(
        "error: http://127.0.0.1:9/weights: the download failed (no connection"
    )
    assert "fetch the file in a browser" in result.stderr


# What is there already, and options


def test_a_file_of_something_else_is_not_overwritten_unasked(fake, fetch, tmp_path):
    out = tmp_path / "i3d.safetensors"
    out.write_bytes(b"mine")
    result = fetch("--from-file", fake("hassony2"), "--out", out)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert out.read_bytes() == b"mine"
    assert fetch("--from-file", fake("hassony2"), "--out", out, "--overwrite").exit_code == 0
    load_weights(I3D(), out)


def test_options_that_cannot_be(fetch, tmp_path):
    assert "must end in .safetensors" in fetch("--out", tmp_path / "i3d.pth").stderr
    assert "takes no --mirror" in fetch("--from-file", "x", "--mirror", "http://localhost/").stderr
    missing = fetch("--from-file", tmp_path / "none.pth", "--out", tmp_path / "i3d.safetensors")
    assert missing.exit_code == 2
    assert "github.com/hassony2/kinetics_i3d_pytorch/raw/HEAD/model/model_rgb.pth" in missing.stderr


def test_where_the_weights_are_missing_the_command_is_named(tmp_path):
    with pytest.raises(WeightsError, match="fetch_weights.py"):
        load_weights(I3D(width=1 / 16), tmp_path / "none.safetensors")


def test_a_file_with_the_right_checksum_that_runs_something_is_refused_all_the_same(
    tmp_path, script
):
    marker, path = tmp_path / "marker", tmp_path / "model_rgb.pth"
    torch.save({"conv3d_1a_7x7.conv3d.weight": payloads(marker)["os.system"]}, path)
    release = _pinned_to(path, "hassony2")
    with pytest.raises(WeightsError, match="model_rgb.pth: not a file of I3D weights"):
        script.convert(path, release, tmp_path / "out.safetensors")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model_rgb.pth"]
