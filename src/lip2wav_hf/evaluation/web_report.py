"""The report of an evaluation as `report.html`: one file for any browser.

The page holds its style, pictures and sounds in itself; there is no script in it.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import wavfile

from ..metrics.registry import CLIP_NUMBERS, GROUPS, SUMMARY, TILES
from .clips import HEARD, ClipRow, Key, clip_label
from .marking import HEARD_TITLES, marked_words
from .pages import page_templates
from .published import HEADINGS, NOTE, PUBLISHED
from .report import (
    SLOT_NAMES,
    calibration_sentence,
    cell,
    differences,
    is_grid,
    notes,
    percent,
    reliability_table,
    selective_table,
)
from .report_plots import data_uri, draw_boxes, draw_calibration, draw_confusion, draw_shifts, draw_sound
from .scoring import MAX_SHIFT_SECONDS, SAMPLING_RATE, read_original


if TYPE_CHECKING:
    from ..video import VideoPart


TEMPLATE = "report.html.jinja"
SHOWN_CLIPS = 3  # best, median and worst each
RANKED_BY = ("estoi", "stoi", "pesq_wb", "pesq_nb", "corr2d", "text_confidence")  # the first that there is
CONFUSED = ("judge", "text")  # whose confusions are drawn
NO_BREAK, JOINER = "\N{NO-BREAK SPACE}", "\N{WORD JOINER}"
FLOORS = {f"judge_{name}": f"floor_{name}" for name in ("wer", "cer", "phrase_accuracy")}
ARROWS = {"lower": "↓", "higher": "↑"}

Sounds = Mapping[Key, Mapping[str, Any]]


def html_report(rows: Sequence[ClipRow], results: dict[str, Any], sounds: Sounds) -> str:
    """
    The report as one web page, with style, pictures and sounds inside.

    Args:
        rows (sequence of [`ClipRow`]): the clips.
        results (`dict`): what `results.json` holds.
        sounds (mapping): for each clip the sound files, or parts of videos, by what they are: `"generated"`,
            `"original"`, and a baseline's
            name; of files that are missing the page says so.

    Returns:
        `str`: HTML.
    """
    environment = page_templates()
    environment.filters |= {"percent": percent, "together": _together}
    published = {"headings": HEADINGS, "rows": [row.cells() for row in PUBLISHED], "note": NOTE}
    return environment.get_template(TEMPLATE).render(
        results=results,
        facts=_facts(results),
        tiles=[_tile(key, results["overall"]) for key in TILES if key in results["overall"]],
        groups=_groups(results),
        speakers={name: own["clips"] for name, own in results["speakers"].items()},
        baselines=[{**baseline, "lines": differences(baseline)} for baseline in results.get("baselines", ())],
        slot_names=SLOT_NAMES,
        calibration=_calibration(results),
        pictures=_pictures(rows, results),
        confusions=[_confusions(name, results["slots"][name]) for name in CONFUSED if name in results["slots"]],
        clip_groups=_clip_groups(rows, sounds),
        published=published if is_grid(results) else None,
        of_grid=is_grid(results),
        remarks=results.get("remarks", []),
        notes=notes(results),
        max_shift=f"{1000 * MAX_SHIFT_SECONDS:.0f}",
    )


def _together(text: str) -> str:
    """A number with its interval, which a narrow table breaks before the interval only."""
    value, parenthesis, rest = text.partition("(")
    return value + (parenthesis + rest).replace(" – ", f"{NO_BREAK}–{JOINER}{NO_BREAK}")


def _facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    names = list(results["speakers"])
    speakers = ", ".join(names) if len(names) <= 8 else f"{len(names)}"
    titles = {"model": "model", "data": "data", "split_scheme": "split scheme", "split": "split"}
    facts = [(title, str(results[key])) for key, title in titles.items() if key in results]
    limit = f" (--limit {results['limit']})" if results.get("limit") else ""
    facts += [("clips", f"{results['clips']}{limit}"), ("speakers", speakers)]
    if results.get("model_sha256"):
        facts.append(("weights (SHA-256)", f"{results['model_sha256'][:12]}…"))
    if results["failures"]:
        facts.append(("failed", str(len(results["failures"]))))
    return facts


def _tile(key: str, overall: Mapping[str, dict[str, float]]) -> dict[str, str]:
    """A main number; that of the judge beside what it makes of the original sound."""
    number, value, floor = SUMMARY[key], overall[key], overall.get(FLOORS.get(key, ""))
    unit = {"%": " %", "dB": " dB"}.get(number.unit, "")
    hint = {"lower": "lower is better", "higher": "higher is better"}.get(number.better or "", "")
    hint = hint if floor is None else f"{hint}; the original: {number.show(floor['value'])}{unit}"
    low, high = number.show(value["low"]), number.show(value["high"])
    return {
        "label": number.label,
        "value": number.show(value["value"]) + unit,
        "range": f"{low} – {high}",
        "hint": hint,
    }


def _groups(results: dict[str, Any]) -> list[dict[str, Any]]:
    groups = []
    for name, title in GROUPS.items():
        lines = [
            {
                "title": number.title,
                "better": ARROWS.get(number.better or "", ""),
                "overall": cell(key, results["overall"][key], True),
                "speakers": [cell(key, own.get(key)) for own in results["speakers"].values()],
            }
            for key, number in SUMMARY.items()
            if number.group == name and key in results["overall"]
        ]
        if lines:
            groups.append({"title": title, "lines": lines})
    return groups


def _calibration(results: dict[str, Any]) -> dict[str, Any] | None:
    if "calibration" not in results:
        return None
    tables = (selective_table(results["calibration"]), reliability_table(results["calibration"]))
    return {"sentence": calibration_sentence(results["calibration"]), "tables": tables}


def _pictures(rows: Sequence[ClipRow], results: dict[str, Any]) -> dict[str, str]:
    pictures = {}
    boxes = draw_boxes(rows)
    if boxes is not None:
        pictures["boxes"] = data_uri(boxes)
    if "calibration" in results:
        pictures["calibration"] = data_uri(draw_calibration(rows, results["calibration"]))
    if "shift_seconds" in results["overall"]:
        pictures["shifts"] = data_uri(draw_shifts(rows))
    return pictures


def _confusions(name: str, slots: dict[str, Any]) -> dict[str, Any]:
    """The confused words of one judge: a picture per slot, or none where nothing at all was recognised."""
    clips = max((sum(words.values()) for words in slots["counts"].values()), default=0)
    silent = slots["empty"] == clips
    pictures = [
        {"slot": slot, "picture": data_uri(draw_confusion(slot, counts, slots["confusions"][slot]))}
        for slot, counts in ({} if silent else slots["counts"]).items()
    ]
    return {"name": SLOT_NAMES[name], "clips": clips, "pictures": pictures}


def ranking(rows: Iterable[ClipRow]) -> str | None:
    """The column by which clips are called best and worst: the first of `RANKED_BY` that there is."""
    rows = list(rows)
    return next((key for key in RANKED_BY if any(not math.isnan(row.value(key)) for row in rows)), None)


def pick_clips(rows: Iterable[ClipRow], count: int = SHOWN_CLIPS) -> dict[str, list[ClipRow]]:
    """
    The best, the median and the worst clips, none of them twice.

    Args:
        rows (iterable of [`ClipRow`]): clips.
        count (`int`, *optional*, defaults to 3): how many of each.

    Returns:
        `dict`: rows under `"best"`, `"median"` and `"worst"`; fewer where there are not enough clips.
    """
    rows = list(rows)
    key = ranking(rows)
    if key is None:
        return {"best": [], "median": [], "worst": []}
    scored = [row for row in rows if not math.isnan(row.value(key))]
    scored.sort(key=lambda row: row.value(key), reverse=True)
    count = max(1, min(count, len(scored) // 3))
    middle = max(count, (len(scored) - count) // 2)
    return {
        "best": scored[:count],
        "median": scored[middle : min(middle + count, len(scored) - 1)],
        "worst": scored[max(count, len(scored) - count) :],
    }


def _clip_groups(rows: Sequence[ClipRow], sounds: Sounds) -> list[dict[str, Any]]:
    key = ranking(rows)
    label = SUMMARY[key].title if key else ""
    return [
        {"title": f"{title.capitalize()} by {label}", "clips": [_clip(row, sounds) for row in chosen]}
        for title, chosen in pick_clips(rows).items()
        if chosen
    ]


def _clip(row: ClipRow, sounds: Sounds) -> dict[str, Any]:
    name = clip_label(row.key)
    heard = {judge: row.heard_by(judge) for judge in HEARD}
    values = {key: row.value(key) for key in CLIP_NUMBERS}
    return {
        "name": name,
        "sentence": row.sentence or "",
        "lines": [
            (HEARD_TITLES[judge], marked_words(row.sentence, text))
            for judge, text in heard.items()
            if text is not None
        ],
        "numbers": [
            (SUMMARY[key].label, SUMMARY[key].show(value)) for key, value in values.items() if not math.isnan(value)
        ],
        "sounds": [_sound(kind, path, row.seconds, name) for kind, path in sounds.get(row.key, {}).items()],
    }


def _sound(kind: str, path: Path | VideoPart, seconds: float, name: str) -> dict[str, Any]:
    if isinstance(path, Path) and not path.is_file():
        return {"kind": kind, "missing": path.name}
    sound = read_original(path)
    if sound is None:
        return {"kind": kind, "silent": True}
    return {
        "kind": kind,
        "picture": data_uri(draw_sound(sound, seconds), "png"),
        "alt": f"Waveform and mel spectrogram of {name}, {kind}",
        "audio": _audio_uri(sound),
        "label": f"{name}, {kind}",
    }


def _audio_uri(sound: np.ndarray) -> str:
    """A sound as 16 kHz, 16-bit WAV in a `data:` address, which every browser plays."""
    samples = np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    wavfile.write(buffer, SAMPLING_RATE, samples)
    return f"data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


__all__ = ["html_report", "pick_clips", "ranking"]
