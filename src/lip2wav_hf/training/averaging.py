"""Averages of the weights of models from one line of training: between sharp and safe (Wortsman et al. 2022)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Lip2WavError


class AveragingError(Lip2WavError):
    """Models whose weights cannot be averaged."""


def average_models(
    folders: Sequence[str | os.PathLike], output: str | os.PathLike, shares: Sequence[float] | None = None
) -> Path:
    """
    Write a model whose weights are the average of others'. It makes sense for models of which one was trained on from
    the other: the adversarial stage sounds more like speech, the stage before it is nearer to the original.

    Args:
        folders (sequence of `str` or `os.PathLike`): saved generators of one architecture. Config, feature extractor,
            `critic/` and `speech_encoder/` are taken from the last.
        output (`str` or `os.PathLike`): folder of the new model, which must not exist; it appears whole or not at all.
        shares (sequence of `float`, *optional*): of each model, in all 1; equal by default.

    Returns:
        `Path`: the new folder.

    Raises:
        AveragingError: if a folder holds no weights, or they do not fit each other, or the shares do not.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    output, shares = Path(output), list(shares or [1 / len(folders)] * len(folders))
    if len(folders) < 2 or len(shares) != len(folders) or abs(sum(shares) - 1) > 1e-6:
        raise AveragingError(
            f"{len(folders)} models and {len(shares)} shares with a sum of {sum(shares):g}: two models or more are"
            " needed, each with a share, and the sum of these is 1."
        )
    if output.exists():
        raise AveragingError(f"{output}: it is there already; choose another folder.")
    weights = []
    for folder in map(Path, folders):
        try:
            weights.append(load_file(folder / "model.safetensors"))
        except (OSError, SafetensorError) as error:
            raise AveragingError(f"{folder}: no model.safetensors can be read there ({error}).") from error
    shapes = [{name: value.shape for name, value in state.items()} for state in weights]
    for folder, shape in zip(folders, shapes):
        if shape != shapes[-1]:
            different = sorted(
                name for name in shape.keys() | shapes[-1].keys() if shape.get(name) != shapes[-1].get(name)
            )
            raise AveragingError(f"{folder} and {folders[-1]} are of different architectures: {different[0]} differs.")
    average = {}
    for name, value in weights[-1].items():
        if value.is_floating_point():
            total = sum(share * state[name].to(torch.float64) for share, state in zip(shares, weights))
            value = total.to(value.dtype)
        average[name] = value
    temporary = output.with_name(f".{output.name}.tmp-{os.getpid()}")
    try:
        shutil.copytree(folders[-1], temporary, ignore=shutil.ignore_patterns("results", "README.md", "card.yaml"))
        save_file(average, temporary / "model.safetensors", metadata={"format": "pt"})
        os.replace(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return output


def average_command(
    folders: Annotated[list[str], typer.Argument(help="Folders of saved generators; two or more.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the new model.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Share of each model, in their order; in all 1. [default: equal]")
    ] = None,
):
    """Average the weights of models from one line of training into a new one."""
    try:
        print(average_models(folders, output, share))
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


__all__ = ["AveragingError", "average_command", "average_models"]
