"""Clips for training: mouth regions and sound, cached on disk once."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ..audio import read_audio
from ..corpora.clips import MOST_WORDS, Clip, CorpusError, LateTimesError, TimedWord, late_end, late_words
from ..corpora.progress import progress_bar
from ..errors import PartError, counted
from ..face_tracking import FaceTrackingError
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..machine import worker_processes
from .cache import SUFFIX, CachedClip, write_cached_clip
from .variation import UNKNOWN_TIMES


logger = logging.getLogger(__name__)

MINIMUM_FRAMES = 25


@dataclass(frozen=True)
class PreparedClips:
    """
    Clips whose mouth regions and sound are cached.

    Attributes:
        clips (`list[Clip]`): those that can be used, in the order in which they were given.
        files (`dict[str, Path]`): the cached file of each, by `clip.key`.
        problems (`dict[str, str]`, *optional*): why each of the others cannot be used, by `clip.key`.
        faceless (`frozenset[str]`, *optional*): those of the problems that are for want of a face, by `clip.key`.
        late (`frozenset[str]`, *optional*): those whose times go on after the end of the video, by `clip.key`.
        sound_offsets (`dict[str, float]`, *optional*): by how many seconds the sound of a clip is late, by `clip.key`;
            it is to be moved to where it belongs, and its words with it.
        silent (`frozenset[str]`, *optional*): those whose sound says nothing, by `clip.key`: only their lips are
            learnt from.
        word_times (`dict[str, list[TimedWord]]`, *optional*): when the words of a clip without word times are said,
            as far as was found, by `clip.key`.
        lips (`dict[str, Path]`): where the lips are in its pictures, a file for `read_lips`, by `clip.key`; empty
            where nobody asked.
    """

    clips: list[Clip]
    files: dict[str, Path]
    problems: dict[str, str] = field(default_factory=dict)
    faceless: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    sound_offsets: dict[str, float] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    word_times: dict[str, list[TimedWord]] = field(default_factory=dict)
    lips: dict[str, Path] = field(default_factory=dict)


def prepare_clips(
    clips: list[Clip],
    feature_extractor: Lip2WavFeatureExtractor,
    cache_dir: str | os.PathLike,
    sampling_rate: int | None = 16000,
    num_workers: int = 2,
    progress: bool = True,
) -> PreparedClips:
    """
    Cache the mouth regions and the sound of clips, each clip once; or the mouth regions alone.

    Args:
        clips (`list[Clip]`): what to prepare.
        feature_extractor ([`Lip2WavFeatureExtractor`]): the very one that the pipeline will use; its settings name
            the cache's folder.
        cache_dir (`str` or `os.PathLike`): where `SETTINGS/SPEAKER/NAME.safetensors` files go.
        sampling_rate (`int`, *optional*, defaults to 16000): of the cached waveform, in Hz. `None`: neither sound nor
            words are read, so that videos without any can be used.
        num_workers (`int`, *optional*, defaults to 2): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        [`PreparedClips`]. Clips that cannot be used are logged and counted.
    """
    files = cached_files(clips, feature_extractor, cache_dir, sampling_rate)
    missing = [clip for clip in clips if not files[clip.key].is_file()]
    problems: dict[str, ValueError] = {}
    if missing:
        job = partial(_prepare_clip, feature_extractor=feature_extractor, sampling_rate=sampling_rate)
        with worker_processes(num_workers) as map_:
            found = map_(job, missing, [files[clip.key] for clip in missing])
            results = progress_bar(found, "mouth regions", len(missing), show=progress)
            problems = {clip.key: problem for clip, problem in zip(missing, results, strict=True) if problem}
    for key, problem in problems.items():
        logger.warning("not used: %s: %s", key, problem)
    faceless, late = (
        frozenset(key for key, problem in problems.items() if isinstance(problem, kind))
        for kind in (FaceTrackingError, LateTimesError)
    )
    if problems:
        logger.warning("%d of %s cannot be used.", len(problems), counted(len(clips), "clip"))
    usable = [clip for clip in clips if files[clip.key].is_file()]
    reasons = {key: str(problem) for key, problem in problems.items()}
    return PreparedClips(usable, {clip.key: files[clip.key] for clip in usable}, reasons, faceless, late)


def cached_files(
    clips: list[Clip],
    feature_extractor: Lip2WavFeatureExtractor,
    cache_dir: str | os.PathLike,
    sampling_rate: int | None = 16000,
) -> dict[str, Path]:
    """Where [`prepare_clips`], called with the same arguments, keeps each clip, by `clip.key`; there or not."""
    folder = Path(cache_dir, _settings_name(feature_extractor, sampling_rate))
    return {clip.key: folder / clip.speaker / f"{cached_name(clip)}{SUFFIX}" for clip in clips}


def cached_name(clip: Clip) -> str:
    """What caches call a clip of a speaker: a recording that was replaced does not go by the name of the old one."""
    return f"{clip.name}-{clip.version}" if clip.version else clip.name


def _settings_name(feature_extractor: Lip2WavFeatureExtractor, sampling_rate: int | None) -> str:
    """A name for the settings that shape the cached regions; what else an extractor carries does not count."""
    names = [name for name in inspect.signature(type(feature_extractor).__init__).parameters if name != "self"]
    settings = {name: getattr(feature_extractor, name) for name in names if hasattr(feature_extractor, name)}
    text = json.dumps(settings | {"sampling_rate": sampling_rate}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _prepare_clip(
    clip: Clip, path: Path, feature_extractor: Lip2WavFeatureExtractor, sampling_rate: int | None
) -> ValueError | None:
    """Write one clip's file; returns what is wrong with a clip that cannot be used."""
    try:
        video = clip.source
        regions = feature_extractor.extract(video).regions
        frames, samples, waveform = len(regions), 0, np.zeros(0)
        if sampling_rate is not None:
            sound = read_audio(video, sampling_rate)
            if sound is None:
                raise CorpusError("it has no sound.")
            per_frame = sampling_rate / feature_extractor.frame_rate
            frames = min(frames, round(len(sound) / per_frame))
            samples, waveform = round(frames * per_frame), sound
        late = late_end(clip.start, clip.end, len(regions) / feature_extractor.frame_rate) if clip.is_part else None
        if frames < MINIMUM_FRAMES and late:
            raise LateTimesError(late)
        if frames < MINIMUM_FRAMES:
            raise CorpusError(f"it has {counted(frames, 'frame')}; {MINIMUM_FRAMES} are needed.")
        waveform = np.pad(waveform[:samples], (0, max(samples - len(waveform), 0)))
        rate = feature_extractor.frame_rate
        words = number_frames((), frames, rate) if sampling_rate is None else frame_words(clip, frames, rate)
    except PartError:
        return LateTimesError(late_end(clip.start, clip.end, 0.0) or "")
    except ValueError as error:
        return error
    write_cached_clip(path, CachedClip(regions[:frames], (np.clip(waveform, -1, 1) * 32767).astype(np.int16), words))
    return None


def frame_words(clip: Clip, frames: int, frame_rate: float) -> np.ndarray:
    """Number of the word spoken in each frame: -1 for silence, -2 everywhere for a clip without word times."""
    entries = clip.timed_words()
    late = late_words(entries or (), frames, frame_rate)
    if late is not None:
        raise LateTimesError(late)
    return number_frames(entries or (), frames, frame_rate)


def number_frames(words: Sequence[TimedWord], frames: int, frame_rate: float) -> np.ndarray:
    """
    Which word is spoken in each frame.

    Args:
        words (`Sequence[TimedWord]`): with their times.
        frames (`int`): how many there are.
        frame_rate (`float`): in frames/s.

    Returns:
        `np.ndarray` of shape `(frames,)`: int8, the number of the word, -1 for silence; -2 everywhere for no words, or
        more than a byte can number.
    """
    if not words or len(words) > MOST_WORDS:
        return np.full(frames, UNKNOWN_TIMES, np.int8)
    numbers = np.full(frames, -1, np.int8)
    for number, (start, end, _) in enumerate(words):
        numbers[round(start * frame_rate) : max(round(end * frame_rate), round(start * frame_rate) + 1)] = number
    return numbers


__all__ = [
    "MINIMUM_FRAMES",
    "MOST_WORDS",
    "PreparedClips",
    "cached_files",
    "cached_name",
    "frame_words",
    "number_frames",
    "prepare_clips",
]
