"""Any folder of videos with a table of scores becomes a prepared dataset, or one error names every
row that is wrong."""

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video, write_video
from corelib.evaluation import open_inputs
from corelib.recipe import named
from corelib.runs.fit import fit
from data_scripts.prepared.datasets import draw_split
from data_scripts.readers.score_sheet import read_scores
from data_scripts.readers.video_check import check_video

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "prepare_videos.py"


@pytest.fixture(scope="module")
def script(data_script):
    return data_script("prepare_videos")


def prepare(videos, scores, out, *more):
    command = [sys.executable, SCRIPT, "--videos", videos, "--scores", scores, "--out", out, *more]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def pictures(frames, seed=0, size=32):
    return np.random.default_rng(seed).integers(0, 255, (frames, size, size, 3), np.uint8)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """one.mp4, TWO.MKV, sub/three.mp4 and the folder of frames four: 20, 20, 30 and 10 frames."""
    root = tmp_path_factory.mktemp("clips") / "my videos"
    (root / "sub").mkdir(parents=True)
    (root / "four").mkdir()
    write_video(root / "one.mp4", pictures(20), 25)
    write_video(root / "two.mkv", pictures(20, 1), 25)
    (root / "two.mkv").rename(root / "TWO.MKV")
    write_video(root / "sub" / "three.mp4", pictures(30, 2), 25)
    for number, picture in enumerate(pictures(10, 3)):
        Image.fromarray(picture).save(root / "four" / f"{number:03d}.jpg")
    return root


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "scores.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path, videos, **columns):
    return read_scores(path, videos, columns, progress=False)


# The command


@pytest.fixture(scope="module")
def prepared(small_dives, tmp_path_factory):
    """The procedural dives as a user's own: a German spreadsheet with columns of its own names."""
    folder = tmp_path_factory.mktemp("own")
    lines = ["Sprung;Datei;Wertung;Schwierigkeit;Art;Teil;K1;K2;Bemerkung"]
    for sample, marks in zip(small_dives.samples.itertuples(), small_dives.marks(), strict=True):
        score, difficulty, first, second = (
            f"{value:g}".replace(".", ",")
            for value in (sample.score, sample.difficulty, *marks[:2])
        )
        cells = [
            sample.id,
            Path(sample.media).stem,
            score,
            difficulty,
            sample.group,
            sample.split.upper(),
            first,
            second,
            "",
        ]
        lines.append(";".join(cells))
    (folder / "Wertung.csv").write_text(
        "\r\n".join(lines) + "\r\n", encoding="utf-8-sig", newline=""
    )
    result = prepare(
        small_dives.root / "videos",
        folder / "Wertung.csv",
        folder / "own-dives",
        "--id-column",
        "Sprung",
        "--video-column",
        "Datei",
        "--score-column",
        "Wertung",
        "--difficulty-column",
        "Schwierigkeit",
        "--group-column",
        "Art",
        "--split-column",
        "Teil",
        "--judges-columns",
        "K1,K2",
        "--licence",
        "mine",
        "--score-range",
        0,
        120,
    )
    assert result.returncode == 0, result.stderr
    assert (
        "UTF-8 with a byte-order mark, semicolons between the fields, decimal commas"
        in result.stdout
    )
    assert "28 samples of 28 videos with 20 to 20 frames: 20 train, 8 test" in result.stdout
    return SampleTable.load(folder / "own-dives")


def test_a_spreadsheet_of_another_language(prepared, small_dives):
    theirs = small_dives.samples
    for column in ("id", "split", "score", "difficulty", "group"):
        assert prepared.samples[column].tolist() == theirs[column].tolist(), column
    assert [marks.tolist() for marks in prepared.marks()] == [
        marks[:2].tolist() for marks in small_dives.marks()
    ]
    assert prepared.samples.columns[-1] == "Bemerkung" and sorted(
        path.name for path in prepared.folder.iterdir()
    ) == ["dataset.json", "samples.csv"]
    info = prepared.info
    assert (info["name"], info["licence"], info["score_range"]) == ("own-dives", "mine", [0, 120])
    assert (info["pairing_key"], info["divided_by_difficulty"], info["frame_size"]) == (
        "group",
        True,
        [32, 32],
    )


def test_a_training_on_it(prepared, tmp_path):
    recipe = named("smoke", with_difficulty=True, epochs=1, exemplars=3, fill_exemplars=False)
    run = fit(prepared, recipe, tmp_path / "run", device="cpu", progress=False)
    group = prepared.samples.set_index("id")["group"]
    assert len(run.predictions) == 8 and np.isfinite(run.predictions["predicted"]).all()
    for found in run.predictions.itertuples():
        assert set(group[found.exemplars.split()]) == {group[found.id]}


def test_two_columns_need_no_option(videos, table, tmp_path):
    result = prepare(
        videos, table("file,total\none,7.5\nTWO,8\nsub/three,6\nfour,9\n"), tmp_path / "out"
    )
    assert result.returncode == 0, result.stderr
    loaded = SampleTable.load(tmp_path / "out")
    assert loaded.samples["media"].tolist() == ["one.mp4", "TWO.MKV", "sub/three.mp4", "four"]
    assert loaded.samples["id"].tolist() == ["one", "TWO", "sub/three", "four"] and loaded.samples[
        "score"
    ].tolist() == [7.5, 8, 6, 9]
    assert (loaded.info["score_range"], loaded.info["protocol"], loaded.info["pairing_key"]) == (
        [0.0, 9.0],
        "fixed",
        None,
    )
    assert (
        loaded.root == videos.resolve() and "drawn video by video, seed 0" in loaded.info["split"]
    )
    assert sorted(loaded.samples["split"]) == ["test", "train", "train", "val"]
    again = prepare(videos, tmp_path / "scores.csv", tmp_path / "out")
    assert again.returncode == 2 and "exists already; pass --overwrite" in again.stderr


# Which column is what


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("id,score", "one,7.5\nfour,8"),
        ("name,points", "one,7.5\nfour,8"),
        ("clip,anything", "one,7.5\nfour,8"),
        ("a,b", "one,7.5\nfour,8"),
        ("b,a", "7.5,one\n8,four"),
        ("Total Score,Video-Name,score by hand", "7.5,one,1\n8,four,2"),
        ("score;path;x", "7,5;one;1\n8;four;2"),
    ],
)
def test_the_columns_are_found(videos, table, header, rows):
    samples, _ = read(table(f"{header}\n{rows}\n"), videos)
    assert samples["media"].tolist() == ["one.mp4", "four"] and samples["score"].tolist() == [
        7.5,
        8.0,
    ]


def test_a_column_that_is_not_there_names_those_that_are(videos, table):
    path = table("Clip;Points;Judge A\none;7;8\n")
    with pytest.raises(DatasetError) as error:
        read(path, videos, score="Ponits", judges="Judge A, Judge B")
    for text in (
        "no column 'Ponits' for the score; the nearest is 'Points'",
        "no column 'Judge B'",
        "all: Clip, Points, Judge A",
    ):
        assert text in str(error.value)
    with pytest.raises(
        DatasetError,
        match=r"which column is the score\? Name it with --score-column \(there are: video, x, y\)",
    ):
        read(table("video,x,y\none,7,8\n"), videos)


def test_further_columns_are_kept_and_none_hides_one_of_the_contract(videos, table):
    samples, _ = read(
        table("code;video;score;id;weight;remark\nx 1;one;7,5;a;70,5;so, so\nx 2;four;8;b;;\n"),
        videos,
        id="code",
    )
    assert samples["id"].tolist() == ["x_1", "x_2"] and samples["id_in_file"].tolist() == ["a", "b"]
    assert samples["weight"].tolist()[0] == "70.5" and samples["remark"].tolist()[0] == "so, so"
    assert samples[["weight", "remark"]].isna().to_numpy().tolist() == [
        [False, False],
        [True, True],
    ]


@pytest.mark.parametrize(
    ("header", "cells", "options"),
    [
        ("marks", "7,5 8 8,5", {"judges": "marks"}),
        ("judges", "7,5/8/8,5", {}),
        ("judges", "[7,5, 8, 8,5]", {}),
        ("judges", '"7,5; 8; 8,5"', {}),
        ("A;B;C", "7,5;8;8,5", {"judges": "A,B,C"}),
        ("A;B;C;D", "7,5;8;;8,5", {"judges": "A, B,C,D"}),
    ],
)
def test_marks_of_one_column_or_several(videos, table, header, cells, options):
    samples, _ = read(table(f"video;score;{header}\none;9;{cells}\n"), videos, **options)
    assert samples["judges"].tolist() == ["7.5 8 8.5"]


def test_performances_within_one_video(videos, table):
    text = "video,score,start,end\nsub/three,7,0,10\nsub/three.mp4,8,10,30\n"
    text += "sub\\three,9,20,\none,6,,\n"
    samples, found = read(table(text), videos)
    assert samples["id"].tolist() == ["sub/three:0-10", "sub/three:10-30", "sub/three:20-30", "one"]
    assert samples["start"].dropna().tolist() == [0, 10, 20] and samples[
        "end"
    ].dropna().tolist() == [10, 30, 30]
    assert samples["start"].isna().tolist() == [False, False, False, True] and found["videos"] == 2


# Splits


def test_rows_of_one_video_stay_on_one_side(script):
    import pandas as pd

    samples = pd.DataFrame({"media": np.repeat([f"v{number:02d}" for number in range(20)], 3)})
    for seed in range(20):
        split = pd.Series(draw_split(samples, seed=seed, val_share=0.1, test_share=0.2))
        assert split.groupby(samples["media"]).nunique().eq(1).all()
        assert split.value_counts().to_dict() == {"train": 42, "test": 12, "val": 6}
        mixed = samples.sample(frac=1, random_state=seed)
        assert (
            draw_split(mixed, seed=seed, val_share=0.1, test_share=0.2)
            == split[mixed.index].tolist()
        )
    for count in range(1, 6):
        few = draw_split(samples[::3][:count], seed=0, val_share=0.45, test_share=0.45)
        assert "train" in few
    with pytest.raises(DatasetError, match="below 1 together"):
        draw_split(samples, seed=0, val_share=0.5, test_share=0.5)


def test_given_splits_and_folds(videos, table, tmp_path, script):
    path = table("video,score,split\none,1,Train\nTWO,2,TEST\nfour,3,val\n")
    samples, found = script.prepare_videos(videos, path, tmp_path / "out", progress=False)
    assert (
        samples["split"].tolist() == ["train", "test", "val"]
        and found["split"] == "as the table says"
    )
    path = table("video,score,fold\none,1,0\nTWO,2,1\nfour,3,0\n")
    script.prepare_videos(videos, path, tmp_path / "folds", {"split": "fold"}, progress=False)
    loaded = SampleTable.load(tmp_path / "folds")
    assert loaded.info["protocol"] == "folds" and loaded.rows("0").tolist() == [0, 2]
    for text, message in (("0", "folds are two at least"), ("test", "train in no row")):
        with pytest.raises(DatasetError, match=message):
            read(table(f"video,score,split\none,1,{text}\nTWO,2,{text}\n"), videos)


def test_a_video_in_two_given_splits_is_said(videos, table, tmp_path):
    path = table(
        "id,video,score,split,start,end\na,one,1,train,0,3\nb,one,2,test,3,5\nc,TWO,2,train,,\n"
    )
    result = prepare(videos, path, tmp_path / "out")
    assert (
        result.returncode == 0
        and "note: 1 videos have rows in more than one split" in result.stdout
    ), result.stderr
    assert "leak" not in result.stderr
    path = table(
        "id,video,score,split,start,end\na,one,1,train,0,4\nb,one,2,test,3,5\nc,TWO,2,train,,\n"
    )
    result = prepare(videos, path, tmp_path / "overlapping")
    assert (
        result.returncode == 0
        and "leak between train and test: 1 pair(s) of samples have frames in common (a and b)"
        in result.stderr
    )
    path = table("id,video,score,split\na,one,1,train\nb,one,2,test\nc,TWO,2,train\n")
    result = prepare(videos, path, tmp_path / "same")
    assert (
        result.returncode == 2
        and "id a (train) and id b (test): " in result.stderr
        and not (tmp_path / "same").exists()
    )


# Videos


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_variable_frame_rate_keeps_its_frames(tmp_path, table, script, suffix):
    frames, clips = pictures(24, 5), tmp_path / "clips"
    clips.mkdir()
    with av.open(str(clips / f"phone{suffix}"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 32
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "0", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, 1000)
        time = 0
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            time += (17, 33, 125, 40)[number % 4]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    write_video(clips / "camera.mp4", frames, 30)
    assert not check_video(clips / "camera.mp4").variable
    samples, found = script.prepare_videos(
        clips, table("video,score,end\nphone,7,24\ncamera,8,\n"), tmp_path / "out", progress=False
    )
    assert (
        found["frames"] == (24, 24) and found["variable"] == 1 and samples["end"].tolist()[0] == 24
    )
    loaded = SampleTable.load(tmp_path / "out")
    assert (
        loaded.info["frame_rate"] is None
        and len(read_video(loaded.root / samples["media"][0])) == 24
    )
    clip = open_inputs(loaded, named("smoke", temporal_shift=0), progress=False)[0].numpy()
    nearest = [
        np.abs(frames.astype(int) - picture).mean(axis=(1, 2, 3)).argmin() for picture in clip
    ]
    assert nearest == np.rint(np.linspace(0, 23, 16)).astype(int).tolist()


def test_damage_within_is_found_by_decoding_all(videos, table, tmp_path):
    clips = tmp_path / "clips"
    shutil.copytree(videos / "four", clips / "four")
    part = (clips / "four" / "000.jpg").read_bytes()[:300]
    (clips / "four" / "005.jpg").write_bytes(part)
    path = table("video,score\nfour,7\n")
    assert len(read(path, clips)[0]) == 1
    with pytest.raises(DatasetError, match="005.jpg"):
        read_scores(path, clips, {}, decode=True, progress=False)
    Image.fromarray(pictures(1, size=16)[0]).save(clips / "four" / "005.jpg")
    with pytest.raises(
        DatasetError, match=r"005.jpg: a frame of \(16, 16\), the first is one of \(32, 32\)"
    ):
        read_scores(path, clips, {}, decode=True, progress=False)
    (clips / "four" / "000.jpg").write_bytes(part)
    with pytest.raises(DatasetError, match=r"line 2: .*000.jpg: cannot be decoded as an image"):
        read(path, clips)


# Bad input


def test_all_wrong_rows_are_listed_at_once(videos, tmp_path):
    clips = tmp_path / "clips"
    shutil.copytree(videos, clips)
    (clips / "empty").mkdir()
    (clips / "nothing.mp4").write_bytes(b"")
    (clips / "page.avi").write_text("<html>not found</html>")
    shutil.copy(clips / "one.mp4", clips / "four.mp4")
    shutil.copy(clips / "one.mp4", clips / "sub" / "three.mov")
    rows = [
        ("a", "one", "7,5", "2,5", "train", "0", "20"),
        ("b", "one", "good", "2", "train", "", ""),
        ("c", "one", "", "2", "train", "", ""),
        ("d", "one", "NaN", "2", "train", "", ""),
        ("e", "absent", "7", "2", "train", "", ""),
        ("f", "page", "7", "2", "train", "", ""),
        ("g", "empty", "7", "2", "train", "", ""),
        ("h", "nothing", "7", "2", "train", "", ""),
        ("a", "one", "7", "2", "train", "", ""),
        ("i", "one", "7", "2", "trial", "", ""),
        ("j", "one", "7", "2", "train", "10", "21"),
        ("k", "one", "7", "2", "train", "9", "9"),
        ("l", "one", "7", "0", "train", "", ""),
        ("m", "one", "7", "-1", "test", "", ""),
        ("n", "", "7", "2", "", "", ""),
        ("", "one", "7", "2", "train", "1,5", ""),
        ("o", "../one", "7", "2", "train", "", ""),
        ("p", "sub/three", "7", "2", "train", "-1", ""),
        ("q", "one", "1.234,5", "2", "train", "", ""),
        ("r", "oen.mp4", "121", "", "train", "", ""),
        ("s", "page", "7", "2", "train", "", ""),
    ]
    path = tmp_path / "scores.csv"
    path.write_text(
        "\n".join(["id;video;score;difficulty;split;start;end", *map(";".join, rows)]) + "\n"
    )
    result = prepare(clips, path, tmp_path / "out", "--score-range", 0, 120)
    assert (
        result.returncode == 2
        and not (tmp_path / "out").exists()
        and not list(tmp_path.glob(".out*"))
    )
    expected = {
        3: "score (score) is 'good'; it must be a number from 0 to 120",
        4: "score (score) is empty",
        5: "score (score) is empty",
        6: "absent: no such video file or folder of frames",
        7: "page.avi: cannot be opened as a video",
        8: "empty: no .jpg",
        9: "nothing.mp4: ",
        10: "id 'a' is already that of line 2",
        11: "split (split) is 'trial'; it must be train, val or test",
        12: "frames 10 to 21 (exclusive), but one.mp4 has 20",
        13: "frames 9 to 9",
        14: "difficulty (difficulty) is '0'; it must be a number above 0",
        15: "difficulty (difficulty) is '-1'",
        16: "video (video) is empty",
        17: "id (id) is empty",
        18: "../one: lies outside of",
        19: "sub/three: is it three.mov or three.mp4?",
        20: "score (score) is '1.234,5'",
        21: "oen.mp4: no such video",
        22: "page.avi: cannot",
    }
    lines = result.stderr.splitlines()
    for number, text in expected.items():
        assert any(f"{path} line {number}: " in line and text in line for line in lines), (
            number,
            text,
        )
    for more in (
        "line 16: split (split) is empty",
        "line 17: start (start) is '1,5'",
        "line 19: start (start) is '-1'",
        "the nearest there is one.mp4",
        "line 21: score (score) is '121'",
        "line 21: difficulty (difficulty) is empty",
    ):
        assert more in result.stderr, more
    assert (
        "25 problem(s), read as UTF-8, semicolons between the fields, decimal commas"
        in result.stderr
    )
    assert f"{path} line 2: " not in result.stderr.replace("of line 2", "")


def test_a_name_that_two_rows_share_needs_an_id(videos, table):
    with pytest.raises(
        DatasetError,
        match=(
            r"line 3: id 'one' is already that of line 2; ids must be unique; name the column of a"
            r" unique id with --id-column"
        ),
    ):
        read(table("video,score\none,7\none.mp4,8\n"), videos)
    with pytest.raises(DatasetError, match=r"line 2: judges: 'x', '-1'"):
        read(table("video,score,judges\none,7,7 x -1\n"), videos)
    with pytest.raises(DatasetError, match=r"line 3: group \(art\) is empty"):
        read(table("video,score,art\none,7,a\nfour,7,\n"), videos, group="art")


def test_options_that_cannot_be_are_refused(videos, table, tmp_path, script):
    path = table("video,score\none,7\n")
    for options, message in (
        ({"name": "a/b"}, "--name 'a/b'"),
        ({"score_range": (5, 5)}, "lowest score must lie below"),
    ):
        with pytest.raises(DatasetError, match=message):
            script.prepare_videos(videos, path, tmp_path / "out", progress=False, **options)
