"""Pictures of an evaluation: spread by speaker, confused words, calibration, shifts, and spectrograms of single clips.

Each function draws a `matplotlib.figure.Figure`; `data_uri` turns it into something a web page can hold.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: no window system, nothing global

from ..grammar import GRAMMAR
from ..metrics.registry import BOXED, SUMMARY
from .calibration import confident_rows, selective_wer
from .clips import ClipRow
from .plotting import log_mel_spectrogram, mel_positions, naming_missing_glyphs
from .scoring import SAMPLING_RATE
from .statistics import by_speaker, clip_values, column


BLUE, ORANGE, GRAY, GREEN = "#1f5fa8", "#c8641b", "#6b7280", "#2f7d4f"
LINE_OF_NAMES = 100  # characters below panels as wide as the page, in one line
MISSING = "–"  # a word that was not heard
TICKS_HERTZ = (500, 1000, 2000, 4000, 8000)


def data_uri(figure: Figure, kind: str = "svg") -> str:
    """A figure as a `data:` address.

    Args:
        figure (`matplotlib.figure.Figure`): what is drawn.
        kind (`str`, *optional*, defaults to `"svg"`): or `"png"`, for pictures of many points.

    Returns:
        `str`: for the `src` of an `<img>`.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "lip2wav_hf", "svg.fonttype": "path"}), naming_missing_glyphs():
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=110, metadata=metadata)
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    return Figure(figsize=(width, height), layout=layout)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def draw_boxes(rows: Sequence[ClipRow]) -> Figure | None:
    """
    Box plots of the clips of each speaker, one panel per metric. Boxes are quartiles, whiskers 1.5 times as far.

    Args:
        rows (sequence of [`ClipRow`]): clips.

    Returns:
        `matplotlib.figure.Figure`, *optional*: `None` where no clip has a value.
    """
    speakers = by_speaker(rows)
    shown = [key for key in BOXED if np.isfinite(clip_values(rows, SUMMARY[key])).any()]
    if not shown:
        return None
    columns = min(len(shown), 4 if len(speakers) <= 6 else 2 if len(speakers) <= 14 else 1)
    lines = -(-len(shown) // columns)
    figure = _figure(9.6, 2.1 * lines + 0.2)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, key in zip(panels, shown, strict=False):
        metric = SUMMARY[key]
        values = [clip_values(own, metric) for own in speakers.values()]
        turned = len(speakers) * (max(map(len, speakers)) + 1) > LINE_OF_NAMES / columns
        _draw_boxes(axes, [some[np.isfinite(some)] for some in values], list(speakers), turned)
        axes.set_title(metric.title, fontsize=9)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    return figure


def _draw_boxes(axes: Axes, values: list[np.ndarray], names: list[str], turned: bool) -> None:
    places = np.arange(len(values))
    axes.boxplot(
        values,
        positions=places,
        widths=0.5,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#dbe7f5", "edgecolor": BLUE},
        medianprops={"color": ORANGE, "linewidth": 1.6},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
    )
    generator = np.random.default_rng(0)
    for place, some in zip(places, values, strict=True):
        spread = generator.uniform(-0.17, 0.17, len(some))
        axes.plot(place + spread, some, ".", color=GRAY, markersize=2.6, alpha=0.6)
    axes.set_xticks(places, names, rotation=60 if turned else 0)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    _plain(axes)


def draw_confusion(slot: str, counts: Mapping[str, int], confusions: Mapping[str, Mapping[str, int]]) -> Figure:
    """
    Which word of a slot of the sentence was taken for which.

    Args:
        slot (`str`): a key of `GRAMMAR`.
        counts (mapping): how often each word was spoken.
        confusions (mapping): for each word how often it was taken for which other, `""` for none.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure = _confusion_figure(slot, layout=None)
    _draw_confusion(figure.add_axes(_place_of_confusion(slot)), slot, counts, confusions)
    return figure


def _confusion_figure(slot: str, layout: Literal["constrained"] | None) -> Figure:
    words = len(GRAMMAR[slot])
    return _figure(1.1 + 0.21 * max(words, 6), 0.9 + 0.175 * max(words, 7), layout)


@functools.cache
def _place_of_confusion(slot: str) -> tuple[float, float, float, float]:
    """Where the matrix lies in its figure, which the words around it decide, not its numbers: half of the work."""
    figure = _confusion_figure(slot, layout="constrained")
    axes = figure.subplots()
    _draw_confusion(axes, slot, {}, {})
    data_uri(figure)
    return axes.get_position().bounds


def _draw_confusion(
    axes: Axes, slot: str, counts: Mapping[str, int], confusions: Mapping[str, Mapping[str, int]]
) -> None:
    words = list(GRAMMAR[slot])
    heard_words = words + [MISSING]
    matrix = np.zeros((len(words), len(heard_words)))
    for line, word in enumerate(words):
        others = confusions.get(word, {})
        for heard, number in others.items():
            place = heard_words.index(heard) if heard in words else len(words)
            matrix[line, place] += number
        matrix[line, line] = counts.get(word, 0) - sum(others.values())
    rates = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    right = np.eye(*matrix.shape, dtype=bool)
    for chosen, colours in ((right, "Blues"), (~right, "Oranges")):
        shown = np.where(chosen & (matrix > 0), 0.25 + rates, np.nan)
        axes.imshow(shown, cmap=colours, vmin=0, vmax=1.5, aspect="auto")
    for line, place in zip(*np.nonzero(matrix), strict=True):
        axes.text(
            place,
            line,
            f"{matrix[line, place]:.0f}",
            ha="center",
            va="center",
            fontsize=6.5 if len(words) > 5 else 8,
            color="white" if rates[line, place] > 0.6 else "#111827",
        )
    turned = len(words) == 4 or slot == "digit"
    axes.set_xticks(range(len(heard_words)), heard_words, fontsize=7.5, rotation=45 if turned else 0)
    axes.set_yticks(range(len(words)), words, fontsize=7.5)
    axes.set_title(slot, fontsize=9)
    axes.set_xlabel("recognised", fontsize=8)
    axes.set_ylabel("spoken", fontsize=8)
    lines: dict[str, Any] = {"colors": "#e5e7eb", "linewidth": 0.5, "zorder": 1}
    axes.vlines(np.arange(len(heard_words) + 1) - 0.5, -0.5, len(words) - 0.5, **lines)
    axes.hlines(np.arange(len(words) + 1) - 0.5, -0.5, len(heard_words) - 0.5, **lines)
    axes.margins(0)
    axes.tick_params(length=0)


def draw_calibration(rows: Sequence[ClipRow], calibration: dict[str, Any]) -> Figure:
    """
    Reliability of the words' confidence, and the error rate that remains when unsure clips are dropped.

    Args:
        rows (sequence of [`ClipRow`]): clips.
        calibration (`dict`): as `calibration.calibrate` gives it.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure = _figure(9.6, 3.6)
    left, right = figure.subplots(1, 2)
    _draw_reliability(left, calibration)
    own = confident_rows(rows)
    values = [column(own, name) for name in ("text_errors", "words", "text_confidence")]
    kept = np.arange(1, len(own) + 1) / len(own)
    right.step(100 * kept, [100 * selective_wer(*values, share) for share in kept], color=BLUE, where="pre")
    for entry in calibration["selective"]:
        wer = entry["wer"]
        right.errorbar(
            100 * entry["coverage"],
            100 * wer["value"],
            [[100 * (wer["value"] - wer["low"])], [100 * (wer["high"] - wer["value"])]],
            fmt="o",
            color=ORANGE,
            capsize=3,
            markersize=4,
        )
    right.set_xlim(0, 104)
    right.set_ylim(bottom=0)
    right.set_xlabel("share of the clips kept, the most confident first, %", fontsize=8)
    right.set_ylabel("text-head WER, %", fontsize=8)
    right.set_title("Selective error", fontsize=9)
    right.grid(color="#e5e7eb", linewidth=0.7)
    _plain(right)
    return figure


def _draw_reliability(axes: Axes, calibration: dict[str, Any]) -> None:
    parts = calibration["reliability"]
    axes.plot([0, 1], [0, 1], "--", color=GRAY, linewidth=1, label="perfect calibration")
    widths = [part["high"] - part["low"] for part in parts]
    lows = [part["low"] for part in parts]
    accuracies = [part["accuracy"] for part in parts]
    axes.bar(lows, accuracies, widths, align="edge", color="#dbe7f5", edgecolor=BLUE, label="share of right words")
    axes.plot([part["confidence"] for part in parts], accuracies, "o", color=ORANGE, markersize=4, label="mean of bin")
    for part in parts:
        middle = (part["low"] + part["high"]) / 2
        axes.text(middle, 0.02, f"{part['words']}", ha="center", fontsize=7, color="#374151")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("confidence of a word (below: number of words)", fontsize=8)
    axes.set_ylabel("share of right words", fontsize=8)
    axes.set_title(f"Reliability, expected calibration error {calibration['ece']['value']:.3f}", fontsize=9)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=3, frameon=False)
    _plain(axes)


def draw_shifts(rows: Sequence[ClipRow]) -> Figure:
    """
    How often the alignment chose which shift; and the lip-sync offsets, where they were measured.

    Args:
        rows (sequence of [`ClipRow`]): clips.

    Returns:
        `matplotlib.figure.Figure`.
    """
    offsets = {key: column(rows, key) for key in ("av_offset", "av_offset_original")}
    offsets = {key: values[np.isfinite(values)] for key, values in offsets.items()}
    with_sync = any(len(values) for values in offsets.values())
    figure = _figure(9.6, 2.6)
    panels = figure.subplots(1, 2 if with_sync else 1, squeeze=False)[0]
    shifts = 1000 * column(rows, "shift_seconds")
    panels[0].hist(shifts[np.isfinite(shifts)], np.arange(-42.5, 43, 5), color="#dbe7f5", edgecolor=BLUE)
    panels[0].set_xlabel("shift chosen, ms (positive: the generated speech is late)", fontsize=8)
    panels[0].set_title("Alignment", fontsize=9)
    if with_sync:
        widest = max(3, int(max(np.abs(values).max() for values in offsets.values() if len(values))))
        edges = np.arange(-widest - 0.5, widest + 1)
        names = {"av_offset": ("generated", BLUE, 0.35), "av_offset_original": ("original", ORANGE, 0.0)}
        for key, (name, colour, alpha) in names.items():
            if len(offsets[key]):
                panels[1].hist(
                    offsets[key], edges, label=name, histtype="stepfilled", facecolor=(colour, alpha), edgecolor=colour
                )
        panels[1].set_xlabel("lip-sync offset, video frames of 40 ms", fontsize=8)
        panels[1].set_title("Lip sync", fontsize=9)
        panels[1].legend(fontsize=7, frameon=False)
    for axes in panels:
        axes.set_ylabel("clips", fontsize=8)
        axes.yaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    return figure


def draw_sound(sound: np.ndarray, seconds: float) -> Figure:
    """
    Waveform and mel spectrogram of a sound.

    Args:
        sound (`np.ndarray`, shape `(samples,)`): at 16 kHz.
        seconds (`float`): length of the time axis, so that pictures beside each other agree.

    Returns:
        `matplotlib.figure.Figure`.
    """
    figure = _figure(4.6, 2.5, layout=None)
    places = {"left": 0.09, "right": 0.985, "bottom": 0.145, "top": 0.99, "hspace": 0.03}
    wave, mel = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 3], **places})
    block = 40
    blocks = np.pad(sound, (0, -len(sound) % block)).reshape(-1, block)
    times = (np.arange(len(blocks)) + 0.5) * block / SAMPLING_RATE
    wave.fill_between(times, blocks.min(1), blocks.max(1), color=BLUE, linewidth=0.3)
    limit = max(0.05, 1.05 * float(np.abs(sound).max(initial=0)))
    wave.set_ylim(-limit, limit)
    wave.set_yticks([])
    wave.set_axis_off()
    decibels = log_mel_spectrogram(sound, SAMPLING_RATE)
    extent = (0, len(sound) / SAMPLING_RATE, 0, len(decibels))
    mel.imshow(decibels, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=-80, vmax=0)
    mel.set_yticks(
        mel_positions(TICKS_HERTZ, SAMPLING_RATE, len(decibels)), [f"{hertz / 1000:g}" for hertz in TICKS_HERTZ]
    )
    mel.set_xlim(0, seconds)
    mel.set_ylabel("kHz", fontsize=8)
    mel.set_xlabel("s", fontsize=8, labelpad=1)
    mel.tick_params(labelsize=7.5)
    return figure


__all__ = [
    "data_uri",
    "draw_boxes",
    "draw_calibration",
    "draw_confusion",
    "draw_shifts",
    "draw_sound",
]
