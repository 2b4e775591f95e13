"""What the clocks of files say, and what is made of it: joined segments, holes, pictures at other rates, cuts."""

import logging
from fractions import Fraction

import numpy as np
import pytest

from lip2wav_hf.audio import mux_audio, read_audio
from lip2wav_hf.video import VideoReader, _Clock
from little_videos import RATE, click, level, numbers, write_video


def times_of(stamps: list[int], name: str = "x") -> list[float]:
    """The times, in frames, that a clock makes of timestamps that are given in frames."""
    clock = _Clock(name, Fraction(1, 25), None)
    stamps = [Fraction(stamp).limit_denominator(100) / 25 for stamp in stamps]
    return [
        float(clock.place(stamp, Fraction(1, 25), stamps[number + 1 : number + 9]) * 25)
        for number, stamp in enumerate(stamps)
    ]


@pytest.mark.parametrize("length", [2, 3, 10, 18, 24, 40])
@pytest.mark.parametrize("offset", [0, 0.4, 7])
def test_a_new_beginning_is_counted_on_however_short_the_segments_are(length, offset):
    stamps = [offset + number for _ in range(5) for number in range(length)]
    assert times_of(stamps) == list(range(5 * length))


@pytest.mark.parametrize("back", [2.5, 3, 10, 24, 25, 100])
def test_segments_that_overlap(back):
    """A new beginning need not be that of the clock: 0.1 s back is one too."""
    first = list(range(120))
    second = [120 - back + number for number in range(60)]
    assert times_of(first + second) == list(range(180))


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 1, 2, 1.9, 4, 5], [0, 1, 2, 2, 4, 5]),  # jitter
        ([0, 1, 1, 3, 2, 5], [0, 1, 1, 3, 3, 5]),
        ([0, 1, 1, 2, 3], [0, 1, 1, 2, 3]),  # a picture too many
        ([0, 3, 1, 2, 6, 4, 5, 9, 7, 8], [0, 3, 3, 3, 6, 6, 6, 9, 9, 9]),  # in the order of decoding
        ([0, 4, 2, 1, 3, 8, 6, 5, 7], [0, 4, 4, 4, 4, 8, 8, 8, 8]),
        ([0, 1, 2, 100, 3, 101, 102], [0, 1, 2, 100, 100, 101, 102]),  # left over from before a damage
    ],
)
def test_pictures_out_of_order_are_no_new_beginning(stamps, times):
    assert times_of(stamps) == times


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg1video"), (".ts", "mpeg2video")])
@pytest.mark.parametrize("length", [10, 18, 24])
def test_joined_segments(tmp_path, caplog, suffix, codec, length):
    segments = []
    for first in range(0, 72, length):
        path = tmp_path / f"{first}{suffix}"
        times = [40 * number for number in range(min(length, 72 - first))]
        write_video(path, len(times), codec=codec, make=lambda n, w, h, first=first: gray(first + n, w, h))
        segments.append(path.read_bytes())
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(b"".join(segments))
    got = numbers(VideoReader(path))
    assert 72 <= len(got) <= (74 if suffix == ".mpg" else 72)  # MPEG-1 leaves out a tick where a part ends
    assert [number for number, before in zip(got, [None, *got], strict=False) if number != before] == [
        n % 26 for n in range(72)
    ]
    assert caplog.text.count("timestamps jump") == 1
    mux_audio(path, click(0.5), RATE, tmp_path / "out.mp4")
    assert len(list(VideoReader(tmp_path / "out.mp4"))) == len(got)


def gray(number: int, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), level(number), np.uint8)


def test_a_hole_is_held_and_told(tmp_path, caplog):
    times = [*range(0, 1000, 40), *range(5000, 6000, 40)]
    path = write_video(tmp_path / "hole.mkv", len(times), times=times, codec="ffv1", pix_fmt="bgr0")
    with caplog.at_level(logging.WARNING):
        got = numbers(VideoReader(path))
    assert len(got) == 150 and set(got[24:125]) == {24} and got[125:128] == [25, 0, 1]
    assert "no picture for 4.00 s at 1.00 s" in caplog.text


def test_silence_stands_where_sound_is_missing(tmp_path):
    """A click after a hole in the sound stays in its place."""
    import av

    path = tmp_path / "hole.mkv"
    with av.open(str(path), "w") as output:
        track = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for position in (*range(0, RATE, 1000), *range(3 * RATE, 4 * RATE, 1000)):
            block = np.zeros((1, 1000), np.int16)
            block[0, 500] = 20000 * (position == 3 * RATE)
            frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, position, Fraction(1, RATE)
            output.mux(track.encode(frame))
    waveform = read_audio(path)
    assert abs(len(waveform) - 4 * RATE) <= 16 and abs(np.argmax(waveform) - 3 * RATE - 500) <= 16  # its clock: 1 ms


@pytest.mark.parametrize("late, length", [(2, 3), (3 * 3600, 1)])
def test_sound_that_begins_late_stands_there_and_hours_later_is_a_fault_of_the_clock(tmp_path, late, length):
    """A few bytes must not ask for hours of silence."""
    import av

    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as output:
        pictures, track = output.add_stream("ffv1", rate=25), output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "bgr0"
        for _ in range(25):
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        output.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, late * RATE, Fraction(1, RATE)
        output.mux(track.encode(frame))
    assert abs(len(read_audio(path)) - length * RATE) <= 16


@pytest.mark.parametrize("rate", [24, 30, Fraction(30000, 1001), 20])
def test_what_moves_steadily_is_seen_without_delay(tmp_path, rate):
    """The gray level rises with time: at other rates it is that of the very instant, where a picture that is held is
    half a period old."""

    def rising(number, width, height):
        return np.full((height, width, 3), 20 + float(number / Fraction(rate) * 100), np.uint8)

    path = write_video(tmp_path / "rising.mkv", 40, rate, codec="ffv1", pix_fmt="bgr0", make=rising)
    seen = [float(np.mean(frame)) for frame in VideoReader(path)][:30]
    delay = np.mean([20 + 4 * number for number in range(30)] - np.array(seen)) / 100  # seconds
    assert abs(delay) < 0.006  # of which .005 s are gray levels that were cut off


def test_cuts_are_not_mixed():
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (4, 40, 60, 3), np.uint8)
    array = np.concatenate([np.repeat(scene[None], 11, axis=0) for scene in scenes])
    for picture in VideoReader(array, fps=30):
        assert any(np.array_equal(picture, scene) for scene in scenes)


def test_pictures_at_the_rate_itself_are_their_own_whatever_the_start(tmp_path):
    """Not mixed, though the samples fall between them."""
    times = [0, *range(13, 1000, 40)]
    path = write_video(tmp_path / "late.mkv", len(times), times=times, codec="ffv1", pix_fmt="bgr0")
    for frame in VideoReader(path):
        assert (float(frame.mean()) - 20) % 8 == 0
