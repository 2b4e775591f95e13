"""Clips of a corpus that cannot be used as they are: found, counted and reported."""

from __future__ import annotations

import functools
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import av

from ..audio import read_audio
from ..errors import PartError, PictureError, counted, one_line
from ..files import read_fields, write_json
from ..machine import worker_processes
from ..sources import PICTURE_FORMATS, open_container
from ..video import VideoPart, VideoReader
from .clips import Clip, CorpusError, late_end, late_words
from .columns import shown
from .progress import progress_bar


MINIMUM_FRAMES = 25  # one second
CHECKS = ("none", "fast", "full")
PART_RATE = 25.0  # frames/s at which pictures of a part of a video count
POOL_CLIPS = 200  # from so many clips on, starting processes to check them pays

STILL_PICTURE = "it is a still picture or a text, not a video"

KINDS = {
    "corrupt_row": "a row of the table cannot be read",
    "missing_video": "listed, but there is no video file",
    "no_transcript": "nobody wrote down what is said",
    "no_words": "the transcript has no words",
    "corrupt_transcript": "the transcript cannot be read",
    "corrupt_cue": "a subtitle whose times cannot be read, or cannot be right; the others are used",
    "corrupt_video": "the video cannot be decoded",
    "still_picture": STILL_PICTURE,
    "short_video": "the video has too few frames",
    "no_sound": "the video has no sound track",
    "late_times": "by its transcript or table, it goes on after the end of the video",
    "no_face": "no face is found in the video",
    "unprepared": "no mouth crops or sound could be made of it",
    "unlisted_video": "there is a video, but the metadata do not name it",
    "contradicting_rows": "the metadata name it more than once, and say different things",
    "repeated_row": "the metadata name it again, and say the same",
    "other_format": "a video of a kind that is not looked for",
    "lone_transcript": "a transcript without a video beside it",
    "unused_times": "word times of no clip",
    "wrong_times": "its word times cannot be right, or are of other words; they are not used",
    "cut_times": "the video ends before the time that its transcript or table names",
}
"""What can be wrong with a clip of any corpus, and what it means."""

HARMLESS = ("no_alignment", "wrong_times", "cut_times")
"""Defects with which a clip is used all the same."""

NO_CLIP = ("other_name", "corrupt_cue", "repeated_row", "lone_transcript", "unused_times")
"""Defects of files, or rows of a table, that are no clips."""

EXPLAINED = ("no_words", "corrupt_row", "corrupt_transcript", "corrupt_cue", "late_times", "wrong_times")
"""Defects of which the first one's detail is shown, since the kind does not say what to do."""

OF_NO_SPLIT = (
    "corrupt_cue",
    "unlisted_video",
    "contradicting_rows",
    "repeated_row",
    "other_format",
    "lone_transcript",
    "unused_times",
)
"""Defects of what could have been a clip of any split."""


@dataclass(frozen=True)
class Defect:
    """What is wrong with one clip.

    Attributes:
        clip (`str`): `speaker/name`, or the file where it is no clip.
        kind (`str`): a key of the corpus's kinds, such as `KINDS`.
        detail (`str`): what was found.
    """

    clip: str
    kind: str
    detail: str

    @property
    def used(self) -> bool:
        """Whether the clip is used all the same."""
        return self.kind in HARMLESS


@dataclass
class CorpusReport:
    """What was looked at, and what is wrong with it.

    Attributes:
        checked (`int`): clips looked at.
        defects (`list[Defect]`): in the order of finding.
        missing_speakers (`list[str]`): speakers of the split scheme without any video.
        check (`str`): how thoroughly: one of `CHECKS`.
        notes (`list[str]`): what else is to be known, such as how the splits were made, a sentence each.
        doubts (`list[str]`): what looks like a slip of whoever wrote the table, such as a misspelt split, a sentence
            each.
        no_words (`str`): why no clip at all has words, where a table seems to call them something else.
    """

    kinds: ClassVar[dict[str, str]] = KINDS

    checked: int = 0
    defects: list[Defect] = field(default_factory=list)
    missing_speakers: list[str] = field(default_factory=list)
    check: str = "fast"
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    no_words: str = ""

    @property
    def left_out(self) -> int:
        """Clips that are not used."""
        return len({defect.clip for defect in self.defects if not defect.used and defect.kind not in NO_CLIP})

    @property
    def usable(self) -> int:
        """Clips that are used."""
        return self.checked - self.left_out

    def counts(self) -> dict[str, int]:
        """How many clips have each kind of defect, in the order of the kinds."""
        counter = Counter(defect.kind for defect in self.defects)
        return {kind: counter[kind] for kind in self.kinds if counter[kind]}

    @classmethod
    def of_listing(cls, defects: list[Defect], notes: Iterable[str] = (), doubts: Iterable[str] = ()) -> Self:
        """A report on what was found wrong while a corpus was listed, before any clip was looked at."""
        checked = len({defect.clip for defect in defects if not defect.used and defect.kind not in NO_CLIP})
        return cls(checked, defects, notes=list(notes), doubts=list(doubts))

    def require_words(self) -> None:
        """Raises `CorpusError` if no clip has words since nobody knows the column that holds them; for whoever needs
        words."""
        if self.no_words:
            raise CorpusError(self.no_words)

    def merge(self, other: CorpusReport) -> None:
        """Add what another report found."""
        self.checked += other.checked
        self.defects += other.defects

    def summary(self, examples: int = 3) -> str:
        """A few readable lines; `examples` clips of each kind are named."""
        lines = [f"{counted(self.checked, 'clip')}: {self.usable} usable, {self.left_out} left out."]
        lines += (f"  {line}" for line in self.lines(examples))
        if self.missing_speakers:
            lines.append(f"  no videos of {', '.join(self.missing_speakers)}: the splits are smaller than published.")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def sentence(self) -> str:
        """The summary in one line, for an error."""
        return "; ".join(line.strip().rstrip(".") for line in self.summary().splitlines()) + "."

    def lines(self, examples: int = 3) -> list[str]:
        """A line for each kind of defect, with `examples` clips, and for each doubt."""
        return [*(self._line(kind, examples) for kind in self.counts()), *self.doubts]

    def lines_of_used(self, examples: int = 3) -> list[str]:
        """As [`~CorpusReport.lines`], of defects with which clips are used all the same."""
        return [self._line(kind, examples) for kind in self.counts() if kind in HARMLESS]

    def _line(self, kind: str, examples: int) -> str:
        """What is to be said of a kind of defect."""
        found = [defect for defect in self.defects if defect.kind == kind]
        names = ", ".join(defect.clip for defect in found[:examples])
        more = f" and {len(found) - examples} more" if len(found) > examples else ""
        more += f". For example, {found[0].detail}" if kind in EXPLAINED else ""
        more += ". `minimum_frames=N` keeps those of N frames and more" if kind == "short_video" else ""
        verdict = "used" if kind in HARMLESS else "left out"
        return f"{len(found)} {kind} ({verdict}): {self.kinds[kind]}: {names}{more}"

    def save(self, path: str | os.PathLike) -> None:
        """Write the report as JSON."""
        content = {"usable": self.usable, "left_out": self.left_out, "counts": self.counts()} | asdict(self)
        for name in ("notes", "doubts", "no_words"):
            if not content[name]:
                del content[name]
        write_json(path, content, indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a report that [`~CorpusReport.save`] wrote.

        Raises:
            CorpusError: if the file cannot be read.
        """
        contents = read_fields(path, CorpusError)
        try:
            defects = [Defect(**defect) for defect in contents["defects"]]
            notes, doubts = contents.get("notes", []), contents.get("doubts", [])
            return cls(contents["checked"], defects, contents["missing_speakers"], contents["check"], notes, doubts)
        except (KeyError, TypeError) as error:
            raise CorpusError(
                f"{path}: it is no report of a corpus ({one_line(error)}). Check the clips again."
            ) from error


@dataclass(frozen=True)
class CheckOptions:
    """How clips are looked at.

    Attributes:
        check (`str`, *optional*, defaults to `"fast"`): `"none"` reads word times only; `"fast"` also opens the
            video and counts the pictures in the container; `"full"` decodes pictures and sound.
        minimum_frames (`int`, *optional*): pictures that a clip must have; by default what the corpus asks for: 70 of
            GRID's 75, 25 of others.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show it on stderr.
    """

    check: str = "fast"
    minimum_frames: int | None = None
    num_workers: int = 1
    progress: bool = False


def count_frames(video: str | bytes | VideoPart, decode: bool = False) -> tuple[int, bool]:
    """Pictures of a video, and whether it has a sound track.

    Args:
        video (`str`, `bytes` or [`VideoPart`]): a file's path or contents, or a part of it, whose pictures count at
            25/s; none where it begins after the end.
        decode (`bool`, *optional*, defaults to `False`): decode every picture and sound, instead of counting the
            pictures in the container, which finds what is cut off but not what is scrambled.

    Raises:
        PictureError: if it is a still picture or a text.
        CorpusError: if it cannot be opened, has no video track, or (with `decode`) a picture or sound is damaged.
    """
    if isinstance(video, VideoPart):
        return _count_part(video, decode)
    try:
        with open_container(io.BytesIO(video) if isinstance(video, bytes) else video) as container:
            if PICTURE_FORMATS.fullmatch(container.format.name):
                raise PictureError(f"{STILL_PICTURE}.")
            if not container.streams.video:
                raise CorpusError("it has no video track.")
            pictures, sound = container.streams.video[0], container.streams.audio[:1]
            frames = 0
            for packet in container.demux(pictures, *(sound if decode else ())):
                if not decode:
                    frames += packet.size > 0
                    continue
                for frame in packet.decode():
                    frames += packet.stream is pictures
                    if packet.stream is pictures and getattr(frame, "is_corrupt", False):
                        raise CorpusError(f"picture {frames} is damaged.")
            return frames, bool(sound)
    except (av.FFmpegError, OSError) as error:
        raise CorpusError(f"it cannot be {'decoded' if decode else 'opened'}: {error}.") from None


def _count_part(part: VideoPart, decode: bool) -> tuple[int, bool]:
    """As [`count_frames`]; a long video is opened, not read, however many parts it has."""
    try:
        if decode:
            with VideoReader(part) as reader:
                return sum(1 for _ in reader), read_audio(part) is not None
        with VideoReader(part) as reader:
            frames = reader.expected_frames
            if frames is None:  # the container does not say how long it is
                frames = sum(1 for _ in reader)
            return frames, reader.has_sound
    except PartError:
        return 0, False
    except PictureError:
        raise
    except ValueError as error:
        raise CorpusError(f"it cannot be {'decoded' if decode else 'opened'}: {error}.") from None


def check_video(clip: Clip, check: str = "fast", minimum_frames: int = MINIMUM_FRAMES) -> list[Defect]:
    """What is wrong with the video of a clip; see [`CheckOptions`].

    Raises:
        CorpusError: if there is no such check.
    """
    if check not in CHECKS:
        raise CorpusError(f"no check {check!r}; there are {', '.join(CHECKS)}.")
    if check == "none":
        return []
    try:
        frames, sound = count_frames(clip.source, check == "full")
    except PictureError:
        return [Defect(clip.key, "still_picture", f"{clip.video}: {STILL_PICTURE}. List a video.")]
    except CorpusError as error:
        return [Defect(clip.key, "corrupt_video", f"{clip.video}: {error}")]
    late = late_end(clip.start, clip.end, frames / PART_RATE) if clip.is_part else None
    if late and frames < minimum_frames:
        return [Defect(clip.key, "late_times", f"{clip.video}: {late}")]
    if frames < minimum_frames:
        found = f"{clip.video}: {counted(frames, 'frame')}; {minimum_frames} are needed"
        return [Defect(clip.key, "corrupt_video" if not frames else "short_video", found)]
    if not sound and clip.audio is None:
        return [Defect(clip.key, "no_sound", f"{clip.video}: no sound track")]
    return [Defect(clip.key, "cut_times", f"{clip.video}: {late}")] if late else []


def check_word_times(clips: Sequence[Clip], checks: CheckOptions) -> list[Defect]:
    """Words that go on after the end of a clip's video, as far as the container says how long that is; for who does
    not read the videos anyway. Nothing is looked at where `checks` say so."""
    if checks.check == "none":
        return []
    with worker_processes(checks.num_workers if len(clips) >= POOL_CLIPS else 1, chunksize=20) as map_:
        return [defect for found in map_(_late_words, clips) for defect in found]


def _late_words(clip: Clip) -> list[Defect]:
    """As [`check_word_times`], of one clip."""
    words = clip.timed_words()
    if not words:
        return []
    try:
        with VideoReader(clip.source, PART_RATE) as reader:
            frames = reader.expected_frames
            frames = sum(1 for _ in reader) if frames is None else frames
    except ValueError as error:
        return [Defect(clip.key, "corrupt_video", f"{clip.video}: it cannot be opened: {error}")]
    late = late_words(words, frames, PART_RATE)
    return [] if late is None else [Defect(clip.key, "late_times", f"{clip.video}: {late}")]


def late_parts(clips: Sequence[Clip]) -> set[str]:
    """Keys of parts that [`check_video`] leaves out since their videos end before them, as far as containers say: each
    is opened once, and none is read."""
    lengths: dict[Path, float] = {}
    late = set()
    for clip in clips:
        if clip.is_part and isinstance(clip.video, Path):
            if clip.video not in lengths:
                lengths[clip.video] = _frames_of(clip.video)
            end = math.inf if clip.end is None else clip.end * PART_RATE
            there = max(min(lengths[clip.video], end) - clip.start * PART_RATE, 0.0)
            if there <= MINIMUM_FRAMES - 1 and late_end(clip.start, clip.end, there / PART_RATE):
                late.add(clip.key)
    return late


def _frames_of(video: Path) -> float:
    """How many a video has by its container, infinitely many if it does not say so; 0 of one that cannot be opened."""
    try:
        with VideoReader(video) as reader:
            return math.inf if reader.expected_frames is None else reader.expected_frames
    except ValueError:
        return 0


def check_clip(clip: Clip, check: str = "fast", minimum_frames: int = MINIMUM_FRAMES) -> list[Defect]:
    """What is wrong with a clip of a corpus that has no rules of its own; as [`check_video`], and its transcript."""
    if not clip.words and clip.text:
        return [Defect(clip.key, "no_words", f"{clip.video}: its transcript {shown(clip.text)} has no words")]
    if not clip.words:
        return [Defect(clip.key, "no_transcript", f"{clip.video}: no transcript")]
    return check_video(clip, check, minimum_frames)


def _check_with(
    look: Callable[[Clip, str, int], list[Defect]], check: str, minimum_frames: int, clip: Clip
) -> list[Defect]:
    return look(clip, check, minimum_frames)


def check_clips(
    clips: Iterable[Clip],
    options: CheckOptions = CheckOptions(),
    check: Callable[[Clip, str, int], list[Defect]] = check_clip,
    report: CorpusReport | None = None,
    minimum_frames: int = MINIMUM_FRAMES,
) -> tuple[list[Clip], CorpusReport]:
    """The usable ones of some clips, and a report on all.

    Args:
        clips (`Iterable[Clip]`): the clips.
        options ([`CheckOptions`], *optional*): how.
        check (`Callable`, *optional*): what looks at one clip; [`check_clip`] by default.
        report ([`CorpusReport`], *optional*): an empty report of the corpus's kind.
        minimum_frames (`int`, *optional*, defaults to 25): where the options name none.
    """
    clips, usable, report = list(clips), [], CorpusReport() if report is None else report
    report.check = options.check
    needed = minimum_frames if options.minimum_frames is None else options.minimum_frames
    job = functools.partial(_check_with, check, options.check, needed)
    workers = options.num_workers if len(clips) >= POOL_CLIPS else 1
    with worker_processes(workers, chunksize=20) as map_:
        found = progress_bar(map_(job, clips), "checking clips", len(clips), show=options.progress)
        for clip, defects in zip(clips, found, strict=True):
            report.checked += 1
            report.defects += defects
            if all(defect.used for defect in defects):
                usable.append(clip)
    return usable, report


__all__ = [
    "CHECKS",
    "EXPLAINED",
    "HARMLESS",
    "KINDS",
    "MINIMUM_FRAMES",
    "NO_CLIP",
    "OF_NO_SPLIT",
    "CheckOptions",
    "CorpusReport",
    "Defect",
    "check_clip",
    "check_clips",
    "check_video",
    "check_word_times",
    "count_frames",
]
