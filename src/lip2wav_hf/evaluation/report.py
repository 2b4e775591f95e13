"""The report of an evaluation: a table for the terminal, `report.md`, and `report.html`, one file for any browser.

The web page holds its style, pictures and sounds in itself; there is no script in it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .calibration import correct_words
from .published import HEADINGS, NOTE, PUBLISHED
from .scoring import ALIGNED, CLIP_METRICS, MAX_SHIFT_SECONDS
from .statistics import GROUPS, SUMMARY, column, verdict


TEMPLATE = "report.html.jinja"
SHOWN_CLIPS = 3  # best, median and worst each
RANKED_BY = ("estoi", "stoi", "pesq_wb", "pesq_nb", "corr2d")  # the first that there is
SLOT_NAMES = {"judge": "judge, generated", "floor": "judge, original", "text": "text head"}
TILES = ("judge_wer", "text_wer", "pesq_nb", "stoi", "estoi", "mcd", "dnsmos_ovrl", "speaker_similarity")
CLIP_NUMBERS = ("pesq_nb", "pesq_wb", "stoi", "estoi", "mcd", "dnsmos_ovrl", "speaker_similarity", "text_confidence")
VERDICTS = {"better": "better", "worse": "worse", "open": "not told apart"}
NO_VALUE = "–"

Sounds = Mapping[tuple[str, str], Mapping[str, Path]]


# Markdown ------------------------------------------------------------------------------------------------------------


def markdown_table(results: dict[str, Any]) -> str:
    """The numbers of `results.json` as Markdown tables, with what must be known to read them.

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
        lines += _markdown(*_selective_table(results["calibration"]))
        lines += [""] + _markdown(*_reliability_table(results["calibration"]))
    lines += ["", "## Published results on GRID", "", NOTE, ""]
    lines += _markdown(HEADINGS, [row.cells() for row in PUBLISHED])
    return markdown_table(results) + "\n".join(lines) + "\n"


def _markdown(headings, rows) -> list[str]:
    return [f"| {' | '.join(headings)} |", f"|---|{'---|' * (len(headings) - 1)}"] + [
        f"| {' | '.join(cells)} |" for cells in rows
    ]


def _main_table(results: dict[str, Any]) -> list[str]:
    columns = {f"all ({results['clips']} clips), 95 % interval": results["overall"]}
    if len(results["speakers"]) > 1:
        columns |= {f"{speaker} ({own['clips']})": own for speaker, own in results["speakers"].items()}
    lines = []
    for key, metric in SUMMARY.items():
        if key in results["overall"]:
            first, *others = [column.get(key) for column in columns.values()]
            lines.append([metric.title, cell(key, first, True), *(cell(key, other) for other in others)])
    return _markdown(["metric", *columns], lines)


def _baseline_table(baseline: dict[str, Any]) -> list[str]:
    headings = (
        f"against {baseline['name']} ({baseline['clips']} clips)",
        f"{baseline['name']}, 95 % interval",
        "difference (paired), 95 % interval",
        "",
    )
    return _markdown(headings, [line[1:] for line in _differences(baseline)])


def _differences(baseline: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            key,
            SUMMARY[key].title,
            cell(key, baseline["overall"][key], True),
            cell(key, difference, True, signed=True),
            VERDICTS[verdict(key, difference)] if SUMMARY[key].better else "",
        )
        for key, difference in baseline["differences"].items()
        if SUMMARY[key].plus not in ("floor_errors", "dnsmos_ovrl_original")
    ]


def cell(key: str, value: dict[str, float] | None, interval: bool = False, signed: bool = False) -> str:
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
    texts = [metric.show(value[part]) for part in ("value", "low", "high")]
    if signed:
        texts = [f"+{text}" if float(text) > 0 else text for text in texts]
    return f"{texts[0]} ({texts[1]} – {texts[2]})" if interval else texts[0]


def _slot_table(results: dict[str, Any]) -> list[str]:
    slots = results["slots"]
    if not slots:
        return []
    first = next(iter(slots.values()))["slot_wer"]
    rows = [
        [SLOT_NAMES[name], *(f"{100 * value:.1f}" for value in scores["slot_wer"].values())]
        for name, scores in slots.items()
    ]
    return _markdown(["word errors by slot, %", *first], rows) + [""]


def calibration_sentence(calibration: dict[str, Any]) -> str:
    """What the calibration says, in words."""
    ece, temperature = calibration["ece"], calibration["temperature"]
    leaning = "too sure of itself" if temperature > 1 else "less sure than it could be"
    return (
        f"{calibration['words']} recognised words have a mean confidence of {calibration['confidence']:.3f}; "
        f"{100 * calibration['accuracy']:.1f} % of them are right. Expected calibration error (10 bins): "
        f"{ece['value']:.3f} ({ece['low']:.3f} – {ece['high']:.3f}). The temperature that would have suited these "
        f"words best is {temperature:.2f}: on them the text head is {leaning}."
    )


def _selective_table(calibration: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    headings = ("clips kept, the most confident first", "confidence at least", "text-head WER, %, 95 % interval")
    return headings, [
        (
            f"{100 * entry['coverage']:.0f} % ({entry['clips']})",
            f"{entry['confidence']:.3f}",
            cell("text_wer", entry["wer"], True),
        )
        for entry in calibration["selective"]
    ]


def _reliability_table(calibration: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
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
    """What must be known to read the numbers, a sentence or two each."""
    found = []
    if "judge" in results:
        found.append(
            f"Judge: {results['judge']}; reference: the sentence; corpus-level WER. "
            f"Chance (guessing from the grammar): {100 * results['chance_wer']:.0f} %."
        )
    if any(key.startswith(ALIGNED) for key in results["overall"]):
        found.append(
            "GRID's own sound is early or late by a video frame and more, by another amount in each clip: even it"
            " would score low where its mouth says it belongs. For the numbers in sync each original was moved there"
            " by the sync network, which never hears the generated sound. For the aligned ones each generated clip was"
            f" moved by at most {1000 * MAX_SHIFT_SECONDS:.0f} ms, to where its energy envelope correlates best with"
            " the original's."
        )
    for name, reason in results.get("left_out", {}).items():
        found.append(f"Not measured: {name}: {reason}")
    left = [name for name in CLIP_METRICS if name not in [*results["metrics"], *results.get("left_out", {})]]
    if left:
        found.append(f"Not asked for: {', '.join(left)}.")
    if "timing" in results:
        timing = results["timing"]
        found.append(
            f"Pipeline from the video file: {timing['seconds_per_clip']:.2f} s a clip, real-time factor "
            f"{timing['real_time_factor']:.3f}."
        )
    counts = {
        "failed": len(results["failures"]),
        "silent output (scored as worst)": results["silent_predictions"],
        "original without speech (not scored)": results["unscorable"],
    }
    found += [_machine_note(results["machine"]), f"Intervals: {results['confidence_interval']}."]
    found.append("Clips: " + "; ".join(f"{name} {count}" for name, count in counts.items()) + ".")
    if results["longest_cut_seconds"] > 0:
        found.append(f"Of unequal lengths the longer was cut: by at most {results['longest_cut_seconds']:.3f} s.")
    return found


def _machine_note(computer: dict[str, Any]) -> str:
    return (
        f"Machine: {computer['cpu']}, {computer['cores']} cores, "
        + (f"{computer['accelerator']}, " if computer["accelerator"] else "")
        + f"torch {computer['torch']} with {computer['torch_threads']} threads; "
        + f"load average {computer['load_average']}."
    )


# The web page --------------------------------------------------------------------------------------------------------


def html_report(rows: list[dict[str, Any]], results: dict[str, Any], sounds: Sounds) -> str:
    """The report as one web page, with style, pictures and sounds inside.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`.
        results (`dict`): what `results.json` holds.
        sounds (mapping): for each speaker and name the sound files by what they are: `"generated"`, `"original"`, and
            a baseline's name; files that are missing are told of.

    Returns:
        `str`: HTML.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("lip2wav_hf", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(TEMPLATE).render(
        results=results,
        facts=_facts(results),
        tiles=[_tile(key, results["overall"][key]) for key in TILES if key in results["overall"]],
        groups=_groups(results),
        speakers={name: own["clips"] for name, own in results["speakers"].items()},
        baselines=[{**baseline, "lines": _differences(baseline)} for baseline in results.get("baselines", ())],
        slot_names=SLOT_NAMES,
        calibration=_calibration(results),
        pictures=_pictures(rows, results),
        clip_groups=_clip_groups(rows, results, sounds),
        published={"headings": HEADINGS, "rows": [row.cells() for row in PUBLISHED], "note": NOTE},
        notes=notes(results),
    )


def _facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    names = list(results["speakers"])
    speakers = ", ".join(names) if len(names) <= 8 else f"{len(names)}"
    facts = [("clips", str(results["clips"])), ("speakers", speakers)]
    for key in ("model", "data", "split"):
        if key in results:
            facts.insert(-2, (key, str(results[key])))
    if results.get("model_sha256"):
        facts.append(("weights (SHA-256)", f"{results['model_sha256'][:12]}…"))
    if results["failures"]:
        facts.append(("failed", str(len(results["failures"]))))
    return facts


def _tile(key: str, value: dict[str, float]) -> dict[str, str]:
    metric = SUMMARY[key]
    unit = {"%": " %", "dB": " dB"}.get(metric.unit, "")
    arrow = {"lower": "lower is better", "higher": "higher is better"}.get(metric.better or "", "")
    low, high = metric.show(value["low"]), metric.show(value["high"])
    return {
        "label": metric.label,
        "value": metric.show(value["value"]) + unit,
        "range": f"{low} – {high}",
        "hint": arrow,
    }


def _groups(results: dict[str, Any]) -> list[dict[str, Any]]:
    groups = []
    for name, title in GROUPS.items():
        lines = [
            {
                "title": metric.title,
                "better": {"lower": "↓", "higher": "↑"}.get(metric.better or "", ""),
                "overall": cell(key, results["overall"][key], True),
                "speakers": [cell(key, own.get(key)) for own in results["speakers"].values()],
            }
            for key, metric in SUMMARY.items()
            if metric.group == name and key in results["overall"]
        ]
        if lines:
            groups.append({"title": title, "lines": lines})
    return groups


def _calibration(results: dict[str, Any]) -> dict[str, Any] | None:
    if "calibration" not in results:
        return None
    tables = (_selective_table(results["calibration"]), _reliability_table(results["calibration"]))
    return {"sentence": calibration_sentence(results["calibration"]), "tables": tables}


def _pictures(rows: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, Any]:
    from .report_plots import data_uri, draw_boxes, draw_calibration, draw_confusions, draw_shifts

    pictures: dict[str, Any] = {"boxes": data_uri(draw_boxes(rows)), "confusions": {}}
    for name in ("judge", "text"):
        if name in results["slots"]:
            pictures["confusions"][name] = data_uri(draw_confusions(results["slots"][name]))
    if "calibration" in results:
        pictures["calibration"] = data_uri(draw_calibration(rows, results["calibration"]))
    if "shift_seconds" in results["overall"]:
        pictures["shifts"] = data_uri(draw_shifts(rows))
    return pictures


def ranking(rows: list[dict[str, Any]]) -> str | None:
    """The metric by which clips are called best and worst: the first of `RANKED_BY` that there is."""
    return next((key for key in RANKED_BY if any(row.get(key) == row.get(key) != None for row in rows)), None)  # noqa: E711


def pick_clips(rows: list[dict[str, Any]], count: int = SHOWN_CLIPS) -> dict[str, list[dict[str, Any]]]:
    """The best, the median and the worst clips, none of them twice.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`.
        count (`int`, *optional*, defaults to 3): how many of each.

    Returns:
        `dict`: rows under `"best"`, `"median"` and `"worst"`; fewer where there are not enough clips.
    """
    key = ranking(rows)
    if key is None:
        return {"best": [], "median": [], "worst": []}
    values = column(rows, key)
    scored = [row for row, value in zip(rows, values) if value == value]
    scored.sort(key=lambda row: row[key], reverse=True)
    count = max(1, min(count, len(scored) // 3))
    middle = max(count, (len(scored) - count) // 2)
    return {
        "best": scored[:count],
        "median": scored[middle : min(middle + count, len(scored) - 1)],
        "worst": scored[max(count, len(scored) - count) :],
    }


def _clip_groups(rows: list[dict[str, Any]], results: dict[str, Any], sounds: Sounds) -> list[dict[str, Any]]:
    key = ranking(rows)
    label = SUMMARY[key].title if key else ""
    return [
        {"title": f"{title.capitalize()} by {label}", "clips": [_clip(row, sounds) for row in chosen]}
        for title, chosen in pick_clips(rows).items()
        if chosen
    ]


def _clip(row: dict[str, Any], sounds: Sounds) -> dict[str, Any]:
    seconds = max(row["generated_seconds"], row["original_seconds"])
    name = row["name"] if row["speaker"] == "all" else f"{row['speaker']}/{row['name']}"
    lines = [
        (title, marked_words(row.get("sentence"), row[key]))
        for title, key in (
            ("judge hears", "transcript"),
            ("judge hears in the original", "floor_transcript"),
            ("text head", "text"),
        )
        if row.get("sentence") and key in row and row.get("sentence") is not None and (row[key] or key != "text")
    ]
    values = [
        (SUMMARY[key].label, SUMMARY[key].show(row[key]))
        for key in CLIP_NUMBERS
        if row.get(key) is not None and row[key] == row[key]
    ]
    files = sounds.get((row["speaker"], row["name"]), {})
    return {
        "name": name,
        "sentence": row.get("sentence") or "",
        "lines": lines,
        "numbers": values,
        "sounds": [_sound(kind, path, seconds, name) for kind, path in files.items()],
    }


def marked_words(sentence: str | None, text: str) -> list[tuple[str, bool]]:
    """The words of a text, and whether each is right.

    Args:
        sentence (`str`, *optional*): the words spoken.
        text (`str`): the words recognised.

    Returns:
        `list[tuple[str, bool]]`: one for each word of the text.
    """
    return list(zip(text.split(), correct_words(sentence or "", text)))


def _sound(kind: str, path: Path, seconds: float, name: str) -> dict[str, Any]:
    from .report_plots import data_uri, draw_sound

    if not path.is_file():
        return {"kind": kind, "missing": path.name}
    return {
        "kind": kind,
        "picture": data_uri(draw_sound(path, seconds), "png"),
        "alt": f"Waveform and mel spectrogram of {name}, {kind}",
        "audio": _audio_uri(path),
        "label": f"{name}, {kind}",
    }


def _audio_uri(path: Path) -> str:
    """A sound file as 16 kHz, 16-bit WAV in a `data:` address, which every browser plays."""
    import numpy as np
    from scipy.io import wavfile

    from .scoring import SAMPLING_RATE, read_sound

    samples = np.clip(np.round(read_sound(path) * 32767), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    wavfile.write(buffer, SAMPLING_RATE, samples)
    return f"data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


__all__ = [
    "calibration_sentence",
    "cell",
    "html_report",
    "markdown_report",
    "markdown_table",
    "marked_words",
    "notes",
    "pick_clips",
    "ranking",
]
