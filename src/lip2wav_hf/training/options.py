"""The command line of a training: a recipe first, then options; and its help, in groups."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import textwrap
import typing
from typing import Any, NoReturn

from ..errors import install_extra
from .arguments import (
    AugmentationArguments,
    CriticArguments,
    DataArguments,
    LossArguments,
    ModelArguments,
    OptimizationArguments,
    TrainingArguments,
    TrainingError,
)
from .recipes import FILE_OPTIONS, list_recipes, locate_file, read_recipe


GROUPS = {
    "data": DataArguments,
    "model": ModelArguments,
    "losses": LossArguments,
    "variation": AugmentationArguments,
    "critic": CriticArguments,
    "run": OptimizationArguments,
}
SECTIONS = tuple(GROUPS.values())

DESCRIPTION = f"""\
Train a network. A recipe comes first: one of those below, or your own YAML file of `option: value` lines.
Options after it have precedence. Needs the extra `train`: {install_extra("train")}.
"""

EXAMPLES = """\
examples:
  lip2wav train tiny
  lip2wav train grid_s1 --data_dir path/to/grid --output_dir runs/mine
  lip2wav train grid_s1 --data_dir path/to/grid --resume latest
  accelerate launch --multi_gpu --num_processes 4 -m lip2wav_hf.train grid_seen4 --data_dir path/to/grid
"""

SEE_HELP = "`lip2wav train --help` lists all options."

HELP_WIDTH = 100
METAVARS = {int: "N", float: "X", str: "TEXT", bool: "true|false"}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Each option once, with its default."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=HELP_WIDTH)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, argparse.SUPPRESS) or action.required:
            return action.help
        return f"{action.help} [%(default)s]"


class TrainingParser(argparse.ArgumentParser):
    """
    The parser of all training options, whose errors are [`TrainingError`]s.

    An option may be written with `-` in place of `_`, and an option that is on can be turned off by `--no_` before its
    name; the help shows each once. transformers' `HfArgumentParser` takes the same words, but half a second to import.
    """

    def __init__(self) -> None:
        super().__init__(
            prog="lip2wav train",
            usage="lip2wav train RECIPE [--option value ...]\n"
            "       lip2wav train --list\n"
            "       accelerate launch -m lip2wav_hf.train RECIPE [--option value ...]",
            description=DESCRIPTION,
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        for name, section in GROUPS.items():
            group = self.add_argument_group(name, " ".join((section.__doc__ or "").split()))
            types = typing.get_type_hints(section)
            for field in dataclasses.fields(section):
                _add_option(group, field, types[field.name])

    def format_help(self) -> str:
        recipes = list_recipes()
        width = max(map(len, recipes))
        lines = [
            textwrap.fill(text, HELP_WIDTH, initial_indent=f"  {name:<{width}}  ", subsequent_indent=" " * (width + 4))
            for name, text in recipes.items()
        ]
        return f"{super().format_help()}\nrecipes:\n" + "\n".join(lines) + f"\n\n{EXAMPLES}"

    def error(self, message: str) -> NoReturn:
        raise TrainingError(f"{message}. {SEE_HELP}")

    @property
    def names(self) -> list[str]:
        """All options, as in a recipe."""
        return [field.name for section in SECTIONS for field in dataclasses.fields(section)]


def _add_option(group: argparse._ArgumentGroup, field: dataclasses.Field, annotation: Any) -> None:
    """The option of a field. Further spellings are understood too: only the first of each action is in its help."""
    scalar, dashed = _scalar(annotation), field.name.replace("_", "-")
    settings: dict[str, Any] = {**field.metadata, "dest": field.name, "metavar": METAVARS[scalar]}
    if field.default is dataclasses.MISSING:
        settings["required"] = True
    else:
        settings["default"] = field.default
    if "list" in str(annotation):
        settings["nargs"] = "+"
    if scalar is bool:
        settings |= {"nargs": "?", "const": True}
    spellings = dict.fromkeys((f"--{field.name}", f"--{dashed}"))
    action = group.add_argument(*spellings, type=_truth if scalar is bool else scalar, **settings)
    action.option_strings = action.option_strings[:1]
    if scalar is bool and field.default is True:
        group.add_argument(
            f"--no_{field.name}", f"--no-{dashed}", dest=field.name, action="store_false", help=argparse.SUPPRESS
        )


def _truth(word: str) -> bool:
    """`true` or `false`, in the spellings that YAML and people use."""
    spellings = {"true": True, "yes": True, "t": True, "y": True, "1": True}
    spellings |= {"false": False, "no": False, "f": False, "n": False, "0": False}
    if word.lower() not in spellings:
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return spellings[word.lower()]


def _scalar(annotation: Any) -> Any:
    """`str` of `list[str] | None`, and the like."""
    parts = [part for part in getattr(annotation, "__args__", ()) if part is not type(None)]
    return _scalar(parts[0]) if parts else annotation


def parse_arguments(arguments: list[str]) -> TrainingArguments:
    """
    Arguments of a run: a recipe first, options on the command line over it.

    Args:
        arguments (`list[str]`): words of the command line.

    Raises:
        TrainingError: if the recipe cannot be read, or an option does not exist or has no fitting value.
    """
    parser, options = TrainingParser(), {}
    if arguments and not arguments[0].startswith("-"):
        options = _recipe_options(arguments[0], parser)
        arguments = arguments[1:]
    found, rest = parser.parse_known_args(_words(options) + arguments)
    sections: list[Any] = [
        section(**{field.name: getattr(found, field.name) for field in dataclasses.fields(section)})
        for section in SECTIONS
    ]
    if rest:
        raise TrainingError(_unknown(rest[0].partition("=")[0], parser.names))
    for section in sections:
        for name in FILE_OPTIONS:
            if getattr(section, name, None) is not None:
                setattr(section, name, locate_file(getattr(section, name)))
    given = _given(arguments, parser.names)
    return TrainingArguments(*sections, recipe=frozenset(options) - given, given=given)


def _recipe_options(recipe: str, parser: TrainingParser) -> dict[str, Any]:
    """The options of a recipe, which all exist."""
    options = read_recipe(recipe)
    unknown = [str(name) for name in options if name not in parser.names]
    if unknown:
        raise TrainingError(f"{recipe}: {_unknown(unknown[0], parser.names)}")
    return options


def _given(words: list[str], names: list[str]) -> frozenset[str]:
    """Which options words of a command line set."""
    spelled = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    return frozenset(name for name in names if spelled & {name, f"no_{name}"})


def _words(options: dict[str, Any]) -> list[str]:
    """The options of a recipe as words of a command line."""
    words = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(str, values)]
    return words


def _unknown(word: str, names: list[str]) -> str:
    close = difflib.get_close_matches(word.lstrip("-").replace("-", "_"), names, n=1)
    if close:
        hint = f"Did you mean {'--' if word.startswith('-') else ''}{close[0]}? "
    else:
        hint = "" if word.startswith("-") else "A recipe comes first, and options begin with --. "
    return f"unknown option {word}. {hint}{SEE_HELP}"


__all__ = ["GROUPS", "SECTIONS", "TrainingParser", "parse_arguments"]
