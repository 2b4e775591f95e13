"""Prepare waveforms for a metric: check them, resample them, cut them to one length."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import resample_poly

from lip2wav_hf.errors import Lip2WavError


LARGEST_PLAUSIBLE_PEAK = 64.0  # a float waveform louder than this is integer PCM that was never scaled


class WaveformError(Lip2WavError):
    """A waveform that no metric can score."""


class ShortWaveformError(WaveformError):
    """A waveform that is too short for a metric; others may score it."""


def check_waveform(waveform: ArrayLike, name: str, min_samples: int = 1) -> np.ndarray:
    """A waveform as float64 samples, full scale at 1.

    Args:
        waveform (array, shape `(samples,)`): floats with full scale at 1, or integer PCM (divided by its type's full
            scale; the middle of unsigned types is silence).
        name (`str`): what to call it in an error.
        min_samples (`int`, *optional*, defaults to 1): fewest samples accepted.

    Returns:
        `np.ndarray`: float64, shape `(samples,)`. Samples beyond full scale are kept as they are.

    Raises:
        ShortWaveformError: for too few samples.
        WaveformError: for more than one channel, NaN or infinite samples, or floats that look like unscaled integer
            PCM.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise WaveformError(f"{name} has shape {waveform.shape}: give one channel, of shape (samples,).")
    if np.issubdtype(waveform.dtype, np.integer):
        full_scale = 2.0 ** (8 * waveform.dtype.itemsize - 1)
        silence = full_scale if np.issubdtype(waveform.dtype, np.unsignedinteger) else 0.0
        waveform = (waveform - silence) / full_scale
    waveform = waveform.astype(np.float64)
    if len(waveform) < min_samples:
        raise ShortWaveformError(f"{name} is too short: {len(waveform)} samples, at least {min_samples} are needed.")
    if not np.isfinite(waveform).all():
        bad = int((~np.isfinite(waveform)).sum())
        raise WaveformError(f"{name} has {bad} NaN or infinite samples of {len(waveform)}: it cannot be scored.")
    if len(waveform) and np.abs(waveform).max() > LARGEST_PLAUSIBLE_PEAK:
        raise WaveformError(
            f"{name} peaks at {np.abs(waveform).max():.0f}: floats are expected with full scale at 1; divide 16-bit "
            "samples by 32768."
        )
    return waveform


def resample(waveform: np.ndarray, sampling_rate: int, new_sampling_rate: int) -> np.ndarray:
    """A waveform at another sampling rate, through scipy's polyphase filter.

    Args:
        waveform (`np.ndarray`, shape `(samples,)`): the waveform.
        sampling_rate (`int`): its rate, in Hz.
        new_sampling_rate (`int`): the rate wanted, in Hz.

    Returns:
        `np.ndarray`: shape `(new_samples,)`; the same array if the rates are equal.

    Raises:
        WaveformError: if a rate is not a positive whole number.
    """
    for rate in (sampling_rate, new_sampling_rate):
        if int(rate) != rate or rate <= 0:
            raise WaveformError(f"a sampling rate of {rate!r} Hz: it must be a positive whole number.")
    if sampling_rate == new_sampling_rate:
        return waveform
    divisor = gcd(int(sampling_rate), int(new_sampling_rate))
    return resample_poly(waveform, int(new_sampling_rate) // divisor, int(sampling_rate) // divisor)


def check_pair(
    prediction: ArrayLike, reference: ArrayLike, sampling_rate: int, min_seconds: float, index: int | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """A generated waveform and its original, checked and cut to the shorter of the two.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        min_seconds (`float`): shortest duration accepted, in seconds.
        index (`int`, *optional*): number of the pair, for errors.

    Returns:
        `tuple[np.ndarray, np.ndarray, int]`: both as float64 of one length, and how many samples the longer one lost.

    Raises:
        WaveformError: see `check_waveform`; also for a sampling rate that is not a positive whole number.
    """
    resample(np.zeros(0), sampling_rate, sampling_rate)
    min_samples = int(np.ceil(min_seconds * sampling_rate))
    number = "" if index is None else f" {index}"
    prediction = check_waveform(prediction, f"prediction{number}", min_samples)
    reference = check_waveform(reference, f"reference{number}", min_samples)
    length = min(len(prediction), len(reference))
    return prediction[:length], reference[:length], max(len(prediction), len(reference)) - length


def is_silent(waveform: np.ndarray) -> bool:
    """Whether a waveform holds nothing but zeros (or a constant)."""
    return len(waveform) == 0 or bool(np.ptp(waveform) == 0)


def mean_of_scored(values: list[float]) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    scored = [value for value in values if not np.isnan(value)]
    return float(np.mean(scored)) if scored else float("nan")


__all__ = [
    "ShortWaveformError",
    "WaveformError",
    "check_pair",
    "check_waveform",
    "is_silent",
    "mean_of_scored",
    "resample",
]
