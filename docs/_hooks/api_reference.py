"""MkDocs hook: writes the API reference from the package's docstrings, without importing the package.

A line `<!-- api: Lip2WavModel -->` in a page becomes the class with its public methods, `<!-- api: Class.method -->` a
method alone, and the name of a function or constant what it is.
"""

import ast
import functools
import inspect
import json
import re
from pathlib import Path


DOCS = Path(__file__).resolve().parents[1]
PACKAGE = DOCS.parent / "src" / "lip2wav_hf"

MARKER = re.compile(r"^<!-- api: ([\w.]+) -->$", re.MULTILINE)
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example):$")
ITEM = re.compile(r"^`?\w[\w., `]*( \(|:)")
REFERENCE = re.compile(r"\[`(~?)([\w.]+)`\]")
LONGEST_SIGNATURE = 88  # characters on one line

Function = ast.FunctionDef | ast.AsyncFunctionDef


def on_page_markdown(markdown: str, page, **kwargs) -> str:
    """Replace the markers of a page."""
    return MARKER.sub(lambda match: describe(match[1], page.file.src_uri), markdown)


@functools.cache
def definitions() -> dict[str, ast.stmt | tuple[ast.Assign, str]]:
    """Classes, functions and documented constants of the package's modules by name, methods as `Class.method`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, following in zip(body, [*body[1:], None]):
            if isinstance(node, (ast.ClassDef, Function)) and not node.name.startswith("_"):
                found.setdefault(node.name, node)
            elif isinstance(node, ast.Assign) and (text := _text_of(following)) is not None:
                found.setdefault(node.targets[0].id, (node, text))
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{method.name}": method for method in methods(node)}
    return found


@functools.cache
def pages() -> dict[str, str]:
    """The page, such as `api/grid.md`, on which a name is described."""
    return {
        name: path.relative_to(DOCS).as_posix()
        for path in sorted(DOCS.rglob("*.md"))
        for name in MARKER.findall(path.read_text(encoding="utf-8"))
    }


def _text_of(node: ast.stmt | None) -> str | None:
    """The text of a statement that is nothing but a string, such as a constant's docstring."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def methods(node: ast.ClassDef) -> list[Function]:
    """Public methods and properties that have a docstring, in the order of the source."""
    return [
        each
        for each in node.body
        if isinstance(each, Function)
        and ast.get_docstring(each)
        and (not each.name.startswith("_") or each.name == "__call__")
        and each.name != "validate_architecture"
    ]


def describe(name: str, source: str) -> str:
    """
    Markdown of a name.

    Args:
        name (`str`): of a class, function or constant of the package, or `Class.method`.
        source (`str`): path of the page below `docs/`, for links.

    Raises:
        KeyError: if there is no such name.
    """
    node = definitions()[name]
    if isinstance(node, tuple):
        assignment, text = node
        return f"{_heading(2, name, name)}\n\n{to_markdown(text, source)}\n"
    called, text = signature(node, name), to_markdown(ast.get_docstring(node), source)
    if not called and not name.endswith("Config"):
        text = text.replace("**Arguments**", "**Fields**")
    parts = [_heading(2, name, name), _code(called), text]
    for method in methods(node) if isinstance(node, ast.ClassDef) else ():
        parts.append(_heading(3, method.name, f"{name}.{method.name}"))
        parts += [_code(signature(method, method.name)), to_markdown(ast.get_docstring(method), source)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(level: int, shown: str, name: str) -> str:
    return f"{'#' * level} `{shown}` {{ #{anchor(name)} }}"


def anchor(name: str) -> str:
    """The name of a heading in addresses; two underscores would be read as emphasis."""
    return name.replace("__", "")


def _code(text: str) -> str:
    return f"```python\n{text}\n```" if text else ""


def signature(node: ast.ClassDef | Function, name: str) -> str:
    """How it is called; empty for a class whose docstring lists the fields."""
    if isinstance(node, ast.ClassDef):
        function = next((each for each in node.body if isinstance(each, Function) and each.name == "__init__"), None)
        if function is None or (function.args.vararg and len(function.args.args) == 1):
            return ""
    else:
        function = node
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    returns = "" if function.returns is None or node is not function else f" -> {ast.unparse(function.returns)}"
    if "property" in decorators:
        return f"{name}{returns}  # property"
    arguments = [argument for argument in _arguments(function.args) if argument not in ("self", "cls")]
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= LONGEST_SIGNATURE:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _arguments(arguments: ast.arguments) -> list[str]:
    """Each argument with annotation and default, as in the source."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    listed = [_argument(*pair) for pair in zip(positional, defaults)]
    if arguments.vararg:
        listed.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        listed.append("*")
    listed += [_argument(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return listed + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    if default is None:
        return text
    is_text = isinstance(default, ast.Constant) and isinstance(default.value, str)
    value = json.dumps(default.value) if is_text else ast.unparse(default)
    return f"{text} = {value}" if argument.annotation else f"{text}={value}"


def to_markdown(docstring: str, source: str) -> str:
    """A docstring as Markdown: its sections as lists, references to described names as links."""
    parts, section, block = [], None, []
    for line in [*inspect.cleandoc(docstring).splitlines(), "Args:"]:  # the last ends what comes before
        if SECTION.match(line):
            parts.append(_section(section, block))
            section, block = line[:-1], []
        else:
            block.append(line)
    text = "\n\n".join(part for part in parts if part.strip())
    return REFERENCE.sub(lambda match: _reference(match[2], source), text)


def _section(name: str | None, lines: list[str]) -> str:
    if name is None:
        return inspect.cleandoc("\n".join(lines))
    # The first line without indentation ends the section; what follows is prose again.
    end = next((index for index, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    body, rest = (inspect.cleandoc("\n" + "\n".join(part)) for part in (lines[:end], lines[end:]))
    if name == "Example":
        text = f"**Example**\n\n{body or rest}"
        return text if body == "" else f"{text}\n\n{rest}"
    if name == "Returns":
        return f"**Returns:** {body}\n\n{rest}"
    items = []
    for line in filter(str.strip, body.splitlines()):
        if ITEM.match(line) or not items:
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    bullets = "\n".join(f"- {_item(item)}" for item in items)
    title = {"Args": "Arguments", "Attributes": "Fields", "Raises": "Raises"}[name]
    return f"**{title}**\n\n{bullets}\n\n{rest}"


def _item(text: str) -> str:
    """`name (type): description`, `a, b (type): …` or `Error: …` with its names in code."""
    end = text.find("):")
    end = end + 1 if 0 <= text.find(" (") < end else text.find(":")
    head, description = (text[:end], text[end + 1 :].strip()) if end >= 0 else (text, "")
    head = "".join(
        part if index % 2 else re.sub(r"\b[\w.]+\b", r"**`\g<0>`**", part)
        for index, part in enumerate(_split_by_depth(head))
    )
    return f"{head}: {description}" if description else head


def _split_by_depth(text: str) -> list[str]:
    """Alternately what is outside and what is inside of parentheses and backticks."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        inside = depth > 0 or quoted
        if character == "`":
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
        if (inside or depth > 0 or quoted) != (len(parts) % 2 == 0):
            parts.append("")
        parts[-1] += character
    return parts


def _reference(name: str, source: str) -> str:
    shown = name.rpartition(".")[2] if name.startswith("training.") else name
    owner = name.partition(".")[0]
    place = pages().get(name) or pages().get(owner)
    if place is None or (name not in pages() and name not in definitions()):
        return f"`{shown}`"
    depth = source.count("/")
    target = place if depth == 0 else "../" * depth + place
    return f"[`{shown}`]({target}#{anchor(name)})"
