"""Cached clips as examples to learn from: cut, warped, stretched and joined at random, then put into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .arguments import AugmentationArguments
from .cache import read_cached_clip
from .clips import PreparedClips


UNKNOWN_CLASS = -100  # of frames without an alignment, as `torch.nn.functional.cross_entropy` ignores it

Picture = Callable[[np.ndarray], np.ndarray]
"""What is done to the pictures of a clip."""


class _Clip(NamedTuple):
    """Words, mouth regions `(frames, roi_height, roi_width)`, waveform `(samples,)`, number of the word per frame."""

    words: tuple[str, ...]
    regions: np.ndarray
    waveform: np.ndarray
    frame_words: np.ndarray


class SpeechClips(Dataset):
    """
    Cached clips as training or validation examples.

    Items are dictionaries: `pixel_values_videos` float32 `(frames, 1, height, width)`, `waveform` float32
    `(samples,)`, `frame_classes` int64 `(frames,)`, `labels` int64 `(words,)`, and `stretch`, the speed (1 for
    unchanged; the waveform of a stretched clip covers `stretch` times its frames, and its spectrogram is to be
    resampled in time).

    Args:
        prepared ([`PreparedClips`]): the clips, as from [`prepare_clips`].
        feature_extractor ([`Lip2WavFeatureExtractor`]): crops and normalises.
        vocabulary (`Sequence[str]`): of the model's text head.
        samples_per_frame (`int`): waveform samples for a video frame.
        augmentation ([`AugmentationArguments`], *optional*): none for validation.
        seed (`int`, *optional*, defaults to 0): item `i` of epoch `e` is always varied the same way.
    """

    def __init__(
        self,
        prepared: PreparedClips,
        feature_extractor: Lip2WavFeatureExtractor,
        vocabulary: Sequence[str],
        samples_per_frame: int,
        augmentation: AugmentationArguments | None = None,
        seed: int = 0,
    ):
        self.clips = prepared.clips
        self.files = [prepared.files[clip.key] for clip in self.clips]
        self.sound_offsets = prepared.sound_offsets
        self.feature_extractor = feature_extractor
        self.classes = {word: index + 1 for index, word in enumerate(vocabulary)}
        self.samples_per_frame = samples_per_frame
        self.augmentation = augmentation
        self.seed, self.epoch = seed, 0
        self.by_speaker: dict[str, list[int]] = {}
        for index, clip in enumerate(self.clips):
            self.by_speaker.setdefault(clip.speaker, []).append(index)

    def set_epoch(self, epoch: int) -> None:
        """Choose the random variations of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        choices = self.augmentation
        if choices is None:
            return self._item(self._load(index), self.feature_extractor.center_crop)
        if rng.random() < choices.speaker_probability:
            index = int(rng.choice(self.by_speaker[str(rng.choice(sorted(self.by_speaker)))]))
        clip = self._load(index)
        if rng.random() < choices.splice_probability:
            other = int(rng.choice(self.by_speaker[self.clips[index].speaker]))
            clip = self._splice(clip, self._load(other), int(rng.integers(1, len(clip.words))))
        clip, stretch = self._cut(clip, rng)
        return self._item(clip, partial(self._warp, rng=rng), partial(self._hide, rng=rng)) | {"stretch": stretch}

    def _item(self, clip: _Clip, crop: Picture, hide: Picture | None = None) -> dict[str, Any]:
        """A clip as it is learnt from; `crop` makes crops of regions, `hide` alters them once they are normalised."""
        pixels = self.feature_extractor.normalize(crop(clip.regions))
        if hide is not None:
            pixels = hide(pixels)
        frame_classes, labels = self._targets(clip)
        return {
            "pixel_values_videos": torch.from_numpy(np.ascontiguousarray(pixels[:, None], dtype=np.float32)),
            "waveform": torch.from_numpy(clip.waveform),
            "frame_classes": frame_classes,
            "labels": labels,
            "stretch": 1.0,
        }

    def _load(self, index: int) -> _Clip:
        cached = read_cached_clip(self.files[index])
        waveform, frame_words = cached.waveform.astype(np.float32) / 32767, cached.frame_words
        late = self.sound_offsets.get(self.clips[index].key, 0.0) * self.feature_extractor.frame_rate  # in frames
        if late:
            waveform = _advance(waveform, round(late * self.samples_per_frame))
            frame_words = _advance(frame_words, round(late))
        return _Clip(self.clips[index].words, cached.regions, waveform, frame_words)

    def _splice(self, first: _Clip, second: _Clip, count: int) -> _Clip:
        """The first `count` words of one clip and the rest of another: a new sentence. Needs both alignments."""
        ends, starts = np.flatnonzero(first.frame_words == count - 1), np.flatnonzero(second.frame_words == count)
        if not len(ends) or not len(starts):
            return first
        end, start = ends[-1] + 1, starts[0]
        samples = self.samples_per_frame
        fade = np.linspace(0, 1, samples // 8, dtype=np.float32)
        before, after = first.waveform[: end * samples].copy(), second.waveform[start * samples :].copy()
        before[-len(fade) :] *= fade[::-1]
        after[: len(fade)] *= fade
        return _Clip(
            first.words[:count] + second.words[count:],
            np.concatenate([first.regions[:end], second.regions[start:]]),
            np.concatenate([before, after]),
            np.concatenate([first.frame_words[:end], second.frame_words[start:]]),
        )

    def _cut(self, clip: _Clip, rng: np.random.Generator) -> tuple[_Clip, float]:
        """A random window of a clip, played at a random speed, and that speed."""
        frames, samples = len(clip.regions), self.samples_per_frame
        start, length, stretch = self._window(frames, rng)
        positions = start + np.arange(min(self.augmentation.window_frames or frames, frames)) * stretch
        positions = np.minimum(positions, frames - 1)
        window = _Clip(
            clip.words,
            _interpolate(clip.regions, positions),
            clip.waveform[start * samples : (start + length) * samples],
            clip.frame_words[np.rint(positions).astype(int)],
        )
        return window, stretch

    def _window(self, frames: int, rng: np.random.Generator) -> tuple[int, int, float]:
        """First frame, number of frames and speed of a random window."""
        wanted = self.augmentation.window_frames or frames
        stretch = 1.0
        if rng.random() < self.augmentation.stretch_probability:
            stretch = 1 + rng.uniform(-self.augmentation.stretch, self.augmentation.stretch)
        length = min(int(np.ceil(wanted * stretch)), frames)
        return int(rng.integers(frames - length + 1)), length, stretch

    def _warp(self, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random similarity, mirror and gamma for the whole clip: `(frames, crop_height, crop_width)`, float32."""
        choices, extractor = self.augmentation, self.feature_extractor
        height, width = extractor.crop_height, extractor.crop_width
        centre = (regions.shape[2] / 2 - 0.5, regions.shape[1] / 2 - 0.5)
        scale = np.exp(rng.uniform(-choices.scale, choices.scale))
        matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-choices.rotation, choices.rotation), scale)
        if choices.aspect or choices.shear:
            wide = np.exp(rng.uniform(-choices.aspect, choices.aspect) / 2)
            shape = np.array([[wide, rng.uniform(-choices.shear, choices.shear)], [0, 1 / wide]])
            matrix[:, :2] = matrix[:, :2] @ shape
            matrix[:, 2] = centre - matrix[:, :2] @ centre
        matrix[:, 2] += np.array([width / 2 - 0.5, height / 2 - 0.5]) - centre
        matrix[:, 2] += rng.uniform(-choices.shift, choices.shift, 2)
        if rng.random() < choices.flip_probability:
            matrix[0] = -matrix[0] + [0, 0, width - 1]
        blur = rng.random() < choices.blur_probability
        table = 255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-choices.gamma, choices.gamma))
        light = self._lighting(rng, height, width) if choices.lighting else 0
        warped = np.empty((len(regions), height, width), np.float32)
        for source, target in zip(regions, warped, strict=True):
            picture = cv2.warpAffine(
                source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            target[:] = table[cv2.GaussianBlur(picture, (3, 3), 0) if blur else picture] + light
        return warped

    def _lighting(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A plane of brightness `(height, width)`, as from a lamp at one side."""
        slopes = 255 * rng.uniform(-self.augmentation.lighting, self.augmentation.lighting, 2)
        return (
            np.linspace(-0.5, 0.5, height)[:, None] * slopes[0] + np.linspace(-0.5, 0.5, width) * slopes[1]
        ).astype(np.float32)

    def _hide(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noise, a hidden rectangle and a hidden run of frames; hidden pixels are 0, the mean."""
        choices = self.augmentation
        frames, height, width = pixels.shape
        pixels = pixels + rng.normal(0, rng.uniform(0, choices.noise), pixels.shape).astype(np.float32)
        if rng.random() < choices.cutout_probability:
            tall, wide = rng.integers(height // 8, height // 3), rng.integers(width // 8, width // 3)
            top, left = rng.integers(height - tall), rng.integers(width - wide)
            pixels[:, top : top + tall, left : left + wide] = 0
        if rng.random() < choices.time_mask_probability:
            run = int(rng.integers(1, choices.time_mask_frames + 1))
            start = int(rng.integers(max(frames - run, 1)))
            pixels[start : start + run] = 0
        return pixels

    def _targets(self, clip: _Clip) -> tuple[torch.Tensor, torch.Tensor]:
        """Class of each frame, and the classes of the words that have frames here."""
        classes, frame_words = np.array([self.classes[word] for word in clip.words]), clip.frame_words
        if (frame_words == -2).any():
            return torch.full((len(frame_words),), UNKNOWN_CLASS), torch.from_numpy(classes)
        frame_classes = np.where(frame_words >= 0, classes[np.maximum(frame_words, 0)], 0)
        return torch.from_numpy(frame_classes), torch.from_numpy(classes[np.unique(frame_words[frame_words >= 0])])


def _advance(values: np.ndarray, count: int) -> np.ndarray:
    """Values of the same length that come earlier by `count` places; the end that is left open is mirrored."""
    padded = np.pad(values, (max(-count, 0), max(count, 0)), mode="reflect")
    return padded[max(count, 0) :][: len(values)]


def _interpolate(regions: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Regions at fractional frame positions, uint8."""
    low = np.floor(positions).astype(int)
    fraction = (positions - low).astype(np.float32)[:, None, None]
    if not fraction.any():
        return regions[low]
    high = np.minimum(low + 1, len(regions) - 1)
    return np.rint(regions[low] * (1 - fraction) + regions[high] * fraction).astype(np.uint8)


def collate_clips(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Batch of [`SpeechClips`] items, zero padded at the end, with `frame_mask` and the lengths."""
    frames = [len(item["pixel_values_videos"]) for item in items]
    pad = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    return {
        "pixel_values_videos": pad([item["pixel_values_videos"] for item in items]),
        "frame_mask": (torch.arange(max(frames)) < torch.tensor(frames)[:, None]).long(),
        "waveform": pad([item["waveform"] for item in items]),
        "waveform_lengths": torch.tensor([len(item["waveform"]) for item in items]),
        "frame_classes": pad([item["frame_classes"] for item in items], padding_value=UNKNOWN_CLASS),
        "labels": pad([item["labels"] for item in items]),
        "label_lengths": torch.tensor([len(item["labels"]) for item in items]),
        "stretch": torch.tensor([item["stretch"] for item in items], dtype=torch.float32),
    }


__all__ = ["UNKNOWN_CLASS", "SpeechClips", "collate_clips"]
