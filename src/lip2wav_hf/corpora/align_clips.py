"""Align the clips of a corpus: word times into a folder, clip by clip, so that a stopped run continues."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import read_audio
from ..errors import counted, one_line
from ..files import check_writable, parse_json
from ..machine import worker_processes
from .alignment import DOUBTFUL, Alignment, AlignmentError, WordAligner
from .clips import Clip
from .progress import progress_bar
from .transcripts import TIMED_WRITERS
from .word_times import WordTimesError, WrittenTimes, times_file, write_word_times


RECORDS = "alignment.jsonl"
"""File in the folder of word times with a line for each aligned clip: its score and that of each word, what it was
made of, and the SHA-256 of each file of times."""


@dataclass(frozen=True)
class AlignedClip:
    """
    What became of a clip.

    Attributes:
        clip (`Clip`): the clip.
        alignment ([`Alignment`], *optional*): when its words are said; `None` where they cannot be found.
        problem (`str`, *optional*): why.
        duration (`float`): of its sound, in seconds.
    """

    clip: Clip
    alignment: Alignment | None = None
    problem: str = ""
    duration: float = 0.0


@dataclass
class AlignmentReport:
    """
    What was done with the clips of a corpus.

    Attributes:
        aligned (`list[str]`): keys of clips whose times were written now; `before`: of those that a former run wrote;
            `kept`: of those whose files somebody else wrote, which stay as they are; `timed`: of those that have word
            times of their own.
        scores (`dict[str, float]`): of the clips that were aligned now or before, by key.
        refused (`dict[str, str]`): why others could not be aligned, by key.
    """

    aligned: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    timed: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def doubtful(self) -> dict[str, float]:
        """Scores below [`DOUBTFUL`], by key, the worst first."""
        low = {key: score for key, score in self.scores.items() if score < DOUBTFUL}
        return dict(sorted(low.items(), key=lambda entry: entry[1]))


@functools.lru_cache(maxsize=1)
def _aligner(model: str) -> WordAligner:
    return WordAligner.load(model)


def clip_sound(clip: Clip, sampling_rate: int) -> np.ndarray:
    """
    The sound of a clip: of its video, or else of its sound file.

    Raises:
        AlignmentError: if there is none.
        VideoError: if it cannot be read.
    """
    waveform = read_audio(clip.source, sampling_rate)
    if waveform is None and clip.audio is not None:
        audio = clip.audio
        waveform = read_audio(audio if isinstance(audio, Path) else audio.read_bytes(), sampling_rate)
    if waveform is None or not len(waveform):
        raise AlignmentError("it has no sound.")
    return waveform


def align_clip(clip: Clip, model: str) -> AlignedClip:
    """
    Align one clip; what cannot be aligned is no error.

    Args:
        clip (`Clip`): with its words.
        model (`str`): of the speech encoder, as [`WordAligner.load`] takes it; loaded once in each process.
    """
    aligner = _aligner(model)
    try:
        waveform = clip_sound(clip, aligner.config.sampling_rate)
        alignment = aligner.align(waveform, clip.words or ())
    except ValueError as error:
        return AlignedClip(clip, problem=one_line(error))
    return AlignedClip(clip, alignment, duration=len(waveform) / aligner.config.sampling_rate)


def align_clips(
    clips: Sequence[Clip], model: str, num_workers: int = 1, progress: bool = False
) -> Iterator[AlignedClip]:
    """
    Align clips, in their order.

    Args:
        clips (`Sequence[Clip]`): with their words.
        model (`str`): of the speech encoder, as [`WordAligner.load`] takes it.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show a progress bar.
    """
    with worker_processes(min(num_workers, len(clips) // 8), chunksize=4) as map_:
        found = map_(functools.partial(align_clip, model=model), clips)
        yield from progress_bar(found, "aligning", len(clips), show=progress)


class AlignmentFolder:
    """
    A folder of word times that is filled clip by clip.

    Args:
        folder (`str` or `os.PathLike`): made when it is written to.
        suffix (`str`, *optional*, defaults to `".TextGrid"`): of the files, or `".align"`.
        overwrite (`bool`, *optional*, defaults to `False`): replace files that are there.
    """

    def __init__(self, folder: str | os.PathLike, suffix: str = ".TextGrid", overwrite: bool = False) -> None:
        self.path, self.suffix, self.overwrite = Path(folder), suffix, overwrite
        if self.path.exists() and not self.path.is_dir():
            raise WordTimesError(f"{folder}: this is a file. Name a folder for the word times.")
        check_writable(self.path, str(folder), WordTimesError)
        self.records: dict[str, dict[str, Any]] = {}
        if (self.path / RECORDS).is_file():
            self.records = dict(self._read_records())

    def _read_records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for line in (self.path / RECORDS).read_text(encoding="utf-8").splitlines():
            try:
                record = parse_json(line)
                yield record["clip"], record
            except (ValueError, KeyError, TypeError):
                continue  # cut off when a run was killed: the clip counts as written by somebody else

    def has(self, clip: Clip, model: str) -> bool:
        """Whether the times that a clip has are those that a former run with this model wrote here."""
        inside = isinstance(clip.times, WrittenTimes) and self.path.resolve() in clip.times.file.resolve().parents
        return inside and self.records.get(clip.key, {}).get("model") == model

    def missing(self, clips: Iterable[Clip], model: str, report: AlignmentReport) -> list[Clip]:
        """Of some clips, those whose times are to be written, also again since the words or the video have changed;
        the others go to the report."""
        todo = []
        for clip in clips:
            record = self.records.get(clip.key, {})
            there = [suffix for suffix in TIMED_WRITERS if times_file(self.path, clip, suffix).is_file()]
            ours = self._unchanged(clip)
            this_model, intact = record.get("model") == model, self.suffix in ours
            same = record.get("words") == list(clip.words or ()) and record.get("video") in (None, _video_facts(clip))
            if self.overwrite or not there:
                todo.append(clip)
            elif self.suffix in there and this_model and same and (intact or "files" not in record):
                report.before.append(clip.key)
                report.scores[clip.key] = record["score"]
            elif (intact and this_model) if self.suffix in there else set(there) == set(ours):
                todo.append(clip)
            else:
                report.kept.append(clip.key)
        return todo

    def _unchanged(self, clip: Clip) -> list[str]:
        """Suffixes of the files of a clip that a former run wrote, and nobody has changed since."""
        sums = self.records.get(clip.key, {}).get("files", {})
        files = {suffix: times_file(self.path, clip, suffix) for suffix in sums}
        return [suffix for suffix, file in files.items() if file.is_file() and _sum(file) == sums[suffix]]

    def write(self, done: AlignedClip, model: str) -> None:
        """Write the times of a clip, and its scores; also in another format that this model has written."""
        alignment, clip = done.alignment, done.clip
        if alignment is None:
            return
        others = self._unchanged(clip) if self.records.get(clip.key, {}).get("model") == model else []
        files = {suffix: times_file(self.path, clip, suffix) for suffix in (self.suffix, *others)}
        for file in files.values():
            write_word_times(file, alignment.words, done.duration)
        record = {
            "clip": clip.key,
            "score": round(alignment.score, 4),
            "words": list(clip.words or ()),
            "scores": [round(score, 4) for score in alignment.scores],
            "model": model,
            "video": _video_facts(clip),
            "files": {suffix: _sum(file) for suffix, file in files.items()},
        }
        with open(self.path / RECORDS, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _video_facts(clip: Clip) -> list[float | None] | None:
    """What changes with the video of a clip, or the part of it; `None` where it is no file of its own."""
    if not isinstance(clip.video, Path):
        return None
    status = clip.video.stat()
    return [status.st_size, status.st_mtime_ns, clip.start, clip.end]


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def align_corpus(
    clips: Iterable[Clip],
    folder: AlignmentFolder,
    model: str,
    num_workers: int = 1,
    progress: bool = False,
    everything: bool = False,
) -> AlignmentReport:
    """
    Write the word times of clips that have none.

    Args:
        clips (`Iterable[Clip]`): the clips.
        folder ([`AlignmentFolder`]): where the times go.
        model (`str`): of the speech encoder, as [`WordAligner.load`] takes it.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show a progress bar.
        everything (`bool`, *optional*, defaults to `False`): align clips that have word times too.

    Raises:
        AlignmentError: if the speech encoder knows the words of no clip.
        ModelError, OSError, ValueError: if there is no such speech encoder.
    """
    aligner, report, usable = _aligner(model), AlignmentReport(), []
    clips = list(clips)
    for clip in clips:
        unknown = aligner.unknown(clip.words or ())
        if clip.times is not None and not everything and not folder.has(clip, model):
            report.timed.append(clip.key)
        elif not clip.words:
            report.refused[clip.key] = "it has no transcript." if clip.text is None else "its transcript has no words."
        elif unknown:
            report.refused[clip.key] = f"the speech encoder does not know {', '.join(unknown)}."
        else:
            usable.append(clip)
    if report.refused and not usable and not report.timed:
        raise AlignmentError(_nothing_known(clips, aligner, model))
    for done in align_clips(folder.missing(usable, model, report), model, num_workers, progress):
        folder.write(done, model)
        if done.alignment is None:
            report.refused[done.clip.key] = done.problem
        else:
            report.aligned.append(done.clip.key)
            report.scores[done.clip.key] = done.alignment.score
    return report


def _nothing_known(clips: Sequence[Clip], aligner: WordAligner, model: str) -> str:
    unknown = aligner.unknown([word for clip in clips for word in clip.words or ()])
    if not unknown:
        return "no clip has a transcript: there is nothing to align."
    many = f"{len(unknown)} words, such as {', '.join(unknown[:5])}," if unknown[5:] else ", ".join(unknown)
    return (
        f"the speech encoder of {model} knows none of the {counted(len(clips), 'sentence')}: {many}"
        f" {'is' if len(unknown) == 1 else 'are'} not in its vocabulary. Train one on this corpus: lip2wav train"
        " speech_encoder --data_dir DATA; then name it with --model runs/speech_encoder/final."
    )


__all__ = [
    "RECORDS",
    "AlignedClip",
    "AlignmentFolder",
    "AlignmentReport",
    "align_clip",
    "align_clips",
    "align_corpus",
    "clip_sound",
]
