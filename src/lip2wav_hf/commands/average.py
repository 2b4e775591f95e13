"""`lip2wav average`: a model between others of one line of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files import check_writable
from ..models import find_model
from .messages import only_our_messages, reporting


@reporting
def average(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Saved generators; two or more.", show_default=False),
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Folder of the new model.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Share of each model, in their order; in all 1. [default: equal]")
    ] = None,
) -> None:
    """
    Average the weights of models from one line of training into a new one.

    \b
    Example:
      lip2wav average runs/reconstruction/final runs/critic/final --share 0.4 --share 0.6 -o runs/average
    """
    check_writable(Path(output), f"-o {output}")
    from ..training.averaging import average_models

    places = [name if Path(name).is_dir() else str(find_model(name)) for name in folders]
    with only_our_messages():
        folder = average_models(places, output, share)
    print(f"written: {folder}")
    print(f"next: lip2wav evaluate --model {folder} --data CORPUS   lip2wav speak --model {folder} VIDEO")


__all__ = ["average"]
