"""The `evaluate` module of speaker similarity, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.speaker_similarity.score import speaker_similarity_pair


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


class SpeakerSimilarity(module.SoundMetric):
    """Cosine of the speaker embeddings of generated and original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = ("https://github.com/resemble-ai/Resemblyzer",)
    scores = ("speaker_similarity",)
    score = staticmethod(speaker_similarity_pair)
