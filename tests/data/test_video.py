"""Reading and writing videos and folders of frames."""

import io
import os

import av
import numpy as np
import pytest
from PIL import Image

from corelib.data.video import VideoError, count_frames, read_video, write_video


def moving(frames=12, height=48, width=64):
    """A smooth picture that moves: uint8 [T, H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    pictures = [
        np.stack(
            [128 + 90 * np.sin((x + 3 * t) / 9), 128 + 90 * np.cos(y / 11), 20 * t + 0 * x], -1
        )
        for t in range(frames)
    ]
    return np.clip(pictures, 0, 255).astype(np.uint8)


def test_a_written_video_is_read_back(tmp_path):
    video = moving()
    write_video(tmp_path / "v.mp4", video, 25)
    found = read_video(tmp_path / "v.mp4")
    assert (
        found.shape == video.shape
        and found.dtype == np.uint8
        and count_frames(tmp_path / "v.mp4") == 12
    )
    error = ((found.astype(float) - video) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 30  # decibels


def test_chosen_frames_come_in_the_order_asked_for(tmp_path):
    write_video(tmp_path / "v.mp4", moving(), 25)
    whole = read_video(tmp_path / "v.mp4")
    assert np.array_equal(
        read_video(tmp_path / "v.mp4", np.array([7, 2, 2, 11])), whole[[7, 2, 2, 11]]
    )


def test_frames_that_an_avi_only_announces_are_not_counted(tmp_path):
    dropped = tmp_path / "dropped.avi"
    with av.open(str(dropped), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, picture in enumerate(moving(12)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 2 * (number // 5)  # two frames dropped after every fifth
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert count_frames(dropped) == len(read_video(dropped)) == 12
    write_video(tmp_path / "v.avi", moving(40), 25)
    cut = tmp_path / "cut.avi"
    content = (tmp_path / "v.avi").read_bytes()
    cut.write_bytes(content[: len(content) * 3 // 4])
    assert 0 < count_frames(cut) == len(read_video(cut)) < 40


def test_a_folder_of_jpegs_is_a_video(tmp_path):
    video = moving(4)
    for number, picture in enumerate(video):
        Image.fromarray(picture).save(tmp_path / f"img_{number:05d}.jpg", quality=95)
    (tmp_path / "notes.txt").write_text("no frame")
    found = read_video(tmp_path, np.array([3, 1]))
    assert count_frames(tmp_path) == 4
    assert np.abs(found.astype(float) - video[[3, 1]]).mean() < 6
    with pytest.raises(VideoError, match="has 4 frames, frame 4 was asked for"):
        read_video(tmp_path, np.array([4]))


def jpeg(picture, mode="RGB", **options):
    """A JPEG file's bytes, and the picture as Pillow decodes it: uint8 [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, "JPEG", quality=95, **options)
    return file.getvalue(), np.asarray(Image.open(file).convert("RGB"))


def test_any_number_of_threads_reads_the_same_frames(tmp_path):
    for number, picture in enumerate(moving(7)):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(picture)[0])
    wanted = np.array([5, 0, 6, 6, 2, 1])
    one = read_video(tmp_path, wanted, threads=1)
    expected = [np.asarray(Image.open(tmp_path / f"{number}.jpg")) for number in wanted]
    assert np.abs(one.astype(int) - expected).max() <= 2
    for threads in (None, 2, 3, 20):
        assert np.array_equal(read_video(tmp_path, wanted, threads=threads), one)


def test_a_grey_jpeg_gets_three_equal_channels(tmp_path):
    content, expected = jpeg(moving(1)[0], "L")
    (tmp_path / "0.jpg").write_bytes(content)
    found = read_video(tmp_path)[0]
    assert (found == found[..., :1]).all()
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path):
    picture = moving(2)[1]
    content, expected = jpeg(picture, "CMYK")
    assert (
        b"Adobe" in content[:20]
    )  # such files hold inverted values; read as they are, they give a negative
    (tmp_path / "0.jpg").write_bytes(content)
    (tmp_path / "1.jpg").write_bytes(jpeg(picture)[0])  # and may stand beside others
    found = read_video(tmp_path).astype(int)
    assert np.abs(found[0] - expected).max() <= 4
    assert np.abs(found[0] - picture).mean() < 6


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, "without its end marker", "filled with zeros"])
def test_a_jpeg_that_was_cut_short_is_refused(tmp_path, options, share):
    content = jpeg(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8), **options)[0]
    half = len(content) // 2
    parts = {
        "without its end marker": content[:-2],
        "filled with zeros": content[:half] + bytes(len(content) - half),
    }
    (tmp_path / "0.jpg").write_bytes(content)
    (tmp_path / "1.jpg").write_bytes(
        parts[share] if share in parts else content[: int(share * len(content))]
    )
    for threads in (1, 2):
        with pytest.raises(VideoError, match="1.jpg: cannot be decoded as an image"):
            read_video(tmp_path, threads=threads)


def test_frames_of_differing_sizes_are_named(tmp_path):
    for number, width in enumerate((64, 64, 40)):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(moving(1, width=width)[0])[0])
    with pytest.raises(
        VideoError, match="2.jpg: has 40 x 48 pixels, frame 0 of this folder has 64 x 48 pixels"
    ):
        read_video(tmp_path)
    assert read_video(tmp_path, np.array([0, 1])).shape == (2, 48, 64, 3)


def test_an_exif_rotation_is_not_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by a quarter to look at it"
    (tmp_path / "0.jpg").write_bytes(jpeg(moving(1)[0], exif=exif)[0])
    (tmp_path / "1.jpg").write_bytes(jpeg(moving(1)[0])[0])
    turned, plain = read_video(tmp_path)
    assert np.array_equal(turned, plain) and plain.shape == (48, 64, 3)


def test_an_image_of_16_bits_a_channel_is_refused(tmp_path):
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)).save(tmp_path / "0.png")
    with pytest.raises(VideoError, match="0.png: has 16 bits a channel; save it with 8"):
        read_video(tmp_path)


def test_a_variable_frame_rate_is_counted_and_not_timed(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, picture in enumerate(moving(9)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number**2  # every pause longer than the one before
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = read_video(tmp_path / "v.mp4", np.array([8, 4]))
    assert count_frames(tmp_path / "v.mp4") == len(read_video(tmp_path / "v.mp4")) == 9
    assert np.abs(found.astype(int) - moving(9)[[8, 4]]).mean() < 12


def test_a_truncated_avi_gives_the_frames_it_still_holds(tmp_path):
    write_video(tmp_path / "v.avi", moving(40), 25)
    content = (tmp_path / "v.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) * 3 // 4])
    held = count_frames(tmp_path / "cut.avi")
    assert 0 < held < 40
    with pytest.raises(VideoError, match=f"cut.avi: has {held} frames, frame 39 was asked for"):
        read_video(tmp_path / "cut.avi", np.array([0, 39]))
    (tmp_path / "cut.avi").write_bytes(content[:500])
    with pytest.raises(
        VideoError, match="cut.avi: .*(is the file complete|no video stream|no frame)"
    ):
        read_video(tmp_path / "cut.avi")


def test_what_cannot_be_read_is_named(tmp_path):
    write_video(tmp_path / "v.mp4", moving(), 25)
    whole = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match="cut.mp4.*complete"):
        read_video(tmp_path / "cut.mp4")
    with pytest.raises(VideoError, match="gone.mp4: no such"):
        read_video(tmp_path / "gone.mp4")
    with pytest.raises(VideoError, match="has 12 frames, frame 12 was asked for"):
        read_video(tmp_path / "v.mp4", np.array([0, 12]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="no .jpg"):
        read_video(tmp_path / "empty")
    (tmp_path / "empty" / "0.jpg").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="0.jpg: cannot be decoded"):
        read_video(tmp_path / "empty")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((0, 4, 4, 3), "uint8"),
        ((2, 4, 4), "uint8"),
        ((2, 4, 4, 3), "float32"),
        ((2, 5, 4, 3), "uint8"),
    ],
)
def test_frames_that_cannot_be_written_are_refused(tmp_path, shape, kind):
    with pytest.raises(VideoError, match="v.mp4"):
        write_video(tmp_path / "v.mp4", np.zeros(shape, kind), 25)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".txt", ""])
@pytest.mark.parametrize("kind", ["concat", "concat with its full path", "hls", "sdp"])
def test_a_play_list_opens_no_other_file(tmp_path, kind, suffix):
    write_video(tmp_path / "private.mp4", moving(), 25)
    text = {
        "concat": "ffconcat version 1.0\nfile private.mp4\n",
        "concat with its full path": f"ffconcat version 1.0\nfile '{tmp_path / 'private.mp4'}'\n",
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nprivate.mp4\n#EXT-X-ENDLIST\n",
        "sdp": (
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP"
            " 96\na=rtpmap:96 H264/90000\n"
        ),
    }[kind]
    path = tmp_path / f"list{suffix}"
    path.write_text(text)
    for read in (read_video, count_frames):
        with pytest.raises(VideoError, match=f"list{suffix}: cannot be opened as a video"):
            read(path)


def test_a_name_with_a_colon_is_a_file_and_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video("plain.mp4", moving(), 25)
    (tmp_path / "plain.mp4").rename("concat:private.mp4")
    (tmp_path / "private.mp4").write_text("mine")
    assert count_frames("concat:private.mp4") == 12 and read_video("concat:private.mp4").shape == (
        12,
        48,
        64,
        3,
    )


def test_titles_that_are_no_text_do_no_harm(tmp_path):
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        container.metadata["title"] = "TITLE-TITLE"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in moving():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = (tmp_path / "v.mkv").read_bytes()
    assert b"TITLE-TITLE" in content
    (tmp_path / "v.mkv").write_bytes(
        content.replace(b"TITLE-TITLE", b"\xff\xfe\x80-TITLE!"[:11].ljust(11, b"\xff"))
    )
    assert read_video(tmp_path / "v.mkv").shape == (12, 48, 64, 3)


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    write_video(tmp_path / "v.mp4", moving(), 25)
    for name in ("0.jpg", "0.png"):
        (tmp_path / name[2:]).mkdir()
        Image.fromarray(moving(1)[0]).save(tmp_path / name[2:] / name)
    for path in (tmp_path / "v.mp4", tmp_path / "jpg", tmp_path / "png"):
        with monkeypatch.context() as patch:
            patch.setattr("corelib.data.frames.MAX_PIXELS", 48 * 64 - 1)
            with pytest.raises(
                VideoError, match=r"states frames of 64 x 48 pixels; at most 3,071 pixels are read"
            ):
                read_video(path)
            patch.setattr("corelib.data.frames.MAX_PIXELS", 48 * 64)
            assert read_video(path).shape[1:] == (48, 64, 3)


@pytest.mark.parametrize("kind", ["gif", "bmp", "webp", "tiff", "eps"])
def test_an_image_is_jpeg_or_png_whatever_it_is_called(tmp_path, kind):
    file = io.BytesIO()
    Image.fromarray(moving(1)[0]).save(file, kind)
    (tmp_path / "0.jpg").write_bytes(file.getvalue())
    with pytest.raises(
        VideoError, match=r"0.jpg: cannot be decoded as an image \(it is neither JPEG nor PNG\)"
    ):
        read_video(tmp_path)
    (tmp_path / "0.jpg").unlink()
    for number, (mode, kind) in enumerate(
        (("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG"))
    ):
        Image.fromarray(moving(1)[0]).convert(mode).save(tmp_path / f"{number}.jpg", kind)
    assert read_video(tmp_path).shape == (5, 48, 64, 3)


def test_a_pipe_that_is_called_like_a_frame_is_not_waited_for(tmp_path):
    Image.fromarray(moving(1)[0]).save(tmp_path / "0.png")
    if hasattr(os, "mkfifo"):  # Windows has none
        os.mkfifo(tmp_path / "1.png")
        with pytest.raises(VideoError, match="1.png: cannot be decoded as an image"):
            read_video(tmp_path)
