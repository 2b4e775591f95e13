"""What a speech encoder is to imagine of the lips that it hears: a frozen generator, which sees them, shows it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..modeling_critic import LipImagination
from ..modeling_lip2wav import Lip2WavModel
from .dataset import SpeechClips
from .losses import Batch


class LipTeacher(nn.Module):
    """
    What a generator sees of lips, without the face that they are in.

    Args:
        generator ([`Lip2WavModel`]): the generator, which is frozen and never in training mode.
    """

    def __init__(self, generator: Lip2WavModel):
        super().__init__()
        self.generator = generator.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> LipTeacher:
        """Training mode, but for the generator."""
        super().train(mode)
        self.generator.eval()
        return self

    @torch.no_grad()
    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            batch (`dict[str, torch.Tensor]`): gives `pixel_values_videos` and `frame_mask`, and may give `has_sound`:
                clips without sound do not count.

        Returns:
            `tuple[torch.Tensor, torch.Tensor]`: what the generator's decoder is told of each frame, less its mean over
            the frames of the clip, `(batch, frames, hidden_size)`; and the frames that count, `(batch, frames, 1)`.
        """
        frame_mask = batch["frame_mask"]
        hidden, text_logits, _ = self.generator.encode(batch["pixel_values_videos"], frame_mask)
        told = self.generator.add_words(hidden, text_logits).float()
        mask = frame_mask.to(told.dtype)[..., None]
        told = told - (told * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        if "has_sound" in batch:
            mask = mask * batch["has_sound"][:, None, None]
        return told, mask


@torch.no_grad()
def show_faces(lips: LipImagination, generator: Lip2WavModel, clips: SpeechClips) -> None:
    """
    Fill in `faces`: what a generator's decoder is told of a clip in the mean, of clips spread over a dataset.

    Args:
        lips ([`LipImagination`]): whose faces are replaced.
        generator ([`Lip2WavModel`]): sees them.
        clips ([`SpeechClips`]): the dataset; with its variations, if it has any.
    """
    generator.eval()
    for number, place in enumerate(np.linspace(0, len(clips) - 1, len(lips.faces)).round().astype(int)):
        hidden, text_logits, _ = generator.encode(clips[int(place)]["pixel_values_videos"][None])
        lips.faces[number] = generator.add_words(hidden, text_logits)[0].mean(0)


__all__ = ["LipTeacher", "show_faces"]
