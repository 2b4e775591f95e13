"""A model as the system under test: load it, let it speak the clips of a split, and have what it says scored."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from ..models import DEFAULT_MODEL, find_model
from .run import Clip, Scorer, WorkerError, collect
from .scoring import EvaluationError


FOLDERS_OF_A_RUN = ("best", "final")  # what a training calls its models, whatever they are


def model_name(model: Any) -> str:
    """
    What reports and cards call a model: a folder by its name, the model of a training by that of its run.

    Args:
        model (`str`, `os.PathLike` or pipeline, *optional*): as `evaluate_model` takes it; the default model if
            `None`.

    Returns:
        `str`: `"grid_s1"` for `runs/grid_s1/best`; what is no folder, such as `"owner/name"`, as it is.
    """
    if model is None:
        return DEFAULT_MODEL
    if not isinstance(model, (str, os.PathLike)):
        return type(model).__name__
    path = Path(model).expanduser()
    if not path.exists():
        return os.fspath(model)
    path = path.resolve()
    return path.parent.name if path.name in FOLDERS_OF_A_RUN and path.parent.name else path.name


def load_pipeline(model: Any, device: str | int | None, dtype: str | None) -> tuple[Any, float]:
    """The pipeline, and how long it took to load, in seconds."""
    if callable(model):
        return model, 0.0
    folder = find_model(DEFAULT_MODEL if model is None else model)
    start = time.perf_counter()
    from transformers import pipeline

    options = {"model": str(folder), "device": device, "dtype": dtype}
    try:
        pipe = pipeline("video-to-speech", **{key: value for key, value in options.items() if value is not None})
    except (OSError, KeyError, RuntimeError) as error:
        raise EvaluationError(f"the model {model} cannot be loaded: {error}") from error
    return pipe, time.perf_counter() - start


def weights_sha256(pipe: Any) -> str | None:
    """SHA-256 of a pipeline's weights as float32, so that results of two models never mix."""
    model = getattr(pipe, "model", None)
    return None if model is None else model_sha256(model)


def model_sha256(model: Any) -> str:
    """SHA-256 of a model's weights as float32."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def speak_and_score(
    pipe: Callable, clips: list[Clip], batch_size: int, scorer: Scorer, failures: list[dict[str, str]]
) -> Iterable[dict[str, Any] | None]:
    """Yield a row for each clip, or `None` for one that failed (it is then in `failures`)."""
    from ..audio import write_audio

    waiting: list[tuple[Clip, dict[str, Any], Future]] = []
    if clips:
        _speak(pipe, clips[:1], [])  # what loads lazily should not count as speaking
    for start in range(0, len(clips), batch_size):
        batch = clips[start : start + batch_size]
        before = len(failures)
        spoken = list(_speak(pipe, batch, failures))
        yield from [None] * (len(failures) - before)
        pending, waiting = waiting, []
        for clip, result, seconds in spoken:
            clip.generated.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_audio(clip.generated, result["audio"], result["sampling_rate"])
            except ValueError as error:
                failures.append(_failure(clip, error))
                yield None
                continue
            row = _text_row(clip, result) | {"process_seconds": seconds}
            waiting.append((clip, row, scorer.submit(clip)))
        yield from _scored(pending, failures)
    yield from _scored(waiting, failures)


def _speak(
    pipe: Callable, clips: list[Clip], failures: list[dict[str, str]]
) -> list[tuple[Clip, dict[str, Any], float]]:
    """Each clip's pipeline result and its share of the time, in seconds; a bad clip does not spoil its batch."""
    start = time.perf_counter()
    try:
        with _quiet(pipe):
            results = pipe([str(clip.original) for clip in clips], batch_size=len(clips))
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


def _failure(clip: Clip, error: Exception) -> dict[str, str]:
    return {"clip": str(clip), "error": f"{clip}: {error}"}


def _text_row(clip: Clip, result: dict[str, Any]) -> dict[str, Any]:
    from .calibration import word_errors

    confidences = [float(word["confidence"]) for word in result["words"]]
    return {
        "speaker": clip.speaker,
        "name": clip.name,
        "text": result["text"],
        "word_confidences": " ".join(f"{confidence:.5f}" for confidence in confidences),
        "text_errors": word_errors(clip.sentence or "", result["text"]),
        "text_confidence": float(np.mean(confidences)) if confidences else 0.0,
        "face_coverage": float(result["face_coverage"]),
    }


def _scored(
    waiting: list[tuple[Clip, dict[str, Any], Future]], failures: list[dict[str, str]]
) -> Iterable[dict[str, Any] | None]:
    for clip, row, future in waiting:
        try:
            yield row | collect(future)
        except WorkerError:
            raise
        except ValueError as error:
            failures.append(_failure(clip, error))
            yield None


__all__ = ["load_pipeline", "model_name", "model_sha256", "speak_and_score", "weights_sha256"]
