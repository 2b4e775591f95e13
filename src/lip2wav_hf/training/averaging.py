"""Averages of the weights of models from one line of training: between sharp and safe (Wortsman et al. 2022)."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import Lip2WavError, counted
from ..files import follow_umask, read_fields, replace_folder, write_json
from ..lite.graphs import CLIPS, STREAMS, copy_graphs, has_graphs
from .record import RECORD_FILE


logger = logging.getLogger(__name__)

WEIGHTS_FILE = "model.safetensors"
NOT_TRUE_OF_THE_AVERAGE = (
    *("results", "README.md", "card.yaml", RECORD_FILE, "validation.jsonl", "adaptation.json", ".adaptation"),
    "*_model.onnx",
)
GRAPHS = {"videos": CLIPS, "live speech": STREAMS}
OF_WORDS = ("text_head.", "word_projection.")  # weights as many as there are words

Weights = dict[str, torch.Tensor]


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
            `critic/` and `speech_encoder/` are taken from the last, ONNX graphs from any that they fit; where some are
            left out, a warning says so.
        output (`str` or `os.PathLike`): folder of the new model, which must not exist; it appears whole or not at all.
        shares (sequence of `float`, *optional*): of each model, in all 1; equal by default.

    Returns:
        `Path`: the new folder.

    Raises:
        AveragingError: if a folder holds no weights, or they do not fit each other, or the shares do not.
    """
    output = Path(output)
    shares = _check_shares(len(folders), shares)
    if output.exists():
        raise AveragingError(f"{output}: it is there already; choose another folder.")
    models = {str(folder): _load(Path(folder)) for folder in folders}
    if len(models) < len(folders):
        raise AveragingError("the same folder is named twice.")
    _check_shapes(models)
    average = average_weights(list(models.values()), shares)
    temporary = output.with_name(f".{output.name}.tmp-{os.getpid()}")
    try:
        shutil.copytree(folders[-1], temporary, ignore=shutil.ignore_patterns(*NOT_TRUE_OF_THE_AVERAGE))
        _unless_all_read(temporary, folders)
        save_file(average, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        follow_umask(temporary / WEIGHTS_FILE)
        lacking = _take_graphs(temporary, [Path(folder) for folder in folders])
        replace_folder(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if lacking:
        logger.warning(
            "%s: it has no ONNX graphs for %s: those of its models do not fit it, or are damaged. Write them: lip2wav"
            " lite %s",
            *(output, " and ".join(lacking), output),
        )
    return output


def average_weights(models: Sequence[Weights], shares: Sequence[float]) -> Weights:
    """Floating point tensors are averaged, in float64; types and everything else are those of the last model."""
    average = dict(models[-1])
    for name, value in average.items():
        if value.is_floating_point():
            total = torch.zeros_like(value, dtype=torch.float64)
            for share, weights in zip(shares, models, strict=True):
                total += share * weights[name].to(torch.float64)
            average[name] = total.to(value.dtype)
    return average


def _take_graphs(average: Path, folders: Sequence[Path]) -> list[str]:
    """Give an average the ONNX graphs of its models. Returns what it has none for, where one of them has some."""
    for folder in folders:
        if any(has_graphs(folder, files) for files in GRAPHS.values()):
            copy_graphs(folder, average)
    there = {name: any(has_graphs(folder, files) for folder in folders) for name, files in GRAPHS.items()}
    return [name for name, files in GRAPHS.items() if there[name] and not has_graphs(average, files)]


def _unless_all_read(average: Path, folders: Sequence[str | os.PathLike]) -> None:
    """An average reads words only if all of its models do."""
    configs = [
        read_fields(path, AveragingError) for folder in folders if (path := Path(folder, "config.json")).is_file()
    ]
    if any(config.get("text_recognition") is False for config in configs):
        write_json(average / "config.json", configs[-1] | {"text_recognition": False}, sort_keys=True)


def _check_shares(models: int, shares: Sequence[float] | None) -> list[float]:
    if models < 2:
        raise AveragingError("two models or more are needed: name the folder of another one too.")
    shares = list(shares or [1 / models] * models)
    if len(shares) != models:
        raise AveragingError(f"{counted(models, 'model')}, but {counted(len(shares), 'share')}: give each its share.")
    if abs(sum(shares) - 1) > 1e-6:
        raise AveragingError(f"the shares have a sum of {sum(shares):g}, where it must be 1.")
    return shares


def _load(folder: Path) -> Weights:
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise AveragingError(f"{folder}: no {WEIGHTS_FILE} can be read there ({error}).") from error


def _check_shapes(models: dict[str, Weights]) -> None:
    shapes = {folder: {name: value.shape for name, value in weights.items()} for folder, weights in models.items()}
    last, expected = list(shapes.items())[-1]
    for folder, found in shapes.items():
        different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        if different and all(name.startswith(OF_WORDS) for name in different):
            raise AveragingError(f"{folder} and {last} know different words: only models of the same are averaged.")
        if different:
            raise AveragingError(f"{folder} and {last} are of different architectures: {different[0]} differs.")


__all__ = ["AveragingError", "average_models", "average_weights"]
