"""How loud speech is."""

from __future__ import annotations

import numpy as np


INAUDIBLE = -60.0  # dBFS; our choice
LEVEL_WINDOW = 0.02  # seconds
SAMPLING_RATE = 16000  # Hz


def speech_level(waveform: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> float:
    """
    How loud the speech in a recording is.

    Args:
        waveform (`np.ndarray` of shape `(samples,)`): full scale 1.
        sampling_rate (`int`, *optional*, defaults to 16000): in Hz.

    Returns:
        `float`: root mean square, in dBFS, of the 20 ms windows within 20 dB of the loud ones (the 95th percentile);
        `-inf` for silence.
    """
    length = max(round(LEVEL_WINDOW * sampling_rate), 1)
    windows = waveform[: len(waveform) // length * length].reshape(-1, length).astype(np.float64)
    power = np.square(windows).mean(1)
    if not len(power) or not power.max() > 0:
        return float("-inf")
    loud = power[power >= np.quantile(power, 0.95) / 100]
    return float(10 * np.log10(max(loud.mean(), 1e-30)))


__all__ = ["INAUDIBLE", "SAMPLING_RATE", "speech_level"]
