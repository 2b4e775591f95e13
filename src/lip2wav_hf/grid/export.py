"""GRID as a dataset for the Hugging Face Hub: a VideoFolder, or WebDataset shards."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from tqdm.auto import tqdm

from ..audio import mux_audio, read_audio
from .corpus import GridClip, GridError, ZippedFile, shuffled
from .defects import MINIMUM_FRAMES, GridReport, check_clips, find_clips, ignore_interrupts


FORMATS = ("videofolder", "webdataset")
SETTINGS_FILE = "export.json"

# What `datasets` takes for a video. It knows GRID's own `.mpg` under its other name only.
SUFFIXES = {suffix: suffix for suffix in (".mkv", ".mp4", ".avi", ".mov")} | {".mpg": ".mpeg"}
# Of the words of a clip without alignment. Not null: readers infer a column's type from a few clips.
UNKNOWN_TIME = -1.0
MP4_SAMPLING_RATE = 44_100  # Hz, that of GRID's own videos


class ExportError(GridError):
    """A corpus that cannot be exported as asked."""


@dataclass(frozen=True)
class ExportedClip:
    """A clip and what is written of it.

    Attributes:
        clip (`GridClip`): the source.
        split (`str`): its split.
        suffix (`str`): of the video that is written.
        convert (`bool`): whether it is converted to MP4 (H.264 and AAC).
    """

    clip: GridClip
    split: str
    suffix: str
    convert: bool

    @property
    def file_name(self) -> str:
        """Below the split's folder."""
        return f"{self.clip.speaker}/{self.clip.name}{self.suffix}"

    def metadata(self) -> dict:
        """What is known of the clip besides the video."""
        timed = self.clip.timed_words()
        words = timed or [(UNKNOWN_TIME, UNKNOWN_TIME, word) for word in self.clip.words]
        return {
            "id": self.clip.key,
            "speaker": self.clip.speaker,
            "name": self.clip.name,
            "sentence": " ".join(self.clip.words),
            "words": [{"word": word, "start": start, "end": end} for start, end, word in words],
            "aligned": timed is not None,
        }

    def video_bytes(self) -> bytes:
        """Contents of the video file."""
        if not self.convert:
            return self.clip.video.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{self.clip.name}.mp4")
            _convert(self.clip, path)
            return path.read_bytes()


def _convert(clip: GridClip, path: Path):
    """Write a clip as MP4, which browsers and torchcodec play: they do not play GRID's MPEG-1."""
    source = clip.source
    waveform = read_audio(source, MP4_SAMPLING_RATE)
    if waveform is None:
        raise ExportError(f"{clip.video}: it has no sound.")
    mux_audio(source, waveform, MP4_SAMPLING_RATE, path)


def export_grid(
    data_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    format: str = "videofolder",
    split_scheme: str = "custom",
    splits_file: str | os.PathLike | None = None,
    speakers: list[str] | None = None,
    check: str = "fast",
    minimum_frames: int = MINIMUM_FRAMES,
    mp4: bool = False,
    clips_per_shard: int = 500,
    num_workers: int = 1,
    progress: bool = True,
) -> GridReport:
    """
    Write the usable clips of a corpus as a dataset that `datasets.load_dataset` reads and the Hub shows.

    Beside the videos come a dataset card, `splits.json` (which repeats the split elsewhere, as the scheme `"custom"`)
    and `defects.json` (what was left out). An export that was stopped goes on where it was.

    Args:
        data_dir, split_scheme, splits_file, speakers: as for `lip2wav_hf.grid.corpus.read_splits`.
        output_dir (`str` or `os.PathLike`): a new or empty folder, or one of the same export that was stopped.
        format (`str`, *optional*, defaults to `"videofolder"`): that, `SPLIT/SPEAKER/NAME.mkv` and
            `SPLIT/metadata.jsonl`; or `"webdataset"`: `data/SPLIT-00000-of-00002.tar`, shuffled.
        check (`str`), minimum_frames (`int`): as for `lip2wav_hf.grid.defects.check_clip`.
        mp4 (`bool`, *optional*, defaults to `False`): convert the videos to MP4 (H.264 and AAC); else they are copied
            as they are.
        clips_per_shard (`int`, *optional*, defaults to 500): of a WebDataset.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        [`GridReport`]: what was written and what was left out.

    Raises:
        ExportError: if the folder is in use, or videos of this kind have to be converted.
        GridError: as for `read_splits`.
    """
    if format not in FORMATS:
        raise ExportError(f"no format {format!r}; there are {', '.join(FORMATS)}.")
    found, report = find_clips(data_dir, split_scheme, splits_file, speakers)
    report.check = check
    output = Path(output_dir)
    settings = {"format": format, "split_scheme": split_scheme, "mp4": mp4, "clips_per_shard": clips_per_shard}
    _claim(output, settings | {"speakers": speakers})
    splits: dict[str, list[ExportedClip]] = {}
    for split, clips in found.items():
        usable, findings = check_clips(clips, check, minimum_frames, num_workers, progress)
        report.merge(findings)
        if usable:
            splits[split] = [_plan(clip, split, mp4) for clip in usable]
    if not splits:
        raise ExportError(f"{data_dir}: no usable clip. {report.summary()}")
    write = _write_videofolder if format == "videofolder" else partial(_write_webdataset, size=clips_per_shard)
    write(output, splits, num_workers, progress)
    names = {split: _by_speaker(clips) for split, clips in splits.items()}
    _write_text(output / "splits.json", json.dumps(names, indent=1) + "\n")
    report.save(output / "defects.json")
    _write_text(output / "README.md", _card(splits, report, format, split_scheme))
    return report


def _claim(output: Path, settings: dict):
    """Make the folder this export's, or go on with it if it is."""
    path = output / SETTINGS_FILE
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise ExportError(f"{output}: it holds an export with other settings. Choose another folder.")
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ExportError(f"{output}: not an empty folder. Choose another one.")
    output.mkdir(parents=True, exist_ok=True)
    _write_text(path, json.dumps(settings) + "\n")


def _plan(clip: GridClip, split: str, mp4: bool) -> ExportedClip:
    suffix = clip.video.suffix.lower()
    if mp4:
        return ExportedClip(clip, split, ".mp4", suffix != ".mp4")
    if suffix not in SUFFIXES:
        raise ExportError(f"{clip.video}: `datasets` does not take {suffix} for a video. Use --mp4 to convert it.")
    return ExportedClip(clip, split, SUFFIXES[suffix], False)


def _by_speaker(clips: Iterable[ExportedClip]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for exported in clips:
        names.setdefault(exported.clip.speaker, []).append(exported.clip.name)
    return names


def _write_text(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _for_each(job, items: list, num_workers: int, progress: bool, unit: str):
    """Do a job for each item, in processes if more than one is asked for."""
    bar = partial(tqdm, desc="exporting", total=len(items), unit=unit, disable=not progress)
    if num_workers <= 1 or len(items) < 2:
        for _ in bar(map(job, items)):
            pass
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(num_workers, len(items)), context, initializer=ignore_interrupts)
    try:
        for _ in bar(pool.map(job, items)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


# ---------------------------------------------------------------------------------------------------------------------
# VideoFolder
# ---------------------------------------------------------------------------------------------------------------------


def _write_videofolder(output: Path, splits: dict[str, list[ExportedClip]], num_workers: int, progress: bool):
    exported = [clip for clips in splits.values() for clip in clips]
    _for_each(partial(_write_video, output), exported, num_workers, progress, "clip")
    for split, clips in splits.items():
        lines = [json.dumps({"file_name": clip.file_name} | clip.metadata()) for clip in clips]
        _write_text(output / split / "metadata.jsonl", "\n".join(lines) + "\n")


def _write_video(output: Path, exported: ExportedClip):
    """Write a clip's video, unless it is there in full."""
    path, source = output / exported.split / exported.file_name, exported.clip.video
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp{path.suffix}")
    if exported.convert:
        _convert(exported.clip, temporary)
    elif isinstance(source, ZippedFile):
        temporary.write_bytes(source.read_bytes())
    else:
        shutil.copyfile(source, temporary)
    os.replace(temporary, path)


# ---------------------------------------------------------------------------------------------------------------------
# WebDataset
# ---------------------------------------------------------------------------------------------------------------------


def _write_webdataset(
    output: Path, splits: dict[str, list[ExportedClip]], num_workers: int, progress: bool, size: int
):
    suffixes = sorted({clip.suffix for clips in splits.values() for clip in clips})
    if len(suffixes) > 1:
        raise ExportError(
            f"the videos are of several kinds ({', '.join(suffixes)}), which a WebDataset cannot mix. Use --mp4 to"
            " convert them all."
        )
    jobs = []
    for split, clips in splits.items():
        by_key = {exported.clip.key: exported for exported in clips}
        order = [by_key[key] for key in shuffled(split, by_key)]
        shards = [order[start : start + size] for start in range(0, len(order), size)]
        jobs += [
            (output / "data" / f"{split}-{index:05d}-of-{len(shards):05d}.tar", shard)
            for index, shard in enumerate(shards)
        ]
    _for_each(_write_shard, jobs, num_workers, progress, "shard")


def _write_shard(job: tuple[Path, list[ExportedClip]]):
    """Write a tar file of `SPEAKER/NAME.SUFFIX` and `SPEAKER/NAME.json`, unless it is there."""
    path, clips = job
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for exported in clips:
            key = exported.clip.key
            _add(tar, f"{key}{exported.suffix}", exported.video_bytes())
            _add(tar, f"{key}.json", json.dumps(exported.metadata()).encode())
    os.replace(temporary, path)


def _add(tar: tarfile.TarFile, name: str, contents: bytes):
    """Add a file without owner or time, so that the same clips make the same shard."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(contents), 0o644
    tar.addfile(member, BytesIO(contents))


# ---------------------------------------------------------------------------------------------------------------------
# dataset card
# ---------------------------------------------------------------------------------------------------------------------

_CARD = """---
license: cc-by-4.0
pretty_name: GRID audiovisual sentences
language: en
tags:
- lip-reading
- video-to-speech
- audiovisual
configs:
- config_name: default
  data_files:
{data_files}
---

# GRID audiovisual sentences

{clips} clips of {speakers} speakers ({names}): frontal faces, each saying one sentence of six words such as "bin blue
at f two now", with word times.

Source: Cooke, Barker, Cunningham, Shao (2006), "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 120(5), 2421-2424; [Zenodo record 3625687](https://zenodo.org/records/3625687), CC BY 4.0. Please
attribute GRID. {changes}

| split | clips | speakers |
|---|---|---|
{table}

Split scheme: `{scheme}`; `splits.json` lists every clip. Left out: {left_out} (see `defects.json`).

Columns: {columns}. `words` holds each word with its `start` and `end` in seconds, -1 for a clip without alignment
(`aligned` is false).

```python
from datasets import Video, load_dataset

grid = load_dataset({load})
grid = grid.cast_column("{video}", Video(decode=False))   # decode with PyAV: torchcodec cannot read MPEG-1
```
"""


def _card(splits: dict[str, list[ExportedClip]], report: GridReport, format: str, scheme: str) -> str:
    folder = format == "videofolder"
    paths = {split: f"{split}/**" if folder else f"data/{split}-*.tar" for split in splits}
    everyone = list(dict.fromkeys(clip.clip.speaker for clips in splits.values() for clip in clips))
    first = next(iter(splits.values()))[0]
    converted = any(clip.convert for clips in splits.values() for clip in clips)
    fields = ("speaker", "name", "sentence", "words", "aligned")
    rows = [f"| {split} | {len(clips)} | {', '.join(_by_speaker(clips))} |" for split, clips in splits.items()]
    return _CARD.format(
        data_files="\n".join(f'  - split: {split}\n    path: "{path}"' for split, path in paths.items()),
        clips=sum(map(len, splits.values())),
        speakers=len(everyone),
        names=", ".join(everyone),
        changes="Changed here: converted to H.264 and AAC." if converted else "The videos are copied as they were.",
        table="\n".join(rows),
        scheme=scheme,
        left_out=f"{report.left_out} of {report.checked} clips",
        columns=", ".join(f"`{name}`" for name in ("video", "id", *fields))
        if folder
        else f"`{first.suffix[1:]}` (the video) and `json` (`id`, {', '.join(f'`{name}`' for name in fields)})",
        load='"path/to/this"',
        video="video" if folder else first.suffix[1:],
    )
