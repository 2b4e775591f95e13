"""A folder of videos with what is said in them: `datasets`' VideoFolder form, or transcripts beside the videos."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import counted, one_line
from ..files import read_json
from ..grammar import TextNormalizer
from .clips import VIDEO_SUFFIXES, Clip, CorpusError, Selection, Splits, TimedWord, visible_files
from .columns import (
    METADATA,
    SPLIT_NAMES,
    TEXT_COLUMNS,
    VideoFolderError,
    first_text,
    metadata_files,
    one_name,
    part_start,
    read_time,
    safe_name,
    speaker_of,
    unread_tables,
    what_is_said,
    word_times,
)
from .defects import EXPLAINED, MINIMUM_FRAMES, CheckOptions, CorpusReport, Defect, check_clips, late_parts
from .doubts import alike_speakers, columns_without_words, misspelt_splits, unknown_columns
from .made_splits import MadeSplits, make_splits
from .metadata import ListedFiles, read_rows
from .transcripts import TranscriptError, read_transcript
from .unused import (
    lone_transcripts,
    other_videos,
    transcript_beside,
    unlisted_videos,
    unused_times,
    videos_in,
    without_repetitions,
)
from .word_times import FOLDER, with_word_times


TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".xlsx", ".xls", ".ods")  # of what may be meant for metadata
EXAMPLES = 3  # clips that a sentence names


@dataclass(frozen=True)
class _Row:
    """What the metadata, or the files, say of one clip; `words` are of the whole video."""

    video: Path
    text: str | None = None
    speaker: str | None = None
    split: str | None = None
    start: float | None = None
    end: float | None = None
    words: tuple[TimedWord, ...] = ()
    place: str = ""

    @property
    def is_part(self) -> bool:
        return self.start is not None or self.end is not None


class VideoFolder:
    """
    The reader of a folder of videos.

    With `metadata.csv` or `metadata.jsonl`, at the top or in the folders of the splits, each row is a clip:
    `file_name` (relative to it), `transcription`, and *optional* `speaker`, `split`, `start` and `end` (in seconds, of
    a part of the video), and `words` (of JSON lines: a list of `{"word", "start", "end"}`). Without metadata, each
    video is a clip whose transcript lies beside it (see `transcripts`); with a file of subtitles, each of them is one.
    A clip without word times has those of `alignments/SPEAKER/NAME.TextGrid` or `.align`, if there is such a file.
    A speaker that nobody names is the folder that the video lies in. A part begins with a frame: its start is rounded
    to 1/25 s.

    Args:
        folder (`str` or `os.PathLike`): the folder.
        normalizer ([`TextNormalizer`], *optional*): what makes words of the transcripts.
        seed (`int`, *optional*, defaults to 0): of the splits that are made where none are given.
    """

    name = "videos"
    minimum_frames = MINIMUM_FRAMES

    def __init__(self, folder: str | os.PathLike, normalizer: TextNormalizer | None = None, seed: int = 0) -> None:
        self.path = Path(folder)
        self.normalizer, self.seed = normalizer or TextNormalizer(), seed
        self._clips: list[Clip] | None = None
        self._made: MadeSplits | None = None
        self._columns: dict[str, list[str]] = {}
        self.defects: list[Defect] = []

    @classmethod
    def objection(cls, folder: Path) -> str | None:
        """Why an existing folder is none of videos with transcripts, one sentence; `None` if it is."""
        if metadata_files(folder):
            return None
        videos = list(videos_in(folder))
        if not videos:
            return f"there is no video in it ({', '.join(VIDEO_SUFFIXES)})."
        if not any(transcript_beside(video) for video in videos):
            deeper = next((path for path in visible_files(folder) if path.name.lower() in METADATA), None)
            if deeper is not None:
                return f"{deeper} is too deep inside of it. Give the folder {deeper.parent}."
            files = visible_files(folder, "*")
            table = next((path.name for path in files if path.suffix.lower() in TABLE_SUFFIXES), None)
            meant = "" if table is None else f" {table} is there: {_as_metadata(table)}."
            return (
                f"there is no {METADATA[0]} in it, and no transcript beside any video ({len(videos)} in all), such as"
                f" {videos[0].with_suffix('.txt').name} beside {videos[0].name}.{meant}"
            )
        return None

    @property
    def clips(self) -> list[Clip]:
        """All clips in order of their files, read once; what is listed but cannot be read, and what becomes no clip,
        goes to `defects`.

        Raises:
            VideoFolderError: if the metadata cannot be used.
        """
        if self._clips is None:
            metadata, times = metadata_files(self.path), self.path / FOLDER
            found = list(
                (row for file in metadata for row in self._of_metadata(file)) if metadata else self._of_files()
            )
            rows, repeated = without_repetitions(found, self._says)
            self.defects += repeated
            clips = self._named(rows)
            self.defects += self._wrong_times(rows, clips)
            if metadata:
                self.defects += unlisted_videos(self.path, {row.video for row in found}, metadata)
            else:
                self.defects += [*other_videos(self.path), *lone_transcripts(self.path, times)]
            if times.is_dir():
                self.defects += unused_times(self.path, times, clips)
                clips = self._with_times(clips, times)
            self._clips = clips
        return self._clips

    def _wrong_times(self, rows: list[_Row], clips: list[Clip]) -> Iterator[Defect]:
        """Clips whose rows have word times that cannot be used."""
        for row, clip in zip(rows, clips, strict=True):
            fault = what_is_said(row.text, row.words, clip.start, row.end, self.normalizer).fault
            if fault is not None:
                yield Defect(clip.key, "wrong_times", f"{row.place}: {fault}")

    def _with_times(self, clips: list[Clip], folder: Path) -> list[Clip]:
        """Clips with the word times of a folder, where it has some that can be used; others go to `defects`."""
        timed = with_word_times(clips, folder)
        for place, (clip, own) in enumerate(zip(timed, clips, strict=True)):
            try:
                if clip is not own:
                    clip.timed_words()
            except CorpusError as error:
                self.defects.append(Defect(clip.key, "wrong_times", one_line(error)))
                timed[place] = own
        return timed

    def _says(self, row: _Row) -> tuple[tuple[str, ...] | None, str | None]:
        """What a row says of its recording: the words, and whose they are."""
        return None if row.text is None else self.normalizer(row.text).words, row.speaker

    def _named(self, rows: list[_Row]) -> list[Clip]:
        """The clips of rows, with names as long as it takes to tell them apart."""
        clips = [self._clip(row) for row in rows]
        for detail in (1, 2):
            counts = Counter(clip.key for clip in clips)
            clips = [
                self._clip(row, detail) if counts[clip.key] > 1 else clip
                for row, clip in zip(rows, clips, strict=True)
            ]
        seen: Counter[str] = Counter()
        for place, clip in enumerate(clips):  # of files whose names differ in signs that no name of a clip has
            seen[clip.key] += 1
            if seen[clip.key] > 1:
                clips[place] = replace(clip, name=f"{clip.name}-{seen[clip.key]}")
        return clips

    def _of_metadata(self, file: Path) -> Iterator[_Row]:
        split = SPLIT_NAMES.get(file.parent.name.lower()) if file.parent != self.path else None
        listed = ListedFiles(file.parent)
        columns = self._columns.setdefault(str(file.relative_to(self.path)), [])
        for number, row in read_rows(file):
            place = f"{file}, line {number}"
            columns += [column for column in row if column not in columns]
            name = row.get("file_name")
            if not isinstance(name, str) or not name.strip():
                raise VideoFolderError(f"{place}: there is no file_name. Name a video, relative to {file.parent}.")
            name = name.strip()
            try:
                video = listed.find(name)
            except ValueError as error:
                raise VideoFolderError(f"{place}: {error} Use a path relative to it.") from error
            if video is None:
                absent = (file.parent / name).relative_to(self.path)
                self.defects.append(Defect(str(absent), "missing_video", f"{place}: {name}"))
                continue
            start, end = read_time(row, "start", place), read_time(row, "end", place)
            if end is not None and end <= (start or 0.0):
                raise VideoFolderError(f"{place}: it ends at {end} s, not after its start at {start or 0.0} s.")
            own = (first_text(row, ("split",), place) or "").lower()
            yield _Row(
                video,
                first_text(row, TEXT_COLUMNS, place),
                speaker_of(row, place),
                SPLIT_NAMES.get(own, own) or split,
                start,
                end,
                word_times(row.get("words"), place),
                place,
            )

    def _of_files(self) -> Iterator[_Row]:
        for video in videos_in(self.path):
            inside = video.relative_to(self.path)
            split = next(
                (SPLIT_NAMES[part.lower()] for part in inside.parts[:-1] if part.lower() in SPLIT_NAMES), None
            )
            source = transcript_beside(video)
            if source is None:
                self.defects.append(Defect(str(inside), "no_transcript", f"{video}: there is no transcript beside it"))
                continue
            try:
                transcript = read_transcript(source)
            except TranscriptError as error:
                self.defects.append(Defect(str(inside), "corrupt_transcript", str(error)))
                continue
            self.defects += [Defect(str(inside), "corrupt_cue", f"{source}: {fault}") for fault in transcript.faults]
            for cue in transcript.cues:
                yield _Row(video, cue.text, None, split, cue.start, cue.end, place=f"{source.name}, {cue.start} s")
            if not transcript.cues:
                words = tuple((word.start, word.end, word.text) for word in transcript.words)
                yield _Row(video, transcript.text, None, split, words=words, place=str(source))

    def _clip(self, row: _Row, detail: int = 0) -> Clip:
        """The clip of a row. Its name is that of the file with the folders around it, but for those of the split and
        of the speaker; where two clips would else have one name, with all of them (`detail` 1), and with the file's
        suffix and the end of the part, too (2)."""
        parts = list(row.video.relative_to(self.path).with_suffix("").parts)
        inner = [piece for piece in parts[:-1] if piece.lower() not in SPLIT_NAMES]
        speaker = row.speaker or one_name(inner[0] if inner else self.path.resolve().name)
        others = (piece for piece in inner if one_name(piece) != speaker)
        name = "-".join(parts if detail else [*others, parts[-1]])
        name += row.video.suffix.replace(".", "-") if detail > 1 else ""
        start = part_start(row.start)
        if row.is_part:
            name += f"@{row.start or 0.0:.2f}"
        if row.is_part and detail > 1:
            name += "-end" if row.end is None else f"-{row.end:.2f}"
        said = what_is_said(row.text, row.words, start, row.end, self.normalizer)
        clip = Clip(
            speaker=safe_name(speaker),
            name=safe_name(name),
            video=row.video,
            words=said.words,
            text=row.text,
            times=said.times,
            start=start,
            end=row.end,
            split=row.split,
        )
        return replace(clip, version=version_of(clip))

    def scheme(self, selection: Selection = Selection()) -> str:
        """The split scheme that is read, which is always `"custom"`."""
        return selection.scheme

    def remarks(self, split: str, selection: Selection = Selection()) -> list[str]:
        """What lies in the folder but becomes no clip of any split, a line for each kind; what looks like a slip; and
        which clips are in none of the folder's splits."""
        clips = self.clips  # finds the defects
        report = CorpusReport.of_listing(self.defects, doubts=self._doubts(selection))
        return [*report.lines(), *self._in_no_split(clips, selection)]

    def _doubts(self, selection: Selection) -> list[str]:
        """What looks like a slip in the names of columns, splits and speakers, a sentence each."""
        columns = [columns_without_words(table, names) for table, names in self._columns.items()]
        splits = {
            split: sum(len(names) for names in own.values()) for split, own in self.read_splits(selection).items()
        }
        speakers = {clip.speaker for clip in self.clips}
        return [*unread_tables(self.path), *filter(None, columns), *misspelt_splits(splits), *alike_speakers(speakers)]

    def _no_words(self) -> str:
        """What is wrong with a table that seems to call by another name what is said in all of its clips."""
        if any(clip.words for clip in self.clips) or not any(map(unknown_columns, self._columns.values())):
            return ""
        return next(filter(None, (columns_without_words(*table) for table in self._columns.items())), "")

    def _in_no_split(self, clips: list[Clip], selection: Selection) -> list[str]:
        """A sentence on clips that a `splits.json` of the folder does not name, as after more was recorded. What a
        splits file names that somebody gives is that person's choice."""
        own = self.path / "splits.json"
        if selection.splits_file is not None or not own.is_file():
            return []
        named = read_splits_file(own)
        keys = {f"{speaker}/{name}" for own in named.values() for speaker, names in own.items() for name in names}
        others = [
            clip.key
            for clip in clips
            if clip.key not in keys and (not selection.speakers or clip.speaker in selection.speakers)
        ]
        if not others:
            return []
        more = f" and {len(others) - EXAMPLES} more" if len(others) > EXAMPLES else ""
        return [
            f"{counted(len(others), 'clip')} in no split of {own.name}, and so not used:"
            f" {', '.join(others[:EXAMPLES])}{more}."
        ]

    def made_splits(self, selection: Selection = Selection()) -> MadeSplits | None:
        """The splits of [`make_splits`], where neither a file, nor the metadata or the folders' names give any. They
        are those of the whole folder, also where a selection names speakers."""
        given = selection.splits_file is not None or (self.path / "splits.json").is_file()
        if given or any(clip.split for clip in self.clips):
            return None
        if self._made is None:
            self._made = make_splits(self.clips, self.seed, unusable=late_parts(self.clips))
        return self._made

    def read_splits(self, selection: Selection = Selection()) -> Splits:
        """
        Names of the clips of each split: those that the metadata, a `splits.json` or the folders' names give, or else
        splits made with [`make_splits`].

        Raises:
            VideoFolderError: if the split scheme is one of GRID, the file cannot be read, or a speaker is missing.
        """
        if selection.scheme != "custom":
            raise VideoFolderError(
                f"{self.path}: the split scheme {selection.scheme!r} is one of GRID, which this folder does not hold."
                " Leave it out, or give a splits file."
            )
        made = self.made_splits(selection)
        if made is not None:
            splits = made.splits
        elif selection.splits_file is not None or (self.path / "splits.json").is_file():
            splits = read_splits_file(Path(selection.splits_file or self.path / "splits.json"))
        else:
            splits = {}
            for clip in self.clips:
                splits.setdefault(clip.split or "train", {}).setdefault(clip.speaker, []).append(clip.name)
        return self._of_speakers(splits, selection.speakers)

    def _of_speakers(self, splits: Splits, speakers: tuple[str, ...] | None) -> Splits:
        known = {speaker for chosen in splits.values() for speaker in chosen}
        missing = sorted(set(speakers or ()) - known)
        if missing:
            raise VideoFolderError(
                f"{self.path}: there is no speaker {', '.join(missing)}. There are {', '.join(sorted(known))}."
            )
        chosen = {
            split: {speaker: names for speaker, names in own.items() if not speakers or speaker in speakers}
            for split, own in splits.items()
        }
        return {split: own for split, own in chosen.items() if own}

    def find_clips(self, selection: Selection = Selection()) -> tuple[dict[str, list[Clip]], CorpusReport]:
        """Clips of every split, and a report on what is listed but absent or unreadable, and on splits that were made.

        Raises:
            VideoFolderError: as [`read_splits`], and if there is no clip at all.
        """
        by_key = {clip.key: clip for clip in self.clips}
        found: dict[str, list[Clip]] = {}
        absent: dict[str, Defect] = {}
        for split, speakers in self.read_splits(selection).items():
            found[split] = []
            for key in (f"{speaker}/{name}" for speaker, names in speakers.items() for name in names):
                if key in by_key:
                    found[split].append(replace(by_key[key], split=split))
                else:
                    absent[key] = Defect(key, "missing_video", f"{self.path}: the split {split!r} lists {key}")
        keys = {clip.key for clips in found.values() for clip in clips}
        defects = [defect for defect in self.defects if not defect.used or defect.clip in keys]
        defects += absent.values()
        notes = self._notes(selection) if any(found.values()) else []
        report = CorpusReport.of_listing(defects, notes, self._doubts(selection))
        report.no_words = self._no_words() and f"{self.path}: {self._no_words()}"
        if not any(found.values()):
            untold = bool(defects) and defects[0].kind not in EXPLAINED
            cause = f" For example, {defects[0].detail}" if untold else ""
            raise VideoFolderError(f"{self.path}: no clip can be used. {report.sentence()}{cause}")
        return found, report

    def _notes(self, selection: Selection) -> list[str]:
        made = self.made_splits(selection)
        if made is not None:
            return [made.describe()]
        if selection.splits_file is not None or (self.path / "splits.json").is_file():
            return self._in_no_split(self.clips, selection)
        unsplit = sum(clip.split is None for clip in self.clips)
        if not unsplit:
            return []
        return [f"{counted(unsplit, 'clip')} without a split {'is' if unsplit == 1 else 'are'} in train."]

    def check_clips(
        self, clips: Iterable[Clip], options: CheckOptions = CheckOptions()
    ) -> tuple[list[Clip], CorpusReport]:
        """The usable ones of some clips, and a report on all, as [`check_clips`]."""
        return check_clips(clips, options)

    def load_split(self, split: str, selection: Selection = Selection(), zipped: bool = False) -> list[Clip]:
        """Clips of one split, by speaker in the order of the files."""
        splits = self.read_splits(selection)
        if split not in splits:
            raise VideoFolderError(f"{self.path}: there is no split {split!r}. There are {', '.join(splits)}.")
        by_key = {clip.key: clip for clip in self.clips}
        clips = []
        for key in (f"{speaker}/{name}" for speaker, names in splits[split].items() for name in names):
            if key not in by_key:
                raise VideoFolderError(f"{self.path}: the split {split!r} lists {key}, which is missing.")
            clips.append(replace(by_key[key], split=split))
        return clips


def _as_metadata(table: str) -> str:
    """What to do with a table of another name, so that it is read."""
    suffix = Path(table).suffix.lower()
    if suffix in (".csv", ".tsv", ".jsonl"):
        return f"name it {METADATA[1] if suffix == '.jsonl' else METADATA[0]}"
    return f"save it as {METADATA[0]} (in Excel: CSV UTF-8)"


def read_splits_file(path: Path) -> Splits:
    """The splits of a JSON file.

    Raises:
        VideoFolderError: if it cannot be read, or holds something else.
    """
    splits = read_json(path, VideoFolderError)
    if not isinstance(splits, dict) or not all(
        isinstance(chosen, dict) and all(isinstance(names, list) for names in chosen.values())
        for chosen in splits.values()
    ):
        raise VideoFolderError(f'{path}: expected {{"train": {{"ann": ["clip1", …]}}, "validation": …}}.')
    return splits


def version_of(clip: Clip) -> str:
    """The `version` of a clip of a video file."""
    status = Path(str(clip.video)).stat()
    facts = (status.st_size, status.st_mtime_ns, clip.start, clip.end, clip.words, clip.times)
    return hashlib.sha256(f"{Path(str(clip.video)).resolve()}|{facts!r}".encode()).hexdigest()[:12]


__all__ = ["VideoFolder", "VideoFolderError", "version_of"]
