"""The generator chunk by chunk in ONNX Runtime and NumPy: for live speech, as `live.streaming` is in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from ..configuration_lip2wav import Chunks
from ..errors import check_inputs
from .generator import OnnxModel
from .graphs import FRAMES, PAST, PRESENT, STREAMS


if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxStreamingGenerator(OnnxModel):
    """
    A generator that speaks live, from its ONNX graphs for streams.

    ```python
    extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    streamer = Lip2WavStreamer(OnnxStreamingGenerator.from_folder(folder), extractor)
    ```

    Args: as of [`OnnxModel`].
    """

    files = STREAMS

    def stream(self, look_ahead: int, speaker_embedding: np.ndarray | None = None) -> OnnxStream:
        """
        Begin to speak.

        Args:
            look_ahead (`int`): later video frames on which the speech of a frame may depend.
            speaker_embedding (`np.ndarray` of shape `(1, speaker_embedding_size)`, *optional*): whose voice.
        """
        return OnnxStream(self, look_ahead, speaker_embedding)


class OnnxStream:
    """
    One stream; what it remembers does not grow.

    Args:
        model ([`OnnxStreamingGenerator`]): many streams may share it.
        look_ahead, speaker_embedding: as of [`OnnxStreamingGenerator.stream`].
    """

    def __init__(self, model: OnnxStreamingGenerator, look_ahead: int, speaker_embedding: np.ndarray | None) -> None:
        self.model, self.frames = model, 0
        self.start = cast(Chunks, model.config.mel_chunks(look_ahead)).start
        voice = None if speaker_embedding is None else np.asarray(speaker_embedding, np.float32)
        self._voice = {} if voice is None else {"speaker_embedding": voice}
        self._encoder_state = _nothing(model.graphs.encoder)
        self._decoder_state = _nothing(model.graphs.decoder)
        self._sound: np.ndarray | None = None  # what windows have added to samples that are not complete, and weights

    def speak(self, crops: np.ndarray, is_last: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """
        Speak the next chunk.

        Args:
            crops (`np.ndarray` of shape `(frames, image_height, image_width)`): `look_ahead + 1`; fewer at the end.
            is_last (`bool`, *optional*, defaults to `False`): whether the stream ends with it.

        Returns:
            `tuple`: waveform `(samples,)` in [-1, 1], and text logits `(1, frames, classes)`.
        """
        config, pixels = self.model.config, crops[None, :, None].astype(np.float32)
        check_inputs(config, pixels, None, self._voice.get("speaker_embedding"))
        given = {"pixel_values_videos": pixels, **self._voice}
        wide, text_logits = self._run(self.model.graphs.encoder, given, self._encoder_state)
        ahead = wide[:, -config.mel_frames_per_frame :][:, : 0 if is_last else self.start]
        pieces = [np.concatenate([wide[:, self.start :], ahead], 1)]
        if not self.frames and self.start:
            pieces.insert(0, wide[:, : self.start])  # these begin before the first chunk
        spoken = [self._run(self.model.graphs.decoder, {"mel_frames": each}, self._decoder_state) for each in pieces]
        log_magnitude, phase = (np.concatenate(each, 1)[0] for each in zip(*spoken, strict=True))
        self.frames += len(crops)
        return self._complete(log_magnitude, phase, len(crops) * config.samples_per_frame), text_logits

    def _run(
        self, session: InferenceSession, given: dict[str, np.ndarray], state: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a graph makes of a chunk; its state is brought up to date."""
        counted = {FRAMES: np.array(self.frames)} if any(each.name == FRAMES for each in session.get_inputs()) else {}
        first, second, *present = cast(list[np.ndarray], session.run(None, given | counted | state))
        state.update(zip(state, present, strict=True))
        return first, second

    def _complete(self, log_magnitude: np.ndarray, phase: np.ndarray, samples: int) -> np.ndarray:
        """The next samples of the waveform; what windows add to later ones is kept."""
        config, added = self.model.config, self.model.overlap_add(log_magnitude, phase)
        if self._sound is None:  # the first window begins before the first sample
            sound = added[:, (config.n_fft - config.hop_length) // 2 :]
        else:  # the newest windows of before and these end hops apart
            before = self._sound.shape[1]
            first = before + config.hop_length - config.n_fft
            sound = np.zeros((2, first + added.shape[1]), np.float32)
            sound[:, :before] += self._sound
            sound[:, first:] += added
        self._sound = sound[:, samples:]
        waveform, weight = sound[:, :samples]
        return (waveform / weight.clip(1e-3)).clip(-1, 1)


def _nothing(session: InferenceSession) -> dict[str, np.ndarray]:
    """The state before a stream, by the names of the graph's inputs, in the order of its outputs."""
    shapes = {each.name: each.shape for each in session.get_inputs()}
    names = [each.name.replace(PRESENT, PAST, 1) for each in session.get_outputs() if each.name.startswith(PRESENT)]
    return {name: np.zeros(shapes[name], np.float32) for name in names}


__all__ = ["OnnxStream", "OnnxStreamingGenerator"]
