"""A model as the system under test: load it, let it speak the clips of a split, and score the speech."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Lip2WavError, one_line
from ..files import read_fields
from ..grammar import TextNormalizer
from ..metrics.words import word_errors
from ..models import BY_TYPE, DEFAULT_MODEL, SPEAKING, ModelError, find_model, name_of_folder
from .clips import DECIMALS, Clip, ClipRow, Key, spoken_file
from .judging import Words
from .options import ClipSelection, EvaluationError, EvaluationOptions, described
from .run import Failure, Run, Scorer, Share, WorkerError, collect
from .scoring import clip_columns


PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class Measured:
    """
    A system, and what was measured of it.

    Attributes:
        name (`str`): what the report calls it.
        rows (`list[ClipRow]`): its clips.
        sounds (mapping): its sound files by clip, where there are any.
        failures (sequence of [`Failure`]): the clips that could not be scored.
        settings (mapping): what was asked for, as `results.json` has it.
        load_seconds (`float`, *optional*): how long a model took to load.
    """

    name: str
    rows: list[ClipRow]
    sounds: Mapping[Key, Path]
    failures: Sequence[Failure] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    load_seconds: float | None = None


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
    return name_of_folder(path) if path.exists() else os.fspath(model)


def load_pipeline(model: Any, device: str | int | None, options: EvaluationOptions) -> tuple[Any, float]:
    """
    The pipeline of a model, and the seconds it took to load; 0 if it is a pipeline already.

    Raises:
        ModelError: if there is no such model; see `models.find_model`.
        EvaluationError, WeightsError: if it cannot be loaded.
    """
    if callable(model):
        return model, 0.0
    folder = find_model(DEFAULT_MODEL if model is None else model, SPEAKING)
    start = time.perf_counter()
    from transformers import pipeline

    from ..generator import usable_device

    if isinstance(device, str):
        usable_device(device)
    chosen: dict[str, Any] = {"device": device, "dtype": options.dtype}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if options.grammar is not None:
        chosen["grammar"] = options.grammar
    if options.beam is not None:
        chosen["beam"] = options.beam
    chosen |= {"task": "video-to-speech", "model": str(folder)}
    try:
        pipe = pipeline(**chosen)
    except Lip2WavError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        _load_network(folder)
        raise EvaluationError(f"the model {model_name(model)} cannot be loaded: {one_line(error)}") from error
    return pipe, time.perf_counter() - start


def _load_network(folder: Path) -> None:
    """Raises the `Lip2WavError` of a network that cannot be loaded, which a pipeline hides in pages of its own."""
    model_type = read_fields(folder / "config.json", ModelError)["model_type"]
    with contextlib.suppress(OSError, KeyError, RuntimeError):
        BY_TYPE[model_type].model_class.from_pretrained(folder)


def normalizer_of(model: Any) -> TextNormalizer:
    """
    What made the words that a model was trained on, so that transcripts are compared in the same form.

    Args:
        model: as `evaluate_model` takes it.

    Raises:
        ModelError: if there is no such model.
    """
    from ..configuration_lip2wav import Lip2WavTextConfig  # brings transformers

    if callable(model):
        config = getattr(getattr(model, "model", None), "config", None)
    else:
        folder = find_model(DEFAULT_MODEL if model is None else model, SPEAKING)
        model_type = read_fields(folder / "config.json", ModelError)["model_type"]
        config = BY_TYPE[model_type].config_class.from_pretrained(folder)
    return config.normalizer if isinstance(config, Lip2WavTextConfig) else TextNormalizer()


def reads_words(pipe: Any) -> bool:
    """Whether a pipeline's model finds words too, which not all do."""
    config = getattr(getattr(pipe, "model", None), "config", None)
    return getattr(config, "reads_words", True)


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


def run_model(
    model: Any,
    clips: list[Clip],
    selection: ClipSelection,
    options: EvaluationOptions,
    share: Share,
    words: Words = Words(),
) -> Measured:
    """
    Let a model speak clips, and score them.

    Args:
        model: as `evaluate_model` takes it.
        clips (`list[Clip]`): the clips; where their generated speech is to lie does not count.
        selection ([`ClipSelection`]): where they come from.
        options ([`EvaluationOptions`]): everything lies in its `output_dir`.
        share ([`Share`]): the part of this process.
        words ([`Words`], *optional*): who hears the words.

    Raises:
        EvaluationError: if the model cannot be loaded, or no clip could be scored.
    """
    device = options.device
    if device is None and share.state is not None:
        device = str(share.state.device)
    name = model_name(model)
    shown = options.labels.get(os.fspath(model), name) if isinstance(model, (str, os.PathLike)) else name
    if share.is_main and not callable(model):
        options.say(f"loading the model {shown} …")
    pipe, load_seconds = load_pipeline(model, device, options)
    settings = {
        "title": f"{shown} on {described(selection.data, selection.split, selection.speakers)}",
        "model": name,
        "model_sha256": weights_sha256(pipe),
        "data": selection.data,
        "split": selection.split,
        "dtype": str(getattr(getattr(pipe, "model", None), "dtype", "")),
        "metrics": list(options.metrics),
        "compat": options.compat,
    }
    if options.grammar is not None:
        settings["grammar"] = options.grammar
    if options.beam is not None:
        settings["beam"] = options.beam
    settings |= words.settings
    clips = [dataclasses.replace(clip, generated=spoken_file(options.output_dir, clip.key)) for clip in clips]
    columns = clip_columns(options.metrics, options.compat)
    run = Run(clips, options.output_dir, settings, columns, share, options.overwrite)
    with Scorer(options, words) as scorer:

        def produce(todo: list[Clip], failures: list[Failure]) -> Iterator[ClipRow | None]:
            scorer.load(todo)
            _speak(pipe, todo[:1], [])  # what loads lazily should not count as speaking
            return speak_and_score(pipe, todo, options.batch_size, scorer, failures)

        rows, failures = run.finish(produce, options.progress, f"{shown}: speak and score")
    if not rows:
        raise EvaluationError(f"no clip could be scored; the first failure: {failures[0].error}")
    sounds = {clip.key: clip.generated for clip in clips}
    return Measured(shown, rows, sounds, failures, settings, load_seconds)


def speak_and_score(
    pipe: Callable[..., Any], clips: list[Clip], batch_size: int, scorer: Scorer, failures: list[Failure]
) -> Iterator[ClipRow | None]:
    """Yield a row for each clip, or `None` for one that failed (it is then in `failures`)."""
    from ..audio import write_audio  # brings PyAV

    waiting: list[tuple[Clip, dict[str, Any], Future]] = []
    for start in range(0, len(clips), batch_size):
        batch = clips[start : start + batch_size]
        before = len(failures)
        spoken = _speak(pipe, batch, failures)
        yield from [None] * (len(failures) - before)
        pending, waiting = waiting, []
        for clip, result, seconds in spoken:
            clip.generated.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_audio(clip.generated, result["audio"], result["sampling_rate"])
            except ValueError as error:
                failures.append(Failure.of(clip, error))
                yield None
                continue
            columns = {"face_coverage": float(result["face_coverage"]), "process_seconds": seconds}
            text = None
            if reads_words(pipe):
                columns |= _text_columns(clip, result)
                text = result["text"]
            waiting.append((clip, columns, scorer.submit(clip, text)))
        yield from _scored(pending, failures)
    yield from _scored(waiting, failures)


def _speak(
    pipe: Callable[..., Any], clips: list[Clip], failures: list[Failure]
) -> list[tuple[Clip, dict[str, Any], float]]:
    """Each clip's pipeline result and its share of the time, in seconds; a bad clip does not spoil its batch."""
    start = time.perf_counter()
    try:
        with _quiet(pipe):
            videos = [str(clip.original) if isinstance(clip.original, Path) else clip.original for clip in clips]
            results = pipe(videos, batch_size=len(clips))
    except (ValueError, OSError) as error:
        if len(clips) == 1:
            failures.append(Failure.of(clips[0], error))
            return []
        return [spoken for clip in clips for spoken in _speak(pipe, [clip], failures)]
    seconds = (time.perf_counter() - start) / len(clips)
    return [(clip, result, seconds) for clip, result in zip(clips, results, strict=True)]


@contextlib.contextmanager
def _quiet(pipe: Any) -> Generator[None]:
    """Keep back a pipeline's warnings about doubtful clips: the table has the numbers."""
    loggers = [logging.getLogger(name) for name in (PACKAGE, type(pipe).__module__)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _text_columns(clip: Clip, result: Mapping[str, Any]) -> dict[str, Any]:
    confidences = [float(word["confidence"]) for word in result["words"]]
    return {
        "text": result["text"],
        "word_confidences": tuple(round(confidence, DECIMALS) for confidence in confidences),
        "text_errors": None if clip.sentence is None else word_errors(clip.sentence, result["text"]),
        "text_confidence": float(np.mean(confidences)) if confidences else 0.0,
    }


def _scored(
    waiting: Iterable[tuple[Clip, dict[str, Any], Future]], failures: list[Failure]
) -> Iterator[ClipRow | None]:
    for clip, columns, future in waiting:
        try:
            scores = collect(future)
        except WorkerError:
            raise
        except ValueError as error:
            failures.append(Failure.of(clip, error))
            yield None
            continue
        yield ClipRow.from_columns({"speaker": clip.speaker, "name": clip.name} | columns | scores)


__all__ = [
    "Measured",
    "load_pipeline",
    "model_name",
    "model_sha256",
    "normalizer_of",
    "reads_words",
    "run_model",
    "speak_and_score",
    "weights_sha256",
]
