"""A live session: pictures in as they come, speech out, and the words."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..decoding import GrammarDecoder, Word, clip_scores
from ..errors import Lip2WavError, StreamingError, check_number, counted
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..lite.stream import OnnxStreamingGenerator
from ..models import DEFAULT_MODEL, SPEAKING, find_model
from ..speaking import AnyGrammar, GrammarChoice, Speaker
from .mouth import LiveMouth
from .words import LiveWords
from .written import WrittenWords


if TYPE_CHECKING:
    import torch

    from ..lite.stream import OnnxStream
    from .streaming import TorchStream


LOOK_AHEAD = 3  # video frames, where neither the call nor the model says anything
SLACK = 0.75  # frames by which a picture may come early or late before one is dropped or repeated
MOST_REPEATED = 12  # frames of a gap that are filled with the picture before it; a longer one is a jump of the clock


@dataclass
class LiveSpeech:
    """
    What a picture has brought.

    Attributes:
        audio (`np.ndarray` of shape `(samples,)`): float32 in [-1, 1]; often empty, as sound comes chunk by chunk.
        words (`list[Word]`): those that have ended since, never taken back; times in seconds of the sound.
        written (`list[str]`): how the newest words are written, a text for each; where it is longer than `words`, it
            begins with words that came before, of a sentence that goes on, and replaces what was written for them.
        face (`bool`): whether a face is in sight. Without one, there is silence.
        time (`float`, *optional*): of the oldest picture that `audio` is of, on the clock of `push`.
    """

    audio: np.ndarray
    words: list[Word] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    face: bool = True
    time: float | None = None


class Lip2WavStreamer:
    """
    Speaks live: takes pictures of any frame rate with their times, and gives the speech of one after a few others.

    ```python
    with Lip2WavStreamer.from_pretrained() as streamer:
        for time, picture in camera:
            play(streamer.push(picture, time).audio)
        play(streamer.flush().audio)
    ```

    Args:
        model ([`Lip2WavModel`], [`Generator`] or [`OnnxStreamingGenerator`]): the generator, in evaluation mode.
        feature_extractor ([`Lip2WavFeatureExtractor`]): from pictures to mouth crops.
        look_ahead (`int`, *optional*): later video frames that are waited for; by default `config.look_ahead`, then
            `config.live_look_ahead`, then 3.
        speaker_embedding (`torch.Tensor` or `np.ndarray` of shape `(1, speaker_embedding_size)`, *optional*): as for
            the model.
        decoder ([`GrammarDecoder`], *optional*): which sentences are read, see [`Speaker.grammar_decoder`]; by default
            any words in any order. It is for the words alone: the sound is made before a sentence is over.

    Attributes:
        repeated, dropped (`int`): frames that were missing, and pictures that came too often for the frame rate.
        restarts (`int`): how often the clock jumped.
        doubt (`str`, *optional*): one sentence or two where the model has learnt from whole videos only.

    Raises:
        StreamingError: if the model cannot speak live.
    """

    def __init__(
        self,
        model: Any,
        feature_extractor: Lip2WavFeatureExtractor,
        look_ahead: int | None = None,
        speaker_embedding: torch.Tensor | np.ndarray | None = None,
        decoder: GrammarDecoder | None = None,
    ) -> None:
        config = model.config
        if not hasattr(config, "chunks"):
            raise StreamingError(f"a model of the type {config.model_type!r} cannot speak live: take a Lip2WavModel.")
        if config.decoder_type != "istft":
            raise StreamingError(
                f"a model with the decoder {config.decoder_type!r} cannot speak live: take one with 'istft', such as"
                f" {DEFAULT_MODEL}."
            )
        if hasattr(model, "graphs") and not hasattr(model, "stream"):
            raise StreamingError("an OnnxGenerator speaks whole clips: take an OnnxStreamingGenerator to speak live.")
        if not isinstance(look_ahead, (int, NoneType)):
            raise StreamingError(f"look_ahead={look_ahead!r}: live, it is a number of video frames, 0 or more.")
        choices = (look_ahead, config.look_ahead, config.live_look_ahead, LOOK_AHEAD)
        self.look_ahead = next(choice for choice in choices if choice is not None)
        self.model, self.speaker_embedding, self.decoder = model, speaker_embedding, decoder
        self._chunk = config.chunks(self.look_ahead).size
        self._mouth = LiveMouth(feature_extractor)
        self.reset()

    @property
    def doubt(self) -> str | None:
        """What is to be said before a session of a model that has not learnt to speak live; `None` of others."""
        config = self.model.config
        if (config.look_ahead, config.live_look_ahead) != (None, None):
            return None
        return (
            f"This model was trained on whole videos. Live it sees {counted(self.look_ahead, 'picture')} ahead"
            f" ({1000 * self.look_ahead / config.frame_rate:.0f} ms): expect many wrong words."
        )

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike = DEFAULT_MODEL,
        look_ahead: int | None = None,
        device: str | None = None,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
    ) -> Lip2WavStreamer:
        """
        A session of a saved model.

        Args:
            model (`str` or `os.PathLike`): a folder, a Hub repository or a bundled model.
            look_ahead (`int`, *optional*): as above.
            device (`str`, *optional*): where to calculate; an accelerator by default, if there is one.
            grammar (*optional*): as for [`Speaker.grammar_decoder`]; the model's own by default, if it has one, and
                `None` for any words in any order.
        """
        return cls.from_speaker(Speaker.from_folder(find_model(str(model), SPEAKING), device), look_ahead, grammar)

    @classmethod
    def from_speaker(
        cls, speaker: Speaker, look_ahead: int | None = None, grammar: AnyGrammar = GrammarChoice.OF_MODEL
    ) -> Lip2WavStreamer:
        """A session of a loaded model, which other sessions may share; as [`from_pretrained`]."""
        decoder = speaker.grammar_decoder(grammar)
        decoder = decoder if isinstance(decoder, GrammarDecoder) else None  # a beam takes too long
        return cls(speaker.model, speaker.feature_extractor, look_ahead, decoder=decoder)

    @property
    def sampling_rate(self) -> int:
        """Of the sound, in Hz."""
        return self.model.config.sampling_rate

    def reset(self) -> None:
        """Forget the stream; the next picture is the first of another one."""
        config = self.model.config
        self.repeated = self.dropped = self.restarts = 0
        self._mouth.reset()
        self._stream = self._begin()
        self._words = LiveWords(config.units, config.frame_rate, config.change_penalty, self.decoder)
        self._written = WrittenWords(config, self.decoder)
        self._unread: list[np.ndarray] = []  # scores of frames whose words have not been looked for
        self._waiting: list[np.ndarray] = []  # crops of the next chunk
        self._seen: deque[tuple[bool, float]] = deque()  # of these: whether a face was in sight, and when
        self._last: np.ndarray | None = None
        self._face, self._start, self._next, self._now = False, 0.0, 0, -math.inf

    def _begin(self) -> OnnxStream | TorchStream:
        if hasattr(self.model, "graphs"):
            return self.model.stream(self.look_ahead, self.speaker_embedding)
        from .streaming import TorchStream  # noqa: PLC0415  of a model that has imported torch

        return TorchStream(self.model, self.look_ahead, self.speaker_embedding)

    def __enter__(self) -> Lip2WavStreamer:
        return self

    def __exit__(self, *error: object) -> None:
        self.reset()

    def push(self, picture: np.ndarray, time: float | None = None) -> LiveSpeech:
        """
        Take the next picture.

        Args:
            picture (`np.ndarray` of shape `(height, width, 3)`, uint8): RGB, of any size.
            time (`float`, *optional*): when it was taken, in seconds, from any beginning; by default right after the
                one before, at the model's frame rate. One that jumps back, or far ahead, starts the clock anew.

        Returns:
            [`LiveSpeech`]: what has become ready.

        Raises:
            StreamingError: if it is no such picture, or its time no number.
        """
        _check(picture, time)
        count = self._due(time)
        if not count:
            self.dropped += 1
            return LiveSpeech(np.zeros(0, np.float32), face=self._face)
        self.repeated += count - 1
        parts = [self._take(self._last) for _ in range(count - 1)]
        crop = self._mouth.push(picture)
        self._face = crop is not None
        speech = self._together([*parts, self._take(crop)])
        if self._unread and (not len(speech.audio) or len(self._unread) > 1):  # sound goes first
            self._read(speech)
        return speech

    def warm_up(self) -> None:
        """Take what the first steps cost, half a second perhaps, before a stream begins; the session is as new."""
        crop = np.zeros((self.model.config.image_height, self.model.config.image_width), np.float32)
        for _ in range(2 * self._chunk):
            self._take(crop)
        self._mouth.push(np.zeros((64, 64, 3), np.uint8))
        self.reset()

    def flush(self) -> LiveSpeech:
        """The speech of the pictures that still wait for others; the session is then as after [`reset`]."""
        speech = self._speak(is_last=True)
        self._read(speech, is_last=True)
        counts = self.repeated, self.dropped, self.restarts
        self.reset()
        self.repeated, self.dropped, self.restarts = counts
        return speech

    def _due(self, time: float | None) -> int:
        """How many frames this picture stands for at the model's frame rate: none if it comes too soon."""
        rate = self.model.config.frame_rate
        if time is None:
            time = self._start + self._next / rate
        if self._now == -math.inf:
            self._start = time - self._next / rate
        place = (time - self._start) * rate
        late = place - self._next
        if time < self._now or late > MOST_REPEATED:
            self._start, late = time - self._next / rate, 0.0
            self.restarts += 1
        self._now = time
        if late < -SLACK:
            return 0
        return 1 if late < SLACK else round(late) + 1

    def _take(self, crop: np.ndarray | None) -> LiveSpeech:
        """The next frame, given its crop; without one, that of the frame before is held, and nothing is said."""
        config = self.model.config
        self._next += 1
        self._seen.append((self._face, self._start + (self._next - 1) / config.frame_rate))
        self._last = crop if crop is not None else self._last
        held = np.zeros((config.image_height, config.image_width), np.float32) if self._last is None else self._last
        self._waiting.append(held)
        return self._speak() if len(self._waiting) == self._chunk else LiveSpeech(np.zeros(0, np.float32))

    def _speak(self, is_last: bool = False) -> LiveSpeech:
        """The speech of the frames that wait, silent where no face was in sight."""
        seen, number = list(self._seen), self.model.config.samples_per_frame
        if not seen:
            return LiveSpeech(np.zeros(0, np.float32), face=self._face)
        crops = np.stack(self._waiting)
        self._waiting.clear()
        self._seen.clear()
        waveform, text_logits = self._stream.speak(crops, is_last)
        audio, scores = waveform.copy(), clip_scores(text_logits, None)[0].copy()
        for place, (face, _) in enumerate(seen):
            if not face:
                audio[place * number : (place + 1) * number] = 0.0
                scores[place] = np.where(np.arange(scores.shape[1]) == 0, 0.0, -30.0)
        if self.model.config.reads_words:
            self._unread.append(scores)
        return LiveSpeech(audio, face=self._face, time=seen[0][1])

    def _read(self, speech: LiveSpeech, is_last: bool = False) -> None:
        """Add the words that have ended by now."""
        scores = [np.empty((0, self.model.config.num_classes), np.float32), *self._unread]
        self._unread.clear()
        speech.words = self._words.push(np.concatenate(scores), is_last)
        speech.written = self._written.push(speech.words)

    def _together(self, parts: list[LiveSpeech]) -> LiveSpeech:
        audio = np.concatenate([part.audio for part in parts])
        time = next((part.time for part in parts if part.time is not None), None)
        return LiveSpeech(audio, face=self._face, time=time)


def live_speaker(speaker: Speaker, folder: str | os.PathLike[str] | None) -> Speaker:
    """
    What is to speak live with a model that is loaded in torch: its ONNX graphs where they can be used, since they take
    half of the time.

    Args:
        speaker ([`Speaker`]): the loaded model.
        folder (`str` or `os.PathLike`, *optional*): where it was loaded from, if it was.
    """
    model = speaker.model
    if folder and (model.device.type, str(model.dtype)) == ("cpu", "torch.float32"):
        with contextlib.suppress(Lip2WavError, OSError):
            model = OnnxStreamingGenerator.from_folder(folder)
    return Speaker(model, speaker.feature_extractor)


def _check(picture: np.ndarray, time: float | None) -> None:
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        found = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise StreamingError(f"a picture must be an RGB array (height, width, 3) of uint8, not {found}.")
    if not picture.size:
        raise StreamingError(f"a picture must have pixels; this one has the shape {picture.shape}.")
    if time is not None:
        check_number(time, "time", "a number of seconds", StreamingError)
    if time is not None and not math.isfinite(time):
        raise StreamingError(f"the time of a picture must be a number of seconds, not {time}.")


__all__ = ["Lip2WavStreamer", "LiveSpeech", "live_speaker"]
