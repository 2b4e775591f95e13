"""
What a push would upload: a folder is checked, and listed file by file, before anything is sent.

A model's repository works without this package: `pipeline("video-to-speech", model=repository,
trust_remote_code=True)` finds the code beside the weights.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import DatasetCard, ModelCard, ModelCardData, RepoCard, SpaceCard, SpaceCardData

from ..audio import mux_audio
from ..configuration_lip2wav import Lip2WavTextConfig
from ..decoding import NGRAM_FILE
from ..errors import Lip2WavError, one_line
from ..evaluation.systems import model_sha256
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..files import read_fields
from ..lip2audspec.auditory import COCHLEA, FILTERS
from ..lite.graphs import graph_files
from ..modeling_lip2wav import Lip2WavPreTrainedModel
from ..models import BY_TYPE, SPEAKING, ModelError, ModelType, Network, bundled_models, find_model, weight_files
from ..pipeline_video_to_speech import SpokenVideo, VideoToSpeechPipeline
from .card_results import CardError, limited, stored_measurements, update_card
from .card_texts import quiet_transformers, render_space_card
from .facts import FACTS_FILE
from .remote_code import EXTRACTOR, PACKAGE, PIPELINE, published_code
from .space import package_files, requirements


SAMPLE = PACKAGE / "assets" / "sample.mp4"
MODEL, SPACE, DATASET = "model", "space", "dataset"

WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
RESULT_SUFFIXES = (".json", ".csv", ".md")
SAMPLE_SUFFIXES = (".wav", ".flac", ".mp3", ".mp4", ".webm", ".png", ".jpg", ".svg", ".json", ".md", ".txt")
SPACE_FILES = ("app.py", "requirements.txt", "README.md")
CHECKPOINTS_VARIABLE = "LIP2WAV_CHECKPOINTS"  # says to the demo which models it offers
LARGEST_SPACE_FILE = 50_000_000  # bytes; a Space is code and a few examples

Files = dict[str, Path | bytes]
"""Path in the repository, and the file or its content."""


class HubError(Lip2WavError):
    """Something that cannot be published as it is, or that the Hub does not take."""


@dataclass
class Upload:
    """
    What is uploaded to the Hub.

    Attributes:
        repo_type (`str`): `"model"`, `"space"` or `"dataset"`.
        files (`dict[str, Path | bytes]`): path in the repository -> a file, or its content.
        left_out (`list[str]`): files and folders that do not go, relative to the folder.
        warnings (`list[str]`): what a reader of the card should know, and which ONNX graphs do not go, and why.
        repo_id (`str`): the repository, with its owner once it is known.
        deleted (`list[str]`): files of the repository that the commit deletes.
        space_sdk (`str`, *optional*): `"gradio"` or `"static"`, of a Space.
        variables (`dict[str, str]`): environment variables of a Space.
        commit_url (`str`, *optional*): address of the commit; `None` after a dry run.
        unchanged (`bool`): whether all of it was there already, so that no commit was made.
    """

    repo_type: str
    files: Files = field(repr=False)  # some with their content
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    repo_id: str = ""
    deleted: list[str] = field(default_factory=list)
    space_sdk: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    commit_url: str | None = None
    unchanged: bool = False

    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            path: len(source) if isinstance(source, bytes) else source.stat().st_size
            for path, source in sorted(self.files.items())
        }

    def facts(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "repo_id": self.repo_id,
            "repo_type": self.repo_type,
            "files": self.sizes(),
            "left_out": self.left_out,
            "warnings": self.warnings,
            "deleted": self.deleted,
            "commit_url": self.commit_url,
            "unchanged": self.unchanged,
            "variables": self.variables,
        }


# ---------------------------------------------------------------------------------------------------------------------
# A model
# ---------------------------------------------------------------------------------------------------------------------


def plan_model(folder: str | os.PathLike) -> Upload:
    """
    Check a model's folder and put together what its repository will hold.

    Raises:
        HubError: if the weights do not load or do not fit, or the card has no measured results of these weights.
    """
    folder = Path(folder)
    model, files, warnings = _plan_network(folder, SPEAKING)
    extractor = _load_extractor(folder, model)
    files["preprocessor_config.json"] = _extractor_config(folder)
    modules = [PIPELINE[0], EXTRACTOR[0], BY_TYPE[model.config.model_type].module]
    for path in sorted(folder.glob("*/config.json")):
        if path.parent.name.startswith(("checkpoint-", "tmp-", ".")):
            continue
        component, own, left = _plan_network(path.parent)
        warnings += left
        modules.append(BY_TYPE[component.config.model_type].module)
        files |= {f"{path.parent.name}/{name}": source for name, source in own.items()}
    files |= published_code(modules)
    if model.config.model_type == "lip2audspec":
        files |= {f"{COCHLEA}/{path.name}": path for path in sorted(FILTERS.parent.iterdir())}
    files |= {f"face_models/{path.name}": path for path in sorted((PACKAGE / "face_models").iterdir())}
    files["LICENSE-CODE"] = PACKAGE / "face_models" / "LICENSE"  # Apache-2.0, of our code as of MediaPipe's networks
    files |= _plan_card(folder, model_sha256(model))
    files |= _files_under(folder, "results", RESULT_SUFFIXES)
    files |= _files_under(folder, "samples", SAMPLE_SUFFIXES) or _make_samples(model, extractor)
    return Upload(MODEL, files, _left_out(folder, files), limited(stored_measurements(folder)) + warnings)


def _plan_network(folder: Path, model_type: ModelType = None) -> tuple[Lip2WavPreTrainedModel, Files, list[str]]:
    """
    A network of a folder, strictly loaded, its files, weights and a config.json that names its code, and which of its
    graphs do not go.
    """
    network = _find_network(folder, model_type)
    try:
        with quiet_transformers():
            model = network.model_class.from_pretrained(folder, dtype=torch.float32)
    except Exception as error:
        raise HubError(f"{folder}: the weights do not load. {one_line(error)}") from error
    for key, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise HubError(f"{folder}: the weights {key} are not all finite numbers: the training has diverged.")
    config = read_fields(folder / "config.json", HubError)
    config.pop("_name_or_path", None)
    config["architectures"] = [network.class_name]
    config["auto_map"] = {
        "AutoConfig": f"{_flat(network.config_module)}.{network.config_name}",
        "AutoModel": f"{_flat(network.module)}.{network.class_name}",
    }
    if network.speaks:
        task = {"impl": ".".join(PIPELINE), "pt": ["AutoModel"], "type": "video"}
        config["custom_pipelines"] = {"video-to-speech": task}
    index = [folder / WEIGHTS_INDEX] if (folder / WEIGHTS_INDEX).is_file() else []
    files: Files = {"config.json": _to_json(config)} | {path.name: path for path in [*weight_files(folder), *index]}
    if isinstance(model.config, Lip2WavTextConfig) and model.config.reads_words:
        tokenizer = model.config.units.tokenizer_files(model.config.normalizer)
        files |= {name: _to_json(content) for name, content in tokenizer.items()}
    graphs, left = graph_files(folder)
    files |= {path.name: path for path in graphs}
    if getattr(model.config, "ngram_order", 0):
        files[NGRAM_FILE] = folder / NGRAM_FILE
    return model, files, left


def _flat(module: str) -> str:
    """The name of a module in a repository, where all lie in one folder."""
    return module.rpartition(".")[2]


def _find_network(folder: Path, model_type: ModelType) -> Network:
    """Which network a folder holds, once it is known to be complete and not pickled."""
    pickled = [path.name for path in sorted(folder.glob("*")) if _is_pickle(path)]
    if pickled and not weight_files(folder):
        raise HubError(
            f"{folder}: its weights are pickled ({pickled[0]}), and a pickle can run code. Save the model with"
            " `save_pretrained`, which writes model.safetensors."
        )
    try:
        find_model(folder, model_type)
    except ModelError as error:
        raise HubError(str(error)) from error
    found = read_fields(folder / "config.json", HubError).get("model_type")
    if found not in BY_TYPE:
        raise HubError(
            f"{folder / 'config.json'}: it is of a model of the type {found!r}. Published are {', '.join(BY_TYPE)}."
        )
    return BY_TYPE[found]


def _load_extractor(folder: Path, model: Lip2WavPreTrainedModel) -> Lip2WavFeatureExtractor:
    """The feature extractor, once it is known to suit the model."""
    path = folder / "preprocessor_config.json"
    try:
        extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    except Exception as error:
        raise HubError(f"{path}: it cannot be loaded. {one_line(error)}") from error
    makes = (extractor.crop_height, extractor.crop_width, float(extractor.frame_rate))
    needs = (model.config.image_height, model.config.image_width, float(model.config.frame_rate))
    if makes != needs:
        raise HubError(
            f"{path}: height, width and frame rate of its crops are {makes}, but the model's config.json says {needs}."
        )
    return extractor


def _extractor_config(folder: Path) -> bytes:
    """preprocessor_config.json with the name of its code."""
    config = read_fields(folder / "preprocessor_config.json", HubError)
    return _to_json(config | {"auto_map": {"AutoFeatureExtractor": ".".join(EXTRACTOR)}})


def _plan_card(folder: Path, weights: str) -> Files:
    """The model card and its source, once it is known to have measured results, and results of these weights."""
    path = folder / "README.md"
    steps = (
        f"1. lip2wav evaluate --data DATA --model {folder} -o out/measured;"
        f" 2. lip2wav card {folder} --results validation=out/measured/results.json, which writes the card, or says"
        f" what you have to fill in in {FACTS_FILE}; 3. push again."
    )
    if not path.is_file():
        raise HubError(f"{folder}: there is no model card (README.md) in it. {steps}")
    data = cast(ModelCardData, load_card(ModelCard, path).data)
    if not data.eval_results:
        raise HubError(f"{path}: the card has no measured results (`model-index`). {steps}")
    for result in data.eval_results:
        value = result.metric_value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise HubError(f"{path}: its value of {result.metric_type} is {value!r}, not a number. {steps}")
    if not data.license:
        raise HubError(f"{path}: its metadata have no `license:`. Name the licence of the weights.")
    try:
        update_card(folder, check=True, weights=weights)
    except CardError as error:
        raise HubError(f"{path}: what it says was not measured with these weights. {one_line(error)}") from error
    return {name: folder / name for name in ("README.md", FACTS_FILE) if (folder / name).is_file()}


def _make_samples(model: Lip2WavPreTrainedModel, extractor: Lip2WavFeatureExtractor) -> Files:
    """The bundled synthetic face, with what this model says for it; nothing for a model that needs a voice."""
    if getattr(model.config, "speaker_embedding_size", 0):
        return {}
    with quiet_transformers(), tempfile.TemporaryDirectory() as temporary:
        speak = VideoToSpeechPipeline(task="video-to-speech", model=model, feature_extractor=extractor)
        # Without warnings: it is known what is seen.
        speech = cast(SpokenVideo, speak(str(SAMPLE), low_text_confidence=0.0, low_face_coverage=0.0))
        path = Path(temporary, "synthetic_face.mp4")
        mux_audio(SAMPLE, speech["audio"], speech["sampling_rate"], path)
        files: Files = {"samples/synthetic_face.mp4": path.read_bytes()}
        if model.config.reads_words:
            files["samples/synthetic_face.json"] = _to_json({"text": speech["text"], "words": speech["words"]})
        return files


def _files_under(folder: Path, name: str, suffixes: tuple[str, ...]) -> Files:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and path.suffix.lower() in suffixes
    }


def _left_out(folder: Path, files: Files) -> list[str]:
    """List the files of a folder that are not uploaded; a folder is listed once if none of it is."""
    sources = {source for source in files.values() if isinstance(source, Path)}
    sources |= {folder / name for name in files}
    sources |= {path for path in folder.rglob("*.py") if path.name in files}  # copies that `save_pretrained` makes
    names = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path not in sources and not path.name.startswith("."):
            names.append(path.name)
        elif path.is_dir() and path.name.startswith("."):  # what is not finished, such as that of an adaptation
            names.append(f"{path.name}/")
        elif path.is_dir() and path.name != "__pycache__":
            inner = [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
            missing = [file.relative_to(folder).as_posix() for file in inner if file not in sources]
            names += [f"{path.name}/"] if missing and len(missing) == len(inner) else missing
    return names


# ---------------------------------------------------------------------------------------------------------------------
# A Space, and the card of a data set
# ---------------------------------------------------------------------------------------------------------------------


def plan_space(folder: str | os.PathLike, models: Sequence[str] = ()) -> Upload:
    """
    Check the folder of a Space and list what goes. Where its requirements name this package, the modules that the app
    imports go along, and the requirements become those of the package: the Space needs no package index to have it.

    Args:
        folder (`str` or `os.PathLike`): as for [`~hub.push.push_space`].
        models (sequence of `str`, *optional*): what the page offers: repositories, or names of bundled models. By
            default the bundled ones.

    Raises:
        HubError: if something of it is missing, too large, or a pickle.
    """
    folder = Path(folder)
    if folder.is_file():
        if load_card(SpaceCard, folder).data.get("sdk") != "static":
            raise HubError(f"{folder}: a card alone must say `sdk: static`, as an organisation's does. Name a folder.")
        return Upload(SPACE, {"README.md": folder}, space_sdk="static")
    metadata = _space_metadata(folder)
    files = _space_files(folder)
    bundled = [name for name in models or bundled_models() if name in bundled_models()]
    lines = requirements((folder / "requirements.txt").read_text(encoding="utf-8").splitlines())
    if lines is not None:
        files["requirements.txt"] = "\n".join([*lines, ""]).encode()
        files |= package_files(
            [path for path in files.values() if isinstance(path, Path) and _is_python(path)], bundled
        )
    upload = Upload(SPACE, files, space_sdk="gradio")
    repositories = [name for name in models if name not in bundled]
    if repositories:
        files["README.md"] = render_space_card(repositories, metadata=metadata).encode()
        upload.variables[CHECKPOINTS_VARIABLE] = ",".join(repositories)
    return upload


def _space_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a Space's README.md, once its folder is known to be that of a Space."""
    for name in SPACE_FILES:
        if not (folder / name).is_file():
            raise HubError(f"{folder}: there is no {name} in it, so it is not the folder of a Space.")
    data = cast(SpaceCardData, load_card(SpaceCard, folder / "README.md").data)
    if data.sdk != "gradio" or not data.app_file or not (folder / data.app_file).is_file():
        raise HubError(
            f"{folder / 'README.md'}: its metadata must say `sdk: gradio` and `app_file:` with a file of the folder. "
            "Write it with: lip2wav write-card --type space."
        )
    return data.to_dict()


def _space_files(folder: Path) -> Files:
    """All files of a Space's folder but hidden ones and caches."""
    files: Files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            continue
        if path.stat().st_size > LARGEST_SPACE_FILE or _is_pickle(path):
            raise HubError(
                f"{path}: a Space holds code and examples, no pickle and no file above"
                f" {LARGEST_SPACE_FILE // 1_000_000} MB. Publish a model on its own and name it in the app."
            )
        files[relative.as_posix()] = path
    return files


def plan_dataset(card: str | os.PathLike) -> Upload:
    """
    Check the card of a data set.

    Raises:
        HubError: if it is missing or its metadata lack a licence.
    """
    card = Path(card)
    card = card / "README.md" if card.is_dir() else card
    if not card.is_file():
        raise HubError(f"{card}: there is no such card. Write it with: lip2wav write-card --type dataset -o {card}")
    if not load_card(DatasetCard, card).data.get("license"):
        raise HubError(f"{card}: its metadata have no `license:`. Name the licence of the data.")
    return Upload(DATASET, {"README.md": card})


def load_card(kind: type[RepoCard], path: Path) -> RepoCard:
    """
    A card with metadata that `huggingface_hub` understands.

    Raises:
        HubError: if it has none.
    """
    try:
        card = kind.load(path)
    except Exception as error:
        raise HubError(f"{path}: its metadata cannot be read. {one_line(error)}") from error
    if not card.data.to_dict():
        raise HubError(f"{path}: it has no metadata (the YAML between two lines of ---).")
    return card


def _is_pickle(path: Path) -> bool:
    return path.is_file() and any(path.match(pattern) for pattern in PICKLES)


def _is_python(source: Path | bytes) -> bool:
    return isinstance(source, Path) and source.suffix == ".py"


def _to_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


__all__ = [
    "DATASET",
    "MODEL",
    "SPACE",
    "HubError",
    "Upload",
    "load_card",
    "plan_dataset",
    "plan_model",
    "plan_space",
]
