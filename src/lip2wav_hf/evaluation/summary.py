"""What `lip2wav evaluate` prints: the main numbers, the comparison in a line, and who is served worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import counted
from ..metrics.registry import SUMMARY, TILES
from .judging import phrases_note, too_short_note, without_sound_note
from .report import VERDICTS, cell, differences


MAIN = ("floor_wer", "floor_cer", "floor_phrase_accuracy", *TILES)
"""Keys of the numbers that are printed, where there are any: the report's main ones, and the judge's floors."""

RANKED_BY = ("judge_wer", "text_wer", "estoi", "stoi", "pesq_wb", "pesq_nb")
"""Keys by which the worst speaker is found: the first that every speaker has."""


def terminal_summary(results: dict[str, Any]) -> str:
    """
    The few lines that matter.

    Args:
        results (`dict`): as `evaluate_model` and `evaluate_folders` return it.

    Returns:
        `str`: lines for a terminal.
    """
    lines = [f"{results['title']}: {counted(results['clips'], 'clip')}", *_numbers(results["overall"])]
    worst = _worst_speaker(results["speakers"])
    lines += [worst] if worst else []
    lines += [phrases_note(results["phrases"])] if "phrases" in results else []
    lines += [without_sound_note(results)] if results.get("without_sound") else []
    lines += [too_short_note(results)] if results.get("too_short") else []
    lines += [_comparison(baseline) for baseline in results.get("baselines", ())]
    return "\n".join(lines)


def _numbers(overall: dict[str, Any]) -> list[str]:
    shown = [key for key in SUMMARY if key in MAIN and key in overall] or list(overall)[: len(MAIN)]
    titles = {key: SUMMARY[key].title for key in shown}
    width = max(map(len, titles.values()), default=0)
    return [f"  {titles[key]:<{width}}  {cell(key, overall[key], True)}" for key in shown]


def _worst_speaker(speakers: dict[str, Any]) -> str | None:
    """The speaker whose numbers are worst; `None` with one speaker, or without numbers that all of them have."""

    def value(name: str, key: str) -> float | None:
        return speakers[name].get(key, {}).get("value")

    key = next((key for key in RANKED_BY if all(value(name, key) is not None for name in speakers)), None)
    if key is None or len(speakers) < 2:
        return None
    sign = 1 if SUMMARY[key].better == "lower" else -1
    worst = max(speakers, key=lambda name: sign * (value(name, key) or 0.0))
    own = speakers[worst]
    return (
        f"worst speaker of {len(speakers)}: {worst}, {SUMMARY[key].title} {cell(key, own[key])}"
        f" ({counted(own['clips'], 'clip')})"
    )


def _comparison(baseline: dict[str, Any]) -> str:
    labels: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS.values()}
    for key, _, _, _, said in differences(baseline):
        if said:
            labels[said].append(SUMMARY[key].label)
    parts = [f"{said} in {_some(labels[said])}" for said in ("better", "worse") if labels[said]]
    unclear = labels[VERDICTS["open"]]
    parts += [f"{VERDICTS['open']} in {counted(len(unclear), 'number')}"] if unclear else []
    return f"against {baseline['name']} ({counted(baseline['clips'], 'clip')}): " + ("; ".join(parts) or "no numbers")


def _some(labels: Sequence[str], most: int = 4) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


__all__ = ["terminal_summary"]
