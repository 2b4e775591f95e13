"""Which checkpoints the page offers: the bundled ones, and those named on the command line or in the environment."""

import os
from pathlib import Path
from typing import Any

from lip2wav_hf import Lip2WavFeatureExtractor, VideoToSpeechPipeline
from lip2wav_hf.comparison.systems import System, check_labels
from lip2wav_hf.files import read_fields
from lip2wav_hf.generator import usable_device
from lip2wav_hf.models import BY_TYPE, SPEAKING, ModelError, bundled_models, find_model


ENVIRONMENT = "LIP2WAV_CHECKPOINTS"  # folders and repositories, separated by commas or white space


def checkpoint_folders(extra: list[str]) -> dict[str, Path]:
    """
    Names and folders of all checkpoints, the default one first.

    Args:
        extra (`list[str]`): Folders, or repositories of the Hub, which are downloaded; each as `NAME` or `LABEL=NAME`.

    Returns:
        `dict[str, Path]`: Under their labels, or what `lip2wav compare` calls them: `tiny` for `runs/tiny/best`.

    Raises:
        ModelError: for a folder or repository that holds no model.
        ComparisonError: for two that would have the same name, or half a label.
    """
    named = os.environ.get(ENVIRONMENT, "").replace(",", " ").split()
    found: dict[tuple[str, Path], Path] = {}  # a model that is named twice is offered once
    for text in [*extra, *named, *bundled_models()]:
        system = System.named(text, "--checkpoint")
        folder = find_model(system.model, SPEAKING)
        found.setdefault((system.label, folder.resolve()), folder)
    if not found:
        raise ModelError("there is no checkpoint: this installation has none bundled. Name a folder or a repository.")
    check_labels(label for label, _ in found)
    return {label: folder for (label, _), folder in found.items()}


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
