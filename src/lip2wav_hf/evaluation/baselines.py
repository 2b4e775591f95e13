"""What an evaluation is compared with: another model, a folder of sound files, or the results of an earlier one."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import counted
from ..models import FOLDERS_OF_A_RUN, SPEAKING, find_model
from .clips import Clip, spoken_file
from .folders import AUDIO_SUFFIXES, run_folder, sound_files
from .judging import Words
from .options import ClipSelection, EvaluationError, EvaluationOptions
from .run import CLIPS, RESULTS, Share
from .statistics import paired_differences, summarize
from .systems import Measured, model_name, run_model
from .table import read_clips


TAKEN = ("generated", "original")  # what the report calls the system itself and the recording


def baseline_kind(baseline: str | os.PathLike) -> str:
    """What a baseline is: `"results"` (of an earlier evaluation), `"model"` or `"folder"` (of sound files).

    Raises:
        EvaluationError: if it is a file or a folder of none of these kinds.
        ModelError: if there is no such model.
    """
    path = Path(baseline)
    if path.suffix.lower() == ".json" or (path / RESULTS).is_file():
        folder = path if path.is_dir() else path.parent
        if not path.exists():
            raise EvaluationError(f"baseline {path}: no such file.")
        if not (folder / CLIPS).is_file():
            raise EvaluationError(
                f"baseline {path}: a comparison clip by clip needs {CLIPS} beside it; it is missing."
            )
        return "results"
    if path.is_dir() and not (path / "config.json").is_file():
        sound_files(path, AUDIO_SUFFIXES)
        return "folder"
    if path.is_file():
        raise EvaluationError(f"baseline {path}: give a model, a folder of sound files, or a results.json.")
    find_model(baseline, SPEAKING)  # before any work is done
    return "model"


def baseline_kinds(baselines: Sequence[str]) -> dict[str, str]:
    """The kind of each baseline; see [`baseline_kind`]."""
    return {baseline: baseline_kind(baseline) for baseline in baselines}


def run_baselines(
    kinds: dict[str, str],
    clips: list[Clip],
    selection: ClipSelection | None,
    options: EvaluationOptions,
    share: Share,
    words: Words,
    system: str,
) -> list[Measured]:
    """
    Measure baselines on some clips; what is written lies in `output_dir/baselines`.

    Args:
        kinds (`dict[str, str]`): the baselines and their kinds.
        clips (`list[Clip]`): the clips.
        selection ([`ClipSelection`], *optional*): where they come from; needed by models only.
        options ([`EvaluationOptions`]): how they are scored.
        share ([`Share`]): the part of this process.
        words ([`Words`]): as of [`run_model`].
        system (`str`): the name of what they are compared with.

    Raises:
        EvaluationError: if a baseline cannot be measured, or has none of the clips.
    """
    found: list[Measured] = []
    names = [system]
    for baseline, kind in kinds.items():
        name = _free_name(baseline, (*TAKEN, *names))
        names.append(name)
        folder = options.output_dir / "baselines" / name.replace("/", "--").replace(" ", "-")
        own = dataclasses.replace(options, output_dir=folder)
        if kind == "results":
            measured = _earlier(Path(baseline), clips)
        elif kind == "model":
            if selection is None:
                raise EvaluationError(
                    f"baseline {baseline}: a model needs videos; give --data instead of two folders."
                )
            measured = run_model(baseline, clips, selection, own, share, words)
        else:
            measured = _run_folder(Path(baseline), clips, own, share, words)
        found.append(dataclasses.replace(measured, name=options.labels.get(baseline, name)))
    return found


def _free_name(baseline: str, taken: Sequence[str]) -> str:
    plain = Path(baseline).resolve().parent.name if baseline.endswith(".json") else model_name(baseline)
    which = [f"{plain} {folder}" for folder in FOLDERS_OF_A_RUN if Path(baseline).name == folder]
    numbered = (f"{plain} {number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([plain], which, numbered) if name not in taken)


def _earlier(path: Path, clips: list[Clip]) -> Measured:
    folder = path if path.is_dir() else path.parent
    sounds = {clip.key: spoken_file(folder, clip.key) for clip in clips}
    return Measured("", read_clips(folder / CLIPS), {key: file for key, file in sounds.items() if file.is_file()})


def _run_folder(path: Path, clips: list[Clip], options: EvaluationOptions, share: Share, words: Words) -> Measured:
    files = sound_files(path, AUDIO_SUFFIXES)
    names = [clip.name for clip in clips]
    found = []
    for clip in clips:
        flat = files.get(clip.name) if names.count(clip.name) == 1 else None
        file = files.get(f"{clip.speaker}/{clip.name}") or flat
        if file is not None:
            found.append(dataclasses.replace(clip, generated=file))
    if not found:
        raise EvaluationError(
            f"baseline {path}: holds none of the {counted(len(clips), 'clip')}; name its files as SPEAKER/NAME.wav."
        )
    return run_folder(path.resolve().name, found, options, share, words)


def compare(system: Measured, other: Measured) -> dict[str, Any]:
    """
    What `results.json` reports of a baseline: both systems on the clips that both have, and what failed in it.

    Raises:
        EvaluationError: if they have no clip in common.
    """
    theirs = {row.key: row for row in other.rows}
    ours = [row for row in system.rows if row.key in theirs]
    if not ours:
        raise EvaluationError(f"baseline {other.name}: it has none of these clips.")
    matched = [theirs[row.key] for row in ours]
    found = {
        "name": other.name,
        "clips": len(ours),
        "overall": summarize(matched),
        "differences": paired_differences(ours, matched),
    }
    failures = [{"clip": failure.clip, "error": failure.error} for failure in other.failures]
    return found | ({"failures": failures} if failures else {})


__all__ = ["baseline_kind", "baseline_kinds", "compare", "run_baselines"]
