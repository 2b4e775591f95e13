"""Cards for the Hub that are filled from templates (`hub_cards/`): of GRID, of the Space, of an organisation.

A model's card has a file of its own, `model_card`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import CardData, DatasetCardData, SpaceCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from transformers.utils import logging as transformers_logging

from ..corpora.defects import CorpusReport
from ..corpora.export import Export
from ..errors import install_extra
from ..files import read_fields
from ..grammar import GRAMMAR, VOCABULARY
from ..grid.corpus import ALIGNMENT_RATE, SILENCES
from ..grid.defects import KINDS as DEFECTS
from .facts import CardError


TEMPLATES = Path(__file__).parents[1] / "hub_cards"
OWNER = "OWNER"  # stands for the owner of a repository; `lip2wav push` puts the real name into a model's card

# The metadata of the demo's Space: those of demo/README.md are the same.
SPACE_METADATA: dict[str, Any] = {
    "title": "Speech from silent video",
    "emoji": "👄",
    "colorFrom": "indigo",
    "colorTo": "pink",
    "sdk": "gradio",
    "python_version": "3.11",
    "app_file": "app.py",
    "pinned": False,
    "license": "apache-2.0",
    "short_description": "Hear what a silent video of a talking face says",  # the Hub takes 60 characters
    "tags": ["video-to-speech", "lip-reading", "speech-synthesis"],
}


def render_card(template: str, metadata: CardData, **values: Any) -> str:
    """
    Fill one of the templates.

    Args:
        template (`str`): its name, without suffixes.
        metadata (`CardData`): for the YAML at its head.
        values: what the template needs; a missing one is an error.

    Returns:
        `str`: Markdown with metadata.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["sentence"] = _sentence
    text = environment.get_template(f"{template}.md.jinja").render(metadata=metadata.to_yaml().strip(), **values)
    return re.sub(r"\n{3,}", "\n\n", text)


def _sentence(text: str) -> str:
    """What somebody has written, with a full stop where it has no end, for another sentence to follow."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def render_dataset_card(report: str | os.PathLike | None = None, export: Export | None = None) -> str:
    """
    The card of the GRID corpus, or of clips of it or of another corpus that were exported.

    Args:
        report (`str` or `os.PathLike`, *optional*): defects.json, as the dataset builder writes it, whose counts
            the card then gives.
        export ([`~corpora.export.Export`], *optional*): what `export_corpus` wrote. The card then describes these
            clips, their splits and columns, and its metadata say which files belong to which split.

    Raises:
        CardError: if the report cannot be read.
    """
    files: dict[str, Any] = {} if export is None else {"configs": [export.config()]}
    if export is not None and export.corpus != "grid":
        return _render_corpus_card(export, files)
    metadata = DatasetCardData(
        language=["en"],
        license="cc-by-4.0",
        pretty_name="GRID audiovisual sentence corpus",
        size_categories=["10K<n<100K"] if export is None else None,
        task_categories=["automatic-speech-recognition", "other"],
        annotations_creators=["machine-generated"],
        language_creators=["expert-generated"],
        multilinguality=["monolingual"],
        source_datasets=["original"],
        tags=["video-to-speech", "lip-reading", "audiovisual", "grid"],
        **files,
    )
    return render_card(
        "dataset_card",
        metadata,
        speakers=34,
        grammar=GRAMMAR,
        vocabulary=VOCABULARY,
        alignment_rate=ALIGNMENT_RATE,
        silences=[f"`{name}`" for name in SILENCES],
        defect_kinds=DEFECTS,
        report=_count_defects(report) if report else None if export is None else _counts(export.report),
        export=None if export is None else _export_values(export),
    )


def _render_corpus_card(export: Export, files: dict[str, Any]) -> str:
    """The card of an exported corpus of which nothing is known but its clips: a person adds licence and consent."""
    metadata = DatasetCardData(
        license="unknown",
        pretty_name=export.title,
        task_categories=["automatic-speech-recognition", "other"],
        tags=["video-to-speech", "lip-reading", "audiovisual"],
        **files,
    )
    return render_card(
        "corpus_card",
        metadata,
        title=export.title,
        kinds=export.report.kinds,
        report=_counts(export.report),
        notes=export.report.notes,
        export=_export_values(export),
    )


def _export_values(export: Export) -> dict[str, Any]:
    return {
        "clips": sum(export.counts().values()),
        "speakers": list(dict.fromkeys(speaker for chosen in export.splits.values() for speaker in chosen)),
        "converted": export.converted,
        "folder": export.options.format == "videofolder",
        "suffix": export.suffix,
        "splits": export.splits,
        "counts": export.counts(),
        "scheme": export.scheme,
        "left_out": export.report.left_out,
    }


def _counts(report: CorpusReport) -> dict[str, Any]:
    return {
        "checked": report.checked,
        "check": report.check,
        "counts": report.counts(),
        "missing_speakers": report.missing_speakers,
    }


def render_space_card(
    models: Sequence[str] = (),
    title: str | None = None,
    gradio_version: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """
    README.md of the Space.

    Args:
        models (sequence of `str`, *optional*): repositories of the models that it loads, `owner/name`.
        title (`str`, *optional*): of the page; by default that of the metadata.
        gradio_version (`str`, *optional*): that the Space runs; by default that of the metadata, or the one installed.
        metadata (mapping, *optional*): as the Hub names them, such as those of a README.md; they go over
            `SPACE_METADATA`.

    Raises:
        CardError: if no version of gradio is given and none is installed.
    """
    values = SPACE_METADATA | dict(metadata or {})
    values["title"] = title or values["title"]
    values["sdk_version"] = gradio_version or values.get("sdk_version") or _gradio_version()
    values["models"] = list(models) or None
    return render_card("space_card", SpaceCardData(**values), title=values["title"], models=models)


def render_organization_card(
    title: str = SPACE_METADATA["title"],
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
    shared = ("emoji", "colorFrom", "colorTo", "pinned", "license")
    metadata = SpaceCardData(title=title, sdk="static", **{name: SPACE_METADATA[name] for name in shared})
    return render_card(
        "organization_card",
        metadata,
        title=title,
        owner=OWNER,
        models=models or [],
        spaces=spaces or [],
        datasets=datasets or [],
    )


def _count_defects(report: str | os.PathLike) -> dict[str, Any]:
    content = read_fields(report, CardError)
    try:
        kinds = [defect["kind"] for defect in content["defects"]]
        return {
            "checked": content["checked"],
            "check": content["check"],
            "counts": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            "missing_speakers": content.get("missing_speakers", []),
        }
    except (KeyError, TypeError) as error:
        raise CardError(f"{report}: it is not a report of defects: {error} is missing.") from error


def _gradio_version() -> str:
    try:
        return version("gradio")
    except PackageNotFoundError:
        raise CardError(
            f"the version of gradio for the Space is unknown. Give it, or install gradio: {install_extra('demo')}."
        ) from None


@contextmanager
def quiet_transformers() -> Generator[None]:
    """No load report and no bars: our own error says what is wrong."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


__all__ = [
    "OWNER",
    "SPACE_METADATA",
    "TEMPLATES",
    "quiet_transformers",
    "render_card",
    "render_dataset_card",
    "render_organization_card",
    "render_space_card",
]
