"""`load_clips`: the clips of a folder of any corpus, or of a dataset of the Hub."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

from ..errors import check_path
from .clips import Clip, CorpusError, Selection, holds_tables, is_saved_dataset
from .doubts import columns_without_words
from .hub_dataset import HubDataset
from .registry import Corpus, is_dataset_name, open_corpus
from .tables import clips_of_table, columns_of, load_tables


logger = logging.getLogger(__name__)

IS_SLICE = re.compile(r"[\[+]")  # in the name of a split, as `datasets` reads it: of what one split has, or of several


@overload
def load_clips(
    source: str | os.PathLike,
    split: str,
    *,
    streaming: Literal[False] = False,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    **options: Any,
) -> list[Clip]: ...


@overload
def load_clips(
    source: str | os.PathLike,
    split: None = None,
    *,
    streaming: Literal[False] = False,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    **options: Any,
) -> dict[str, list[Clip]]: ...


@overload
def load_clips(
    source: str | os.PathLike,
    split: str | None = None,
    *,
    streaming: Literal[True],
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    **options: Any,
) -> Iterator[Clip]: ...


def load_clips(
    source: str | os.PathLike,
    split: str | None = None,
    *,
    streaming: bool = False,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    **options: Any,
) -> list[Clip] | dict[str, list[Clip]] | Iterator[Clip]:
    """
    Clips of talking faces with their words: of a folder of any corpus, or of a dataset of the Hub.

    Example:

    ```python
    from lip2wav_hf import load_clips

    clips = load_clips("my-videos", split="train")
    clips[0].text, clips[0].words, clips[0].speaker
    ```

    Args:
        source (`str` or `os.PathLike`): a folder of videos with `metadata.csv`, or with transcripts beside them; a
            folder of GRID; or the name of a dataset on the Hub, `OWNER/NAME`, with a column of videos. Its
            other columns are those of such a folder: `transcription`, and *optional* `speaker`, `start`, `end`,
            `words`.
        split (`str`, *optional*): only this one, such as `"train"`; all by default. Of a dataset that has only
            `train`, splits are made, as of a folder without any; `"train[:10%]"` is a part of the dataset's own.
        streaming (`bool`, *optional*, defaults to `False`): give one clip after the other, without downloading all of
            a dataset first. Splits are then those of the dataset.
        speakers (`list[str]`, *optional*): only these.
        splits_file (`str` or `os.PathLike`, *optional*): JSON `{split: {speaker: [names]}}`.
        split_scheme (`str`, *optional*, defaults to `"custom"`): of a folder of GRID: one of `"seen4"`, `"unseen33"`,
            `"overlap33"` and `"grid_s1"`, instead of a splits file.
        options: of a dataset: further arguments of `datasets.load_dataset`, such as `revision`.

    Returns:
        `list[Clip]`; `dict[str, list[Clip]]`, by split, if no split is named; or, with `streaming`, an iterator of
        clips, which know their split. [`Clip.source`] is what the feature extractor and `read_audio` take. What lies
        in a folder but becomes no clip, such as a video that its `metadata.csv` does not name, is logged as a warning.

    Raises:
        CorpusError: if there is no such folder, dataset, split or speaker, no column of videos, or no clip in it.
        MissingExtraError: if the library `datasets` is needed, but not installed.
        TypeError: if a folder has no such option.
    """
    check_path(source, "source", "a folder, or the name of a dataset", CorpusError)
    path = Path(source)
    selection = Selection(split_scheme, splits_file, tuple(speakers or ()) or None)
    if options and path.is_dir() and (is_saved_dataset(path) or not holds_tables(path)):
        raise TypeError(_unexpected(next(iter(options))))
    if not (holds_tables(path) if path.is_dir() else is_dataset_name(source)):
        return _of_corpus(open_corpus(path), split, selection, streaming)
    if not streaming and not (split and IS_SLICE.search(split)):
        return _of_corpus(HubDataset(source, options=options), split, selection, streaming)
    tables = load_tables(str(source), split, streaming, options)
    for doubt in {columns_without_words("the dataset", columns_of(table, str(source))) for table in tables.values()}:
        if doubt:
            logger.warning("%s: %s", source, doubt)
    clips = {name: clips_of_table(table, str(source), name, speakers) for name, table in tables.items()}
    return (clip for own in clips.values() for clip in own) if streaming else list(clips[str(split)])


def _unexpected(option: str) -> str:
    """What is wrong with an option that a folder does not have."""
    known = ("split", "streaming", "speakers", "splits_file", "split_scheme")
    close = difflib.get_close_matches(option, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return (
        f"load_clips() got an unexpected keyword argument {option!r}. {hint}Of a folder it takes {', '.join(known)};"
        " others go to datasets.load_dataset, for a dataset of the Hub."
    )


def _of_corpus(
    corpus: Corpus, split: str | None, selection: Selection, streaming: bool
) -> list[Clip] | dict[str, list[Clip]] | Iterator[Clip]:
    splits = {} if split is not None else corpus.read_splits(selection)
    names = [split] if split is not None else [name for name, own in splits.items() if any(own.values())]
    if not names:
        corpus.find_clips(selection)  # says why there is none
    for remark in dict.fromkeys(remark for name in names for remark in corpus.remarks(name, selection)):
        logger.warning("%s: %s", corpus.path, remark)
    if streaming:
        return (clip for name in names for clip in corpus.load_split(name, selection, zipped=True))
    clips = {name: corpus.load_split(name, selection, zipped=True) for name in names}
    return {name: clips.get(name, []) for name in splits} if split is None else clips[split]


__all__ = ["load_clips"]
