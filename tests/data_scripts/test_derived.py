"""A dataset derived from another: other rows, the same videos or features."""

import numpy as np
import pandas as pd
import pytest

from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.data.video import read_video
from data_scripts.prepared.derived import derive_dataset


def test_copies_of_test_videos_are_read_from_where_the_videos_lie(small_dives, tmp_path):
    samples = small_dives.samples
    copies = samples[samples["split"] == "test"].assign(
        id="copy-of-" + samples["id"], split="train"
    )
    with pytest.raises(
        DatasetError,
        match=(
            r"8 pair\(s\) of samples are the same.*\n  id dive-00021 \(test\) and id"
            r" copy-of-dive-00021 \(train\)"
        ),
    ):
        derive_dataset(
            small_dives,
            pd.concat([samples, copies]),
            tmp_path / "leaky",
            change="test videos copied",
        )
    assert not (tmp_path / "leaky").exists()
    with pytest.warns(
        UserWarning,
        match=r"leak between train and test \(on purpose, as dataset.json says\): 8 pair",
    ):
        leaky = derive_dataset(
            small_dives,
            pd.concat([samples, copies]),
            tmp_path / "leaky",
            change="test videos copied",
            leaks_on_purpose=True,
        )
    assert len(leaky.rows("train")) == len(small_dives.rows("train")) + len(
        small_dives.rows("test")
    )
    assert (
        leaky.info["change"] == "test videos copied"
        and leaky.info["derived_from"] == small_dives.name
    )
    original, copy = (
        samples["media"][small_dives.rows("test")[0]],
        leaky.samples["media"].iloc[len(samples)],
    )
    np.testing.assert_array_equal(
        read_video(leaky.root / copy), read_video(small_dives.root / original)
    )
    assert {path.name for path in leaky.folder.iterdir()} == {"dataset.json", "samples.csv"}


@pytest.fixture
def features(small_dives, tmp_path):
    """The small dives as a bank of features [28, 1, 4]."""
    folder = tmp_path / "features"
    folder.mkdir()
    ids = small_dives.samples["id"].tolist()
    write_bank(
        folder / "features.safetensors",
        np.random.default_rng(0).normal(size=(len(ids), 1, 4)).astype("float32"),
        ids,
    )
    write_table(
        folder, small_dives.info | {"name": "features"}, small_dives.samples.assign(media=ids)
    )
    return SampleTable.load(folder)


def test_rows_keep_their_features(features, tmp_path):
    turned = features.samples.iloc[::-1].reset_index(drop=True)
    derived = derive_dataset(features, turned, tmp_path / "turned", change="the other way round")
    np.testing.assert_array_equal(
        FeatureSteps(derived).features.flip(0), FeatureSteps(features).features
    )
    assert derived.sha256 != features.sha256


def test_it_is_written_once_and_again_when_its_rows_change(features, tmp_path):
    first = derive_dataset(features, features.samples, tmp_path / "same", change="nothing")
    written = (first.folder / "samples.csv").stat().st_mtime_ns
    again = derive_dataset(features, features.samples, tmp_path / "same", change="nothing")
    assert (again.sha256, (again.folder / "samples.csv").stat().st_mtime_ns) == (
        first.sha256,
        written,
    )
    fewer = derive_dataset(features, features.samples[:25], tmp_path / "same", change="fewer")
    assert len(fewer.samples) == 25


def test_rows_that_break_the_contract_leave_nothing_behind(features, tmp_path):
    twice = pd.concat([features.samples, features.samples[:2]])
    with pytest.raises(DatasetError, match="ids must be unique"):
        derive_dataset(features, twice, tmp_path / "twice", change="two ids twice")
    assert not (tmp_path / "twice").exists()
