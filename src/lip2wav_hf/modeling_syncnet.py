"""The sync network: estimates by how many frames the sound of a talking face is late or early.

After Chung & Zisserman (2016, "Out of time: automated lip sync in the wild"): two streams, mouth and sound, end in one
space, in which what belongs together is close; offset and confidence come from the distances over all shifts. The
streams, their normalisation and their sizes are our choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

from .configuration_lip2wav import Lip2WavSyncNetConfig
from .encoders import ConvNeXtBlock, VisualEncoder
from .modeling_lip2wav import Lip2WavPreTrainedModel


@dataclass
class Lip2WavSyncNetOutput(ModelOutput):
    """
    Output of [`Lip2WavSyncNet`].

    Args:
        offset (`torch.LongTensor` of shape `(batch,)`):
            Video frames by which the sound is late (negative: early): the shift of the smallest distance.
        confidence (`torch.FloatTensor` of shape `(batch,)`):
            Median minus minimum of `distances`; 0 if no shift stands out.
        distances (`torch.FloatTensor` of shape `(batch, 2 * max_shift + 1)`):
            Mean distance, 0 to 2, between each video frame and the sound `-max_shift` … `max_shift` frames later.
        video_embeds, audio_embeds (`torch.FloatTensor` of shape `(batch, frames, embedding_size)`):
            Unit vectors of the mouth and of the sound in each video frame.
    """

    offset: torch.Tensor | None = None
    confidence: torch.Tensor | None = None
    distances: torch.Tensor | None = None
    video_embeds: torch.Tensor | None = None
    audio_embeds: torch.Tensor | None = None


class Lip2WavSyncNet(Lip2WavPreTrainedModel):
    """
    From mouth crops and the log-mel spectrogram of a sound to the offset between them.

    Both inputs lose their average over about `config.normalization_frames` frames first, and what is left gets unit
    power: what the face and the voice are like is gone; how they move remains.

    Args:
        config ([`Lip2WavSyncNetConfig`]): the architecture. `Lip2WavSyncNet.from_pretrained` loads trained weights.
    """

    config_class = Lip2WavSyncNetConfig
    base_model_prefix = "syncnet"
    input_modalities = ["video", "audio"]
    config: Lip2WavSyncNetConfig

    def __init__(self, config: Lip2WavSyncNetConfig):
        super().__init__(config)
        size, self.factor = config.hidden_size, config.mel_frames_per_frame
        self.visual_encoder = VisualEncoder(config)
        self.mel_encoder = nn.Conv1d(config.num_mel_bins, size, 2 * self.factor, self.factor)
        self.video_stream = EmbeddingStream(config)
        self.audio_stream = EmbeddingStream(config)
        self.post_init()

    def embed_video(self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, height, width)`): normalised crops.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*): 1 for frames of the clip.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, embedding_size)`: unit vectors.

        Raises:
            ValueError: if the shape does not fit the config.
        """
        expected = (1, self.config.image_height, self.config.image_width)
        if pixel_values_videos.ndim != 5 or tuple(pixel_values_videos.shape[2:]) != expected:
            raise ValueError(
                f"`pixel_values_videos` must have shape (batch, frames, {', '.join(map(str, expected))}); got"
                f" {tuple(pixel_values_videos.shape)}."
            )
        mask = _mask(pixel_values_videos, frame_mask, pixel_values_videos.shape[1])
        flat = pixel_values_videos.flatten(2)  # (batch, frames, pixels)
        flat = unit_power(subtract_moving_average(flat, mask, self.config.normalization_frames), mask)
        return self.video_stream(self.visual_encoder(flat.view_as(pixel_values_videos)), mask)

    def embed_audio(self, mel: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            mel (`torch.FloatTensor` of shape `(batch, mel_frames, num_mel_bins)`):
                Standardised log-mel spectrogram; a whole number of video frames.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*): 1 for frames of the clip.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, embedding_size)`: unit vectors.

        Raises:
            ValueError: if the shape does not fit the config.
        """
        if mel.ndim != 3 or mel.shape[2] != self.config.num_mel_bins or mel.shape[1] % self.factor or not mel.shape[1]:
            raise ValueError(
                f"`mel` must have shape (batch, mel_frames, {self.config.num_mel_bins}), with mel_frames a multiple of"
                f" {self.factor}; got {tuple(mel.shape)}."
            )
        mask = _mask(mel, frame_mask, mel.shape[1] // self.factor)
        fine = mask.repeat_interleave(self.factor, 1)
        mel = unit_power(subtract_moving_average(mel, fine, self.config.normalization_frames * self.factor), fine)
        half = self.factor // 2
        hidden = self.mel_encoder(F.pad(mel.transpose(1, 2), (half, self.factor - half))).transpose(1, 2)
        return self.audio_stream(hidden, mask)

    def forward(
        self, pixel_values_videos: torch.Tensor, mel: torch.Tensor, frame_mask: torch.Tensor | None = None
    ) -> Lip2WavSyncNetOutput:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, height, width)`): normalised crops,
                as from [`Lip2WavFeatureExtractor`].
            mel (`torch.FloatTensor` of shape `(batch, frames * mel_frames_per_frame, num_mel_bins)`):
                Standardised log-mel spectrogram of the sound.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*):
                1 for video frames of the clip, 0 for padding. All count by default.

        Returns:
            [`Lip2WavSyncNetOutput`]

        Raises:
            ValueError: if a shape does not fit the config, or a clip is not longer than `config.max_shift` frames.
        """
        video = self.embed_video(pixel_values_videos, frame_mask)
        audio = self.embed_audio(mel, frame_mask)
        if video.shape[1] != audio.shape[1]:
            raise ValueError(f"{video.shape[1]} frames of video, but sound for {audio.shape[1]}: cut to the shorter.")
        mask = torch.ones(video.shape[:2], device=video.device) if frame_mask is None else frame_mask
        distances = distances_over_shifts(video, audio, mask, self.config.max_shift)
        smallest, place = distances.min(1)
        return Lip2WavSyncNetOutput(
            offset=place - self.config.max_shift,
            confidence=distances.median(1).values - smallest,
            distances=distances,
            video_embeds=video,
            audio_embeds=audio,
        )


class EmbeddingStream(nn.Module):
    """Blocks that mix a few frames, then unit vectors."""

    def __init__(self, config: Lip2WavSyncNetConfig):
        super().__init__()
        size = config.hidden_size
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, config.embedding_size)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            hidden = block(hidden, mask)
        return F.normalize(self.projection(self.norm(hidden)).float(), dim=-1)


def subtract_moving_average(values: torch.Tensor, mask: torch.Tensor, width: int) -> torch.Tensor:
    """
    Values less their mean over the frames around them; at the ends of a clip, over those that there are.

    Args:
        values (`torch.Tensor` of shape `(batch, frames, channels)`).
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames of the clip.
        width (`int`): frames averaged over, made odd.

    Returns:
        `torch.Tensor` of the same shape and type; zero where the mask is.
    """
    reach = width // 2
    frames = values.shape[1]
    index = torch.arange(frames, device=values.device)
    first, last = (index - reach).clamp(min=0), (index + reach + 1).clamp(max=frames)

    def window_sums(terms: torch.Tensor) -> torch.Tensor:
        sums = F.pad(terms.cumsum(1), (0, 0, 1, 0))
        return sums[:, last] - sums[:, first]

    exact, weight = values.float(), mask.float()
    mean = window_sums(exact * weight) / window_sums(weight).clamp(min=1.0)
    return ((exact - mean) * weight).to(values.dtype)


def unit_power(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values `(batch, frames, channels)` over the root of their mean square in the frames of each clip's mask."""
    exact, weight = values.float(), mask.float()
    power = (exact.square() * weight).sum((1, 2)) / (weight.sum((1, 2)).clamp(min=1.0) * values.shape[2])
    return (exact / (power.sqrt() + 1e-3)[:, None, None]).to(values.dtype)


def cosines(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    """Cosines `(batch, video frames, audio frames)` of unit vectors, in full precision: they differ by little."""
    with torch.autocast(video.device.type, enabled=False):
        return video.float() @ audio.float().transpose(1, 2)


def distances_over_shifts(
    video: torch.Tensor, audio: torch.Tensor, frame_mask: torch.Tensor, max_shift: int
) -> torch.Tensor:
    """
    Mean Euclidean distance between the mouth in each frame and the sound some frames later.

    Args:
        video, audio (`torch.Tensor` of shape `(batch, frames, embedding_size)`): unit vectors.
        frame_mask (`torch.Tensor` of shape `(batch, frames)`): 1 for frames of the clip.
        max_shift (`int`): largest shift, in frames.

    Returns:
        `torch.Tensor` of shape `(batch, 2 * max_shift + 1)`: for the shifts `-max_shift` … `max_shift`, over the
        frames that both have; positive shifts mean that the sound is late.

    Raises:
        ValueError: if a clip is not longer than `max_shift` frames.
    """
    shortest = int(frame_mask.sum(1).min())
    if shortest <= max_shift:
        raise ValueError(f"a clip of {shortest} frames is too short for shifts of up to {max_shift} frames.")
    distance = (2 - 2 * cosines(video, audio)).clamp(min=1e-6).sqrt()
    both = frame_mask.float()[:, :, None] * frame_mask.float()[:, None, :]
    means = []
    for shift in range(-max_shift, max_shift + 1):
        weights = both.diagonal(shift, 1, 2)
        means.append((distance.diagonal(shift, 1, 2) * weights).sum(1) / weights.sum(1))
    return torch.stack(means, 1)


def _mask(like: torch.Tensor, frame_mask: torch.Tensor | None, frames: int) -> torch.Tensor:
    """`(batch, frames, 1)`, of the type of `like`."""
    if frame_mask is None:
        return torch.ones(like.shape[0], frames, 1, device=like.device, dtype=like.dtype)
    return frame_mask.to(like.dtype)[..., None]


__all__ = ["Lip2WavSyncNet", "Lip2WavSyncNetOutput", "cosines", "distances_over_shifts"]
