"""One step of a training: losses, the critic's turn, gradients, and the optimiser."""

from __future__ import annotations

import math

import torch
from accelerate.utils import reduce

from .losses import Batch, Losses, adversarial_loss
from .objectives import ObjectiveOutput, Windows
from .state import State, TrainingError


def train_step(state: State, batch: Batch) -> dict[str, float]:
    """
    One batch, and an optimiser step unless gradients are still being gathered.

    Args:
        state ([`State`]): of the run.
        batch (`dict[str, torch.Tensor]`): as [`collate_clips`] makes it, on the run's device.

    Returns:
        `dict[str, float]`: the weighted losses by name, those of the critic too.

    Raises:
        TrainingError: if a loss is no finite number or has exploded; the generator's weights are as before.
    """
    accelerator = state.accelerator
    with accelerator.accumulate(state.objective):
        with accelerator.autocast():
            output = state.objective(batch | {"progress": _progress(state)})
        judged = _critic_losses(state, output)
        values = _on_host(output.losses | judged)
        _check_losses(state, {name: values[name] for name in output.losses})
        _check_critic(state, {name: values[name] for name in judged})
        accelerator.backward(_total(state, output, judged))
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(state.objective.parameters(), state.arguments.max_gradient_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if accelerator.sync_gradients:
            state.scheduler.step()
            state.average.update_parameters(state.model)
    return values


def _progress(state: State) -> torch.Tensor:
    """The share of the run that is done, which objectives find in the batch."""
    return torch.tensor(state.progress.step / max(state.arguments.max_steps, 1))


def in_any_process(state: State, flag: bool) -> bool:
    """Whether a flag is set in any of the processes."""
    if state.accelerator.num_processes == 1:
        return flag
    return bool(reduce(torch.tensor(float(flag), device=state.accelerator.device), "sum").item())


def _on_host(losses: Losses) -> dict[str, float]:
    """The values of scalars, which go to the host together."""
    values = torch.stack([value.detach().float() for value in losses.values()]).tolist()
    return dict(zip(losses, values, strict=True))


def _total(state: State, output: ObjectiveOutput, judged: Losses) -> torch.Tensor:
    total = torch.stack(list(output.losses.values())).sum()
    if "adversarial" in judged:
        return total + judged["adversarial"]
    if output.windows is not None and state.accelerator.num_processes > 1:
        # Processes wait for gradients through all that the objective returned.
        return total + 0.0 * output.windows.generated.sum()
    return total


def _check_losses(state: State, values: dict[str, float]) -> None:
    """Stop a run that has gone wrong before the weights are harmed; the last checkpoint stays good."""
    progress, factor = state.progress, state.arguments.explosion_factor
    total = sum(values.values())
    advice = (
        f"({', '.join(f'{name} {value:.3g}' for name, value in values.items())}): lower --learning_rate, or resume"
        " from the last checkpoint with --resume latest and another --seed. No checkpoint was written since."
    )
    if not math.isfinite(total):
        raise TrainingError(f"the loss is {total} at step {progress.step} {advice}")
    if factor and progress.batches >= 100 and total > factor * progress.mean_loss:
        raise TrainingError(
            f"the loss exploded at step {progress.step}: {total:.3g}, mean {progress.mean_loss:.3g} {advice}"
        )
    decay = min(0.99, progress.batches / (progress.batches + 1))
    progress.mean_loss = decay * progress.mean_loss + (1 - decay) * total


def _check_critic(state: State, values: dict[str, float]) -> None:
    if not all(map(math.isfinite, values.values())):
        raise TrainingError(
            f"the critic's loss is not a number at step {state.progress.step}: lower --critic_learning_rate, or resume"
            " from the last checkpoint with --resume latest and another --seed."
        )


def _critic_losses(state: State, output: ObjectiveOutput) -> Losses:
    """
    Let the critic learn from what was just generated, then let it judge.

    Returns:
        `dict[str, torch.Tensor]`: `wasserstein` and `penalty`, the critic's, without gradients; and after its warm-up
        `adversarial`, the generator's. Empty where the critic does not take part.
    """
    arguments, step, learner, critic = state.critic_arguments, state.progress.step, state.critic_learner, state.critic
    if learner is None or critic is None or step < arguments.critic_start:
        return {}
    windows, resample = output.windows, output.resample_windows
    if in_any_process(state, windows is None) or windows is None or resample is None:
        return {}
    losses: Losses = {}
    quiet = Windows(windows.generated.detach(), windows.real)
    for update in range(arguments.critic_steps):
        losses = learner.objective(*(resample() if update else quiet))
        learner.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        learner.optimizer.step()
    losses = {name: value.detach() for name, value in losses.items()}
    if step >= arguments.critic_start + arguments.critic_warmup:
        critic.requires_grad_(False)
        scores = critic(windows.generated.float()).scores
        critic.requires_grad_(True)
        weight = state.accelerator.unwrap_model(state.objective).weights.adversarial
        losses["adversarial"] = weight * scores.shape[1] * adversarial_loss(scores)
    return losses


__all__ = ["in_any_process", "train_step"]
