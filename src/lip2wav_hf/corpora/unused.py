"""What lies in a folder of videos but becomes no clip: it is counted and named, so that nobody loses it unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from .clips import OTHER_VIDEO_SUFFIXES, VIDEO_SUFFIXES, Clip, visible_files
from .defects import Defect
from .transcripts import READERS, TIMED_WRITERS


NO_TRANSCRIPTS = ("readme", "license", "licence", "copying", "notice", "notes", "phrases", "sentences", "changelog")
"""Names of texts that say something else."""


def videos_in(folder: Path) -> Iterator[Path]:
    """The videos of a folder and of those in it, in order, without hidden ones."""
    return (path for path in visible_files(folder) if path.suffix.lower() in VIDEO_SUFFIXES)


def transcript_beside(video: Path) -> Path | None:
    """The transcript of a video, by its name."""
    for suffix in READERS:
        for written in {suffix, suffix.upper(), ".TextGrid" if suffix == ".textgrid" else suffix}:
            if (file := video.with_suffix(written)).is_file():
                return file
    return None


def unlisted_videos(folder: Path, listed: Collection[Path], tables: Sequence[Path]) -> Iterator[Defect]:
    """
    Videos that no table names.

    Args:
        folder (`Path`): of the corpus.
        listed (collection of `Path`): the videos that the tables name.
        tables (sequence of `Path`): the tables.
    """
    names, known = " or ".join(str(table.relative_to(folder)) for table in tables), set(listed)
    for video in visible_files(folder):
        if video.suffix.lower() not in (*VIDEO_SUFFIXES, *OTHER_VIDEO_SUFFIXES) or video in known:
            continue
        beside = transcript_beside(video)
        more = f"; {beside.name} beside it is not read where there is a table" if beside is not None else ""
        yield Defect(str(video.relative_to(folder)), "unlisted_video", f"{video}: no row of {names} names it{more}")


def other_videos(folder: Path) -> Iterator[Defect]:
    """Videos of kinds that are not looked for without a table."""
    for video in visible_files(folder):
        if video.suffix.lower() in OTHER_VIDEO_SUFFIXES:
            detail = f"{video}: not looked for; list it in metadata.csv, or convert it to .mp4"
            yield Defect(str(video.relative_to(folder)), "other_format", detail)


def lone_transcripts(folder: Path, times: Path) -> Iterator[Defect]:
    """
    Transcripts without a video of their name beside them. A `.txt` counts where such files are transcripts of others.

    Args:
        folder (`Path`): of the corpus.
        times (`Path`): a folder in it, of word times, which lie beside no video.
    """
    files = list(visible_files(folder))
    suffixes = (*VIDEO_SUFFIXES, *OTHER_VIDEO_SUFFIXES)
    videos = {path.with_suffix("") for path in files if path.suffix.lower() in suffixes}
    transcripts = [path for path in files if path.suffix.lower() in READERS and times not in path.parents]
    used = {(path.parent, path.suffix.lower()) for path in transcripts if path.with_suffix("") in videos}
    for path in transcripts:
        if path.with_suffix("") in videos or (path.parent, path.suffix.lower()) not in used:
            continue
        if not path.stem.lower().startswith(NO_TRANSCRIPTS):
            detail = f"{path}: there is no video {path.stem} beside it"
            yield Defect(str(path.relative_to(folder)), "lone_transcript", detail)


def unused_times(folder: Path, times: Path, clips: Sequence[Clip]) -> Iterator[Defect]:
    """
    Word times in a folder of the corpus that are of none of its clips.

    Args:
        folder (`Path`): of the corpus.
        times (`Path`): the folder of word times.
        clips (sequence of [`Clip`]): all clips.
    """
    keys = {Path(clip.speaker, clip.name) for clip in clips}
    for path in visible_files(times):
        own = path.relative_to(times)
        if path.suffix in TIMED_WRITERS and own.parent / own.name[: -len(path.suffix)] not in keys:
            yield Defect(str(path.relative_to(folder)), "unused_times", f"{path}: there is no clip of that name")


class Row(Protocol):
    """What a table, or a file of subtitles, says of a recording."""

    @property
    def video(self) -> Path: ...

    @property
    def start(self) -> float | None: ...

    @property
    def end(self) -> float | None: ...

    @property
    def place(self) -> str: ...


AnyRow = TypeVar("AnyRow", bound=Row)


def without_repetitions(
    rows: Sequence[AnyRow], says: Callable[[AnyRow], Hashable]
) -> tuple[list[AnyRow], list[Defect]]:
    """
    Rows of which no two are of the same recording, and what was wrong with the others. Of rows that say the same, the
    first counts; of rows that say different things, none does, since nobody can tell which is right.

    Args:
        rows (sequence of [`Row`]): the rows.
        says (`Callable`): what a row says of its recording.
    """
    groups: dict[Hashable, list[AnyRow]] = {}
    for row in rows:
        groups.setdefault((row.video, row.start or 0.0, row.end), []).append(row)
    kept, defects = [], []
    for first, *others in groups.values():
        if any(says(row) != says(first) for row in others):
            places = " and ".join(row.place for row in (first, *others))
            defects.append(Defect(_name(first), "contradicting_rows", f"{places}: each says something else of it"))
            continue
        kept.append(first)
        for row in others:
            name = f"{_name(row)} ({row.place.rpartition(', ')[2]})"
            defects.append(Defect(name, "repeated_row", f"{row.place}: {first.place} says the same"))
    return kept, defects


def _name(row: Row) -> str:
    """The video of a row, and where its part begins."""
    return row.video.name if row.start is None and row.end is None else f"{row.video.name}@{row.start or 0.0:.2f}"


__all__ = [
    "lone_transcripts",
    "other_videos",
    "transcript_beside",
    "unlisted_videos",
    "unused_times",
    "videos_in",
    "without_repetitions",
]
