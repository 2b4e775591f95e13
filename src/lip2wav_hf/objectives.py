"""What is minimised: the networks with their losses, `forward(batch)` giving the weighted losses by name."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .losses import (
    ctc_loss,
    envelope_correlation_loss,
    frame_word_loss,
    masked_l1,
    multi_resolution_stft_loss,
    spoken_envelope_loss,
)
from .mel import LogMelSpectrogram, third_octave_pooling
from .modeling_lip2wav import Lip2WavModel
from .modeling_speech_encoder import Lip2WavSpeechEncoder


@dataclass
class LossArguments:
    """Weights of the losses, all our choices; 0 turns one off."""

    mel: float = field(default=1.0, metadata={"help": "L1 of the standardised log-mel spectrogram."})
    envelope: float = field(
        default=2.0, metadata={"help": "Correlation of short-time envelopes of the mel spectrogram."}
    )
    ctc: float = field(default=0.02, metadata={"help": "Connectionist temporal classification of the words."})
    words: float = field(default=0.1, metadata={"help": "Cross-entropy of the word aligned to each frame."})
    magnitude: float = field(default=0.3, metadata={"help": "L1 of the waveform decoder's log magnitudes."})
    stft: float = field(default=0.3, metadata={"help": "Multi-resolution STFT loss of the waveform."})
    spoken_envelope: float = field(
        default=0.5, metadata={"help": "Correlation of short-time envelopes of the waveform (16 kHz)."}
    )
    waveform: float = field(default=0.0, metadata={"help": "L1 of the waveform ('frame' decoder)."})
    perceptual: float = field(
        default=1.0, metadata={"help": "L1 of the speech encoder's features, where there is one (--speech_encoder)."}
    )
    heard_words: float = field(
        default=0.2, metadata={"help": "Cross-entropy of the words that the speech encoder hears in each frame."}
    )
    decoder_windows: int = field(
        default=8, metadata={"help": "Windows of predicted and of real mel the decoder learns from, each."}
    )
    decoder_window_frames: int = field(default=64, metadata={"help": "Length of such a window, in mel frames."})


class Objective(nn.Module):
    """A network with its losses. `recognise(batch)` gives its text logits `(batch, frames, classes)`."""

    def __init__(self, model: nn.Module, weights: LossArguments):
        super().__init__()
        self.model, self.weights = model, weights

    def of(self, model: nn.Module) -> Objective:
        """The same objective of another network, such as the averaged one."""
        other = copy.copy(self)
        other._modules = dict(self._modules)
        other.__dict__.pop("forward", None)  # Accelerate's, which belongs to the network that is trained
        other.model = model
        return other


class GeneratorObjective(Objective):
    """The generator with its losses: `forward(batch)` gives the weighted losses by name."""

    def __init__(
        self, model: Lip2WavModel, weights: LossArguments, speech_encoder: Lip2WavSpeechEncoder | None = None
    ):
        super().__init__(model, weights)
        if speech_encoder is not None and model.config.decoder_type == "frame":
            raise ValueError(
                "a speech encoder hears mel spectrograms, which the 'frame' decoder does not make: leave it out."
            )
        self.speech_encoder = speech_encoder.eval().requires_grad_(False) if speech_encoder is not None else None
        self.log_mel = LogMelSpectrogram(model.config) if model.config.decoder_type == "istft" else None
        bins = np.linspace(0, model.config.sampling_rate / 2, 257)
        self.register_buffer("third_octaves", torch.from_numpy(third_octave_pooling(bins)), persistent=False)

    def train(self, mode: bool = True):
        """Training mode for the generator; the speech encoder stays as it is."""
        super().train(mode)
        if self.speech_encoder is not None:
            self.speech_encoder.eval()
        return self

    def recognise(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Text logits `(batch, frames, classes)` of the lips."""
        return self.model.encode(batch["pixel_values_videos"], batch["frame_mask"])[1]

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        model, weights = self.model, self.weights
        hidden, text_logits, mask = model.encode(batch["pixel_values_videos"], batch["frame_mask"])
        frames = batch["frame_mask"].sum(1)
        losses = {}
        if weights.ctc:
            losses["ctc"] = weights.ctc * ctc_loss(text_logits, frames, batch["labels"], batch["label_lengths"])
        if weights.words:
            losses["words"] = weights.words * frame_word_loss(text_logits, batch["frame_classes"])
        if model.config.decoder_type == "frame":
            losses |= self._waveform_losses(model.decoder(hidden, mask), batch)
        else:
            losses |= self._spectrogram_losses(hidden, mask, batch)
        return losses

    def _waveform_losses(self, prediction, batch) -> dict[str, torch.Tensor]:
        target = batch["waveform"]
        losses = {}
        if self.weights.waveform:
            losses["waveform"] = self.weights.waveform * F.l1_loss(prediction, target)
        if self.weights.stft:
            losses["stft"] = self.weights.stft * multi_resolution_stft_loss(prediction, target)
        return losses

    def _spectrogram_losses(self, hidden, mask, batch) -> dict[str, torch.Tensor]:
        weights, config = self.weights, self.model.config
        mel, mel_mask = self.model.predict_mel(hidden, mask)
        log_mel = self.log_mel(batch["waveform"])
        target = (log_mel - config.mel_mean) / config.mel_std
        stretched = stretch_frames(target, batch["stretch"], mel.shape[1])
        losses = {"mel": weights.mel * masked_l1(mel, stretched, mel_mask)}
        if weights.envelope:
            logs = [values.float() * config.mel_std + config.mel_mean for values in (mel, stretched)]
            losses["envelope"] = weights.envelope * envelope_correlation_loss(
                *logs, mel_mask, self.log_mel.third_octaves
            )
        if self.speech_encoder is not None:
            losses |= self._perceptual_losses(mel, stretched, batch)
        if self.training and (weights.magnitude or weights.stft or weights.spoken_envelope):
            losses |= self._decoder_losses(mel, target, batch)
        return losses

    def _perceptual_losses(self, mel, target, batch) -> dict[str, torch.Tensor]:
        """How differently the frozen speech encoder hears the prediction and the target, and which words it hears."""
        encoder, weights, losses = self.speech_encoder, self.weights, {}
        own = self.model.config
        frame_mask = batch["frame_mask"]
        # Each network has its own standardisation.
        scale = own.mel_std / encoder.config.mel_std
        shift = (own.mel_mean - encoder.config.mel_mean) / encoder.config.mel_std
        heard = encoder(mel.float() * scale + shift, frame_mask)
        if weights.perceptual:
            with torch.no_grad():
                wanted = encoder(target * scale + shift, frame_mask)
            mask = frame_mask[..., None]
            distances = [
                masked_l1(hidden, reference, mask) / masked_l1(reference, reference.mean((0, 1), keepdim=True), mask)
                for hidden, reference in zip(heard.hidden_states, wanted.hidden_states)
            ]
            losses["perceptual"] = weights.perceptual * sum(distances) / len(distances)
        if weights.heard_words:
            losses["heard_words"] = weights.heard_words * frame_word_loss(heard.text_logits, batch["frame_classes"])
        return losses

    def _decoder_losses(self, mel, target, batch) -> dict[str, torch.Tensor]:
        """Random windows of the predicted and of the real mel spectrogram, of clips whose speed is unchanged."""
        length, count = self.weights.decoder_window_frames, self.weights.decoder_windows
        whole = batch["frame_mask"].sum(1) == batch["frame_mask"].shape[1]
        unchanged = ((batch["stretch"] == 1) & whole).nonzero()[:, 0]
        available = mel.shape[1] - length
        if len(unchanged) == 0 or available < 0:
            return {}
        clips = unchanged[torch.randint(len(unchanged), (2 * count,))]
        starts = torch.randint(available + 1, (2 * count,))
        sources = [mel.float()] * count + [target] * count
        pairs = list(zip(clips.tolist(), starts.tolist()))
        windows = torch.stack([source[clip, start : start + length] for source, (clip, start) in zip(sources, pairs)])
        hop = self.model.config.hop_length
        real = torch.stack([batch["waveform"][clip, start * hop : (start + length) * hop] for clip, start in pairs])
        magnitudes = self.log_mel.magnitude(batch["waveform"][clips])
        magnitudes = torch.stack([values[start : start + length] for values, (_, start) in zip(magnitudes, pairs)])
        everything = windows.new_ones(*windows.shape[:2], 1)
        log_magnitude, phase = self.model.decoder.spectrum(windows, everything)
        floor = self.model.config.mel_floor
        losses = {}
        if self.weights.magnitude:
            clamped = magnitudes.clamp(min=floor).log()
            losses["magnitude"] = self.weights.magnitude * F.l1_loss(log_magnitude, clamped)
        spoken = self.model.decoder.overlap_add(torch.polar(log_magnitude.exp(), phase), everything)
        if self.weights.stft:
            losses["stft"] = self.weights.stft * multi_resolution_stft_loss(spoken, real)
        if self.weights.spoken_envelope:
            loss = spoken_envelope_loss(spoken, real, self.third_octaves)
            losses["spoken_envelope"] = self.weights.spoken_envelope * loss
        return losses


class SpeechEncoderObjective(Objective):
    """The speech encoder learns words from the sound of the clips; parts of the spectrogram are hidden at random."""

    def __init__(self, model: Lip2WavSpeechEncoder, weights: LossArguments):
        super().__init__(model, weights)
        self.log_mel = LogMelSpectrogram(model.config)

    def _mel(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        config = self.model.config
        mel = (self.log_mel(batch["waveform"]) - config.mel_mean) / config.mel_std
        mel = stretch_frames(mel, batch["stretch"], batch["frame_mask"].shape[1] * config.mel_frames_per_frame)
        return self._vary(mel) if self.training else mel

    @staticmethod
    def _vary(mel: torch.Tensor) -> torch.Tensor:
        """Loudness, noise, a hidden band and a hidden run of frames (Park et al. 2019, "SpecAugment")."""
        batch, frames, bands = mel.shape
        mel = mel + 0.3 * torch.randn(batch, 1, 1, device=mel.device) + 0.2 * torch.rand(()) * torch.randn_like(mel)
        for size, longest, shape in ((frames, 16, (1, -1, 1)), (bands, 12, (1, 1, -1))):
            position = torch.arange(size, device=mel.device).view(shape)
            start = torch.randint(size, (batch, 1, 1), device=mel.device)
            length = torch.randint(longest + 1, (batch, 1, 1), device=mel.device)
            mel = mel.masked_fill((position >= start) & (position < start + length), 0.0)
        return mel

    def recognise(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Text logits `(batch, frames, classes)` of the sound."""
        return self.model(self._mel(batch), batch["frame_mask"]).text_logits

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        text_logits = self.recognise(batch)
        frames = batch["frame_mask"].sum(1)
        return {
            "ctc": self.weights.ctc * ctc_loss(text_logits, frames, batch["labels"], batch["label_lengths"]),
            "words": self.weights.words * frame_word_loss(text_logits, batch["frame_classes"]),
        }


def stretch_frames(values: torch.Tensor, stretch: torch.Tensor, frames: int) -> torch.Tensor:
    """
    Resample spectrogram frames in time, each clip by its own speed.

    Args:
        values (`torch.Tensor` of shape `(batch, source_frames, channels)`), stretch (`torch.Tensor` of shape
            `(batch,)`), frames (`int`): output frame j is taken at source frame (j + 1/2) stretch - 1/2, linearly
            between neighbours.

    Returns:
        `torch.Tensor` of shape `(batch, frames, channels)`.
    """
    if (stretch == 1).all() and values.shape[1] == frames:
        return values
    positions = (torch.arange(frames, device=values.device) + 0.5) * stretch[:, None] - 0.5
    positions = positions.clamp(0, values.shape[1] - 1)
    low = positions.floor().long()
    high = (low + 1).clamp(max=values.shape[1] - 1)
    fraction = (positions - low)[..., None]
    gathered = [values.gather(1, index[..., None].expand(-1, -1, values.shape[2])) for index in (low, high)]
    return gathered[0] * (1 - fraction) + gathered[1] * fraction
