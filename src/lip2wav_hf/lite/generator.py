"""The generator in ONNX Runtime and NumPy: for [`Speaker`], as the one in torch is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np

from ..configuration_lip2wav import Lip2WavConfig
from ..decoding import NGRAM_FILE, NGram, TextDecoder, Window, Word, clip_scores, decode_words
from ..errors import WeightsError, check_inputs
from .graphs import CLIPS, Graphs, open_graphs


Model = TypeVar("Model", bound="OnnxModel")


class OnnxModel:
    """
    A generator in ONNX graphs.

    Args:
        config ([`Lip2WavConfig`]): of the model that the graphs were made of.
        graphs ([`Graphs`]): its opened graphs.
        ngram ([`NGram`], *optional*): of its words, for a beam search.
    """

    files: ClassVar[tuple[str, str]] = CLIPS

    def __init__(self, config: Lip2WavConfig, graphs: Graphs, ngram: NGram | None = None) -> None:
        self.config, self.graphs, self.ngram = config, graphs, ngram
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.n_fft) / config.n_fft)).astype(np.float32)

    @classmethod
    def from_folder(cls: type[Model], folder: str | os.PathLike, graphs: Graphs | None = None) -> Model:
        """
        Load a saved model that has graphs.

        Args:
            folder (`str` or `os.PathLike`): holds config.json, the weights and the graphs.
            graphs ([`Graphs`], *optional*): if they have been opened already.

        Raises:
            MissingExtraError: if ONNX Runtime is not installed.
            GraphError: if there are no graphs, or they were made of another model.
            WeightsError: if the vocabulary is of another length.
        """
        graphs = graphs or open_graphs(folder, cls.files)
        config = Lip2WavConfig.from_pretrained(folder)
        classes = graphs.encoder.get_outputs()[1].shape[-1]
        if classes != config.num_classes:
            raise WeightsError(
                f"{folder}: the weights do not fit config.json: they tell {classes} classes apart, and the vocabulary"
                f" needs {config.num_classes}."
            )
        return cls(config, graphs, NGram.from_arpa(Path(folder, NGRAM_FILE)) if config.ngram_order else None)

    def overlap_add(self, log_magnitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """
        Windows of a spectrum `(mel_frames, n_fft // 2 + 1)` added to each other.

        Returns:
            `np.ndarray` of shape `(2, (mel_frames - 1) * hop_length + n_fft)`: samples, and their weights.
        """
        n_fft, hop, frames = self.config.n_fft, self.config.hop_length, len(log_magnitude)
        magnitude = np.exp(log_magnitude)
        spectrum = np.empty(magnitude.shape, np.complex64)
        spectrum.real, spectrum.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
        pieces = np.fft.irfft(spectrum, n_fft).astype(np.float32) * self._window
        sums = np.zeros((2, frames + n_fft // hop - 1, hop), np.float32)
        for k in range(n_fft // hop):
            sums[0, k : k + frames] += pieces[:, k * hop : (k + 1) * hop]
            sums[1, k : k + frames] += self._window[k * hop : (k + 1) * hop] ** 2
        return sums.reshape(2, -1)


class OnnxGenerator(OnnxModel):
    """
    A generator that speaks one clip at a time, from its ONNX graphs.

    ```python
    speaker = Speaker(OnnxGenerator.from_folder(folder), Lip2WavFeatureExtractor.from_pretrained(folder))
    speech = speaker(["clip.mpg"])[0]
    ```

    Args: as of [`OnnxModel`].
    """

    def synthesize(
        self,
        pixel_values_videos: np.ndarray,
        frame_mask: np.ndarray | None = None,
        speaker_embedding: np.ndarray | None = None,
        chunk_frames: int = 250,
        progress: Callable[[int], object] | None = None,
        grammar: TextDecoder | None = None,
    ) -> dict[str, Any]:
        """
        Speak a clip of any length with bounded memory; arguments as for [`Lip2WavModel.synthesize`], of one clip
        without padding.

        Returns:
            `dict`: `waveform` `(1, samples)`, `waveform_lengths` `(1,)` and `text_logits` `(1, frames, classes)`.
        """
        if len(pixel_values_videos) != 1:
            raise ValueError(f"ONNX graphs speak one clip at a time; got {len(pixel_values_videos)}.")
        spans = list(self.config.spans(pixel_values_videos.shape[1], chunk_frames))
        windows: Iterable[Window] = (
            Window(pixel_values_videos[:, low:high], None, start - low, end - low) for low, start, end, high in spans
        )
        if grammar is not None and self.config.word_conditioning:
            read = [self.read_window(window, speaker_embedding) for window in windows]
            words = grammar.posteriors(clip_scores(np.concatenate([each.text_logits for each in read], 1), None)[0])
            words = words.astype(np.float32)[None]
            windows = (w._replace(words=words[:, low:high]) for w, (low, _, _, high) in zip(read, spans, strict=True))
        waveforms, logits = [], []
        for waveform, scores in self.speak_windows(windows, speaker_embedding):
            waveforms.append(waveform)
            logits.append(scores)
            if progress is not None:
                progress(scores.shape[1])
        waveform = np.concatenate(waveforms, 1)
        lengths = np.array([waveform.shape[1]])
        return {"waveform": waveform, "waveform_lengths": lengths, "text_logits": np.concatenate(logits, 1)}

    def speak_windows(
        self, windows: Iterable[Window], speaker_embedding: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Speak chunks one after the other: waveform `(1, samples)` and text logits of each, without context."""
        samples, seam = self.config.samples_per_frame, None
        fade = np.linspace(0, 1, samples, dtype=np.float32)
        for window in windows:
            if window.encoded is None:
                window = self.read_window(window, speaker_embedding)
            kept = self._decode(window)[:, window.start * samples :]
            if seam is not None:
                kept[:, :samples] = seam * (1 - fade) + kept[:, :samples] * fade
            length = (window.end - window.start) * samples
            seam = kept[:, length : length + samples]  # the next chunk is faded in over it
            yield kept[:, :length], window.text_logits

    def read_window(self, window: Window, speaker_embedding: np.ndarray | None = None) -> Window:
        """A chunk whose lips have been read."""
        check_inputs(self.config, window.pixel_values_videos, None, speaker_embedding)
        given = {"pixel_values_videos": window.pixel_values_videos}
        if speaker_embedding is not None:
            given["speaker_embedding"] = speaker_embedding
        return window._replace(encoded=self.graphs.encoder.run(None, given))

    def decode_text(
        self, text_logits: np.ndarray, frame_mask: np.ndarray | None = None, grammar: TextDecoder | None = None
    ) -> list[list[Word]]:
        """Words with their times, see [`decode_words`]."""
        return decode_words(text_logits, frame_mask, self.config, grammar)

    def _decode(self, window: Window) -> np.ndarray:
        """The waveform `(1, samples)` of a chunk whose lips have been read, context included."""
        hidden, text_logits = window.encoded
        given = {"hidden_states": hidden}
        if self.config.word_conditioning:
            words = np.exp(clip_scores(text_logits, None)[0])[None] if window.words is None else window.words
            given["words"] = words
        log_magnitude, phase = cast(list[np.ndarray], self.graphs.decoder.run(None, given))
        added, weight = self.overlap_add(log_magnitude[0], phase[0])
        hop, margin = self.config.hop_length, (self.config.n_fft - self.config.hop_length) // 2
        waveform = (added / weight.clip(1e-3))[margin : margin + log_magnitude.shape[1] * hop]
        return waveform[None].clip(-1, 1)


__all__ = ["OnnxGenerator", "OnnxModel"]
