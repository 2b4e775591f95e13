"""PESQ, the perceptual quality of generated speech against the original: narrow band at 8 kHz and wide band at 16 kHz.

The maths is the `pesq` package's (ITU-T P.862 with the mappings of P.862.1 and P.862.2); this module adds the sampling
rates, and the handling of silence and of unequal lengths.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pesq import NoUtterancesError
from pesq import pesq as p862

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


MIN_SECONDS = 0.25  # P.862 needs a quarter of a second
LOWEST = {"nb": 1.0168, "wb": 1.0427}  # the mapped score of the lowest raw P.862 score, -0.5
SAMPLING_RATES = {"nb": 8000, "wb": 16000}
COMPAT_SAMPLING_RATE = 16000  # Hz, that the lineage has its audio at before it goes down to 8 kHz


def pesq_score(prediction: np.ndarray, reference: np.ndarray, sampling_rate: int, mode: str) -> tuple[float, str]:
    """PESQ of one pair of equal length.

    Args:
        prediction (`np.ndarray`, shape `(samples,)`): the generated waveform.
        reference (`np.ndarray`, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        mode (`str`): `"nb"` (scored at 8 kHz) or `"wb"` (scored at 16 kHz).

    Returns:
        `tuple[float, str]`: the score and what became of the clip: `"scored"`; `"silent prediction"`, with the lowest
        score; or `"unscorable"`, with NaN, where the original itself holds no utterance.
    """
    rate = SAMPLING_RATES[mode]
    if is_silent(reference):
        return float("nan"), "unscorable"
    reference = resample(reference, sampling_rate, rate)
    if is_silent(prediction):
        return LOWEST[mode], "silent prediction"
    prediction = resample(prediction, sampling_rate, rate)
    try:
        return float(p862(rate, reference, prediction, mode)), "scored"
    except NoUtterancesError:
        pass
    try:
        p862(rate, reference, reference, mode)
    except NoUtterancesError:
        return float("nan"), "unscorable"
    return LOWEST[mode], "silent prediction"


def pesq_pair(
    prediction: ArrayLike, reference: ArrayLike, sampling_rate: int, index: int | None = None, compat: bool = False
) -> dict[str, Any]:
    """Both scores of one pair; see `pesq_score` and `lip2wav_hf.metrics.waveforms.check_pair`.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform.
        sampling_rate (`int`): the rate of both, in Hz.
        index (`int`, *optional*): number of the pair, for errors.
        compat (`bool`, *optional*, defaults to `False`): add `pesq_compat`.

    Returns:
        `dict`: `pesq_nb` and `pesq_wb` (float), perhaps `pesq_compat`, `cut_samples` (int, at `sampling_rate`),
        `outcome` (str).

    Raises:
        WaveformError: for a waveform that is shorter than 0.25 s, not mono, or not finite.
    """
    prediction, reference, cut_samples = check_pair(prediction, reference, sampling_rate, MIN_SECONDS, index)
    narrow, narrow_outcome = pesq_score(prediction, reference, sampling_rate, "nb")
    wide, wide_outcome = pesq_score(prediction, reference, sampling_rate, "wb")
    outcome = next((o for o in ("unscorable", "silent prediction") if o in (narrow_outcome, wide_outcome)), "scored")
    scores = {"pesq_nb": narrow, "pesq_wb": wide}
    if compat:
        scores["pesq_compat"] = narrow
        if sampling_rate != COMPAT_SAMPLING_RATE:
            pair = [resample(waveform, sampling_rate, COMPAT_SAMPLING_RATE) for waveform in (prediction, reference)]
            scores["pesq_compat"] = pesq_score(*pair, COMPAT_SAMPLING_RATE, "nb")[0]
    return scores | {"cut_samples": cut_samples, "outcome": outcome}


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """PESQ's columns of `clips.csv`."""
    scores = pesq_pair(pair.prediction, pair.original, pair.sampling_rate, compat=pair.compat)
    return scores | {"pesq_outcome": scores["outcome"]}


__all__ = ["COMPAT_SAMPLING_RATE", "LOWEST", "MIN_SECONDS", "SAMPLING_RATES", "pesq_pair", "pesq_score", "score_clip"]
