"""Options that several commands share."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from ..models import SPEAKING, named_models


class Runtime(enum.StrEnum):
    """What the generator may run in."""

    AUTO = "auto"
    TORCH = "torch"
    ONNX = "onnx"


def complete_model(incomplete: str) -> list[str]:
    """Bundled models that speak and whose names begin like this, for the shell's completion."""
    return [folder.name for folder in named_models(SPEAKING) if folder.name.startswith(incomplete)]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A folder, a bundled model, or a repository on the Hugging Face Hub.",
        autocompletion=complete_model,
    ),
]

SystemsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="A system: a folder, a bundled model, or a repository on the Hugging Face Hub, as NAME or LABEL=NAME; may"
        " be repeated. grid-s1 by default.",
        autocompletion=complete_model,
        show_default=False,
    ),
]

GrammarOption = Annotated[
    str | None,
    typer.Option(
        "--grammar",
        metavar="FILE",
        help="The sentences that may be said: a JSGF grammar (.jsgf), or a text file with one on each line; 'none' for"
        " the model's words in any order. By default the model's own grammar, if it has one.",
        show_default=False,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", "-y", help="Replace files that exist. Else a terminal is asked, and a script is refused."
    ),
]
BeamOption = Annotated[
    int | None,
    typer.Option(
        "--beam",
        min=1,
        metavar="N",
        help="Search for the words with a beam of this width, such as 16, and with the model's n-gram, if it has one;"
        " 1 takes the likeliest of each frame. By default as the model's configuration says.",
        show_default=False,
    ),
]


RuntimeOption = Annotated[
    Runtime,
    typer.Option(
        help="What the generator runs in: PyTorch, or ONNX Runtime, which is on the processor alone and starts sooner."
        " auto takes ONNX Runtime where it is installed, the model has graphs (the bundled one has, `lip2wav lite`"
        " writes others), and neither a GPU nor another type of numbers is to be used."
    ),
]


__all__ = [
    "BeamOption",
    "GrammarOption",
    "ModelOption",
    "Runtime",
    "RuntimeOption",
    "SystemsOption",
    "complete_model",
]
