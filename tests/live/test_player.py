"""The queue before a sound device, with a device made up; wav in a pipe."""

import io
import sys
import threading
import time
from types import SimpleNamespace

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
    """A chunk is 0.3 s late, and all after it are in time: what waits is left out once no pause came for 3 s."""
    queue = PlayQueue(RATE)
    chunks = [(0.16 * number + (0.3 if number == 10 else 0.0), tone(0.16), 0.16 * number) for number in range(60)]
    chunks[11:13] = [(1.9, audio, taken) for _, audio, taken in chunks[11:13]]
    _, levels = played(queue, chunks, 9.6)
    assert max(levels[200:230]) > 0.4 and max(levels[700:900]) < 0.16 + 0.05
    assert queue.left_out == pytest.approx(0.28, abs=0.05) and queue.gaps == 1


def test_what_is_left_out_makes_no_click():
    queue, chunks = PlayQueue(RATE), [(number, tone(1.0, number), None) for number in range(6)]
    sound, _ = played(queue, [*chunks, (0.3, tone(1.0, 6.0), None)], 6.0)
    assert queue.left_out > 0.6
    heard = sound[: round((7.0 - queue.left_out - 0.02) * RATE)]
    assert np.abs(np.diff(heard)).max() < 0.12  # of the tone alone: 0.086


def late_device(queue, chunks, seconds):
    """What is played when the device first asks for sound once so many seconds of it have come."""
    return played(queue, [(max(start - seconds, 0.0), audio, None) for start, audio in chunks], 8.0)[0]


def test_nothing_of_a_file_is_left_out():
    """The device begins 1.5 s late, and then as much waits all the time: its source waits too."""
    queue, speech = PlayQueue(RATE, can_wait=True), tone(4.8)
    sound = late_device(queue, [(0.16 * number, part) for number, part in enumerate(np.split(speech, 30))], 1.5)
    assert queue.left_out == 0 and np.array_equal(np.trim_zeros(sound), np.trim_zeros(speech))


def test_what_a_camera_saw_before_the_device_began_is_not_cut_out_of_the_middle():
    queue, speech = PlayQueue(RATE), tone(4.8)
    sound = late_device(queue, [(0.16 * number, part) for number, part in enumerate(np.split(speech, 30))], 1.5)
    begin = round(9 * 0.16 * RATE)  # the newest chunk that had come
    assert queue.left_out == pytest.approx(9 * 0.16)
    assert np.array_equal(np.trim_zeros(sound), np.trim_zeros(speech[begin:]))


def test_what_waits_needlessly_is_left_out_of_a_pause_first():
    """Half a second too much waits from 1.6 s on; the pause comes at 3.2 s, and nothing of the speech is cut."""
    queue, quiet = PlayQueue(RATE), np.full(round(0.64 * RATE), 0.002, np.float32)
    speech = np.concatenate([tone(3.2), quiet, tone(3.2)])
    times = [0.16 * number - min(0.05 * number, 0.5) for number in range(44)]
    chunks = list(zip(times, np.split(speech, 44), [None] * 44, strict=True))
    sound, levels = played(queue, chunks, 8.0)
    assert queue.left_out == pytest.approx(0.5, abs=0.06) and max(levels[400:600]) < 0.16 + 0.08
    assert np.array_equal(sound[: round(3.2 * RATE)], tone(3.2))
    assert np.abs(np.trim_zeros(sound)[-round(3.1 * RATE) :] - np.trim_zeros(speech)[-round(3.1 * RATE) :]).max() == 0


class MadeUpDevice:
    """A device that begins half a second late, takes 10 ms at a time, and stops after some seconds."""

    latency, stops = 0.03, 1e9
    stands_still, underflow_at = (0, 0.0), 0  # block before which it does, and for how long; block with an underflow

    def __init__(self, callback, **options):
        self.callback, self.sound, self.is_open = callback, [], True
        self.clock = SimpleNamespace(outputBufferDacTime=0.03, currentTime=0.0)

    def start(self):
        threading.Thread(target=self.play, daemon=True).start()

    def play(self):
        time.sleep(0.5)
        start = time.monotonic()
        while self.is_open and len(self.sound) < self.stops * 100:
            number, (at, seconds) = len(self.sound), self.stands_still
            if at and number == at:
                time.sleep(seconds)
                start += seconds
            block = np.zeros((BLOCK, 1), np.float32)
            flags = SimpleNamespace(output_underflow=True) if number and number == self.underflow_at else None
            self.callback(block, BLOCK, self.clock, flags)
            self.sound.append(block[:, 0])
            time.sleep(max(start + len(self.sound) * 0.01 - time.monotonic(), 0))

    def abort(self):
        self.is_open = False

    close = abort


@pytest.fixture
def made_up(monkeypatch):
    """sounddevice, but for its devices."""
    library = SimpleNamespace(OutputStream=MadeUpDevice, PortAudioError=ValueError)
    monkeypatch.setattr(player, "sound_library", lambda: library)
    monkeypatch.setattr(player, "DEVICE_PATIENCE", 1.0)


@pytest.mark.usefixtures("made_up")
def test_a_device_that_begins_late_is_waited_for():
    begin = time.monotonic()
    with player.SoundDevice(RATE) as device:
        assert 0.5 < time.monotonic() - begin < 0.95  # it takes sound now
        device.write(tone(0.16), time.monotonic())
        device.finish()
    assert device.latencies.percentile(100) < 0.2 and device.queue.left_out == 0


@pytest.mark.usefixtures("made_up")
def test_a_file_waits_for_the_device():
    """It is made faster than it is played."""
    with player.SoundDevice(RATE, can_wait=True) as device:
        for number in range(18):
            device.write(tone(0.16, 0.16 * number), None)
        assert 1.7 < device.queue.seconds <= player.LONGEST_QUEUE
        device.finish()
        sound = np.trim_zeros(np.concatenate(device._stream.sound))
    assert device.queue.left_out == 0
    assert np.abs(sound - np.trim_zeros(tone(18 * 0.16))).max() < 1e-4


@pytest.mark.usefixtures("made_up")
def test_a_device_that_stops_ends_a_file_too(monkeypatch):
    monkeypatch.setattr(MadeUpDevice, "stops", 0.2)
    with player.SoundDevice(RATE, can_wait=True) as device:
        device.write(tone(1.0), None)
        begin = time.monotonic()
        device.finish()
    assert 0.9 < time.monotonic() - begin < 2 and device.queue.seconds


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("fault", [{"stands_still": (60, 0.5)}, {"underflow_at": 60}])
def test_gaps_that_the_device_makes_are_counted(monkeypatch, fault):
    """The queue never runs dry: only that it is asked late, or told of an underflow, shows them."""
    for name, value in fault.items():
        monkeypatch.setattr(MadeUpDevice, name, value)
    with player.SoundDevice(RATE, can_wait=True) as device:
        assert 0.5 < device.began < 0.95
        device.write(tone(1.5), None)
        device.finish()
    queue, seconds = device.queue, 0.5 if "stands_still" in fault else 0.0
    assert queue.gaps >= 1 and queue.longest_gap == pytest.approx(seconds, abs=0.2)


def test_what_the_device_plays_late_is_a_gap_only_where_sound_goes_on():
    queue = PlayQueue(RATE)
    queue.note_silence(1.0)  # before the first sound
    queue.put(tone(0.16))
    queue.take(1600, 0.0)
    queue.note_silence(0.4)
    queue.take(1600, 0.1)  # runs dry, for 40 ms
    queue.note_silence(0.3)
    assert (queue.gaps, queue.gap_seconds) == (1, 0.4)
    queue.put(tone(0.16))
    queue.take(1600, 0.2)
    assert queue.gaps == 2 and queue.gap_seconds == pytest.approx(0.4 + 0.04 + 0.3)  # one gap, not two


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
