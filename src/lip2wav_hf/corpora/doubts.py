"""What looks like a slip in the names of a table of clips: of its columns, its splits and its speakers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from ..errors import counted
from .columns import SPEAKER_COLUMNS, SPLIT_NAMES, TEXT_COLUMNS


SPLITS = ("train", "validation", "test")
KNOWN = ("file_name", *TEXT_COLUMNS, *SPEAKER_COLUMNS, "split", "start", "end", "words", "name", "id")
ALIKE = 0.7  # of 1, from which on a name may be a misspelt one; our choice


def columns_without_words(table: str, columns: Iterable[str]) -> str:
    """
    What to say of a table in which no column says what is said; empty of another.

    Args:
        table (`str`): what to call it.
        columns (iterable of `str`): its columns, without that of the videos.
    """
    columns = list(columns)
    if not columns or any(column in (*TEXT_COLUMNS, "words") for column in columns):
        return ""
    names = f"{', '.join(TEXT_COLUMNS[:-1])} or {TEXT_COLUMNS[-1]}"
    found = f"no column of {table} says what is said. Such a column is called {names}; there are {', '.join(columns)}."
    return f"{found} Rename the one that says it." if unknown_columns(columns) else found


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Those of some columns that nobody reads."""
    return [column for column in columns if column not in KNOWN]


def misspelt_splits(splits: Mapping[str, int]) -> list[str]:
    """
    Sentences on splits that may be misspelt ones, where others are spelt so.

    Args:
        splits (mapping of `str` to `int`): how many clips each has.
    """
    found = []
    for split, count in splits.items():
        meant = _meant(split)
        if meant:
            found.append(f"the split {split!r}, of {counted(count, 'clip')}, is one of its own. Did you mean {meant}?")
    return found


def _meant(split: str) -> str:
    """The split that a name is likely to mean; empty for one of ours, and for one that has a whole name of ours in it,
    as `test_clean` and `unseen_test` do."""
    if split in SPLITS or any(name in split and abs(len(split) - len(name)) > 1 for name in SPLITS):
        return ""
    if split[:-1] in SPLITS and not split[-1].isalpha():  # such as test2
        return ""
    close = difflib.get_close_matches(split, SPLIT_NAMES, n=1, cutoff=ALIKE)
    return SPLIT_NAMES[close[0]] if close else ""


def alike_speakers(speakers: Iterable[str]) -> list[str]:
    """Sentences on speakers whose names differ in nothing but the case of letters."""
    named: dict[str, list[str]] = {}
    for speaker in sorted(set(speakers)):
        named.setdefault(speaker.casefold(), []).append(speaker)
    return [
        f"the speakers {', '.join(alike[:-1])} and {alike[-1]} differ in capital letters alone, and count as"
        f" {len(alike)} people. If they are one, write one name."
        for alike in named.values()
        if len(alike) > 1
    ]


__all__ = ["alike_speakers", "columns_without_words", "misspelt_splits", "unknown_columns"]
