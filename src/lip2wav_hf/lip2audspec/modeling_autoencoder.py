"""The autoencoder of auditory spectra: its 32 numbers per frame are what the other network finds in the pictures."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from ..files import model_place
from ..modeling_lip2wav import HUB_OPTIONS, Lip2WavPreTrainedModel
from .auditory import COCHLEA, NUM_CHANNELS, AuditoryError
from .configuration_lip2audspec import Lip2AudSpecAutoencoderConfig, Lip2AudSpecSoundConfig


@dataclass
class Lip2AudSpecAutoencoderOutput(ModelOutput):
    """
    Output of [`Lip2AudSpecAutoencoder`].

    Args:
        spectrogram (`torch.FloatTensor` of shape `(batch, spectra, 128)`): what comes out, standardised.
        codes (`torch.FloatTensor` of shape `(batch, spectra, code_size)`): the bottleneck, in (0, 1), without noise.
    """

    spectrogram: torch.Tensor | None = None
    codes: torch.Tensor | None = None


class Dense(nn.Module):
    """A fully connected layer of frames, normalised over all of them, and a leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, negative_slope: float):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.activation = nn.LeakyReLU(negative_slope)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        # (batch, spectra, channels); the norm is over all but the channels
        return self.activation(self.norm(self.linear(hidden).flatten(0, 1)).view(*hidden.shape[:2], -1))


class SpectrumAutoencoder(nn.Module):
    """
    The layers, frame by frame: spectra `(batch, spectra, 128)` to codes `(batch, spectra, code_size)`, and back.

    Args:
        config ([`Lip2AudSpecSoundConfig`]): the architecture.
    """

    def __init__(self, config: Lip2AudSpecSoundConfig):
        super().__init__()
        self.config = config
        sizes = [NUM_CHANNELS, *config.encoder_sizes]
        slope = config.negative_slope
        self.encoder = nn.Sequential(*(Dense(a, b, slope) for a, b in pairwise(sizes)))
        self.code = nn.Linear(sizes[-1], config.code_size)
        sizes = [config.code_size, *config.decoder_sizes]
        self.decoder = nn.Sequential(*(Dense(a, b, slope) for a, b in pairwise(sizes)))
        self.spectrum = nn.Linear(sizes[-1], NUM_CHANNELS)

    def encode(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Codes of standardised spectra."""
        return self.code(self.encoder(spectrogram)).sigmoid()

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Standardised spectra of codes, which have noise added in training."""
        if self.training and self.config.code_noise:
            codes = codes + self.config.code_noise * torch.randn_like(codes)
        return self.spectrum(self.decoder(codes))


class Lip2AudSpecPreTrainedModel(Lip2WavPreTrainedModel):
    """
    What both networks share. Their code is not saved beside the weights, except by what came from the Hub: whoever
    loads them has the package. `lip2wav push` publishes it with them.
    """

    base_model_prefix = "lip2audspec"
    _auto_class = None

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load everything, the cochlear filters included; see [`Lip2WavPreTrainedModel.from_pretrained`]."""
        place = model_place(pretrained_model_name_or_path)
        loaded = super().from_pretrained(place, *args, **kwargs)
        if place is not None:
            chosen = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs and name != "subfolder"}
            model = loaded[0] if isinstance(loaded, tuple) else loaded
            # By the configuration: of code in a folder, it may have another copy of the module than this file.
            model.config.auditory.find_filters(place, **chosen)
        return loaded

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Save everything, and with code that came from the Hub the filters; see
        [`Lip2WavPreTrainedModel.save_pretrained`]."""
        super().save_pretrained(save_directory, *args, **kwargs)
        auditory = cast(Lip2AudSpecSoundConfig, self.config).auditory
        source, target = auditory.filters_folder(), Path(save_directory, COCHLEA)
        if self._auto_class is not None and source != target.resolve():
            shutil.copytree(source, target, dirs_exist_ok=True)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.LSTM):
            bound = module.hidden_size**-0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)

    @torch.no_grad()
    def standardised(self, waveform: torch.Tensor) -> torch.Tensor:
        """Auditory spectrograms `(batch, spectra, 128)` of sounds `(batch, samples)` as the networks see them."""
        config = cast(Lip2AudSpecSoundConfig, self.config)
        return (config.auditory(waveform) - config.spectrogram_mean) / config.spectrogram_std

    @torch.no_grad()
    def sound(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Sounds `(batch, samples)`, in [-1, 1], of standardised spectrograms `(batch, spectra, 128)`."""
        config = cast(Lip2AudSpecSoundConfig, self.config)
        restored = spectrogram.float() * config.spectrogram_std + config.spectrogram_mean
        sound = config.auditory.invert(restored, config.inversion_iterations, float(config.inversion_momentum))
        return sound.clamp(-1, 1)


class Lip2AudSpecAutoencoder(Lip2AudSpecPreTrainedModel):
    """
    From the auditory spectrogram of speech to 32 numbers per frame, and back.

    Args:
        config ([`Lip2AudSpecAutoencoderConfig`]): the architecture.
    """

    config_class = Lip2AudSpecAutoencoderConfig
    main_input_name = "spectrogram"
    input_modalities = ["audio"]
    config: Lip2AudSpecAutoencoderConfig

    def __init__(self, config: Lip2AudSpecAutoencoderConfig):
        super().__init__(config)
        self.autoencoder = SpectrumAutoencoder(config)
        self.post_init()

    def forward(self, spectrogram: torch.Tensor) -> Lip2AudSpecAutoencoderOutput:
        """
        Args:
            spectrogram (`torch.FloatTensor` of shape `(batch, spectra, 128)`): standardised, as `standardised` gives
                it.

        Returns:
            [`Lip2AudSpecAutoencoderOutput`]

        Raises:
            AuditoryError: if it has another shape.
        """
        if spectrogram.ndim != 3 or spectrogram.shape[2] != NUM_CHANNELS:
            raise AuditoryError(
                f"`spectrogram` must have shape (batch, spectra, {NUM_CHANNELS}); got {tuple(spectrogram.shape)}."
            )
        codes = self.autoencoder.encode(spectrogram)
        return Lip2AudSpecAutoencoderOutput(self.autoencoder.decode(codes), codes)


__all__ = [
    "Lip2AudSpecAutoencoder",
    "Lip2AudSpecAutoencoderOutput",
    "Lip2AudSpecPreTrainedModel",
    "SpectrumAutoencoder",
]
