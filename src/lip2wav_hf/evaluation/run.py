"""A resumable run over clips, by one process or by several: what is done, what is to do, and who does it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .scoring import EvaluationError, score_files
from .table import append_row, read_clips, write_rows, write_text


SETTINGS, CLIPS, RESULTS = "settings.json", "clips.csv", "results.json"
FINGERPRINT = "files_sha256"
LONGEST_WAIT = timedelta(hours=6)  # of the first process that is done for the last


@dataclass(frozen=True)
class Clip:
    """One clip to be scored.

    Attributes:
        speaker (`str`): whose it is; `"all"` where files lie in no folder.
        name (`str`): its name, unique for a speaker.
        original (`Path`): sound file or video with the original speech.
        generated (`Path`): sound file of the generated speech; a model writes it, in a folder it is there.
        sentence (`str`, *optional*): the GRID sentence spoken.
    """

    speaker: str
    name: str
    original: Path
    generated: Path
    sentence: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Speaker and name."""
        return self.speaker, self.name

    def __str__(self) -> str:
        return self.name if self.speaker == "all" else f"{self.speaker}/{self.name}"


@dataclass(frozen=True)
class Share:
    """The part of this process in an evaluation by several: every `count`-th clip, from `index` on."""

    index: int = 0
    count: int = 1
    state: Any = None

    @classmethod
    def of_this_process(cls, device: str | int | None = None) -> Share:
        """As `accelerate launch` or `torchrun` has set it up; the whole, where neither has."""
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
            return cls()
        if importlib.util.find_spec("accelerate") is None:
            raise EvaluationError("several processes need the package accelerate: pip install 'lip2wav_hf[evaluate]'.")
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
        """Go on when all processes have come here."""
        if self.state is not None:
            self.state.wait_for_everyone()


class Scorer:
    """Scores clips in other processes, or at once in this one.

    Args:
        workers (`int`): how many processes.
        metrics (sequence of `str`): keys of `scoring.CLIP_METRICS`.
        compat (`bool`): compute the lineage's forms too.
    """

    def __init__(self, workers: int, metrics: Sequence[str], compat: bool):
        self.options = (tuple(metrics), compat)
        self.executor = None
        if workers > 1:
            self.executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_use_one_thread)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exception) -> None:
        if self.executor:
            self.executor.shutdown(cancel_futures=True)

    def submit(self, clip: Clip) -> Future:
        """The scores of a clip, once they are there; see [`collect`]."""
        arguments = (clip.generated, clip.original, clip.sentence, *self.options)
        if self.executor:
            return self.executor.submit(score_files, *arguments)
        future: Future = Future()
        try:
            future.set_result(score_files(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class WorkerError(EvaluationError):
    """A process that computes metrics has gone."""


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def collect(future: Future) -> dict[str, Any]:
    """The scores that a [`Scorer`] has promised.

    Raises:
        WorkerError: if the process that should compute them has gone.
        ValueError: see `scoring.score_files`.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerError(
            "a process that computes metrics was ended from outside, perhaps for lack of memory; start again with"
            " fewer --workers: what is done is kept."
        ) from error


@dataclass
class Run:
    """A resumable evaluation of some clips in one output folder, by one process or by several."""

    clips: list[Clip]
    output_dir: Path
    settings: dict[str, Any]
    columns: list[str]
    share: Share
    overwrite: bool = False

    def take_up(self) -> tuple[list[dict[str, Any]], list[Clip]]:
        """Make the output folder ready; rows of the clips that are finished, and the clips left to this process."""
        self._check_folder()
        if self.share.is_main:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            rows = [] if self._is_stale() else self._finished_rows()
            write_text(self.output_dir / SETTINGS, json.dumps(self.settings, indent=2) + "\n")
            write_rows(self.output_dir / CLIPS, rows, self.columns)
            for path in self._parts():
                path.unlink()
        self.share.wait()
        rows = self._in_order(read_clips(self.output_dir / CLIPS))
        done = {(row["speaker"], row["name"]) for row in rows}
        todo = [clip for clip in self.clips if clip.key not in done]
        return rows, todo[self.share.index :: self.share.count]

    def _check_folder(self) -> None:
        before = self._settings_before()
        if self.overwrite or before is None:
            return
        differing = [key for key in before.keys() | self.settings.keys() if before.get(key) != self.settings.get(key)]
        if set(differing) - {FINGERPRINT}:
            raise EvaluationError(
                f"{self.output_dir}: holds the evaluation of another model or split, or with other options"
                f" ({', '.join(sorted(differing))}); give another output folder, or overwrite=True (--overwrite)."
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
            raise EvaluationError(f"{path}: cannot be read; give another output folder, or --overwrite.") from None

    def _is_stale(self) -> bool:
        return self.overwrite or self._settings_before() != self.settings

    def _finished_rows(self) -> list[dict[str, Any]]:
        paths = [
            path for path in (self.output_dir / CLIPS, *self._parts()) if path.suffix == ".csv" and path.is_file()
        ]
        rows = {(row["speaker"], row["name"]): row for path in paths for row in read_clips(path)}
        return self._in_order(list(rows.values()))

    def _in_order(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        order = {clip.key: number for number, clip in enumerate(self.clips)}
        rows = [row for row in rows if (row["speaker"], row["name"]) in order]
        return sorted(rows, key=lambda row: order[row["speaker"], row["name"]])

    def _parts(self) -> list[Path]:
        """What processes that were stopped, or that are not the main one, have written."""
        return sorted(path for pattern in ("clips.*.csv", "failures.*.json") for path in self.output_dir.glob(pattern))

    def finish(
        self, produce: Callable[[list[Clip], list], Iterable[dict[str, Any] | None]], progress: bool, task: str
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Do what is left, and give the rows and the failures of all processes, in the order of the clips."""
        rows, todo = self.take_up()
        alone = self.share.count == 1
        own_file = self.output_dir / (CLIPS if alone else f"clips.{self.share.index}.csv")
        if not alone:
            write_rows(own_file, [], self.columns)
            task += f" (process {self.share.index} of {self.share.count})"
        failures: list[dict[str, str]] = []
        total, initial = (len(self.clips), len(rows)) if alone else (len(todo), 0)
        show = progress and self.share.is_main
        with tqdm(desc=task, total=total, initial=initial, unit="clip", disable=not show) as bar:
            for row in produce(todo, failures):
                if row is not None:
                    rows.append(row)
                    append_row(own_file, row, self.columns)
                bar.update()
        return self._gather(rows, failures)

    def _gather(self, rows: list, failures: list) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        if self.share.count > 1:
            own = self.output_dir / f"failures.{self.share.index}.json"
            write_text(own, json.dumps(failures))
            self.share.wait()
            rows = self._finished_rows()
            files = sorted(self.output_dir.glob("failures.*.json"))
            failures = [failure for path in files for failure in json.loads(path.read_text(encoding="utf-8"))]
            self.share.wait()  # until all have read
        rows = self._in_order(rows)
        if self.share.is_main:
            write_rows(self.output_dir / CLIPS, rows, self.columns)
            for path in self._parts():
                path.unlink()
        order = {str(clip): number for number, clip in enumerate(self.clips)}
        return rows, sorted(failures, key=lambda failure: order[failure["clip"]])


__all__ = ["CLIPS", "FINGERPRINT", "RESULTS", "SETTINGS", "Clip", "Run", "Scorer", "Share", "WorkerError", "collect"]
