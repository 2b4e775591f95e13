"""Tests of `lip2wav_hf.video` on little videos made here: the gray level of each picture tells its number."""

import functools
import gc
import http.server
import io
import logging
import os
import sys
import tempfile
import threading
import time
import tracemalloc
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lip2wav_hf.audio import mux_audio, read_audio, write_audio
from lip2wav_hf.errors import in_background
from lip2wav_hf.video import VideoError, VideoReader, in_groups, to_rgb
from little_videos import RATE, click, level, numbers, picture, write_ticks, write_video


GRID = Path(os.environ.get("LIP2WAV_DATA", Path(__file__).parents[2] / "shared" / "data")) / "grid"


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4")


# --- what can be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        (".mpg", "mpeg1video", "yuv420p"),
        (".mpg", "mpeg2video", "yuv420p"),
        (".mp4", "libx264", "yuv420p"),
        (".mov", "libx264", "yuv444p"),
        (".mkv", "libx264", "yuv420p10le"),
        (".mkv", "ffv1", "yuv420p"),
        (".webm", "libvpx", "yuv420p"),
        (".webm", "libvpx-vp9", "yuva420p"),
        (".avi", "mpeg4", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p"),
        (".avi", "libx264", "yuv420p"),
        (".mov", "qtrle", "argb"),
        (".mov", "prores_ks", "yuv422p10le"),
        (".ts", "libx264", "yuv420p"),
        (".gif", "gif", "gray"),
        (".mkv", "ffv1", "gray"),
    ],
)
def test_containers_and_codecs(tmp_path, suffix, codec, pix_fmt):
    path = write_video(tmp_path / f"clip{suffix}", 30, 25, codec, pix_fmt)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert numbers(frames) == [number % 26 for number in range(30)]
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("size", [(64, 48), (62, 46), (63, 47), (33, 95)])
def test_odd_sizes(tmp_path, size):
    path = write_video(tmp_path / "odd.mkv", 5, codec="ffv1", pix_fmt="bgr0", size=size)
    frames = list(VideoReader(path))
    assert [frame.shape for frame in frames] == [(size[1], size[0], 3)] * 5
    assert np.array_equal(frames, [picture(number, *size) for number in range(5)])
    mux_audio(path, click(0.1), RATE, tmp_path / "even.mp4")
    assert next(VideoReader(tmp_path / "even.mp4")).shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)


def quarters(number, width, height):
    """Four corners, four levels."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2, : width // 2], frame[: height // 2, width // 2 :] = 40, 90
    frame[height // 2 :, : width // 2], frame[height // 2 :, width // 2 :] = 140, 190
    return frame


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_metadata_is_applied_and_not_twice(tmp_path, rotation):
    path = write_video(tmp_path / "turned.mp4", 10, make=quarters, rotation=rotation)
    upright = np.rot90(quarters(0, 64, 48), rotation // 90).astype(int)
    mux_audio(path, click(0.1), RATE, tmp_path / "muxed.mp4")
    for file in (path, tmp_path / "muxed.mp4"):
        frame = next(VideoReader(file)).astype(int)
        assert frame.shape == upright.shape
        assert np.median(np.abs(frame - upright)) <= 3
    with av.open(str(tmp_path / "muxed.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize("kind", ["str", "path", "file-url", "bytes", "file object", "pipe", "BytesIO"])
def test_kinds_of_input(clip, kind):
    def pipe():  # cannot be rewound
        file = open(clip, "rb")
        return types.SimpleNamespace(read=file.read, seekable=lambda: False)

    source = {
        "str": lambda: str(clip),
        "path": lambda: clip,
        "file-url": clip.as_uri,
        "bytes": clip.read_bytes,
        "file object": lambda: open(clip, "rb"),
        "pipe": pipe,
        "BytesIO": lambda: io.BytesIO(clip.read_bytes()),
    }[kind]()
    reader = VideoReader(source)
    assert reader.expected_frames == 50
    assert numbers(reader) == [number % 26 for number in range(50)]
    if kind in ("file object", "BytesIO"):
        assert numbers(VideoReader(source))[:3] == [0, 1, 2]  # rewound, still open


def test_arrays():
    array = np.stack([picture(number) for number in range(20)])
    reader = VideoReader(array, fps=25)
    assert reader.expected_frames == 20 and "(20, 48, 64, 3)" in reader.name
    assert np.array_equal(list(reader), array)
    assert np.array_equal(list(VideoReader(array[..., 0], fps=25.0)), array)
    assert numbers(VideoReader(array, fps=50)) == list(range(0, 20, 2))
    between = [(level(number) + level(number + 1)) // 2 for number in range(19)]
    assert [frame.max() for frame in VideoReader(array, fps=12.5)][1:38:2] == between
    assert numbers(VideoReader(array, fps=12.5))[:38:2] == list(range(19))
    assert numbers(VideoReader(array, fps=5)) == [number // 5 for number in range(100)]
    frames = list(VideoReader(array, fps=5))
    frames[0][:] = 0  # pictures that are shown twice do not share memory, neither with each other nor with the input
    assert frames[1].max() and array[0].max()


# --- frame rates -----------------------------------------------------------------------------------------------------


def seen(position: Fraction, count: int, rate: Fraction) -> float:
    """The number that the gray level tells of so many frames after the first: between two of them a mixture, at most
    rates; not where the levels begin anew, which is a cut."""
    number, share = int(position), position % 1
    if rate in (25, 50, 60) or number == count - 1 or share < Fraction(1, 10):
        return number % 26
    if share > Fraction(9, 10) or number % 26 == 25:
        return (number + (share >= Fraction(1, 2))) % 26
    return float(position % 26)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 30, 50, 60, 24, Fraction(24000, 1001), 12.5, 25, 15])
def test_frame_rates(tmp_path, rate, suffix):
    count = 75
    path = write_video(tmp_path / f"rate{suffix}", count, rate)
    rate = Fraction(rate)
    got = [(float(np.mean(frame)) - 20) / 8 for frame in VideoReader(path, frame_rate=25)]
    expected = [seen(Fraction(k, 25) * rate, count, rate) for k in range(-(-count * 25 // rate))]
    assert len(got) == len(expected)
    inaccuracy = 0.25 if suffix == ".mkv" else 0.2  # its clock ticks in ms; all are encoded
    assert np.abs(np.subtract(got, expected)).max() < inaccuracy
    assert numbers(VideoReader(path, frame_rate=float(rate))) == [number % 26 for number in range(count)]


def test_variable_frame_rate(tmp_path):
    times = [0, 40, 100, 130, 135, 300, 700, 740]
    path = write_video(tmp_path / "variable.mkv", len(times), times=times, codec="ffv1", pix_fmt="bgr0")
    got = [(float(np.mean(frame)) - 20) / 8 for frame in VideoReader(path)]
    expected = [0, 1, 5 / 3, 8 / 3, 4, 4, 4, 4, *[5] * 10, 6]  # mixed unless the next is far away, or at this rate
    assert np.allclose(got[:19], expected, atol=0.1)
    assert set(got[19:]) <= {7}


def test_start_time_does_not_matter(tmp_path):
    path = write_video(tmp_path / "late.ts", 20, start=50)
    assert numbers(VideoReader(path)) == list(range(20))


def test_fps_replaces_the_timestamps_of_a_file(clip):
    assert numbers(VideoReader(clip, fps=50)) == [number % 26 for number in range(0, 50, 2)]


def test_frames_without_timestamps_are_counted(tmp_path):
    path = write_ticks(tmp_path / "bare.h264", [0, 1, 2, 3, 4], "libx264", "yuv420p")  # the stream without a container
    with av.open(str(path)) as container:
        assert all(frame.pts is None for frame in container.decode(video=0))
    assert numbers(VideoReader(path)) == [0, 1, 2, 3, 4]
    assert numbers(VideoReader(path, frame_rate=12.5)) == [0, 2, 4]


def test_jumping_timestamps_go_on_counting(tmp_path, caplog):
    content = b""
    for number, ticks in enumerate(([100, 101, 102], [5, 6, 7], [90000, 90001])):
        content += write_ticks(tmp_path / f"{number}.ts", ticks, "mpeg2video", "yuv420p").read_bytes()
    with av.open(io.BytesIO(content)) as container:
        got = [round(frame.time * 25) for frame in container.decode(video=0)]
    assert got == [100, 101, 102, 5, 6, 7, 90000, 90001]
    assert numbers(VideoReader(content)) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert caplog.text.count("timestamps jump") == 1  # one warning a file


def test_equal_and_swapped_timestamps_do_not_delay_the_rest(tmp_path):
    ticks = [0, 1, 1, 3, 2, 5]
    path = write_ticks(tmp_path / "swapped.mkv", ticks, "ffv1", "bgr0")
    with av.open(str(path)) as container:
        assert [round(frame.time * 25) for frame in container.decode(video=0)] == ticks
    # at 0, 1, 1, 3, 3 and 5: a frame that is late is shown with the one before
    assert numbers(VideoReader(path)) == [0, 2, 2, 4, 4, 5]


def test_joined_files(tmp_path):
    content = write_video(tmp_path / "clip.mpg", 50, codec="mpeg1video").read_bytes()
    assert len(list(VideoReader(content + content))) in (99, 100, 101)


# --- streaming -------------------------------------------------------------------------------------------------------


def test_reading_is_lazy_and_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for frames in (40, 240):
        path = write_video(tmp_path / f"{frames}.mp4", frames, size=(320, 240))
        tracemalloc.start()
        assert sum(1 for _ in VideoReader(path)) == frames
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 320 * 240 * 3  # less than one picture more
    reader = VideoReader(path)
    next(reader)
    reader.close()
    with pytest.raises(StopIteration):
        next(reader)


# --- faults ----------------------------------------------------------------------------------------------------------


def damaged(path, packets):
    """The content of a Motion-JPEG file with the data of some packets overwritten."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in packets:
        start, size = places[number]
        content[start + 8 : start + size] = bytes(size - 8)
    return bytes(content)


def test_damage_in_the_middle_is_skipped_with_a_warning(tmp_path, caplog):
    path = write_video(tmp_path / "clip.avi", 50, codec="mjpeg", pix_fmt="yuvj420p")
    with caplog.at_level(logging.WARNING):
        got = numbers(VideoReader(damaged(path, [20, 21])))
    assert len(got) == 50 and got[:20] == list(range(20)) and got[22:] == [n % 26 for n in range(22, 50)]
    assert "damaged packets were skipped" in caplog.text


def test_cut_off_file_gives_what_is_there(tmp_path):
    path = write_video(tmp_path / "clip.mpg", 50, codec="mpeg1video")
    content = path.read_bytes()
    got = numbers(VideoReader(content[: len(content) // 2]))
    assert 5 < len(got) < 50 and got[:5] == [0, 1, 2, 3, 4]


def test_a_matroska_file_that_breaks_off_is_told_of(tmp_path, caplog):
    content = write_video(tmp_path / "clip.mkv", 75, codec="mpeg4", options={"g": "1"}).read_bytes()
    with caplog.at_level(logging.WARNING):
        assert len(numbers(VideoReader(content))) == 75
        with VideoReader(content) as reader:
            next(reader)
    assert not caplog.text
    with caplog.at_level(logging.WARNING):
        got = numbers(VideoReader(content[: len(content) // 2]))
    assert 20 < len(got) < 50 and f"it breaks off at {len(got) / 25:.2f} of 3.00 s." in caplog.text


def test_nothing_decodable(tmp_path):
    path = write_video(tmp_path / "clip.avi", 5, codec="mjpeg", pix_fmt="yuvj420p")
    content = damaged(path, range(5))
    for read in (lambda: list(VideoReader(content)), lambda: mux_audio(content, click(0), RATE, tmp_path / "o.mp4")):
        with pytest.raises(VideoError, match="not one picture"):
            read()
    assert not (tmp_path / "o.mp4").exists()


def test_errors_name_the_input_and_the_cause(tmp_path, clip):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("not a video\n" * 100)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(10000))
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:1000])
    write_audio(tmp_path / "sound.wav", click(0.5), RATE)
    with av.open(str(tmp_path / "still.png"), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(1), "rgb24")))
        container.mux(stream.encode(None))
    for name, cause in {
        "missing.mp4": "no such file",
        "": "folder",
        "empty.mp4": "empty",
        "notes.txt": "not a video",
        "noise.mp4": "not a video",
        "cut.mp4": "not a video",
        "sound.wav": "only sound",
        "still.png": "still picture",
    }.items():
        with pytest.raises(VideoError, match=cause) as error:
            VideoReader(tmp_path / name)
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("video", "arguments", "cause"),
    [
        (np.zeros((5, 8, 9, 3), np.float32), {"fps": 25}, "float32"),
        (np.zeros((5, 3, 8, 9), np.uint8), {"fps": 25}, "frames, height, width, 3"),
        (np.zeros((8, 9), np.uint8), {"fps": 25}, "frames, height, width, 3"),
        (np.zeros((8, 9, 3), np.uint8), {"fps": 25}, "frames, height, width, 3"),
        (np.zeros((0, 8, 9, 3), np.uint8), {"fps": 25}, "not empty"),
        (np.zeros((5, 8, 9, 3), np.uint8), {}, "fps="),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": 0}, "positive"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": -25}, "positive"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": float("nan")}, "positive"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": "fast"}, "positive"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": 25, "frame_rate": 0}, "frame_rate"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"fps": 1e-9}, "fps"),
        (b"", {}, "empty"),
        (io.BytesIO(), {}, "empty"),
        (io.StringIO("x"), {}, "binary mode"),
        (17, {}, "cannot be a int"),
        (None, {}, "cannot be a NoneType"),
        ("ftp://127.0.0.1/a.mp4", {}, "ftp"),
        ("http://127.0.0.1:9/a.mp4", {}, "cannot be reached"),
        ("https://", {}, "cannot be reached"),
    ],
)
def test_wrong_arguments(video, arguments, cause):
    with pytest.raises(VideoError, match=cause):
        VideoReader(video, **arguments)


# --- http ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            if self.path == "/slow.mp4":
                time.sleep(1)
                return
            super().do_GET()

    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """The folder that downloads lie in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_http(clip, server, downloads):
    url = f"{server}/clip.mp4"
    with VideoReader(url) as reader:
        assert reader.name == url
        assert [path.suffix for path in downloads.iterdir()] == [".mp4"]
        assert len(list(reader)) == 50
    assert not list(downloads.iterdir())


def test_an_abandoned_download_is_removed(clip, server, downloads):
    reader = VideoReader(f"{server}/clip.mp4")
    next(reader)
    assert len(list(downloads.iterdir())) == 1
    del reader
    gc.collect()
    assert not list(downloads.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for the open files")
def test_a_download_is_open_only_once(clip, server, downloads):
    """Only by the demuxer: not every system lets a file be opened by its name while it is open for writing."""
    with VideoReader(f"{server}/clip.mp4"):
        (download,) = downloads.iterdir()
        links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link)]
        assert links.count(str(download)) == 1


def test_http_errors(clip, server, downloads):
    with pytest.raises(VideoError, match="404"):
        VideoReader(f"{server}/missing.mp4")
    with pytest.raises(VideoError, match="no answer within 0.2 s"):
        VideoReader(f"{server}/slow.mp4", timeout=0.2)
    with pytest.raises(VideoError, match="limit of 100 bytes"):
        VideoReader(f"{server}/clip.mp4", max_bytes=100)
    with pytest.raises(VideoError, match="limit of 100 bytes"):
        VideoReader(types.SimpleNamespace(read=open(clip, "rb").read, seekable=lambda: False), max_bytes=100)
    gc.collect()
    assert not list(downloads.iterdir())


# --- real recordings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["original/s1/*.mpg", "video/s1/*.mkv"])
def test_grid_clips_give_exactly_their_own_frames(tmp_path, pattern):
    paths = sorted(GRID.glob(pattern))[:2]
    if not paths:
        pytest.skip(f"no GRID recordings in {GRID} (set LIP2WAV_DATA)")
    for path in paths:
        with av.open(str(path)) as container:
            own = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        reader = VideoReader(path)
        assert reader.expected_frames == len(own) and np.array_equal(list(reader), own)
        waveform = read_audio(path)
        assert waveform.dtype == np.float32 and 2.9 < len(waveform) / RATE < 3.1
        mux_audio(path, waveform, RATE, tmp_path / "out.mp4")
        sound = read_audio(tmp_path / "out.mp4")[: len(waveform)]
        assert np.corrcoef(sound, waveform[: len(sound)])[0, 1] > 0.98
        assert len(list(VideoReader(tmp_path / "out.mp4"))) == len(own)


# --- in groups, and by a thread of its own ---------------------------------------------------------------------------


def test_groups_give_the_same_items_and_bound_what_waits():
    made = []

    def pictures(count, side):
        for number in range(count):
            made.append(number)
            yield number, np.zeros((side, side, 3), np.uint8)

    assert [number for number, _ in in_groups(pictures(40, 8), lambda item: item[1])] == list(range(40))
    made.clear()
    next(in_groups(pictures(40, 8), lambda item: item[1]))
    assert len(made) == 16
    made.clear()
    next(in_groups(pictures(40, 2000), lambda item: item[1]))  # 12 MB each
    assert len(made) == 2


def test_what_is_made_in_the_background_comes_in_order_and_no_further_than_asked_for():
    made, threads = [], set()

    def items():
        for number in range(20):
            threads.add(threading.current_thread())
            made.append(number)
            yield number

    background = in_background(items(), ahead=2)
    assert not made  # nothing begins before it is needed
    assert next(background) == 0
    time.sleep(0.2)
    assert made == [0, 1, 2]
    assert [*background] == list(range(1, 20)) and threading.current_thread() not in threads and len(threads) == 1


def test_errors_of_the_background_are_raised_and_closing_ends_it():
    def failing():
        yield 1
        raise VideoError("damaged")

    background = in_background(failing())
    assert next(background) == 1
    with pytest.raises(VideoError, match="damaged"):
        next(background)
    made = []
    background = in_background(made.append(number) or number for number in range(1000))
    next(background)
    background.close()
    count, alive = len(made), [thread.name for thread in threading.enumerate()]
    time.sleep(0.1)
    assert len(made) == count <= 4 and not any(name.startswith("reading ahead") for name in alive)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuvj420p"])
def test_one_converter_for_a_video_gives_the_pictures_of_one_each(tmp_path, pix_fmt):
    """Also where size and format change from one picture to the next."""
    with av.open(str(write_video(tmp_path / "a.mp4", 5, 25, "libx264", pix_fmt))) as container:
        frames = [*container.decode(video=0)]
    frames += [frame.reformat(40, 30) for frame in frames] + [frame.reformat(format="gray") for frame in frames]
    reformatter = av.video.reformatter.VideoReformatter()
    for frame in frames:
        expected = frame.to_ndarray(format="rgb24")
        np.testing.assert_array_equal(to_rgb(frame, reformatter=reformatter), expected)
