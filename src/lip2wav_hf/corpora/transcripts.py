"""Transcripts beside videos: plain text, LRS, WebVTT, SubRip, TextGrid and GRID's alignments, with their times."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import read_text
from .clips import CorpusError, TimedWord


ALIGNMENT_RATE = 25_000  # of the times in .align files, in 1/s
SILENCES = ("", "sil", "sp", "spn", "<eps>")

_TIME = r"((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})"
_CUE_TIMES = re.compile(rf"(?<!\S)(?<!- ){_TIME}\s*-->\s*{_TIME}")
_BOTH_TIMES = r"\s*(?:\d+:)+\d+[.,]\d+[^\w\n]+(?:\d+:)+\d+[.,]\d+"
_LIKE_TIMES = re.compile(rf"{_BOTH_TIMES}|\s*[\d:.,]*\d\s*(?:(?:[-–—−=~]\s*)+>+|[→⟶])\s*\d")
_LINE_OF_TIMES = re.compile(rf"^{_BOTH_TIMES}\s*$", re.MULTILINE)
_COMMENT = re.compile(r"\s*(?:NOTE|STYLE|REGION)\b")  # the first line of a block of WebVTT that is no cue
ARROW, CUE_FORM = "-->", "00:00:01.000 --> 00:00:02.500"
_QUOTED = r'"((?:[^"]|"")*)"'
_TIERS_OF_WORDS = ("words", "word", "ort", "orthography")
_TIERS_OF_SOUNDS = ("phones", "phone", "phonemes", "phoneme", "segments", "mau")  # of aligners and Praat's users


class TranscriptError(CorpusError):
    """A transcript that cannot be read."""


@dataclass(frozen=True)
class Cue:
    """
    What is said from one time to another.

    Attributes:
        start (`float`), end (`float`): in seconds.
        text (`str`): as it is written.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Transcript:
    """
    What a file says about a video.

    Attributes:
        text (`str`): all of it, as it is written, on one line.
        cues (`tuple[Cue, ...]`): sentences with their times, of subtitles; empty for other files.
        words (`tuple[Cue, ...]`): words with their times, without silences; empty where there are none.
        faults (`tuple[str, ...]`): what is wrong with subtitles that are left out, a clause each.
    """

    text: str
    cues: tuple[Cue, ...] = ()
    words: tuple[Cue, ...] = ()
    faults: tuple[str, ...] = ()


def read_transcript(path: str | os.PathLike) -> Transcript:
    """
    Read a transcript, by the suffix of its file: `.txt` (plain, or with the `Text:` line of LRS and its word times),
    `.vtt`, `.srt`, `.TextGrid`, or `.align`.

    Raises:
        TranscriptError: if it cannot be read, or says nothing in that format.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TranscriptError(f"{path}: transcripts of this kind are not read. There are {', '.join(READERS)}.")
    text = _read_text(path)
    try:
        return reader(text)
    except (ValueError, IndexError) as error:
        raise TranscriptError(f"{path}: it is no {path.suffix} transcript ({error}).") from error


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise TranscriptError(f"{path}: it cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise TranscriptError(f"{path}: it is not UTF-8 text ({error.reason}). Save it as UTF-8.") from error


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _read_plain(text: str) -> Transcript:
    lines = text.splitlines()
    sentence = next((line.partition(":")[2] for line in lines if re.match(r"\s*Text\s*:", line)), None)
    if sentence is None:
        return Transcript(_one_line(text))
    words = []
    table = next((number for number, line in enumerate(lines) if line.split()[:3] == ["WORD", "START", "END"]), None)
    for number, line in enumerate(lines, 1):
        if table is not None and number > table + 1 and (fields := line.split()):
            words.append(_timed_line(number, line, fields[1:3] + fields[:1], "WORD START END", float))
    return Transcript(_one_line(sentence), words=tuple(words))


def _timed_line(number: int, line: str, fields: Sequence[str], form: str, seconds: Callable[[str], float]) -> Cue:
    """A word with its times.

    Raises:
        ValueError: if the fields are not start, end and word.
    """
    try:
        start, end, word = fields
        return Cue(seconds(start), seconds(end), word)
    except ValueError:
        raise ValueError(f"line {number} is {line.strip()!r}, not {form}") from None


def _seconds(stamp: str) -> float:
    *rest, seconds = stamp.replace(",", ".").split(":")
    minutes = 0
    for part in rest:
        minutes = 60 * minutes + int(part)
    return 60 * minutes + float(seconds)


def _read_subtitles(text: str) -> Transcript:
    cues, faults = [], []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        times, comment = _CUE_TIMES.search(block), _COMMENT.match(block)
        before = block[: times.start() if times else None].splitlines()
        unread = [line.strip() for line in before if ARROW in line or (_LIKE_TIMES.match(line) and not comment)]
        faults += (f"the times {line!r} are not written as {CUE_FORM}" for line in unread[:1])
        if times is None:
            continue
        rest = block[times.end() :]
        spoken = rest.partition("\n")[2]
        spoken = _one_line(html.unescape(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", spoken)))
        start, end = map(_seconds, times.groups())
        if ARROW in rest or _LINE_OF_TIMES.search(rest):
            faults.append(f"there is no empty line between the cue of {times[1]} and the next one")
        elif end <= start:
            faults.append(f"a cue ends at {times[2]}, not after its beginning at {times[1]}")
        elif spoken:
            cues.append(Cue(start, end, spoken))
    if not cues:
        raise ValueError(faults[0] if faults else f"there is no cue with a time, such as {CUE_FORM}")
    return Transcript(" ".join(cue.text for cue in cues), tuple(cues), faults=tuple(faults))


def _read_textgrid(text: str) -> Transcript:
    """Praat's long and short text formats; the tier of words is the one named so, or else the first of intervals that
    is not named as one of sounds. In a name such as `s1 - words`, what is before the dash is the speaker; only one may
    speak."""
    numeral = r'(?<![\w"])(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w"\]])'
    values = re.findall(rf"{_QUOTED}|{numeral}", re.sub(r"\[\d+\]:?", "", text))
    flat = [quoted.replace('""', '"') if quoted or not number else float(number) for quoted, number in values]
    tiers: list[tuple[str, tuple[Cue, ...]]] = []
    position = 0
    while position < len(flat):
        if flat[position] != "IntervalTier":
            position += 1
            continue
        name, _, _, intervals = (flat[position + 1 : position + 5] + [None] * 4)[:4]
        if not isinstance(intervals, float) or not intervals.is_integer() or intervals < 0:
            raise ValueError(f"the tier {name!r} does not say how many intervals it has")
        count = int(intervals)
        entries = flat[position + 5 : position + 5 + 3 * count]
        if len(entries) < 3 * count:
            raise ValueError(f"the tier {name!r} breaks off after {len(entries) // 3} of {count} intervals")
        tier = []
        for number, (start, end, label) in enumerate(zip(entries[::3], entries[1::3], entries[2::3], strict=True), 1):
            if not isinstance(start, float) or not isinstance(end, float):
                raise ValueError(f"the interval {number} of the tier {name!r} is not a start, an end and a text")
            tier.append(Cue(start, end, _one_line(str(label))))
        tiers.append((str(name), tuple(cue for cue in tier if cue.text.lower() not in SILENCES)))
        position += 5 + 3 * count
    if not tiers:
        raise ValueError("there is no tier of intervals")
    words = _tier_of_words(tiers)
    return Transcript(" ".join(cue.text for cue in words), words=words)


def _tier_of_words(tiers: Sequence[tuple[str, tuple[Cue, ...]]]) -> tuple[Cue, ...]:
    """Of named tiers without silences, that of the words.

    Raises:
        ValueError: if there is none, or several people have one with words in it.
    """
    kinds = [name.rpartition(" - ")[2].strip().lower() for name, _ in tiers]
    chosen = next((kind for kind in kinds if kind in _TIERS_OF_WORDS), None)
    chosen = chosen or next((kind for kind in kinds if kind not in _TIERS_OF_SOUNDS), None)
    if chosen is None:
        raise ValueError(f"its tier {tiers[0][0]!r} has sounds; name the one of words 'words'")
    spoken = [tier for tier, kind in zip(tiers, kinds, strict=True) if kind == chosen and tier[1]]
    if len(spoken) > 1:
        both = " and ".join(repr(name) for name, _ in spoken[:2])
        raise ValueError(f"the tiers {both} have words; keep that of the person who is seen")
    return spoken[0][1] if spoken else ()


def _read_align(text: str) -> Transcript:
    found = (
        _timed_line(number, line, line.split(), "START END WORD", lambda time: int(time) / ALIGNMENT_RATE)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    )
    words = tuple(cue for cue in found if cue.text.lower() not in SILENCES)
    if not words:
        raise ValueError("there is no line of start, end and word")
    return Transcript(" ".join(cue.text for cue in words), words=words)


def _with_silences(words: Sequence[TimedWord], duration: float) -> list[TimedWord]:
    """Words, and silences (without text) where there are none, from 0 to the end."""
    entries: list[TimedWord] = []
    for start, end, word in [*words, (duration, duration, "")]:
        before = entries[-1][1] if entries else 0.0
        if start > before:
            entries.append((before, start, ""))
        if word:
            entries.append((start, end, word))
    return entries


def _write_textgrid(words: Sequence[TimedWord], duration: float) -> str:
    """Praat's long text format, with the tier `words`."""
    duration = max([duration, *(end for _, end, _ in words)])
    entries = _with_silences(words, duration)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {duration:.6g}"]
    lines += ["tiers? <exists>", "size = 1", "item []:", "    item [1]:", '        class = "IntervalTier"']
    lines += ['        name = "words"', "        xmin = 0", f"        xmax = {duration:.6g}"]
    lines.append(f"        intervals: size = {len(entries)}")
    for number, (start, end, word) in enumerate(entries, 1):
        quoted = word.replace('"', '""')
        lines += [f"        intervals [{number}]:", f"            xmin = {start:.6g}", f"            xmax = {end:.6g}"]
        lines.append(f'            text = "{quoted}"')
    return "\n".join([*lines, ""])


def _write_align(words: Sequence[TimedWord], duration: float) -> str:
    """As GRID's alignments."""
    return "".join(
        f"{round(start * ALIGNMENT_RATE)} {round(end * ALIGNMENT_RATE)} {word or 'sil'}\n"
        for start, end, word in _with_silences(words, duration)
    )


TIMED_WRITERS: dict[str, Callable[[Sequence[TimedWord], float], str]] = {
    ".TextGrid": _write_textgrid,
    ".align": _write_align,
}
"""Suffix -> writer of word times, of a clip of some duration."""

READERS: dict[str, Callable[[str], Transcript]] = {
    ".textgrid": _read_textgrid,
    ".align": _read_align,
    ".vtt": _read_subtitles,
    ".srt": _read_subtitles,
    ".txt": _read_plain,
}
"""Suffix -> reader; the first that is there beside a video is read, so those with times come first."""


__all__ = ["READERS", "TIMED_WRITERS", "Cue", "Transcript", "TranscriptError", "read_transcript"]
