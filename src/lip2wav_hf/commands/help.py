"""How a subcommand reads and words its command line: one form of usage lines, of values of options, of usage errors.

typer's own wording changes between its versions, and shows types of Python: `{VIDEO}...`, `<list[str]>`.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from .messages import spelling_options


# What stands for the value of an option in the help, by its type.
VALUES = {int: "N", float: "X", str: "TEXT", Path: "PATH"}

# What another command, or Python, calls an option, where no letters of it say so.
ELSEWHERE = {"--phrases": "--grammar", "--grammar": "--phrases"}


class HelpfulCommand(TyperCommand):
    """
    A subcommand whose help names arguments as manual pages do, and whose usage errors know the command. It takes
    `--split_scheme`, as options of the training are written, for `--split-scheme`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; an error without a context, as for an option without its value, is given this command's."""
        if not ctx.ignore_unknown_options:  # else the words are not ours to change
            end = args.index("--") if "--" in args else len(args)
            args = [*map(_with_hyphens, args[:end]), *args[end:]]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "format_message") and getattr(error, "ctx", None) is None:
                vars(error)["ctx"] = ctx
            meant = ELSEWHERE.get(getattr(error, "option_name", ""))
            if meant and any(meant in parameter.opts for parameter in self.params):
                vars(error)["possibilities"] = [meant]
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run it; messages name its options."""
        with spelling_options(self):
            return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] CORPUS DIR [SPEAKER]...`"""
        arguments = [parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "argument"]
        return ["[OPTIONS]", *map(_usage, arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The sections of arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                # Whether an argument is required, the usage line says.
                row = (_name(parameter), getattr(parameter, "help", None) or "") if is_argument else record
                sections[parameter.param_type_name].append(row)
        for kind, rows in sections.items():
            if rows:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(rows)


def _with_hyphens(argument: str) -> str:
    """The name of an option with hyphens for underscores; its value as it is."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _name(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _usage(argument: Any) -> str:
    name = _name(argument) if argument.required else f"[{_name(argument)}]"
    return f"{name}..." if argument.nargs == -1 else name


def name_values(command: Any, function: Callable[..., Any]) -> None:
    """
    Give the options that name no value of their own one by their type, such as `N` or `PATH`.

    Args:
        command (`HelpfulCommand`): as typer made it.
        function (callable): of what; its parameters are annotated.
    """
    hints = typing.get_type_hints(function)
    for parameter in command.params:
        if parameter.metavar is None and parameter.param_type_name == "option":
            parameter.metavar = _value(hints.get(parameter.name))


def _value(kind: Any) -> str | None:
    """What stands for a value of this type; `None` for a flag."""
    inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
    if inner:  # `list[T]`, `T | None`
        return _value(inner[0])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(member.value) for member in kind)
    return VALUES.get(kind)


__all__ = ["HelpfulCommand", "name_values"]
