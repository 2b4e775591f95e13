"""The record of one clip, which all corpora share, and the files that may hold it."""

from __future__ import annotations

import functools
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Lip2WavError, counted


if TYPE_CHECKING:
    from ..video import VideoPart


VIDEO_SUFFIXES = (".mpg", ".mkv", ".mp4", ".mov", ".m4v", ".3gp", ".avi", ".webm")
OTHER_VIDEO_SUFFIXES = (".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts", ".ogv", ".vob", ".gif")
"""Of videos that a table may list, but that are not looked for where there is none."""
AUDIO_SUFFIXES = (".wav", ".flac")
OTHER_AUDIO_SUFFIXES = (
    ".m4a",
    ".mp3",
    ".aac",
    ".ogg",
    ".oga",
    ".opus",
    ".wma",
    ".aif",
    ".aiff",
    ".amr",
    ".caf",
    ".mka",
    ".weba",
)
"""Of sound that phones and programs record: the voice of somebody may lie in such files, but that of no clip."""


def is_sound(file: Any) -> bool:
    """
    Whether a file is of sound alone, by the suffix of its name. All else that a corpus lists as a video is taken for
    one, whatever it is called: what it is turns out when it is read.

    Args:
        file (`Path`, or whatever has a `suffix`): the file.
    """
    return file.suffix.lower() in (*AUDIO_SUFFIXES, *OTHER_AUDIO_SUFFIXES)


TimedWord = tuple[float, float, str]
"""Start and end in seconds, and the word."""

Splits = dict[str, dict[str, list[str]]]
"""Split -> speaker -> names of clips."""


def visible_files(folder: Path, pattern: str = "**/*") -> Iterator[Path]:
    """
    The files of a folder, in order. Hidden ones are none of a corpus: on disks of other systems, a Mac writes a
    `._take.mp4` beside each `take.mp4`.

    Args:
        folder (`Path`): the folder.
        pattern (`str`, *optional*): of their names in it; those in all folders inside of it too, by default.
    """
    for path in sorted(folder.glob(pattern)):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file():
            yield path


WEBDATASET_SHARDS = "**/*-[0-9]*-of-[0-9]*.tar"  # such as data/train-00000-of-00002.tar


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of the library `datasets` has written a folder."""
    several, single = ("dataset_dict.json",), ("dataset_info.json", "state.json")
    return any(all((folder / name).is_file() for name in names) for names in (several, single))


def holds_tables(folder: Path) -> bool:
    """Whether clips lie in tables of a folder, parquet files, a saved dataset or a WebDataset, and not in videos."""
    return is_saved_dataset(folder) or any(
        next(visible_files(folder, pattern), None) is not None for pattern in ("**/*.parquet", WEBDATASET_SHARDS)
    )


class CorpusError(Lip2WavError):
    """A folder, archive, split or clip of a corpus that cannot be used."""


class LateTimesError(CorpusError):
    """Times of a clip, or of its words, that go on after the end of its video."""


LATE_SECONDS = 0.2  # that a part of a video may end after it, as the last of subtitles often does
MOST_WORDS = 127  # of a clip whose word times are kept: a byte numbers them
MISSING_FRAMES = 5  # that a clip may lack at the end of its last word


def late_end(start: float, end: float | None, seconds: float) -> str | None:
    """
    What is wrong with the times of a part of a video, where the video ends before them.

    Args:
        start (`float`), end (`float`, *optional*): as the transcript or the table names them, in seconds.
        seconds (`float`): how much of it there is.

    Returns:
        `str`, *optional*: a sentence, for a message that names the clip; `None` where nothing is wrong.
    """
    if seconds and (end is None or end - start - seconds <= LATE_SECONDS):
        return None
    span = f"from {start:g} s on" if end is None else f"from {start:g} to {end:g} s"
    over = f"ends at {start + seconds:.2f} s" if seconds else "is over before"
    return f"its times are {span}, but the video {over}."


def late_words(words: Sequence[TimedWord], frames: int, frame_rate: float) -> str | None:
    """
    What is wrong with the times of words, where the clip ends before them.

    Args:
        words (`Sequence[TimedWord]`): of a clip, from its beginning; of more than 127, the times are not used.
        frames (`int`): how many the clip has.
        frame_rate (`float`): in frames/s.

    Returns:
        `str`, *optional*: a sentence, for a message that names the clip; `None` where nothing is wrong.
    """
    if not words or len(words) > MOST_WORDS or words[-1][1] * frame_rate <= frames + MISSING_FRAMES:
        return None
    return f"it ends too early: {counted(frames, 'frame')}, but its last word ends at {words[-1][1]:.2f} s."


def times_fault(words: Sequence[TimedWord]) -> str | None:
    """
    What cannot be right in the times of words: one has none, begins before the clip or before the word in front of it,
    or ends before it begins.

    Args:
        words (`Sequence[TimedWord]`): in the order in which they are said; NaN is no time.

    Returns:
        `str`, *optional*: a clause, for a message that names the clip or the file; `None` where nothing is wrong.
    """
    before: TimedWord = (0.0, 0.0, "")
    for start, end, word in words:
        absent = [name for name, time in (("start", start), ("end", end)) if math.isnan(time)]
        if absent:
            return f"{word!r} has no {' and no '.join(absent)}"
        if start < 0:
            return f"{word!r} begins at {start:g} s"
        if end < start:
            return f"{word!r} ends at {end:g} s, before it begins at {start:g} s"
        if start < before[0]:
            return f"{word!r} begins at {start:g} s, before the word in front of it, {before[2]!r}, at {before[0]:g} s"
        before = (start, end, word)
    return None


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


@dataclass(frozen=True)
class StoredVideo:
    """A video that lies in a table of the library `datasets`, read when it is needed.

    Attributes:
        name (`str`): of the file that it was.
        content (`bytes`, *optional*): the file itself, where the table was streamed.
        table (`datasets.Dataset`, *optional*): the table, where it was not.
        column (`str`), row (`int`): where in the table.
        location (`str`, *optional*): an address that `fsspec` opens, for what the table only points to.
    """

    name: str
    content: bytes | None = field(default=None, repr=False)
    table: Any = field(default=None, repr=False, compare=False)
    column: str = "video"
    row: int = 0
    location: str | None = None

    def __str__(self) -> str:
        return self.location or self.name

    @property
    def suffix(self) -> str:
        """With its dot, as of a `Path`."""
        return Path(self.name).suffix

    def read_bytes(self) -> bytes:
        """The contents.

        Raises:
            CorpusError: if there are none.
        """
        if self.content is not None:
            return self.content
        if self.location is not None:
            import fsspec  # noqa: PLC0415  comes with `datasets`, which made this

            try:
                with fsspec.open(self.location, "rb") as file:
                    return file.read()
            except (OSError, ValueError) as error:
                raise CorpusError(f"{self}: this video cannot be fetched ({error}).") from None
        content = None if self.table is None else self.table[self.row][self.column]["bytes"]
        if content is None:
            raise CorpusError(f"{self}: the table holds no video in row {self.row}.")
        return content


ClipFile = Path | ZippedFile
"""A file of a clip, by itself or in an archive."""

ClipVideo = ClipFile | StoredVideo
"""The video of a clip: a file, or what lies in a table."""


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
        video (`Path`, [`ZippedFile`] or [`StoredVideo`]): the video file, usually with its sound.
        words (`tuple[str, ...]`, *optional*): what is said, in lower case; `None` where nobody wrote it down.
        audio (`Path` or [`ZippedFile`], *optional*): a sound file apart from the video.
        times (`tuple[TimedWord, ...]` or [`WordTimes`], *optional*): when each word is said, or where that is written;
            in seconds from the beginning of the clip, which is that of the part where it is one.
        text (`str`, *optional*): what is said, as it was written down.
        start (`float`), end (`float`, *optional*): the part of the video, in seconds; all of it by default.
        version (`str`): changes when the video, the part or its words do; empty where a name never stands for
            another recording, as in GRID. Caches keep clips under it.
        split (`str`, *optional*): the split that it was loaded from. Two clips that differ in it alone are equal.
    """

    speaker: str
    name: str
    video: ClipVideo
    words: tuple[str, ...] | None = None
    audio: ClipFile | None = None
    times: tuple[TimedWord, ...] | WordTimes | None = None
    text: str | None = None
    start: float = 0.0
    end: float | None = None
    version: str = field(default="", compare=False)
    split: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """`speaker/name`, unique in the corpus."""
        return f"{self.speaker}/{self.name}"

    @property
    def is_part(self) -> bool:
        """Whether it is less than the whole video."""
        return self.start > 0 or self.end is not None

    @property
    def source(self) -> str | bytes | VideoPart:
        """What decoders take: the path of the video, or its bytes where it lies in an archive or a table; or a part of
        either."""
        video = str(self.video) if isinstance(self.video, Path) else self.video.read_bytes()
        if not self.is_part:
            return video
        from ..video import VideoPart  # noqa: PLC0415  brings PyAV, and commands read this module for their options

        return VideoPart(video, self.start, self.end)

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
        any_split (`bool`, *optional*, defaults to `False`): which clip is in which split does not matter: where a
            corpus has splits only if somebody gives them, and nobody does, all clips are in one, `"all"`.
    """

    scheme: str = "custom"
    splits_file: str | os.PathLike | None = None
    speakers: tuple[str, ...] | None = None
    any_split: bool = False


__all__ = [
    "AUDIO_SUFFIXES",
    "MOST_WORDS",
    "OTHER_AUDIO_SUFFIXES",
    "OTHER_VIDEO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipFile",
    "ClipVideo",
    "CorpusError",
    "LateTimesError",
    "Selection",
    "Splits",
    "StoredVideo",
    "TimedWord",
    "WordTimes",
    "ZippedFile",
    "holds_tables",
    "is_saved_dataset",
    "is_sound",
    "late_end",
    "late_words",
    "open_archive",
    "times_fault",
    "visible_files",
]
