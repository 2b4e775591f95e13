"""The `evaluate` module of mel-cepstral distortion, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.mcd.score import mcd_pair


_DESCRIPTION = """\
Mel-cepstral distortion (MCD) of generated speech against the original, in dB, over mel-cepstral coefficients 1 to 24
at 16 kHz: frame by frame, and along the best time warping. 0 is a perfect match; lower is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    references (list of float sequences): the original waveforms, in the same order.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 16 kHz.
    dtw (bool, optional, defaults to False): also compute the distortion after dynamic time warping.
    compat (bool, optional, defaults to False): also compute the form of Vougioukas et al. and Mira et al.: 13 MFCCs of
        python_speech_features (the first is the log energy), frame-wise Euclidean distance, no factor, no warping.
Returns:
    mcd (float): mean over clips, in dB; mcd_dtw and mcd_compat where asked for.
    mcd_per_clip (list of float), and the same for the others: NaN where the original is silent.
    cut_samples (list of int): by how many samples the longer waveform of each pair was cut, at sampling_rate.
    silent_predictions (int): clips whose generated waveform is silent: the distance to a flat spectrum.
    unscorable (int): clips without a score because the original is silent.
Examples:
    >>> mcd = evaluate.load(metric_folder("mcd"))
    >>> mcd.compute(predictions=[speech], references=[speech], sampling_rate=16000)["mcd"]  # doctest: +SKIP
    0.0
"""

_CITATION = """\
@inproceedings{kubichek1993mel,
  title={Mel-cepstral distance measure for objective speech quality assessment},
  author={Kubichek, Robert},
  booktitle={IEEE Pacific Rim Conference on Communications, Computers and Signal Processing}, year={1993}
}
"""


class Mcd(module.SoundMetric):
    """Mel-cepstral distortion of generated against original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = (
        "https://librosa.org",
        "https://github.com/jameslyons/python_speech_features",
    )
    scores = ("mcd", "mcd_dtw", "mcd_compat")
    score = staticmethod(mcd_pair)
