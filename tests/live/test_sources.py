"""Pictures in real time: of a video, of what FFmpeg takes for a camera, and the thread that fetches them."""

import itertools
import time

import numpy as np
import pytest

from lip2wav_hf.errors import VideoError
from lip2wav_hf.live.sources import (
    MOST_WAITING,
    CameraError,
    CaptureClock,
    Feed,
    _split,
    check_camera,
    list_cameras,
    open_camera,
    play_video,
)
from lip2wav_hf.video import VideoReader

from .test_streamer import SAMPLE


def test_a_video_is_played_at_its_own_speed():
    begin = time.monotonic()
    timed = list(itertools.islice(play_video(SAMPLE), 20))
    assert time.monotonic() - begin > 0.76 - 1e-6
    times = np.array([due for due, _ in timed])
    assert times[0] >= begin and np.diff(times) == pytest.approx(0.04)
    with VideoReader(SAMPLE) as reader:
        for (_, picture), expected in zip(timed, reader, strict=False):
            assert np.array_equal(picture, expected)


def test_what_is_no_video_is_known_before_anything_begins(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(VideoError, match="notes.mp4"):
        play_video(tmp_path / "notes.mp4")


def test_a_pattern_runs_through_the_code_of_cameras():
    pictures = open_camera("lavfi:testsrc=size=320x240:rate=25,realtime")
    begin = time.monotonic()
    timed = list(itertools.islice(pictures, 26))
    pictures.close()
    elapsed, times = time.monotonic() - begin, np.array([taken for taken, _ in timed])
    assert timed[0][1].shape == (240, 320, 3) and timed[0][1].dtype == np.uint8
    assert elapsed > 0.95 and (times <= time.monotonic()).all() and times[0] > begin - 0.1
    assert np.diff(times)[10:].mean() == pytest.approx(0.04, abs=0.02)


@pytest.mark.parametrize("camera", ["/nowhere/video7", "lavfi:no_such_filter", "mjpeg:/nowhere/pipe", "C:/video"])
def test_a_camera_that_is_not_there(camera):
    with pytest.raises(CameraError, match="cannot be opened .*--camera"):
        open_camera(camera)


def test_sound_is_no_camera():
    with pytest.raises(CameraError, match="shows no pictures"):
        open_camera("lavfi:sine=frequency=440")


def test_names_of_cameras(monkeypatch):
    assert _split("mjpeg:/run/pipe") == ("mjpeg", "/run/pipe")
    for platform, name, expected in [
        ("linux", None, ("v4l2", "/dev/video0")),
        ("linux", "/dev/video3", ("v4l2", "/dev/video3")),
        ("darwin", None, ("avfoundation", "default")),
        ("darwin", "FaceTime HD Camera", ("avfoundation", "FaceTime HD Camera")),
        ("win32", "HD Webcam", ("dshow", "video=HD Webcam")),
        ("win32", "video=HD Webcam", ("dshow", "video=HD Webcam")),
    ]:
        monkeypatch.setattr("sys.platform", platform)
        assert _split(name) == expected
    with pytest.raises(CameraError, match="/dev/video999: it cannot be opened .*--camera"):
        check_camera("v4l2:/dev/video999")
    with pytest.raises(CameraError, match="no camera was found"):
        _split(None)  # of Windows, which has no default
    assert list_cameras("no format") == []


def test_the_clock_of_a_camera_is_not_that_of_a_busy_machine():
    clock, rng = CaptureClock(), np.random.default_rng(0)
    for number in range(2000):
        stamp = 77 + number / 25
        now = 1000 + number / 25 + 0.003 + (rng.random() < 0.5) * rng.random() * 0.06
        if number > 20:
            assert clock.time(stamp, now) == pytest.approx(1000 + number / 25 + 0.003, abs=2e-3)
        else:
            clock.time(stamp, now)


def test_the_clock_follows_one_that_drifts_or_begins_anew():
    clock = CaptureClock()
    for number in range(25 * 600):  # ten minutes, of which it loses 0.3 s
        taken = clock.time(number / 25 * 0.9995, number / 25)
    assert taken == pytest.approx(599.96, abs=0.011)
    assert clock.time(0.0, 600.0) == pytest.approx(600.0) and clock.time(0.04, 600.05) == pytest.approx(600.04)


def numbered(count, gap=0.0):
    for number in range(count):
        time.sleep(gap)
        yield float(number), np.full((1, 1, 3), number, np.uint8)


def settled(condition):
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    assert condition()


def test_who_falls_behind_gets_the_newest_picture():
    with Feed(numbered(MOST_WAITING + 3)) as feed:
        settled(lambda: feed._is_over)
        got = [feed.get(1)[0] for _ in range(3)]
        assert got == [8.0, 9.0, 10.0] and feed.dropped == MOST_WAITING
        assert feed.get(0.01) is None and feed.is_over


def test_a_few_pictures_may_wait():
    with Feed(numbered(MOST_WAITING)) as feed:
        settled(lambda: feed._is_over)
        assert not feed.is_over
        assert [feed.get(1)[0] for _ in range(MOST_WAITING)] == list(range(MOST_WAITING)) and feed.dropped == 0


def test_a_file_can_wait():
    with Feed(numbered(40), can_wait=True) as feed:
        time.sleep(0.05)
        got = []
        while not feed.is_over:
            timed = feed.get(0.1)
            got += [] if timed is None else [timed[0]]
    assert got == list(range(40)) and feed.dropped == 0


def test_an_error_comes_after_the_pictures_before_it():
    def broken():
        yield from numbered(2)
        raise CameraError("unplugged")

    with Feed(broken()) as feed:
        settled(lambda: feed._is_over)
        assert not feed.is_over and feed.get(1)[0] == 0.0 and feed.get(1)[0] == 1.0
        with pytest.raises(CameraError, match="unplugged"):
            feed.is_over  # noqa: B018


@pytest.mark.parametrize("can_wait", [False, True])
def test_leaving_closes_the_camera(can_wait):
    closed = []

    def endless():
        try:
            yield from numbered(10**6, 0.001)
        finally:
            closed.append(True)

    with Feed(endless(), can_wait) as feed:
        assert feed.get(5) is not None
    assert closed and not feed._thread.is_alive()
