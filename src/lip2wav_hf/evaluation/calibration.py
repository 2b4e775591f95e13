"""How far the text head's confidence can be trusted: reliability, calibration error, selective error, a temperature.

The expected calibration error is that of Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural
Networks", ICML: the gap between confidence and accuracy in bins of confidence, weighed by the words in them. The
temperature is their one-parameter recalibration, here of a word's confidence: its log-odds are divided by T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import Lip2WavError
from ..metrics.words import correct_words
from .clips import ClipRow
from .statistics import bootstrap, heard_rows


BINS = 10
COVERAGES = (0.5, 0.8, 1.0)
LARGEST_TEMPERATURE = 20.0
SMALLEST_ODDS = 1e-6  # a confidence is kept this far from 0 and 1, whose log-odds are infinite


class CalibrationError(Lip2WavError):
    """Confidences that cannot be calibrated."""


def _checked(confidences: ArrayLike, correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    confidences, correct = np.asarray(confidences, np.float64), np.asarray(correct, bool)
    if confidences.ndim != 1 or confidences.shape != correct.shape:
        raise CalibrationError(
            f"confidences of shape {confidences.shape} for answers of shape {correct.shape}: give both for each word."
        )
    if not len(confidences):
        raise CalibrationError("there is no word to calibrate with.")
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise CalibrationError("a confidence is not between 0 and 1.")
    return confidences, correct


def reliability(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> list[dict[str, float]]:
    """Confidence beside accuracy, in bins of equal width.

    Args:
        confidences (array, shape `(words,)`): between 0 and 1.
        correct (array of bool, shape `(words,)`): whether each word is right.
        bins (`int`, *optional*, defaults to 10): how many.

    Returns:
        `list[dict]`: for each bin that holds a word: its ends `low` and `high`, `words`, and the means `confidence`
        and `accuracy`.

    Raises:
        CalibrationError: for no word, unequal numbers, or confidences beyond 0 to 1.
    """
    confidences, correct = _checked(confidences, correct)
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    return [
        {
            "low": place / bins,
            "high": (place + 1) / bins,
            "words": int((places == place).sum()),
            "confidence": float(confidences[places == place].mean()),
            "accuracy": float(correct[places == place].mean()),
        }
        for place in range(bins)
        if (places == place).any()
    ]


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy of the bins of [`reliability`], weighted by their words.

    Args:
        confidences (array, shape `(words,)`): between 0 and 1.
        correct (array of bool, shape `(words,)`): whether each word is right.
        bins (`int`, *optional*, defaults to 10): how many.

    Returns:
        `float`: 0 is best.

    Raises:
        CalibrationError: see [`reliability`].
    """
    parts = reliability(confidences, correct, bins)
    words = sum(part["words"] for part in parts)
    return float(sum(part["words"] * abs(part["confidence"] - part["accuracy"]) for part in parts) / words)


def selective_wer(errors: ArrayLike, words: ArrayLike, confidences: ArrayLike, coverage: float) -> float:
    """Word error rate of the clips that are left when the least confident ones are dropped.

    Args:
        errors (array, shape `(clips,)`): word errors of each clip.
        words (array, shape `(clips,)`): words spoken in each clip.
        confidences (array, shape `(clips,)`): of each clip.
        coverage (`float`): share of the clips kept, above 0 and up to 1; their number is rounded up.

    Returns:
        `float`: errors over words of the clips kept.

    Raises:
        CalibrationError: for no clip, or a coverage out of range.
    """
    errors, words, confidences = (np.asarray(values, np.float64) for values in (errors, words, confidences))
    if not 0 < coverage <= 1:
        raise CalibrationError(f"a coverage of {coverage}: it must be above 0 and at most 1.")
    if not len(errors):
        raise CalibrationError("there is no clip to calibrate with.")
    kept = np.argsort(-confidences, kind="stable")[: int(np.ceil(coverage * len(errors) - 1e-9))]
    return float(errors[kept].sum() / words[kept].sum())


def apply_temperature(confidences: ArrayLike, temperature: float) -> np.ndarray:
    """Confidences whose log-odds are divided by a temperature.

    Args:
        confidences (array, shape `(words,)`): between 0 and 1.
        temperature (`float`): above 1 makes them less extreme, below 1 more.

    Returns:
        `np.ndarray`: float64, shape `(words,)`.

    Raises:
        CalibrationError: if the temperature is not above 0.
    """
    if not temperature > 0:
        raise CalibrationError(f"a temperature of {temperature}: it must be above 0.")
    clipped = np.clip(np.asarray(confidences, np.float64), SMALLEST_ODDS, 1 - SMALLEST_ODDS)
    return 1 / (1 + np.exp(-np.log(clipped / (1 - clipped)) / temperature))


def fit_temperature(confidences: ArrayLike, correct: ArrayLike) -> float:
    """The temperature at which the confidences best explain which words are right (log-likelihood).

    Fit it on clips that nothing else is reported for.

    Args:
        confidences (array, shape `(words,)`): between 0 and 1.
        correct (array of bool, shape `(words,)`): whether each word is right.

    Returns:
        `float`: between 1/20 and 20; see [`apply_temperature`].

    Raises:
        CalibrationError: for no word, unequal numbers, or confidences beyond 0 to 1.
    """
    from scipy.optimize import minimize_scalar  # of an extra

    confidences, correct = _checked(confidences, correct)

    def loss(log_temperature: float) -> float:
        probabilities = apply_temperature(confidences, np.exp(log_temperature))
        return float(-np.log(np.where(correct, probabilities, 1 - probabilities) + 1e-300).mean())

    limit = np.log(LARGEST_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


def word_confidences(rows: Sequence[ClipRow]) -> tuple[np.ndarray, np.ndarray]:
    """
    Confidence and correctness of every recognised word of some clips.

    Args:
        rows (sequence of [`ClipRow`]): clips; those without a sentence, or without a confidence of each word, do not
            count.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: float64 and bool, both of shape `(words,)`.
    """
    confidences: list[float] = []
    correct: list[bool] = []
    for row in rows:
        if row.sentence and len(row.word_confidences) == len(row.text.split()):
            confidences += row.word_confidences
            correct += correct_words(row.sentence, row.text)
    return np.array(confidences, np.float64), np.array(correct, bool)


def calibrate(rows: Sequence[ClipRow], coverages: Sequence[float] = COVERAGES) -> dict[str, Any] | None:
    """
    All that `results.json` reports of the text head's confidence.

    Args:
        rows (sequence of [`ClipRow`]): clips.
        coverages (sequence of `float`, *optional*, defaults to 0.5, 0.8 and 1): shares of the clips kept.

    Returns:
        `dict`: `words`, `confidence` and `accuracy` (means over recognised words), `ece` (with its interval over
        clips), `reliability`, `selective` (for each coverage `wer` with its interval, `clips` and the least
        `confidence` kept), and `temperature`, the one that would have suited these very words. `None` where there are
        no confidences.
    """
    rows = confident_rows(rows)
    confidences, correct = word_confidences(rows)
    if not len(confidences):
        return None
    per_clip = [word_confidences([row]) for row in rows]
    return {
        "words": len(confidences),
        "confidence": float(confidences.mean()),
        "accuracy": float(correct.mean()),
        "ece": bootstrap([clip for clip in per_clip if len(clip[0])], _error_of_clips),
        "reliability": reliability(confidences, correct),
        "selective": [_selective(rows, coverage) for coverage in coverages],
        "temperature": fit_temperature(confidences, correct),
    }


def confident_rows(rows: Sequence[ClipRow]) -> list[ClipRow]:
    """Rows whose text head was compared with the sentence and says how sure it is."""
    return [row for row in heard_rows(rows, "text") if row.text_confidence is not None]


def _error_of_clips(clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    confidences, correct = (np.concatenate(part) for part in zip(*clips, strict=True))
    return expected_calibration_error(confidences, correct)


def _selective(rows: Sequence[ClipRow], coverage: float) -> dict[str, Any]:
    clips = [(row.value("text_errors"), row.value("words"), row.value("text_confidence")) for row in rows]
    kept = int(np.ceil(coverage * len(clips) - 1e-9))
    return {
        "coverage": coverage,
        "clips": kept,
        "confidence": sorted((clip[2] for clip in clips), reverse=True)[kept - 1],
        "wer": bootstrap(clips, lambda drawn: selective_wer(*zip(*drawn, strict=True), coverage)),
    }


__all__ = [
    "CalibrationError",
    "apply_temperature",
    "calibrate",
    "confident_rows",
    "expected_calibration_error",
    "fit_temperature",
    "reliability",
    "selective_wer",
    "word_confidences",
]
