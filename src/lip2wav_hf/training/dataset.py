"""Cached clips as examples to learn from, and batches of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..grammar import TextUnits
from .arguments import AugmentationArguments, TrainingError
from .cache import read_cached_clip
from .clips import MOST_WORDS, PreparedClips, number_frames
from .lips import change_complexion, read_lips
from .spelling import spell_clip
from .variation import UNKNOWN_TIMES, ClipContent, ClipVariation


UNKNOWN_CLASS = -100  # of frames without an alignment, as `torch.nn.functional.cross_entropy` ignores it


class SpeechClips(Dataset):
    """
    Cached clips as training or validation examples.

    Items are dictionaries: `pixel_values_videos` float32 `(frames, 1, height, width)`, `waveform` float32
    `(samples,)`, `frame_classes` int64 `(frames,)`, `labels` int64 `(units,)`, `speaker`, a number, `has_sound`,
    whether the waveform is to be learnt from, and `stretch`, the speed (1 for unchanged; the waveform of a stretched
    clip covers `stretch` times its frames, and its spectrogram is to be resampled in time).

    Args:
        prepared ([`PreparedClips`]): the clips, as from [`prepare_clips`].
        feature_extractor ([`Lip2WavFeatureExtractor`]): crops and normalises.
        units ([`TextUnits`]): of the model's text head.
        samples_per_frame (`int`): waveform samples for a video frame.
        augmentation ([`AugmentationArguments`], *optional*): none for validation.
        seed (`int`, *optional*, defaults to 0): item `i` of epoch `e` is always varied the same way.
        looks ([`PreparedClips`], *optional*): of other people, whose looks clips may be given.

    Raises:
        TrainingError: if a clip is without words.
    """

    def __init__(
        self,
        prepared: PreparedClips,
        feature_extractor: Lip2WavFeatureExtractor,
        units: TextUnits,
        samples_per_frame: int,
        augmentation: AugmentationArguments | None = None,
        seed: int = 0,
        *,
        looks: PreparedClips | None = None,
    ):
        unknown = next((clip.key for clip in prepared.clips if not clip.words), None)
        if unknown is not None:
            raise TrainingError(f"{unknown}: there is no sentence for this clip, so it cannot be trained on.")
        self.clips = prepared.clips
        self.files = [prepared.files[clip.key] for clip in self.clips]
        self.sound_offsets, self.word_times, self.lips = prepared.sound_offsets, prepared.word_times, prepared.lips
        self.feature_extractor = feature_extractor
        self.units = units
        self.samples_per_frame = samples_per_frame
        self.variation = None
        if augmentation is not None:
            self.variation = ClipVariation(augmentation, feature_extractor, samples_per_frame)
        self.seed, self.epoch = seed, 0
        self.has_sound = [clip.key not in prepared.silent for clip in self.clips]
        self.by_speaker: dict[str, list[int]] = {}
        for index, clip in enumerate(self.clips):
            self.by_speaker.setdefault(clip.speaker, []).append(index)
        self.speakers = {speaker: number for number, speaker in enumerate(self.by_speaker)}
        self.looks: dict[str, list[Path]] = {}
        for lender in (prepared, looks) if looks is not None else (prepared,):
            for clip in lender.clips:
                self.looks.setdefault(clip.speaker, []).append(lender.files[clip.key])

    def set_epoch(self, epoch: int) -> None:
        """Choose the random variations of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        variation = self.variation
        if variation is None:
            clip = spell_clip(self._load(index), self.units)
            pixels = self.feature_extractor.normalize(self.feature_extractor.center_crop(clip.regions))
            return self._item(index, clip, pixels)
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if rng.random() < variation.choices.speaker_probability:
            index = int(rng.choice(self.by_speaker[str(rng.choice(sorted(self.by_speaker)))]))
        complexion = None
        if variation.choices.complexion_probability and rng.random() < variation.choices.complexion_probability:
            complexion = int(rng.integers(2**32))
        clip = self._load(index, complexion)
        if rng.random() < variation.choices.splice_probability:
            other = int(rng.choice(self.by_speaker[self.clips[index].speaker]))
            if len(clip.words) > 1:
                clip = variation.splice(clip, self._load(other, complexion), int(rng.integers(1, len(clip.words))))
        if variation.choices.join_probability and rng.random() < variation.choices.join_probability:
            clip = self._joined(clip, index, complexion, rng, variation)
        if variation.choices.appearance_probability and rng.random() < variation.choices.appearance_probability:
            files = self.looks[str(rng.choice(sorted(self.looks)))]
            other = read_cached_clip(files[rng.integers(len(files))]).regions
            clip = clip._replace(regions=variation.disguise(clip.regions, other, rng))
        clip, stretch = variation.cut(spell_clip(clip, self.units), rng)
        pixels = self.feature_extractor.normalize(variation.warp(clip.regions, rng))
        return self._item(index, clip, variation.hide(pixels, rng), stretch)

    def _joined(
        self,
        clip: ClipContent,
        index: int,
        complexion: int | None,
        rng: np.random.Generator,
        variation: ClipVariation,
    ) -> ClipContent:
        """A clip with others by the same speaker after it, all with sound or all without, until the window is full."""
        alike = self.by_speaker[self.clips[index].speaker]
        alike = [other for other in alike if self.has_sound[other] == self.has_sound[index]]
        while len(clip.regions) < variation.choices.window_frames:
            other = self._load(int(rng.choice(alike)), complexion)
            if len(clip.words) + len(other.words) > MOST_WORDS:
                break
            clip = variation.join(clip, other)
        return clip

    def _item(self, index: int, clip: ClipContent, pixels: np.ndarray, stretch: float = 1.0) -> dict[str, Any]:
        frame_classes, labels = self._targets(clip)
        return {
            "pixel_values_videos": torch.from_numpy(np.ascontiguousarray(pixels[:, None], dtype=np.float32)),
            "waveform": torch.from_numpy(clip.waveform),
            "frame_classes": frame_classes,
            "labels": labels,
            "speaker": self.speakers[self.clips[index].speaker],
            "has_sound": self.has_sound[index],
            "stretch": stretch,
        }

    def _load(self, index: int, complexion: int | None = None) -> ClipContent:
        """A clip; with the complexion of that number, the same for all clips."""
        cached = read_cached_clip(self.files[index])
        regions = cached.regions
        if complexion is not None:
            lips = read_lips(self.lips[self.clips[index].key])
            regions = change_complexion(regions, lips, np.random.default_rng(complexion))
        waveform, frame_words = cached.waveform.astype(np.float32) / 32767, cached.frame_words
        key, frame_rate = self.clips[index].key, self.feature_extractor.frame_rate
        if key in self.word_times and (frame_words == UNKNOWN_TIMES).all():
            frame_words = number_frames(self.word_times[key], len(frame_words), frame_rate)
        late = self.sound_offsets.get(key, 0.0) * frame_rate  # in frames
        if late:
            waveform = _advance(waveform, round(late * self.samples_per_frame))
            frame_words = _advance(frame_words, round(late))
        return ClipContent(self.clips[index].words or (), regions, waveform, frame_words)

    def _targets(self, clip: ClipContent) -> tuple[torch.Tensor, torch.Tensor]:
        """Class of each frame, and the classes of the units that have frames here."""
        classes, frame_words = np.array([self.units.classes[unit] for unit in clip.words]), clip.frame_words
        if (frame_words == UNKNOWN_TIMES).any():
            return torch.full((len(frame_words),), UNKNOWN_CLASS), torch.from_numpy(classes)
        frame_classes = np.where(frame_words >= 0, classes[np.maximum(frame_words, 0)], 0)
        return torch.from_numpy(frame_classes), torch.from_numpy(classes[np.unique(frame_words[frame_words >= 0])])


def _advance(values: np.ndarray, count: int) -> np.ndarray:
    """Values of the same length that come earlier by `count` places; the end that is left open is mirrored."""
    padded = np.pad(values, (max(-count, 0), max(count, 0)), mode="reflect")
    return padded[max(count, 0) :][: len(values)]


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
        "speakers": torch.tensor([item["speaker"] for item in items]),
        "has_sound": torch.tensor([item["has_sound"] for item in items]),
        "stretch": torch.tensor([item["stretch"] for item in items], dtype=torch.float32),
    }


__all__ = ["UNKNOWN_CLASS", "SpeechClips", "collate_clips"]
