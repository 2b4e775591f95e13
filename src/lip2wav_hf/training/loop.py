"""The training loop: steps and epochs, and how a run stops."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any, cast

from accelerate import skip_first_batches

from ..corpora.progress import Bar, progress_bar
from ..machine import return_memory
from .checkpoints import begin, save_checkpoint, save_model
from .reporting import report_start, say
from .schedule import Schedule
from .state import State
from .step import in_any_process, train_step
from .stopping import StopRequests, stop_requests
from .threads import FittingThreads
from .validation import missing_scores, speaks, validate


MEMORY_BATCHES = 10  # between two returns of memory: 0.1 s each, where a batch takes one or two


@dataclass
class _Run:
    """What the loop needs besides the state: when to do what, and requests to stop."""

    state: State
    schedule: Schedule
    requests: StopRequests
    bar: Bar
    threads: FittingThreads

    @property
    def finished(self) -> bool:
        return self.state.progress.step >= self.state.arguments.max_steps


def train(state: State) -> None:
    """
    Train until `max_steps`, or until SIGTERM, Ctrl-C or the end of the launcher asks to stop; a checkpoint is written
    either way.

    Raises:
        TrainingError: if there is no checkpoint to resume from, or a loss is no longer a number or explodes.
    """
    arguments, progress, accelerator = state.arguments, state.progress, state.accelerator
    schedule = Schedule.of(state)
    begin(state)
    if arguments.with_tracking:
        accelerator.init_trackers("lip2wav")
    report_start(state, schedule)
    if speaks(state) and (reason := missing_scores()):
        say(state, f"{reason} Validation goes without them.")
    main = accelerator.is_main_process and state.observer is None
    bar = progress_bar(None, "training", arguments.max_steps, "step", initial=progress.step, show=main)
    threads = FittingThreads(accelerator.device)
    try:
        with bar, stop_requests(functools.partial(_answer_stop, state)) as requests:
            _train(_Run(state, schedule, requests, bar, threads))
    finally:
        threads.restore()
        if arguments.with_tracking:
            accelerator.end_training()


def _answer_stop(state: State) -> None:
    """Say at once what a signal to stop does: a step, or a validation, may take long."""
    if state.observer is not None:
        state.observer.when_interrupted()
    say(state, "stopping after this step; then a checkpoint is written.")


def _train(run: _Run) -> None:
    state = run.state
    if not run.finished:
        _validate_and_save(run)  # where a run was stopped before it had done so
    while not run.finished and not _stop_together(run):
        _train_epoch(run)
        if not state.stop_requested and not run.finished:
            _validate_and_save(run)
    if run.finished and not _stop_together(run) and state.progress.validated_step < state.progress.step:
        validate(state)
    save_checkpoint(state)
    if run.finished:
        save_model(state, "final")


def _validate_and_save(run: _Run) -> None:
    """Validate and save, if due at this step and not done yet."""
    progress = run.state.progress
    if run.schedule.validation.is_due(progress) and progress.validated_step < progress.step:
        validate(run.state)
    if run.schedule.saving.is_due(progress):
        save_checkpoint(run.state)


def _train_epoch(run: _Run) -> None:
    """The rest of the current epoch."""
    state, progress, loader = run.state, run.state.progress, run.state.train_loader
    cast(Any, loader).set_epoch(progress.epoch)  # accelerate's, which shuffles by epoch
    state.training_clips.set_epoch(progress.epoch)
    batches = skip_first_batches(loader, progress.step_in_epoch) if progress.step_in_epoch else loader
    state.objective.train()
    ready = time.perf_counter()
    for batch in batches:
        start = time.perf_counter()
        losses = train_step(state, batch)
        progress.batches += 1
        progress.step_in_epoch += 1
        progress.waiting_seconds += start - ready
        progress.seconds += time.perf_counter() - ready
        run.threads.note_batch()
        if progress.batches % MEMORY_BATCHES == 0:
            return_memory()
        if state.accelerator.sync_gradients:
            progress.step += 1
            run.bar.update()
            if state.observer is not None:
                state.observer.after_step(state, losses)
            if progress.step % state.arguments.logging_steps == 0:
                _report_losses(state, losses, run.bar)
            if run.finished or _stop_together(run):
                break
            _validate_and_save(run)
        ready = time.perf_counter()
    else:
        progress.epoch += 1
        progress.step_in_epoch = 0


def _report_losses(state: State, losses: dict[str, float], bar: Bar) -> None:
    bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
    if state.arguments.with_tracking:
        progress = state.progress
        values: dict[str, Any] = {f"train/{name}": value for name, value in losses.items()}
        values |= {
            "learning_rate": state.scheduler.get_last_lr()[0],
            "seconds_a_batch": progress.seconds / progress.batches,
            "share_of_time_waiting_for_data": progress.waiting_seconds / progress.seconds,
        }
        state.accelerator.log(values, progress.step)


def _stop_together(run: _Run) -> bool:
    """Whether any of the processes was asked to stop; all of them stop at the same step."""
    state = run.state
    state.stop_requested = in_any_process(state, state.stop_requested or run.requests.received is not None)
    return state.stop_requested


__all__ = ["train"]
