"""The visual encoders: from mouth crops to one vector per frame, in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_lip2wav import Chunks, Lip2WavConfig, Lip2WavSyncNetConfig


MOMENT_FRAMES = 250  # of running statistics: what is longer ago fades, in as many frames


@dataclass
class Moments:
    """
    Running mean and mean square of each channel: of all frames so far, of a long video mostly of the last ones.

    Attributes:
        frames (`int`): frames so far.
        values (`torch.Tensor` of shape `(2, batch, channels)`, *optional*): both, once there are any.
    """

    frames: int = 0
    values: torch.Tensor | None = None

    def add(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take `(batch, frames, channels, height, width)`; both after each frame, `(batch, frames, channels)`."""
        new = torch.stack([pictures.mean((3, 4)), pictures.square().mean((3, 4))])  # (2, batch, frames, channels)
        state = new[:, :, 0] if self.values is None else self.values
        states = []
        for frame in new.unbind(2):
            self.frames += 1
            state = state + (frame - state) / min(self.frames, MOMENT_FRAMES)
            states.append(state)
        self.values = state
        mean, square = torch.stack(states, 2)
        return mean, square


class ClipNorm(nn.Module):
    """Batch normalisation by each clip's own statistics, in training and outside: what is the person's falls away.

    The names of the weights are those of `nn.BatchNorm2d`. Our choice.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels)), eps

    def forward(self, pictures: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Pictures `(clips * frames, channels, height, width)`; `lengths`: the frames of each clip that count."""
        clips = []
        if lengths == [len(pictures)] and pictures.numel() > pictures.shape[1]:  # one clip, without padding: no copies
            return F.batch_norm(pictures, None, None, self.weight, self.bias, True, 0.0, self.eps)
        for clip, length in zip(pictures.chunk(len(lengths)), lengths, strict=True):
            seen = clip[: max(length, 1)]
            if seen.numel() == seen.shape[1]:  # one value per channel has no variance
                normal = torch.zeros_like(seen) + self.bias[:, None, None]
            else:
                normal = F.batch_norm(seen, None, None, self.weight, self.bias, True, 0.0, self.eps)
            clips.append(F.pad(normal, (0, 0, 0, 0, 0, 0, 0, len(clip) - len(seen))))
        return torch.cat(clips)

    def running(self, pictures: torch.Tensor, known: torch.Tensor, moments: Moments | None = None) -> torch.Tensor:
        """
        As `forward`, by running statistics: those after frame `known`, `(clips, frames)`, for each frame. `moments` of
        earlier pictures are brought up to date.
        """
        moments = Moments() if moments is None else moments
        states = moments.add(pictures.float().unflatten(0, known.shape))
        index = known[..., None].expand_as(states[0])
        mean, square = (state.gather(1, index).flatten(0, 1) for state in states)
        scale = (square - mean.square()).clamp(min=0.0).add(self.eps).rsqrt() * self.weight
        shift = self.bias - mean * scale
        return (pictures * scale[..., None, None] + shift[..., None, None]).to(pictures.dtype)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; a block that widens halves height and width."""

    def __init__(self, in_channels: int, out_channels: int, norm: type[nn.Module]):
        super().__init__()
        stride = 1 if in_channels == out_channels else 2
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = norm(out_channels)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, pictures: torch.Tensor, normalize: Callable[..., torch.Tensor]) -> torch.Tensor:
        residual = F.silu(normalize(self.norm1, self.conv1(pictures)))
        return F.silu(self.shortcut(pictures) + normalize(self.norm2, self.conv2(residual)))


def windows_of(videos: torch.Tensor, count: int, before: int, after: int) -> torch.Tensor:
    """
    Windows of `count` frames, `(batch, windows, count * channels, height, width)`, the channels last in memory, of
    `videos`, `(batch, frames, channels, height, width)`, with so many frames of zeros before and after them.
    """
    padded = F.pad(videos.permute(0, 1, 3, 4, 2), (0, 0, 0, 0, 0, 0, before, after))
    windows = padded.shape[1] - count + 1
    shifted = [padded[:, first : first + windows] for first in range(count)]
    return torch.cat(shifted, -1).permute(0, 1, 4, 2, 3)


class VisualEncoder(nn.Module):
    """Mouth crops to one vector per frame.

    The stem equals a 3-D convolution over `stem_frames` frames, written as a 2-D one over stacked neighbours, which
    is several times faster on a CPU.
    """

    def __init__(self, config: Lip2WavConfig | Lip2WavSyncNetConfig):
        super().__init__()
        self.stem_frames, self.per_clip = config.stem_frames, config.visual_normalization == "clip"
        norm = ClipNorm if self.per_clip else nn.BatchNorm2d
        self.stem = nn.Conv2d(4 * config.stem_frames, config.stem_channels, 3, padding=1, bias=False)
        self.stem_norm = norm(config.stem_channels)
        channels = [config.stem_channels, *config.visual_channels]
        self.blocks = nn.ModuleList([ResidualBlock(*pair, norm) for pair in pairwise(channels)])
        self.projection = nn.Linear(channels[-1], config.hidden_size)

    def forward(
        self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None = None, chunks: Chunks | None = None
    ) -> torch.Tensor:
        """
        Vectors `(batch, frames, hidden_size)` of crops `(batch, frames, 1, height, width)`. With chunks, no frame sees
        a later chunk than its own, and clips are normalised by all frames up to the end of each chunk.
        """
        batch, frames = pixel_values_videos.shape[:2]
        reach, device = self.stem_frames // 2, pixel_values_videos.device
        windows = self.windows(pixel_values_videos, reach, reach)
        known = torch.arange(frames, device=device)
        if chunks is not None:
            known = (known // chunks.size + 1) * chunks.size - 1  # the last frame of each chunk
            seen = torch.arange(-reach, frames + reach, device=device).unfold(0, self.stem_frames, 1) <= known[:, None]
            windows = windows * seen.repeat_interleave(4, 1)[..., None, None]
        if not self.per_clip:
            return self.see(windows, lambda norm, pictures: norm(pictures))
        lengths = [frames] * batch if frame_mask is None else frame_mask.sum(1).int().tolist()
        if chunks is None:
            return self.see(windows, lambda norm, pictures: norm(pictures, lengths))
        known = torch.stack([known.clamp(max=max(length - 1, 0)) for length in lengths])
        return self.see(windows, lambda norm, pictures: norm.running(pictures, known))

    def windows(self, videos: torch.Tensor, before: int, after: int) -> torch.Tensor:
        """
        What the stem sees of crops `(batch, frames, 1, height, width)` with frames of zeros around them: `(batch,
        windows, 4 * stem_frames, height / 2, width / 2)`.
        """
        return windows_of(F.pixel_unshuffle(videos, 2), self.stem_frames, before, after)

    def see(self, windows: torch.Tensor, normalize: Callable[..., torch.Tensor]) -> torch.Tensor:
        """Vectors of the windows of frames, as from `windows`, given how a norm is applied."""
        batch, frames = windows.shape[:2]
        pictures = windows.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        pictures = F.max_pool2d(F.silu(normalize(self.stem_norm, self.stem(pictures))), 2)
        for block in self.blocks:
            pictures = block(pictures, normalize)
        return self.projection(pictures.mean((2, 3))).view(batch, frames, -1)


class WindowEncoder(nn.Module):
    """The 2019 content encoder, reconstructed: 3-D convolutions, of which the first reaches over a window of frames.

    Written as 2-D ones: oneDNN's gradient of 3-D ones in bfloat16 is not a number for clips of a few frames.
    """

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        self.stem_frames = config.stem_frames
        channels = [config.stem_frames, *config.visual_channels]
        blocks = []
        for narrow, wide in pairwise(channels):
            blocks += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        self.blocks, shrink = nn.Sequential(*blocks), 2 ** len(config.visual_channels)
        pixels = (config.image_height // shrink) * (config.image_width // shrink)
        self.projection = nn.Linear(channels[-1] * pixels, config.hidden_size)

    def forward(
        self, pixel_values_videos: torch.Tensor, frame_mask: torch.Tensor | None = None, chunks: None = None
    ) -> torch.Tensor:
        batch, frames = pixel_values_videos.shape[:2]
        reach = self.stem_frames // 2
        windows = windows_of(pixel_values_videos, self.stem_frames, reach, reach).flatten(0, 1)
        pictures = self.blocks(windows.contiguous())
        return torch.tanh(self.projection(pictures.flatten(1))).view(batch, frames, -1)


__all__ = ["ClipNorm", "Moments", "VisualEncoder", "WindowEncoder"]
