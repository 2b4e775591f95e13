"""GRID as a corpus: what training, evaluation and the commands read it by."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..corpora.clips import Clip, Selection, Splits, ZippedFile
from ..corpora.defects import CheckOptions, CorpusReport
from ..grammar import TextNormalizer
from .corpus import GridError, GridFolder
from .defects import MINIMUM_FRAMES, check_clips, find_clips
from .splits import ChosenSplits, chosen_scheme, missing_speakers, read_splits, selected_splits, splits_path


class GridCorpus:
    """GRID in a folder, as training and evaluation read any corpus.

    Args:
        folder (`str` or `os.PathLike`): in any of GRID's layouts, unpacked or in Zenodo's archives.
        normalizer ([`TextNormalizer`], *optional*): as for any corpus; GRID's words are given, so it changes nothing.

    Raises:
        GridError: if there is no such folder.
    """

    name = "grid"
    languages = ("en",)
    minimum_frames = MINIMUM_FRAMES

    def __init__(self, folder: str | os.PathLike, normalizer: TextNormalizer | None = None) -> None:
        self.folder = GridFolder(folder)
        self.path = self.folder.path

    @classmethod
    def objection(cls, folder: Path) -> str | None:
        """Why an existing folder is not one of GRID, as a sentence; `None` if it is."""
        return GridFolder(folder).objection()

    def read_splits(self, selection: Selection = Selection()) -> Splits:
        """Names of the clips of each split, as [`selected_splits`]."""
        return selected_splits(self.folder, selection)

    def scheme(self, selection: Selection = Selection()) -> str:
        """The split scheme that is read: where the folder has no `splits.json`, the one that was chosen for it."""
        return chosen_scheme(self.folder, selection.scheme, selection.splits_file)

    def made_splits(self, selection: Selection = Selection()) -> ChosenSplits | None:
        """The splits of a published scheme, where nobody named one and the folder has no `splits.json`."""
        scheme = self.scheme(selection)
        if scheme == selection.scheme:
            return None
        return ChosenSplits(scheme, {split: own for split, own in read_splits(self.folder, scheme).items() if own})

    def remarks(self, split: str, selection: Selection = Selection()) -> list[str]:
        """What is to be known of a split that is smaller than the published one, a sentence each."""
        scheme = self.scheme(selection)
        absent = [] if selection.speakers else missing_speakers(self.folder, scheme, split)
        if not absent:
            return []
        return [
            f"The split {split} of {scheme} is smaller than published: there are no videos of {', '.join(absent)}."
        ]

    def find_clips(self, selection: Selection = Selection()) -> tuple[dict[str, list[Clip]], CorpusReport]:
        """Clips of every split, and a report on what is listed but absent, as [`find_clips`]."""
        return find_clips(self.folder, selection)

    def check_clips(
        self, clips: Iterable[Clip], options: CheckOptions = CheckOptions()
    ) -> tuple[list[Clip], CorpusReport]:
        """The usable ones of some clips, and a report on all, as [`check_clips`]."""
        return check_clips(clips, options)

    def load_split(self, split: str, selection: Selection = Selection(), zipped: bool = False) -> list[Clip]:
        """Clips of one split, by speaker, in the order of the file or of the names.

        Args:
            split (`str`): such as `"train"`.
            selection ([`Selection`], *optional*): the split scheme, its file, the speakers.
            zipped (`bool`, *optional*, defaults to `False`): whether the caller can read videos inside archives.

        Raises:
            GridError: if the split, a speaker or a clip is missing, or a video lies in an archive and `zipped` is not
                set.
        """
        folder, scheme = self.folder, self.scheme(selection)
        splits = selected_splits(folder, replace(selection, speakers=None))
        where = splits_path(folder, selection.splits_file) if scheme == "custom" else scheme
        if split not in splits:
            raise GridError(f"{where}: no split {split!r}; it has {', '.join(splits)}.")
        chosen = splits[split]
        unknown = sorted(set(selection.speakers or ()) - set(chosen))
        if unknown:
            raise GridError(
                f"{where}: split {split!r} has no speaker {', '.join(unknown)}; it has {', '.join(chosen)}."
            )
        clips = [
            replace(folder.clip(speaker, name), split=split)
            for speaker, names in chosen.items()
            if not selection.speakers or speaker in selection.speakers
            for name in names
        ]
        if not zipped:
            _refuse_archives(folder, clips)
        absent = missing_speakers(folder, scheme, split)
        if not clips and absent:
            raise GridError(
                f"{folder.path}: no videos of a speaker of split {split!r} of {scheme!r}. Download them: lip2wav"
                f" download grid {folder.root} --speakers {' '.join(absent)}"
            )
        return clips


def _refuse_archives(folder: GridFolder, clips: Iterable[Clip]) -> None:
    packed = next((clip.video for clip in clips if isinstance(clip.video, ZippedFile)), None)
    if packed is not None:
        raise GridError(
            f"{packed.archive}: the videos are still packed, and this needs files. Unpack them:"
            f" unzip {packed.archive} -d {folder.root}"
        )


__all__ = ["GridCorpus"]
