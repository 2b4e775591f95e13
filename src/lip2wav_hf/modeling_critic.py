"""The critic: scores how much a window of sound is like real speech, for a Wasserstein GAN with gradient penalty.

Vougioukas et al. (2019) train their generator against a Wasserstein critic on waveforms; its layers are not known.
Those here, and the second critic that looks at mel spectrograms, are our choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_lip2wav import Lip2WavCriticConfig
from .generator import LogMelSpectrogram
from .modeling_lip2wav import Lip2WavPreTrainedModel


@dataclass
class Lip2WavCriticOutput(ModelOutput):
    """
    Output of [`Lip2WavCritic`].

    Args:
        scores (`torch.FloatTensor` of shape `(batch, critics)`):
            One score of each critic, the waveform's first; higher for what sounds like real speech. Not bounded, and
            only differences mean something.
    """

    scores: torch.Tensor | None = None


class WaveformCritic(nn.Module):
    """Strided convolutions over the samples. No normalisation over the batch: the penalty is per input."""

    def __init__(self, config: Lip2WavCriticConfig):
        super().__init__()
        channels = [1, *config.channels]
        self.slope = config.negative_slope
        self.convolutions = nn.ModuleList(
            nn.Conv1d(narrow, wide, config.kernel_size, stride, config.kernel_size // 2)
            for (narrow, wide), stride in zip(pairwise(channels), config.strides, strict=True)
        )
        length = config.window_samples
        for stride in config.strides:
            length = -(-length // stride)
        self.score = nn.Linear(channels[-1] * length, 1)

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        """What this critic looks at: the waveform itself, `(batch, 1, samples)`."""
        return waveform[:, None]

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        hidden = representation
        for convolution in self.convolutions:
            hidden = F.leaky_relu(convolution(hidden), self.slope)
        return self.score(hidden.flatten(1))[:, 0]


class SpectralCritic(nn.Module):
    """Strided convolutions over the bands and frames of a standardised log-mel spectrogram."""

    def __init__(self, config: Lip2WavCriticConfig):
        super().__init__()
        channels = [1, *config.spectral_channels]
        self.slope = config.negative_slope
        self.log_mel = LogMelSpectrogram(config)
        self.convolutions = nn.ModuleList(nn.Conv2d(narrow, wide, 5, 2, 2) for narrow, wide in pairwise(channels))
        height, width = config.num_mel_bins, config.window_samples // config.hop_length
        for _ in config.spectral_channels:
            height, width = -(-height // 2), -(-width // 2)
        self.score = nn.Linear(channels[-1] * height * width, 1)

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        """What this critic looks at: `(batch, 1, num_mel_bins, mel_frames)`."""
        return self.log_mel.standardised(waveform).transpose(1, 2)[:, None]

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        hidden = representation
        for convolution in self.convolutions:
            hidden = F.leaky_relu(convolution(hidden), self.slope)
        return self.score(hidden.flatten(1))[:, 0]


class Lip2WavCritic(Lip2WavPreTrainedModel):
    """
    A waveform critic and, where the config has `spectral_channels`, a second one on mel spectrograms.

    Args:
        config ([`Lip2WavCriticConfig`]): the architecture.
    """

    config_class = Lip2WavCriticConfig
    base_model_prefix = "critic"
    main_input_name = "waveform"
    input_modalities = ["audio"]
    config: Lip2WavCriticConfig

    def __init__(self, config: Lip2WavCriticConfig):
        super().__init__(config)
        critics: list[nn.Module] = [WaveformCritic(config)] if config.channels else []
        if config.spectral_channels:
            critics.append(SpectralCritic(config))
        self.critics = nn.ModuleList(critics)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LogMelSpectrogram):
            for name, value in LogMelSpectrogram(self.config).named_buffers():
                init.copy_(getattr(module, name), value)

    def forward(self, waveform: torch.Tensor) -> Lip2WavCriticOutput:
        """
        Args:
            waveform (`torch.FloatTensor` of shape `(batch, window_samples)`): windows of sound in [-1, 1] at
                `config.sampling_rate`.

        Returns:
            [`Lip2WavCriticOutput`]

        Raises:
            ValueError: if the shape does not fit the config.
        """
        self.check_waveform(waveform)
        critics = cast("Iterable[WaveformCritic | SpectralCritic]", self.critics)
        return Lip2WavCriticOutput(
            scores=torch.stack([critic(critic.represent(waveform)) for critic in critics], dim=1)
        )

    def check_waveform(self, waveform: torch.Tensor) -> None:
        """Raise `ValueError` for a shape that does not fit the config."""
        samples = self.config.window_samples
        if waveform.ndim != 2 or waveform.shape[1] != samples:
            raise ValueError(
                f"`waveform` must have shape (batch, {samples}), the critic's `window_samples`; got"
                f" {tuple(waveform.shape)}."
            )


__all__ = ["Lip2WavCritic", "Lip2WavCriticOutput"]
