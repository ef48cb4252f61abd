"""A stranger's videos: found by name, counted, and refused when they were cut short."""

import unicodedata

import av
import numpy as np
import pytest

from corelib.data.video import VideoError, write_video
from data_scripts.readers.video_check import check_video, find_video


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """whole(".avi", "mpeg4") -> a video file of 40 frames of noise, 32 x 32."""

    def write(suffix, codec):
        path = tmp_path_factory.mktemp("whole") / f"whole{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for picture in np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), np.uint8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "mpeg4"), (".mkv", "libx264"), (".mp4", "libx264")]
)
@pytest.mark.parametrize("share", [0.85, 0.6, 0.02])
def test_a_video_that_was_cut_short_is_refused(whole, tmp_path, suffix, codec, share):
    path = whole(suffix, codec)
    facts = check_video(path, decode=True)
    assert (facts.frames, facts.height, facts.width, facts.frame_rate, facts.variable) == (
        40,
        32,
        32,
        25.0,
        False,
    )
    part = tmp_path / f"part{suffix}"
    part.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(VideoError, match="part.*(cut short|complete\\?|no frame)"):
        check_video(part)


@pytest.mark.parametrize("missing", ["a part of the last frame", "the last frame"])
def test_one_missing_frame_is_noticed(whole, tmp_path, missing):
    content = whole(".avi", "mpeg4").read_bytes()
    index = content.rindex(b"idx1")
    last = content.rindex(b"00dc", 0, index)
    part = tmp_path / "part.avi"
    part.write_bytes(content[: index - 30 if missing.startswith("a part") else last])
    with pytest.raises(
        VideoError, match="states 40 frames, it holds 39 whole ones; it was cut short"
    ):
        check_video(part)


def dropping(path):
    """An .avi of 20 frames of noise whose recorder dropped two after every fifth: its header states
    26."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number, picture in enumerate(
            np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), np.uint8)
        ):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 2 * (number // 5)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def test_an_avi_may_state_frames_that_its_recorder_dropped(tmp_path):
    dropping(tmp_path / "v.avi")
    with av.open(str(tmp_path / "v.avi")) as container:
        assert container.streams.video[0].frames == 26
    facts = check_video(tmp_path / "v.avi", decode=True)
    assert (facts.frames, facts.frame_rate, facts.variable) == (20, None, True)


@pytest.mark.parametrize(
    "missing", ["the end", "the end, filled with zeros", "a second chunk's end"]
)
def test_an_avi_with_dropped_frames_is_refused_when_it_was_cut_short(tmp_path, missing):
    content = dropping(tmp_path / "v.avi")
    half = len(content) // 2
    chunk = (
        b"RIFF" + (1000).to_bytes(4, "little") + b"AVIX"
    )  # how an .avi goes on beyond a gigabyte
    parts = {
        "the end": content[:half],
        "the end, filled with zeros": content[:half] + bytes(len(content) - half),
        "a second chunk's end": content + chunk + bytes(500),
    }
    (tmp_path / "part.avi").write_bytes(parts[missing])
    with pytest.raises(VideoError, match="part.avi: its header states .* it was cut short"):
        check_video(tmp_path / "part.avi")


def test_damage_that_the_frame_count_hides_is_found_by_decoding(whole, tmp_path):
    content = bytearray(whole(".mp4", "libx264").read_bytes())
    start = content.index(b"mdat")
    content[start + 3000 : start + 20000] = bytes(17000)
    (tmp_path / "hole.mp4").write_bytes(content)
    assert check_video(tmp_path / "hole.mp4").frames == 40
    with pytest.raises(VideoError, match="hole.mp4: .*(decoding stopped|can be decoded)"):
        check_video(tmp_path / "hole.mp4", decode=True)


def test_a_video_is_found_however_its_name_is_written(tmp_path):
    video = np.zeros((2, 16, 16, 3), np.uint8)
    (tmp_path / "day 1").mkdir()
    write_video(tmp_path / "day 1" / unicodedata.normalize("NFD", "pré.mp4"), video, 25)
    wanted = "day 1/" + unicodedata.normalize("NFD", "pré.mp4")
    for name in (
        "day 1/pré",
        "day 1\\pré.mp4",
        "./day 1//pré.mp4",
        str(tmp_path / "day 1" / "pré"),
    ):
        assert find_video(tmp_path, name) == wanted
    for name, message in (
        ("day 1/prè", "the nearest there is"),
        ("day 2/pré", "no such folder, or it is empty"),
        ("../pré", "lies outside of"),
    ):
        with pytest.raises(VideoError, match=message):
            find_video(tmp_path, name)


def test_a_name_that_is_too_long_is_told_in_one_line(tmp_path):
    with pytest.raises(VideoError, match="x ...: cannot be a video's path") as error:
        find_video(tmp_path, "x" * 5000)
    assert len(str(error.value)) < 500
