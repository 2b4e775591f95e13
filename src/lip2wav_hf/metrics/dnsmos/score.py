"""DNSMOS, the quality of speech without a reference: predicted opinions on signal, background and whole.

The networks and their maths are the `speechmos` package's (Microsoft; ITU-T P.835: signal, background, overall; and
P.808: overall), at 16 kHz. They are loaded at the first clip, once per process, and run on one thread.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_waveform, is_silent, resample


SAMPLING_RATE = 16000  # Hz
MIN_SECONDS = 0.5
LOWEST = 1.0  # of the scale of opinions
SCORES = {
    "dnsmos_sig": "sig_mos",
    "dnsmos_bak": "bak_mos",
    "dnsmos_ovrl": "ovrl_mos",
    "dnsmos_p808": "p808_mos",
}


@cache
def _scorer() -> Any:
    """`speechmos`'s scorer, its two networks on one thread each."""
    from onnxruntime import InferenceSession, SessionOptions
    from speechmos import dnsmos as package

    folder = Path(package.__file__).parent / "dnsmos_models"
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    scorer = package.DNSMOS.__new__(package.DNSMOS)  # its __init__ opens the networks with a thread for every core
    scorer.onnx_sess = InferenceSession(folder / "sig_bak_ovr.onnx", options)
    scorer.p808_onnx_sess = InferenceSession(folder / "model_v8.onnx", options)
    return scorer


def dnsmos_clip(waveform: ArrayLike, sampling_rate: int, index: int | None = None) -> dict[str, Any]:
    """DNSMOS of one clip; see `lip2wav_hf.metrics.waveforms.check_waveform`.

    Args:
        waveform (array, shape `(samples,)`): the speech.
        sampling_rate (`int`): its rate, in Hz.
        index (`int`, *optional*): number of the clip, for errors.

    Returns:
        `dict`: `dnsmos_sig`, `dnsmos_bak`, `dnsmos_ovrl`, `dnsmos_p808` (float), `clipped_samples` (int, at 16 kHz),
        `outcome`: `"scored"`; or `"silent prediction"`, with scores of 1.

    Raises:
        WaveformError: for a waveform that is shorter than 0.5 s, not mono, or not finite, or a bad sampling rate.
    """
    resample(np.zeros(0), sampling_rate, SAMPLING_RATE)
    name = "prediction" if index is None else f"prediction {index}"
    waveform = check_waveform(waveform, name, int(np.ceil(MIN_SECONDS * sampling_rate)))
    if is_silent(waveform):
        return dict.fromkeys(SCORES, LOWEST) | {"clipped_samples": 0, "outcome": "silent prediction"}
    waveform = resample(waveform, sampling_rate, SAMPLING_RATE)
    clipped_samples = int((np.abs(waveform) > 1).sum())
    scores = _scorer()(np.clip(waveform, -1, 1), SAMPLING_RATE, False)
    return {key: float(scores[name]) for key, name in SCORES.items()} | {
        "clipped_samples": clipped_samples,
        "outcome": "scored",
    }


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """DNSMOS' columns of `clips.csv`: of the generated speech, and overall of the original, where there is one."""
    own = dnsmos_clip(pair.prediction, pair.sampling_rate)
    if pair.reference is None:
        return own
    return own | {"dnsmos_ovrl_original": dnsmos_clip(pair.reference, pair.sampling_rate)["dnsmos_ovrl"]}


__all__ = ["LOWEST", "MIN_SECONDS", "SAMPLING_RATE", "SCORES", "dnsmos_clip", "score_clip"]
