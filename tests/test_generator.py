"""Log-mel spectrograms: where a tone is in them, and how they are standardised. What is calculated in a faster way."""

import math

import pytest
import torch

from lip2wav_hf import Lip2WavConfig
from lip2wav_hf.encoders import convolve
from lip2wav_hf.generator import InverseSTFTDecoder, LogMelSpectrogram


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


@pytest.mark.parametrize("groups", [1, 8])
def test_convolutions_in_time_are_the_same_without_a_gradient(groups):
    convolution = torch.nn.Conv1d(8, 8, 7, padding=3, groups=groups)
    frames = torch.randn(2, 8, 30)
    expected = convolve(convolution, frames)
    assert expected.requires_grad
    with torch.no_grad():
        assert torch.allclose(convolve(convolution, frames), expected, atol=1e-6)


@pytest.mark.parametrize("hop_length", [160, 320])
def test_pieces_are_added_where_they_overlap(hop_length):
    decoder = InverseSTFTDecoder(Lip2WavConfig(n_fft=640, hop_length=hop_length))
    pieces = torch.randn(2, 9, 640)
    expected = torch.zeros(2, 8 * hop_length + 640)
    for frame in range(9):
        expected[:, frame * hop_length : frame * hop_length + 640] += pieces[:, frame]
    margin = (640 - hop_length) // 2
    assert torch.allclose(decoder._fold(pieces), expected[:, margin : margin + 9 * hop_length], atol=1e-5)


def test_the_spectrum_of_a_waveform_gives_it_back():
    decoder = InverseSTFTDecoder(Lip2WavConfig())
    waveform, mask = torch.randn(1, 4800), torch.ones(1, 30, 1)
    back = decoder.overlap_add(decoder.analyse(waveform), mask)
    assert torch.allclose(back[:, 320:-320], waveform[:, 320:-320], atol=1e-4)
