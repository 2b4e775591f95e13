"""From a model to a table: run the whole pipeline on a split of GRID, score what it says, and write the numbers down.

`evaluate_model` starts from the video files of a split; `evaluate_folders` scores two folders of sound files, so that
other people's systems can be measured the same way. Both write `results.json`, `clips.csv` and `results.md`.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tqdm.auto import tqdm

from . import DEFAULT_CHECKPOINT
from .grid import VIDEO_SUFFIXES, GridClip, GridError, load_split, sentence_words


SAMPLING_RATE = 16000  # Hz, at which everything is scored
AUDIO_SUFFIXES = (".wav", ".flac")
JUDGE = "pocketsphinx with the GRID grammar and British 'zed'"
BUNDLED_MODELS = Path(DEFAULT_CHECKPOINT).parent
RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95

TEXT_COLUMNS = (
    "speaker",
    "name",
    "sentence",
    "text",
    "transcript",
    "floor_transcript",
    "pesq_outcome",
    "stoi_outcome",
)
NUMBER_COLUMNS = (
    "words",
    "judge_errors",
    "floor_errors",
    "text_errors",
    "original_words",
    "errors_to_original",
    "pesq_nb",
    "pesq_wb",
    "stoi",
    "estoi",
    "text_confidence",
    "face_coverage",
    "generated_seconds",
    "original_seconds",
    "cut_seconds",
    "process_seconds",
)


class EvaluationError(ValueError):
    """An evaluation that cannot be run as asked."""


@dataclass(frozen=True)
class SummaryMetric:
    """How one number of the table is made from the columns of `clips.csv`.

    Attributes:
        label (`str`): what the table calls it.
        plus (`str`): column that is summed.
        minus (`str`, *optional*): column that is subtracted from it.
        over (`str`, *optional*): column whose sum divides; by default the number of clips with a value (a mean).
        percent (`bool`): whether the table shows it times 100.
    """

    label: str
    plus: str
    minus: str | None = None
    over: str | None = None
    percent: bool = False


SUMMARY = {
    "judge_wer": SummaryMetric("Judge WER, %", "judge_errors", over="words", percent=True),
    "floor_wer": SummaryMetric(
        "Judge WER on the original audio (floor), %", "floor_errors", over="words", percent=True
    ),
    "judge_wer_above_floor": SummaryMetric(
        "Judge WER above the floor, points", "judge_errors", "floor_errors", over="words", percent=True
    ),
    "wer_to_original": SummaryMetric(
        "Judge WER against its transcript of the original audio, %",
        "errors_to_original",
        over="original_words",
        percent=True,
    ),
    "text_wer": SummaryMetric("Text-head WER, %", "text_errors", over="words", percent=True),
    "pesq_nb": SummaryMetric("PESQ-nb (8 kHz)", "pesq_nb"),
    "pesq_wb": SummaryMetric("PESQ-wb (16 kHz)", "pesq_wb"),
    "stoi": SummaryMetric("STOI", "stoi"),
    "estoi": SummaryMetric("ESTOI", "estoi"),
    "text_confidence": SummaryMetric("Text confidence, mean", "text_confidence"),
    "face_coverage": SummaryMetric("Face coverage, mean", "face_coverage"),
}


def read_sound(path: str | os.PathLike) -> np.ndarray:
    """Sound of a file at 16 kHz; a `.wav` is resampled through scipy's polyphase filter.

    Args:
        path (`str` or `os.PathLike`): a sound file, or a video with sound.

    Returns:
        `np.ndarray`: float64, shape `(samples,)`, the mean of the channels.

    Raises:
        EvaluationError: if the file is missing, cannot be read or has no sound.
    """
    from scipy.io import wavfile

    from .metrics.waveforms import check_waveform, resample
    from .video import read_audio

    path = Path(path)
    if not path.is_file():
        raise EvaluationError(f"{path}: no such sound file.")
    if path.suffix.lower() == ".wav":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no sound
                sampling_rate, samples = wavfile.read(path)
        except ValueError as error:
            raise EvaluationError(f"{path}: not a readable .wav file ({error}).") from None
        if samples.dtype == np.uint8:
            samples = samples.astype(np.int16) * 256 - 32768
        channels = samples.reshape(len(samples), -1).T
        waveform = np.mean([check_waveform(channel, str(path)) for channel in channels], axis=0)
        return resample(waveform, sampling_rate, SAMPLING_RATE)
    waveform = read_audio(path, SAMPLING_RATE)
    if waveform is None:
        raise EvaluationError(f"{path}: has no sound, so there is nothing to compare with.")
    return check_waveform(waveform, str(path))


@functools.cache
def _recognizer():
    from .metrics.grid_wer.grid_wer import GridRecognizer

    return GridRecognizer()


def score_files(generated: str | os.PathLike, original: str | os.PathLike, sentence: str | None) -> dict[str, Any]:
    """Every metric of one clip that can be had from sound.

    Args:
        generated (`str` or `os.PathLike`): sound file of the generated speech.
        original (`str` or `os.PathLike`): sound file or video with the original speech.
        sentence (`str`, *optional*): the GRID sentence spoken; without it no words are judged.

    Returns:
        `dict`: values of `clips.csv`'s columns; durations in seconds.

    Raises:
        ValueError: if a file cannot be read, or is too short or too broken to be scored.
    """
    from .metrics.grid_wer.grid_wer import align_words
    from .metrics.pesq.pesq import pesq_pair
    from .metrics.stoi.stoi import stoi_pair

    prediction, reference = read_sound(generated), read_sound(original)
    quality = pesq_pair(prediction, reference, SAMPLING_RATE)
    intelligibility = stoi_pair(prediction, reference, SAMPLING_RATE)
    row = {key: quality[key] for key in ("pesq_nb", "pesq_wb")}
    row |= {key: intelligibility[key] for key in ("stoi", "estoi")}
    row |= {"pesq_outcome": quality["outcome"], "stoi_outcome": intelligibility["outcome"]}
    row |= {
        "generated_seconds": len(prediction) / SAMPLING_RATE,
        "original_seconds": len(reference) / SAMPLING_RATE,
        "cut_seconds": quality["cut_samples"] / SAMPLING_RATE,
    }
    if sentence is not None:
        transcript = _recognizer().transcribe(prediction, SAMPLING_RATE, str(generated))
        floor_transcript = _recognizer().transcribe(reference, SAMPLING_RATE, str(original))
        row |= {
            "sentence": sentence,
            "transcript": transcript,
            "floor_transcript": floor_transcript,
            "words": len(sentence.split()),
            "judge_errors": align_words(sentence, transcript)["errors"],
            "floor_errors": align_words(sentence, floor_transcript)["errors"],
            "original_words": len(floor_transcript.split()),
            "errors_to_original": align_words(floor_transcript, transcript)["errors"],
        }
    return row


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
    draws = np.random.default_rng(seed).integers(0, max(len(rows), 1), (resamples, len(rows)))
    tail = 50 * (1 - CONFIDENCE_LEVEL)
    summary = {}
    for key, metric in SUMMARY.items():
        top = _column(rows, metric.plus) - (_column(rows, metric.minus) if metric.minus else 0)
        bottom = _column(rows, metric.over) if metric.over else np.ones(len(rows))
        known = np.isfinite(top) & np.isfinite(bottom)
        top, bottom = np.where(known, top, 0.0), np.where(known, bottom, 0.0)
        if bottom.sum() == 0:
            continue
        drawn = bottom[draws].sum(1)
        values = top[draws].sum(1)[drawn > 0] / drawn[drawn > 0]
        low, high = np.percentile(values, [tail, 100 - tail])
        summary[key] = {
            "value": float(top.sum() / bottom.sum()),
            "low": float(low),
            "high": float(high),
            "clips": int(known.sum()),
        }
    return summary


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    values = [row.get(name) for row in rows]
    return np.array([math.nan if value in (None, "") else float(value) for value in values])


def slot_errors(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Word errors by slot of the sentence, of the judge, of its floor and of the text head.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`; those without a sentence do not count.

    Returns:
        `dict`: for each of `judge`, `floor` and `text` that there is: `slot_wer`, `confusions` and `empty` as in the
        `grid_wer` module.
    """
    from .metrics.grid_wer.grid_wer import score_transcripts

    rows = [row for row in rows if row.get("sentence")]
    result = {}
    columns = {"judge": "transcript", "floor": "floor_transcript", "text": "text"}
    for name, column in columns.items():
        heard = [row for row in rows if row.get(f"{name}_errors") is not None]
        if heard:
            scores = score_transcripts([row["sentence"] for row in heard], [row[column] for row in heard])
            result[name] = {key: scores[key] for key in ("slot_wer", "confusions", "empty")}
    return result


def machine() -> dict[str, Any]:
    """The machine: CPU model, cores this process may use, load of the last minute, PyTorch's version and threads."""
    import torch

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": model,
        "cores": cores,
        "accelerator": accelerator,
        "torch": str(torch.__version__),
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in ("lip2wav_hf", "transformers", "pesq", "pystoi", "pocketsphinx", "jiwer", "scipy", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _check_metrics_installed() -> None:
    try:
        import evaluate  # noqa: F401
        import jiwer  # noqa: F401
        import pesq  # noqa: F401
        import pocketsphinx  # noqa: F401
        import pystoi  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        raise EvaluationError(
            f"evaluation needs the package {error.name}: pip install 'lip2wav_hf[evaluate]'."
        ) from error


def _build_results(rows: list[dict[str, Any]], failures: list[dict[str, str]], settings: dict[str, Any]) -> dict:
    """What `results.json` holds. Rates are fractions, times are in seconds."""
    from .metrics.grid_wer.grid_wer import CHANCE_WER

    by_speaker: dict[str, list] = {}
    for row in rows:
        by_speaker.setdefault(row["speaker"], []).append(row)
    results = settings | {
        "clips": len(rows),
        "failures": failures,
        "overall": summarize(rows),
        "speakers": {speaker: {"clips": len(own)} | summarize(own) for speaker, own in by_speaker.items()},
        "slots": slot_errors(rows),
        "silent_predictions": sum(row["pesq_outcome"] == "silent prediction" for row in rows),
        "unscorable": sum("unscorable" in (row["pesq_outcome"], row["stoi_outcome"]) for row in rows),
        "longest_cut_seconds": max(row["cut_seconds"] for row in rows),
        "confidence_interval": f"{CONFIDENCE_LEVEL:.0%}, bootstrap over clips, {RESAMPLES} resamples, seed 0",
        "sampling_rate": SAMPLING_RATE,
        "machine": machine(),
        "versions": _versions(),
    }
    if results["slots"]:
        results |= {"judge": JUDGE, "chance_wer": CHANCE_WER}
    process, spoken = _column(rows, "process_seconds"), _column(rows, "generated_seconds")
    timed = np.isfinite(process)
    if timed.any():
        results["timing"] = {
            "seconds_per_clip": float(process[timed].mean()),
            "real_time_factor": float(process[timed].sum() / spoken[timed].sum()),
        }
    return results


def markdown_table(results: dict[str, Any]) -> str:
    """The numbers of `results.json` as a Markdown table, with what must be known to read them.

    Args:
        results (`dict`): as `evaluate_model` and `evaluate_folders` return it.

    Returns:
        `str`: Markdown.
    """
    columns = {f"all ({results['clips']} clips), 95 % interval": results["overall"]}
    if len(results["speakers"]) > 1:
        columns |= {f"{speaker} ({own['clips']})": own for speaker, own in results["speakers"].items()}
    lines = [f"# {results['title']}", ""]
    lines += [f"| metric | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for key, metric in SUMMARY.items():
        if key in results["overall"]:
            first, *others = [column.get(key) for column in columns.values()]
            cells = [_cell(first, metric.percent, interval=True)] + [_cell(other, metric.percent) for other in others]
            lines.append(f"| {metric.label} | {' | '.join(cells)} |")
    lines += [""] + _slot_table(results) + _notes(results)
    return "\n".join(lines) + "\n"


def _cell(value: dict[str, float] | None, percent: bool, interval: bool = False) -> str:
    if value is None:
        return "–"
    scale, digits = (100, 1) if percent else (1, 3)
    text = f"{value['value'] * scale:.{digits}f}"
    return f"{text} ({value['low'] * scale:.{digits}f} – {value['high'] * scale:.{digits}f})" if interval else text


def _slot_table(results: dict[str, Any]) -> list[str]:
    slots = results["slots"]
    if not slots:
        return []
    names = {"judge": "judge, generated", "floor": "judge, original", "text": "text head"}
    first = next(iter(slots.values()))["slot_wer"]
    lines = [f"| word errors by slot, % | {' | '.join(first)} |", f"|---|{'---|' * len(first)}"]
    for name, scores in slots.items():
        cells = [f"{100 * value:.1f}" for value in scores["slot_wer"].values()]
        lines.append(f"| {names[name]} | {' | '.join(cells)} |")
    return lines + [""]


def _notes(results: dict[str, Any]) -> list[str]:
    notes = []
    if "judge" in results:
        notes.append(
            f"Judge: {results['judge']}; reference: the sentence; corpus-level WER. "
            f"Chance (guessing from the grammar): {100 * results['chance_wer']:.0f} %."
        )
    if "timing" in results:
        timing = results["timing"]
        notes.append(
            f"Pipeline from the video file: {timing['seconds_per_clip']:.2f} s a clip, real-time factor "
            f"{timing['real_time_factor']:.3f}."
        )
    computer = results["machine"]
    notes.append(
        f"Machine: {computer['cpu']}, {computer['cores']} cores, "
        + (f"{computer['accelerator']}, " if computer["accelerator"] else "")
        + f"torch {computer['torch']} with {computer['torch_threads']} threads; "
        + f"load average {computer['load_average']}."
    )
    counts = {
        "failed": len(results["failures"]),
        "silent output (scored as worst)": results["silent_predictions"],
        "original without speech (not scored)": results["unscorable"],
    }
    notes.append("Clips: " + "; ".join(f"{name} {count}" for name, count in counts.items()) + ".")
    if results["longest_cut_seconds"] > 0:
        notes.append(f"Of unequal lengths the longer was cut: by at most {results['longest_cut_seconds']:.3f} s.")
    return [f"- {note}" for note in notes]


def _write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TEXT_COLUMNS + NUMBER_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


def _append_row(path: Path, row: dict[str, Any]) -> None:
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, TEXT_COLUMNS + NUMBER_COLUMNS).writerow(row)


def read_clips(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Rows of a `clips.csv`; a last row that was cut off while it was written is left out.

    Args:
        path (`str` or `os.PathLike`): the file.

    Returns:
        `list[dict]`: texts as `str`, "" where there is none; numbers as `float`, absent where there is none.
    """
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = []
    for raw in csv.DictReader(lines):
        row: dict[str, Any] = {key: raw[key] for key in TEXT_COLUMNS}
        rows.append(row | {key: float(raw[key]) for key in NUMBER_COLUMNS if raw[key]})
    return rows


def _json_ready(value: Any) -> Any:
    """The same value with NaN as null, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_results(output_dir: Path, rows: list[dict[str, Any]], results: dict[str, Any]) -> None:
    _write_rows(output_dir / "clips.csv", rows)
    _write_text(output_dir / "results.json", json.dumps(_json_ready(results), indent=2, ensure_ascii=False) + "\n")
    _write_text(output_dir / "results.md", markdown_table(results))


class _Scorer:
    """Scores clips in other processes, or at once in this one."""

    def __init__(self, workers: int):
        self.executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None

    def __enter__(self) -> _Scorer:
        return self

    def __exit__(self, *exception) -> None:
        if self.executor:
            self.executor.shutdown(cancel_futures=True)

    def submit(self, *arguments) -> Future:
        if self.executor:
            return self.executor.submit(score_files, *arguments)
        future: Future = Future()
        try:
            future.set_result(score_files(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def evaluate_model(
    model: Any = None,
    data_dir: str | os.PathLike = ".",
    split: str = "validation",
    speakers: list[str] | None = None,
    output_dir: str | os.PathLike = "out/evaluation",
    *,
    splits_file: str | os.PathLike | None = None,
    device: str | int | None = None,
    dtype: str | None = None,
    batch_size: int = 8,
    limit: int | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the whole pipeline on the video files of a split, and score what it says.

    The generated speech is kept as `output_dir/wav/SPEAKER/NAME.wav` and scored from there. A run that was stopped
    goes on where it was when it is started again: finished clips are taken from `output_dir/clips.csv`.

    Args:
        model (`str`, *optional*): a bundled model, such as `"grid-s1"`, a folder, a Hub repository, or a
            `video-to-speech` pipeline; the pipeline's own default if none is given.
        data_dir (`str` or `os.PathLike`): GRID folder with `splits.json` and `video/SPEAKER/NAME.mkv` (or `.mpg`, …).
        split (`str`, *optional*, defaults to `"validation"`): a key of `splits.json`.
        speakers (`list[str]`, *optional*): only these; all of the split by default.
        output_dir (`str` or `os.PathLike`): where everything is written.
        splits_file (`str` or `os.PathLike`, *optional*): another file than `data_dir/splits.json`.
        device (`str` or `int`, *optional*): where the model runs.
        dtype (`str`, *optional*): what the model calculates in, such as `"bfloat16"`; as the checkpoint says by
            default.
        batch_size (`int`, *optional*, defaults to 8): clips that go through the pipeline together.
        limit (`int`, *optional*): only the first so many clips.
        workers (`int`, *optional*, defaults to 1): processes that score while the pipeline goes on.
        overwrite (`bool`, *optional*, defaults to `False`): start anew where `output_dir` holds an evaluation.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        `dict`: what `results.json` holds: `overall` and `speakers` (`value`, `low`, `high` of each metric; rates as
        fractions), `slots`, `timing` (seconds), `machine`, `failures` and the settings.

    Raises:
        EvaluationError: if the folder or a package is missing, if `output_dir` holds another evaluation, or if no clip
            could be scored.
        GridError: if the split, a speaker or a clip of it is missing.
    """
    _check_metrics_installed()
    if not Path(data_dir).is_dir():
        raise EvaluationError(f"{data_dir}: no such folder; it should hold splits.json and video/SPEAKER/NAME.mkv.")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise EvaluationError("batch_size and limit must be at least 1.")
    clips = load_split(data_dir, split, speakers, splits_file)[:limit]
    if not clips:
        raise EvaluationError(f"{data_dir}: the split {split!r} holds no clip.")
    pipe, load_seconds = _load_pipeline(model, device, dtype)
    name = Path(model).name if isinstance(model, (str, os.PathLike)) and Path(model).exists() else model
    name = "the bundled checkpoint" if name is None else name if isinstance(name, str) else type(model).__name__
    settings = {
        "title": f"{name} on {Path(data_dir).resolve().name}, split {split}",
        "model": name,
        "model_sha256": weights_sha256(pipe),
        "data": Path(data_dir).resolve().name,
        "split": split,
        "dtype": str(getattr(getattr(pipe, "model", None), "dtype", "")),
    }
    output_dir = Path(output_dir)
    rows = _take_up(output_dir, settings, overwrite, clips)
    done = {(row["speaker"], row["name"]) for row in rows}
    todo = [clip for clip in clips if (clip.speaker, clip.name) not in done]
    failures: list[dict[str, str]] = []
    bar = tqdm(desc="speak and score", total=len(clips), initial=len(rows), unit="clip", disable=not progress)
    with _Scorer(workers) as scorer, bar:
        for row in _speak_and_score(pipe, todo, output_dir / "wav", batch_size, scorer, failures):
            if row is not None:
                rows.append(row)
                _append_row(output_dir / "clips.csv", row)
            bar.update()
    if not rows:
        raise EvaluationError(f"no clip could be scored; the first failure: {failures[0]['error']}")
    order = {(clip.speaker, clip.name): number for number, clip in enumerate(clips)}
    rows.sort(key=lambda row: order[row["speaker"], row["name"]])
    results = _build_results(rows, failures, settings)
    results["timing"]["load_seconds"] = load_seconds
    _write_results(output_dir, rows, results)
    return results


def _load_pipeline(model: Any, device: str | int | None, dtype: str | None) -> tuple[Any, float]:
    """The pipeline, and how long it took to load, in seconds."""
    if callable(model):
        return model, 0.0
    if isinstance(model, str) and "/" not in model and (BUNDLED_MODELS / model / "config.json").is_file():
        model = str(BUNDLED_MODELS / model)
    start = time.perf_counter()
    from transformers import pipeline

    import lip2wav_hf  # noqa: F401, registers the task

    options = {"model": model, "device": device, "dtype": dtype}
    try:
        pipe = pipeline("video-to-speech", **{key: value for key, value in options.items() if value is not None})
    except OSError as error:
        raise EvaluationError(f"the model {model} cannot be loaded: {error}") from error
    return pipe, time.perf_counter() - start


def weights_sha256(pipe: Any) -> str | None:
    """SHA-256 of a pipeline's weights as float32, so that results of two models never mix."""
    model = getattr(pipe, "model", None)
    if model is None:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def _take_up(
    output_dir: Path, settings: dict[str, Any], overwrite: bool, clips: list[GridClip]
) -> list[dict[str, Any]]:
    """Make the output folder ready and return the rows of the clips that are finished."""
    output_dir.mkdir(parents=True, exist_ok=True)
    settings_file, clips_file = output_dir / "settings.json", output_dir / "clips.csv"
    rows: list[dict[str, Any]] = []
    if not overwrite and settings_file.is_file():
        if json.loads(settings_file.read_text(encoding="utf-8")) != settings:
            raise EvaluationError(
                f"{output_dir}: holds the evaluation of another model or split; give another output folder, or "
                "overwrite=True (--overwrite)."
            )
        if clips_file.is_file():
            wanted = {(clip.speaker, clip.name) for clip in clips}
            rows = [row for row in read_clips(clips_file) if (row["speaker"], row["name"]) in wanted]
    _write_text(settings_file, json.dumps(settings, indent=2) + "\n")
    _write_rows(clips_file, rows)
    return rows


def _speak_and_score(
    pipe: Callable,
    clips: list[GridClip],
    wav_dir: Path,
    batch_size: int,
    scorer: _Scorer,
    failures: list[dict[str, str]],
) -> Iterable[dict[str, Any] | None]:
    """Yield a row for each clip, or `None` for one that failed (it is then in `failures`)."""
    from .video import write_audio

    waiting: list[tuple[GridClip, dict[str, Any], Future]] = []
    if clips:
        _speak(pipe, clips[:1], [])  # what loads lazily should not count as speaking
    for start in range(0, len(clips), batch_size):
        batch = clips[start : start + batch_size]
        before = len(failures)
        spoken = list(_speak(pipe, batch, failures))
        yield from [None] * (len(failures) - before)
        pending, waiting = waiting, []
        for clip, result, seconds in spoken:
            path = wav_dir / clip.speaker / f"{clip.name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_audio(path, result["audio"], result["sampling_rate"])
            except ValueError as error:
                failures.append(_failure(clip, error))
                yield None
                continue
            row = _text_row(clip, result) | {"process_seconds": seconds}
            waiting.append((clip, row, scorer.submit(path, clip.video, " ".join(clip.words))))
        yield from _collect(pending, failures)
    yield from _collect(waiting, failures)


def _speak(
    pipe: Callable, clips: list[GridClip], failures: list[dict[str, str]]
) -> list[tuple[GridClip, dict[str, Any], float]]:
    """Each clip's pipeline result and its share of the time, in seconds; a bad clip does not spoil its batch."""
    start = time.perf_counter()
    try:
        with _quiet(pipe):
            results = pipe([str(clip.video) for clip in clips], batch_size=len(clips))
    except (ValueError, OSError) as error:
        if len(clips) == 1:
            failures.append(_failure(clips[0], error))
            return []
        return [spoken for clip in clips for spoken in _speak(pipe, [clip], failures)]
    seconds = (time.perf_counter() - start) / len(clips)
    return [(clip, result, seconds) for clip, result in zip(clips, results, strict=True)]


@contextlib.contextmanager
def _quiet(pipe: Any) -> Iterator[None]:
    """Keep back a pipeline's warnings about doubtful clips: the table has the numbers."""
    logger = logging.getLogger(type(pipe).__module__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _failure(clip: GridClip, error: Exception) -> dict[str, str]:
    return {"clip": clip.key, "error": f"{clip.key}: {error}"}


def _text_row(clip: GridClip, result: dict[str, Any]) -> dict[str, Any]:
    from .metrics.grid_wer.grid_wer import align_words

    confidences = [word["confidence"] for word in result["words"]]
    return {
        "speaker": clip.speaker,
        "name": clip.name,
        "text": result["text"],
        "text_errors": align_words(" ".join(clip.words), result["text"])["errors"],
        "text_confidence": float(np.mean(confidences)) if confidences else 0.0,
        "face_coverage": float(result["face_coverage"]),
    }


def _collect(
    waiting: list[tuple[GridClip, dict[str, Any], Future]], failures: list[dict[str, str]]
) -> Iterable[dict[str, Any] | None]:
    for clip, row, future in waiting:
        try:
            yield row | future.result()
        except ValueError as error:
            failures.append(_failure(clip, error))
            yield None


def evaluate_folders(
    generated: str | os.PathLike,
    reference: str | os.PathLike,
    output_dir: str | os.PathLike | None = None,
    *,
    workers: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Score a folder of generated sound files against a folder of originals.

    Files belong together by their path without its suffix, such as `s1/bbaf2n`; the folder is the speaker. Where all
    names are GRID sentences, the words are judged too.

    Args:
        generated (`str` or `os.PathLike`): folder of `.wav` or `.flac` files, subfolders included.
        reference (`str` or `os.PathLike`): folder of the originals: sound files, or videos with sound.
        output_dir (`str` or `os.PathLike`, *optional*): where `results.json`, `clips.csv` and `results.md` are
            written.
        workers (`int`, *optional*, defaults to 1): processes that score.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        `dict`: as for `evaluate_model`, without what only a model can have.

    Raises:
        EvaluationError: if a folder is missing or empty, or a generated file has no original.
        ValueError: if a file cannot be read, or is too short or too broken to be scored; its name is in the message.
    """
    _check_metrics_installed()
    produced = _sound_files(generated, AUDIO_SUFFIXES)
    originals = _sound_files(reference, AUDIO_SUFFIXES + VIDEO_SUFFIXES)
    missing = sorted(set(produced) - set(originals))
    if missing:
        raise EvaluationError(
            f"{reference}: no original for {len(missing)} of {len(produced)} generated files: {', '.join(missing[:3])}"
            + (" …" if len(missing) > 3 else ".")
        )
    sentences = {key: _sentence(key) for key in produced}
    if None in sentences.values():
        sentences = dict.fromkeys(produced)
    rows = []
    with _Scorer(workers) as scorer:
        futures = {key: None for key in produced}
        if workers > 1:
            futures = {key: scorer.submit(path, originals[key], sentences[key]) for key, path in produced.items()}
        for key in tqdm(produced, desc="score", unit="clip", disable=not progress):
            future = futures[key] or scorer.submit(produced[key], originals[key], sentences[key])
            try:
                scores = future.result()
            except ValueError as error:
                raise EvaluationError(f"{key}: {error}") from error
            speaker, _, name = key.rpartition("/")
            rows.append({"speaker": speaker or "all", "name": name} | scores)
    title = " against ".join("/".join(Path(folder).resolve().parts[-2:]) for folder in (generated, reference))
    results = _build_results(rows, [], {"title": title, "references_unused": len(set(originals) - set(produced))})
    if output_dir is not None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        _write_results(Path(output_dir), rows, results)
    return results


def _sound_files(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder by their path inside it, without suffix, in order."""
    folder = Path(folder)
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder.")
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in files:
            raise EvaluationError(f"{folder}: holds both {files[key].name} and {path.name} as {key}; keep one.")
        files[key] = path
    if not files:
        raise EvaluationError(f"{folder}: holds no sound file ({', '.join(suffixes)}).")
    return files


def _sentence(key: str) -> str | None:
    try:
        return " ".join(sentence_words(key.rpartition("/")[2]))
    except GridError:
        return None


def evaluate_command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A bundled model, a folder or a Hub repository; grid-s1 by default."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="GRID folder: splits.json and video/SPEAKER/NAME.mkv.")
    ] = None,
    split: Annotated[str, typer.Option("--split", "-s", help="A key of splits.json.")] = "validation",
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="Only this speaker, such as s1; may be repeated.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results.json, clips.csv, results.md and wav/.")
    ] = Path("out/evaluation"),
    generated: Annotated[
        Path | None, typer.Option("--generated", help="Score this folder of sound files instead of a model.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="The originals of --generated: sound files or videos.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the model runs, such as cpu or cuda:0.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that go through the model together.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many clips.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that compute metrics.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew where the folder holds results.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Measure a model on a split of GRID, from the video files: words, quality, speed. Or score two folders of sound.

    A run that was stopped goes on where it was. Needs the extra: pip install 'lip2wav_hf[evaluate]'.
    """
    try:
        if (generated is None) != (reference is None):
            raise EvaluationError("--generated and --reference belong together: give both.")
        if generated is not None and reference is not None:
            results = evaluate_folders(generated, reference, output, workers=workers)
        elif data is not None:
            results = evaluate_model(
                model,
                data,
                split,
                speaker or None,
                output,
                device=device,
                batch_size=batch_size,
                limit=limit,
                workers=workers,
                overwrite=overwrite,
            )
        else:
            raise EvaluationError("give --data, a GRID folder; or --generated and --reference, two folders of sound.")
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(json.dumps(_json_ready(results), indent=2, ensure_ascii=False) if as_json else markdown_table(results))
    for failure in results["failures"]:
        typer.echo(f"error: {failure['error']}", err=True)
    if results["failures"]:
        raise typer.Exit(2)


__all__ = [
    "EvaluationError",
    "evaluate_command",
    "evaluate_folders",
    "evaluate_model",
    "machine",
    "markdown_table",
    "read_clips",
    "read_sound",
    "score_files",
    "slot_errors",
    "summarize",
    "weights_sha256",
]


if __name__ == "__main__":
    typer.run(evaluate_command)
