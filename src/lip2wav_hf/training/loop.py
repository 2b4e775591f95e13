"""The training loop: steps and epochs, and how a run stops."""

from __future__ import annotations

import math
import signal
import time

import torch
from accelerate import skip_first_batches
from accelerate.utils import (
    reduce,
)
from tqdm.auto import tqdm

from .checkpoints import resume, save_checkpoint, save_model
from .losses import adversarial_loss
from .state import State, TrainingError
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
    state.stop_requested = _in_any_process(state, state.stop_requested)
    return state.stop_requested


def _in_any_process(state: State, flag: bool) -> bool:
    if state.accelerator.num_processes == 1:
        return flag
    return bool(reduce(torch.tensor(float(flag), device=state.accelerator.device), "sum").item())


def train_step(state: State, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """One batch, and an optimiser step unless gradients are still being gathered; returns the weighted losses."""
    accelerator = state.accelerator
    with accelerator.accumulate(state.objective):
        with accelerator.autocast():
            losses = state.objective(batch)
        _check_losses(state, losses)
        judged = _adversarial_losses(state) if state.critic is not None else {}
        total = sum(losses.values()) + judged.get("adversarial", 0.0)
        accelerator.backward(total)
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(state.objective.parameters(), state.arguments.max_gradient_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if accelerator.sync_gradients:
            state.scheduler.step()
            state.average.update(state.model)
    return {name: float(value.detach()) for name, value in (losses | judged).items()}


def _check_losses(state: State, losses: dict[str, torch.Tensor]):
    """Stop a run that has gone wrong before it can harm the weights; its last checkpoint is still good."""
    progress, factor = state.progress, state.arguments.explosion_factor
    values = {name: float(value.detach()) for name, value in losses.items()}
    total = sum(values.values())
    advice = (
        f"({', '.join(f'{name} {value:.3g}' for name, value in values.items())}): lower --learning_rate, or go on from"
        " the last checkpoint with --resume latest and another --seed. No checkpoint was written since."
    )
    if not math.isfinite(total):
        raise TrainingError(f"the loss is {total} at step {progress.step} {advice}")
    if factor and progress.batches >= 100 and total > factor * progress.mean_loss:
        raise TrainingError(
            f"the loss exploded at step {progress.step}: {total:.3g}, mean {progress.mean_loss:.3g} {advice}"
        )
    decay = min(0.99, progress.batches / (progress.batches + 1))
    progress.mean_loss = decay * progress.mean_loss + (1 - decay) * total


def _adversarial_losses(state: State) -> dict[str, torch.Tensor]:
    """Let the critic learn from what was just spoken, then let it judge; what is `adversarial` is the generator's."""
    arguments, step = state.critic_arguments, state.progress.step
    objective = state.accelerator.unwrap_model(state.objective)
    if step < arguments.critic_start or _in_any_process(state, objective.spoken is None):
        return {}
    fake, real = objective.spoken
    for update in range(arguments.critic_steps):
        pair = (fake.detach(), real) if update == 0 else objective.speak_again()
        losses = state.critic_objective(*pair)
        state.critic_optimizer.zero_grad()
        sum(losses.values()).backward()
        state.critic_optimizer.step()
    losses = {name: value.detach() for name, value in losses.items() if torch.is_tensor(value)}
    if not all(value.isfinite() for value in losses.values()):
        raise TrainingError(
            f"the critic's loss is no number at step {step}: lower --critic_learning_rate, or go on from the last"
            " checkpoint with --resume latest and another --seed."
        )
    if step >= arguments.critic_start + arguments.critic_warmup:
        state.critic.requires_grad_(False)
        scores = state.critic(fake.float()).scores
        state.critic.requires_grad_(True)
        losses["adversarial"] = objective.weights.adversarial * scores.shape[1] * adversarial_loss(scores)
    return losses
