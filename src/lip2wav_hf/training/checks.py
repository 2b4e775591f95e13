"""Check the options of a training before any work is done."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from ..files import read_fields
from ..grammar import CASES, PUNCTUATION, UNICODE_FORMS, UNIT_KINDS
from ..models import NETWORKS, Network, locate_model
from .arguments import TrainingArguments, TrainingError, Use, look_aheads
from .output_dir import check_output_dir, checkpoint_to_resume
from .places import check_places
from .record import check_kept


logger = logging.getLogger(__name__)

TRAINABLE = {network.name: network for network in NETWORKS if network.objective}
TEXT_CHOICES = {
    "text_units": UNIT_KINDS,
    "text_case": CASES,
    "text_punctuation": PUNCTUATION,
    "text_unicode": UNICODE_FORMS,
}
SCHEDULES = ("one_cycle", "constant")
DEFAULT_DECODER = "istft"  # of a generator whose config does not say
AT_LEAST_ONE = ("max_steps", "batch_size", "gradient_accumulation_steps", "save_total_limit")


def check_start(run: TrainingArguments) -> None:
    """
    Check all that options and files determine without torch: whether they fit each other, whether what they name is
    there, and whether the run may begin in its folder, or go on there.

    Raises:
        TrainingError: says what is wrong, and what to do.
        ValueError: if a model or a configuration cannot be used.
    """
    name = _check_choices(run).name
    run = check_effects(run, _stated_decoder(run) if name == "generator" else None)
    check_output_dir(run.optimization)
    check_places(run)
    checkpoint = checkpoint_to_resume(run.optimization)
    if checkpoint is not None:
        check_kept(checkpoint, run)


def _stated_decoder(run: TrainingArguments) -> str:
    """The `decoder_type` of the generator, as far as a file on this machine says it."""
    source: Any = None
    if run.models.pretrained is not None:
        place = locate_model(run.models.pretrained)
        source = place / "config.json" if isinstance(place, Path) else None
    elif run.models.config is not None:
        source = Path(run.models.config)
    config = read_fields(source, TrainingError) if source is not None and source.is_file() else {}
    return config.get("decoder_type", DEFAULT_DECODER) if isinstance(config, dict) else DEFAULT_DECODER


def check_arguments(run: TrainingArguments) -> Network:
    """
    Check what the options alone determine, and warn of a critic that would not come.

    Returns:
        [`Network`]: what is to be trained.

    Raises:
        TrainingError: if there is no such network or schedule, a number is too small, or the training would move its
            own measure.
    """
    network = _check_choices(run)
    if run.losses.adversarial:
        _warn_of_late_critic(run)
    return network


def _check_choices(run: TrainingArguments) -> Network:
    schedule, name = run.optimization.schedule, run.models.network
    if schedule not in SCHEDULES:
        raise TrainingError(f"--schedule {schedule}: there are {' and '.join(SCHEDULES)}.")
    if name not in TRAINABLE:
        raise TrainingError(f"--network {name}: there are {', '.join(TRAINABLE)}.")
    if run.data.synchronize and name == "syncnet":
        raise TrainingError("--synchronize needs a trained sync network: it cannot be used to train one.")
    if run.data.sync_network is not None and not run.data.synchronize:
        raise TrainingError("--sync_network: name the speakers whose sounds it moves, with --synchronize.")
    if not run.optimization.train_lips and run.models.pretrained is None:
        raise TrainingError("--no_train_lips: name the network whose lips are kept, with --pretrained.")
    look_aheads(run.losses.look_ahead)
    if name == "speech_encoder" and not any((run.losses.ctc, run.losses.words, run.losses.lip_states)):
        raise TrainingError(
            "--network speech_encoder: nothing would be learnt, since none of --ctc, --words and --lip_states has a"
            " weight."
        )
    _check_ranges(run)
    for option in AT_LEAST_ONE:
        if getattr(run.optimization, option) < 1:
            raise TrainingError(f"--{option} must be at least 1.")
    for option, choices in TEXT_CHOICES.items():
        chosen = getattr(run.models, option)
        if chosen not in (None, *choices):
            raise TrainingError(f"--{option} {chosen}: there are {' and '.join(choices)}.")
    return TRAINABLE[name]


def _check_ranges(run: TrainingArguments) -> None:
    """Shares lie between 0 and 1; what losses weigh, and how far clips are varied, is no negative number; smoothed
    labels say something."""
    numbers = {field.name: getattr(run.augmentation, field.name) for field in dataclasses.fields(run.augmentation)}
    for option, value in numbers.items():
        is_share = option.endswith("probability")
        if not 0 <= value <= (1 if is_share else value):
            raise TrainingError(f"--{option} {value}: it must be {'between 0 and 1' if is_share else '0 or more'}.")
    for field in dataclasses.fields(run.losses):
        number = getattr(run.losses, field.name)
        if isinstance(number, int | float) and not 0 <= number < math.inf:
            raise TrainingError(f"--{field.name} {number}: it must be 0 or more.")
    if not 0 <= run.losses.label_smoothing < 1:
        raise TrainingError(f"--label_smoothing {run.losses.label_smoothing}: it must be 0 or more, and below 1.")


def check_effects(run: TrainingArguments, decoder_type: str | None) -> TrainingArguments:
    """
    Refuse options that are set, but have no effect in this run. Options that turn something off (0) are allowed.

    Those of a recipe that an option on the command line has made useless are left out: nobody asked for them.

    Args:
        run ([`TrainingArguments`]): the options.
        decoder_type (`str`, *optional*): of the generator; None for other networks.

    Returns:
        [`TrainingArguments`]: the options that have an effect.

    Raises:
        TrainingError: names those that have none, and why.
    """
    useless, left_out = defaultdict(list), []
    for name, use in _set_options(run):
        reason = _reason(run, use, decoder_type)
        if reason and name in run.recipe and _causes(use) & run.given:
            left_out.append(name)
        elif reason:
            useless[reason].append(f"--{name}")
    if useless:
        raise TrainingError(
            "options without effect: "
            + "; ".join(f"{', '.join(names)} {reason}" for reason, names in useless.items())
            + ". Leave them out, or set them to their defaults."
        )
    return run.without(left_out)


def _causes(use: Use) -> set[str]:
    """The options that can make one with this use useless."""
    causes = {use.needs, use.replaced_by} - {None}
    if use.networks:
        causes.add("network")
    if use.decoder:
        causes |= {"config", "pretrained"}
    return {str(cause) for cause in causes}


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


__all__ = ["DEFAULT_DECODER", "TRAINABLE", "check_arguments", "check_effects", "check_start"]
