"""The generator in plain torch: its layers, many of them shared by other networks, and how they work together.

Two decoders share one class. "istft" is ours: a light residual encoder, a temporal encoder of finite reach, a mel
spectrogram as the meeting point, and ConvNeXt blocks with an inverse-STFT head. "frame" reconstructs Vougioukas et
al. (2019).
"""

from __future__ import annotations

import collections.abc
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers.utils import ModelOutput

from .configuration_lip2wav import Chunks, Lip2WavConfig, Lip2WavSoundConfig
from .decoding import NGRAM_FILE, NGram, TextDecoder, Window, Word, clip_scores, decode_words
from .encoders import ConvNeXtBlock, TemporalEncoder, VisualEncoder, WindowEncoder, convolve
from .errors import Lip2WavError, WeightsError, check_dtype, check_fit, check_inputs, fit_report, one_line


DEVICES = ("cpu", "cuda", "mps", "xpu")
"""Kinds of places to calculate in, of the many that PyTorch has names for; `cuda:1` is the second of its kind."""


@dataclass
class Lip2WavOutput(ModelOutput):
    """
    Output of [`Lip2WavModel`].

    Args:
        waveform (`torch.FloatTensor` of shape `(batch, samples)`):
            Speech in [-1, 1] at `config.sampling_rate`; zero beyond each clip's end.
        waveform_lengths (`torch.LongTensor` of shape `(batch,)`):
            Samples of each clip: its frames times `config.samples_per_frame`.
        text_logits (`torch.FloatTensor` of shape `(batch, frames, classes)`):
            Scores of the CTC blank (class 0) and of each word, for each video frame.
        mel (`torch.FloatTensor` of shape `(batch, mel_frames, num_mel_bins)`, *optional*):
            Standardised log-mel spectrogram behind the waveform ("istft" only).
    """

    waveform: torch.Tensor | None = None
    waveform_lengths: torch.Tensor | None = None
    text_logits: torch.Tensor | None = None
    mel: torch.Tensor | None = None


@contextlib.contextmanager
def sparing_threads(pixel_values_videos: torch.Tensor) -> collections.abc.Generator[None]:
    """
    Calculate for one clip with half of torch's threads, on a CPU: another thread may read the next pictures meanwhile,
    and threads that wait, spinning, for one without a core take four times as long. With a batch, each has work.
    """
    threads, clip = torch.get_num_threads(), pixel_values_videos
    spares = clip.device.type == "cpu" and len(clip) == 1 and threads > 1
    if spares:
        torch.set_num_threads(threads // 2)
    try:
        yield
    finally:
        if spares:
            torch.set_num_threads(threads)


class MelDecoder(nn.Module):
    """From video frames to the frames of a standardised log-mel spectrogram."""

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        size = config.hidden_size
        self.factor = config.samples_per_frame // config.hop_length
        self.upsample = nn.Linear(size, self.factor * size)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout) for _ in range(config.num_mel_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, config.num_mel_bins)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        hidden = self.widen(hidden, chunks)
        for block in self.blocks:
            hidden = block(hidden, mask, chunks)
        return self.projection(self.norm(hidden))

    def widen(self, hidden: torch.Tensor, chunks: Chunks | None = None) -> torch.Tensor:
        """Spectrogram frames of video frames; what of a frame belongs to the chunk before it is made of that."""
        batch, frames, size = hidden.shape
        wide = self.upsample(hidden).view(batch, frames, self.factor, size)
        if chunks is not None and chunks.start:
            before = torch.cat([hidden[:, :1], hidden[:, :-1]], 1)
            older = self.upsample(before).view_as(wide)[:, :, : chunks.start]
            first = torch.arange(frames, device=hidden.device) * self.factor % chunks.size == 0
            held = torch.where(first[:, None, None], older, wide[:, :, : chunks.start])
            wide = torch.cat([held, wide[:, :, chunks.start :]], 2)
        return wide.view(batch, frames * self.factor, size)


def short_time_spectrum(waveform: torch.Tensor, window: torch.Tensor, hop_length: int) -> torch.Tensor:
    """
    Complex short-time Fourier transform `(batch, samples // hop_length, n_fft // 2 + 1)` of a waveform `(batch,
    samples)` with a window `(n_fft,)`; frame i is centred on sample (i + 1/2) `hop_length`.
    """
    overlap = len(window) - hop_length
    padded = F.pad(waveform, (overlap // 2, overlap - overlap // 2))
    return torch.fft.rfft(padded.unfold(-1, len(window), hop_length) * window)


class InverseSTFTDecoder(nn.Module):
    """From a mel spectrogram to a waveform: ConvNeXt blocks predict magnitude and phase (Siuzdak 2023, "Vocos")."""

    window: torch.Tensor

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        size = config.hidden_size
        self.n_fft, self.hop_length = config.n_fft, config.hop_length
        self.embed = nn.Conv1d(config.num_mel_bins, size, config.kernel_size, padding=config.kernel_size // 2)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size) for _ in range(config.num_decoder_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, 2 * (config.n_fft // 2 + 1))
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def spectrum(
        self, mel: torch.Tensor, mask: torch.Tensor, chunks: Chunks | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-magnitude and phase (radians), `(batch, mel_frames, n_fft // 2 + 1)` each, in float32."""
        hidden = convolve(self.embed, (mel * mask).transpose(1, 2), chunks).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden, mask, chunks)
        return self.polar(hidden)

    def polar(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-magnitude and phase of hidden states, frame by frame."""
        log_magnitude, phase = self.projection(self.norm(hidden)).float().chunk(2, dim=-1)
        return log_magnitude.clamp(max=7.0), phase

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Spectrum `(batch, mel_frames, n_fft // 2 + 1)`, frame i centred on sample (i + 1/2) `hop_length`."""
        return short_time_spectrum(waveform, self.window.float(), self.hop_length)

    def overlap_add(self, spectrum: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Waveform `(batch, mel_frames * hop_length)` of a complex spectrum; masked frames count as absent."""
        window = self.window.float()
        mask = mask.float()
        pieces = torch.fft.irfft(spectrum, n=self.n_fft) * window * mask
        waveform, weight = self._fold(pieces), self._fold(mask * window.square())
        return waveform / weight.clamp(min=1e-3)

    def _fold(self, pieces: torch.Tensor) -> torch.Tensor:
        frames = pieces.shape[1]
        hops = pieces.unflatten(-1, (-1, self.hop_length)).unbind(2)  # as `F.fold`, in a tenth of the time
        added = [F.pad(hop, (0, 0, k, len(hops) - 1 - k)) for k, hop in enumerate(hops)]
        folded = torch.stack(added).sum(0).flatten(1)
        margin = (self.n_fft - self.hop_length) // 2
        return folded[:, margin : margin + frames * self.hop_length]

    def forward(
        self, mel: torch.Tensor, mask: torch.Tensor, iterations: int = 0, chunks: Chunks | None = None
    ) -> torch.Tensor:
        log_magnitude, phase = self.spectrum(mel, mask, chunks)
        magnitude = log_magnitude.exp()
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())  # twice as fast as `torch.polar`
        waveform = self.overlap_add(spectrum, mask)
        if iterations:
            waveform = self.refine(waveform, magnitude, mask, iterations)
        return waveform

    def refine(
        self,
        waveform: torch.Tensor,
        magnitude: torch.Tensor,
        mask: torch.Tensor,
        iterations: int,
        momentum: float = 0.99,
    ) -> torch.Tensor:
        """Fast Griffin-Lim (Perraudin et al. 2013), starting from the predicted phase."""
        samples = mask.float().repeat_interleave(self.hop_length, dim=1)[..., 0]
        previous = torch.zeros((), device=waveform.device)
        for _ in range(iterations):
            consistent = self.analyse(waveform * samples)
            accelerated = consistent + momentum * (consistent - previous)
            previous = consistent
            phase = accelerated / accelerated.abs().clamp(min=1e-8)
            waveform = self.overlap_add(magnitude * phase, mask)
        return waveform


class AudioFrameDecoder(nn.Module):
    """Transposed convolutions that emit one audio frame per video frame; neighbours overlap by half."""

    def __init__(self, config: Lip2WavConfig):
        super().__init__()
        self.hop_length, self.channels = config.samples_per_frame, config.decoder_channels
        self.start = 2 * self.hop_length // config._total_stride
        self.projection = nn.Linear(config.hidden_size, self.channels * self.start)
        blocks, channels = [], self.channels
        for index, stride in enumerate(config.decoder_strides):
            last = index == len(config.decoder_strides) - 1
            narrower = 1 if last else max(channels // 2, 8)
            blocks.append(
                nn.ConvTranspose1d(
                    channels, narrower, 2 * stride, stride, (stride + 1) // 2, output_padding=stride % 2, bias=last
                )
            )
            blocks += [nn.Tanh()] if last else [nn.BatchNorm1d(narrower), nn.ReLU()]
            channels = narrower
        self.blocks = nn.Sequential(*blocks)
        self.is_crossfaded = config.frame_window == "hann"

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, frames, _ = hidden.shape
        pieces = self.blocks(self.projection(hidden).view(batch * frames, self.channels, self.start))
        window = torch.hann_window if self.is_crossfaded else torch.ones
        weights = mask.float() * window(2 * self.hop_length, device=mask.device)
        waveform = self._overlap(pieces.float().view(batch, frames, 2 * self.hop_length) * weights)
        return waveform / self._overlap(weights).clamp(min=0.5)  # which the first and last half frame have at least

    def _overlap(self, pieces: torch.Tensor) -> torch.Tensor:
        frames = pieces.shape[1]
        length = (frames + 1) * self.hop_length
        folded = F.fold(pieces.transpose(1, 2), (1, length), (1, 2 * self.hop_length), stride=(1, self.hop_length))
        margin = self.hop_length // 2
        return folded[:, 0, 0, margin : margin + frames * self.hop_length]


class LogMelSpectrogram(nn.Module):
    """
    Natural logarithm of mel magnitudes; frame i is centred on sample (i + 1/2) `hop_length`, as in the decoder. What
    gives the settings is looked up each time, so that `mel_mean` and `mel_std` may be measured, or loaded, later.
    """

    filters: torch.Tensor
    window: torch.Tensor
    third_octaves: torch.Tensor

    def __init__(self, config: Lip2WavSoundConfig):
        from transformers.audio_utils import hertz_to_mel, mel_filter_bank, mel_to_hertz  # noqa: PLC0415  not for speaking

        super().__init__()
        self.config = config
        filters = mel_filter_bank(
            num_frequency_bins=config.n_fft // 2 + 1,
            num_mel_filters=config.num_mel_bins,
            min_frequency=0.0,
            max_frequency=config.sampling_rate / 2,
            sampling_rate=config.sampling_rate,
            mel_scale="slaney",
        )
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)), persistent=False)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

        centres = mel_to_hertz(
            np.linspace(0, hertz_to_mel(config.sampling_rate / 2, "slaney"), config.num_mel_bins + 2)[1:-1], "slaney"
        )
        self.register_buffer(
            "third_octaves", torch.from_numpy(third_octave_pooling(np.asarray(centres))), persistent=False
        )

    def magnitude(self, waveform: torch.Tensor) -> torch.Tensor:
        """Magnitude spectrogram `(batch, mel_frames, n_fft // 2 + 1)` of a waveform `(batch, samples)`."""
        return short_time_spectrum(waveform, self.window, self.config.hop_length).abs()

    def pool(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of magnitudes `(batch, mel_frames, bins)`."""
        return (magnitude @ self.filters).clamp(min=self.config.mel_floor).log()

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of a waveform `(batch, samples)`."""
        return self.pool(self.magnitude(waveform))

    def standardise(self, log_mel: torch.Tensor) -> torch.Tensor:
        """A log-mel spectrogram less the mean and over the standard deviation of the training speech."""
        return (log_mel - self.config.mel_mean) / self.config.mel_std

    def restore(self, standardised: torch.Tensor) -> torch.Tensor:
        """A log-mel spectrogram from a standardised one."""
        return standardised * self.config.mel_std + self.config.mel_mean

    def standardised(self, waveform: torch.Tensor) -> torch.Tensor:
        """Standardised log-mel spectrogram `(batch, mel_frames, num_mel_bins)` of a waveform `(batch, samples)`."""
        return self.standardise(self(waveform))


def third_octave_pooling(centres: np.ndarray, lowest: float = 150.0, bands: int = 15) -> np.ndarray:
    """
    Float32 map `(num_mel_bins, bands)` from mel bands with these centres (in Hz) to the one-third-octave bands of STOI
    (Taal et al. 2011), the lowest centred on 150 Hz; octave bands without a mel band are left out.
    """
    number = np.rint(3 * np.log2(np.maximum(centres, 1e-3) / lowest)).astype(int)
    pooling = (number[:, None] == np.arange(bands)).astype(np.float32)
    return pooling[:, pooling.any(0)]


class SpeechGenerator:
    """
    From mouth crops to a waveform and to words: the layers, and how they work together.

    A mixin of torch modules: of [`Generator`], light to import, and of [`Lip2WavModel`], a `PreTrainedModel` too.
    """

    config: Lip2WavConfig
    training: bool
    ngram: NGram | None = None  # of the words, for a beam search
    __call__: Callable[..., Any]  # torch's, around `forward`

    def add_layers(self, config: Lip2WavConfig) -> None:
        """Make the layers that the configuration asks for; called once, by the module's `__init__`."""
        size = config.hidden_size
        if config.decoder_type == "istft":
            self.visual_encoder = VisualEncoder(config)
            self.temporal_encoder = TemporalEncoder(config)
            self.mel_decoder = MelDecoder(config)
            self.decoder = InverseSTFTDecoder(config)
        else:
            self.visual_encoder = WindowEncoder(config)
            self.temporal_encoder = nn.GRU(size, size, batch_first=True)
            self.decoder = AudioFrameDecoder(config)
        self.text_head = nn.Linear(size, config.num_classes)
        embedding = config.speaker_embedding_size
        self.speaker_projection = nn.Linear(embedding, size) if embedding else None
        # Without a bias: what no word is likely to be leaves the hidden states as they are.
        self.word_projection = nn.Linear(config.num_classes, size, bias=False) if config.word_conditioning else None

    def encode(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        speaker_embedding: torch.Tensor | None = None,
        look_ahead: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Features of the video frames; arguments as for `forward`.

        Returns:
            `tuple`: hidden states `(batch, frames, hidden_size)` with the speaker added, text logits `(batch, frames,
            classes)`, and the mask `(batch, frames, 1)` in the hidden states' type.
        """
        check_inputs(self.config, pixel_values_videos, frame_mask, speaker_embedding)
        chunks = self.config.chunks(look_ahead)
        hidden = self.visual_encoder(pixel_values_videos, frame_mask, chunks)
        mask = hidden.new_ones(hidden.shape[:2]) if frame_mask is None else frame_mask.to(hidden.dtype)
        mask = mask[..., None]
        if self.config.decoder_type == "istft":
            hidden = self.temporal_encoder(hidden * mask, mask, chunks)
        else:
            hidden = self.temporal_encoder(hidden)[0]
        text_logits = self.text_head(hidden)
        if self.speaker_projection is not None and speaker_embedding is not None:
            hidden = hidden + self.speaker_projection(speaker_embedding.to(hidden.dtype))[:, None]
        return hidden, text_logits, mask

    def add_words(
        self, hidden: torch.Tensor, text_logits: torch.Tensor, words: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Hidden states that tell the decoder which words are said, where `config.word_conditioning` is set.

        Args:
            hidden, text_logits (`torch.FloatTensor`): as from `encode`.
            words (`torch.FloatTensor` of shape `(batch, frames, classes)`, *optional*): probabilities; those of the
                text head by default.
        """
        if self.word_projection is None:
            return hidden
        words = text_logits.float().softmax(-1) if words is None else words
        return hidden + self.word_projection(words.to(hidden.dtype))

    def predict_mel(
        self, hidden: torch.Tensor, mask: torch.Tensor, look_ahead: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Standardised log-mel `(batch, mel_frames, num_mel_bins)` and the mask at its frame rate ("istft" only), from
        hidden states with the words added.
        """
        mel_mask = mask.repeat_interleave(self.mel_decoder.factor, dim=1)
        return self.mel_decoder(hidden, mel_mask, self.config.mel_chunks(look_ahead)), mel_mask

    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        speaker_embedding: torch.Tensor | None = None,
        word_probabilities: torch.Tensor | None = None,
        look_ahead: int | None = None,
    ) -> Lip2WavOutput:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, image_height, image_width)`):
                Normalised gray mouth crops at `config.frame_rate`, as [`Lip2WavFeatureExtractor`] makes them.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*):
                1 for frames of the clip, 0 for padding behind its end. All frames count by default.
            speaker_embedding (`torch.FloatTensor` of shape `(batch, speaker_embedding_size)`, *optional*):
                Whose voice to speak with; needed exactly when the config has `speaker_embedding_size`.
            word_probabilities (`torch.FloatTensor` of shape `(batch, frames, classes)`, *optional*):
                Which words to say, with `config.word_conditioning`; by default those that the text head reads.
            look_ahead (`int`, *optional*, defaults to `config.look_ahead`):
                Later video frames on which the speech of a frame may depend: the video is seen in chunks of one more
                frame each, and nothing looks beyond its chunk. Without it, all frames in reach count.

        Returns:
            [`Lip2WavOutput`]. `ValueError` is raised if a shape does not fit the config.
        """
        encoded = self.encode(pixel_values_videos, frame_mask, speaker_embedding, look_ahead)
        window = Window(pixel_values_videos, frame_mask, words=word_probabilities, encoded=encoded)
        return self._decoded(window, speaker_embedding, look_ahead)

    def _decoded(
        self, window: Window, speaker_embedding: torch.Tensor | None, look_ahead: int | None = None
    ) -> Lip2WavOutput:
        """The output for a chunk whose lips have been read."""
        hidden, text_logits, mask = window.encoded
        mel = None
        if self.config.decoder_type == "frame":
            waveform = self.decoder(hidden, mask)
        else:
            told = self.add_words(hidden, text_logits, window.words)
            mel, mel_mask = self.predict_mel(told, mask, look_ahead)
            if self.config.mirror_average and not self.training:
                flipped = window.pixel_values_videos.flip(-1)
                mirrored, mirrored_logits, _ = self.encode(flipped, window.frame_mask, speaker_embedding)
                mirrored = self.add_words(mirrored, mirrored_logits, window.words)
                mel = (mel + self.predict_mel(mirrored, mask)[0]) / 2
                text_logits = (text_logits.log_softmax(-1) + mirrored_logits.log_softmax(-1)) / 2
            iterations = 0 if self.training else self.config.griffin_lim_iterations
            waveform = self.decoder(mel, mel_mask, iterations, self.config.mel_chunks(look_ahead))
        samples = self.config.samples_per_frame
        waveform = waveform.clamp(-1, 1) * mask[..., 0].repeat_interleave(samples, dim=1)
        return Lip2WavOutput(
            waveform=waveform,
            waveform_lengths=mask[..., 0].float().sum(1).round().long() * samples,
            text_logits=text_logits,
            mel=mel,
        )

    @torch.no_grad()
    def synthesize(
        self,
        pixel_values_videos: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        speaker_embedding: torch.Tensor | None = None,
        chunk_frames: int = 250,
        progress: Callable[[int], object] | None = None,
        grammar: TextDecoder | None = None,
    ) -> Lip2WavOutput:
        """
        Speak videos of any length with bounded memory: chunks with the receptive field's context, seams blended over
        one frame.

        Args:
            pixel_values_videos, frame_mask, speaker_embedding: as for `forward`.
            chunk_frames (`int`, *optional*, defaults to 250): video frames spoken at a time, context not counted.
            progress (`Callable`, *optional*): called with the number of frames done after each chunk.
            grammar ([`TextDecoder`], *optional*): with `config.word_conditioning`, finds what is said.

        Returns:
            [`Lip2WavOutput`] without `mel`.
        """
        if chunk_frames < 1:
            raise ValueError(f"`chunk_frames` must be 1 or more; got {chunk_frames}.")
        (batch, frames), device = pixel_values_videos.shape[:2], pixel_values_videos.device
        if frame_mask is None:
            frame_mask = torch.ones(batch, frames, dtype=torch.long, device=device)

        spans = list(self.config.spans(frames, chunk_frames))
        windows: Iterable[Window] = (
            Window(pixel_values_videos[:, low:high], frame_mask[:, low:high], start - low, end - low)
            for low, start, end, high in spans
        )
        if grammar is not None and self.word_projection is not None:
            read = [self.read_window(window, speaker_embedding) for window in windows]
            logits = torch.cat([window.text_logits for window in read], 1)
            words = self._grammatical_words(logits, frame_mask, grammar)
            windows = (w._replace(words=words[:, low:high]) for w, (low, _, _, high) in zip(read, spans, strict=True))
        samples, position, pieces = self.config.samples_per_frame, 0, []
        waveform = torch.zeros(batch, frames * samples, device=device)
        for piece, scores in self.speak_windows(windows, speaker_embedding):
            waveform[:, position : position + piece.shape[1]] = piece
            position += piece.shape[1]
            pieces.append(scores)
            if progress is not None:
                progress(scores.shape[1])
        lengths = frame_mask.sum(1).long() * samples
        return Lip2WavOutput(waveform=waveform, waveform_lengths=lengths, text_logits=torch.cat(pieces, 1))

    @torch.no_grad()
    def speak_windows(
        self, windows: Iterable[Window], speaker_embedding: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Speak chunks one after the other: waveform `(batch, samples)` and text logits of each, without context."""
        samples, seam = self.config.samples_per_frame, None
        for window in windows:
            is_read, given = window.encoded is not None, (window.pixel_values_videos, window.frame_mask)
            with sparing_threads(window.pixel_values_videos):
                part: Any = self._decoded(window, speaker_embedding) if is_read else self(*given, speaker_embedding)
            kept = part.waveform[:, window.start * samples :].float()
            if seam is not None:
                fade = torch.linspace(0, 1, samples, device=kept.device)
                kept[:, :samples] = seam * (1 - fade) + kept[:, :samples] * fade
            length = (window.end - window.start) * samples
            seam = kept[:, length : length + samples]  # the next chunk is faded in over it
            yield kept[:, :length], part.text_logits[:, window.start : window.end]

    @torch.no_grad()
    def read_window(self, window: Window, speaker_embedding: torch.Tensor | None = None) -> Window:
        """A chunk whose lips have been read."""
        with sparing_threads(window.pixel_values_videos):
            encoded = self.encode(window.pixel_values_videos, window.frame_mask, speaker_embedding)
        return window._replace(encoded=encoded)

    def _grammatical_words(self, logits: torch.Tensor, frame_mask: torch.Tensor, grammar: TextDecoder) -> torch.Tensor:
        """How likely each word is in each frame, `(batch, frames, classes)`, given the grammar."""
        words = torch.zeros_like(logits, dtype=torch.float32)
        for clip, scores in enumerate(clip_scores(logits, frame_mask)):
            words[clip, : len(scores)] = torch.from_numpy(grammar.posteriors(scores)).to(words)
        return words

    def decode_text(
        self,
        text_logits: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        grammar: TextDecoder | None = None,
    ) -> list[list[Word]]:
        """Words with their times, see [`decode_words`]."""
        return decode_words(text_logits, frame_mask, self.config, grammar)


class Generator(SpeechGenerator, nn.Module):
    """
    The generator as a torch module, for speaking only. [`Lip2WavModel`] is the one to train, save and share.

    Args:
        config ([`Lip2WavConfig`]): the architecture; weights are random.
    """

    def __init__(self, config: Lip2WavConfig) -> None:
        super().__init__()
        self.config = config
        self.add_layers(config)

    @property
    def dtype(self) -> torch.dtype:
        """What it calculates in."""
        return self.text_head.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where it calculates."""
        return self.text_head.weight.device

    @classmethod
    def from_folder(cls, folder: str | os.PathLike, dtype: str | torch.dtype = "auto") -> Generator:
        """
        Load a saved [`Lip2WavModel`]; its numbers are the same.

        Args:
            folder (`str` or `os.PathLike`): holds `config.json` and `model*.safetensors`.
            dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): what to calculate in, such as
                `"bfloat16"`; by default what config.json says, else what the weights are saved in.

        Raises:
            Lip2WavError: if there is no such `dtype`.
            WeightsError: if the weights are missing or damaged, or do not fit the configuration.
            GrammarError: if the n-gram is missing or damaged.
        """
        check_dtype(dtype)
        config = Lip2WavConfig.from_pretrained(folder)
        weights: dict[str, torch.Tensor] = {}
        for path in sorted(Path(folder).glob("model*.safetensors")):
            try:
                weights |= load_file(path)
            except (SafetensorError, OSError) as error:
                raise WeightsError(
                    f"{path}: the weights are damaged ({error}). Download or save them again."
                ) from error
        generator = cls(config).to(_chosen_dtype(dtype, config, weights))
        check_fit(folder, fit_report(generator.state_dict(), weights))
        generator.load_state_dict(weights)
        if config.ngram_order:
            generator.ngram = NGram.from_arpa(Path(folder, NGRAM_FILE))
        return generator.eval()


def _chosen_dtype(dtype: str | torch.dtype, config: Lip2WavConfig, weights: dict[str, torch.Tensor]) -> torch.dtype:
    chosen = config.dtype if dtype in ("auto", None) else dtype
    if chosen is not None:
        return chosen if isinstance(chosen, torch.dtype) else getattr(torch, chosen)
    return next((each.dtype for each in weights.values() if each.is_floating_point()), torch.float32)


def usable_device(device: str | torch.device | None = None, name: str = "--device ") -> torch.device:
    """
    Where to calculate.

    Args:
        device (`str` or `torch.device`, *optional*): such as `"cpu"` or `"cuda:1"`; by default an accelerator, if
            there is one.
        name (`str`, *optional*): what messages put before it.

    Raises:
        Lip2WavError: if it cannot be used here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return found or torch.device("cpu")
    try:
        return torch.zeros(1, device=device).device
    except Exception as error:
        if isinstance(error, (AssertionError, NotImplementedError)):
            cause = " (PyTorch was built without it)"
        else:
            is_known = str(device).partition(":")[0] in DEVICES
            cause = f" ({one_line(error).split('. ')[0]})" if is_known else ""
        here = "cpu" if found is None else f"cpu and {found.type}"
        raise Lip2WavError(
            f"{name}{device}: it cannot be used here{cause}. Devices are {', '.join(DEVICES)}; here there is: {here}."
        ) from error


__all__ = [
    "Generator",
    "Lip2WavOutput",
    "LogMelSpectrogram",
    "SpeechGenerator",
    "Window",
    "Word",
    "usable_device",
]
