"""`lip2wav info`: what a model is, read from its files alone."""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import counted, one_line
from ..files import read_fields
from ..grammar import Grammar, GrammarError
from ..metrics.registry import SUMMARY, TILES
from ..models import (
    BY_TYPE,
    DEFAULT_MODEL,
    SPEAKING,
    find_model,
    is_checkpoint,
    name_of_folder,
    named_models,
    system_name,
    weight_files,
)
from .messages import CommandError, reporting
from .options import ModelOption, complete_model


DESCRIBED = (*SPEAKING, "lip2wav_syncnet")  # types of all models that have a name here
MOST_SENTENCES = 50  # that are named

SHOWN: dict[str, tuple[type, ...]] = {
    "sampling_rate": (int,),
    "frame_rate": (int, float),
    "image_width": (int,),
    "image_height": (int,),
}
"""What of config.json is shown, and the types that it has there."""

SHOWN_OF_TYPE: dict[str, dict[str, tuple[type, ...]]] = {"lip2wav": {"decoder_type": (str,), "vocabulary": (list,)}}
"""More of it, by the type of the model."""


@dataclass(frozen=True)
class Result:
    """A measured result in a model card: `metric` is its key in results.json, `value` as measured (a rate, not %)."""

    metric: str
    name: str
    value: float | str
    dataset: str
    split: str

    @property
    def shown(self) -> str:
        """The value as tables show it, with its unit."""
        number = SUMMARY.get(self.metric)
        if isinstance(self.value, str):
            return self.value
        if number is None:
            return f"{self.value:g}"
        unit = number.unit if number.unit in ("%", "dB", "ms") else ""
        return f"{number.show(self.value)} {unit}".rstrip()


@dataclass(frozen=True)
class ModelFacts:
    """
    What `lip2wav info --json` prints of a model.

    Attributes:
        system (`str`): which system it is, such as `"Lip2AudSpec (Akbari et al. 2018)"`.
        parameters (`int`): how many numbers the weights are.
        weights (`list[str]`): types that they are saved in, such as `"F16"`.
        bytes (`int`): size of the weights.
        sampling_rate (`int`): in Hz.
        frame_rate (`float`): in frames/s.
        crop_width, crop_height (`int`): of the mouth crops, in pixels.
        speaks (`bool`): whether it makes speech of a video.
        decoder_type, text_units (`str`, *optional*), vocabulary (`list[str]`): of a model that reads words too.
        has_grammar (`bool`): whether it answers with the sentences of a grammar, unless a call says otherwise.
        sentences (`list[str]`): these, as people write them, where they are few.
        results (`list[Result]`): of the model card.
        remark (`str`): why there are no results; empty if there are.
    """

    model: str
    folder: str
    system: str
    architecture: str
    decoder_type: str | None
    parameters: int
    weights: list[str]
    bytes: int
    sampling_rate: int
    frame_rate: float
    crop_width: int
    crop_height: int
    speaks: bool
    text_units: str | None
    vocabulary: list[str]
    has_grammar: bool
    sentences: list[str]
    results: list[Result]
    remark: str


@dataclass(frozen=True)
class ListedModel:
    """
    What `lip2wav info --list --json` prints of each model.

    Attributes:
        name (`str`): as `--model` takes it.
        system (`str`): which system it is, or what a network is that does not speak.
        speaks (`bool`): whether it makes speech of a video.
        parameters (`int`), bytes (`int`): of its weights.
        sampling_rate (`int`, *optional*): in Hz.
    """

    name: str
    system: str
    speaks: bool
    parameters: int
    bytes: int
    sampling_rate: int | None


@reporting
def info(
    name: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="As --model.", show_default=False, autocompletion=complete_model),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    all_results: Annotated[bool, typer.Option("--all", help="Print all results of the model card.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the bundled models; or those in the folder that is named as MODEL.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all results.")] = False,
) -> None:
    """
    Describe a model.

    Architecture, size, rates, vocabulary, and the main results of its model card.

    \b
    Examples:
      lip2wav info
      lip2wav info --model runs/my-voice/best --all
      lip2wav info --list
      lip2wav info --list runs
    """
    if name is not None and model not in (DEFAULT_MODEL, name):
        raise CommandError(f"two models are named, {name} and {model}. Name one.")
    if listed:
        models = list_models(None if name is None and model == DEFAULT_MODEL else name or model)
        print(json.dumps([asdict(each) for each in models]) if as_json else _listing(models))
        return
    facts = describe_model(find_model(name or model, DESCRIBED))
    print(json.dumps(asdict(facts)) if as_json else report(facts, all_results))


def list_models(place: str | None = None) -> list[ListedModel]:
    """
    The models that come with the package, and in a copy of the repository those to compare with; or those in a folder
    and in the folders of it, such as `runs`.

    Raises:
        CommandError: if there is no such folder, or no model in it.
    """
    if place is None:
        return [_listed(path, path.name) for path in named_models()]
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise CommandError(
            f"{place}: there is no such folder. Name one with models in it, or none for the bundled ones."
        )
    inside = sorted(path.relative_to(folder) for path in folder.glob("**/config.json"))
    shown = [path for path in inside if not any(part.startswith(".") for part in path.parts)]  # not what is unfinished
    found = [folder / path.parent for path in shown if _is_model(folder / path.parent)]
    if not found:
        raise CommandError(
            f"{place}: there is no model in it. A training writes some: runs/NAME/best and runs/NAME/final."
        )
    return [_listed(path, str(path)) for path in found]


def _is_model(folder: Path) -> bool:
    """Whether it can be named to other commands; the critic and the speech encoder inside of a model cannot."""
    if is_checkpoint(folder) or not weight_files(folder) or (folder.parent / "config.json").is_file():
        return False
    config = read_fields(folder / "config.json", CommandError)
    return isinstance(config, dict) and config.get("model_type") in BY_TYPE


def _listed(folder: Path, name: str) -> ListedModel:
    config = read_fields(folder / "config.json", CommandError)
    parameters, _ = _count_weights(folder)
    rate = config.get("sampling_rate")
    return ListedModel(
        name,
        system_name(config),
        BY_TYPE[config["model_type"]].speaks,
        parameters,
        sum(path.stat().st_size for path in weight_files(folder)),
        rate if isinstance(rate, int) else None,
    )


def _listing(models: list[ListedModel]) -> str:
    """The models for people, a line each."""
    rows = [
        [
            each.name,
            each.system,
            f"{each.parameters / 1e6:.2f} million",
            f"{each.bytes / 1e6:.1f} MB",
            f"{each.sampling_rate / 1000:g} kHz" if each.sampling_rate else "",
        ]
        for each in models
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if not all(each.speaks for each in models):
        lines.append("(networks without the name of a system make no speech)")
    return "\n".join(lines)


def report(facts: ModelFacts, all_results: bool = False) -> str:
    """The facts for people."""
    lines = {
        "model": [f"{facts.model} ({facts.folder})", *_others(facts)],
        "system": [facts.system],
        "architecture": [
            facts.architecture if facts.decoder_type is None else f"{facts.architecture}, decoder {facts.decoder_type}"
        ],
        "parameters": [f"{facts.parameters / 1e6:.2f} million ({', '.join(facts.weights)})"],
        "size": [f"{facts.bytes / 1e6:.1f} MB"],
        "sampling rate": [f"{facts.sampling_rate} Hz"],
        "frame rate": [f"{facts.frame_rate:g} frames/s"],
        "mouth crops": [f"{facts.crop_width} x {facts.crop_height} pixels"],
        "vocabulary": _vocabulary(facts),
        "answers with": _sentences(facts),
        "results": [facts.remark] if facts.remark else _table(facts.results, all_results),
    }
    return "\n".join(
        f"{title if index == 0 else '':<15} {value}"
        for title, values in lines.items()
        for index, value in enumerate(values)
    )


def _others(facts: ModelFacts) -> list[str]:
    """Where the other models are to be found, of one that has a name here."""
    known = [str(path) for path in named_models()]
    if facts.folder not in known or len(known) == 1:
        return []
    return [f"({counted(len(known) - 1, 'other')} with a name: --list says what they are)"]


def _vocabulary(facts: ModelFacts) -> list[str]:
    if facts.text_units is None:
        return ["none: this model speaks, and reads no words" if facts.speaks else "none: this network does not speak"]
    return textwrap.wrap(f"{len(facts.vocabulary)} {facts.text_units}: {', '.join(facts.vocabulary)}", 64)


def _sentences(facts: ModelFacts) -> list[str]:
    if not facts.has_grammar:
        return ["any of these words"] if facts.vocabulary else []
    if not facts.sentences:
        return ["sentences of its grammar; with --grammar none, any of these words"]
    return textwrap.wrap(f"{counted(len(facts.sentences), 'phrase')}: {', '.join(facts.sentences)}", 64)


def _table(results: list[Result], all_results: bool) -> list[str]:
    """A line for each metric, a column for each split: the main metrics, or all."""
    shown = [result for result in results if all_results or result.metric in TILES] or results
    datasets = list(dict.fromkeys(result.dataset for result in shown))
    rows: dict[str, dict[str, str]] = {}
    columns: dict[str, int] = {}
    for result in shown:
        column = result.split if len(datasets) == 1 else f"{result.dataset} {result.split}"
        rows.setdefault(result.name, {})[column] = result.shown
        columns[column] = max(columns.get(column, len(column)), len(result.shown))
    head = datasets[0] if len(datasets) == 1 else ""
    widest = max(map(len, [head, *rows]))
    lines = ["  ".join([f"{head:<{widest}}", *(f"{column:>{width}}" for column, width in columns.items())])]
    for name, values in rows.items():
        cells = (f"{values.get(column, ''):>{width}}" for column, width in columns.items())
        lines.append("  ".join([f"{name:<{widest}}", *cells]))
    if len(shown) < len(results):
        lines.append(f"(the main ones of {len(results)}; --all prints the others)")
    return lines


def describe_model(folder: Path) -> ModelFacts:
    """
    The facts that `lip2wav info` prints, read from the files alone: no network is made of them.

    Raises:
        CommandError: if a file of the model is damaged.
    """
    config = _read_config(folder / "config.json")
    parameters, types = _count_weights(folder)
    results, remark = _card_results(folder)
    reads_words = "vocabulary" in config and config.get("text_recognition", True) is not False
    return ModelFacts(
        model=name_of_folder(folder),
        folder=str(folder),
        system=system_name(config),
        architecture=BY_TYPE[config["model_type"]].class_name,
        decoder_type=config.get("decoder_type"),
        parameters=parameters,
        weights=types,
        bytes=sum(path.stat().st_size for path in weight_files(folder)),
        sampling_rate=config["sampling_rate"],
        frame_rate=config["frame_rate"],
        crop_width=config["image_width"],
        crop_height=config["image_height"],
        speaks=BY_TYPE[config["model_type"]].speaks,
        text_units=config.get("text_units", "words") if reads_words else None,
        vocabulary=config.get("vocabulary", []) if reads_words else [],
        has_grammar=reads_words and config.get("grammar") is not None,
        sentences=_few_sentences(config) if reads_words else [],
        results=results,
        remark=remark,
    )


def _few_sentences(config: dict[str, Any]) -> list[str]:
    try:
        grammar = Grammar.from_jsgf(config["grammar"])
    except (KeyError, TypeError, AttributeError, GrammarError):
        return []
    written = config.get("written_sentences") or {}
    few = grammar.count() <= MOST_SENTENCES
    return [written.get(sentence, sentence) for sentence in grammar.sentences()] if few else []


def _read_config(path: Path) -> dict[str, Any]:
    """
    What config.json says, without the class of the configuration, whose import takes seconds: that one is asked only
    where the file lacks something, or has it in another form.

    Raises:
        CommandError: if the file is not that of a configuration.
    """
    found = read_fields(path, CommandError)
    model_type = found.setdefault("model_type", "lip2wav")
    if not isinstance(model_type, str) or model_type not in BY_TYPE:
        raise CommandError(f"{path}: the model_type {model_type!r} is none of {', '.join(BY_TYPE)}.")
    shown = SHOWN | SHOWN_OF_TYPE.get(model_type, {})
    if all(_is(found.get(name), kind) for name, kind in shown.items()):
        return found
    try:
        return BY_TYPE[model_type].config_class(**found).to_dict()
    except Exception as error:
        raise CommandError(f"{path}: {one_line(error)} Save the model again.") from error


def _is(value: Any, kind: tuple[type, ...]) -> bool:
    if isinstance(value, list):
        return list in kind and all(isinstance(each, str) for each in value)
    return isinstance(value, kind) and not isinstance(value, bool)


def _count_weights(folder: Path) -> tuple[int, list[str]]:
    """How many numbers the weights are, and the types that they are saved in."""
    from safetensors import SafetensorError, safe_open

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
    return parameters, sorted(types)


def _card_results(folder: Path) -> tuple[list[Result], str]:
    """The measured results in the model card's metadata; without any, a remark on why."""
    from huggingface_hub import ModelCard

    card_file = folder / "README.md"
    if not card_file.is_file():
        return [], "(there is no model card: lip2wav evaluate measures, lip2wav card writes one)"
    try:
        found = ModelCard.load(card_file).data.eval_results or []
    except Exception as error:
        return [], f"(the model card cannot be read: {one_line(error)})"
    results = [
        Result(
            metric=each.metric_type,
            name=each.metric_name or each.metric_type,
            value=each.metric_value if isinstance(each.metric_value, (int, float)) else str(each.metric_value),
            dataset=each.dataset_name or "",
            split=each.dataset_split or "",
        )
        for each in found
    ]
    return results, "" if results else "(the model card has none)"


__all__ = ["ModelFacts", "Result", "describe_model", "info", "report"]
