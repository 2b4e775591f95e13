"""Options that the commands on a corpus share."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from ..corpora.clips import CorpusError, Selection
from ..corpora.registry import Corpus, open_corpus
from ..grid.splits import SPLIT_SCHEMES
from .messages import CommandError


AGAIN = "Run the same command again: it continues where it was."
"""What to do after Ctrl-C."""

Scheme = enum.Enum("Scheme", {scheme: scheme for scheme in SPLIT_SCHEMES}, type=str)


class Check(enum.StrEnum):
    """How thoroughly videos are looked at before they are used."""

    NONE = "none"
    FAST = "fast"
    FULL = "full"


DATA_HELP = (
    "Folder of videos with metadata.csv or with transcripts beside them; or of GRID: s1/*.mpg, s1.zip …; or a dataset"
    " with videos on the Hugging Face Hub, such as me/voices."
)
SchemeOption = Annotated[
    Scheme,
    typer.Option(
        "--split-scheme",
        "--scheme",
        help="Which clips go where. custom: splits.json in DATA, or what a folder of videos says; splits are made, or"
        " one of GRID's is chosen, where there are none. GRID's published ones: seen4, unseen33, overlap33, and"
        " grid_s1, that of the bundled model.",
    ),
]
SplitsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--splits-file", help="JSON file of the scheme custom; DATA/splits.json by default.", show_default=False
    ),
]
SpeakersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--speakers", "--speaker", help="Only these, such as s1,s2; may be repeated. All by default.", metavar="S1,S2"
    ),
]
CheckOption = Annotated[
    Check,
    typer.Option(help="How to look for damaged videos: fast opens each and counts its pictures; full decodes it all."),
]
FramesOption = Annotated[
    int | None,
    typer.Option(
        "--min-frames",
        min=1,
        help="Shorter clips are left out: by default those below 70 frames of GRID, whose clips have 75, and below 25"
        " of others.",
        show_default=False,
    ),
]
DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help=DATA_HELP,
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Processes; by default, one per available core.", show_default=False),
]
ScoringWorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that compute metrics; by default one per core, or one alone where the clips are few.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the summary.")]


def corpus_in(data: Path, selection: Selection) -> Corpus:
    """The corpus in a folder, or a dataset of the Hub. What is no corpus, but has splits of GRID's form, is read as
    GRID, whose report says what is wrong with the names.

    Raises:
        CorpusError: if there is no corpus.
    """
    from ..grid.reader import GridCorpus

    try:
        return open_corpus(data)
    except CorpusError:
        splits_file = selection.splits_file or data / "splits.json"
        if selection.scheme == "custom" and not Path(splits_file).is_file():
            raise
        return GridCorpus(data)


def split_names(values: list[str] | None) -> tuple[str, ...] | None:
    """`["s1,s2", "s4"]` -> `("s1", "s2", "s4")`; `None` for nothing."""
    names = [name for value in values or () for name in value.replace(",", " ").split()]
    return tuple(dict.fromkeys(names)) or None


@contextlib.contextmanager
def lost_workers() -> Generator[None, None, None]:
    """Turn the loss of a worker process into an error of the command.

    Raises:
        CommandError: if a worker process was killed.
    """
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool:
        raise CommandError(
            "a worker process was killed, perhaps because memory ran out. Run the same command again, with"
            " fewer --workers: it continues where it was."
        ) from None


__all__ = [
    "AGAIN",
    "Check",
    "CheckOption",
    "DataArgument",
    "FramesOption",
    "JsonOption",
    "Scheme",
    "SchemeOption",
    "SpeakersOption",
    "SplitsFileOption",
    "ScoringWorkersOption",
    "WorkersOption",
    "corpus_in",
    "lost_workers",
    "split_names",
]
