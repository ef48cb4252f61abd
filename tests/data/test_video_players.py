"""Videos and frames as other people's programs write them: read as players show them, counted as
they are decoded."""

import hashlib
import re
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from PIL import Image

from corelib.data.video import VideoError, count_frames, frame_names, read_video, write_video
from data_scripts.readers.video_check import check_video, find_video

T, H, W = 40, 48, 64


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    """An mp4 of 40 frames, 48 high and 64 wide: bright at the upper left, and brighter from frame
    to frame."""
    video = (
        np.full((T, H, W, 3), 40, np.uint8) + np.arange(T, dtype=np.uint8)[:, None, None, None] * 2
    )
    video[:, :16, :24] = 230
    path = tmp_path_factory.mktemp("side") / "side.mp4"
    write_video(path, video, 25)
    return path


def agreeing(path):
    """The frames of a video, once all who count them have said the same."""
    video, facts = read_video(path), check_video(path, decode=True)
    assert (facts.frames, facts.height, facts.width) == video.shape[:3]
    assert count_frames(path) == check_video(path).frames == len(video)
    assert np.array_equal(read_video(path, np.array([len(video) - 1]), threads=1)[0], video[-1])
    return video


TURNS = {  # a, b, c, d of the matrix -> the picture as players show it
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),  # a phone held upright
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    (1, 0, 0, 1): lambda p: p,
}


def with_matrix(content, a, b, c, d):
    """An mp4's bytes with another display matrix in the header of its track."""
    place = content.index(b"tkhd") + 4 + 40
    fixed = (
        [int(round(value * 2**16)) for value in (a, b)]
        + [0]
        + [int(round(value * 2**16)) for value in (c, d)]
        + [0]
    )
    return content[:place] + struct.pack(">6i", *fixed) + content[place + 24 :]


@pytest.mark.parametrize("matrix", TURNS)
def test_a_turned_or_mirrored_video_is_read_as_players_show_it(side, tmp_path, matrix):
    (tmp_path / "phone.mp4").write_bytes(with_matrix(side.read_bytes(), *matrix))
    video, stored = agreeing(tmp_path / "phone.mp4"), read_video(side)
    assert np.array_equal(video[7], TURNS[matrix](stored[7]))


@pytest.mark.parametrize("matrix", [(0.87, 0.5, -0.5, 0.87), (0, 0, 0, 0), (1, 0, 1, 0)])
def test_a_matrix_of_no_right_angle_is_refused(side, tmp_path, matrix):
    (tmp_path / "odd.mp4").write_bytes(with_matrix(side.read_bytes(), *matrix))
    with pytest.raises(
        VideoError, match="odd.mp4: its display matrix turns the picture by no right angle"
    ):
        read_video(tmp_path / "odd.mp4")


@pytest.mark.parametrize("left_out", [1, 8, 12, 30])
def test_what_an_edit_list_hides_is_neither_counted_nor_read(side, tmp_path, left_out):
    content = side.read_bytes()
    scale = struct.unpack(">I", content[(place := content.index(b"mdhd") + 16) : place + 4])[0]
    place = content.index(b"elst") + 12
    edit = struct.pack(
        ">Ii", (T - left_out) * 40, left_out * scale // 25
    )  # milliseconds, and the media's own unit
    (tmp_path / "trim.mp4").write_bytes(content[:place] + edit + content[place + 8 :])
    assert np.array_equal(agreeing(tmp_path / "trim.mp4"), read_video(side)[left_out:])


def test_a_cut_at_an_open_group_of_pictures_is_counted_as_it_is_decoded(tmp_path):
    with av.open(str(tmp_path / "whole.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        stream.options = {"g": "10", "x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}
        for picture in np.random.default_rng(0).integers(0, 255, (T, H, W, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    cut, keys, written = tmp_path / "cut.mkv", 0, 0
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(cut), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            keys += packet.is_keyframe
            if keys > 1 and packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
                written += 1
    assert len(agreeing(tmp_path / "whole.mkv")) == T
    assert 0 < count_frames(cut) == len(read_video(cut)) < written, (
        "some refer to what was cut away"
    )
    assert check_video(cut).frames == count_frames(cut)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_video_that_begins_late_is_whole(tmp_path, suffix):
    path = tmp_path / f"late{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for number, picture in enumerate(
            np.random.default_rng(0).integers(0, 255, (T, H, W, 3), np.uint8)
        ):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 50  # two seconds
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if suffix != ".ts":
        assert len(agreeing(path)) == T
    assert count_frames(path) == len(read_video(path)) == T


def test_a_cover_picture_is_no_video(side, tmp_path):
    for name, only in (("cover", True), ("covered", False)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container, av.open(str(side)) as source:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 32, 16, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            video = None if only else container.add_stream_from_template(source.streams.video[0])
            container.mux(
                cover.encode(
                    av.VideoFrame.from_ndarray(np.full((16, 32, 3), 200, np.uint8), format="rgb24")
                )
            )
            container.mux(cover.encode())
            for packet in [] if only else source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = video
                    container.mux(packet)
    for call in (read_video, count_frames, check_video):
        with pytest.raises(VideoError, match="cover.mp4: holds no video stream"):
            call(tmp_path / "cover.mp4")
    assert np.array_equal(read_video(tmp_path / "covered.mp4"), read_video(side))


def frames(folder, names):
    """A folder of frames whose grey value is their place in `names`."""
    folder.mkdir()
    for number, name in enumerate(names):
        Image.new("RGB", (16, 16), (number * 4,) * 3).save(folder / name)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        [f"{number}.jpg" for number in range(1, 49)],
        [f"frame{number}.png" for number in range(12)],
        [f"img_{number}.jpg" for number in range(8000, 10251, 250)],
        [f"img_{number:04d}.jpg" for number in range(9995, 10005)],
        [f"cam2_frame{number}.JPG" for number in range(5, 15)],
        [f"{number}_of_20.png" for number in range(1, 21)],
        ["start.png", "start2.png", "start10.png"],
    ],
    ids=lambda names: names[0],
)
def test_frames_come_in_the_order_of_their_numbers(tmp_path, names):
    folder = frames(tmp_path / "f", names)
    (folder / f"._{names[0]}").write_bytes(b"what another system leaves beside a file")
    (folder / "Thumbs.db").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frame_names(folder) == tuple(names)
    grey = read_video(folder)[:, 8, 8, 0].astype(int)
    assert np.abs(grey - 4 * np.arange(len(names))).max() <= 2 and check_video(
        folder
    ).frames == len(names)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([n for n in range(1, 49) if n not in (5, 17, 18, 19)], "5, 17 to 19"),
        ([n for n in range(0, 60, 5) if n != 40], "40"),
        ([*range(98, 103), *range(110, 120)], "103 to 109"),
        ([1, 2, *range(4, 60, 2)], ""),
    ],
)
@pytest.mark.parametrize("name", ["{}.png", "a1_{:05d}.png"])
def test_missing_numbers_are_said(tmp_path, numbers, missing, name):
    folder = frames(tmp_path / "f", [name.format(number) for number in numbers])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert count_frames(folder) == len(numbers)
    assert [re.search("the numbers (.*) are missing", str(one.message))[1] for one in said] == [
        missing
    ] * bool(missing)


@pytest.mark.parametrize("twice", [["1.png", "1.jpg"], ["1.png", "001.png"], ["a.png", "a.jpeg"]])
def test_two_images_of_one_frame_are_refused(tmp_path, twice):
    folder = frames(tmp_path / "f", ["2.png", *twice])
    for call in (count_frames, read_video, check_video):
        with pytest.raises(VideoError, match=r"f: \S+ and \S+ are one frame twice") as error:
            call(folder)
    assert all(name in str(error.value) for name in twice)


def test_two_things_of_one_name_are_both_named(side, tmp_path):
    frames(tmp_path / "z", ["1.png"])
    for name in ("z.mp4", "y.mp4", "y.avi"):
        (tmp_path / name).write_bytes(side.read_bytes())
    for name, both in (("z", ("z/", "z.mp4")), ("y", ("y.avi", "y.mp4"))):
        with pytest.raises(VideoError) as error:
            find_video(tmp_path, name)
        assert all(one in str(error.value) for one in both)
    assert [find_video(tmp_path, name) for name in ("z/", "z.mp4", "y.avi")] == [
        "z",
        "z.mp4",
        "y.avi",
    ]


@pytest.mark.parametrize("width", [36, 50, 72, 80, 96])
def test_the_same_pictures_are_the_same_bytes_however_often_and_beside_whatever(tmp_path, width):
    rng = np.random.default_rng(width)
    video = np.clip(
        rng.normal(0, 12, (6, 32, width, 3)) + np.arange(width)[None, None, :, None], 0, 255
    ).astype(np.uint8)

    def write(number: int) -> str:
        path = tmp_path / f"{number}.mp4"
        left = [
            np.random.default_rng(number).integers(0, 255, 20_000 + 64 * number, np.uint8)
            for _ in range(4)
        ]
        del left[::2]  # so that memory holds something else each time
        write_video(path, video, 25)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(write, range(60)))) == 1
