"""The GRID audiovisual sentence corpus: its sentences, its alignments and the layouts of its folders.

Cooke, Barker, Cunningham, Shao (2006), "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 120(5), 2421-2424; Zenodo record 3625687, CC BY 4.0. A clip's name spells its sentence: `bbaf2n` is
"bin blue at f two now".
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..corpora.clips import (
    AUDIO_SUFFIXES,
    VIDEO_SUFFIXES,
    Clip,
    ClipFile,
    ClipVideo,
    CorpusError,
    TimedWord,
    ZippedFile,
    open_archive,
    times_fault,
    visible_files,
)
from ..corpora.columns import metadata_files
from ..errors import counted
from ..grammar import GRAMMAR


SILENCES = ("sil", "sp")
ALIGNMENT_RATE = 25_000  # samples/s in which GRID's alignments count time

# Where a speaker's files lie, in the layouts that users have. The first place with a clip wins; archives come last.
VIDEO_FOLDERS = (
    "video/{speaker}",
    "{speaker}",
    "{speaker}/video/mpg_6000",
    "{speaker}/video/mpg_vcd",
    "{speaker}/mpg_6000",
    "{speaker}/mpg_vcd",
    "{speaker}/video",
    "{speaker}/{speaker}",
    "video/mpg_6000/{speaker}",
)
ALIGNMENT_FOLDERS = (
    "alignments/{speaker}",
    "align/{speaker}",
    "{speaker}/align",
    "{speaker}/alignments",
    "{speaker}",
    "alignments/alignments/{speaker}",
    "../alignments/{speaker}",
)
AUDIO_FOLDERS = (
    "audio_25k/{speaker}",
    "audio/{speaker}",
    "{speaker}/audio",
    "{speaker}/audio_25k",
    "audio_25k/audio_25k/{speaker}",
)
VIDEO_ARCHIVES = ("{speaker}.zip", "{speaker}.*.zip", "video/{speaker}.zip", "video/{speaker}.*.zip")
ALIGNMENT_ARCHIVES = ("alignments.zip",)
AUDIO_ARCHIVES = ("audio_25k.zip",)
_PLACES = {
    "video": (VIDEO_FOLDERS, VIDEO_ARCHIVES, VIDEO_SUFFIXES),
    "alignment": (ALIGNMENT_FOLDERS, ALIGNMENT_ARCHIVES, (".align",)),
    "audio": (AUDIO_FOLDERS, AUDIO_ARCHIVES, AUDIO_SUFFIXES),
}

NOT_A_SENTENCE = "the name spells no GRID sentence, as bbaf2n does (bin blue at f two now)"
"""Why a video that is there is not found."""

SPEAKERS = tuple(f"s{number}" for number in range(1, 35) if number != 21)
"""The speakers of GRID with video."""

_SPEAKER = re.compile(r"s\d+", re.IGNORECASE)


class GridError(CorpusError):
    """A GRID folder, clip name, alignment or split that cannot be used."""


class ContradictingAlignment(GridError):
    """An alignment of other words than those that the clip's name spells."""


# ---------------------------------------------------------------------------------------------------------------------
# sentences and alignments
# ---------------------------------------------------------------------------------------------------------------------


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
    for character, (slot, choices) in zip(name.lower(), GRAMMAR.items(), strict=True):
        if slot == "digit":
            matches = choices["z123456789".index(character) :][:1] if character in "z123456789" else []
        else:
            matches = [word for word in choices if word[0] == character]
        if not matches:
            raise GridError(f"{name!r} is not a GRID sentence: {character!r} names no {slot} ({', '.join(choices)}).")
        words.append(matches[0])
    return words


def is_sentence(name: str) -> bool:
    """Whether a clip's name spells a GRID sentence, as `"bbaf2n"` does."""
    try:
        sentence_words(name)
    except GridError:
        return False
    return True


def read_alignment(path: str | os.PathLike | ZippedFile) -> list[TimedWord]:
    """Word alignment of a clip, silences included.

    Args:
        path (`str`, `os.PathLike` or [`ZippedFile`]): a GRID `.align` file, lines of `start end word` in 1/25000 s.

    Returns:
        `list[TimedWord]`: start and end in seconds, and the word.

    Raises:
        GridError: if the file does not exist or a line cannot be read.
    """
    path = path if isinstance(path, ZippedFile) else Path(path)
    if isinstance(path, Path) and not path.is_file():
        raise GridError(f"{path}: no such alignment file.")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise GridError(f"{path}: not a text file of lines 'start end word'.") from None
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            start, end, word = line.split()
            entries.append((int(start) / ALIGNMENT_RATE, int(end) / ALIGNMENT_RATE, word.lower()))
        except ValueError:
            raise GridError(f"{path}, line {number}: expected 'start end word', found {line!r}.") from None
    return entries


@dataclass(frozen=True)
class GridAlignment:
    """The word times of a clip, in a GRID `.align` file.

    Attributes:
        file (`Path` or [`ZippedFile`]): the file.
        words (`tuple[str, ...]`): those that the clip's name spells.
    """

    file: ClipFile
    words: tuple[str, ...]

    def read(self) -> list[TimedWord]:
        """Start and end (s) of each word, without silences.

        Raises:
            ContradictingAlignment: if it says other words than the name.
            GridError: if it cannot be read, or its times cannot be right.
        """
        entries = [entry for entry in read_alignment(self.file) if entry[2] not in SILENCES]
        if [word for _, _, word in entries] != list(self.words):
            spoken = " ".join(word for _, _, word in entries)
            raise ContradictingAlignment(
                f"the alignment {self.file} says {spoken!r}, the name says {' '.join(self.words)!r}."
            )
        if fault := times_fault(entries):
            raise GridError(f"{self.file}: {fault}.")
        return entries


# ---------------------------------------------------------------------------------------------------------------------
# folders and clips
# ---------------------------------------------------------------------------------------------------------------------


def clip_of_file(video: str | os.PathLike) -> Clip:
    """The clip of a single video file `…/SPEAKER/NAME.mpg`, with the alignment beside it, if there is one.

    Args:
        video (`str` or `os.PathLike`): the file, such as `video/s1/bbaf2n.mpg`.

    Raises:
        GridError: if its name is not a GRID sentence.
    """
    path = Path(video)
    speaker, name = path.absolute().parent.name, path.stem.lower()
    words = tuple(sentence_words(name))
    file = _alignment_beside(path, speaker, name)
    return Clip(speaker, name, path, words, times=None if file is None else GridAlignment(file, words))


def _alignment_beside(video: Path, speaker: str, name: str) -> Path | None:
    for root in video.absolute().parents[1:4]:
        for template in ALIGNMENT_FOLDERS:
            path = root / template.format(speaker=speaker) / f"{name}.align"
            if path.is_file():
                return path
    return None


class GridFolder:
    """The part of GRID that a folder holds, in any of its layouts, unpacked or in Zenodo's archives.

    Listings are read when they are first asked for, and kept.

    Args:
        data_dir (`str` or `os.PathLike`): the folder of the corpus, or of one speaker (`…/s1`).

    Attributes:
        path (`Path`): the folder as it was given.
        root (`Path`): the folder of the corpus, the parent where `path` is that of one speaker.
        strays (`list[Path | ZippedFile]`): videos whose name spells no GRID sentence, of the speakers listed so far.

    Raises:
        GridError: if there is no such folder.
    """

    def __init__(self, data_dir: str | os.PathLike) -> None:
        self.path = Path(data_dir)
        if not self.path.is_dir():
            raise GridError(
                f"{data_dir}: no such folder. Give the one that holds GRID's s1, s2 … or s1.zip, s2.zip …."
            )
        self.root, self._only = self.path, None
        if _SPEAKER.fullmatch(self.path.absolute().name) and not self._speakers_in(self.path):
            self.root, self._only = self.path.absolute().parent, self.path.absolute().name
        self._listings: dict[tuple[str, str], dict[str, ClipFile]] = {}
        self._members: dict[Path, dict[str, list[str]]] = {}
        self.strays: list[ClipFile] = []

    @staticmethod
    def _speakers_in(root: Path) -> set[str]:
        names = set()
        for folder in (root, root / "video", root / "video" / "mpg_6000"):
            if folder.is_dir():
                for entry in os.scandir(folder):
                    stem = entry.name.partition(".")[0]
                    if _SPEAKER.fullmatch(stem) and (entry.is_dir() or entry.name.lower().endswith(".zip")):
                        names.add(stem)
        return names - {root.name}

    def objection(self) -> str | None:
        """Why the folder is not one of GRID, as a sentence; `None` if a video or an archive in it can be."""
        metadata = metadata_files(self.path)
        if metadata:
            return f"{metadata[0]} says what is in it."
        stray = None
        for template in VIDEO_FOLDERS:
            for place in self.root.glob(template.format(speaker=self._only or "*")):
                for file in self._in_folder(place):
                    if file.suffix.lower() not in VIDEO_SUFFIXES or file.name.startswith("."):
                        continue
                    if is_sentence(file.stem):
                        return None
                    stray = stray or file
        if any(visible_files(self.root, "*.zip")) or any(visible_files(self.root, "video/*.zip")):
            return None
        if stray is not None:
            return f"{stray} and the like: {NOT_A_SENTENCE}."
        places = ", ".join((*VIDEO_FOLDERS[:3], VIDEO_ARCHIVES[0])).format(speaker="SPEAKER")
        return f"there are no videos in {places} and the like."

    def speakers(self) -> list[str]:
        """Speakers with a video, in the order of their numbers."""
        names = [self._only] if self._only else self._speakers_in(self.root)
        return sorted((name for name in names if self.videos(name)), key=lambda name: (int(name[1:]), name))

    def videos(self, speaker: str) -> dict[str, ClipFile]:
        """Video files of a speaker by clip name. Files whose name is no sentence go to `strays`."""
        return self._listing("video", speaker)

    def alignments(self, speaker: str) -> dict[str, ClipFile]:
        """Alignment files of a speaker by clip name."""
        return self._listing("alignment", speaker)

    def audio(self, speaker: str) -> dict[str, ClipFile]:
        """Sound files of a speaker by clip name."""
        return self._listing("audio", speaker)

    def clip(self, speaker: str, name: str) -> Clip:
        """A clip with all its files.

        Raises:
            GridError: if the name is not a sentence or there is no video of it.
        """
        words = tuple(sentence_words(name))
        video, alignment, audio = (
            listing(speaker).get(name.lower()) for listing in (self.videos, self.alignments, self.audio)
        )
        if video is None:
            raise GridError(
                f"{self.path}: no video of clip {speaker}/{name} (looked for {name}.mpg, .mkv, .mp4 … in"
                f" {', '.join(VIDEO_FOLDERS[:3]).format(speaker=speaker)} and the like, and in {speaker}.zip)."
            )
        times = None if alignment is None else GridAlignment(alignment, words)
        return Clip(speaker, name, video, words, audio, times)

    def stray_note(self) -> str:
        """A sentence on the videos that are there but are no clips, for an error that misses clips; or nothing."""
        if not self.strays:
            return ""
        return f" Not counted are {counted(len(self.strays), 'video')} such as {self.strays[0]}: {NOT_A_SENTENCE}."

    def fingerprint(self, speakers: Iterable[str] | None = None) -> str:
        """Changes when a file of the speakers (all by default) comes, goes or changes its size or time."""
        digest = hashlib.sha256()
        for speaker in self.speakers() if speakers is None else speakers:
            for files in (self.videos(speaker), self.alignments(speaker), self.audio(speaker)):
                for path in sorted(
                    {file.archive if isinstance(file, ZippedFile) else file for file in files.values()}
                ):
                    status = path.stat()
                    digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _listing(self, kind: str, speaker: str) -> dict[str, ClipFile]:
        listing = self._listings.get((kind, speaker))
        if listing is None:
            listing = self._listings[kind, speaker] = {}
            folders, archives, _ = _PLACES[kind]
            for template in folders:
                self._add(listing, self._in_folder(self.root / template.format(speaker=speaker)), kind)
            for template in archives:
                for archive in sorted(self.root.glob(template.format(speaker=speaker))):
                    self._add(listing, self._in_archive(archive, speaker), kind)
        return listing

    def _add(self, listing: dict[str, ClipFile], files: Iterable[ClipFile], kind: str) -> None:
        """Add the files of a kind; of two files of a clip in one place, the first suffix wins."""
        suffixes = _PLACES[kind][2]
        chosen = [file for file in files if file.suffix.lower() in suffixes and not file.name.startswith(".")]
        for file in sorted(chosen, key=lambda file: (suffixes.index(file.suffix.lower()), str(file))):
            name = file.name[: -len(file.suffix)].lower()
            if is_sentence(name):
                listing.setdefault(name, file)
            elif kind == "video":
                self.strays.append(file)

    @staticmethod
    def _in_folder(folder: Path) -> list[Path]:
        return [folder / entry.name for entry in os.scandir(folder) if entry.is_file()] if folder.is_dir() else []

    def _in_archive(self, archive: Path, speaker: str) -> list[ZippedFile]:
        """Files of a speaker in an archive: below a folder of this name, or anywhere in the speaker's own archive."""
        if archive not in self._members:
            members = self._members[archive] = {}
            default = archive.name.partition(".")[0].lower()
            for member in _members_of(archive):
                folders = member.split("/")[:-1]
                if "__MACOSX" in folders or member.endswith("/"):
                    continue
                owner = next((part.lower() for part in reversed(folders) if _SPEAKER.fullmatch(part)), default)
                members.setdefault(owner, []).append(member)
        return [ZippedFile(archive, member) for member in self._members[archive].get(speaker.lower(), ())]


def _members_of(archive: Path) -> list[str]:
    try:
        return open_archive(archive).namelist()
    except CorpusError as error:
        raise GridError(f"{error} `lip2wav download` fetches it again once it is deleted.") from None


def find_video(data_dir: str | os.PathLike, speaker: str, name: str) -> ClipVideo:
    """Video file of a clip, in any of GRID's layouts.

    Raises:
        GridError: if there is none.
    """
    return GridFolder(data_dir).clip(speaker, name).video


__all__ = [
    "ALIGNMENT_RATE",
    "SILENCES",
    "SPEAKERS",
    "ContradictingAlignment",
    "GridAlignment",
    "GridError",
    "GridFolder",
    "clip_of_file",
    "find_video",
    "is_sentence",
    "read_alignment",
    "sentence_words",
]
