"""What a run leaves on disk: checkpoints to resume from, and models ready for `from_pretrained`."""

from __future__ import annotations

import copy
import logging
import os
import shutil
from pathlib import Path

import torch

from ..files import read_json, replace_folder, write_json
from ..modeling_lip2wav import Lip2WavPreTrainedModel
from .reporting import say
from .state import State, TrainingError


logger = logging.getLogger(__name__)


def save_checkpoint(state: State) -> None:
    """Write `checkpoint-STEP` whole or not at all, and drop the oldest beyond the limit."""
    output = Path(state.arguments.output_dir)
    step = state.progress.step
    if state.saved_step == step:
        return
    final, temporary = (output / f"{prefix}checkpoint-{step}" for prefix in ("", "tmp-"))
    if state.accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    state.accelerator.wait_for_everyone()
    state.accelerator.save_state(str(temporary))
    state.accelerator.wait_for_everyone()
    if state.accelerator.is_main_process:
        replace_folder(temporary, final)
        for old in find_checkpoints(output)[: -state.arguments.save_total_limit]:
            shutil.rmtree(old)
        say(state, f"step {step}: wrote {final}")
    state.accelerator.wait_for_everyone()
    state.saved_step = step


def find_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    folders = [path for path in Path(output_dir).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]))


def save_model(state: State, name: str) -> None:
    """
    Write `output_dir/name`, ready for `from_pretrained`: the averaged weights and the feature extractor, the critic in
    `critic/` and the speech encoder in `speech_encoder/` where there are any.
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
    replace_folder(temporary, output / name)


def _save_network(state: State, network: Lip2WavPreTrainedModel, folder: Path) -> None:
    copy.deepcopy(network).to(getattr(torch, state.arguments.save_dtype)).save_pretrained(folder)
    config = read_json(folder / "config.json")
    config["dtype"] = "float32"  # what to calculate in: half precision saves space, but is slow on a CPU
    write_json(folder / "config.json", config, sort_keys=True)


def resume(state: State) -> None:
    """Resume from the checkpoint that the arguments name."""
    wanted = state.arguments.resume
    if wanted is None:
        return
    checkpoints = find_checkpoints(state.arguments.output_dir)
    if wanted == "latest" and not checkpoints:
        logger.warning("no checkpoint in %s: starting from the beginning.", state.arguments.output_dir)
        return
    folder = checkpoints[-1] if wanted == "latest" else Path(wanted)
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such checkpoint folder to resume from.")
    state.accelerator.load_state(str(folder))
    state.saved_step = state.progress.step
    say(state, f"resumed from {folder}")


__all__ = ["find_checkpoints", "resume", "save_checkpoint", "save_model"]
