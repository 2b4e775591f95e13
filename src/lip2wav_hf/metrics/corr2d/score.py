"""Corr2D: correlation of the auditory spectrograms of generated and original speech, Lip2AudSpec's measure; at 16 kHz.

The auditory spectrogram is an approximation of `wav2aud` of the NSL toolbox (Yang, Wang and Shamma 1992) with the
settings of Lip2AudSpec: 128 channels of 24 per octave from 180 Hz, 10 ms frames, 10 ms integration, no hair-cell
compression, power 0.3. Cochlear filters, the difference of neighbouring channels, half-wave rectification and leaky
integration follow it; the filters themselves are minimum-phase filters with the magnitude response of the toolbox's,
which is one curve over the distance in octaves from a channel's characteristic frequency.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz
MIN_SECONDS = 0.1
CHANNELS = 128  # one more is filtered, for the difference with the channel above
FRAME = 160  # samples, 10 ms
INTEGRATION = 160  # samples, 10 ms: time constant of the leaky integration
POWER = 0.3
CHARACTERISTIC_FREQUENCIES = 440 * 2 ** ((np.arange(CHANNELS + 1) - 31) / 24)  # Hz, 180 to 7246
# Octaves from the characteristic frequency, and there the median magnitude response of the toolbox's filters, in dB.
# fmt: off
RESPONSE = (
    (-6, -26.1), (-4, -24.5), (-3, -23.8), (-2, -22.1), (-1.5, -20.1), (-1, -16.5), (-0.75, -13.8), (-0.5, -10.1),
    (-0.25, -5.7), (-0.1, -2.2), (-0.05, -1), (0, -0.15), (0.02, 0), (0.03, -0.1), (0.04, -0.5), (0.05, -1.7),
    (0.06, -3.7), (0.07, -6.5), (0.08, -9.7), (0.09, -12.8), (0.1, -15.5), (0.12, -18.2), (0.14, -18.8), (0.2, -19.6),
    (0.25, -20.9), (0.3, -22.2), (0.5, -26.1), (1, -31), (2, -38), (4, -50),
)
# fmt: on
DESIGN_LENGTH = 16384  # samples of the spectrum in which the filters are designed
FILTER_LENGTH = 4096  # samples kept of an impulse response
BLOCK = 300  # frames filtered at once: bounds the memory
TRANSFORM_LENGTH = next_fast_len(BLOCK * FRAME + FILTER_LENGTH - 1, real=True)


@cache
def cochlear_filters() -> np.ndarray:
    """Spectra of the filters, `(129, TRANSFORM_LENGTH // 2 + 1)`, lowest first; minimum phase, by the cepstrum."""
    frequencies = np.fft.rfftfreq(DESIGN_LENGTH, 1 / SAMPLING_RATE)
    frequencies[0] = frequencies[1]
    octaves = np.log2(frequencies / CHARACTERISTIC_FREQUENCIES[:, None])
    log_magnitude = np.interp(octaves, *np.array(RESPONSE).T) * np.log(10) / 20
    cepstrum = irfft(log_magnitude, DESIGN_LENGTH, axis=1)
    cepstrum[:, 1 : DESIGN_LENGTH // 2] *= 2
    cepstrum[:, DESIGN_LENGTH // 2 + 1 :] = 0
    impulse_responses = irfft(np.exp(rfft(cepstrum, axis=1)), DESIGN_LENGTH, axis=1)[:, :FILTER_LENGTH]
    return rfft(impulse_responses, TRANSFORM_LENGTH, axis=1)


def auditory_spectrogram(waveform: np.ndarray) -> np.ndarray:
    """The auditory spectrogram, with power 0.3.

    Args:
        waveform (`np.ndarray`, shape `(samples,)`): at 16 kHz.

    Returns:
        `np.ndarray`: shape `(128, frames)`, one frame per 10 ms begun, lowest channel first; at least 0.
    """
    frames = -(-len(waveform) // FRAME)
    history = FILTER_LENGTH - 1
    padded = np.pad(waveform, (history, frames * FRAME - len(waveform)))
    decay = np.exp(-1 / INTEGRATION)
    weights = decay ** np.arange(FRAME - 1, -1, -1)
    energies = []
    for start in range(0, frames, BLOCK):
        count = min(BLOCK, frames - start)
        block = padded[start * FRAME : (start + count) * FRAME + history]
        # The convolution wraps around into the samples of the history, which are cut off.
        filtered = irfft(rfft(block, TRANSFORM_LENGTH) * cochlear_filters(), TRANSFORM_LENGTH, axis=1)
        filtered = filtered[:, history : history + count * FRAME]
        rectified = np.maximum(filtered[:-1] - filtered[1:], 0)  # (channels, samples)
        energies.append(rectified.reshape(CHANNELS, count, FRAME) @ weights)
    integrated = lfilter([1], [1, -(decay**FRAME)], np.concatenate(energies, axis=1), axis=1)
    return np.maximum(integrated, 0) ** POWER


def corr2d_pair(
    prediction: ArrayLike, reference: ArrayLike, sampling_rate: int, index: int | None = None
) -> dict[str, Any]:
    """Corr2D of one pair; see `lip2wav_hf.metrics.waveforms.check_pair`.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        index (`int`, *optional*): number of the pair, for errors.

    Returns:
        `dict`: `corr2d` (float), `cut_samples` (int, at `sampling_rate`), `outcome`: `"scored"`; `"silent
        prediction"`, with 0; or `"unscorable"`, with NaN, where the original is silent.

    Raises:
        WaveformError: for a waveform that is shorter than 0.1 s, not mono, or not finite.
    """
    prediction, reference, cut_samples = check_pair(prediction, reference, sampling_rate, MIN_SECONDS, index)
    if is_silent(reference):
        return {"corr2d": float("nan"), "cut_samples": cut_samples, "outcome": "unscorable"}
    if is_silent(prediction):
        return {"corr2d": 0.0, "cut_samples": cut_samples, "outcome": "silent prediction"}
    spectrograms = [
        auditory_spectrogram(resample(waveform, sampling_rate, SAMPLING_RATE)) for waveform in (prediction, reference)
    ]
    correlation = np.corrcoef(spectrograms[0].ravel(), spectrograms[1].ravel())[0, 1]
    return {"corr2d": float(np.clip(correlation, -1, 1)), "cut_samples": cut_samples, "outcome": "scored"}


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """Corr2D's column of `clips.csv`."""
    return corr2d_pair(pair.prediction, pair.original, pair.sampling_rate)


__all__ = [
    "BLOCK",
    "CHANNELS",
    "CHARACTERISTIC_FREQUENCIES",
    "DESIGN_LENGTH",
    "FILTER_LENGTH",
    "FRAME",
    "INTEGRATION",
    "MIN_SECONDS",
    "POWER",
    "RESPONSE",
    "SAMPLING_RATE",
    "TRANSFORM_LENGTH",
    "auditory_spectrogram",
    "cochlear_filters",
    "corr2d_pair",
    "score_clip",
]
