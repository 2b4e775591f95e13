"""Publish on the Hugging Face Hub: a model, the Space that shows it, the card of a data set.

Everything is checked before anything is sent, and goes in one commit. A model's repository works without this package:
`pipeline("video-to-speech", model=repository, trust_remote_code=True)` finds the code beside the weights.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Lip2WavError
from .card_texts import REPOSITORY_OWNER, quiet_transformers, render_space_card
from .remote_code import EXTRACTOR, PIPELINE, code_files


PACKAGE = Path(__file__).parents[1]
SAMPLE = PACKAGE / "assets" / "sample.mp4"
MODEL, SPACE, DATASET = "model", "space", "dataset"

# Model type -> module and class. "lip2wav" is the generator; the others go into folders of their own.
NETWORKS = {
    "lip2wav": ("modeling_lip2wav", "Lip2WavModel"),
    "lip2wav_critic": ("modeling_critic", "Lip2WavCritic"),
    "lip2wav_speech_encoder": ("modeling_speech_encoder", "Lip2WavSpeechEncoder"),
    "lip2wav_syncnet": ("modeling_syncnet", "Lip2WavSyncNet"),
}

WEIGHTS = "model*.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
RESULT_SUFFIXES = (".json", ".csv", ".md")
SAMPLE_SUFFIXES = (".wav", ".flac", ".mp3", ".mp4", ".webm", ".png", ".jpg", ".svg", ".json", ".md", ".txt")
SPACE_FILES = ("app.py", "requirements.txt", "README.md")
OWN_REQUIREMENT = re.compile(r"^\s*lip2wav[_-]hf\s*(\[(?P<extras>[^]]*)\])?", re.IGNORECASE)
CHECKPOINTS_VARIABLE = "LIP2WAV_CHECKPOINTS"  # tells the demo which models it offers
LARGEST_SPACE_FILE = 50_000_000  # bytes; a Space is code and a few examples

# What a push of a model replaces as a whole: files of an earlier one that are here no more are deleted.
MANAGED_FOLDERS = ("critic", "speech_encoder", "syncnet", "face_models", "results", "samples")
MANAGED_FILES = ("*.py", "model*.safetensors*", "pytorch_model*")


class HubError(Lip2WavError):
    """Something that cannot be published as it is, or that the Hub does not take."""


@dataclass
class Upload:
    """
    What goes to the Hub.

    Attributes:
        repo_type (`str`): `"model"`, `"space"` or `"dataset"`.
        files (`dict[str, Path | bytes]`): path in the repository -> a file, or its content.
        left_out (`list[str]`): files and folders that do not go, relative to the folder.
        repo_id (`str`): the repository, with its owner once it is known.
        deleted (`list[str]`): files of the repository that the commit deletes.
        space_sdk (`str`, *optional*): `"gradio"` or `"static"`, of a Space.
        variables (`dict[str, str]`): environment variables of a Space.
        commit_url (`str`, *optional*): address of the commit; `None` after a dry run.
        unchanged (`bool`): whether all of it was there already, so that no commit was made.
    """

    repo_type: str
    files: dict[str, Path | bytes]
    left_out: list[str] = field(default_factory=list)
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
            "deleted": self.deleted,
            "commit_url": self.commit_url,
            "unchanged": self.unchanged,
            "variables": self.variables,
        }


def push(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    token: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> Upload:
    """
    Publish a model: networks, feature extractor, code, card, results and samples, in one commit.

    Args:
        folder (`str` or `os.PathLike`): as `save_pretrained` wrote it, with a model card (`lip2wav card`). Its
            subfolders with a config.json, such as `critic/` and `speech_encoder/`, go too.
        repo_id (`str`): `"owner/name"`, or `"name"` for your own.
        private (`bool`, *optional*, defaults to `False`): make a private repository.
        branch (`str`, *optional*, defaults to `"main"`): where the commit goes; it is made if it is missing.
        token (`str`, *optional*): by default that of `hf auth login` or `HF_TOKEN`.
        message (`str`, *optional*): of the commit.
        dry_run (`bool`, *optional*, defaults to `False`): only check, and tell what would go. Needs no network.

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if the weights do not load or do not fit, the card has no measured results of these weights, or the
            Hub refuses. Nothing has been published then.
    """
    _check_name(repo_id)
    upload = plan_model(folder)
    return _send(upload, repo_id, private, branch, token, message, dry_run, name=Path(folder).resolve().name)


def push_space(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    models: list[str] | None = None,
    private: bool = False,
    branch: str | None = None,
    token: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> Upload:
    """
    Publish a Gradio Space, such as `demo/`: all of the folder but hidden files and caches, in one commit. Where its
    requirements name this package, the installed package goes along.

    Args:
        folder (`str` or `os.PathLike`): with app.py, requirements.txt and a README.md with the metadata of a Space. Or
            a card alone, with `sdk: static`: the page of an organisation, for `organisation/README`.
        repo_id (`str`): `"owner/name"`.
        models (`list[str]`, *optional*): repositories that the page is to offer. The Space then has a README.md that
            links them, and names them to the app in the variable LIP2WAV_CHECKPOINTS.
        others: as for [`push`].

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if something of the folder is missing, too large or pickled, or the Hub refuses.
    """
    for name in (repo_id, *(models or ())):
        _check_name(name)
    upload = plan_space(folder, models)
    return _send(upload, repo_id, private, branch, token, message, dry_run, name=Path(folder).resolve().name)


def push_dataset_card(
    card: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    token: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> Upload:
    """
    Publish the card of a data set, and nothing else: no recording leaves the machine.

    Args:
        card (`str` or `os.PathLike`): README.md, or the folder that holds it.
        others: as for [`push`].

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if the card has no metadata or no licence, or the Hub refuses.
    """
    _check_name(repo_id)
    upload = plan_dataset(card)
    return _send(upload, repo_id, private, branch, token, message, dry_run, name="the data set card")


# ---------------------------------------------------------------------------------------------------------------------
# What goes
# ---------------------------------------------------------------------------------------------------------------------


def plan_model(folder: str | os.PathLike) -> Upload:
    """
    Check a model's folder and put together what its repository will hold.

    Raises:
        HubError: as for [`push`].
    """
    folder = Path(folder)
    model, files = _plan_network(folder, "lip2wav")
    files["preprocessor_config.json"] = _plan_extractor(folder, model)
    modules = [PIPELINE[0], EXTRACTOR[0], NETWORKS["lip2wav"][0]]
    for path in sorted(folder.glob("*/config.json")):
        if path.parent.name.startswith(("checkpoint-", "tmp-", ".")):
            continue
        _, component = _plan_network(path.parent)
        modules.append(NETWORKS[_read_json(path)["model_type"]][0])
        files |= {f"{path.parent.name}/{name}": source for name, source in component.items()}
    files |= {path.name: path for path in code_files(modules)}
    files |= {f"face_models/{path.name}": path for path in sorted((PACKAGE / "face_models").iterdir())}
    files["LICENSE-CODE"] = PACKAGE / "face_models" / "LICENSE"  # Apache-2.0, of our code as of MediaPipe's networks
    files["README.md"] = _plan_card(folder)
    files |= _files_under(folder, "results", RESULT_SUFFIXES)
    files |= _files_under(folder, "samples", SAMPLE_SUFFIXES) or _make_samples(model, folder)
    sources = {source for source in files.values() if isinstance(source, Path)}
    sources |= {folder / name for name in files}
    sources |= {path for path in folder.rglob("*.py") if path.name in files}  # copies that `save_pretrained` makes
    return Upload(MODEL, files, _left_out(folder, sources))


def plan_space(folder: str | os.PathLike, models: list[str] | None = None) -> Upload:
    """
    Check the folder of a Space and list what goes. Where its requirements name this package, the installed package
    goes along, and the requirements become those of the package: the Space needs no package index to have it.

    Raises:
        HubError: if something of it is missing, too large, or a pickle.
    """
    from huggingface_hub import SpaceCard

    folder = Path(folder)
    if folder.is_file():
        if _load_card(SpaceCard, folder).data.sdk != "static":
            raise HubError(f"{folder}: a card alone must say `sdk: static`, as an organisation's does. Name a folder.")
        return Upload(SPACE, {"README.md": folder}, space_sdk="static")
    for name in SPACE_FILES:
        if not (folder / name).is_file():
            raise HubError(f"{folder}: there is no {name} in it, so it is not the folder of a Space.")
    data = _load_card(SpaceCard, folder / "README.md").data
    if data.sdk != "gradio" or not data.app_file or not (folder / data.app_file).is_file():
        raise HubError(
            f"{folder / 'README.md'}: its metadata must say `sdk: gradio` and `app_file:` with a file of the folder. "
            "Write it with: lip2wav write-card --type space."
        )
    files: dict[str, Path | bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            if path.stat().st_size > LARGEST_SPACE_FILE or _is_pickle(path):
                raise HubError(
                    f"{path}: a Space holds code and examples, no pickle and no file above"
                    f" {LARGEST_SPACE_FILE // 1_000_000} MB. Publish a model on its own and name it in the app."
                )
            files[relative.as_posix()] = path
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ours = [line for line in lines if OWN_REQUIREMENT.match(line)]
    if ours:
        others = [line for line in lines if line not in ours]
        extras = [extra.strip() for line in ours for extra in (OWN_REQUIREMENT.match(line)["extras"] or "").split(",")]
        files["requirements.txt"] = "\n".join([*others, *_requirements(extras), ""]).encode()
        files |= _package_files()
    upload = Upload(SPACE, files, space_sdk="gradio")
    if models:
        options = {"gradio_version": data.sdk_version, "python_version": data.python_version, "title": data.title}
        card = render_space_card(models, **{name: value for name, value in options.items() if value})
        files["README.md"] = card.encode()
        upload.variables[CHECKPOINTS_VARIABLE] = ",".join(models)
    return upload


def _requirements(extras: list[str]) -> list[str]:
    """What this package needs, with some of its extras; gradio is left out: a Space has it."""
    from packaging.requirements import Requirement

    wanted = {}
    for requirement in map(Requirement, importlib.metadata.requires("lip2wav_hf") or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            wanted[requirement.name] = f"{requirement.name}{requirement.specifier}"
    return [line for name, line in sorted(wanted.items()) if name != "gradio"]


def _package_files() -> dict[str, Path]:
    """The installed package, as a folder beside the app."""
    files = {}
    for folder, folders, names in os.walk(PACKAGE, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if not name.endswith(".pyc"):
                path = Path(folder, name)
                files[f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}"] = path
    return files


def plan_dataset(card: str | os.PathLike) -> Upload:
    """
    Check the card of a data set.

    Raises:
        HubError: if it is missing or its metadata lack a licence.
    """
    from huggingface_hub import DatasetCard

    card = Path(card)
    card = card / "README.md" if card.is_dir() else card
    if not card.is_file():
        raise HubError(f"{card}: there is no such card. Write it with: lip2wav card --type dataset -o {card}.")
    if not _load_card(DatasetCard, card).data.license:
        raise HubError(f"{card}: its metadata have no `license:`. Name the licence of the data.")
    return Upload(DATASET, {"README.md": card})


def _plan_network(folder: Path, model_type: str | None = None) -> tuple[Any, dict[str, Path | bytes]]:
    """A network of a folder, strictly loaded, and its files: weights, and a config.json that names its code."""
    import torch

    if not (folder / "config.json").is_file():
        raise HubError(f"{folder}: there is no config.json in it. Name the folder that `save_pretrained` wrote.")
    config = _read_json(folder / "config.json")
    found = config.get("model_type")
    if found not in NETWORKS or model_type not in (None, found):
        expected = repr(model_type) if model_type else f"one of {', '.join(NETWORKS)}"
        raise HubError(f"{folder / 'config.json'}: it is of a model of the type {found!r}, not {expected}.")
    weights = sorted(folder.glob(WEIGHTS))
    if not weights:
        pickled = [path.name for path in sorted(folder.iterdir()) if _is_pickle(path)]
        problem = (
            f"its weights are pickled ({pickled[0]}), and a pickle can run code" if pickled else "it has no weights"
        )
        raise HubError(f"{folder}: {problem}. Save the model with `save_pretrained`: that writes model.safetensors.")
    module, name = NETWORKS[found]
    network = getattr(importlib.import_module(f"lip2wav_hf.{module}"), name)
    try:
        with quiet_transformers():
            model = network.from_pretrained(folder, dtype=torch.float32)
    except Exception as error:
        raise HubError(f"{folder}: the weights do not load. {_one_line(error)}") from error
    for key, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise HubError(f"{folder}: the weights {key} are not all finite numbers: the training has diverged.")
    config.pop("_name_or_path", None)
    config["architectures"] = [name]
    config["auto_map"] = {
        "AutoConfig": f"configuration_lip2wav.{network.config_class.__name__}",
        "AutoModel": f"{module}.{name}",
    }
    if found == "lip2wav":
        task = {"impl": ".".join(PIPELINE), "pt": ["AutoModel"], "type": "video"}
        config["custom_pipelines"] = {"video-to-speech": task}
    index = [folder / WEIGHTS_INDEX] if (folder / WEIGHTS_INDEX).is_file() else []
    return model, {"config.json": _to_json(config)} | {path.name: path for path in weights + index}


def _plan_extractor(folder: Path, model) -> bytes:
    """preprocessor_config.json with the code's name in it, once it is known to load and to suit the model."""
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor

    path = folder / "preprocessor_config.json"
    if not path.is_file():
        raise HubError(f"{folder}: there is no preprocessor_config.json in it. Save the feature extractor there too.")
    try:
        extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    except Exception as error:
        raise HubError(f"{path}: it cannot be loaded. {_one_line(error)}") from error
    makes = (extractor.crop_height, extractor.crop_width, float(extractor.frame_rate))
    needs = (model.config.image_height, model.config.image_width, float(model.config.frame_rate))
    if makes != needs:
        raise HubError(
            f"{path}: height, width and frame rate of its crops are {makes}, but the model's config.json says {needs}."
        )
    return _to_json(_read_json(path) | {"auto_map": {"AutoFeatureExtractor": ".".join(EXTRACTOR)}})


def _plan_card(folder: Path) -> Path:
    """The model card, once it is known to tell measured results, and results of these weights."""
    from huggingface_hub import ModelCard

    from .card_results import CardError, update_card

    path = folder / "README.md"
    how = (
        f"Measure the model with `lip2wav evaluate`, put the numbers in with `lip2wav card {folder} --results"
        " SPLIT=results.json`."
    )
    if not path.is_file():
        raise HubError(
            f"{folder}: there is no model card (README.md) in it. Write one with `lip2wav write-card {folder}`. {how}"
        )
    data = _load_card(ModelCard, path).data
    if not data.eval_results:
        raise HubError(f"{path}: the card tells no measured results (`model-index`). {how}")
    for result in data.eval_results:
        value = result.metric_value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise HubError(f"{path}: its value of {result.metric_type} is no number but {value!r}. {how}")
    if not data.license:
        raise HubError(f"{path}: its metadata have no `license:`. Name the licence of the weights.")
    try:
        with quiet_transformers():
            update_card(folder, check=True)
    except CardError as error:
        raise HubError(f"{path}: what it tells was not measured with these weights. {_one_line(error)}") from error
    return path


def _make_samples(model, folder: Path) -> dict[str, bytes]:
    """The bundled synthetic face, with what this model says for it; nothing for a model that needs a voice."""
    from ..audio import mux_audio
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from ..pipeline_video_to_speech import VideoToSpeechPipeline

    if model.config.speaker_embedding_size:
        return {}
    with quiet_transformers(), tempfile.TemporaryDirectory() as temporary:
        extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
        speak = VideoToSpeechPipeline(task="video-to-speech", model=model, feature_extractor=extractor)
        speech = speak(str(SAMPLE), low_text_confidence=0.0, low_face_coverage=0.0)  # it is known what is seen
        path = Path(temporary, "synthetic_face.mp4")
        mux_audio(SAMPLE, speech["audio"], speech["sampling_rate"], path)
        words = {"text": speech["text"], "words": speech["words"]}
        return {"samples/synthetic_face.mp4": path.read_bytes(), "samples/synthetic_face.json": _to_json(words)}


def _files_under(folder: Path, name: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and path.suffix.lower() in suffixes
    }


def _left_out(folder: Path, sources: set[Path]) -> list[str]:
    """What of a folder does not go; a folder of which nothing goes is named once."""
    names = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path not in sources and not path.name.startswith("."):
            names.append(path.name)
        elif path.is_dir() and path.name != "__pycache__":
            inner = [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
            missing = [file.relative_to(folder).as_posix() for file in inner if file not in sources]
            names += [f"{path.name}/"] if missing and len(missing) == len(inner) else missing
    return names


def _is_pickle(path: Path) -> bool:
    return path.is_file() and any(path.match(pattern) for pattern in PICKLES)


def _load_card(kind, path: Path):
    """A card with metadata that `huggingface_hub` understands."""
    try:
        card = kind.load(path)
    except Exception as error:
        raise HubError(f"{path}: its metadata cannot be read. {_one_line(error)}") from error
    if not card.data.to_dict():
        raise HubError(f"{path}: it has no metadata (the YAML between two lines of ---).")
    return card


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(f"{path}: it cannot be read as JSON ({_one_line(error)}).") from error
    if not isinstance(content, dict):
        raise HubError(f"{path}: it holds no JSON object.")
    return content


def _to_json(content: dict) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# ---------------------------------------------------------------------------------------------------------------------
# Sending it
# ---------------------------------------------------------------------------------------------------------------------


def _send(
    upload: Upload,
    repo_id: str,
    private: bool,
    branch: str | None,
    token: str | None,
    message: str | None,
    dry_run: bool,
    name: str,
) -> Upload:
    """Make the repository and the branch where they are missing, and commit everything at once."""
    from huggingface_hub import HfApi

    from .. import __version__

    upload.repo_id = repo_id
    _name_repository(upload)
    if dry_run:
        return upload
    api = HfApi(token=token, library_name="lip2wav_hf", library_version=__version__)
    try:
        _commit(api, upload, private, branch or "main", message or f"Upload {name} with lip2wav_hf {__version__}")
    except HubError:
        raise
    except Exception as error:
        raise HubError(f"{repo_id}: {_hub_problem(error)}") from error
    return upload


def _check_name(repo_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(f"{repo_id!r} is no name of a repository, such as 'me/my-voice'. {_one_line(error)}") from error


def _name_repository(upload: Upload) -> None:
    """The example in the model card loads this very repository."""
    card = upload.files.get("README.md")
    if upload.repo_type != MODEL or not isinstance(card, Path) or "/" not in upload.repo_id:
        return
    text = re.sub(f'"{REPOSITORY_OWNER}/[^"]*"', f'"{upload.repo_id}"', card.read_text(encoding="utf-8"))
    upload.files["README.md"] = text.encode()


def _commit(api, upload: Upload, private: bool, branch: str, message: str) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    kind = upload.repo_type
    if "/" not in upload.repo_id:
        upload.repo_id = f"{api.whoami()['name']}/{upload.repo_id}"
        _name_repository(upload)
    repo_id = upload.repo_id
    api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True, space_sdk=upload.space_sdk)
    if private and not api.repo_info(repo_id, repo_type=kind).private:
        raise HubError(
            f"{repo_id}: this repository exists and is public, but a private one was asked for. Change it in its"
            " settings on the Hub, or choose another name. Nothing was uploaded."
        )
    if branch != "main":
        api.create_branch(repo_id, branch=branch, repo_type=kind, exist_ok=True)
    present = api.list_repo_files(repo_id, revision=branch, repo_type=kind)
    upload.deleted = sorted(path for path in present if path not in upload.files and _is_managed(path, kind))
    additions = [CommitOperationAdd(path, source) for path, source in sorted(upload.files.items())]
    deletions = [CommitOperationDelete(path, is_folder=False) for path in upload.deleted]
    head = api.repo_info(repo_id, repo_type=kind, revision=branch).sha
    commit = api.create_commit(repo_id, additions + deletions, commit_message=message, repo_type=kind, revision=branch)
    for key, value in upload.variables.items():
        api.add_space_variable(repo_id, key, value)
    upload.commit_url, upload.unchanged = str(commit.commit_url), commit.oid == head


def _is_managed(path: str, repo_type: str) -> bool:
    """Whether a file of the repository comes from an earlier push of a model."""
    if repo_type != MODEL:
        return False
    top, _, rest = path.partition("/")
    return top in MANAGED_FOLDERS if rest else any(Path(path).match(pattern) for pattern in MANAGED_FILES)


def _hub_problem(error: Exception) -> str:
    """What the Hub's answer means, and what to do."""
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalTokenNotFoundError):
        return "you are not logged in. Run `hf auth login`, set HF_TOKEN, or pass --token."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so that the Hub is not asked. Unset it."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the Hub does not know you. Run `hf auth login`, set HF_TOKEN, or pass --token."
    if status == 403:
        return "your token may not write there. Use a token with the right to write, and a name of your own."
    if status is None and (isinstance(error, OSError) or type(error).__module__.startswith("httpx")):
        return f"the Hub cannot be reached ({type(error).__name__}). Check the network and HF_ENDPOINT."
    return _one_line(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {_one_line(error)}"


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def push_command(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A model's folder, a bundled model, or demo/.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="The repository on the Hub: owner/name.")],
    repo_type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="model, space or dataset (its card alone). Told by the folder."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Model that a Space offers; may be repeated.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and list what would go. No network.")] = False,
    branch: Annotated[str | None, typer.Option(help="Where the commit goes; made if missing. [default: main]")] = None,
    token: Annotated[str | None, typer.Option(help="Access token. [default: that of `hf auth login`]")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Publish a model on the Hub: networks, code, card, results and samples, in one commit. Or the demo as a Space.

    The weights must load, and the card (`lip2wav card`) must tell measured results; otherwise nothing is uploaded.

    \b
    Examples:
      lip2wav push runs/my-voice/best me/my-voice --dry-run
      lip2wav push runs/my-voice/best me/my-voice --private
      lip2wav push demo me/my-voice-demo --model me/my-voice
      lip2wav push card/README.md me/grid --type dataset
    """
    functions = {MODEL: push, SPACE: push_space, DATASET: push_dataset_card}
    try:
        path = _find_folder(folder)
        kind = repo_type or (SPACE if (path / "app.py").is_file() else MODEL if path.is_dir() else DATASET)
        if kind not in functions:
            raise HubError(f"--type {kind}: there are {', '.join(functions)}.")
        if model and kind != SPACE:
            raise HubError(f"--model: it tells which models a Space offers, but {folder} is pushed as a {kind}.")
        options = {"models": model} if kind == SPACE else {}
        upload = functions[kind](
            path, repo_id, private=private, branch=branch, token=token, message=message, dry_run=dry_run, **options
        )
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(upload.facts(), indent=2))
    else:
        _print_upload(upload, branch or "main", private)


def _find_folder(folder: str) -> Path:
    from ..evaluation.evaluate import BUNDLED_MODELS

    path = Path(folder)
    if not path.exists() and "/" not in folder and (BUNDLED_MODELS / folder).is_dir():
        path = BUNDLED_MODELS / folder
    if not path.exists():
        raise HubError(f"{folder}: there is no such folder.")
    return path


def _print_upload(upload: Upload, branch: str, private: bool) -> None:
    sizes = upload.sizes()
    typer.echo(f"{upload.repo_id}, {'private ' if private else ''}{upload.repo_type}, branch {branch}:")
    for path, size in sizes.items():
        typer.echo(f"  {size:>12,}  {path}")
    typer.echo(f"  {sum(sizes.values()):>12,}  bytes in {len(sizes)} files")
    if upload.left_out:
        typer.echo(f"left out: {', '.join(upload.left_out)}")
    for key, value in upload.variables.items():
        typer.echo(f"variable: {key}={value}")
    if upload.deleted:
        typer.echo(f"deleted: {', '.join(upload.deleted)}")
    if upload.unchanged:
        typer.echo("all of it was there already: no commit was made.")
    typer.echo(upload.commit_url or "dry run: nothing was uploaded.")


__all__ = [
    "HubError",
    "Upload",
    "plan_dataset",
    "plan_model",
    "plan_space",
    "push",
    "push_command",
    "push_dataset_card",
    "push_space",
]
