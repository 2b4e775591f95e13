"""The package's networks, and how the name of a model becomes a folder: everywhere the same."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from . import files
from .errors import Lip2WavError, check_dtype, did_you_mean, readable_settings
from .files import CHECKPOINTS, REPOSITORY, named_folder, read_fields, read_json


DEFAULT_MODEL = "grid-s1"
TASK = "video-to-speech"

DOWNLOADED = (
    *("config.json", "preprocessor_config.json", "model*.safetensors*", "ngram.arpa", "*coder_model.onnx"),
    "README.md",
)


FOLDERS_OF_A_RUN = ("best", "final")
"""What a training calls its models, whatever they are."""

OPTIMIZER_FILE = "optimizer.bin"
"""Of a checkpoint, as Accelerate names it."""


class ModelError(Lip2WavError):
    """A model that is not there, or that is not what is needed."""


@dataclass(frozen=True)
class Network:
    """
    One of the package's networks. A new network needs its own file and a record here; training, publishing and cards
    read this list.

    Attributes:
        name (`str`): as `lip2wav train --network` takes it.
        model_type (`str`): of its configuration.
        module (`str`): the module that holds it, in the package.
        class_name (`str`), config_name (`str`): its class, and that of its configuration.
        folder (`str`): where it lies in the folder of a model; `"."` for the network that a pipeline runs.
        description (`str`): what it is, for cards.
        objective (`str`, *optional*): `module.class` in `training` of the objective that trains it alone.
        config_module (`str`, *optional*): the module that holds its configuration.
        speaks (`bool`, *optional*): whether a pipeline runs it, which makes speech of a video.
        taken_by (`str`, *optional*): of one that does not, what `lip2wav train` is told to train with it.
    """

    name: str
    model_type: str
    module: str
    class_name: str
    config_name: str
    folder: str
    description: str
    objective: str | None = None
    config_module: str = "configuration_lip2wav"
    speaks: bool = False
    taken_by: str = ""

    @property
    def is_flat(self) -> bool:
        """Whether its file lies at the top of the package; the others are flattened on their way to the Hub."""
        return "." not in self.module

    @property
    def model_class(self) -> Any:
        """The class of the network, imported when it is asked for."""
        return getattr(importlib.import_module(f"lip2wav_hf.{self.module}"), self.class_name)

    @property
    def config_class(self) -> Any:
        """The class of its configuration, imported when it is asked for."""
        return getattr(importlib.import_module(f"lip2wav_hf.{self.config_module}"), self.config_name)


NETWORKS = (
    Network(
        "generator",
        "lip2wav",
        "modeling_lip2wav",
        "Lip2WavModel",
        "Lip2WavConfig",
        ".",
        "the generator",
        "objectives.GeneratorObjective",
        speaks=True,
    ),
    Network(
        "critic",
        "lip2wav_critic",
        "modeling_critic",
        "Lip2WavCritic",
        "Lip2WavCriticConfig",
        "critic",
        "the critic of the training",
    ),
    Network(
        "speech_encoder",
        "lip2wav_speech_encoder",
        "modeling_critic",
        "Lip2WavSpeechEncoder",
        "Lip2WavSpeechEncoderConfig",
        "speech_encoder",
        "the speech encoder of the perceptual losses",
        "objectives.SpeechEncoderObjective",
        taken_by="--speech_encoder",
    ),
    Network(
        "syncnet",
        "lip2wav_syncnet",
        "modeling_syncnet",
        "Lip2WavSyncNet",
        "Lip2WavSyncNetConfig",
        "syncnet",
        "the network that measures lip sync",
        "objective_syncnet.SyncNetObjective",
        taken_by="--synchronize SPEAKERS --sync_network",
    ),
    Network(
        "lip2audspec_autoencoder",
        "lip2audspec_autoencoder",
        "lip2audspec.modeling_autoencoder",
        "Lip2AudSpecAutoencoder",
        "Lip2AudSpecAutoencoderConfig",
        "autoencoder",
        "the autoencoder of auditory spectra",
        "objective_lip2audspec.AutoencoderObjective",
        "lip2audspec.configuration_lip2audspec",
        taken_by="lip2audspec --autoencoder",
    ),
    Network(
        "lip2audspec",
        "lip2audspec",
        "lip2audspec.modeling_lip2audspec",
        "Lip2AudSpecModel",
        "Lip2AudSpecConfig",
        ".",
        "Lip2AudSpec, a system to compare with",
        "objective_lip2audspec.Lip2AudSpecObjective",
        "lip2audspec.configuration_lip2audspec",
        speaks=True,
    ),
)

BY_TYPE = {network.model_type: network for network in NETWORKS}

SYSTEMS = {
    "istft": "Lip2Wav, this package's own system",
    "frame": "Vougioukas et al. 2019, a reconstruction",
    "lip2audspec": "Lip2AudSpec (Akbari et al. 2018)",
}
"""The systems that speak, by the type of the model, or by its decoder where there are several."""

SPEAKING = tuple(network.model_type for network in NETWORKS if network.speaks)
"""Types of the models that make speech of a video."""

ModelType: TypeAlias = str | tuple[str, ...] | None
"""The type of a model, several that will do, or any."""


def system_name(config: Any) -> str:
    """
    Which system a model is.

    Args:
        config (mapping): what its config.json says.

    Returns:
        `str`: such as `"Lip2AudSpec (Akbari et al. 2018)"`; of a network that does not speak, what it is.
    """
    if not isinstance(config, Mapping):
        return "unknown"
    model_type = config.get("model_type")
    key = config.get("decoder_type", "istft") if model_type == "lip2wav" else model_type
    network = BY_TYPE.get(str(model_type))
    return SYSTEMS.get(str(key)) or (network.description if network else f"unknown ({model_type})")


def bundled_models(model_type: ModelType = "lip2wav") -> list[str]:
    """Names of the models that come with the package, the default one first; of a type, of several, or of all with
    `None`."""
    names = [
        path.parent.name
        for path in sorted(CHECKPOINTS.glob("*/config.json"))
        if _is_of(model_type, read_fields(path, ModelError).get("model_type"))
    ]
    return sorted(names, key=lambda name: (name != DEFAULT_MODEL, name))


def baseline_models(model_type: ModelType = None) -> list[Path]:
    """Folders of the models to compare with, of a type, of several, or of all; see [`~files.BASELINES`]."""
    return [
        path.parent
        for path in sorted(files.BASELINES.glob("*/config.json"))
        if _is_of(model_type, read_fields(path, ModelError).get("model_type"))
    ]


def named_models(model_type: ModelType = None) -> list[Path]:
    """Folders of the models that have a name here, of a type, of several, or of all: the bundled ones, the default one
    first, then those to compare with, in a copy of the repository. What lists names of models lists these."""
    return [*(CHECKPOINTS / name for name in bundled_models(model_type)), *baseline_models(model_type)]


def _is_of(model_type: ModelType, found: Any) -> bool:
    return model_type is None or found in ((model_type,) if isinstance(model_type, str) else model_type)


def locate_model(model: str | os.PathLike, model_type: ModelType = "lip2wav") -> Path | str:
    """
    What the name of a model stands for: what exists on disk under that name; else a bundled model, or one to compare
    with, in a copy of the repository; else `owner/name` on the Hub.

    Args:
        model (`str` or `os.PathLike`): the name.
        model_type (`str` or `tuple[str, ...]`, *optional*, defaults to `"lip2wav"`): for the advice in errors.

    Returns:
        `Path` of a folder, or `str`, the name of a repository.

    Raises:
        ModelError: if it can be none of these, or is a checkpoint of a training.
    """
    name = os.fspath(model)
    path = Path(name).expanduser()
    if path.is_file():
        raise ModelError(
            f"model {name}: this is a file. Name the folder that holds config.json and model.safetensors."
        )
    if path.is_dir():
        if is_checkpoint(path):
            raise ModelError(f"model {name}: {_of_a_checkpoint(path)}")
        return path
    named = named_folder(name)
    if named is not None:
        return named
    if REPOSITORY.fullmatch(name):
        return name
    raise ModelError(f"model {name}: there is no such folder. {_choices(model_type)}")


def find_network(model: str | os.PathLike, model_type: str) -> tuple[Path | str, str]:
    """
    Where a network lies: in a folder, repository or bundled model, at its top or in the folder of its kind. Of what
    lies on the disk this is known without importing torch or transformers.

    Args:
        model (`str` or `os.PathLike`): the name, see [`locate_model`].
        model_type (`str`): of the network's configuration.

    Returns:
        `tuple[Path | str, str]`: the folder or repository, and the folder in it; empty for its top.

    Raises:
        ModelError: if there is no such model, or it has no such network.
        OSError, ValueError: if its configuration cannot be read.
    """
    network, place, found = BY_TYPE[model_type], locate_model(model, model_type), None
    with readable_settings(f"model {model}: config.json"):
        if not isinstance(place, Path):
            from transformers import PreTrainedConfig

            found = PreTrainedConfig.get_config_dict(place)[0].get("model_type")
        elif (place / "config.json").is_file():
            found = read_fields(place / "config.json", ModelError).get("model_type")
    subfolder = "" if found == network.model_type else network.folder
    if subfolder and isinstance(place, Path) and not (place / subfolder / "config.json").is_file():
        kind = f"it is a model of the type {found!r}" if found else "there is no config.json in it"
        raise ModelError(f"model {model}: {kind}, and no folder {subfolder}/ is in it. {_choices(model_type)}")
    return place, subfolder


def load_network(model: str | os.PathLike, model_type: str) -> Any:
    """
    A network with its weights in float32, see [`find_network`].

    Raises:
        ModelError: if there is no such model, or it has no such network.
        OSError, ValueError: if it cannot be loaded.
    """
    place, subfolder = find_network(model, model_type)
    import torch

    return BY_TYPE[model_type].model_class.from_pretrained(place, subfolder=subfolder, dtype=torch.float32)


def pipeline(task: str | None = None, model: Any = None, *arguments: Any, **options: Any) -> Any:
    """
    `transformers.pipeline`, which also knows the names of our models: of the bundled ones, and in a copy of the
    repository of those to compare with. transformers itself takes folders, and looks for any other name on the Hub.

    Args:
        task (`str`, *optional*, defaults to `"video-to-speech"`): for another one, nothing is looked up.
        model (`str`, `os.PathLike` or a model, *optional*): the name, see [`find_model`]; the bundled model by
            default. A repository of the Hub is left to transformers, with `revision` and `token`.
        arguments, options: as of `transformers.pipeline`.

    Returns:
        [`VideoToSpeechPipeline`].

    Raises:
        ModelError: if there is no such model, it makes no speech, or it is one of ours and the task is another.
        Lip2WavError: if there is no such task, `dtype` or `device`.

    Example:

    ```python
    >>> from lip2wav_hf import pipeline

    >>> speak = pipeline("video-to-speech", model="grid-s1")
    >>> speak("clip.mpg")["text"]
    ```
    """
    import transformers

    make: Any = transformers.pipeline  # which is declared for its own tasks only
    task = TASK if task is None else task
    if task != TASK:
        _check_task(task, model, options)
        return make(task, model, *arguments, **options)
    for name in ("dtype", "torch_dtype"):
        check_dtype(options.get(name), name)
        check_dtype((options.get("model_kwargs") or {}).get(name), name)
    if isinstance(options.get("device"), str):
        from .generator import usable_device

        usable_device(options["device"], "device=")
    if isinstance(model, (str, os.PathLike)):
        is_here = isinstance(locate_model(model, SPEAKING), Path)
        model = str(find_model(model, SPEAKING)) if is_here else os.fspath(model)
    return make(task, model, *arguments, **options)


def _check_task(task: Any, model: Any, options: Mapping[str, Any]) -> None:
    """Raises an error for a task that nobody knows, and for a model of ours that is to do another one."""
    from transformers.pipelines import PIPELINE_REGISTRY

    tasks = PIPELINE_REGISTRY.get_supported_tasks()
    brought = options.get("trust_remote_code") or options.get("pipeline_class")  # a task that transformers can't know
    if task not in tasks and not brought:
        meant = did_you_mean(task, tasks)
        others = f", those of transformers are {', '.join(each for each in tasks if each != TASK)}"
        raise Lip2WavError(
            f"Unknown task {task!r}.{meant} The task of this package is {TASK!r}{'' if meant else others}."
        )
    if isinstance(model, (str, os.PathLike)):
        folder = Path(model).expanduser()
        folder = folder if folder.is_dir() else named_folder(os.fspath(model)) or folder
        is_settings = (folder / "config.json").is_file()
        if is_settings and read_fields(folder / "config.json", ModelError).get("model_type") in BY_TYPE:
            raise ModelError(f"model {model}: it is one of this package, for the task {TASK!r}, not for {task!r}.")


def find_model(model: str | os.PathLike, model_type: ModelType = "lip2wav") -> Path:
    """
    The folder of a saved model, see [`locate_model`]; a repository of the Hub is downloaded.

    Args:
        model (`str` or `os.PathLike`): the name.
        model_type (`str` or `tuple[str, ...]`, *optional*, defaults to `"lip2wav"`): what its config.json must say, or
            one of several; `None` for anything.

    Raises:
        ModelError: if there is none, it lacks something, or is of another type.
    """
    name, place = os.fspath(model), locate_model(model, model_type)
    folder = place if isinstance(place, Path) else _download(place, model_type)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model {name}: there is no config.json in it, so it is not a saved model. "
            f"{_models_nearby(folder) or _choices(model_type)}"
        )
    found = read_json(folder / "config.json", ModelError)
    found = found.get("model_type") if isinstance(found, dict) else None
    if not _is_of(model_type, found):
        wanted = " or ".join(map(repr, (model_type,) if isinstance(model_type, str) else model_type or ()))
        raise ModelError(f"model {name}: it is a model of the type {found!r}, not {wanted}. {_choices(model_type)}")
    if not (folder / "preprocessor_config.json").is_file() and found in (*SPEAKING, "lip2wav_syncnet"):
        raise ModelError(
            f"model {name}: there is no preprocessor_config.json in it, so it is not a saved model."
            " Save the feature extractor there too."
        )
    if not weight_files(folder):
        raise ModelError(f"model {name}: there are no weights (model.safetensors) in it. Save the model again.")
    return folder


def name_of_folder(folder: Path) -> str:
    """What to call the model in a folder: `"grid_s1"` for `runs/grid_s1/best`."""
    path = folder.expanduser().resolve()
    return path.parent.name if path.name in FOLDERS_OF_A_RUN and path.parent.name else path.name


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a model's folder."""
    return sorted(folder.glob("model*.safetensors"))


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a checkpoint of a training: its weights are not the averaged ones, which a model has."""
    return folder.absolute().name.startswith("checkpoint-") and (
        (folder / OPTIMIZER_FILE).is_file() or not (folder / "config.json").is_file()
    )


def _of_a_checkpoint(folder: Path) -> str:
    """What a checkpoint is for, and what to name instead."""
    found = _models_in(folder.absolute().parent)
    purpose = "this is a checkpoint, for resuming a training (--resume), and no model."
    if found:
        return f"{purpose} {_listed('Beside it', found)}, such as {folder.parent / found[0]}."
    return (
        f"{purpose} There is no model beside it yet: the training writes best/ when it validates, and final/ at its"
        " end. Resume it."
    )


def _models_nearby(folder: Path) -> str:
    """What to name instead of the folder of a training; empty if there is nothing."""
    found = _models_in(folder)
    return f"{_listed('In it', found)}, such as {folder / found[0]}." if found else ""


def _listed(place: str, names: list[str]) -> str:
    return (
        f"{place} {'is' if len(names) == 1 else 'are'} {', '.join(names)}: name {'it' if len(names) == 1 else 'one'}"
    )


def _models_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/config.json") if not is_checkpoint(path.parent))


def _choices(model_type: ModelType) -> str:
    # A network that only comes inside of other models, such as a speech encoder, is found by their names.
    names = [
        f"{folder.name} ({system_name(read_fields(folder / 'config.json', ModelError))})"
        for folder in named_models(model_type)
    ] or [
        path.parents[1].name
        for path in sorted(CHECKPOINTS.glob("*/*/config.json"))
        if _is_of(model_type, read_fields(path, ModelError).get("model_type"))
    ]
    listed = (
        f", a repository of the Hub, or a bundled model: {', '.join(names)}"
        if names
        else " or a repository of the Hub"
    )
    return f"Give a folder{listed}."


def _download(repository: str, model_type: ModelType) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return Path(snapshot_download(repository, allow_patterns=list(DOWNLOADED)))
    except Exception as error:
        reason = f"it is not on the Hub either ({type(error).__name__})"
        if isinstance(error, LocalEntryNotFoundError):  # no answer from there, and nothing in the cache
            reason = "the Hub cannot be reached"
        raise ModelError(
            f"model {repository}: there is no such folder, and {reason}. Check the name and the network."
            f" {_choices(model_type)}"
        ) from error


__all__ = [
    "BY_TYPE",
    "CHECKPOINTS",
    "DEFAULT_MODEL",
    "FOLDERS_OF_A_RUN",
    "NETWORKS",
    "SPEAKING",
    "SYSTEMS",
    "ModelError",
    "ModelType",
    "Network",
    "bundled_models",
    "find_model",
    "find_network",
    "is_checkpoint",
    "load_network",
    "locate_model",
    "name_of_folder",
    "named_models",
    "pipeline",
    "system_name",
    "weight_files",
]
