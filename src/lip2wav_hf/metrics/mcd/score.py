"""Mel-cepstral distortion of generated speech against the original, in dB, frame by frame or time-warped; at 16 kHz.

Which cepstra: `librosa`'s mel spectrogram (25 ms Hann windows, 5 ms apart, 40 Slaney mel bands up to 8 kHz, floor 80
dB below the clip's loudest band), and of its natural-log amplitude the cosine coefficients 1 to 24, scaled so that
`ln |H(w)| = c0 + sum c_m cos(m w)` over the mel axis. The distortion is `10 sqrt(2) / ln(10) * ||c - c'||`, averaged
over frames (Kubichek 1993), which then is the root-mean-square distance of the two smoothed spectra in dB, loudness
left out.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz
MIN_SECONDS = 0.1
FFT_LENGTH, WINDOW_LENGTH, HOP_LENGTH = 512, 400, 80  # samples
MEL_BANDS = 40
ORDER = 24  # cepstral coefficients 1 to 24
DYNAMIC_RANGE = 80.0  # dB
DECIBELS = 10 * np.sqrt(2) / np.log(10)
COMPAT_COEFFICIENTS = 13


def mel_cepstra(waveform: np.ndarray) -> np.ndarray:
    """Mel-cepstral coefficients 1 to 24 of every 5 ms.

    Args:
        waveform (`np.ndarray`, shape `(samples,)`): at 16 kHz.

    Returns:
        `np.ndarray`: shape `(frames, 24)`; all zero for silence.
    """
    import librosa

    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=SAMPLING_RATE,
        n_fft=FFT_LENGTH,
        win_length=WINDOW_LENGTH,
        hop_length=HOP_LENGTH,
        n_mels=MEL_BANDS,
    )
    log_amplitude = librosa.power_to_db(power, amin=1e-20, top_db=DYNAMIC_RANGE) * np.log(10) / 20
    # The unnormalised cosine transform is 2 sum x cos: over the number of bands, that is the c_m of the docstring.
    cosines = librosa.feature.mfcc(S=log_amplitude, n_mfcc=ORDER + 1, norm=None) / MEL_BANDS
    return cosines[1:].T  # (frames, coefficients)


def frame_distortion(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Mean distortion of cepstra of equal length, shape `(frames, coefficients)`, in dB."""
    return float(DECIBELS * np.linalg.norm(prediction - reference, axis=1).mean())


def warped_distortion(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Mean distortion along the warping path of least total distance, in dB; steps of one frame in either or both."""
    import librosa

    _, path = librosa.sequence.dtw(prediction.T, reference.T, metric="euclidean")
    return frame_distortion(prediction[path[:, 0]], reference[path[:, 1]])


def compat_distortion(prediction: np.ndarray, reference: np.ndarray) -> float:
    """The lineage's MCD of two waveforms of one length at 16 kHz; it has no unit."""
    from python_speech_features import mfcc

    features = [mfcc(waveform, SAMPLING_RATE, numcep=COMPAT_COEFFICIENTS) for waveform in (prediction, reference)]
    return float(np.linalg.norm(features[0] - features[1], axis=1).mean())


def mcd_pair(
    prediction: ArrayLike,
    reference: ArrayLike,
    sampling_rate: int,
    index: int | None = None,
    dtw: bool = False,
    compat: bool = False,
) -> dict[str, Any]:
    """MCD of one pair; see `lip2wav_hf.metrics.waveforms.check_pair`.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        index (`int`, *optional*): number of the pair, for errors.
        dtw (`bool`, *optional*, defaults to `False`): add `mcd_dtw`.
        compat (`bool`, *optional*, defaults to `False`): add `mcd_compat`.

    Returns:
        `dict`: `mcd` (float, dB), perhaps `mcd_dtw` (dB) and `mcd_compat`, `cut_samples` (int, at `sampling_rate`),
        `outcome`: `"scored"`; `"silent prediction"`, with the distance to a flat spectrum; or `"unscorable"`, with
        NaN, where the original is silent.

    Raises:
        WaveformError: for a waveform that is shorter than 0.1 s, not mono, or not finite.
    """
    prediction, reference, cut_samples = check_pair(prediction, reference, sampling_rate, MIN_SECONDS, index)
    keys = ["mcd"] + ["mcd_dtw"] * dtw + ["mcd_compat"] * compat
    if is_silent(reference):
        return dict.fromkeys(keys, float("nan")) | {"cut_samples": cut_samples, "outcome": "unscorable"}
    outcome = "silent prediction" if is_silent(prediction) else "scored"
    prediction = resample(prediction, sampling_rate, SAMPLING_RATE)
    reference = resample(reference, sampling_rate, SAMPLING_RATE)
    cepstra = mel_cepstra(prediction), mel_cepstra(reference)
    scores = {"mcd": frame_distortion(*cepstra)}
    if dtw:
        scores["mcd_dtw"] = warped_distortion(*cepstra)
    if compat:
        scores["mcd_compat"] = compat_distortion(prediction, reference)
    return scores | {"cut_samples": cut_samples, "outcome": outcome}


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """The distortion's columns of `clips.csv`."""
    return mcd_pair(pair.prediction, pair.original, pair.sampling_rate, dtw=True, compat=pair.compat)


__all__ = [
    "COMPAT_COEFFICIENTS",
    "DECIBELS",
    "DYNAMIC_RANGE",
    "FFT_LENGTH",
    "HOP_LENGTH",
    "MEL_BANDS",
    "MIN_SECONDS",
    "ORDER",
    "SAMPLING_RATE",
    "WINDOW_LENGTH",
    "compat_distortion",
    "frame_distortion",
    "mcd_pair",
    "mel_cepstra",
    "score_clip",
    "warped_distortion",
]
