"""The generator chunk by chunk: what it must remember goes in and comes out, and does not grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

from ..configuration_lip2wav import Chunks
from ..encoders import ClipNorm, ConvNeXtBlock, Moments, TransformerLayer, VisualEncoder, rotate_positions
from ..errors import StreamingError, check_inputs
from ..generator import InverseSTFTDecoder, SpeechGenerator


@dataclass
class StreamingCache:
    """
    What a stream remembers between its chunks; of constant size. One stream has one, and a new stream an empty one.

    Attributes:
        frames (`int`, or a tensor of one in a graph): video frames so far.
        pixels (`torch.Tensor` of shape `(batch, stem_frames // 2, height, width)`, *optional*): the newest crops.
        moments (`dict[int, Moments]`): running statistics, by the number of the norm.
        padding (`dict[int, torch.Tensor]`): newest inputs `(batch, channels, frames)`, by the number of the
            convolution.
        past_key_values (`dict[int, tuple[torch.Tensor, torch.Tensor]]`): newest keys, not rotated, and values,
            `(batch, heads, attention_window, channels)`, by the number of the layer; zeros before the stream.
        sound (`torch.Tensor` of shape `(2, batch, samples)`, *optional*): what windows of the inverse transform have
            added to samples that are not complete, and their weights.
    """

    frames: int | torch.Tensor = 0
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
    config, step, frames = model.config, Step(cache), pixel_values_videos.shape[1]
    wide, text_logits = step.read(model, pixel_values_videos, speaker_embedding)
    pieces = _pieces(wide, start, model.mel_decoder.factor, not cache.frames, is_last)
    spectra = [torch.polar(magnitude.exp(), phase) for magnitude, phase in (step.say(model, each) for each in pieces)]
    decoder = cast(InverseSTFTDecoder, model.decoder)
    waveform = step.overlap_add(decoder, torch.cat(spectra, 1), frames * config.samples_per_frame)
    cache.frames += frames
    return waveform.clamp(-1, 1), text_logits


class TorchStream:
    """
    One stream of a network in torch, in arrays.

    Args:
        model ([`Lip2WavModel`] or [`Generator`]): in evaluation mode.
        look_ahead (`int`): as of [`speak_chunk`].
        speaker_embedding (`torch.Tensor` or `np.ndarray` of shape `(1, speaker_embedding_size)`, *optional*): whose
            voice.

    Raises:
        StreamingError: if the network is in training.
    """

    def __init__(self, model: Any, look_ahead: int, speaker_embedding: Any = None) -> None:
        if model.training:
            raise StreamingError("speaking live needs a network in evaluation mode (`model.eval()`).")
        self.model, self.look_ahead, self.cache = model, look_ahead, StreamingCache()
        self.speaker_embedding = None if speaker_embedding is None else torch.as_tensor(speaker_embedding)

    @torch.inference_mode()
    def speak(self, crops: np.ndarray, is_last: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """
        Speak the next chunk.

        Args:
            crops (`np.ndarray` of shape `(frames, image_height, image_width)`): as many as of [`speak_chunk`].
            is_last (`bool`, *optional*, defaults to `False`): whether the stream ends with it.

        Returns:
            `tuple`: waveform `(samples,)` in [-1, 1], and text logits `(1, frames, classes)`.
        """
        pixels = torch.from_numpy(crops)[None, :, None].to(self.model.device, self.model.dtype)
        output: Any = speak_chunk(self.model, pixels, self.cache, self.look_ahead, self.speaker_embedding, is_last)
        return output.waveform[0].float().cpu().numpy(), output.text_logits.float().cpu().numpy()


def _pieces(wide: torch.Tensor, start: int, factor: int, is_first: bool, is_last: bool) -> list[torch.Tensor]:
    """
    Spectrogram frames `(batch, mel_frames, hidden_size)` up to where the next chunk begins: those before the first
    chunk are one piece, and of the next chunk's, `start` are made of the last of the `factor` frames of a picture.
    """
    ahead = [] if is_last else [wide[:, -factor:][:, :start]]
    before = [wide[:, :start]] if is_first and start else []
    return [*before, torch.cat([wide[:, start:], *ahead], 1)]


class Step:
    """
    One chunk on its way through the layers, which are numbered in the order in which they come.

    Args:
        cache ([`StreamingCache`]): is brought up to date.
    """

    def __init__(self, cache: StreamingCache) -> None:
        self.cache = cache
        self.convolutions = self.norms = self.layers = 0

    def read(
        self, model: SpeechGenerator, pixel_values_videos: torch.Tensor, speaker_embedding: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of crops, spectrogram frames before their layers, `(batch, mel_frames, hidden_size)`, and text logits."""
        hidden = self._see(cast(VisualEncoder, model.visual_encoder), pixel_values_videos[:, :, 0])
        encoder = cast(Any, model.temporal_encoder)
        for convolution, layer in zip(encoder.convolutions, encoder.layers, strict=True):
            hidden = self._attend(layer, self._mix(convolution, hidden))
        hidden = encoder.norm(hidden)
        text_logits = model.text_head(hidden)
        if model.speaker_projection is not None and speaker_embedding is not None:
            hidden = hidden + model.speaker_projection(speaker_embedding.to(hidden.dtype))[:, None]
        return model.mel_decoder.widen(model.add_words(hidden, text_logits)), text_logits

    def say(self, model: SpeechGenerator, wide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-magnitude and phase `(batch, mel_frames, bins)` of a piece of spectrogram frames."""
        self.convolutions = 1000  # those of the spectrogram's layers, once for each piece
        mel_decoder, decoder = model.mel_decoder, cast(InverseSTFTDecoder, model.decoder)
        for block in mel_decoder.blocks:
            wide = self._mix(cast(ConvNeXtBlock, block), wide)
        mel = mel_decoder.projection(mel_decoder.norm(wide))
        hidden = self._convolve(decoder.embed, mel.transpose(1, 2)).transpose(1, 2)
        for block in decoder.blocks:
            hidden = self._mix(cast(ConvNeXtBlock, block), hidden)
        return decoder.polar(hidden)

    def _see(self, encoder: VisualEncoder, pixels: torch.Tensor) -> torch.Tensor:
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

    def _convolve(self, convolution: nn.Conv1d, frames: torch.Tensor) -> torch.Tensor:
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

    def _mix(self, block: ConvNeXtBlock, hidden: torch.Tensor) -> torch.Tensor:
        """A ConvNeXt block."""
        return block.mix(hidden, self._convolve(block.depthwise, hidden.transpose(1, 2)).transpose(1, 2))

    def _attend(self, layer: TransformerLayer, hidden: torch.Tensor) -> torch.Tensor:
        """A transformer layer: the chunk's frames attend to each other and to those before them."""
        batch, frames, channels = hidden.shape
        qkv = layer.query_key_value(layer.attention_norm(hidden)).view(batch, frames, 3, layer.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        past = self.cache.past_key_values.get(self.layers)
        if past is None:
            nothing = key.new_zeros(batch, layer.num_heads, layer.window, key.shape[-1])
            past = nothing, nothing
        key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        self.cache.past_key_values[self.layers] = (key[:, :, frames:], value[:, :, frames:])
        self.layers += 1
        positions = torch.arange(layer.window + frames, device=hidden.device)
        seen = (positions[-frames:, None] - positions).abs() <= layer.window
        seen = seen & (positions >= layer.window - self.cache.frames)  # before the stream, there is nothing
        query = rotate_positions(F.pad(query, (0, 0, key.shape[2] - frames, 0)))[:, :, -frames:]
        mixed = F.scaled_dot_product_attention(query, rotate_positions(key), value, attn_mask=seen)
        return layer.feed(hidden + layer.attention_output(mixed.transpose(1, 2).reshape(batch, frames, channels)))

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


__all__ = ["Step", "StreamingCache", "StreamingError", "StreamingOutput", "TorchStream", "speak_chunk"]
