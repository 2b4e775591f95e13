"""Every metric of one clip: from a generated and an original sound file to one row of `clips.csv`.

Which metrics there are and which columns each of them fills stands in `CLIP_METRICS`. Their packages are loaded where
a metric is first asked for, so that one can do without those of the others.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..corpora.clips import VIDEO_SUFFIXES
from ..errors import Lip2WavError


SAMPLING_RATE = 16000  # Hz, at which everything is scored
MAX_SHIFT_SECONDS = 0.04  # one video frame: GRID's own sound is early or late by as much
ENVELOPE_HOP = 40  # samples: shifts are found to 2.5 ms
ENVELOPE_WINDOW = 320  # samples: 20 ms
ALIGNED = "aligned_"  # prefix of a column that was scored after alignment


class EvaluationError(Lip2WavError):
    """An evaluation that cannot be run as asked."""


@dataclass(frozen=True)
class SoundPair:
    """What one clip is scored from.

    Attributes:
        prediction (`np.ndarray`, shape `(samples,)`): the generated speech, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`): the original speech, 16 kHz.
        sentence (`str`, *optional*): the GRID sentence spoken.
        video (`Path`, *optional*): the video file, for the metrics that look at the lips.
        compat (`bool`): whether the lineage's forms are computed too.
    """

    prediction: np.ndarray
    reference: np.ndarray
    sentence: str | None = None
    video: Path | None = None
    compat: bool = False


@dataclass(frozen=True)
class ClipMetric:
    """One metric of a clip.

    Attributes:
        score (`Callable[[SoundPair], dict]`): what computes its columns.
        columns (`tuple[str, ...]`): the columns of numbers.
        text_columns (`tuple[str, ...]`): the columns of texts.
        compat_columns (`tuple[str, ...]`): the columns of the lineage's forms, added with `compat`.
        aligned_columns (`tuple[str, ...]`): those of `columns` that are scored after alignment too.
        packages (`tuple[str, ...]`): modules it needs that the package does not depend on.
        needs (`str`, *optional*): what it needs of a clip: `"sentence"` or `"video"`.
    """

    score: Callable[[SoundPair], dict[str, Any]]
    columns: tuple[str, ...]
    text_columns: tuple[str, ...] = ()
    compat_columns: tuple[str, ...] = ()
    aligned_columns: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs: str | None = None


def _compat(pair: SoundPair) -> dict[str, bool]:
    return {"compat": True} if pair.compat else {}


def _score_pesq(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.pesq.pesq import pesq_pair

    scores = pesq_pair(pair.prediction, pair.reference, SAMPLING_RATE, **_compat(pair))
    return scores | {"pesq_outcome": scores["outcome"]}


def _score_stoi(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.stoi.stoi import stoi_pair

    scores = stoi_pair(pair.prediction, pair.reference, SAMPLING_RATE, **_compat(pair))
    row = scores | {"stoi_outcome": scores["outcome"]}
    offset = None if pair.video is None else _original_offset(pair)
    if offset is not None:
        moved = stoi_pair(*align(pair.prediction, pair.reference, -offset), SAMPLING_RATE)
        row |= {"in_sync_stoi": moved["stoi"], "in_sync_estoi": moved["estoi"], "original_offset_seconds": offset}
    return row


def _original_offset(pair: SoundPair) -> float | None:
    """By how many seconds the original is late against its own video; 0 where no offset stands out."""
    from ..metrics.synchrony import MIN_CONFIDENCE, MIN_FRAMES, find_sound_offset

    regions = _mouth_regions(pair.video)
    if regions is None or min(len(regions), len(pair.reference) * 25 // SAMPLING_RATE) < MIN_FRAMES:
        return None
    offset, confidence = find_sound_offset(regions, pair.reference)
    return offset if confidence >= MIN_CONFIDENCE else 0.0


@functools.lru_cache(maxsize=1)
def _mouth_regions(video: Path) -> np.ndarray | None:
    """Gray mouth regions as the sync network sees them; None where there is no face."""
    from ..face_tracking import FaceTrackingError
    from ..metrics.synchrony import load_sync_network

    try:
        return load_sync_network()[2].extract(video).regions
    except FaceTrackingError:
        return None


def _score_mcd(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.mcd.mcd import mcd_pair

    return mcd_pair(pair.prediction, pair.reference, SAMPLING_RATE, dtw=True, **_compat(pair))


def _score_corr2d(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.corr2d.corr2d import corr2d_pair

    return corr2d_pair(pair.prediction, pair.reference, SAMPLING_RATE)


def _score_dnsmos(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.dnsmos.dnsmos import dnsmos_clip

    original = dnsmos_clip(pair.reference, SAMPLING_RATE)
    return dnsmos_clip(pair.prediction, SAMPLING_RATE) | {"dnsmos_ovrl_original": original["dnsmos_ovrl"]}


def _score_speaker_similarity(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.speaker_similarity.speaker_similarity import speaker_similarity_pair

    return speaker_similarity_pair(pair.prediction, pair.reference, SAMPLING_RATE)


@functools.cache
def _recognizer():
    from ..metrics.grid_wer.grid_wer import GridRecognizer

    return GridRecognizer()


def _score_grid_wer(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.grid_wer.grid_wer import align_words

    transcript = _recognizer().transcribe(pair.prediction, SAMPLING_RATE, "prediction")
    floor_transcript = _recognizer().transcribe(pair.reference, SAMPLING_RATE, "reference")
    row = {
        "transcript": transcript,
        "floor_transcript": floor_transcript,
        "judge_errors": align_words(pair.sentence, transcript)["errors"],
        "floor_errors": align_words(pair.sentence, floor_transcript)["errors"],
        "original_words": len(floor_transcript.split()),
        "errors_to_original": align_words(floor_transcript, transcript)["errors"],
    }
    if pair.compat:
        from ..metrics.grid_wer.grid_wer import utterance_wer

        row["wer_compat"] = utterance_wer(pair.sentence, transcript)
    return row


def _score_av_sync(pair: SoundPair) -> dict[str, Any]:
    from ..metrics.av_sync.av_sync import av_sync_clip

    regions = _mouth_regions(pair.video)
    if regions is None:
        return {"av_outcome": "no face"}
    own = av_sync_clip(pair.prediction, SAMPLING_RATE, mouth_crops=regions)
    original = av_sync_clip(pair.reference, SAMPLING_RATE, mouth_crops=regions)
    return {
        "av_confidence": own["confidence"],
        "av_offset": own["offset"],
        "av_absolute_offset": abs(own["offset"]),
        "av_confidence_original": original["confidence"],
        "av_offset_original": original["offset"],
        "av_outcome": own["outcome"],
    }


CLIP_METRICS: dict[str, ClipMetric] = {
    "pesq": ClipMetric(
        _score_pesq,
        ("pesq_nb", "pesq_wb"),
        text_columns=("pesq_outcome",),
        compat_columns=("pesq_compat",),
        aligned_columns=("pesq_nb", "pesq_wb"),
        packages=("pesq",),
    ),
    "stoi": ClipMetric(
        _score_stoi,
        ("stoi", "estoi", "in_sync_stoi", "in_sync_estoi", "original_offset_seconds"),
        text_columns=("stoi_outcome",),
        compat_columns=("stoi_compat", "stoi_filtered", "estoi_filtered"),
        aligned_columns=("stoi", "estoi"),
        packages=("pystoi",),
    ),
    "mcd": ClipMetric(
        _score_mcd, ("mcd", "mcd_dtw"), compat_columns=("mcd_compat",), aligned_columns=("mcd", "mcd_dtw")
    ),
    "corr2d": ClipMetric(_score_corr2d, ("corr2d",), aligned_columns=("corr2d",)),
    "grid_wer": ClipMetric(
        _score_grid_wer,
        ("judge_errors", "floor_errors", "original_words", "errors_to_original"),
        text_columns=("transcript", "floor_transcript"),
        compat_columns=("wer_compat",),
        packages=("pocketsphinx",),
        needs="sentence",
    ),
    "dnsmos": ClipMetric(
        _score_dnsmos, ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808", "dnsmos_ovrl_original")
    ),
    "speaker_similarity": ClipMetric(_score_speaker_similarity, ("speaker_similarity",)),
    "av_sync": ClipMetric(
        _score_av_sync,
        ("av_confidence", "av_offset", "av_absolute_offset", "av_confidence_original", "av_offset_original"),
        text_columns=("av_outcome",),
        needs="video",
    ),
}

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
TEXT_COLUMNS = FIRST_COLUMNS + tuple(column for metric in CLIP_METRICS.values() for column in metric.text_columns)


def clip_columns(metrics: Iterable[str], compat: bool = False) -> list[str]:
    """Columns of `clips.csv`, in order.

    Args:
        metrics (iterable of `str`): keys of `CLIP_METRICS`.
        compat (`bool`, *optional*, defaults to `False`): with the lineage's forms.

    Returns:
        `list[str]`: the columns' names.
    """
    chosen = [CLIP_METRICS[name] for name in metrics]
    columns = list(FIRST_COLUMNS)
    for metric in chosen:
        columns += metric.text_columns + metric.columns + (metric.compat_columns if compat else ())
    columns += [ALIGNED + column for metric in chosen for column in metric.aligned_columns]
    return columns + list(LAST_COLUMNS)


def check_metrics(metrics: Iterable[str] | None = None) -> list[str]:
    """Names of metrics, in the order of `CLIP_METRICS`, after a look at whether they can be computed here.

    Args:
        metrics (iterable of `str`, *optional*): keys of `CLIP_METRICS`; all of them by default.

    Returns:
        `list[str]`: the names.

    Raises:
        EvaluationError: for a metric that does not exist or whose packages are not installed.
    """
    wanted = list(CLIP_METRICS) if metrics is None else list(metrics)
    unknown = [name for name in wanted if name not in CLIP_METRICS]
    if unknown or not wanted:
        raise EvaluationError(
            (f"no metric {unknown[0]!r}" if unknown else "no metric was named")
            + f": the metrics are {', '.join(CLIP_METRICS)}."
        )
    for package in ("evaluate", "datasets", "jiwer", "scipy"):
        if importlib.util.find_spec(package) is None:
            raise EvaluationError(f"evaluation needs the package {package}: pip install 'lip2wav_hf[evaluate]'.")
    missing: dict[str, str] = {}
    for name in wanted:
        try:
            importlib.import_module(f"lip2wav_hf.metrics.{name}.{name}")
            absent = [package for package in CLIP_METRICS[name].packages if importlib.util.find_spec(package) is None]
        except ImportError as error:
            absent = [error.name or str(error)]
        if absent:
            missing[name] = absent[0]
    if missing:
        name, package = next(iter(missing.items()))
        rest = ",".join(other for other in wanted if other not in missing)
        raise EvaluationError(
            f"the metric {name} needs the package {package}: pip install 'lip2wav_hf[evaluate]'"
            + (f"; or do without: --metrics {rest}." if rest else ".")
        )
    return [name for name in CLIP_METRICS if name in wanted]


def read_sound(path: str | os.PathLike) -> np.ndarray:
    """Sound of a file at 16 kHz; a `.wav` is resampled through scipy's polyphase filter.

    Args:
        path (`str` or `os.PathLike`): a sound file, or a video with sound.

    Returns:
        `np.ndarray`: float64, shape `(samples,)`, the mean of the channels.

    Raises:
        EvaluationError: if the file is missing, cannot be read or has no sound.
    """
    from scipy.io import wavfile

    from ..audio import read_audio
    from ..metrics.waveforms import check_waveform, resample

    path = Path(path)
    if not path.is_file():
        raise EvaluationError(f"{path}: no such sound file.")
    if path.suffix.lower() == ".wav":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no sound
                sampling_rate, samples = wavfile.read(path)
        except ValueError as error:
            raise EvaluationError(f"{path}: not a readable .wav file ({error}).") from None
        if samples.dtype == np.uint8:
            samples = samples.astype(np.int16) * 256 - 32768
        channels = samples.reshape(len(samples), -1).T
        waveform = np.mean([check_waveform(channel, str(path)) for channel in channels], axis=0)
        return resample(waveform, sampling_rate, SAMPLING_RATE)
    waveform = read_audio(path, SAMPLING_RATE)
    if waveform is None:
        raise EvaluationError(f"{path}: has no sound, so there is nothing to compare with.")
    return check_waveform(waveform, str(path))


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
    """By how much a generated waveform is late, as its energy envelope tells.

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


def align(prediction: np.ndarray, reference: np.ndarray, shift_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A generated waveform and its original, of one length, after the first was moved by a shift.

    Args:
        prediction (`np.ndarray`, shape `(samples,)`): the generated waveform, 16 kHz.
        reference (`np.ndarray`, shape `(samples,)`): the original waveform, 16 kHz.
        shift_seconds (`float`): by how much the first is late, as `find_shift` tells.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: what remains of both.
    """
    shift = round(shift_seconds * SAMPLING_RATE)
    prediction, reference = prediction[max(shift, 0) :], reference[max(-shift, 0) :]
    length = min(len(prediction), len(reference))
    return prediction[:length], reference[:length]


def score_files(
    generated: str | os.PathLike,
    original: str | os.PathLike,
    sentence: str | None = None,
    metrics: Iterable[str] = tuple(CLIP_METRICS),
    compat: bool = False,
) -> dict[str, Any]:
    """Every metric of one clip that can be had from its sound (and from its video, where the original is one).

    Args:
        generated (`str` or `os.PathLike`): sound file of the generated speech.
        original (`str` or `os.PathLike`): sound file or video with the original speech.
        sentence (`str`, *optional*): the GRID sentence spoken; without it no words are judged.
        metrics (iterable of `str`, *optional*): keys of `CLIP_METRICS`; all by default.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms too.

    Returns:
        `dict`: values of `clips.csv`'s columns; durations in seconds.

    Raises:
        ValueError: if a file cannot be read, or is too short or too broken to be scored.
    """
    prediction, reference = read_sound(generated), read_sound(original)
    video = Path(original) if Path(original).suffix.lower() in VIDEO_SUFFIXES else None
    pair = SoundPair(prediction, reference, sentence, video, compat)
    shift = find_shift(prediction, reference)
    aligned = replace(pair, video=None, compat=False)
    if shift:
        aligned_sounds = align(prediction, reference, shift)
        aligned = replace(aligned, prediction=aligned_sounds[0], reference=aligned_sounds[1])
    row: dict[str, Any] = {
        "generated_seconds": len(prediction) / SAMPLING_RATE,
        "original_seconds": len(reference) / SAMPLING_RATE,
        "cut_seconds": abs(len(prediction) - len(reference)) / SAMPLING_RATE,
        "shift_seconds": shift,
    }
    if sentence is not None:
        row |= {"sentence": sentence, "words": len(sentence.split())}
    for name in metrics:
        metric = CLIP_METRICS[name]
        if metric.needs is not None and getattr(pair, metric.needs) is None:
            continue
        scores = metric.score(pair)
        row |= {column: scores[column] for column in _columns_of(metric, compat) if column in scores}
        if metric.aligned_columns:
            moved = metric.score(aligned) if shift else scores
            row |= {ALIGNED + column: moved[column] for column in metric.aligned_columns}
    return row


def _columns_of(metric: ClipMetric, compat: bool) -> tuple[str, ...]:
    return metric.text_columns + metric.columns + (metric.compat_columns if compat else ())


__all__ = [
    "CLIP_METRICS",
    "MAX_SHIFT_SECONDS",
    "SAMPLING_RATE",
    "TEXT_COLUMNS",
    "ClipMetric",
    "EvaluationError",
    "SoundPair",
    "align",
    "check_metrics",
    "clip_columns",
    "energy_envelope",
    "find_shift",
    "read_sound",
    "score_files",
]
