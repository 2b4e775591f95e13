"""How late live speech is, and what is lost, over some minutes.

    python benchmarks/live.py --minutes 10 [--runtime onnx]

A video is played over and over at its own speed, as a camera would show it: pictures that nobody takes in time are
dropped. Sound goes through the queue of a sound device into one made up here, which takes 10 ms every 10 ms, or with
`--device` into a real one. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lip2wav_hf
from lip2wav_hf import Lip2WavStreamer, VideoReader
from lip2wav_hf.commands.options import Runtime
from lip2wav_hf.commands.speak import chosen_graphs, load_speaker
from lip2wav_hf.lite.graphs import STREAMS
from lip2wav_hf.live.player import Latencies, Output, PlayQueue, SoundDevice
from lip2wav_hf.live.running import LiveProgress, run_live
from lip2wav_hf.live.sources import TimedPictures
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL, SPEAKING, find_model


SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"
PERIOD = 0.01  # seconds of sound that the device takes at a time


class ClockDevice:
    """A sound device without sound: a thread that takes blocks from a queue by the clock."""

    def __init__(self, sampling_rate: int) -> None:
        self.queue = PlayQueue(sampling_rate)
        self.latencies = self.queue.latencies
        self._samples = round(PERIOD * sampling_rate)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ClockDevice:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_stopped.wait(max(due - time.monotonic(), 0)):
            self.queue.take(self._samples, due)
            due += PERIOD

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """As of [`Output`]."""
        self.queue.put(audio, taken)

    def finish(self) -> None:
        """Nothing is left to do."""


class Made:
    """When sound was made, before it waits for a device; and the longest time without any."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.longest_wait, self._last = 0.0, 0.0

    def write(self, audio: np.ndarray, taken: float | None) -> None:
        """As of [`Output`]."""
        if taken is None:
            return
        now = time.monotonic()
        self.longest_wait = max(self.longest_wait, now - self._last if self._last else 0.0)
        self._last = now
        self.latencies.add(now - taken)

    def finish(self) -> None:
        """Nothing is left to do."""


def looped(video: Path, seconds: float) -> TimedPictures:
    """The pictures of a video, forwards and backwards, so that the face does not jump, at 25 a second."""
    with VideoReader(video) as reader:
        pictures = list(reader)
    endless: Iterator[np.ndarray] = itertools.cycle([*pictures, *pictures[-2:0:-1]])
    start = time.monotonic()
    for number, picture in enumerate(endless):
        if number / 25 >= seconds:
            return
        time.sleep(max(start + number / 25 - time.monotonic(), 0))
        yield start + number / 25, picture


def measure(streamer: Lip2WavStreamer, video: Path, seconds: float, device: str | None) -> list[tuple[str, str]]:
    """Rows of the table: what, and how much."""
    made, before = Made(), time.process_time()
    sound = SoundDevice(streamer.sampling_rate, device) if device else ClockDevice(streamer.sampling_rate)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with sound:
        outputs: list[Output] = [sound, made]
        progress: LiveProgress = run_live(streamer, looped(video, seconds), outputs)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    queue, used = sound.queue, time.process_time() - before

    def both(latencies: Latencies) -> str:
        values = (latencies.percentile(share) for share in (50, 95, 100))
        return ", ".join(f"{1000 * value:.0f}" for value in values)

    return [
        ("pictures taken, dropped because the machine was behind", f"{progress.pictures}, {progress.behind}"),
        ("frames repeated for missing ones", f"{progress.repeated}"),
        ("picture to sound made, ms: median, 95 %, most", both(made.latencies)),
        ("picture to sound at the device, ms: median, 95 %, most", both(queue.latencies)),
        ("longest time between two chunks, ms", f"{1000 * made.longest_wait:.0f}"),
        ("gaps in the sound; in all, longest, ms", gaps(queue)),
        ("sound left out to catch up, ms", f"{1000 * queue.left_out:.0f}"),
        ("processor time, % of a core", f"{100 * used / max(progress.seconds, 1e-9):.0f}"),
        ("memory that came to it, MB", f"{grown / 1024:.1f}"),
    ]


def computing(streamer: Lip2WavStreamer, video: Path) -> list[tuple[str, str]]:
    """Rows on the processor time of single pictures, which other processes hardly change."""
    with_sound, without = Latencies(), Latencies()
    with VideoReader(video) as reader:
        pictures = list(reader)
    endless = itertools.cycle([*pictures, *pictures[-2:0:-1]])
    for number, picture in enumerate(itertools.islice(endless, 1500)):
        begin = time.thread_time()
        speech = streamer.push(picture, number / 25)
        (with_sound if len(speech.audio) else without).add(time.thread_time() - begin)
    streamer.reset()

    def both(latencies: Latencies) -> str:
        return ", ".join(f"{1000 * latencies.percentile(share):.0f}" for share in (50, 95, 100))

    return [
        ("processor time of a picture that brings sound, ms: median, 95 %, most", both(with_sound)),
        ("processor time of another picture, ms: median, 95 %, most", both(without)),
    ]


def gaps(queue: PlayQueue) -> str:
    """How many, and how long."""
    return f"{queue.gaps}; {1000 * queue.gap_seconds:.0f}, {1000 * queue.longest_gap:.0f}"


def load() -> str:
    """The load of the machine, where it can be known."""
    with contextlib.suppress(OSError):
        return f"{os.getloadavg()[0]:.1f}"
    return "unknown"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--video", type=Path, default=SAMPLE, help="what is played; the bundled sample by default")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--look-ahead", type=int, nargs="+", default=[3])
    parser.add_argument("--runtime", type=Runtime, choices=list(Runtime), default=Runtime.TORCH)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--device", help="name of a sound device")
    options = parser.parse_args()
    folder = find_model(options.model, SPEAKING)
    graphs = chosen_graphs(folder, options.runtime, "cpu", files=STREAMS)
    if graphs is None:
        import torch

        torch.set_num_threads(1)
    speaker = load_speaker(folder, "cpu", graphs=graphs)
    columns, loads = [], [load()]
    for look_ahead in options.look_ahead:
        streamer = Lip2WavStreamer.from_speaker(speaker, look_ahead)
        streamer.warm_up()
        rows = computing(streamer, options.video)
        columns.append([*rows, *measure(streamer, options.video, 60 * options.minutes, options.device)])
        loads.append(load())
    runtime = "torch" if graphs is None else "ONNX Runtime"
    print(f"{machine()}; {runtime}; {options.minutes:g} minutes each; load {', '.join(loads)}\n")
    print("| look-ahead, frames |", " | ".join(map(str, options.look_ahead)), "|")
    print("|---|" + "---|" * len(columns))
    for rows in zip(*columns, strict=True):
        print(f"| {rows[0][0]} |", " | ".join(value for _, value in rows), "|")


if __name__ == "__main__":
    main()
