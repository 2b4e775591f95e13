"""A corpus as a dataset for the Hugging Face Hub: a VideoFolder, or WebDataset shards."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from ..audio import mux_audio, read_audio
from ..errors import counted
from ..files import read_json, replacing, write_json, write_text
from ..machine import worker_processes
from .clips import Clip, CorpusError, Selection, Splits
from .columns import UNKNOWN_TIME
from .defects import CheckOptions, CorpusReport, check_word_times
from .made_splits import shuffled
from .progress import progress_bar
from .registry import Corpus, open_corpus


FORMATS = ("videofolder", "webdataset")
SETTINGS_FILE = "export.json"

# What `datasets` takes for a video. It knows GRID's own `.mpg` under its other name only.
SUFFIXES = {suffix: suffix for suffix in (".mkv", ".mp4", ".avi", ".mov", ".mpeg")} | {".mpg": ".mpeg"}
MP4_SAMPLING_RATE = 44_100  # Hz, that of GRID's own videos


class ExportError(CorpusError):
    """A corpus that cannot be exported as asked."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export looks like.

    Attributes:
        format (`str`, *optional*, defaults to `"videofolder"`): that, `SPLIT/SPEAKER/NAME.mkv` and
            `SPLIT/metadata.jsonl`; or `"webdataset"`: `data/SPLIT-00000-of-00002.tar`, shuffled.
        mp4 (`bool`, *optional*, defaults to `False`): convert the videos to MP4 (H.264 and AAC); else they are copied
            as they are.
        clips_per_shard (`int`, *optional*, defaults to 500): of a WebDataset.
    """

    format: str = "videofolder"
    mp4: bool = False
    clips_per_shard: int = 500


@dataclass(frozen=True)
class Export:
    """What was written, for its dataset card.

    Attributes:
        options ([`ExportOptions`]): as asked for.
        scheme (`str`): the split scheme.
        splits (`dict[str, dict[str, list[str]]]`): split, speaker, names of the clips written.
        suffix (`str`): of the videos, such as `".mp4"`; that of the first clip where they are of several kinds.
        converted (`bool`): whether any video was converted.
        report ([`CorpusReport`]): what was looked at and left out.
        corpus (`str`): the name of the corpus's reader, such as `"grid"`.
        title (`str`): the name of its folder.
        fingerprint (`str`): of what `datasets` reads of it, and of where that is.
    """

    options: ExportOptions
    scheme: str
    splits: Splits
    suffix: str
    converted: bool
    report: CorpusReport
    corpus: str = "grid"
    title: str = ""
    fingerprint: str = ""

    def counts(self) -> dict[str, int]:
        """Clips of each split."""
        return {split: sum(map(len, chosen.values())) for split, chosen in self.splits.items()}

    def config(self) -> dict[str, Any]:
        """Which files belong to which split, as the metadata of a dataset card have it. `datasets` knows a folder in
        its cache by its name and these metadata alone, so the description names what is in the files."""
        folder = self.options.format == "videofolder"
        files = [{"split": split, "path": f"{split}/**" if folder else f"data/{split}-*.tar"} for split in self.splits]
        described = f"{counted(sum(self.counts().values()), 'clip')}, {self.fingerprint}"
        return {"config_name": "default", "description": described, "data_files": files}


def export_corpus(
    data_dir: str | os.PathLike | Corpus,
    output_dir: str | os.PathLike,
    options: ExportOptions = ExportOptions(),
    selection: Selection = Selection(),
    checks: CheckOptions = CheckOptions(),
) -> Export:
    """
    Write the usable clips of a corpus as a dataset that `datasets.load_dataset` reads and the Hub shows.

    Beside the videos come `splits.json` (which repeats the split elsewhere, as the scheme `"custom"`) and
    `defects.json` (what was left out). A stopped export can be resumed.

    Args:
        data_dir (`str`, `os.PathLike` or [`Corpus`]): folder of the corpus, or its reader.
        output_dir (`str` or `os.PathLike`): a new or empty folder, or one of the same export that was stopped.
        options ([`ExportOptions`], *optional*): format and kind of the videos.
        selection ([`Selection`], *optional*): the split scheme, its file, the speakers.
        checks ([`CheckOptions`], *optional*): how the clips are looked at; its `num_workers` and `progress` also hold
            for the writing.

    Raises:
        ExportError: if the folder is in use, or videos of this kind have to be converted.
        CorpusError: as for [`Corpus.find_clips`].
    """
    if options.format not in FORMATS:
        raise ExportError(f"no format {options.format!r}; there are {', '.join(FORMATS)}.")
    corpus = open_corpus(data_dir) if isinstance(data_dir, (str, os.PathLike)) else data_dir
    found, report = corpus.find_clips(selection)
    report.require_words()
    report.check = checks.check
    output = Path(output_dir)
    settings = asdict(options) | {
        "split_scheme": corpus.scheme(selection),
        "speakers": selection.speakers and list(selection.speakers),
    }
    _check_free(output, settings)
    usable: dict[str, list[Clip]] = {}
    for split, clips in found.items():
        good, findings = corpus.check_clips(clips, checks)
        report.merge(findings)
        late = {defect.clip: defect for defect in check_word_times(good, checks)}
        report.defects += late.values()
        good = [clip for clip in good if clip.key not in late]
        if good:
            usable[split] = good
    if not usable:
        raise ExportError(f"{corpus.path}: no usable clip. {report.sentence()}")
    clips = [clip for each in usable.values() for clip in each]
    suffixes = _suffixes(clips, options)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / SETTINGS_FILE, settings)
    write = _write_videofolder if options.format == "videofolder" else _write_webdataset
    write(output, usable, options, checks)
    splits = {split: _by_speaker(clips) for split, clips in usable.items()}
    write_json(output / "splits.json", splits, indent=1)
    report.save(output / "defects.json")
    converted = any(_is_converted(clip, options.mp4) for clip in clips)
    title = corpus.path.resolve().name
    scheme, read = corpus.scheme(selection), _fingerprint(output)
    return Export(options, scheme, splits, suffixes[0], converted, report, corpus.name, title, read)


def _check_free(output: Path, settings: dict[str, Any]) -> None:
    """Raises `ExportError` unless the folder is new, empty, or one of the same export that was stopped."""
    path = output / SETTINGS_FILE
    if path.is_file():
        if read_json(path, ExportError) != settings:
            raise ExportError(f"{output}: it holds an export with other settings. Choose another folder.")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ExportError(f"{output}: not an empty folder. Choose another one.")


def _suffixes(clips: Iterable[Clip], options: ExportOptions) -> list[str]:
    """Of the videos that are written, one per clip.

    Raises:
        ExportError: if one has to be converted, and is not to be; or if a WebDataset would mix several.
    """
    suffixes = [target_suffix(clip, options.mp4) for clip in clips]
    kinds = sorted(set(suffixes))
    if options.format == "webdataset" and len(kinds) > 1:
        raise ExportError(
            f"the videos are of several kinds ({', '.join(kinds)}), which a WebDataset cannot mix. Use `mp4=True`"
            " to convert them all."
        )
    return suffixes


def _fingerprint(output: Path) -> str:
    """Of the files in the folders of an export, which `datasets` reads, and of where they are, which it keeps."""
    digest = hashlib.sha256(f"{output.resolve()}\n".encode())
    for path in sorted(path for path in output.glob("*/**/*") if path.is_file()):
        with open(path, "rb") as file:
            digest.update(f"{path.relative_to(output).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _by_speaker(clips: Iterable[Clip]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for clip in clips:
        names.setdefault(clip.speaker, []).append(clip.name)
    return names


def _for_each(job: Callable[[Any], None], items: list[Any], unit: str, checks: CheckOptions) -> None:
    """Run a job for each item, in several processes if asked for."""
    with worker_processes(min(checks.num_workers, len(items))) as map_:
        for _ in progress_bar(map_(job, items), "exporting", len(items), unit, show=checks.progress):
            pass


# ---------------------------------------------------------------------------------------------------------------------
# clips
# ---------------------------------------------------------------------------------------------------------------------


def target_suffix(clip: Clip, mp4: bool) -> str:
    """Suffix of the video that is written of a clip.

    Raises:
        ExportError: if a video of this kind has to be converted, and `mp4` is not set.
    """
    suffix = clip.video.suffix.lower()
    if mp4 or clip.is_part:
        return ".mp4"
    if suffix not in SUFFIXES:
        raise ExportError(
            f"{clip.video}: `datasets` does not take {suffix} for a video. Use `mp4=True` to convert it."
        )
    return SUFFIXES[suffix]


def _is_converted(clip: Clip, mp4: bool) -> bool:
    return clip.is_part or (mp4 and clip.video.suffix.lower() != ".mp4")


def metadata_of(clip: Clip) -> dict[str, Any]:
    """What is written for a clip besides its video."""
    timed = clip.timed_words()
    words = timed or [(UNKNOWN_TIME, UNKNOWN_TIME, word) for word in clip.words or ()]
    return {
        "id": clip.key,
        "speaker": clip.speaker,
        "name": clip.name,
        **({} if clip.text is None else {"transcription": clip.text}),
        "sentence": " ".join(clip.words or ()),
        "words": [{"word": word, "start": start, "end": end} for start, end, word in words],
        "aligned": timed is not None,
    }


def _copy_video(clip: Clip, path: Path, mp4: bool) -> None:
    """Write the video of a clip, converted to MP4 if it is a part, or is no MP4 and `mp4` is set."""
    if _is_converted(clip, mp4):
        # Browsers and torchcodec play MP4; they do not play GRID's MPEG-1.
        source = clip.source
        waveform = read_audio(source, MP4_SAMPLING_RATE)
        if waveform is None:
            raise ExportError(f"{clip.video}: it has no sound.")
        mux_audio(source, waveform, MP4_SAMPLING_RATE, path)
    elif isinstance(clip.video, Path):
        shutil.copyfile(clip.video, path)
    else:
        path.write_bytes(clip.video.read_bytes())


# ---------------------------------------------------------------------------------------------------------------------
# VideoFolder
# ---------------------------------------------------------------------------------------------------------------------


def _write_videofolder(
    output: Path, splits: dict[str, list[Clip]], options: ExportOptions, checks: CheckOptions
) -> None:
    jobs = [(output / split, clip) for split, clips in splits.items() for clip in clips]
    _for_each(partial(_write_video, options.mp4), jobs, "clip", checks)
    for split, clips in splits.items():
        lines = [
            json.dumps(
                {"file_name": f"{clip.key}{target_suffix(clip, options.mp4)}"} | metadata_of(clip), ensure_ascii=False
            )
            for clip in clips
        ]
        write_text(output / split / "metadata.jsonl", "\n".join(lines) + "\n")


def _write_video(mp4: bool, job: tuple[Path, Clip]) -> None:
    """Write a clip's video below its split's folder, unless it is there in full."""
    folder, clip = job
    path = folder / f"{clip.key}{target_suffix(clip, mp4)}"
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        _copy_video(clip, temporary, mp4)


# ---------------------------------------------------------------------------------------------------------------------
# WebDataset
# ---------------------------------------------------------------------------------------------------------------------


def _write_webdataset(
    output: Path, splits: dict[str, list[Clip]], options: ExportOptions, checks: CheckOptions
) -> None:
    size, jobs = options.clips_per_shard, []
    for split, clips in splits.items():
        by_key = {clip.key: clip for clip in clips}
        order = [by_key[key] for key in shuffled(split, by_key)]
        shards = [order[start : start + size] for start in range(0, len(order), size)]
        jobs += [
            (output / "data" / f"{split}-{index:05d}-of-{len(shards):05d}.tar", shard)
            for index, shard in enumerate(shards)
        ]
    _for_each(partial(_write_shard, options.mp4), jobs, "shard", checks)


def _write_shard(mp4: bool, job: tuple[Path, list[Clip]]) -> None:
    """Write a tar file of `KEY.SUFFIX` and `KEY.json`, unless it is there. A key is `SPEAKER/NAME-SHA256`: `datasets`
    reads the file of that name in the working folder instead, where there is one, so it must be the same video.
    Readers take the first dot of a file's name for that of its suffix: other dots become `_` (the JSON has the name).
    """
    path, clips = job
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in clips:
            suffix = target_suffix(clip, mp4)
            video = _video_bytes(clip, suffix, mp4)
            key = f"{clip.speaker}/{clip.name.replace('.', '_')}-{hashlib.sha256(video).hexdigest()[:12]}"
            _add(tar, f"{key}{suffix}", video)
            _add(tar, f"{key}.json", json.dumps(metadata_of(clip)).encode())


def _video_bytes(clip: Clip, suffix: str, mp4: bool) -> bytes:
    if not _is_converted(clip, mp4):
        return clip.video.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{clip.name}{suffix}")
        _copy_video(clip, path, mp4)
        return path.read_bytes()


def _add(tar: tarfile.TarFile, name: str, contents: bytes) -> None:
    """Add a file without owner or time, so that the same clips make the same shard."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(contents), 0o644
    tar.addfile(member, BytesIO(contents))


__all__ = ["FORMATS", "Export", "ExportError", "ExportOptions", "export_corpus", "metadata_of"]
