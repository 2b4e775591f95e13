"""STOI and ESTOI, the intelligibility of generated speech against the original, at 16 kHz.

The maths is the `pystoi` package's (Taal et al. 2011; Jensen and Taal 2016); this module adds the sampling rate, the
handling of silence and of unequal lengths, and the form of an `evaluate` module.
"""

import warnings
from typing import Any

import numpy as np
from evaluate.module import temp_seed
from numpy.typing import ArrayLike
from pystoi import stoi as short_time_intelligibility
from scipy.signal import butter, lfilter, sosfiltfilt

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.pairs import SoundPair, align
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz; pystoi itself goes on to 10 kHz
MIN_SECONDS = 0.4098  # 30 frames of 256 samples, 128 apart, at 10 kHz, and one hop for the last, incomplete frame
EXTENDED = {"stoi": False, "estoi": True}
COMPAT = ("stoi_compat", "stoi_filtered", "estoi_filtered")
HIGH_PASS = 55.0  # Hz
PRE_EMPHASIS = 0.97

_DESCRIPTION = """\
STOI and ESTOI (short-time objective intelligibility, and its extended form): how well the envelope of generated speech
in third octaves follows that of the original over 0.4 s. 1 is a perfect match; 0, or a little below, none. Higher is
better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    references (list of float sequences): the original waveforms, in the same order.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 16 kHz.
    compat (bool, optional, defaults to False): also compute STOI as Vougioukas et al. and Mira et al. do, on 16-bit
        samples `round(x * 2**16)` that wrap around where |x| is 0.5 or more; and STOI and ESTOI of both sounds
        high-passed at 55 Hz and pre-emphasised, as VCA-GAN (Kim et al. 2021) prepares its speech. In recordings with
        hum, such as GRID's, plain STOI counts the pauses as speech; filtered, it leaves them out.
Returns:
    stoi, estoi (float): means over the clips that could be scored; NaN if none could.
    stoi_compat, stoi_filtered, estoi_filtered (float): where asked for.
    stoi_per_clip, estoi_per_clip, … (list of float): NaN where the original holds less than 0.4 s of sound.
    cut_samples (list of int): by how many samples the longer waveform of each pair was cut, at sampling_rate.
    silent_predictions (int): clips scored 0 because the generated waveform is silent.
    unscorable (int): clips without a score because the original holds less than 0.4 s of sound.
Examples:
    >>> stoi = evaluate.load(metric_folder("stoi"))
    >>> stoi.compute(predictions=[speech], references=[speech], sampling_rate=16000)["stoi"]  # doctest: +SKIP
    1.0
"""

_CITATION = """\
@article{taal2011algorithm,
  title={An algorithm for intelligibility prediction of time-frequency weighted noisy speech},
  author={Taal, Cees H. and Hendriks, Richard C. and Heusdens, Richard and Jensen, Jesper},
  journal={IEEE Transactions on Audio, Speech, and Language Processing}, volume={19}, number={7}, year={2011}
}
@article{jensen2016algorithm,
  title={An algorithm for predicting the intelligibility of speech masked by modulated noise maskers},
  author={Jensen, Jesper and Taal, Cees H.},
  journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing}, volume={24}, number={11}, year={2016}
}
"""


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


def _score(reference: np.ndarray, prediction: np.ndarray, extended: bool) -> float | None:
    """The package's score; `None` if too little of the original remains once its silent frames are gone."""
    # ESTOI adds noise of 1e-16 from numpy's global generator: seeded, a clip always scores the same to the last bit.
    with warnings.catch_warnings(), temp_seed(0):
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


class Stoi(module.SoundMetric):
    """STOI and ESTOI of generated against original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = ("https://github.com/mpariente/pystoi",)
    scores = ("stoi", "estoi", *COMPAT)
    score = staticmethod(stoi_pair)
