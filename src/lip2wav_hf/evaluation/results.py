"""What an evaluation writes: `results.json`, `report.md` and `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..files import json_ready, read_fields, write_json, write_text
from ..machine import machine, versions
from ..metrics.judge import GRID_JUDGE
from ..metrics.words import is_grid_sentence
from .baselines import compare
from .calibration import calibrate
from .clips import Clip, ClipRow, Key
from .judging import Words, too_short, without_sound
from .options import EvaluationError, EvaluationOptions
from .report import markdown_report
from .run import RESULTS, Share
from .scoring import SAMPLING_RATE
from .statistics import INTERVAL, by_speaker, column, slot_errors, summarize
from .systems import Measured


Sounds = dict[Key, dict[str, Any]]
"""Sound files, or parts of videos, of each clip by what they are."""


def build_results(
    system: Measured,
    compared: Sequence[Measured] = (),
    more: Mapping[str, Any] | None = None,
    words: Words = Words(GRID_JUDGE),
) -> dict[str, Any]:
    """
    The contents of `results.json`. Rates are fractions, times are in seconds.

    Args:
        system ([`Measured`]): the system under test.
        compared (sequence of [`Measured`], *optional*): the baselines.
        more (mapping, *optional*): what else is to stand beside the settings.
        words ([`Words`], *optional*): who heard the words; the judge of GRID by default.

    Returns:
        `dict`: see `evaluate_model`.
    """
    rows = system.rows
    outcomes = [row.outcomes for row in rows]
    results: dict[str, Any] = {
        **system.settings,
        **(more or {}),
        "clips": len(rows),
        "failures": [{"clip": failure.clip, "error": failure.error} for failure in system.failures],
        "overall": summarize(rows),
        "speakers": {speaker: {"clips": len(own)} | summarize(own) for speaker, own in by_speaker(rows).items()},
        "slots": slot_errors(rows),
        "baselines": [compare(system, other) for other in compared],
        "silent_predictions": sum("silent prediction" in outcome for outcome in outcomes),
        "unscorable": sum("unscorable" in outcome for outcome in outcomes),
        "longest_cut_seconds": max((row.cut_seconds or 0.0 for row in rows), default=0.0),
        "grid_sentences": bool(rows) and all(is_grid_sentence(row.sentence) for row in rows),
        "confidence_interval": INTERVAL,
        "sampling_rate": SAMPLING_RATE,
        "machine": machine(),
        "versions": versions(),
    }
    calibration = calibrate(rows)
    if calibration is not None:
        results["calibration"] = calibration
    results |= words.results(rows)
    silent, missing = without_sound(rows, results.get("metrics", ()))
    if silent:
        results["without_sound"] = silent
    short = too_short(rows, results.get("metrics", ()))
    if short:
        results["too_short"] = short
    if missing:
        results["left_out"] = {**results.get("left_out", {}), **missing}
    timing = _timing(rows, system.load_seconds)
    return results | ({"timing": timing} if timing else {})


def _timing(rows: Sequence[ClipRow], load_seconds: float | None) -> dict[str, float] | None:
    process, spoken = column(rows, "process_seconds"), column(rows, "generated_seconds")
    timed = np.isfinite(process)
    if not timed.any():
        return None
    timing = {
        "seconds_per_clip": float(process[timed].mean()),
        "real_time_factor": float(process[timed].sum() / max(spoken[timed].sum(), 1e-9)),
    }
    return timing if load_seconds is None else timing | {"load_seconds": load_seconds}


def publish(
    system: Measured,
    results: Mapping[str, Any],
    clips: Sequence[Clip],
    compared: Sequence[Measured],
    options: EvaluationOptions,
    share: Share,
) -> dict[str, Any]:
    """
    Write all files, in the main process; every process returns the same results.

    Args:
        system ([`Measured`]): the system under test.
        results (mapping): as [`build_results`] gives them.
        clips (sequence of [`Clip`]): the clips, for their originals.
        compared (sequence of [`Measured`]): the baselines.
        options ([`EvaluationOptions`]): where to, and whether with `report.html`.
        share ([`Share`]): the part of this process.
    """
    folder = options.output_dir
    if share.is_main:
        written = json_ready(dict(results))
        write_json(folder / RESULTS, written)
        write_text(folder / "report.md", markdown_report(written))
        page = folder / "report.html"
        if options.report:
            from .web_report import html_report  # brings jinja2 and matplotlib

            write_text(page, html_report(system.rows, written, _sounds(system, clips, compared)))
        else:
            page.unlink(missing_ok=True)
    share.wait()
    return read_fields(folder / RESULTS, EvaluationError)


def _sounds(system: Measured, clips: Sequence[Clip], compared: Sequence[Measured]) -> Sounds:
    """Sound files of each clip by what they are."""
    sounds: Sounds = {clip.key: {"generated": system.sounds[clip.key], "original": clip.original} for clip in clips}
    for other in compared:
        for key in sounds.keys() & other.sounds.keys():
            sounds[key][other.name] = other.sounds[key]
    return sounds


__all__ = ["build_results", "publish"]
