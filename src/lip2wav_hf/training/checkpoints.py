"""What a run leaves on disk: checkpoints to resume from, and models ready for `from_pretrained`."""

from __future__ import annotations

import copy
import logging
import shutil
from pathlib import Path

import torch

from ..files import read_fields, replace_folder, write_json
from ..modeling_lip2wav import Lip2WavPreTrainedModel
from .build import learning_rate_share
from .facts import record_of, write_training_facts
from .output_dir import (
    CHECKPOINT,
    VALIDATIONS,
    checkpoint_to_resume,
    clear_output_dir,
    find_checkpoints,
    forget_later_validations,
    next_number,
    write_sums,
)
from .record import changes, describe_changes, read_record, write_record
from .reporting import say
from .state import State


logger = logging.getLogger(__name__)


def save_checkpoint(state: State) -> None:
    """Write `checkpoint-STEP` whole or not at all, and drop those beyond the limit that were written first."""
    output = Path(state.arguments.output_dir)
    step = state.progress.step
    if state.saved_step == step:
        return
    final, temporary = (output / f"{prefix}{CHECKPOINT}{step}" for prefix in ("", "tmp-"))
    if state.accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    state.accelerator.wait_for_everyone()
    state.accelerator.save_state(str(temporary))
    state.accelerator.wait_for_everyone()
    if state.accelerator.is_main_process:
        write_record(temporary, record_of(state, next_number(output)))
        write_sums(temporary)
        replace_folder(temporary, final)
        write_training_facts(state)
        for old in find_checkpoints(output)[: -state.arguments.save_total_limit]:
            shutil.rmtree(old)
        say(state, f"step {step}: wrote {final}")
    state.accelerator.wait_for_everyone()
    state.saved_step = step


def save_model(state: State, name: str) -> None:
    """
    Write `output_dir/name`, ready for `from_pretrained`: the averaged weights, the feature extractor, the record of
    the run and its validations so far, the critic in `critic/` and the speech encoder in `speech_encoder/` where there
    are any.
    """
    if not state.accelerator.is_main_process:
        return
    output = Path(state.arguments.output_dir)
    temporary = output / f"tmp-{name}"
    shutil.rmtree(temporary, ignore_errors=True)
    _save_network(state, state.average.model, temporary)
    if state.critic is not None:
        _save_network(state, state.critic, temporary / "critic")
    speech_encoder = getattr(state.accelerator.unwrap_model(state.objective), "speech_encoder", None)
    if speech_encoder is not None:
        _save_network(state, speech_encoder, temporary / "speech_encoder")
    state.feature_extractor.save_pretrained(temporary)
    write_record(temporary, record_of(state))
    if (output / VALIDATIONS).is_file():
        shutil.copyfile(output / VALIDATIONS, temporary / VALIDATIONS)
    replace_folder(temporary, output / name)
    write_training_facts(state)


def _save_network(state: State, network: Lip2WavPreTrainedModel, folder: Path) -> None:
    copy.deepcopy(network).to(getattr(torch, state.arguments.save_dtype)).save_pretrained(folder)
    config = read_fields(folder / "config.json")
    config["dtype"] = "float32"  # what to calculate in: half precision saves space, but is slow on a CPU
    write_json(folder / "config.json", config, sort_keys=True)


def begin(state: State) -> None:
    """Resume from the checkpoint that the arguments name; or begin, in a folder that holds no other run."""
    arguments = state.arguments
    folder = checkpoint_to_resume(arguments)
    state.accelerator.wait_for_everyone()  # all have looked before anything is deleted
    if folder is not None:
        _resume(state, folder)
    elif arguments.resume is not None:
        logger.warning("no checkpoint in %s: starting from the beginning.", arguments.output_dir)
    if state.accelerator.is_main_process:
        if arguments.overwrite_output_dir:
            clear_output_dir(arguments.output_dir)
        forget_later_validations(arguments.output_dir, state.progress.validated_step)
    state.accelerator.wait_for_everyone()


def _resume(state: State, folder: Path) -> None:
    state.accelerator.load_state(str(folder))
    _apply_options(state)
    if folder.resolve().parent == Path(state.arguments.output_dir).resolve():
        state.saved_step = state.progress.step
    say(state, f"resumed from {folder}")
    record = read_record(folder)
    if record is None:
        say(state, f"{folder} does not say how it was trained: whether options have changed is not known.")
        return
    changed = changes(record, state.run)
    processes = state.accelerator.num_processes
    if processes != record.processes:
        changed["processes"] = (record.processes, processes)
    if changed:
        say(state, f"changed since: {describe_changes(changed)}")


def _apply_options(state: State) -> None:
    """Give the optimisers the options of now: their states hold those of the checkpoint."""
    arguments, critic, scheduler = state.arguments, state.critic_arguments, state.scheduler
    scheduler.base_lrs = [arguments.learning_rate for _ in scheduler.base_lrs]
    rate = arguments.learning_rate * learning_rate_share(scheduler.last_epoch, arguments)
    for group in state.optimizer.param_groups:
        group |= {"lr": rate, "initial_lr": arguments.learning_rate, "weight_decay": arguments.weight_decay}
        group["betas"] = (arguments.adam_beta1, arguments.adam_beta2)
    if state.critic_learner is not None:
        for group in state.critic_learner.optimizer.param_groups:
            group |= {"lr": critic.critic_learning_rate, "betas": (critic.critic_beta1, group["betas"][1])}


__all__ = ["begin", "save_checkpoint", "save_model"]
