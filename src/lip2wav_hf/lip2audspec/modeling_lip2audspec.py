"""The network that reads the lips: pictures to the codes of an auditory spectrogram, and from there to sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

from .auditory import AuditoryError
from .configuration_lip2audspec import Lip2AudSpecConfig
from .modeling_autoencoder import Lip2AudSpecPreTrainedModel, SpectrumAutoencoder


CONTEXT_FRAMES = 5  # video frames around a chunk, in which sounds find their phases


@dataclass
class Lip2AudSpecOutput(ModelOutput):
    """
    Output of [`Lip2AudSpecModel`].

    Args:
        waveform (`torch.FloatTensor` of shape `(batch, samples)`):
            Speech in [-1, 1] at `config.sampling_rate`; zero beyond each clip's end.
        waveform_lengths (`torch.LongTensor` of shape `(batch,)`):
            Samples of each clip: its frames times `config.samples_per_frame`.
        spectrogram (`torch.FloatTensor` of shape `(batch, spectra, 128)`): its standardised auditory spectrogram.
        codes (`torch.FloatTensor` of shape `(batch, spectra, code_size)`): from which the autoencoder makes it.
    """

    waveform: torch.Tensor | None = None
    waveform_lengths: torch.Tensor | None = None
    spectrogram: torch.Tensor | None = None
    codes: torch.Tensor | None = None


class SliceEncoder(nn.Module):
    """
    Codes of the sound of slices of a few video frames, each for itself.

    Args:
        config ([`Lip2AudSpecConfig`]): the architecture.
    """

    def __init__(self, config: Lip2AudSpecConfig):
        super().__init__()
        self.config = config
        channels = [3, *config.conv_channels]
        self.convolutions = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm3d(size) for size in channels[1:])
        self.dropout = nn.Dropout(config.conv_dropout)
        self.lstm = nn.LSTM(config.features_per_frame, config.lstm_size, batch_first=True)
        self.dense = nn.Linear(config.slice_frames * config.lstm_size, config.dense_size)
        self.dense_dropout = nn.Dropout(config.dense_dropout)
        self.codes = nn.Linear(config.dense_size, config.slice_frames * config.spectra_per_frame * config.code_size)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """
        Args:
            slices (`torch.FloatTensor` of shape `(slices, 3, slice_frames, height, width)`): pictures, and their first
                and second differences in time.

        Returns:
            `torch.FloatTensor` of shape `(slices, slice_frames * spectra_per_frame, code_size)`.
        """
        config, last = self.config, len(self.convolutions)
        hidden = slices.contiguous(memory_format=torch.channels_last_3d)  # twice as fast on CPUs
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True), 1):
            hidden = norm(convolution(hidden))
            hidden = F.elu(hidden) if number == last else F.leaky_relu(hidden, config.negative_slope)
            if number in config.pool_after:
                hidden = F.max_pool3d(hidden, (1, 2, 2))
            if number in config.dropout_after:
                hidden = self.dropout(hidden)
        hidden = hidden.transpose(1, 2).flatten(2)  # (slices, slice_frames, features)
        hidden = self.lstm(hidden)[0].flatten(1)
        hidden = self.dense_dropout(F.elu(self.dense(hidden)))
        return self.codes(hidden).view(len(slices), -1, config.code_size).sigmoid()


class Lip2AudSpecModel(Lip2AudSpecPreTrainedModel):
    """
    From a silent video of a talking mouth to speech, after Akbari et al. (2018). It recognises no words.

    Args:
        config ([`Lip2AudSpecConfig`]): the architecture. `Lip2AudSpecModel.from_pretrained` loads trained weights.
    """

    config_class = Lip2AudSpecConfig
    config: Lip2AudSpecConfig

    def __init__(self, config: Lip2AudSpecConfig):
        super().__init__(config)
        self.slice_encoder = SliceEncoder(config)
        self.autoencoder = SpectrumAutoencoder(config)
        self.post_init()

    def predict_codes(self, pixel_values_videos: torch.Tensor) -> torch.Tensor:
        """
        Codes of the sound.

        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, height, width)`): gray pictures.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames * spectra_per_frame, code_size)`.

        Raises:
            AuditoryError: if it has another shape.
        """
        config, shape = self.config, pixel_values_videos.shape
        if len(shape) != 5 or tuple(shape[2:]) != (1, config.image_height, config.image_width) or not shape[1]:
            raise AuditoryError(
                "`pixel_values_videos` must have shape (batch, frames, 1,"
                f" {config.image_height}, {config.image_width}); got {tuple(shape)}."
            )
        pictures = F.avg_pool2d(pixel_values_videos[:, :, 0], config.picture_pooling)
        pictures = with_differences(scaled(pictures, config.picture_scale))
        missing = -shape[1] % config.slice_frames
        if missing:  # the last picture stands still
            pictures = torch.cat([pictures, pictures[:, :, -1:].expand(-1, -1, missing, -1, -1)], 2)
        slices = pictures.unflatten(2, (-1, config.slice_frames)).transpose(1, 2).flatten(0, 1)
        codes = self.slice_encoder(slices)
        return codes.view(shape[0], -1, config.code_size)[:, : shape[1] * config.spectra_per_frame]

    def forward(self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None = None) -> Lip2AudSpecOutput:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, height, width)`):
                Mouth crops, as the feature extractor makes them.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*):
                1 for video frames of the clip, 0 for padding behind it. All count by default.

        Returns:
            [`Lip2AudSpecOutput`]
        """
        return self.synthesize(pixel_values_videos, frame_mask, chunk_frames=pixel_values_videos.shape[1])

    def synthesize(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        speaker_embedding: torch.Tensor | None = None,
        chunk_frames: int = 250,
        progress: Callable[[int], object] | None = None,
    ) -> Lip2AudSpecOutput:
        """
        Speak videos of any length with bounded memory: chunks of whole slices, seams blended over one video frame.

        Args:
            pixel_values_videos, frame_mask: as for `forward`.
            speaker_embedding: must be left out: the network has the voice that it learnt.
            chunk_frames (`int`, *optional*, defaults to 250): video frames spoken at a time, context not counted;
                rounded up to whole slices.
            progress (`Callable`, *optional*): called with the number of frames done after each chunk.

        Returns:
            [`Lip2AudSpecOutput`]
        """
        if speaker_embedding is not None:
            raise ValueError("`speaker_embedding`: this model has one voice only. Leave it out.")
        if chunk_frames < 1:
            raise ValueError(f"`chunk_frames` must be 1 or more; got {chunk_frames}.")
        if frame_mask is None:
            frame_mask = torch.ones(pixel_values_videos.shape[:2], device=pixel_values_videos.device)
        lengths, size = frame_mask.sum(1).long(), self.config.slice_frames
        chunk_frames = -(-chunk_frames // size) * size
        spectra, codes = self.config.spectra_per_frame, []
        for start in range(0, pixel_values_videos.shape[1], chunk_frames):
            low = max(start - size, 0)  # a slice before, for the differences of the first pictures
            part = self.predict_codes(pixel_values_videos[:, low : start + chunk_frames])
            codes.append(part[:, (start - low) * spectra :])
        codes = torch.cat(codes, 1)
        spectrogram = self.autoencoder.decode(codes)
        waveform = self._say(spectrogram, lengths.tolist(), chunk_frames, progress)
        return Lip2AudSpecOutput(waveform, lengths * self.config.samples_per_frame, spectrogram, codes)

    def _say(
        self,
        spectrogram: torch.Tensor,
        lengths: list[int],
        chunk_frames: int,
        progress: Callable[[int], object] | None,
    ) -> torch.Tensor:
        """Sounds `(batch, samples)` of spectrograms `(batch, spectra, 128)` of so many video frames."""
        spectra, samples = self.config.spectra_per_frame, self.config.samples_per_frame
        frames = spectrogram.shape[1] // spectra
        waveform = torch.zeros(len(spectrogram), frames * samples, device=spectrogram.device)
        fade = torch.linspace(0, 1, samples, device=waveform.device)
        for start in range(0, frames, chunk_frames):
            for clip, length in enumerate(lengths):
                low, high = max(start - CONTEXT_FRAMES, 0), min(start + chunk_frames + CONTEXT_FRAMES, length)
                if start >= length:
                    continue
                sound = self.sound(spectrogram[clip : clip + 1, low * spectra : high * spectra])[0]
                # One frame beyond the end is kept too: the next chunk is faded in over it.
                sound = sound[(start - low) * samples : (min(start + chunk_frames + 1, length) - low) * samples]
                if start:
                    seam = waveform[clip, start * samples : (start + 1) * samples]
                    sound[:samples] = seam * (1 - fade) + sound[:samples] * fade
                waveform[clip, start * samples : start * samples + len(sound)] = sound
            if progress is not None:
                progress(min(chunk_frames, frames - start))
        return waveform


def scaled(pictures: torch.Tensor, picture_scale: str) -> torch.Tensor:
    """Pictures `(batch, frames, height, width)`, each scaled to [0, 1] for `"frame"`."""
    if picture_scale == "clip":
        return pictures
    low, high = pictures.amin((2, 3), keepdim=True), pictures.amax((2, 3), keepdim=True)
    return (pictures - low) / (high - low).clamp(min=1e-4)


def with_differences(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures `(batch, frames, height, width)` and their differences in time: `(batch, 3, frames, height, width)`."""
    first = F.pad(pictures[:, 1:] - pictures[:, :-1], (0, 0, 0, 0, 1, 0))
    second = F.pad(first[:, 1:] - first[:, :-1], (0, 0, 0, 0, 1, 0))
    return torch.stack([pictures, first, second], 1)


__all__ = ["Lip2AudSpecModel", "Lip2AudSpecOutput", "scaled", "with_differences"]
