"""The record of one clip, which all corpora share, and the files that may hold it."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import Lip2WavError


VIDEO_SUFFIXES = (".mpg", ".mkv", ".mp4", ".mov", ".avi", ".webm")
AUDIO_SUFFIXES = (".wav", ".flac")

TimedWord = tuple[float, float, str]
"""Start and end in seconds, and the word."""

Splits = dict[str, dict[str, list[str]]]
"""Split -> speaker -> names of clips."""


class CorpusError(Lip2WavError):
    """A folder, archive, split or clip of a corpus that cannot be used."""


@functools.lru_cache(maxsize=64)
def _open_archive(path: Path, modified: int, process: int) -> zipfile.ZipFile:
    """An archive, opened once per process: forked processes would share, and so disturb, its position."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise CorpusError(f"{path}: this archive cannot be read ({error}). Replace it with a whole copy.") from None


def open_archive(path: Path) -> zipfile.ZipFile:
    """A zip archive, kept open for the next call.

    Raises:
        CorpusError: if it is damaged.
    """
    return _open_archive(path, path.stat().st_mtime_ns, os.getpid())


@dataclass(frozen=True)
class ZippedFile:
    """A file inside a zip archive, read without unpacking the rest.

    Attributes:
        archive (`Path`): the archive.
        member (`str`): the file's name in it, such as `"s1/bbaf2n.mpg"`.
    """

    archive: Path
    member: str

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.member.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """With its dot, as of a `Path`."""
        return Path(self.member).suffix

    def read_bytes(self) -> bytes:
        """The contents.

        Raises:
            CorpusError: if the archive is damaged.
        """
        archive = open_archive(self.archive)
        try:
            return archive.read(self.member)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            KeyError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise CorpusError(f"{self}: this file in the archive cannot be read ({error}).") from None


ClipFile = Path | ZippedFile
"""A file of a clip, by itself or in an archive."""


class WordTimes(Protocol):
    """Where the times of a clip's words are written; read when they are needed."""

    def read(self) -> list[TimedWord]:
        """Start and end (s) of each word, without silences.

        Raises:
            CorpusError: if they cannot be read or contradict the clip.
        """


@dataclass(frozen=True)
class Clip:
    """One clip of a corpus.

    Attributes:
        speaker (`str`): such as `"s1"`.
        name (`str`): of the clip, unique for a speaker, such as `"bbaf2n"`.
        video (`Path` or [`ZippedFile`]): the video file, usually with its sound.
        words (`tuple[str, ...]`, *optional*): what is said, in lower case; `None` where nobody wrote it down.
        audio (`Path` or [`ZippedFile`], *optional*): a sound file apart from the video.
        times (`tuple[TimedWord, ...]` or [`WordTimes`], *optional*): when each word is said, or where that is written.
        split (`str`, *optional*): the split that it was loaded from. Two clips that differ in it alone are equal.
    """

    speaker: str
    name: str
    video: ClipFile
    words: tuple[str, ...] | None = None
    audio: ClipFile | None = None
    times: tuple[TimedWord, ...] | WordTimes | None = None
    split: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """`speaker/name`, unique in the corpus."""
        return f"{self.speaker}/{self.name}"

    @property
    def source(self) -> str | bytes:
        """What decoders take: the path of the video, or its bytes where it lies in an archive."""
        return self.video.read_bytes() if isinstance(self.video, ZippedFile) else str(self.video)

    def timed_words(self) -> list[TimedWord] | None:
        """Start and end (s) of each word without silences, or `None` for a clip without word times.

        Raises:
            CorpusError: if the times cannot be read or contradict the clip's words.
        """
        if self.times is None or isinstance(self.times, tuple):
            return None if self.times is None else list(self.times)
        return self.times.read()


@dataclass(frozen=True)
class Selection:
    """Which clips of a corpus.

    Attributes:
        scheme (`str`, *optional*, defaults to `"custom"`): who decides which clip is in which split: `"custom"` is a
            JSON file, the others are the corpus's own.
        splits_file (`str` or `os.PathLike`, *optional*): of `"custom"`; `splits.json` in the corpus's folder by
            default.
        speakers (`tuple[str, ...]`, *optional*): only these; all by default.
    """

    scheme: str = "custom"
    splits_file: str | os.PathLike | None = None
    speakers: tuple[str, ...] | None = None


__all__ = [
    "AUDIO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipFile",
    "CorpusError",
    "Selection",
    "Splits",
    "TimedWord",
    "WordTimes",
    "ZippedFile",
    "open_archive",
]
