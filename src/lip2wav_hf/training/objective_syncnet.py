"""The losses of the sync network, contrastive: over shifts in time within a clip, and over other clips."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..generator import LogMelSpectrogram
from ..modeling_syncnet import Lip2WavSyncNet, cosines
from .arguments import LossArguments
from .losses import Batch, Losses
from .objectives import Objective, ObjectiveOutput, stretch_frames


FRAME_TEMPERATURE = 0.07  # of cosines between single frames, whose rivals are the other frames of the clip
CLIP_TEMPERATURE = 0.03  # of mean distances over a clip, whose rivals are the other shifts and the other clips
EDGE_FRAMES = 16  # training windows of the two streams start up to this many frames apart


class SyncNetObjective(Objective):
    """
    Trains the sync network to distinguish the right shift from wrong ones.

    Every rival within a clip has the same speaker, so that the speaker is no help. In training, pictures and sound are
    cut at different places, or the network would learn to match the ends of the clip instead of what it shows.

    Args:
        model ([`Lip2WavSyncNet`]): the sync network.
        weights ([`LossArguments`]): none of them is of this network, whose losses weigh the same.
    """

    model: Lip2WavSyncNet

    def __init__(self, model: Lip2WavSyncNet, weights: LossArguments):
        super().__init__(model, weights)
        self.log_mel = LogMelSpectrogram(model.config)

    def forward(self, batch: Batch) -> ObjectiveOutput:
        config = self.model.config
        pixels, mask = batch["pixel_values_videos"], batch["frame_mask"]
        waveform = batch["waveform"]
        if self.training:
            pixels, waveform = self._vary_pictures(pixels), self._vary_sound(waveform)
        factor = config.mel_frames_per_frame
        mel = stretch_frames(self.log_mel.standardised(waveform), batch["stretch"], mask.shape[1] * factor)
        start, shift, length = 0, 0, mask.shape[1]
        if self.training:
            spare = min(EDGE_FRAMES, length // 4)
            length -= spare
            start, other = torch.randint(spare + 1, (2,)).tolist()
            shift = other - start
        stop = start + length
        video_mask, audio_mask = mask[:, start:stop], mask[:, start + shift : stop + shift]
        video = self.model.embed_video(pixels[:, start:stop], video_mask)
        audio = self.model.embed_audio(mel[:, (start + shift) * factor : (stop + shift) * factor], audio_mask)
        return ObjectiveOutput(
            {
                "frames": frame_loss(video, audio, video_mask, audio_mask, -shift, config.max_shift),
                "shifts": shift_loss(video, audio, video_mask, audio_mask, -shift, config.max_shift),
                "clips": clip_loss(video, audio, video_mask, audio_mask, -shift),
            }
        )

    @torch.no_grad()
    def find_offsets(self, batch: Batch) -> torch.Tensor:
        """Estimate by how many video frames the sound of each clip is late, `(batch,)`."""
        with torch.autocast(batch["waveform"].device.type, enabled=False):
            mel = self.log_mel.standardised(batch["waveform"])
            return self.model(batch["pixel_values_videos"], mel, batch["frame_mask"]).offset

    def validate(self, batch: Batch) -> tuple[Losses, list[int]]:
        """Losses of a batch, and the offset found of each clip."""
        return self(batch).losses, self.find_offsets(batch).tolist()

    def measures(self, clips: list[int]) -> dict[str, float]:
        """`within_one_frame`, the share of the clips whose offset is found as -1, 0 or 1."""
        return {"within_one_frame": sum(abs(offset) <= 1 for offset in clips) / len(clips)}

    @staticmethod
    def _vary_pictures(pixels: torch.Tensor) -> torch.Tensor:
        """Other tones of gray for each clip, some of them negatives: lips may be lighter or darker than the skin."""
        shape = (len(pixels), 1, 1, 1, 1)
        depth, rate, phase, sign = torch.rand(4, *shape, device=pixels.device)
        curved = pixels + 1.2 * depth * torch.sin((1 + 1.5 * rate) * pixels + 2 * torch.pi * phase)
        return torch.where(sign < 0.3, -curved, curved)

    @staticmethod
    def _vary_sound(waveform: torch.Tensor) -> torch.Tensor:
        """Another loudness, a tilted spectrum and some noise, for each clip."""
        batch, device = len(waveform), waveform.device
        tilt = 1.2 * torch.rand(batch, 1, device=device) - 0.6
        tilted = waveform - tilt * F.pad(waveform, (1, 0))[:, :-1]
        gain = torch.exp(1.5 * torch.rand(batch, 1, device=device) - 1.0)
        noise_level = 10 ** (-4.5 + 2.5 * torch.rand(batch, 1, device=device))
        return gain * tilted + noise_level * torch.randn_like(waveform)


def _relative_shifts(video: torch.Tensor, audio: torch.Tensor, right: int) -> torch.Tensor:
    """`(video frames, audio frames)`: by how many frames the sound is later than the right one."""
    frames = torch.arange(video.shape[1], device=video.device)
    sounds = torch.arange(audio.shape[1], device=video.device)
    return sounds[None] - frames[:, None] - right


def frame_loss(
    video: torch.Tensor,
    audio: torch.Tensor,
    video_mask: torch.Tensor,
    audio_mask: torch.Tensor,
    right: int,
    max_shift: int,
) -> torch.Tensor:
    """
    Cross-entropy of the right frame among those up to `max_shift` away, both ways (van den Oord et al. 2018,
    "Contrastive predictive coding").

    Args:
        video, audio (`torch.Tensor` of shape `(batch, frames, embedding_size)`): unit vectors.
        video_mask, audio_mask (`torch.Tensor` of shape `(batch, frames)`): 1 for frames of the clip.
        right (`int`): frame `t` of `video` belongs to frame `t + right` of `audio`.
        max_shift (`int`): farthest rivals, in frames.

    Returns:
        `torch.Tensor`: a scalar.
    """
    logits = cosines(video, audio) / FRAME_TEMPERATURE  # (batch, video frames, audio frames)
    relative = _relative_shifts(video, audio, right)
    allowed = (relative.abs() <= max_shift) & video_mask[:, :, None].bool() & audio_mask[:, None].bool()
    logits = logits.masked_fill(~allowed, -1e4)
    chosen = (relative == 0) & allowed
    return -(logits.log_softmax(2)[chosen].mean() + logits.log_softmax(1)[chosen].mean()) / 2


def shift_loss(
    video: torch.Tensor,
    audio: torch.Tensor,
    video_mask: torch.Tensor,
    audio_mask: torch.Tensor,
    right: int,
    max_shift: int,
) -> torch.Tensor:
    """Cross-entropy of the right shift of a whole clip, by mean distance, among those up to `max_shift` away."""
    distance = (2 - 2 * cosines(video, audio)).clamp(min=1e-6).sqrt()
    weight = (video_mask[:, :, None] * audio_mask[:, None]).to(distance.dtype)
    means = []
    for shift in range(right - max_shift, right + max_shift + 1):
        weights = weight.diagonal(shift, 1, 2)
        means.append((distance.diagonal(shift, 1, 2) * weights).sum(1) / weights.sum(1).clamp(min=1.0))
    logits = -torch.stack(means, 1) / CLIP_TEMPERATURE
    return F.cross_entropy(logits, torch.full((len(video),), max_shift, device=video.device))


def clip_loss(
    video: torch.Tensor, audio: torch.Tensor, video_mask: torch.Tensor, audio_mask: torch.Tensor, right: int
) -> torch.Tensor:
    """Cross-entropy of the clip's own sound among the sounds of the batch, by mean cosine at the right shift."""
    first, last = max(0, -right), min(video.shape[1], audio.shape[1] - right)
    weighted = video[:, first:last] * video_mask[:, first:last, None]
    sounds = audio[:, first + right : last + right] * audio_mask[:, first + right : last + right, None]
    lengths = video_mask[:, first:last].sum(1).clamp(min=1)
    means = cosines(weighted.flatten(1)[None], sounds.flatten(1)[None])[0] / lengths[:, None]
    logits = means / CLIP_TEMPERATURE
    wanted = torch.arange(len(video), device=video.device)
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2


__all__ = ["SyncNetObjective", "clip_loss", "frame_loss", "shift_loss"]
