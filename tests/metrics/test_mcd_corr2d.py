"""Mel-cepstral distortion and Corr2D: hand-computed values, defined cases, and what other systems' outputs score."""

import os
from pathlib import Path

import numpy as np
import pytest


evaluate = pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("librosa", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.grid.corpus import sentence_words  # noqa: E402
from lip2wav_hf.metrics import metric_folder  # noqa: E402
from lip2wav_hf.metrics.corr2d.score import (  # noqa: E402
    CHARACTERISTIC_FREQUENCIES,
    auditory_spectrogram,
    corr2d_pair,
)
from lip2wav_hf.metrics.mcd.score import frame_distortion, mcd_pair, mel_cepstra, warped_distortion  # noqa: E402
from lip2wav_hf.metrics.waveforms import check_waveform, resample  # noqa: E402
from lip2wav_hf.synthetic.voice import synthesize_speech  # noqa: E402


RATE = 16_000


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    """Two synthetic sentences, 16 kHz."""
    names = ("lgbz3a", "swwk7p")
    return [np.asarray(synthesize_speech(sentence_words(name), "synthetic1").waveform, np.float64) for name in names]


def test_distortion_by_hand():
    """10 sqrt(2) / ln 10 is 6.1419 dB for cepstra at distance 1."""
    one, other = np.zeros((3, 2)), np.array([[0.6, 0.8], [0.0, 0.0], [3.0, 4.0]])
    assert frame_distortion(other, one) == pytest.approx(6.14185 * (1 + 0 + 5) / 3, abs=1e-3)


def test_distortion_is_that_of_the_spectra_in_decibels():
    """A difference of 6 dB cos(w) in the log spectrum over the mel axis has a root mean square of 6 / sqrt(2) dB."""
    coefficient = 6 * np.log(10) / 20
    assert frame_distortion(np.full((1, 1), coefficient), np.zeros((1, 1))) == pytest.approx(6 / np.sqrt(2))


def test_warping_undoes_a_repetition():
    frames = np.random.default_rng(0).normal(size=(20, 24))
    assert warped_distortion(np.repeat(frames, 2, axis=0), frames) == pytest.approx(0)
    assert frame_distortion(frames[:-1], frames[1:]) > 10


def test_cepstra_ignore_loudness_and_are_zero_for_silence(speech):
    cepstra = mel_cepstra(speech[0])
    assert cepstra.shape == (len(speech[0]) // 80 + 1, 24)
    assert np.allclose(mel_cepstra(speech[0] * 0.1), cepstra, atol=1e-6)
    assert np.allclose(mel_cepstra(np.zeros(RATE)), 0)


def test_mcd_of_a_delay_is_only_undone_by_warping(speech):
    late = np.pad(speech[0], (640, 0))
    scores = mcd_pair(late, speech[0], RATE, dtw=True)
    assert scores["cut_samples"] == 640
    assert scores["mcd"] > 3 > 1 > scores["mcd_dtw"]


def test_compat_mcd_by_its_published_formula(speech):
    """The log energy differs by ln 4 at half the amplitude and nothing else does."""
    scores = mcd_pair(speech[0] / 2 + 0, speech[0], RATE, compat=True)
    assert scores["mcd_compat"] == pytest.approx(np.log(4), abs=0.05)
    assert scores["mcd"] == pytest.approx(0, abs=1e-6)


def test_compat_features_by_hand():
    """Thirteen liftered cosine coefficients of 26 log mel energies, the first replaced by the frame's log energy."""
    from python_speech_features import mfcc

    frame = np.random.default_rng(0).normal(size=400)
    emphasised = np.append(frame[0], frame[1:] - 0.97 * frame[:-1])
    power = np.abs(np.fft.rfft(emphasised, 512)) ** 2 / 512
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28) / 2595) - 1)
    bins = np.floor(513 * edges / RATE)
    k = np.arange(257)
    banks = []
    for low, peak, high in zip(bins, bins[1:], bins[2:], strict=False):
        rising = (k - low) / (peak - low) * ((k >= low) & (k < peak))
        falling = (high - k) / (high - peak) * ((k >= peak) & (k < high))
        banks.append(((rising + falling) * power).sum())
    n = np.arange(26)
    cepstra = [np.sum(np.log(banks) * np.cos(np.pi * c * (n + 0.5) / 26)) * np.sqrt(2 / 26) for c in range(13)]
    expected = np.array(cepstra) * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    expected[0] = np.log(power.sum())
    assert mfcc(frame, RATE)[0] == pytest.approx(expected, abs=1e-6)


def test_auditory_channels_are_tuned_to_their_frequencies():
    """A tone excites the channel of its frequency most (steep above it, hence the channel at or right above)."""
    time = np.arange(RATE // 2) / RATE
    for channel in (20, 60, 100):
        tone = np.sin(2 * np.pi * CHARACTERISTIC_FREQUENCIES[channel] * time)
        loudest = int(auditory_spectrogram(tone)[:, 20:].mean(1).argmax())
        assert abs(loudest - channel) <= 1


def test_auditory_spectrogram_has_a_frame_per_10_ms_and_no_seams(speech):
    long = np.tile(speech[0], 3)[: 7 * RATE + 1]
    whole = auditory_spectrogram(long)
    assert whole.shape == (128, 701) and whole.min() >= 0
    assert np.allclose(auditory_spectrogram(long[: 2 * RATE]), whole[:, :200], atol=1e-6)


def test_auditory_spectrogram_follows_its_power(speech):
    assert auditory_spectrogram(speech[0] * 8) == pytest.approx(auditory_spectrogram(speech[0]) * 8**0.3, rel=1e-6)


def test_corr2d_ignores_loudness_and_drops_with_a_delay(speech):
    clean = speech[0]
    assert corr2d_pair(clean * 0.2, clean, RATE)["corr2d"] == pytest.approx(1)
    delays = [corr2d_pair(np.pad(clean, (frames * 640, 0)), clean, RATE)["corr2d"] for frames in (1, 3)]
    assert 1 > delays[0] > delays[1]


def test_modules_return_means_lists_and_counts(speech):
    silence = np.zeros(len(speech[0]))
    waveforms = {"predictions": [silence, speech[0], speech[1]], "references": [speech[0], silence, speech[1]]}
    mcd = evaluate.load(metric_folder("mcd")).compute(**waveforms, sampling_rate=RATE, dtw=True, compat=True)
    assert mcd["mcd_per_clip"][2] == 0 and mcd["mcd_dtw_per_clip"][2] == 0 and mcd["mcd_compat_per_clip"][2] == 0
    assert mcd["mcd"] == pytest.approx(mcd["mcd_per_clip"][0] / 2)
    corr2d = evaluate.load(metric_folder("corr2d")).compute(**waveforms, sampling_rate=RATE)
    assert corr2d["corr2d_per_clip"][0] == 0 and corr2d["corr2d"] == pytest.approx(0.5)
    for result, key in ((mcd, "mcd"), (corr2d, "corr2d")):
        assert np.isnan(result[f"{key}_per_clip"][1])
        assert (result["silent_predictions"], result["unscorable"], result["cut_samples"][2]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("system", "corr2d", "mcd_compat"), [("lip2audspec", 0.858, 58.9), ("vid2speech", 0.810, 53.2)]
)
def test_outputs_of_other_systems(system, corr2d, mcd_compat):
    """Corr2D with the NSL toolbox's own filters, as naplib has them, is .855 and .806 on the same clips."""
    from scipy.io import wavfile

    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "peers"
    folder = Path(os.environ.get("LIP2WAV_PEERS") or default) / system
    if not folder.is_dir():
        pytest.skip(f"no published outputs of other systems: there is no folder {folder} (set LIP2WAV_PEERS)")
    scores = []
    for path in sorted((folder / "predicted").glob("*.wav")):
        pair = []
        for file in (path, folder / "original" / path.name):
            rate, samples = wavfile.read(file)
            pair.append(resample(check_waveform(samples, str(file)), rate, RATE))
        scores.append(corr2d_pair(*pair, RATE) | mcd_pair(*pair, RATE, compat=True))
    assert np.mean([score["corr2d"] for score in scores]) == pytest.approx(corr2d, abs=0.005)
    assert np.mean([score["mcd_compat"] for score in scores]) == pytest.approx(mcd_compat, abs=0.5)
