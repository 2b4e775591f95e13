"""A folder of word times, `SPEAKER/NAME.TextGrid` or `.align`, for clips of a corpus that have none of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import write_text
from .clips import Clip, CorpusError, TimedWord, times_fault
from .transcripts import TIMED_WRITERS, read_transcript


FOLDER = "alignments"
"""Name of such a folder inside that of a corpus, where it is found by itself."""


class WordTimesError(CorpusError):
    """Word times that cannot be used: no such file, other words than the clip's, or times out of order."""


@dataclass(frozen=True)
class WrittenTimes:
    """
    The word times of a clip, in a file of their own.

    Attributes:
        file (`Path`): a transcript with times.
        words (`tuple[str, ...]`): those of the clip.
    """

    file: Path
    words: tuple[str, ...]

    def read(self) -> list[TimedWord]:
        """
        Start and end (s) of each word, without silences.

        Raises:
            WordTimesError: if the file says other words than the transcript, or its times cannot be right.
            TranscriptError: if it cannot be read.
        """
        written = read_transcript(self.file).words
        if len(written) != len(self.words) or any(
            cue.text.casefold() != word.casefold() for cue, word in zip(written, self.words, strict=False)
        ):
            raise WordTimesError(
                f"{self.file}: it says {' '.join(cue.text for cue in written)!r}, but the transcript says"
                f" {' '.join(self.words)!r}. Align the clip again: delete the file, then lip2wav align."
            )
        times = [(cue.start, cue.end, word) for cue, word in zip(written, self.words, strict=True)]
        if fault := times_fault(times):
            raise WordTimesError(f"{self.file}: {fault}. Put it right, or delete the file.")
        return times


def times_file(folder: str | os.PathLike, clip: Clip, suffix: str = ".TextGrid") -> Path:
    """Where a folder of word times has those of a clip."""
    return Path(folder, clip.speaker, f"{clip.name}{suffix}")


def written_times(folder: str | os.PathLike, clip: Clip) -> Path | None:
    """The file of a folder that has the word times of a clip; `None` if there is none."""
    return next((file for suffix in TIMED_WRITERS if (file := times_file(folder, clip, suffix)).is_file()), None)


def with_word_times(clips: Iterable[Clip], folder: str | os.PathLike) -> list[Clip]:
    """
    Clips, those without word times with the times of a folder, where it has them.

    Args:
        clips (`Iterable[Clip]`): the clips.
        folder (`str` or `os.PathLike`): of files `SPEAKER/NAME.TextGrid` or `.align`, as `lip2wav align` writes them.

    Raises:
        WordTimesError: if there is no such folder.
    """
    if not Path(folder).is_dir():
        raise WordTimesError(f"{folder}: no such folder of word times. `lip2wav align` makes one.")
    return [_with_times(clip, folder) for clip in clips]


def _with_times(clip: Clip, folder: str | os.PathLike) -> Clip:
    file = None if clip.times is not None or not clip.words else written_times(folder, clip)
    if file is None or not clip.words:
        return clip
    status = file.stat()
    facts = f"{clip.version}|{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    version = hashlib.sha256(facts.encode()).hexdigest()[:12]  # what a cache has without times is another clip
    return replace(clip, times=WrittenTimes(file, clip.words), version=version)


def write_word_times(file: str | os.PathLike, words: Sequence[TimedWord], duration: float) -> None:
    """
    Write word times; makes the folder.

    Args:
        file (`str` or `os.PathLike`): `.TextGrid` or `.align`.
        words (`Sequence[TimedWord]`): one after the other.
        duration (`float`): of the clip, in seconds.

    Raises:
        WordTimesError: if there is no such format.
    """
    suffix = Path(file).suffix
    if suffix not in TIMED_WRITERS:
        raise WordTimesError(f"{file}: word times are written as {' or '.join(TIMED_WRITERS)}.")
    write_text(file, TIMED_WRITERS[suffix](words, duration))


__all__ = [
    "FOLDER",
    "WordTimesError",
    "WrittenTimes",
    "times_file",
    "with_word_times",
    "write_word_times",
    "written_times",
]
