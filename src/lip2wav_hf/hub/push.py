"""
Publish on the Hugging Face Hub: a model, the Space that shows it, the card of a data set.

Everything is checked before anything is sent (see `plan`), and goes in one commit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

from ..errors import one_line
from ..files import check_repository_name
from ..lip2audspec.auditory import COCHLEA
from ..models import NETWORKS, bundled_models
from .card_texts import OWNER
from .facts import card_name, known_facts
from .plan import MODEL, HubError, Upload, plan_dataset, plan_model, plan_space


# What a push of a model replaces as a whole: files of an earlier one that are here no more are deleted.
MANAGED_FOLDERS = {network.folder for network in NETWORKS} - {"."} | {COCHLEA, "face_models", "results", "samples"}
PATHS = (".", "/", "~")  # with which the name of no repository begins
MANAGED_FILES = ("*.py", "model*.safetensors*", "pytorch_model*", "*coder_model.onnx")


@dataclass(frozen=True)
class Destination:
    """
    Where an upload goes.

    Attributes:
        repo_id (`str`): `"owner/name"`, or `"name"` for your own.
        private (`bool`, *optional*, defaults to `False`): make a private repository.
        branch (`str`, *optional*, defaults to `"main"`): where the commit goes; it is made if it is missing.
        token (`str`, *optional*): by default that of `hf auth login` or `HF_TOKEN`.
        message (`str`, *optional*): of the commit.
        dry_run (`bool`, *optional*, defaults to `False`): only check, and list what would go. Needs no network.

    Raises:
        HubError: if `repo_id` is not the name of a repository.
    """

    repo_id: str
    private: bool = False
    branch: str = "main"
    token: str | None = None
    message: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        check_repository_name(self.repo_id, HubError)


def push(folder: str | os.PathLike, repo_id: str, **options: Any) -> Upload:
    """
    Publish a model: networks, feature extractor, code, card, results and samples, in one commit.

    Args:
        folder (`str` or `os.PathLike`): as `save_pretrained` wrote it, with a model card (`lip2wav card`). Its
            subfolders with a config.json, such as `critic/` and `speech_encoder/`, go too.
        repo_id (`str`): `"owner/name"`, or `"name"` for your own.
        options: the other attributes of a [`Destination`]: `private`, `branch`, `token`, `message`, `dry_run`.

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if the weights do not load or do not fit, the card has no measured results of these weights, or the
            Hub refuses. Nothing has been published then.
    """
    destination = Destination(repo_id, **options)
    return send(plan_model(folder), destination, card_name(folder, known_facts(folder)))


def push_space(
    folder: str | os.PathLike, repo_id: str, *, models: Sequence[str] | None = None, **options: Any
) -> Upload:
    """
    Publish a Gradio Space, such as `demo/`: all of the folder but hidden files and caches, in one commit. Where its
    requirements name this package, the part of it that the app imports goes along.

    Args:
        folder (`str` or `os.PathLike`): with app.py, requirements.txt and a README.md with the metadata of a Space. Or
            a card alone, with `sdk: static`: the page of an organisation, for `organisation/README`.
        repo_id (`str`): `"owner/name"`.
        models (sequence of `str`, *optional*): what the page offers: repositories, which the Space's README.md then
            links and the variable LIP2WAV_CHECKPOINTS names to the app, or bundled models, whose files go along. By
            default the bundled ones.
        options: as for [`push`].

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if something of the folder is missing, too large or pickled, or the Hub refuses.
    """
    destination = Destination(repo_id, **options)
    for name in models or ():
        is_model = name not in bundled_models() and (Path(name) / "config.json").is_file()
        if name.startswith(PATHS) or is_model:
            raise HubError(
                f"`models=`: {name} is a folder of this machine, which a Space cannot read. Push the model first, to"
                " OWNER/NAME, and then name that here."
            )
        check_repository_name(name, HubError)
        if "/" not in name and name not in bundled_models():
            raise HubError(
                f"`models=`: {name} is neither a repository (owner/name) nor a bundled model"
                f" ({', '.join(bundled_models())})."
            )
    return send(plan_space(folder, models or ()), destination, Path(folder).resolve().name)


def push_dataset_card(card: str | os.PathLike, repo_id: str, **options: Any) -> Upload:
    """
    Publish the card of a data set, and nothing else: no recording leaves the machine.

    Args:
        card (`str` or `os.PathLike`): README.md, or the folder that holds it.
        repo_id (`str`): `"owner/name"`.
        options: as for [`push`].

    Returns:
        [`Upload`]: what went, and where.

    Raises:
        HubError: if the card has no metadata or no licence, or the Hub refuses.
    """
    destination = Destination(repo_id, **options)
    return send(plan_dataset(card), destination, "the data set card")


def send(upload: Upload, destination: Destination, name: str) -> Upload:
    """
    Make the repository and the branch where they are missing, and commit everything at once.

    Args:
        upload ([`Upload`]): what goes; `repo_id`, `deleted`, `commit_url` and `unchanged` are set.
        destination ([`Destination`]): where it goes.
        name (`str`): what the commit's message calls it.

    Raises:
        HubError: if the Hub refuses.
    """
    upload.repo_id = destination.repo_id
    if "/" not in upload.repo_id:
        _check_own(upload, destination.token)
    _put_in_name(upload)
    if destination.dry_run:
        return upload
    release = version("lip2wav_hf")
    api = HfApi(token=destination.token, library_name="lip2wav_hf", library_version=release)
    message = destination.message or f"Upload {name} with lip2wav_hf {release}"
    try:
        _commit(api, upload, destination, message)
    except HubError:
        raise
    except Exception as error:
        raise HubError(f"{destination.repo_id}: {_hub_problem(error)}") from error
    return upload


def _check_own(upload: Upload, token: str | None) -> None:
    """
    A name without an owner is one of whoever is logged in: somebody must be. Needs no network.

    Raises:
        HubError: if nobody is.
    """
    if not (token or get_token()):
        raise HubError(
            f"{upload.repo_id}: whose? Name the owner too, as in me/{upload.repo_id}; or run `hf auth login`, set"
            " HF_TOKEN or pass `token=`, and it will be yours."
        )
    upload.warnings.append(
        f"{upload.repo_id}: no owner is named, so it goes to the account that is logged in (`hf auth whoami`)."
    )


def _put_in_name(upload: Upload) -> None:
    """The examples in a model card load this very repository."""
    card = upload.files.get("README.md")
    if upload.repo_type != MODEL or not isinstance(card, Path) or "/" not in upload.repo_id:
        return
    text = re.sub(rf"\b{OWNER}/[\w.-]*\w", upload.repo_id, card.read_text(encoding="utf-8"))
    upload.files["README.md"] = text.encode()


def _commit(api: HfApi, upload: Upload, destination: Destination, message: str) -> None:
    kind, branch = upload.repo_type, destination.branch
    if "/" not in upload.repo_id:
        upload.repo_id = f"{api.whoami()['name']}/{upload.repo_id}"
        _put_in_name(upload)
    repo_id = upload.repo_id
    _make_repository(api, upload, destination)
    present = api.list_repo_files(repo_id, revision=branch, repo_type=kind)
    upload.deleted = sorted(path for path in present if path not in upload.files and _is_managed(path, kind))
    additions = [CommitOperationAdd(path, source) for path, source in sorted(upload.files.items())]
    deletions = [CommitOperationDelete(path, is_folder=False) for path in upload.deleted]
    head = api.repo_info(repo_id, repo_type=kind, revision=branch).sha
    commit = api.create_commit(repo_id, additions + deletions, commit_message=message, repo_type=kind, revision=branch)
    for key, value in upload.variables.items():
        api.add_space_variable(repo_id, key, value)
    upload.commit_url, upload.unchanged = str(commit.commit_url), commit.oid == head


def _make_repository(api: HfApi, upload: Upload, destination: Destination) -> None:
    """Make the repository and the branch, where they are missing."""
    repo_id, kind, private = upload.repo_id, upload.repo_type, destination.private
    api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True, space_sdk=upload.space_sdk)
    if private and not api.repo_info(repo_id, repo_type=kind).private:
        raise HubError(
            f"{repo_id}: this repository exists and is public, but a private one was asked for. Change it in its"
            " settings on the Hub, or choose another name. Nothing was uploaded."
        )
    if destination.branch != "main":
        api.create_branch(repo_id, branch=destination.branch, repo_type=kind, exist_ok=True)


def _is_managed(path: str, repo_type: str) -> bool:
    """Whether a file of the repository comes from an earlier push of a model."""
    if repo_type != MODEL:
        return False
    top, _, rest = path.partition("/")
    return top in MANAGED_FOLDERS if rest else any(Path(path).match(pattern) for pattern in MANAGED_FILES)


def _hub_problem(error: Exception) -> str:
    """What the Hub's answer means, and what to do."""
    if isinstance(error, LocalTokenNotFoundError):
        return "you are not logged in. Run `hf auth login`, set HF_TOKEN, or pass `token=`."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub is not contacted. Unset it."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the Hub does not know you. Run `hf auth login`, set HF_TOKEN, or pass `token=`."
    if status == 403:
        return "your token may not write there. Use a token with the right to write, and a name of your own."
    if status is None and (isinstance(error, OSError) or type(error).__module__.startswith("httpx")):
        return f"the Hub cannot be reached ({type(error).__name__}). Check the network and HF_ENDPOINT."
    return one_line(error)


__all__ = [
    "Destination",
    "HubError",
    "Upload",
    "plan_dataset",
    "plan_model",
    "plan_space",
    "push",
    "push_dataset_card",
    "push_space",
    "send",
]
