"""`lip2wav evaluate`: measure a model, or score folders of sound."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import counted
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
from .messages import BAD_INPUT, CommandError, print_error, reporting, waiting
from .options import BeamOption, GrammarOption


@reporting(interrupted="Run the same command again: finished clips are kept.")
def evaluate(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A folder, a bundled model or a Hub repository; grid-s1 by default."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help=DATA_HELP,
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", "-s", help="A split of the corpus; all for every clip.")
    ] = "validation",
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results.json, clips.csv, report.html and wav/.")
    ] = Path("out/evaluation"),
    generated: Annotated[
        Path | None, typer.Option("--generated", help="Score this folder of sound files instead of a model.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="The originals of --generated: sound files or videos.")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out files of --generated that have no original.")
    ] = False,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            "-b",
            help="What the same clips are compared with: a model, a folder of sound files, or the results.json of an"
            " earlier evaluation; may be repeated.",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metrics", help=f"Only these, separated by commas: {', '.join(METRICS)}. All by default."),
    ] = None,
    compat: Annotated[
        bool, typer.Option("--compat", help="Add the metrics in the forms that others' evaluation code computes.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="NAME",
            help="Who hears the words: grid, sentences (of the corpus), open (English), or a speech recogniser of"
            " transformers, a folder or on the Hub. By default what fits the transcripts.",
            show_default=False,
        ),
    ] = None,
    judge_grammar: Annotated[
        str | None,
        typer.Option(
            "--judge-grammar",
            metavar="FILE",
            help="Let pocketsphinx hear these sentences only: a JSGF grammar (.jsgf), or one sentence on each line.",
            show_default=False,
        ),
    ] = None,
    judge_language: Annotated[
        str | None,
        typer.Option(
            "--judge-language",
            metavar="LANGUAGE",
            help="Of words that pocketsphinx does not know, such as de; by their script by default.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the model runs, such as cpu or cuda:0.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Type of the model's numbers: float32, bfloat16 or float16.")
    ] = None,
    grammar: GrammarOption = None,
    beam: BeamOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that go through the model together.")] = 8,
    workers: ScoringWorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start from the beginning even if the folder holds results.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html, with pictures and sound.")
    ] = True,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print all tables of report.md, not the main numbers only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the main numbers.")] = False,
) -> None:
    """
    Measure a model on a split of a corpus, from the video files: words, sound, sync, speed. Or score folders of sound.

    \b
    Examples:
      lip2wav evaluate --data my-videos --split test --model runs/mine/best -o out/mine
      lip2wav evaluate --data grid --split-scheme grid_s1 --split unseen_validation -o out/unseen
      lip2wav evaluate --data grid --model runs/mine/best --baseline out/s1/results.json --baseline grid-s1 -o out/mine
      lip2wav evaluate --generated theirs/ --reference originals/ --compat -o out/theirs
      accelerate launch --multi_gpu --num_processes 4 -m lip2wav_hf.evaluation --data grid -o out/s1
      torchrun --nproc-per-node 2 -m lip2wav_hf.evaluation --data grid --device cpu -o out/s1

    Look at OUT/report.html. Run the same command again to continue a stopped run.

    Exit status: 0; 2 when something cannot be read or written, a clip too: the others are measured all the same.
    """
    shared: dict[str, Any] = {
        "baselines": baseline or (),
        "metrics": [name for names in metrics for name in names.replace(",", " ").split()] if metrics else None,
        "compat": compat,
        "judge": judge,
        "judge_grammar": judge_grammar,
        "judge_language": judge_language,
        "workers": workers,
        "overwrite": overwrite,
        "report": report,
    }
    own: dict[str, Any] = {"splits_file": splits_file, "split_scheme": scheme.value, "limit": limit}
    own |= {"batch_size": batch_size, "device": device, "dtype": dtype, "grammar": grammar, "beam": beam}
    if (generated is None) != (reference is None):
        raise CommandError("--generated and --reference belong together: give both.")
    if generated is not None and (model is not None or data is not None):
        raise CommandError("give --data (and --model), or --generated and --reference, not both.")
    check_writable(output, f"-o {output}", CommandError)
    rank = int(os.environ.get("RANK", "0"))
    from ..evaluation.evaluate import evaluate_folders, evaluate_model  # needs numpy

    if data is not None:
        with waiting("loading", quiet=rank > 0):
            importlib.import_module("..configuration_lip2wav", __package__)  # brings transformers
    try:
        if generated is not None and reference is not None:
            results = evaluate_folders(generated, reference, output, skip_missing=skip_missing, **shared)
        elif data is not None:
            results = evaluate_model(model, data, split, split_names(speakers), output, **own, **shared)
        else:
            raise CommandError(
                "give --data, a folder of videos; or --generated and --reference, two folders of sound files."
            )
    except (ValueError, OSError) as error:
        if rank == 0:
            raise
        raise CommandError(f"process {rank}: {error}") from error
    if rank == 0:
        _print_results(results, output / ("report.html" if report else "report.md"), verbose, as_json)


def _print_results(results: dict[str, Any], report: Path, verbose: bool, as_json: bool) -> None:
    from ..evaluation.report import markdown_table
    from ..evaluation.summary import terminal_summary

    if as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        print(markdown_table(results) if verbose else terminal_summary(results))
        print(f"report: {report}; all numbers: results.json and clips.csv beside it{'' if verbose else ', --verbose'}")
    for failure in results["failures"]:
        print_error(f"error: {failure['error']}")
    if results["failures"]:
        failed, measured = len(results["failures"]), results["clips"]
        print_error(f"{counted(failed + measured, 'clip')}: {measured} measured, {failed} failed.")
        raise typer.Exit(BAD_INPUT)


__all__ = ["evaluate"]
