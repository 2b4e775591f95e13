"""Two folders of sound files: which generated file belongs to which original, and their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..corpora.clips import VIDEO_SUFFIXES, visible_files
from ..grid.corpus import GridError, sentence_words
from .clips import NO_SPEAKER, Clip, ClipRow
from .judging import Words
from .options import EvaluationError, EvaluationOptions
from .run import Failure, Run, Scorer, Share, WorkerError, collect
from .scoring import clip_columns
from .systems import Measured


AUDIO_SUFFIXES = (".wav", ".flac")
NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Pairs:
    """
    What two folders have in common.

    Attributes:
        clips (`list[Clip]`): files with their originals.
        without_generated (`tuple[str, ...]`): originals that no generated file belongs to.
        without_original (`tuple[str, ...]`): generated files without an original.
    """

    clips: list[Clip]
    without_generated: tuple[str, ...] = ()
    without_original: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """One sentence for each thing that is left out."""
        return [
            remark
            for remark in (
                _unscored(self.without_generated, len(self.clips), "originals have no generated file"),
                _unscored(self.without_original, len(self.clips), "generated files have no original"),
            )
            if remark
        ]


def _unscored(names: tuple[str, ...], scored: int, what: str) -> str:
    return f"{len(names)} of {scored + len(names)} {what}; not scored: {_some(names)}." if names else ""


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")


def sound_files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """
    Files of a folder by their path inside it, without suffix, in order.

    Raises:
        EvaluationError: if there is no such folder, none in it, or two that differ in their suffix only.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder.")
    files: dict[str, Path] = {}
    for path in (path for path in visible_files(folder) if path.suffix.lower() in suffixes):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in files:
            raise EvaluationError(f"{folder}: holds both {files[key].name} and {path.name} as {key}; keep one.")
        files[key] = path
    if not files:
        raise EvaluationError(f"{folder}: holds no sound file ({', '.join(suffixes)}).")
    return files


def pair_folders(generated: Path, reference: Path, skip_missing: bool = False) -> Pairs:
    """
    Find the original of every generated file, by its path in the folder without suffix.

    Args:
        generated (`Path`): folder of sound files.
        reference (`Path`): folder of sound files, or of videos with sound.
        skip_missing (`bool`, *optional*, defaults to `False`): leave out generated files without an original.

    Raises:
        EvaluationError: if a folder is missing or empty, or an original is missing that may not be.
    """
    produced = sound_files(generated, AUDIO_SUFFIXES)
    originals = sound_files(reference, AUDIO_SUFFIXES + VIDEO_SUFFIXES)
    missing = tuple(sorted(produced.keys() - originals.keys()))
    if missing and (not skip_missing or len(missing) == len(produced)):
        advice = "" if len(missing) == len(produced) else "; leave them out with `skip_missing=True`"
        counts = f"{len(missing)} of {len(produced)} generated files"
        raise EvaluationError(f"{reference}: no original for {counts}: {_some(missing)}{advice}.")
    produced = {key: path for key, path in produced.items() if key in originals}
    sentences = {key: _sentence(key) for key in produced}
    known = None not in sentences.values()
    clips = []
    for key, path in produced.items():
        speaker, _, name = key.rpartition("/")
        clips.append(Clip(speaker or NO_SPEAKER, name, originals[key], path, sentences[key] if known else None))
    return Pairs(clips, tuple(sorted(originals.keys() - produced.keys())), missing)


def _sentence(key: str) -> str | None:
    try:
        return " ".join(sentence_words(key.rpartition("/")[2]))
    except GridError:
        return None


def run_folder(
    name: str, clips: list[Clip], options: EvaluationOptions, share: Share, words: Words = Words()
) -> Measured:
    """
    Score existing sound files.

    Args:
        name (`str`): what the report calls them.
        clips (`list[Clip]`): the files, with their originals.
        options ([`EvaluationOptions`]): everything lies in its `output_dir`.
        share ([`Share`]): the part of this process.
        words ([`Words`], *optional*): who hears the words.

    Raises:
        EvaluationError: if a file cannot be scored; it is named.
    """
    settings: dict[str, Any] = {"title": name, "metrics": list(options.metrics), "compat": options.compat}
    settings |= words.settings
    columns = clip_columns(options.metrics, options.compat)
    run = Run(clips, options.output_dir, settings, columns, share, options.overwrite, generated_before=True)
    with Scorer(options, words) as scorer:

        def produce(todo: list[Clip], failures: list[Failure]) -> Iterator[ClipRow]:
            scorer.load(todo)
            return _score_all(todo, scorer)

        rows, _ = run.finish(produce, options.progress, "score")
    return Measured(name, rows, {clip.key: clip.generated for clip in clips}, settings=settings)


def _score_all(clips: list[Clip], scorer: Scorer) -> Iterator[ClipRow]:
    parallel = [scorer.submit(clip) for clip in clips] if scorer.executor else [None] * len(clips)
    for clip, future in zip(clips, parallel, strict=True):
        try:
            scores = collect(future or scorer.submit(clip))
        except WorkerError:
            raise
        except ValueError as error:
            raise EvaluationError(f"{clip}: {error}") from error
        yield ClipRow.from_columns({"speaker": clip.speaker, "name": clip.name} | scores)


__all__ = ["AUDIO_SUFFIXES", "Pairs", "pair_folders", "run_folder", "sound_files"]
