"""The systems that are compared, and what pages and tables call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Lip2WavError
from ..evaluation.systems import model_name
from ..models import DEFAULT_MODEL


ORIGINAL = "Original"
"""What pages and tables call the recording."""


class ComparisonError(Lip2WavError):
    """A comparison that cannot be made as asked."""


@dataclass(frozen=True)
class System:
    """
    A system that speaks.

    Attributes:
        label (`str`): what pages and tables call it.
        model (`str` or pipeline): a folder, a bundled model, a repository on the Hub; or a `video-to-speech` pipeline.
    """

    label: str
    model: Any

    @classmethod
    def named(cls, text: str, option: str = "--model") -> System:
        """
        From the value of an option: `"NAME"` or `"LABEL=NAME"`. What exists under the whole text is a name.

        Args:
            text (`str`): the value.
            option (`str`, *optional*, defaults to `"--model"`): what the error calls the option.

        Raises:
            ComparisonError: if the label or the name is empty.
        """
        label, equals, model = text.partition("=")
        if not equals or Path(text).exists():
            label, model = model_name(text), text
        label, model = " ".join(label.split()), model.strip()
        if not label or not model:
            raise ComparisonError(f"{option} {text}: give NAME, or LABEL=NAME.")
        return cls(label, model)


def named_systems(names: Sequence[str] | None) -> list[System]:
    """
    The systems of an option that may be repeated; the default model without one.

    Raises:
        ComparisonError: if two have one label, or one has that of the recording.
    """
    systems = [System.named(name) for name in names or (DEFAULT_MODEL,)]
    check_labels(system.label for system in systems)
    return systems


def check_labels(labels: Iterable[str]) -> None:
    """
    Raises:
        ComparisonError: if two labels are the same, whatever the case, or one is that of the recording.
    """
    seen = {ORIGINAL.casefold(): f"{ORIGINAL!r} is the recording itself"}
    for label in labels:
        if label.casefold() in seen:
            raise ComparisonError(f"two systems are called {label!r}: {seen[label.casefold()]}. Give LABEL=NAME.")
        seen[label.casefold()] = "each needs a name of its own"


def file_names(texts: Iterable[str]) -> list[str]:
    """A name for each text that is safe in files and in links, none of them twice whatever the case."""
    names: list[str] = []
    for text in texts:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-").lower()[:60] or "x"
        number, name = 2, plain
        while name in names:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


__all__ = ["ORIGINAL", "ComparisonError", "System", "check_labels", "file_names", "named_systems"]
