"""From recordings that were looked at to cached clips that a training takes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..corpora.alignment import (
    DOUBTFUL,
    Alignment,
    AlignmentError,
    FrameTimes,
    WordAligner,
    align_words,
    doubtful_transcripts,
)
from ..corpora.clips import Clip, CorpusError, TimedWord
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..grammar import TextUnits
from ..modeling_critic import Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel
from ..training.cache import CachedClip, read_cached_clip, write_cached_clip
from ..training.clips import PreparedClips, cached_files, frame_words, number_frames
from ..training.variation import UNKNOWN_TIMES
from .checking import LATE_SECONDS, Examined
from .level import SAMPLING_RATE
from .records import Problem
from .voice import Voice, convert


WORD_RANGE_DB, WORD_GAP, WORD_MARGIN = 30.0, 0.25, 0.04  # how a single word is found in its recording; our choices
WINDOW = 160  # samples: 10 ms
MOST_EXAMPLES = 10  # of a word
ALIKE = 3  # recordings whose offsets have to agree


@dataclass
class Recordings:
    """
    Recordings that can be used.

    Attributes:
        folder (`Path`): of the cache.
        extractor ([`Lip2WavFeatureExtractor`]): made the regions.
        sampling_rate (`int`): of the model, in Hz.
        clips (`list[Clip]`): the clips.
        files (`dict[str, Path]`): the cached file of each, by `clip.key`.
        silent (`set[str]`): those whose sound says nothing, by `clip.key`.
        offsets (`list[float]`): by how many seconds sounds are late, where it could be told.
        doubtful (`list[Clip]`): those whose words seem to be others than the transcript says.
    """

    folder: Path
    extractor: Lip2WavFeatureExtractor
    sampling_rate: int
    clips: list[Clip]
    files: dict[str, Path]
    silent: set[str]
    offsets: list[float]
    doubtful: list[Clip] = field(default_factory=list)

    @classmethod
    def empty(cls, folder: Path, extractor: Lip2WavFeatureExtractor, sampling_rate: int) -> Recordings:
        """Without any recording yet."""
        return cls(folder, extractor, sampling_rate, [], {}, set(), [])

    def add(self, clip: Clip, examined: Examined) -> Problem | None:
        """Cache a recording that was looked at; returns what is wrong with it, if it cannot be used after all."""
        assert examined.regions is not None
        check, regions = examined.check, examined.regions
        per_frame = self.sampling_rate / self.extractor.frame_rate
        waveform = examined.waveform if check.has_sound else None
        samples = round(len(regions) * per_frame)
        if waveform is None:
            waveform = np.zeros(samples, np.float32)
        elif clip.times is None and len(clip.words or ()) == 1:
            clip = replace(clip, times=(single_word(waveform, (clip.words or ("",))[0]),))
        waveform = np.pad(waveform[:samples], (0, max(samples - len(waveform), 0)))
        try:
            words = frame_words(clip, len(regions), self.extractor.frame_rate)
        except CorpusError as error:
            return Problem("times", str(error), "Correct the times of its words, or take them away.")
        file = cached_files([clip], self.extractor, self.folder, self.sampling_rate)[clip.key]
        write_cached_clip(file, CachedClip(regions, (np.clip(waveform, -1, 1) * 32767).astype(np.int16), words))
        self.clips.append(clip)
        self.files[clip.key] = file
        if not check.has_sound:
            self.silent.add(clip.key)
        if check.sync_offset is not None:
            self.offsets.append(check.sync_offset)
        return None

    def align(self, encoder: Lip2WavSpeechEncoder, enough: Callable[[], bool] = lambda: False) -> int:
        """Find when the words are said, in recordings that have sound and no times, where the speech encoder knows
        the words and is sure of them; returns in how many. Those in which it hears other words are `doubtful`.
        `enough` is asked before each recording whether the others are to be left as they are."""
        aligner = WordAligner(encoder)
        clips = [clip for clip in self.clips if clip.key not in self.silent]
        heard = {}
        for clip in itertools.takewhile(lambda _: not enough(), clips):
            heard[clip.key] = aligner.evidence(self.waveform(clip), clip.words or ())
        doubtful = doubtful_transcripts({key: value for key, value in heard.items() if value is not None})
        self.doubtful = [clip for clip in clips if clip.key in doubtful]
        timed = itertools.takewhile(lambda _: not enough(), clips)
        return self._find_times(timed, lambda clip: aligner.align(self.waveform(clip), clip.words or ()))

    @torch.inference_mode()
    def align_lips(self, model: Lip2WavModel, enough: Callable[[], bool] = lambda: False) -> int:
        """
        The same in recordings without sound, by what a model that knows the words reads from the lips. Of their words
        it need not be sure of all, as lips that look alike say different ones: those that it reads hold the others in
        their place, so half of them is enough.
        """
        rate = self.extractor.frame_rate

        def align(clip: Clip) -> Alignment:
            unknown = model.config.units.unknown(clip.words or ())
            if unknown:
                raise AlignmentError(f"unknown words: {', '.join(unknown)}.")
            pixels = self.pixels(read_cached_clip(self.files[clip.key]))
            _, logits, _ = model.encode(pixels[None, :, None])
            times = FrameTimes(1 / rate, 0.5 / rate, len(pixels) / rate)
            return align_words(logits[0].float().log_softmax(-1).numpy(), clip.words or (), model.config.units, times)

        if model.config.speaker_embedding_size:  # it reads nobody whose voice it was not given
            return 0
        model.eval()
        clips = [clip for clip in self.clips if clip.key in self.silent]
        clips = itertools.takewhile(lambda _: not enough(), clips)
        return self._find_times(clips, align, lambda alignment: float(np.mean(alignment.scores)) < DOUBTFUL)

    def _find_times(
        self,
        clips: Iterable[Clip],
        align: Callable[[Clip], Alignment],
        doubts: Callable[[Alignment], bool] = lambda alignment: alignment.doubtful,
    ) -> int:
        """In how many they were found."""
        found, places = 0, {clip.key: place for place, clip in enumerate(self.clips)}
        for clip in clips:
            if clip.times is not None:
                continue
            try:
                alignment = align(clip)
            except AlignmentError:  # a word is new, or it is too short for its words
                continue
            if doubts(alignment):
                continue
            timed = self.clips[places[clip.key]] = replace(clip, times=alignment.words)
            cached = read_cached_clip(self.files[clip.key])
            numbers = frame_words(timed, len(cached.regions), self.extractor.frame_rate)
            write_cached_clip(self.files[clip.key], replace(cached, frame_words=numbers))
            found += 1
        return found

    def pixels(self, cached: CachedClip) -> torch.Tensor:
        """What a network sees of a recording, `(frames, height, width)`."""
        crops = self.extractor.center_crop(cached.regions)
        return torch.from_numpy(np.asarray(self.extractor.normalize(crops), np.float32))

    def examples(
        self, clips: Iterable[Clip], units: TextUnits, words: Collection[str]
    ) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """
        Recordings in which some words are said, of each word the first ten. Where nobody knows when, the words share
        the time in which there is sound, by their letters.

        Yields:
            `tuple`: normalised mouth crops `(frames, height, width)`, and the class of the word in each frame
            `(frames,)`, 0 where none is said.
        """
        counts: Counter[str] = Counter()
        for clip in clips:
            said = clip.words or ()
            if not any(word in words and counts[word] < MOST_EXAMPLES for word in said):
                continue
            cached = read_cached_clip(self.files[clip.key])
            numbers = cached.frame_words
            if (numbers == UNKNOWN_TIMES).any():
                numbers = self._spread(clip, cached)
            counts.update(said)
            classes = np.array([units.classes[word] for word in said])
            yield self.pixels(cached), np.where(numbers >= 0, classes[np.maximum(numbers, 0)], 0)

    def _spread(self, clip: Clip, cached: CachedClip) -> np.ndarray:
        """The number of the word in each frame, if all have their share of the time in which there is sound."""
        words, frames, rate = clip.words or (), len(cached.regions), self.extractor.frame_rate
        start, end = 0.0, frames / rate
        if clip.key not in self.silent:
            start, end, _ = single_word(self.waveform(clip), "")
        letters = np.cumsum([0, *map(len, words)]) / max(sum(map(len, words)), 1)
        bounds = (start + (end - start) * letters).tolist()
        return number_frames(list(zip(bounds, bounds[1:], words, strict=False)), frames, rate)

    def change_voice(self, voice: Voice) -> None:
        """Let the sound of all recordings that have any be in another voice."""
        heard = [clip for clip in self.clips if clip.key not in self.silent]
        waveforms = [self.waveform(clip) for clip in heard]
        own = Voice.of(waveforms)
        for clip, waveform in zip(heard, waveforms, strict=True):
            self.set_waveform(clip, convert(waveform, own, voice))

    def waveform(self, clip: Clip) -> np.ndarray:
        """The cached sound of a recording, `(samples,)`, float32."""
        return read_cached_clip(self.files[clip.key]).waveform.astype(np.float32) / 32767

    def set_waveform(self, clip: Clip, waveform: np.ndarray) -> None:
        """Replace the cached sound of a recording by another of the same length."""
        cached = read_cached_clip(self.files[clip.key])
        samples = (np.clip(waveform, -1, 1) * 32767).astype(np.int16)
        write_cached_clip(self.files[clip.key], replace(cached, waveform=samples[: len(cached.waveform)]))

    @property
    def offset(self) -> float:
        """By how many seconds all sounds are to be moved: their median offset, where it is one of the equipment."""
        if len(self.offsets) < ALIKE:
            return 0.0
        median = float(np.median(self.offsets))
        return median if abs(median) >= LATE_SECONDS else 0.0

    def prepared(self, clips: Sequence[Clip]) -> PreparedClips:
        """Some of the recordings, for a training."""
        keys = {clip.key for clip in clips}
        offsets = dict.fromkeys(keys - self.silent, self.offset) if self.offset else {}
        return PreparedClips(
            [clip for clip in self.clips if clip.key in keys],
            {key: file for key, file in self.files.items() if key in keys},
            sound_offsets=offsets,
            silent=frozenset(self.silent & keys),
        )


def single_word(waveform: np.ndarray, word: str) -> TimedWord:
    """
    When the only word of a recording is said: the loudest stretch, with a little before and after it.

    Args:
        waveform (`np.ndarray` of shape `(samples,)`): at 16 kHz.
        word (`str`): the word.
    """
    windows = waveform[: len(waveform) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    level = 10 * np.log10(np.square(windows).mean(1) + 1e-12)
    seconds, total = WINDOW / SAMPLING_RATE, len(waveform) / SAMPLING_RATE
    noise = float(np.quantile(level, 0.1))
    floor = max(level.max() - WORD_RANGE_DB, (level.max() + noise) / 2)
    loud = np.flatnonzero(level >= floor)
    stretches = np.split(loud, np.flatnonzero(np.diff(loud) * seconds > WORD_GAP) + 1)
    best = max(stretches, key=lambda stretch: np.square(windows[stretch]).sum())
    start, end = best[0] * seconds - WORD_MARGIN, (best[-1] + 1) * seconds + WORD_MARGIN
    return max(start, 0.0), min(end, total), word


__all__ = ["Recordings", "single_word"]
