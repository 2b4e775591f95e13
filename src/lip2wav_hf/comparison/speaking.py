"""Let systems speak clips one after the other, and keep what was heard and measured of each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from ..errors import MissingExtraError, WeightsError
from ..evaluation.clips import Clip, ClipRow, Key, file_facts, spoken_file
from ..evaluation.judging import Words, choose_metrics
from ..evaluation.options import EvaluationError, EvaluationOptions
from ..evaluation.run import Failure, Run, Scorer, Share
from ..evaluation.scoring import clip_columns
from ..evaluation.systems import load_pipeline, speak_and_score, weights_sha256
from ..metrics.registry import METRICS, check_packages
from .systems import System


USUAL = tuple(
    name
    for name, metric in METRICS.items()
    if {"sentence", "grid_sentence"} & set(metric.needs) or any(number.by_clip for number in metric.numbers)
)
"""The metrics that say something of a single clip."""


@dataclasses.dataclass(frozen=True)
class Spoken:
    """
    What became of clips in one system.

    Attributes:
        system ([`System`]): the system.
        rows (`dict`): what was measured, by clip.
        sounds (`dict`): files of the speech, by clip.
        failures (`list[Failure]`): the clips that it could not speak; or the system, if it cannot be loaded.
    """

    system: System
    rows: dict[Key, ClipRow]
    sounds: dict[Key, Path]
    failures: list[Failure]


class _NoScorer(Scorer):
    """In place of a [`Scorer`] where nothing is measured: it needs no package of a metric."""

    def submit(self, clip: Clip, text: str | None = None) -> Future:
        """Nothing but the words that were said."""
        future: Future = Future()
        future.set_result({"sentence": clip.sentence})
        return future


def usable_metrics(clips: Sequence[Clip], words: Words, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """
    The metrics that some clips allow.

    Args:
        clips (sequence of [`Clip`]): the clips.
        words ([`Words`]): who hears their words.
        names (sequence of `str`, *optional*): keys of `METRICS`, which must be usable; by default those of [`USUAL`]
            whose packages are installed.

    Raises:
        EvaluationError, MissingExtraError: if one that was asked for cannot be computed.
    """
    if names is not None:
        check_packages(names)
    chosen, _ = choose_metrics(clips, names or USUAL, names is not None, words)
    return tuple(name for name in chosen if _installed(name))


def _installed(name: str) -> bool:
    try:
        check_packages([name])
    except MissingExtraError:
        return False
    return True


def speak_clips(
    systems: Sequence[System], clips: Sequence[Clip], options: EvaluationOptions, words: Words = Words()
) -> list[Spoken]:
    """
    Let each system speak each clip. One that cannot be loaded speaks none, and the others go on.

    Args:
        systems (sequence of [`System`]): the systems; one is loaded at a time.
        clips (sequence of [`Clip`]): the clips.
        options ([`EvaluationOptions`]): the metrics and how a model runs; the speech is kept in its `output_dir`.
        words ([`Words`], *optional*): who hears the words.

    Raises:
        ModelError: if a model is not there.
        MissingExtraError: if a package is not installed.
    """
    if not options.metrics:
        options = dataclasses.replace(options, workers=1)
        return [_speak(system, number, clips, options, _NoScorer(options)) for number, system in enumerate(systems)]
    with Scorer(options, words) as scorer:
        scorer.load(list(clips), len(systems))
        return [_speak(system, number, clips, options, scorer) for number, system in enumerate(systems)]


def _speak(system: System, number: int, clips: Sequence[Clip], options: EvaluationOptions, scorer: Scorer) -> Spoken:
    try:
        pipe, _ = load_pipeline(system.model, options.device, options)
    except (EvaluationError, WeightsError) as error:
        return Spoken(system, {}, {}, [Failure(system.label, str(error))])
    # What belongs together, so that a later run goes on with it: the weights, the clips, and what is measured.
    settings = {
        "model_sha256": weights_sha256(pipe),
        "clips": [[*clip.key, clip.sentence, *file_facts(clip.original)] for clip in clips],
        "metrics": list(options.metrics),
        "words": scorer.words.settings,
    }
    digest = hashlib.sha256(json.dumps([number, settings], default=str).encode()).hexdigest()
    folder = options.output_dir / f"speech-{digest[:16]}"
    own = [dataclasses.replace(clip, generated=spoken_file(folder, clip.key)) for clip in clips]

    def produce(todo: list[Clip], failures: list[Failure]) -> Iterator[ClipRow | None]:
        return speak_and_score(pipe, todo, options.batch_size, scorer, failures)

    run = Run(own, folder, settings, clip_columns(options.metrics, options.compat), Share())
    rows, failures = run.finish(produce, options.progress, f"{system.label}: speak")
    found = {row.key: row for row in rows}
    return Spoken(system, found, {clip.key: clip.generated for clip in own if clip.key in found}, failures)


__all__ = ["USUAL", "Spoken", "speak_clips", "usable_metrics"]
