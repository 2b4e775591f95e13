"""Every metric of a waveform or a pair: bad input and bad rates are refused by name; odd input has a score."""

import numpy as np
import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("speechmos", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.metrics.corr2d import score as corr2d
from lip2wav_hf.metrics.dnsmos import score as dnsmos
from lip2wav_hf.metrics.grid_wer.grid_wer import GridRecognizer
from lip2wav_hf.metrics.mcd import score as mcd
from lip2wav_hf.metrics.pesq import score as pesq
from lip2wav_hf.metrics.speaker_similarity import score as speaker_similarity
from lip2wav_hf.metrics.stoi import score as stoi
from lip2wav_hf.metrics.waveforms import WaveformError
from lip2wav_hf.synthetic.voice import synthesize_speech


RATE = 16_000
PAIRS = {
    "pesq": (pesq.pesq_pair, pesq.MIN_SECONDS),
    "stoi": (stoi.stoi_pair, stoi.MIN_SECONDS),
    "mcd": (mcd.mcd_pair, mcd.MIN_SECONDS),
    "corr2d": (corr2d.corr2d_pair, corr2d.MIN_SECONDS),
    "speaker_similarity": (speaker_similarity.speaker_similarity_pair, speaker_similarity.MIN_SECONDS),
    "dnsmos": (
        lambda prediction, reference, rate, index=None: dnsmos.dnsmos_clip(prediction, rate, index),
        dnsmos.MIN_SECONDS,
    ),
}


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A synthetic sentence, 16 kHz."""
    return np.asarray(synthesize_speech(sentence_words("lgbz3a"), "synthetic1").waveform, np.float64)


@pytest.mark.parametrize("name", PAIRS)
def test_bad_input_is_refused_by_name(name, speech):
    score, min_seconds = PAIRS[name]
    broken = speech.copy()
    broken[7] = np.nan
    short = int(np.ceil(min_seconds * RATE)) - 1
    for bad, message in (
        (broken, "prediction 3 has 1 NaN"),
        (speech[:short], f"prediction 3 is too short: {short} samples"),
        (np.stack([speech, speech]), "one channel"),
        (speech * 32768, "divide 16-bit samples by 32768"),
    ):
        with pytest.raises(WaveformError, match=message):
            score(bad, speech, RATE, index=3)
    for rate in (0, -16_000, 16_000.5):
        with pytest.raises(WaveformError, match="sampling rate"):
            score(speech, speech, rate)


@pytest.mark.parametrize("name", PAIRS)
def test_odd_input_has_a_finite_score(name, speech):
    """Clipped, silent but for a click, noise only, and the shortest clip that is accepted."""
    score, min_seconds = PAIRS[name]
    click = np.zeros(len(speech))
    click[20_000] = 0.5
    noise = np.random.default_rng(0).normal(size=len(speech)) * 0.1
    for odd in (speech * 20, np.clip(speech * 20, -1, 1), click, noise, np.zeros(len(speech))):
        result = score(odd, speech, RATE)
        values = [value for value in result.values() if isinstance(value, float)]
        assert values and np.isfinite(values).all(), (name, result)
    start = int(np.abs(speech).argmax())
    piece = speech[start - 3000 :][: int(np.ceil(min_seconds * RATE))]
    assert score(piece, piece, RATE)["outcome"] in ("scored", "silent prediction", "unscorable")


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "dnsmos"])
def test_silent_original_is_unscorable(name, speech):
    for silence in (np.zeros(len(speech)), np.full(len(speech), 0.25)):
        result = PAIRS[name][0](speech, silence, RATE)
        assert result["outcome"] == "unscorable"
        assert all(np.isnan(value) for value in result.values() if isinstance(value, float))


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "dnsmos"])
def test_unequal_lengths_are_cut_and_reported(name, speech):
    longer = np.append(speech, np.zeros(480))
    assert PAIRS[name][0](longer, speech, RATE) == PAIRS[name][0](speech, speech, RATE) | {"cut_samples": 480}


def test_judge_hears_nothing_in_odd_sound():
    recognizer = GridRecognizer()
    click = np.zeros(RATE)
    click[8000] = 0.5
    for odd in (np.zeros(RATE), click, np.zeros(0)):
        assert recognizer.transcribe(odd, RATE) == ""


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0, 128, 255], np.uint8), [-1, 0, 127 / 128]),
        (np.array([0, 1 << 15, (1 << 16) - 1], np.uint16), [-1, 0, 1 - 2**-15]),
        (np.array([-128, 0, 127], np.int8), [-1, 0, 127 / 128]),
        (np.array([-(1 << 15), 0, 1 << 14], np.int16), [-1, 0, 0.5]),
        (np.array([-(1 << 31), 0, 1 << 30], np.int32), [-1, 0, 0.5]),
    ],
)
def test_samples_of_every_integer_type(samples, expected):
    from lip2wav_hf.metrics.waveforms import check_waveform

    assert np.allclose(check_waveform(samples, "x"), expected, atol=1e-12)
