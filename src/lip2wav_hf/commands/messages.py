"""The messages of all commands on stderr: errors and warnings, one line each, and the exit status."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import signal
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO, TypeVar

import typer

from ..errors import Lip2WavError, name_options, one_line
from ..files import nearest_folder
from ..machine import ending_by


BAD_INPUT = 2
"""Exit status of a command that could not read or write something."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

TERMINATED = 143
"""Exit status after SIGTERM."""

SPELT = {"minimum_frames": "min_frames", "resume=False": "restart"}
"""Arguments of Python whose option has another name."""

_options: ContextVar[Mapping[str, str] | None] = ContextVar("options", default=None)  # of the command that runs

Function = TypeVar("Function", bound=Callable[..., Any])


class CommandError(Lip2WavError):
    """A command that cannot be run; the message says what is wrong and what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: its processes end with it, and it leaves nothing half done."""


def reporting(function: Function | None = None, *, interrupted: str = "") -> Any:
    """
    Decorator of a command: what it cannot do is one `error:` line on stderr and exit status 2, Ctrl-C is exit status
    130, SIGTERM 143. Any other exception is a fault of the program and keeps its traceback.

    Args:
        function (callable): the command, a function that typer understands.
        interrupted (`str`, *optional*): what to do after Ctrl-C or SIGTERM, such as "Run the same command again: it
            continues where it was." What the interruption itself says is said instead.
    """
    if function is None:
        return functools.partial(reporting, interrupted=interrupted)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            with _terminations():
                return function(*args, **kwargs)
        except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (ValueError, OSError, ImportError) as error:
            raise typer.Exit(report_error(error)) from None
        except KeyboardInterrupt as stop:
            terminated = isinstance(stop, Terminated)
            said = str(stop) or f"{'ended by SIGTERM' if terminated else 'interrupted'}. {interrupted}".rstrip()
            print_error(f"error: {said}")
            raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from None

    return wrapper


@contextlib.contextmanager
def _terminations() -> Generator[None]:
    """
    SIGTERM raises [`Terminated`], and Ctrl-C `KeyboardInterrupt`, also where somebody else's code would swallow it, as
    PyAV does now and then, and packages while they are imported; unless somebody else handles them.
    """
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    errors = {signal.SIGTERM: Terminated, signal.SIGINT: KeyboardInterrupt}
    in_charge = threading.current_thread() is threading.main_thread()
    ours = {number: was for number, was in usual.items() if in_charge and signal.getsignal(number) == was}
    for number in ours:
        signal.signal(number, ending_by(errors[number]))
    try:
        yield
    finally:
        for number, was in ours.items():
            signal.signal(number, was)


@contextlib.contextmanager
def spelling_options(command: Any) -> Generator[None]:
    """While a command of typer runs, its messages name its options, where errors name arguments of Python."""
    names: dict[str, str] = {}
    for parameter in command.params:
        options = [name for name in parameter.opts if name.startswith("--")]
        names |= {name[2:].replace("-", "_"): options[0] for name in options}
    token = _options.set(names)
    try:
        yield
    finally:
        _options.reset(token)


def as_options(text: str) -> str:
    """A text with arguments of Python spelt as options of the command that runs, see [`name_options`]."""
    names = _options.get() or {}
    return name_options(text, lambda name: names.get(SPELT.get(name, name)) or names.get(name.removesuffix("s")))


def report_error(error: BaseException | str, subject: str | None = None) -> int:
    """
    Print one line about an error; with LIP2WAV_DEBUG set, its traceback too.

    Args:
        error (`BaseException` or `str`): what went wrong.
        subject (`str`, *optional*): the file it happened to, named first unless the message has it.

    Returns:
        `int`: the exit status, 2.
    """
    message = _not_permitted(error) if isinstance(error, PermissionError) and error.filename else one_line(error)
    if isinstance(error, ModuleNotFoundError):
        message = f"{error}. {_which_extra(error.name or '')}"
    if subject is not None and subject not in message:
        message = f"{subject}: {message}"
    if isinstance(error, BaseException):
        if os.environ.get("LIP2WAV_DEBUG"):
            traceback.print_exception(error)
        elif not isinstance(error, (ValueError, OSError, ImportError)):
            message += " Set LIP2WAV_DEBUG=1 to see where it happened."
    print_error(f"error: {message}")
    return BAD_INPUT


def _not_permitted(error: PermissionError) -> str:
    """What cannot be read or written, or the folder that takes no new file, which may have a name of our own."""
    path = Path(os.fsdecode(error.filename))
    if path.exists() and not os.access(path, os.R_OK):
        return f"{path}: no permission to read it. Change its permissions."
    return f"{nearest_folder(path)}: no permission to write there. Change its permissions, or choose another place."


def _which_extra(module: str) -> str:
    """How to install a module that is missing: the extra of this package that has it."""
    import importlib.metadata
    import re

    package = module.split(".")[0].replace("_", "-").lower()
    for requirement in importlib.metadata.requires("lip2wav_hf") or ():
        extra = re.search(r"""extra == ['"](\w+)['"]""", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and name[0].replace("_", "-").lower() == package:
            return f"It is in the extra `{extra[1]}`: in the source folder of lip2wav_hf, pip install '.[{extra[1]}]'."
    return f"Install it: pip install {package}."


def wrapped(text: str, stream: TextIO) -> str:
    """Text with its long lines broken between words, where it goes to a terminal, which breaks words."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) if len(line) > width else line for line in text.split("\n"))


def print_error(line: str) -> None:
    """Print a line on stderr, with options for arguments, above a progress bar if there is one."""
    line = wrapped(as_options(line), sys.stderr)
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def waiting(what: str, quiet: bool = False) -> Generator[None]:
    """On a terminal, say on stderr what is waited for, such as `loading grid-s1`, until it is there."""
    shown = not quiet and sys.stderr.isatty()
    if shown:
        print(f"{what} …", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class _WarningLines(logging.Handler):
    """
    Shows each warning of the package as one line, once, however often a video is read, and keeps it for the JSON
    records. What stands behind the last semicolon, which is true of the model and not of the video, is shown the first
    time.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self.explained: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = one_line(record.getMessage())
        if message in self.messages:
            return
        self.messages.append(message)
        what, _, explanation = message.rpartition("; ")
        print_error(f"warning: {what if what and explanation in self.explained else message}")
        self.explained.add(explanation)


@contextlib.contextmanager
def only_our_messages() -> Generator[list[str]]:
    """
    Show only this package's warnings, one line each; nothing of the libraries.

    Yields:
        `list[str]`: in which our warnings are collected.
    """
    from transformers.utils import logging as transformers_logging

    logger, handler = logging.getLogger("lip2wav_hf"), _WarningLines()
    propagate, verbosity = logger.propagate, transformers_logging.get_verbosity()
    progress_bars = transformers_logging.is_progress_bar_enabled()
    logger.addHandler(handler)
    logger.propagate = False
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        transformers_logging.set_verbosity(verbosity)
        if progress_bars:
            transformers_logging.enable_progress_bar()


__all__ = [
    "BAD_INPUT",
    "INTERRUPTED",
    "TERMINATED",
    "CommandError",
    "Terminated",
    "as_options",
    "only_our_messages",
    "print_error",
    "report_error",
    "reporting",
    "spelling_options",
    "waiting",
    "wrapped",
]
