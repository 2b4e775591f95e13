"""An adaptation in progress: where it works, what it was asked for, and what it has to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .inputs import WORK, Inputs
from .learning import Clock
from .records import Adaptation, AdaptationProgress, Options, RecordingCheck, Stage
from .voice import Voice


@dataclass
class Job:
    """
    An adaptation in progress.

    Attributes:
        inputs ([`Inputs`]): what it was given.
        clock ([`Clock`]): the time that there is.
        progress (`Callable`): takes each [`AdaptationProgress`].
        stop (`Callable`): whether somebody wants it to end.
        checks (`list[RecordingCheck]`): of the recordings so far.
        notes (`list[str]`): for the user.
        left_out (`int`): recordings that there was no time to look at.
        learning_seconds (`float`): that there were for all passes when the first of them began.
        earlier ([`Adaptation`], *optional*): what a call before has made of the same recordings and options.
        other_voice (`tuple[str, ...]`): recordings that sound like another person than most.
        forecast (`tuple[str, int]`, *optional*): the note that hardly any steps can be made, and in how many minutes
            they could.
    """

    inputs: Inputs
    clock: Clock
    progress: Callable[[AdaptationProgress], None]
    stop: Callable[[], bool]
    checks: list[RecordingCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    learning_seconds: float = 0.0
    earlier: Adaptation | None = None
    other_voice: tuple[str, ...] = ()
    forecast: tuple[str, int] | None = None

    @property
    def output(self) -> Path:
        """The folder of the new model."""
        return self.inputs.output

    @property
    def starting(self) -> Path:
        """The folder of the starting model."""
        return self.inputs.starting

    @property
    def options(self) -> Options:
        """What was asked for."""
        return self.inputs.options

    @property
    def voice(self) -> Voice | None:
        """The one that was asked for."""
        return self.inputs.voice

    @property
    def work(self) -> Path:
        """The folder that holds what is not finished."""
        return self.output / WORK

    def say(self, stage: Stage, fraction: float, message: str, **more: Any) -> None:
        """Report where it is."""
        notes = tuple(self.notes)
        self.progress(AdaptationProgress(stage, min(fraction, 1.0), message=message, notes=notes, **more))


__all__ = ["Job"]
