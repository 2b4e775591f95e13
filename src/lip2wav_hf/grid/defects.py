"""Clips of GRID that cannot be used as they are: found, counted and reported.

Some clips of the published corpus are damaged or short, and some of Zenodo's alignments hold other words than the file
names do. A [`GridReport`] says which.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from ..corpora import defects
from ..corpora.clips import Clip, CorpusError, Selection
from ..corpora.defects import CHECKS, HARMLESS, CheckOptions, CorpusReport, Defect, check_video, count_frames
from .corpus import NOT_A_SENTENCE, ContradictingAlignment, GridError, GridFolder, is_sentence
from .splits import ChosenSplits, chosen_scheme, missing_speakers, selected_splits


MINIMUM_FRAMES = 70  # of GRID's 75: some good clips have 74 or 71

KINDS = {
    "missing_video": "listed in the split, but there is no video file",
    "no_sentence": "listed in the split, but the name spells no GRID sentence",
    "corrupt_video": "the video cannot be decoded",
    "still_picture": defects.STILL_PICTURE,
    "short_video": "the video has too few frames",
    "no_sound": "the video has no sound track",
    "contradicting_alignment": "the alignment has other words than the file name",
    "corrupt_alignment": "the alignment cannot be read, or its times cannot be right",
    "late_times": "its last word ends after the end of the video",
    "unprepared": "no mouth crops or sound could be made of it",
    "no_alignment": "there is no alignment: the words have no times",
    "other_name": "the file name is not a GRID sentence",
}
"""What can be wrong, and what it means."""


@dataclass
class GridReport(CorpusReport):
    """What was looked at, and what is wrong with it; see [`CorpusReport`]."""

    kinds: ClassVar[dict[str, str]] = KINDS


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
    found = []
    try:
        if clip.timed_words() is None:
            found.append(Defect(clip.key, "no_alignment", "no .align file"))
    except ContradictingAlignment as error:
        found.append(Defect(clip.key, "contradicting_alignment", str(error)))
    except CorpusError as error:
        found.append(Defect(clip.key, "corrupt_alignment", str(error)))
    return found + check_video(clip, check, minimum_frames)


def check_clips(clips: Iterable[Clip], options: CheckOptions = CheckOptions()) -> tuple[list[Clip], CorpusReport]:
    """The usable ones of some clips, and a report on all.

    Args:
        clips (`Iterable[Clip]`): the clips.
        options ([`CheckOptions`], *optional*): how.
    """
    return defects.check_clips(clips, options, check_clip, GridReport(), MINIMUM_FRAMES)


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
    scheme = chosen_scheme(folder, selection.scheme, selection.splits_file)
    report = GridReport(missing_speakers=[] if selection.speakers else missing_speakers(folder, scheme))
    found: dict[str, list[Clip]] = {}
    absent: dict[str, Defect] = {}  # by key: a clip may be listed in two splits
    splits = selected_splits(folder, selection)
    if scheme != selection.scheme:
        report.notes.append(ChosenSplits(scheme, splits).describe())
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
        raise GridError(f"{folder.path}: no clip of {scheme!r} can be used. {_why_none(report)}")
    return found, report


def _why_none(report: GridReport) -> str:
    """Why no clip was found; a name that spells no sentence is a likelier cause than a file that is not there."""
    wrong = [defect for defect in report.defects if defect.kind == "no_sentence"]
    if not wrong:
        return f"None has a video. {report.sentence()}"
    return f"{wrong[0].clip}: {NOT_A_SENTENCE}. Only such clips are found. {report.sentence()}"


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
