"""
The card of a model: its text from a template, its architecture from config.json, its numbers from `results/*.json`,
and what no file says from `card.yaml`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from safetensors import SafetensorError, safe_open

from ..errors import one_line
from ..files import read_fields, write_text
from ..models import BY_TYPE, SPEAKING, weight_files
from .card_results import Source, check_weights, limited, read_measurements, store_results, update_card
from .card_texts import OWNER, quiet_transformers, render_card
from .energy import GRAMS_PER_KWH, describe_energy
from .facts import FACTS_FILE, CardError, ModelFacts, card_name, known_facts, missing_facts, read_facts, start_facts


WRITTEN_BY = "Written by `lip2wav write-card`"
RUNTIME = ("transformers", "torch", "av", "opencv-python-headless", "ai-edge-litert")


@dataclass
class MadeCard:
    """
    The result of [`make_model_card`].

    Attributes:
        card (`Path`): README.md.
        written (`list[Path]`): files that were written or changed.
        missing (`list[str]`): fields of card.yaml that a person must fill in before there can be a card.
        warnings (`list[str]`): what a reader of the card should know.
    """

    card: Path
    written: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def make_model_card(folder: str | os.PathLike, results: Mapping[str, Source] | None = None) -> MadeCard:
    """
    Put measured results into a model's card, and make the card where there is none: card.yaml with all that is known,
    and README.md, once nothing is missing that only a person can say.

    Args:
        folder (`str` or `os.PathLike`): a saved model.
        results (mapping, *optional*): for each split a `results.json`, or what it holds; by default those that lie
            there already.

    Returns:
        [`MadeCard`]: what was written, and what is still missing.

    Raises:
        CardError: if the results are of other weights or cannot be read, or a file of the folder cannot be used.
    """
    folder = Path(folder)
    made = MadeCard(folder / "README.md")
    measured = read_measurements(folder, results or {})
    made.warnings = limited(measured)
    if made.card.is_file():
        update_card(folder, {each.split: each.results for each in measured})
        made.written = [made.card]
        return made
    if not (folder / "config.json").is_file():
        raise CardError(f"{folder}: there is no config.json in it. Name the folder of a saved model.")
    with quiet_transformers():
        check_weights(folder, measured)
    store_results(folder, measured)
    made.written = [folder / "results" / f"{each.split}.json" for each in measured]
    if not (folder / FACTS_FILE).is_file():
        made.written.append(start_facts(folder))
    made.missing = missing_facts(known_facts(folder))
    if not made.missing:
        made.written.append(write_model_card(folder))
    return made


def write_model_card(folder: str | os.PathLike, overwrite: bool = False) -> Path:
    """
    Write README.md of a saved model: the text from the template, the numbers from `results/*.json`. Where there are
    none yet, the card has none, and `lip2wav card` puts them in later.

    Args:
        folder (`str` or `os.PathLike`): as for [`render_model_card`].
        overwrite (`bool`, *optional*, defaults to `False`): replace a card that was written by hand.

    Returns:
        `Path`: the file.

    Raises:
        CardError: if something is missing, a card written by hand is there, or the results are of other weights.
    """
    path = Path(folder, "README.md")
    before = path.read_bytes() if path.is_file() else None
    if before is not None and WRITTEN_BY.encode() not in before and not overwrite:
        raise CardError(f"{path}: it was written by hand. Replace it with `overwrite=True`, or keep it.")
    write_text(path, render_model_card(folder))
    if not has_results(folder):
        return path
    try:
        with quiet_transformers():
            update_card(folder)
    except Exception:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
        raise
    return path


def has_results(folder: str | os.PathLike) -> bool:
    """Whether a model's folder holds measured results."""
    return any(Path(folder, "results").glob("*.json"))


def render_model_card(folder: str | os.PathLike) -> str:
    """
    The card of a saved model, without its table of results, which `card_results.update_card` puts in.

    Args:
        folder (`str` or `os.PathLike`): with config.json, model.safetensors, card.yaml and `results/*.json`.

    Returns:
        `str`: README.md, with metadata.

    Raises:
        CardError: if something is missing or contradicts itself.
    """
    folder = Path(folder)
    facts = read_facts(folder / FACTS_FILE)
    parameters, weight_bytes = _count_weights(folder)
    name, config = card_name(folder, facts), _config(folder)
    return render_card(
        "model_card",
        _metadata(name, facts),
        name=name,
        owner=OWNER,
        facts=facts,
        config=config,
        parameters=parameters,
        weight_bytes=weight_bytes,
        components=_components(folder),
        requirements=[_requirement(name) for name in RUNTIME],
        cost=describe_energy(facts.energy, facts.hardware, facts.cost_note),
    )


def _metadata(name: str, facts: ModelFacts) -> ModelCardData:
    emissions = _emissions(facts)
    more: dict[str, Any] = {"co2_eq_emissions": emissions} if emissions else {}
    return ModelCardData(
        language=facts.language or None,
        license=facts.license,
        library_name="transformers",
        model_name=name,
        pipeline_tag="other",
        tags=["video-to-speech", "lip-reading", "speech-synthesis", *facts.tags],
        **more,
    )


def _emissions(facts: ModelFacts) -> dict[str, Any] | None:
    """What the metadata say about the cost of the training; nothing, where the power is unknown."""
    energy = facts.energy
    if energy.grams is None:
        return None
    return {
        "emissions": round(energy.grams, 1),
        "source": f"{energy.hours:g} measured {energy.unit}-hours x {energy.watts:g} W x {GRAMS_PER_KWH:g} g/kWh",
        **({"training_type": facts.training_type} if facts.training_type else {}),
        "hardware_used": facts.hardware,
    }


def _config(folder: Path) -> Any:
    """The configuration of a model that speaks."""
    path = folder / "config.json"
    content = read_fields(path, CardError)
    network = BY_TYPE.get(content.get("model_type", "lip2wav"))
    if network is None or not network.speaks:
        raise CardError(
            f"{path}: cards are written of models of the type {' or '.join(SPEAKING)}, not {content['model_type']!r}."
        )
    try:
        return network.config_class.from_dict(content)
    except Exception as error:
        raise CardError(f"{path}: {one_line(error)}") from error


def _count_weights(folder: Path) -> tuple[int, int]:
    """Numbers in a folder's weights, counters left out, and bytes of the files."""
    paths = weight_files(folder)
    if not paths:
        raise CardError(f"{folder}: there are no weights (model.safetensors) in it. Save the model there.")
    count = 0
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as weights:
                tensors = [weights.get_slice(key) for key in weights.keys()]
                count += sum(math.prod(tensor.get_shape()) for tensor in tensors if tensor.get_dtype()[0] in "FB")
        except SafetensorError as error:
            raise CardError(f"{path}: the weights cannot be read ({error}). Save them again.") from error
    return count, sum(path.stat().st_size for path in paths)


def _components(folder: Path) -> list[dict[str, Any]]:
    """The other networks in a model's folder, for the table of the card."""
    parts = []
    for path in sorted(folder.glob("*/config.json")):
        network = BY_TYPE.get(read_fields(path, CardError).get("model_type"))
        if network is not None and network.folder != ".":
            count, _ = _count_weights(path.parent)
            part = {"folder": path.parent.name, "what": network.description, "loader": network.class_name}
            parts.append(part | {"parameters": count})
    return parts


def _requirement(name: str) -> str:
    """A requirement as this package declares it, quoted for a shell."""
    try:
        lines = requires("lip2wav_hf") or []
    except PackageNotFoundError:  # a copy that is not installed
        lines = []
    for line in lines:
        wanted = line.split(";")[0].strip()
        if re.split(r"[<>=!~ ]", wanted)[0] == name:
            return f"'{wanted}'" if wanted != name else wanted
    return name


__all__ = ["MadeCard", "has_results", "make_model_card", "render_model_card", "write_model_card"]
