"""`lip2wav studio`: the page on which a person records phrases and trains a voice of their own."""

from __future__ import annotations

import functools
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..machine import ending_by
from ..models import find_model
from .messages import CommandError, reporting
from .options import complete_model


if TYPE_CHECKING:
    from ..studio.page import Address


RECORDINGS = Path("recordings")


@reporting
def studio_command(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Where the recordings, the consent and the trained voice are, made if it is new; ./recordings by"
            " default.",
            show_default=False,
        ),
    ] = None,
    same_folder: Annotated[
        Path | None, typer.Option("--folder", "-f", metavar="FOLDER", help="As FOLDER.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; this machine alone by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 7861,
    model: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="The model that learns the voice: a folder, a bundled model, or a repository on the Hub.",
            autocompletion=complete_model,
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.5, max=120, help="How long a training may take, as the page proposes it.")
    ] = 10.0,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate, for https: phones need it.", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.", show_default=False)] = None,
) -> None:
    """
    Open a page on which you record phrases, train a voice of your own on them, and then speak by moving your lips.

    Everything stays in the folder, on this machine. Ctrl-C ends it; a training that runs saves its best model first.

    \b
    Examples:
      lip2wav studio
      lip2wav studio anna --port 8000
      lip2wav studio --host 0.0.0.0 --certificate cert.pem --key key.pem

    To train, it needs the extra `train` too.
    """
    if folder is not None and same_folder not in (None, folder):
        raise CommandError(f"two folders are named, {folder} and {same_folder}. Name one.")
    if (certificate is None) != (key is None):
        raise CommandError("--certificate and --key belong together: give both.")
    for option, file in (("--certificate", certificate), ("--key", key)):
        if file is not None and not file.is_file():
            raise CommandError(f"{option} {file}: there is no such file.")
    signal.signal(signal.SIGTERM, ending_by(lambda: SystemExit(0)))
    from ..errors import require_packages

    require_packages("demo", "The studio", "gradio", "websockets")
    if model is not None:
        model = str(find_model(model))
    from ..studio.page import Address, serve
    from ..studio.recordings import Recordings
    from ..studio.studio import Studio

    recordings = Recordings(folder or same_folder or RECORDINGS)
    studio = Studio(recordings, model, minutes)
    address = Address(host, port, certificate, key)
    try:
        serve(studio, address, functools.partial(_announce, recordings.path, address))
    finally:
        if studio.learning.status().active:
            print("The training saves its best model …", file=sys.stderr, flush=True)
        studio.close()


def _announce(folder: Path, address: Address, url: str) -> None:
    typer.echo(f"{url}  Open this address in a browser. Ctrl-C ends the studio.")
    if address.host in ("0.0.0.0", "::"):
        camera = "" if address.certificate else "; without --certificate, browsers lend no camera there"
        typer.echo(f"On other devices: with this machine's name or number in place of localhost{camera}.")
    typer.echo(f"Recordings are kept in {folder}.")
    sys.stdout.flush()


__all__ = ["studio_command"]
