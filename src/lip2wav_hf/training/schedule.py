"""When a run validates and when it writes a checkpoint: every N epochs, or every N steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import counted
from .state import Progress, State, TrainingError


FEWEST_STEPS_APART = 50  # of validations, and of checkpoints, where no option says anything else; our choice


@dataclass(frozen=True)
class Interval:
    """
    How often something happens. It always happens after the last step too.

    Attributes:
        epochs (`int`, *optional*): at the end of every N epochs.
        steps (`int`, *optional*): after every N optimiser steps, anywhere in an epoch; exactly one of the two.
        stretched (`bool`, *optional*, defaults to `False`): whether short epochs made it longer than one epoch.
    """

    epochs: int | None = None
    steps: int | None = None
    stretched: bool = False

    def is_due(self, progress: Progress) -> bool:
        """Whether it happens now."""
        if not progress.step:
            return False
        if self.steps is not None:
            return progress.step % self.steps == 0
        return progress.step_in_epoch == 0 and progress.epoch % (self.epochs or 1) == 0

    def __str__(self) -> str:
        count, unit = (self.steps, "step") if self.steps is not None else (self.epochs or 1, "epoch")
        return f"every {unit}" if count == 1 else f"every {counted(count, unit)}"


@dataclass(frozen=True)
class Schedule:
    """
    When a run does what.

    Attributes:
        steps_in_epoch (`float`): optimiser steps of an epoch.
        validation, saving ([`Interval`]): how often it validates, and writes a checkpoint.
    """

    steps_in_epoch: float
    validation: Interval
    saving: Interval

    @classmethod
    def of(cls, state: State) -> Schedule:
        """
        What the arguments of a run ask for.

        Raises:
            TrainingError: if an interval or `logging_steps` is less than 1.
        """
        arguments = state.arguments
        if arguments.logging_steps < 1:
            raise TrainingError("--logging_steps must be at least 1.")
        steps = len(state.train_loader) / arguments.gradient_accumulation_steps
        return cls(
            steps,
            _interval("validation", arguments.validation_epochs, arguments.validation_steps, steps),
            _interval("save", arguments.save_epochs, arguments.save_steps, steps),
        )


def _interval(name: str, epochs: int | None, steps: int | None, steps_in_epoch: float) -> Interval:
    for unit, value in (("epochs", epochs), ("steps", steps)):
        if value is not None and value < 1:
            raise TrainingError(f"--{name}_{unit} must be at least 1.")
    if steps is not None:
        return Interval(steps=steps)
    if epochs is not None:
        return Interval(epochs=epochs)
    epochs = max(math.ceil(FEWEST_STEPS_APART / steps_in_epoch), 1)
    return Interval(epochs=epochs, stretched=epochs > 1)


__all__ = ["FEWEST_STEPS_APART", "Interval", "Schedule"]
