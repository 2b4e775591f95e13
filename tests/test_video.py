"""Tests of `lip2wav_hf.video` on little videos made here: the gray level of each picture tells its number."""

import functools
import http.server
import io
import logging
import os
import threading
import time
import tracemalloc
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lip2wav_hf import video as video_module
from lip2wav_hf.video import VideoError, VideoReader, mux_audio, read_audio, write_audio


GRID = Path(os.environ.get("LIP2WAV_DATA", Path(__file__).parents[2] / "shared" / "data")) / "grid"
RATE = 16000


def level(number):
    return 20 + 8 * (number % 26)


def picture(number, width=64, height=48):
    return np.full((height, width, 3), level(number), np.uint8)


def numbers(frames):
    """The number (modulo 26) of each picture, from its gray level."""
    return [round((float(np.mean(frame)) - 20) / 8) for frame in frames]


def write_video(
    path, frames=50, rate=25, codec="libx264", pix_fmt="yuv420p", size=(64, 48), times=None, make=picture,
    rotation=None, sound=None, sound_start=0.0, options=None, start=0,
):  # fmt: skip
    """`times`: presentation time of each frame in milliseconds, for a variable frame rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(10000), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        clock = Fraction(1, 1000) if times else 1 / Fraction(rate).limit_denominator(10000)
        stream.codec_context.time_base = clock
        if sound is not None:
            track = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(make(number, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts = start + (number if times is None else times[number])
            frame.time_base = clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for position in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(sound[None, position : position + 1024], "fltp", "mono")
                block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
                block.pts = position + round(sound_start * RATE)
                container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path


def click(seconds, length=2.0):
    waveform = np.zeros(int(length * RATE), np.float32)
    position = int(seconds * RATE)
    waveform[position : position + 160] = np.hanning(160) * np.sin(np.arange(160) * 0.8)
    return waveform


def click_time(waveform, rate=RATE):
    energy = np.square(waveform.astype(np.float64))
    return float((energy * np.arange(len(energy))).sum() / energy.sum() / rate) - 0.005


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
    assert numbers(VideoReader(array, fps=12.5)) == [number // 2 for number in range(40)]
    frames = list(VideoReader(array, fps=12.5))
    frames[0][:] = 0  # pictures that are shown twice do not share memory, neither with each other nor with the input
    assert frames[1].max() and array[0].max()


# --- frame rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 30, 50, 60, 24, Fraction(24000, 1001), 12.5, 25, 15])
def test_frame_rates(tmp_path, rate, suffix):
    count = 75
    path = write_video(tmp_path / f"rate{suffix}", count, rate)
    rate = Fraction(rate)
    got = numbers(VideoReader(path, frame_rate=25))
    expected = [int(k * rate / 25) for k in range(-(-count * 25 // rate))]
    assert len(got) == len(expected)
    if suffix == ".mkv":  # its clock ticks in ms: a frame may begin that much early
        early = [int((Fraction(k, 25) + Fraction(3, 2000)) * rate) for k in range(len(expected))]
        assert all(g in (a % 26, b % 26) for g, a, b in zip(got, expected, early, strict=True))
    else:
        assert got == [number % 26 for number in expected]
    assert numbers(VideoReader(path, frame_rate=float(rate))) == [number % 26 for number in range(count)]


def test_variable_frame_rate(tmp_path):
    times = [0, 40, 100, 130, 135, 300, 700, 740]
    path = write_video(tmp_path / "variable.mkv", len(times), times=times, codec="ffv1", pix_fmt="bgr0")
    got = numbers(VideoReader(path))
    assert got[:19] == [max(n for n, time in enumerate(times) if time <= 40 * k) for k in range(19)]
    assert set(got[19:]) <= {7}


def test_start_time_does_not_matter(tmp_path):
    path = write_video(tmp_path / "late.ts", 20, start=50)
    assert numbers(VideoReader(path)) == list(range(20))


def test_fps_replaces_the_timestamps_of_a_file(clip):
    assert numbers(VideoReader(clip, fps=50)) == [number % 26 for number in range(0, 50, 2)]


def test_frames_without_timestamps_are_counted():
    stream = types.SimpleNamespace(guessed_rate=Fraction(25), average_rate=None, time_base=Fraction(1, 25))
    frames = [types.SimpleNamespace(pts=None, duration=0) for _ in range(4)]
    assert [time for _, time, _ in video_module._count_on(frames, stream, "x")] == [Fraction(k, 25) for k in range(4)]


def test_jumping_timestamps_go_on_counting(caplog):
    stream = types.SimpleNamespace(guessed_rate=Fraction(25), average_rate=None, time_base=Fraction(1, 25))
    ticks = [100, 101, 102, 5, 6, 7, 90000, 90001]  # 25 a second
    frames = [types.SimpleNamespace(pts=tick, duration=1) for tick in ticks]
    assert [time for _, time, _ in video_module._count_on(frames, stream, "x")] == [Fraction(k, 25) for k in range(8)]
    assert caplog.text.count("timestamps jump") == 1  # one warning a file


def test_equal_and_swapped_timestamps_do_not_delay_the_rest():
    stream = types.SimpleNamespace(guessed_rate=Fraction(25), average_rate=None, time_base=Fraction(1, 25))
    frames = [types.SimpleNamespace(pts=tick, duration=1) for tick in [0, 1, 1, 3, 2, 5]]
    assert [time * 25 for _, time, _ in video_module._count_on(frames, stream, "x")] == [0, 1, 1, 3, 3, 5]


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


def test_http(clip, server):
    url = f"{server}/clip.mp4"
    with VideoReader(url) as reader:
        assert reader.name == url
        downloaded = reader._source.target
        assert os.path.exists(downloaded)
        assert len(list(reader)) == 50
    assert not os.path.exists(downloaded)


def test_http_errors(clip, server):
    with pytest.raises(VideoError, match="404"):
        VideoReader(f"{server}/missing.mp4")
    with pytest.raises(VideoError, match="no answer within 0.2 s"):
        VideoReader(f"{server}/slow.mp4", timeout=0.2)
    with pytest.raises(VideoError, match="limit of 100 bytes"):
        VideoReader(f"{server}/clip.mp4", max_bytes=100)


# --- sound -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_write_and_read_audio(tmp_path, suffix):
    waveform = (0.9 * np.sin(np.arange(RATE * 3 + 7) * 0.05)).astype(np.float32)
    path = tmp_path / f"sound{suffix}"
    write_audio(path, waveform, RATE)
    assert np.abs(read_audio(path) - waveform).max() < 1e-4
    assert len(read_audio(path, 8000)) == pytest.approx(len(waveform) / 2, abs=2)
    write_audio(path, waveform * 10, RATE)  # clipped, replaces the old one
    assert 0.999 < np.abs(read_audio(path)).max() <= 1
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("waveform", "rate", "name", "cause"),
    [
        (np.full(10, np.nan), RATE, "a.wav", "NaN"),
        (np.zeros((2, 10)), RATE, "a.wav", "shape"),
        (np.zeros(0), RATE, "a.wav", "empty"),
        (np.zeros(10, np.int16), RATE, "a.wav", "int16"),
        (np.zeros(10), 0, "a.wav", "sampling rate"),
        (np.zeros(10), RATE, "a.mp3", ".wav or .flac"),
        (np.zeros(10), RATE, "missing/a.wav", "does not exist"),
    ],
)
def test_write_audio_errors(tmp_path, waveform, rate, name, cause):
    with pytest.raises(VideoError, match=cause):
        write_audio(tmp_path / name, waveform, rate)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("sound_start", [0.0, 0.3])
def test_sound_is_aligned_with_the_first_picture(tmp_path, suffix, sound_start):
    path = write_video(tmp_path / f"clip{suffix}", sound=click(0.5), sound_start=sound_start)
    assert click_time(read_audio(path)) == pytest.approx(0.5 + sound_start, abs=0.002)


def test_sound_before_the_first_picture_is_cut(tmp_path):
    path = write_video(tmp_path / "late.mkv", 50, sound=click(1.0), start=10)
    assert click_time(read_audio(path)) == pytest.approx(0.6, abs=0.002)


def test_no_sound(clip):
    assert read_audio(clip) is None
    assert read_audio(np.zeros((5, 8, 9, 3), np.uint8)) is None


def test_equal_channels_keep_their_level(tmp_path):
    path, wave = tmp_path / "stereo.wav", (8000 * np.sin(np.arange(RATE) * 0.05)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], "s16", "stereo")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
    assert np.abs(read_audio(path) - wave / 32768).max() < 1e-4


# --- pictures with new sound -----------------------------------------------------------------------------------------


def streams(path):
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        return (
            (pictures.codec_context.name, pictures.codec_context.pix_fmt, sound.codec_context.name, sound.rate),
            float(pictures.duration * pictures.time_base),
            float(sound.duration * sound.time_base),
        )


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "copied"),
    [
        (".mp4", "libx264", "yuv420p", True),
        (".mkv", "libx264", "yuv420p", True),
        (".mkv", "libx264", "yuv420p10le", False),
        (".avi", "libx264", "yuv420p", False),
        (".mpg", "mpeg1video", "yuv420p", False),
        (".webm", "libvpx-vp9", "yuv420p", False),
        (".gif", "gif", "gray", False),
    ],
)
@pytest.mark.parametrize("length", [0.7, 5.0])
def test_mux(tmp_path, suffix, codec, pix_fmt, copied, length):
    path = write_video(tmp_path / f"clip{suffix}", 50, 25, codec, pix_fmt, sound=None)
    out = tmp_path / "out.mp4"
    mux_audio(path, click(0.5, length), RATE, out)
    kinds, video_seconds, sound_seconds = streams(out)
    assert kinds == ("h264", "yuv420p", "aac", RATE)
    assert video_seconds == pytest.approx(2.0, abs=0.005) and sound_seconds == pytest.approx(2.0, abs=0.07)
    before, after = list(VideoReader(path)), list(VideoReader(out))
    assert numbers(after) == numbers(before)
    assert np.array_equal(before, after) == copied or not copied
    assert click_time(read_audio(out)) == pytest.approx(0.5, abs=0.002)
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # a browser can start at once
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, out.name])


def test_mux_keeps_variable_frame_times(tmp_path):
    times = [0, 40, 100, 130, 135, 300, 700, 740]
    path = write_video(tmp_path / "variable.mkv", len(times), times=times, codec="mpeg4")
    mux_audio(path, click(0.1), RATE, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [round(frame.time * 1000) for frame in container.decode(video=0)] == times


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 50000, 48000])
def test_mux_arrays_and_sampling_rates(tmp_path, rate):
    array = np.stack([picture(number) for number in range(60)])
    waveform = np.zeros(rate * 2, np.float32)
    waveform[rate] = 1.0
    mux_audio(array, waveform, rate, tmp_path / "out.mp4", fps=30)
    kinds, video_seconds, _ = streams(tmp_path / "out.mp4")
    assert kinds[3] == (48000 if rate == 50000 else rate) and video_seconds == pytest.approx(2.0, abs=0.005)
    assert numbers(VideoReader(tmp_path / "out.mp4", frame_rate=30)) == [number % 26 for number in range(60)]
    sound = read_audio(tmp_path / "out.mp4", rate)
    assert abs(int(np.abs(sound).argmax()) - rate) <= 0.002 * rate


def test_mux_onto_itself_and_failures_leave_nothing(tmp_path, clip, monkeypatch):
    before = list(VideoReader(clip))
    mux_audio(clip, click(0.5), RATE, clip)
    assert np.array_equal(list(VideoReader(clip)), before) and read_audio(clip) is not None
    content = clip.read_bytes()
    for arguments, cause in [
        ((clip, np.full(10, np.nan), RATE, clip), "NaN"),
        ((clip, click(0.5), RATE, tmp_path / "out.avi"), ".mp4"),
        ((tmp_path / "missing.mp4", click(0.5), RATE, clip), "no such file"),
        ((np.zeros((5, 8, 9, 3), np.uint8), click(0.5), RATE, clip), "fps="),
    ]:
        with pytest.raises(VideoError, match=cause):
            mux_audio(*arguments)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(video_module._AudioTrack, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mux_audio(clip, click(0.5), RATE, clip)
    assert clip.read_bytes() == content and os.listdir(tmp_path) == [clip.name]


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
