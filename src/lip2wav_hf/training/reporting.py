"""Messages of a run on the screen, without breaking its progress bar."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging

from ..errors import counted
from ..models import BY_TYPE
from .arguments import DataArguments
from .schedule import FEWEST_STEPS_APART, Schedule
from .state import State
from .stopping import is_launched


def say(state: State, text: str) -> None:
    """Print a line above the progress bar; the main process speaks for all. An observer is told instead."""
    if state.accelerator.is_main_process and state.observer is None:
        tqdm.write(text)


class _LinesAboveTheBar(logging.Handler):
    """Log records on stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(f"{prefix}{record.getMessage()}", file=sys.stderr)


@contextmanager
def own_messages_only() -> Generator[None]:
    """Show this package's messages; of other libraries only warnings, and no progress bars."""
    own, root, handler = logging.getLogger("lip2wav_hf"), logging.getLogger(), _LinesAboveTheBar()
    level, bars = own.level, transformers_logging.is_progress_bar_enabled()
    own.setLevel(logging.INFO)
    root.addHandler(handler)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()


def report_start(state: State, schedule: Schedule) -> None:
    """Say what is trained, on what, for how long, and where the results are written."""
    for line in _summary(state, schedule):
        say(state, line)


def _summary(state: State, schedule: Schedule) -> Iterator[str]:
    arguments, progress = state.arguments, state.progress
    yield f"{type(state.model).__name__} with {_parameters(state.model)} trainable parameters{_critic(state)}"
    training, validation = state.training_clips, state.validation_clips
    speakers = sorted(training.by_speaker)
    others = sorted(validation.by_speaker)
    yield (
        f"{counted(len(training), 'training clip')} of {_listed(speakers)};"
        f" {counted(len(validation), 'validation clip')}" + (f" of {_listed(others)}" if others != speakers else "")
    )
    clips = arguments.batch_size * arguments.gradient_accumulation_steps * state.accelerator.num_processes
    epochs = arguments.max_steps / schedule.steps_in_epoch
    start = f", resuming after step {progress.step}" if progress.step else ""
    yield (
        f"{counted(arguments.max_steps, 'step')} of {counted(clips, 'clip')}{start}: {_number(epochs, 'epoch')} of"
        f" {_number(schedule.steps_in_epoch, 'step')}; {arguments.mixed_precision} precision on {_device(state)}"
    )
    yield f"validation {schedule.validation}, a checkpoint {schedule.saving}" + _advice(schedule)
    yield f"output: {arguments.output_dir}"
    if progress.step >= arguments.max_steps:
        yield f"nothing is left to do after step {progress.step}: to go on, raise --max_steps"
    if is_launched():
        yield f"to stop with a checkpoint: kill {os.getpid()} (Ctrl-C too, but then the launcher reports a crash)"


def _number(value: float, noun: str) -> str:
    """As [`counted`], of a number that need not be whole."""
    return counted(int(value), noun) if value in (1, int(value)) else f"{value:.4g} {noun}s"


def _parameters(network: torch.nn.Module) -> str:
    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,}"


def _critic(state: State) -> str:
    if state.critic is None:
        return ""
    heard = state.critic_arguments.critic_start + state.critic_arguments.critic_warmup
    return f", and a critic with {_parameters(state.critic)} that counts from step {heard} on"


def _listed(names: list[str], shown: int = 8) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _device(state: State) -> str:
    device, processes = state.accelerator.device, state.accelerator.num_processes
    if device.type == "cuda":
        name, number = torch.cuda.get_device_name(device), torch.cuda.device_count()
        if processes == 1 and number > 1:
            name += (
                f", 1 of {number}: for all, accelerate launch --multi_gpu --num_processes {number} -m lip2wav_hf.train"
            )
    elif device.type == "cpu":
        name = f"the CPU ({counted(torch.get_num_threads(), 'thread')})"
    else:
        name = device.type
    return name if processes == 1 else f"{processes} processes, each on {name}"


def _advice(schedule: Schedule) -> str:
    if not (schedule.validation.stretched or schedule.saving.stretched):
        return ""
    return (
        f" (an epoch is short, so at least {FEWEST_STEPS_APART} steps apart: change it with --validation_steps and"
        " --save_steps)"
    )


def report_stop(state: State) -> None:
    """Say where a run has stopped, and how to resume it."""
    step, folder = state.progress.step, Path(state.arguments.output_dir)
    instead = ", without --overwrite_output_dir" if state.arguments.overwrite_output_dir else ""
    say(
        state,
        f"stopped at step {step}; {folder / f'checkpoint-{step}'} is written. Resume with the same command and"
        f" --resume latest{instead}",
    )


def report_end(state: State) -> None:
    """Say what a finished run has written, and what to do with it: speak and measure, or train the next network."""
    data, final = state.run.data, Path(state.arguments.output_dir) / "final"
    say(state, f"done: {final}")
    network = BY_TYPE[state.model.config.model_type]
    if not network.speaks:
        folders = " ".join(map(_quoted, data.data_dir))
        say(state, f"use it:     lip2wav train {network.taken_by} {_quoted(final)} --data_dir {folders}")
        return
    video = state.validation_clips.clips[0].video
    shown = video if isinstance(video, Path) else "VIDEO"  # not of a clip inside an archive
    say(state, f"hear it:    lip2wav speak {_quoted(shown)} -o speech.wav --model {_quoted(final)}")
    command = ["lip2wav", "evaluate", "--model", str(final), "--data", data.data_dir[0], *_which_clips(data)]
    say(state, f"measure it: {shlex.join(command)}")


def _which_clips(data: DataArguments) -> list[str]:
    """The validation clips of a training, as `lip2wav evaluate` is told which ones to take."""
    options = ["--split-scheme", data.split_scheme] if data.split_scheme != "custom" else []
    options += ["--splits-file", data.splits_file] if data.splits_file else []
    options += ["--speakers", ",".join(data.speakers)] if data.speakers else []
    return [*options, "--split", data.validation_split]


def _quoted(path: str | Path) -> str:
    return shlex.quote(str(path))


__all__ = ["own_messages_only", "report_end", "report_start", "report_stop", "say"]
