"""What is minimised: the networks with their losses, `forward(batch)` giving the weighted losses by name."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import nn

from ..mel import LogMelSpectrogram, third_octave_pooling
from ..modeling_critic import Lip2WavCritic
from ..modeling_lip2wav import Lip2WavModel
from ..modeling_speech_encoder import Lip2WavSpeechEncoder
from .arguments import LossArguments
from .losses import (
    ctc_loss,
    envelope_correlation_loss,
    frame_word_loss,
    gradient_penalty,
    masked_l1,
    multi_resolution_stft_loss,
    power_loss,
    spoken_envelope_loss,
    total_variation_loss,
    wasserstein_loss,
)


class Objective(nn.Module):
    """
    A network with its losses. `recognise(batch)` gives its text logits `(batch, frames, classes)`.

    After `forward` in training, `spoken` holds generated and real pieces of sound, `(pieces, samples)` each, for a
    critic, and `speak_again()` cuts others from the same batch, without gradients. None where there are none.
    """

    spoken: tuple[torch.Tensor, torch.Tensor] | None = None
    speak_again: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None

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
    """
    The generator with its losses: `forward(batch)` gives the weighted losses by name, but the adversarial one.

    Args:
        model ([`Lip2WavModel`]), weights ([`LossArguments`]): the generator and what its losses weigh.
        speech_encoder ([`Lip2WavSpeechEncoder`], *optional*): frozen; hears what the generator says.
        critic_samples (`int`, *optional*, defaults to 0): length of the pieces in `spoken`; 0 for none.
    """

    def __init__(
        self,
        model: Lip2WavModel,
        weights: LossArguments,
        speech_encoder: Lip2WavSpeechEncoder | None = None,
        critic_samples: int = 0,
    ):
        super().__init__(model, weights)
        config = model.config
        self.critic_samples = critic_samples
        self.speech_encoder = speech_encoder.eval().requires_grad_(False) if speech_encoder is not None else None
        self.heard_mel = LogMelSpectrogram(speech_encoder.config) if speech_encoder is not None else None
        self.log_mel = LogMelSpectrogram(config) if config.decoder_type == "istft" else None
        window = weights.decoder_window_frames * config.hop_length
        if critic_samples and config.decoder_type == "istft" and critic_samples != window:
            raise ValueError(
                f"the critic judges {critic_samples} samples, but the decoder's windows have {window}"
                " (`decoder_window_frames` times `hop_length`): make them equal."
            )
        bins = np.linspace(0, config.sampling_rate / 2, 257)
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
        self.spoken = self.speak_again = None
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
        losses = self._sound_losses(prediction, target)
        if self.speech_encoder is not None:
            encoder = self.speech_encoder.config
            mels = [
                (self.heard_mel(self._resample(sound)) - encoder.mel_mean) / encoder.mel_std
                for sound in (prediction, target)
            ]
            losses |= self._perceptual_losses(*mels, batch)
        if self.training and self.critic_samples:
            self.speak_again = lambda: self._cut_sound(prediction.detach(), target)
            self.spoken = self._cut_sound(prediction, target)
        return losses

    def _resample(self, sound: torch.Tensor) -> torch.Tensor:
        """At the speech encoder's rate; a whole number of its video frames."""
        own, heard = self.model.config.sampling_rate, self.speech_encoder.config.sampling_rate
        return sound if own == heard else torchaudio.functional.resample(sound, own, heard)

    def _cut_sound(self, prediction, target) -> tuple[torch.Tensor, torch.Tensor]:
        """One random piece of each clip, generated and real."""
        length = self.critic_samples
        missing = length - target.shape[1]
        if missing > 0:
            raise ValueError(
                f"the critic judges {length} samples, but these clips have {target.shape[1]}: lower its"
                " `window_samples` or raise `window_frames`."
            )
        starts = torch.randint(target.shape[1] - length + 1, (len(target),)).tolist()
        return tuple(
            torch.stack([clip[start : start + length] for clip, start in zip(sound, starts)])
            for sound in (prediction, target)
        )

    def _sound_losses(self, prediction, target) -> dict[str, torch.Tensor]:
        """Losses of waveforms `(batch, samples)`."""
        weights, losses = self.weights, {}
        if weights.waveform:
            losses["waveform"] = weights.waveform * F.l1_loss(prediction, target)
        if weights.stft:
            losses["stft"] = weights.stft * multi_resolution_stft_loss(prediction, target)
        if weights.power:
            losses["power"] = weights.power * power_loss(prediction, target)
        if weights.total_variation:
            losses["total_variation"] = weights.total_variation * total_variation_loss(prediction)
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
            # Each network has its own standardisation.
            encoder = self.speech_encoder.config
            scale, shift = config.mel_std / encoder.mel_std, (config.mel_mean - encoder.mel_mean) / encoder.mel_std
            losses |= self._perceptual_losses(mel.float() * scale + shift, stretched * scale + shift, batch)
        if self.training:
            losses |= self._decoder_losses(mel, target, batch)
        return losses

    def _perceptual_losses(self, mel, target, batch) -> dict[str, torch.Tensor]:
        """How differently the frozen speech encoder hears the prediction and the target, and which words it hears."""
        encoder, weights, losses = self.speech_encoder, self.weights, {}
        frame_mask = batch["frame_mask"]
        heard = encoder(mel, frame_mask)
        if weights.perceptual:
            with torch.no_grad():
                wanted = encoder(target, frame_mask)
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
        weights, count = self.weights, self.weights.decoder_windows
        names = ("magnitude", "waveform", "stft", "power", "total_variation", "spoken_envelope")
        if not (any(getattr(weights, name) for name in names) or self.critic_samples):
            return {}
        pairs = self._window_positions(batch, mel.shape[1], 2 * count)
        if not pairs:
            return {}
        sources = [mel.float()] * count + [target] * count
        windows = torch.stack([self._cut(source[clip], start) for source, (clip, start) in zip(sources, pairs)])
        log_magnitude, spoken = self._speak(windows)
        real = self._real_windows(batch, pairs)
        losses = {}
        if weights.magnitude:
            magnitudes = self.log_mel.magnitude(batch["waveform"][[clip for clip, _ in pairs]])
            magnitudes = torch.stack([self._cut(values, start) for values, (_, start) in zip(magnitudes, pairs)])
            clamped = magnitudes.clamp(min=self.model.config.mel_floor).log()
            losses["magnitude"] = weights.magnitude * F.l1_loss(log_magnitude, clamped)
        losses |= self._sound_losses(spoken, real)
        if weights.spoken_envelope:
            loss = spoken_envelope_loss(spoken, real, self.third_octaves)
            losses["spoken_envelope"] = weights.spoken_envelope * loss
        if self.critic_samples:
            self.spoken = spoken[:count], real[:count]
            self.speak_again = lambda: self._other_windows(mel.detach().float(), batch)
        return losses

    def _window_positions(self, batch, mel_frames: int, count: int) -> list[tuple[int, int]]:
        """Clip and first spectrogram frame of random windows; none where no clip is whole and of unchanged speed."""
        whole = batch["frame_mask"].sum(1) == batch["frame_mask"].shape[1]
        unchanged = ((batch["stretch"] == 1) & whole).nonzero()[:, 0]
        available = mel_frames - self.weights.decoder_window_frames
        if len(unchanged) == 0 or available < 0:
            return []
        clips = unchanged[torch.randint(len(unchanged), (count,))]
        return list(zip(clips.tolist(), torch.randint(available + 1, (count,)).tolist()))

    def _cut(self, frames: torch.Tensor, start: int) -> torch.Tensor:
        return frames[start : start + self.weights.decoder_window_frames]

    def _real_windows(self, batch, pairs) -> torch.Tensor:
        hop, length = self.model.config.hop_length, self.weights.decoder_window_frames
        return torch.stack([batch["waveform"][clip, start * hop : (start + length) * hop] for clip, start in pairs])

    def _speak(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log magnitudes `(windows, mel_frames, bins)` and sound `(windows, samples)` of mel windows."""
        everything = windows.new_ones(*windows.shape[:2], 1)
        log_magnitude, phase = self.model.decoder.spectrum(windows, everything)
        return log_magnitude, self.model.decoder.overlap_add(torch.polar(log_magnitude.exp(), phase), everything)

    @torch.no_grad()
    def _other_windows(self, mel, batch) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = self._window_positions(batch, mel.shape[1], self.weights.decoder_windows)
        windows = torch.stack([self._cut(mel[clip], start) for clip, start in pairs])
        return self._speak(windows)[1], self._real_windows(batch, pairs)


class CriticObjective(nn.Module):
    """
    A critic with what it minimises: `forward(fake, real)` gives Wasserstein loss and weighted penalty by name.

    Args:
        critic ([`Lip2WavCritic`]): the critic.
        penalty_weight (`float`): of the gradient penalty; 0 turns it off.
    """

    def __init__(self, critic: Lip2WavCritic, penalty_weight: float):
        super().__init__()
        self.critic, self.penalty_weight = critic, penalty_weight

    def forward(self, fake: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Args:
            fake, real (`torch.Tensor` of shape `(batch, window_samples)`): generated and real sound.

        Returns:
            `dict[str, torch.Tensor]`: scalars, the sums over the waveform's and the spectrogram's critic.
        """
        self.critic.check_waveform(fake)
        losses = {"wasserstein": 0.0, "penalty": 0.0}
        with torch.autocast(fake.device.type, enabled=False):  # second derivatives need the precision
            for critic in self.critic.critics:
                inputs = critic.represent(fake.detach().float()), critic.represent(real.float())
                scores = critic(torch.cat(inputs)).split(len(fake))
                losses["wasserstein"] = losses["wasserstein"] + wasserstein_loss(*scores)
                if self.penalty_weight:
                    penalty = gradient_penalty(critic, *inputs)
                    losses["penalty"] = losses["penalty"] + self.penalty_weight * penalty
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
