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

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.waveforms import check_pair, is_silent, resample


SAMPLING_RATE = 16000  # Hz
MIN_SECONDS = 0.5

_DESCRIPTION = """\
Speaker similarity: cosine of the Resemblyzer speaker embeddings of generated and original speech, 0 to 1, whatever the
words. Higher is better: one voice in two sentences of GRID gives about 0.8, two voices about 0.6.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    references (list of float sequences): the original waveforms, or others of the same speakers, in the same order.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 16 kHz.
Returns:
    speaker_similarity (float): mean over the clips that could be scored; NaN if none could.
    speaker_similarity_per_clip (list of float): NaN where no voice is found in the original.
    cut_samples (list of int): by how many samples the longer waveform of each pair was cut, at sampling_rate.
    silent_predictions (int): clips scored 0 because no voice is found in the generated waveform.
    unscorable (int): clips without a score because no voice is found in the original.
Examples:
    >>> similarity = evaluate.load(metric_folder("speaker_similarity"))
    >>> similarity.compute(predictions=[speech], references=[speech], sampling_rate=16000)  # doctest: +SKIP
    {'speaker_similarity': 1.0, …}
"""

_CITATION = """\
@inproceedings{wan2018generalized,
  title={Generalized end-to-end loss for speaker verification},
  author={Wan, Li and Wang, Quan and Papir, Alan and Moreno, Ignacio Lopez},
  booktitle={ICASSP}, year={2018}
}
"""


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


class SpeakerSimilarity(module.SoundMetric):
    """Cosine of the speaker embeddings of generated and original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = ("https://github.com/resemble-ai/Resemblyzer",)
    scores = ("speaker_similarity",)
    score = staticmethod(speaker_similarity_pair)
