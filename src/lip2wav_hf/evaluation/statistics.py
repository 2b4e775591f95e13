"""From the rows of `clips.csv` to the numbers of the table: means, rates, intervals, differences of two systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..metrics.registry import SUMMARY, Number
from ..metrics.words import count_slots, is_grid_sentence
from .clips import HEARD, ClipRow


Item = TypeVar("Item")


RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
FEWEST_CLIPS = 2  # that a verdict on a difference needs
INTERVAL = f"{CONFIDENCE_LEVEL:.0%}, bootstrap over clips, {RESAMPLES} resamples, seed 0"


def column(rows: Sequence[ClipRow], name: str) -> np.ndarray:
    """
    A column of numbers.

    Args:
        rows (sequence of [`ClipRow`]): clips.
        name (`str`): the column.

    Returns:
        `np.ndarray`: float64, shape `(clips,)`; NaN where a clip has no value.
    """
    return np.array([row.value(name) for row in rows], np.float64)


def fractions(rows: Sequence[ClipRow], number: Number) -> tuple[np.ndarray, np.ndarray]:
    """
    Numerators and denominators of a number, which is the ratio of their sums.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: float64, both of shape `(clips,)`; NaN where a clip has no value.
    """
    top = column(rows, number.column) - (column(rows, number.minus) if number.minus else 0.0)
    return top, column(rows, number.over) if number.over else np.ones(len(rows))


def clip_values(rows: Sequence[ClipRow], number: Number) -> np.ndarray:
    """A number of each clip, as the tables show it; NaN where it has none. Shape `(clips,)`."""
    top, bottom = fractions(rows, number)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan) * number.scale


def _known_fractions(rows: Sequence[ClipRow], number: Number) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numerators and denominators of each clip (0 where it has no value), and which clips have one."""
    top, bottom = fractions(rows, number)
    known = np.isfinite(top) & np.isfinite(bottom)
    return np.where(known, top, 0.0), np.where(known, bottom, 0.0), known


def draw_clips(clips: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Numbers of clips drawn with replacement, shape `(resamples, clips)`."""
    return np.random.default_rng(seed).integers(0, max(clips, 1), (resamples, clips))


def interval(values: np.ndarray) -> dict[str, float]:
    """`low` and `high`, the ends of the 95 % interval of bootstrap values (percentile method); NaN without a value."""
    if not len(values):
        return {"low": float("nan"), "high": float("nan")}
    tail = 50 * (1 - CONFIDENCE_LEVEL)
    low, high = np.percentile(values, [tail, 100 - tail])
    return {"low": float(low), "high": float(high)}


def summarize(rows: Sequence[ClipRow], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, dict[str, float]]:
    """Means and corpus-level rates over clips, with bootstrap confidence intervals over clips.

    Args:
        rows (sequence of [`ClipRow`]): clips.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn again, with replacement.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        `dict`: for each metric that at least one clip has: `value`; `low` and `high`, the ends of the 95 % interval
        (percentile method); and `clips`, how many had a value.
    """
    draws = draw_clips(len(rows), resamples, seed)
    summary = {}
    for key, number in SUMMARY.items():
        top, bottom, known = _known_fractions(rows, number)
        if bottom.sum() == 0:
            continue
        drawn = bottom[draws].sum(1)
        values = top[draws].sum(1)[drawn > 0] / drawn[drawn > 0]
        summary[key] = {"value": float(top.sum() / bottom.sum()), **interval(values), "clips": int(known.sum())}
    return summary


def paired_differences(
    rows: Sequence[ClipRow], baseline: Sequence[ClipRow], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, float]]:
    """A system minus a baseline on the same clips, with a paired bootstrap: both are drawn with the same clips.

    Args:
        rows (sequence of [`ClipRow`]): clips of the system.
        baseline (sequence of [`ClipRow`]): the same clips of the baseline, in the same order.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn again, with replacement.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        `dict`: for each metric that at least one clip has in both: `value`, `low` and `high` of the difference, and
        `clips`, how many had a value in both.

    Raises:
        ValueError: if the clips are not the same.
    """
    if [row.key for row in rows] != [row.key for row in baseline]:
        raise ValueError("a paired comparison needs the same clips in the same order.")
    draws = draw_clips(len(rows), resamples, seed)
    differences = {}
    for key, number in SUMMARY.items():
        own_top, own_bottom, own_known = _known_fractions(rows, number)
        other_top, other_bottom, other_known = _known_fractions(baseline, number)
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
    """What a difference says: `"better"` or `"worse"` where its interval leaves 0 out, `"open"` otherwise; also where
    it is of one clip, which has no interval."""
    better = SUMMARY[key].better
    are_few = difference.get("clips", FEWEST_CLIPS) < FEWEST_CLIPS
    if better is None or are_few or difference["low"] <= 0 <= difference["high"]:
        return "open"
    return "better" if (difference["value"] > 0) == (better == "higher") else "worse"


def by_speaker(rows: Sequence[ClipRow]) -> dict[str, list[ClipRow]]:
    """Rows of each speaker, in order of appearance."""
    speakers: dict[str, list[ClipRow]] = {}
    for row in rows:
        speakers.setdefault(row.speaker, []).append(row)
    return speakers


def heard_rows(rows: Sequence[ClipRow], judge: str) -> list[ClipRow]:
    """Rows whose words were recognised by a key of `HEARD` and compared with the sentence."""
    return [row for row in rows if row.heard_by(judge) is not None]


def slot_errors(rows: Sequence[ClipRow]) -> dict[str, dict[str, Any]]:
    """
    Word errors by slot of the sentence, of the judge, of its floor and of the text head.

    Args:
        rows (sequence of [`ClipRow`]): clips; those that say no sentence of GRID have no slots and do not count.

    Returns:
        `dict`: for each key of `HEARD` that there is what `words.count_slots` gives.
    """
    result = {}
    rows = [row for row in rows if is_grid_sentence(row.sentence)]
    for judge in HEARD:
        pairs = [(row.sentence or "", row.heard_by(judge) or "") for row in heard_rows(rows, judge)]
        if pairs:
            result[judge] = count_slots(pairs)
    return result


def bootstrap(
    rows: Sequence[Item], statistic: Callable[[Sequence[Item]], float], resamples: int = RESAMPLES
) -> dict[str, float]:
    """Any statistic of clips, with its 95 % interval over clips.

    Args:
        rows (sequence): clips, in any form.
        statistic (`Callable`): from clips to a number.
        resamples (`int`, *optional*, defaults to 1000): how often the clips are drawn again, with replacement.

    Returns:
        `dict`: `value`, `low`, `high`.
    """
    values = [statistic([rows[index] for index in draw]) for draw in draw_clips(len(rows), resamples)]
    return {"value": float(statistic(rows)), **interval(np.array(values))}


__all__ = [
    "CONFIDENCE_LEVEL",
    "INTERVAL",
    "RESAMPLES",
    "SUMMARY",
    "bootstrap",
    "by_speaker",
    "clip_values",
    "column",
    "draw_clips",
    "fractions",
    "heard_rows",
    "interval",
    "paired_differences",
    "slot_errors",
    "summarize",
    "verdict",
]
