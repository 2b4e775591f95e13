"""The files that travel to the Hub as remote code: the networks, the extractor, the pipeline, and what they import."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..models import NETWORKS


PACKAGE = Path(__file__).parents[1]
PIPELINE = ("pipeline_video_to_speech", "VideoToSpeechPipeline")  # module and class
EXTRACTOR = ("feature_extraction_lip2wav", "Lip2WavFeatureExtractor")


def code_files(modules: Iterable[str]) -> list[Path]:
    """
    The files of modules, and of all that they import relatively.

    Args:
        modules (iterable of `str`): names of files in the package's top folder, without suffix.

    Returns:
        `list[Path]`: sorted, each file once.
    """
    from transformers.dynamic_module_utils import get_relative_import_files  # noqa: PLC0415  loads torch

    paths = set()
    for module in modules:
        path = PACKAGE / f"{module}.py"
        paths |= {path, *map(Path, get_relative_import_files(path))}
    return sorted(paths)


def remote_code_files() -> list[Path]:
    """
    All files that may travel: derived from their imports, so that this is the only list of them.

    They must lie in the package's top folder, import each other only relatively, and need nothing but the libraries
    that a model card names.
    """
    return code_files([PIPELINE[0], EXTRACTOR[0], *(network.module for network in NETWORKS if network.travels)])


__all__ = ["EXTRACTOR", "PIPELINE", "code_files", "remote_code_files"]
