"""The task `video-to-speech`: a silent video of a talking face in; speech, words and their times out."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModel, Pipeline

from .decoding import Word
from .errors import as_array, check_path, check_speaks, did_you_mean
from .feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .grammar import Grammar, GrammarError
from .sources import each_video
from .speaking import (
    CHUNK_SECONDS,
    LOW_FACE_COVERAGE,
    LOW_TEXT_CONFIDENCE,
    AnyGrammar,
    GrammarChoice,
    Speaker,
    SpokenVideo,
)
from .video import VideoError


class VideoToSpeechPipeline(Pipeline):
    """
    Speech for silent videos of talking faces, with any [`Lip2WavModel`], or [`Lip2AudSpecModel`].

    `import lip2wav_hf` makes it known to transformers as `"video-to-speech"`.

    Args:
        model ([`Lip2WavModel`]): The generator.
        feature_extractor ([`Lip2WavFeatureExtractor`]): From a video to mouth crops.
        device (`int`, `str` or `torch.device`, *optional*):
            Where the generator runs. By default an accelerator, if there is one.
        dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`):
            What the generator calculates in; the audio is float32 in any case.
        batch_size (`int`, *optional*, defaults to 1): Videos that go through the generator together.

    All parameters of [`~VideoToSpeechPipeline.__call__`] may be given here too, as defaults.

    Example:

    ```python
    >>> import lip2wav_hf
    >>> from transformers import pipeline

    >>> speak = pipeline("video-to-speech")
    >>> speech = speak("clip.mpg")
    >>> speech["text"], speech["audio"].shape, speech["sampling_rate"]
    ```
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = True
    _load_tokenizer = False
    _voiced: tuple[str, Any, Any] = ("", None, None)  # sound files, the model, and it with their voice

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.feature_extractor is None:
            raise ValueError(
                "The video-to-speech pipeline has no feature extractor. With a model instance, pass an instance too:"
                " feature_extractor=Lip2WavFeatureExtractor()."
            )
        check_speaks(self.model)
        self.model.eval()

    @property
    def _speaker(self) -> Speaker:
        """The steps, with the model and the extractor that the pipeline has at the moment."""
        return Speaker(self.model, cast(Any, self.feature_extractor))

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """
        Save model, feature extractor and code, so that `pipeline("video-to-speech", model=folder,
        trust_remote_code=True)` needs no `lip2wav_hf`; see `Pipeline.save_pretrained`. A model whose code stays in the
        package, such as [`Lip2AudSpecModel`], is saved without code: whoever loads it imports `lip2wav_hf`.
        """
        if self.model._auto_class is None:
            self.model.save_pretrained(save_directory, **kwargs)
            cast(Any, self.feature_extractor).save_pretrained(save_directory)
            return
        # As registered, but without the default model, a folder of this machine; and known to remote code too.
        self._registered_impl = {"video-to-speech": {"impl": type(self), "pt": (AutoModel,), "type": "video"}}
        super().save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(
        self,
        fps: float | None = None,
        landmarks: np.ndarray | None = None,
        mouth_boxes: np.ndarray | None = None,
        speaker_embedding: np.ndarray | torch.Tensor | None = None,
        return_crops: bool | None = None,
        progress: bool | None = None,
        chunk_length_s: float | None = None,
        low_text_confidence: float | None = None,
        low_face_coverage: float | None = None,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
        phrases: Sequence[str] | None = None,
        beam: int | None = None,
        voice: str | os.PathLike | None = None,
        **unknown: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name in unknown:
            raise TypeError(_unknown_argument(name))
        preprocess_params = _given(
            fps=fps,
            landmarks=landmarks,
            mouth_boxes=mouth_boxes,
            speaker_embedding=speaker_embedding,
            return_crops=return_crops,
            progress=progress,
        )
        if chunk_length_s is not None:
            self._speaker.chunk_frames(chunk_length_s)
        forward_params = _given(chunk_length_s=chunk_length_s, progress=progress)
        postprocess_params = _given(low_text_confidence=low_text_confidence, low_face_coverage=low_face_coverage)
        if phrases is not None:
            if grammar is not GrammarChoice.OF_MODEL:
                raise GrammarError("phrases= and grammar= both say which sentences there are: give one of them.")
            normalizer = self.model.config.normalizer if self._speaker.reads_words else None
            grammar = Grammar.from_phrases(phrases, normalizer=normalizer)
        if grammar is not GrammarChoice.OF_MODEL or beam is not None:
            decoder = self._speaker.grammar_decoder(grammar, beam) or GrammarChoice.GREEDY
            forward_params["grammar"] = postprocess_params["grammar"] = decoder
        if voice is not None:
            forward_params["voiced"] = self._with_voice(voice)
        return preprocess_params, forward_params, postprocess_params

    def __call__(self, inputs: Any, **kwargs: Any) -> SpokenVideo | list[SpokenVideo]:
        """
        Speak one video, or many.

        Args:
            inputs:
                One video: a path, a `file:` or `http(s):` URL, the bytes of a file, a binary file object, or a uint8
                array or tensor of shape `(frames, height, width, 3)` or `(frames, height, width)`, with `fps`. Or a
                dict with
                `"video"` and any of `"fps"`, `"landmarks"`, `"mouth_boxes"`, `"speaker_embedding"`, which then hold
                for this video alone; or what `datasets` yields for a `Video(decode=False)` column.
                Many videos: a list or tuple of these (returns a list); or a dataset, one of its columns, a generator
                or any other collection (returns an iterator).
            fps (`float`, *optional*):
                Frame rate of an array, in frames/s; for a file it overrides what the file says.
            landmarks (`np.ndarray` of shape `(frames, 468, 2)`, *optional*):
                Face landmarks at the model's frame rate, in pixels (x, y), instead of tracking. One video only.
            mouth_boxes (`np.ndarray` of shape `(frames, 4)` or `(4,)`, *optional*):
                Mouth regions (left, top, right, bottom), in pixels, instead of tracking. One video only.
            speaker_embedding (`np.ndarray` or `torch.Tensor` of shape `(speaker_embedding_size,)`, *optional*):
                Whose voice to speak with, for models that take one.
            return_crops (`bool`, *optional*, defaults to `False`):
                Return the mouth crops too, as the model sees them before normalisation.
            progress (`bool`, *optional*, defaults to `False`):
                Show progress bars, for long videos.
            chunk_length_s (`float`, *optional*, defaults to 10.0):
                Long videos go through the generator in overlapping chunks of this many seconds, to bound the memory.
            low_text_confidence (`float`, *optional*, defaults to 0.8):
                Warn about a video whose words have a lower mean confidence.
            low_face_coverage (`float`, *optional*, defaults to 0.8):
                Warn about a video in which a smaller share of the frames shows a face.
            grammar (*optional*):
                Which sentences may be said: a list of them, JSGF (its text or a `.jsgf` file), or a text file with one
                on each line. `None` or `"none"` for the model's words in any order; by default `model.config.grammar`.
            phrases (`list[str]`, *optional*): A list of sentences, as `grammar` takes it too.
            beam (`int`, *optional*):
                How many sentences a beam search follows, for any words in any order; 1 for none. By default
                `model.config.beam_width`.
            voice (`str` or `os.PathLike`, *optional*):
                A sound file, or a folder of them: speak with a voice like that one, as the bundled model can. It is
                learnt before the first video, in a minute or two, and kept in memory; `lip2wav adapt --voice` makes a
                model of it. Needs the extra `train`.
            batch_size, num_workers (`int`, *optional*): As for any pipeline.

        Returns:
            [`SpokenVideo`], or many of them.

        Raises:
            ValueError: for a video that cannot be read or shows no face, and for parameters out of range.
            TypeError: for a parameter that does not exist.
        """
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if not isinstance(inputs, torch.utils.data.Dataset) and (several := each_video(inputs)) is not None:
            inputs = (video for video in several)  # a generator: transformers knows no other iterators
        if isinstance(inputs, list):
            _check_list(inputs, kwargs)
        return super().__call__(inputs, **kwargs)

    def run_single(self, inputs: Any, preprocess_params: dict[str, Any], *parameters: Any) -> Any:
        return super().run_single(inputs, preprocess_params | {"whole": False}, *parameters)

    def get_iterator(
        self, inputs: Any, num_workers: int, batch_size: int, preprocess_params: dict[str, Any], *parameters: Any
    ) -> Any:
        # A video that is still being read is neither part of a batch nor handed over by another process.
        whole = batch_size > 1 or num_workers > 0
        chosen = preprocess_params | {"whole": whole}
        return super().get_iterator(inputs, num_workers, batch_size, chosen, *parameters)

    def preprocess(self, video: Any, **parameters: Any) -> dict[str, Any]:
        return self._speaker.prepare(video, **parameters)

    def _forward(
        self,
        model_inputs: dict[str, Any],
        chunk_length_s: float = CHUNK_SECONDS,
        progress: bool = False,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
        voiced: Any = None,
    ) -> dict[str, Any]:
        speaker = self._speaker if voiced is None else Speaker(voiced, cast(Any, self.feature_extractor))
        return speaker.generate(model_inputs, chunk_length_s, progress, grammar)

    def _with_voice(self, voice: str | os.PathLike) -> Any:
        """The model with another voice: that of the call before, or one that is learnt now."""
        check_path(voice, "voice", "a sound file or a folder of such")
        wanted = os.path.abspath(os.path.expanduser(voice)), self.model
        if self._voiced[:2] != wanted:
            try:  # by its whole name: this file may be remote code, which comes without the trainer
                adapting = importlib.import_module("lip2wav_hf.adaptation.adapt")
            except ImportError as error:
                raise ImportError("voice=: a voice is learnt by the package lip2wav_hf. Install it.") from error
            self._voiced = *wanted, adapting.with_voice(self.model, wanted[0])
        return self._voiced[2]

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        low_text_confidence: float = LOW_TEXT_CONFIDENCE,
        low_face_coverage: float = LOW_FACE_COVERAGE,
        grammar: AnyGrammar = GrammarChoice.OF_MODEL,
    ) -> SpokenVideo:
        return self._speaker.finish(model_outputs, low_text_confidence, low_face_coverage, grammar)


def _unknown_argument(name: str) -> str:
    """What is wrong with an argument that no call takes, and where it belongs if it is one of something else."""
    parameters = inspect.signature(VideoToSpeechPipeline._sanitize_parameters).parameters
    known = [each for each in parameters if each not in ("self", "unknown")] + ["batch_size", "num_workers"]
    if name in inspect.signature(Lip2WavFeatureExtractor.__init__).parameters:
        place = f" It is one of the feature extractor: set pipe.feature_extractor.{name}, of a pipeline `pipe`."
    elif name in ("model", "feature_extractor", "device", "dtype"):
        place = f" It is given when the pipeline is made: pipeline(…, {name}=…)."
    elif name == "runtime":
        place = " Without PyTorch, an OnnxGenerator speaks, or `lip2wav speak --runtime onnx`: see docs/own-video.md."
    else:
        place = did_you_mean(name, known)
    return f"{name}=: there is no such argument of a video-to-speech pipeline.{place} There are {', '.join(known)}."


def _given(**parameters: Any) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _check_list(videos: list[Any], parameters: dict[str, Any]) -> None:
    """A list is a list of videos: refuse an empty one, frames, and parameters that can belong to one video only."""
    if not videos:
        raise VideoError("The list of videos is empty: pass one video or more.")
    first = as_array(videos[0])
    is_frame = isinstance(first, np.ndarray) and (first.ndim == 2 or first.ndim == 3 and first.shape[-1] in (3, 4))
    if is_frame or hasattr(first, "getpixel"):  # the latter: a PIL image
        raise VideoError(
            "A list is a list of videos, but this one holds single frames. For one video, stack its frames:"
            " np.stack(frames), with fps=."
        )
    for name in ("landmarks", "mouth_boxes"):
        if len(videos) > 1 and parameters.get(name) is not None:
            raise VideoError(
                f"{name}= belongs to one video, but {len(videos)} were given. Pass a dict for each of them:"
                f' {{"video": video, "{name}": {name}}}.'
            )


__all__ = ["LOW_FACE_COVERAGE", "LOW_TEXT_CONFIDENCE", "SpokenVideo", "VideoToSpeechPipeline", "Word"]
