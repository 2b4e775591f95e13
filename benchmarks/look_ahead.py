"""What a bounded look-ahead costs: words, PESQ and STOI of a model that sees few later video frames.

    python benchmarks/look_ahead.py --data path/to/grid --split-scheme grid_s1 --split validation unseen_validation

For each look-ahead the same weights speak each split (`lip2wav evaluate`), without a grammar, which would look at
whole clips. The crops are those of the whole pipeline: they are smoothed and normalised over the clip. Prints a
Markdown table, and of every speaker too where there are several. What is done is kept in `--output`: the same command
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.evaluation.evaluate import evaluate_model
from lip2wav_hf.files import read_json, write_json
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL, find_model


MEASURES = {
    "judge_wer": ("judge WER, %", 100, 1),
    "text_wer": ("text WER, %", 100, 1),
    "pesq_nb": ("PESQ-nb", 1, 2),
    "in_sync_stoi": ("STOI in sync", 1, 3),
    "in_sync_estoi": ("ESTOI in sync", 1, 3),
}
"""Key in `results.json`: title, scale and decimals."""


def bounded(model: Path, look_ahead: int | None, folder: Path) -> Path:
    """A copy of a model that sees so many later frames, and has no grammar."""
    if not (folder / "config.json").is_file():
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("results", "critic", "speech_encoder"))
        config = read_json(folder / "config.json", Lip2WavError)
        write_json(folder / "config.json", config | {"look_ahead": look_ahead, "grammar": None})
    return folder


def row(name: str, frames: str, clips: int, numbers: Mapping[str, Mapping[str, float]]) -> str:
    """A line of the table: of a split, or of one of its speakers."""
    values = (f"{numbers[key]['value'] * scale:.{decimals}f}" for key, (_, scale, decimals) in MEASURES.items())
    return f"| {name} | {frames} | {clips} | {' | '.join(values)} |"


def measured(arguments: argparse.Namespace, split: str, frames: str) -> dict[str, Any]:
    """What `lip2wav evaluate` finds of a split, spoken with so many frames ahead."""
    look_ahead = None if frames == "all" else int(frames)
    model = bounded(find_model(arguments.model), look_ahead, arguments.output / frames / "model")
    return evaluate_model(
        str(model),
        arguments.data,
        split,
        output_dir=arguments.output / frames / split,
        split_scheme=arguments.split_scheme,
        splits_file=arguments.splits_file,
        metrics=("grid_wer", "pesq", "stoi"),
        limit=arguments.limit,
        report=False,
        progress=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the corpus")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="what speaks: a folder or a bundled model")
    parser.add_argument("--split", nargs="+", default=["validation"], help="splits, one after the other")
    parser.add_argument("--split-scheme", default="custom")
    parser.add_argument("--splits-file", type=Path, help="of the custom split scheme; DATA/splits.json by default")
    parser.add_argument("--look-ahead", nargs="+", default=["0", "2", "3", "4", "8", "all"], help="video frames")
    parser.add_argument("--limit", type=int, help="clips of each split; all by default")
    parser.add_argument("--output", type=Path, default=Path("out/look_ahead"))
    arguments = parser.parse_args()
    print(f"{arguments.model}; {machine()}\n")
    print("| split | frames ahead | clips |", " | ".join(title for title, _, _ in MEASURES.values()), "|")
    print("|---" * (len(MEASURES) + 3) + "|")
    for split in arguments.split:
        for frames in arguments.look_ahead:
            results = measured(arguments, split, frames)
            print(row(split, frames, results["clips"], results["overall"]), flush=True)
            if len(results["speakers"]) > 1:
                for speaker, numbers in results["speakers"].items():
                    print(row(speaker, frames, numbers["clips"], numbers), flush=True)


if __name__ == "__main__":
    main()
