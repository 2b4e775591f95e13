"""Check the options of a training before any work is done."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import torch

from ..machine import available_cores
from ..models import NETWORKS, Network
from .arguments import TrainingArguments, TrainingError, Use
from .stopping import LAUNCHER_VARIABLES


logger = logging.getLogger(__name__)

TRAINABLE = {network.name: network for network in NETWORKS if network.objective}
SCHEDULES = ("one_cycle", "constant")


def check_arguments(run: TrainingArguments) -> Network:
    """
    Check what the options alone determine.

    Returns:
        [`Network`]: what is to be trained.

    Raises:
        TrainingError: if there is no such network or schedule, or the training would move its own measure.
    """
    schedule, name = run.optimization.schedule, run.models.network
    if schedule not in SCHEDULES:
        raise TrainingError(f"--schedule {schedule}: there are {' and '.join(SCHEDULES)}.")
    if name not in TRAINABLE:
        raise TrainingError(f"--network {name}: there are {', '.join(TRAINABLE)}.")
    if run.data.synchronize and name == "syncnet":
        raise TrainingError("--synchronize needs a trained sync network: it cannot be used to train one.")
    if run.losses.adversarial:
        _warn_of_late_critic(run)
    return TRAINABLE[name]


def check_effects(run: TrainingArguments, decoder_type: str | None) -> None:
    """
    Refuse options that are set, but have no effect in this run. Options that turn something off (0) are allowed.

    Args:
        run ([`TrainingArguments`]): the options.
        decoder_type (`str`, *optional*): of the generator; None for other networks.

    Raises:
        TrainingError: names them, and why they have none.
    """
    useless = defaultdict(list)
    for name, use in _set_options(run):
        reason = _reason(run, use, decoder_type)
        if reason:
            useless[reason].append(f"--{name}")
    if useless:
        raise TrainingError(
            "options without effect: "
            + "; ".join(f"{', '.join(names)} {reason}" for reason, names in useless.items())
            + ". Leave them out, or set them to their defaults."
        )


def _set_options(run: TrainingArguments) -> Iterator[tuple[str, Use]]:
    """Options that differ from their defaults and turn something on, with where they have an effect."""
    for section in run:
        hints = get_type_hints(type(section), include_extras=True)
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            for use in getattr(hints[field.name], "__metadata__", ()):
                if isinstance(use, Use) and value and value != field.default:
                    yield field.name, use


def _reason(run: TrainingArguments, use: Use, decoder_type: str | None) -> str | None:
    """Why an option has no effect; None if it has one."""
    network = run.models.network
    if use.networks and network not in use.networks:
        return f"with --network {network}"
    if use.decoder not in (None, decoder_type):
        return f'with the "{decoder_type}" decoder'
    if use.needs and not _is_set(run, use.needs):
        return f"without --{use.needs}"
    if use.replaced_by and _is_set(run, use.replaced_by):
        return f"beside --{use.replaced_by}, which brings its own"
    return None


def _is_set(run: TrainingArguments, name: str) -> bool:
    value, default = next(
        (getattr(section, field.name), field.default)
        for section in run
        for field in dataclasses.fields(section)
        if field.name == name
    )
    return value != default


def _warn_of_late_critic(run: TrainingArguments) -> None:
    critic, steps = run.critic, run.optimization.max_steps
    if critic.critic_start >= steps:
        logger.warning(
            "the critic never starts: it begins at step %d (--critic_start), but the run ends after %d"
            " (--max_steps). Lower --critic_start, or set --adversarial 0 if no critic is wanted.",
            critic.critic_start,
            steps,
        )
    elif critic.critic_start + critic.critic_warmup >= steps:
        logger.warning(
            "the critic never counts: it learns alone up to step %d (--critic_start and"
            " --critic_warmup), but the run ends after %d (--max_steps). Lower one of them, or set --adversarial 0.",
            critic.critic_start + critic.critic_warmup,
            steps,
        )


def warn_of_idle_cores(device: torch.device, processes: int) -> None:
    """
    Warn if a process computes on one core of several, unless that was chosen.

    Args:
        device (`torch.device`): what this process computes on.
        processes (`int`): how many there are on this machine.
    """
    cores = available_cores() // processes
    if device.type != "cpu" or torch.get_num_threads() > 1 or cores < 2 or threads_were_chosen():
        return
    logger.warning(
        "this process computes on one core, all that `accelerate launch` gives it, but %d could be used: set the"
        " environment variable OMP_NUM_THREADS=%d; to 1 if one core is what you want.",
        cores,
        cores,
    )


def threads_were_chosen(parent: Path | None = None) -> bool:
    """
    Whether a person set the number of threads, and not `accelerate launch`, which always sets it to 1.

    Decided from how the launcher itself was started; if that cannot be read, the answer is no.

    Args:
        parent (`Path`, *optional*): the folder in `/proc` of the process that started this one.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        return False
    if not any(name in os.environ for name in LAUNCHER_VARIABLES):
        return True
    parent = parent or Path("/proc", str(os.getppid()))
    try:
        variables = (parent / "environ").read_bytes().split(b"\0")
        words = (parent / "cmdline").read_bytes().replace(b"-", b"_").split(b"\0")
    except OSError:
        return False
    return any(variable.startswith(b"OMP_NUM_THREADS=") for variable in variables) or any(
        word.startswith(b"__num_cpu_threads_per_process") for word in words
    )


__all__ = ["TRAINABLE", "check_arguments", "check_effects", "threads_were_chosen", "warn_of_idle_cores"]
