"""Leakage: what two splits share by name, by content or by features is found, refused where it is
certain, and named."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.data.banks import write_bank
from corelib.data.leakage import find_known, find_leaks, refuse_leaks
from corelib.data.samples import DatasetError, SampleTable, new_dataset, write_table
from tests.contract import card

INFO = card("tiny", frame_rate=25)


def rows(**columns):
    """Six samples, two of each split, every one a file of its own; `columns` changes some."""
    media = [f"{name}.mp4" for name in "abcdef"]
    return pd.DataFrame(
        {
            "id": list("uvwxyz"),
            "split": ["train", "train", "val", "val", "test", "test"],
            "score": range(6),
            "media": media,
        }
        | columns
    )


def dataset(folder, samples, info=INFO):
    folder.mkdir(exist_ok=True)
    for name in "abcdef":
        if not (folder / f"{name}.mp4").exists():
            (folder / f"{name}.mp4").write_bytes(f"video {name}".encode())  # all of one size
    write_table(folder, info, samples)
    return SampleTable.load(folder)


def test_different_files_of_one_size_are_no_leak(tmp_path):
    assert find_leaks(dataset(tmp_path, rows())) == []


# The same media


def test_the_same_video_in_train_and_test_is_refused_and_every_pair_named(tmp_path):
    samples = rows(media=["a.mp4", "b.mp4", "c.mp4", "d.mp4", "./b.mp4", "a.mp4"])
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path, samples)
    assert "2 pair(s)" in str(error.value) and "leaks_on_purpose" in str(error.value)
    assert "id v (train) and id y (test): b.mp4" in str(error.value)
    assert "id u (train) and id z (test): a.mp4" in str(error.value)
    table = dataset(tmp_path, samples, INFO | {"leaks_on_purpose": True})
    (sentence,) = find_leaks(table)
    assert sentence.startswith(
        "leak between train and test (on purpose, as dataset.json says): 2 pair(s)"
    )


def test_a_link_to_a_video_is_that_video(tmp_path):
    dataset(tmp_path, rows())
    (tmp_path / "e.mp4").unlink()
    os.symlink(tmp_path / "a.mp4", tmp_path / "e.mp4")
    with pytest.raises(DatasetError, match=r"id u \(train\) and id y \(test\)"):
        SampleTable.load(tmp_path)


def test_frame_ranges_of_one_video(tmp_path):
    media = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "a.mp4", "a.mp4"]
    apart = rows(
        media=media, start=[0, None, None, None, 10, 20], end=[10, None, None, None, 20, 30]
    )
    assert find_leaks(dataset(tmp_path, apart)) == []  # the end is exclusive
    overlapping = rows(
        media=media, start=[0, None, None, None, 9, 20], end=[10, None, None, None, 20, 30]
    )
    (sentence,) = find_leaks(dataset(tmp_path, overlapping))
    assert sentence.startswith(
        "leak between train and test: 1 pair(s) of samples have frames in common (u and y)"
    )
    whole = rows(
        media=media, start=[None, None, None, None, 9, 20], end=[None, None, None, None, 20, 30]
    )
    (sentence,) = find_leaks(dataset(tmp_path, whole))
    assert "2 pair(s)" in sentence and "u and y" in sentence and "u and z" in sentence
    with pytest.raises(
        DatasetError, match=r"id u \(train\) and id z \(test\): a.mp4, frames 20 to 30"
    ):
        dataset(
            tmp_path,
            rows(
                media=media, start=[20, None, None, None, 9, 20], end=[30, None, None, None, 20, 30]
            ),
        )


def test_the_same_video_in_train_and_val_is_said(tmp_path):
    (sentence,) = find_leaks(
        dataset(tmp_path, rows(media=["a.mp4", "b.mp4", "c.mp4", "a.mp4", "e.mp4", "f.mp4"]))
    )
    assert sentence.startswith(
        "leak between train and val: 1 pair(s) of samples are the same media and frames (u and x)"
    )


def test_two_folds_share_no_video(tmp_path):
    folds = INFO | {"protocol": "folds"}
    samples = rows(
        split=[0, 0, 1, 1, 2, 2], media=["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "b.mp4"]
    )
    with pytest.raises(DatasetError, match=r"id v \(0\) and id z \(2\)"):
        dataset(tmp_path, samples, folds)
    inside = rows(
        split=[0, 0, 1, 1, 2, 2], media=["a.mp4", "a.mp4", "c.mp4", "d.mp4", "e.mp4", "f.mp4"]
    )
    assert find_leaks(dataset(tmp_path, inside, folds)) == []


def test_the_same_id_in_a_table_made_by_hand_is_refused(tmp_path):
    table = dataset(tmp_path, rows())
    by_hand = replace(
        table,
        samples=pd.concat(
            [table.samples, table.samples[:1].assign(split="test", media="f.mp4", start=3)]
        ),
    )
    with pytest.raises(DatasetError, match=r"id u \(train\) and id u \(test\)"):
        refuse_leaks(by_hand)


spans = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(
    lambda span: (span[0], span[0] + span[1])
)


@settings(max_examples=60)
@given(
    samples=st.lists(
        st.tuples(
            st.sampled_from(["train", "val", "test"]), st.sampled_from("ab"), spans | st.none()
        ),
        min_size=2,
        max_size=12,
    )
)
def test_leaks_by_name_equal_a_double_loop(samples, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "loop"
    folder.mkdir(exist_ok=True)
    (folder / "a.mp4").write_bytes(b"one"), (folder / "b.mp4").write_bytes(b"another")
    frame = pd.DataFrame(
        {
            "id": [f"s{row}" for row in range(len(samples))],
            "split": [s[0] for s in samples],
            "score": 1.0,
            "media": [f"{s[1]}.mp4" for s in samples],
            "start": pd.array([s[2] and s[2][0] for s in samples], dtype="Int64"),
            "end": pd.array([s[2] and s[2][1] for s in samples], dtype="Int64"),
        }
    )
    table = SampleTable(folder, INFO | {"leaks_on_purpose": True}, frame, "")
    same, common = 0, 0
    for a in range(len(samples)):
        for b in range(a):
            (split_a, media_a, span_a), (split_b, media_b, span_b) = samples[a], samples[b]
            if split_a != split_b and media_a == media_b:
                frames_a, frames_b = (set(range(*(span or (0, 99)))) for span in (span_a, span_b))
                same += span_a == span_b
                common += span_a != span_b and bool(frames_a & frames_b)
    found = find_leaks(table)
    for kind, expected in (
        ("are the same media and frames", same),
        ("have frames in common", common),
    ):
        assert (
            sum(
                int(sentence.split(": ")[1].split(" pair")[0])
                for sentence in found
                if kind in sentence
            )
            == expected
        )


# The same content


def test_a_copied_file_is_found_and_named(tmp_path):
    dataset(tmp_path, rows())
    for copy, original in (("e", "a"), ("f", "b"), ("d", "b")):
        shutil.copyfile(tmp_path / f"{original}.mp4", tmp_path / f"{copy}.mp4")
    assert find_leaks(SampleTable.load(tmp_path)) == [
        (
            "leak between train and test: 2 pair(s) of samples have the same content (u and y, v"
            " and z), so test does not show how new performances are scored"
        ),
        (
            "leak between train and val: 1 pair(s) of samples have the same content (v and x), so"
            " val does not show how new performances are scored"
        ),
        (
            "leak between val and test: 1 pair(s) of samples have the same content (x and z), so"
            " test does not show how new performances are scored"
        ),
    ]


def test_large_files_are_compared_at_both_ends(tmp_path):
    dataset(tmp_path, rows())
    content = np.random.default_rng(0).bytes(2**21 + 999)
    for name, changed in (("a", None), ("e", len(content) - 1), ("f", 0)):
        copy = bytearray(content)
        if changed is not None:
            copy[changed] ^= 1
        (tmp_path / f"{name}.mp4").write_bytes(copy)
    assert find_leaks(SampleTable.load(tmp_path)) == []
    (tmp_path / "e.mp4").write_bytes(content)
    assert "(u and y)" in find_leaks(SampleTable.load(tmp_path))[0]


def test_only_files_of_equal_size_are_opened(tmp_path, monkeypatch):
    table = dataset(tmp_path, rows())
    for place, name in enumerate("abcdef"):
        (tmp_path / f"{name}.mp4").write_bytes(b"v" * (place + 1))
    (tmp_path / "b.mp4").write_bytes(b"v")  # as large as a: both are in train
    opened, original = [], Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, *args, **options: (opened.append(path.name), original(path, *args, **options))[
            1
        ],
    )
    assert find_leaks(table) == [] and opened == []
    (tmp_path / "f.mp4").write_bytes(b"v")
    opened.clear()
    assert len(find_leaks(table)) == 1 and sorted(opened) == ["a.mp4", "b.mp4", "f.mp4"]


def test_copied_folders_of_frames_are_found_by_their_first_and_last(tmp_path):
    for number, name in enumerate("abcdef"):
        (tmp_path / name).mkdir()
        for frame in range(3):
            (tmp_path / name / f"{frame:04d}.jpg").write_bytes(bytes([number, frame]))
    samples = rows(media=list("abcdef"))
    write_table(tmp_path, INFO, samples)
    assert find_leaks(SampleTable.load(tmp_path)) == []
    shutil.rmtree(tmp_path / "f")
    shutil.copytree(tmp_path / "a", tmp_path / "f")
    assert "(u and z)" in find_leaks(SampleTable.load(tmp_path))[0]
    (tmp_path / "f" / "0003.jpg").write_bytes(bytes([0, 2]))  # a frame more: another recording
    assert find_leaks(SampleTable.load(tmp_path)) == []


def bank(folder, samples, features):
    folder.mkdir(exist_ok=True)
    write_bank(folder / "features.safetensors", features, samples["id"].tolist())
    write_table(folder, INFO, samples.assign(media=samples["id"]))
    return SampleTable.load(folder)


def test_equal_features_across_splits_are_found(tmp_path):
    features = np.random.default_rng(0).normal(size=(6, 3, 4)).astype("float16")
    assert find_leaks(bank(tmp_path, rows(), features)) == []
    features[5], features[1] = features[0], features[0]  # v and u are of one split
    (sentence,) = find_leaks(bank(tmp_path, rows(), features))
    assert sentence.startswith(
        "leak between train and test: 2 pair(s) of samples have the same content (u and z, v and z)"
    )
    features[5, 2, 3] += 1
    assert find_leaks(bank(tmp_path, rows(), features)) == []


# When it is found


def test_it_is_said_when_a_dataset_is_prepared(tmp_path):
    features = np.random.default_rng(0).normal(size=(6, 3, 4)).astype("float32")
    features[5] = features[0]
    with (
        pytest.warns(UserWarning, match=r"made: leak between train and test: 1 pair\(s\)"),
        new_dataset(tmp_path / "made") as folder,
    ):
        bank(folder, rows(), features)
    certain = rows(media=["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "a.mp4"])
    with (
        pytest.raises(DatasetError, match=r"id u \(train\) and id z \(test\)"),
        new_dataset(tmp_path / "refused") as folder,
    ):
        for name in "abcdef":
            (folder / f"{name}.mp4").write_bytes(name.encode())
        write_table(folder, INFO, certain)
    assert not (tmp_path / "refused").exists()


def test_what_a_run_has_learnt_is_found_in_the_test_split_of_another_dataset(tmp_path):
    learnt = dataset(tmp_path, rows())
    other = replace(
        learnt,
        samples=learnt.samples.assign(split=["test", "test", "train", "test", "train", "train"]),
    )
    (sentence,) = find_known(learnt, other)
    assert sentence.startswith(
        "leak between this run's training and the test split: 3 pair(s) of samples are the same"
        " media and frames (u and u, v and v, x and x)"
    )
    assert find_known(learnt, learnt) == []
