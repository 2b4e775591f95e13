"""A comparison as text: for the terminal, as Markdown, and as a web page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import counted
from ..evaluation.pages import page_templates
from ..evaluation.published import HEADINGS, NOTE
from ..evaluation.report import cell, differences, markdown_lines
from ..files import write_json, write_text
from ..metrics.registry import SUMMARY, TILES
from .table import TO_ORIGINAL, Column, Comparison
from .trainings import HEADINGS as TRAINING_HEADINGS
from .trainings import curve_table, draw_curves
from .trainings import verdicts as learning_verdicts


NO_VALUE = "–"
ARROWS = {"lower": "↓", "higher": "↑"}


def table(comparison: Comparison, keys: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """
    Headings and rows of texts: a row for each number, a column for the recording and for each system.

    Args:
        comparison ([`Comparison`]): the systems.
        keys (sequence of `str`): of the numbers.
    """
    headings = ["95 % interval", *(column.heading for column in comparison.columns)]
    rows = []
    for key in keys:
        number = SUMMARY[key]
        title = f"{number.title} {ARROWS.get(number.better or '', '')}".rstrip()
        rows.append([title, *(_cell(column, key) for column in comparison.columns)])
    rows.append(["clips", *(str(column.clips) for column in comparison.columns)])
    rows.append(["sound made at, kHz", *(_rates(column) for column in comparison.columns)])
    return headings, rows


def _rates(column: Column) -> str:
    if column.sampling_rate is None:
        return NO_VALUE
    made = f"{column.sampling_rate / 1000:g}"
    if column.original_rate in (None, column.sampling_rate):
        return made
    return f"{made}; the originals {column.original_rate / 1000:g}"


def _cell(column: Column, key: str) -> str:
    return cell(key, dict(column.overall[key]), True) if key in column.overall else NO_VALUE


def paired(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The first system minus each other one, on the clips that both have: headings and rows of texts."""
    others = [column for column in comparison.columns if column.against_first is not None]
    lines = [{line[0]: line for line in differences(dict(column.against_first or {}))} for column in others]
    headings = [
        "first system minus the other",
        *(f"{column.label} ({counted(column.clips, 'clip')})" for column in others),
    ]
    rows = []
    for key in comparison.keys:
        if any(key in own for own in lines):
            cells = [f"{own[key][3]} {own[key][4]}".rstrip() if key in own else NO_VALUE for own in lines]
            rows.append([SUMMARY[key].title, *cells])
    return headings, rows


def compute(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """What the training of each system took: headings and rows of texts."""
    trained = [column for column in comparison.columns if column.kind != "original"]
    return ["", *TRAINING_HEADINGS], [[column.heading, *column.training.cells()] for column in trained]


def terminal_table(comparison: Comparison) -> str:
    """The main numbers, for a terminal."""
    headings, rows = table(comparison, [key for key in comparison.keys if key in (*TILES, TO_ORIGINAL)])
    lines = [headings, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    text = [comparison.title]
    text += ["  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text += ["", *comparison.verdicts()]
    systems = [column for column in comparison.columns if column.kind == "system"]
    text += [f"compute of {column.label}: {column.training.compute}" for column in systems]
    text += [f"learning of {verdict}" for verdict in learning_verdicts(comparison.curves)]
    return "\n".join(text)


def markdown(comparison: Comparison) -> str:
    """All tables, as Markdown."""
    lines = [f"# {comparison.title}", "", *markdown_lines(*table(comparison, comparison.keys)), ""]
    headings, rows = paired(comparison)
    if rows:
        lines += ["## Paired differences", "", *markdown_lines(headings, rows), ""]
        lines += [*(f"- {verdict}" for verdict in comparison.verdicts()), ""]
    lines += ["## Compute", "", *markdown_lines(*compute(comparison)), ""]
    if comparison.curves:
        lines += ["## Learning curves", "", *(f"- {verdict}" for verdict in learning_verdicts(comparison.curves)), ""]
        for label, curve in comparison.curves.items():
            lines += [f"{label}:", "", *markdown_lines(*curve_table(curve)), ""]
    lines += ["## How it was measured", "", *(f"- {_plain(note)}" for note in comparison.notes()), ""]
    if comparison.published:
        lines += ["## Published results on GRID", "", NOTE, "", *markdown_lines(HEADINGS, comparison.published), ""]
    return "\n".join(lines)


def _plain(note: str) -> str:
    """A note whose star is no list item."""
    return f"\\{note}" if note.startswith("*") else note


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """
    Write `comparison.json`, `comparison.md` and `comparison.html`.

    Returns:
        `Path`: of the page.
    """
    page = (
        page_templates()
        .get_template("comparison.html.jinja")
        .render(
            comparison=comparison,
            numbers=table(comparison, comparison.keys),
            paired=paired(comparison),
            compute=compute(comparison),
            curves=draw_curves(comparison.curves),
            learning=learning_verdicts(comparison.curves),
            published=(HEADINGS, comparison.published),
            published_note=NOTE,
            versions=comparison.results["versions"],
        )
    )
    write_json(folder / "comparison.json", comparison.record())
    write_text(folder / "comparison.md", markdown(comparison))
    write_text(folder / "comparison.html", page)
    return folder / "comparison.html"


__all__ = ["compute", "markdown", "paired", "table", "terminal_table", "write_comparison"]
