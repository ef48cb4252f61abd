"""The inputs of the recipe `paper` against an independent computation of the released
preprocessing, with Pillow."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from corelib.data.clips import VideoClips
from corelib.data.samples import SampleTable, write_table
from corelib.recipe import named
from tests.contract import card

MEAN, DEVIATION = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
STARTS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 86)


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """Two dives in one folder of 130 frames, 455 wide and 256 high, whose coarse squares differ
    everywhere."""
    folder = tmp_path_factory.mktemp("competition") / "d"
    (folder / "01").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(130):
        squares = Image.fromarray(rng.integers(0, 256, (64, 114, 3), np.uint8))
        squares.resize((455, 256), Image.Resampling.BICUBIC).save(
            folder / "01" / f"{number:08d}.jpg", quality=95
        )
    info = card("d", score_range=[0, 110], frame_rate=25, frame_size=[256, 455])
    rows = {
        "id": ["a", "b"],
        "split": "train",
        "score": [50, 60],
        "media": "01",
        "start": [5, 20],
        "end": [112, 126],
    }
    write_table(folder, info, pd.DataFrame(rows))
    return SampleTable.load(folder)


def released(folder, end: int) -> np.ndarray:
    """Ten snippets [10, 3, 16, 224, 224] of the 103 frames before `end`: 455 high and 256 wide, cut
    at 116 and 16."""
    frames = []
    for path in sorted(folder.glob("*.jpg"))[end - 103 : end]:
        picture = Image.open(path).convert("RGB").resize((256, 455), Image.Resampling.BILINEAR)
        top, left = int(round((455 - 224) / 2)), int(round((256 - 224) / 2))
        assert (top, left) == (116, 16)
        frames.append(np.asarray(picture)[top : top + 224, left : left + 224])
    clip = (np.stack(frames).astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.stack([clip[start : start + 16] for start in STARTS]).transpose(0, 4, 1, 2, 3)


def test_whole_clips_are_those_of_the_released_preprocessing(competition):
    source = VideoClips(competition, named("paper"), cache=False, progress=False)
    inputs = source.to_inputs(torch.stack([source[0], source[1]])).numpy()
    grey_level = 1 / 255 / DEVIATION.min()
    for row, end in enumerate((112, 126)):
        expected = released(competition.root / "01", end)
        difference = np.abs(inputs[row] - expected)
        assert difference.max() < 1.01 * grey_level  # what two programs may round apart
        assert difference.mean() < 0.1 * grey_level
        for y in (0, -1):
            for x in (0, -1):
                assert difference[..., y, x].max() < 1.01 * grey_level, "a corner"
        for axis in (2, 3, 4):  # and one frame, row or column off is another clip
            assert np.abs(np.roll(inputs[row], 1, axis) - expected).mean() > 5 * grey_level


def test_training_cuts_the_same_pictures_elsewhere(competition):
    recipe = named("paper")
    source = VideoClips(competition, recipe, cache=False, progress=False)
    stored = source[0]  # [103 + 2 * 3, 455, 256, 3]
    assert stored.shape == (109, 455, 256, 3)
    inputs = source.to_inputs(stored[None], torch.Generator().manual_seed(1))[0]
    cut = (
        inputs[0, :, 0] * torch.from_numpy(DEVIATION)[:, None, None]
        + torch.from_numpy(MEAN)[:, None, None]
    ) * 255
    draw = torch.rand(4, generator=torch.Generator().manual_seed(1)).tolist()
    t, y, x = int(draw[0] * 7), int(draw[1] * 232), int(draw[2] * 33)
    expected = stored[t, y : y + 224, x : x + 224].movedim(2, 0).float()
    torch.testing.assert_close(
        cut, expected.flip(2) if draw[3] < 0.5 else expected, rtol=0, atol=1e-3
    )
