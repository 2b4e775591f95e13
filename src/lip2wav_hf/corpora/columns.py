"""What the columns of a table of clips say, in the form of the `VideoFolder` of the library `datasets`."""

from __future__ import annotations

import re
import unicodedata
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
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d*\.?\d+(?:[eE][+-]?\d+)?|\d+\.)")  # hours, minutes, seconds
PART_RATE = 25  # a part begins with a frame of the networks' videos, so that pictures and sound stay together


class VideoFolderError(CorpusError):
    """A folder of videos whose metadata or transcripts cannot be used."""


def metadata_files(folder: Path) -> list[Path]:
    """`metadata.csv` or `.jsonl` at the top of a folder, and in its folders of splits."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() in SPLIT_NAMES)]
    return [file for place in places if (file := _metadata_file(place)) is not None]


def _metadata_file(folder: Path) -> Path | None:
    """The first of `METADATA` in a folder, whatever the case of its name."""
    files = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_file()}
    return next((files[name] for name in METADATA if name in files), None)


def plain_names(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns are named as those of this module: in lower case, without spaces around them. Of two that
    are then one, the one that was written so stays."""
    named = {column.strip().lower(): value for column, value in row.items()}
    return named | {column: value for column, value in row.items() if column in named}


def _absent(value: Any) -> bool:
    """Whether a cell says nothing: it is empty, or not a number, as some libraries write that."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def first_text(row: dict[str, Any], columns: tuple[str, ...], place: str) -> str | None:
    """The first of some columns that says something, as text.

    Raises:
        VideoFolderError: if it is neither text nor a number.
    """
    column = next((column for column in columns if not _absent(row.get(column))), None)
    if column is None:
        return None
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise VideoFolderError(f"{place}: {column} is {value!r}; it must be text.")
    return str(value).strip()


def one_name(name: str) -> str:
    """The name of a person in one form of Unicode, without white space but single spaces inside."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def speaker_of(row: dict[str, Any], place: str) -> str | None:
    """Whose recording a row is of; `None` where it does not say.

    Raises:
        VideoFolderError: if it is neither text nor a number.
    """
    speaker = first_text(row, SPEAKER_COLUMNS, place)
    return None if speaker is None else one_name(speaker)


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
    return times if all(0 <= start <= end < float("inf") for start, end, _ in times) else ()


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
    """A column of a time, in seconds or as `h:mm:ss.s`, with a point or a comma; `None` where it says nothing.

    Raises:
        VideoFolderError: if it is no time.
    """
    value = row.get(column)
    if _absent(value):
        return None
    if isinstance(value, bool) or not 0 <= (seconds := _seconds(value)) < float("inf"):
        raise VideoFolderError(
            f"{place}: {column} is {value!r}; it must be a time in seconds, such as 12.5, or such as 0:00:12.5."
        )
    return seconds


def _seconds(value: Any) -> float:
    """Of a time as it is written; not a number where it is none."""
    found = _TIME.fullmatch(str(value).strip().replace(",", "."))
    hours, minutes = (int(number or 0) for number in found.groups()[:2]) if found else (0, 0)
    return 3600 * hours + 60 * minutes + float(found[3]) if found else float("nan")


def safe_name(name: str) -> str:
    """A name that can be that of a file, and that sorts and reads as before."""
    cleaned = "".join(c if c.isalnum() or c in "-_.@ +" else "_" for c in name).strip(" .")
    return cleaned or "_"


__all__ = [
    "METADATA",
    "SPEAKER_COLUMNS",
    "SPLIT_NAMES",
    "TEXT_COLUMNS",
    "VideoFolderError",
    "first_text",
    "metadata_files",
    "one_name",
    "part_start",
    "plain_names",
    "read_time",
    "safe_name",
    "speaker_of",
    "times_within",
    "word_times",
]
