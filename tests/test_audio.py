"""Tests of `lip2wav_hf.audio`: sound read, written and put under pictures, on little videos made here."""

import os
import wave

import av
import numpy as np
import pytest

from lip2wav_hf.audio import mux_audio, open_audio, read_audio, write_audio
from lip2wav_hf.video import VideoError, VideoReader
from little_videos import RATE, click, click_time, numbers, picture, write_video


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4")


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
    path, samples = tmp_path / "stereo.wav", (8000 * np.sin(np.arange(RATE) * 0.05)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], "s16", "stereo")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
    assert np.abs(read_audio(path) - samples / 32768).max() < 1e-4


@pytest.mark.parametrize("channels", [3, 9, 16, 60])
def test_sound_of_many_channels_is_their_mean(tmp_path, channels):
    """As of 16 microphones of a sphere, or of a damaged header."""
    samples = (8000 * np.sin(np.arange(RATE) * 0.05)).astype(np.int16)[:, None] * (np.arange(channels) % 3 != 1)
    with wave.open(str(tmp_path / "many.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    assert np.abs(read_audio(tmp_path / "many.wav") - samples.mean(axis=1) / 32768).max() < 1e-4


@pytest.mark.parametrize("rate", [1, 1_214_611_518, 1_284_560_676])
def test_a_sampling_rate_that_no_sound_has_is_named(tmp_path, rate):
    write_audio(tmp_path / "a.wav", np.zeros(RATE), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(VideoError, match=rf"a\.wav: its sound cannot be converted: {rate} Hz"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_sound_in_blocks_is_the_same_sound(tmp_path, suffix):
    waveform = np.random.default_rng(0).uniform(-1, 1, 40_001).astype(np.float32)
    write_audio(tmp_path / f"whole{suffix}", waveform, RATE)
    write_audio(tmp_path / f"blocks{suffix}", iter(np.split(waveform, [1, 700, 700 + RATE])), RATE)
    np.testing.assert_array_equal(read_audio(tmp_path / f"blocks{suffix}"), read_audio(tmp_path / f"whole{suffix}"))


def test_sound_is_written_while_it_comes_and_appears_at_the_end(tmp_path):
    path, second = tmp_path / "a.wav", np.full(RATE, 0.5, np.float32)
    with open_audio(path, RATE) as write:
        for _ in range(20):
            write(second)
        [hidden] = os.listdir(tmp_path)
        assert hidden != "a.wav" and (tmp_path / hidden).stat().st_size > 15 * 2 * RATE
    assert os.listdir(tmp_path) == ["a.wav"] and len(read_audio(path)) == 20 * RATE
    for error, block in ((VideoError, second * np.nan), (KeyboardInterrupt, second)):
        with pytest.raises(error), open_audio(tmp_path / "b.wav", RATE) as write:
            write(second)
            write(block)
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a.wav"]


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


@pytest.mark.parametrize("length", [0.7, 2.0, 5.0])
def test_mux_sound_in_blocks(tmp_path, clip, length):
    """The same file; and all blocks are taken, also those beyond the end of the pictures."""
    waveform, taken = click(0.5, length), []
    parts = np.array_split(waveform, 9)
    mux_audio(clip, waveform, RATE, tmp_path / "whole.mp4")
    mux_audio(clip, (taken.append(len(part)) or part for part in parts), RATE, tmp_path / "blocks.mp4")
    np.testing.assert_array_equal(read_audio(tmp_path / "blocks.mp4"), read_audio(tmp_path / "whole.mp4"))
    assert sum(taken) == len(waveform)


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


def test_mux_onto_itself_and_failures_leave_nothing(tmp_path, clip):
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

    class Interrupted(np.ndarray):
        """Pictures, at the third of which the user presses Ctrl-C."""

        def __iter__(self):
            yield from list(super().__iter__())[:2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mux_audio(np.stack(before).view(Interrupted), click(0.5), RATE, clip, fps=25)
    assert clip.read_bytes() == content and os.listdir(tmp_path) == [clip.name]
