"""`lip2wav align`: when each word of a corpus is said, where only its sentences are known."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..corpora.clips import Clip, CorpusError, Selection
from ..errors import counted
from ..machine import available_cores
from ..models import DEFAULT_MODEL, find_network
from . import corpus_options as shared
from .messages import CommandError, only_our_messages, print_error, reporting, waiting


if TYPE_CHECKING:
    from ..corpora.align_clips import AlignmentReport

SHOWN = 10  # doubtful or refused clips that are named; all are in the file of scores


class Format(enum.StrEnum):
    """Files of word times."""

    TEXTGRID = "textgrid"
    ALIGN = "align"


SUFFIXES = {Format.TEXTGRID: ".TextGrid", Format.ALIGN: ".align"}


@reporting(interrupted=shared.AGAIN)
def align(
    data: shared.DataArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Where SPEAKER/NAME.TextGrid go.", show_default=False),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Speech encoder: a folder, a Hub repo or a bundled model with one."),
    ] = DEFAULT_MODEL,
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="Only this split; may be repeated. All by default.")
    ] = None,
    scheme: shared.SchemeOption = shared.Scheme.custom,
    splits_file: shared.SplitsFileOption = None,
    speakers: shared.SpeakersOption = None,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="Praat's TextGrid, or GRID's .align.")
    ] = Format.TEXTGRID,
    everything: Annotated[bool, typer.Option("--all", help="Also clips that have word times of their own.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace all files in DIR, also those of others.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: compare with the word times of clips that have them."),
    ] = False,
    workers: shared.WorkersOption = None,
    as_json: shared.JsonOption = False,
) -> None:
    """Find when each word of a corpus is said, where only its sentences are known.

    A speech encoder trained on the corpus hears the words: lip2wav train speech_encoder --data_dir my-videos. The
    bundled one knows the words of GRID. Run the same command again to continue a stopped run.

    \b
    Examples:
      lip2wav align my-videos -o my-videos/alignments --model runs/speech_encoder/final
      lip2wav align my-videos -o times --model runs/speech_encoder/final
      lip2wav align data/grid --check --split validation
    """
    if check == (output is not None):
        raise CommandError("name a folder for the word times with --output, or compare with known ones with --check.")
    find_network(model, "lip2wav_speech_encoder")  # says now what is wrong with it, if anything is
    chosen = _clips(data, Selection(scheme.value, splits_file, shared.split_names(speakers), not split), split)
    processes = workers or available_cores()
    with shared.lost_workers(), only_our_messages():
        if output is None:
            _check(chosen, model, processes, as_json)
        else:
            _align(chosen, model, processes, as_json, output, SUFFIXES[format], (everything, overwrite))


def _clips(data: Path, selection: Selection, splits: list[str] | None) -> list[Clip]:
    found, report = shared.corpus_in(data, selection).find_clips(selection)
    report.require_words()
    for line in report.lines():
        print_error(f"warning: {data}: {line}")
    unknown = [name for name in splits or () if name not in found]
    if unknown:
        raise CorpusError(f"{data}: no split {', '.join(unknown)}; there are {', '.join(found)}.")
    return list({clip.key: clip for name in splits or found for clip in found[name]}.values())


def _check(clips: list[Clip], model: str, processes: int, as_json: bool) -> None:
    from ..corpora.alignment_check import check_alignment

    found = check_alignment(clips, model, processes, progress=True)
    typer.echo(json.dumps(asdict(found) | {"worst": found.worst}, indent=2) if as_json else found.describe())


def _align(
    clips: list[Clip],
    model: str,
    processes: int,
    as_json: bool,
    output: Path,
    suffix: str,
    choices: tuple[bool, bool],
) -> None:
    with waiting("loading"):
        from ..corpora.align_clips import RECORDS, AlignmentFolder, align_corpus

    everything, overwrite = choices
    folder = AlignmentFolder(output, suffix, overwrite)
    report = align_corpus(clips, folder, model, processes, progress=True, everything=everything)
    if as_json:
        facts = asdict(report) | {"doubtful": report.doubtful, "output": str(output)}
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        typer.echo(describe(report, len(clips), output, output / RECORDS))


def describe(report: AlignmentReport, clips: int, output: Path, records: Path) -> str:
    """Lines for a terminal."""
    counts = f"{counted(clips, 'clip')}: {len(report.aligned)} aligned now, {len(report.before)} before"
    lines = [counts + (f", {len(report.refused)} refused." if report.refused else ".")]
    if report.timed:
        lines.append(f"  left alone (--all aligns them too): {len(report.timed)} with word times of their own")
    if report.kept:
        lines.append(
            f"  kept (--overwrite replaces them): {counted(len(report.kept), 'file')}, edited, or that this speech"
            f" encoder did not write for these words: {_some(report.kept)}"
        )
    if report.doubtful:
        listed = _some([f"{key} {score:.2f}" for key, score in report.doubtful.items()])
        lines.append(f"  {len(report.doubtful)} doubtful, listen to them: {listed}")
    if len(report.doubtful) > len(report.scores) / 2:
        lines.append(
            "  these are most: the transcripts are of other recordings, or the speech encoder is to learn longer from"
            " such ones"
        )
    if report.refused:
        listed = list(report.refused.items())[:SHOWN]
        lines += [f"  refused: {key}: {reason}" for key, reason in listed]
        lines += [f"  refused: {len(report.refused) - SHOWN} more"] if len(report.refused) > SHOWN else []
        if any("does not know" in reason for reason in report.refused.values()):
            lines.append("  train a speech encoder that knows all words: lip2wav train speech_encoder --data_dir DATA")
    if report.aligned or report.before or report.kept:
        lines += [f"times:  {output}", f"scores: {records}"]
        if len(report.doubtful) <= len(report.scores) / 2:
            lines.append(f"use: lip2wav train --alignments {output} …")
    else:
        lines.append("nothing was written.")
    return "\n".join(lines)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


__all__ = ["Format", "align", "describe"]
