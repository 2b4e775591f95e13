"""Speaker similarity: whether generated and original speech sound like the same person, whatever the words.

The cosine of the speaker embeddings of the `resemblyzer` package (an LSTM trained for speaker verification with the
generalised end-to-end loss), at 16 kHz, after its own level and silence treatment. The network's weights are a file of
that package, read by `torch.load` with `weights_only`; it is loaded at the first clip, once per process.
"""

import importlib.metadata
import importlib.util
import sys
import types
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz
MIN_SECONDS = 0.5


@cache
def _resemblyzer() -> tuple[Any, Any]:
    """The package and its network, on the CPU."""
    needs_stand_in = importlib.util.find_spec("pkg_resources") is None
    if needs_stand_in:
        # webrtcvad asks pkg_resources, which setuptools dropped in version 82, for its own version.
        stand_in = types.ModuleType("pkg_resources")
        vars(stand_in)["get_distribution"] = importlib.metadata.distribution
        sys.modules["pkg_resources"] = stand_in
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of scipy.ndimage.morphology, and of pkg_resources
            warnings.simplefilter("ignore", UserWarning)
            import resemblyzer
    finally:
        if needs_stand_in:
            del sys.modules["pkg_resources"]
    return resemblyzer, resemblyzer.VoiceEncoder("cpu", verbose=False)


def speaker_embedding(waveform: np.ndarray) -> np.ndarray | None:
    """Embedding of the voice in a waveform.

    Args:
        waveform (`np.ndarray`, shape `(samples,)`): at 16 kHz; what is beyond full scale is clipped.

    Returns:
        `np.ndarray`, *optional*: float32, shape `(256,)`, of length 1; `None` where no voice is found.
    """
    if is_silent(waveform):
        return None
    resemblyzer, encoder = _resemblyzer()
    voiced = resemblyzer.preprocess_wav(np.clip(waveform, -1, 1).astype(np.float32))
    return encoder.embed_utterance(voiced) if len(voiced) else None


def speaker_similarity_pair(
    prediction: ArrayLike, reference: ArrayLike, sampling_rate: int, index: int | None = None
) -> dict[str, Any]:
    """Speaker similarity of one pair; see `lip2wav_hf.metrics.waveforms.check_pair`.

    Args:
        prediction (array, shape `(samples,)`): the generated waveform.
        reference (array, shape `(samples,)`): the original waveform, or another of the same speaker.
        sampling_rate (`int`): the rate of both, in Hz.
        index (`int`, *optional*): number of the pair, for errors.

    Returns:
        `dict`: `speaker_similarity` (float), `cut_samples` (int, at `sampling_rate`), `outcome`: `"scored"`; `"silent
        prediction"`, with 0, where no voice is found in it; or `"unscorable"`, with NaN, where none is found in the
        original.

    Raises:
        WaveformError: for a waveform that is shorter than 0.5 s, not mono, or not finite.
    """
    prediction, reference, cut_samples = check_pair(prediction, reference, sampling_rate, MIN_SECONDS, index)
    original = speaker_embedding(resample(reference, sampling_rate, SAMPLING_RATE))
    if original is None:
        return {"speaker_similarity": float("nan"), "cut_samples": cut_samples, "outcome": "unscorable"}
    generated = speaker_embedding(resample(prediction, sampling_rate, SAMPLING_RATE))
    if generated is None:
        return {"speaker_similarity": 0.0, "cut_samples": cut_samples, "outcome": "silent prediction"}
    cosine = float(np.clip(original @ generated, 0, 1))  # the embeddings have no negative entry
    return {"speaker_similarity": cosine, "cut_samples": cut_samples, "outcome": "scored"}


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """Speaker similarity's column of `clips.csv`."""
    return speaker_similarity_pair(pair.prediction, pair.original, pair.sampling_rate)


__all__ = ["MIN_SECONDS", "SAMPLING_RATE", "score_clip", "speaker_embedding", "speaker_similarity_pair"]
