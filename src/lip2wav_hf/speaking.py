"""From a silent video to its speech: the steps around the generator.

[`Speaker`] reads a video, runs the generator and reads off the words. `VideoToSpeechPipeline` takes the same steps
with transformers' `Pipeline` and `PreTrainedModel`, which cost two seconds and 200 MB to import. `lip2wav speak` does
without them; and without torch, which is not imported here, where it has a generator in ONNX.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import itertools
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np
from tqdm.auto import tqdm

from .configuration_lip2wav import Lip2WavConfig, Lip2WavTextConfig
from .decoding import (
    BeamDecoder,
    BeamOptions,
    DecodingOptions,
    GrammarDecoder,
    PosteriorReader,
    TextDecoder,
    Window,
    Word,
    WordReader,
    clip_scores,
)
from .errors import WeightsError, as_clip, check_number, counted, in_background, video_name
from .feature_extraction_lip2wav import Lip2WavFeatureExtractor, RegionStream, check_video_kind
from .files import read_fields
from .grammar import VOCABULARY, Grammar, GrammarError, TextUnits


if TYPE_CHECKING:
    import torch


logger = logging.getLogger(__name__)

# Below these, a warning says that the result is probably wrong.
LOW_TEXT_CONFIDENCE = 0.8
LOW_FACE_COVERAGE = 0.8
SHORT_SECONDS = 0.4  # hardly anything is said in less
MOST_PER_WORD = 10  # phrases for each word: with more, they are no list, but whatever the slots of a grammar allow

OTHER_FACE = (
    "another face of about the same size is in the picture: the larger one was followed. Cut the picture to the one"
    " who speaks"
)


class GrammarChoice(enum.Enum):
    """Which sentences may be read, where a call names no grammar."""

    OF_MODEL = "of the model"
    GREEDY = "any words, those of the likeliest classes"


AnyGrammar = (
    Grammar | TextDecoder | GrammarChoice | str | os.PathLike | Sequence[str] | Mapping[str, Sequence[str]] | None
)
"""A grammar in any form that [`Grammar.of`] takes; `None` for any words, or the model's own."""

ANY_WORDS = "none"  # as a grammar: as `None`, which a command line cannot say
CHUNK_SECONDS = 10.0  # long videos go through the generator in chunks of this length
WORD_SECONDS = 5.0  # to either side that a grammar looks at for what is said in a chunk of a long video
LONG_SECONDS = 60.0  # videos longer than that are spoken while they are read
MOST_SENTENCES = 1000  # of a grammar that is taken for a list of phrases


class SpokenVideo(TypedDict, total=False):
    """
    What [`VideoToSpeechPipeline`] returns for one video.

    Args:
        audio (`np.ndarray` of shape `(samples,)`): Speech, float32 in [-1, 1].
        sampling_rate (`int`): Of `audio`, in Hz.
        text (`str`): The words, joined by spaces; empty for a model that reads none.
        written (`str`): The same as transcripts, or the phrases that were given, write it, as far as that is known.
        words (`list[Word]`): The words with their times, in seconds, and confidences.
        face_coverage (`float`): Share of the frames in which a face was found, from 0 to 1.
        other_face (`bool`): `True` where another face of half the area and more was there most of the time.
        crops (`np.ndarray` of shape `(frames, height, width)`): Gray mouth crops, uint8; only with `return_crops`.
    """

    audio: np.ndarray
    sampling_rate: int
    text: str
    written: str
    words: list[Word]
    face_coverage: float
    other_face: bool
    crops: np.ndarray


class Speaker:
    """
    The steps from a video to its speech: [`prepare`], [`generate`], [`finish`]. Called, it takes them all.

    Args:
        model ([`Generator`], [`Lip2WavModel`] or [`OnnxGenerator`]): the generator, in evaluation mode.
        feature_extractor ([`Lip2WavFeatureExtractor`]): from a video to mouth crops.

    Attributes:
        grammar: the sentences that may be said where a call names none, see [`grammar_decoder`]; the model's own.
        beam (`int`, *optional*): the width of the beam search where a call names none; the model's own.
    """

    def __init__(self, model: Any, feature_extractor: Lip2WavFeatureExtractor) -> None:
        self.model = model
        self.feature_extractor = feature_extractor
        self.grammar: AnyGrammar = GrammarChoice.OF_MODEL
        self.beam: int | None = None

    @property
    def reads_words(self) -> bool:
        """Whether the model finds words too."""
        return self.model.config.reads_words

    def grammar_decoder(
        self, grammar: AnyGrammar = GrammarChoice.OF_MODEL, beam: int | None = None
    ) -> TextDecoder | None:
        """
        What reads the words off this model's text head; `None` where each frame has its likeliest class.

        Args:
            grammar: a list of sentences, JSGF, a file of either, or a [`Grammar`]; `None` or `"none"` for any words in
                any order; the model's own by default, unless there is a beam.
            beam (`int`, *optional*): width of the search for any words in any order, 1 for none; the model's own by
                default.

        Raises:
            GrammarError: if it is no grammar, or has words that the model does not know; or if both are given.
        """
        config = self.model.config
        grammar = self.grammar if grammar is GrammarChoice.OF_MODEL else grammar
        grammar = None if isinstance(grammar, str) and grammar == ANY_WORDS else grammar
        beam = self.beam if beam is None else beam
        if not self.reads_words:
            if beam is not None or not (grammar is None or isinstance(grammar, GrammarChoice)):
                raise GrammarError("this model reads no words: it takes neither a grammar, nor phrases, nor a beam.")
            return None
        if beam is not None and (not isinstance(beam, int) or beam < 1):
            raise GrammarError(f"beam={beam!r}: it is how many sentences are followed, 1 or more.")
        if isinstance(grammar, TextDecoder):
            return grammar
        if grammar is GrammarChoice.GREEDY:
            return None
        if grammar is GrammarChoice.OF_MODEL:
            own = config.grammar if beam is None or beam == 1 else None
            grammar = None if own is None else _own_grammar(own)
        elif grammar is not None and beam is not None and beam > 1:
            raise GrammarError("a beam is for any words, a grammar for given sentences: give one of them.")
        if grammar is not None:
            return _decoder(Grammar.of(grammar, config.normalizer), config.units, config.change_penalty)
        width = config.beam_width if beam is None else beam
        if width == 1:
            return None
        options = BeamOptions(width, config.ngram_weight, config.word_bonus)
        return BeamDecoder(config.units, options, self.model.ngram, config.change_penalty)

    @classmethod
    def from_folder(
        cls, folder: str | os.PathLike, device: str | torch.device | None = None, dtype: str | torch.dtype = "auto"
    ) -> Speaker:
        """
        Load a saved model with its feature extractor.

        Args:
            folder (`str` or `os.PathLike`): where they are.
            device (`str` or `torch.device`, *optional*): where to calculate; by default an accelerator, if there is
                one.
            dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): as for [`Generator.from_folder`].

        Raises:
            WeightsError: if the weights do not fit.
            OSError: if a file is missing.
            Lip2WavError: if the device cannot be used, or there is no such `dtype`.
        """
        from .generator import Generator, usable_device  # noqa: PLC0415  brings torch

        config = read_fields(Path(folder, "config.json"), WeightsError)
        if isinstance(kind := config.get("model_type"), str) and kind != Lip2WavConfig.model_type:
            from .modeling_lip2wav import load_speaking_network  # noqa: PLC0415  of transformers, which takes its time

            model = load_speaking_network(folder, dtype)
        else:
            model = Generator.from_folder(folder, dtype)
        model = model.to(usable_device(device))
        return cls(model, Lip2WavFeatureExtractor.from_pretrained(folder))

    def __call__(
        self,
        videos: Sequence[Any],
        return_crops: bool = False,
        progress: bool = False,
        chunk_length_s: float = CHUNK_SECONDS,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
        beam: int | None = None,
    ) -> list[SpokenVideo]:
        """
        Speak videos that go through the generator together.

        Args:
            videos (sequence of videos): each as for `VideoToSpeechPipeline`.
            return_crops, progress, chunk_length_s, grammar, beam: as for `VideoToSpeechPipeline`.

        Returns:
            `list[SpokenVideo]`: one for each video. `ValueError` is raised where one cannot be read or shows no face.
        """
        streams = [self.stream(video, return_crops, progress, chunk_length_s, grammar, beam) for video in videos]
        self.speak_together(streams)
        return [stream.spoken() for stream in streams]

    def speak_together(self, streams: Sequence[SpeechStream]) -> None:
        """Let videos go through the generator together, as far as they have been read whole; of the same settings."""
        ready = [stream for stream in streams if stream.is_read]
        if len(ready) > 1 and self._takes_tensors:
            outputs = ready[0].generate(_batch([stream.inputs for stream in ready]))
            for index, stream in enumerate(ready):
                stream.inputs = _clip_of(outputs, index)

    def prepare(
        self,
        video: Any,
        fps: float | None = None,
        landmarks: np.ndarray | None = None,
        mouth_boxes: np.ndarray | None = None,
        speaker_embedding: np.ndarray | torch.Tensor | None = None,
        return_crops: bool = False,
        progress: bool = False,
        whole: bool = True,
    ) -> dict[str, Any]:
        """
        Inputs of the generator, of one video; arguments as for `VideoToSpeechPipeline`.

        Args:
            whole (`bool`, *optional*, defaults to `True`): read all of the video now. Else only the first minute of a
                longer one is read, and the rest in [`generate`] or [`speak_stream`], which close it.

        Returns:
            `dict`: `pixel_values_videos` `(1, frames, 1, height, width)`, `frame_mask` `(1, frames)`, perhaps
            `speaker_embedding` `(1, size)`; and what [`finish`] needs as `clip`. Of a longer video that is not read
            whole, `stream` instead of the first two.
        """
        clip: dict[str, Any] = {
            "fps": fps,
            "landmarks": landmarks,
            "mouth_boxes": mouth_boxes,
            "speaker_embedding": speaker_embedding,
        }
        clip.update(as_clip(video))
        embedding = clip.pop("speaker_embedding")
        video = clip.pop("video")
        inputs: dict[str, Any] = {"clip": {"name": video_name(video), "face_coverage": 1.0}}
        if embedding is not None:
            inputs["speaker_embedding"] = self._input(embedding).reshape(1, -1)
        if isinstance(video, RegionStream):
            return self._read(inputs, video, return_crops)
        check_video_kind(video)
        stream = self.feature_extractor.stream(video, progress=progress, **clip)
        if whole or not hasattr(self.model, "speak_windows"):
            return self._read(inputs, stream, return_crops)
        stream, is_long = _begun(stream, round(LONG_SECONDS * self.feature_extractor.frame_rate))
        if not is_long:
            return self._read(inputs, stream, return_crops)
        return inputs | {"stream": stream, "return_crops": return_crops}

    def _read(self, inputs: dict[str, Any], video: RegionStream, return_crops: bool) -> dict[str, Any]:
        """Inputs with what the feature extractor makes of a video."""
        kind = "pt" if self._takes_tensors else "np"
        features = self.feature_extractor(cast(Any, video), return_crops=return_crops, return_tensors=kind)
        clip = inputs["clip"] | {"face_coverage": float(features["face_coverage"][0]), "other_face": other_face(video)}
        if return_crops:
            clip["crops"] = features["crops"][0]
        pixels = self._input(features["pixel_values_videos"])
        return inputs | {"pixel_values_videos": pixels, "frame_mask": features["frame_mask"], "clip": clip}

    @property
    def _takes_tensors(self) -> bool:
        """Whether the model is one of torch, and not of ONNX."""
        return hasattr(self.model, "forward")

    def _input(self, array: Any) -> Any:
        """An array of numbers, or a tensor, in the form and type that the model takes."""
        if not self._takes_tensors:
            return np.asarray(array, np.float32)
        import torch  # noqa: PLC0415  for a model that has imported it

        return torch.as_tensor(array).to(self.model.dtype)

    def _inference(self) -> contextlib.AbstractContextManager:
        """While the model calculates."""
        if not self._takes_tensors:
            return contextlib.nullcontext()
        import torch  # noqa: PLC0415  for a model that has imported it

        return torch.inference_mode()

    def _place(self, value: Any) -> Any:
        """An input where the model calculates."""
        return value.to(self.model.device) if self._takes_tensors else value

    def chunk_frames(self, chunk_length_s: float) -> int:
        """Video frames of a chunk; raises `ValueError` if there would be none."""
        check_number(chunk_length_s, "chunk_length_s", "a number of seconds")
        frames = round(chunk_length_s * self.model.config.frame_rate)
        if frames < 1:
            raise ValueError(
                f"chunk_length_s={chunk_length_s!r} is less than a video frame. The default is {CHUNK_SECONDS}"
                " seconds."
            )
        return frames

    def generate(
        self,
        inputs: dict[str, Any],
        chunk_length_s: float = CHUNK_SECONDS,
        progress: bool = False,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
    ) -> dict[str, Any]:
        """The generator's output for a batch of inputs, and what came with them; `words` of a long video."""
        if "stream" in inputs:
            with SpeechStream(self, inputs, chunk_length_s, grammar) as stream:
                audio = stream.audio()[None]
            return {
                "waveform": audio,
                "waveform_lengths": [audio.shape[1]],
                "words": stream.words,
                "clip": stream.clip,
            }
        inputs = dict(inputs)
        rest = {"clip": inputs.pop("clip"), "frame_mask": inputs["frame_mask"]}
        tensors: dict[str, Any] = {name: self._place(value) for name, value in inputs.items()}
        frames, chunk_frames = tensors["pixel_values_videos"].shape[1], self.chunk_frames(chunk_length_s)
        with tqdm(desc="speaking", total=frames, unit="frame", disable=not progress, leave=False) as bar:
            if (decoder := self.grammar_decoder(grammar)) is not None:
                tensors["grammar"] = decoder
            with self._inference():
                outputs = self.model.synthesize(**tensors, chunk_frames=chunk_frames, progress=bar.update)
        return {**outputs, **rest}

    def finish(
        self,
        outputs: dict[str, Any],
        low_text_confidence: float = LOW_TEXT_CONFIDENCE,
        low_face_coverage: float = LOW_FACE_COVERAGE,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
    ) -> SpokenVideo:
        """
        What was said in one video, from outputs with a batch of one. Warns at most once if it is doubtful, and once if
        another face is in the picture.

        Args:
            outputs (`dict`): as [`generate`] returns them.
            low_text_confidence (`float`, *optional*, defaults to 0.8): warn where the words' mean confidence is lower.
            low_face_coverage (`float`, *optional*, defaults to 0.8): warn where a smaller share of the frames shows a
                face.
            grammar: as for [`grammar_decoder`], and the same as for [`generate`].
        """
        samples, decoder = int(outputs["waveform_lengths"][0]), self.grammar_decoder(grammar)
        clip = outputs["clip"] | {"samples": samples}
        result = self._said(self._words(outputs, decoder), clip, decoder, low_text_confidence, low_face_coverage)
        return SpokenVideo(audio=_array(outputs["waveform"][0, :samples]), **result)

    def _words(self, outputs: dict[str, Any], decoder: TextDecoder | None) -> list[Word]:
        if "words" in outputs:
            return outputs["words"]
        if not self.reads_words:
            return []
        return self.model.decode_text(outputs["text_logits"], outputs["frame_mask"], decoder)[0]

    def _said(
        self,
        words: list[Word],
        clip: dict[str, Any],
        decoder: TextDecoder | None,
        low_text_confidence: float = LOW_TEXT_CONFIDENCE,
        low_face_coverage: float = LOW_FACE_COVERAGE,
    ) -> SpokenVideo:
        """The result, all but its audio. Warns if it is doubtful."""
        written = ""
        text = " ".join(word["word"] for word in words)
        if self.reads_words:
            written = self.model.config.written(text, written_sentences(self.model.config, decoder))
        result = SpokenVideo(
            sampling_rate=self.model.config.sampling_rate,
            text=text,
            written=written,
            words=words,
            face_coverage=clip["face_coverage"],
        )
        if clip.get("other_face"):
            result["other_face"] = True
            logger.warning(f"{clip['name']}: {OTHER_FACE}.")
        if "crops" in clip:
            result["crops"] = clip["crops"]
        doubts = self._doubts(result, decoder, low_text_confidence, low_face_coverage)
        if (seconds := clip["samples"] / result["sampling_rate"]) < SHORT_SECONDS:
            doubts.append(f"the video is very short ({seconds:.2f} s), too short for a sentence")
        if doubts:
            logger.warning(f"{clip['name']}: {'; and '.join(doubts)}. The speech is probably wrong.")
        return result

    def stream(
        self,
        video: Any,
        return_crops: bool = False,
        progress: bool = False,
        chunk_length_s: float = CHUNK_SECONDS,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
        beam: int | None = None,
    ) -> SpeechStream:
        """
        Speak a video of any length in bounded memory: the speech comes in blocks, while the video is read. Arguments
        are those of `VideoToSpeechPipeline`; crops are kept, 4 MB for each minute.
        """
        decoder = self.grammar_decoder(grammar, beam) or GrammarChoice.GREEDY
        inputs = self.prepare(video, return_crops=return_crops, progress=progress, whole=False)
        return SpeechStream(self, inputs, chunk_length_s, decoder, progress)

    def _doubts(
        self, result: SpokenVideo, decoder: TextDecoder | None, low_text_confidence: float, low_face_coverage: float
    ) -> list[str]:
        """What is doubtful about a result, and why."""
        doubts, words = [], result["words"]
        if result["face_coverage"] < low_face_coverage:
            doubts.append(
                f"a face was found in only {result['face_coverage']:.0%} of the frames (the rest is guessed)"
            )
        confidence = float(np.mean([word["confidence"] for word in words])) if words else 0.0
        if self.reads_words and confidence < low_text_confidence:
            doubts.append(
                (
                    f"the words are uncertain (mean confidence {confidence:.2f})"
                    if words
                    else "no words were recognised"
                )
                + f"; this model {self._limits(decoder)}knows frontal faces only"
            )
        return doubts

    def _limits(self, decoder: TextDecoder | None) -> str:
        """What a model can answer with, for a warning; empty where it spells any word."""
        units, grammar = self.model.config.units, decoder.grammar if isinstance(decoder, GrammarDecoder) else None
        words = units.vocabulary if grammar is None else grammar.words
        of_grid = " (those of the GRID corpus)" if set(words) == set(VOCABULARY) else ""
        known = counted(len(words), "word")
        if grammar is None:
            return "" if units.is_open else f"has a closed vocabulary of {known}{of_grid} and "
        if grammar.count() > MOST_PER_WORD * len(words):
            return f"makes sentences of a fixed form from {known}{of_grid} and "
        return f"answers with nothing but {counted(int(grammar.count()), 'phrase')} and "


class SpeechStream:
    """
    The speech of one video in blocks, float32 `(samples,)` each, as [`Speaker.stream`] makes it: an iterator.

    Args:
        speaker ([`Speaker`]): what speaks.
        inputs (`dict`): as [`Speaker.prepare`] returns them.
        chunk_length_s, grammar, progress: as for [`Speaker.generate`].

    Attributes:
        samples (`int`): of all blocks so far.
        words (`list[Word]`): once the last block has come.
        clip (`dict`): what is known of the video; `"face_coverage"` once the last block has come.
    """

    def __init__(
        self,
        speaker: Speaker,
        inputs: dict[str, Any],
        chunk_length_s: float = CHUNK_SECONDS,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
        progress: bool = False,
    ) -> None:
        self.samples, self.words, self.clip = 0, list[Word](), dict(inputs["clip"])
        self.speaker, self.inputs = speaker, dict(inputs)
        self._stream: RegionStream | None = self.inputs.pop("stream", None)
        self._decoder = speaker.grammar_decoder(grammar)
        self._chunk_length_s, self._progress = chunk_length_s, progress
        self._chunk_frames = speaker.chunk_frames(chunk_length_s)
        self._blocks = self._short() if self._stream is None else self._long(self._stream)

    @property
    def is_read(self) -> bool:
        """Whether all of the video has been read."""
        return "pixel_values_videos" in self.inputs

    @property
    def frames(self) -> int:
        """Video frames, if all of the video has been read."""
        return int(self.inputs["frame_mask"].sum()) if "frame_mask" in self.inputs else 0

    @property
    def sampling_rate(self) -> int:
        """Of the speech, in Hz."""
        return self.speaker.model.config.sampling_rate

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        block = next(self._blocks)
        self.samples += len(block)
        return block

    def __enter__(self) -> SpeechStream:
        return self

    def __exit__(self, *error: object) -> None:
        cast(Any, self._blocks).close()  # first: its thread reads the video
        if self._stream is not None:
            self._stream.close()

    def result(self) -> SpokenVideo:
        """What was said, without `audio`, once the last block has come. Warns if it is doubtful."""
        return self.speaker._said(self.words, self.clip | {"samples": self.samples}, self._decoder)

    def audio(self) -> np.ndarray:
        """All blocks together, `(samples,)`."""
        audio = np.empty(0, np.float32)
        for block in self:
            audio.resize(len(audio) + len(block), refcheck=False)  # in place
            audio[-len(block) :] = block
        return audio

    def spoken(self) -> SpokenVideo:
        """What was said, with `audio`."""
        with self:
            audio = self.audio()
        return SpokenVideo(audio=audio, **self.result())

    def generate(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The generator's output, see [`Speaker.generate`], with the settings of this stream."""
        decoder = self._decoder or GrammarChoice.GREEDY
        return self.speaker.generate(inputs, self._chunk_length_s, self._progress, decoder)

    def _short(self) -> Iterator[np.ndarray]:
        outputs = self.generate(self.inputs) if self.is_read else self.inputs
        self.words, self.clip = self.speaker._words(outputs, self._decoder), outputs["clip"]
        yield _array(outputs["waveform"][0, : int(outputs["waveform_lengths"][0])])

    def _long(self, stream: RegionStream) -> Iterator[np.ndarray]:
        model, extractor, crops = self.speaker.model, self.speaker.feature_extractor, []
        config, embedding = model.config, self.inputs.get("speaker_embedding")
        embedding = None if embedding is None else self.speaker._place(embedding)
        reader = WordReader(config.units, config.frame_rate, config.change_penalty, self._decoder)
        cut = map(extractor.center_crop, stream)
        if self.inputs["return_crops"]:
            cut = (crops.append(crop) or crop for crop in cut)
        with contextlib.closing(in_background(extractor.normalize_stream(cut))) as blocks:
            windows = self._windows(blocks)
            if self._decoder is not None and config.word_conditioning:
                words = PosteriorReader(self._decoder, round(WORD_SECONDS * config.frame_rate))
                windows = self._told(windows, words, embedding)
            for waveform, logits in model.speak_windows(windows, embedding):
                reader.push(clip_scores(logits, None)[0])
                yield _array(waveform[0])
        stream.close()
        self.words = reader.finish() if config.reads_words else []
        self.clip.update(face_coverage=stream.face_coverage, other_face=other_face(stream))
        if crops:
            self.clip["crops"] = np.stack(crops)

    def _told(self, windows: Iterator[Window], reader: PosteriorReader, embedding: Any | None) -> Iterator[Window]:
        """Chunks with the words that the grammar finds in them, some seconds behind."""
        model, waiting, frames = self.speaker.model, deque[tuple[int, Window]](), 0
        for window in itertools.chain(windows, [None]):
            if window is not None:
                window = model.read_window(window, embedding)
                reader.push(clip_scores(window.text_logits, None)[0])
                waiting.append((frames - window.start, window))
                frames += window.end - window.start
            while waiting:
                low, first = waiting[0]
                high = low + first.pixel_values_videos.shape[1]
                if window is not None and not reader.knows(high):
                    break
                words = self.speaker._place(self.speaker._input(reader.read(low, high)[None]))
                waiting.popleft()
                yield first._replace(words=words)

    def _windows(self, blocks: Iterator[np.ndarray]) -> Iterator[Window]:
        """The chunks, with their context, of normalised crops that come in blocks `(frames, height, width)`."""
        model = self.speaker.model
        context = model.config.context_frames + 1
        kept = next(blocks)
        first = start = 0  # frames: of those kept, of the chunk
        while True:
            while first + len(kept) < start + self._chunk_frames + context:
                block = next(blocks, None)
                if block is None:
                    break
                kept = np.concatenate([kept, block])
            frames = first + len(kept)
            if start == frames:
                return
            end = min(start + self._chunk_frames, frames)
            high = min(end + context, frames)
            pixels = self.speaker._place(self.speaker._input(kept[None, : high - first, None]))
            yield Window(pixels, None, start - first, end - first)
            start = end
            low = max(start - context, 0)
            kept, first = kept[low - first :], low


def other_face(stream: RegionStream) -> bool:
    """Whether another face of half the area and more was there in most looks at whole pictures."""
    return stream.tracker is not None and 2 * stream.tracker.rivals > stream.tracker.checks


def written_sentences(config: Lip2WavTextConfig, decoder: TextDecoder | None) -> dict[str, str]:
    """
    The sentences that are known, and how each is written: those of which the configuration, or a list of phrases, says
    so, and the others of the same list. Empty where it is said of none.
    """
    grammar = decoder.grammar if isinstance(decoder, GrammarDecoder) else None
    forms = (config.written_sentences or {}) | dict(() if grammar is None else grammar.written)
    if not forms or grammar is None or grammar.count() > MOST_SENTENCES:
        return forms
    words = config.written_words or {}
    return {text: " ".join(words.get(word, word) for word in text.split()) for text in grammar.sentences()} | forms


def _begun(stream: RegionStream, frames: int) -> tuple[RegionStream, bool]:
    """A stream whose first frames have been read, and whether there are more of them."""
    try:
        first = list(itertools.islice(stream, frames + 1))
    except BaseException:
        stream.close()
        raise
    return dataclasses.replace(stream, regions=itertools.chain(first, stream.regions)), len(first) > frames


@functools.lru_cache(maxsize=4)
def _own_grammar(text: str) -> Grammar:
    return Grammar.from_jsgf(text)


@functools.lru_cache(maxsize=4)
def _decoder(grammar: Grammar, units: TextUnits, change_penalty: float) -> GrammarDecoder:
    return GrammarDecoder(grammar, units, DecodingOptions(change_penalty))


def _array(values: Any) -> np.ndarray:
    """Numbers as an array, float32."""
    return values if isinstance(values, np.ndarray) else values.float().cpu().numpy()


def _batch(prepared: list[dict[str, Any]]) -> dict[str, Any]:
    """Inputs of several clips as one batch, shorter ones padded behind their end."""
    import torch  # noqa: PLC0415  for a model that has imported it

    batch: dict[str, Any] = {"clip": [inputs["clip"] for inputs in prepared]}
    for name in ("pixel_values_videos", "frame_mask"):
        batch[name] = torch.nn.utils.rnn.pad_sequence([inputs[name][0] for inputs in prepared], batch_first=True)
    if "speaker_embedding" in prepared[0]:
        batch["speaker_embedding"] = torch.cat([inputs["speaker_embedding"] for inputs in prepared])
    return batch


def _clip_of(outputs: dict[str, Any], index: int) -> dict[str, Any]:
    """The outputs for one clip of a batch."""
    return {
        name: value[index : index + 1] if hasattr(value, "shape") else value[index]
        for name, value in outputs.items()
        if value is not None
    }


__all__ = [
    "AnyGrammar",
    "LOW_FACE_COVERAGE",
    "LOW_TEXT_CONFIDENCE",
    "GrammarChoice",
    "Speaker",
    "SpeechStream",
    "OTHER_FACE",
    "SpokenVideo",
    "other_face",
    "written_sentences",
]
