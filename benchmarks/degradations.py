"""How every metric responds to damage done to real clips: the table of docs/metrics.md.

    python benchmarks/degradations.py --data GRID --split validation --clips 20

Each clip of the split is scored against itself: untouched, with white noise at 20, 10 and 0 dB, late by one and by
three video frames, with another clip's noise in its pauses, moved to where its mouth says it belongs, both of these,
silenced; and another clip of the same speaker is scored against it. A metric is a line in
`METRICS`, and one in `ROWS` for each of its scores.
"""

import argparse
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lip2wav_hf.audio import read_audio
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.metrics.av_sync.score import av_sync_clip
from lip2wav_hf.metrics.corr2d.score import corr2d_pair
from lip2wav_hf.metrics.dnsmos.score import dnsmos_clip
from lip2wav_hf.metrics.grid_wer.grid_wer import GridRecognizer
from lip2wav_hf.metrics.mcd.score import mcd_pair
from lip2wav_hf.metrics.pesq.score import pesq_pair
from lip2wav_hf.metrics.speaker_similarity.score import speaker_similarity_pair
from lip2wav_hf.metrics.stoi.score import stoi_pair
from lip2wav_hf.metrics.synchrony import find_sound_offset, load_sync_network
from lip2wav_hf.metrics.words import utterance_wer


SAMPLING_RATE = 16000  # Hz
FRAME = 640  # samples of a video frame at 25 frames/s


@dataclass(frozen=True)
class Sample:
    """One degraded clip.

    Attributes:
        waveform (`np.ndarray`, shape `(samples,)`): what is scored.
        original (`np.ndarray`, shape `(samples,)`): what it is scored against.
        clip (`Clip`): the clip of `original`.
    """

    waveform: np.ndarray
    original: np.ndarray
    clip: Clip


def with_noise(waveform: np.ndarray, snr_db: float, seed: int = 0) -> np.ndarray:
    """A waveform with white noise of a level relative to its own mean power."""
    noise = np.random.default_rng(seed).normal(size=len(waveform))
    return waveform + noise * np.sqrt(np.mean(waveform**2) / 10 ** (snr_db / 10))


def delayed(waveform: np.ndarray, frames: int) -> np.ndarray:
    """A waveform of the same length, delayed by a number of video frames."""
    return np.pad(waveform, (frames * FRAME, 0))[: len(waveform)]


def with_other_pauses(waveform: np.ndarray, other: np.ndarray, clip: Clip) -> np.ndarray:
    """A clip whose sound before the first and after the last word is that of another: nobody can foresee noise."""
    words = clip.timed_words()
    if words is None:
        raise ValueError(f"{clip.key}: it has no alignment, so where it pauses is not known.")
    start, end = (round(time * SAMPLING_RATE) for time in (words[0][0], words[-1][1]))
    result = np.resize(other[: SAMPLING_RATE * 3 // 8], len(waveform))  # what another clip begins with: its pause
    result[start:end] = waveform[start:end]
    return result


def in_sync(waveform: np.ndarray, clip: Clip) -> np.ndarray:
    """A clip moved to where its mouth says it belongs: nobody who only sees it can foresee how far off it is."""
    offset, _ = find_sound_offset(_mouth_regions(clip.video), waveform)
    return np.roll(waveform, -round(offset * SAMPLING_RATE))


DEGRADATIONS: dict[str, Callable[[np.ndarray, np.ndarray, Clip], np.ndarray]] = {
    "identity": lambda waveform, other, clip: waveform,
    "noise, 20 dB": lambda waveform, other, clip: with_noise(waveform, 20),
    "noise, 10 dB": lambda waveform, other, clip: with_noise(waveform, 10),
    "noise, 0 dB": lambda waveform, other, clip: with_noise(waveform, 0),
    "late by 1 frame": lambda waveform, other, clip: delayed(waveform, 1),
    "late by 3 frames": lambda waveform, other, clip: delayed(waveform, 3),
    "other pauses": with_other_pauses,
    "in sync": lambda waveform, other, clip: in_sync(waveform, clip),
    "in sync, other pauses": lambda waveform, other, clip: in_sync(with_other_pauses(waveform, other, clip), clip),
    "wrong clip": lambda waveform, other, clip: other,
    "silence": lambda waveform, other, clip: np.zeros(len(waveform)),
}
"""From the sound of a clip, that of another one of the speaker, and the clip, to what is scored against the first."""

recognizer = cache(GridRecognizer)


def _word_errors(sample: Sample) -> dict:
    heard = recognizer().transcribe(sample.waveform, SAMPLING_RATE, sample.clip.key)
    return {"wer_percent": 100 * utterance_wer(" ".join(sample.clip.words), heard)}


@cache
def _mouth_regions(video: Path) -> np.ndarray:
    return load_sync_network()[2].extract(str(video)).regions


def _lip_sync(sample: Sample) -> dict:
    found = av_sync_clip(sample.waveform, SAMPLING_RATE, mouth_crops=_mouth_regions(sample.clip.video))
    return {"av_offset": found["offset"], "av_confidence": found["confidence"]}


def _pair(score: Callable, **options) -> Callable[[Sample], dict]:
    return lambda sample: score(sample.waveform, sample.original, SAMPLING_RATE, **options)


METRICS: dict[str, Callable[[Sample], dict]] = {
    "pesq": _pair(pesq_pair, compat=True),
    "stoi": _pair(stoi_pair, compat=True),
    "mcd": _pair(mcd_pair, dtw=True, compat=True),
    "corr2d": _pair(corr2d_pair),
    "grid_wer": _word_errors,
    "dnsmos": lambda sample: dnsmos_clip(sample.waveform, SAMPLING_RATE),
    "speaker_similarity": _pair(speaker_similarity_pair),
    "av_sync": _lip_sync,
}
"""From a sample to scores by name, one row of the table each."""

ROWS: dict[str, tuple[str, int]] = {
    "pesq_nb": ("PESQ-nb", 2),
    "pesq_wb": ("PESQ-wb", 2),
    "pesq_compat": ("PESQ, compat", 2),
    "stoi": ("STOI", 3),
    "estoi": ("ESTOI", 3),
    "stoi_compat": ("STOI, compat", 3),
    "stoi_filtered": ("STOI without hum", 3),
    "estoi_filtered": ("ESTOI without hum", 3),
    "mcd": ("MCD, dB", 2),
    "mcd_dtw": ("MCD with DTW, dB", 2),
    "mcd_compat": ("MCD, compat", 1),
    "corr2d": ("Corr2D", 3),
    "wer_percent": ("GRID WER, %", 1),
    "dnsmos_sig": ("DNSMOS signal", 2),
    "dnsmos_bak": ("DNSMOS background", 2),
    "dnsmos_ovrl": ("DNSMOS overall", 2),
    "dnsmos_p808": ("DNSMOS P.808", 2),
    "speaker_similarity": ("Speaker similarity", 3),
    "av_offset": ("Lip-sync offset, frames", 2),
    "av_confidence": ("Lip-sync confidence", 3),
}
"""What the table calls a score, and its digits."""


def load_clips(data: Path, split: str, count: int) -> list[tuple[Clip, np.ndarray]]:
    """Clips of a split, spread evenly over it, with their sound at 16 kHz."""
    clips = load_split(data, split)
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)]
    return [(clip, np.asarray(read_audio(clip.video, SAMPLING_RATE), np.float64)) for clip in chosen]


def samples(clips: list[tuple[Clip, np.ndarray]], degradation: str) -> list[Sample]:
    """The clips, degraded; "wrong clip" is the next clip of the same speaker whose sentence differs."""
    result = []
    for number, (clip, waveform) in enumerate(clips):
        later = clips[number + 1 :] + clips[:number]
        other = next(
            (sound for another, sound in later if another.speaker == clip.speaker and another.words != clip.words),
            None,
        )
        if other is None:
            raise ValueError(f"{clip.key}: no other clip of the speaker {clip.speaker}; take more clips.")
        result.append(Sample(DEGRADATIONS[degradation](waveform, other, clip), waveform, clip))
    return result


def measure(
    clips: list[tuple[Clip, np.ndarray]],
    metrics: dict[str, Callable[[Sample], dict]] = METRICS,
    without: Collection[tuple[str, str]] = (),
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Mean scores of clips.

    Args:
        clips (`list[tuple[Clip, np.ndarray]]`): see `load_clips`.
        metrics (`dict`, *optional*): as `METRICS`.
        without (collection of pairs, *optional*): a metric and a degradation that it does not score.

    Returns:
        `tuple[dict, dict]`: `{score: {degradation: mean}}`, and how many seconds of computing one sample took
        each metric, on all cores together.
    """
    table: dict[str, dict[str, float]] = {}
    seconds = dict.fromkeys(metrics, 0.0)
    for metric in metrics:  # what loads lazily should not count
        metrics[metric](samples(clips, "identity")[0])
    for degradation in DEGRADATIONS:
        batch = samples(clips, degradation)
        for metric, score in metrics.items():
            if (metric, degradation) in without:
                continue
            start = time.process_time()
            scored = [score(sample) for sample in batch]
            seconds[metric] += (time.process_time() - start) / len(batch) / len(DEGRADATIONS)
            for key in scored[0]:
                if key in ROWS:
                    table.setdefault(key, {})[degradation] = float(np.mean([one[key] for one in scored]))
    return table, seconds


def markdown(table: dict[str, dict[str, float]], seconds: dict[str, float]) -> str:
    """Both results of `measure` as Markdown."""
    lines = ["| metric | " + " | ".join(DEGRADATIONS) + " |", "|---" * (len(DEGRADATIONS) + 1) + "|"]
    for key, (label, digits) in ROWS.items():
        if key in table:
            values = [f"{table[key][degradation]:.{digits}f}".replace("nan", "none") for degradation in DEGRADATIONS]
            lines.append(f"| {label} | " + " | ".join(values) + " |")
    lines += ["", "| module | seconds of one core per clip |", "|---|---|"]
    lines += [f"| `{metric}` | {value:.3f} |" for metric, value in seconds.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of GRID")
    parser.add_argument("--split", default="validation", help="one of its splits (default: validation)")
    parser.add_argument("--clips", type=int, default=20, help="how many clips, spread over the split (default: 20)")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS), help="only these")
    arguments = parser.parse_args()
    try:
        clips = load_clips(arguments.data, arguments.split, arguments.clips)
        print(markdown(*measure(clips, {name: METRICS[name] for name in arguments.metrics})))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
