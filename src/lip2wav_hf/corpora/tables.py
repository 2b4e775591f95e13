"""Clips in tables of the library `datasets`: of the Hub, of parquet files, or of a saved dataset."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import one_line, require_packages
from ..grammar import TextNormalizer
from .clips import Clip, CorpusError, StoredVideo, is_saved_dataset
from .columns import (
    SPLIT_NAMES,
    TEXT_COLUMNS,
    first_text,
    part_start,
    read_time,
    safe_name,
    speaker_of,
    what_is_said,
    word_times,
)


if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

NAME_COLUMNS = ("name", "id")


def load_tables(source: str, split: str | None, streaming: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Tables of a dataset by split, their videos not decoded."""
    require_packages("train", "a dataset of the Hub", "datasets")
    import datasets  # noqa: PLC0415  of an extra
    from datasets.exceptions import DatasetNotFoundError  # noqa: PLC0415

    if is_saved_dataset(Path(source)):
        return _saved_tables(source, split, streaming)
    try:
        loaded = datasets.load_dataset(source, split=split, streaming=streaming, **options)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, ValueError) as error:
        raise CorpusError(
            f"{source}: there is no such folder, and no dataset of that name can be loaded ({one_line(error)})."
        ) from error
    tables = dict(loaded) if split is None else {split: loaded}
    return {str(name): _undecoded(table, source) for name, table in tables.items()}


def _saved_tables(source: str, split: str | None, streaming: bool) -> dict[str, Any]:
    """Tables of a folder that `save_to_disk` has written."""
    import datasets  # noqa: PLC0415  of an extra

    try:
        loaded = datasets.load_from_disk(source)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CorpusError(f"{source}: this saved dataset is damaged ({one_line(error)}). Save it again.") from error
    tables = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    if split is not None and split not in tables:
        raise CorpusError(f"{source}: there is no split {split!r}. There are {', '.join(map(str, tables))}.")
    tables = {str(name): _undecoded(table, source) for name, table in tables.items() if split in (None, name)}
    return {name: table.to_iterable_dataset() for name, table in tables.items()} if streaming else tables


def _undecoded(table: Any, source: str) -> Any:
    import datasets  # noqa: PLC0415  of an extra

    if table.features is None:  # those of a dataset that is streamed may first be known from its rows
        table = table._resolve_features()
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


def columns_of(table: datasets.Dataset | datasets.IterableDataset, source: str) -> list[str]:
    """The columns of a table but for that of the videos, in lower case; none where they are not known, as those of a
    WebDataset, of which each row has its own."""
    columns = list(table.features or ())
    return [] if "json" in columns else [name.lower() for name in columns if name != _video_column(table, source)]


def clips_of_table(
    table: datasets.Dataset | datasets.IterableDataset,
    source: str,
    split: str,
    speakers: Iterable[str] | None = None,
    unusable: list[CorpusError] | None = None,
    normalizer: TextNormalizer | None = None,
    wrong_times: dict[str, str] | None = None,
) -> Iterator[Clip]:
    """
    The clips of a table.

    Args:
        table (`datasets.Dataset` or `datasets.IterableDataset`): with a column of videos, not decoded.
        source (`str`): what messages call the dataset.
        split (`str`): the table's.
        speakers (`Iterable[str]`, *optional*): only these.
        unusable (`list[CorpusError]`, *optional*): where to write what is wrong with rows that hold no clip.
        normalizer ([`TextNormalizer`], *optional*): what makes words of the transcripts.
        wrong_times (`dict[str, str]`, *optional*): where to write what is wrong with word times that are not used, by
            the key of the clip; they are logged by default.

    Raises:
        CorpusError: if a row holds no clip, and there is no such list.
    """
    column, normalizer, seen = _video_column(table, source), normalizer or TextNormalizer(), set()
    fingerprint = getattr(table, "_fingerprint", "") if hasattr(table, "__len__") else ""
    for number, row in enumerate(table):
        try:
            clip, fault = _clip_of(row, column, f"{source}, {split}, row {number}", normalizer)
        except CorpusError as error:
            if unusable is None:
                raise
            unusable.append(error)
            continue
        clip = replace(clip, speaker=clip.speaker or safe_name(Path(source).name), split=split)
        if speakers and clip.speaker not in speakers:
            continue
        if clip.key in seen:
            clip = replace(clip, name=f"{clip.name}-{number}")
        seen.add(clip.key)
        if fault is not None and wrong_times is not None:
            wrong_times[clip.key] = fault
        elif fault is not None:
            logger.warning("%s; used without word times.", fault)
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


def _clip_of(row: dict[str, Any], column: str, place: str, normalizer: TextNormalizer) -> tuple[Clip, str | None]:
    """The clip of a row, without speaker where the row names none; and what is wrong with its word times."""
    details = row.get("json")
    row = row | details if isinstance(details, dict) else row  # of a WebDataset
    video = row[column]
    if not isinstance(video, dict) or not (video.get("bytes") or video.get("path")):
        raise CorpusError(f"{place}: there is no video in the column {column!r}.")
    start, end = read_time(row, "start", place), read_time(row, "end", place)
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{place}: it ends at {end} s, not after its start at {start or 0.0} s.")
    file = str(video.get("path") or f"{place.rpartition(' ')[2]}.mp4")
    name = first_text(row, NAME_COLUMNS, place) or Path(file).stem
    name += "" if start is None and end is None else f"@{start or 0.0:.2f}"
    text, begin = first_text(row, TEXT_COLUMNS, place), part_start(start)
    said = what_is_said(text, word_times(row.get("words"), place), begin, end, normalizer)
    own = (first_text(row, ("split",), place) or "").lower()
    speaker = speaker_of(row, place)
    clip = Clip(
        speaker=safe_name(speaker) if speaker else "",
        name=safe_name(name.rpartition("/")[2]),
        video=_video_of(video, file, shard=row.get("__url__")),
        words=said.words,
        times=said.times,
        text=text,
        start=begin,
        end=end,
        split=SPLIT_NAMES.get(own, own) or None,
    )
    return clip, None if said.fault is None else f"{place}: {said.fault}"


def _video_of(video: dict[str, Any], file: str, shard: str | None) -> Path | StoredVideo:
    """The video of a row; `shard` is the tar file that the row of a WebDataset comes from."""
    if video.get("bytes") is not None:
        return StoredVideo(Path(file).name, content=video["bytes"])
    if shard is not None:  # where the working folder has a file of that name, `datasets` keeps it instead of the bytes
        return StoredVideo(Path(file).name, location=f"tar://{file}::{shard}")
    if Path(file).is_file():
        return Path(file)
    return StoredVideo(file.rpartition("/")[2], location=file)


__all__ = ["clips_of_table", "columns_of", "load_tables"]
