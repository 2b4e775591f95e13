"""Where live speech goes: a sound device, a pipe; and how late it comes there."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Generator
from typing import Any, BinaryIO, Protocol

import numpy as np

from ..errors import Lip2WavError, missing_extra, one_line


FADE_SECONDS = 0.005  # over which sound is joined where a piece of it was left out
LONGEST_QUEUE = 2.0  # seconds; what a device does not take is given up
LEAST_TARGET, MOST_TARGET, STEP = 0.03, 0.1, 0.01  # seconds of sound that are kept waiting, against jitter
NEAR_SECONDS = 0.005  # left: nearly a gap
CALM_SECONDS = 30.0  # without either, after which less is kept waiting
QUIET = 0.01  # of full scale: where a longer or a shorter pause is not heard
PATIENCE = 3.0  # seconds to look for a quiet place; then what waits needlessly is left out anyway
DEVICE_SECONDS = 0.03  # that a device is asked to keep; less runs dry on a busy machine
DEVICE_PATIENCE = 2.0  # seconds for a device to take more sound
INSTEAD = "Write the sound with -o FILE, or into a pipe with -o -"


class SoundError(Lip2WavError):
    """No sound device, or one that cannot play."""


class Latencies:
    """How late sound came, in steps of 1 ms; of constant size."""

    longest = 5.0  # seconds; what came later than that counts as infinitely late

    def __init__(self) -> None:
        self._counts = np.zeros(round(1000 * self.longest) + 2, np.int64)  # the last one: all that came later

    def add(self, seconds: float) -> None:
        """Note one."""
        self._counts[round(1000 * max(0.0, seconds)) if seconds <= self.longest else -1] += 1

    @property
    def count(self) -> int:
        """How many were noted."""
        return int(self._counts.sum())

    def percentile(self, share: float) -> float:
        """The latency in seconds that so many percent do not exceed; infinite above `longest`, NaN of none."""
        if not self.count:
            return math.nan
        steps = int(np.searchsorted(self._counts.cumsum(), max(share / 100 * self.count, 1)))
        return math.inf if steps == len(self._counts) - 1 else steps / 1000


class Output(Protocol):
    """Takes live speech as it is made."""

    latencies: Latencies

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """Sound `(samples,)`, float32; `taken` is when its first picture was taken, by `time.monotonic()`."""

    def finish(self) -> None:
        """The last sound has been written: let it be heard."""


class PlayQueue:
    """
    The sound that waits to be played. It is begun when a little is there; where it runs dry there is silence, and more
    is kept waiting from then on. Where it came near that, more waits from the next quiet place on. What waits
    needlessly long, after a delay or because the clocks of camera and device differ, is left out: in quiet places, and
    elsewhere only if none came for three seconds. What was said before the first sound is taken is left out too, but
    for the newest piece.

    Args:
        sampling_rate (`int`): in Hz.
        can_wait (`bool`, *optional*, defaults to `False`): whether the source can, as a file: then nothing is left out
            to catch up with it.

    Attributes:
        gaps (`int`): how often it, or the device, ran dry, in between.
        gap_seconds, longest_gap (`float`): of all gaps, of the longest.
        left_out (`float`): seconds.
        latencies ([`Latencies`]): from the beginning of a picture to that of its sound.
    """

    def __init__(self, sampling_rate: int, can_wait: bool = False) -> None:
        self.sampling_rate, self.can_wait = sampling_rate, can_wait
        self.gaps, self.gap_seconds, self.longest_gap, self.left_out = 0, 0.0, 0.0, 0.0
        self.latencies = Latencies()
        self.target = LEAST_TARGET
        self._lock = threading.Lock()
        self._blocks: deque[tuple[np.ndarray, float | None]] = deque()
        self._level = 0  # samples that wait
        self._is_playing, self._has_played, self._dry = False, False, 0  # samples of silence since it ran dry
        self._least, self._taken, self._calm = math.inf, 0, 0  # level in this second, samples of it; since a gap
        self._missing = self._excess = 0  # samples that should wait too, or that wait needlessly
        self._searched = 0  # samples played since a quiet place is looked for, to leave some out

    @property
    def seconds(self) -> float:
        """How much waits."""
        with self._lock:
            return self._level / self.sampling_rate

    def put(self, audio: np.ndarray, taken: float | None = None) -> None:
        """Append sound; `taken` as for [`Output`]."""
        if not len(audio):
            return
        with self._lock:
            self._blocks.append((audio, taken))
            self._level += len(audio)
            while self._level > LONGEST_QUEUE * self.sampling_rate and len(self._blocks) > 1:
                self._drop_oldest()

    def take(self, samples: int, heard: float) -> np.ndarray:
        """The next sound, `(samples,)`, of which the first sample is heard at the time `heard`."""
        sound = np.zeros(samples, np.float32)
        with self._lock:
            if not self._is_playing and self._level < self.target * self.sampling_rate:
                self._dry += samples if self._dry else 0
                return sound
            if self._dry:
                self._note_gap()
            if self._missing > 0 and self._is_quiet(samples):
                self._missing -= samples
                self._least, self._taken = math.inf, 0
                return sound
            if not self._has_played:
                self._drop_stale()
            self._leave_out_unheard()
            self._is_playing, self._has_played, done = True, True, 0
            while done < samples and self._blocks:
                block, taken = self._blocks.popleft()
                if taken is not None:
                    self.latencies.add(heard + done / self.sampling_rate - taken)
                part = block[: samples - done]
                sound[done : done + len(part)] = part
                done += len(part)
                if len(part) < len(block):
                    self._blocks.appendleft((block[len(part) :], None))
            self._level -= done
            if done < samples:
                self._is_playing, self._dry = False, samples - done
            self._trim(samples)
        return sound

    def note_silence(self, seconds: float) -> None:
        """The device had nothing to play for so long, or for an unknown time, 0, though it was given all it took."""
        with self._lock:
            if self._dry:
                self._dry += round(seconds * self.sampling_rate)  # a part of the gap that there is already
            elif self._is_playing:
                self._count_gap(seconds)

    def _drop_oldest(self) -> None:
        lost = len(self._blocks.popleft()[0])
        self._level -= lost
        self.left_out += lost / self.sampling_rate

    def _drop_stale(self) -> None:
        """Before the first sound: what a device that begins late has left waiting."""
        least = self.target * self.sampling_rate
        while not self.can_wait and len(self._blocks) > 1 and self._level - len(self._blocks[0][0]) >= least:
            self._drop_oldest()

    def _note_gap(self) -> None:
        self._count_gap(self._dry / self.sampling_rate)
        self._dry = 0
        self.target, self._calm = min(self.target + STEP, MOST_TARGET), 0
        self._missing = self._excess = self._searched = 0

    def _count_gap(self, seconds: float) -> None:
        self.gaps, self.gap_seconds = self.gaps + 1, self.gap_seconds + seconds
        self.longest_gap = max(self.longest_gap, seconds)

    def _is_quiet(self, samples: int) -> bool:
        """Whether nothing is to be heard in the next samples, which are all there."""
        return self._quiet_samples(samples) == samples

    def _quiet_samples(self, most: int) -> int:
        """In how many of the next samples, at most so many, nothing is to be heard."""
        quiet = 0
        for block, _ in self._blocks:
            part = block[: most - quiet]
            loud = np.abs(part) > QUIET
            quiet += int(loud.argmax()) if loud.any() else len(part)
            if loud.any() or quiet == most:
                break
        return quiet

    def _trim(self, samples: int) -> None:
        """Once a second, leave out what the level never fell below, but for the target."""
        self._least = min(self._least, self._level)
        self._taken += samples
        self._calm += samples
        if self._taken < self.sampling_rate:
            return
        if self._least < NEAR_SECONDS * self.sampling_rate and self._missing <= 0:
            self.target, self._calm = min(self.target + STEP / 2, MOST_TARGET), 0
            self._missing = int(self.target * self.sampling_rate - self._least)
        excess = int(self._least - self.target * self.sampling_rate)
        self._least, self._taken = math.inf, 0
        if self._calm > CALM_SECONDS * self.sampling_rate:
            self.target, self._calm = max(self.target - STEP, LEAST_TARGET), 0
        self._excess = excess if excess > STEP * self.sampling_rate and not self.can_wait else 0
        self._searched = self._searched + self.sampling_rate if self._excess else 0

    def _leave_out_unheard(self) -> None:
        """Of what waits needlessly, what is quiet now; all of it once no quiet place came for long."""
        if self._excess <= 0:
            return
        patient = self._searched <= PATIENCE * self.sampling_rate
        most = min(self._excess, int(self._level - self.target * self.sampling_rate))  # the next may be late just now
        samples = self._quiet_samples(most) if patient else most
        if samples >= FADE_SECONDS * self.sampling_rate:
            self._leave_out(samples)
            self._excess -= samples
            self._searched = 0 if patient else self._searched

    def _leave_out(self, samples: int) -> None:
        """Drop the next samples; what follows is faded in while they are faded out."""
        fade = min(int(FADE_SECONDS * self.sampling_rate), samples)
        rest = np.concatenate([block for block, _ in self._blocks])
        share = np.linspace(0, 1, fade, dtype=np.float32)
        begin, end = rest[:fade], rest[samples : samples + fade]
        fade = min(len(begin), len(end))
        joined = (1 - share[:fade]) * begin[:fade] + share[:fade] * end[:fade]
        kept, position = deque[tuple[np.ndarray, float | None]](), 0
        for block, taken in self._blocks:
            left = max(samples + fade - position, 0)
            position += len(block)
            if left < len(block):
                kept.append((block[left:], None if left else taken))
        kept.appendleft((joined, None))
        self._blocks, self._level = kept, sum(len(block) for block, _ in kept)
        self.left_out += samples / self.sampling_rate


class SoundDevice:
    """
    Plays on a sound device, through PortAudio; for use in `with`. It is ready once the device takes sound steadily:
    some fill their memory, and begin a second later.

    Args:
        sampling_rate (`int`): in Hz.
        device (`str`, *optional*): its number, or a part of its name; the default device by default.
        can_wait (`bool`, *optional*, defaults to `False`): as for [`PlayQueue`]; [`write`] then waits for the device.

    Attributes:
        began (`float`): seconds from its opening until it took sound steadily; infinite before.

    Raises:
        SoundError: if there is none, or it cannot play.
        MissingExtraError: if sounddevice is not installed.
    """

    def __init__(self, sampling_rate: int, device: str | None = None, can_wait: bool = False) -> None:
        self.queue = PlayQueue(sampling_rate, can_wait)
        self.latencies = self.queue.latencies
        self._asked, self._begins = 0.0, threading.Event()  # seconds that the device has asked for
        self.began = self._lasts = math.inf  # until when what it was given lasts
        with _opening(device) as (library, named):
            self._stream = library.OutputStream(
                samplerate=sampling_rate,
                channels=1,
                dtype="float32",
                device=named,
                latency=DEVICE_SECONDS,
                callback=self._play,
            )
            self._opened = time.monotonic()
            self._stream.start()
        self._begins.wait(DEVICE_PATIENCE)

    def __enter__(self) -> SoundDevice:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.abort()
        self._stream.close()

    def _play(self, outdata: np.ndarray, frames: int, clock: Any, status: Any) -> None:
        now, seconds = time.monotonic(), frames / self.queue.sampling_rate
        dry = now - self._lasts  # a device that keeps little may begin so much later
        if dry > self._stream.latency or (status and status.output_underflow):
            self.queue.note_silence(max(dry, 0.0))
        self._lasts = seconds + (now if math.isinf(self._lasts) else max(now, self._lasts))
        delay = clock.outputBufferDacTime - clock.currentTime
        delay = delay if 0 < delay < 2 else self._stream.latency
        outdata[:, 0] = self.queue.take(frames, now + delay)
        self._asked += seconds
        if self._asked > 3 * self._stream.latency and not self._begins.is_set():
            self.began = now - self._opened
            self._begins.set()

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """As of [`Output`]."""
        if self.queue.can_wait:
            self._wait(max(LONGEST_QUEUE - len(audio) / self.queue.sampling_rate, 0.0))
        self.queue.put(audio, taken)

    def finish(self) -> None:
        """Wait until all has been played."""
        self.queue.target = 0.0
        self._wait(0.0)
        time.sleep(min(self._stream.latency, 0.5))

    def _wait(self, most: float) -> None:
        """Until no more seconds than that wait in the queue, or the device has taken none for long."""
        seconds, until = self.queue.seconds, time.monotonic() + DEVICE_PATIENCE
        while seconds > most and time.monotonic() < until:
            time.sleep(0.01)
            before, seconds = seconds, self.queue.seconds
            if seconds < before:
                until = time.monotonic() + DEVICE_PATIENCE


def check_sound_device(device: str | None = None) -> None:
    """
    Look whether there is a device, without opening it.

    Args:
        device (`str`, *optional*): as of [`SoundDevice`].

    Raises:
        SoundError, MissingExtraError: as of [`SoundDevice`].
    """
    with _opening(device) as (library, named):
        library.query_devices(named, "output")


@contextlib.contextmanager
def _opening(device: str | None) -> Generator[tuple[Any, int | str | None]]:
    """The module `sounddevice`, and what it calls the device; its errors become ours."""
    library = sound_library()
    try:
        yield library, int(device) if device is not None and device.isdecimal() else device
    except (library.PortAudioError, ValueError) as error:
        what = "no sound device" if device is None else f"sound device {device}"
        why = "there is none" if "querying device -1" in str(error) else one_line(error)  # of the default one
        raise SoundError(f"{what}: it cannot be opened ({why}). See --list-devices. {INSTEAD}.") from error


def sound_library() -> Any:
    """The module `sounddevice`, which brings PortAudio on macOS and Windows, but not on Linux."""
    try:
        import sounddevice  # noqa: PLC0415  may be missing
    except ModuleNotFoundError as error:
        raise missing_extra("live", "sounddevice", "Playing sound", INSTEAD[0].lower() + INSTEAD[1:]) from error
    except OSError as error:
        raise SoundError(
            f"PortAudio, which plays sound, is missing (Debian and Ubuntu: `apt install libportaudio2`). {INSTEAD}."
        ) from error
    _silence_alsa()
    return sounddevice


@functools.cache
def _silence_alsa() -> Any:
    """ALSA would write about each gap on stderr, into the status line; gaps are counted here."""
    if sys.platform != "linux":
        return None
    arguments = (ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
    handler = ctypes.CFUNCTYPE(None, *arguments)(lambda *message: None)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    return handler  # which must not be freed


def list_sound_devices() -> list[tuple[int, str, bool]]:
    """Number, name and whether it is the default one, of each device that can play."""
    library = sound_library()
    default = library.default.device[1]
    return [
        (number, device["name"], number == default)
        for number, device in enumerate(library.query_devices())
        if device["max_output_channels"]
    ]


class SoundPipe:
    """
    Writes wav into a pipe, frame by frame as it is made. Its header says that the length is not known.

    Args:
        pipe (binary file object): where to.
        sampling_rate (`int`): in Hz.
        samples_per_frame (`int`): after so many the pipe is flushed.
    """

    def __init__(self, pipe: BinaryIO, sampling_rate: int, samples_per_frame: int) -> None:
        self.latencies = Latencies()
        self._pipe, self._samples = pipe, samples_per_frame
        unknown, form = 0xFFFFFFFF, struct.pack("<IHHIIHH", 16, 1, 1, sampling_rate, 2 * sampling_rate, 2, 16)
        self._pipe.write(struct.pack("<4sI4s4s", b"RIFF", unknown, b"WAVE", b"fmt ") + form)
        self._pipe.write(struct.pack("<4sI", b"data", unknown))
        self._pipe.flush()

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """As of [`Output`]."""
        if taken is not None:
            self.latencies.add(time.monotonic() - taken)
        samples = np.round(np.clip(audio, -1, 1) * 32767).astype("<i2")
        for start in range(0, len(samples), self._samples):
            self._pipe.write(samples[start : start + self._samples].tobytes())
            self._pipe.flush()

    def finish(self) -> None:
        """Nothing is left to do."""


class SoundFile:
    """
    Hands sound to what writes a file.

    Args:
        write_block (callable): as [`open_audio`] yields it.
    """

    def __init__(self, write_block: Any) -> None:
        self.latencies = Latencies()
        self._write = write_block

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """As of [`Output`]."""
        if len(audio):
            self._write(audio)
            if taken is not None:
                self.latencies.add(time.monotonic() - taken)

    def finish(self) -> None:
        """Nothing is left to do."""


__all__ = [
    "Latencies",
    "Output",
    "PlayQueue",
    "SoundDevice",
    "SoundError",
    "SoundFile",
    "SoundPipe",
    "list_sound_devices",
    "sound_library",
]
