"""The training loop: steps and epochs, and how a run stops."""

from __future__ import annotations

import signal
import time

from accelerate import skip_first_batches
from tqdm.auto import tqdm

from .checkpoints import resume, save_checkpoint, save_model
from .state import State
from .step import in_any_process, train_step
from .validation import validate


def train(state: State):
    """Train until `max_steps`, or until SIGTERM or Ctrl-C asks to stop; a checkpoint is written either way."""
    arguments, progress, accelerator = state.arguments, state.progress, state.accelerator
    if arguments.with_tracking:
        accelerator.init_trackers("lip2wav")
    resume(state)
    bar = tqdm(total=arguments.max_steps, initial=progress.step, desc="steps", disable=not accelerator.is_main_process)
    handlers = {
        number: signal.signal(number, lambda *_: _request_stop(state)) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        while progress.step < arguments.max_steps and not state.stop_requested:
            train_epoch(state, bar)
            if state.stop_requested:
                break
            finished = progress.step >= arguments.max_steps
            if finished or progress.epoch % arguments.validation_epochs == 0:
                validate(state)
            if finished or progress.epoch % arguments.save_epochs == 0:
                save_checkpoint(state)
        save_checkpoint(state)
        if progress.step >= arguments.max_steps:
            save_model(state, "final")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        bar.close()
        if arguments.with_tracking:
            accelerator.end_training()


def _request_stop(state: State):
    state.stop_requested = True


def train_epoch(state: State, bar: tqdm):
    """The rest of the current epoch."""
    progress, loader = state.progress, state.train_loader
    loader.set_epoch(progress.epoch)
    loader.dataset.set_epoch(progress.epoch)
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
        ready = time.perf_counter()
        if not state.accelerator.sync_gradients:
            continue
        progress.step += 1
        bar.update()
        if progress.step % 10 == 0:
            _report_losses(state, losses, bar)
        if progress.step >= state.arguments.max_steps or _stop_together(state):
            break
    if not state.stop_requested:
        progress.epoch += 1
        progress.step_in_epoch = 0


def _report_losses(state: State, losses: dict[str, float], bar: tqdm):
    bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
    if state.arguments.with_tracking:
        progress = state.progress
        values = {f"train/{name}": value for name, value in losses.items()}
        values |= {
            "learning_rate": state.scheduler.get_last_lr()[0],
            "seconds_a_batch": progress.seconds / progress.batches,
            "share_of_time_waiting_for_data": progress.waiting_seconds / progress.seconds,
        }
        state.accelerator.log(values, progress.step)


def _stop_together(state: State) -> bool:
    """Whether any of the processes was asked to stop; all of them stop at the same step."""
    state.stop_requested = in_any_process(state, state.stop_requested)
    return state.stop_requested
