"""The corpora that can be read: find out which one is in a folder, and load its clips."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import counted
from ..files import write_json
from ..grammar import TextNormalizer
from .clips import VIDEO_SUFFIXES, Clip, CorpusError, Selection, Splits
from .made_splits import MadeSplits


if TYPE_CHECKING:
    from .defects import CheckOptions, CorpusReport

READERS = {
    "grid": "lip2wav_hf.grid.reader:GridCorpus",
    "videos": "lip2wav_hf.corpora.video_folder:VideoFolder",
    "dataset": "lip2wav_hf.corpora.hub_dataset:HubDataset",
}
"""Name of a corpus -> `module:class` of its reader, a [`Corpus`]. The first without an objection to a folder reads it.
A reader is imported when a folder is opened: the readers build on this package, not the other way around."""

EVERY_SPLIT = "all"  # clips of every split
LEARNT_FROM = "train"  # the split that trainings take by default

LIKELY = "videos"
"""What a folder that nobody can read was most likely meant to be."""

_DATASET = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class DescribedSplits(Protocol):
    """Splits that the folder of a corpus does not give.

    Attributes:
        splits (`dict`): split -> speaker -> names.
    """

    @property
    def splits(self) -> Splits: ...

    def describe(self) -> str:
        """How they came about, one line."""


class Corpus(Protocol):
    """The reader of one corpus, opened on a folder. Listings of files may be kept: open it once, then load splits.

    Attributes:
        name (`str`): of the corpus, such as `"grid"`.
        path (`Path`): the folder.
        minimum_frames (`int`): of a clip that is whole, unless somebody says otherwise.
    """

    name: str
    path: Path
    minimum_frames: int

    def __init__(self, folder: str | os.PathLike, normalizer: TextNormalizer | None = None) -> None: ...

    @classmethod
    def objection(cls, folder: Path) -> str | None:
        """Why an existing folder is not of this corpus, one sentence; `None` if it is."""

    def read_splits(self, selection: Selection = Selection()) -> Splits:
        """Names of the clips of each split.

        Raises:
            CorpusError: if the scheme, the splits file or a speaker is missing.
        """

    def scheme(self, selection: Selection = Selection()) -> str:
        """Name of the split scheme that is read; another than that of the selection where nobody chose one and the
        corpus has a published one."""

    def made_splits(self, selection: Selection = Selection()) -> DescribedSplits | None:
        """How splits were made or chosen, where the folder gives none; they are what [`read_splits`] reads."""

    def remarks(self, split: str, selection: Selection = Selection()) -> list[str]:
        """What is to be known of a split beside its clips, such as that it is smaller than published, a sentence
        each."""

    def find_clips(self, selection: Selection = Selection()) -> tuple[dict[str, list[Clip]], CorpusReport]:
        """Clips of every split, and a report on what is listed but absent. The clips themselves are not checked yet.

        Raises:
            CorpusError: as [`read_splits`], and if no split has a clip.
        """

    def check_clips(self, clips: Iterable[Clip], options: CheckOptions = ...) -> tuple[list[Clip], CorpusReport]:
        """The usable ones of some clips, and a report on all."""

    def load_split(self, split: str, selection: Selection = Selection(), zipped: bool = False) -> list[Clip]:
        """Clips of one split, see [`load_split`].

        Raises:
            CorpusError: if the split, a speaker or a clip is missing, or a video lies in an archive and `zipped` is
                not set.
        """


def load_meant(corpus: Corpus, split: str, selection: Selection = Selection()) -> dict[str, list[Clip]]:
    """
    Clips of the splits of a corpus that a name means, by split: `"all"` is every one of them, unless one is called so,
    that has any clip, and any of the speakers; every clip where nobody gives splits. Videos may lie in archives.

    Raises:
        CorpusError: as [`load_split`].
    """
    selection = replace(selection, any_split=split == EVERY_SPLIT)
    splits = corpus.read_splits(selection)
    if split != EVERY_SPLIT or EVERY_SPLIT in splits:
        return {split: corpus.load_split(split, selection, zipped=True)}
    found, there = {}, {name: own for name, own in splits.items() if any(own.values())}
    for name, own in (there or splits).items():
        speakers = tuple(speaker for speaker in selection.speakers or () if speaker in own) or None
        if speakers or not selection.speakers:
            found[name] = corpus.load_split(name, replace(selection, speakers=speakers), zipped=True)
    return found


def find_learnt(
    corpus: Corpus, split: str, loaded: dict[str, list[Clip]], selection: Selection = Selection()
) -> set[str]:
    """
    Keys of those of all clips that trainings take: of the split `"train"`, where a name means every split, and the
    folder gives them, or a scheme that others have published. See [`learnt_remark`].

    Args:
        corpus ([`Corpus`]), split (`str`), selection ([`Selection`]): as for [`load_meant`].
        loaded (`dict`): what that gave.
    """
    made = corpus.made_splits(replace(selection, speakers=None))
    if split != EVERY_SPLIT or EVERY_SPLIT in loaded or isinstance(made, MadeSplits):
        return set()
    return {clip.key for clip in loaded.get(LEARNT_FROM, ())}


def learnt_remark(corpus: Corpus, learnt: int, clips: int, selection: Selection = Selection()) -> str:
    """What is to be known of clips of which some are for training: how many, and what that means."""
    scheme = corpus.scheme(selection)
    of_scheme = "" if scheme == Selection().scheme else f" of {scheme}"
    return (
        f"{learnt} of the {counted(clips, 'clip')} are of the split {LEARNT_FROM!r}{of_scheme}: a model that has"
        " learnt from them does better there"
    )


def is_dataset_name(source: str | os.PathLike) -> bool:
    """Whether what is no folder can be the name of a dataset on the Hub, such as `"me/voices"`; a folder that is
    missing beside others, or a video, cannot."""
    path = Path(source)
    is_name = bool(_DATASET.fullmatch(os.fspath(source))) and path.suffix.lower() not in VIDEO_SUFFIXES
    return is_name and not path.exists() and not path.parent.exists()


def open_corpus(folder: str | os.PathLike, normalizer: TextNormalizer | None = None) -> Corpus:
    """The corpus in a folder, or a dataset of the Hub.

    Args:
        folder (`str` or `os.PathLike`): the folder, or the name of the dataset; see [`is_dataset_name`].
        normalizer ([`TextNormalizer`], *optional*): what makes words of its transcripts; lower case without
            punctuation by default.

    Raises:
        CorpusError: if there is no such folder, or no known corpus lies in it; the message says what each misses.
    """
    path = Path(folder)
    if is_dataset_name(path):
        dataset = _reader("dataset")
        return dataset(path) if normalizer is None else dataset(path, normalizer)
    if not path.is_dir():
        if path.exists():
            raise CorpusError(f"{folder}: this is a file. Give the folder that it lies in.")
        raise CorpusError(
            f"{folder}: no such folder. Give the folder that holds the corpus; a dataset of the Hub is named"
            " OWNER/NAME."
        )
    objections = {}
    for name in READERS:
        reader = _reader(name)
        objection = reader.objection(path)
        if objection is None:
            return reader(path) if normalizer is None else reader(path, normalizer)
        objections[name] = objection
    likely = objections.pop(LIKELY)
    others = " ".join(f"{name}: {objection}" for name, objection in objections.items())
    raise CorpusError(f"{folder}: no readable corpus in this folder: {likely} Nor is it another: {others}")


def _reader(name: str) -> type[Corpus]:
    module, _, reader = READERS[name].partition(":")
    return getattr(importlib.import_module(module), reader)


def load_split(
    data_dir: str | os.PathLike | Corpus,
    split: str,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    zipped: bool = False,
) -> list[Clip]:
    """Clips of one split of a corpus.

    Args:
        data_dir (`str`, `os.PathLike` or [`Corpus`]): folder of the corpus, or what [`open_corpus`] gave for it.
        split (`str`): such as `"train"` or `"validation"`; of `"custom"`, a key of the splits file.
        speakers (`list[str]`, *optional*): only these; all of the split by default.
        splits_file (`str` or `os.PathLike`, *optional*): JSON `{split: {speaker: [names]}}`, for `"custom"`;
            `data_dir/splits.json` by default.
        split_scheme (`str`, *optional*, defaults to `"custom"`): or one of the corpus's own, such as GRID's
            `SPLIT_SCHEMES`.
        zipped (`bool`, *optional*, defaults to `False`): whether the caller can read videos inside archives, through
            [`Clip.source`].

    Returns:
        `list[Clip]`: by speaker, in the order of the file or of the names.

    Raises:
        CorpusError: if the folder, the split, a speaker or a clip is missing, or a video lies in an archive and
            `zipped` is not set.
    """
    corpus = open_corpus(data_dir) if isinstance(data_dir, (str, os.PathLike)) else data_dir
    return corpus.load_split(split, Selection(split_scheme, splits_file, tuple(speakers or ()) or None), zipped)


def write_made_splits(corpus: Corpus, selection: Selection, path: Path) -> str | None:
    """Write the splits of a corpus that gives none to a JSON file, which a later command can be given.

    Args:
        corpus ([`Corpus`]): the corpus. Nothing is written into its folder.
        selection ([`Selection`]): as it is read.
        path (`Path`): the file.

    Returns:
        `str`, *optional*: how they were made or chosen, and where they are; `None` where the splits were given.
    """
    made = corpus.made_splits(selection)
    if made is None:
        return None
    write_json(path, made.splits, indent=1)
    return f"{made.describe()}; written to {path}"


__all__ = [
    "EVERY_SPLIT",
    "READERS",
    "Corpus",
    "DescribedSplits",
    "find_learnt",
    "is_dataset_name",
    "learnt_remark",
    "load_split",
    "load_meant",
    "open_corpus",
    "write_made_splits",
]
