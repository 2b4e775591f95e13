"""The training of a voice in the background: one at a time, in a process of its own, which outlives the page."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import one_line
from ..files import write_json
from .recordings import StudioError


logger = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds in which a training that was told to stop saves its best model

Progress = Callable[[dict[str, Any]], None]
Learn = Callable[..., dict[str, Any]]
"""A function of the recordings' folder, the voice's folder, the options, `progress` and `stop`; gives the summary."""


@dataclass
class Status:
    """
    Where the training is.

    Attributes:
        state (`str`): `"idle"`, `"running"`, `"stopping"`, `"done"` or `"failed"`.
        stage (`str`), fraction (`float`), step (`int`), loss (`float`, *optional*), message (`str`), notes
            (`list[str]`): as of [`AdaptationProgress`].
        history (`list[tuple[int, float]]`): steps, and the error on the recordings held back after them.
        seconds (`float`): since it began.
        minutes (`float`): that it may take.
        takes (`int`): recordings that there were when it began.
        error (`str`): why it failed.
        result (`dict`, *optional*): the summary of what it has learnt.
    """

    state: str = "idle"
    stage: str = ""
    fraction: float = 0.0
    step: int = 0
    loss: float | None = None
    message: str = ""
    notes: list[str] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    minutes: float = 0.0
    takes: int = 0
    error: str = ""
    result: dict[str, Any] | None = None

    @property
    def active(self) -> bool:
        """Whether it is going on."""
        return self.state in ("running", "stopping")


class Learning:
    """
    The one training of a studio.

    Args:
        learn (function): what is run in the other process; it must be importable there. See `Learn`.
        notes (`Path`): JSON file in which the last status is kept for the next start of the studio.
        before (`Status`, *optional*): the status to begin with, from those notes.
    """

    def __init__(self, learn: Learn, notes: Path, before: Status | None = None) -> None:
        self._learn, self._notes = learn, notes
        self._status = before or Status()
        self._change = threading.Lock()
        self._process: Any = None
        self._stop: Any = None
        self._reader: threading.Thread | None = None
        self._began = 0.0

    def status(self) -> Status:
        """A copy of the present status."""
        with self._change:
            status = replace(self._status, history=list(self._status.history))
        if status.active:
            status.seconds = time.monotonic() - self._began
        return status

    def start(self, recordings: Path, voice: Path, takes: int, minutes: float, **options: Any) -> None:
        """
        Begin.

        Args:
            recordings (`Path`): the corpus.
            voice (`Path`): where the model goes.
            takes (`int`): how many recordings there are.
            minutes (`float`): the most that it may take.
            options: of [`Learn`].

        Raises:
            StudioError: if it is going on already.
        """
        with self._change:
            if self._status.active:
                raise StudioError("The training is running already. There is one at a time.")
            context = multiprocessing.get_context("spawn")  # a forked process would wait for torch's threads in vain
            receiver, sender = context.Pipe(duplex=False)
            self._stop = context.Event()
            arguments = (
                self._learn,
                sender,
                self._stop,
                os.getpid(),
                recordings,
                voice,
                {**options, "minutes": minutes},
            )
            process = context.Process(target=_run, args=arguments, name="lip2wav-studio-training")
            process.start()
            sender.close()
            self._process, self._began = process, time.monotonic()
            message = "Loading the networks, and looking at the first take."
            self._status = Status("running", stage="loading", minutes=minutes, takes=takes, message=message)
            self._reader = threading.Thread(target=self._read, args=(receiver, process), daemon=True)
            self._reader.start()

    def _read(self, receiver: multiprocessing.connection.Connection, process: Any) -> None:
        result: dict[str, Any] | None = None
        error = "The training ended without a word. Start it again; what it had learnt is kept."
        while True:
            try:
                kind, content = receiver.recv()
            except (EOFError, OSError):
                break
            if kind == "progress":
                self._note(content)
            elif kind == "done":
                result = content
            else:
                error = content
        process.join()
        receiver.close()
        with self._change:
            status = self._status
            status.seconds = time.monotonic() - self._began
            status.message = ""
            if result is not None:
                status.state, status.fraction, status.result = "done", 1.0, result
            else:
                status.state, status.error = "failed", error
            with contextlib.suppress(OSError):  # deleted, or on a full disk: only the next start loses
                if self._notes.parent.is_dir():
                    write_json(self._notes, asdict(status))

    def _note(self, progress: dict[str, Any]) -> None:
        with self._change:
            status = self._status
            status.stage, status.fraction = progress["stage"], progress["fraction"]
            status.step, status.message = progress["step"], progress["message"]
            status.notes = list(progress["notes"])
            status.loss = progress["loss"] if progress["loss"] is not None else status.loss
            error = progress["held_out_error"]
            if error is not None and (not status.history or status.history[-1] != (status.step, error)):
                if status.history and status.history[-1][0] == status.step:
                    status.history.pop()
                status.history.append((status.step, error))

    def stop(self) -> None:
        """Let it end, and save the best that it has learnt; does nothing where there is no training."""
        with self._change:
            if self._status.active and self._stop is not None:
                self._status.state = "stopping"
                self._stop.set()

    def cancel(self) -> None:
        """End it at once; what it has learnt since it last saved is lost."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            self._process.join(10)
        if self._reader is not None:
            self._reader.join(10)

    def forget(self) -> None:
        """As if there had never been a training."""
        self.cancel()
        with self._change:
            self._status = Status()

    def close(self) -> None:
        """End it, at the end of the studio: it saves its best model first, if that takes no longer than a minute."""
        self.stop()
        if self._process is not None:
            self._process.join(PATIENCE)
        self.cancel()


def last_status(content: Any) -> Status:
    """The status of an earlier studio, from its notes; what was running then has ended with it."""
    try:
        status = Status(**content)
        status.history = [(int(step), float(error)) for step, error in status.history]
    except (TypeError, ValueError, OverflowError):
        return Status()
    return Status() if status.active else status


def _run(
    learn: Learn,
    sender: multiprocessing.connection.Connection,
    stop: Any,
    parent: int,
    recordings: Path,
    voice: Path,
    options: dict[str, Any],
) -> None:
    """The other process: what comes of the training goes through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the studio, which tells this process to stop

    def progress(content: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the studio is gone
            sender.send(("progress", content))

    def asked_to_stop() -> bool:
        return stop.is_set() or os.getppid() != parent

    try:
        outcome = ("done", learn(recordings, voice, progress=progress, stop=asked_to_stop, **options))
    except (ValueError, OSError, ImportError) as error:
        outcome = ("failed", one_line(error))
    except Exception as error:
        logger.exception("the training failed")
        outcome = ("failed", f"Something went wrong in the training ({one_line(error)}). The recordings are kept.")
    with contextlib.suppress(OSError):
        sender.send(outcome)


def adapt_to_recordings(
    recordings: Path,
    voice: Path,
    *,
    model: str | None,
    minutes: float,
    phrases: list[str] | None,
    live: bool,
    progress: Progress,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """
    [`adapt`] with plain data in and out, for a pipe.

    Returns:
        `dict`: as [`summary_of`], and `checks`: of each recording with problems its file, its phrase, messages and
        whether it was used.
    """
    from ..adaptation.adapt import adapt  # noqa: PLC0415  brings torch, which the studio itself does without
    from ..adaptation.records import AdaptationProgress, OtherAdaptationError  # noqa: PLC0415

    def report(now: AdaptationProgress) -> None:
        progress(asdict(replace(now, message=now.message.replace(f"{recordings}{os.sep}", ""))))

    options: dict[str, Any] = {"model": model, "minutes": minutes, "phrases": phrases, "live": live}
    try:
        found = adapt(recordings, voice, **options, progress=report, stop=stop)
    except OtherAdaptationError:  # who trains again, with other phrases, wants another voice
        found = adapt(recordings, voice, **options, progress=report, stop=stop, resume=False)
    return summary_of(asdict(found)) | {
        "checks": [
            {
                "file": Path(check.file).name,
                "phrase": check.transcript or "",
                "usable": check.usable,
                "problems": [str(problem) for problem in check.problems],
            }
            for check in found.checks
            if check.problems
        ],
    }


def summary_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """
    What the page tells of an adaptation.

    Args:
        record (`Mapping`): the fields of [`Adaptation`], as adaptation.json has them.

    Returns:
        `dict`: `scores` (label, before, after), `missing` (what brings further ones), `steps`, `few_steps` (whether it
        has hardly learnt), `final_steps`, `voice_steps`, `minutes`, `clips`, `held_out` (how many recordings),
        `stopped`, `notes`, `given_voice` (how many sound files it was brought near), and `checks`, which are in no
        notes.
    """
    from ..adaptation.records import FEW_STEPS, Scores, score_rows  # noqa: PLC0415

    before, after = (None if record[name] is None else Scores(**record[name]) for name in ("before", "after"))
    return {
        "scores": [list(row) for row in score_rows(before, after)],
        "missing": after.missing if after is not None else "",
        "few_steps": record["steps"] < FEW_STEPS,
        "held_out": len(record["held_out"]),
        **{name: record.get(name, 0) for name in ("given_voice", "voice_steps")},
        "notes": list(record["notes"]),
        "checks": [],
        **{name: record[name] for name in ("steps", "final_steps", "minutes", "clips", "stopped")},
    }


__all__ = ["Learning", "Status", "adapt_to_recordings", "last_status", "summary_of"]
