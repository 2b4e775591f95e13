"""The training objectives: networks with their losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast, get_type_hints

import jiwer
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..configuration_lip2wav import Chunks, Lip2WavConfig
from ..generator import InverseSTFTDecoder, LogMelSpectrogram, third_octave_pooling
from ..modeling_critic import Lip2WavCritic, Lip2WavSpeechEncoder, SpectralCritic, WaveformCritic
from ..modeling_lip2wav import Lip2WavModel, Lip2WavPreTrainedModel
from . import losses as loss_functions
from .arguments import LossArguments, SoundLoss, look_aheads, middle_look_ahead
from .dataset import UNKNOWN_CLASS
from .flat_start import loud_frames, sentence_loss, sentence_targets
from .imagination import LipTeacher
from .losses import (
    Batch,
    Losses,
    ctc_loss,
    envelope_correlation_loss,
    frame_word_loss,
    gradient_penalty,
    masked_l1,
    spoken_envelope_loss,
    squared_sums,
    wasserstein_loss,
    word_contrast_loss,
)
from .perceptual import PerceptualLosses


SOUND_LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    name: getattr(loss_functions, declared.function)
    for name, annotation in get_type_hints(LossArguments, include_extras=True).items()
    for declared in getattr(annotation, "__metadata__", ())
    if isinstance(declared, SoundLoss)
}
"""The losses of generated against original sound, by the names of their weights: what [`LossArguments`] declares."""

OF_SOUND = ("mel", "envelope", "magnitude", "spoken_envelope", *SOUND_LOSSES)
"""All weights of losses that need no other network and look at the sound or its spectrogram."""


class Windows(NamedTuple):
    """
    Pieces of sound for a critic, `(pieces, samples)` each.

    Attributes:
        generated (`torch.Tensor`): what the network said.
        real (`torch.Tensor`): the original sound at the same places.
    """

    generated: torch.Tensor
    real: torch.Tensor


class ObjectiveOutput(NamedTuple):
    """
    The losses of a batch, and more. A tuple, in which `DistributedDataParallel` finds all through which gradients
    may come back.

    Attributes:
        losses (`dict[str, torch.Tensor]`): weighted losses by name, without the adversarial one.
        text_logits (`torch.Tensor` of shape `(batch, frames, classes)`, *optional*): without gradient.
        windows ([`Windows`], *optional*): in training, for a critic; None where there is none, or no sound for one.
        resample_windows (`Callable`, *optional*): cuts other windows from the same batch, without gradients.
        lip_sums (`torch.Tensor` of shape `(batch, 2)`, *optional*): squares of how far imagined lips are from those
            seen, and of those seen, added up; without gradient.
    """

    losses: Losses
    text_logits: torch.Tensor | None = None
    windows: Windows | None = None
    resample_windows: Callable[[], Windows] | None = None
    lip_sums: torch.Tensor | None = None


class Objective(nn.Module):
    """
    A network with its losses: `forward(batch)` gives an [`ObjectiveOutput`].

    Args:
        model ([`Lip2WavPreTrainedModel`]): the network.
        weights ([`LossArguments`]): what its losses weigh.
    """

    def __init__(self, model: Lip2WavPreTrainedModel, weights: LossArguments):
        super().__init__()
        self.model, self.weights = model, weights

    def with_model(self, model: Any) -> Objective:
        """The same objective of another network of the same architecture, such as the averaged one."""
        return type(self)(model, self.weights)

    def validate(self, batch: Batch) -> tuple[Losses, list[Any]]:
        """
        Losses of a batch of validation clips, and for each clip what [`Objective.measures`] needs of it.

        The entries of clips are gathered from all processes: lists, strings and numbers.
        """
        raise NotImplementedError

    def measures(self, clips: list[Any]) -> dict[str, float]:
        """How well the network does on validation clips, by name; `clips` are the entries of `validate` of all."""
        raise NotImplementedError


class TextObjective(Objective):
    """An objective of a network that finds the words that are spoken, if it learns to."""

    @property
    def smoothing(self) -> float:
        """Of the words of the frames, in training only."""
        return self.weights.label_smoothing if self.training else 0.0

    def validate(self, batch: Batch) -> tuple[Losses, list[tuple[str, str]]]:
        """Losses of a batch, and for each clip the right words and those found, unless it reads no words."""
        output = self(batch)
        return output.losses, self.read(output, batch)

    def read(self, output: ObjectiveOutput, batch: Batch) -> list[tuple[str, str]]:
        """The right words of each clip and those found; empty where none are read."""
        model = cast(Lip2WavModel | Lip2WavSpeechEncoder, self.model)
        if output.text_logits is None or not model.config.reads_words:
            return []
        found = model.decode_text(output.text_logits, batch["frame_mask"])
        units = model.config.units
        labels = zip(batch["labels"].tolist(), batch["label_lengths"].tolist(), strict=True)
        right = [units.text(clip[:length]) for clip, length in labels]
        return [(words, " ".join(entry["word"] for entry in clip)) for words, clip in zip(right, found, strict=True)]

    def measures(self, clips: list[tuple[str, str]]) -> dict[str, float]:
        """`text_wer`, the word error rate; and `text_cer`, that of characters, where they are the units. Nothing of a
        network that reads no words."""
        if not clips:
            return {}
        right, found = map(list, zip(*clips, strict=True))
        rates = {"text_wer": jiwer.wer(right, found)}
        is_open = cast(Lip2WavModel | Lip2WavSpeechEncoder, self.model).config.units.is_open
        return rates | ({"text_cer": jiwer.cer(right, found)} if is_open else {})


def check_critic_windows(config: Lip2WavConfig, weights: LossArguments, critic_samples: int) -> None:
    """Raises `ValueError` if a critic's windows are not as long as those that the waveform decoder learns from."""
    window = weights.decoder_window_frames * config.hop_length
    if config.decoder_type == "istft" and critic_samples != window:
        raise ValueError(
            f"the critic judges {critic_samples} samples, but the decoder's windows have {window}"
            " (`decoder_window_frames` times `hop_length`): make them equal."
        )


class GeneratorObjective(TextObjective):
    """
    The generator with all of its losses but the adversarial one.

    Args:
        model ([`Lip2WavModel`]): the generator.
        weights ([`LossArguments`]): what its losses weigh.
        speech_encoder ([`Lip2WavSpeechEncoder`], *optional*): frozen; recognises what the generator says.
        critic_samples (`int`, *optional*, defaults to 0): length of the windows for a critic; 0 for none.

    Raises:
        ValueError: if the critic's windows are not as long as those of the waveform decoder, or the network has no
            bounded look-ahead and the weights name one.
    """

    model: Lip2WavModel
    log_mel: LogMelSpectrogram  # with the "istft" decoder only
    perceptual: PerceptualLosses | None
    third_octaves: torch.Tensor

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
        self.look_aheads = look_aheads(weights.look_ahead)
        for look_ahead in self.look_aheads:
            config.chunks(look_ahead)  # raises for a network without
        self.perceptual = PerceptualLosses(speech_encoder, weights) if speech_encoder is not None else None
        if config.decoder_type == "istft":
            self.log_mel = LogMelSpectrogram(config)
        if critic_samples:
            check_critic_windows(config, weights, critic_samples)
        bins = np.linspace(0, config.sampling_rate / 2, 257)
        self.register_buffer("third_octaves", torch.from_numpy(third_octave_pooling(bins)), persistent=False)

    def with_model(self, model: Lip2WavModel) -> GeneratorObjective:
        """The same objective of another generator; the speech encoder is shared, and there is no critic."""
        return type(self)(model, self.weights, self.speech_encoder)

    def train(self, mode: bool = True) -> GeneratorObjective:
        """Training mode, but for encoders that learn nothing: they read as they will, and keep their statistics."""
        super().train(mode)
        for encoder in (self.model.visual_encoder, self.model.temporal_encoder):
            encoder.train(mode and any(weight.requires_grad for weight in encoder.parameters()))
        return self

    @property
    def speech_encoder(self) -> Lip2WavSpeechEncoder | None:
        """The frozen speech encoder, where there is one."""
        return None if self.perceptual is None else self.perceptual.encoder

    @property
    def learns_sound(self) -> bool:
        """Whether any loss of the sound weighs something: without one, only the lips and the text head learn."""
        weighed = any(getattr(self.weights, name) for name in OF_SOUND)
        return weighed or self.perceptual is not None or self.critic_samples > 0

    def forward(self, batch: Batch) -> ObjectiveOutput:
        model, weights = self.model, self.weights
        look_ahead = self._look_ahead()
        pixels, frame_mask = batch["pixel_values_videos"], batch["frame_mask"]
        hidden, text_logits, mask = model.encode(pixels, frame_mask, look_ahead=look_ahead)
        frames = batch["frame_mask"].sum(1)
        losses = {}
        if weights.ctc:
            losses["ctc"] = weights.ctc * ctc_loss(text_logits, frames, batch["labels"], batch["label_lengths"])
        if weights.words:
            losses["words"] = weights.words * frame_word_loss(text_logits, batch["frame_classes"], self.smoothing)
        if weights.word_contrast:
            contrast = word_contrast_loss(hidden, batch["frame_classes"], batch["speakers"])
            losses["word_contrast"] = weights.word_contrast * contrast
        if not self.learns_sound:
            output = ObjectiveOutput({})
        elif model.config.decoder_type == "frame":
            output = self._of_waveform(model.decoder(hidden, mask), batch)
        else:
            hidden = model.add_words(hidden, text_logits.detach(), self._true_words(text_logits, batch))
            output = self._of_spectrogram(hidden, mask, batch, look_ahead)
        return output._replace(losses=losses | output.losses, text_logits=text_logits.detach())

    def _look_ahead(self) -> int | None:
        """In training one at random, otherwise the one in the middle; without any choice, as the config says."""
        number = len(self.look_aheads)
        if not self.training or number == 1:
            return middle_look_ahead(self.look_aheads)
        return self.look_aheads[int(torch.randint(number, ()))]

    def _true_words(self, text_logits: torch.Tensor, batch: Batch) -> torch.Tensor | None:
        """In training, the words that the decoder is told: of some clips the true ones, of the others those read."""
        if not self.training or self.model.word_projection is None:
            return None
        words, classes = text_logits.detach().float().softmax(-1), batch["frame_classes"]
        told = (classes >= 0).all(1) & (torch.rand(len(classes), device=classes.device) < self.weights.true_words)
        true = F.one_hot(classes.clamp(min=0), words.shape[-1]).to(words.dtype)
        return torch.where(told[:, None, None], true, words)

    def _of_waveform(self, prediction: torch.Tensor, batch: Batch) -> ObjectiveOutput:
        """What the "frame" decoder's sound `(batch, samples)` gives."""
        target = batch["waveform"]
        losses = self._sound_losses(prediction, target)
        if self.perceptual is not None:
            sounds = [
                self.perceptual.resample(sound, self.model.config.sampling_rate) for sound in (prediction, target)
            ]
            losses |= self.perceptual(*map(self.perceptual.log_mel, sounds), batch)
        if not (self.training and self.critic_samples):
            return ObjectiveOutput(losses)
        quiet = prediction.detach()
        return ObjectiveOutput(
            losses,
            windows=self._cut_sound(prediction, target),
            resample_windows=lambda: self._cut_sound(quiet, target),
        )

    def _cut_sound(self, prediction: torch.Tensor, target: torch.Tensor) -> Windows:
        """One random piece of each clip."""
        length = self.critic_samples
        missing = length - target.shape[1]
        if missing > 0:
            raise ValueError(
                f"the critic judges {length} samples, but these clips have {target.shape[1]}: lower its"
                " `window_samples` or raise `window_frames`."
            )
        starts = torch.randint(target.shape[1] - length + 1, (len(target),)).tolist()

        def cut(sound: torch.Tensor) -> torch.Tensor:
            return torch.stack([clip[start : start + length] for clip, start in zip(sound, starts, strict=True)])

        return Windows(cut(prediction), cut(target))

    def _sound_losses(self, prediction: torch.Tensor, target: torch.Tensor) -> Losses:
        """Losses of waveforms `(batch, samples)`."""
        window = self.weights.power_window
        options = {
            "power": {"window": window, "hop_length": max(window // 4, 1)},
            "disturbance": {"sampling_rate": self.model.config.sampling_rate},
        }
        losses = {}
        for name, loss in SOUND_LOSSES.items():
            if weight := getattr(self.weights, name):
                losses[name] = weight * loss(prediction, target, **options.get(name, {}))
        return losses

    def _of_spectrogram(
        self, hidden: torch.Tensor, mask: torch.Tensor, batch: Batch, look_ahead: int | None
    ) -> ObjectiveOutput:
        """What the spectrogram gives, and the waveform decoder where there is training."""
        weights = self.weights
        mel, mel_mask = self.model.predict_mel(hidden, mask, look_ahead)
        if "has_sound" in batch:  # of the others only the lips are learnt from
            mel_mask = mel_mask * batch["has_sound"][:, None, None]
        magnitude = self.log_mel.magnitude(batch["waveform"])
        target = self.log_mel.standardise(self.log_mel.pool(magnitude))
        stretched = stretch_frames(target, batch["stretch"], mel.shape[1])
        losses = {"mel": weights.mel * masked_l1(mel, stretched, mel_mask)}
        log_mel, wanted = self.log_mel.restore(mel.float()), self.log_mel.restore(stretched.float())
        if weights.envelope:
            loss = envelope_correlation_loss(log_mel, wanted, mel_mask, self.log_mel.third_octaves)
            losses["envelope"] = weights.envelope * loss
        if self.perceptual is not None and batch.get("has_sound", mask).any():
            losses |= self.perceptual(log_mel, wanted, _heard(batch))
        if not self.training:
            return ObjectiveOutput(losses)
        output = self._of_decoder(mel, target, magnitude, batch, self.model.config.mel_chunks(look_ahead))
        return output._replace(losses=losses | output.losses)

    def _of_decoder(
        self, mel: torch.Tensor, target: torch.Tensor, magnitude: torch.Tensor, batch: Batch, chunks: Chunks | None
    ) -> ObjectiveOutput:
        """Random windows of the predicted and of the real mel spectrogram, of clips whose speed is unchanged."""
        weights, count = self.weights, self.weights.decoder_windows
        real_count = count if weights.decoder_real_windows is None else weights.decoder_real_windows
        names = ("magnitude", "spoken_envelope", *SOUND_LOSSES)
        places = []
        if any(getattr(weights, name) for name in names) or self.critic_samples:
            places = self._window_places(batch, mel.shape[1], count + real_count, chunks)
        if not places:
            return ObjectiveOutput({})
        sources = [mel.float()] * count + [target] * real_count
        log_magnitude, generated = self._decode(
            torch.stack(
                [self._cut(source[clip], start) for source, (clip, start) in zip(sources, places, strict=True)]
            ),
            chunks,
        )
        real = self._real_windows(batch, places)
        losses = {}
        if weights.magnitude:
            wanted = torch.stack([self._cut(magnitude[clip], start) for clip, start in places])
            wanted = wanted.clamp(min=self.model.config.mel_floor).log()
            losses["magnitude"] = weights.magnitude * F.l1_loss(log_magnitude, wanted)
        losses |= self._sound_losses(generated, real)
        if weights.spoken_envelope:
            loss = spoken_envelope_loss(generated, real, self.third_octaves)
            losses["spoken_envelope"] = weights.spoken_envelope * loss
        if not self.critic_samples:
            return ObjectiveOutput(losses)
        quiet = mel.detach().float()
        return ObjectiveOutput(
            losses,
            windows=Windows(generated[:count], real[:count]),
            resample_windows=lambda: self._other_windows(quiet, batch, chunks),
        )

    def _window_places(
        self, batch: Batch, mel_frames: int, count: int, chunks: Chunks | None = None
    ) -> list[tuple[int, int]]:
        """
        Clip and first spectrogram frame of random windows, whose chunks are those of the clip; none where no clip of
        unchanged speed is long enough.
        """
        frames = batch["frame_mask"].sum(1)
        available = frames * mel_frames // batch["frame_mask"].shape[1] - self.weights.decoder_window_frames
        usable = (batch["stretch"] == 1) & (available >= 0)
        if "has_sound" in batch:
            usable = usable & batch["has_sound"]
        usable = usable.nonzero()[:, 0]
        if len(usable) == 0:
            return []
        clips = usable[torch.randint(len(usable), (count,))]
        if (frames == frames.max()).all():
            starts = torch.randint(int(available[0]) + 1, (count,))
        else:  # clips of different lengths, which were not cut
            starts = (torch.rand(count) * (available[clips].cpu() + 1)).long()
        if chunks is not None:
            starts = starts - starts % chunks.size
        return list(zip(clips.tolist(), starts.tolist(), strict=True))

    def _cut(self, frames: torch.Tensor, start: int) -> torch.Tensor:
        return frames[start : start + self.weights.decoder_window_frames]

    def _real_windows(self, batch: Batch, places: list[tuple[int, int]]) -> torch.Tensor:
        hop, length = self.model.config.hop_length, self.weights.decoder_window_frames
        return torch.stack([batch["waveform"][clip, start * hop : (start + length) * hop] for clip, start in places])

    def _decode(self, windows: torch.Tensor, chunks: Chunks | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Log magnitudes `(windows, mel_frames, bins)` and sound `(windows, samples)` of mel windows."""
        everything = windows.new_ones(*windows.shape[:2], 1)
        decoder = cast(InverseSTFTDecoder, self.model.decoder)
        log_magnitude, phase = decoder.spectrum(windows, everything, chunks)
        return log_magnitude, decoder.overlap_add(torch.polar(log_magnitude.exp(), phase), everything)

    @torch.no_grad()
    def _other_windows(self, mel: torch.Tensor, batch: Batch, chunks: Chunks | None) -> Windows:
        places = self._window_places(batch, mel.shape[1], self.weights.decoder_windows, chunks)
        windows = torch.stack([self._cut(mel[clip], start) for clip, start in places])
        return Windows(self._decode(windows, chunks)[1], self._real_windows(batch, places))


def _heard(batch: Batch) -> Batch:
    """A batch in which the frames of clips without sound do not count."""
    if "has_sound" not in batch or batch["has_sound"].all():
        return batch
    has_sound = batch["has_sound"][:, None]
    return batch | {
        "frame_mask": batch["frame_mask"] * has_sound,
        "frame_classes": batch["frame_classes"].masked_fill(~has_sound, UNKNOWN_CLASS),
    }


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

    def forward(self, fake: torch.Tensor, real: torch.Tensor) -> Losses:
        """
        Args:
            fake, real (`torch.Tensor` of shape `(batch, window_samples)`): generated and real sound.

        Returns:
            `dict[str, torch.Tensor]`: scalars, the sums over the waveform's and the spectrogram's critic; `penalty`
            only where it has a weight.
        """
        self.critic.check_waveform(fake)
        distances, penalties = [], []
        with torch.autocast(fake.device.type, enabled=False):  # second derivatives need the precision
            for critic in cast("Iterable[WaveformCritic | SpectralCritic]", self.critic.critics):
                inputs = critic.represent(fake.detach().float()), critic.represent(real.float())
                scores = critic(torch.cat(inputs)).split(len(fake))
                distances.append(wasserstein_loss(scores[0], scores[1]))
                if self.penalty_weight:
                    penalties.append(self.penalty_weight * gradient_penalty(critic, *inputs))
        losses = {"wasserstein": torch.stack(distances).sum()}
        return losses | ({"penalty": torch.stack(penalties).sum()} if penalties else {})


class SpeechEncoderObjective(TextObjective):
    """
    The speech encoder learns words from the sound of the clips; parts of the spectrogram are hidden at random. In
    training, clips without word times are aligned as it learns (see [`sentence_targets`]). With a generator, it learns
    to imagine what that one sees of the lips, also of other voices than those of the clips.

    Args:
        model ([`Lip2WavSpeechEncoder`]): the speech encoder.
        weights ([`LossArguments`]): of these, `ctc`, `words` and `lip_states`; those of weight 0 are not computed.
        generator ([`Lip2WavModel`], *optional*): frozen; sees the lips.
    """

    model: Lip2WavSpeechEncoder
    unit_counts: torch.Tensor
    teacher: LipTeacher | None

    def __init__(self, model: Lip2WavSpeechEncoder, weights: LossArguments, generator: Lip2WavModel | None = None):
        super().__init__(model, weights)
        self.log_mel = LogMelSpectrogram(model.config)
        self.teacher = LipTeacher(generator) if generator is not None and weights.lip_states else None
        self.register_buffer("unit_counts", torch.zeros(model.config.num_classes), persistent=False)

    def with_model(self, model: Lip2WavSpeechEncoder) -> SpeechEncoderObjective:
        """The same objective of another speech encoder; the generator is shared."""
        return type(self)(model, self.weights, None if self.teacher is None else self.teacher.generator)

    @property
    def learns_words(self) -> bool:
        """Whether a loss of the words weighs something; without one, what hears them stays as it is."""
        return bool(self.weights.ctc or self.weights.words)

    def train(self, mode: bool = True) -> SpeechEncoderObjective:
        """Training mode, but for what hears the words where they are not learnt."""
        super().train(mode)
        self.model.train(mode and self.learns_words)
        if self.model.lips is not None:
            self.model.lips.train(mode)
        return self

    def forward(self, batch: Batch) -> ObjectiveOutput:
        factor = self.model.config.mel_frames_per_frame
        mel = self.log_mel.standardised(batch["waveform"])
        mel = stretch_frames(mel, batch["stretch"], batch["frame_mask"].shape[1] * factor)
        output = self._of_words(mel, batch) if self.learns_words else ObjectiveOutput({})
        if self.teacher is None:
            return output
        told, mask = self.teacher(batch)
        imagined = self.model.imagine_lips(vary_voice(mel) if self.training else mel, batch["frame_mask"])
        errors, squares = squared_sums(imagined, told, mask)
        loss = errors.sum() / squares.sum().clamp(min=1e-6)
        return output._replace(
            losses=output.losses | {"lip_states": self.weights.lip_states * loss},
            lip_sums=torch.stack([errors.detach(), squares], 1),
        )

    def _of_words(self, mel: torch.Tensor, batch: Batch) -> ObjectiveOutput:
        """The losses of the words, of spectrograms `(batch, mel_frames, num_mel_bins)`."""
        weights, losses = self.weights, {}
        text_logits = self.model(vary_mel(mel) if self.training else mel, batch["frame_mask"]).text_logits
        bare = (batch["frame_classes"] == UNKNOWN_CLASS).all(1)
        if self.training and weights.words and bare.any():
            losses["ctc"], losses["words"] = self._of_sentences(text_logits, mel, batch, bare)
        else:
            if weights.ctc:
                frames = batch["frame_mask"].sum(1)
                losses["ctc"] = ctc_loss(text_logits, frames, batch["labels"], batch["label_lengths"])
            if weights.words:
                losses["words"] = frame_word_loss(text_logits, batch["frame_classes"], self.smoothing)
        weighted = {name: getattr(weights, name) * loss for name, loss in losses.items() if getattr(weights, name)}
        return ObjectiveOutput(weighted, text_logits.detach())

    def validate(self, batch: Batch) -> tuple[Losses, list[Any]]:
        """
        Losses of a batch, and for each clip the right words and those found, where words are learnt, and the two sums
        of [`ObjectiveOutput`], where lips are.
        """
        output = self(batch)
        read = self.read(output, batch)
        if output.lip_sums is None:
            return output.losses, read
        sums = output.lip_sums.tolist()
        return output.losses, [(*words, *pair) for words, pair in zip(read or [()] * len(sums), sums, strict=True)]

    def measures(self, clips: list[Any]) -> dict[str, float]:
        """The measures of words where they are learnt; and `lip_states_r2` where lips are, the share of what is seen
        of them, as its variance over the frames of each clip, that is imagined."""
        rates = super().measures([clip[:2] for clip in clips]) if self.learns_words else {}
        if self.teacher is None:
            return rates
        errors, squares = (sum(clip[place] for clip in clips) for place in (-2, -1))
        return rates | {"lip_states_r2": 1 - errors / max(squares, 1e-6)}

    def _of_sentences(
        self, text_logits: torch.Tensor, mel: torch.Tensor, batch: Batch, bare: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Both losses of a batch with clips without word times, which have one of the two: CTC's own would make them
        peaky.
        """
        clips, share = bare.nonzero()[:, 0], float(bare.float().mean())
        frames = batch["frame_mask"].sum(1)
        self.unit_counts += torch.bincount(batch["labels"].flatten(), minlength=len(self.unit_counts))
        targets = sentence_targets(
            text_logits[clips],
            loud_frames(mel[clips], batch["frame_mask"][clips]),
            frames[clips],
            batch["labels"][clips],
            batch["label_lengths"][clips],
            self.unit_counts,
            float(batch.get("progress", 1.0)),
        )
        words = share * sentence_loss(text_logits[clips], targets)
        timed = (~bare).nonzero()[:, 0]
        if not len(timed):
            return text_logits.new_zeros(()), words
        ctc = ctc_loss(text_logits[timed], frames[timed], batch["labels"][timed], batch["label_lengths"][timed])
        frame_classes = batch["frame_classes"][timed]
        words = words + (1 - share) * frame_word_loss(text_logits[timed], frame_classes, self.smoothing)
        return (1 - share) * ctc, words


def vary_mel(mel: torch.Tensor) -> torch.Tensor:
    """
    Loudness, noise, a hidden band and a hidden run of frames (Park et al. 2019, "SpecAugment"), drawn for each clip.

    Args:
        mel (`torch.Tensor` of shape `(batch, mel_frames, num_mel_bins)`): standardised, so that 0 is the mean.

    Returns:
        `torch.Tensor` of the same shape.
    """
    batch, frames, bands = mel.shape
    mel = _vary_loudness(mel)
    for size, longest, shape in ((frames, 16, (1, -1, 1)), (bands, 12, (1, 1, -1))):
        position = torch.arange(size, device=mel.device).view(shape)
        start = torch.randint(size, (batch, 1, 1), device=mel.device)
        length = torch.randint(longest + 1, (batch, 1, 1), device=mel.device)
        mel = mel.masked_fill((position >= start) & (position < start + length), 0.0)
    return mel


def vary_voice(mel: torch.Tensor) -> torch.Tensor:
    """
    Loudness, noise, and the voice, drawn for each clip: the bands are stretched by up to a factor of exp(0.3), which
    moves pitch and formants together, and tilted, as by another microphone. Nothing is hidden.

    Args:
        mel (`torch.Tensor` of shape `(batch, mel_frames, num_mel_bins)`): standardised.

    Returns:
        `torch.Tensor` of the same shape.
    """
    batch, _, bands = mel.shape
    factors = (0.6 * torch.rand(batch, device=mel.device) - 0.3).exp()
    tilts = 0.3 * torch.randn(batch, 1, 1, device=mel.device)  # at the highest band; the lowest gets the opposite
    mel = stretch_frames(mel.transpose(1, 2), factors, bands).transpose(1, 2)
    return _vary_loudness(mel + tilts * torch.linspace(-1, 1, bands, device=mel.device))


def _vary_loudness(mel: torch.Tensor) -> torch.Tensor:
    """Louder or quieter clips, and noise in all bands."""
    loudness = 0.3 * torch.randn(len(mel), 1, 1, device=mel.device)
    return mel + loudness + 0.2 * torch.rand(()) * torch.randn_like(mel)


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


__all__ = [
    "SOUND_LOSSES",
    "CriticObjective",
    "GeneratorObjective",
    "Objective",
    "ObjectiveOutput",
    "SpeechEncoderObjective",
    "TextObjective",
    "Windows",
    "check_critic_windows",
    "stretch_frames",
    "vary_mel",
    "vary_voice",
]
