"""The file `clips.csv`: one row per clip, appended to while an evaluation runs, read again when it is resumed."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..files import replacing
from .clips import DECIMALS, FIELDS, TEXT_COLUMNS, WHOLE_NUMBERS, ClipRow
from .options import EvaluationError


FIELD_TEXTS = ("speaker", "name", "sentence", "text")
WHOLE = re.compile(r"-?\d+")


def write_rows(path: Path, rows: Iterable[ClipRow], columns: Sequence[str]) -> None:
    """
    Write a table of clips whole or not at all.

    Args:
        path (`Path`): the file.
        rows (iterable of [`ClipRow`]): the clips.
        columns (sequence of `str`): the columns, in order.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_cells(row) for row in rows)


def append_row(path: Path, row: ClipRow, columns: Sequence[str]) -> None:
    """Add one clip to a table."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, columns, extrasaction="ignore").writerow(_cells(row))


def read_clips(path: str | os.PathLike) -> list[ClipRow]:
    """
    Rows of a `clips.csv`; a last row that was cut off while it was written is left out.

    Args:
        path (`str` or `os.PathLike`): the file.

    Raises:
        EvaluationError: if it is not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        reader = csv.DictReader(lines)
        if not {"speaker", "name"} <= set(reader.fieldnames or ()):
            raise ValueError("it has no columns speaker and name")
        return [_row(cells) for cells in reader]
    except (ValueError, TypeError, csv.Error) as error:  # TypeError: a row without a name
        raise EvaluationError(f"{path}: not a table of clips ({error}).") from None


def _cells(row: ClipRow) -> dict[str, Any]:
    confidences = " ".join(f"{confidence:.{DECIMALS}f}" for confidence in row.word_confidences)
    return row.columns() | {"word_confidences": confidences}


def _row(cells: dict[str, str]) -> ClipRow:
    return ClipRow.from_columns({column: _value(column, text) for column, text in cells.items() if column})


def _value(column: str, text: str | None) -> Any:
    """The value of a cell; `None` for an empty one. A whole number stays one."""
    if column == "word_confidences":
        return tuple(float(word) for word in (text or "").split())
    if column in TEXT_COLUMNS or column == "text":
        return text or ""
    if not text:
        return None
    if column in FIELD_TEXTS:
        return text
    if column in WHOLE_NUMBERS:
        return int(float(text))
    return int(text) if column not in FIELDS and WHOLE.fullmatch(text) else float(text)


__all__ = ["append_row", "read_clips", "write_rows"]
