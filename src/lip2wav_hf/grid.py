"""The GRID audiovisual sentence corpus: its grammar, its folder layout and its splits.

Cooke, Barker, Cunningham, Shao (2006), "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 120(5), 2421-2424; Zenodo record 3625687, CC BY 4.0. A clip's name spells its sentence: `bbaf2n` is
"bin blue at f two now".
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .grammar import GRAMMAR, VOCABULARY


SILENCES = ("sil", "sp")
ALIGNMENT_RATE = 25_000  # samples/s in which GRID's alignments count time
VIDEO_SUFFIXES = (".mpg", ".mkv", ".mp4", ".mov", ".avi", ".webm")


class GridError(ValueError):
    """A GRID folder, clip name, alignment or split that cannot be used."""


def sentence_words(name: str) -> list[str]:
    """Words of the sentence that a GRID clip's name spells.

    Args:
        name (`str`): six characters, one a slot, such as `"bbaf2n"`.

    Returns:
        `list[str]`: the six words, such as `["bin", "blue", "at", "f", "two", "now"]`.

    Raises:
        GridError: if the name is not a GRID sentence.
    """
    if len(name) != len(GRAMMAR):
        raise GridError(f"{name!r} is not a GRID sentence: six letters are needed, as in 'bbaf2n'.")
    words = []
    for character, (slot, choices) in zip(name.lower(), GRAMMAR.items()):
        if slot == "digit":
            matches = choices["z123456789".index(character) :][:1] if character in "z123456789" else []
        else:
            matches = [word for word in choices if word[0] == character]
        if not matches:
            raise GridError(f"{name!r} is not a GRID sentence: {character!r} names no {slot} ({', '.join(choices)}).")
        words.append(matches[0])
    return words


def read_alignment(path: str | os.PathLike) -> list[tuple[float, float, str]]:
    """Word alignment of a clip, silences included.

    Args:
        path (`str` or `os.PathLike`): a GRID `.align` file, lines of `start end word` in 1/25000 s.

    Returns:
        `list[tuple[float, float, str]]`: start and end in seconds, and the word.

    Raises:
        GridError: if the file does not exist or a line cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise GridError(f"{path}: no such alignment file.")
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            start, end, word = line.split()
            entries.append((int(start) / ALIGNMENT_RATE, int(end) / ALIGNMENT_RATE, word.lower()))
        except ValueError:
            raise GridError(f"{path}, line {number}: expected 'start end word', found {line!r}.") from None
    return entries


@dataclass(frozen=True)
class GridClip:
    """One clip of the corpus.

    Attributes:
        speaker (`str`): such as `"s1"`.
        name (`str`): the sentence, such as `"bbaf2n"`.
        video (`Path`): the video file, with its sound.
        words (`tuple[str, ...]`): the six words spoken.
    """

    speaker: str
    name: str
    video: Path
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """`speaker/name`, unique in the corpus."""
        return f"{self.speaker}/{self.name}"


def find_video(data_dir: str | os.PathLike, speaker: str, name: str) -> Path:
    """Video file of a clip, in `data_dir/video/SPEAKER` or `data_dir/SPEAKER`.

    Raises:
        GridError: if there is none.
    """
    for folder in (
        Path(data_dir, "video", speaker),
        Path(data_dir, speaker),
        Path(data_dir, speaker, "video", "mpg_6000"),
    ):
        for suffix in VIDEO_SUFFIXES:
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    raise GridError(
        f"{data_dir}: no video of clip {speaker}/{name} (looked for {name}.mpg, .mkv, .mp4 … of speaker {speaker})."
    )


def load_split(
    data_dir: str | os.PathLike,
    split: str,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
) -> list[GridClip]:
    """Clips of one split of a GRID folder.

    Args:
        data_dir (`str` or `os.PathLike`): folder with `video/SPEAKER/NAME.mkv` (or `.mpg`, …) and `splits.json`.
        split (`str`): a key of the splits file, such as `"train"`, `"validation"` or `"unseen_validation"`.
        speakers (`list[str]`, *optional*): only these; all of the split by default.
        splits_file (`str` or `os.PathLike`, *optional*): JSON `{split: {speaker: [names]}}`; `data_dir/splits.json`
            by default.

    Returns:
        `list[GridClip]`: in the order of the file.

    Raises:
        GridError: if the folder, the split, a speaker or a clip is missing.
    """
    path = Path(splits_file) if splits_file is not None else Path(data_dir, "splits.json")
    if not path.is_file():
        raise GridError(f"{path}: no such splits file; it maps split -> speaker -> clip names, as JSON.")
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise GridError(f"{path}: not valid JSON ({error}).") from None
    if split not in splits:
        raise GridError(f"{path}: no split {split!r}; it has {', '.join(splits)}.")
    chosen = splits[split]
    unknown = sorted(set(speakers or ()) - set(chosen))
    if unknown:
        raise GridError(f"{path}: split {split!r} has no speaker {', '.join(unknown)}; it has {', '.join(chosen)}.")
    return [
        GridClip(speaker, name, find_video(data_dir, speaker, name), tuple(sentence_words(name)))
        for speaker, names in chosen.items()
        if speakers is None or speaker in speakers
        for name in names
    ]


__all__ = [
    "ALIGNMENT_RATE",
    "GRAMMAR",
    "SILENCES",
    "VOCABULARY",
    "GridClip",
    "GridError",
    "find_video",
    "load_split",
    "read_alignment",
    "sentence_words",
]
