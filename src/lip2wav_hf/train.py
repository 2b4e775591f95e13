"""`accelerate launch -m lip2wav_hf.train CONFIG.yaml [--option value …]`: train a network."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import yaml
from transformers import HfArgumentParser

from .training.arguments import (
    AugmentationArguments,
    CriticArguments,
    DataArguments,
    LossArguments,
    ModelArguments,
    OptimizationArguments,
    TrainingArguments,
)
from .training.build import build_state
from .training.loop import train
from .training.state import TrainingError


SECTIONS = (
    DataArguments,
    ModelArguments,
    LossArguments,
    AugmentationArguments,
    CriticArguments,
    OptimizationArguments,
)


def parse_arguments(arguments: list[str]) -> TrainingArguments:
    """
    Arguments of a run: a YAML file of `option: value` lines first, options on the command line over it.

    Raises:
        TrainingError: if the file cannot be read or holds an option that does not exist.
    """
    parser = HfArgumentParser(
        SECTIONS, description="Train a lip2wav network. A YAML file of these options may come first."
    )
    if arguments and not arguments[0].startswith("-"):
        arguments = _yaml_options(arguments[0], parser) + arguments[1:]
    return TrainingArguments(*parser.parse_args_into_dataclasses(arguments))


def _yaml_options(path: str, parser: HfArgumentParser) -> list[str]:
    if not Path(path).is_file():
        raise TrainingError(f"{path}: no such configuration file.")
    try:
        options = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise TrainingError(f"{path}: not valid YAML ({error}).") from None
    if not isinstance(options, dict):
        raise TrainingError(f"{path}: expected lines of `option: value`.")
    known = {action.dest for action in parser._actions}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TrainingError(f"{path}: unknown option {', '.join(unknown)}; `--help` lists them all.")
    arguments = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            arguments += [f"--{name}", *map(str, values)]
    return arguments


def main(arguments: list[str] | None = None) -> int:
    """Run a training; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        sections = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        data, models, optimization = sections.data, sections.models, sections.optimization
        if optimization.push_to_hub:
            from .training.publishing import check_publishing, publish  # needs the packages that measure

            check_publishing(optimization, models.network)
        state = build_state(sections)
        train(state)
        finished = state.progress.step >= optimization.max_steps
        if optimization.push_to_hub and finished and state.accelerator.is_main_process:
            print(f"published: {publish(state, data).commit_url}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
