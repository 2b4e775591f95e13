"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from ..models import bundled_models


def complete_model(incomplete: str) -> list[str]:
    """Bundled models whose names begin like this, for the shell's completion."""
    return [name for name in bundled_models() if name.startswith(incomplete)]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A folder, a bundled model, or a repository on the Hugging Face Hub.",
        autocompletion=complete_model,
    ),
]


__all__ = ["ModelOption", "complete_model"]
