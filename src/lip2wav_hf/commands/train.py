"""`lip2wav train`: a training in this process, on one device."""

from __future__ import annotations

from typing import Annotated

import typer

from .messages import reporting


# The words are not ours to understand, `--help` included: the parser of the training's options reads them.
CONTEXT_SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def complete_words(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Recipes that begin like the first word, with what each is for, for the shell's completion."""
    from ..training.recipes import list_recipes

    if ctx.params.get("words"):
        return []
    return [(name, text) for name, text in list_recipes().items() if name.startswith(incomplete)]


@reporting
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE [--option value …]", autocompletion=complete_words),
    ] = None,
) -> None:
    """Train a network, by a recipe."""
    from ..train.__main__ import main

    raise typer.Exit(main(words or ["--help"]))


__all__ = ["CONTEXT_SETTINGS", "complete_words", "train"]
