"""The GRID audiovisual sentence corpus: its grammar, its folder layouts and its splits.

Cooke, Barker, Cunningham, Shao (2006), "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 120(5), 2421-2424; Zenodo record 3625687, CC BY 4.0. A clip's name spells its sentence: `bbaf2n` is
"bin blue at f two now".

This file finds clips, for training, evaluation and the `datasets` builder alike. The builder itself, `Grid`, can be
imported from here too; it and `load_grid` need the library `datasets`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Lip2WavError
from ..grammar import GRAMMAR, VOCABULARY


logger = logging.getLogger(__name__)

SILENCES = ("sil", "sp")
ALIGNMENT_RATE = 25_000  # samples/s in which GRID's alignments count time
VIDEO_SUFFIXES = (".mpg", ".mkv", ".mp4", ".mov", ".avi", ".webm")
AUDIO_SUFFIXES = (".wav", ".flac")

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

# Published splits, see SPLIT_SCHEMES. s21 has no video.
SEEN4_SPEAKERS = ("s1", "s2", "s4", "s29")
UNSEEN33_SPEAKERS = {
    "train": tuple(f"s{number}" for number in (1, 3, 5, 6, 7, 8, 10, 12, 14, 16, 17, 22, 24, 26, 28, 32)),
    "validation": tuple(f"s{number}" for number in (9, 20, 23, 27, 29, 30, 34)),
    "test": tuple(f"s{number}" for number in (2, 4, 11, 13, 15, 18, 19, 25, 31, 33)),
}
OVERLAP33_TEST_CLIPS = 255  # of each speaker

_SPEAKER = re.compile(r"s\d+", re.IGNORECASE)


class GridError(Lip2WavError):
    """A GRID folder, clip name, alignment or split that cannot be used."""


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
    for character, (slot, choices) in zip(name.lower(), GRAMMAR.items()):
        if slot == "digit":
            matches = choices["z123456789".index(character) :][:1] if character in "z123456789" else []
        else:
            matches = [word for word in choices if word[0] == character]
        if not matches:
            raise GridError(f"{name!r} is not a GRID sentence: {character!r} names no {slot} ({', '.join(choices)}).")
        words.append(matches[0])
    return words


def read_alignment(path: str | os.PathLike | ZippedFile) -> list[tuple[float, float, str]]:
    """Word alignment of a clip, silences included.

    Args:
        path (`str`, `os.PathLike` or [`ZippedFile`]): a GRID `.align` file, lines of `start end word` in 1/25000 s.

    Returns:
        `list[tuple[float, float, str]]`: start and end in seconds, and the word.

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


# ---------------------------------------------------------------------------------------------------------------------
# files and clips
# ---------------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _open_archive(path: Path, modified: int, process: int) -> zipfile.ZipFile:
    """An archive, opened once a process: forked processes would share, and so disturb, its position."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise GridError(
            f"{path}: this archive cannot be read ({error}). Delete it and download it again, e.g. with"
            " `lip2wav download`."
        ) from None


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
            GridError: if the archive is damaged.
        """
        archive = _open_archive(self.archive, self.archive.stat().st_mtime_ns, os.getpid())
        try:
            return archive.read(self.member)
        except (
            zipfile.BadZipFile,
            zipfile.zlib.error,
            EOFError,
            KeyError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise GridError(f"{self}: this file in the archive cannot be read ({error}).") from None


GridFile = Path | ZippedFile


@dataclass(frozen=True)
class GridClip:
    """One clip of the corpus.

    Attributes:
        speaker (`str`): such as `"s1"`.
        name (`str`): the sentence, such as `"bbaf2n"`.
        video (`Path` or [`ZippedFile`]): the video file, with its sound.
        words (`tuple[str, ...]`): the six words spoken.
        alignment (`Path` or [`ZippedFile`], *optional*): the word alignment.
        audio (`Path` or [`ZippedFile`], *optional*): a sound file apart from the video.
    """

    speaker: str
    name: str
    video: GridFile
    words: tuple[str, ...]
    alignment: GridFile | None = None
    audio: GridFile | None = None

    @property
    def key(self) -> str:
        """`speaker/name`, unique in the corpus."""
        return f"{self.speaker}/{self.name}"

    @property
    def source(self) -> str | bytes:
        """What decoders take: the path of the video, or its bytes where it lies in an archive."""
        return self.video.read_bytes() if isinstance(self.video, ZippedFile) else str(self.video)

    def timed_words(self) -> list[tuple[float, float, str]] | None:
        """Start and end (s) of each word without silences, or `None` for a clip without an alignment.

        Raises:
            GridError: if the alignment cannot be read, or its words are not those that the name spells.
        """
        path = self.alignment or _alignment_beside(self)
        if path is None:
            return None
        entries = [entry for entry in read_alignment(path) if entry[2] not in SILENCES]
        if [word for _, _, word in entries] != list(self.words):
            spoken = " ".join(word for _, _, word in entries)
            raise GridError(f"the alignment {path} says {spoken!r}, the name says {' '.join(self.words)!r}.")
        return entries


def _alignment_beside(clip: GridClip) -> Path | None:
    """Alignment of a clip that was named by its video file alone."""
    if isinstance(clip.video, ZippedFile):
        return None
    for root in clip.video.absolute().parents[1:4]:
        for template in ALIGNMENT_FOLDERS:
            path = root / template.format(speaker=clip.speaker) / f"{clip.name}.align"
            if path.is_file():
                return path
    return None


class GridFolder:
    """What a folder has of GRID, in any of its layouts, unpacked or in Zenodo's archives.

    Listings are read when they are first asked for, and kept.

    Args:
        data_dir (`str` or `os.PathLike`): the folder of the corpus, or of one speaker (`…/s1`).

    Raises:
        GridError: if there is no such folder.
    """

    def __init__(self, data_dir: str | os.PathLike):
        self.path = Path(data_dir)
        if not self.path.is_dir():
            raise GridError(
                f"{data_dir}: no such folder. Give the one that holds GRID's s1, s2 … or s1.zip, s2.zip …."
            )
        self.root, self._only = self.path, None
        if _SPEAKER.fullmatch(self.path.absolute().name) and not self._speakers_in(self.path):
            self.root, self._only = self.path.absolute().parent, self.path.absolute().name
        self._listings: dict[tuple[str, str], dict[str, GridFile]] = {}
        self._members: dict[Path, dict[str, dict[str, list[str]]]] = {}
        self.strays: list[GridFile] = []

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

    def speakers(self) -> list[str]:
        """Speakers with a video, in the order of their numbers."""
        names = [self._only] if self._only else self._speakers_in(self.root)
        return sorted((name for name in names if self.videos(name)), key=lambda name: (int(name[1:]), name))

    def videos(self, speaker: str) -> dict[str, GridFile]:
        """Video files of a speaker by clip name. Files whose name is no sentence go to `strays`."""
        return self._listing("video", speaker, VIDEO_FOLDERS, VIDEO_ARCHIVES, VIDEO_SUFFIXES)

    def alignments(self, speaker: str) -> dict[str, GridFile]:
        """Alignment files of a speaker by clip name."""
        return self._listing("alignment", speaker, ALIGNMENT_FOLDERS, ALIGNMENT_ARCHIVES, (".align",))

    def audio(self, speaker: str) -> dict[str, GridFile]:
        """Sound files of a speaker by clip name."""
        return self._listing("audio", speaker, AUDIO_FOLDERS, AUDIO_ARCHIVES, AUDIO_SUFFIXES)

    def clip(self, speaker: str, name: str) -> GridClip:
        """A clip with all its files.

        Raises:
            GridError: if the name is not a sentence or there is no video of it.
        """
        words = tuple(sentence_words(name))
        video = self.videos(speaker).get(name.lower())
        if video is None:
            raise GridError(
                f"{self.path}: no video of clip {speaker}/{name} (looked for {name}.mpg, .mkv, .mp4 … in"
                f" {', '.join(VIDEO_FOLDERS[:3]).format(speaker=speaker)} and the like, and in {speaker}.zip)."
            )
        alignment, audio = self.alignments(speaker).get(name.lower()), self.audio(speaker).get(name.lower())
        return GridClip(speaker, name, video, words, alignment, audio)

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

    def _listing(self, kind, speaker, folders, archives, suffixes) -> dict[str, GridFile]:
        listing = self._listings.get((kind, speaker))
        if listing is None:
            listing = self._listings[kind, speaker] = {}
            for template in folders:
                self._add(listing, self._in_folder(self.root / template.format(speaker=speaker)), suffixes, kind)
            for template in archives:
                for archive in sorted(self.root.glob(template.format(speaker=speaker))):
                    self._add(listing, self._in_archive(archive, speaker), suffixes, kind)
        return listing

    def _add(self, listing: dict, files: Iterable[GridFile], suffixes: tuple[str, ...], kind: str):
        """Add the files with these suffixes; between two of a clip in one place, the first suffix wins."""
        chosen = [file for file in files if file.suffix.lower() in suffixes and not file.name.startswith(".")]
        for file in sorted(chosen, key=lambda file: (suffixes.index(file.suffix.lower()), str(file))):
            name = file.name[: -len(file.suffix)].lower()
            try:
                sentence_words(name)
            except GridError:
                if kind == "video":
                    self.strays.append(file)
                continue
            listing.setdefault(name, file)

    @staticmethod
    def _in_folder(folder: Path) -> list[Path]:
        return [folder / entry.name for entry in os.scandir(folder) if entry.is_file()] if folder.is_dir() else []

    def _in_archive(self, archive: Path, speaker: str) -> list[ZippedFile]:
        """Files of a speaker in an archive: below a folder of this name, or anywhere in the speaker's own archive."""
        if archive not in self._members:
            members = self._members[archive] = {}
            default = archive.name.partition(".")[0].lower()
            for member in _open_archive(archive, archive.stat().st_mtime_ns, os.getpid()).namelist():
                folders = member.split("/")[:-1]
                if "__MACOSX" in folders or member.endswith("/"):
                    continue
                owner = next((part.lower() for part in reversed(folders) if _SPEAKER.fullmatch(part)), default)
                members.setdefault(owner, []).append(member)
        return [ZippedFile(archive, member) for member in self._members[archive].get(speaker.lower(), ())]


def find_video(data_dir: str | os.PathLike, speaker: str, name: str) -> GridFile:
    """Video file of a clip, in any of GRID's layouts.

    Raises:
        GridError: if there is none.
    """
    return GridFolder(data_dir).clip(speaker, name).video


# ---------------------------------------------------------------------------------------------------------------------
# splits
# ---------------------------------------------------------------------------------------------------------------------

Splits = dict[str, dict[str, list[str]]]
"""Split -> speaker -> names of clips."""


def shuffled(speaker: str, names: Iterable[str]) -> list[str]:
    """Names in an order that looks random but depends on nothing else: by the SHA-256 of `speaker/name`."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{speaker}/{name}".encode()).digest())


def _seen4(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """90/5/5 of each speaker, s1 s2 s4 s29 by default."""
    splits: Splits = {"train": {}, "validation": {}, "test": {}}
    for speaker in speakers:
        names = shuffled(speaker, folder.videos(speaker))
        part = round(len(names) / 20)
        splits["test"][speaker] = sorted(names[:part])
        splits["validation"][speaker] = sorted(names[part : 2 * part])
        splits["train"][speaker] = sorted(names[2 * part :])
    return splits


def _unseen33(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """All clips of the speakers of each list."""
    return {
        split: {speaker: sorted(folder.videos(speaker)) for speaker in chosen if speaker in speakers}
        for split, chosen in UNSEEN33_SPEAKERS.items()
    }


def _overlap33(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """255 clips of each speaker for test, a twentieth of the rest for validation."""
    splits: Splits = {"train": {}, "validation": {}, "test": {}}
    for speaker in speakers:
        names = shuffled(speaker, folder.videos(speaker))
        tested = min(OVERLAP33_TEST_CLIPS, len(names) // 2)
        held = tested + round((len(names) - tested) / 20)
        splits["test"][speaker] = sorted(names[:tested])
        splits["validation"][speaker] = sorted(names[tested:held])
        splits["train"][speaker] = sorted(names[held:])
    return splits


_SCHEMES: dict[str, tuple[tuple[str, ...], Callable]] = {
    "seen4": (SEEN4_SPEAKERS, _seen4),
    "unseen33": (tuple(f"s{n}" for n in range(1, 35) if n != 21), _unseen33),
    "overlap33": (tuple(f"s{n}" for n in range(1, 35) if n != 21), _overlap33),
}

SPLIT_SCHEMES = (*_SCHEMES, "custom")
"""`seen4`: s1 s2 s4 s29, 90/5/5 of each speaker. `unseen33`: the speaker lists of Vougioukas et al. (2019), all their
clips. `overlap33`: 255 clips of each speaker for test, as LipNet's. `custom`: a JSON file.

Which clips of a speaker go where in `seen4` and `overlap33` was never published; it is our choice: the order of the
SHA-256 of `speaker/name`, test first. The validation part of `overlap33`, a twentieth of what is not test, is our
addition: published systems train on it. A speaker with less than 510 clips gives half of them to its test part."""


def read_splits(
    data_dir: str | os.PathLike | GridFolder,
    split_scheme: str = "custom",
    splits_file: str | os.PathLike | None = None,
    speakers: Sequence[str] | None = None,
) -> Splits:
    """Names of the clips of each split.

    Args:
        data_dir (`str`, `os.PathLike` or [`GridFolder`]): the corpus.
        split_scheme (`str`, *optional*, defaults to `"custom"`): one of `SPLIT_SCHEMES`.
        splits_file (`str` or `os.PathLike`, *optional*): of `"custom"`: JSON `{split: {speaker: [names]}}`;
            `data_dir/splits.json` by default.
        speakers (`Sequence[str]`, *optional*): only these; all of the scheme that the folder has by default.

    Returns:
        `dict[str, dict[str, list[str]]]`: split, speaker, names. Those of `"custom"` may have no video.

    Raises:
        GridError: if the folder, the file or a speaker is missing or the scheme is unknown.
    """
    folder = data_dir if isinstance(data_dir, GridFolder) else GridFolder(data_dir)
    if split_scheme not in SPLIT_SCHEMES:
        raise GridError(f"no split scheme {split_scheme!r}; there are {', '.join(SPLIT_SCHEMES)}.")
    if split_scheme == "custom":
        splits = _read_splits_file(Path(splits_file) if splits_file is not None else folder.path / "splits.json")
        unknown = sorted(set(speakers or ()) - {speaker for chosen in splits.values() for speaker in chosen})
        if unknown:
            raise GridError(f"the splits file has no speaker {', '.join(unknown)}.")
        return {
            split: {speaker: names for speaker, names in chosen.items() if not speakers or speaker in speakers}
            for split, chosen in splits.items()
        }
    if splits_file is not None:
        raise GridError(f"a splits file goes with the split scheme 'custom', not with {split_scheme!r}.")
    known, function = _SCHEMES[split_scheme]
    for speaker in speakers or ():
        if speaker not in known:
            raise GridError(f"speaker {speaker} is not part of {split_scheme!r}, which has {', '.join(known)}.")
        if not folder.videos(speaker):
            raise GridError(f"{folder.path}: no videos of speaker {speaker}; there are {_listed(folder.speakers())}.")
    chosen = [speaker for speaker in speakers or known if folder.videos(speaker)]
    if not chosen:
        places = ", ".join((*VIDEO_FOLDERS[:3], VIDEO_ARCHIVES[0]))
        raise GridError(
            f"{folder.path}: no videos of a speaker of {split_scheme!r} ({', '.join(known)}); there are"
            f" {_listed(folder.speakers())}. Videos are looked for in {places} and the like."
        )
    return function(folder, chosen)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def missing_speakers(folder: GridFolder, split_scheme: str) -> list[str]:
    """Speakers of a scheme of which the folder has no video: its splits are smaller than the published ones."""
    return [speaker for speaker in scheme_speakers(split_scheme) or () if not folder.videos(speaker)]


def scheme_speakers(split_scheme: str) -> tuple[str, ...] | None:
    """The speakers of a scheme; `None` for `"custom"`, whose file names them."""
    return _SCHEMES[split_scheme][0] if split_scheme in _SCHEMES else None


def _read_splits_file(path: Path) -> Splits:
    if not path.is_file():
        raise GridError(
            f"{path}: no such splits file; it maps split -> speaker -> clip names, as JSON. Without one, choose a"
            f" split scheme: {', '.join(_SCHEMES)}."
        )
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GridError(f"{path}: not valid JSON ({error}).") from None
    shape = isinstance(splits, dict) and all(
        isinstance(chosen, dict) and all(isinstance(names, list) for names in chosen.values())
        for chosen in splits.values()
    )
    if not shape:
        raise GridError(f'{path}: expected {{"train": {{"s1": ["bbaf2n", …]}}, "validation": …}}.')
    return splits


def load_split(
    data_dir: str | os.PathLike,
    split: str,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    zipped: bool = False,
) -> list[GridClip]:
    """Clips of one split of a GRID folder.

    Args:
        data_dir (`str` or `os.PathLike`): folder of the corpus in any of its layouts, such as `video/s1/bbaf2n.mkv`,
            `s1/bbaf2n.mpg`, `s1/video/mpg_6000/bbaf2n.mpg` or `s1.zip`.
        split (`str`): such as `"train"` or `"validation"`; of `"custom"`, a key of the splits file.
        speakers (`list[str]`, *optional*): only these; all of the split by default.
        splits_file (`str` or `os.PathLike`, *optional*): JSON `{split: {speaker: [names]}}`, for `"custom"`;
            `data_dir/splits.json` by default.
        split_scheme (`str`, *optional*, defaults to `"custom"`): one of `SPLIT_SCHEMES`.
        zipped (`bool`, *optional*, defaults to `False`): whether the caller can read videos inside archives, through
            [`GridClip.source`].

    Returns:
        `list[GridClip]`: by speaker, in the order of the file or of the names.

    Raises:
        GridError: if the folder, the split, a speaker or a clip is missing, or a video lies in an archive and `zipped`
            is not set.
    """
    folder = GridFolder(data_dir)
    splits = read_splits(folder, split_scheme, splits_file)
    where = splits_file or (folder.path / "splits.json" if split_scheme == "custom" else split_scheme)
    if split not in splits:
        raise GridError(f"{where}: no split {split!r}; it has {', '.join(splits)}.")
    chosen = splits[split]
    unknown = sorted(set(speakers or ()) - set(chosen))
    if unknown:
        raise GridError(f"{where}: split {split!r} has no speaker {', '.join(unknown)}; it has {', '.join(chosen)}.")
    clips = [
        folder.clip(speaker, name)
        for speaker, names in chosen.items()
        if not speakers or speaker in speakers
        for name in names
    ]
    packed = next((clip.video for clip in clips if isinstance(clip.video, ZippedFile)), None)
    if packed is not None and not zipped:
        raise GridError(
            f"{packed.archive}: the videos are still packed, and this needs files. Unpack them:"
            f" unzip {packed.archive} -d {folder.root}"
        )
    if not clips and split_scheme != "custom":
        raise GridError(f"{folder.path}: no videos of a speaker of split {split!r} of {split_scheme!r}.")
    return clips


def load_grid(
    data_dir: str | os.PathLike,
    split_scheme: str = "seen4",
    speakers: list[str] | None = None,
    split: str | None = None,
    splits_file: str | os.PathLike | None = None,
    streaming: bool = False,
    check: str = "fast",
    minimum_frames: int = 70,
    cache_dir: str | os.PathLike | None = None,
    num_proc: int | None = None,
):
    """The GRID corpus as a dataset.

    Example:

    ```python
    from lip2wav_hf.grid.corpus import load_grid

    grid = load_grid("data/grid", split_scheme="seen4")
    grid["train"][0]["sentence"]                        # "bin blue at f two now"
    ```

    Args:
        data_dir (`str` or `os.PathLike`): the folder, in any layout, unpacked or zipped.
        split_scheme (`str`, *optional*, defaults to `"seen4"`): `"seen4"`, `"unseen33"`, `"overlap33"` or `"custom"`.
        speakers (`list[str]`, *optional*): only these.
        split (`str`, *optional*): only this one, such as `"train"` or `"train[:10%]"`; all by default.
        splits_file (`str` or `os.PathLike`, *optional*): of `"custom"`; `data_dir/splits.json` by default.
        streaming (`bool`, *optional*, defaults to `False`): read clip by clip, without preparing anything first.
        check (`str`, *optional*, defaults to `"fast"`): `"none"`, `"fast"` or `"full"`, see [`GridConfig`].
        minimum_frames (`int`, *optional*, defaults to 70): of a usable clip.
        cache_dir (`str` or `os.PathLike`, *optional*): where the table is kept (videos stay where they are, but those
            in archives are copied into it).
        num_proc (`int`, *optional*): processes that prepare the table.

    Returns:
        `DatasetDict` or `IterableDatasetDict`, or one dataset if `split` is given. What was left out is logged; the
        whole list is in `Grid(...).report`, and in `defects.json` beside the table.

    Raises:
        GridError: if the folder, a speaker or the splits file is missing or an option is unknown.
        ImportError: if the library `datasets` is not installed.
    """
    from .builder import Grid

    builder = Grid(
        data_dir=data_dir,
        split_scheme=split_scheme,
        speakers=speakers,
        splits_file=splits_file,
        check=check,
        minimum_frames=minimum_frames,
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    report = builder.report
    if report is not None and report.defects:
        logger.warning("%s: %s", data_dir, report.summary())
    return builder.as_dataset(split=split)


def __getattr__(name: str):
    if name == "Grid":  # a subclass of what only the extra `train` installs
        from .builder import Grid

        return Grid
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ALIGNMENT_RATE",
    "GRAMMAR",
    "SILENCES",
    "SPLIT_SCHEMES",
    "VOCABULARY",
    "GridClip",
    "GridError",
    "GridFolder",
    "ZippedFile",
    "find_video",
    "load_grid",
    "load_split",
    "missing_speakers",
    "read_alignment",
    "read_splits",
    "sentence_words",
]
