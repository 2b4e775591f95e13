"""The `evaluate` module of STOI and ESTOI, which `score.py` computes."""

from lip2wav_hf.metrics import module
from lip2wav_hf.metrics.stoi.score import COMPAT, stoi_pair


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


class Stoi(module.SoundMetric):
    """STOI and ESTOI of generated against original speech."""

    module_description, module_citation, module_inputs = _DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION
    module_urls = ("https://github.com/mpariente/pystoi",)
    scores = ("stoi", "estoi", *COMPAT)
    score = staticmethod(stoi_pair)
