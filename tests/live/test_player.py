"""The queue before a sound device, with a device made up; wav in a pipe."""

import io
import sys

import numpy as np
import pytest

from lip2wav_hf.audio import read_audio
from lip2wav_hf.errors import MissingExtraError
from lip2wav_hf.live import player
from lip2wav_hf.live.player import Latencies, PlayQueue, SoundPipe


RATE = 16000
BLOCK = 160  # samples that the device takes, every 10 ms


def tone(seconds, start=0.0):
    return np.sin(2 * np.pi * 220 * (start + np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def played(queue, arrivals, seconds):
    """What the device plays when chunks arrive at their times: (sound, level after each block)."""
    waiting, sound, levels = sorted(arrivals, key=lambda arrival: arrival[0]), [], []
    for block in range(round(seconds * RATE / BLOCK)):
        now = block * BLOCK / RATE
        while waiting and waiting[0][0] <= now + 1e-9:
            when, audio, taken = waiting.pop(0)
            queue.put(audio, taken)
        sound.append(queue.take(BLOCK, now))
        levels.append(queue.seconds)
    return np.concatenate(sound), levels


def test_sound_comes_out_as_it_went_in():
    queue = PlayQueue(RATE)
    chunks = [(0.2 + 0.16 * number, tone(0.16, 0.16 * number), 0.16 * number) for number in range(10)]
    sound, _ = played(queue, chunks, 2.0)
    assert np.array_equal(sound[round(0.2 * RATE) :][: round(1.6 * RATE)], np.concatenate([c[1] for c in chunks]))
    assert not sound[: round(0.2 * RATE)].any() and not sound[round(1.8 * RATE) :].any()
    assert (queue.gaps, queue.left_out) == (0, 0.0)
    assert queue.latencies.count == 10 and queue.latencies.percentile(50) == pytest.approx(0.2, abs=0.002)


def test_a_gap_is_counted_once_sound_goes_on_and_more_waits_from_then_on():
    queue = PlayQueue(RATE)
    chunks = [(0.1, tone(0.16), 0.0), (0.36, tone(0.16), 0.16)]
    played(queue, chunks, 1.0)
    assert queue.gaps == 1 and queue.longest_gap == pytest.approx(0.1, abs=0.011)
    assert queue.gap_seconds == queue.longest_gap and queue.target > player.LEAST_TARGET
    assert queue.latencies.percentile(100) == pytest.approx(0.2, abs=0.011)


def test_where_it_came_near_a_gap_more_waits_from_the_next_quiet_place_on():
    """Chunks come when the last one has just been played; behind a quiet place, 15 ms late is no gap."""
    queue, quiet = PlayQueue(RATE), np.full(2560, 0.002, np.float32)
    chunks = [(0.16 * number, quiet if number in (12, 13) else tone(0.16), None) for number in range(30)]
    chunks[20] = (0.16 * 20 + 0.015, *chunks[20][1:])
    sound, levels = played(queue, chunks, 4.8)
    assert queue.gaps == 0 and queue.target > player.LEAST_TARGET
    assert 0.02 <= min(levels[240:310]) and max(levels[350:440]) < 0.16 + 0.05
    held = sound[round(1.92 * RATE) : round(2.3 * RATE)]  # the pause is longer, and nothing is lost behind it
    assert (held == 0).sum() == pytest.approx(player.LEAST_TARGET * RATE, abs=2 * BLOCK)
    assert np.abs(sound[round(2.3 * RATE) :]).max() > 0.9


def test_after_a_delay_the_latency_comes_down_again():
    """A chunk is 0.3 s late, and all after it are in time: what waits is left out within three seconds."""
    queue = PlayQueue(RATE)
    chunks = [(0.16 * number + (0.3 if number == 10 else 0.0), tone(0.16), 0.16 * number) for number in range(60)]
    chunks[11:13] = [(1.9, audio, taken) for _, audio, taken in chunks[11:13]]
    _, levels = played(queue, chunks, 9.6)
    assert max(levels[200:230]) > 0.4 and max(levels[500:900]) < 0.16 + 0.05
    assert queue.left_out == pytest.approx(0.28, abs=0.05) and queue.gaps == 1


def test_what_is_left_out_makes_no_click():
    queue = PlayQueue(RATE)
    sound, _ = played(queue, [(0.0, tone(1.2), None), (0.3, tone(1.2, 1.2), None)], 2.0)
    assert queue.left_out > 0.8
    heard = sound[: round((2.4 - queue.left_out - 0.02) * RATE)]
    assert np.abs(np.diff(heard)).max() < 0.12  # of the tone alone: 0.086


def test_a_device_that_is_slower_than_the_camera_is_no_reason_to_be_late():
    """It takes 15 900 samples a second: after an hour all would be 22 s late."""
    queue, levels = PlayQueue(RATE), []
    for number in range(3000):
        queue.put(tone(0.04))
        levels.append(queue.seconds)
        queue.take(636, number * 0.04)
    assert max(levels[100:]) < 0.16 and queue.gaps == 0


def test_a_device_that_stands_still_does_not_fill_the_memory():
    queue = PlayQueue(RATE)
    for _ in range(100):
        queue.put(tone(0.16))
    assert queue.seconds <= player.LONGEST_QUEUE and queue.left_out == pytest.approx(16 - queue.seconds)


def test_percentiles():
    latencies = Latencies()
    assert np.isnan(latencies.percentile(50)) and latencies.count == 0
    for number in range(1, 101):
        latencies.add(number / 1000)
    assert latencies.percentile(50) == 0.05 and latencies.percentile(95) == 0.095 and latencies.percentile(100) == 0.1
    for seconds in (5.0, 5.0004, 1e9):
        latencies.add(seconds)
    assert latencies.count == 103
    assert latencies.percentile(98) == 5.0 and np.isinf(latencies.percentile(100))  # no number that was not measured


def test_a_pipe_gets_wav_frame_by_frame(tmp_path):
    flushed = []

    class Pipe(io.BytesIO):
        def flush(self):
            flushed.append(len(self.getvalue()))

    pipe, sound = Pipe(), tone(0.2)
    output = SoundPipe(pipe, RATE, 640)
    output.write(sound[:2560], 0.0)
    output.write(sound[2560:], None)
    output.finish()
    assert flushed == [44, *(44 + 1280 * number for number in range(1, 6))]
    (tmp_path / "a.wav").write_bytes(pipe.getvalue())
    assert np.abs(read_audio(tmp_path / "a.wav", RATE) - sound).max() < 1e-4
    assert output.latencies.count == 1


def test_what_plays_sound_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"\[live\].*-o FILE.*-o -"):
        player.SoundDevice(RATE)
