"""`lip2wav export`: a corpus as a dataset for the Hugging Face Hub."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from ..corpora.clips import Selection
from ..files import check_writable, write_text
from ..machine import available_cores
from .corpus_options import (
    AGAIN,
    Check,
    CheckOption,
    DataArgument,
    FramesOption,
    JsonOption,
    Scheme,
    SchemeOption,
    SpeakersOption,
    SplitsFileOption,
    WorkersOption,
    corpus_in,
    lost_workers,
    split_names,
)
from .messages import as_options, reporting


class Format(enum.StrEnum):
    """What an export looks like."""

    VIDEOFOLDER = "videofolder"
    WEBDATASET = "webdataset"


@reporting(interrupted=AGAIN)
def export(
    data: DataArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.", show_default=False)],
    format: Annotated[
        Format, typer.Option("--format", "-f", help="A folder of videos with metadata.jsonl, or tar shards.")
    ] = Format.VIDEOFOLDER,
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    check: CheckOption = Check.FAST,
    min_frames: FramesOption = None,
    mp4: Annotated[
        bool,
        typer.Option(
            "--mp4", help="Convert to H.264 and AAC, which browsers play; by default videos are copied as they are."
        ),
    ] = False,
    clips_per_shard: Annotated[int, typer.Option(min=1, help="Of a webdataset.")] = 500,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a corpus as a dataset that `datasets.load_dataset` reads, ready for the Hugging Face Hub.

    \b
    Examples:
      lip2wav export my-videos out/mine
      lip2wav export data/grid out/grid
      lip2wav export data/grid out/grid --format webdataset --split-scheme unseen33 --mp4
      hf upload me/grid out/grid --repo-type dataset
    """
    check_writable(output, str(output))
    from ..corpora.defects import CheckOptions
    from ..corpora.export import ExportOptions, export_corpus
    from ..hub.card_texts import render_dataset_card

    selection = Selection(scheme.value, splits_file, split_names(speakers))
    with lost_workers():
        done = export_corpus(
            corpus_in(data, selection),
            output,
            ExportOptions(format.value, mp4, clips_per_shard),
            selection,
            CheckOptions(check.value, min_frames, workers or available_cores(), progress=True),
        )
    write_text(output / "README.md", render_dataset_card(export=done))
    report = done.report
    if as_json:
        facts = {"checked": report.checked, "usable": report.usable, "left_out": report.left_out}
        typer.echo(json.dumps(facts | {"counts": report.counts(), "output": str(output)}, indent=2))
        return
    typer.echo(as_options(report.summary()))
    if report.notes:
        typer.echo(f"splits: {output / 'splits.json'}")
    typer.echo(f'written: {output}   load: datasets.load_dataset("{output}")')
    typer.echo(f"publish: hf upload USER/NAME {output} --repo-type dataset")


__all__ = ["Format", "export"]
