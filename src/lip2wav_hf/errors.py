"""The common base of this package's errors, and how a message becomes one line."""

from __future__ import annotations


class Lip2WavError(ValueError):
    """What this package raises for input that it cannot use: the message says what is wrong and what to do."""


def one_line(error: BaseException | str) -> str:
    """
    The message of an error, or a text, on one line.

    An error that is no `ValueError` is preceded by the name of its class, which often says more than the message.
    """
    text = " ".join(str(error).split())
    if isinstance(error, BaseException) and not isinstance(error, ValueError):
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text or type(error).__name__


__all__ = ["Lip2WavError", "one_line"]
