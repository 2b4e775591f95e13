"""The training of an adaptation: the trainer as it is, on one person's recordings, within a number of minutes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import set_seed

from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..modeling_critic import Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel
from ..training.arguments import (
    AugmentationArguments,
    CriticArguments,
    DataArguments,
    LossArguments,
    ModelArguments,
    OptimizationArguments,
    TrainingArguments,
)
from ..training.build import build_accelerator, prepare_state
from ..training.checkpoints import find_checkpoints, save_model
from ..training.clips import PreparedClips
from ..training.dataset import SpeechClips
from ..training.loop import train
from ..training.networks import lip_parts, register_network_hooks
from ..training.objectives import GeneratorObjective
from ..training.state import State
from .hearing import UNVARIED, HeardObjective
from .records import FEW_STEPS, STEPS


LEARNING_RATE = 5e-4
BATCH_FRAMES = 16 * 64  # video frames in a batch
BATCH_CLIPS = (4, 16)  # fewest and most
FINAL_RATE = 0.5  # of the final pass: its highest learning rate, as a share of that of the first
VALIDATION_STEPS = 25
SAVING_STEPS = 50
ANCHOR_SHARE = 0.02  # of the way back, for each step: the lips go about as far as 50 steps would take them
PATIENCE = 3  # validations without a better one, then it ends
FEWEST_TO_CHOOSE = 5  # recordings held back; fewer cannot tell one step from another, and only measure the last one
FALLEN = 0.6  # share of the steps after which the learning rate is low
UNTIMED_STEPS = 2  # which take longer than the others
VALIDATING = 0.5  # of a step's time, for as many clips
TIMED_STEPS = 5  # after so many more, and again after each five, it is planned how many there is time for
RECENT_STEPS = 10  # that tell how long a step takes: what else works on the machine comes and goes
LOSSES = LossArguments(perceptual=2.0, heard_words=0.5, envelope=2.5, spoken_envelope=1.0)
LOOK_AHEADS = ["0", "2", "3", "4", "8", "all"]  # of a model that speaks live too, as configs/grid_live.yaml has them
NEW_WORDS_CTC, NEW_WORDS_FRAMES = 0.2, 0.3  # weights where there are words to be learnt from nothing
VARIATION = AugmentationArguments(aspect=0.15, shear=0.1, lighting=0.3, gamma=0.4, join_probability=0.8)


@dataclass
class Clock:
    """
    The minutes that an adaptation has.

    Attributes:
        minutes (`float`): in all.
        start (`float`): when it began, on `time.monotonic`.
        reserve (`float`): seconds that are needed after the training.
    """

    minutes: float
    start: float = field(default_factory=time.monotonic)
    reserve: float = 5.0

    @property
    def spent(self) -> float:
        """Minutes since the beginning."""
        return (time.monotonic() - self.start) / 60

    @property
    def left(self) -> float:
        """Seconds that the training may still take."""
        return 60 * (self.minutes - self.spent) - self.reserve


class Anchor:
    """
    Keeps what reads the lips near to where it began, so that a few recordings do not make it forget how other words
    look: after each step it goes back by a share of its way. The voice learns freely. From Li, Grandvalet, Davoine
    (2018), "Explicit inductive bias for transfer learning", but apart from the gradient, as AdamW takes weight decay.

    Args:
        model ([`Lip2WavModel`]): the network, before it is trained.
        share (`float`): of the way, for each step.
    """

    def __init__(self, model: Lip2WavModel, share: float) -> None:
        self.parameters = [parameter for part in lip_parts(model) for parameter in part.parameters()]
        self.beginning = [parameter.detach().clone() for parameter in self.parameters]
        self.share = share

    @torch.no_grad()
    def pull(self) -> None:
        """After a step."""
        for parameter, beginning in zip(self.parameters, self.beginning, strict=True):
            parameter.lerp_(beginning, self.share)


@dataclass
class Follower:
    """
    Follows a training: ends it when it does not get better, time is up or somebody asks, and reports.

    Attributes:
        clock ([`Clock`]): the time that there is.
        measures (`bool`): whether recordings are held back, so that it can be seen whether it gets better.
        report (`Callable`): takes steps done and in all, the loss, and the error on those held back.
        stop (`Callable`, *optional*): whether somebody wants it to end.
        following (`float`): for each step of this training, how many of another one need time after it.
        fewest (`int`): of the steps that follow: where there is no time for so many, this training gets their time.
        switching (`float`): seconds of saving and loading before the steps that follow.
        closing (`float`): how many steps the validation after the last one takes as long as.
        warn (`Callable`, *optional*): takes the seconds that a step takes, how many there is time for, and how many
            there are to be, where hardly any fit into the minutes; called once, as early as that is known.
        anchor ([`Anchor`], *optional*): pulls after each step.
        interrupted (`Callable`, *optional*): called when somebody interrupts, while the step goes on.
    """

    clock: Clock
    measures: bool
    report: Callable[[int, int, float | None, float | None], None]
    stop: Callable[[], bool] | None = None
    following: float = 0.0
    fewest: int = 0
    switching: float = 0.0
    closing: float = 0.0
    warn: Callable[[float, int, int], None] | None = None
    reason: str = "finished"
    ended: bool = False
    best: float = math.inf
    error: float | None = None
    since_best: int = 0
    times: list[float] = field(default_factory=list)
    began: float = 0.0
    limit: int = 0
    anchor: Anchor | None = None
    dropped: bool = False  # what would follow, since there is no time for it
    interrupted: Callable[[], None] | None = None

    def after_step(self, state: State, losses: dict[str, float]) -> None:
        """Also plans how many steps there is time for."""
        if self.anchor is not None:
            self.anchor.pull()
        self.times.append(60 * self.clock.spent)
        self._fit_to_time(state)
        self._warn_early(state)
        step, steps = state.progress.step, state.arguments.max_steps
        self.report(step, steps, sum(losses.values()), self.error)
        if step >= steps:
            return
        others = self._others(step)
        later = self.switching if others else 0.0
        if self.stop is not None and self.stop():
            self._end(state, "asked")
        elif self.clock.left - later <= (1 + others) * self.seconds_per_step:  # one more would be too late
            self._end(state, "time")

    @property
    def seconds_per_step(self) -> float:
        """Of the last ones; 0 before any was timed."""
        timed = min(len(self.times) - UNTIMED_STEPS, RECENT_STEPS)
        return (self.times[-1] - self.times[-1 - timed]) / timed if timed > 0 else 0.0

    def _fit_to_time(self, state: State) -> None:
        """So many steps as there is time for, of those that were asked for; the learning rate falls accordingly."""
        done, step, arguments = len(self.times), state.progress.step, state.arguments
        self.limit = self.limit or arguments.max_steps
        if done <= UNTIMED_STEPS or ((done - UNTIMED_STEPS) % TIMED_STEPS and step < arguments.max_steps):
            return
        seconds = max(self.seconds_per_step, 1e-6)
        possible = max(self._possible(step + self.clock.left / seconds - self.closing, seconds), step)
        arguments.max_steps = min(possible, self.limit)
        self.reason = "time" if possible < self.limit else "finished"

    def _possible(self, last: float, seconds: float) -> int:
        """How many steps there is time for, of `last` together with those that follow, which are validated too."""
        self.dropped = False
        shared = (last - self.switching / seconds - self.closing) / (1 + self.following)
        self.dropped = not self._others(shared)
        return int(last if self.dropped else shared)

    def _others(self, step: float) -> float:
        """How many steps follow so many."""
        others = self.following * step
        return 0.0 if self.dropped or others < min(self.fewest, self.following * self.limit) else others

    def _warn_early(self, state: State) -> None:
        """Where hardly any steps fit, say so now, not when the minutes are over. The first steps take longer than
        others, so they count only where no further one like them would fit."""
        done, asked = len(self.times), self.limit or state.arguments.max_steps
        if self.warn is None or done > UNTIMED_STEPS + 1:
            return
        seconds = self.times[-1] - (self.times[-2] if done > 1 else self.began)
        more = max(self.clock.left, 0.0) / max(seconds, 1e-6)
        possible = max(self._possible(state.progress.step + more, max(seconds, 1e-6)), state.progress.step)
        if possible < min(FEW_STEPS, asked) and (done > UNTIMED_STEPS or more < 1):
            self.warn(seconds, possible, asked)
            self.warn = None

    def after_validation(self, state: State, results: dict[str, float]) -> None:
        """Ends the training when the recordings held back have not got better for some time."""
        if not self.measures:
            return
        self.error = results["validation/loss"]
        if self.error < self.best:
            self.best, self.since_best = self.error, 0
            return
        # While the learning rate is high a loss says little: its fall is what brings most.
        if state.progress.step < FALLEN * state.arguments.max_steps:
            return
        self.since_best += 1
        if self.since_best >= PATIENCE and state.progress.step < state.arguments.max_steps:
            self._end(state, "no improvement")

    def when_interrupted(self) -> None:
        """The step goes on to its end, which may take seconds."""
        if self.interrupted is not None:
            self.interrupted()

    def _end(self, state: State, reason: str) -> None:
        state.stop_requested, self.ended, self.reason = True, True, reason


@dataclass(frozen=True)
class Task:
    """
    What is to be learnt.

    Attributes:
        model ([`Lip2WavModel`]): the network, with all words.
        speech_encoder ([`Lip2WavSpeechEncoder`], *optional*): for the perceptual losses.
        feature_extractor ([`Lip2WavFeatureExtractor`]): of the model.
        training, held_out ([`PreparedClips`]): recordings to learn from, and to measure on; the latter may be empty.
        new_words (`int`): how many words the starting model did not know.
        folder (`Path`): of the run: its checkpoints and models.
        seed (`int`): of all random numbers.
        steps (`int`): at most.
        learning_rate (`float`): the highest.
        chooses (`bool`): whether the best step is chosen by the recordings held back; otherwise the last one counts,
            and they are measured once, at the end.
        anchored (`bool`): whether what reads the lips stays near to where it was; see [`Anchor`].
        imagines (`bool`): whether the speech encoder imagines the lips of what it hears, see [`imagines_lips`].
        faces (`torch.Tensor` of shape `(faces, hidden_size)`, *optional*): where a voice is learnt from sound alone,
            that has no pictures: see [`faces_of`].
    """

    model: Lip2WavModel
    speech_encoder: Lip2WavSpeechEncoder | None
    feature_extractor: Lip2WavFeatureExtractor
    training: PreparedClips
    held_out: PreparedClips
    new_words: int
    folder: Path
    seed: int = 0
    steps: int = STEPS
    learning_rate: float = LEARNING_RATE
    chooses: bool = True
    anchored: bool = False
    imagines: bool = False
    faces: torch.Tensor | None = None


@dataclass(frozen=True)
class Learnt:
    """
    What a training has led to.

    Attributes:
        folder (`Path`): the model.
        steps (`int`): that were taken, and `best_step` (`int`), those that the model has had.
        seconds (`float`): that one of the last steps took.
        reason (`str`): why it ended, as in [`Adaptation.stopped`].
        error (`float`, *optional*): the loss of that model on the recordings held back; `None` where it was not
            measured.
        voice_steps (`int`): further steps that have taught the model a voice.
    """

    folder: Path
    steps: int
    best_step: int
    seconds: float
    reason: str
    error: float | None = None
    voice_steps: int = 0


def learn(task: Task, follower: Follower) -> Learnt:
    """
    Train until the steps or the minutes are over, it does not get better, or somebody asks. A run that was stopped
    goes on where it was, in the same folder.

    Args:
        task ([`Task`]): what is to be learnt.
        follower ([`Follower`]): decides when it ends.
    """
    state = _build(task)
    state.observer = follower
    follower.began = 60 * follower.clock.spent
    batches = -(-max(len(task.held_out.clips), 1) // state.arguments.batch_size)
    follower.closing = VALIDATING * batches
    if task.anchored:
        follower.anchor = Anchor(task.model, ANCHOR_SHARE)
    train(state)
    progress = state.progress
    if state.stop_requested and not follower.ended and progress.step < state.arguments.max_steps:
        follower.reason = "asked"  # by a signal
    validations = _validations(task.folder) if task.held_out.clips else []
    seconds = follower.seconds_per_step or progress.seconds / max(progress.step, 1)
    best, made = task.folder / "best", (progress.step, seconds, follower.reason)
    if follower.measures and validations and best.is_dir():  # else it is of a run that was killed
        chosen = min(validations, key=lambda entry: entry["validation/loss"])
        return Learnt(best, made[0], chosen["step"], *made[1:], chosen["validation/loss"])
    if progress.step < state.arguments.max_steps or not (task.folder / "final").is_dir():
        save_model(state, "final")
    error = next((each["validation/loss"] for each in validations if each["step"] == progress.step), None)
    return Learnt(task.folder / "final", made[0], *made, error)


def _validations(folder: Path) -> list[dict[str, Any]]:
    path = folder / "validation.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def _build(task: Task) -> State:
    run = _arguments(task)
    accelerator = build_accelerator(run.optimization)
    set_seed(task.seed)
    config = task.model.config
    repeats = -(-4 * run.optimization.batch_size // len(task.training.clips))
    training = replace(task.training, clips=task.training.clips * repeats)
    held_out = task.held_out if task.held_out.clips else replace(task.training, clips=task.training.clips[:1])
    settings: tuple[Any, ...] = (task.feature_extractor, config.units, config.samples_per_frame)
    datasets = (
        SpeechClips(training, *settings, run.augmentation, task.seed),
        SpeechClips(held_out, *settings, None, task.seed),
    )
    if task.faces is None:
        objective = GeneratorObjective(task.model, run.losses, task.speech_encoder)
    else:
        assert task.speech_encoder is not None
        objective = HeardObjective(task.model, run.losses, task.speech_encoder, task.faces)
    state = prepare_state(accelerator, run, objective, task.feature_extractor, datasets)
    register_network_hooks(state)
    return state


def _arguments(task: Task) -> TrainingArguments:
    losses, encoder = LOSSES, task.speech_encoder
    if task.model.config.live_look_ahead is not None:
        losses = replace(losses, look_ahead=LOOK_AHEADS)
    if task.new_words:
        losses = replace(losses, ctc=NEW_WORDS_CTC, words=NEW_WORDS_FRAMES)
    if encoder is not None:
        theirs, own = encoder.config.units, task.model.config.units
        others = theirs.kind != own.kind or own.vocabulary[: len(theirs.vocabulary)] != theirs.vocabulary
        if others or task.faces is not None:
            losses = replace(losses, heard_words=0.0)
    measures = task.chooses and bool(task.held_out.clips)
    optimization = OptimizationArguments(
        output_dir=str(task.folder),
        max_steps=task.steps,
        batch_size=_batch_size(task),
        learning_rate=task.learning_rate,
        seed=task.seed,
        mixed_precision=_precision(),
        validation_steps=VALIDATION_STEPS if measures else task.steps,
        validation_clips=0,
        save_steps=SAVING_STEPS,
        save_total_limit=1,
        resume="latest" if find_checkpoints(task.folder) else None,
        with_tracking=False,
    )
    data = DataArguments(data_dir=[], dataloader_workers=0, preprocessing_workers=1)
    variation = VARIATION if task.faces is None else UNVARIED
    return TrainingArguments(data, ModelArguments(), losses, variation, CriticArguments(), optimization)


def _precision() -> str:
    """That of this process, if Accelerate was set up in it before: it cannot be changed any more."""
    return AcceleratorState().mixed_precision if is_initialized() else OptimizationArguments.mixed_precision


def _batch_size(task: Task) -> int:
    """So many clips that a batch has about as many frames as one of windows: clips without word times stay whole."""
    from ..training.cache import read_cached_clip  # noqa: PLC0415
    from ..training.variation import UNKNOWN_TIMES  # noqa: PLC0415

    lengths = []
    for clip in task.training.clips:
        cached = read_cached_clip(task.training.files[clip.key])
        whole = bool((cached.frame_words == UNKNOWN_TIMES).any())
        lengths.append(max(len(cached.regions), VARIATION.window_frames) if whole else VARIATION.window_frames)
    fewest, most = BATCH_CLIPS
    return min(max(round(BATCH_FRAMES * len(lengths) / sum(lengths)), fewest), most)


__all__ = ["FEWEST_TO_CHOOSE", "Clock", "Follower", "Learnt", "Task", "learn"]
