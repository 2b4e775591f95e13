"""The `evaluate` module of PESQ, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.pesq.score import pesq_pair


_DESCRIPTION = """\
PESQ (Perceptual Evaluation of Speech Quality, ITU-T P.862): how good generated speech sounds beside the original, as
the mean opinion score a listener would give: narrow band at 8 kHz (P.862.1, about 1.02 to 4.55) and wide band at 16
kHz (P.862.2, about 1.04 to 4.64). Higher is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the generated waveforms, full scale at 1.
    references (list of float sequences): the original waveforms, in the same order.
    sampling_rate (int): the rate of all of them, in Hz; they are resampled from it to 8 kHz and to 16 kHz.
    compat (bool, optional, defaults to False): also compute the form of Vougioukas et al. and Mira et al.: audio at 16
        kHz resampled to 8 kHz, narrow band. From audio that is at 16 kHz already it equals pesq_nb.
Returns:
    pesq_nb, pesq_wb (float): means over the clips that could be scored; NaN if none could.
    pesq_compat (float): where asked for.
    pesq_nb_per_clip, pesq_wb_per_clip, pesq_compat_per_clip (list of float): NaN where the original holds no speech.
    cut_samples (list of int): by how many samples the longer waveform of each pair was cut, at sampling_rate.
    silent_predictions (int): clips scored with the lowest value because the generated waveform holds no utterance.
    unscorable (int): clips without a score because the original holds no utterance.
Examples:
    >>> pesq = evaluate.load(metric_folder("pesq"))
    >>> pesq.compute(predictions=[speech], references=[speech], sampling_rate=16000)["pesq_nb"]  # doctest: +SKIP
    4.548638343811035
"""

_CITATION = """\
@inproceedings{rix2001pesq,
  title={Perceptual evaluation of speech quality ({PESQ}): a new method for speech quality assessment of telephone
    networks and codecs},
  author={Rix, Antony W. and Beerends, John G. and Hollier, Michael P. and Hekstra, Andries P.},
  booktitle={ICASSP}, year={2001}
}
"""


class Pesq(module.SoundMetric):
    """Narrow-band and wide-band PESQ of generated against original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = (
        "https://www.itu.int/rec/T-REC-P.862",
        "https://github.com/ludlows/PESQ",
    )
    scores = ("pesq_nb", "pesq_wb", "pesq_compat")
    score = staticmethod(pesq_pair)
