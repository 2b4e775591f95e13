"""`lip2wav push`: publish a model, the demo page or the card of a data set on the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import counted
from ..models import locate_model
from .messages import CommandError, print_error, reporting


if TYPE_CHECKING:
    from ..hub.plan import Upload


KINDS = ("model", "space", "dataset")
DEMO = "demo"  # folder of the page, in a checkout
PACKAGE = "lip2wav_hf"  # the folder of a Space with what it needs of this package


@reporting
def push_command(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A model's folder, a bundled model, or demo/.")],
    repo_id: Annotated[
        str,
        typer.Argument(metavar="REPO_ID", help="The repository on the Hub: owner/name, or name for one of your own."),
    ],
    repo_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="model, space or dataset (its card alone). By default inferred from the folder.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Model that a Space offers; may be repeated.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and list what would be uploaded. No network.")
    ] = False,
    branch: Annotated[str, typer.Option(help="Where the commit goes; made if missing.")] = "main",
    token: Annotated[str | None, typer.Option(help="Access token. [default: that of `hf auth login`]")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Publish a model on the Hub: networks, code, card, results and samples, in one commit. Or the demo as a Space.

    The weights must load, and the card (`lip2wav card`) must have measured results; otherwise nothing is uploaded.

    \b
    Examples:
      lip2wav push runs/my-voice/best me/my-voice --dry-run
      lip2wav push runs/my-voice/best me/my-voice --private
      lip2wav push demo me/my-voice-demo --model me/my-voice
      lip2wav push card/README.md me/grid --type dataset
    """
    from ..hub.push import push, push_dataset_card, push_space

    path = _find(folder)
    kind = repo_type or ("space" if (path / "app.py").is_file() else "model" if path.is_dir() else "dataset")
    if kind not in KINDS:
        raise CommandError(f"--type {kind}: there are {', '.join(KINDS)}.")
    if model and kind != "space":
        raise CommandError(f"--model: the models that a Space offers, but {folder} is pushed as a {kind}.")
    options = {"private": private, "branch": branch, "token": token, "message": message, "dry_run": dry_run}
    if kind == "space":
        upload = push_space(path, repo_id, models=model, **options)
    else:
        upload = (push if kind == "model" else push_dataset_card)(path, repo_id, **options)
    for warning in upload.warnings:
        print_error(f"warning: {warning}")
    if as_json:
        typer.echo(json.dumps(upload.facts(), indent=2))
    else:
        _print_upload(upload, branch, private)


def _find(folder: str) -> Path:
    """What exists on disk under that name, else a bundled model; a repository on the Hub cannot be uploaded."""
    path = Path(folder).expanduser()
    if path.exists():
        return path
    if path.name == DEMO:
        raise CommandError(
            f"{folder}: there is no such folder. The demo page is the folder {DEMO}/ in a checkout of lip2wav_hf: run"
            " the command there, or name that folder."
        )
    place = locate_model(folder, None)
    if not isinstance(place, Path):
        raise CommandError(f"{folder}: there is no such folder.")
    return place


def _print_upload(upload: Upload, branch: str, private: bool) -> None:
    sizes = upload.sizes()
    typer.echo(f"{upload.repo_id}, {'private ' if private else ''}{upload.repo_type}, branch {branch}:")
    for line in _listing(sizes):
        typer.echo(line)
    named = "" if all(path in sizes for path in _folders(sizes)) else "; --json lists each"
    typer.echo(f"  {sum(sizes.values()):>12,}  bytes in {counted(len(sizes), 'file')}{named}")
    if upload.left_out:
        typer.echo(f"left out: {', '.join(upload.left_out)}")
    for key, value in upload.variables.items():
        typer.echo(f"variable: {key}={value}")
    if upload.deleted:
        typer.echo(f"deleted: {', '.join(upload.deleted)}")
    if upload.unchanged:
        typer.echo("all of it was there already: no commit was made.")
    typer.echo(upload.commit_url or "dry run: nothing was uploaded.")


def _folders(sizes: dict[str, int]) -> dict[str, list[int]]:
    """The sizes of each file; those of what is taken along of this package by its folders."""
    folders: dict[str, list[int]] = {}
    for path, size in sizes.items():
        first, *rest = path.split("/")
        place = "/".join([first, *rest[:-1][:1], ""]) if rest and first == PACKAGE else path
        folders.setdefault(place, []).append(size)
    return folders


def _listing(sizes: dict[str, int]) -> list[str]:
    """A line for each file, with its bytes, and for each folder of this package."""
    return [
        f"  {sum(own):>12,}  {path}" + (f"  {counted(len(own), 'file')} of the package" if path.endswith("/") else "")
        for path, own in _folders(sizes).items()
    ]


__all__ = ["push_command"]
