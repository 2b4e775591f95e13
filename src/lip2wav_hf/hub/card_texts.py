"""Cards for the Hub, filled from files: of a model, of the GRID corpus, of the Space, of an organisation.

The texts are Jinja templates in `hub_cards/`. A model's card takes its architecture from config.json, its numbers from
`results/*.json` (through `card_results`), and what no file tells from `card.yaml`, which a person writes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import requires
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Lip2WavError


TEMPLATES = Path(__file__).parents[1] / "hub_cards"
REPOSITORY_OWNER = "OWNER"  # stands for the owner in a model card; `lip2wav push` puts the real name in
FACTS_FILE = "card.yaml"
WRITTEN_BY = "Written by `lip2wav write-card`"

# Energy of training is not measured but estimated from measured core-hours. Both numbers are assumptions.
WATTS_PER_CORE = 10.0  # a busy server core with its share of memory, power supply and cooling; our assumption
GRAMS_PER_KWH = 480.0  # CO2e of electricity, mean of the world in 2023 (Ember, Global Electricity Review 2024)

KINDS = ("model", "dataset", "space", "organization")
LONGEST_DESCRIPTION = 60  # characters that the Hub takes as a Space's short description
COMPONENTS = {
    "lip2wav_critic": ("the critic of the training", "Lip2WavCritic"),
    "lip2wav_speech_encoder": ("the speech encoder of the perceptual losses", "Lip2WavSpeechEncoder"),
    "lip2wav_syncnet": ("the network that measures lip sync", "Lip2WavSyncNet"),
}
RUNTIME = ("transformers", "torch", "av", "opencv-python-headless", "ai-edge-litert")

FACTS_TEMPLATE = """\
# What `lip2wav write-card` cannot read from config.json and results/. Texts are Markdown.
name:           # of the model; that of its folder if it stays empty
summary:        # one or two sentences: whose speech, in which language, for what
license:        # of the weights, as the Hub names it: cc-by-4.0, apache-2.0, …
license_name:   # the same in words
license_note:   # whom to attribute, may stay empty
data:           # what it was trained on: how many clips, of whom
data_license:   # licence of these data, and where they are
training:       # steps, batch size, configuration
selection:      # how this checkpoint was chosen, and by which clips; may stay empty
limits: []      # what it cannot do, one text each
core_hours:     # of the training: hours times CPU cores (or GPU-hours, with `watts:` of the GPU)
hardware:       # on what
"""


class CardTemplateError(Lip2WavError):
    """A card that cannot be written from what is there."""


@dataclass
class ModelFacts:
    """
    What card.yaml tells about a model.

    Attributes:
        summary (`str`): whose speech it makes, one or two sentences.
        license (`str`): of the weights, as the Hub names it, such as `"cc-by-4.0"`.
        license_name (`str`): the same in words.
        data (`str`): what it was trained on.
        data_license (`str`): licence of these data, and where they are.
        training (`str`): steps, batch size, configuration.
        core_hours (`float`): compute of the training: hours times cores.
        hardware (`str`): on what.
        name (`str`, *optional*): of the model; by default that of its folder.
        license_note (`str`, *optional*): whom to attribute.
        selection (`str`, *optional*): how the checkpoint was chosen, and by which clips.
        limits (`list[str]`, *optional*): what it cannot do.
        language (`list[str]`, *optional*, defaults to `["en"]`): ISO 639-1 codes.
        tags (`list[str]`, *optional*): for the Hub's search, besides the usual ones.
        watts (`float`, *optional*, defaults to 10): power of a core, or of what `core_hours` counts.
        cost_note (`str`, *optional*): what `core_hours` holds and what not.
    """

    summary: str
    license: str
    license_name: str
    data: str
    data_license: str
    training: str
    core_hours: float
    hardware: str
    name: str = ""
    license_note: str = ""
    selection: str = ""
    limits: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=lambda: ["en"])
    tags: list[str] = field(default_factory=list)
    watts: float = WATTS_PER_CORE
    cost_note: str = ""


def read_facts(path: str | os.PathLike) -> ModelFacts:
    """
    card.yaml of a model's folder.

    Raises:
        CardTemplateError: if it is missing, a field is unknown, of another type, or empty though it is needed.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise CardTemplateError(
            f"{path}: it is missing; it tells what no other file does. Make it with:"
            f" lip2wav write-card {path.parent} --init"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CardTemplateError(f"{path}: it is no valid YAML ({' '.join(str(error).split())}).") from error
    fields = {item.name: item for item in dataclasses.fields(ModelFacts)}
    if not isinstance(content, dict) or set(content) - set(fields):
        unknown = sorted(set(content) - set(fields)) if isinstance(content, dict) else content
        raise CardTemplateError(f"{path}: unknown: {unknown}. It may hold {', '.join(fields)}.")
    content = {name: value for name, value in content.items() if value is not None}
    missing = [
        name
        for name, item in fields.items()
        if item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
        and content.get(name) in (None, "")
    ]
    if missing:
        raise CardTemplateError(f"{path}: please fill in {', '.join(missing)}.")
    types = {"str": str, "float": (int, float), "list[str]": list}
    for name, value in content.items():
        if not isinstance(value, types[fields[name].type]) or isinstance(value, bool):
            raise CardTemplateError(f"{path}: `{name}` must be {fields[name].type}, not {value!r}.")
    facts = ModelFacts(**{name: value.strip() if isinstance(value, str) else value for name, value in content.items()})
    if facts.core_hours <= 0 or facts.watts <= 0:
        raise CardTemplateError(f"{path}: `core_hours` and `watts` must be above 0.")
    return facts


def render_model_card(folder: str | os.PathLike) -> str:
    """
    The card of a saved model, without its table of results, which `lip2wav_hf.hub.card_results.update_card` puts in.

    Args:
        folder (`str` or `os.PathLike`): with config.json, model.safetensors, card.yaml and `results/*.json`.

    Returns:
        `str`: README.md, with metadata.

    Raises:
        CardTemplateError: if something is missing or contradicts itself.
    """
    from huggingface_hub import ModelCardData

    from ..configuration_lip2wav import Lip2WavConfig

    folder = Path(folder)
    facts = read_facts(folder / FACTS_FILE)
    try:
        config = Lip2WavConfig.from_dict(_read_json(folder / "config.json"))
    except CardTemplateError:
        raise
    except Exception as error:
        raise CardTemplateError(f"{folder / 'config.json'}: {' '.join(str(error).split())}") from error
    parameters, weight_bytes = _count_weights(folder)
    name = facts.name or folder.resolve().name
    grams = facts.core_hours * facts.watts / 1000 * GRAMS_PER_KWH
    metadata = ModelCardData(
        language=facts.language,
        license=facts.license,
        library_name="transformers",
        model_name=name,
        pipeline_tag="other",
        tags=["video-to-speech", "lip-reading", "speech-synthesis", "grid", *facts.tags],
        co2_eq_emissions={
            "emissions": round(grams, 1),
            "source": f"{facts.core_hours:g} measured core-hours x {facts.watts:g} W x {GRAMS_PER_KWH:g} g/kWh",
            "training_type": "from scratch",
            "hardware_used": facts.hardware,
        },
    )
    return _render(
        "model_card",
        metadata,
        name=name,
        owner=REPOSITORY_OWNER,
        facts=facts,
        config=config,
        parameters=parameters,
        weight_bytes=weight_bytes,
        components=_components(folder),
        requirements=[_requirement(name) for name in RUNTIME],
        cost=_cost(facts),
    )


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
        CardTemplateError: if something is missing, or a card written by hand is there.
        CardError: if the results are of other weights.
    """
    from .card_results import update_card

    path = Path(folder, "README.md")
    before = path.read_bytes() if path.is_file() else None
    if before is not None and WRITTEN_BY.encode() not in before and not overwrite:
        raise CardTemplateError(f"{path}: it was written by hand. Replace it with --overwrite, or keep it.")
    _write_text(path, render_model_card(folder))
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


def render_dataset_card(report: str | os.PathLike | None = None) -> str:
    """
    The card of the GRID corpus.

    Args:
        report (`str` or `os.PathLike`, *optional*): defects.json, as the dataset builder writes it, whose counts the
            card then tells.

    Raises:
        CardTemplateError: if the report cannot be read.
    """
    from huggingface_hub import DatasetCardData

    from ..grammar import GRAMMAR, VOCABULARY
    from ..grid.corpus import ALIGNMENT_RATE, SILENCES
    from ..grid.defects import KINDS as DEFECTS

    metadata = DatasetCardData(
        language=["en"],
        license="cc-by-4.0",
        pretty_name="GRID audiovisual sentence corpus",
        size_categories=["10K<n<100K"],
        task_categories=["automatic-speech-recognition", "other"],
        annotations_creators=["machine-generated"],
        language_creators=["expert-generated"],
        multilinguality=["monolingual"],
        source_datasets=["original"],
        tags=["video-to-speech", "lip-reading", "audiovisual", "grid"],
    )
    return _render(
        "dataset_card",
        metadata,
        speakers=34,
        grammar=GRAMMAR,
        vocabulary=VOCABULARY,
        alignment_rate=ALIGNMENT_RATE,
        silences=[f"`{name}`" for name in SILENCES],
        defect_kinds=DEFECTS,
        report=_count_defects(report) if report else None,
    )


def render_space_card(
    models: list[str],
    title: str = "Speech from silent video",
    gradio_version: str | None = None,
    python_version: str = "3.12",
) -> str:
    """
    README.md of the Space.

    Args:
        models (`list[str]`): repositories of the models that it loads, `owner/name`.
        title (`str`, *optional*): of the page.
        gradio_version (`str`, *optional*): that the Space runs; by default the one installed.
        python_version (`str`, *optional*): that the Space runs.

    Raises:
        CardTemplateError: if no version of gradio is given and none is installed.
    """
    from huggingface_hub import SpaceCardData

    from ..grammar import VOCABULARY

    metadata = SpaceCardData(
        title=title,
        emoji="👄",
        colorFrom="indigo",
        colorTo="pink",
        sdk="gradio",
        sdk_version=gradio_version or _gradio_version(),
        python_version=python_version,
        app_file="app.py",
        pinned=False,
        license="apache-2.0",
        models=models or None,
        tags=["video-to-speech", "lip-reading", "speech-synthesis"],
        short_description=_short("Hear what a silent video of a talking face says"),
    )
    return _render("space_card", metadata, title=title, models=models, vocabulary=VOCABULARY)


def render_organization_card(
    title: str = "Speech from silent video",
    models: list[str] | None = None,
    spaces: list[str] | None = None,
    datasets: list[str] | None = None,
) -> str:
    """
    The page of an organisation: README.md of its static Space `ORGANISATION/README`.

    Args:
        title (`str`, *optional*): of the page.
        models, spaces, datasets (`list[str]`, *optional*): repositories to link, `owner/name`.
    """
    from huggingface_hub import SpaceCardData

    metadata = SpaceCardData(
        title=title, emoji="👄", colorFrom="indigo", colorTo="pink", sdk="static", pinned=False, license="apache-2.0"
    )
    return _render(
        "organization_card",
        metadata,
        title=title,
        owner=REPOSITORY_OWNER,
        models=models or [],
        spaces=spaces or [],
        datasets=datasets or [],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Parts of the texts
# ---------------------------------------------------------------------------------------------------------------------


def _render(template: str, metadata, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    text = environment.get_template(f"{template}.md.jinja").render(metadata=metadata.to_yaml().strip(), **values)
    return re.sub(r"\n{3,}", "\n\n", text)


def _count_weights(folder: Path) -> tuple[int, int]:
    """Numbers in a folder's weights, counters left out, and bytes of the files."""
    import math

    from safetensors import SafetensorError, safe_open

    paths = sorted(folder.glob("model*.safetensors"))
    if not paths:
        raise CardTemplateError(f"{folder}: there are no weights (model.safetensors) in it. Save the model there.")
    count = 0
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as weights:
                for key in weights.keys():
                    tensor = weights.get_slice(key)
                    if tensor.get_dtype()[0] in "FB":
                        count += math.prod(tensor.get_shape())
        except SafetensorError as error:
            raise CardTemplateError(f"{path}: the weights cannot be read ({error}). Save them again.") from error
    return count, sum(path.stat().st_size for path in paths)


def _components(folder: Path) -> list[dict[str, Any]]:
    parts = []
    for path in sorted(folder.glob("*/config.json")):
        model_type = _read_json(path).get("model_type")
        if model_type in COMPONENTS:
            what, loader = COMPONENTS[model_type]
            count, _ = _count_weights(path.parent)
            parts.append({"folder": path.parent.name, "what": what, "loader": loader, "parameters": count})
    return parts


def _requirement(name: str) -> str:
    """A requirement as this package declares it, quoted for a shell."""
    for line in requires("lip2wav_hf") or ():
        wanted = line.split(";")[0].strip()
        if re.split(r"[<>=!~ ]", wanted)[0] == name:
            return f"'{wanted}'" if wanted != name else wanted
    return name


def _cost(facts: ModelFacts) -> str:
    kwh = facts.core_hours * facts.watts / 1000
    note = f" {facts.cost_note}" if facts.cost_note else ""
    return (
        f"Measured: {facts.core_hours:g} core-hours, on {facts.hardware}.{note}\n\n"
        f"Estimated from that: {_about(kwh)} kWh, {_about(kwh * GRAMS_PER_KWH)} g CO2e. It assumes {facts.watts:g} W"
        f" for each core with its share of memory, power supply and cooling, and {GRAMS_PER_KWH:g} g CO2e/kWh, the"
        " mean of the world's electricity in 2023 (Ember, Global Electricity Review 2024). Neither was measured."
    )


def _about(value: float) -> str:
    """Two digits of a small number, all digits before the point of a large one."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _count_defects(report: str | os.PathLike) -> dict[str, Any]:
    content = _read_json(Path(report))
    try:
        kinds = [defect["kind"] for defect in content["defects"]]
        return {
            "checked": content["checked"],
            "check": content["check"],
            "counts": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            "missing_speakers": content.get("missing_speakers", []),
        }
    except (KeyError, TypeError) as error:
        raise CardTemplateError(f"{report}: it is no report of defects; {error} is missing.") from error


def _gradio_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gradio")
    except PackageNotFoundError:
        raise CardTemplateError(
            "which gradio the Space runs is not known: pip install 'lip2wav_hf[demo]', or give its version."
        ) from None


def _short(text: str) -> str:
    assert len(text) <= LONGEST_DESCRIPTION
    return text


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CardTemplateError(f"{path}: it cannot be read as JSON ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise CardTemplateError(f"{path}: it holds no JSON object.")
    return content


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No load report and no bars: what is wrong is said in our own error."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def write_card_command(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="A saved model; other cards need none.", show_default=False),
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="model, dataset, space or organization.")] = "model",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="[default: README.md of FOLDER, else the terminal]"),
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Make an empty card.yaml to fill in.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was written by hand.")] = False,
    model: Annotated[list[str] | None, typer.Option("--model", help="Repository to link; may be repeated.")] = None,
    space: Annotated[list[str] | None, typer.Option("--space", help="Space to link, for an organisation.")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Data set to link, for an organisation.")
    ] = None,
    title: Annotated[str, typer.Option(help="Of a Space or an organisation.")] = "Speech from silent video",
    gradio_version: Annotated[str | None, typer.Option(help="That a Space runs. [default: the installed one]")] = None,
    defects: Annotated[Path | None, typer.Option(help="defects.json of a copy of GRID, to tell its counts.")] = None,
) -> None:
    """Write a card for the Hub from its template: of a model, of GRID, of the Space, of an organisation.

    A model's card takes its text from card.yaml, its architecture from config.json and its numbers from results/.

    \b
    Examples:
      lip2wav write-card runs/my-voice/best --init
      lip2wav write-card runs/my-voice/best
      lip2wav write-card --type dataset -o card/README.md
      lip2wav write-card --type space --model me/my-voice -o demo/README.md
      lip2wav write-card --type organization --model me/my-voice --space me/my-voice-demo
    """
    try:
        if kind not in KINDS:
            raise CardTemplateError(f"--type {kind}: there are {', '.join(KINDS)}.")
        if kind == "model":
            path = _write_for_model(folder, output, init, overwrite)
            typer.echo(f"wrote {path}")
            if not init and not has_results(path.parent):
                typer.echo(f"It has no numbers yet: lip2wav card {path.parent} --results SPLIT=results.json")
            return
        renderers = {
            "dataset": lambda: render_dataset_card(defects),
            "space": lambda: render_space_card(model or [], title, gradio_version),
            "organization": lambda: render_organization_card(title, model, space, dataset),
        }
        text = renderers[kind]()
        target = output or (folder / "README.md" if folder else None)
        if target is None:
            typer.echo(text, nl=False)
        else:
            _write_text(target, text)
            typer.echo(f"wrote {target}")
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


def _write_for_model(folder: Path | None, output: Path | None, init: bool, overwrite: bool) -> Path:
    if folder is None or not folder.is_dir():
        raise CardTemplateError(f"{folder or 'FOLDER'}: there is no such folder. Name the folder of a saved model.")
    if output is not None:
        raise CardTemplateError("--output: a model's card is README.md in the model's folder. Leave the option out.")
    if not init:
        return write_model_card(folder, overwrite)
    path = folder / FACTS_FILE
    if path.exists():
        raise CardTemplateError(f"{path}: it is there already. Fill it in, then leave --init out.")
    _write_text(path, FACTS_TEMPLATE)
    return path


__all__ = [
    "CardTemplateError",
    "ModelFacts",
    "read_facts",
    "render_dataset_card",
    "render_model_card",
    "render_organization_card",
    "render_space_card",
    "write_card_command",
    "write_model_card",
]
