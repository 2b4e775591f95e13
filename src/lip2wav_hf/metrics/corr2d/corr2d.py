"""The `evaluate` module of Corr2D, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.corr2d.score import corr2d_pair


_DESCRIPTION = """\
Corr2D: Pearson correlation, over all channels and frames, of the auditory spectrograms (128 channels, 10 ms, power
0.3) of generated and original speech, as in Lip2AudSpec. 1 is a perfect match; 0 none. Higher is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    references (list of float sequences): the original waveforms, in the same order.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 16 kHz.
Returns:
    corr2d (float): mean over the clips that could be scored; NaN if none could.
    corr2d_per_clip (list of float): NaN where the original is silent.
    cut_samples (list of int): by how many samples the longer waveform of each pair was cut, at sampling_rate.
    silent_predictions (int): clips scored 0 because the generated waveform is silent.
    unscorable (int): clips without a score because the original is silent.
Examples:
    >>> corr2d = evaluate.load(metric_folder("corr2d"))
    >>> corr2d.compute(predictions=[speech], references=[speech], sampling_rate=16000)["corr2d"]  # doctest: +SKIP
    1.0
"""

_CITATION = """\
@inproceedings{akbari2018lip2audspec,
  title={Lip2AudSpec: Speech reconstruction from silent lip movements video},
  author={Akbari, Hassan and Arora, Himani and Cao, Liangliang and Mesgarani, Nima},
  booktitle={ICASSP}, year={2018}
}
@article{yang1992auditory,
  title={Auditory representations of acoustic signals},
  author={Yang, Xiaowei and Wang, Kuansan and Shamma, Shihab A.},
  journal={IEEE Transactions on Information Theory}, volume={38}, number={2}, year={1992}
}
"""


class Corr2d(module.SoundMetric):
    """Correlation of the auditory spectrograms of generated and original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = ("https://arxiv.org/abs/1710.09798",)
    scores = ("corr2d",)
    score = staticmethod(corr2d_pair)
