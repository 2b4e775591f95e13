"""The critic: scores how much a window of sound is like real speech, for a Wasserstein GAN with gradient penalty.

Vougioukas et al. (2019) train their generator against a Wasserstein critic on waveforms; its layers are not known.
Those here, and the second critic that looks at mel spectrograms, are our choices.

And the speech encoder: recognises the words in a mel spectrogram. Frozen, it teaches the generator to keep them.
Vougioukas et al. (2019) use a pretrained one to preserve the speech content; that ours takes mel spectrograms, and how
it is built, are our choices.
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

from .configuration_lip2wav import Lip2WavCriticConfig, Lip2WavSpeechEncoderConfig
from .encoders import ConvNeXtBlock
from .generator import LogMelSpectrogram
from .modeling_lip2wav import Lip2WavPreTrainedModel


FACES = 64  # that a speech encoder which imagines lips knows


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


@dataclass
class Lip2WavSpeechEncoderOutput(ModelOutput):
    """
    Output of [`Lip2WavSpeechEncoder`].

    Args:
        text_logits (`torch.FloatTensor` of shape `(batch, frames, classes)`):
            Scores of the CTC blank (class 0) and of each word, at the video's frame rate.
        hidden_states (`tuple[torch.FloatTensor, ...]`, each of shape `(batch, frames, hidden_size)`):
            After each block; what perceptual losses compare.
    """

    text_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


class LipImagination(nn.Module):
    """
    From all hidden states of a speech encoder to what a generator would see of the lips; and, in `faces`, what it sees
    of some faces whatever they say, `(64, lip_states_size)`, all zero where none was shown.
    """

    faces: torch.Tensor

    def __init__(self, config: Lip2WavSpeechEncoderConfig):
        super().__init__()
        self.register_buffer("faces", torch.zeros(FACES, config.lip_states_size))
        states, size = config.num_layers * config.hidden_size, config.hidden_size
        self.norm = nn.LayerNorm(states)
        self.narrow = nn.Linear(states, size)
        self.block = ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout)
        self.projection = nn.Linear(size, config.lip_states_size)

    def forward(self, hidden_states: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
        hidden = self.narrow(self.norm(torch.cat(hidden_states, -1)))
        return self.projection(self.block(hidden, mask))


class Lip2WavSpeechEncoder(Lip2WavPreTrainedModel):
    """
    From a standardised log-mel spectrogram to words, frame by frame; and, with `config.lip_states_size`, to what a
    generator would see of the lips that say them.

    Args:
        config ([`Lip2WavSpeechEncoderConfig`]): the architecture.
    """

    config_class = Lip2WavSpeechEncoderConfig
    base_model_prefix = "speech_encoder"
    main_input_name = "mel"
    input_modalities = ["audio"]
    config: Lip2WavSpeechEncoderConfig

    def __init__(self, config: Lip2WavSpeechEncoderConfig):
        super().__init__(config)
        size, self.factor = config.hidden_size, config.mel_frames_per_frame
        self.embed = nn.Conv1d(config.num_mel_bins, size, self.factor, stride=self.factor)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.text_head = nn.Linear(size, config.num_classes)
        self.lips = LipImagination(config) if config.lip_states_size else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LipImagination):
            init.zeros_(module.faces)

    def imagine_lips(self, mel: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        What a generator would see of the lips that say something: its hidden states, with the words added, less their
        mean over the clip, in which the face is.

        Args:
            mel, frame_mask: as for `forward`.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, lip_states_size)`. `ValueError` is raised by an encoder of
            words alone.
        """
        if self.lips is None:
            raise ValueError("this speech encoder has not learnt how lips look: its `lip_states_size` is 0.")
        with torch.no_grad():  # what hears the words stays as it is
            hidden_states = self(mel, frame_mask).hidden_states
        mask = mel.new_ones(hidden_states[0].shape[:2]) if frame_mask is None else frame_mask.to(mel.dtype)
        return self.lips(hidden_states, mask[..., None])

    def forward(self, mel: torch.Tensor, frame_mask: torch.Tensor | None = None) -> Lip2WavSpeechEncoderOutput:
        """
        Args:
            mel (`torch.FloatTensor` of shape `(batch, mel_frames, num_mel_bins)`):
                Standardised log-mel spectrogram; a whole number of video frames.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*):
                1 for video frames of the clip, 0 for padding. All count by default.

        Returns:
            [`Lip2WavSpeechEncoderOutput`]

        Raises:
            ValueError: if a shape does not fit the config.
        """
        if mel.ndim != 3 or mel.shape[2] != self.config.num_mel_bins or mel.shape[1] % self.factor or not mel.shape[1]:
            raise ValueError(
                f"`mel` must have shape (batch, mel_frames, {self.config.num_mel_bins}), with mel_frames a multiple of"
                f" {self.factor}; got {tuple(mel.shape)}."
            )
        frames = mel.shape[1] // self.factor
        if frame_mask is None:
            frame_mask = torch.ones(mel.shape[0], frames, device=mel.device)
        mask = frame_mask.to(mel.dtype)[..., None]
        hidden = self.embed((mel * mask.repeat_interleave(self.factor, 1)).transpose(1, 2)).transpose(1, 2)
        hidden_states = []
        for block in self.blocks:
            hidden = block(hidden, mask)
            hidden_states.append(hidden)
        return Lip2WavSpeechEncoderOutput(
            text_logits=self.text_head(self.norm(hidden)), hidden_states=tuple(hidden_states)
        )


__all__ = ["Lip2WavCritic", "Lip2WavCriticOutput", "Lip2WavSpeechEncoder", "Lip2WavSpeechEncoderOutput"]
