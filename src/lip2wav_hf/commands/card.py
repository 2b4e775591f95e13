"""`lip2wav card` and `lip2wav write-card`: the cards of models, data sets, Spaces and organisations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import write_text
from .messages import BAD_INPUT, CommandError, print_error, reporting


if TYPE_CHECKING:
    from ..hub.model_card import MadeCard


KINDS = ("model", "dataset", "space", "organization")


@reporting
def card_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A saved model.", show_default=False)],
    results: Annotated[
        list[str] | None,
        typer.Option(
            "--results",
            metavar="SPLIT=FILE",
            help="The results.json of a split; may be repeated. By default what is in FOLDER/results.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit status 2 if the card says anything else.")
    ] = False,
) -> None:
    """Put a model's measured results into its card: the metadata and the table, from results.json.

    A model that has no card gets one: card.yaml with what its trainer knows, and README.md. What only you can say,
    such as the licence, is named: fill it in in card.yaml, and run the command again.

    \b
    Examples:
      lip2wav card runs/mine/best --results validation=out/s1/results.json
      lip2wav card runs/mine/best
      lip2wav card runs/mine/best --check
    """
    from ..hub.card_results import update_card
    from ..hub.model_card import make_model_card

    sources = dict(_split_and_file(entry) for entry in results or ())
    if check:
        update_card(folder, sources, check=True)
        typer.echo(f"{folder / 'README.md'}: it says what was measured.")
        return
    made = make_model_card(folder, sources)
    _print_made(made, folder)
    if made.missing:
        raise typer.Exit(BAD_INPUT)


def _split_and_file(entry: str) -> tuple[str, str]:
    split, equals, path = entry.partition("=")
    if not equals or not path:
        raise CommandError(f"--results {entry}: give SPLIT=FILE, such as validation=out/s1/results.json.")
    return split, path


def _print_made(made: MadeCard, folder: Path) -> None:
    for warning in made.warnings:
        print_error(f"warning: {warning}")
    for path in made.written:
        typer.echo(f"wrote {path}")
    if made.missing:
        print_error(
            f"error: {folder / 'card.yaml'}: please fill in {', '.join(made.missing)}. Then run: lip2wav card {folder}"
        )


@reporting
def write_card_command(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="A saved model; other cards need none.", show_default=False),
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="model, dataset, space or organization.")] = "model",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="[default: README.md of FOLDER, else the terminal]"),
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Start a card.yaml to fill in.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was written by hand.")] = False,
    model: Annotated[list[str] | None, typer.Option("--model", help="Repository to link; may be repeated.")] = None,
    space: Annotated[list[str] | None, typer.Option("--space", help="Space to link, for an organisation.")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Data set to link, for an organisation.")
    ] = None,
    title: Annotated[str, typer.Option(help="Of a Space or an organisation.")] = "Speech from silent video",
    gradio_version: Annotated[str | None, typer.Option(help="That a Space runs. [default: the installed one]")] = None,
    defects: Annotated[
        Path | None, typer.Option(help="defects.json of a copy of GRID, for the counts of defects.")
    ] = None,
) -> None:
    """Write a card for the Hub from its template: of a model, of GRID, of the Space, of an organisation.

    A model's card takes its text from card.yaml, its architecture from config.json and its numbers from results/.

    \b
    Examples:
      lip2wav write-card runs/my-voice/best --init
      lip2wav write-card runs/my-voice/best
      lip2wav write-card --type dataset -o card/README.md
      lip2wav write-card --type space --model me/my-voice -o demo/README.md
      lip2wav write-card --type organization --model me/my-voice --space me/my-voice-demo
    """
    if kind not in KINDS:
        raise CommandError(f"--type {kind}: there are {', '.join(KINDS)}.")
    if kind == "model":
        _write_for_model(folder, output, init, overwrite)
        return
    from ..hub.card_texts import render_dataset_card, render_organization_card, render_space_card

    if kind == "dataset":
        text = render_dataset_card(defects)
    elif kind == "space":
        text = render_space_card(model or [], title, gradio_version)
    else:
        text = render_organization_card(title, model, space, dataset)
    target = output or (folder / "README.md" if folder else None)
    if target is None:
        typer.echo(text, nl=False)
    else:
        write_text(target, text)
        typer.echo(f"wrote {target}")


def _write_for_model(folder: Path | None, output: Path | None, init: bool, overwrite: bool) -> None:
    from ..hub.facts import start_facts
    from ..hub.model_card import has_results, write_model_card

    if folder is None:
        raise CommandError(
            "name the folder of a saved model, such as runs/my-voice/best; or another card with --type dataset, space"
            " or organization."
        )
    if not folder.is_dir():
        raise CommandError(f"{folder}: there is no such folder. Name the folder of a saved model.")
    if output is not None:
        raise CommandError("--output: a model's card is README.md in the model's folder. Leave the option out.")
    path = start_facts(folder) if init else write_model_card(folder, overwrite)
    typer.echo(f"wrote {path}")
    if not init and not has_results(folder):
        typer.echo(f"It has no numbers yet: lip2wav card {folder} --results SPLIT=results.json")


__all__ = ["card_command", "write_card_command"]
