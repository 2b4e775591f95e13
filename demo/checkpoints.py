"""Which checkpoints the page offers: the bundled ones, and those named on the command line or in the environment."""

import os
from pathlib import Path
from typing import Any

from lip2wav_hf import Lip2WavFeatureExtractor, VideoToSpeechPipeline
from lip2wav_hf.files import read_fields
from lip2wav_hf.generator import usable_device
from lip2wav_hf.models import BY_TYPE, SPEAKING, ModelError, bundled_models, find_model


ENVIRONMENT = "LIP2WAV_CHECKPOINTS"  # folders and repositories, separated by commas or white space


def checkpoint_folders(extra: list[str]) -> dict[str, Path]:
    """
    Names and folders of all checkpoints, the default one first.

    Args:
        extra (`list[str]`): Folders, or repositories of the Hub, which are downloaded.

    Returns:
        `dict[str, Path]`: A bundled checkpoint and a folder go by their folder's name, a repository by its own.

    Raises:
        ModelError: for a folder or repository that holds no model, or two that would have the same name.
    """
    named = os.environ.get(ENVIRONMENT, "").replace(",", " ").split()
    folders: dict[str, Path] = {}
    for model in dict.fromkeys([*extra, *named, *bundled_models()]):
        folder = find_model(model, SPEAKING)
        name = Path(os.path.abspath(model)).name if Path(model).is_dir() else model
        if name in folders and folders[name] != folder:
            raise ModelError(
                f"two checkpoints are named {name!r}: {folders[name]} and {folder}. Rename one of the folders."
            )
        folders[name] = folder
    if not folders:
        raise ModelError("there is no checkpoint: this installation has none bundled. Name a folder or a repository.")
    return folders


def load_checkpoints(extra: list[str], device: str | None = None) -> dict[str, VideoToSpeechPipeline]:
    """
    Load every checkpoint, so that a broken one is known before the page opens.

    Args:
        extra (`list[str]`): As for [`checkpoint_folders`].
        device (`str`, *optional*): Where the generators run, such as `"cpu"` or `"cuda:0"`.

    Returns:
        `dict[str, VideoToSpeechPipeline]`: Pipelines by the name of their checkpoint, the default one first.

    Raises:
        Lip2WavError: as for [`checkpoint_folders`], and for weights that do not load.
    """
    place = usable_device(device)
    return {
        name: VideoToSpeechPipeline(
            model=_network(folder),
            feature_extractor=Lip2WavFeatureExtractor.from_pretrained(folder),
            device=place,
        )
        for name, folder in checkpoint_folders(extra).items()
    }


def _network(folder: Path) -> Any:
    """The network of a model, whichever system it is."""
    model_type = read_fields(folder / "config.json", ModelError)["model_type"]
    return BY_TYPE[model_type].model_class.from_pretrained(folder, dtype="auto")
