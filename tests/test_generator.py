"""Log-mel spectrograms: where a tone is in them, and how they are standardised."""

import math

import pytest
import torch

from lip2wav_hf import Lip2WavConfig
from lip2wav_hf.generator import LogMelSpectrogram


def test_log_mel_of_a_tone_peaks_in_its_band_and_frames():
    config = Lip2WavConfig()
    waveform = torch.zeros(1, 16000)
    waveform[0, 8000:] = torch.sin(torch.arange(8000) * 2 * math.pi * 1000 / 16000)
    mel = LogMelSpectrogram(config)(waveform)
    assert mel.shape == (1, 100, 80)
    assert mel[0, 20].max() == pytest.approx(math.log(config.mel_floor))
    from transformers.audio_utils import hertz_to_mel

    expected = hertz_to_mel(1000.0, "slaney") / hertz_to_mel(8000.0, "slaney") * 81 - 1
    assert abs(int(mel[0, 75].argmax()) - expected) <= 1


def test_the_statistics_of_the_configuration_are_looked_up_each_time():
    config = Lip2WavConfig(mel_mean=-4.0, mel_std=2.0)
    log_mel, waveform = LogMelSpectrogram(config), 0.1 * torch.randn(2, 3200)
    assert torch.equal(log_mel.standardised(waveform), (log_mel(waveform) + 4) / 2)
    config.mel_mean, config.mel_std = -6.0, 3.0
    assert torch.equal(log_mel.standardised(waveform), (log_mel(waveform) + 6) / 3)
    assert torch.allclose(log_mel.restore(log_mel.standardised(waveform)), log_mel(waveform), atol=1e-5)
    assert torch.equal(log_mel.pool(log_mel.magnitude(waveform)), log_mel(waveform))
    assert not log_mel.state_dict()
