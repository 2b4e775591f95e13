"""`lip2wav download`: GRID from Zenodo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files import check_writable
from .corpus_options import AGAIN, SpeakersOption, split_names
from .messages import CommandError, print_error, reporting


@reporting(interrupted=AGAIN)
def download(
    corpus: Annotated[str, typer.Argument(help="What to download: grid.", metavar="CORPUS", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.", show_default=False)],
    more_speakers: Annotated[
        list[str] | None, typer.Argument(metavar="SPEAKER", help="As --speakers.", show_default=False)
    ] = None,
    speakers: SpeakersOption = None,
    audio: Annotated[
        bool,
        typer.Option("--audio", help="Also audio_25k.zip, the sound of all speakers. The videos have sound anyway."),
    ] = False,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Unpack the archives beside them. Most commands need that.")
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(help="Another server with an API like Zenodo's.", show_default=False)
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Attempts without any progress before giving up.")] = 8,
) -> None:
    """Download GRID from Zenodo, record 3625687 (CC BY 4.0).

    Run the same command again to continue a stopped download. Every file is checked.

    \b
    Examples:
      lip2wav download grid data/grid --speakers s1 s2 --unpack
      lip2wav download grid data/grid                        all 33 speakers
    """
    if corpus.lower() != "grid":
        raise CommandError(f"{corpus}: only grid can be downloaded.")
    check_writable(folder, str(folder), CommandError)
    from ..grid import download as grid_download

    address = base_url or grid_download.ZENODO_API
    print_error(f"asking {grid_download.server_of(address)} for the list of GRID's files")
    chosen = split_names([*(speakers or ()), *(more_speakers or ())])
    patience = grid_download.Patience(tries=tries, report=print_error)
    paths = grid_download.download_grid(folder, chosen, audio, address, patience)
    for path in paths:
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB, checked")
    if unpack:
        for path in paths:
            count = grid_download.unpack(path, folder)
            typer.echo(f"{path}  unpacked, {count} new files")


__all__ = ["download"]
