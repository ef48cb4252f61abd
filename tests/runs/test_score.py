"""`score`: with whose exemplars a new video is compared, and at which size it is looked at."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data.clips import CropError
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.data.video import write_video
from corelib.evaluation import open_inputs
from corelib.models import build_model
from corelib.recipe import RecipeError, named
from corelib.runs.fit import fit
from corelib.runs.records import describe, save_weights
from corelib.runs.run import Run
from corelib.runs.score import find_group, score_video
from corelib.runs.soundness import training_doubts
from corelib.task import Task, group_labels
from tests.contract import card

SMOKE = named("smoke", epochs=1, exemplars=3)


def untrained(table, recipe, folder):
    """A run's folder as far as loading and scoring need it; its weights are random."""
    folder.mkdir()
    model = build_model(recipe, table.target(recipe.with_difficulty), group_labels(table, recipe))
    save_weights(model, folder / "best.safetensors")
    (folder / "recipe.json").write_text(json.dumps(describe(table, recipe, folder)))
    (folder / "metrics.json").write_text("[]")
    return folder


def film(path, height, width, frames=16):
    write_video(
        path,
        np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), np.uint8),
        frame_rate=25,
    )
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """videos(height, width) -> a dataset of four training videos and a test video of that size."""
    place = tmp_path_factory.mktemp("videos")

    def make(height, width, stated=True):
        folder = place / f"{height}x{width}-{stated}"
        if not folder.exists():
            (folder / "videos").mkdir(parents=True)
            rows = [
                (f"v{i}", "test" if i == 4 else "train", 10.0 + i, "ab"[i % 2], f"videos/{i}.mp4")
                for i in range(5)
            ]
            for _i, row in enumerate(rows):
                film(folder / row[4], height, width)
            info = card(
                "films",
                score_range=[0, 20],
                pairing_key="group",
                frame_rate=25.0,
                frame_size=[height, width] if stated else None,
            )
            write_table(
                folder, info, pd.DataFrame(rows, columns=["id", "split", "score", "group", "media"])
            )
        return SampleTable.load(folder)

    return make


@pytest.fixture(scope="module")
def video(small_dives):
    return small_dives.root / small_dives.samples["media"][0]


@pytest.fixture(scope="module")
def by_group(small_dives, tmp_path_factory):
    return untrained(
        small_dives, SMOKE.replace(pair_by="group"), tmp_path_factory.mktemp("run") / "group"
    )


def test_a_run_that_pairs_by_a_group_asks_for_it_and_compares_within_it(
    by_group, small_dives, video
):
    run = Run.load(by_group, device="cpu")
    with pytest.raises(
        RecipeError, match="one group; give that of the video with --group: 103B, 407C, 5253B"
    ):
        score_video(run, video)
    with pytest.raises(
        RecipeError, match="no exemplar has group '407B'; the nearest of 3 are 407C"
    ):
        score_video(run, video, group="407B")
    group_of = small_dives.samples.set_index("id")["group"]
    for group in ("103B", "407C", "5253B"):
        found = score_video(run, video, group=group)
        assert (found["paired_by"], found["group"], found["warnings"]) == ("group", group, [])
        assert {group_of[vote["id"]] for vote in found["exemplars"]} == {group}
    with pytest.warns(UserWarning, match="5 of 15 exemplars are of another group than 407C"):
        found = score_video(run, video, group="407C", exemplars=15)
    assert (
        len(found["exemplars"]) == 15
        and "exemplars are of another group than 407C" in found["warnings"][0]
    )


def test_the_command_shows_the_group(by_group, video):
    done = CliRunner().invoke(main, ["score", str(by_group), str(video), "--group", "103B"])
    assert done.exit_code == 0 and "    group 103B\n" in done.output
    done = CliRunner().invoke(
        main, ["score", str(by_group), str(video), "--group", "103B", "--json"]
    )
    assert json.loads(done.stdout)[0]["group"] == "103B"
    done = CliRunner().invoke(main, ["score", str(by_group), str(video)])
    assert (
        done.exit_code == 2 and done.stderr.startswith("error: ") and "--group: 103B" in done.stderr
    )


def test_the_group_follows_from_the_difficulty_where_a_run_pairs_by_it(small_dives):
    known = sorted(small_dives.samples["difficulty"].unique())
    recipe = SMOKE.replace(with_difficulty=True)
    for difficulty in (*known, 0.1, 2.9, 99.0):
        nearest = min(known, key=lambda value: abs(value - difficulty))
        assert float(find_group(Task.of(small_dives, recipe), difficulty=difficulty)) == nearest
    alone = SMOKE.replace(pair_by="difficulty")
    with pytest.raises(RecipeError, match="--difficulty"):
        find_group(Task.of(small_dives, alone))
    assert float(find_group(Task.of(small_dives, alone), f"{known[0]:.3f}")) == known[0]
    with pytest.raises(RecipeError, match="leave --group out"):
        find_group(Task.of(small_dives, recipe), known[0], known[1])


def test_a_difficulty_that_no_exemplar_has_is_said(small_dives, tmp_path, video):
    run = Run.load(
        untrained(small_dives, SMOKE.replace(with_difficulty=True), tmp_path / "run"), device="cpu"
    )
    with pytest.warns(UserWarning, match="no exemplar has difficulty 9; the nearest, "):
        found = score_video(run, video, difficulty=9.0)
    assert (
        found["paired_by"] == "difficulty"
        and float(found["group"]) == small_dives.samples["difficulty"].max()
    )
    for odd in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(RecipeError, match="--difficulty must be a number above 0"):
            score_video(run, video, difficulty=odd)


def test_both_are_needed_of_a_run_that_uses_both_and_no_group_of_one_that_uses_none(small_dives):
    both = SMOKE.replace(with_difficulty=True, pair_by="group")
    with pytest.raises(RecipeError, match="--group"):
        find_group(Task.of(small_dives, both), difficulty=3.0)
    assert find_group(Task.of(small_dives, both), "407C", 3.0) == "407C"
    for recipe in (
        SMOKE,
        SMOKE.replace(pair_by="none", with_difficulty=True),
        SMOKE.replace(system="mlp", pair_by="group"),
    ):
        assert find_group(Task.of(small_dives, recipe)) is None
        with pytest.raises(RecipeError, match="leave --group out"):
            find_group(Task.of(small_dives, recipe), "407C")


def test_a_crop_larger_than_the_frames_is_refused_before_all_are_decoded(videos, tmp_path):
    for stated in (True, False):
        table = videos(24, 40, stated)
        with pytest.raises(
            CropError, match="a crop of 32 pixels does not fit into frames of 24 x 40"
        ) as error:
            fit(table, SMOKE, tmp_path / "run", device="cpu", progress=False)
        assert len(str(error.value).splitlines()) == 1
        with pytest.raises(CropError, match="a crop of 32 pixels"):
            open_inputs(table, SMOKE, progress=False)
        assert not (table.folder / "cache").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("stated", [True, False])
def test_a_crop_of_a_corner_is_doubted_with_the_right_size_to_resize_to(videos, stated):
    (said,) = [
        text for text in training_doubts(Task.of(videos(90, 160, stated), SMOKE)) if "crop" in text
    ]
    assert "--set resize=[36,64]" in said
    assert not [
        text
        for text in training_doubts(
            Task.of(videos(90, 160, stated), SMOKE.replace(resize=[36, 64]))
        )
        if "crop" in text
    ]
    assert not [
        text for text in training_doubts(Task.of(videos(36, 64, stated), SMOKE)) if "crop" in text
    ]


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        ("smoke", (36, 36)),
        ("laptop", (72, 72)),
        ("gpu", (256, 256)),
        ("gpu", (256, 455)),
        ("paper", (256, 455)),
    ],
)
def test_the_kits_own_sizes_raise_no_doubt(small_dives, recipe, size):
    table = replace(small_dives, info=small_dives.info | {"frame_size": list(size)})
    assert not [text for text in training_doubts(Task.of(table, named(recipe))) if "crop" in text]


def test_a_video_of_another_size_is_scored_at_the_size_that_was_trained_on(videos, tmp_path):
    table = videos(36, 64)
    run = Run.load(untrained(table, SMOKE, tmp_path / "run"), device="cpu")
    assert not score_video(run, film(tmp_path / "larger.mp4", 72, 128))["warnings"]
    with pytest.warns(UserWarning, match="128 x 72 have another shape"):
        (said,) = score_video(run, film(tmp_path / "upright.mp4", 128, 72))["warnings"]
    assert "128 x 72 have another shape than the 36 x 64" in said
    with pytest.warns(UserWarning, match="18 x 32 are smaller"):
        (said,) = score_video(run, film(tmp_path / "tiny.mp4", 18, 32))["warnings"]
    assert "18 x 32 are smaller than the 36 x 64" in said
    done = CliRunner().invoke(
        main, ["score", str(tmp_path / "run"), str(film(tmp_path / "phone.mp4", 128, 72)), "--json"]
    )
    assert (
        done.exit_code == 0
        and "warning: " in done.stderr
        and len(json.loads(done.stdout)[0]["warnings"]) == 1
    )


def test_a_video_is_resized_as_the_run_resizes(videos, tmp_path):
    run = Run.load(
        untrained(videos(36, 64), SMOKE.replace(resize=[40, 40]), tmp_path / "run"), device="cpu"
    )
    assert not score_video(run, film(tmp_path / "same.mp4", 72, 128))["warnings"]
    with pytest.warns(UserWarning, match="another shape than the 36 x 64"):
        (said,) = score_video(run, film(tmp_path / "square.mp4", 64, 64))["warnings"]
    assert "another shape than the 36 x 64" in said


def test_another_dataset_of_another_size_is_said(videos, tmp_path):
    folder = untrained(videos(36, 64), SMOKE, tmp_path / "run")
    said = Run.load(folder, table=videos(90, 160), device="cpu").doubts()
    assert any(
        "frames of 90 x 160 pixels, where the model was trained on 36 x 64" in text for text in said
    )
    with pytest.raises((CropError, DatasetError), match="a crop of 32 pixels does not fit"):
        Run.load(folder, table=videos(24, 40), device="cpu")
