"""`load_clips`: the clips of a folder of any corpus, or of a dataset of the Hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import one_line, require_packages
from ..grammar import TextNormalizer
from .clips import Clip, CorpusError, Selection, StoredVideo
from .columns import (
    SPEAKER_COLUMNS,
    SPLIT_NAMES,
    TEXT_COLUMNS,
    first_text,
    part_start,
    read_time,
    safe_name,
    times_within,
    word_times,
)
from .registry import open_corpus


if TYPE_CHECKING:
    import datasets

NAME_COLUMNS = ("name", "id")


@overload
def load_clips(
    source: str | os.PathLike,
    split: str,
    *,
    streaming: Literal[False] = False,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
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
    **options: Any,
) -> Iterator[Clip]: ...


def load_clips(
    source: str | os.PathLike,
    split: str | None = None,
    *,
    streaming: bool = False,
    speakers: list[str] | tuple[str, ...] | None = None,
    splits_file: str | os.PathLike | None = None,
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
        options: of a dataset: further arguments of `datasets.load_dataset`, such as `revision`.

    Returns:
        `list[Clip]`; `dict[str, list[Clip]]`, by split, if no split is named; or, with `streaming`, an iterator of
        clips, which know their split. [`Clip.source`] is what the feature extractor and `read_audio` take.

    Raises:
        CorpusError: if there is no such folder, dataset, split or speaker, or no column of videos.
        MissingExtraError: if the library `datasets` is needed, but not installed.
    """
    path = Path(source)
    if not path.is_dir() and isinstance(source, str) and source.count("/") <= 1 and not source.startswith((".", "~")):
        tables = _load_tables(source, split, streaming, options)
    elif path.is_dir() and any(path.rglob("*.parquet")):
        tables = _load_tables(str(path), split, streaming, options)
    else:
        return _of_folder(path, split, Selection("custom", splits_file, tuple(speakers or ()) or None), streaming)
    clips = {name: _clips_of(table, str(source), name, speakers) for name, table in tables.items()}
    if streaming:
        return (clip for own in clips.values() for clip in own)
    return {name: list(own) for name, own in clips.items()} if split is None else list(clips[split])


def _of_folder(
    path: Path, split: str | None, selection: Selection, streaming: bool
) -> list[Clip] | dict[str, list[Clip]] | Iterator[Clip]:
    corpus = open_corpus(path)
    splits = {} if split is not None else corpus.read_splits(selection)
    names = [split] if split is not None else [name for name, own in splits.items() if any(own.values())]
    if streaming:
        return (clip for name in names for clip in corpus.load_split(name, selection, zipped=True))
    clips = {name: corpus.load_split(name, selection, zipped=True) for name in names}
    return {name: clips.get(name, []) for name in splits} if split is None else clips[split]


def _load_tables(source: str, split: str | None, streaming: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Tables of a dataset by split, their videos not decoded."""
    require_packages("train", "load_clips of a dataset", "datasets")
    import datasets  # noqa: PLC0415  of an extra
    from datasets.exceptions import DatasetNotFoundError  # noqa: PLC0415

    try:
        loaded = datasets.load_dataset(source, split=split, streaming=streaming, **options)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, ValueError) as error:
        raise CorpusError(
            f"{source}: there is no such folder, and no dataset of that name can be loaded ({one_line(error)})."
        ) from error
    tables = dict(loaded) if split is None else {split: loaded}
    return {str(name): _undecoded(table, source) for name, table in tables.items()}


def _undecoded(table: Any, source: str) -> Any:
    import datasets  # noqa: PLC0415  of an extra

    column = _video_column(table, source)
    return table.cast_column(column, datasets.Video(decode=False))


def _video_column(table: Any, source: str) -> str:
    import datasets  # noqa: PLC0415  of an extra

    features = table.features or {}
    found = [name for name, feature in features.items() if isinstance(feature, datasets.Video)]
    if len(found) == 1:
        return found[0]
    if "video" in features or not features:
        return "video"
    raise CorpusError(
        f"{source}: it has {len(found) or 'no'} columns of videos; there must be one. Its columns are"
        f" {', '.join(features)}."
    )


def _clips_of(
    table: datasets.Dataset | datasets.IterableDataset,
    source: str,
    split: str,
    speakers: Iterable[str] | None,
) -> Iterator[Clip]:
    column, normalizer, seen = _video_column(table, source), TextNormalizer(), set()
    fingerprint = getattr(table, "_fingerprint", "") if hasattr(table, "__len__") else ""
    for number, row in enumerate(table):
        clip = _clip_of(row, column, f"{source}, {split}, row {number}", normalizer)
        clip = replace(clip, speaker=clip.speaker or safe_name(Path(source).name), split=split)
        if speakers and clip.speaker not in speakers:
            continue
        if clip.key in seen:
            clip = replace(clip, name=f"{clip.name}-{number}")
        seen.add(clip.key)
        video = clip.video
        if isinstance(video, StoredVideo) and fingerprint and video.location is None:
            video = replace(video, content=None, table=table, column=column, row=number)  # read again when needed
        facts = (fingerprint or _content_hash(clip), number, clip.start, clip.end, clip.words, clip.times)
        yield replace(clip, video=video, version=hashlib.sha256(repr(facts).encode()).hexdigest()[:12])


def _content_hash(clip: Clip) -> str:
    video = clip.video
    if isinstance(video, StoredVideo) and video.content is not None:
        return hashlib.sha256(video.content).hexdigest()
    return str(video)


def _clip_of(row: dict[str, Any], column: str, place: str, normalizer: TextNormalizer) -> Clip:
    """The clip of a row, without speaker where the row names none."""
    details = row.get("json")
    row = row | details if isinstance(details, dict) else row  # of a WebDataset
    video = row[column]
    if not isinstance(video, dict) or not (video.get("bytes") or video.get("path")):
        raise CorpusError(f"{place}: there is no video in the column {column!r}.")
    start, end = read_time(row, "start", place), read_time(row, "end", place)
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{place}: it ends at {end} s, not after its start at {start or 0.0} s.")
    file = str(video.get("path") or f"{place.rpartition(' ')[2]}.mp4")
    name = first_text(row, NAME_COLUMNS) or Path(file).stem
    name += "" if start is None and end is None else f"@{start or 0.0:.2f}"
    text, begin = first_text(row, TEXT_COLUMNS), part_start(start)
    times = times_within(word_times(row.get("words"), place), begin, end, normalizer)
    timed = tuple(word for _, _, word in times)
    words = (timed or None) if text is None else normalizer(text).words
    own, speaker = (first_text(row, ("split",)) or "").lower(), first_text(row, SPEAKER_COLUMNS)
    return Clip(
        speaker=safe_name(speaker) if speaker else "",
        name=safe_name(name.rpartition("/")[2]),
        video=_video_of(video, file),
        words=words,
        times=times if times and timed == words else None,
        text=text,
        start=begin,
        end=end,
        split=SPLIT_NAMES.get(own, own) or None,
    )


def _video_of(video: dict[str, Any], file: str) -> Path | StoredVideo:
    if video.get("bytes") is not None:
        return StoredVideo(Path(file).name, content=video["bytes"])
    if Path(file).is_file():
        return Path(file)
    return StoredVideo(file.rpartition("/")[2], location=file)


__all__ = ["load_clips"]
