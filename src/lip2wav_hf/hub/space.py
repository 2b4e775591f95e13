"""What a Space needs of this package: the modules that its app imports, the files these read, and some checkpoints."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from ..models import CHECKPOINTS, DOWNLOADED, NETWORKS
from .remote_code import PACKAGE, remote_code_files


OWN_REQUIREMENT = re.compile(
    r"^\s*(#\s*(?=lip2wav[_-]hf(\[[^]]*\])?:))?lip2wav[_-]hf\s*(\[(?P<extras>[^]]*)\])?", re.IGNORECASE
)
"""A line of requirements.txt that names this package. While no package index has it, ours do so in a comment, `#
lip2wav_hf[EXTRAS]: …`: whoever installs from them gets no package of that name that a stranger has registered."""

# Folders and files that modules read, as patterns, by the module's place in the package.
READS = {
    "__init__.py": ("assets",),
    "face_tracking.py": ("face_models",),
    "comparison/page.py": ("templates/gallery.*",),
    "comparison/table_texts.py": ("templates/comparison.*",),
    "evaluation/web_report.py": ("templates/report.*",),
    "hub/card_texts.py": ("hub_cards",),
    "live/socket.py": ("live/static",),
    "metrics/synchrony.py": ("checkpoints/grid-sync",),
}


def package_files(sources: Iterable[Path], checkpoints: Sequence[str] = ()) -> dict[str, Path]:
    """
    The part of this package that an app needs, as a folder beside it.

    Args:
        sources (iterable of `Path`): the app's own Python files. What they import of this package is found in their
            text, at whatever depth of functions; with it goes what that imports in turn.
        checkpoints (sequence of `str`, *optional*): bundled models that the app offers.

    Returns:
        `dict[str, Path]`: path beside the app, such as `"lip2wav_hf/video.py"`, and the file.
    """
    # The networks, the extractor and the pipeline always go: they are what the package is.
    waiting = [*sources, PACKAGE / "__init__.py", *remote_code_files()]
    for network in NETWORKS:  # of which the package tells transformers
        waiting += [*_module_files(network.module.split(".")), *_module_files(network.config_module.split("."))]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += _imported_files(path)
    modules = {path for path in seen if PACKAGE in path.parents}
    files = set(modules)
    for module in modules:
        for name in READS.get(module.relative_to(PACKAGE).as_posix(), ()):
            for place in PACKAGE.glob(name):
                files |= set(_model_files(place) if name.startswith("checkpoints/") else _all_files(place))
    for name in checkpoints:
        files |= set(_model_files(CHECKPOINTS / name))
    return {f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}": path for path in sorted(files)}


def requirements(lines: Sequence[str]) -> list[str] | None:
    """
    The requirements of a Space that holds the package: the package's own requirements in place of the package.

    Args:
        lines (sequence of `str`): of requirements.txt.

    Returns:
        `list[str]`, *optional*: the lines; `None` if they do not name this package.
    """
    ours = [match for match in map(OWN_REQUIREMENT.match, lines) if match]
    if not ours:
        return None
    extras = [extra.strip() for match in ours for extra in (match["extras"] or "").split(",")]
    return [*(line for line in lines if not OWN_REQUIREMENT.match(line)), *_needed(extras)]


def _needed(extras: Sequence[str]) -> list[str]:
    """What this package needs, with some of its extras; gradio is left out: a Space has it."""
    wanted = {}
    for requirement in map(Requirement, importlib.metadata.requires("lip2wav_hf") or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            wanted[requirement.name] = f"{requirement.name}{requirement.specifier}"
    return [line for name, line in sorted(wanted.items()) if name != "gradio"]


def _all_files(folder: Path) -> Iterator[Path]:
    """The files of a folder; a file alone."""
    if folder.is_file():
        return iter([folder])
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _model_files(folder: Path) -> Iterator[Path]:
    """The files needed to run a model in torch: not its results, nor the networks that trained it."""
    return (path for pattern in DOWNLOADED for path in folder.glob(pattern) if path.suffix != ".onnx")


def _module_files(parts: Sequence[str]) -> list[Path]:
    """The file of a module of this package, by the parts of its name, and those of the packages that it lies in."""
    places = [PACKAGE.joinpath(*parts[: end + 1]) for end in range(len(parts))]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return [file for file in files if file.is_file()]


def _imported_files(path: Path) -> list[Path]:
    """Files of this package that a file imports, with the packages that they lie in."""
    found = []
    public = _public_names()
    for name in _imported_names(path):
        top, *parts = name.split(".")
        if top != PACKAGE.name:
            continue
        if len(parts) == 1 and parts[0] in public:  # a name that the package imports when it is used
            parts = public[parts[0]].split(".")
        found += _module_files(parts)
        if name.endswith(".metric_folder"):  # a function that loads any of the metrics
            found += (PACKAGE / "metrics").glob("*/*.py")
    return found


@functools.cache
def _public_names() -> dict[str, str]:
    """The module of each public name of this package, as its `__init__` says it to type checkers."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module]
    return {alias.name: node.module for node in imports for alias in node.names if node.module}


def _imported_names(path: Path) -> tuple[str, ...]:
    """Absolute names of all that a file imports: of `from a import b`, `a.b`; and of this package's names it uses."""
    return _names_in(path, path.read_text(encoding="utf-8"))


@functools.cache
def _names_in(path: Path, text: str) -> tuple[str, ...]:
    return tuple(_find_names(path, ast.parse(text)))


def _find_names(path: Path, tree: ast.AST) -> Iterator[str]:
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                folder = path.parents[node.level - 1]
                inside = folder.relative_to(PACKAGE.parent).parts if PACKAGE.parent in folder.parents else ()
                module = ".".join([*inside, *([module] if module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE.name:
            yield f"{PACKAGE.name}.{node.attr}"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All that is run: not what only type checkers read."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from _walk(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


__all__ = ["package_files", "requirements"]
