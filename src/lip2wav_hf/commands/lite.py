"""`lip2wav lite`: ONNX graphs of a model, with which `lip2wav speak` and `lip2wav live` need no PyTorch."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from ..files import CHECKPOINTS, check_writable
from ..models import find_model, locate_model
from .messages import CommandError, print_error, reporting


@reporting
def lite(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The folder of a saved generator.", show_default=False)
    ],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write them also where they are there and fit, and into this installation."),
    ] = False,
) -> None:
    """
    Write ONNX graphs beside a model's weights: `lip2wav speak` and `lip2wav live` start in half of the time with them.

    Five small files, which take their numbers from the weights beside them: three for videos, one of which is for
    --dtype int8, and two for live speech. They are compared with PyTorch before they are kept. Both commands use them
    where ONNX Runtime is installed and no GPU is used. The bundled model has them. Graphs that fit the weights stay.

    \b
    Example:
      lip2wav lite my-voice
      lip2wav speak clip.mpg --model my-voice
    """
    if not isinstance(locate_model(model), Path):
        raise CommandError(
            f"model {model}: graphs are written into a folder of your own. Get one: hf download {model} --local-dir"
            " my-model"
        )
    folder = find_model(model)
    if not overwrite and _are_there(folder):
        print_error(f"model {model}: its ONNX graphs are there and fit its weights; --overwrite writes them again.")
        print(f"next: lip2wav speak --model {model} VIDEO")
        return
    if not overwrite and folder.resolve().is_relative_to(CHECKPOINTS.resolve()):
        raise CommandError(
            f"model {model}: it is part of this installation, which is not changed unasked. Copy its folder, or give"
            " --overwrite."
        )
    check_writable(folder, f"model {model}")
    print_error("writing ONNX graphs, and comparing them with PyTorch: about a minute")
    from ..lite.export import CLIP_PARTS, export_graphs
    from ..live.graphs import STREAM_PARTS

    export_graphs(folder, CLIP_PARTS | STREAM_PARTS, lambda path: print(f"wrote {path}", flush=True))
    print(f"next: lip2wav speak --model {model} VIDEO")


def _are_there(folder: Path) -> bool:
    """Whether a model has all graphs, and they are of its weights."""
    from ..lite.graphs import KINDS, graph_files

    found, _ = graph_files(folder)
    return {path.name for path in found} >= set(itertools.chain(*KINDS))


__all__ = ["lite"]
