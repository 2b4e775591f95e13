"""The file `clips.csv`: one row a clip, appended to while an evaluation runs, read again when it goes on."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .scoring import TEXT_COLUMNS, EvaluationError


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_rows(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write a table of clips whole or not at all.

    Args:
        path (`Path`): the file.
        rows (`list[dict]`): values by column.
        columns (sequence of `str`): the columns, in order.
    """
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


def append_row(path: Path, row: dict[str, Any], columns: Sequence[str]) -> None:
    """Add one clip to a table."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, columns, extrasaction="ignore").writerow(row)


def read_clips(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Rows of a `clips.csv`; a last row that was cut off while it was written is left out.

    Args:
        path (`str` or `os.PathLike`): the file.

    Returns:
        `list[dict]`: texts as `str`, "" where there is none; numbers as `float`, absent where there is none.

    Raises:
        EvaluationError: if it is not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        reader = csv.DictReader(lines)
        if not {"speaker", "name"} <= set(reader.fieldnames or ()):
            raise ValueError("it has no columns speaker and name")
        return [_values(raw) for raw in reader]
    except (ValueError, csv.Error) as error:
        raise EvaluationError(f"{path}: not a table of clips ({error}).") from None


def _values(raw: dict[str, str]) -> dict[str, Any]:
    texts = {key: value or "" for key, value in raw.items() if key in TEXT_COLUMNS}
    numbers = {key: float(value) for key, value in raw.items() if key and key not in TEXT_COLUMNS and value}
    return texts | numbers


__all__ = ["append_row", "read_clips", "write_rows", "write_text"]
