"""Clips of GRID that cannot be used as they are: found, counted and reported.

Some clips of the published corpus are damaged or short, and some of Zenodo's alignments hold other words than the file
names do. A [`GridReport`] says which.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import av
from tqdm.auto import tqdm

from ..corpora.clips import Clip, CorpusError, Selection
from ..files import read_json, write_json
from ..machine import worker_processes
from .corpus import NOT_A_SENTENCE, ContradictingAlignment, GridError, GridFolder, is_sentence
from .splits import missing_speakers, read_splits


MINIMUM_FRAMES = 70  # of GRID's 75: some good clips have 74 or 71
CHECKS = ("none", "fast", "full")
POOL_CLIPS = 200  # from this many clips on, it pays to start processes for the checks

KINDS = {
    "missing_video": "listed in the split, but there is no video file",
    "no_sentence": "listed in the split, but the name spells no GRID sentence",
    "corrupt_video": "the video cannot be decoded",
    "short_video": "the video has too few frames",
    "no_sound": "the video has no sound track",
    "contradicting_alignment": "the alignment has other words than the file name",
    "corrupt_alignment": "the alignment cannot be read",
    "unprepared": "no mouth crops or sound could be made of it",
    "no_alignment": "there is no alignment: the words have no times",
    "other_name": "the file name is no GRID sentence",
}
"""What can be wrong, and what it means."""

HARMLESS = ("no_alignment",)
"""Defects with which a clip is still used."""


@dataclass(frozen=True)
class Defect:
    """What is wrong with one clip.

    Attributes:
        clip (`str`): `speaker/name`, or the file where it is no clip.
        kind (`str`): a key of `KINDS`.
        detail (`str`): what was found.
    """

    clip: str
    kind: str
    detail: str

    @property
    def used(self) -> bool:
        """Whether the clip is still used."""
        return self.kind in HARMLESS


@dataclass
class GridReport:
    """What was looked at, and what is wrong with it.

    Attributes:
        checked (`int`): clips looked at.
        defects (`list[Defect]`): in the order of finding.
        missing_speakers (`list[str]`): speakers of the split scheme without any video.
        check (`str`): how thoroughly: one of `CHECKS`.
    """

    checked: int = 0
    defects: list[Defect] = field(default_factory=list)
    missing_speakers: list[str] = field(default_factory=list)
    check: str = "fast"

    @property
    def left_out(self) -> int:
        """Clips that are not used."""
        return len({defect.clip for defect in self.defects if not defect.used and defect.kind != "other_name"})

    @property
    def usable(self) -> int:
        """Clips that are used."""
        return self.checked - self.left_out

    def counts(self) -> dict[str, int]:
        """How many clips have each kind of defect, in the order of `KINDS`."""
        counter = Counter(defect.kind for defect in self.defects)
        return {kind: counter[kind] for kind in KINDS if counter[kind]}

    def merge(self, other: GridReport) -> None:
        """Add what another report found."""
        self.checked += other.checked
        self.defects += other.defects

    def summary(self, examples: int = 3) -> str:
        """A few readable lines; `examples` clips of each kind are named."""
        lines = [f"{self.checked} clips: {self.usable} usable, {self.left_out} left out."]
        for kind, count in self.counts().items():
            found = [defect for defect in self.defects if defect.kind == kind]
            names = ", ".join(defect.clip for defect in found[:examples])
            more = f" and {count - examples} more" if count > examples else ""
            verdict = "used" if kind in HARMLESS else "left out"
            lines.append(f"  {count} {kind} ({verdict}): {KINDS[kind]}: {names}{more}")
        if self.missing_speakers:
            lines.append(f"  no videos of {', '.join(self.missing_speakers)}: the splits are smaller than published.")
        return "\n".join(lines)

    def save(self, path: str | os.PathLike) -> None:
        """Write the report as JSON."""
        write_json(
            path, {"usable": self.usable, "left_out": self.left_out, "counts": self.counts()} | asdict(self), indent=1
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> GridReport:
        """Read a report that [`~GridReport.save`] wrote.

        Raises:
            GridError: if the file cannot be read.
        """
        contents = read_json(path, GridError)
        defects = [Defect(**defect) for defect in contents["defects"]]
        return cls(contents["checked"], defects, contents["missing_speakers"], contents["check"])


@dataclass(frozen=True)
class CheckOptions:
    """How clips are checked.

    Attributes:
        check (`str`, *optional*, defaults to `"fast"`): `"none"` reads the alignment only; `"fast"` also opens the
            video and counts the pictures in the container; `"full"` decodes pictures and sound.
        minimum_frames (`int`, *optional*, defaults to 70): pictures that a clip must have; GRID's have 75.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show a progress bar.
    """

    check: str = "fast"
    minimum_frames: int = MINIMUM_FRAMES
    num_workers: int = 1
    progress: bool = False


def count_frames(video: str | bytes, decode: bool = False) -> tuple[int, bool]:
    """Pictures of a video, and whether it has a sound track.

    Args:
        video (`str` or `bytes`): a file's path or contents.
        decode (`bool`, *optional*, defaults to `False`): decode every picture and sound, instead of counting the
            pictures in the container, which finds what is cut off but not what is scrambled.

    Raises:
        GridError: if it cannot be opened, has no video track, or (with `decode`) a picture or sound is damaged.
    """
    try:
        with av.open(io.BytesIO(video) if isinstance(video, bytes) else video, "r") as container:
            if not container.streams.video:
                raise GridError("it has no video track.")
            pictures, sound = container.streams.video[0], container.streams.audio[:1]
            frames = 0
            for packet in container.demux(pictures, *(sound if decode else ())):
                if not decode:
                    frames += packet.size > 0
                    continue
                for frame in packet.decode():
                    frames += packet.stream is pictures
                    if packet.stream is pictures and getattr(frame, "is_corrupt", False):
                        raise GridError(f"picture {frames} is damaged.")
            return frames, bool(sound)
    except (av.FFmpegError, OSError) as error:
        raise GridError(f"it cannot be {'decoded' if decode else 'opened'}: {error}.") from None


def check_clip(clip: Clip, check: str = "fast", minimum_frames: int = MINIMUM_FRAMES) -> list[Defect]:
    """Find what is wrong with a clip.

    Args:
        clip ([`Clip`]): the clip.
        check (`str`), minimum_frames (`int`): see [`CheckOptions`].

    Raises:
        GridError: if there is no such check.
    """
    if check not in CHECKS:
        raise GridError(f"no check {check!r}; there are {', '.join(CHECKS)}.")
    defects = []
    try:
        if clip.timed_words() is None:
            defects.append(Defect(clip.key, "no_alignment", "no .align file"))
    except ContradictingAlignment as error:
        defects.append(Defect(clip.key, "contradicting_alignment", str(error)))
    except CorpusError as error:
        defects.append(Defect(clip.key, "corrupt_alignment", str(error)))
    return defects if check == "none" else defects + _check_video(clip, check == "full", minimum_frames)


def _check_video(clip: Clip, decode: bool, minimum_frames: int) -> list[Defect]:
    try:
        frames, sound = count_frames(clip.source, decode)
    except CorpusError as error:
        return [Defect(clip.key, "corrupt_video", f"{clip.video}: {error}")]
    if frames < minimum_frames:
        found = f"{clip.video}: {frames} frames; {minimum_frames} are needed"
        return [Defect(clip.key, "corrupt_video" if not frames else "short_video", found)]
    if not sound and clip.audio is None:
        return [Defect(clip.key, "no_sound", f"{clip.video}: no sound track")]
    return []


def check_clips(clips: Iterable[Clip], options: CheckOptions = CheckOptions()) -> tuple[list[Clip], GridReport]:
    """Check clips; return the usable ones and a report on all.

    Args:
        clips (`Iterable[Clip]`): the clips.
        options ([`CheckOptions`], *optional*): how.
    """
    clips, usable, report = list(clips), [], GridReport(check=options.check)
    job = partial(check_clip, check=options.check, minimum_frames=options.minimum_frames)
    workers = options.num_workers if len(clips) >= POOL_CLIPS else 1
    bar = partial(tqdm, desc="checking clips", total=len(clips), unit="clip", disable=not options.progress or None)
    with worker_processes(workers, chunksize=20) as map_:
        for clip, defects in zip(clips, bar(map_(job, clips)), strict=True):
            report.checked += 1
            report.defects += defects
            if all(defect.used for defect in defects):
                usable.append(clip)
    return usable, report


def find_clips(
    data_dir: str | os.PathLike | GridFolder, selection: Selection = Selection()
) -> tuple[dict[str, list[Clip]], GridReport]:
    """Clips of every split, and a report on what is listed but absent. The clips themselves are not checked yet.

    Args:
        data_dir (`str`, `os.PathLike` or [`GridFolder`]): the corpus.
        selection ([`Selection`], *optional*): the split scheme, its file, the speakers.

    Raises:
        GridError: as [`read_splits`], and if no split has a clip.
    """
    folder = data_dir if isinstance(data_dir, GridFolder) else GridFolder(data_dir)
    report = GridReport(missing_speakers=[] if selection.speakers else missing_speakers(folder, selection.scheme))
    found: dict[str, list[Clip]] = {}
    absent: dict[str, Defect] = {}  # by key: a clip may be listed in two splits
    splits = read_splits(folder, selection.scheme, selection.splits_file, selection.speakers)
    for split, chosen in splits.items():
        clips = found[split] = []
        for speaker, names in chosen.items():
            folder.videos(speaker)  # lists the strays, even of a speaker who has nothing else
            for name in names:
                try:
                    clips.append(replace(folder.clip(speaker, name), split=split))
                except GridError as error:
                    kind = "missing_video" if is_sentence(name) else "no_sentence"
                    absent[f"{speaker}/{name}"] = Defect(f"{speaker}/{name}", kind, str(error))
    report.checked += len(absent)
    report.defects += absent.values()
    listed = {name for chosen in splits.values() for names in chosen.values() for name in names}
    strays = [file for file in folder.strays if file.name[: -len(file.suffix)] not in listed]
    report.defects += [Defect(str(file), "other_name", KINDS["other_name"]) for file in strays]
    if not any(found.values()):
        raise GridError(f"{folder.path}: no clip of {selection.scheme!r} can be used. {_why_none(report)}")
    return found, report


def _why_none(report: GridReport) -> str:
    """Why no clip was found; a name that spells no sentence is a likelier cause than a file that is not there."""
    wrong = [defect for defect in report.defects if defect.kind == "no_sentence"]
    if not wrong:
        return f"None has a video. {report.summary()}"
    return f"{wrong[0].clip}: {NOT_A_SENTENCE}. Only such clips are found. {report.summary()}"


__all__ = [
    "CHECKS",
    "HARMLESS",
    "KINDS",
    "MINIMUM_FRAMES",
    "CheckOptions",
    "Defect",
    "GridReport",
    "check_clip",
    "check_clips",
    "count_frames",
    "find_clips",
]
