"""The encoders, in plain torch: from mouth crops to one vector per frame, and along the frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_lip2wav import Chunks, Lip2WavConfig, Lip2WavSyncNetConfig


SAFE_CHANNELS = 16
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
        if lengths == [pictures.shape[0]] and pictures.numel() > pictures.shape[1]:  # one, without padding: no copies
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
        # The gradient of such a convolution with a stride writes outside of its memory where there are few channels
        # and several threads (oneDNN in PyTorch 2.15): its pixels are chosen before it.
        self.step = stride if in_channels < SAFE_CHANNELS else 1
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride // self.step, bias=False)

    def forward(self, pictures: torch.Tensor, normalize: Callable[..., torch.Tensor]) -> torch.Tensor:
        residual = F.silu(normalize(self.norm1, self.conv1(pictures)))
        shortcut = self.shortcut(pictures if self.step == 1 else pictures[..., :: self.step, :: self.step])
        return F.silu(shortcut + normalize(self.norm2, self.conv2(residual)))


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


def convolve(convolution: nn.Conv1d, frames: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
    """A convolution in time of `(batch, channels, frames)`, which sees no chunk after a frame's own."""
    if chunks is None:
        return _along(convolution, frames)
    reach, length = convolution.kernel_size[0] // 2, frames.shape[-1]
    lead = -chunks.start % chunks.size
    padded = F.pad(frames, (reach + lead, -(lead + length) % chunks.size))
    pieces = padded.unfold(-1, reach + chunks.size, chunks.size)  # (batch, channels, chunks, frames), the past first
    batch, channels, number, _ = pieces.shape
    pieces = pieces.transpose(1, 2).reshape(batch * number, channels, -1)
    mixed = F.conv1d(F.pad(pieces, (0, reach)), convolution.weight, convolution.bias, groups=convolution.groups)
    mixed = mixed.view(batch, number, -1, chunks.size).transpose(1, 2).flatten(2)
    return mixed[..., lead : lead + length]


def _along(convolution: nn.Conv1d, frames: torch.Tensor) -> torch.Tensor:
    """A convolution in time; without a gradient as one of pictures of one row, which is faster on a processor."""
    if torch.is_grad_enabled() or frames.device.type != "cpu":
        return convolution(frames)
    weight, padding = convolution.weight[:, :, None], (0, *cast(Any, convolution.padding))
    return F.conv2d(frames[:, :, None], weight, convolution.bias, padding=padding, groups=convolution.groups)[:, :, 0]


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution in time and a pointwise feed-forward, residual (Liu et al. 2022, in one dimension)."""

    def __init__(self, channels: int, intermediate: int, kernel_size: int, dropout: float = 0.0, scale: float = 0.3):
        super().__init__()
        self.initial_scale = scale
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, intermediate)
        self.contract = nn.Linear(intermediate, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        # (batch, frames, channels); padding is zeroed so that it acts as the end of the clip does
        return self.mix(hidden, convolve(self.depthwise, (hidden * mask).transpose(1, 2), chunks).transpose(1, 2))

    def mix(self, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """What comes after the depthwise convolution, all frame by frame."""
        mixed = self.contract(F.gelu(self.expand(self.norm(mixed))))
        return hidden + self.dropout(self.scale * mixed)


def rotate_positions(heads: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021) of `(batch, heads, frames, channels)`: attention sees distances only."""
    frames, channels = heads.shape[-2:]
    half = channels // 2
    frequencies = 1000.0 ** (-torch.arange(half, device=heads.device, dtype=torch.float32) / half)
    angles = torch.arange(frames, device=heads.device, dtype=torch.float32)[:, None] * frequencies
    cosine, sine = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    first, second = heads[..., :half], heads[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer whose attention reaches `attention_window` frames to either side."""

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.window = config.attention_window
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.attention_output = nn.Linear(config.hidden_size, config.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size)
        self.expand = nn.Linear(config.hidden_size, config.intermediate_size)
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, hidden: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        batch, frames, channels = hidden.shape
        qkv = self.query_key_value(hidden).view(batch, frames, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = rotate_positions(qkv[0]), rotate_positions(qkv[1]), qkv[2]
        positions = torch.arange(frames, device=hidden.device)
        near = (positions[:, None] - positions).abs() <= self.window
        if chunks is not None:
            near = near & (positions // chunks.size <= positions[:, None] // chunks.size)
        allowed = near[None] & mask[:, None, :, 0].bool()
        # Padding attends to itself: no NaN.
        allowed = allowed | torch.eye(frames, dtype=torch.bool, device=hidden.device)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, None])
        return self.attention_output(mixed.transpose(1, 2).reshape(batch, frames, channels))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        return self.feed(hidden + self.dropout(self.attend(self.attention_norm(hidden), mask, chunks)))

    def feed(self, hidden: torch.Tensor) -> torch.Tensor:
        """The feed-forward part, frame by frame."""
        inner = self.dropout(F.gelu(self.expand(self.feed_forward_norm(hidden))))
        return hidden + self.dropout(self.contract(inner))


class TemporalEncoder(nn.Module):
    """Convolutions and local attention over the frames of a clip, of any length."""

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        size = config.hidden_size
        self.convolutions = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout) for _ in range(config.num_layers)
        )
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        for convolution, layer in zip(self.convolutions, self.layers, strict=True):
            hidden = layer(convolution(hidden, mask, chunks), mask, chunks)
        return self.norm(hidden) * mask


__all__ = [
    "ClipNorm",
    "ConvNeXtBlock",
    "Moments",
    "TemporalEncoder",
    "TransformerLayer",
    "VisualEncoder",
    "WindowEncoder",
    "convolve",
    "rotate_positions",
]
