"""What a run writes about itself beside the weights in each of its folders, and what has changed when it goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from ..files import read_fields, write_json
from .arguments import TrainingArguments, TrainingError, Use


RECORD_FILE = "training.json"
NOT_COMPARED = ("resume", "output_dir", "overwrite_output_dir")  # how a run begins and where it lies


@dataclass(frozen=True)
class Record:
    """
    What is true of the weights that lie beside it.

    Attributes:
        step (`int`): optimiser steps that were taken.
        number (`int`): of the checkpoint among those of its folder, in the order in which they were written; 0 for a
            model.
        processes (`int`): how many trained.
        options (`dict[str, Any]`): the value of each option, by its name.
        clips (`dict[str, str]`): fingerprints of the clips to train and to validate on.
        feature_extractor (`dict[str, Any]`): the settings of what made the crops.
        facts (`dict[str, Any]`): fields of card.yaml.
    """

    step: int
    number: int
    processes: int
    options: dict[str, Any]
    clips: dict[str, str] = field(default_factory=dict)
    feature_extractor: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields = (self.options, self.clips, self.feature_extractor, self.facts)
        if type(self.step) is not int or not all(isinstance(each, dict) for each in fields):
            raise TypeError("step is a whole number; options, clips, feature_extractor and facts are objects")


def write_record(folder: str | os.PathLike, record: Record) -> None:
    """Write the record of a folder."""
    write_json(Path(folder, RECORD_FILE), dataclasses.asdict(record))


def read_record(folder: str | os.PathLike) -> Record | None:
    """
    The record of a folder; None if there is none.

    Raises:
        TrainingError: if there is one that cannot be read.
    """
    path = Path(folder, RECORD_FILE)
    if not path.is_file():
        return None
    content = read_fields(path, TrainingError)
    known = {each.name for each in dataclasses.fields(Record)}
    try:
        return Record(**{name: value for name, value in content.items() if name in known})
    except (TypeError, AttributeError) as error:
        raise TrainingError(f"{path}: this is not the record of a training ({error}).") from error


def changes(record: Record, run: TrainingArguments) -> dict[str, tuple[Any, Any]]:
    """What each option was, and is, where it has changed since a record was written."""
    now, defaults = json.loads(json.dumps(run.options())), run.defaults()
    was = {name: record.options.get(name, defaults.get(name)) for name in now if name not in NOT_COMPARED}
    return {name: (value, now[name]) for name, value in was.items() if not _is_same(value, now[name])}


def _is_same(was: Any, value: Any) -> bool:
    """Whether an option has the same value, or names the same file or folder by another path."""
    if isinstance(was, list) and isinstance(value, list) and len(was) == len(value):
        return all(map(_is_same, was, value))
    if was == value or not (isinstance(was, str) and isinstance(value, str)):
        return was == value
    return os.path.exists(was) and os.path.exists(value) and os.path.samefile(was, value)


def describe_changes(changed: dict[str, tuple[Any, Any]]) -> str:
    """`name: was -> is` of each, on one line."""
    return "; ".join(f"{name}: {_shown(was)} -> {_shown(value)}" for name, (was, value) in changed.items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "none" if value is None else str(value)


def check_kept(checkpoint: Path, run: TrainingArguments) -> None:
    """
    Refuse to resume a run with another value of an option that must stay.

    Args:
        checkpoint (`Path`): that it is to be resumed from; nothing is compared where it has no record.
        run ([`TrainingArguments`]): the options.

    Raises:
        TrainingError: names them, with what they were.
    """
    record = read_record(checkpoint)
    kept = _kept_options(run)
    changed = {} if record is None else {name: each for name, each in changes(record, run).items() if name in kept}
    if changed:
        raise cannot_change(checkpoint, describe_changes(changed))


def cannot_change(checkpoint: Path, what: str) -> TrainingError:
    """The error for a run that cannot go on from a checkpoint, because something is not as it was."""
    return TrainingError(
        f"{checkpoint} cannot be resumed with another network or other clips ({what}). Set them as they were; or begin"
        f" a run of its own from the weights: --pretrained {checkpoint.parent / 'best'} and another --output_dir,"
        " without --resume."
    )


def _kept_options(run: TrainingArguments) -> set[str]:
    return {
        name
        for section in run
        for name, hint in get_type_hints(type(section), include_extras=True).items()
        if any(isinstance(use, Use) and use.kept for use in getattr(hint, "__metadata__", ()))
    }


__all__ = [
    "RECORD_FILE",
    "Record",
    "cannot_change",
    "changes",
    "check_kept",
    "describe_changes",
    "read_record",
    "write_record",
]
