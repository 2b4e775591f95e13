"""The task `video-to-speech`: a silent video of a talking face in; speech, words and their times out."""

import os
from typing import Any, TypedDict

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModel, Pipeline
from transformers.utils import logging

from .video import VideoError


logger = logging.get_logger(__name__)

# Below these, the pipeline warns that the result is probably wrong.
LOW_TEXT_CONFIDENCE = 0.8
LOW_FACE_COVERAGE = 0.8

_CLIP_KEYS = ("video", "fps", "landmarks", "mouth_boxes", "speaker_embedding")


class Word(TypedDict):
    """A recognised word: `start` and `end` in seconds from the first frame, `confidence` from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


class SpokenVideo(TypedDict, total=False):
    """
    What [`VideoToSpeechPipeline`] returns for one video.

    Args:
        audio (`np.ndarray` of shape `(samples,)`): Speech, float32 in [-1, 1].
        sampling_rate (`int`): Of `audio`, in Hz.
        text (`str`): The words, joined by spaces.
        words (`list[Word]`): The words with their times, in seconds, and confidences.
        face_coverage (`float`): Share of the frames in which a face was found, from 0 to 1.
        crops (`np.ndarray` of shape `(frames, height, width)`): Gray mouth crops, uint8; only with `return_crops`.
    """

    audio: np.ndarray
    sampling_rate: int
    text: str
    words: list[Word]
    face_coverage: float
    crops: np.ndarray


class VideoToSpeechPipeline(Pipeline):
    """
    Speech for silent videos of talking faces, with any [`Lip2WavModel`].

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

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.feature_extractor is None:
            raise ValueError(
                "The video-to-speech pipeline has no feature extractor. With a model instance, pass an instance too:"
                " feature_extractor=Lip2WavFeatureExtractor()."
            )
        model_type = getattr(self.model.config, "model_type", None)
        if model_type != "lip2wav":
            raise ValueError(
                f"The video-to-speech pipeline needs a model of the type 'lip2wav', not {model_type!r}. Check the name"
                " of the model, and that its config.json was not changed."
            )
        self.model.eval()

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs):
        """
        Save model, feature extractor and code, so that `pipeline("video-to-speech", model=folder,
        trust_remote_code=True)` needs no `lip2wav_hf`; see `Pipeline.save_pretrained`.
        """
        # As registered, but without the default model, a folder of this machine; and known to remote code too.
        self._registered_impl = {"video-to-speech": {"impl": type(self), "pt": (AutoModel,), "type": "video"}}
        super().save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(
        self,
        fps=None,
        landmarks=None,
        mouth_boxes=None,
        speaker_embedding=None,
        return_crops=None,
        progress=None,
        chunk_length_s=None,
        low_text_confidence=None,
        low_face_coverage=None,
    ):
        preprocess_params = _given(
            fps=fps,
            landmarks=landmarks,
            mouth_boxes=mouth_boxes,
            speaker_embedding=speaker_embedding,
            return_crops=return_crops,
            progress=progress,
        )
        if chunk_length_s is not None and round(chunk_length_s * self.model.config.frame_rate) < 1:
            raise ValueError(
                f"chunk_length_s={chunk_length_s!r} is less than a video frame. The default is 10.0 seconds."
            )
        forward_params = _given(chunk_length_s=chunk_length_s, progress=progress)
        postprocess_params = _given(low_text_confidence=low_text_confidence, low_face_coverage=low_face_coverage)
        return preprocess_params, forward_params, postprocess_params

    def __call__(self, inputs: Any, **kwargs) -> SpokenVideo | list[SpokenVideo]:
        """
        Speak one video, or many.

        Args:
            inputs:
                One video: a path, a `file:` or `http(s):` URL, the bytes of a file, a binary file object, or a uint8
                array of shape `(frames, height, width, 3)` or `(frames, height, width)` with `fps`. Or a dict with
                `"video"` and any of `"fps"`, `"landmarks"`, `"mouth_boxes"`, `"speaker_embedding"`, which then hold
                for this video alone; or what `datasets` yields for a `Video(decode=False)` column.
                Many videos: a list or tuple of these (returns a list), a generator or a dataset (returns an iterator).
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
            batch_size, num_workers (`int`, *optional*): As for any pipeline.

        Returns:
            [`SpokenVideo`], or many of them.

        Raises:
            ValueError: for a video that cannot be read or shows no face, and for parameters out of range.
            TypeError: for a parameter that does not exist.
        """
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if isinstance(inputs, list):
            _check_list(inputs, kwargs)
        return super().__call__(inputs, **kwargs)

    def preprocess(
        self,
        video,
        fps=None,
        landmarks=None,
        mouth_boxes=None,
        speaker_embedding=None,
        return_crops=False,
        progress=False,
    ):
        clip = {"fps": fps, "landmarks": landmarks, "mouth_boxes": mouth_boxes, "speaker_embedding": speaker_embedding}
        clip.update(_as_clip(video))
        embedding = clip.pop("speaker_embedding")
        video = clip.pop("video")
        features = self.feature_extractor(
            video, **clip, return_crops=return_crops, return_tensors="pt", progress=progress
        )
        inputs = {
            "pixel_values_videos": features["pixel_values_videos"].to(self.dtype),
            "frame_mask": features["frame_mask"],
            "clip": {"name": _name(video), "face_coverage": float(features["face_coverage"][0])},
        }
        if return_crops:
            inputs["clip"]["crops"] = features["crops"][0]
        if embedding is not None:
            inputs["speaker_embedding"] = torch.as_tensor(embedding, dtype=self.dtype).reshape(1, -1)
        return inputs

    def _forward(self, model_inputs, chunk_length_s=10.0, progress=False):
        rest = {"clip": model_inputs.pop("clip"), "frame_mask": model_inputs["frame_mask"]}
        chunk_frames = round(chunk_length_s * self.model.config.frame_rate)
        frames = model_inputs["pixel_values_videos"].shape[1]
        with tqdm(desc="speaking", total=frames, unit="frame", disable=not progress, leave=False) as bar:
            outputs = self.model.synthesize(**model_inputs, chunk_frames=chunk_frames, progress=bar.update)
        return {**outputs, **rest}

    def postprocess(
        self, model_outputs, low_text_confidence=LOW_TEXT_CONFIDENCE, low_face_coverage=LOW_FACE_COVERAGE
    ) -> SpokenVideo:
        clip = model_outputs["clip"]
        samples = int(model_outputs["waveform_lengths"][0])
        words = self.model.decode_text(model_outputs["text_logits"], model_outputs["frame_mask"])[0]
        self._warn_if_doubtful(clip, words, low_text_confidence, low_face_coverage)
        result = SpokenVideo(
            audio=model_outputs["waveform"][0, :samples].float().numpy(),
            sampling_rate=self.model.config.sampling_rate,
            text=" ".join(word["word"] for word in words),
            words=words,
            face_coverage=clip["face_coverage"],
        )
        if "crops" in clip:
            result["crops"] = clip["crops"]
        return result

    def _warn_if_doubtful(self, clip, words, low_text_confidence, low_face_coverage):
        """One warning at most for a clip: what is doubtful about it, and why."""
        doubts = []
        if clip["face_coverage"] < low_face_coverage:
            doubts.append(f"a face was found in only {clip['face_coverage']:.0%} of the frames (the rest is guessed)")
        confidence = float(np.mean([word["confidence"] for word in words])) if words else 0.0
        if confidence < low_text_confidence:
            vocabulary = len(self.model.config.vocabulary)
            doubts.append(
                (
                    f"the words are uncertain (mean confidence {confidence:.2f})"
                    if words
                    else "no words were recognised"
                )
                + f"; this model has a closed vocabulary of {vocabulary} words (those of the GRID corpus)"
                " and knows frontal faces only"
            )
        if doubts:
            logger.warning(f"{clip['name']}: {'; and '.join(doubts)}. The speech is probably wrong.")


def _given(**parameters):
    return {name: value for name, value in parameters.items() if value is not None}


def _check_list(videos, parameters):
    """A list is a list of videos: refuse an empty one, frames, and parameters that can belong to one video only."""
    if not videos:
        raise VideoError("The list of videos is empty: pass one video or more.")
    first = videos[0]
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


def _as_clip(video):
    """The video and what came with it, as keyword arguments of the feature extractor."""
    if video is None:
        raise VideoError("The video is None: pass a path, a URL, bytes, a file object or an array.")
    if isinstance(video, (list, tuple)):
        raise VideoError(
            "A list inside of the list of videos: pass one flat list, and each video as one path or array."
        )
    if not isinstance(video, dict):
        return {"video": video}
    if set(video) == {"path", "bytes"}:  # a `Video(decode=False)` column of `datasets`
        return {"video": video["path"] if video["bytes"] is None else video["bytes"]}
    unknown = sorted(set(video) - set(_CLIP_KEYS))
    if unknown or video.get("video") is None:
        problem = f"has the unknown keys {unknown}" if unknown else 'has no "video"'
        raise VideoError(f"The dict given for a video {problem}. Its keys may be: {', '.join(_CLIP_KEYS)}.")
    return _given(**video)


def _name(video):
    """What messages call the video."""
    if isinstance(video, (str, os.PathLike)):
        return os.fsdecode(video)
    if isinstance(video, np.ndarray):
        return f"array of shape {video.shape}"
    if isinstance(video, (bytes, bytearray, memoryview)):
        return f"video of {len(video)} bytes"
    return str(getattr(video, "name", "the video"))
