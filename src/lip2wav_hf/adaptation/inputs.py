"""What an adaptation is given, checked before anything heavy is imported: folders, the starting model, phrases."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..corpora.clips import (
    AUDIO_SUFFIXES,
    OTHER_AUDIO_SUFFIXES,
    OTHER_VIDEO_SUFFIXES,
    VIDEO_SUFFIXES,
    Clip,
    CorpusError,
    Selection,
    holds_tables,
    visible_files,
)
from ..corpora.registry import is_dataset_name, open_corpus
from ..errors import check_path
from ..files import check_writable, read_fields
from ..models import DEFAULT_MODEL, find_model
from .choosing import read_phrases
from .records import FINAL_PASS, AdaptationError, Options


if TYPE_CHECKING:
    from .voice import Voice

RECORD = "adaptation.json"  # file in the model's folder: what was done
VOICE_SUFFIXES = (*AUDIO_SUFFIXES, *OTHER_AUDIO_SUFFIXES, *VIDEO_SUFFIXES, *OTHER_VIDEO_SUFFIXES)
WORK = ".adaptation"  # folder in the model's: what a run that was stopped goes on with


@dataclass(frozen=True)
class Inputs:
    """
    What an adaptation is given.

    Attributes:
        recordings (folder, name of a dataset, or iterable of [`Clip`], *optional*): as [`adapt`] takes them.
        output (`Path`): folder of the new model.
        starting (`Path`): folder of the starting model, and `name` (`str`), what its user calls it.
        phrases (`list[str]`, *optional*): that somebody chose.
        voice ([`Voice`], *optional*): the one that was asked for.
        sounds (`int`): how many sound files it was read from.
        voice_notes (`list[str]`): what is doubtful of them.
        options ([`Options`]): everything else.
    """

    recordings: str | os.PathLike | Iterable[Clip] | None
    output: Path
    starting: Path
    name: str
    phrases: list[str] | None
    voice: Voice | None
    sounds: int
    voice_notes: list[str]
    options: Options


def read_inputs(
    recordings: str | os.PathLike | Iterable[Clip] | None, output_dir: str | os.PathLike, options: Options
) -> Inputs:
    """
    Find and check what an adaptation is given; imports nothing heavy.

    Raises:
        AdaptationError, CorpusError, ModelError: says what is missing, or in the way.
    """
    check_path(output_dir, "output_dir", "the folder of the new model", AdaptationError)
    if recordings is None:
        _check_without_recordings(options)
    elif not isinstance(recordings, Iterable):
        check_path(recordings, "recordings", "a folder, or clips", CorpusError)
    if isinstance(recordings, (str, os.PathLike)):
        recordings = Path(recordings).expanduser()
        if not recordings.is_dir() and not is_dataset_name(recordings):
            raise CorpusError(
                f"{recordings}: this is a file. Give the folder that it lies in."
                if recordings.exists()
                else f"{recordings}: no such folder. Give the folder that holds the recordings."
            )
        if recordings.is_dir() and not any(visible_files(recordings)):
            raise CorpusError(
                f"{recordings}: this folder is empty. Put videos there, with metadata.csv or a text file beside each."
            )
        if recordings.is_dir() and not holds_tables(recordings):
            _, report = open_corpus(recordings).find_clips(Selection(any_split=True))
            report.require_words()  # what they refuse, they refuse now
    output, name = Path(output_dir).expanduser(), os.fspath(options.model or DEFAULT_MODEL)
    starting = find_model(name)
    config = read_fields(starting / "config.json", AdaptationError)
    if options.live and config.get("live_look_ahead") is None:
        raise AdaptationError(
            f"model {name}: it was not trained to speak live, which `live` (--live) keeps. Leave that out, or begin"
            f" with a model that was, such as {DEFAULT_MODEL}."
        )
    if config.get("text_recognition") is False:
        raise AdaptationError(
            f"model {name}: it reads no words, which an adaptation teaches. Begin with one that does, such as"
            f" {DEFAULT_MODEL}."
        )
    if recordings is None:
        _check_imagination(starting, name)
    _check_output(output, starting)
    phrases = read_phrases(options.phrases)
    voice, sounds, notes = (None, 0, []) if options.voice is None else _read_voice(options.voice)
    return Inputs(recordings, output, starting, name, phrases, voice, sounds, notes, options)


def _check_without_recordings(options: Options) -> None:
    """What an adaptation without recordings needs, and what it would ignore."""
    if options.voice is None:
        raise AdaptationError(
            "recordings=None: it must be a folder, or clips; or give a `voice`, to learn that alone."
        )
    for name, default in (("phrases", None), ("final_pass", FINAL_PASS), ("live", False)):
        if getattr(options, name) != default:
            raise AdaptationError(
                f"`{name}` (--{name.replace('_', '-')}) is of recordings, and there are none: of the sound of a voice"
                " alone, only the voice is learnt. What the model reads, also live, stays as it is."
            )


def _check_imagination(starting: Path, name: str) -> None:
    """See that a model comes with a speech encoder that imagines lips, which is the only way without recordings."""
    file = starting / "speech_encoder" / "config.json"
    if not (file.is_file() and read_fields(file, AdaptationError).get("lip_states_size")):
        raise AdaptationError(
            f"model {name}: without recordings, it cannot learn a voice, as no speech encoder comes with it that"
            f" imagines lips. Give recordings too, or begin with a model that has one, such as {DEFAULT_MODEL}."
        )


def _read_voice(place: str | os.PathLike) -> tuple[Voice, int, list[str]]:
    """A voice, how many files it is from, and what is doubtful of them."""
    from .voice import read_voice, voice_notes  # noqa: PLC0415  brings PyAV and NumPy

    files, others = voice_files(place)
    voice, unreadable = read_voice(files)
    return voice, len(files) - len(unreadable), voice_notes(voice, others, unreadable)


def _check_output(output: Path, starting: Path) -> None:
    if output.exists() and output.resolve() == starting.resolve():
        raise AdaptationError(f"{output}: the starting model lies there. Name another folder for the new one.")
    if output.is_file():
        raise AdaptationError(f"{output}: this is a file. Name a folder.")
    try:
        holds_other = output.is_dir() and any(output.iterdir())
        holds_other = holds_other and not ((output / RECORD).is_file() or (output / WORK).is_dir())
    except OSError as error:
        raise AdaptationError(f"{output}: the folder cannot be read ({error.strerror}).") from error
    if holds_other:
        raise AdaptationError(f"{output}: it holds something else. Name a new folder for the model.")
    place = output if output.is_dir() else next(parent for parent in output.absolute().parents if parent.exists())
    if not place.is_dir():
        raise AdaptationError(f"{output}: {place} is a file. Name a folder.")
    for folder in (output, output.absolute().parent):  # the finished model takes the place of the folder
        check_writable(folder, str(output), AdaptationError)


def voice_files(place: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """
    A sound file, a video, or all such files of a folder; and the folder's other files.

    Raises:
        AdaptationError: if there is none.
    """
    path = Path(place).expanduser()
    if re.match(r"https?:/", str(place)):
        raise AdaptationError(f"voice {place}: it must be a file or a folder, not a URL. Download it first.")
    files, others = [path], list[Path]()
    if path.is_dir():
        files, others = [], []
        for file in visible_files(path):
            (files if file.suffix.lower() in VOICE_SUFFIXES else others).append(file)
    if not path.exists():
        raise AdaptationError(f"voice {place}: no such file or folder. Name a sound file, or a folder of such.")
    if not files:
        raise AdaptationError(
            f"voice {place}: no sound file in it. Name a file, such as a .wav or .m4a, or a folder of such."
        )
    return files, others


__all__ = ["RECORD", "WORK", "Inputs", "read_inputs", "voice_files"]
