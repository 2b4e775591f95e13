"""`load_clips`: the clips of a folder of any corpus, or of a dataset of the Hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

from .clips import Clip, Selection, holds_tables
from .registry import open_corpus
from .tables import clips_of_table, load_tables


logger = logging.getLogger(__name__)


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
            folder of GRID; or the name of a dataset with a column of videos, as `datasets.load_dataset` takes it. Its
            other columns are those of such a folder: `transcription`, and *optional* `speaker`, `start`, `end`,
            `words`.
        split (`str`, *optional*): only this one, such as `"train"`; all by default.
        streaming (`bool`, *optional*, defaults to `False`): give one clip after the other, without downloading all of
            a dataset first.
        speakers (`list[str]`, *optional*): only these.
        splits_file (`str` or `os.PathLike`, *optional*): of a folder: JSON `{split: {speaker: [names]}}`.
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
    """
    path = Path(source)
    if not path.is_dir() and isinstance(source, str) and source.count("/") <= 1 and not source.startswith((".", "~")):
        tables = load_tables(source, split, streaming, options)
    elif path.is_dir() and holds_tables(path):
        tables = load_tables(str(path), split, streaming, options)
    else:
        return _of_folder(path, split, Selection(split_scheme, splits_file, tuple(speakers or ()) or None), streaming)
    clips = {name: clips_of_table(table, str(source), name, speakers) for name, table in tables.items()}
    if streaming:
        return (clip for own in clips.values() for clip in own)
    return {name: list(own) for name, own in clips.items()} if split is None else list(clips[split])


def _of_folder(
    path: Path, split: str | None, selection: Selection, streaming: bool
) -> list[Clip] | dict[str, list[Clip]] | Iterator[Clip]:
    corpus = open_corpus(path)
    splits = {} if split is not None else corpus.read_splits(selection)
    names = [split] if split is not None else [name for name, own in splits.items() if any(own.values())]
    if not names:
        corpus.find_clips(selection)  # says why there is none
    for remark in dict.fromkeys(remark for name in names for remark in corpus.remarks(name, selection)):
        logger.warning("%s: %s", path, remark)
    if streaming:
        return (clip for name in names for clip in corpus.load_split(name, selection, zipped=True))
    clips = {name: corpus.load_split(name, selection, zipped=True) for name in names}
    return {name: clips.get(name, []) for name in splits} if split is None else clips[split]


__all__ = ["load_clips"]
