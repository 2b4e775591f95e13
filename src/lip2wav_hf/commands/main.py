"""
The command `lip2wav`, and the table of its subcommands.

Each subcommand is a function in a file of its own, which is imported when it runs or its help is asked for. Such a
file imports at its top only what its help needs: neither torch nor transformers nor numpy.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import install_extra
from ..machine import leave, rest_waiting_threads
from .help import HelpfulCommand, name_values
from .messages import BAD_INPUT, INTERRUPTED, print_error, report_error


@dataclass(frozen=True)
class Command:
    """
    A subcommand.

    Attributes:
        name (`str`): what the user types.
        target (`str`): `module:function` in this package. The function is what typer understands, decorated by
            [`reporting`]; its docstring is the help. `CONTEXT_SETTINGS` of the module, if there is one, is click's.
        summary (`str`): for the list that `lip2wav --help` prints.
        extra (`str`, *optional*): the extra of this package without which the command cannot do its work; its help
            says so.
    """

    name: str
    target: str
    summary: str
    extra: str = ""


COMMANDS = (
    Command("speak", "commands.speak:speak", "Give silent videos of talking faces their speech."),
    Command("live", "commands.live:live", "Speak live: from a camera to the loudspeaker."),
    Command("info", "commands.info:info", "Describe a model: size, vocabulary, measured results."),
    Command("download", "commands.download:download", "Download the GRID corpus."),
    Command("prepare", "commands.prepare:prepare", "Cache mouth crops and sound of a corpus, for training."),
    Command("align", "commands.align:align", "Find when each word of a corpus is said."),
    Command("export", "commands.export:export", "Write a corpus as a dataset for the Hugging Face Hub."),
    Command("train", "commands.train:train", "Train a network, by a recipe.", extra="train"),
    Command("adapt", "commands.adapt:adapt", "Make a model of one's own from a few recordings.", extra="train"),
    Command(
        "evaluate", "commands.evaluate:evaluate", "Measure a model, and compare it with others.", extra="evaluate"
    ),
    Command("compare", "commands.compare:compare", "Put systems side by side in one table.", extra="evaluate"),
    Command("gallery", "commands.gallery:gallery", "Build a page of videos on which systems are heard in turn."),
    Command(
        "studio", "commands.studio:studio_command", "Record phrases, train your own voice, on a page.", extra="demo"
    ),
    Command("lite", "commands.lite:lite", "Write ONNX graphs: speak then needs no PyTorch.", extra="lite"),
    Command("average", "commands.average:average", "Average the weights of several models."),
    Command("card", "commands.card:card_command", "Put measured results into a model card, or check them."),
    Command("write-card", "commands.card:write_card_command", "Write the card of a model, a dataset or a Space."),
    Command("push", "commands.push:push_command", "Publish a model or the demo page on the Hugging Face Hub."),
)
"""All subcommands, in the order of the help. To add one, write its file and add a line here."""


class _Commands(Mapping):
    """The subcommands by name; each is imported when it is looked up."""

    def __init__(self, table: tuple[Command, ...]) -> None:
        self._table = {command.name: command for command in table}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(self._table[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _load(command: Command) -> Any:
    """The click command of a line of the table."""
    module_name, _, function_name = command.target.partition(":")
    module = importlib.import_module(f"..{module_name}", __package__)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = getattr(module, function_name)
    single.command(
        command.name,
        cls=HelpfulCommand,
        short_help=command.summary,
        epilog=needs(command) or None,
        context_settings=getattr(module, "CONTEXT_SETTINGS", None),
    )(function)
    loaded = typer.main.get_command(single)
    name_values(loaded, function)
    return loaded


def needs(command: Command) -> str:
    """Which extra the command needs, and how to install it; empty for what the plain installation can do."""
    return f"Needs the extra `{command.extra}`: {install_extra(command.extra)}." if command.extra else ""


class _LazyGroup(TyperGroup):
    """A group that lists its commands without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in COMMANDS])
        extras = "; ".join(
            f"{command.name} needs the extra `{command.extra}`" for command in COMMANDS if command.extra
        )
        formatter.write_paragraph()
        formatter.write_text(f"{extras}: {install_extra('NAME')}.")

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        from typer.core import CompletionItem

        names = [
            CompletionItem(command.name, help=command.summary)
            for command in COMMANDS
            if command.name.startswith(incomplete)
        ]
        return names + super(TyperGroup, self).shell_complete(ctx, incomplete)


app = typer.Typer(name="lip2wav", cls=_LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lip2wav {importlib.metadata.version('lip2wav_hf')}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def lip2wav(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """
    Speech from silent videos of talking faces.

    \b
    Examples:
      lip2wav speak clip.mpg -o clip.wav
      lip2wav speak clip.mpg -o clip.mp4 --plot clip.png
      lip2wav speak videos/*.mp4 -o speech/ --json > speech.jsonl
      lip2wav adapt my-clips -o my-voice
      lip2wav info

    `lip2wav COMMAND --help` describes a command.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command: errors become one line on stderr and exit status 2."""
    _open_missing_streams()
    rest_waiting_threads()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    try:
        alone = {"alone": arguments is None}  # nothing comes after it in this process
        status = app(args=arguments, prog_name="lip2wav", standalone_mode=False, obj=alone) or 0
    except (KeyboardInterrupt, typer.Abort):
        print_error("error: interrupted.")
        status = INTERRUPTED
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:  # not a usage error of the command line parser
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "lip2wav"
        said = message().rstrip(".")
        status = report_error(f"{said}{'' if said.endswith('?') else '.'} See `{command} --help`.")
    if arguments is None and "torch" in sys.modules:
        leave(status)
    sys.exit(status)


def _open_missing_streams() -> None:
    """Where there is no stdin, stdout or stderr (`>&-`, services, pythonw), nothing is read, or written to nowhere."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)  # another file has taken the number, or nobody may write there
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: no file that is opened later does
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


__all__ = ["BAD_INPUT", "COMMANDS", "Command", "app", "main"]


if __name__ == "__main__":
    main()
