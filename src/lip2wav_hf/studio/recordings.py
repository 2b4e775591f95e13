"""The folder of a person's recordings: consent, phrases, takes in the form of a `VideoFolder`, and the trained voice.

Every file appears whole or not at all, and `metadata.csv` is rewritten after each take, so the folder is at any moment
a corpus that `lip2wav adapt`, `load_clips` and `datasets` read.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..corpora.columns import METADATA, safe_name
from ..errors import Lip2WavError
from ..files import read_json, write_json, write_text
from ..machine import take_lock


CONSENT, SETTINGS, TABLE, VOICE, HIDDEN = "consent.json", "studio.json", METADATA[0], "voice", ".studio"
WORK = ".adaptation"  # in the voice's folder: what `adapt` goes on with
TAKE_NAME = re.compile(r"take-(\d{4,})\.(webm|mkv|mp4)")
MOST_TAKES_PER_PHRASE = 20
LONGEST_NAME, LONGEST_PURPOSE = 80, 500  # characters

STATEMENT = (
    "I am the person in these recordings, or they have asked me to record them. I agree that they are stored in this"
    " folder and used to train a voice."
)


class StudioError(Lip2WavError):
    """Something that the studio cannot do; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Consent:
    """
    Who agreed to be recorded, when, and what for.

    Attributes:
        name (`str`): of the person.
        purpose (`str`): what the recordings are for.
        at (`str`): when, in ISO 8601, UTC.
        statement (`str`): what was agreed to.
    """

    name: str
    purpose: str
    at: str
    statement: str = STATEMENT

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for value in vars(self).values()):
            raise TypeError("a consent is made of texts")


@dataclass(frozen=True)
class Settings:
    """
    What is to be recorded.

    Attributes:
        kind (`str`): `"grid"`, `"digits"` or `"own"`.
        phrases (`tuple[str, ...]`): in the order in which they are asked for.
        takes (`int`): how many of each are wanted.
        silent (`bool`): whether the phrases are mouthed, without a voice and without a microphone.
    """

    kind: str = "own"
    phrases: tuple[str, ...] = ()
    takes: int = 2
    silent: bool = False

    def __post_init__(self) -> None:
        is_list = isinstance(self.phrases, (list, tuple)) and all(isinstance(phrase, str) for phrase in self.phrases)
        if not (is_list and isinstance(self.takes, int) and isinstance(self.silent, bool)):
            raise TypeError("phrases are a list of texts, takes a number, silent true or false")
        object.__setattr__(self, "phrases", tuple(self.phrases))  # JSON has lists


@dataclass(frozen=True)
class Take:
    """
    One recording that was kept: a row of `metadata.csv`.

    Attributes:
        file_name (`str`): in the folder.
        transcription (`str`): the phrase.
        speaker (`str`): whose, as the name of a file could be.
        sound (`str`): `"yes"`, or `"no"` for one without a voice.
        recorded (`str`): when, in ISO 8601, UTC.
    """

    file_name: str
    transcription: str
    speaker: str
    sound: str
    recorded: str


COLUMNS = tuple(field.name for field in fields(Take))


class Recordings:
    """
    A folder that the studio records into; it belongs to one studio at a time.

    Args:
        folder (`str` or `os.PathLike`): made if it is missing.

    Raises:
        StudioError: if it cannot be written, is in use, or holds a corpus that the studio did not record.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.path = Path(folder).expanduser().resolve()
        self._change = threading.RLock()
        self._lock = None
        try:
            self._check_owner()
            self._lock = self._take_lock()
        except OSError as error:
            raise StudioError(
                f"{self.path}: this folder cannot be used for recordings ({error.strerror}). Name another with"
                " --folder, or change its permissions."
            ) from error
        for left in self.pending_folder.iterdir():  # of a studio that ended in between
            left.unlink()
        self.takes  # noqa: B018  unreadable metadata are an error now, not after the first take

    def _check_owner(self) -> None:
        own = (self.path / CONSENT).is_file() or (self.path / SETTINGS).is_file()
        if not own and any((self.path / name).exists() for name in (*METADATA, VOICE)):
            raise StudioError(
                f"{self.path}: it holds recordings that the studio did not make, or a model. Choose another folder"
                " with --folder."
            )

    def _take_lock(self) -> int:
        lock = self.hidden / "lock"
        while True:
            self.pending_folder.mkdir(parents=True, exist_ok=True)
            try:
                handle = take_lock(lock)
            except BlockingIOError:
                raise StudioError(
                    f"{self.path}: another studio is open on this folder. Use its page, or end it first."
                ) from None
            if lock.exists() and os.path.samestat(lock.stat(), os.fstat(handle)):
                return handle
            os.close(handle)  # of a studio that has just ended, and took the file with it

    def close(self) -> None:
        """Let go of the folder; where nothing was recorded or trained, or all was deleted, nothing is left in it."""
        if self._lock is None:
            return
        if not any((self.path / name).exists() for name in (CONSENT, SETTINGS, TABLE, VOICE)):
            with contextlib.suppress(OSError):
                shutil.rmtree(self.pending_folder, ignore_errors=True)
                if [path.name for path in self.hidden.iterdir()] == ["lock"]:
                    (self.hidden / "lock").unlink()  # while it is held: whoever opens it now sees that it has gone
                    self.hidden.rmdir()
        os.close(self._lock)
        self._lock = None

    @property
    def voice(self) -> Path:
        """Where the trained model is, or will be."""
        return self.path / VOICE

    @property
    def hidden(self) -> Path:
        """Where the studio's own notes are."""
        return self.path / HIDDEN

    @property
    def pending_folder(self) -> Path:
        """Where takes are that were neither kept nor discarded yet."""
        return self.path / HIDDEN / "pending"

    @contextlib.contextmanager
    def _changing(self, what: str) -> Generator[None]:
        """One change at a time; a full disk or missing rights become a [`StudioError`]."""
        with self._change:
            try:
                yield
            except OSError as error:
                raise storage_error(what, self.path, error) from error

    # -----------------------------------------------------------------------------------------------------------------
    # Consent and phrases
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def consent(self) -> Consent | None:
        """Who agreed; `None` before that."""
        content = self._read(CONSENT)
        return None if content is None else _record(Consent, content, self.path / CONSENT)

    def give_consent(self, name: str, purpose: str, agreed: bool) -> Consent:
        """
        Record who agrees to be recorded.

        Raises:
            StudioError: if nobody agreed, or a name or purpose is missing or too long.
        """
        name, purpose = " ".join(name.split()), " ".join(purpose.split())
        if not name or len(name) > LONGEST_NAME:
            raise StudioError(f"Say who is recorded: a name or initials, up to {LONGEST_NAME} characters.")
        if not purpose or len(purpose) > LONGEST_PURPOSE:
            raise StudioError(f"Say what the recordings are for, in up to {LONGEST_PURPOSE} characters.")
        if agreed is not True:
            raise StudioError("Without consent nothing is recorded. Tick the box if you agree.")
        before = self.consent
        if before is not None and before.name != name and self.takes:
            raise StudioError(
                f"These recordings are of {before.name}. Delete them first, or open another folder with --folder."
            )
        consent = Consent(name, purpose, now())
        with self._changing("The consent was not stored"):
            write_json(self.path / CONSENT, asdict(consent))
        return consent

    @property
    def settings(self) -> Settings:
        """What is to be recorded; no phrase before they were chosen."""
        content = self._read(SETTINGS)
        return Settings() if content is None else _record(Settings, content, self.path / SETTINGS)

    def choose(self, kind: str, phrases: Sequence[str], takes: int, silent: bool) -> Settings:
        """
        Store what is to be recorded. Takes that exist are kept.

        Raises:
            StudioError: if the number of takes is out of range.
        """
        if not 1 <= takes <= MOST_TAKES_PER_PHRASE:
            raise StudioError(f"{takes} takes of each phrase: choose from 1 to {MOST_TAKES_PER_PHRASE}.")
        settings = Settings(kind, tuple(phrases), takes, silent)
        with self._changing("The phrases were not stored"):
            write_json(self.path / SETTINGS, asdict(settings))
        return settings

    def _read(self, name: str) -> Any:
        path = self.path / name
        return read_json(path, StudioError) if path.is_file() else None

    # -----------------------------------------------------------------------------------------------------------------
    # Takes
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def takes(self) -> list[Take]:
        """The takes that were kept, oldest first.

        Raises:
            StudioError: if `metadata.csv` cannot be read, or is not the studio's.
        """
        table = self.path / TABLE
        if not table.is_file():
            return []
        try:
            reader = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"), newline=""))
            rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise StudioError(
                f"{table}: it cannot be read ({error}). Put it right, or choose another folder."
            ) from error
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise StudioError(
                f"{table}: its columns are not {', '.join(COLUMNS)}, so the studio did not write it. Choose another"
                " folder with --folder."
            )
        return [Take(*(row[column] or "" for column in COLUMNS)) for row in rows]

    def counts(self) -> Counter[str]:
        """How many takes there are of each phrase."""
        return Counter(take.transcription for take in self.takes)

    def keep(self, video: Path, phrase: str, silent: bool) -> Take:
        """
        Move a recording into the folder, and list it.

        Args:
            video (`Path`): the file, on the same file system, with its suffix.
            phrase (`str`): what is said.
            silent (`bool`): whether without a voice.

        Raises:
            StudioError: before consent, or if it cannot be stored; the file is then where it was.
        """
        consent = self._with_consent()
        with self._changing("The take was not stored"):
            takes = self.takes
            numbers = [int(match[1]) for path in self.path.iterdir() if (match := TAKE_NAME.fullmatch(path.name))]
            name = f"take-{max(numbers, default=0) + 1:04d}{video.suffix}"
            take = Take(name, phrase, safe_name(consent.name), "no" if silent else "yes", now())
            os.replace(video, self.path / name)
            try:
                self._write_table([*takes, take])
            except OSError:
                os.replace(self.path / name, video)
                raise
        return take

    def delete_take(self, name: str) -> None:
        """
        Delete a take.

        Raises:
            StudioError: if there is none of this name.
        """
        path = self.file_of(name)
        with self._changing("The take was not deleted"):
            self._write_table([take for take in self.takes if take.file_name != name])
            path.unlink(missing_ok=True)

    def file_of(self, name: str) -> Path:
        """
        The file of a take.

        Raises:
            StudioError: if there is no take of this name.
        """
        if not TAKE_NAME.fullmatch(name) or name not in {take.file_name for take in self.takes}:
            raise StudioError(f"There is no take {name[:40]!r}. It may have been deleted in another window.")
        return self.path / name

    def delete_everything(self, voice: bool = True) -> None:
        """
        Delete all takes, the list of them, the phrases and the consent; nothing that the studio did not make.

        Args:
            voice (`bool`, *optional*, defaults to `True`): delete the trained model too.

        Raises:
            StudioError: if something cannot be deleted.
        """
        with self._changing("Not everything was deleted"):
            for path in list(self.path.iterdir()):
                if TAKE_NAME.fullmatch(path.name):
                    path.unlink()
            for name in (TABLE, CONSENT) if not voice and self.voice.exists() else (TABLE, SETTINGS, CONSENT):
                (self.path / name).unlink(missing_ok=True)
            for left in self.pending_folder.glob("*"):
                left.unlink()
            self._delete_voice(voice)
            if voice:
                shutil.rmtree(self.pending_folder, ignore_errors=True)
                for note in self.hidden.glob("*.json"):
                    note.unlink()

    def _delete_voice(self, model: bool) -> None:
        """The pictures and notes of a training that did not end; and the model, if wanted."""
        for left in (self.path / f".{VOICE}.tmp", self.path / f"tmp-outdated-{VOICE}", self.voice / WORK):
            if left.exists():
                shutil.rmtree(left)
        if self.voice.exists() and (model or not (self.voice / "config.json").is_file()):
            shutil.rmtree(self.voice)

    def new_pending(self, suffix: str) -> Path:
        """
        A path for a recording that comes in.

        Raises:
            StudioError: before consent.
        """
        self._with_consent()
        self.pending_folder.mkdir(parents=True, exist_ok=True)
        return self.pending_folder / f"{uuid.uuid4().hex}{suffix}"

    def _with_consent(self) -> Consent:
        consent = self.consent
        if consent is None:
            raise StudioError("Nothing is recorded before consent. Give it in step 1.")
        return consent

    def _write_table(self, takes: Sequence[Take]) -> None:
        if not takes:
            (self.path / TABLE).unlink(missing_ok=True)
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(take) for take in takes)
        write_text(self.path / TABLE, text.getvalue())


def storage_error(what: str, folder: Path, error: OSError) -> StudioError:
    """What a failure of the file system means, for the person at the page."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StudioError(f"{what}: the disk is full. Free some space on the disk of {folder}, and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StudioError(f"{what}: {folder} may not be written. Change its permissions, and try again.")
    return StudioError(f"{what}: {error.strerror or error}. Look at {folder}, and try again.")


def now() -> str:
    """The time, in ISO 8601 with seconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _record(kind: type[Consent] | type[Settings], content: Any, path: Path) -> Any:
    """A record from JSON that somebody may have edited."""
    names = {field.name for field in fields(kind)}
    try:
        return kind(**{name: value for name, value in content.items() if name in names})
    except (AttributeError, TypeError) as error:
        raise StudioError(f"{path}: it does not hold what the studio wrote. Put it right or delete it.") from error


__all__ = [
    "STATEMENT",
    "Consent",
    "Recordings",
    "Settings",
    "StudioError",
    "Take",
    "now",
    "storage_error",
]
