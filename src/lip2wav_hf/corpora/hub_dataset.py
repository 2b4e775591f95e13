"""A dataset of the Hub, or of a folder, as a corpus."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import require_packages
from ..grammar import TextNormalizer
from .clips import Clip, CorpusError, holds_tables
from .columns import VideoFolderError
from .defects import Defect
from .tables import clips_of_table, columns_of, load_tables
from .video_folder import VideoFolder


class HubDataset(VideoFolder):
    """
    The reader of a dataset with a column of videos, whose other columns are those of a [`VideoFolder`].

    All of it is downloaded, into the cache of `datasets`. Its splits are those of the dataset; of one that has only
    `train`, they are made.

    Args:
        folder (`str` or `os.PathLike`): name on the Hub, such as `"me/voices"`, or a folder of parquet files,
            of the shards of a WebDataset, or of `save_to_disk`.
        normalizer, seed: as of [`VideoFolder`].
        options (`dict`, *optional*): further arguments of `datasets.load_dataset`, such as `revision`.
    """

    name = "dataset"

    def __init__(
        self,
        folder: str | os.PathLike,
        normalizer: TextNormalizer | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, normalizer, seed)
        self.options = options or {}

    @classmethod
    def objection(cls, folder: Path) -> str | None:
        """Why an existing folder is no dataset, one sentence; `None` if it is."""
        return None if holds_tables(folder) else "there are no tables in it: parquet, WebDataset or a saved dataset."

    @property
    def clips(self) -> list[Clip]:
        """All clips, read once; rows that hold none go to `defects`.

        Raises:
            CorpusError: if there is no such dataset, or it has no column of videos.
            MissingExtraError: if the library `datasets` is not installed.
        """
        if self._clips is None:
            found: dict[str, Clip] = {}
            tables, name = self._tables(), self.path.as_posix()
            for split, table in tables.items():
                unusable, wrong_times = list[CorpusError](), dict[str, str]()
                self._columns["the dataset"] = columns_of(table, name)  # the same in every split
                for clip in clips_of_table(table, name, split, None, unusable, self.normalizer, wrong_times):
                    fault = wrong_times.get(clip.key)
                    clip = replace(clip, split=None) if list(tables) == ["train"] else clip
                    clip = replace(clip, name=f"{clip.name}-{split}") if clip.key in found else clip
                    found[clip.key] = clip
                    self.defects += [] if fault is None else [Defect(clip.key, "wrong_times", fault)]
                self.defects += map(_unusable, unusable)
            self._clips = list(found.values())
        return self._clips

    def _tables(self) -> dict[str, Any]:
        require_packages("train", "a dataset of the Hub", "datasets")
        import datasets  # noqa: PLC0415  of an extra

        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        return load_tables(self.path.as_posix(), None, False, self.options)


def _unusable(error: CorpusError) -> Defect:
    """Of a row that holds no clip."""
    kind = "corrupt_row" if isinstance(error, VideoFolderError) else "missing_video"
    return Defect(str(error).partition(": ")[0], kind, str(error))


__all__ = ["HubDataset"]
