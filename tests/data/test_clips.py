"""From videos to clips: which frames, augmentation, normalisation, snippets by hand; the cache."""

import dataclasses
import os
import re
import shutil
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from corelib.data import clips as module
from corelib.data import loading
from corelib.data.clips import (
    VideoClips,
    augment,
    cut_snippets,
    frame_numbers,
    normalise,
    resize_video,
)
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.data.video import VideoError, write_video
from corelib.recipe import named
from tests.contract import card


def test_frame_numbers_by_hand():
    def numbers(*args, **options):
        return frame_numbers(*args, **options).tolist()

    assert numbers(10, 21, 50, frames=6, choice="resample") == [10, 12, 14, 16, 18, 20]
    assert numbers(10, 21, 50, frames=6, choice="resample", margin=1) == [
        10,
        10,
        12,
        14,
        16,
        18,
        20,
        20,
    ]
    assert numbers(4, 6, 50, frames=4, choice="resample") == [
        4,
        4,
        5,
        5,
    ]  # thirds of the way, rounded
    assert numbers(10, 21, 50, frames=4, choice="last") == [17, 18, 19, 20]
    assert numbers(10, 21, 50, frames=4, choice="last", margin=2) == [
        15,
        16,
        17,
        18,
        19,
        20,
        21,
        22,
    ]
    assert numbers(0, 3, 4, frames=4, choice="last", margin=1) == [
        0,
        0,
        0,
        1,
        2,
        3,
    ]  # held at the file's borders


def counted(B=2, T=6, H=5, W=7):
    """Every value says where it comes from: frame, row, column in the three channels."""
    t, y, x = np.mgrid[:T, :H, :W]
    return torch.from_numpy(np.stack([t, y, x], -1).astype(np.uint8)).expand(B, T, H, W, 3)


def test_the_cut_of_evaluation_is_central():
    cut = augment(counted(), frames=4, crop=3)
    assert cut.shape == (2, 4, 3, 3, 3)
    assert cut[0, 0, 0, 0].tolist() == [1, 1, 2] and cut[0, -1, -1, -1].tolist() == [4, 3, 4]


def test_augmentation_draws_once_a_video_and_reaches_every_place():
    seen = set()
    for seed in range(600):
        cut = augment(
            counted(),
            frames=4,
            crop=3,
            shift=1,
            flip=True,
            generator=torch.Generator().manual_seed(seed),
        ).long()
        for clip in cut:
            t, y, x = clip[0, 0, 0].tolist()
            step = int(clip[0, 0, 1, 2]) - x
            expected = counted(1)[
                0, t : t + 4, y : y + 3, min(x, x + 2 * step) : min(x, x + 2 * step) + 3
            ].long()
            assert torch.equal(clip, expected if step == 1 else expected.flip(2))
            seen.add((t, y, min(x, x + 2 * step), step))
    assert seen == {
        (t, y, x, step) for t in range(3) for y in range(3) for x in range(5) for step in (-1, 1)
    }


def test_a_crop_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="6 pixels does not fit into frames of 5 x 7"):
        augment(counted(), frames=4, crop=6)


def test_normalise_by_hand():
    clip = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 1, 1, 1, 3)
    assert normalise(clip).flatten().tolist() == pytest.approx([-1, 1, -0.6])
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert normalise(clip, "imagenet").flatten().tolist() == pytest.approx(expected)
    assert normalise(counted()).shape == (2, 3, 6, 5, 7)


def test_snippets_by_hand():
    clip = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 1, 1)
    snippets = cut_snippets(clip, (0, 3, 5), 3)
    assert snippets.shape == (2, 3, 3, 3, 1, 1)
    assert snippets[1, :, 2, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [5, 6, 7]]
    with pytest.raises(ValueError, match="3 frames from 6 on does not fit into 8"):
        cut_snippets(clip, (0, 6), 3)


def test_resize_keeps_a_plain_picture_plain():
    video = np.full((2, 8, 10, 3), 77, np.uint8)
    assert resize_video(video, None) is video
    assert np.array_equal(resize_video(video, (4, 6)), np.full((2, 4, 6, 3), 77, np.uint8))


# The cache

RECIPE = named("smoke")


def prepared(folder, shades=(40, 200)):
    info = card("tiny", score_range=[0, 10], frame_rate=25, frame_size=[32, 32])
    folder.mkdir()
    for number, shade in enumerate(shades):
        write_video(folder / f"{number}.mp4", np.full((20, 32, 32, 3), shade, np.uint8), 25)
    names = [str(number) for number in range(len(shades))]
    samples = pd.DataFrame(
        {"id": names, "split": "train", "score": 5, "media": [f"{name}.mp4" for name in names]}
    )
    write_table(folder, info, samples)
    return SampleTable.load(folder)


def test_the_cache_is_reused_and_a_changed_video_is_read_again(tmp_path, monkeypatch):
    table = prepared(tmp_path / "d")
    fresh = VideoClips(table, RECIPE, progress=False)
    assert fresh[1].shape == (18, 32, 32, 3) and abs(int(fresh[1].float().mean()) - 200) < 6
    decoded, original = [], module.load_clip
    monkeypatch.setattr(
        module,
        "load_clip",
        lambda path, *a, **o: (decoded.append(path.name), original(path, *a, **o))[1],
    )
    again = VideoClips(table, RECIPE, progress=False)
    assert torch.equal(again[0], fresh[0]) and "1.mp4" not in decoded
    write_video(tmp_path / "d" / "1.mp4", np.full((20, 32, 32, 3), 90, np.uint8), 25)
    assert abs(int(VideoClips(table, RECIPE, progress=False)[1].float().mean()) - 90) < 6


def test_without_a_cache_the_clips_are_the_same(tmp_path):
    table = prepared(tmp_path / "d")
    plain = VideoClips(table, RECIPE, cache=False)
    assert not (tmp_path / "d" / "cache").exists()
    assert torch.equal(plain[1], VideoClips(table, RECIPE, progress=False)[1])
    assert plain.to_inputs(torch.stack([plain[0], plain[1]])).shape == (2, 1, 3, 16, 32, 32)


@pytest.mark.parametrize("kind", ["kinetics", "imagenet"])
def test_inputs_are_the_cut_normalised_snippets(tmp_path, kind):
    table = prepared(tmp_path / "d")
    recipe = dataclasses.replace(
        RECIPE, snippet_starts=(0, 5), snippet_length=8, crop=20, normalisation=kind
    )
    source = VideoClips(table, recipe, progress=False)
    raw = source.read([0, 1])
    cut = {"frames": recipe.frames, "crop": 20, "shift": recipe.temporal_shift, "flip": True}
    for draw in ({}, {"generator": torch.Generator().manual_seed(3)}):
        clip = normalise(augment(raw, **cut, **draw), kind)
        again = {"generator": torch.Generator().manual_seed(3)} if draw else {}
        torch.testing.assert_close(source.to_inputs(raw, **again), cut_snippets(clip, (0, 5), 8))


def test_a_part_of_a_batch_is_augmented_as_in_the_whole():
    cut = {"frames": 4, "crop": 3, "shift": 1, "flip": True}
    whole = augment(counted(6), **cut, generator=torch.Generator().manual_seed(5))
    parts = [
        augment(counted(n), **cut, generator=torch.Generator().manual_seed(5), place=place)
        for place, n in ((0, 2), (2, 0), (2, 4))
    ]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("cache", [True, False])
def test_any_number_of_workers_delivers_the_same_batches_in_order(tmp_path, cache):
    source = VideoClips(
        prepared(tmp_path / "d", shades=(10, 90, 170, 250)), RECIPE, cache=cache, progress=False
    )
    parts = [np.array([1]), np.array([0, 1, 3]), np.array([1, 0, 0]), np.array([2])] * 3
    expected = [torch.stack([source[row] for row in rows]) for rows in parts]
    state = torch.get_rng_state()
    for workers in (0, 1, 2, 12):
        found = list(source.batches(parts, workers=workers))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), state), "reading must draw no random number"
    first = next(source.batches(parts, workers=2))  # and the others are never asked for
    assert torch.equal(first, expected[0])


def test_what_is_read_ahead_is_bounded(tmp_path, monkeypatch):
    source = VideoClips(prepared(tmp_path / "d"), RECIPE, cache=False, progress=False)
    asked, original = [], source.fetch
    monkeypatch.setattr(
        source,
        "fetch",
        lambda row, threads=None: (asked.append(threads), original(row, threads))[1],
    )
    batches = source.batches([[0, 1]] * 100, workers=3)
    next(batches)
    batches.close()
    assert 2 <= len(asked) <= 2 * (2 + 2 + 1) and set(asked) == {1}, (
        "one decoder thread a video, four batches ready"
    )


def test_a_file_that_cannot_be_read_ahead_is_named(tmp_path):
    source = VideoClips(
        prepared(tmp_path / "d", shades=(10, 20, 30)), RECIPE, cache=False, progress=False
    )
    (tmp_path / "d" / "2.mp4").write_bytes(b"broken")
    with pytest.raises(VideoError, match="2.mp4"):
        list(source.batches([[0, 1], [1, 2]], workers=2))


def test_a_long_first_wait_is_told_and_a_file_that_hangs_is_named(tmp_path, monkeypatch, capfd):
    source = VideoClips(prepared(tmp_path / "d"), RECIPE, cache=False, progress=False)
    monkeypatch.setattr(loading, "FIRST_WORD", 0.1)
    monkeypatch.setattr(loading, "STALL", 0.5)
    hanging, original = threading.Event(), source.fetch

    def fetch(row, threads=None):
        if row == 1:
            hanging.wait(2.5)
        return original(row, threads)

    monkeypatch.setattr(source, "fetch", fetch)
    list(source.batches([[0, 1]], workers=2))
    said = capfd.readouterr().err
    assert re.search(r"reading the first batch: 1 of 2 done after \d s", said)
    assert re.search(r"nothing was read for \d s; under way for \d s: \S*1\.mp4", said)


def test_a_cache_that_fills_without_a_bar_says_how_far_it_is(tmp_path, monkeypatch, capfd):
    table = prepared(tmp_path / "d", shades=(10, 20, 30))
    monkeypatch.setattr(loading, "FIRST_WORD", 0.0)
    original = module.load_clip
    monkeypatch.setattr(
        module, "load_clip", lambda *a, **o: (time.sleep(0.2), original(*a, **o))[1]
    )
    VideoClips(table, RECIPE, progress=False)
    assert re.search(
        r"decoding 3 videos into a cache of \d MB: \d of 3 done", capfd.readouterr().err
    )


def frames_folder(folder, shades):
    """A dataset of one folder of twenty PNG frames of each shade, with a video beside it so that
    two can be drawn."""
    table = prepared(folder)
    (folder / "f").mkdir()
    samples = table.samples.assign(media=["0.mp4", "f"])
    write_frames(folder / "f", shades)
    write_table(folder, table.info, samples)
    return SampleTable.load(folder)


def write_frames(folder, shades):
    for number, shade in enumerate(shades):
        Image.new("RGB", (32, 32), (shade,) * 3).save(
            folder / f"{number:03d}.png", compress_level=0
        )


def test_frames_written_anew_in_place_are_read_again_and_the_old_cache_goes(tmp_path):
    table = frames_folder(tmp_path / "d", [50] * 20)
    assert int(VideoClips(table, RECIPE, progress=False)[1].max()) == 50
    (old,) = (tmp_path / "d" / "cache").iterdir()
    times = os.stat(tmp_path / "d" / "f")
    write_frames(tmp_path / "d" / "f", [90] * 20)  # names, sizes and the folder's own time stay
    for path in (tmp_path / "d" / "f").iterdir():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(tmp_path / "d" / "f", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert int(VideoClips(table, RECIPE, progress=False)[1].min()) == 90
    (new,) = (tmp_path / "d" / "cache").iterdir()
    assert new != old
    VideoClips(table, RECIPE.replace(temporal_shift=0), progress=False)
    assert len(list((tmp_path / "d" / "cache").iterdir())) == 2, "of another kind: both are of use"


def test_a_damaged_cache_never_gives_other_frames(tmp_path):
    table = prepared(tmp_path / "d")
    expected = VideoClips(table, RECIPE, progress=False).read([0, 1])
    (path,) = (tmp_path / "d" / "cache").iterdir()
    whole, rng, noticed = path.read_bytes(), np.random.default_rng(0), 0
    places = [
        *range(0, 128, 4),
        *rng.integers(128, len(whole), 30),
    ]  # of the header, and of the frames
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert torch.equal(VideoClips(table, RECIPE, progress=False).read([0, 1]), expected)
        noticed += any("damaged where it holds" in str(one.message) for one in said)
    assert noticed >= 30
    VideoClips(table, RECIPE, progress=False)
    assert path.read_bytes() == whole, "made anew"


def test_a_cache_takes_no_more_than_half_of_the_free_space(tmp_path, monkeypatch):
    table = prepared(tmp_path / "d")
    size = 2 * (18 * 32 * 32 * 3 + 4)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * size - 1))
    with pytest.warns(UserWarning, match="half of it is left to others"):
        assert VideoClips(table, RECIPE, progress=False).cache is None
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * size))
    assert VideoClips(table, RECIPE, progress=False).cache is not None


def test_every_unreadable_video_is_listed_and_no_cache_is_left(tmp_path):
    table = prepared(tmp_path / "d", shades=(10, 20, 30))
    for name in ("1", "2"):
        (tmp_path / "d" / f"{name}.mp4").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"(?s)2 video\(s\).*id 1: .*id 2: "):
        VideoClips(table, RECIPE, progress=False)
    assert list((tmp_path / "d" / "cache").iterdir()) == []


def test_a_range_beyond_the_video_is_refused(tmp_path):
    prepared(tmp_path / "d")
    with pytest.raises(VideoError, match="has 20 frames, the sample ends at 21"):
        module.load_clip(tmp_path / "d" / "0.mp4", RECIPE, start=0, end=21)
