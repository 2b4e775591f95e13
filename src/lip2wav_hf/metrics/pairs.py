"""The input of a metric for one clip: the generated sound, the original, the sentence and the video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.metrics.words import is_grid_sentence


if TYPE_CHECKING:
    from lip2wav_hf.video import VideoPart

SAMPLING_RATE = 16000  # Hz, at which everything is scored


class Hears(Protocol):
    """A recogniser of words."""

    def transcribe(self, waveform: np.ndarray, sampling_rate: int, name: str = ...) -> str:
        """The words heard in a waveform; empty for silence."""


class MissingJudgeError(Lip2WavError):
    """Words that nobody hears."""


class MissingOriginalError(Lip2WavError):
    """A comparison with the original of a recording without sound."""


@dataclass(frozen=True)
class Heard:
    """
    What a judge of words heard.

    Attributes:
        generated (`str`): in the generated speech.
        original (`str`, *optional*): in the original, where there is one.
    """

    generated: str
    original: str | None


@dataclass(frozen=True)
class SoundPair:
    """
    What one clip is scored from.

    Attributes:
        prediction (`np.ndarray`, shape `(samples,)`): the generated speech, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`, *optional*): the original speech, 16 kHz; `None` where the
            recording has no sound.
        sentence (`str`, *optional*): the words spoken.
        video (`Path` or `VideoPart`, *optional*): the video file, or the part of it, for the metrics that look
            at the lips.
        compat (`bool`): whether the lineage's forms are computed too.
        text (`str`, *optional*): what the system's text head recognised.
        judge (`Callable`, *optional*): gives the recogniser that hears the words, such as one of `recognizers.py`.
        phrases (`int`, *optional*): how many sentences the corpus has, where they are a closed list.
    """

    prediction: np.ndarray
    reference: np.ndarray | None
    sentence: str | None = None
    video: Path | VideoPart | None = None
    compat: bool = False
    text: str | None = None
    judge: Callable[[], Hears] | None = None
    phrases: int | None = None

    @cached_property
    def heard(self) -> Heard:
        """
        What the judge hears; every metric of words is computed from the same transcripts.

        Raises:
            MissingJudgeError: if there is none.
            JudgeError: if it cannot be had.
        """
        if self.judge is None:
            raise MissingJudgeError("nobody hears the words of this clip: give it a judge.")
        hears = self.judge().transcribe
        original = None if self.reference is None else hears(self.reference, self.sampling_rate, "reference")
        return Heard(hears(self.prediction, self.sampling_rate, "prediction"), original)

    @property
    def original(self) -> np.ndarray:
        """The original speech, for the metrics that need it.

        Raises:
            MissingOriginalError: if the recording has no sound.
        """
        if self.reference is None:
            raise MissingOriginalError("the recording has no sound, so there is nothing to compare with.")
        return self.reference

    @property
    def grid_sentence(self) -> str | None:
        """The sentence, if it is one of GRID's grammar."""
        return self.sentence if is_grid_sentence(self.sentence) else None

    @property
    def sampling_rate(self) -> int:
        """Rate of both waveforms, in Hz."""
        return SAMPLING_RATE


def align(prediction: np.ndarray, reference: np.ndarray, shift_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """
    A generated waveform and its original, of one length, after the first was moved by a shift.

    Args:
        prediction (`np.ndarray`, shape `(samples,)`): the generated waveform, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`): the original waveform, 16 kHz.
        shift_seconds (`float`): by how much the first is late, as `scoring.find_shift` reports it.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: what remains of both.
    """
    shift = round(shift_seconds * SAMPLING_RATE)
    prediction, reference = prediction[max(shift, 0) :], reference[max(-shift, 0) :]
    length = min(len(prediction), len(reference))
    return prediction[:length], reference[:length]


__all__ = ["SAMPLING_RATE", "Heard", "MissingJudgeError", "MissingOriginalError", "SoundPair", "align"]
