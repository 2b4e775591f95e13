"""The state of a run, and the part of it that checkpoints keep."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..modeling_critic import Lip2WavCritic
from ..modeling_lip2wav import Lip2WavPreTrainedModel
from .arguments import CriticArguments, OptimizationArguments, TrainingArguments, TrainingError
from .dataset import SpeechClips
from .objectives import Objective


class AveragedWeights(AveragedModel):
    """
    Exponential moving average of a network's weights and statistics, with a quick start: the first averages follow
    the network closely.

    Args:
        model ([`Lip2WavPreTrainedModel`]): the network, which is copied.
        decay (`float`): share of the average that stays at an update, once there were many.
    """

    def __init__(self, model: Lip2WavPreTrainedModel, decay: float):
        super().__init__(model, use_buffers=True)
        self.module.eval().requires_grad_(False)
        self.decay = decay
        self.multi_avg_fn = self._move
        self.n_averaged += 1  # else the first update would copy

    def _move(self, averages: list[torch.Tensor], values: list[torch.Tensor], _: torch.Tensor) -> None:
        """Move averages towards values of the same type."""
        if averages[0].is_floating_point():
            updates = self.updates + 1
            decay = min(self.decay, (1 + updates) / (10 + updates))
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:
            torch._foreach_copy_(averages, values)

    @property
    def updates(self) -> int:
        """How often it was moved."""
        return int(self.n_averaged) - 1

    @property
    def model(self) -> Lip2WavPreTrainedModel:
        """The network with the averaged weights."""
        return cast(Lip2WavPreTrainedModel, self.module)


@dataclass
class Progress:
    """The position of a run; kept in checkpoints."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    batches: int = 0
    mean_loss: float = 0.0
    validated_step: int = 0

    def state_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class CriticLearner:
    """
    A critic that learns.

    Attributes:
        objective (`nn.Module`): a [`CriticObjective`], in Accelerate's wrappers.
        optimizer (`torch.optim.Optimizer`): of its weights.
    """

    objective: nn.Module
    optimizer: torch.optim.Optimizer


class Observer(Protocol):
    """What follows a run, such as a page that shows it; it may set `state.stop_requested`."""

    def after_step(self, state: State, losses: dict[str, float]) -> None:
        """After each optimiser step, with the weighted losses of its last batch by name."""

    def after_validation(self, state: State, results: dict[str, float]) -> None:
        """After each validation, with what was measured, by names such as `"validation/loss"`."""

    def when_interrupted(self) -> None:
        """When a signal has come that asks the run to stop: it does after the step that it is in."""


@dataclass(kw_only=True)
class State:
    """
    Everything that a run works with.

    Attributes:
        accelerator (`Accelerator`): device, processes, precision, checkpoints and trackers.
        run ([`TrainingArguments`]): what was asked for.
        objective ([`Objective`]): the network that is trained, with its losses, in Accelerate's wrappers.
        validation_objective ([`Objective`]): the same of the averaged weights.
        average ([`AveragedWeights`]), optimizer, scheduler: of the network.
        train_loader, validation_loader (`DataLoader`): batches of [`SpeechClips`].
        feature_extractor ([`Lip2WavFeatureExtractor`]): what made the crops; it is saved with the network.
        critic_learner ([`CriticLearner`], *optional*): the critic with its losses and optimiser, where there is one.
        progress ([`Progress`]): where the run is.
        stop_requested (`bool`): whether the run was asked to end.
        saved_step (`int`, *optional*): step of the last checkpoint.
        split_schemes (`tuple[str, ...]`, *optional*): the published splits that the clips are of; none of one's own.
        languages (`tuple[str, ...]`, *optional*): that are spoken in the clips, as far as their corpora say so.
        observer ([`Observer`], *optional*): is told of steps and validations, and may ask the run to end.
    """

    accelerator: Accelerator
    run: TrainingArguments
    objective: nn.Module
    validation_objective: Objective
    average: AveragedWeights
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    train_loader: DataLoader
    validation_loader: DataLoader
    feature_extractor: Lip2WavFeatureExtractor
    critic_learner: CriticLearner | None = None
    progress: Progress = field(default_factory=Progress)
    stop_requested: bool = False
    saved_step: int | None = None
    split_schemes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    observer: Observer | None = None

    @property
    def arguments(self) -> OptimizationArguments:
        """How it is optimised, and what is kept."""
        return self.run.optimization

    @property
    def critic_arguments(self) -> CriticArguments:
        """Those of the critic."""
        return self.run.critic

    @property
    def model(self) -> Lip2WavPreTrainedModel:
        """The network that is trained, out of its wrappers."""
        return self.accelerator.unwrap_model(self.objective).model

    @property
    def critic(self) -> Lip2WavCritic | None:
        """The critic out of its wrappers; None without one."""
        learner = self.critic_learner
        return None if learner is None else self.accelerator.unwrap_model(learner.objective).critic

    @property
    def training_clips(self) -> SpeechClips:
        """What batches of training are made of."""
        return cast(SpeechClips, self.train_loader.dataset)

    @property
    def validation_clips(self) -> SpeechClips:
        """What batches of validation are made of."""
        return cast(SpeechClips, self.validation_loader.dataset)

    @property
    def networks(self) -> dict[str, Lip2WavPreTrainedModel]:
        """What a checkpoint holds, by the folder in it."""
        return {".": self.model} | ({"critic": self.critic} if self.critic is not None else {})


__all__ = ["AveragedWeights", "CriticLearner", "Observer", "Progress", "State", "TrainingError"]
