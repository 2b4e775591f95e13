"""What a training knows of its model's card: written to card.yaml beside `best/` and `final/`, where cards look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..files import write_text
from ..machine import gpu_power_limit, machine
from .arguments import DataArguments, ModelArguments
from .state import State


FACTS_FILE = "card.yaml"


def write_training_facts(state: State, data: DataArguments, models: ModelArguments) -> Path:
    """Write [`training_facts`] to `output_dir/card.yaml`, from where `lip2wav card output_dir/best` takes them."""
    path = Path(state.arguments.output_dir, FACTS_FILE)
    write_text(path, yaml.safe_dump(training_facts(state, data, models), allow_unicode=True, sort_keys=False))
    return path


def training_facts(state: State, data: DataArguments, models: ModelArguments) -> dict[str, Any]:
    """
    The fields of card.yaml that the training knows, see `lip2wav_hf.hub.facts.ModelFacts`; a person adds the licences.

    Args:
        state ([`State`]): of the training.
        data ([`DataArguments`]): what it is trained on.
        models ([`ModelArguments`]): where its networks came from.
    """
    arguments, progress = state.arguments, state.progress
    clips = state.training_clips.clips
    speakers = sorted({clip.speaker for clip in clips})
    processes = state.accelerator.num_processes
    batches = arguments.gradient_accumulation_steps * processes
    start = f", from the weights of `{Path(models.pretrained).name}`" if models.pretrained else ""
    return {
        "summary": f"From a silent, frontal video of a face to speech, trained on {len(speakers)} speaker(s).",
        "data": f"{len(clips)} clips of {', '.join(speakers)}; split {data.train_split!r} of {data.split_scheme!r}.",
        "trained_on": [f"{Path(folder).resolve().name}/{data.train_split}" for folder in data.data_dir],
        "training": f"{progress.step} steps, each of {batches} batch(es) of {arguments.batch_size} clips{start}.",
        "training_type": "fine-tuning" if models.pretrained else "from scratch",
        **_cost(state),
    }


def _cost(state: State) -> dict[str, Any]:
    """Hours times cores or GPUs, and on what."""
    hardware, processes = machine(), state.accelerator.num_processes
    hours = state.progress.seconds * processes / 3600
    if state.accelerator.device.type == "cpu":
        hours *= hardware["torch_threads"]
        return {"core_hours": _rounded(hours), "hardware": f"{processes} x {hardware['cpu']}"}
    cost = {"gpu_hours": _rounded(hours), "hardware": f"{processes} x {hardware['accelerator']}"}
    watts = gpu_power_limit(state.accelerator.device.index or 0)
    return cost | ({"watts": watts} if watts else {})


def _rounded(hours: float) -> float:
    return max(round(hours, 3), 0.001)


__all__ = ["FACTS_FILE", "training_facts", "write_training_facts"]
