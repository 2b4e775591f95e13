"""
`card.yaml`: what no other file says about a model. Its licence, its data, how it was trained and at what cost.

The trainer writes what it knows into training.json of `best/` and `final/`; a person adds the rest in the model's
folder.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import Lip2WavError, one_line
from ..evaluation.systems import model_name
from ..files import write_text
from ..training.record import RECORD_FILE, read_record
from .energy import WATTS_PER_CORE, TrainingEnergy, gpu_watts


FACTS_FILE = "card.yaml"
LICENSES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc0-1.0": "CC0 1.0"} | {
    f"{name}-4.0": f"{name.replace('cc-', 'CC ').upper()} 4.0"
    for name in ("cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nd", "cc-by-nc-sa", "cc-by-nc-nd")
}
"""Names in words of licences by what the Hub calls them."""

# Fields of card.yaml in their order, with the comment that stands where one is empty.
COMMENTS = {
    "name": "of the model; by default that of its run or folder",
    "summary": "one or two sentences: whose speech, in which language, for what",
    "license": "of the weights, as the Hub names it: cc-by-4.0, apache-2.0, …",
    "license_name": "the same in words; may stay empty for a well-known licence",
    "license_note": "whom to attribute; may stay empty",
    "data": "what it was trained on: how many clips, of whom",
    "data_license": "licence of these data, and where they are",
    "language": "[CODE, …] of what it says, such as [en]; may stay empty",
    "trained_on": "[DATA/SPLIT, …] as results.json names them, such as [grid/train]; may stay empty",
    "datasets": "{FOLDER: NAME}: proper names of measured data, such as {grid: GRID}; may stay empty",
    "voice": "whose it is, where not that of the training data; may stay empty",
    "training": "steps, batch size, configuration",
    "selection": "how this checkpoint was chosen, and by which clips; may stay empty",
    "limits": "[…] what it cannot do, one text each; may stay empty",
    "core_hours": "of a training on CPUs: hours times cores",
    "gpu_hours": "of a training on GPUs: hours times GPUs",
    "hardware": "on what, such as 2 x NVIDIA H100 80GB HBM3",
}
REQUIRED = ("summary", "license", "data", "data_license", "training", "hardware")
HEADER = "# What no other file says about this model. Texts are Markdown. Then run: lip2wav card FOLDER\n"


class CardError(Lip2WavError):
    """A card that cannot be written from what is there, or that does not say what was measured."""


@dataclass
class ModelFacts:
    """
    What card.yaml says about a model.

    Attributes:
        summary (`str`): whose speech it makes, one or two sentences.
        license (`str`): of the weights, as the Hub names it, such as `"cc-by-4.0"`.
        data (`str`): what it was trained on.
        data_license (`str`): licence of these data, and where they are.
        training (`str`): steps, batch size, configuration.
        hardware (`str`): what it was trained on; for GPUs, best with torch's name at the end, such as
            `"2 x NVIDIA H100 80GB HBM3"`.
        core_hours (`float`, *optional*): compute of a training on CPUs: hours times cores.
        gpu_hours (`float`, *optional*): compute of a training on GPUs: hours times GPUs. One of the two must be given.
        watts (`float`, *optional*): power of one core or GPU; by default 10 W for a core, and for a GPU that of its
            data sheet, where `hardware` names one that is known.
        cost_note (`str`, *optional*): what the hours include and what not.
        training_type (`str`, *optional*): as the Hub names it, such as `"from scratch"` or `"fine-tuning"`.
        name (`str`, *optional*): of the model; by default that of its run or folder.
        license_name (`str`, *optional*): the licence in words; by default from `license`.
        license_note (`str`, *optional*): whom to attribute.
        trained_on (`list[str]`, *optional*): `"DATA/SPLIT"` of all training clips, by the names that results.json
            uses: then the card says which measured splits were held out.
        datasets (`dict[str, str]`, *optional*): proper names of data sets, by the folder names in results.json.
        split_schemes (`dict[str, str]`, *optional*): which published split the measured ones are of, by the same
            folder names, such as `{grid: grid_s1}`; for results whose command does not say so.
        selection (`str`, *optional*): how the checkpoint was chosen, and by which clips.
        limits (`list[str]`, *optional*): what it cannot do.
        voice (`str`, *optional*): whose voice it has, where that is not the one of the training data.
        language (`list[str]`, *optional*): codes of ISO 639, such as `en`; the card names none where it is unknown.
        tags (`list[str]`, *optional*): for the Hub's search, besides the usual ones.
    """

    summary: str
    license: str
    data: str
    data_license: str
    training: str
    hardware: str
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    watts: float | None = None
    cost_note: str = ""
    training_type: str = ""
    name: str = ""
    license_name: str = ""
    license_note: str = ""
    trained_on: list[str] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    split_schemes: dict[str, str] = field(default_factory=dict)
    selection: str = ""
    limits: list[str] = field(default_factory=list)
    voice: str = ""
    language: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    @property
    def license_in_words(self) -> str:
        """The licence's name for a reader."""
        return self.license_name or LICENSES.get(self.license, self.license)

    @property
    def energy(self) -> TrainingEnergy:
        """Hours of the training, and the power that is assumed."""
        if self.gpu_hours:
            return TrainingEnergy(self.gpu_hours, "GPU", self.watts or gpu_watts(self.hardware))
        return TrainingEnergy(self.core_hours, "core", self.watts or WATTS_PER_CORE)


FIELDS = {item.name: item for item in dataclasses.fields(ModelFacts)}
TYPES = {
    "str": str,
    "float": (int, float),
    "float | None": (int, float),
    "list[str]": list,
    "dict[str, str]": dict,
}


def card_name(folder: str | os.PathLike, facts: dict[str, Any] | ModelFacts | None = None) -> str:
    """What a card calls a model: the name in its card.yaml, else that of its run, else of its folder."""
    given = facts.name if isinstance(facts, ModelFacts) else (facts or {}).get("name")
    return given or model_name(Path(folder))


def read_facts(path: str | os.PathLike) -> ModelFacts:
    """
    card.yaml of a model's folder.

    Raises:
        CardError: if it is missing, a field is unknown, of another type, or empty though it is needed.
    """
    path = Path(path)
    if not path.is_file():
        raise CardError(f"{path}: it is missing. Start one with: lip2wav card {path.parent}")
    content = _read_fields(path)
    missing = missing_facts(content)
    if missing:
        raise CardError(f"{path}: please fill in {', '.join(missing)}.")
    facts = ModelFacts(**content)
    if facts.core_hours and facts.gpu_hours:
        raise CardError(f"{path}: give `core_hours` or `gpu_hours`, not both.")
    if facts.energy.hours <= 0 or (facts.watts is not None and facts.watts <= 0):
        raise CardError(f"{path}: `core_hours`, `gpu_hours` and `watts` must be above 0.")
    return facts


def missing_facts(content: dict[str, Any]) -> list[str]:
    """Names of the fields that a card needs and that are empty."""
    missing = [name for name in REQUIRED if not content.get(name)]
    if content.get("core_hours") is None and content.get("gpu_hours") is None:
        missing.append("core_hours or gpu_hours")
    return missing


def known_facts(folder: str | os.PathLike) -> dict[str, Any]:
    """
    The fields of a model's card.yaml, complete or not; empty without one.

    Raises:
        CardError: if it cannot be read, or a field is unknown or of another type.
    """
    path = Path(folder, FACTS_FILE)
    return _read_fields(path) if path.is_file() else {}


def start_facts(folder: str | os.PathLike, known: dict[str, Any] | None = None) -> Path:
    """
    Write the card.yaml of a model that has none, with what its trainer has written with it, and comments where a
    person must go on.

    Args:
        folder (`str` or `os.PathLike`): of the model, such as `runs/my-voice/best`.
        known (`dict`, *optional*): further fields; they go over those of the trainer.

    Returns:
        `Path`: the file.

    Raises:
        CardError: if there is one, or the trainer's cannot be read.
    """
    path = Path(folder, FACTS_FILE)
    if path.exists():
        raise CardError(f"{path}: it is there already. Fill it in, then run: lip2wav card {folder}")
    write_facts(path, _facts_of_trainer(Path(folder)) | (known or {}))
    return path


def stated_facts(folder: str | os.PathLike) -> dict[str, Any]:
    """
    What is stated of a model: by its card.yaml, and where that says nothing, by its trainer.

    Raises:
        CardError: if a file cannot be read, or a field is unknown or of another type.
    """
    return _facts_of_trainer(Path(folder)) | known_facts(folder)


def _facts_of_trainer(folder: Path) -> dict[str, Any]:
    """What the trainer has written with the very weights of a model, or else beside its folder; empty without it."""
    path, beside = folder / RECORD_FILE, folder.resolve().parent / FACTS_FILE
    record = read_record(folder)
    if record is not None:
        content = record.facts
    elif beside.is_file():
        path, content = beside, _load(beside)
    else:
        return {}
    return _checked(path, {name: value for name, value in content.items() if name in FIELDS})


def write_facts(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Write card.yaml: the fields that are known, and for the others a line that says what belongs there."""
    if not content.get("core_hours") and not content.get("gpu_hours"):
        asked = set(COMMENTS)
    else:
        asked = set(COMMENTS) - {"core_hours", "gpu_hours"}
    lines = [HEADER]
    for name in (*COMMENTS, *(name for name in FIELDS if name not in COMMENTS)):
        if content.get(name) not in (None, "", [], {}):
            lines.append(yaml.safe_dump({name: content[name]}, allow_unicode=True, sort_keys=False, width=119))
        elif name in asked:
            lines.append(f"{name + ':':<15} # {COMMENTS[name]}\n")
    write_text(path, "".join(lines))


def _read_fields(path: Path) -> dict[str, Any]:
    content = _load(path)
    unknown = sorted(set(content) - set(FIELDS))
    if unknown:
        raise CardError(f"{path}: unknown: {unknown}. It may hold {', '.join(FIELDS)}.")
    return _checked(path, content)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: it is no valid YAML ({one_line(error)}).") from error
    if not isinstance(content, dict):
        raise CardError(f"{path}: expected lines of `field: value`.")
    return {str(name): value for name, value in content.items()}


def _checked(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The fields without those that are empty, texts stripped."""
    content = {name: value for name, value in content.items() if value is not None}
    for name, value in content.items():
        kind = str(FIELDS[name].type)
        if not isinstance(value, TYPES[kind]) or isinstance(value, bool):
            raise CardError(f"{path}: `{name}` must be {kind.removesuffix(' | None')}, not {value!r}.")
    return {name: value.strip() if isinstance(value, str) else value for name, value in content.items()}


__all__ = [
    "FACTS_FILE",
    "CardError",
    "ModelFacts",
    "card_name",
    "known_facts",
    "missing_facts",
    "read_facts",
    "start_facts",
    "stated_facts",
    "write_facts",
]
