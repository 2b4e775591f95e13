"""The generator chunk by chunk against the same look-ahead on whole clips."""

import pytest
import torch

from lip2wav_hf import Lip2WavConfig, Lip2WavModel
from lip2wav_hf.live.streaming import StreamingCache, StreamingError, speak_chunk


TINY = {
    "image_height": 16,
    "image_width": 16,
    "hidden_size": 32,
    "stem_channels": 8,
    "visual_channels": [8, 16],
    "vocabulary": ["one", "two", "three"],
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "attention_window": 5,
    "num_mel_layers": 2,
    "num_mel_bins": 20,
    "num_decoder_layers": 2,
    "word_conditioning": True,
}


def build(**changes):
    torch.manual_seed(0)
    return Lip2WavModel(Lip2WavConfig(**TINY | changes)).eval()


def spoken(model, pixels, look_ahead, **more):
    """The waveform and text logits of a clip, chunk by chunk, and the last cache."""
    cache, waveforms, logits = None, [], []
    pieces = pixels.split(look_ahead + 1, 1)
    for number, piece in enumerate(pieces):
        output = speak_chunk(model, piece, cache, look_ahead, is_last=number == len(pieces) - 1, **more)
        cache = output.cache
        waveforms.append(output.waveform)
        logits.append(output.text_logits)
    return torch.cat(waveforms, 1), torch.cat(logits, 1), cache


@pytest.mark.parametrize("normalization", ["batch", "clip"])
@pytest.mark.parametrize(("look_ahead", "frames"), [(0, 7), (1, 12), (2, 19), (3, 22), (8, 31), (30, 9)])
@torch.no_grad()
def test_chunks_are_as_the_whole_clip(look_ahead, frames, normalization):
    model = build(visual_normalization=normalization)
    pixels = torch.randn(2, frames, 1, 16, 16)
    whole = model(pixels, look_ahead=look_ahead)
    waveform, logits, cache = spoken(model, pixels, look_ahead)
    assert waveform.shape == whole.waveform.shape and cache.frames == frames
    assert torch.allclose(logits, whole.text_logits, atol=1e-4)
    assert (waveform - whole.waveform).abs().max() < 1e-4 and whole.waveform.abs().max() > 1e-3


@pytest.mark.parametrize("pieces", [(4, 12, 4, 2), (20, 2), (8, 8, 6), (22,)])
def test_several_chunks_may_come_together(pieces):
    model, pixels = build(), torch.randn(1, 22, 1, 16, 16)
    single, _, _ = spoken(model, pixels, 3)
    cache, waveforms = None, []
    for number, piece in enumerate(pixels.split(pieces, 1)):
        output = speak_chunk(model, piece, cache, 3, is_last=number == len(pieces) - 1)
        cache = output.cache
        waveforms.append(output.waveform)
    assert torch.equal(torch.cat(waveforms, 1), single)


@torch.no_grad()
def test_a_speaker_is_heard():
    model = build(speaker_embedding_size=6)
    pixels, speaker = torch.randn(1, 10, 1, 16, 16), torch.randn(1, 6)
    whole = model(pixels, speaker_embedding=speaker, look_ahead=3).waveform
    assert (spoken(model, pixels, 3, speaker_embedding=speaker)[0] - whole).abs().max() < 1e-4


def numbers(cache):
    """How many numbers a cache holds."""
    values = [cache.pixels, cache.sound, *cache.padding.values(), *(each.values for each in cache.moments.values())]
    values += [tensor for pair in cache.past_key_values.values() for tensor in pair]
    return sum(value.numel() for value in values)


def test_the_cache_does_not_grow():
    model, cache, sizes = build(visual_normalization="clip"), StreamingCache(), []
    for _ in range(8):
        cache = speak_chunk(model, torch.randn(1, 4, 1, 16, 16), cache, 3).cache
        sizes.append(numbers(cache))
    assert len(set(sizes[2:])) == 1


def test_what_cannot_be_streamed_is_refused():
    model, pixels = build(), torch.randn(1, 3, 1, 16, 16)
    with pytest.raises(StreamingError, match="a chunk has 4 frames.*got 3"):
        speak_chunk(model, pixels, look_ahead=3)
    with pytest.raises(StreamingError, match="a chunk has 2 frames.*got 3"):
        speak_chunk(model, pixels, look_ahead=1)
    with pytest.raises(StreamingError, match="needs a `look_ahead`"):
        speak_chunk(model, pixels)
    with pytest.raises(StreamingError, match="evaluation mode"):
        speak_chunk(model.train(), pixels, look_ahead=2)
    with pytest.raises(ValueError, match="pixel_values_videos"):
        speak_chunk(model.eval(), pixels[:, :, :, :8], look_ahead=2)
