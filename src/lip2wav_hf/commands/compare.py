"""`lip2wav compare`: one table of several systems, of published samples, and of what was reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files import check_writable
from ..metrics.registry import METRICS
from .corpus_options import (
    DATA_HELP,
    Scheme,
    SchemeOption,
    ScoringWorkersOption,
    SpeakersOption,
    SplitsFileOption,
    split_names,
)
from .messages import BAD_INPUT, CommandError, print_error, reporting
from .options import SystemsOption


@reporting(interrupted="Run the same command again: finished clips are kept.")
def compare(
    data: Annotated[Path, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)],
    models: SystemsOption = None,
    published: Annotated[
        list[str] | None,
        typer.Option(
            "--published",
            metavar="LABEL=FOLDER",
            help="Samples that the authors of a system published: a folder with predicted/ and original/ (the names"
            " may go on), sound files of the same names; may be repeated.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for comparison.html, .md and .json, and the evaluation.")
    ] = Path("out/compare"),
    split: Annotated[
        str, typer.Option("--split", "-s", help="A split of the corpus; all for every clip.")
    ] = "validation",
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metrics", help=f"Only these, separated by commas: {', '.join(METRICS)}. All by default."),
    ] = None,
    compat: Annotated[
        bool, typer.Option("--compat", help="Add the metrics in the forms that others' evaluation code computes.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Where the models run, such as cpu or cuda:0.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that go through a model together.")] = 8,
    workers: ScoringWorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start from the beginning even if the folder holds results.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json instead of the table.")] = False,
) -> None:
    """
    Put systems side by side in one table: the recording, each model, and samples that other authors published.

    \b
    Examples:
      lip2wav compare --data grid --model grid-s1 --model "mine=runs/mine/best" -o out/compare
      lip2wav compare --data grid --model grid-s1 --published "Lip2AudSpec=peers/lip2audspec" -o out/compare

    All models speak the same clips. The table has 95 % intervals, and the paired differences of the first model to
    each other one; beside it stand what each training took, and what was published. Run the same command again to
    continue a stopped run.
    """
    check_writable(output, f"-o {output}", CommandError)
    from ..comparison.systems import named_systems
    from ..comparison.table import compare_systems
    from ..comparison.table_texts import terminal_table, write_comparison

    systems, samples = named_systems(models), _samples(published or [])
    if len(systems) + len(samples) < 2:
        raise CommandError(
            "there is nothing to compare with: name another system with --model, or --published samples."
        )
    options: dict[str, Any] = {"splits_file": splits_file, "split_scheme": scheme.value, "limit": limit}
    options |= {"device": device, "batch_size": batch_size, "speakers": split_names(speakers), "compat": compat}
    options |= {"workers": workers, "overwrite": overwrite}
    if metrics:
        options["metrics"] = [name for names in metrics for name in names.replace(",", " ").split()]
    comparison = compare_systems(systems, data, split, output, samples=samples, **options)
    page = write_comparison(comparison, output)
    if as_json:
        print(json.dumps(comparison.record(), indent=2, ensure_ascii=False))
    else:
        print(terminal_table(comparison))
        print(f"page: {page}; all numbers: comparison.md and comparison.json beside it")
    for failure in comparison.failures:
        print_error(f"error: {failure['system']}: {failure['error']}")
    if comparison.failures:
        raise typer.Exit(BAD_INPUT)


def _samples(given: list[str]) -> dict[str, Path]:
    """Folders of published samples by their label."""
    found: dict[str, Path] = {}
    for text in given:
        label, _, folder = text.partition("=")
        if not label.strip() or not folder.strip():
            raise CommandError(f"--published {text}: give LABEL=FOLDER.")
        if label.strip() in found:
            raise CommandError(f"--published {text}: there are samples of {label.strip()!r} already.")
        found[label.strip()] = Path(folder.strip())
    return found


__all__ = ["compare"]
