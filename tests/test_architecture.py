"""Where things are in the package: which way its imports point, and how large its parts are."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator

import pytest

from conftest import REPOSITORY
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.hub.remote_code import remote_code_files
from source_tree import NAME, PACKAGE, closure, imports_of, modules


# Each layer imports from its own room and from layers before it, never from another room of its own layer.
LAYERS = (
    [path.stem for path in remote_code_files()] + ["audio", "errors", "files"],
    ["models", "machine"],
    ["lite"],
    ["lip2audspec"],
    ["corpora"],
    ["grid"],
    ["synthetic", "metrics"],
    ["evaluation"],
    ["training"],
    ["hub"],
    ["live"],
    ["adaptation", "comparison"],
    ["studio"],
    ["train"],
    ["commands"],
    [""],  # the package itself: public names, which no module of it uses
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

MOST_MODULES_AT_THE_TOP = 20
MOST_LINES_OF_A_FILE = 700
MOST_LINES_OF_A_FUNCTION = 60

ENTRY_POINTS = {"evaluation.__main__"}  # a command by another name: `python -m lip2wav_hf.evaluation`

Function = ast.FunctionDef | ast.AsyncFunctionDef


def place(name: str) -> str:
    """The room of a module, or the name of a file at the top; empty for the package itself."""
    return name.removeprefix(NAME).removeprefix(".").partition(".")[0]


def edges(name: str) -> set[str]:
    """The package's own modules that a module imports, at whatever level."""
    return {each.target for each in imports_of(name) if each.ours} - {name}


def test_every_module_has_a_layer():
    assert {place(name) for name in modules()} <= set(LAYER)


def test_there_is_no_import_circle():
    """Neither at the top of modules, nor inside functions, nor for types."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            pytest.fail("circle: " + " -> ".join([*way[way.index(name) :], name]))
        if name not in done:
            for target in sorted(edges(name)):
                visit(target, [*way, name])
            done.add(name)

    for name in modules():
        visit(name, [])


def test_imports_point_one_way():
    wrong = []
    for name, module in modules().items():
        if name.removeprefix(f"{NAME}.") in ENTRY_POINTS:
            continue
        for each in imports_of(name):
            here, there = place(name), place(each.target)
            is_inside = here == there or LAYER[here] == 0 == LAYER.get(there)
            if each.ours and not is_inside and LAYER[there] >= LAYER[here]:
                wrong.append(f"{module}:{each.line}: {here} imports {there}")
    assert not wrong


def test_rooms_open_light():
    """The `__init__.py` of a room says what the room is for, and imports nothing but the standard library."""
    for name, module in modules().items():
        if module.is_package and module.room:
            assert ast.get_docstring(module.tree) or len(module.path.parts) > len(PACKAGE.parts) + 2, module
            heavy = [each.target for each in imports_of(name) if each.top not in sys.stdlib_module_names]
            assert not heavy, f"{module} imports {heavy}"


def test_few_modules_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_MODULES_AT_THE_TOP


def test_no_file_is_long():
    files = [*(module.path for module in modules().values()), *(REPOSITORY / "tests").rglob("*.py")]
    lengths = {str(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    long = {name for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE}
    assert not long


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(node: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node.end_lineno - body[0].lineno + 1 if body else 0


def test_no_function_is_long():
    long = [
        f"{module}:{node.lineno}: {node.name} has {body_lines(node)} lines"
        for module in modules().values()
        for node in functions(module.tree)
        if body_lines(node) > MOST_LINES_OF_A_FUNCTION
    ]
    assert not long


def test_all_errors_have_one_base():
    """Every exception that the package defines can be caught as a `Lip2WavError`."""
    found = 0
    for name, module in modules().items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Exception")):
                error = getattr(importlib.import_module(name), node.name)
                assert issubclass(error, Lip2WavError), f"{module}: {node.name} is no Lip2WavError"
                found += 1
    assert found > 5


@pytest.mark.parametrize("room", ["corpora", "grid"])
def test_errors_of_what_python_loads_name_no_options(room):
    """They name arguments, which the commands spell as their options; a whole command of its own may be named."""
    texts = [
        "".join(str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant))
        for name, module in modules().items()
        if place(name) == room
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise)
    ]
    assert len(texts) > 5 and not [text for text in texts if re.search("--[a-z]", text.partition("lip2wav ")[0])]


def test_the_judge_is_no_teacher():
    """No training can hear what the judges of words hear: it imports no recogniser, and nothing that has one."""
    judges = {f"{NAME}.metrics.{name}" for name in ("recognizers", "heard", "grid_wer.grid_wer", "wer.wer")}
    assert judges <= set(modules())
    training = {name for name in modules() if place(name) in ("training", "train")}
    reached = closure(training, late=True)
    assert training <= set(reached)
    assert not {name: way for name, way in reached.items() if name in judges or name == "pocketsphinx"}
