"""From videos to clips: which frames, augmentation, normalisation, snippets by hand; the cache."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from corelib.data import clips as module
from corelib.data.clips import VideoClips, augment, cut_snippets, frame_numbers, normalise, resize_video
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.data.video import VideoError, write_video
from corelib.recipe import named


def test_frame_numbers_by_hand():
    def numbers(*args, **options):
        return frame_numbers(*args, **options).tolist()

    assert numbers(10, 21, 50, frames=6, choice="resample") == [10, 12, 14, 16, 18, 20]
    assert numbers(10, 21, 50, frames=6, choice="resample", margin=1) == [10, 10, 12, 14, 16, 18, 20, 20]
    assert numbers(4, 6, 50, frames=4, choice="resample") == [4, 4, 5, 5]  # thirds of the way, rounded
    assert numbers(10, 21, 50, frames=4, choice="last") == [17, 18, 19, 20]
    assert numbers(10, 21, 50, frames=4, choice="last", margin=2) == [15, 16, 17, 18, 19, 20, 21, 22]
    assert numbers(0, 3, 4, frames=4, choice="last", margin=1) == [0, 0, 0, 1, 2, 3]  # held at the file's borders


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
        cut = augment(counted(), frames=4, crop=3, shift=1, flip=True, generator=torch.Generator().manual_seed(seed)).long()
        for clip in cut:
            t, y, x = clip[0, 0, 0].tolist()
            step = int(clip[0, 0, 1, 2]) - x
            expected = counted(1)[0, t : t + 4, y : y + 3, min(x, x + 2 * step) : min(x, x + 2 * step) + 3].long()
            assert torch.equal(clip, expected if step == 1 else expected.flip(2))
            seen.add((t, y, min(x, x + 2 * step), step))
    assert seen == {(t, y, x, step) for t in range(3) for y in range(3) for x in range(5) for step in (-1, 1)}


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
    info = {
        "name": "tiny", "title": "", "source": "", "licence": "", "citation": "", "score_range": [0, 10], "protocol": "fixed",
        "pairing_key": None, "divided_by_difficulty": False, "frame_rate": 25, "frame_size": [32, 32], "left_out": [],
    }  # fmt: skip
    folder.mkdir()
    for number, shade in enumerate(shades):
        write_video(folder / f"{number}.mp4", np.full((20, 32, 32, 3), shade, np.uint8), 25)
    names = [str(number) for number in range(len(shades))]
    samples = pd.DataFrame({"id": names, "split": "train", "score": 5, "media": [f"{name}.mp4" for name in names]})
    write_table(folder, info, samples)
    return SampleTable.load(folder)


def test_the_cache_is_reused_and_a_changed_video_is_read_again(tmp_path, monkeypatch):
    table = prepared(tmp_path / "d")
    fresh = VideoClips(table, RECIPE, progress=False)
    assert fresh[1].shape == (18, 32, 32, 3) and abs(int(fresh[1].float().mean()) - 200) < 6
    decoded, original = [], module.load_clip
    monkeypatch.setattr(module, "load_clip", lambda path, *a, **o: (decoded.append(path.name), original(path, *a, **o))[1])
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
    recipe = dataclasses.replace(RECIPE, snippet_starts=(0, 5), snippet_length=8, crop=20, normalisation=kind)
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
    parts = [augment(counted(n), **cut, generator=torch.Generator().manual_seed(5), place=place) for place, n in ((0, 2), (2, 0), (2, 4))]
    assert torch.equal(torch.cat(parts), whole)


def test_a_copy_for_another_process_holds_the_caches_name_and_not_its_frames(tmp_path):
    source = VideoClips(prepared(tmp_path / "d"), RECIPE, progress=False)
    packed = pickle.dumps(source)
    assert len(packed) < source.frames.nbytes / 2
    assert torch.equal(pickle.loads(packed).read([1, 0]), torch.stack([source[1], source[0]]))


def test_workers_deliver_the_same_batches_in_order_and_live_on(tmp_path):
    source = VideoClips(prepared(tmp_path / "d"), RECIPE, progress=False)
    parts = [np.array([1]), np.array([0, 1]), np.array([1, 0, 0])]
    alone = list(source.batches(parts))
    assert [len(batch) for batch in alone] == [1, 2, 3]
    for plan in (parts, parts[::-1]):
        found = list(source.batches(plan, workers=1))
        assert all(torch.equal(a, b) for a, b in zip(found, source.batches(plan), strict=True))
    assert len(source._loaders) == 1


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
