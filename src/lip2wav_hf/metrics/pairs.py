"""The input of a metric for one clip: the generated sound, the original, the sentence and the video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lip2wav_hf.metrics.words import is_grid_sentence


if TYPE_CHECKING:
    from lip2wav_hf.video import VideoPart

SAMPLING_RATE = 16000  # Hz, at which everything is scored


@dataclass(frozen=True)
class SoundPair:
    """
    What one clip is scored from.

    Attributes:
        prediction (`np.ndarray`, shape `(samples,)`): the generated speech, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`): the original speech, 16 kHz.
        sentence (`str`, *optional*): the words spoken.
        video (`Path` or `VideoPart`, *optional*): the video file, or the part of it, for the metrics that look
            at the lips.
        compat (`bool`): whether the lineage's forms are computed too.
    """

    prediction: np.ndarray
    reference: np.ndarray
    sentence: str | None = None
    video: Path | VideoPart | None = None
    compat: bool = False

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


__all__ = ["SAMPLING_RATE", "SoundPair", "align"]
