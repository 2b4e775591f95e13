"""Word times of training clips that have none: read from a folder, or found by the speech encoder once and kept."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..corpora.align_clips import RECORDS, AlignmentFolder
from ..corpora.alignment import DOUBTFUL, Alignment, WordAligner
from ..corpora.clips import Clip, CorpusError, TimedWord
from ..corpora.progress import progress_bar
from ..corpora.word_times import with_word_times
from ..errors import counted, one_line
from ..files import read_json, write_json
from ..machine import worker_processes
from .cache import read_cached_clip
from .clips import PreparedClips, cached_name


logger = logging.getLogger(__name__)

CLIPS_AT_A_TIME = 200  # after so many the file is written, so that a stopped run has not worked in vain
SHOWN_CLIPS = 5  # in messages
METHOD = 2  # changes when the same encoder would find other times or scores


def add_word_times(
    prepared: PreparedClips,
    cache_dir: str | os.PathLike,
    sampling_rate: int,
    alignments: str | os.PathLike | None = None,
    speech_encoder: str | None = None,
    num_workers: int = 2,
    progress: bool = True,
    otherwise: str = "",
) -> PreparedClips:
    """
    Give clips without word times those of a folder, or those that a speech encoder finds; say how many there are.

    Doubtful times (see [`Alignment.doubtful`]) are not used: these clips teach by CTC alone, as those without times.

    Args:
        prepared ([`PreparedClips`]): the clips.
        cache_dir (`str` or `os.PathLike`): as for [`prepare_clips`]; found times are kept there, in
            `word_times-ENCODER.json`.
        sampling_rate (`int`): of the cached sound, in Hz.
        alignments (`str` or `os.PathLike`, *optional*): a folder that `lip2wav align` wrote.
        speech_encoder (`str`, *optional*): a folder, a Hub repository or a bundled model with one.
        num_workers (`int`, *optional*, defaults to 2): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.
        otherwise (`str`, *optional*): what the log says of clips whose times nobody gives; nothing by default.

    Raises:
        WordTimesError: if there is no such folder of alignments.
        ModelError, OSError, ValueError: if there is no such speech encoder.
    """
    bare = [clip for clip in prepared.clips if clip.times is None]
    if not bare:
        return prepared
    times = {} if alignments is None else _written(bare, alignments)
    bare = [clip for clip in bare if clip.key not in times]
    audible = [clip for clip in bare if clip.key not in prepared.silent]
    if speech_encoder is not None and audible:
        times |= _heard(
            audible, prepared.files, Path(cache_dir), sampling_rate, speech_encoder, (num_workers, progress)
        )
    elif audible and otherwise:
        logger.info("%d of %s have no word times: %s", len(audible), counted(len(prepared.clips), "clip"), otherwise)
    return replace(prepared, word_times=times)


def _written(clips: list[Clip], folder: str | os.PathLike) -> dict[str, list[TimedWord]]:
    """Times of a folder, by `clip.key`; what cannot be used is logged."""
    times: dict[str, list[TimedWord]] = {}
    for clip in with_word_times(clips, folder):
        try:
            found = clip.timed_words()
        except CorpusError as error:
            logger.warning("%s: %s", clip.key, one_line(error))
            continue
        if found:
            times[clip.key] = found
    logger.info("word times of %s are from %s.", counted(len(times), "clip"), folder)
    records = AlignmentFolder(folder).records
    doubtful = [key for key in times if records.get(key, {}).get("score", 1.0) < DOUBTFUL]
    if doubtful:
        logger.warning(
            "those of %s were doubtful when `lip2wav align` found them, see %s there: listen to them, and delete the"
            " files that are wrong. They are used.",
            counted(len(doubtful), "clip"),
            RECORDS,
        )
    return times


def _heard(
    clips: list[Clip],
    files: dict[str, Path],
    cache_dir: Path,
    sampling_rate: int,
    speech_encoder: str,
    machine: tuple[int, bool],
) -> dict[str, list[TimedWord]]:
    """Times that the speech encoder finds, by `clip.key`, without doubtful ones; `machine` are processes, progress."""
    weights = WordAligner.load(speech_encoder).encoder.state_dict().values()
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in weights))
    path = cache_dir / f"word_times-{METHOD}-{digest.hexdigest()[:12]}.json"
    known: dict[str, dict[str, Any]] = read_json(path) if path.is_file() else {}
    missing = [clip for clip in clips if known.get(_key(clip), {}).get("words") != list(clip.words or ())]
    num_workers, progress = machine
    job = functools.partial(_align_cached, sampling_rate=sampling_rate, speech_encoder=speech_encoder)
    with (
        worker_processes(min(num_workers, len(missing)), chunksize=4) as map_,
        progress_bar(desc="word times", total=len(missing), show=progress and bool(missing)) as bar,
    ):
        for first in range(0, len(missing), CLIPS_AT_A_TIME):
            part = missing[first : first + CLIPS_AT_A_TIME]
            found = map_(job, [files[clip.key] for clip in part], [clip.words for clip in part])
            for clip, entry in zip(part, found, strict=True):
                known[_key(clip)] = {"words": list(clip.words or ())} | entry
                bar.update()
            write_json(path, known, indent=None)
    return _reported(clips, {clip.key: known[_key(clip)] for clip in clips}, speech_encoder, path)


def _reported(
    clips: list[Clip], found: dict[str, dict[str, Any]], speech_encoder: str, path: Path
) -> dict[str, list[TimedWord]]:
    """The times that are not doubtful, by `clip.key`; the log says how many these are, and which others."""
    alignments = {key: _alignment(entry) for key, entry in found.items() if "times" in entry}
    good = {key: list(each.words) for key, each in alignments.items() if not each.doubtful}
    others = [f"{clip.key} ({found[clip.key].get('problem', 'doubtful')})" for clip in clips if clip.key not in good]
    logger.info(
        "word times of %s were found by the speech encoder of %s (kept in %s).",
        counted(len(good), "clip"),
        speech_encoder,
        path,
    )
    if others:
        logger.warning(
            "word times of %s are unknown, so they teach by CTC alone: %s%s",
            counted(len(others), "clip"),
            ", ".join(others[:SHOWN_CLIPS]),
            " …" if len(others) > SHOWN_CLIPS else "",
        )
    return good


def _alignment(entry: dict[str, Any]) -> Alignment:
    pairs = zip(entry["times"], entry["words"], strict=True)
    return Alignment(tuple((start, end, word) for (start, end), word in pairs), tuple(entry["scores"]))


def _key(clip: Clip) -> str:
    return f"{clip.speaker}/{cached_name(clip)}"


@functools.lru_cache(maxsize=1)
def _aligner(speech_encoder: str) -> WordAligner:
    return WordAligner.load(speech_encoder)


def _align_cached(path: Path, words: tuple[str, ...], sampling_rate: int, speech_encoder: str) -> dict[str, Any]:
    """Times and scores of a cached clip's words, as JSON has them; or why there are none."""
    aligner = _aligner(speech_encoder)
    waveform = read_cached_clip(path).waveform.astype(np.float32) / 32767
    if sampling_rate != aligner.config.sampling_rate:
        from torchaudio.functional import resample  # noqa: PLC0415  for different rates only

        waveform = resample(torch.from_numpy(waveform), sampling_rate, aligner.config.sampling_rate).numpy()
    try:
        found = aligner.align(waveform, words)
    except CorpusError as error:
        return {"problem": one_line(error)}
    times = [[round(start, 4), round(end, 4)] for start, end, _ in found.words]
    return {"times": times, "scores": [round(score, 4) for score in found.scores]}


__all__ = ["add_word_times"]
