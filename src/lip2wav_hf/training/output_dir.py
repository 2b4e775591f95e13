"""The folder of a run: what is in it, which checkpoint a run goes on from, and that no run ends up in another's."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

from ..files import read_json, write_json, write_text
from ..models import is_checkpoint
from .arguments import OptimizationArguments, TrainingError
from .record import read_record


logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint-"
SUMS = "sha256.json"
MODELS = ("best", "final")
VALIDATIONS = "validation.jsonl"
FACTS_FILE = "card.yaml"
LOGS = "logs"


def find_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Complete checkpoints in a folder, in the order in which they were written."""
    folders = [path for path in Path(output_dir).glob(f"{CHECKPOINT}*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: (_number(path), int(path.name.rpartition("-")[2])))


def next_number(output_dir: str | os.PathLike) -> int:
    """The number of the next checkpoint in a folder: steps start again where a run goes back, numbers never do."""
    return max((_number(path) for path in find_checkpoints(output_dir)), default=0) + 1


def _number(checkpoint: Path) -> int:
    try:
        record = read_record(checkpoint)
    except TrainingError:  # damaged, as `damage_of` says where it is asked for
        return 0
    return record.number if record else 0


def _has_no_record(checkpoint: Path) -> bool:
    try:
        read_record(checkpoint)
    except TrainingError:
        return True
    return False


def write_sums(checkpoint: str | os.PathLike) -> None:
    """Write the SHA-256 of every file of a checkpoint into it."""
    write_json(Path(checkpoint, SUMS), _sums(Path(checkpoint)), sort_keys=True)


def damage_of(checkpoint: str | os.PathLike) -> str | None:
    """What is wrong with the files of a checkpoint, one clause; `None` if they are as they were written."""
    checkpoint = Path(checkpoint)
    found = _sums(checkpoint)
    try:
        written = read_json(checkpoint / SUMS) if (checkpoint / SUMS).is_file() else found
        changed = sorted(name for name, digest in written.items() if found.get(name) != digest)
        read_record(checkpoint)
    except (ValueError, AttributeError):
        return f"{SUMS} or the record of the training cannot be read"
    empty = [name for name in found if name.endswith(".pkl") and not (checkpoint / name).stat().st_size]
    changed += sorted(set(empty) - set(changed))
    if not changed:
        return None
    kind = "is missing" if changed[0] not in found else "is not as it was written"
    return f"{changed[0]} {kind}" + (f", and {len(changed) - 1} more" if len(changed) > 1 else "")


def _sums(folder: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS):
        with path.open("rb") as file:
            sums[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def checkpoint_to_resume(arguments: OptimizationArguments) -> Path | None:
    """
    The checkpoint that a run goes on from.

    Returns:
        `Path`, *optional*: `None` for a run that begins: without `resume`, or with `"latest"` where there is none yet.

    Raises:
        TrainingError: if the one that is named is none, or is damaged; or, of several, each is.
    """
    if arguments.resume is None:
        return None
    if arguments.resume == "latest":
        return _latest(find_checkpoints(arguments.output_dir))
    folder = Path(arguments.resume)
    if not folder.is_dir():
        raise TrainingError(f"--resume {folder}: no such checkpoint folder to resume from.{_found(folder.parent)}")
    if not is_checkpoint(folder):
        raise TrainingError(
            f"--resume {folder}: this is no checkpoint of a training. To train on from a model, name it"
            f" with --pretrained.{_found(folder) or _found(folder.parent)}"
        )
    damage = damage_of(folder)
    if damage is not None:
        raise TrainingError(f"--resume {folder}: it is damaged ({damage}).{_found(folder.parent)}")
    return folder


def _latest(checkpoints: list[Path]) -> Path | None:
    """The last that is whole; those after it are named in a warning."""
    damage = {}
    unreadable = [folder for folder in checkpoints if _has_no_record(folder)]
    for folder in (*unreadable, *(folder for folder in reversed(checkpoints) if folder not in unreadable)):
        what = damage_of(folder)
        if what is None:
            for other, why in damage.items():
                logger.warning("%s is damaged (%s): going on from %s.", other, why, folder)
            return folder
        damage[folder] = what
    if damage:
        folder, what = next(iter(damage.items()))
        raise TrainingError(
            f"--resume latest: every checkpoint is damaged, the last one because {what}: {folder}. Begin again in"
            " another folder, from the model in best/ with --pretrained if there is one."
        )
    return None


def _found(folder: Path) -> str:
    found = find_checkpoints(folder)
    return f" There are {', '.join(map(str, found))}." if found else ""


def check_output_dir(arguments: OptimizationArguments) -> None:
    """
    Refuse to begin a run where another one is.

    Raises:
        TrainingError: says what to do.
    """
    output, begins = Path(arguments.output_dir), arguments.resume is None
    if output.exists() and not output.is_dir():
        raise TrainingError(f"--output_dir {output}: this is a file. Name a folder.")
    checkpoint = checkpoint_to_resume(arguments)
    inside = checkpoint is not None and checkpoint.resolve().parent == output.resolve()
    if arguments.overwrite_output_dir:
        if arguments.resume == "latest" or inside:
            raise TrainingError(
                "--overwrite_output_dir would delete what --resume is to go on with. Leave one of them out."
            )
        return
    found = [path.name for path in find_checkpoints(output)]
    found += [name for name in MODELS if (output / name).exists()]
    if arguments.resume == "latest" and checkpoint is None:
        begins = "final" in found  # else it was stopped before its first checkpoint, and begins again
    elif checkpoint is not None:
        begins = not inside
    if begins and found:
        raise TrainingError(
            f"--output_dir {output}: another run is in it ({', '.join(found)}). Name another folder; or go on with"
            " that run: --resume latest; or delete it when this one begins: --overwrite_output_dir."
        )


def clear_output_dir(output_dir: str | os.PathLike) -> None:
    """Delete what a run has left, and nothing else."""
    output = Path(output_dir)
    for path in (*find_checkpoints(output), *(output / name for name in (*MODELS, LOGS))):
        shutil.rmtree(path, ignore_errors=True)
    for name in (VALIDATIONS, FACTS_FILE):
        (output / name).unlink(missing_ok=True)


def forget_later_validations(output_dir: str | os.PathLike, step: int) -> None:
    """Drop the lines of validations after a step, which a run that was killed has made and will make again."""
    path = Path(output_dir, VALIDATIONS)
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        write_text(path, "".join(kept))


__all__ = [
    "CHECKPOINT",
    "FACTS_FILE",
    "VALIDATIONS",
    "check_output_dir",
    "checkpoint_to_resume",
    "clear_output_dir",
    "find_checkpoints",
    "forget_later_validations",
    "next_number",
]
