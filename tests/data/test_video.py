"""Reading and writing videos and folders of frames."""

import av
import numpy as np
import pytest
from PIL import Image

from corelib.data.video import VideoError, count_frames, read_video, write_video


def moving(frames=12, height=48, width=64):
    """A smooth picture that moves: uint8 [T, H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    pictures = [np.stack([128 + 90 * np.sin((x + 3 * t) / 9), 128 + 90 * np.cos(y / 11), 20 * t + 0 * x], -1) for t in range(frames)]
    return np.clip(pictures, 0, 255).astype(np.uint8)


def test_a_written_video_is_read_back(tmp_path):
    video = moving()
    write_video(tmp_path / "v.mp4", video, 25)
    found = read_video(tmp_path / "v.mp4")
    assert found.shape == video.shape and found.dtype == np.uint8 and count_frames(tmp_path / "v.mp4") == 12
    error = ((found.astype(float) - video) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 30  # decibels


def test_chosen_frames_come_in_the_order_asked_for(tmp_path):
    write_video(tmp_path / "v.mp4", moving(), 25)
    whole = read_video(tmp_path / "v.mp4")
    assert np.array_equal(read_video(tmp_path / "v.mp4", np.array([7, 2, 2, 11])), whole[[7, 2, 2, 11]])


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


@pytest.mark.parametrize(("shape", "kind"), [((0, 4, 4, 3), "uint8"), ((2, 4, 4), "uint8"), ((2, 4, 4, 3), "float32"), ((2, 5, 4, 3), "uint8")])
def test_frames_that_cannot_be_written_are_refused(tmp_path, shape, kind):
    with pytest.raises(VideoError, match="v.mp4"):
        write_video(tmp_path / "v.mp4", np.zeros(shape, kind), 25)
