"""What a training knows of its model: the facts of its card, and the record beside the weights that they are of."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..errors import counted
from ..files import write_text
from ..machine import gpu_power_limit, machine
from .dataset import SpeechClips
from .networks import settings_of
from .output_dir import FACTS_FILE
from .record import Record
from .state import State


def write_training_facts(state: State) -> Path:
    """
    Write [`training_facts`] to `output_dir/card.yaml`, for a reader. `lip2wav card output_dir/best` takes those in the
    record of `best/` itself, which are of the very weights in it.
    """
    path = Path(state.arguments.output_dir, FACTS_FILE)
    write_text(path, yaml.safe_dump(training_facts(state), allow_unicode=True, sort_keys=False))
    return path


def training_facts(state: State) -> dict[str, Any]:
    """
    The fields of card.yaml that the training knows, see `lip2wav_hf.hub.facts.ModelFacts`; a person adds the licences.

    Args:
        state ([`State`]): of the training.
    """
    arguments, progress = state.arguments, state.progress
    data, models = state.run.data, state.run.models
    clips = state.training_clips.clips
    speakers = sorted({clip.speaker for clip in clips})
    processes = state.accelerator.num_processes
    batches = counted(arguments.gradient_accumulation_steps * processes, "batch", "batches")
    schemes = " of " + " and ".join(map(repr, state.split_schemes)) if state.split_schemes else ""
    lent = [Path(folder).resolve().name for folder in data.appearance_dir or ()]
    looks = f" Looks, and nothing else, of the people in {', '.join(lent)}." if lent else ""
    start = f", from the weights of `{Path(models.pretrained).name}`" if models.pretrained else ""
    return {
        "summary": "From a silent, frontal video of a face to speech, trained on"
        f" {counted(len(speakers), 'speaker')}.",
        "data": f"{counted(len(clips), 'clip')} of {', '.join(speakers)}; split {data.train_split!r}{schemes}.{looks}",
        "trained_on": [f"{Path(folder).resolve().name}/{data.train_split}" for folder in data.data_dir],
        "training": f"{counted(progress.step, 'step')}, each of {batches} of {counted(arguments.batch_size, 'clip')}"
        f"{start}.",
        "training_type": "fine-tuning" if models.pretrained else "from scratch",
        **({"language": list(state.languages)} if state.languages else {}),
        **_cost(state),
    }


def record_of(state: State, number: int = 0) -> Record:
    """
    What is true of the weights as they are now.

    Args:
        state ([`State`]): of the training.
        number (`int`, *optional*, defaults to 0): of a checkpoint.
    """
    return Record(
        step=state.progress.step,
        number=number,
        processes=state.accelerator.num_processes,
        options=state.run.options(),
        clips=fingerprints(state.training_clips, state.validation_clips),
        feature_extractor=settings_of(state.feature_extractor),
        facts=training_facts(state),
    )


def fingerprints(training: SpeechClips, validation: SpeechClips) -> dict[str, str]:
    """How many clips there are, and a hash of their names, of each of the two."""
    found = {}
    for name, dataset in (("training", training), ("validation", validation)):
        keys = "\n".join(sorted(clip.key for clip in dataset.clips))
        found[name] = f"{len(dataset.clips)} ({hashlib.sha256(keys.encode()).hexdigest()[:8]})"
    return found


def _cost(state: State) -> dict[str, Any]:
    """Hours times cores or GPUs, and on what."""
    hardware, processes = machine(), state.accelerator.num_processes
    hours = state.progress.seconds * processes / 3600
    if state.accelerator.device.type == "cpu":
        hours *= hardware["torch_threads"]
        return {"core_hours": _rounded(hours), "hardware": f"{processes} x {hardware['cpu']}"}
    cost = {"gpu_hours": _rounded(hours), "hardware": f"{processes} x {hardware['accelerator']}"}
    watts = _watts(state.accelerator.device.index or 0)
    return cost | ({"watts": watts} if watts else {})


@cache
def _watts(index: int) -> float | None:
    """Asked for once: the program that knows takes its time."""
    return gpu_power_limit(index)


def _rounded(hours: float) -> float:
    return max(round(hours, 3), 0.001)


__all__ = ["FACTS_FILE", "fingerprints", "record_of", "training_facts", "write_training_facts"]
