"""What the columns of a table of clips say, in the form of the `VideoFolder` of the library `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..grammar import TextNormalizer
from .clips import CorpusError, TimedWord


SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
TEXT_COLUMNS = ("transcription", "transcript", "text", "sentence")
SPEAKER_COLUMNS = ("speaker", "speaker_id")
METADATA = ("metadata.csv", "metadata.jsonl")
PART_RATE = 25  # a part begins with a frame of the networks' videos, so that pictures and sound stay together


class VideoFolderError(CorpusError):
    """A folder of videos whose metadata or transcripts cannot be used."""


def metadata_files(folder: Path) -> list[Path]:
    """`metadata.csv` or `.jsonl` at the top of a folder, and in its folders of splits."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in SPLIT_NAMES)]
    return [
        next(file for name in METADATA if (file := place / name).is_file())
        for place in places
        if any((place / name).is_file() for name in METADATA)
    ]


def decode_text(content: bytes) -> str:
    """
    Text that is UTF-8, or UTF-16 with its mark, as some spreadsheets and editors of Windows write it.

    Raises:
        UnicodeDecodeError: if it is neither.
    """
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def first_text(row: dict[str, Any], columns: tuple[str, ...]) -> str | None:
    """The first of some columns that says something, as text."""
    value = next((row[column] for column in columns if row.get(column) not in (None, "")), None)
    return None if value is None else str(value).strip()


def word_times(words: Any, place: str) -> tuple[TimedWord, ...]:
    """A column of words with their times; empty where there are none, or times are unknown (below 0)."""
    if not isinstance(words, list) or not all(isinstance(entry, dict) for entry in words):
        return ()
    try:
        times = tuple((float(entry["start"]), float(entry["end"]), str(entry["word"])) for entry in words)
    except (KeyError, TypeError, ValueError) as error:
        raise VideoFolderError(
            f'{place}: words are not a list of {{"word": …, "start": …, "end": …}} (in seconds; {error!r}).'
        ) from error
    return () if any(start < 0 or end < start for start, end, _ in times) else times


def times_within(
    words: tuple[TimedWord, ...], start: float, end: float | None, normalizer: TextNormalizer
) -> tuple[TimedWord, ...]:
    """Words of a whole video, with their times from the beginning of a part; those mostly outside are cut off."""
    end = float("inf") if end is None else end
    return tuple(
        (max(first - start, 0.0), min(last, end) - start, word)
        for first, last, text in words
        if start <= (first + last) / 2 < end
        for word in normalizer(text).words
    )


def part_start(start: float | None) -> float:
    """The beginning of a part, rounded to a video frame, in seconds."""
    return round((start or 0.0) * PART_RATE) / PART_RATE


def read_time(row: dict[str, Any], column: str, place: str) -> float | None:
    """A column of a time in seconds; `None` where it says nothing."""
    value = row.get(column)
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = float("nan")
    if not 0 <= seconds < float("inf"):
        raise VideoFolderError(f"{place}: {column} is {value!r}; it must be a time in seconds, such as 12.5.")
    return seconds


def safe_name(name: str) -> str:
    """A name that can be that of a file, and that sorts and reads as before."""
    cleaned = "".join(c if c.isalnum() or c in "-_.@ +" else "_" for c in name).strip(" .")
    return cleaned or "_"


__all__ = [
    "METADATA",
    "SPEAKER_COLUMNS",
    "SPLIT_NAMES",
    "metadata_files",
    "TEXT_COLUMNS",
    "VideoFolderError",
    "decode_text",
    "first_text",
    "part_start",
    "read_time",
    "safe_name",
    "times_within",
    "word_times",
]
