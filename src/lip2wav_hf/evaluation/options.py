"""The options of an evaluation: which clips, how they are scored, and the command line for the same."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..corpora.clips import Selection
from ..corpora.registry import is_dataset_name
from ..errors import Lip2WavError, check_dtype
from ..machine import available_cores
from ..metrics.registry import METRICS
from ..models import DEFAULT_MODEL


FEW_SOUNDS = 8  # of which each is scored in 1.4 s; another process takes 11 s to import what the metrics need


class EvaluationError(Lip2WavError):
    """An evaluation that cannot be run as asked."""


@dataclass(frozen=True)
class ClipSelection:
    """
    Clips of a corpus.

    Attributes:
        data_dir (`Path`): folder of the corpus, or name of a dataset on the Hub.
        split (`str`): one of its splits, such as `"validation"`.
        speakers (`tuple[str, ...]`, *optional*): only these; all of the split by default.
        splits_file (`Path`, *optional*): another file than `data_dir/splits.json`.
        limit (`int`, *optional*): only the first N clips.
        split_scheme (`str`): which clips are in which split; see [`Selection`].
    """

    data_dir: Path
    split: str = "validation"
    speakers: tuple[str, ...] | None = None
    splits_file: Path | None = None
    limit: int | None = None
    split_scheme: str = "custom"

    def __post_init__(self) -> None:
        if not self.data_dir.is_dir() and not is_dataset_name(self.data_dir):
            raise EvaluationError(f"{self.data_dir}: no such folder. Give the folder that holds the corpus.")
        if self.limit is not None and self.limit < 1:
            raise EvaluationError(f"a limit of {self.limit} clips: it must be at least 1.")

    @property
    def of_corpus(self) -> Selection:
        """The same, as corpora are asked for it."""
        return Selection(self.split_scheme, self.splits_file, self.speakers)

    @property
    def data(self) -> str:
        """What reports and cards call the data: the folder's name, or that on the Hub."""
        if is_dataset_name(self.data_dir):
            return self.data_dir.as_posix()
        return self.data_dir.resolve().name


def described(data: str, split: str, speakers: Sequence[str] | None) -> str:
    """Clips in a title: `grid, split test`; of which speakers, if only some were chosen."""
    only = f", {'speaker' if len(speakers) == 1 else 'speakers'} {', '.join(speakers)}" if speakers else ""
    return f"{data}, split {split}{only}"


@dataclass(frozen=True)
class JudgeOptions:
    """
    Who is to hear the words.

    Attributes:
        judge (`str`, *optional*): `"grid"`, `"sentences"`, `"open"`, or the name of a speech recogniser of
            transformers; chosen from what is said by default.
        grammar (`str`, *optional*): file of the sentences that it knows.
        language (`str`, *optional*): of words that its dictionary lacks, as eSpeak NG calls it.
    """

    judge: str | None = None
    grammar: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if self.judge is not None and self.grammar is not None:
            raise EvaluationError(
                f"the judge {self.judge} takes no grammar: give --judge-grammar for pocketsphinx with these sentences,"
                " or --judge for another recogniser."
            )

    def as_arguments(self) -> list[str]:
        """The arguments of `lip2wav evaluate` for these."""
        given = {"--judge": self.judge, "--judge-grammar": self.grammar, "--judge-language": self.language}
        return [word for option, value in given.items() if value is not None for word in (option, value)]


@dataclass(frozen=True)
class EvaluationOptions:
    """
    How clips are scored, and what is written.

    Attributes:
        output_dir (`Path`): where everything is written.
        metrics (`tuple[str, ...]`): keys of `METRICS`.
        compat (`bool`): compute the lineage's forms of the metrics too.
        judge ([`JudgeOptions`]): who hears the words.
        baselines (`tuple[str, ...]`): what the same clips are compared with.
        device (`str` or `int`, *optional*): where a model runs.
        dtype (`str`, *optional*): what a model calculates in, one of `DTYPES`; as the checkpoint says by default.
        grammar (`str`, *optional*): file of the sentences that a model may say, or `"none"` for any; the model's own
            by default.
        batch_size (`int`): clips that go through a pipeline together.
        workers (`int`, *optional*): processes that score; if `None`, see [`processes`].
        overwrite (`bool`): start again where `output_dir` holds an evaluation.
        report (`bool`): write `report.html`.
        progress (`bool`): say on stderr what is being done, with a progress bar.
        labels (mapping of `str` to `str`): what to call models and baselines, instead of the names of their folders.
    """

    output_dir: Path
    metrics: tuple[str, ...] = tuple(METRICS)
    compat: bool = False
    judge: JudgeOptions = JudgeOptions()
    baselines: tuple[str, ...] = ()
    device: str | int | None = None
    dtype: str | None = None
    grammar: str | None = None
    beam: int | None = None
    batch_size: int = 8
    workers: int | None = 1
    overwrite: bool = False
    report: bool = True
    progress: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("batch_size", "workers"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise EvaluationError(f"{name} is {number}: it must be at least 1.")
        check_dtype(self.dtype and str(self.dtype), error=EvaluationError)  # it goes into a command line

    def processes(self, sounds: int) -> int:
        """
        How many processes score some sounds: `workers`, or if it is `None` one per core, which the processes of a
        launcher share, and one alone for less than 8 sounds; never more than sounds.
        """
        number = self.workers
        if number is None:
            launched = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
            number = 1 if sounds < FEW_SOUNDS else available_cores() // max(launched, 1)
        return max(1, min(number, sounds))

    def say(self, text: str) -> None:
        """Write a line to stderr, if progress is to be shown."""
        if self.progress:
            print(text, file=sys.stderr, flush=True)

    def as_arguments(self) -> list[str]:
        """The arguments of `lip2wav evaluate` that change the numbers, and the output folder."""
        arguments = [word for baseline in self.baselines for word in ("--baseline", baseline)]
        if self.metrics != tuple(METRICS):
            arguments += ["--metrics", ",".join(self.metrics)]
        arguments += ["--compat"] * self.compat
        arguments += self.judge.as_arguments()
        arguments += ["--dtype", self.dtype] if self.dtype else []
        arguments += ["--grammar", self.grammar] if self.grammar else []
        arguments += ["--beam", str(self.beam)] if self.beam is not None else []
        return [*arguments, "-o", os.fspath(self.output_dir)]


def model_command(model: Any, selection: ClipSelection, options: EvaluationOptions) -> str | None:
    """
    The command line that measures a model again in the same way.

    Args:
        model (`str`, `os.PathLike` or pipeline, *optional*): as `evaluate_model` takes it.
        selection ([`ClipSelection`]): the clips.
        options ([`EvaluationOptions`]): how they are scored.

    Returns:
        `str`, *optional*: `None` for a system that no command can name.
    """
    if model is None:
        model = DEFAULT_MODEL
    elif not isinstance(model, (str, os.PathLike)):
        model = getattr(getattr(model, "model", None), "name_or_path", "") or None
    if model is None:
        return None
    arguments = ["--model", os.fspath(model), "--data", os.fspath(selection.data_dir)]
    arguments += ["--split-scheme", selection.split_scheme] if selection.split_scheme != "custom" else []
    arguments += ["--split", selection.split]
    arguments += [word for speaker in selection.speakers or () for word in ("--speaker", speaker)]
    arguments += ["--splits-file", os.fspath(selection.splits_file)] if selection.splits_file else []
    arguments += ["--limit", str(selection.limit)] if selection.limit else []
    return shlex.join(["lip2wav", "evaluate", *arguments, *options.as_arguments()])


def folders_command(generated: Path, reference: Path, skip_missing: bool, options: EvaluationOptions) -> str:
    """The command line that scores two folders again in the same way."""
    arguments = ["--generated", os.fspath(generated), "--reference", os.fspath(reference)]
    arguments += ["--skip-missing"] * skip_missing
    return shlex.join(["lip2wav", "evaluate", *arguments, *options.as_arguments()])


__all__ = [
    "ClipSelection",
    "EvaluationError",
    "EvaluationOptions",
    "JudgeOptions",
    "described",
    "folders_command",
    "model_command",
]
