"""The report of an evaluation as text: a table for the terminal, and `report.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import counted
from ..grid.corpus import SPEAKERS
from ..metrics.registry import ALIGNED, METRICS, OF_ORIGINAL, SUMMARY
from .judging import judge_notes, too_short_note, without_sound_note
from .published import HEADINGS, NOTE, PUBLISHED
from .scoring import MAX_SHIFT_SECONDS
from .statistics import verdict


SLOT_NAMES = {"judge": "judge, generated", "floor": "judge, original", "text": "text head"}
VERDICTS = {"better": "better", "worse": "worse", "open": "no clear difference"}
NO_VALUE = "–"

Table = tuple[Sequence[str], list[Sequence[str]]]
"""Headings and rows of texts."""


def markdown_table(results: dict[str, Any]) -> str:
    """The numbers of `results.json` as Markdown tables, with notes on how to read them.

    Args:
        results (`dict`): as `evaluate_model` and `evaluate_folders` return it.

    Returns:
        `str`: Markdown.
    """
    lines = [f"# {results['title']}", "", *_main_table(results), ""]
    for baseline in results.get("baselines", ()):
        lines += [*_baseline_table(baseline), ""]
    lines += _slot_table(results) + [f"- {note}" for note in notes(results)]
    return "\n".join(lines) + "\n"


def markdown_report(results: dict[str, Any]) -> str:
    """`markdown_table`, the calibration of the text head, and published results beside it.

    Args:
        results (`dict`): as `evaluate_model` and `evaluate_folders` return it.

    Returns:
        `str`: Markdown.
    """
    lines = []
    if "calibration" in results:
        lines += ["", "## Confidence of the text head", "", calibration_sentence(results["calibration"]), ""]
        lines += markdown_lines(*selective_table(results["calibration"]))
        lines += [""] + markdown_lines(*reliability_table(results["calibration"]))
    if is_grid(results):
        lines += ["", "## Published results on GRID", "", NOTE, ""]
        lines += markdown_lines(HEADINGS, [row.cells() for row in PUBLISHED])
    return markdown_table(results) + "\n".join(lines) + "\n"


def is_grid(results: Mapping[str, Any]) -> bool:
    """Whether the clips are GRID's: its sentences, said by its speakers. Other people's recordings of such sentences,
    and rendered faces, share neither GRID's faults nor what was published on it."""
    of_grid = bool(results.get("grid_sentences", "judge" in results))
    return of_grid and bool(results["speakers"]) and set(results["speakers"]) <= set(SPEAKERS)


def markdown_lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of texts as Markdown, line by line."""
    return [f"| {' | '.join(headings)} |", f"|---|{'---|' * (len(headings) - 1)}"] + [
        f"| {' | '.join(cells)} |" for cells in rows
    ]


def _main_table(results: dict[str, Any]) -> list[str]:
    columns = {f"all ({counted(results['clips'], 'clip')}), 95 % interval": results["overall"]}
    if len(results["speakers"]) > 1:
        columns |= {f"{speaker} ({own['clips']})": own for speaker, own in results["speakers"].items()}
    lines = []
    for key, metric in SUMMARY.items():
        if key in results["overall"]:
            first, *others = [column.get(key) for column in columns.values()]
            lines.append([metric.title, cell(key, first, True), *(cell(key, other) for other in others)])
    return markdown_lines(["metric", *columns], lines)


def _baseline_table(baseline: dict[str, Any]) -> list[str]:
    headings = (
        f"against {baseline['name']} ({counted(baseline['clips'], 'clip')})",
        f"{baseline['name']}, 95 % interval",
        "difference (paired), 95 % interval",
        "",
    )
    return markdown_lines(headings, [line[1:] for line in differences(baseline)])


def differences(baseline: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Lines of the comparison with a baseline: key, title, its value, the difference, and what that says."""
    return [
        (
            key,
            SUMMARY[key].title,
            cell(key, baseline["overall"][key], True),
            cell(key, difference, True, signed=True),
            VERDICTS[verdict(key, difference)] if SUMMARY[key].better else "",
        )
        for key, difference in baseline["differences"].items()
        if key not in OF_ORIGINAL
    ]


def cell(key: str, value: Mapping[str, Any] | None, interval: bool = False, signed: bool = False) -> str:
    """A number of the table as text.

    Args:
        key (`str`): of the metric, in `SUMMARY`.
        value (`dict`, *optional*): `value`, `low` and `high`.
        interval (`bool`, *optional*, defaults to `False`): add the interval.
        signed (`bool`, *optional*, defaults to `False`): put a plus before what is above 0.

    Returns:
        `str`: such as `"12.3 (9.3 – 15.3)"`; a dash where there is no value.
    """
    if value is None or value["value"] is None:
        return NO_VALUE
    metric = SUMMARY[key]
    texts = [NO_VALUE if value[part] is None else metric.show(value[part]) for part in ("value", "low", "high")]
    if signed:
        texts = [f"+{text}" if text != NO_VALUE and float(text) > 0 else text for text in texts]
    return f"{texts[0]} ({texts[1]} – {texts[2]})" if interval else texts[0]


def _slot_table(results: dict[str, Any]) -> list[str]:
    slots = results["slots"]
    if not slots:
        return []
    first = next(iter(slots.values()))["slot_wer"]
    rows = [
        [SLOT_NAMES[name], *(percent(value) for value in scores["slot_wer"].values())]
        for name, scores in slots.items()
    ]
    return markdown_lines(["word errors by slot, %", *first], rows) + [""]


def percent(share: float | None) -> str:
    """A fraction as a percentage with one decimal place; a dash for `None`."""
    return NO_VALUE if share is None else f"{100 * share:.1f}"


def calibration_sentence(calibration: dict[str, Any]) -> str:
    """The calibration in words."""
    ece, temperature = calibration["ece"], calibration["temperature"]
    leaning = "too sure of itself" if temperature > 1 else "less sure than it could be"
    return (
        f"{calibration['words']} recognised words have a mean confidence of {calibration['confidence']:.3f}; "
        f"{100 * calibration['accuracy']:.1f} % of them are right. Expected calibration error (10 bins): "
        f"{ece['value']:.3f} ({ece['low']:.3f} – {ece['high']:.3f}). The temperature that would have suited these "
        f"words best is {temperature:.2f}: on them the text head is {leaning}."
    )


def selective_table(calibration: dict[str, Any]) -> Table:
    """The word error rate that remains when the least confident clips are dropped."""
    headings = ("clips kept, the most confident first", "confidence at least", "text-head WER, %, 95 % interval")
    return headings, [
        (
            f"{100 * entry['coverage']:.0f} % ({entry['clips']})",
            f"{entry['confidence']:.3f}",
            cell("text_wer", entry["wer"], True),
        )
        for entry in calibration["selective"]
    ]


def reliability_table(calibration: dict[str, Any]) -> Table:
    """Confidence beside accuracy."""
    headings = ("confidence of a word", "words", "mean confidence", "share of right words")
    return headings, [
        (
            f"{part['low']:.1f} – {part['high']:.1f}",
            str(part["words"]),
            f"{part['confidence']:.3f}",
            f"{part['accuracy']:.3f}",
        )
        for part in calibration["reliability"]
    ]


def notes(results: dict[str, Any]) -> list[str]:
    """Notes on how to read the numbers, one or two sentences each."""
    found = judge_notes(results)
    found += _shift_notes(results["overall"], is_grid(results))
    found += results.get("remarks", [])
    found += [without_sound_note(results)] if results.get("without_sound") else []
    found += [too_short_note(results)] if results.get("too_short") else []
    for name, reason in results.get("left_out", {}).items():
        found.append(f"Not measured: {name}: {reason}")
    left = _not_asked_for(results)
    if left:
        found.append(f"Not asked for: {', '.join(left)}.")
    if "timing" in results:
        timing = results["timing"]
        found.append(
            f"Pipeline from the video file: {timing['seconds_per_clip']:.2f} s per clip, real-time factor "
            f"{timing['real_time_factor']:.3f}."
        )
    if results.get("limit"):
        first = "clip" if results["limit"] == 1 else f"{results['limit']} clips"
        found.append(f"Only the first {first} of these {'was' if results['limit'] == 1 else 'were'} measured.")
    found += [_machine_note(results["machine"]), f"Intervals: {results['confidence_interval']}."]
    counts = {
        "failed": len(results["failures"]),
        "silent output (scored as worst)": results["silent_predictions"],
        "original without speech (not scored)": results["unscorable"],
    }
    found.append("Clips: " + "; ".join(f"{name} {count}" for name, count in counts.items()) + ".")
    if results["longest_cut_seconds"] > 0:
        found.append(f"Where lengths differed, the longer was cut, by at most {results['longest_cut_seconds']:.3f} s.")
    return found


def _not_asked_for(results: Mapping[str, Any]) -> list[str]:
    """Metrics that were not computed although these clips would allow them, and no other gave the same numbers."""
    there = [*results["metrics"], *results.get("left_out", {})]
    measured = {number for name in there if name in METRICS for number in METRICS[name].numbers}
    return [
        name
        for name, metric in METRICS.items()
        if name not in there and not metric.occasional and not measured >= set(metric.numbers)
    ]


def _shift_notes(overall: Mapping[str, Any], of_grid: bool) -> list[str]:
    found = []
    if any(SUMMARY[key].group == "in_sync" for key in overall if key in SUMMARY):
        grid = (
            "In GRID the sound is early or late by a video frame and more, by a different amount in each clip: even"
            " the real sound would score low where its mouth says it belongs. "
        )
        found.append(
            f"{grid if of_grid else ''}For the numbers in sync, each original was moved there"
            " by the sync network, which never hears the generated sound."
        )
    if any(key.startswith(ALIGNED) for key in overall):
        found.append(
            "For the aligned numbers each generated clip was moved by at most"
            f" {1000 * MAX_SHIFT_SECONDS:.0f} ms, to where its energy envelope correlates best with the original's."
        )
    return found


def _machine_note(computer: dict[str, Any]) -> str:
    threads = computer["torch_threads"]
    return (
        f"Machine: {computer['cpu']}, {computer['cores']} cores, "
        + (f"{computer['accelerator']}, " if computer["accelerator"] else "")
        + f"torch {computer['torch']} with {counted(threads, 'thread')}; "
        + f"load average {computer['load_average']}."
    )


__all__ = [
    "SLOT_NAMES",
    "calibration_sentence",
    "cell",
    "differences",
    "is_grid",
    "markdown_lines",
    "markdown_report",
    "markdown_table",
    "notes",
    "percent",
    "reliability_table",
    "selective_table",
]
