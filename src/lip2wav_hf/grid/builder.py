"""GRID as a `datasets` builder. Needs the library `datasets` (the extra `train`)."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets.builder import Key

from ..corpora.clips import Clip, ClipVideo, Selection, StoredVideo, ZippedFile
from .corpus import GridError, GridFolder
from .defects import CHECKS, MINIMUM_FRAMES, GridReport, check_clip, find_clips
from .splits import SPLIT_SCHEMES, scheme_speakers


logger = logging.getLogger(__name__)

CLIPS_PER_SHARD = 50
REPORT_FILE = "defects.json"

CITATION = """@article{cooke2006grid,
  title = {An audio-visual corpus for speech perception and automatic speech recognition},
  author = {Cooke, Martin and Barker, Jon and Cunningham, Stuart and Shao, Xu},
  journal = {The Journal of the Acoustical Society of America},
  volume = {120}, number = {5}, pages = {2421--2424}, year = {2006}
}"""

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "speaker": datasets.Value("string"),
        "name": datasets.Value("string"),
        "sentence": datasets.Value("string"),
        "words": datasets.List(
            {
                "word": datasets.Value("string"),
                "start": datasets.Value("float64"),
                "end": datasets.Value("float64"),
            }
        ),
        # Decoded with PyAV (`lip2wav_hf.VideoReader`): torchcodec cannot read GRID's MPEG-1.
        "video": datasets.Video(decode=False),
        # Not an Audio feature: that one demands torchcodec even where nothing is decoded.
        "audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
        "split": datasets.Value("string"),
        "aligned": datasets.Value("bool"),
    }
)


@dataclass
class GridConfig(datasets.BuilderConfig):
    """
    What to read of GRID.

    Args:
        split_scheme (`str`, *optional*, defaults to `"seen4"`): one of `lip2wav_hf.grid.splits.SPLIT_SCHEMES`.
        splits_file (`str`, *optional*): of the scheme `"custom"`; `data_dir/splits.json` by default.
        speakers (`list[str]`, *optional*): only these.
        check (`str`, *optional*, defaults to `"fast"`): how thoroughly each video is looked at: `"none"`, `"fast"`
            (open it, count the pictures in the container) or `"full"` (decode it).
        minimum_frames (`int`, *optional*, defaults to 70): of a usable clip.
    """

    split_scheme: str = "seen4"
    splits_file: str | None = None
    speakers: list[str] | None = None
    check: str = "fast"
    minimum_frames: int = MINIMUM_FRAMES

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: datasets.Features | None = None) -> str:
        """As in the base class, but new whenever a file of the corpus has changed: a cache is never stale."""
        if self.data_dir is not None:
            speakers = self.speakers or scheme_speakers(self.split_scheme)
            config_kwargs = config_kwargs | {"fingerprint": GridFolder(self.data_dir).fingerprint(speakers)}
            splits_file = Path(self.splits_file or Path(self.data_dir, "splits.json"))
            if self.split_scheme == "custom" and splits_file.is_file():
                config_kwargs["splits"] = splits_file.read_text(encoding="utf-8")
        return super().create_config_id(config_kwargs, custom_features)


class Grid(datasets.GeneratorBasedBuilder):
    """
    The GRID corpus from a folder on disk, in any of its layouts (see `lip2wav_hf.grid.corpus`).

    Columns: `id` ("s1/bbaf2n"), `speaker`, `name`, `sentence`, `words` (each with `start` and `end` in seconds, null
    for a clip without alignment), `video` (`{"path", "bytes"}`, not decoded: bytes where it lies in a zip archive),
    `audio` (the same for a sound file apart from the video, nulls without one), `split`, `aligned`.

    Clips that are damaged or short, or whose alignment contradicts the file name, are left out, counted and reported:
    see [`~Grid.report`].

    Example:

    ```python
    from lip2wav_hf.grid.builder import Grid

    builder = Grid(data_dir="data/grid", split_scheme="seen4")
    builder.download_and_prepare()
    print(builder.report.summary())
    clips = builder.as_dataset(split="train")
    ```

    Args:
        data_dir (`str`): the folder.
        split_scheme, splits_file, speakers, check, minimum_frames: see [`GridConfig`].
        kwargs: as of any `datasets` builder, such as `cache_dir`.
    """

    BUILDER_CONFIG_CLASS = GridConfig
    config: GridConfig
    VERSION = datasets.Version("1.0.0")

    def __init__(self, *args: Any, dataset_name: str | None = "grid", **kwargs: Any) -> None:
        self._report: GridReport | None = None
        if kwargs.get("data_dir") is None:
            raise GridError("data_dir is needed: the folder with GRID's videos, e.g. from `lip2wav download`.")
        kwargs["data_dir"] = os.fspath(kwargs["data_dir"])
        if kwargs.get("splits_file") is not None:
            kwargs["splits_file"] = os.fspath(kwargs["splits_file"])
        if kwargs.get("speakers") is not None:
            kwargs["speakers"] = [kwargs["speakers"]] if isinstance(kwargs["speakers"], str) else [*kwargs["speakers"]]
        for option, choices in (("check", CHECKS), ("split_scheme", SPLIT_SCHEMES)):
            if kwargs.get(option, choices[0]) not in choices:
                raise GridError(f"{option} {kwargs[option]!r}: there are {', '.join(choices)}.")
        super().__init__(*args, dataset_name=dataset_name, **kwargs)

    @property
    def report(self) -> GridReport | None:
        """What was left out and why: of all clips once prepared; of those read so far when streaming."""
        path = Path(getattr(self, "_output_dir", None) or self.cache_dir, REPORT_FILE)
        if path.is_file():
            return GridReport.load(path)
        return self._report

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="The GRID audiovisual sentence corpus: 34 speakers, 1000 sentences of six words each.",
            features=FEATURES,
            homepage="https://zenodo.org/records/3625687",
            citation=CITATION,
            license="CC BY 4.0",
        )

    def _split_generators(
        self, dl_manager: datasets.DownloadManager | datasets.StreamingDownloadManager
    ) -> list[datasets.SplitGenerator]:
        config = self.config
        selection = Selection(config.split_scheme, config.splits_file, tuple(config.speakers or ()) or None)
        found, report = find_clips(str(config.data_dir), selection)
        report.check = config.check
        self._report = report
        if report.missing_speakers:
            logger.warning(
                "%s: no videos of %s: the splits of %r are smaller than published.",
                config.data_dir,
                ", ".join(report.missing_speakers),
                config.split_scheme,
            )
        for defect in report.defects:
            logger.warning("%s: %s", defect.clip, defect.detail)
        generators = []
        for split, clips in found.items():
            shards = [clips[start : start + CLIPS_PER_SHARD] for start in range(0, len(clips), CLIPS_PER_SHARD)]
            if shards:
                kwargs = {"shards": shards, "split": split}
                generators.append(datasets.SplitGenerator(name=split, gen_kwargs=kwargs))
        return generators

    def _generate_examples(  # its keywords are those of gen_kwargs
        self, shards: list[list[Clip]], split: str
    ) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Examples of the usable clips, checked one after the other; what is wrong with the others is kept."""
        for number, clips in enumerate(shards):
            report = GridReport()
            for index, clip in enumerate(clips):
                defects = check_clip(clip, self.config.check, self.config.minimum_frames)
                report.checked += 1
                report.defects += defects
                for defect in defects:
                    logger.log(logging.INFO if defect.used else logging.WARNING, "%s: %s", clip.key, defect.detail)
                if all(defect.used for defect in defects):
                    yield Key(number, index), example_of(clip, split)
            self._keep(report)

    def _keep(self, report: GridReport) -> None:
        """Add a shard's report: through a file where another process may prepare the next shard."""
        folder = getattr(self, "_output_dir", None)
        if folder is not None and str(folder).endswith(".incomplete"):
            report.save(Path(folder, f"defects-{uuid.uuid4().hex}.part"))
        elif self._report is not None:
            self._report.merge(report)

    def _download_and_prepare(
        self, dl_manager: datasets.DownloadManager, verification_mode: Any, **prepare_split_kwargs: Any
    ) -> None:
        super()._download_and_prepare(dl_manager, verification_mode, **prepare_split_kwargs)
        report = self._report or GridReport()
        for part in sorted(Path(self._output_dir).glob("defects-*.part")):
            report.merge(GridReport.load(part))
            part.unlink()
        report.defects.sort(key=lambda defect: defect.clip)
        report.save(Path(self._output_dir, REPORT_FILE))


def example_of(clip: Clip, split: str) -> dict[str, Any]:
    """A clip as a row of the dataset."""
    timed, words = clip.timed_words(), clip.words or ()
    return {
        "id": clip.key,
        "speaker": clip.speaker,
        "name": clip.name,
        "sentence": " ".join(words),
        "words": [
            {"word": word, "start": start, "end": end}
            for start, end, word in timed or [(None, None, word) for word in words]
        ],
        "video": _file_of(clip.video),
        "audio": _file_of(clip.audio) or {"bytes": None, "path": None},
        "split": split,
        "aligned": timed is not None,
    }


def _file_of(file: ClipVideo | None) -> dict[str, Any] | None:
    """A file as the library keeps media: its path, or its contents where it lies in an archive."""
    if isinstance(file, (ZippedFile, StoredVideo)):  # not by `Path`, which `datasets` replaces in this module
        return {"bytes": file.read_bytes(), "path": file.name}
    return None if file is None else {"bytes": None, "path": str(file)}


__all__ = ["FEATURES", "Grid", "GridConfig"]
