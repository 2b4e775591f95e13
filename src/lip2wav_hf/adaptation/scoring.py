"""How well a model does on the recordings of a person that were held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ..corpora.clips import Clip
from ..decoding import Word
from ..errors import MissingExtraError, install_extra
from ..evaluation.clips import DECIMALS, ClipRow
from ..evaluation.results import build_results
from ..evaluation.scoring import load_metrics
from ..evaluation.systems import Measured, model_sha256
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..files import json_ready
from ..generator import Generator
from ..grammar import GrammarError
from ..hub.card_results import MEASURED_BY
from ..metrics.pairs import SAMPLING_RATE, SoundPair
from ..metrics.registry import EXTRA, METRICS, check_packages
from ..metrics.words import word_errors
from ..models import find_model
from ..speaking import AnyGrammar, Speaker
from ..training.cache import read_cached_clip
from ..training.clips import PreparedClips
from .records import Scores


SOUND_METRICS = ("pesq", "stoi", "speaker_similarity")
SOUND_COLUMNS = {"pesq": "pesq_nb", "stoi": "stoi", "estoi": "estoi", "speaker_similarity": "speaker_similarity"}
DATA, SPLIT = "own-recordings", "held_out"  # what a card calls them
PERSON = "speaker"


@dataclass(frozen=True)
class Measurement:
    """
    What a model did on recordings.

    Attributes:
        scores ([`Scores`]): on the whole.
        rows (`tuple[ClipRow, ...]`): of each recording, numbered, without its name.
        model_sha256 (`str`): of the weights that were measured.
    """

    scores: Scores
    rows: tuple[ClipRow, ...]
    model_sha256: str


def measure(
    folder: str | Path,
    prepared: PreparedClips,
    extractor: Lip2WavFeatureExtractor,
    phrases: Sequence[str] = (),
    enough: Callable[[], bool] = lambda: False,
) -> Measurement:
    """
    Let a model speak recordings, and score it.

    Args:
        folder (`str` or `Path`): of the model.
        prepared ([`PreparedClips`]): the recordings.
        extractor ([`Lip2WavFeatureExtractor`]): made their regions.
        phrases (sequence of `str`): the sentences that may be said, if they are a list that the model has the words
            of; else its own grammar counts.
        enough (`Callable`, *optional*): asked after each recording whether to measure no more.
    """
    speaker = Speaker(Generator.from_folder(find_model(folder)), extractor)
    grammar = _grammar(speaker, phrases)
    available, missing = available_metrics()
    rows = []
    for number, clip in enumerate(prepared.clips, 1):
        cached = read_cached_clip(prepared.files[clip.key])
        words, sound = _speak(speaker, cached.regions, grammar)
        columns = _text_columns(clip, words) | {"speaker": PERSON, "name": str(number)}
        if clip.key not in prepared.silent:
            late = round(prepared.sound_offsets.get(clip.key, 0.0) * SAMPLING_RATE)
            original = np.roll(cached.waveform.astype(np.float64) / 32767, -late)
            columns |= _score(available, sound, original, clip)
        rows.append(ClipRow.from_columns(columns))
        if enough():
            break
    return Measurement(_scores(rows, phrases, missing), tuple(rows), model_sha256(speaker.model))


def prepare_measuring(prepared: PreparedClips) -> None:
    """Load what [`measure`] needs for recordings, once: it takes many seconds, which tell nothing of how long the next
    measurement takes."""
    if any(clip.key not in prepared.silent for clip in prepared.clips):
        load_metrics(available_metrics()[0])


def of_first(measured: Measurement, count: int, phrases: Sequence[str] = ()) -> Measurement:
    """The same of the first so many recordings alone."""
    rows = measured.rows[:count]
    return replace(measured, rows=rows, scores=_scores(rows, phrases, measured.scores.missing))


def speak_clips(
    folder: str | Path, extractor: Lip2WavFeatureExtractor, files: Sequence[str | Path]
) -> list[np.ndarray]:
    """What a model says for cached recordings: waveforms `(samples,)`, float32."""
    speaker = Speaker(Generator.from_folder(find_model(folder)), extractor)
    regions = (read_cached_clip(file).regions for file in files)
    return [_speak(speaker, each, speaker.grammar)[1].astype(np.float32) for each in regions]


def _text_columns(clip: Clip, words: list[Word]) -> dict[str, Any]:
    sentence, text = " ".join(clip.words or ()), " ".join(word["word"] for word in words)
    confidences = tuple(round(word["confidence"], DECIMALS) for word in words)
    return {
        "sentence": sentence,
        "text": text,
        "words": len(clip.words or ()),
        "text_errors": word_errors(sentence, text),
        "word_confidences": confidences,
        "text_confidence": float(np.mean(confidences)) if confidences else 0.0,
    }


def _scores(rows: Sequence[ClipRow], phrases: Sequence[str], missing: str) -> Scores:
    errors, words = sum(row.text_errors or 0 for row in rows), sum(row.words or 0 for row in rows)
    accuracy = sum(row.text == row.sentence for row in rows) / len(rows) if phrases else None
    sound = {name: _mean([row.value(column) for row in rows]) for name, column in SOUND_COLUMNS.items()}
    return Scores(len(rows), errors / max(words, 1), accuracy, **sound, missing=missing)


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def results_of(measured: Measurement, model: str) -> dict[str, Any]:
    """What `results.json` of an evaluation would hold, for the card of the model; names no recording."""
    settings = {
        "title": f"{model} on {DATA}",
        "model": model,
        "model_sha256": measured.model_sha256,
        "data": DATA,
        "split": SPLIT,
    }
    system = Measured(model, list(measured.rows), {}, settings=settings)
    return cast(dict[str, Any], json_ready(build_results(system) | {MEASURED_BY: "lip2wav adapt"}))


def available_metrics() -> tuple[list[str], str]:
    """Metrics of the sound that can be measured here, and what brings the others."""
    available = []
    for name in SOUND_METRICS:
        try:
            check_packages([name])
        except MissingExtraError:
            continue
        available.append(name)
    missing = [name.replace("_", " ") for name in SOUND_METRICS if name not in available]
    return available, f"{', '.join(missing)}: {install_extra(EXTRA)}" if missing else ""


def _grammar(speaker: Speaker, phrases: Sequence[str]) -> AnyGrammar:
    if not phrases:
        return speaker.grammar
    try:
        return speaker.grammar_decoder(list(phrases))
    except GrammarError:  # words that the starting model does not know: it reads what it can
        return None


@torch.inference_mode()
def _speak(speaker: Speaker, regions: np.ndarray, grammar: AnyGrammar) -> tuple[list[Word], np.ndarray]:
    extractor, model = speaker.feature_extractor, speaker.model
    pixels = torch.from_numpy(np.asarray(extractor.normalize(extractor.center_crop(regions)), np.float32))
    inputs = {
        "pixel_values_videos": pixels[None, :, None].to(model.dtype),
        "frame_mask": torch.ones(1, len(regions), dtype=torch.long),
        "clip": {"name": "", "face_coverage": 1.0},
    }
    decoder = speaker.grammar_decoder(grammar)
    outputs = speaker.generate(inputs, grammar=decoder)
    words = model.decode_text(outputs["text_logits"], outputs["frame_mask"], decoder)[0]
    sound = outputs["waveform"][0, : int(outputs["waveform_lengths"][0])].float().numpy()
    return words, sound.astype(np.float64)


def _score(names: Sequence[str], sound: np.ndarray, original: np.ndarray, clip: Clip) -> dict[str, Any]:
    length = min(len(sound), len(original))
    pair = SoundPair(sound[:length], original[:length], " ".join(clip.words or ()))
    found: dict[str, Any] = {"generated_seconds": length / SAMPLING_RATE, "original_seconds": length / SAMPLING_RATE}
    for name in names:
        try:
            columns = METRICS[name].score_function()(pair)
        except ValueError:  # too short for this metric
            continue
        found |= {column: columns[column] for column in METRICS[name].columns() if column in columns}
    return found


__all__ = ["DATA", "SPLIT", "Measurement", "available_metrics", "measure", "of_first", "results_of", "speak_clips"]
