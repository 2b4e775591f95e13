"""
A voice from sound alone: a speech encoder imagines the lips that would say what is heard, and what makes the sound
learns to say it of them, in that voice. All of it is our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..corpora.clips import Clip
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..generator import LogMelSpectrogram
from ..modeling_critic import Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel
from ..training.arguments import AugmentationArguments, LossArguments
from ..training.cache import CachedClip, read_cached_clip, write_cached_clip
from ..training.clips import PreparedClips
from ..training.losses import Batch, Losses
from ..training.objectives import GeneratorObjective, ObjectiveOutput
from .level import speech_level
from .preparing import Recordings


USUAL_LEVEL = -26.0  # dBFS of speech
LEAST_CERTAINTY = 0.78  # of known words: GRID has 0.82 and more in each clip of unknown people, CREMA-D 0.74 at most
LOUD = 1.5  # below the loudest frame, in standard deviations of the spectrogram: what counts as speech
PIECE_FRAMES = 250  # of sound that is learnt from at a time
UNVARIED = AugmentationArguments(splice_probability=0.0, stretch_probability=0.0)
SPEAKER = "voice"


class HeardObjective(GeneratorObjective):
    """
    The generator with its losses of the sound, for clips whose lips nobody saw: a speech encoder imagines them.

    Args:
        model ([`Lip2WavModel`]): the generator; only what makes the sound learns.
        weights ([`LossArguments`]): what its losses weigh.
        speech_encoder ([`Lip2WavSpeechEncoder`]): frozen, with `lip_states_size`.
        faces (`torch.Tensor` of shape `(faces, hidden_size)`): who may speak. What is imagined is of one of them, for
            each clip another in training, and of the mean of all otherwise: see [`faces_of`].
    """

    faces: torch.Tensor

    def __init__(
        self, model: Lip2WavModel, weights: LossArguments, speech_encoder: Lip2WavSpeechEncoder, faces: torch.Tensor
    ):
        super().__init__(model, weights, speech_encoder)
        self.register_buffer("faces", faces, persistent=False)

    def with_model(self, model: Lip2WavModel) -> HeardObjective:
        """The same objective of another generator."""
        assert self.speech_encoder is not None
        return type(self)(model, self.weights, self.speech_encoder, self.faces)

    def forward(self, batch: Batch) -> ObjectiveOutput:
        assert self.perceptual is not None
        mel = self.perceptual.log_mel.standardised(batch["waveform"])
        faces = self.faces.mean(0)
        if self.training:
            faces = self.faces[torch.randint(len(self.faces), (len(mel), 1), device=mel.device)]
        with torch.no_grad():
            hidden = self.perceptual.encoder.imagine_lips(mel, batch["frame_mask"]) + faces
        mask = batch["frame_mask"][..., None].to(hidden.dtype)
        return self._of_spectrogram(hidden, mask, batch, self._look_ahead())

    def validate(self, batch: Batch) -> tuple[Losses, list[tuple[str, str]]]:
        """Losses of a batch; no words are read."""
        return self(batch).losses, []


def imagines_lips(encoder: Lip2WavSpeechEncoder | None, model: Lip2WavModel, folder: Path) -> bool:
    """
    Whether a speech encoder imagines what a generator sees: it has learnt that, of this one.

    Args:
        encoder ([`Lip2WavSpeechEncoder`], *optional*): the speech encoder.
        model ([`Lip2WavModel`]): the generator, and `folder` (`Path`), where it lies, with its own speech encoder.
    """
    fits = encoder is not None and encoder.config.lip_states_size == model.config.hidden_size
    return fits and model.config.decoder_type == "istft" and (folder / "speech_encoder" / "config.json").is_file()


@torch.inference_mode()
def faces_of(
    model: Lip2WavModel,
    encoder: Lip2WavSpeechEncoder,
    recordings: Recordings,
    heard: Sequence[np.ndarray],
    enough: int = 20,
) -> torch.Tensor:
    """
    What a model sees of faces whatever they say: the mean of its hidden states, less that of what is imagined of
    sounds. Without it, a voice would be learnt for the face that the speech encoder imagines alone.

    Args:
        model ([`Lip2WavModel`]): the generator.
        encoder ([`Lip2WavSpeechEncoder`]): imagines the lips.
        recordings ([`Recordings`]): of the face that will speak; where there are none, it may be any face, as those
            that the encoder was shown.
        heard (sequence of `np.ndarray` of shape `(samples,)`): of the voice.
        enough (`int`, *optional*, defaults to 20): recordings that are looked at.

    Returns:
        `torch.Tensor` of shape `(faces, hidden_size)`.
    """
    assert encoder.lips is not None
    model.eval()
    encoder.eval()
    log_mel = LogMelSpectrogram(encoder.config)
    seen = []
    for clip in recordings.clips[:enough]:
        hidden, logits, _ = model.encode(
            recordings.pixels(read_cached_clip(recordings.files[clip.key]))[None, :, None]
        )
        seen.append(model.add_words(hidden, logits)[0])
    imagined = [encoder.imagine_lips(log_mel.standardised(torch.from_numpy(sound)[None]))[0] for sound in heard]
    faces = torch.cat(seen).mean(0, keepdim=True) if seen else encoder.lips.faces
    return (faces - torch.cat(imagined).mean(0)).clone()


@torch.inference_mode()
def spoken_level(
    model: Lip2WavModel, encoder: Lip2WavSpeechEncoder, faces: torch.Tensor, heard: Sequence[np.ndarray]
) -> float:
    """
    How loud a model speaks: what it says of the lips that are imagined of sounds, in dBFS.

    Args:
        model, encoder, heard: as for [`faces_of`], and `faces` (`torch.Tensor` of shape `(faces, hidden_size)`), what
            it returns.
    """
    log_mel = LogMelSpectrogram(encoder.config)
    said = []
    for sound in heard:
        hidden = encoder.imagine_lips(log_mel.standardised(torch.from_numpy(sound)[None])) + faces.mean(0)
        mel, mask = model.predict_mel(hidden, hidden.new_ones(*hidden.shape[:2], 1))
        said.append(model.decoder(mel, mask)[0].float().numpy())
    return speech_level(np.concatenate(said))


@torch.inference_mode()
def certainty(encoder: Lip2WavSpeechEncoder, heard: Sequence[np.ndarray]) -> float:
    """
    How sure a speech encoder is of the words that it hears, 0 to 1: the mean of the likeliest class in frames of
    speech. Of words that it knows it is surer than [`LEAST_CERTAINTY`], also in voices that it does not.

    Args:
        encoder ([`Lip2WavSpeechEncoder`]): hears them.
        heard (sequence of `np.ndarray` of shape `(samples,)`): as from [`pieces_of`].
    """
    log_mel, certain = LogMelSpectrogram(encoder.config), []
    for sound in heard:
        mel = log_mel.standardised(torch.from_numpy(sound)[None])
        level = mel.mean(-1).unflatten(1, (-1, encoder.factor)).mean(-1)[0]
        likeliest = encoder(mel).text_logits.softmax(-1).amax(-1)[0]
        certain.append(likeliest[level > level.max() - LOUD])
    return float(torch.cat(certain).mean())


def pieces_of(sounds: Sequence[np.ndarray], samples_per_frame: int, level: float = USUAL_LEVEL) -> list[np.ndarray]:
    """
    Sound in pieces of at most ten seconds, each a whole number of video frames and long enough for a window.

    Args:
        sounds (sequence of `np.ndarray` of shape `(samples,)`): recordings of a voice.
        samples_per_frame (`int`): of a video frame.
        level (`float`, *optional*, defaults to -26.0): how loud the speech in them is to be, in dBFS.
    """
    shortest, longest = UNVARIED.window_frames * samples_per_frame, PIECE_FRAMES * samples_per_frame
    pieces = []
    for sound in sounds:
        gain = 10 ** ((level - speech_level(sound)) / 20)
        count = max(-(-len(sound) // longest), 1)
        for piece in np.array_split(np.clip(gain * sound, -1, 1).astype(np.float32), count):
            samples = max(-(-len(piece) // samples_per_frame) * samples_per_frame, shortest)
            pieces.append(np.pad(piece, (0, samples - len(piece))))
    return pieces


def sound_clips(
    pieces: Sequence[np.ndarray], extractor: Lip2WavFeatureExtractor, unit: str, samples_per_frame: int, folder: Path
) -> PreparedClips:
    """
    Sound as clips without pictures, cached for a training.

    Args:
        pieces (sequence of `np.ndarray` of shape `(samples,)`): from [`pieces_of`].
        extractor ([`Lip2WavFeatureExtractor`]): of the model.
        unit (`str`): any word that the model knows: clips have words, of which nothing is learnt here.
        samples_per_frame (`int`): of a video frame.
        folder (`Path`): for the cache.
    """
    clips, files = [], {}
    for number, piece in enumerate(pieces):
        clip = Clip(SPEAKER, str(number), folder / f"{number}.wav", words=(unit,))
        files[clip.key] = folder / f"{number}.safetensors"
        frames = len(piece) // samples_per_frame
        black = np.zeros((frames, extractor.roi_height, extractor.roi_width), np.uint8)
        silence = np.full(frames, -1, np.int8)  # no frame is of a word
        write_cached_clip(files[clip.key], CachedClip(black, (piece * 32767).astype(np.int16), silence))
        clips.append(clip)
    return PreparedClips(clips, files)


__all__ = [
    "LEAST_CERTAINTY",
    "UNVARIED",
    "HeardObjective",
    "certainty",
    "faces_of",
    "imagines_lips",
    "pieces_of",
    "sound_clips",
    "spoken_level",
]
