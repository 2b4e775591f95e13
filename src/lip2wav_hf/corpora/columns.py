"""What the columns of a table of clips say, in the form of the `VideoFolder` of the library `datasets`."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import parse_json
from ..grammar import TextNormalizer
from .clips import CorpusError, TimedWord, times_fault


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
WORDS_FORM = 'the column must be a list of {"word": "blue", "start": 0.5, "end": 0.8}, in seconds'
UNKNOWN_TIME = -1.0  # of a word that is not aligned. Not null: readers infer a column's type from a few clips
SHOWN = 60  # signs of a value in a message
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


def unread_tables(folder: Path) -> list[str]:
    """Sentences on tables beside one that is read instead; none on a dataset of the Hub, which is no folder."""
    return [
        f"{other} is not read, since {file.name} is beside it. Keep one of them."
        for file in (metadata_files(folder) if folder.is_dir() else ())
        for other in sorted(file.parent.iterdir())
        if other.name.lower() in METADATA and other != file
    ]


def plain_names(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns are named as those of this module: in lower case, without spaces around them."""
    return {column.strip().lower(): value for column, value in row.items()}


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
    """
    A column of words with their times, as it says them: whether they can be right, `times_fault` says.

    Args:
        words: a list of `{"word": …, "start": …, "end": …}`, in seconds, or JSON text of one, as a cell of a CSV has
            it.
        place (`str`): file and row, for the message.

    Returns:
        `tuple[TimedWord, ...]`: empty where there are none, or all times are unknown (below 0, as `lip2wav export`
        writes those of a clip without alignment, or empty); NaN where only some are empty.

    Raises:
        VideoFolderError: if it has another form.
    """
    if _absent(words):
        return ()
    try:
        entries = parse_json(words) if isinstance(words, str) else words
    except ValueError:
        raise VideoFolderError(f"{place}: words is the text {shown(words)}; {WORDS_FORM}.") from None
    if _absent(entries):  # `null` in a cell of a CSV
        return ()
    if isinstance(entries, dict):  # as `datasets` gives a `Sequence` of records
        entries = _records(entries)
    if not isinstance(entries, list):
        raise VideoFolderError(f"{place}: words is {shown(entries)}; {WORDS_FORM}.")
    times = tuple(_timed_word(entry, f"{place}: words[{number}]") for number, entry in enumerate(entries))
    return times if any(start >= 0 or end >= 0 for start, end, _ in times) else ()


def _records(columns: dict[str, Any]) -> Any:
    """Columns of equal length as a list of records; anything else as it is."""
    values = list(columns.values())
    if not values or not all(isinstance(each, list) and len(each) == len(values[0]) for each in values):
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def shown(value: Any) -> str:
    """A value for a message, the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


def _timed_word(entry: Any, place: str) -> TimedWord:
    """An entry of a column of words.

    Raises:
        VideoFolderError: if it is none.
    """
    if not isinstance(entry, dict):
        raise VideoFolderError(f"{place} is {shown(entry)}; {WORDS_FORM}.")
    for key in ("word", "start", "end"):
        if key not in entry:
            raise VideoFolderError(f"{place} has no {key!r}; {WORDS_FORM}.")
    word = entry["word"]
    if isinstance(word, bool) or not isinstance(word, str | int | float):
        raise VideoFolderError(f"{place}: its word is {shown(word)}, no text; {WORDS_FORM}.")
    return _number(entry, "start", place), _number(entry, "end", place), str(word)


def _number(entry: dict[str, Any], key: str, place: str) -> float:
    """A time of a word, in seconds, which may be written as text; NaN where it says nothing."""
    if _absent(entry[key]):
        return math.nan
    try:
        seconds = math.inf if isinstance(entry[key], bool) else float(entry[key])
    except (TypeError, ValueError, OverflowError):
        seconds = math.inf
    if not math.isfinite(seconds):
        raise VideoFolderError(f"{place}: its {key} is {shown(entry[key])}, no number; {WORDS_FORM}.")
    return seconds


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


@dataclass(frozen=True)
class Said:
    """
    What is said in a clip.

    Attributes:
        words (`tuple[str, ...]`, *optional*): `None` where nobody wrote them down.
        times (`tuple[TimedWord, ...]`, *optional*): of the words, from the beginning of the clip; `None` where there
            are none that can be used.
        fault (`str`, *optional*): why the times that are there cannot be used, a clause.
    """

    words: tuple[str, ...] | None
    times: tuple[TimedWord, ...] | None = None
    fault: str | None = None


def what_is_said(
    text: str | None, timed: tuple[TimedWord, ...], start: float, end: float | None, normalizer: TextNormalizer
) -> Said:
    """
    The words of a clip, and their times where these can be right.

    Args:
        text (`str`, *optional*): what is said; by default what the timed words say.
        timed (`tuple[TimedWord, ...]`): words of the whole video, with their times in it; empty where there are none.
        start (`float`), end (`float`, *optional*): the clip's part of the video, in seconds; to its end by default.
        normalizer ([`TextNormalizer`]): what makes words of text.
    """
    words = None if text is None else normalizer(text).words
    fault = times_fault(timed)
    if fault is not None:
        whole = start == 0 and end is None  # of a part, such times cannot say which words are in it
        others = tuple(word for _, _, each in timed for word in normalizer(each).words)
        return Said((others or None) if words is None and whole else words, None, fault)
    times = times_within(timed, start, end, normalizer)
    heard = tuple(word for _, _, word in times)
    if words is None:
        return Said(heard or None, times or None)
    if not timed or heard == words:
        return Said(words, times or None)
    span = "" if end is None and not start else f" from {start:g} s {'on' if end is None else f'to {end:g} s'}"
    return Said(
        words, None, f"its timed words{span} are {shown(' '.join(heard))}, what is said is {shown(' '.join(words))}"
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
    "Said",
    "TEXT_COLUMNS",
    "UNKNOWN_TIME",
    "VideoFolderError",
    "first_text",
    "metadata_files",
    "one_name",
    "part_start",
    "plain_names",
    "read_time",
    "safe_name",
    "shown",
    "speaker_of",
    "times_within",
    "unread_tables",
    "what_is_said",
    "word_times",
]
