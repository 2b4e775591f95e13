"""The `evaluate` module of DNSMOS, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.dnsmos.score import SCORES, dnsmos_clip


_DESCRIPTION = """\
DNSMOS (speechmos): the mean opinion score, 1 to 5, that listeners would give to a clip's speech signal, its background
and the whole (ITU-T P.835), and to the whole (P.808), as networks guess it without a reference. Higher is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 16 kHz.
Returns:
    dnsmos_sig, dnsmos_bak, dnsmos_ovrl, dnsmos_p808 (float): means over clips.
    dnsmos_sig_per_clip and so on (list of float).
    clipped_samples (list of int): how many samples of each clip were beyond full scale, and were clipped.
    silent_predictions (int): clips scored 1 because they are silent. unscorable (int): always 0.
Examples:
    >>> dnsmos = evaluate.load(metric_folder("dnsmos"))
    >>> dnsmos.compute(predictions=[speech], sampling_rate=16000)["dnsmos_ovrl"]  # doctest: +SKIP
    3.1
"""

_CITATION = """\
@inproceedings{reddy2022dnsmos,
  title={{DNSMOS P.835}: A non-intrusive perceptual objective speech quality metric to evaluate noise suppressors},
  author={Reddy, Chandan K. A. and Gopal, Vishak and Cutler, Ross},
  booktitle={ICASSP}, year={2022}
}
"""


class Dnsmos(module.SoundMetric):
    """DNSMOS of generated speech; without a reference."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = (
        "https://github.com/microsoft/DNS-Challenge",
        "https://pypi.org/project/speechmos/",
    )
    scores = tuple(SCORES)
    score = staticmethod(dnsmos_clip)
    paired = False
