"""The auditory spectrogram against naplib's (MIT), and its inverse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lip2audspec.naplib_reference import naplib_is_here, naplib_spectrogram
from lip2audspec.sounds import speech_like
from lip2wav_hf.audio import read_audio
from lip2wav_hf.lip2audspec import auditory
from lip2wav_hf.lip2audspec.auditory import (
    NUM_CHANNELS,
    AuditoryError,
    AuditorySpectrogram,
    characteristic_frequencies,
)


# What naplib 2.6.0 made of `speech_like()`, with frame_len=10, tc=10: float16, without compression.
NAPLIB = np.load(Path(__file__).with_name("naplib.npz"))


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


def spectrogram(sound, **settings):
    return AuditorySpectrogram(**settings)(torch.as_tensor(sound, dtype=torch.float32)[None])[0]


@pytest.mark.parametrize(("name", "hair_cell"), [("linear", "linear"), ("half_wave", "half-wave"), ("level", 0.1)])
def test_naplib_finds_the_same(name, hair_cell):
    found = spectrogram(speech_like(), hair_cell=hair_cell)
    expected = NAPLIB[name].astype(np.float64) ** 0.3
    assert found.shape == expected.shape == (50, NUM_CHANNELS)
    assert correlation(found, expected) > 0.998
    assert found.mean() == pytest.approx(expected.mean(), rel=0.02)


@pytest.mark.skipif(not naplib_is_here(), reason="naplib is not installed")
def test_naplib_finds_the_same_in_real_speech(grid_dir):
    """Each clip by itself; among them one with a constant offset, which tries the filters far below their channel."""
    clips = [min((grid_dir / "video" / speaker).glob("*")) for speaker in ("s2", "s4", "s26", "s34")]
    clips += sorted((grid_dir / "video" / "s1").glob("sgic1a*"))
    for clip in clips:
        sound = read_audio(clip, 16000)
        assert correlation(spectrogram(sound), naplib_spectrogram(sound) ** 0.3) > 0.999, clip


def test_a_tone_is_loudest_in_its_channel():
    for rate in (16000, 8000):
        frequencies = characteristic_frequencies(rate)
        for channel in (12, 60, 110):
            tone = np.sin(2 * np.pi * frequencies[channel] * np.arange(rate // 2) / rate)
            loudest = int(spectrogram(tone, sampling_rate=rate)[20:].mean(0).argmax())
            assert abs(loudest - channel) <= 1, (rate, channel, loudest)
    assert characteristic_frequencies(16000)[31] == pytest.approx(440)
    assert characteristic_frequencies(8000)[31] == pytest.approx(220)


def test_power_compresses_loudness():
    sound = speech_like()
    torch.testing.assert_close(spectrogram(2 * sound), 2**0.3 * spectrogram(sound), rtol=1e-4, atol=1e-4)


def test_a_pulse_dies_away_with_the_time_constant():
    """Long after the cochlea has come to rest, each frame holds exp(-10 / 20) of the one before."""
    pulse = np.zeros(16000)
    pulse[160] = 1
    energies = spectrogram(pulse, power=1.0, integration_ms=20.0)[6:12, 100:]
    torch.testing.assert_close(
        energies[1:] / energies[:-1], torch.full((5, 28), float(np.exp(-0.5))), rtol=1e-2, atol=0
    )


def test_silence_is_silent_both_ways():
    silent = AuditorySpectrogram()(torch.zeros(1, 8000))
    assert silent.shape == (1, 50, NUM_CHANNELS) and not silent.any()
    assert not AuditorySpectrogram().invert(silent, 3).any()


def test_long_sounds_go_through_in_blocks(monkeypatch):
    sound = np.tile(speech_like(), 3)[:20000]
    whole = spectrogram(sound, power=1.0)
    monkeypatch.setattr(auditory, "BLOCK_SAMPLES", 4000)
    torch.testing.assert_close(spectrogram(sound, power=1.0), whole, rtol=1e-3, atol=1e-3)


def test_clips_do_not_depend_on_their_neighbours():
    sounds = torch.from_numpy(np.stack([speech_like(), speech_like()[::-1]])).float()
    torch.testing.assert_close(AuditorySpectrogram()(sounds)[1], spectrogram(sounds[1]))


@pytest.mark.parametrize("rate", [16000, 8000])
def test_the_inverse_sounds_alike(rate):
    auditory_spectrogram = AuditorySpectrogram(rate)
    wanted = spectrogram(speech_like(sampling_rate=rate), sampling_rate=rate)[None]
    errors = []
    for iterations in (2, 15):
        sound = auditory_spectrogram.invert(wanted, iterations, 0.9)
        assert sound.shape == (1, rate // 2)
        errors.append(1 - correlation(auditory_spectrogram(sound), wanted))
    assert errors[1] < 0.02 and errors[1] < errors[0] / 2
    assert torch.equal(sound, auditory_spectrogram.invert(wanted, 15, 0.9))  # always the same


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"frame_ms": 0.03}, "whole number"),
        ({"integration_ms": 0}, "integration_ms"),
        ({"power": -1.0}, "power"),
        ({"hair_cell": "square"}, "half-wave"),
        ({"hair_cell": 0.0}, "level above 0"),
    ],
)
def test_settings_out_of_range(settings, named):
    with pytest.raises(AuditoryError, match=named):
        AuditorySpectrogram(**settings)


def test_other_shapes_are_refused():
    with pytest.raises(AuditoryError, match="batch, samples"):
        AuditorySpectrogram()(torch.zeros(100))
    with pytest.raises(AuditoryError, match="128"):
        AuditorySpectrogram().invert(torch.zeros(1, 10, 80))
    with pytest.raises(AuditoryError, match="no inverse"):
        AuditorySpectrogram(hair_cell="half-wave").invert(torch.zeros(1, 10, 128))
