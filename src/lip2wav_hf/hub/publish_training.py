"""What `--push_to_hub` does at the end of a training: measure the model, write its card, and upload it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from ..evaluation.evaluate import evaluate_model
from ..evaluation.run import Share
from ..training.arguments import OptimizationArguments
from ..training.facts import training_facts
from ..training.state import State
from .facts import FACTS_FILE, write_facts
from .model_card import write_model_card
from .push import Destination, HubError, Upload, push


def check_publishing(arguments: OptimizationArguments, network: str) -> None:
    """
    Find out before a training, not after it, whether its options allow its model to be published. Needs no network;
    [`check_token`] asks the Hub.

    Args:
        arguments ([`OptimizationArguments`]): of the run; nothing is checked without `push_to_hub`.
        network (`str`): what is trained.

    Raises:
        HubError: if the repository or the licence is missing, or the network is no generator.
    """
    if not arguments.push_to_hub:
        return
    if network != "generator":
        raise HubError(f"--push_to_hub publishes a generator, with its critic and speech encoder; not a {network}.")
    if not arguments.hub_model_id or not arguments.hub_license:
        raise HubError(
            "--push_to_hub needs --hub_model_id (such as me/my-voice) and --hub_license (of the weights, such as"
            " cc-by-4.0: see the licence of the clips that they are trained on)."
        )
    Destination(arguments.hub_model_id)  # checks the name


def check_token() -> None:
    """
    Ask the Hub whether it takes the token of this machine.

    Raises:
        HubError: if there is none, or the Hub refuses it.
    """
    try:
        HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise HubError("--push_to_hub needs a token: `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        raise HubError(f"--push_to_hub: the Hub does not accept this token ({error}).") from error


def publish(state: State) -> Upload:
    """
    Measure `final/` on the validation clips of the first folder of data, write its card from that, and push it. One
    process does this alone, whatever the training had: the others may be gone.

    Args:
        state ([`~training.State`]): of the finished training.

    Returns:
        [`Upload`]: what went to the Hub.

    Raises:
        HubError: if the Hub refuses; the folder is complete then, and `lip2wav push` can try again.
    """
    data, output = state.run.data, Path(state.arguments.output_dir)
    folder, split = output / "final", data.validation_split
    evaluate_model(
        str(folder),
        data.data_dir[0],
        split,
        data.speakers,
        output / "evaluation",
        splits_file=data.splits_file,
        split_scheme=data.split_scheme,
        device=str(state.accelerator.device),
        workers=1,
        share=Share(),
    )
    (folder / "results").mkdir(exist_ok=True)
    shutil.copy(output / "evaluation" / "results.json", folder / "results" / f"{split}.json")
    write_facts(folder / FACTS_FILE, published_facts(state))
    write_model_card(folder, overwrite=True)
    arguments = state.arguments
    return push(folder, cast(str, arguments.hub_model_id), private=arguments.hub_private)


def published_facts(state: State) -> dict[str, Any]:
    """card.yaml of the published model; a person may change it, and run `lip2wav write-card` and `push` again."""
    arguments, split = state.arguments, state.run.data.validation_split
    return training_facts(state) | {
        "name": cast(str, arguments.hub_model_id).rpartition("/")[2],
        "license": arguments.hub_license,
        "data_license": "That of the clips: see their source.",
        "selection": f"The averaged weights of the last step; {split!r} clips chose nothing.",
    }


__all__ = ["check_publishing", "check_token", "publish", "published_facts"]
