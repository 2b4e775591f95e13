"""Every metric of one clip: from a generated and an original sound file to one row of `clips.csv`.

Which metrics there are and which columns each of them fills stands in `metrics/registry.py`. Their packages are loaded
where a metric is first asked for, so that one can do without those of the others.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..corpora.clips import is_sound
from ..corpora.progress import progress_bar
from ..metrics.judge import GRID_JUDGE, Judge
from ..metrics.pairs import SAMPLING_RATE, Hears, SoundPair, align
from ..metrics.registry import ALIGNED, METRICS
from ..metrics.words import is_grid_sentence
from .options import EvaluationError


if TYPE_CHECKING:
    from ..video import VideoPart

MAX_SHIFT_SECONDS = 0.04  # one video frame: GRID's own sound is early or late by as much
ENVELOPE_HOP = 40  # samples: shifts are found to 2.5 ms
ENVELOPE_WINDOW = 320  # samples: 20 ms

FIRST_COLUMNS = ("speaker", "name", "sentence", "text", "word_confidences")
LAST_COLUMNS = (
    "words",
    "text_errors",
    "text_confidence",
    "face_coverage",
    "shift_seconds",
    "generated_seconds",
    "original_seconds",
    "cut_seconds",
    "process_seconds",
)
# Of noise that is scored to load what a metric loads at its first clip. DNSMOS repeats a sound until it has the nine
# seconds that it looks at, and looks again after each second more: this is looked at once, and 2 s seven times.
LOADING_SECONDS = 2.4
LOADING_SENTENCE = "bin blue at f two now"

_loaded: set[tuple[str, Judge]] = set()


def clip_columns(metrics: Iterable[str], compat: bool = False) -> list[str]:
    """
    Columns of `clips.csv`, in order.

    Args:
        metrics (iterable of `str`): keys of `METRICS`.
        compat (`bool`, *optional*, defaults to `False`): with the lineage's forms.
    """
    chosen = [METRICS[name] for name in metrics]
    columns = list(FIRST_COLUMNS)
    for metric in chosen:
        columns += metric.text_columns + metric.columns(compat)
    columns += [ALIGNED + column for metric in chosen for column in metric.aligned_columns]
    return list(dict.fromkeys(columns)) + list(LAST_COLUMNS)


def load_metrics(
    metrics: Iterable[str], with_video: bool = False, judge: Judge | None = None, progress: bool = False
) -> None:
    """
    Load the packages and networks of metrics in this process, so that the first clip takes no longer than the others.
    What is loaded stays: a second call does nothing.

    Args:
        metrics (iterable of `str`): keys of `METRICS`.
        with_video (`bool`, *optional*, defaults to `False`): whether the originals are videos.
        judge ([`Judge`], *optional*): who hears the words; the judge of GRID by default.
        progress (`bool`, *optional*, defaults to `False`): say on stderr which is being loaded.

    Raises:
        MissingExtraError: if a package is not installed.
    """
    judge = judge or GRID_JUDGE
    noise = np.random.default_rng(0).normal(0, 0.05, int(LOADING_SECONDS * SAMPLING_RATE))
    pair = SoundPair(noise, noise, LOADING_SENTENCE, judge=partial(_recognizer, judge), phrases=1)
    alone = replace(pair, reference=None)  # with it, DNSMOS and judges would look at the same noise twice
    chosen = [METRICS[name] for name in metrics]
    with_video = with_video and any("video" in (*metric.needs, *metric.takes) for metric in chosen)
    with progress_bar(desc="loading", total=len(chosen) + with_video, unit="metric", show=progress) as bar:
        for metric in chosen:
            hears = judge.name if judge.kind == "model" else "pocketsphinx"
            bar.set_description(f"loading {metric.name}" + (f" ({hears})" if "judge" in metric.needs else ""))
            score = metric.score_function()
            if "video" not in metric.needs and (metric.name, judge) not in _loaded:
                score(pair if "reference" in metric.needs else alone)
                _loaded.add((metric.name, judge))
            bar.update()
        if with_video:
            from ..metrics.synchrony import load_sync_network  # brings torch and transformers

            bar.set_description("loading the sync network")
            load_sync_network()
            bar.update()


def _recognizer(judge: Judge) -> Hears:
    from ..metrics.recognizers import recognizer  # of an extra, where words are judged

    return recognizer(judge)


def read_sound(path: str | os.PathLike | VideoPart) -> np.ndarray:
    """Sound of a file at 16 kHz; a `.wav` is resampled through scipy's polyphase filter.

    Args:
        path (`str`, `os.PathLike` or [`VideoPart`]): a sound file, a video with sound, or a part of one.

    Returns:
        `np.ndarray`: float64, shape `(samples,)`, the mean of the channels.

    Raises:
        EvaluationError: if the file is missing, cannot be read or has no sound.
    """
    waveform = read_original(path)
    if waveform is None:
        raise EvaluationError(f"{path}: has no sound, so there is nothing to compare with.")
    return waveform


def read_original(path: str | os.PathLike | VideoPart) -> np.ndarray | None:
    """As [`read_sound`], but `None` for a video without sound.

    Raises:
        EvaluationError: if the file is missing or cannot be read.
    """
    from ..audio import read_audio
    from ..metrics.waveforms import check_waveform, resample
    from ..video import VideoError

    path = Path(path) if isinstance(path, (str, os.PathLike)) else path
    if isinstance(path, Path) and not path.is_file():
        raise EvaluationError(f"{path}: no such sound file.")
    if isinstance(path, Path) and path.suffix.lower() == ".wav":
        pcm = _read_pcm(path)
        if pcm is not None:
            channels = pcm[1].reshape(len(pcm[1]), -1).T
            waveform = np.mean([check_waveform(channel, str(path)) for channel in channels], axis=0)
            return resample(waveform, pcm[0], SAMPLING_RATE)
    try:
        waveform = read_audio(path, SAMPLING_RATE)
    except VideoError as error:
        if isinstance(path, Path) and path.suffix.lower() == ".wav":
            raise EvaluationError(f"{path}: not a readable .wav file. {error}") from None
        raise
    return None if waveform is None else check_waveform(waveform, str(path))


def _read_pcm(path: Path) -> tuple[int, np.ndarray] | None:
    """Sampling rate and samples of a `.wav` of PCM; `None` for what is coded otherwise, or damaged."""
    from scipy.io import wavfile  # of an extra, and slow to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no sound
            sampling_rate, samples = wavfile.read(path)
    except Exception:  # of any kind, where a header makes no sense
        return None
    return (sampling_rate, samples) if sampling_rate > 0 and samples.size else None


def energy_envelope(waveform: np.ndarray) -> np.ndarray:
    """Root mean square of a 16 kHz waveform in windows of 20 ms, 2.5 ms apart.

    Args:
        waveform (`np.ndarray`, shape `(samples,)`): the waveform.

    Returns:
        `np.ndarray`: shape `(1 + samples // 40,)`.
    """
    padding = (ENVELOPE_WINDOW // 2, ENVELOPE_WINDOW // 2 + ENVELOPE_HOP)
    energy = np.concatenate([[0.0], np.cumsum(np.pad(np.square(waveform), padding))])
    starts = np.arange(1 + len(waveform) // ENVELOPE_HOP) * ENVELOPE_HOP
    return np.sqrt(np.maximum(energy[starts + ENVELOPE_WINDOW] - energy[starts], 0.0) / ENVELOPE_WINDOW)


def find_shift(prediction: np.ndarray, reference: np.ndarray, max_seconds: float = MAX_SHIFT_SECONDS) -> float:
    """Estimate the delay of a generated waveform from the energy envelopes.

    The shift within ±`max_seconds` at which the two envelopes correlate best (Pearson, over what overlaps), to 2.5 ms.

    Args:
        prediction (`np.ndarray`, shape `(samples,)`): the generated waveform, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`): the original waveform, 16 kHz.
        max_seconds (`float`, *optional*, defaults to 0.04): largest shift looked at, in seconds.

    Returns:
        `float`: seconds; positive where the generated waveform is late; 0 where an envelope is flat.
    """
    length = min(len(prediction), len(reference))
    generated, original = energy_envelope(prediction[:length]), energy_envelope(reference[:length])
    most = min(int(round(max_seconds * SAMPLING_RATE / ENVELOPE_HOP)), len(generated) // 2)
    best, best_correlation = 0, -np.inf
    for shift in sorted(range(-most, most + 1), key=abs):  # of equals, the smallest
        late, early = max(shift, 0), max(-shift, 0)
        a = generated[late : len(generated) - early]
        b = original[early : len(original) - late]
        if min(np.std(a), np.std(b)) < 1e-9:
            continue
        correlation = np.corrcoef(a, b)[0, 1]
        if correlation > best_correlation + 1e-12:
            best, best_correlation = shift, correlation
    return best * ENVELOPE_HOP / SAMPLING_RATE


def score_files(
    generated: str | os.PathLike,
    original: str | os.PathLike | VideoPart,
    sentence: str | None = None,
    metrics: Iterable[str] = tuple(METRICS),
    compat: bool = False,
    *,
    text: str | None = None,
    judge: Judge | None = None,
    phrases: int | None = None,
) -> dict[str, Any]:
    """Every metric of one clip that its sound allows (and its video, where the original is one).

    Args:
        generated (`str` or `os.PathLike`): sound file of the generated speech.
        original (`str`, `os.PathLike` or [`VideoPart`]): sound file or video with the original speech, or the part of
            a video. Where a video has no sound, the metrics that compare with it have no value; where a sound is too
            short for some metrics, these have none.
        sentence (`str`, *optional*): the words spoken.
        metrics (iterable of `str`, *optional*): keys of `METRICS`; all by default.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms too.
        text (`str`, *optional*): what the system's text head recognised.
        judge ([`Judge`], *optional*): who hears the words; by default that of GRID, for its sentences.
        phrases (`int`, *optional*): how many sentences there are, where they are a closed list.

    Returns:
        `dict`: values by column of `clips.csv`, for `ClipRow.from_columns`; durations in seconds.

    Raises:
        ValueError: if a file cannot be read, or is too short for all metrics, or too broken to be scored.
    """
    prediction, reference = read_sound(generated), read_original(original)
    source = Path(original) if isinstance(original, (str, os.PathLike)) else original
    video = None if is_sound(source) else source
    if judge is None and is_grid_sentence(sentence):
        judge = GRID_JUDGE
    hears = None if judge is None else partial(_recognizer, judge)
    pair = SoundPair(prediction, reference, sentence, video, compat, text, hears, phrases)
    columns: dict[str, Any] = {"generated_seconds": len(prediction) / SAMPLING_RATE}
    shift = 0.0
    if reference is not None:
        shift = find_shift(prediction, reference)
        columns |= {
            "original_seconds": len(reference) / SAMPLING_RATE,
            "cut_seconds": abs(len(prediction) - len(reference)) / SAMPLING_RATE,
            "shift_seconds": shift,
        }
    if sentence is not None:
        columns |= {"sentence": sentence, "words": len(sentence.split())}
    return columns | _all_scores([name for name in metrics if METRICS[name].can_score(pair)], pair, shift)


def _all_scores(names: Sequence[str], pair: SoundPair, shift: float) -> dict[str, Any]:
    """The columns of metrics; none of one that a sound is too short for, unless it is too short for all."""
    from ..metrics.waveforms import ShortWaveformError  # with SciPy, which only scoring needs

    columns: dict[str, Any] = {}
    too_short: list[ShortWaveformError] = []
    for name in names:
        try:
            columns |= _score(name, pair, shift)
        except ShortWaveformError as error:
            too_short.append(error)
    if too_short and len(too_short) == len(names):
        raise too_short[0]
    return columns


def _score(name: str, pair: SoundPair, shift: float) -> dict[str, Any]:
    """A metric's columns for a clip, including those after alignment."""
    metric = METRICS[name]
    score = metric.score_function()
    scores = score(pair)
    own = (*metric.text_columns, *metric.columns(pair.compat))
    columns = {column: scores[column] for column in own if column in scores}
    if metric.aligned_columns:
        moved = scores
        if shift and pair.reference is not None:
            prediction, reference = align(pair.prediction, pair.reference, shift)
            moved = score(SoundPair(prediction, reference, pair.sentence))
        columns |= {ALIGNED + column: moved[column] for column in metric.aligned_columns}
    return columns


__all__ = [
    "MAX_SHIFT_SECONDS",
    "SAMPLING_RATE",
    "EvaluationError",
    "clip_columns",
    "energy_envelope",
    "find_shift",
    "load_metrics",
    "read_original",
    "read_sound",
    "score_files",
]
