"""Log-mel spectrograms on the time grid of the waveform decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from transformers.audio_utils import hertz_to_mel, mel_filter_bank, mel_to_hertz

from .configuration_lip2wav import Lip2WavSoundConfig
from .modeling_lip2wav import short_time_spectrum


class LogMelSpectrogram(nn.Module):
    """
    Natural logarithm of mel magnitudes; frame i is centred on sample (i + 1/2) `hop_length`, as in the decoder.

    Args:
        config ([`Lip2WavConfig`] or another one with these fields): gives `sampling_rate`, `n_fft`, `hop_length`,
            `num_mel_bins`, `mel_floor`, and `mel_mean` and `mel_std`, which are looked up each time, so that they may
            be measured, or loaded, later.
    """

    filters: torch.Tensor
    window: torch.Tensor
    third_octaves: torch.Tensor

    def __init__(self, config: Lip2WavSoundConfig):
        super().__init__()
        self.config = config
        filters = mel_filter_bank(
            num_frequency_bins=config.n_fft // 2 + 1,
            num_mel_filters=config.num_mel_bins,
            min_frequency=0.0,
            max_frequency=config.sampling_rate / 2,
            sampling_rate=config.sampling_rate,
            mel_scale="slaney",
        )
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)), persistent=False)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

        centres = mel_to_hertz(
            np.linspace(0, hertz_to_mel(config.sampling_rate / 2, "slaney"), config.num_mel_bins + 2)[1:-1], "slaney"
        )
        self.register_buffer(
            "third_octaves", torch.from_numpy(third_octave_pooling(np.asarray(centres))), persistent=False
        )

    def magnitude(self, waveform: torch.Tensor) -> torch.Tensor:
        """Magnitude spectrogram `(batch, mel_frames, n_fft // 2 + 1)` of a waveform `(batch, samples)`."""
        return short_time_spectrum(waveform, self.window, self.config.hop_length).abs()

    def pool(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of magnitudes `(batch, mel_frames, bins)`."""
        return (magnitude @ self.filters).clamp(min=self.config.mel_floor).log()

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of a waveform `(batch, samples)`."""
        return self.pool(self.magnitude(waveform))

    def standardise(self, log_mel: torch.Tensor) -> torch.Tensor:
        """A log-mel spectrogram less the mean and over the standard deviation of the training speech."""
        return (log_mel - self.config.mel_mean) / self.config.mel_std

    def restore(self, standardised: torch.Tensor) -> torch.Tensor:
        """A log-mel spectrogram from a standardised one."""
        return standardised * self.config.mel_std + self.config.mel_mean

    def standardised(self, waveform: torch.Tensor) -> torch.Tensor:
        """Standardised log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of a waveform `(batch, samples)`."""
        return self.standardise(self(waveform))


def third_octave_pooling(centres: np.ndarray, lowest: float = 150.0, bands: int = 15) -> np.ndarray:
    """
    Map mel bands to the one-third-octave bands of STOI (Taal et al. 2011): 15 of them, centred from 150 Hz up.

    Args:
        centres (`np.ndarray` of shape `(num_mel_bins,)`): centre frequencies of the mel bands, in Hz.
        lowest (`float`, *optional*, defaults to 150.0): centre of the lowest band, in Hz.
        bands (`int`, *optional*, defaults to 15): number of bands.

    Returns:
        `np.ndarray` of shape `(num_mel_bins, bands)`: float32; octave bands without a mel band are left out.
    """
    number = np.rint(3 * np.log2(np.maximum(centres, 1e-3) / lowest)).astype(int)
    pooling = (number[:, None] == np.arange(bands)).astype(np.float32)
    return pooling[:, pooling.any(0)]
