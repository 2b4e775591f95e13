"""The files that travel to the Hub as remote code: the networks, the extractor, the pipeline, and what they import."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..models import NETWORKS


PACKAGE = Path(__file__).parents[1]
PIPELINE = ("pipeline_video_to_speech", "VideoToSpeechPipeline")  # module and class
EXTRACTOR = ("feature_extraction_lip2wav", "Lip2WavFeatureExtractor")


RELATIVE_IMPORT = re.compile(r"^(\s*from )(\.\.?)(\w+)(?= import )", re.MULTILINE)


def code_files(modules: Iterable[str]) -> list[Path]:
    """
    The files of modules, and of all that they import relatively.

    Args:
        modules (iterable of `str`): their names in the package.

    Returns:
        `list[Path]`: sorted, each file once.
    """
    waiting, paths = [PACKAGE / f"{module.replace('.', '/')}.py" for module in modules], set()
    while waiting:
        path = waiting.pop()
        if path not in paths:
            paths.add(path)
            found = RELATIVE_IMPORT.findall(path.read_text(encoding="utf-8"))
            waiting += [(path.parent if len(dots) == 1 else PACKAGE) / f"{name}.py" for _, dots, name in found]
    return sorted(paths)


def published_code(modules: Iterable[str]) -> dict[str, Path | bytes]:
    """
    The same files as they lie in a repository, all in one folder, where the Hub's loader looks: modules of a room
    import those of the top folder as neighbours.

    Returns:
        `dict[str, Path | bytes]`: file, or its content, by its name.
    """
    return {
        path.name: path
        if path.parent == PACKAGE
        else RELATIVE_IMPORT.sub(r"\1.\3", path.read_text(encoding="utf-8")).encode()
        for path in code_files(modules)
    }


def remote_code_files() -> list[Path]:
    """
    All files of the top folder that may travel: derived from their imports, so that this is the only list of them.

    They must lie in the package's top folder, import each other only relatively, and need nothing but the libraries
    that a model card names.
    """
    return code_files([PIPELINE[0], EXTRACTOR[0], *(network.module for network in NETWORKS if network.is_flat)])


__all__ = ["EXTRACTOR", "PIPELINE", "code_files", "published_code", "remote_code_files"]
