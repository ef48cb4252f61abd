"""Features of a frozen encoder: as computed independently, made once, resumed, refused."""

import json

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from corelib import evaluation
from corelib.__main__ import main
from corelib.data.banks import FeatureSteps
from corelib.data.samples import SampleTable
from corelib.data.video import read_video
from corelib.i3d import I3D, SnippetEncoder
from corelib.recipe import RecipeError, named
from corelib.runs import features
from corelib.runs.features import frozen_weights, write_features
from corelib.runs.fit import fit
from corelib.runs.options import parse_snippets
from corelib.runs.run import Run
from corelib.runs.score import score_video
from tests.doubts import few_steps

CUT = {"snippets": (2, 8), "frames": 12, "size": 24}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights at full size."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "i3d.safetensors"
    state = {
        name: tensor.contiguous() for name, tensor in I3D(num_classes=400).state_dict().items()
    }
    safetensors.torch.save_file(state, path)
    return path


@pytest.fixture(scope="module")
def bank(small_dives, weights, tmp_path_factory):
    """The features of the small dives."""
    out = tmp_path_factory.mktemp("bank") / "features"
    return write_features(small_dives, frozen_weights(small_dives, weights, **CUT), out)


def test_each_snippet_s_feature_is_the_encoders(bank, small_dives, weights):
    encoder = I3D(num_classes=400).eval()
    encoder.load_state_dict(safetensors.torch.load_file(weights))
    video = read_video(small_dives.root / small_dives.samples["media"][5])  # [20, 32, 32, 3]
    chosen = video[np.rint(np.linspace(0, 19, 12)).astype(int)]
    clip = torch.from_numpy(chosen).permute(3, 0, 1, 2)  # [3, 12, 32, 32]
    clip = torch.nn.functional.interpolate(
        clip.float().transpose(0, 1), size=(24, 24), mode="bilinear", antialias=True
    ).round()
    clip = clip.transpose(0, 1) / 127.5 - 1
    with torch.no_grad():
        expected = torch.cat([encoder(clip[None, :, at : at + 8]) for at in (0, 4)])  # [2, 1024]
    found = FeatureSteps(bank)[5]
    assert found.shape == (2, 1024) and expected.std() > 0
    # pixels that a resize rounds up or down
    assert torch.cosine_similarity(found, expected).min() > 0.9995
    assert torch.cosine_similarity(found[:1], expected[1:]).item() < 0.9995


def test_what_is_known_of_a_sample_comes_along(bank, small_dives):
    pd.testing.assert_frame_equal(
        bank.samples.drop(columns="media"), small_dives.samples.drop(columns="media")
    )
    kept = ("protocol", "pairing_key", "divided_by_difficulty", "score_range", "licence")
    assert all(bank.info[key] == small_dives.info[key] for key in kept)
    assert bank.info["encoder"] == "i3d.safetensors" and "raw_root" not in bank.info
    assert bank.info["encoded"]["snippet_starts"] == [0, 4]
    assert bank.info["dataset_sha256"] == small_dives.sha256


@few_steps
def test_core_trains_on_them(bank, tmp_path):
    recipe = named("features", with_difficulty=True, epochs=1)
    run = fit(bank, recipe, tmp_path / "run", device="cpu", progress=False)
    assert len(run.predictions) == len(bank.rows("test"))


def test_a_call_that_follows_a_killed_one_goes_on(
    bank, small_dives, weights, tmp_path, monkeypatch
):
    out, encoded, each = tmp_path / "features", [], SnippetEncoder.each

    def count(self, snippets):
        if sum(encoded) >= 20:
            raise KeyboardInterrupt
        encoded.append(len(snippets))
        return each(self, snippets)

    monkeypatch.setattr(evaluation, "INPUT_LIMIT", 1)  # one video at a time
    monkeypatch.setattr(SnippetEncoder, "each", count)
    with pytest.raises(KeyboardInterrupt):
        write_features(small_dives, frozen_weights(small_dives, weights, **CUT), out)
    assert not out.exists()
    before, encoded[:] = sum(encoded), []
    assert before == 20
    made = write_features(small_dives, frozen_weights(small_dives, weights, **CUT), out)
    assert sum(encoded) == 28 - features.BLOCK
    torch.testing.assert_close(FeatureSteps(made).features, FeatureSteps(bank).features)
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_it_is_made_once_and_anew_where_cut_or_weights_are_others(
    small_dives, weights, tmp_path, monkeypatch
):
    out = tmp_path / "features"
    first = write_features(small_dives, frozen_weights(small_dives, weights, **CUT), out)
    with monkeypatch.context() as patch:
        patch.setattr(SnippetEncoder, "each", None)
        again = write_features(small_dives, frozen_weights(small_dives, weights, **CUT), out)
    assert again.sha256 == first.sha256
    other = CUT | {"snippets": (1, 8)}
    once = write_features(small_dives, frozen_weights(small_dives, weights, **other), out)
    assert once.info["feature_size"] == [1, 1024]
    random = write_features(small_dives, frozen_weights(small_dives, "", **other), out)
    assert random.sha256 != once.sha256 and "random numbers" in random.info["encoder"]


def test_of_a_blocks_folder_of_another_origin_nothing_is_taken(
    bank, small_dives, weights, tmp_path
):
    blocks = tmp_path / ".features.features"
    blocks.mkdir()
    (blocks / "origin.json").write_text(json.dumps({"encoder": "another"}))
    np.save(blocks / "0000000.npy", np.zeros((16, 2, 1024), np.float32))
    frozen = frozen_weights(small_dives, weights, **CUT)
    made = write_features(small_dives, frozen, tmp_path / "features")
    assert made.sha256 == bank.sha256


def test_a_clip_is_cut_as_the_first_sample_is_long(small_dives):
    recipe = frozen_weights(small_dives, "", snippets=(3, 8)).source.recipe
    assert recipe.frames == 20 and recipe.snippet_starts == (0, 6, 12)
    assert recipe.crop == 224 and recipe.resize == (224, 224)
    with pytest.raises(RecipeError, match="does not fit into 8 frames"):
        frozen_weights(small_dives, "", snippets=(1, 16), frames=8)


@pytest.fixture
def ask(small_dives, tmp_path):
    """ask(option, ...) -> the result of the command on the small dives."""
    options = ["features", small_dives.folder, "--out", tmp_path / "out"]
    return lambda *more: CliRunner().invoke(main, [str(option) for option in (*options, *more)])


def test_the_command_says_what_it_made_and_how_to_go_on(ask, weights, tmp_path):
    cut = ("--snippets", "2x8", "--frames", 12, "--size", 24)
    result = ask("--weights", weights, *cut, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "28 videos, 2 x 1024 features each, by i3d.safetensors" in result.stdout
    assert f"train {tmp_path / 'out'} --recipe features" in result.stdout
    assert SampleTable.load(tmp_path / "out").feature_bank is not None


@few_steps
def test_a_run_encodes_as_it_was_trained_to(ask, small_dives, tmp_path):
    recipe = named("smoke", epochs=1)
    run = fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)
    refused = ask("--weights", run.folder, "--size", 64)
    assert refused.exit_code == 2 and "leave --size out" in refused.stderr
    result = ask("--weights", run.folder)
    assert result.exit_code == 0, result.output
    made = SampleTable.load(tmp_path / "out")
    assert made.info["encoder"] == "run" and made.info["feature_size"] == [1, 64]
    onward = CliRunner().invoke(
        main, ["features", str(made.folder), "--weights", str(run.folder), "--out", "never"]
    )
    assert onward.exit_code == 2 and "holds features" in onward.stderr


def test_what_cannot_be_is_told_in_one_line(ask, tmp_path):
    missing = ask("--weights", tmp_path / "none.safetensors")
    assert missing.exit_code == 2 and "fetch_weights.py" in missing.stderr
    wrong = ask("--weights", tmp_path / "none.safetensors", "--snippets", "ten")
    assert wrong.exit_code == 2 and "such as 10x16, not 'ten'" in wrong.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "x", "10", "0x16", "10x0", "10x16x2", "-1x16", "9999x16"])
def test_snippets_are_how_many_and_how_long(text):
    assert parse_snippets("5X16") == (5, 16) and parse_snippets(None) is None
    with pytest.raises(RecipeError, match="--snippets takes"):
        parse_snippets(text)


# The recipe that trains on features of videos in one command

SMALL = {"resize": (24, 24), "crop": 24, "frames": 12, "snippet_length": 8}
SMALL |= {"snippet_starts": (0, 4), "projection": 8, "tree_width": 8, "epochs": 1}


@few_steps
def test_from_videos_to_a_score_with_a_frozen_encoder(small_dives, weights, tmp_path, monkeypatch):
    recipe = named("frozen", weights=str(weights), with_difficulty=True, **SMALL)
    run = fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)
    state = safetensors.torch.load_file(weights)
    kept = run.model.encoder.i3d.i3d.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in kept)
    video = small_dives.root / small_dives.samples["media"][25]
    with monkeypatch.context() as patch:
        patch.setattr(features, "_encode", None)  # nothing is encoded again
        again = Run.load(run.folder)
        judged = again.evaluate()
    pd.testing.assert_frame_equal(judged.predictions, run.predictions, check_dtype=False)
    row = judged.predictions.set_index("id").loc[small_dives.samples["id"][25]]
    difficulty = float(small_dives.samples["difficulty"][25])
    exact = {"difficulty": difficulty, "exemplars": "all"}
    scored = score_video(again, video, **exact)["score"]
    every = again.evaluate(exemplars="all").predictions.set_index("id")
    assert scored == pytest.approx(every["predicted"][row.name], abs=1e-3)


@few_steps
def test_frozen_random_numbers_are_doubted(small_dives, tmp_path):
    recipe = named("frozen", width=1 / 16, system="mlp", **SMALL)
    with pytest.warns(UserWarning, match="frozen and starts from random numbers"):
        fit(small_dives, recipe, tmp_path / "run", device="cpu", progress=False)


@few_steps
def test_the_head_learns_as_it_does_on_the_features_written_out(
    bank, small_dives, weights, tmp_path
):
    alike = {"system": "mlp", "precision": "fp32", **SMALL}
    frozen = named("frozen", weights=str(weights), **alike)
    run = fit(small_dives, frozen, tmp_path / "videos", device="cpu", progress=False)
    heads = {key: value for key, value in alike.items() if key not in ("crop", "resize")}
    on_bank = named("features", **heads, stretches=frozen.stretches)
    other = fit(bank, on_bank, tmp_path / "features", device="cpu", progress=False)
    pd.testing.assert_frame_equal(run.predictions, other.predictions)
