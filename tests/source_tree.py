"""The package's modules as text: what each imports, where, and under which conditions. Nothing is imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conftest import REPOSITORY


SOURCE = REPOSITORY / "src"
PACKAGE = SOURCE / "lip2wav_hf"
NAME = PACKAGE.name


@dataclass(frozen=True)
class Import:
    """
    One import statement's target.

    Attributes:
        target (`str`): the module, for a module of this package the file that is imported: `lip2wav_hf.grid.corpus`.
        line (`int`): where the statement is.
        late (`bool`): inside a function, so it happens only when the function is called.
        optional (`bool`): in a `try` that catches `ImportError`.
        typing (`bool`): under `if TYPE_CHECKING`.
    """

    target: str
    line: int
    late: bool
    optional: bool
    typing: bool

    @property
    def ours(self) -> bool:
        return self.target.partition(".")[0] == NAME

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its path and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def room(self) -> str:
        """The sub-package, or an empty text for a file at the top."""
        parts = self.path.relative_to(PACKAGE).parts
        return parts[0] if len(parts) > 1 else ""

    def __str__(self) -> str:
        return self.path.relative_to(SOURCE).as_posix()


@cache
def modules() -> dict[str, Module]:
    """All modules of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


@cache
def imports_of(name: str) -> tuple[Import, ...]:
    """The imports of one of the package's modules, at every level."""
    module = modules()[name]
    return tuple(_walk(module, module.tree.body, late=False, optional=False, typing=False))


def _walk(module: Module, body: list[ast.stmt], **where: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (Import(target, node.lineno, **where) for target in _targets(module, node))
        inside = dict(where)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside["late"] = True
        if isinstance(node, ast.Try) and any(_catches_missing(handler) for handler in node.handlers):
            inside["optional"] = True
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            inside["typing"] = True
        for field in ("body", "orelse", "finalbody"):
            yield from _walk(module, getattr(node, field, []), **inside)
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _walk(module, part.body, **inside)


def _catches_missing(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "ImportError"
    return "ImportError" in caught or "ModuleNotFoundError" in caught


def _targets(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in modules() else base


def closure(names: set[str], *, late: bool, without: frozenset[tuple[str, str]] = frozenset()) -> dict[str, list[str]]:
    """
    What is imported by modules of the package, and by what those import.

    Args:
        names (`set[str]`): modules to begin with.
        late (`bool`): whether imports inside functions count; for the modules reached from there, they never do.
        without (`frozenset` of pairs, *optional*): imports to pass over, as (module that imports, module).

    Returns:
        `dict[str, list[str]]`: for each module that is reached, ours and others, the way to it.
    """
    reached = {name: [name] for name in names}
    waiting = [(name, late) for name in names]
    while waiting:
        name, with_late = waiting.pop()
        for each in imports_of(name):
            if each.optional or each.typing or (each.late and not with_late) or (name, each.target) in without:
                continue
            for target in _with_packages(each.target) if each.ours else [each.target]:
                if target not in reached:
                    reached[target] = [*reached[name], target]
                    if each.ours:
                        waiting.append((target, False))
    return reached


def _with_packages(name: str) -> list[str]:
    """A module and the packages that hold it below the top one, whose `__init__` its import runs too."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(2 if len(parts) > 1 else 1, len(parts) + 1)]
