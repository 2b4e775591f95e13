"""From the rows of `clips.csv` to the numbers of the table: means, rates, intervals, differences of two systems."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scoring import ALIGNED


RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
INTERVAL = f"{CONFIDENCE_LEVEL:.0%}, bootstrap over clips, {RESAMPLES} resamples, seed 0"


@dataclass(frozen=True)
class SummaryMetric:
    """How one number of the table is made from the columns of `clips.csv`.

    Attributes:
        label (`str`): what the table calls it.
        plus (`str`): column that is summed.
        minus (`str`, *optional*): column that is subtracted from it.
        over (`str`, *optional*): column whose sum divides; by default the number of clips with a value (a mean).
        unit (`str`): shown behind the label; with `"%"` and `"points"` the value is shown times 100.
        better (`str`, *optional*): `"higher"` or `"lower"`, where one of them is better.
        group (`str`): the part of the table it stands in.
    """

    label: str
    plus: str
    minus: str | None = None
    over: str | None = None
    unit: str = ""
    better: str | None = None
    group: str = "sound"

    @property
    def scale(self) -> float:
        """What a value is multiplied by when it is shown."""
        return {"%": 100.0, "points": 100.0, "ms": 1000.0}.get(self.unit, 1.0)

    @property
    def digits(self) -> int:
        """Decimal places shown."""
        return {"%": 1, "points": 1, "ms": 1, "dB": 2, "frames": 2}.get(self.unit, 3)

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def show(self, value: float) -> str:
        """A value as the tables show it."""
        text = f"{value * self.scale:.{self.digits}f}"
        return text.removeprefix("-") if float(text) == 0 else text


def _errors(label: str, plus: str, over: str = "words", **options) -> SummaryMetric:
    return SummaryMetric(label, plus, over=over, unit="%", better="lower", group="words", **options)


GROUPS = {
    "words": "Words",
    "sound": "Sound",
    "in_sync": "Sound, against the original moved to where its mouth says it belongs",
    "aligned": "Sound, after alignment within ±1 video frame",
    "sync": "Synchrony",
    "compat": "In the forms that others' evaluation code computes",
    "input": "Input and confidence",
}

SUMMARY = {
    "judge_wer": _errors("Judge WER", "judge_errors"),
    "floor_wer": _errors("Judge WER on the original audio (floor)", "floor_errors"),
    "judge_wer_above_floor": SummaryMetric(
        "Judge WER above the floor", "judge_errors", "floor_errors", "words", "points", "lower", "words"
    ),
    "wer_to_original": _errors(
        "Judge WER against its transcript of the original audio", "errors_to_original", "original_words"
    ),
    "text_wer": _errors("Text-head WER", "text_errors"),
    "pesq_nb": SummaryMetric("PESQ-nb (8 kHz)", "pesq_nb", better="higher"),
    "pesq_wb": SummaryMetric("PESQ-wb (16 kHz)", "pesq_wb", better="higher"),
    "stoi": SummaryMetric("STOI", "stoi", better="higher"),
    "estoi": SummaryMetric("ESTOI", "estoi", better="higher"),
    "mcd": SummaryMetric("Mel-cepstral distortion", "mcd", unit="dB", better="lower"),
    "mcd_dtw": SummaryMetric("Mel-cepstral distortion, time-warped", "mcd_dtw", unit="dB", better="lower"),
    "corr2d": SummaryMetric("Corr2D", "corr2d", better="higher"),
    "dnsmos_ovrl": SummaryMetric("DNSMOS, overall", "dnsmos_ovrl", better="higher"),
    "dnsmos_sig": SummaryMetric("DNSMOS, speech", "dnsmos_sig", better="higher"),
    "dnsmos_bak": SummaryMetric("DNSMOS, background", "dnsmos_bak", better="higher"),
    "dnsmos_p808": SummaryMetric("DNSMOS, P.808", "dnsmos_p808", better="higher"),
    "dnsmos_ovrl_original": SummaryMetric("DNSMOS, overall, of the original audio", "dnsmos_ovrl_original"),
    "speaker_similarity": SummaryMetric("Speaker similarity", "speaker_similarity", better="higher"),
    "in_sync_stoi": SummaryMetric("STOI, original in sync", "in_sync_stoi", better="higher", group="in_sync"),
    "in_sync_estoi": SummaryMetric("ESTOI, original in sync", "in_sync_estoi", better="higher", group="in_sync"),
    **{
        ALIGNED + key: SummaryMetric(label, ALIGNED + key, unit=unit, better=better, group="aligned")
        for key, label, unit, better in (
            ("pesq_nb", "PESQ-nb (8 kHz), aligned", "", "higher"),
            ("pesq_wb", "PESQ-wb (16 kHz), aligned", "", "higher"),
            ("stoi", "STOI, aligned", "", "higher"),
            ("estoi", "ESTOI, aligned", "", "higher"),
            ("mcd", "Mel-cepstral distortion, aligned", "dB", "lower"),
            ("mcd_dtw", "Mel-cepstral distortion, time-warped, aligned", "dB", "lower"),
            ("corr2d", "Corr2D, aligned", "", "higher"),
        )
    },
    "shift_seconds": SummaryMetric("Shift chosen by the alignment", "shift_seconds", unit="ms", group="sync"),
    "av_confidence": SummaryMetric("Lip-sync confidence", "av_confidence", better="higher", group="sync"),
    "av_offset": SummaryMetric("Lip-sync offset", "av_offset", unit="frames", group="sync"),
    "av_absolute_offset": SummaryMetric(
        "Lip-sync offset, absolute", "av_absolute_offset", unit="frames", better="lower", group="sync"
    ),
    "av_confidence_original": SummaryMetric(
        "Lip-sync confidence of the original audio", "av_confidence_original", group="sync"
    ),
    "av_offset_original": SummaryMetric(
        "Lip-sync offset of the original audio", "av_offset_original", unit="frames", group="sync"
    ),
    "wer_compat": SummaryMetric("Judge WER, mean over clips", "wer_compat", unit="%", better="lower", group="compat"),
    "pesq_compat": SummaryMetric("PESQ, compat", "pesq_compat", better="higher", group="compat"),
    "stoi_compat": SummaryMetric("STOI, compat", "stoi_compat", better="higher", group="compat"),
    "stoi_filtered": SummaryMetric("STOI without hum, as VCA-GAN", "stoi_filtered", better="higher", group="compat"),
    "estoi_filtered": SummaryMetric(
        "ESTOI without hum, as VCA-GAN", "estoi_filtered", better="higher", group="compat"
    ),
    "mcd_compat": SummaryMetric("MCD, compat (no unit)", "mcd_compat", better="lower", group="compat"),
    "text_confidence": SummaryMetric("Text confidence, mean", "text_confidence", group="input"),
    "face_coverage": SummaryMetric("Face coverage, mean", "face_coverage", group="input"),
}


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """A column of numbers.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`.
        name (`str`): the column.

    Returns:
        `np.ndarray`: float64, shape `(clips,)`; NaN where a clip has no value.
    """
    values = [row.get(name) for row in rows]
    return np.array([math.nan if value in (None, "") else float(value) for value in values])


def _fractions(rows: list[dict[str, Any]], metric: SummaryMetric) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numerators and denominators of each clip (0 where it has no value), and which clips have one."""
    top = column(rows, metric.plus) - (column(rows, metric.minus) if metric.minus else 0)
    bottom = column(rows, metric.over) if metric.over else np.ones(len(rows))
    known = np.isfinite(top) & np.isfinite(bottom)
    return np.where(known, top, 0.0), np.where(known, bottom, 0.0), known


def draw_clips(clips: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Numbers of clips drawn with replacement, shape `(resamples, clips)`."""
    return np.random.default_rng(seed).integers(0, max(clips, 1), (resamples, clips))


def interval(values: np.ndarray) -> dict[str, float]:
    """`low` and `high`, the ends of the 95 % interval of bootstrap values (percentile method)."""
    tail = 50 * (1 - CONFIDENCE_LEVEL)
    low, high = np.percentile(values, [tail, 100 - tail])
    return {"low": float(low), "high": float(high)}


def summarize(rows: list[dict[str, Any]], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, dict[str, float]]:
    """Means and corpus-level rates over clips, with bootstrap confidence intervals over clips.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn anew, with replacement.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        `dict`: for each metric that at least one clip has: `value`; `low` and `high`, the ends of the 95 % interval
        (percentile method); and `clips`, how many had a value.
    """
    draws = draw_clips(len(rows), resamples, seed)
    summary = {}
    for key, metric in SUMMARY.items():
        top, bottom, known = _fractions(rows, metric)
        if bottom.sum() == 0:
            continue
        drawn = bottom[draws].sum(1)
        values = top[draws].sum(1)[drawn > 0] / drawn[drawn > 0]
        summary[key] = {"value": float(top.sum() / bottom.sum()), **interval(values), "clips": int(known.sum())}
    return summary


def paired_differences(
    rows: list[dict[str, Any]], baseline: list[dict[str, Any]], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, float]]:
    """A system minus a baseline on the same clips, with a paired bootstrap: both are drawn with the same clips.

    Args:
        rows (`list[dict]`): clips of the system, as in `clips.csv`.
        baseline (`list[dict]`): the same clips of the baseline, in the same order.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn anew, with replacement.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        `dict`: for each metric that at least one clip has in both: `value`, `low` and `high` of the difference, and
        `clips`, how many had a value in both.

    Raises:
        ValueError: if the clips are not the same.
    """
    keys = [[(row["speaker"], row["name"]) for row in some] for some in (rows, baseline)]
    if keys[0] != keys[1]:
        raise ValueError("a paired comparison needs the same clips in the same order.")
    draws = draw_clips(len(rows), resamples, seed)
    differences = {}
    for key, metric in SUMMARY.items():
        own_top, own_bottom, own_known = _fractions(rows, metric)
        other_top, other_bottom, other_known = _fractions(baseline, metric)
        both = own_known & other_known
        parts = [np.where(both, part, 0.0) for part in (own_top, own_bottom, other_top, other_bottom)]
        if not both.any() or parts[1].sum() == 0 or parts[3].sum() == 0:
            continue
        sums = [part[draws].sum(1) for part in parts]
        full = (sums[1] > 0) & (sums[3] > 0)
        values = sums[0][full] / sums[1][full] - sums[2][full] / sums[3][full]
        value = parts[0].sum() / parts[1].sum() - parts[2].sum() / parts[3].sum()
        differences[key] = {"value": float(value), **interval(values), "clips": int(both.sum())}
    return differences


def verdict(key: str, difference: dict[str, float]) -> str:
    """What a difference says: `"better"` or `"worse"` where its interval leaves 0 out, `"open"` otherwise."""
    better = SUMMARY[key].better
    if better is None or difference["low"] <= 0 <= difference["high"]:
        return "open"
    return "better" if (difference["value"] > 0) == (better == "higher") else "worse"


def by_speaker(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each speaker, in order of appearance."""
    speakers: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        speakers.setdefault(row["speaker"], []).append(row)
    return speakers


HEARD_COLUMNS = {"judge": "transcript", "floor": "floor_transcript", "text": "text"}


def heard_rows(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows whose words were judged by `name`: `"judge"`, its `"floor"` or the `"text"` head."""
    return [row for row in rows if row.get("sentence") and row.get(f"{name}_errors") is not None]


def slot_errors(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Word errors by slot of the sentence, of the judge, of its floor and of the text head.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`; those without a sentence do not count.

    Returns:
        `dict`: for each of `judge`, `floor` and `text` that there is: `slot_wer`, `confusions` and `empty` as in the
        `grid_wer` module, and `counts`: how often each word was spoken, `{slot: {word: clips}}`.
    """
    result = {}
    for name, heard_column in HEARD_COLUMNS.items():
        heard = heard_rows(rows, name)
        if heard:
            result[name] = _slots(heard, heard_column)
    return result


def _slots(rows: list[dict[str, Any]], heard_column: str) -> dict[str, Any]:
    from ..grammar import GRAMMAR
    from .calibration import heard_as

    counts: dict[str, dict[str, int]] = {slot: {} for slot in GRAMMAR}
    confusions: dict[str, dict[str, dict[str, int]]] = {slot: {} for slot in GRAMMAR}
    for row in rows:
        words = row["sentence"].split()
        for slot, word, heard in zip(GRAMMAR, words, heard_as(row["sentence"], row[heard_column])):
            counts[slot][word] = counts[slot].get(word, 0) + 1
            if heard != word:
                others = confusions[slot].setdefault(word, {})
                others[heard] = others.get(heard, 0) + 1
    wrong = {slot: sum(sum(others.values()) for others in words.values()) for slot, words in confusions.items()}
    return {
        "slot_wer": {slot: wrong[slot] / max(sum(counts[slot].values()), 1) for slot in GRAMMAR},
        "confusions": confusions,
        "counts": counts,
        "empty": sum(not row[heard_column].strip() for row in rows),
    }


def bootstrap(rows: list[dict[str, Any]], statistic: Callable[[list], float], resamples: int = RESAMPLES) -> dict:
    """Any statistic of clips, with its 95 % interval over clips.

    Args:
        rows (`list`): clips.
        statistic (`Callable`): from clips to a number.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn anew, with replacement.

    Returns:
        `dict`: `value`, `low`, `high`.
    """
    values = [statistic([rows[index] for index in draw]) for draw in draw_clips(len(rows), resamples)]
    return {"value": float(statistic(rows)), **interval(np.array(values))}


__all__ = [
    "CONFIDENCE_LEVEL",
    "GROUPS",
    "INTERVAL",
    "RESAMPLES",
    "SUMMARY",
    "SummaryMetric",
    "by_speaker",
    "column",
    "draw_clips",
    "heard_rows",
    "interval",
    "paired_differences",
    "slot_errors",
    "summarize",
    "verdict",
]
