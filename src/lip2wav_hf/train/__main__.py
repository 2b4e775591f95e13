"""`accelerate launch -m lip2wav_hf.train RECIPE [--option value …]`: train a network. See `lip2wav train`."""

from __future__ import annotations

import dataclasses
import sys

from ..errors import name_options, require_packages
from ..machine import leave, rest_waiting_threads, without_collections
from ..training.arguments import TrainingArguments, TrainingError
from ..training.checks import check_start
from ..training.options import SECTIONS, TrainingParser, parse_arguments
from ..training.recipes import list_recipes
from ..training.stopping import stop_requests, watch_launcher


INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """
    Run a training; returns the exit status: 0, also after a stop with a checkpoint, 2 for what cannot be done, 130
    for Ctrl-C before the first step.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        print(TrainingParser().format_help(), end="")
        return 0
    if arguments == ["--list"]:
        recipes = list_recipes()
        width = max(map(len, recipes))
        for name, text in recipes.items():
            print(f"{name:<{width}}  {text}")
        return 0
    watch_launcher()
    rest_waiting_threads()
    try:
        _run(parse_arguments(arguments))
    except (ValueError, OSError) as error:
        print(f"error: {name_options(str(error), _option)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before the first step; there is nothing to resume from.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _option(argument: str) -> str | None:
    known = {field.name for section in SECTIONS for field in dataclasses.fields(section)}
    return f"--{argument}" if argument in known else None


def _run(sections: TrainingArguments) -> None:
    require_packages("train", "training", "accelerate", "jiwer", "torchaudio")
    check_start(sections)  # before anything heavy is imported
    with without_collections():
        from ..training.build import build_state
        from ..training.loop import train
        from ..training.reporting import own_messages_only, report_end, report_stop

    optimization = sections.optimization
    if optimization.push_to_hub:
        from ..hub.publish_training import check_publishing, check_token, publish  # needs the packages that measure

        check_publishing(optimization, sections.models.network)
        check_token()
    with own_messages_only():
        state = build_state(sections)
        with stop_requests():  # a launcher repeats its signal while the training is writing and reporting
            train(state)
            if state.progress.step < optimization.max_steps:
                report_stop(state)
                return
        report_end(state)
        if optimization.push_to_hub and state.accelerator.is_main_process:
            print(f"published: {publish(state).commit_url}")


__all__ = ["SECTIONS", "TrainingError", "TrainingParser", "main", "parse_arguments"]


if __name__ == "__main__":
    leave(main())
