"""Clips of GRID that cannot be used as they are: found, counted and reported.

Some clips of the published corpus are damaged or short, and some of Zenodo's alignments tell other words than the file
names do. A [`GridReport`] says which.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import av
from tqdm.auto import tqdm

from .corpus import GridClip, GridError, GridFolder, missing_speakers, read_splits


MINIMUM_FRAMES = 70  # of GRID's 75: some good clips have 74 or 71
CHECKS = ("none", "fast", "full")

KINDS = {
    "missing_video": "listed in the split, but there is no video file",
    "corrupt_video": "the video cannot be decoded",
    "short_video": "the video has too few frames",
    "no_sound": "the video has no sound track",
    "contradicting_alignment": "the alignment tells other words than the file name",
    "corrupt_alignment": "the alignment cannot be read",
    "unprepared": "no mouth crops or sound could be made of it",
    "no_alignment": "there is no alignment: the words have no times",
    "other_name": "the file name is no GRID sentence",
}
"""What can be wrong, and what it means."""

HARMLESS = ("no_alignment",)
"""Defects with which a clip is used all the same."""


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
        """Whether the clip is used all the same."""
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

    def merge(self, other: GridReport):
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

    def save(self, path: str | os.PathLike):
        """Write the report as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        contents = {"usable": self.usable, "left_out": self.left_out, "counts": self.counts()} | asdict(self)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> GridReport:
        """Read a report that [`~GridReport.save`] wrote."""
        contents = json.loads(Path(path).read_text(encoding="utf-8"))
        defects = [Defect(**defect) for defect in contents["defects"]]
        return cls(contents["checked"], defects, contents["missing_speakers"], contents["check"])


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
        with av.open(io.BytesIO(video) if isinstance(video, bytes) else video) as container:
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


def check_clip(clip: GridClip, check: str = "fast", minimum_frames: int = MINIMUM_FRAMES) -> list[Defect]:
    """What is wrong with a clip.

    Args:
        clip ([`GridClip`]): the clip.
        check (`str`, *optional*, defaults to `"fast"`): `"none"` reads the alignment only; `"fast"` also opens the
            video and counts the pictures in the container; `"full"` decodes pictures and sound.
        minimum_frames (`int`, *optional*, defaults to 70): pictures that a clip must have; GRID's have 75.
    """
    if check not in CHECKS:
        raise GridError(f"no check {check!r}; there are {', '.join(CHECKS)}.")
    defects = []
    try:
        if clip.timed_words() is None:
            defects.append(Defect(clip.key, "no_alignment", "no .align file"))
    except GridError as error:
        contradicts = "the name says" in str(error)
        defects.append(Defect(clip.key, "contradicting_alignment" if contradicts else "corrupt_alignment", str(error)))
    if check != "none":
        try:
            frames, sound = count_frames(clip.source, decode=check == "full")
        except GridError as error:
            return [*defects, Defect(clip.key, "corrupt_video", f"{clip.video}: {error}")]
        if frames < minimum_frames:
            found = f"{clip.video}: {frames} frames; {minimum_frames} are needed"
            defects.append(Defect(clip.key, "corrupt_video" if not frames else "short_video", found))
        elif not sound and clip.audio is None:
            defects.append(Defect(clip.key, "no_sound", f"{clip.video}: no sound track"))
    return defects


def check_clips(
    clips: Iterable[GridClip],
    check: str = "fast",
    minimum_frames: int = MINIMUM_FRAMES,
    num_workers: int = 1,
    progress: bool = False,
) -> tuple[list[GridClip], GridReport]:
    """The usable ones of some clips, and a report on all.

    Args:
        clips (`Iterable[GridClip]`), check (`str`), minimum_frames (`int`): as for [`check_clip`].
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show a progress bar.
    """
    clips, usable, report = list(clips), [], GridReport(check=check)
    job = partial(check_clip, check=check, minimum_frames=minimum_frames)
    for clip, defects in zip(clips, _map(job, clips, num_workers, progress)):
        report.checked += 1
        report.defects += defects
        if all(defect.used for defect in defects):
            usable.append(clip)
    return usable, report


def _map(job, clips: list[GridClip], num_workers: int, progress: bool) -> Iterator:
    """Results of a job for each clip, in order."""
    bar = partial(tqdm, desc="checking clips", total=len(clips), unit="clip", disable=not progress or None)
    if num_workers <= 1 or len(clips) < 200:
        yield from bar(map(job, clips))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, initializer=ignore_interrupts) as pool:
        try:
            yield from bar(pool.map(job, clips, chunksize=20))
        finally:
            pool.shutdown(cancel_futures=True)


def ignore_interrupts():
    """For worker processes: Ctrl-C is for the main process, which ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def find_clips(
    data_dir: str | os.PathLike | GridFolder,
    split_scheme: str = "custom",
    splits_file: str | os.PathLike | None = None,
    speakers: list[str] | tuple[str, ...] | None = None,
) -> tuple[dict[str, list[GridClip]], GridReport]:
    """Clips of every split, and a report on what is listed but absent. The clips themselves are not checked yet.

    Args:
        data_dir, split_scheme, splits_file, speakers: as for [`read_splits`].

    Raises:
        GridError: as [`read_splits`], and if no split has a clip.
    """
    folder = data_dir if isinstance(data_dir, GridFolder) else GridFolder(data_dir)
    report = GridReport(missing_speakers=[] if speakers else missing_speakers(folder, split_scheme))
    found: dict[str, list[GridClip]] = {}
    for split, chosen in read_splits(folder, split_scheme, splits_file, speakers).items():
        clips = found[split] = []
        for speaker, names in chosen.items():
            for name in names:
                try:
                    clips.append(folder.clip(speaker, name))
                except GridError as error:
                    report.checked += 1
                    report.defects.append(Defect(f"{speaker}/{name}", "missing_video", str(error)))
    report.defects += [Defect(str(file), "other_name", KINDS["other_name"]) for file in folder.strays]
    if not any(found.values()):
        raise GridError(f"{folder.path}: none of the clips of {split_scheme!r} has a video. {report.summary()}")
    return found, report
