"""The losses of Lip2AudSpec (Akbari et al. 2018): of its autoencoder, and of the network that reads the lips."""

from __future__ import annotations

from typing import cast

import torch

from ..lip2audspec.modeling_autoencoder import Lip2AudSpecAutoencoder
from ..lip2audspec.modeling_lip2audspec import Lip2AudSpecModel
from .arguments import LossArguments
from .losses import Batch, Losses, correlation_mse_loss
from .objectives import Objective, ObjectiveOutput, stretch_frames


Correlations = list[float]
"""Of each validation clip, over all channels and frames of its auditory spectrogram."""


class _SpectralObjective(Objective):
    """What both objectives share: the auditory spectrograms of a batch, and how well they are met."""

    def _target(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised spectrograms `(batch, spectra, 128)`, and which of their frames count `(batch, spectra, 1)`."""
        model, frames = cast(Lip2AudSpecAutoencoder | Lip2AudSpecModel, self.model), batch["frame_mask"].shape[1]
        with torch.autocast(batch["waveform"].device.type, enabled=False):
            spectrogram = model.standardised(batch["waveform"].float())
        spectrogram = stretch_frames(spectrogram, batch["stretch"], frames * model.config.spectra_per_frame)
        mask = batch["frame_mask"].repeat_interleave(model.config.spectra_per_frame, 1)
        if "has_sound" in batch:
            mask = mask * batch["has_sound"][:, None]
        return spectrogram, mask[..., None].float()

    def measures(self, clips: Correlations) -> dict[str, float]:
        """`correlation` of the auditory spectrogram with that of the sound, the mean of the clips."""
        return {"correlation": sum(clips) / max(len(clips), 1)}


class AutoencoderObjective(_SpectralObjective):
    """
    The autoencoder learns to give back the spectra of the clips, in the sense of least squares.

    Args:
        model ([`Lip2AudSpecAutoencoder`]): the autoencoder.
        weights ([`LossArguments`]): none of them is of this network.
    """

    model: Lip2AudSpecAutoencoder

    def forward(self, batch: Batch) -> ObjectiveOutput:
        target, mask = self._target(batch)
        return ObjectiveOutput({"spectrum": _squares(self.model(target).spectrogram, target, mask)})

    def validate(self, batch: Batch) -> tuple[Losses, Correlations]:
        """Losses of a batch, and the correlation of each clip."""
        target, mask = self._target(batch)
        found = self.model(target).spectrogram
        return {"spectrum": _squares(found, target, mask)}, correlations(found, target, mask)


class Lip2AudSpecObjective(_SpectralObjective):
    """
    The network learns the codes that the autoencoder has for the sound of the clips. The autoencoder stays as it is.

    Args:
        model ([`Lip2AudSpecModel`]): the network, with the autoencoder in it.
        weights ([`LossArguments`]): of these, `codes` and `auditory`.
    """

    model: Lip2AudSpecModel

    def __init__(self, model: Lip2AudSpecModel, weights: LossArguments):
        super().__init__(model, weights)
        model.autoencoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Lip2AudSpecObjective:
        """As of any module, but the autoencoder has neither noise nor statistics of the batch."""
        super().train(mode)
        self.model.autoencoder.eval()
        return self

    def forward(self, batch: Batch) -> ObjectiveOutput:
        target, mask = self._target(batch)
        return ObjectiveOutput(self._losses(self.model.predict_codes(batch["pixel_values_videos"]), target, mask))

    def _losses(self, codes: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> Losses:
        weights, autoencoder, losses = self.weights, self.model.autoencoder, {}
        if weights.codes:
            with torch.no_grad():
                wanted = autoencoder.encode(target)
            losses["codes"] = weights.codes * correlation_mse_loss(codes, wanted, mask)
        if weights.auditory:
            losses["auditory"] = weights.auditory * correlation_mse_loss(autoencoder.decode(codes), target, mask)
        return losses

    def validate(self, batch: Batch) -> tuple[Losses, Correlations]:
        """Losses of a batch, and the correlation of each clip."""
        target, mask = self._target(batch)
        codes = self.model.predict_codes(batch["pixel_values_videos"])
        return self._losses(codes, target, mask), correlations(self.model.autoencoder.decode(codes), target, mask)


def _squares(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    difference = (prediction.float() - target).square() * mask
    return difference.sum() / (mask.sum() * target.shape[-1]).clamp(min=1)


def correlations(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> Correlations:
    """
    Correlation of each clip over all channels and frames, Corr2D.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, frames, channels)`).
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames that count, of clips that have some.

    Returns:
        `list[float]`: of the clips that have frames.
    """
    found = []
    prediction = prediction.detach().float()
    for values, wanted, counts in zip(prediction, target.float(), mask[..., 0] > 0, strict=True):
        if counts.any():
            pair = torch.stack([values[counts].flatten(), wanted[counts].flatten()])
            found.append(float(torch.corrcoef(pair)[0, 1]))
    return found


__all__ = ["AutoencoderObjective", "Lip2AudSpecObjective", "correlations"]
