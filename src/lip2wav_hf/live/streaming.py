"""The generator chunk by chunk: what it must remember goes in and comes out, and does not grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

from ..configuration_lip2wav import Chunks
from ..encoders import ClipNorm, ConvNeXtBlock, Moments, TransformerLayer, VisualEncoder, rotate_positions
from ..errors import Lip2WavError, check_inputs
from ..generator import InverseSTFTDecoder, MelDecoder, SpeechGenerator


class StreamingError(Lip2WavError):
    """A network that cannot speak live, or pieces that do not fit its chunks."""


@dataclass
class StreamingCache:
    """
    What a stream remembers between its chunks; of constant size. One stream has one, and a new stream an empty one.

    Attributes:
        frames (`int`): video frames so far.
        pixels (`torch.Tensor` of shape `(batch, stem_frames // 2, height, width)`, *optional*): the newest crops.
        moments (`dict[int, Moments]`): running statistics, by the number of the norm.
        padding (`dict[int, torch.Tensor]`): newest inputs `(batch, channels, frames)`, by the number of the
            convolution.
        past_key_values (`dict[int, tuple[torch.Tensor, torch.Tensor]]`): newest keys, not rotated, and values,
            `(batch, heads, frames, channels)`, by the number of the layer.
        sound (`torch.Tensor` of shape `(2, batch, samples)`, *optional*): what windows of the inverse transform have
            added to samples that are not complete, and their weights.
    """

    frames: int = 0
    pixels: torch.Tensor | None = None
    moments: dict[int, Moments] = field(default_factory=dict)
    padding: dict[int, torch.Tensor] = field(default_factory=dict)
    past_key_values: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    sound: torch.Tensor | None = None


@dataclass
class StreamingOutput(ModelOutput):
    """
    Output of [`speak_chunk`].

    Args:
        waveform (`torch.FloatTensor` of shape `(batch, samples)`): speech of the frames of the chunk, in [-1, 1].
        text_logits (`torch.FloatTensor` of shape `(batch, frames, classes)`): as of [`Lip2WavOutput`].
        cache ([`StreamingCache`]): for the next chunk.
    """

    waveform: torch.Tensor | None = None
    text_logits: torch.Tensor | None = None
    cache: StreamingCache | None = None


@torch.no_grad()
def speak_chunk(
    model: SpeechGenerator,
    pixel_values_videos: torch.Tensor,
    cache: StreamingCache | None = None,
    look_ahead: int | None = None,
    speaker_embedding: torch.Tensor | None = None,
    is_last: bool = False,
) -> StreamingOutput:
    """
    Speak the next chunk of a stream. Chunk after chunk it gives what `forward` with the same look-ahead gives for the
    whole clip; only where a clip ends with a full chunk that was not known to be the last does that chunk differ.

    Args:
        model ([`Lip2WavModel`] or [`Generator`]): in evaluation mode.
        pixel_values_videos (`torch.FloatTensor` of shape `(batch, frames, 1, image_height, image_width)`): the next
            `look_ahead + 1` frames, or so many times that; another number only if they are the last.
        cache ([`StreamingCache`], *optional*): that of the output before; it is brought up to date. None begins.
        look_ahead (`int`, *optional*, defaults to `config.look_ahead`): the same for all chunks of a stream.
        speaker_embedding (`torch.FloatTensor` of shape `(batch, speaker_embedding_size)`, *optional*): as in
            `forward`.
        is_last (`bool`, *optional*, defaults to `False`): whether the stream ends with this chunk.

    Returns:
        [`StreamingOutput`]

    Raises:
        StreamingError: if the network is in training, has no bounded look-ahead, or the chunk is of another length.
        ValueError: if a shape does not fit the config.
    """
    config = model.config
    check_inputs(config, pixel_values_videos, None, speaker_embedding)
    chunks, frames = config.chunks(look_ahead), pixel_values_videos.shape[1]
    if chunks is None or model.training:
        raise StreamingError("speaking live needs a `look_ahead`, and a network in evaluation mode (`model.eval()`).")
    if frames % chunks.size and not is_last:
        raise StreamingError(
            f"with a look-ahead of {chunks.size - 1} a chunk has {chunks.size} frames, the last one perhaps fewer; got"
            f" {frames}."
        )
    cache, start = StreamingCache() if cache is None else cache, cast(Chunks, config.mel_chunks(look_ahead)).start
    pieces = pixel_values_videos.split(chunks.size, 1)
    spoken = [
        _speak(model, piece, cache, start, speaker_embedding, is_last and number == len(pieces))
        for number, piece in enumerate(pieces, 1)
    ]
    waveforms, text_logits = zip(*spoken, strict=True)
    return StreamingOutput(waveform=torch.cat(waveforms, 1), text_logits=torch.cat(text_logits, 1), cache=cache)


def _speak(
    model: SpeechGenerator,
    pixel_values_videos: torch.Tensor,
    cache: StreamingCache,
    start: int,
    speaker_embedding: torch.Tensor | None,
    is_last: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveform and text logits of one chunk; `start` are the spectrogram frames that begin before their chunk."""
    config, step, frames = model.config, _Step(cache), pixel_values_videos.shape[1]
    hidden = step.see(cast(VisualEncoder, model.visual_encoder), pixel_values_videos[:, :, 0])
    encoder = cast(Any, model.temporal_encoder)
    for convolution, layer in zip(encoder.convolutions, encoder.layers, strict=True):
        hidden = step.attend(layer, step.mix(convolution, hidden))
    hidden = encoder.norm(hidden)
    text_logits = model.text_head(hidden)
    if model.speaker_projection is not None and speaker_embedding is not None:
        hidden = hidden + model.speaker_projection(speaker_embedding.to(hidden.dtype))[:, None]
    hidden = model.add_words(hidden, text_logits)
    pieces = step.widen(model.mel_decoder, hidden, start, is_last)
    decoder = cast(InverseSTFTDecoder, model.decoder)
    spectra = [step.spectrum(model.mel_decoder, decoder, piece) for piece in pieces]
    waveform = step.overlap_add(decoder, torch.cat(spectra, 1), frames * config.samples_per_frame)
    cache.frames += frames
    return waveform.clamp(-1, 1), text_logits


class _Step:
    """One chunk on its way through the layers, which are numbered in the order in which they come."""

    def __init__(self, cache: StreamingCache) -> None:
        self.cache = cache
        self.convolutions = self.norms = self.layers = 0

    def see(self, encoder: VisualEncoder, pixels: torch.Tensor) -> torch.Tensor:
        """Vectors of crops `(batch, frames, height, width)`."""
        batch, frames, height, width = pixels.shape
        reach, before = encoder.stem_frames // 2, self.cache.pixels
        if before is None:
            before = pixels.new_zeros(batch, reach, height, width)
        joined = torch.cat([before, pixels], 1)
        self.cache.pixels = joined[:, joined.shape[1] - reach :]
        windows = encoder.windows(joined[:, :, None], 0, reach)
        known = torch.full((batch, frames), frames - 1, device=pixels.device)

        def normalize(norm: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
            if not isinstance(norm, ClipNorm):
                return norm(pictures)
            self.norms += 1
            return norm.running(pictures, known, self.cache.moments.setdefault(self.norms, Moments()))

        return encoder.see(windows, normalize)

    def convolve(self, convolution: nn.Conv1d, frames: torch.Tensor) -> torch.Tensor:
        """A convolution in time of `(batch, channels, frames)`, after the frames before them."""
        reach, number = convolution.kernel_size[0] // 2, self.convolutions
        self.convolutions += 1
        before = self.cache.padding.get(number)
        if before is None:
            before = frames.new_zeros(*frames.shape[:2], reach)
        joined = torch.cat([before, frames], -1)
        self.cache.padding[number] = joined[..., joined.shape[-1] - reach :]
        padded = F.pad(joined, (0, reach))
        return F.conv1d(padded, convolution.weight, convolution.bias, groups=convolution.groups)

    def mix(self, block: ConvNeXtBlock, hidden: torch.Tensor) -> torch.Tensor:
        """A ConvNeXt block."""
        return block.mix(hidden, self.convolve(block.depthwise, hidden.transpose(1, 2)).transpose(1, 2))

    def attend(self, layer: TransformerLayer, hidden: torch.Tensor) -> torch.Tensor:
        """A transformer layer: the chunk's frames attend to each other and to those before them."""
        batch, frames, channels = hidden.shape
        qkv = layer.query_key_value(layer.attention_norm(hidden)).view(batch, frames, 3, layer.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        past = self.cache.past_key_values.get(self.layers)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        oldest = max(key.shape[2] - layer.window, 0)
        self.cache.past_key_values[self.layers] = (key[:, :, oldest:], value[:, :, oldest:])
        self.layers += 1
        positions = torch.arange(key.shape[2], device=hidden.device)
        seen = (positions[-frames:, None] - positions).abs() <= layer.window
        query = rotate_positions(F.pad(query, (0, 0, key.shape[2] - frames, 0)))[:, :, -frames:]
        mixed = F.scaled_dot_product_attention(query, rotate_positions(key), value, attn_mask=seen)
        return layer.feed(hidden + layer.attention_output(mixed.transpose(1, 2).reshape(batch, frames, channels)))

    def widen(self, decoder: MelDecoder, hidden: torch.Tensor, start: int, is_last: bool) -> list[torch.Tensor]:
        """Spectrogram frames up to where the next chunk begins; those before the first chunk are one piece."""
        wide, pieces = decoder.widen(hidden), []
        if not self.cache.frames and start:
            pieces.append(wide[:, :start])
        ahead = [] if is_last else [decoder.widen(hidden[:, -1:])[:, :start]]
        pieces.append(torch.cat([wide[:, start:], *ahead], 1))
        return pieces

    def spectrum(self, mel_decoder: MelDecoder, decoder: InverseSTFTDecoder, hidden: torch.Tensor) -> torch.Tensor:
        """Complex spectrum of a piece, `(batch, mel_frames, bins)`."""
        self.convolutions = 1000  # those of the spectrogram's layers, once for each piece
        for block in mel_decoder.blocks:
            hidden = self.mix(cast(ConvNeXtBlock, block), hidden)
        mel = mel_decoder.projection(mel_decoder.norm(hidden))
        hidden = self.convolve(decoder.embed, mel.transpose(1, 2)).transpose(1, 2)
        for block in decoder.blocks:
            hidden = self.mix(cast(ConvNeXtBlock, block), hidden)
        log_magnitude, phase = decoder.polar(hidden)
        return torch.polar(log_magnitude.exp(), phase)

    def overlap_add(self, decoder: InverseSTFTDecoder, spectrum: torch.Tensor, samples: int) -> torch.Tensor:
        """The next `samples` of the waveform; what windows add to later ones is kept."""
        window, hop, n_fft = decoder.window.float(), decoder.hop_length, decoder.n_fft
        pieces = torch.fft.irfft(spectrum, n=n_fft) * window
        both = torch.stack([pieces, window.square().expand_as(pieces)])  # (2, batch, mel_frames, n_fft)
        number = both.shape[2]
        length = (number - 1) * hop + n_fft
        added = F.fold(both.flatten(0, 1).transpose(1, 2), (1, length), (1, n_fft), stride=(1, hop))
        added, before = added.view(2, -1, length), self.cache.sound
        if before is None:  # the first window begins before the first sample
            sound = added[..., (n_fft - hop) // 2 :]
        else:  # the newest windows of before and these end hops apart
            first = before.shape[-1] + hop - n_fft
            sound = F.pad(before, (0, first + length - before.shape[-1])) + F.pad(added, (first, 0))
        self.cache.sound = sound[..., samples:]
        waveform, weight = sound[..., :samples]
        return waveform / weight.clamp(min=1e-3)


__all__ = ["StreamingCache", "StreamingError", "StreamingOutput", "speak_chunk"]
