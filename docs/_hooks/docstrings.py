"""Griffe extension: makes the package's docstrings, written as in transformers, readable for mkdocstrings."""

import re
from collections.abc import Iterator

import griffe


ARGUMENT = re.compile(r"^(\s+)([\w., `*]+) \((.+?)\):", re.MULTILINE)  # name (`type`, *optional*, defaults to `1`):
RETURNED = re.compile(r"^((?:Returns|Yields):\n\s+)`([^`\n]+)`(?=[^`\n]*:)", re.MULTILINE)  # Returns: `type`: …
REFERENCE = re.compile(r"\[`(~?)([\w.]+)`\]")  # [`Lip2WavModel`], [`~Lip2WavModel.forward`]


class Docstrings(griffe.Extension):
    """Types of arguments lose their Markdown, and the names of described objects become links."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        objects = list(_walk(pkg))
        places: dict[str, str] = {}
        for each in objects:
            parts = each.path.split(".")
            for length in range(1, len(parts)):
                places.setdefault(".".join(parts[-length:]), each.path)

        def link(match: re.Match) -> str:
            shown = match[2].rpartition(".")[2] if match[1] else match[2]
            return f'<autoref identifier="{places.get(match[2], match[2])}" optional>`{shown}`</autoref>'

        for each in objects:
            if each.docstring:
                text = ARGUMENT.sub(lambda match, each=each: _argument(match, each), each.docstring.value)
                text = RETURNED.sub(r"\1\2", text)
                each.docstring.value = REFERENCE.sub(link, text)


def _argument(match: re.Match, described: griffe.Object) -> str:
    """An argument with its type as plain text, without the default where the signature shows it."""
    function = described.members.get("__init__") if described.is_class else described
    kind = re.sub(r"[`*]|\[(?=`)|(?<=`)\]", "", match[3])
    if isinstance(function, griffe.Function) and match[2] in function.parameters:
        kind = re.sub(r", defaults to .*", "", kind)
    return f"{match[1]}{match[2]} ({kind}):"


def _walk(parent: griffe.Object) -> Iterator[griffe.Object]:
    for member in parent.members.values():
        if isinstance(member, griffe.Object):
            yield member
            yield from _walk(member)
