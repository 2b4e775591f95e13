"""A resumable run over clips, in one process or several: what is done, what is left, and which process does it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..corpora.clips import is_sound
from ..corpora.progress import progress_bar
from ..errors import require_packages
from ..files import write_json
from ..machine import end_workers, process_pool
from ..metrics.registry import METRICS
from .clips import Clip, ClipRow, Key
from .judging import Words
from .options import EvaluationError, EvaluationOptions
from .scoring import load_metrics, score_files
from .table import append_row, read_clips, write_rows


SETTINGS, CLIPS, RESULTS = "settings.json", "clips.csv", "results.json"
FINGERPRINTS = "files_sha256"  # of each clip, in the settings
LONGEST_WAIT = timedelta(hours=6)  # of the first process that is done for the last


@dataclass(frozen=True)
class Share:
    """The part of this process in an evaluation by several: every `count`-th clip, from `index` on."""

    index: int = 0
    count: int = 1
    state: Any = None

    @classmethod
    def of_this_process(cls, device: str | int | None = None) -> Share:
        """As set by `accelerate launch` or `torchrun`; everything without them."""
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
            return cls()
        require_packages("evaluate", "an evaluation by several processes", "accelerate")
        import torch
        from accelerate import PartialState

        on_cpu = str(device) == "cpu" or not torch.cuda.is_available()
        state = PartialState(cpu=on_cpu, timeout=LONGEST_WAIT)
        return cls(state.process_index, state.num_processes, state)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the results."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.state is not None:
            self.state.wait_for_everyone()


class Scorer:
    """
    Scores clips in other processes, or at once in this one.

    Args:
        options ([`EvaluationOptions`]): how many processes, and which metrics.
        words ([`Words`], *optional*): who hears the words.
    """

    def __init__(self, options: EvaluationOptions, words: Words = Words()) -> None:
        self.options, self.words = options, words
        self.executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.executor:
            self.executor.shutdown(cancel_futures=True)

    def load(self, clips: list[Clip], systems: int = 1) -> None:
        """
        Load what the metrics need, and say what is being loaded: it takes some seconds.

        Args:
            clips (`list[Clip]`): all that will be submitted.
            systems (`int`, *optional*, defaults to 1): how many sounds there will be of each.
        """
        self.options.say(f"loading the metrics: {', '.join(self.options.metrics)} …")
        with_video = not all(is_sound(clip.original) for clip in clips)
        what = (self.options.metrics, with_video, self.words.judge)
        number = self.options.processes(len(clips) * systems)
        if number == 1:
            load_metrics(*what, progress=self.options.progress)
            return
        modules = [load_metrics.__module__, *(METRICS[name].module for name in self.options.metrics)]
        self.executor = process_pool(number, modules)
        try:
            # One of them says which metric it has come to: all have the same to do.
            loading = [
                self.executor.submit(load_metrics, *what, progress=self.options.progress and not index)
                for index in range(number)
            ]
            wait(loading)
        except KeyboardInterrupt:  # who wants to end need not wait for what is loaded in vain
            end_workers(self.executor)
            raise
        for future in loading:
            collect(future)

    def submit(self, clip: Clip, text: str | None = None) -> Future:
        """
        The scores of a clip, when they are ready; see [`collect`].

        Args:
            clip ([`Clip`]): the clip.
            text (`str`, *optional*): what the system's text head recognised.
        """
        phrases = None if self.words.phrases is None else len(self.words.phrases)
        known = {"text": text, "judge": self.words.judge, "phrases": phrases}
        arguments = (clip.generated, clip.original, clip.sentence, self.options.metrics, self.options.compat)
        if self.executor:
            return self.executor.submit(score_files, *arguments, **known)
        future: Future = Future()
        try:
            future.set_result(score_files(*arguments, **known))
        except Exception as error:
            future.set_exception(error)
        return future


class WorkerError(EvaluationError):
    """A process that computes metrics has died."""


def collect(future: Future) -> Any:
    """The result of [`Scorer.submit`]: the scores of a clip by column.

    Raises:
        WorkerError: if the process that should compute them has gone.
        ValueError: see `scoring.score_files`.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerError(
            "a process that computes metrics was killed, perhaps because memory ran out; start again with"
            " fewer `workers=`: what is done is kept."
        ) from error


@dataclass(frozen=True)
class Failure:
    """
    A clip that could not be scored.

    Attributes:
        clip (`str`): the clip, as reports call it.
        error (`str`): why, the clip named first.
    """

    clip: str
    error: str

    @classmethod
    def of(cls, clip: Clip, error: Exception) -> Failure:
        """From the exception that a clip raised."""
        return cls(str(clip), f"{clip}: {error}")


Produce = Callable[[list[Clip], list[Failure]], Iterator[ClipRow | None]]
"""From clips to their rows, in any order; `None` for one that is now among the failures."""


@dataclass(frozen=True)
class Run:
    """
    A resumable evaluation of some clips in one output folder, by one process or by several.

    Attributes:
        clips (`list[Clip]`): all clips, of every process.
        output_dir (`Path`): the folder.
        settings (`dict`): what an earlier run in this folder must have been asked for, if it is to be gone on with.
        columns (`list[str]`): of `clips.csv`.
        share ([`Share`]): the part of this process.
        overwrite (`bool`): start again where the folder holds an evaluation.
        generated_before (`bool`): the generated sound is scored as it is there, and may have changed.
    """

    clips: list[Clip]
    output_dir: Path
    settings: dict[str, Any]
    columns: list[str]
    share: Share
    overwrite: bool = False
    generated_before: bool = False

    def take_up(self) -> tuple[list[ClipRow], list[Clip]]:
        """
        Make the output folder ready; rows of the clips that are finished, and the clips left to this process. One
        whose words or files are others than they were is not finished.
        """
        self._check_folder()
        if self.share.is_main:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            versions = {str(clip): clip.version(self.generated_before) for clip in self.clips}
            rows = self._kept_rows(versions)
            write_rows(self.output_dir / CLIPS, rows, self.columns)
            for path in self._parts():
                path.unlink()
            write_json(self.output_dir / SETTINGS, self.settings | {FINGERPRINTS: versions})
        self.share.wait()
        rows = self._in_order(read_clips(self.output_dir / CLIPS))
        done = {row.key for row in rows}
        todo = [clip for clip in self.clips if clip.key not in done]
        return rows, todo[self.share.index :: self.share.count]

    def _check_folder(self) -> None:
        before = self._settings_before()
        if self.overwrite or before is None or not self._finished_rows():  # where nothing was done, nothing is lost
            return
        differing = self._differing(before)
        if differing:
            raise EvaluationError(
                f"{self.output_dir}: holds the evaluation of another model or split, or with other options"
                f" ({', '.join(sorted(differing))}); give another output folder, or `overwrite=True`."
            )

    def _settings_before(self) -> dict[str, Any] | None:
        path = self.output_dir / SETTINGS
        if self.output_dir.exists() and not self.output_dir.is_dir():
            raise EvaluationError(f"{self.output_dir}: is a file; name a folder for the results.")
        if not path.is_file():
            return None
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            if self.overwrite:
                return None
            raise EvaluationError(
                f"{path}: cannot be read; give another output folder, or `overwrite=True`."
            ) from None

    def _differing(self, before: dict[str, Any]) -> list[str]:
        keys = (before.keys() | self.settings.keys()) - {FINGERPRINTS}
        return [key for key in keys if before.get(key) != self.settings.get(key)]

    def _kept_rows(self, versions: dict[str, str]) -> list[ClipRow]:
        """Of clips that were measured with the same settings, and have not changed since."""
        before = self._settings_before()
        if self.overwrite or before is None or self._differing(before):
            return []
        measured = before.get(FINGERPRINTS)
        if not isinstance(measured, dict):  # of an older version, which did not look at each clip
            return []
        labels = {clip.key: str(clip) for clip in self.clips}
        return [row for row in self._finished_rows() if measured.get(labels[row.key]) == versions[labels[row.key]]]

    def _finished_rows(self) -> list[ClipRow]:
        paths = [
            path for path in (self.output_dir / CLIPS, *self._parts()) if path.suffix == ".csv" and path.is_file()
        ]
        rows = {row.key: row for path in paths for row in read_clips(path)}
        return self._in_order(list(rows.values()))

    def _in_order(self, rows: list[ClipRow]) -> list[ClipRow]:
        order: dict[Key, int] = {clip.key: number for number, clip in enumerate(self.clips)}
        return sorted((row for row in rows if row.key in order), key=lambda row: order[row.key])

    def _parts(self) -> list[Path]:
        """What processes that were stopped, or that are not the main one, have written."""
        return sorted(path for pattern in ("clips.*.csv", "failures.*.json") for path in self.output_dir.glob(pattern))

    def finish(self, produce: Produce, progress: bool, task: str) -> tuple[list[ClipRow], list[Failure]]:
        """
        Do what is left.

        Args:
            produce (`Produce`): what makes rows of clips. It is called only if there are clips to do, and the progress
                bar starts when it has returned: what it loads does not count.
            progress (`bool`): show a progress bar.
            task (`str`): what the bar says.

        Returns:
            `tuple[list[ClipRow], list[Failure]]`: of all processes, in the order of the clips.
        """
        rows, todo = self.take_up()
        alone = self.share.count == 1
        own_file = self.output_dir / (CLIPS if alone else f"clips.{self.share.index}.csv")
        if not alone:
            write_rows(own_file, [], self.columns)
            task += f" (process {self.share.index} of {self.share.count})"
        failures: list[Failure] = []
        made: Iterable[ClipRow | None] = produce(todo, failures) if todo else ()
        total, initial = (len(self.clips), len(rows)) if alone else (len(todo), 0)
        show = progress and self.share.is_main
        with progress_bar(None, task, total, initial=initial, show=show) as bar:
            for row in made:
                if row is not None:
                    rows.append(row)
                    append_row(own_file, row, self.columns)
                bar.update()
        return self._gather(rows, failures)

    def _gather(self, rows: list[ClipRow], failures: list[Failure]) -> tuple[list[ClipRow], list[Failure]]:
        if self.share.count > 1:
            own = [{"clip": failure.clip, "error": failure.error} for failure in failures]
            write_json(self.output_dir / f"failures.{self.share.index}.json", own)
            self.share.wait()
            rows = self._finished_rows()
            files = sorted(self.output_dir.glob("failures.*.json"))
            failures = [Failure(**entry) for path in files for entry in json.loads(path.read_text(encoding="utf-8"))]
            self.share.wait()  # until all have read
        rows = self._in_order(rows)
        if self.share.is_main:
            write_rows(self.output_dir / CLIPS, rows, self.columns)
            for path in self._parts():
                path.unlink()
        order = {str(clip): number for number, clip in enumerate(self.clips)}
        return rows, sorted(failures, key=lambda failure: order[failure.clip])


__all__ = [
    "CLIPS",
    "FINGERPRINTS",
    "RESULTS",
    "SETTINGS",
    "Failure",
    "Produce",
    "Run",
    "Scorer",
    "Share",
    "WorkerError",
    "collect",
]
