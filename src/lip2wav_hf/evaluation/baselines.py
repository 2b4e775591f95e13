"""What an evaluation is compared with: another model, a folder of sound files, or the results of an earlier one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run import CLIPS, RESULTS
from .scoring import EvaluationError
from .statistics import paired_differences, summarize


AUDIO_SUFFIXES = (".wav", ".flac")


@dataclass
class Compared:
    """A baseline on the same clips.

    Attributes:
        name (`str`): what the report calls it.
        rows (`list[dict]`): its clips, as in `clips.csv`.
        sounds (`dict`): its sound files by speaker and name, where there are any.
    """

    name: str
    rows: list[dict[str, Any]]
    sounds: dict[tuple[str, str], Path]


def baseline_kind(baseline: str | os.PathLike) -> str:
    """What a baseline is: `"results"` (of an earlier evaluation), `"model"` or `"folder"` (of sound files).

    Raises:
        EvaluationError: if it is a file or a folder of none of these kinds.
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
    if (path / "config.json").is_file():
        return "model"
    if path.is_dir():
        sound_files(path, AUDIO_SUFFIXES)
        return "folder"
    if path.exists():
        raise EvaluationError(f"baseline {path}: give a model, a folder of sound files, or a results.json.")
    return "model"


def compare(rows: list[dict[str, Any]], other: Compared) -> dict[str, Any]:
    """What `results.json` tells about a baseline: both systems on the clips that both have."""
    theirs = {(row["speaker"], row["name"]): row for row in other.rows}
    ours = [row for row in rows if (row["speaker"], row["name"]) in theirs]
    if not ours:
        raise EvaluationError(f"baseline {other.name}: it has none of these clips.")
    matched = [theirs[row["speaker"], row["name"]] for row in ours]
    return {
        "name": other.name,
        "clips": len(ours),
        "overall": summarize(matched),
        "differences": paired_differences(ours, matched),
    }


def sound_files(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder by their path inside it, without suffix, in order."""
    folder = Path(folder)
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder.")
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in files:
            raise EvaluationError(f"{folder}: holds both {files[key].name} and {path.name} as {key}; keep one.")
        files[key] = path
    if not files:
        raise EvaluationError(f"{folder}: holds no sound file ({', '.join(suffixes)}).")
    return files


__all__ = ["AUDIO_SUFFIXES", "Compared", "baseline_kind", "compare", "sound_files"]
