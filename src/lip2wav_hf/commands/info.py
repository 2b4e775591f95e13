"""`lip2wav info`: what a model is, read from its files alone."""

from __future__ import annotations

import json
import math
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from ..errors import one_line
from ..files import read_json
from ..models import DEFAULT_MODEL, find_model, weight_files
from .messages import CommandError, reporting


@reporting
def info(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A bundled model, a folder, or a repository on the Hugging Face Hub."),
    ] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
):
    """
    Describe a model.

    Architecture, size, rates, vocabulary, and the measured results of its model card.

    \b
    Examples:
      lip2wav info
      lip2wav info runs/my-voice/best --json
    """
    facts = describe_model(find_model(model))
    if as_json:
        print(json.dumps(facts))
        return
    lines = {
        "model": [f"{facts['model']} ({facts['folder']})"],
        "architecture": [f"{facts['architecture']}, decoder {facts['decoder_type']}"],
        "parameters": [f"{facts['parameters'] / 1e6:.2f} million ({', '.join(facts['weights'])})"],
        "size": [f"{facts['bytes'] / 1e6:.1f} MB"],
        "sampling rate": [f"{facts['sampling_rate']} Hz"],
        "frame rate": [f"{facts['frame_rate']:g} frames/s"],
        "mouth crops": [f"{facts['crop_width']} x {facts['crop_height']} pixels"],
        "vocabulary": textwrap.wrap(f"{len(facts['vocabulary'])} words: {', '.join(facts['vocabulary'])}", 76),
        "results": facts["results"] or ["(the model card has none)"],
    }
    for name, values in lines.items():
        for index, value in enumerate(values):
            print(f"{'' if index else name:<15} {value}")


def describe_model(folder: Path) -> dict:
    """The facts that `lip2wav info` prints, read from the files alone: no network is made of them."""
    from safetensors import SafetensorError, safe_open

    from ..configuration_lip2wav import Lip2WavConfig

    try:
        config = Lip2WavConfig(**read_json(folder / "config.json", CommandError))
    except Exception as error:
        raise CommandError(f"{folder / 'config.json'}: {one_line(error)} Save the model again.") from error
    parameters, types = 0, set()
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="numpy") as weights:
                for key in weights.keys():
                    tensor = weights.get_slice(key)
                    if tensor.get_dtype()[0] in "FB":  # floats; integers are counters
                        parameters += math.prod(tensor.get_shape())
                        types.add(tensor.get_dtype())
        except (SafetensorError, OSError) as error:
            raise CommandError(
                f"{path}: the weights cannot be read ({one_line(error)}). Save the model again."
            ) from error
    return {
        "model": folder.name,
        "folder": str(folder),
        "architecture": "Lip2WavModel",
        "decoder_type": config.decoder_type,
        "parameters": parameters,
        "weights": sorted(types),
        "bytes": sum(path.stat().st_size for path in weight_files(folder)),
        "sampling_rate": config.sampling_rate,
        "frame_rate": config.frame_rate,
        "crop_width": config.image_width,
        "crop_height": config.image_height,
        "vocabulary": list(config.vocabulary),
        "results": _card_results(folder),
    }


def _card_results(folder: Path) -> list[str]:
    """The measured results in the model card's metadata, one line each."""
    from huggingface_hub import ModelCard

    card_file = folder / "README.md"
    if not card_file.is_file():
        return []
    try:
        results = ModelCard.load(card_file).data.eval_results or []
    except Exception as error:
        return [f"(the model card cannot be read: {one_line(error)})"]
    lines = []
    for result in results:
        value = result.metric_value
        shown = f"{value:g}" if isinstance(value, (int, float)) else str(value)
        where = " ".join(filter(None, (result.dataset_name, result.dataset_split)))
        lines.append(f"{result.metric_name or result.metric_type} {shown} ({where})")
    return lines
