"""One picture of what was seen and said: mouth crops, waveform, mel spectrogram and words, over time."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import replacing


if TYPE_CHECKING:  # matplotlib is imported when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_GLYPH = re.compile(r"Glyph (\d+) .*missing from font")
_NAMED: set[str] = set()  # characters that were named already
MOST_NAMED = 10
MAX_CROPS = 24
MAX_COLUMNS = 4000  # of the spectrogram; of longer speech fewer are taken

# Sizes in inches.
LEFT, RIGHT, TOP, TITLE, BOTTOM = 0.75, 0.9, 0.12, 0.32, 0.5  # margins
CROPS, WAVEFORM, SPECTROGRAM, SPACE = 0.75, 1.15, 2.2, 0.06  # heights of the panels, and what lies between them
TICK_SPACE = 0.16  # from the middle of one tick's label to that of the next, at least
BAR, ROW, GAP = 0.3, 0.21, 0.1  # of the words: height of their boxes and of a row of labels, space between labels

LABEL_SIZE = 9  # points
FINE_SCALE = 0.5  # inches per second: on a coarser time axis, lines at each word would hide what is below them


@contextlib.contextmanager
def naming_missing_glyphs() -> Generator[None]:
    """While something is drawn: characters that no font has are named once, in our words; others' warnings go on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing = set()
    for each in caught:
        if found := _GLYPH.match(str(each.message)):
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    missing -= _NAMED
    _NAMED.update(missing)
    if missing:
        logger.warning(
            "no font that pictures are drawn with has %s: boxes stand there instead",
            " ".join(sorted(missing)[:MOST_NAMED]) + (" …" if len(missing) > MOST_NAMED else ""),
        )


def plot_speech(
    path: str | os.PathLike[str],
    audio: np.ndarray,
    sampling_rate: int,
    words: Sequence[Mapping[str, Any]] = (),
    crops: np.ndarray | None = None,
    frame_rate: float = 25.0,
    title: str | None = None,
) -> None:
    """
    Write a picture with mouth crops, waveform, mel spectrogram and words on one time axis.

    Args:
        path (`str` or `os.PathLike`): Where to write, as `.png`, `.svg` or `.pdf`. It appears whole or not at all.
        audio (`np.ndarray` of shape `(samples,)`): Speech in [-1, 1].
        sampling_rate (`int`): Of `audio`, in Hz.
        words (list of dicts with `"word"`, `"start"`, `"end"`, `"confidence"`, *optional*): Times in seconds.
        crops (`np.ndarray` of shape `(frames, height, width)`, *optional*): Gray mouth crops, uint8.
        frame_rate (`float`, *optional*, defaults to 25.0): Of `crops`, in frames/s.
        title (`str`, *optional*): Above the picture.
    """
    with naming_missing_glyphs(), replacing(path) as temporary:
        figure = draw_speech(audio, sampling_rate, words, crops, frame_rate, title)
        figure.savefig(temporary, dpi=110)


def draw_speech(
    audio: np.ndarray,
    sampling_rate: int,
    words: Sequence[Mapping[str, Any]] = (),
    crops: np.ndarray | None = None,
    frame_rate: float = 25.0,
    title: str | None = None,
) -> Figure:
    """As [`plot_speech`], but returns the `matplotlib.figure.Figure` instead of writing it."""
    from matplotlib.figure import Figure  # without pyplot: no window system, nothing global

    duration = max(len(audio) / sampling_rate, 1e-3)
    width = float(np.clip(6 + 2.4 * duration, 8, 24))
    scale = (width - LEFT - RIGHT) / duration  # inches per second
    labels = place_labels(words, duration, scale)
    heights = [CROPS, WAVEFORM, SPECTROGRAM, BAR + ROW * max((label.row for label in labels), default=0)]
    top = TOP + (TITLE if title else 0)
    height = top + sum(heights) + 3 * SPACE + BOTTOM
    figure = Figure(figsize=(width, height))
    strip, wave, mel, text = panels = figure.subplots(
        4,
        1,
        sharex=True,
        gridspec_kw={"left": LEFT / width, "right": 1 - RIGHT / width, "top": 1 - top / height}
        | {"bottom": BOTTOM / height, "height_ratios": heights, "hspace": SPACE / (sum(heights) / 4)},
    )
    _draw_crops(strip, crops, frame_rate, duration, scale)
    _draw_waveform(wave, audio, sampling_rate)
    _draw_mel(figure, mel, audio, sampling_rate)
    _draw_words(text, words, labels, heights[-1], fine=scale > FINE_SCALE)
    if scale > FINE_SCALE:
        for panel in (wave, mel):
            edges = [word[edge] for word in words for edge in ("start", "end")]
            panel.vlines(edges, 0, 1, "gray", linewidth=0.6, alpha=0.7, transform=panel.get_xaxis_transform())
    if title:
        figure.suptitle(title, fontsize=12, y=1 - TOP / height, va="top")
    text.set_xlim(0, duration)
    text.set_xlabel("time [s]")
    figure.align_ylabels(panels)
    return figure


def log_mel_spectrogram(
    audio: np.ndarray, sampling_rate: int, num_mel_bins: int = 80, hop_length: int | None = None
) -> np.ndarray:
    """
    Power mel spectrogram, in dB below its maximum, down to -80.

    Args:
        audio (`np.ndarray` of shape `(samples,)`): Speech in [-1, 1].
        sampling_rate (`int`): Of `audio`, in Hz.
        num_mel_bins (`int`, *optional*, defaults to 80): Bands.
        hop_length (`int`, *optional*, defaults to 10 ms): Samples between columns.

    Returns:
        `np.ndarray` of shape `(num_mel_bins, columns)`.
    """
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    n_fft = int(2 ** np.ceil(np.log2(0.04 * sampling_rate)))
    hop_length = hop_length or sampling_rate // 100
    filters = mel_filter_bank(n_fft // 2 + 1, num_mel_bins, 0.0, sampling_rate / 2, sampling_rate, "slaney", "slaney")
    audio = np.pad(np.asarray(audio, np.float64), (0, max(0, n_fft - len(audio))))
    mel = spectrogram(
        audio,
        window_function(n_fft, "hann"),
        n_fft,
        hop_length,
        n_fft,
        power=2.0,
        mel_filters=filters,
        mel_floor=1e-10,
    )
    decibels = 10 * np.log10(mel / max(mel.max(), 1e-10))
    return np.maximum(decibels, -80.0)


@dataclass(frozen=True)
class Label:
    """What is written for a word: its text, its middle in seconds, and its row: 0 in the word's box, others below."""

    text: str
    middle: float
    row: int


def place_labels(words: Sequence[Mapping[str, Any]], duration: float, inches_per_second: float) -> list[Label]:
    """
    One label for each word: in its box if it fits, else below, in the first row in which it touches no other.

    Args:
        words (list of dicts with `"word"`, `"start"`, `"end"`, `"confidence"`): Times in seconds.
        duration (`float`): Of the speech, in seconds; no label reaches beyond it.
        inches_per_second (`float`): Scale of the time axis.

    Returns:
        `list[Label]`: in the order of the words.
    """
    labels: list[Label] = []
    ends: list[float] = []  # of the rows below the boxes, in inches
    for word in words:
        text = f"{word['word']} {word['confidence']:.0%}"
        half = text_width(text) / 2
        middle = (word["start"] + word["end"]) / 2 * inches_per_second
        if 2 * half + GAP <= (word["end"] - word["start"]) * inches_per_second:
            labels.append(Label(text, middle / inches_per_second, 0))
            continue
        middle = max(min(middle, duration * inches_per_second - half), half)
        below = next((index for index, end in enumerate(ends) if middle - half >= end + GAP), len(ends))
        ends[below : below + 1] = [middle + half]
        labels.append(Label(text, middle / inches_per_second, below + 1))
    return labels


def text_width(text: str) -> float:
    """Width of a label, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=LABEL_SIZE)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _draw_crops(
    axes: Axes, crops: np.ndarray | None, frame_rate: float, duration: float, inches_per_second: float
) -> None:
    axes.set_yticks([])
    axes.set_ylabel("mouth")
    axes.tick_params(bottom=False)
    axes.set_ylim(0, 1)
    if crops is None or len(crops) == 0:
        return
    height, width = crops.shape[1:3]
    # As many crops as fit beside each other at their own proportions.
    count = int(np.clip(duration * inches_per_second / (CROPS * width / height), 1, min(MAX_CROPS, len(crops))))
    edges = np.linspace(0, duration, count + 1)
    for start, end in pairwise(edges):
        frame = crops[min(int((start + end) / 2 * frame_rate), len(crops) - 1)]
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255, extent=(start, end, 0, 1), aspect="auto")


def _draw_waveform(axes: Axes, audio: np.ndarray, sampling_rate: int) -> None:
    # The envelope of each block: a long waveform is drawn as fast as a short one, with no peak lost.
    block = max(1, len(audio) // 8000)
    blocks = np.pad(audio, (0, -len(audio) % block)).reshape(-1, block)
    times = (np.arange(len(blocks)) + 0.5) * block / sampling_rate
    axes.fill_between(times, blocks.min(1), blocks.max(1), color="tab:blue", linewidth=0.5)
    limit = max(0.05, 1.05 * float(np.abs(audio).max(initial=0)))
    axes.set_ylim(-limit, limit)
    inner = float(f"{limit / 2:.0e}")  # away from the edges, where the labels of the next panel are
    axes.set_yticks((-inner, 0, inner), (f"−{inner:g}", "0", f"{inner:g}"))
    axes.set_ylabel("waveform")


def _draw_mel(figure: Figure, axes: Axes, audio: np.ndarray, sampling_rate: int) -> None:
    hop_length = max(sampling_rate // 100, len(audio) // MAX_COLUMNS)
    decibels = log_mel_spectrogram(audio, sampling_rate, hop_length=hop_length)
    image = axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, len(audio) / sampling_rate, 0, len(decibels)),
        vmin=-80,
        vmax=0,
    )
    ticks = [hertz for hertz in (8000, 4000, 2000, 1000, 500, 250) if hertz <= sampling_rate / 2]
    places = mel_positions(ticks, sampling_rate, len(decibels))
    apart = len(decibels) * TICK_SPACE / SPECTROGRAM
    kept = [number for number, place in enumerate(places) if not number or places[number - 1] - place >= apart]
    axes.set_yticks([places[number] for number in kept], [f"{ticks[number] / 1000:g}" for number in kept])
    axes.set_ylabel("mel spectrogram [kHz]")
    width = figure.get_figwidth() - LEFT - RIGHT
    scale = axes.inset_axes((1 + 0.1 / width, 0, 0.15 / width, 1))
    figure.colorbar(image, cax=scale, label="dB")


def mel_positions(hertz: Iterable[float], sampling_rate: int, num_mel_bins: int) -> list[float]:
    """Where frequencies, in Hz, lie on the vertical axis of [`log_mel_spectrogram`], in bins."""
    from transformers.audio_utils import hertz_to_mel

    top = hertz_to_mel(sampling_rate / 2, "slaney")
    return [float(hertz_to_mel(float(value), "slaney") / top * num_mel_bins) for value in hertz]


def _draw_words(
    axes: Axes, words: Sequence[Mapping[str, Any]], labels: Sequence[Label], height: float, fine: bool
) -> None:
    """A box for each word, green when the model is sure of it and red when not, and its label with a line to it."""
    from matplotlib import colormaps

    axes.set_yticks([])
    axes.set_ylim(height, 0)  # inches from the top
    axes.set_ylabel("words")
    if not words:
        return
    colours = colormaps["RdYlGn"]([word["confidence"] for word in words])
    colours[:, :3] = 0.6 * colours[:, :3] + 0.4  # pale, so that text on them can be read
    spans = [(word["start"], word["end"] - word["start"]) for word in words]
    axes.broken_barh(spans, (0, BAR), facecolors=colours, edgecolor="white", linewidth=fine)
    below = [(word, label) for word, label in zip(words, labels, strict=True) if label.row and fine]
    middles = [(word["start"] + word["end"]) / 2 for word, _ in below]
    axes.vlines(middles, 0.7 * BAR, [_depth(label) for _, label in below], "gray", linewidth=0.8)
    for label, colour in zip(labels, colours, strict=True):
        box = {"boxstyle": "square,pad=0.15", "facecolor": colour, "edgecolor": "none"}
        text = axes.text(label.middle, _depth(label), label.text, ha="center", va="center", bbox=box)
        text.set(fontsize=LABEL_SIZE, zorder=3)


def _depth(label: Label) -> float:
    """Of the middle of a label, in inches from the top of the words' panel."""
    return BAR + ROW * (label.row - 0.5) if label.row else BAR / 2


__all__ = ["draw_speech", "log_mel_spectrogram", "mel_positions", "plot_speech"]
