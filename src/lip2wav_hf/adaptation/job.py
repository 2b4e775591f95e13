"""An adaptation in progress: where it works, what it was asked for, and what it has to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .learning import Clock
from .records import AdaptationProgress, Options, RecordingCheck, Stage
from .voice import Voice


WORK = ".adaptation"  # folder in the model's: what a run that was stopped goes on with


@dataclass
class Job:
    """
    An adaptation in progress.

    Attributes:
        output (`Path`): folder of the new model.
        starting (`Path`): folder of the starting model, and `name` (`str`), what its user calls it.
        clock ([`Clock`]): the time that there is.
        options ([`Options`]): what was asked for.
        progress (`Callable`): takes each [`AdaptationProgress`].
        stop (`Callable`): whether somebody wants it to end.
        checks (`list[RecordingCheck]`): of the recordings so far.
        notes (`list[str]`): for the user.
        voice ([`Voice`], *optional*): the one that was asked for.
    """

    output: Path
    starting: Path
    name: str
    clock: Clock
    options: Options
    progress: Callable[[AdaptationProgress], None]
    stop: Callable[[], bool]
    checks: list[RecordingCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    voice: Voice | None = None

    @property
    def work(self) -> Path:
        """The folder that holds what is not finished."""
        return self.output / WORK

    def say(self, stage: Stage, fraction: float, message: str, **more: Any) -> None:
        """Report where it is."""
        self.progress(AdaptationProgress(stage, min(fraction, 1.0), message=message, **more))


__all__ = ["WORK", "Job"]
