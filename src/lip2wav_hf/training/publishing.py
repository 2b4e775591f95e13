"""What `--push_to_hub` does at the end of a training: measure the model, write its card, and upload it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ..corpora.clips import Selection
from ..corpora.registry import open_corpus
from ..evaluation.evaluate import evaluate_model
from ..hub.card_texts import FACTS_FILE, ModelFacts, write_model_card
from ..hub.push import HubError, Upload, push
from ..machine import machine


if TYPE_CHECKING:
    from .arguments import DataArguments, OptimizationArguments
    from .state import State


def check_publishing(arguments: OptimizationArguments, network: str):
    """
    Find out before a training, not after it, whether its model can be published.

    Raises:
        HubError: if the repository, the licence or the token is missing, or the network is no generator.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if network != "generator":
        raise HubError(f"--push_to_hub publishes a generator, with its critic and speech encoder; not a {network}.")
    if not arguments.hub_model_id or not arguments.hub_license:
        raise HubError(
            "--push_to_hub needs --hub_model_id (such as me/my-voice) and --hub_license (of the weights, such as"
            " cc-by-4.0: see the licence of the clips that they are trained on)."
        )
    try:
        HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise HubError("--push_to_hub needs a token: `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        raise HubError(f"--push_to_hub: the Hub does not take this token ({error}).") from error


def publish(state: State, data: DataArguments) -> Upload:
    """
    Measure `final/` on the validation clips of the first folder of data, write its card from that, and push it.

    Args:
        state ([`~training.State`]): of the finished training.
        data ([`~training.DataArguments`]): what it was trained on.

    Returns:
        [`~hub.Upload`]: what went to the Hub.

    Raises:
        HubError: if the Hub refuses; the folder is complete then, and `lip2wav push` can try again.
    """
    output = Path(state.arguments.output_dir)
    folder, split = output / "final", data.validation_split
    splits_file = None
    if data.split_scheme != "custom":
        splits_file = output / "splits.json"
        splits = open_corpus(data.data_dir[0]).read_splits(Selection(data.split_scheme))
        splits_file.write_text(json.dumps(splits))
    evaluate_model(
        str(folder), data.data_dir[0], split, data.speakers, output / "evaluation", splits_file=splits_file, workers=1
    )
    (folder / "results").mkdir(exist_ok=True)
    shutil.copy(output / "evaluation" / "results.json", folder / "results" / f"{split}.json")
    facts = yaml.safe_dump(asdict(_facts(state, data)), allow_unicode=True, sort_keys=False)
    (folder / FACTS_FILE).write_text(facts, encoding="utf-8")
    write_model_card(folder, overwrite=True)
    return push(folder, state.arguments.hub_model_id, private=state.arguments.hub_private)


def _facts(state: State, data: DataArguments) -> ModelFacts:
    """What the training itself knows; a person may add to card.yaml, and run `lip2wav write-card` again."""
    arguments, progress = state.arguments, state.progress
    clips = state.train_loader.dataset.clips
    speakers = sorted({clip.speaker for clip in clips})
    hardware = machine()
    processes = state.accelerator.num_processes
    cores = 1 if hardware["accelerator"] else hardware["torch_threads"]
    return ModelFacts(
        name=arguments.hub_model_id.rpartition("/")[2],
        summary=f"From a silent, frontal video of a face to English speech, trained on {len(speakers)} speaker(s).",
        license=arguments.hub_license,
        license_name=arguments.hub_license,
        data=f"{len(clips)} clips of {', '.join(speakers)}; split {data.train_split!r} of {data.split_scheme!r}.",
        data_license="That of the clips: see where they come from.",
        training=f"{progress.step} steps, each of {arguments.gradient_accumulation_steps * processes} batch(es) of"
        f" {arguments.batch_size} clips.",
        selection=f"The averaged weights of the last step; {data.validation_split!r} clips chose nothing.",
        core_hours=max(round(progress.seconds * processes * cores / 3600, 3), 0.001),
        hardware=f"{processes} x {hardware['accelerator'] or hardware['cpu']}",
    )


__all__ = ["check_publishing", "publish"]
