"""
A gallery: a folder with a web page on which each clip is seen with its own sound and with that of each system.

The page is static: it opens from the disk, and loads nothing from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import read_audio
from ..corpora.progress import progress_bar
from ..errors import Lip2WavError
from ..evaluation.clips import Clip, ClipRow, clip_label
from ..evaluation.options import EvaluationOptions
from ..evaluation.run import Failure
from ..files import replace_folder, write_json
from ..machine import take_lock
from ..metrics.pairs import SAMPLING_RATE
from ..metrics.registry import CLIP_NUMBERS, OF_ORIGINAL, SUMMARY
from .clips import Part, Shown
from .media import write_media
from .page import SiteClip, SitePart, SiteSound, write_pages
from .speaking import Spoken, speak_clips, usable_metrics
from .systems import ORIGINAL, ComparisonError, System, check_labels, file_names


RECORD = "gallery.json"
"""What a gallery says to programs: its clips, words and numbers. Its presence marks the folder as a gallery."""

MAX_VIDEOS_AT_ONCE = 8  # that go through a model together


@dataclass(frozen=True)
class Gallery:
    """
    What was built.

    Attributes:
        page (`Path`): where to begin.
        pages (`dict[str, int]`): names of the pages beside each other, that one first, and how many clips each shows.
        largest (`int`): bytes of the largest clip.
        failures (`list[Failure]`): what is not shown, and why.
    """

    page: Path
    pages: dict[str, int]
    largest: int
    failures: list[Failure]

    @property
    def clips(self) -> int:
        """How many clips are shown."""
        return sum(self.pages.values())


def check_output(folder: Path, overwrite: bool) -> None:
    """
    See that nothing but an earlier gallery would be replaced.

    Raises:
        ComparisonError: if the folder is a file, holds something else, or a gallery that may not be replaced.
    """
    if folder.is_file():
        raise ComparisonError(f"{folder}: this is a file. Name a folder for the gallery.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / RECORD).is_file():
        raise ComparisonError(f"{folder}: holds other files and no gallery. Name a new folder.")
    if not overwrite:
        raise ComparisonError(f"{folder}: holds a gallery. Replace it with --overwrite, or name another folder.")


@contextlib.contextmanager
def work_folder(output: Path) -> Generator[Path]:
    """
    A folder beside the output, in which it is made: the same for each run, so that one that was stopped or killed goes
    on with the clips that were finished. It is removed at the end, with the folders above that it called for and that
    are still empty.

    Raises:
        ComparisonError: if another process is working there.
    """
    folder = output.absolute().with_name(f".{output.absolute().name}.work")
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = take_lock(folder / "lock")
    except BlockingIOError:
        raise ComparisonError(
            f"{output}: another process is building a gallery there. Wait for it, or name another folder."
        ) from None
    try:
        yield folder
    except KeyboardInterrupt:
        raise
    except BaseException:
        _remove(folder, made)
        raise
    else:
        _remove(folder, made)
    finally:
        os.close(handle)


def _remove(folder: Path, made: Sequence[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for parent in made:
        with contextlib.suppress(OSError):
            parent.rmdir()


def build_gallery(
    shown: Shown,
    systems: Sequence[System],
    output: str | os.PathLike,
    work: Path,
    *,
    metrics: Sequence[str] | None = None,
    device: str | int | None = None,
    workers: int | None = 1,
    title: str | None = None,
    progress: bool = True,
) -> Gallery:
    """
    Let systems speak clips, and build the page.

    Args:
        shown ([`Shown`]): the clips.
        systems (sequence of [`System`]): who speaks.
        output (`str` or `os.PathLike`): the folder of the page; what it held is replaced, see [`check_output`].
        work (`Path`): a folder on the same file system for what is made on the way; the caller removes it. Clips that
            an earlier run has finished there are not spoken again.
        metrics (sequence of `str`, *optional*): keys of `METRICS`; by default all that say something of a single
            clip, as far as their packages are installed; none if empty.
        device (`str` or `int`, *optional*): where the models run.
        workers (`int`, *optional*, defaults to 1): processes that score; with `None` one per core, but one alone for
            few clips.
        title (`str`, *optional*): of the page.
        progress (`bool`, *optional*, defaults to `True`): say on stderr what is being done.

    Returns:
        [`Gallery`]: what was built.

    Raises:
        ComparisonError: if no clip can be shown, whatever the reason, or two systems have one label.
        ModelError: if a model is not there.
        MissingExtraError: if a package is not installed.
    """
    check_labels(system.label for system in systems)
    chosen = () if metrics is not None and not metrics else usable_metrics(shown.clips, shown.words, metrics)
    options = EvaluationOptions(
        work, chosen, device=device, batch_size=MAX_VIDEOS_AT_ONCE, workers=workers, progress=progress
    )
    spoken = speak_clips(systems, shown.clips, options, shown.words)
    site = work / "site"
    shutil.rmtree(site, ignore_errors=True)  # of a run that was stopped
    failures = [
        replace(failure, error=f"{each.system.label}: {failure.error}") for each in spoken for failure in each.failures
    ]
    parts = _write_clips(shown.parts, spoken, site / "clips", failures, progress)
    clips = [clip for part in parts for clip in part.clips]
    if not clips:
        raise ComparisonError(f"no clip can be shown; the first failure: {failures[0].error}")
    labels = [system.label for system in systems]
    pages = write_pages(site, title or f"Speech from silent video: {', '.join(labels)}", labels, parts)
    write_json(site / RECORD, {"systems": labels, "parts": [part.record() for part in parts]})
    replace_folder(site, Path(output).absolute())
    return Gallery(Path(output) / next(iter(pages)), pages, max(clip.bytes for clip in clips), failures)


def _write_clips(
    parts: Sequence[Part], spoken: Sequence[Spoken], folder: Path, failures: list[Failure], progress: bool
) -> list[SitePart]:
    """The files of all clips, and what the pages say of them; parts without a clip are left out."""
    names = iter(file_names(clip_label(clip.key) for part in parts for clip in part.clips))
    found, total = [], sum(len(part.clips) for part in parts)
    with progress_bar(None, "writing the page", total, show=progress) as bar:
        for part in parts:
            clips = []
            for clip in part.clips:
                name = next(names)
                try:
                    made = _write_clip(clip, name, spoken, folder / name)
                    clips.append(replace(made, learnt=clip.key in part.learnt))
                except (Lip2WavError, OSError) as error:
                    shutil.rmtree(folder / name, ignore_errors=True)
                    failures.append(Failure(str(clip), str(error) if str(clip) in str(error) else f"{clip}: {error}"))
                bar.update()
            if clips:
                found.append(SitePart(part.title, part.note, part.unseen, clips))
    return found


def _write_clip(clip: Clip, name: str, spoken: Sequence[Spoken], folder: Path) -> SiteClip:
    heard = [each for each in spoken if clip.key in each.rows]
    if not heard:
        raise ComparisonError(f"{clip}: no system could speak this clip.")
    rows = {each.system.label: each.rows[clip.key] for each in heard}
    waveforms = {each.system.label: _sound(each.sounds[clip.key]) for each in heard}
    original = _sound(clip.original)
    if original is not None:
        waveforms = {ORIGINAL: original, **waveforms}
    files = dict(zip(waveforms, file_names(waveforms), strict=True))
    sounds = {files[label]: waveform for label, waveform in waveforms.items() if waveform is not None}
    seconds = write_media(folder, clip.original, sounds)
    first = next(iter(rows.values()))
    shown = [SiteSound.of_original(files[ORIGINAL], first, _numbers(first, True))] if original is not None else []
    shown += [SiteSound.of_system(label, files[label], row, _numbers(row, False)) for label, row in rows.items()]
    silent = [each.system.label for each in spoken if clip.key not in each.rows]
    size = sum(path.stat().st_size for path in folder.iterdir())
    return SiteClip(name, clip_label(clip.key), clip.sentence, seconds, shown, silent, original is not None, size)


def _sound(source: Any) -> np.ndarray | None:
    """The sound of a file at 16 kHz; `None` where there is none, or nothing but silence in a recording."""
    waveform = read_audio(str(source) if isinstance(source, Path) else source, SAMPLING_RATE)
    return None if waveform is None or not waveform.size or not np.ptp(waveform) else waveform


def _numbers(row: ClipRow, of_original: bool) -> Mapping[str, float]:
    """What was measured of a clip, by the keys of `SUMMARY`; of the system, or of the recording."""
    keys = OF_ORIGINAL if of_original else CLIP_NUMBERS
    values = {key: row.value(key) for key in keys if SUMMARY[key].over is None}
    return {key: value for key, value in values.items() if np.isfinite(value)}


__all__ = ["RECORD", "Gallery", "build_gallery", "check_output", "work_folder"]
