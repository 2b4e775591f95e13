"""STOI and ESTOI, the intelligibility of generated speech against the original, at 16 kHz.

The maths is the `pystoi` package's (Taal et al. 2011; Jensen and Taal 2016); this module adds the sampling rate, and
the handling of silence and of unequal lengths.
"""

import contextlib
import warnings
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pystoi import stoi as short_time_intelligibility
from scipy.signal import butter, lfilter, sosfiltfilt

from lip2wav_hf.metrics.pairs import SoundPair, align
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz; pystoi itself goes on to 10 kHz
MIN_SECONDS = 0.4098  # 30 frames of 256 samples, 128 apart, at 10 kHz, and one hop for the last, incomplete frame
EXTENDED = {"stoi": False, "estoi": True}
COMPAT = ("stoi_compat", "stoi_filtered", "estoi_filtered")
HIGH_PASS = 55.0  # Hz
PRE_EMPHASIS = 0.97


def overflowing_int16(waveform: np.ndarray) -> np.ndarray:
    """`round(x * 2**16)` stored as a 16-bit integer: beyond half of full scale it wraps around."""
    return np.round(waveform * 2**16).astype(np.int64).astype(np.int16)


def without_hum(waveform: np.ndarray) -> np.ndarray:
    """High-passed at 55 Hz (Butterworth, order 4: our choice) and pre-emphasised with 0.97; at 16 kHz."""
    sections = butter(4, HIGH_PASS, "highpass", fs=SAMPLING_RATE, output="sos")
    return lfilter([1.0, -PRE_EMPHASIS], [1.0], sosfiltfilt(sections, waveform))


def stoi_pair(
    prediction: ArrayLike, reference: ArrayLike, sampling_rate: int, index: int | None = None, compat: bool = False
) -> dict[str, Any]:
    """STOI and ESTOI of one pair; see `lip2wav_hf.metrics.waveforms.check_pair`.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        index (`int`, *optional*): number of the pair, for errors.
        compat (`bool`, *optional*, defaults to `False`): add `stoi_compat`, `stoi_filtered` and `estoi_filtered`.

    Returns:
        `dict`: `stoi` and `estoi` (float), those of `compat`, `cut_samples` (int, at `sampling_rate`), `outcome`:
        `"scored"`; `"silent prediction"`, with scores of 0; or `"unscorable"`, with NaN, where the original holds less
        than 0.4 s of sound.

    Raises:
        WaveformError: for a waveform that is shorter than 0.41 s, not mono, or not finite.
    """
    prediction, reference, cut_samples = check_pair(prediction, reference, sampling_rate, MIN_SECONDS, index)
    keys = ["stoi", "estoi", *(COMPAT if compat else ())]
    unscorable = dict.fromkeys(keys, float("nan")) | {"cut_samples": cut_samples, "outcome": "unscorable"}
    if is_silent(reference):
        return unscorable
    if is_silent(prediction):
        return dict.fromkeys(keys, 0.0) | {"cut_samples": cut_samples, "outcome": "silent prediction"}
    pair = [resample(waveform, sampling_rate, SAMPLING_RATE) for waveform in (reference, prediction)]
    scores = {name: _score(*pair, extended) for name, extended in EXTENDED.items()}
    if compat:
        scores["stoi_compat"] = _score(*(overflowing_int16(waveform) for waveform in pair), False)
        filtered = [without_hum(waveform) for waveform in pair]
        scores |= {f"{name}_filtered": _score(*filtered, extended) for name, extended in EXTENDED.items()}
    if None in scores.values():
        return unscorable
    return scores | {"cut_samples": cut_samples, "outcome": "scored"}


@contextlib.contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Numpy's global generator begins with a seed, and afterwards is as it was."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def _score(reference: np.ndarray, prediction: np.ndarray, extended: bool) -> float | None:
    """The package's score; `None` if too little of the original remains once its silent frames are gone."""
    # ESTOI adds noise of 1e-16 from numpy's global generator: seeded, a clip always scores the same to the last bit.
    with warnings.catch_warnings(), _seeded(0):
        # pystoi returns 1e-5 with this warning when too little of the original remains after its silent frames went.
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            score = short_time_intelligibility(reference, prediction, SAMPLING_RATE, extended=extended)
        except RuntimeWarning:
            return None
    return float(np.clip(score, -1.0, 1.0))  # rounding leaves an identity at 1 + 1e-16


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """STOI's columns of `clips.csv`: beside the plain ones those against the original in sync with its video."""
    scores = stoi_pair(pair.prediction, pair.original, pair.sampling_rate, compat=pair.compat)
    scores |= {"stoi_outcome": scores["outcome"]}
    offset = None if pair.video is None else _original_offset(pair.video, pair.original)
    if offset is None:
        return scores
    moved = stoi_pair(*align(pair.prediction, pair.original, -offset), pair.sampling_rate)
    return scores | {
        "in_sync_stoi": moved["stoi"],
        "in_sync_estoi": moved["estoi"],
        "original_offset_seconds": offset,
    }


def _original_offset(video: Any, original: np.ndarray) -> float | None:
    """By how many seconds an original is late against its own video; 0 where no offset stands out."""
    # Late, because it brings torch and transformers, which a pair of sounds does not need.
    from lip2wav_hf.metrics.synchrony import MIN_CONFIDENCE, MIN_FRAMES, find_sound_offset, mouth_regions

    regions = mouth_regions(video)
    if regions is None or min(len(regions), len(original) * 25 // SAMPLING_RATE) < MIN_FRAMES:
        return None
    offset, confidence = find_sound_offset(regions, original)
    return offset if confidence >= MIN_CONFIDENCE else 0.0


__all__ = [
    "COMPAT",
    "EXTENDED",
    "HIGH_PASS",
    "MIN_SECONDS",
    "PRE_EMPHASIS",
    "SAMPLING_RATE",
    "overflowing_int16",
    "score_clip",
    "stoi_pair",
    "without_hum",
]
