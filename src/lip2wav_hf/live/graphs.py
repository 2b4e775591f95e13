"""What of a saved generator becomes an ONNX graph, so that `lip2wav live` needs no PyTorch."""

from __future__ import annotations

from typing import Any, cast

import torch

from ..encoders import MOMENT_FRAMES, Moments
from ..generator import Generator
from ..lite.export import Part
from ..lite.graphs import FRAMES, PAST, PRESENT, STREAM_DECODER_FILE, STREAM_ENCODER_FILE
from .streaming import Step, StreamingCache


class RunningMoments(Moments):
    """As [`Moments`], with all frames of a chunk at once: a graph has no loop over as many as there are."""

    def add(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        new = torch.stack([pictures.mean((3, 4)), pictures.square().mean((3, 4))])  # (2, batch, frames, channels)
        counts = torch.arange(1, new.shape[2] + 1, device=new.device) + self.frames
        rates = 1 / counts.clamp(max=MOMENT_FRAMES).float()
        # A frame leaves `1 - rate` of what was before it, so `exp(kept[i] - kept[j])` of frame j is left at frame i.
        kept = torch.cat([rates.new_zeros(1), torch.log1p(-rates[1:])]).cumsum(0)
        shares = (kept[:, None] - kept).exp().tril() * rates
        before = (1 - rates[0]) * kept.exp()
        states = shares @ new + before[:, None] * cast(torch.Tensor, self.values)[:, :, None]
        self.values = states[:, :, -1]
        mean, square = states
        return mean, square


class StreamPart(Part):
    """A part that takes a chunk, and what it remembers, and gives both back."""

    def __init__(self, generator: Generator, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__(generator)
        self.inputs, cache = inputs, StreamingCache()
        self.state: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            self.step(Step(cache), self.examples(1))
        self.state = {name: torch.zeros_like(value) for name, value in _state(cache).items()}
        self.inputs = (*inputs, FRAMES, *(PAST + name for name in self.state))
        self.outputs = (*outputs, *(PRESENT + name for name in self.state))

    def step(self, step: Step, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """What is made of a chunk."""
        raise NotImplementedError

    def calculate(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        cache = _cache(given[FRAMES], {name: given[PAST + name] for name in self.state})
        made = self.step(Step(cache), given)
        return (*made, *_state(cache).values())

    def shapes(self, frames: int) -> dict[str, tuple[int, ...]]:
        past = {PAST + name: tuple(value.shape) for name, value in self.state.items()}
        mel_frames = (1, frames, self.generator.config.hidden_size)
        return super().shapes(frames) | {"mel_frames": mel_frames, FRAMES: ()} | past

    def examples(self, frames: int) -> dict[str, torch.Tensor]:
        values = super().examples(frames)
        if FRAMES in values:
            values[FRAMES] = torch.tensor(MOMENT_FRAMES - frames // 2)
        for name in values:
            if name.startswith(f"{PAST}moments."):  # no mean square is below the square of its mean
                values[name][1] = values[name].square().sum(0)
        return values


class _Encoder(StreamPart):
    """From the crops of a chunk to spectrogram frames before their layers, and text logits."""

    def __init__(self, generator: Generator) -> None:
        voice = ("speaker_embedding",) if generator.config.speaker_embedding_size else ()
        super().__init__(generator, ("pixel_values_videos", *voice), ("mel_frames", "text_logits"))

    def step(self, step: Step, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return step.read(self.generator, given["pixel_values_videos"], given.get("speaker_embedding"))


class _Decoder(StreamPart):
    """From a piece of spectrogram frames before their layers to log-magnitude and phase of the speech."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator, ("mel_frames",), ("log_magnitude", "phase"))

    def step(self, step: Step, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return step.say(self.generator, given["mel_frames"])


def _state(cache: StreamingCache) -> dict[str, torch.Tensor]:
    """What a part has left in a cache, by name."""
    state = {} if cache.pixels is None else {"pixels": cache.pixels}
    state |= {f"moments.{number}": cast(torch.Tensor, each.values) for number, each in cache.moments.items()}
    state |= {f"padding.{number}": each for number, each in cache.padding.items()}
    for number, (key, value) in cache.past_key_values.items():
        state |= {f"key.{number}": key, f"value.{number}": value}
    return {name: value for name, value in state.items() if value.numel()}


def _cache(frames: torch.Tensor, state: dict[str, torch.Tensor]) -> StreamingCache:
    """A cache with that state."""
    cache = StreamingCache(frames, state.get("pixels"))
    for name, value in state.items():
        kind, _, number = name.partition(".")
        if kind == "moments":
            cache.moments[int(number)] = RunningMoments(cast(Any, frames), value)
        elif kind == "padding":
            cache.padding[int(number)] = value
        elif kind == "key":
            cache.past_key_values[int(number)] = (value, state[f"value.{number}"])
    return cache


STREAM_PARTS: dict[str, type[Part]] = {STREAM_ENCODER_FILE: _Encoder, STREAM_DECODER_FILE: _Decoder}
"""File: what becomes a graph there; for [`export_graphs`], beside `CLIP_PARTS`."""

__all__ = ["STREAM_PARTS", "RunningMoments", "StreamPart"]
