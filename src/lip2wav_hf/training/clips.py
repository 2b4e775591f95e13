"""Clips for training: mouth crops and sound cached on disk once, then cut, warped and stretched at random."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..audio import read_audio
from ..corpora.clips import Clip, CorpusError
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .cache import read_cached_clip


logger = logging.getLogger(__name__)

UNKNOWN_CLASS = -100  # of frames without an alignment, as `torch.nn.functional.cross_entropy` ignores it
MINIMUM_FRAMES = 25
MISSING_FRAMES = 5  # that a clip may lack at the end of its last word


def prepare_clips(
    clips: list[Clip],
    feature_extractor: Lip2WavFeatureExtractor,
    cache_dir: str | os.PathLike,
    sampling_rate: int = 16000,
    num_workers: int = 2,
    progress: bool = True,
    reasons: dict[str, str] | None = None,
) -> dict[str, Path]:
    """
    Cache the mouth crops and the sound of clips, each clip once.

    Args:
        clips (`list[Clip]`): what to prepare.
        feature_extractor ([`Lip2WavFeatureExtractor`]): the very one that the pipeline will use; its settings name
        the cache's folder.
        cache_dir (`str` or `os.PathLike`): where `SETTINGS/SPEAKER/NAME.npz` files go.
        sampling_rate (`int`, *optional*, defaults to 16000): of the cached waveform, in Hz.
        num_workers (`int`, *optional*, defaults to 2): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.
        reasons (`dict[str, str]`, *optional*): is given why each clip that cannot be used cannot, by `clip.key`.

    Returns:
        `dict[str, Path]`: the cached file of each usable clip, by `clip.key`. Clips that cannot be used are logged
        and counted.
    """
    folder = Path(cache_dir, _settings_name(feature_extractor, sampling_rate))
    files = cached_files(clips, feature_extractor, cache_dir, sampling_rate)
    missing = [clip for clip in clips if not files[clip.key].is_file()]
    problems: dict[str, str] = {}
    if missing:
        job = partial(_prepare_clip, feature_extractor=feature_extractor, folder=folder, sampling_rate=sampling_rate)
        with worker_processes(num_workers) as map_:
            results = tqdm(map_(job, missing), "mouth crops", len(missing), disable=not progress)
            problems = {clip.key: problem for clip, problem in zip(missing, results) if problem}
    for key, problem in problems.items():
        logger.warning("not used: %s: %s", key, problem)
    if reasons is not None:
        reasons.update(problems)
    if problems:
        logger.warning("%d of %d clips cannot be used.", len(problems), len(clips))
    return {key: path for key, path in files.items() if path.is_file()}


def cached_files(
    clips: list[Clip],
    feature_extractor: Lip2WavFeatureExtractor,
    cache_dir: str | os.PathLike,
    sampling_rate: int = 16000,
) -> dict[str, Path]:
    """Where [`prepare_clips`], called with the same arguments, keeps each clip, by `clip.key`; there or not."""
    folder = Path(cache_dir, _settings_name(feature_extractor, sampling_rate))
    return {clip.key: folder / clip.speaker / f"{clip.name}.npz" for clip in clips}


def _settings_name(feature_extractor: Lip2WavFeatureExtractor, sampling_rate: int) -> str:
    """A name for the settings that shape the cached crops; what else an extractor carries does not count."""
    names = [name for name in inspect.signature(type(feature_extractor).__init__).parameters if name != "self"]
    settings = {name: getattr(feature_extractor, name) for name in names if hasattr(feature_extractor, name)}
    text = json.dumps(settings | {"sampling_rate": sampling_rate}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def worker_processes(number: int):
    """`map` over processes, or in this one if one is enough."""
    if number <= 1:
        yield map
        return
    # Spawned, not forked: the face networks and torch hold threads, which a forked process would wait for in vain.
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_one_thread)
    try:
        yield partial(pool.map, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C ends after the clips at hand; they are cached


def _one_thread():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _prepare_clip(clip: Clip, feature_extractor, folder: Path, sampling_rate: int) -> str | None:
    """Write one clip's file; returns what is wrong with a clip that cannot be used."""
    try:
        video = clip.source
        crops = feature_extractor.extract(video).regions
        waveform = read_audio(video, sampling_rate)
        if waveform is None:
            raise CorpusError("it has no sound.")
        per_frame = sampling_rate / feature_extractor.frame_rate
        frames = min(len(crops), round(len(waveform) / per_frame))
        if frames < MINIMUM_FRAMES:
            raise CorpusError(f"it has {frames} frames; {MINIMUM_FRAMES} are needed.")
        samples = round(frames * per_frame)
        waveform = np.pad(waveform[:samples], (0, max(samples - len(waveform), 0)))
        words = _frame_words(clip, frames, feature_extractor.frame_rate)
    except ValueError as error:
        return str(error)
    path = folder / clip.speaker / f"{clip.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, crops=crops[:frames], waveform=np.int16(np.clip(waveform, -1, 1) * 32767), frame_words=words)
    os.replace(temporary, path)
    return None


def _frame_words(clip: Clip, frames: int, frame_rate: float) -> np.ndarray:
    """Number of the word spoken in each frame: -1 for silence, -2 everywhere for a clip without an alignment."""
    entries = clip.timed_words()
    if entries is None:
        return np.full(frames, -2, np.int8)
    if entries[-1][1] * frame_rate > frames + MISSING_FRAMES:
        raise CorpusError(f"it breaks off: {frames} frames, but its last word ends at {entries[-1][1]:.2f} s.")
    words = np.full(frames, -1, np.int8)
    for number, (start, end, _) in enumerate(entries):
        words[round(start * frame_rate) : max(round(end * frame_rate), round(start * frame_rate) + 1)] = number
    return words


class SpeechClips(Dataset):
    """
    Cached clips as training or validation examples.

    Items are dictionaries: `pixel_values_videos` float32 `(frames, 1, height, width)`, `waveform` float32
    `(samples,)`, `frame_classes` int64 `(frames,)`, `labels` int64 `(words,)`, and `stretch`, the speed (1 for
    unchanged; the waveform of a stretched clip covers `stretch` times its frames, and its spectrogram is to be
    resampled in time).

    Args:
        clips (`list[Clip]`), files (`dict[str, Path]`): as from [`prepare_clips`]; clips without a file are left
            out.
        feature_extractor ([`Lip2WavFeatureExtractor`]): crops and normalises.
        vocabulary (`list[str]`): of the model's text head.
        samples_per_frame (`int`): waveform samples for a video frame.
        augmentation ([`AugmentationArguments`], *optional*): none for validation.
        seed (`int`, *optional*, defaults to 0): item `i` of epoch `e` is always varied the same way.
        sound_offsets (`dict[str, float]`, *optional*): by how many seconds the sound of a clip is late, by `clip.key`;
            it is moved to where it belongs, and its words with it.
    """

    def __init__(
        self,
        clips,
        files,
        feature_extractor,
        vocabulary,
        samples_per_frame,
        augmentation=None,
        seed=0,
        sound_offsets=None,
    ):
        self.clips = [clip for clip in clips if clip.key in files]
        self.files = [files[clip.key] for clip in self.clips]
        self.feature_extractor = feature_extractor
        self.classes = {word: index + 1 for index, word in enumerate(vocabulary)}
        self.samples_per_frame = samples_per_frame
        self.augmentation = augmentation
        self.sound_offsets = sound_offsets or {}
        self.seed, self.epoch = seed, 0
        self.by_speaker: dict[str, list[int]] = {}
        for index, clip in enumerate(self.clips):
            self.by_speaker.setdefault(clip.speaker, []).append(index)

    def set_epoch(self, epoch: int):
        """Choose the random variations of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if self.augmentation is not None and rng.random() < self.augmentation.speaker_probability:
            index = int(rng.choice(self.by_speaker[str(rng.choice(sorted(self.by_speaker)))]))
        words, crops, waveform, frame_words = self._load(index)
        stretch = 1.0
        if self.augmentation is None:
            crops = self.feature_extractor.center_crop(crops)
        else:
            if rng.random() < self.augmentation.splice_probability:
                other = int(rng.choice(self.by_speaker[self.clips[index].speaker]))
                clips = ((words, crops, waveform, frame_words), self._load(other))
                words, crops, waveform, frame_words = self._splice(*clips, int(rng.integers(1, len(words))))
            start, length, stretch = self._window(len(crops), rng)
            positions = start + np.arange(min(self.augmentation.window_frames or len(crops), len(crops))) * stretch
            positions = np.minimum(positions, len(crops) - 1)
            frame_words = frame_words[np.rint(positions).astype(int)]
            waveform = waveform[start * self.samples_per_frame : (start + length) * self.samples_per_frame]
            crops = self._warp(_interpolate(crops, positions), rng)
        pixels = self.feature_extractor.normalize(crops)
        if self.augmentation is not None:
            pixels = self._hide(pixels, rng)
        frame_classes, labels = self._targets(words, frame_words)
        return {
            "pixel_values_videos": torch.from_numpy(np.ascontiguousarray(pixels[:, None], dtype=np.float32)),
            "waveform": torch.from_numpy(waveform),
            "frame_classes": frame_classes,
            "labels": labels,
            "stretch": stretch,
        }

    def _load(self, index: int) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
        """Words, mouth regions, waveform and the number of the word in each frame of a clip."""
        clip = read_cached_clip(self.files[index])
        waveform, frame_words = clip.waveform.astype(np.float32) / 32767, clip.frame_words
        late = self.sound_offsets.get(self.clips[index].key, 0.0) * self.feature_extractor.frame_rate  # in frames
        if late:
            waveform = _advance(waveform, round(late * self.samples_per_frame))
            frame_words = _advance(frame_words, round(late))
        return self.clips[index].words, clip.crops, waveform, frame_words

    def _splice(self, first, second, count: int):
        """The first `count` words of one clip and the rest of another: a new sentence. Needs both alignments."""
        ends, starts = np.flatnonzero(first[3] == count - 1), np.flatnonzero(second[3] == count)
        if not len(ends) or not len(starts):
            return first
        end, start = ends[-1] + 1, starts[0]
        samples = self.samples_per_frame
        fade = np.linspace(0, 1, samples // 8, dtype=np.float32)
        before, after = first[2][: end * samples].copy(), second[2][start * samples :].copy()
        before[-len(fade) :] *= fade[::-1]
        after[: len(fade)] *= fade
        return (
            first[0][:count] + second[0][count:],
            np.concatenate([first[1][:end], second[1][start:]]),
            np.concatenate([before, after]),
            np.concatenate([first[3][:end], second[3][start:]]),
        )

    def _window(self, frames: int, rng) -> tuple[int, int, float]:
        """First frame, number of frames and speed of a random window."""
        wanted = self.augmentation.window_frames or frames
        stretch = 1.0
        if rng.random() < self.augmentation.stretch_probability:
            stretch = 1 + rng.uniform(-self.augmentation.stretch, self.augmentation.stretch)
        length = min(int(np.ceil(wanted * stretch)), frames)
        return int(rng.integers(frames - length + 1)), length, stretch

    def _warp(self, crops: np.ndarray, rng) -> np.ndarray:
        """A random similarity, mirror and gamma for the whole clip: `(frames, crop_height, crop_width)`, float32."""
        choices, extractor = self.augmentation, self.feature_extractor
        height, width = extractor.crop_height, extractor.crop_width
        centre = (crops.shape[2] / 2 - 0.5, crops.shape[1] / 2 - 0.5)
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
        warped = np.empty((len(crops), height, width), np.float32)
        for source, target in zip(crops, warped):
            picture = cv2.warpAffine(
                source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            target[:] = table[cv2.GaussianBlur(picture, (3, 3), 0) if blur else picture] + light
        return warped

    def _lighting(self, rng, height: int, width: int) -> np.ndarray:
        """A plane of brightness `(height, width)`, as from a lamp at one side."""
        slopes = 255 * rng.uniform(-self.augmentation.lighting, self.augmentation.lighting, 2)
        return (
            np.linspace(-0.5, 0.5, height)[:, None] * slopes[0] + np.linspace(-0.5, 0.5, width) * slopes[1]
        ).astype(np.float32)

    def _hide(self, pixels: np.ndarray, rng) -> np.ndarray:
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

    def _targets(self, words: tuple[str, ...], frame_words: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Class of each frame, and the classes of the words that have frames here."""
        classes = np.array([self.classes[word] for word in words])
        if (frame_words == -2).any():
            return torch.full((len(frame_words),), UNKNOWN_CLASS), torch.from_numpy(classes)
        frame_classes = np.where(frame_words >= 0, classes[np.maximum(frame_words, 0)], 0)
        return torch.from_numpy(frame_classes), torch.from_numpy(classes[np.unique(frame_words[frame_words >= 0])])


def _advance(values: np.ndarray, count: int) -> np.ndarray:
    """Values of the same length that come earlier by `count` places; the end that is left open is mirrored."""
    padded = np.pad(values, (max(-count, 0), max(count, 0)), mode="reflect")
    return padded[max(count, 0) :][: len(values)]


def _interpolate(crops: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Crops at fractional frame positions, uint8."""
    low = np.floor(positions).astype(int)
    fraction = (positions - low).astype(np.float32)[:, None, None]
    if not fraction.any():
        return crops[low]
    high = np.minimum(low + 1, len(crops) - 1)
    return np.rint(crops[low] * (1 - fraction) + crops[high] * fraction).astype(np.uint8)


def collate_clips(items: list[dict]) -> dict[str, torch.Tensor]:
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
