"""The messages of all commands on stderr: errors and warnings, one line each, and the exit status."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import typer

from ..errors import Lip2WavError, one_line


BAD_INPUT = 2
"""Exit status of a command that could not read or write something."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

Function = TypeVar("Function", bound=Callable[..., Any])


class CommandError(Lip2WavError):
    """A command that cannot be run; the message says what is wrong and what to do."""


def reporting(function: Function | None = None, *, interrupted: str = "") -> Any:
    """
    Decorator of a command: what it cannot do is one `error:` line on stderr and exit status 2, Ctrl-C is exit status
    130. Any other exception is a fault of the program and keeps its traceback.

    Args:
        function (callable): the command, a function that typer understands.
        interrupted (`str`, *optional*): what to do after Ctrl-C, such as "Run the same command again: it continues
            where it was."
    """
    if function is None:
        return functools.partial(reporting, interrupted=interrupted)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (ValueError, OSError, ImportError) as error:
            raise typer.Exit(report_error(error)) from None
        except KeyboardInterrupt:
            print_error(f"error: interrupted. {interrupted}".rstrip())
            raise typer.Exit(INTERRUPTED) from None

    return wrapper


def report_error(error: BaseException | str, subject: str | None = None) -> int:
    """
    Print one line about an error; with LIP2WAV_DEBUG set, its traceback too.

    Args:
        error (`BaseException` or `str`): what went wrong.
        subject (`str`, *optional*): the file it happened to, named first unless the message has it.

    Returns:
        `int`: the exit status, 2.
    """
    message = one_line(error)
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


def print_error(line: str) -> None:
    """Print a line on stderr, above a progress bar if there is one."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)


class _WarningLines(logging.Handler):
    """Shows each warning of the package as one line, and keeps it for the JSON records."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = one_line(record.getMessage())
        self.messages.append(message)
        print_error(f"warning: {message}")


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
    "CommandError",
    "only_our_messages",
    "print_error",
    "report_error",
    "reporting",
]
