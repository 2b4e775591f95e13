"""How a frozen speech encoder hears generated speech, and original speech: losses that keep the words in it."""

from __future__ import annotations

import torch
from torch import nn

from ..generator import LogMelSpectrogram
from ..modeling_critic import Lip2WavSpeechEncoder
from .arguments import LossArguments
from .dataset import UNKNOWN_CLASS
from .losses import Batch, Losses, frame_word_loss, masked_l1


class PerceptualLosses(nn.Module):
    """
    Differences between what a speech encoder makes of generated and of original speech, and the words it recognises.

    Args:
        encoder ([`Lip2WavSpeechEncoder`]): the speech encoder, which is frozen and never in training mode. Its words
            are the first of the generator's, or all of them; what others are heard as does not count.
        weights ([`LossArguments`]): of these, `perceptual`, `perceptual_mel` and `heard_words`.
    """

    def __init__(self, encoder: Lip2WavSpeechEncoder, weights: LossArguments):
        super().__init__()
        self.encoder, self.weights = encoder.eval().requires_grad_(False), weights
        self.log_mel = LogMelSpectrogram(encoder.config)

    def train(self, mode: bool = True) -> PerceptualLosses:
        """Training mode, but for the speech encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def resample(self, waveform: torch.Tensor, sampling_rate: int) -> torch.Tensor:
        """A waveform `(batch, samples)` at the speech encoder's rate; a whole number of its video frames."""
        wanted = self.encoder.config.sampling_rate
        if sampling_rate == wanted:
            return waveform
        from torchaudio.functional import resample  # noqa: PLC0415  for different rates only

        return resample(waveform, sampling_rate, wanted)

    def forward(self, log_mel: torch.Tensor, target: torch.Tensor, batch: Batch) -> Losses:
        """
        Args:
            log_mel, target (`torch.Tensor` of shape `(batch, mel_frames, num_mel_bins)`): log-mel spectrograms of
                generated and of original speech.
            batch (`dict[str, torch.Tensor]`): gives `frame_mask` and `frame_classes`.

        Returns:
            `dict[str, torch.Tensor]`: those three, weighted, where their weights are not 0.
        """
        weights, losses = self.weights, {}
        frame_mask = batch["frame_mask"]
        log_mel, target = self.log_mel.standardise(log_mel), self.log_mel.standardise(target)
        if weights.perceptual_mel:
            mask = frame_mask.repeat_interleave(self.encoder.factor, 1)[..., None]
            losses["perceptual_mel"] = weights.perceptual_mel * masked_l1(log_mel, target, mask)
        recognised = self.encoder(log_mel, frame_mask)
        if weights.perceptual:
            with torch.no_grad():
                wanted = self.encoder(target, frame_mask)
            mask = frame_mask[..., None]
            distances = [
                masked_l1(hidden, reference, mask) / masked_l1(reference, reference.mean((0, 1), keepdim=True), mask)
                for hidden, reference in zip(recognised.hidden_states, wanted.hidden_states, strict=True)
            ]
            losses["perceptual"] = weights.perceptual * sum(distances) / len(distances)
        if weights.heard_words:
            classes = batch["frame_classes"]  # those that the generator alone knows come last
            classes = classes.masked_fill(classes >= recognised.text_logits.shape[-1], UNKNOWN_CLASS)
            words = frame_word_loss(recognised.text_logits, classes)
            losses["heard_words"] = weights.heard_words * words
        return losses


__all__ = ["PerceptualLosses"]
