"""From pictures that come in real time to sound that leaves at once: the loop of `lip2wav live`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..decoding import Word
from ..errors import VideoError
from .player import Output
from .sources import Feed, TimedPictures
from .streamer import Lip2WavStreamer, LiveSpeech


MOST_WORDS = 50  # that a session's report repeats


@dataclass
class LiveProgress:
    """
    What a live session has come to.

    Attributes:
        samples, sampling_rate (`int`): of the sound.
        pictures (`int`): that were taken.
        behind (`int`): pictures that were dropped because the machine was behind.
        surplus, repeated, restarts (`int`): as `dropped`, `repeated` and `restarts` of [`Lip2WavStreamer`].
        face (`bool`): whether one is in sight; `seen`: whether one ever was.
        words (`deque[Word]`), written (`deque[str]`): the newest, and how they are written.
        latency (`float`, *optional*): of the newest sound, from the beginning of its picture to its being made.
    """

    samples: int = 0
    sampling_rate: int = 16000
    pictures: int = 0
    behind: int = 0
    surplus: int = 0
    repeated: int = 0
    restarts: int = 0
    face: bool = False
    seen: bool = False
    words: deque[Word] = field(default_factory=lambda: deque(maxlen=MOST_WORDS))
    written: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_WORDS))
    latency: float | None = None

    @property
    def seconds(self) -> float:
        """Of sound."""
        return self.samples / self.sampling_rate

    @property
    def text(self) -> str:
        """The newest words as they are written."""
        return " ".join(filter(None, self.written))

    def add(self, words: Sequence[Word], written: Sequence[str]) -> None:
        """Take further words, and how the newest are written, as a [`LiveSpeech`] has them."""
        self.words.extend(words)
        for _ in range(min(len(written) - len(words), len(self.written))):
            self.written.pop()
        self.written.extend(written)


def run_live(
    streamer: Lip2WavStreamer,
    pictures: TimedPictures,
    outputs: Sequence[Output],
    seconds: float | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    show: Callable[[LiveProgress], None] = lambda progress: None,
    progress: LiveProgress | None = None,
    can_wait: bool = False,
) -> LiveProgress:
    """
    Speak until the pictures end.

    Args:
        streamer ([`Lip2WavStreamer`]): a new session.
        pictures ([`TimedPictures`]): taken in a thread of its own.
        outputs (sequence of [`Output`]): each gets all sound.
        seconds (`float`, *optional*): after so many of pictures, stop.
        is_stopped (callable, *optional*): asked after each picture, and ten times a second, whether to stop.
        show (callable, *optional*): called each time with what has been done so far.
        progress ([`LiveProgress`], *optional*): brought up to date and returned; a new one by default.
        can_wait (`bool`, *optional*, defaults to `False`): as for [`Feed`].

    Raises:
        CameraError: if the camera stops; what was seen before has been spoken.
        VideoError: if a video cannot be read; likewise.
    """
    progress, failure = LiveProgress() if progress is None else progress, None
    with Feed(pictures, can_wait) as feed:
        start: float | None = None
        try:
            while not is_stopped() and not feed.is_over:
                timed = feed.get(0.1)
                if timed is not None:
                    taken, picture = timed
                    start = taken if start is None else start
                    if seconds is not None and taken - start >= seconds - 1e-6:
                        break
                    progress.pictures += 1
                    _hand_over(streamer, streamer.push(picture, taken), outputs, progress)
                progress.behind = feed.dropped
                show(progress)
        except VideoError as error:
            failure = error
    _hand_over(streamer, streamer.flush(), outputs, progress)
    for output in outputs:
        output.finish()
    show(progress)
    if failure is not None:
        raise failure
    return progress


def _hand_over(
    streamer: Lip2WavStreamer, speech: LiveSpeech, outputs: Sequence[Output], progress: LiveProgress
) -> None:
    for output in outputs:
        output.write(speech.audio, speech.time)
    progress.samples, progress.sampling_rate = progress.samples + len(speech.audio), streamer.sampling_rate
    progress.surplus, progress.repeated, progress.restarts = streamer.dropped, streamer.repeated, streamer.restarts
    progress.face, progress.seen = speech.face, progress.seen or speech.face
    progress.add(speech.words, speech.written)
    if speech.time is not None:
        progress.latency = time.monotonic() - speech.time


__all__ = ["LiveProgress", "run_live"]
