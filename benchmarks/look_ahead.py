"""What a bounded look-ahead costs: words, PESQ and STOI of a model that sees few later video frames.

    python benchmarks/look_ahead.py --data path/to/grid --split-scheme grid_s1 --split validation

For each look-ahead the same weights speak the split (`lip2wav evaluate`), without a grammar, which would look at whole
clips. The crops are those of the whole pipeline: they are smoothed and normalised over the clip. Prints a Markdown
table. What is done is kept in `--output`: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.evaluation.evaluate import evaluate_model
from lip2wav_hf.files import read_json, write_json
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL, find_model


MEASURES = {"judge_wer": "judge WER", "text_wer": "text WER", "pesq_nb": "PESQ-nb", "stoi": "STOI", "estoi": "ESTOI"}


def bounded(model: Path, look_ahead: int | None, folder: Path) -> Path:
    """A copy of a model that sees so many later frames, and has no grammar."""
    if not (folder / "config.json").is_file():
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("results", "critic", "speech_encoder"))
        config = read_json(folder / "config.json", Lip2WavError)
        write_json(folder / "config.json", config | {"look_ahead": look_ahead, "grammar": None})
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the corpus")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="what speaks: a folder or a bundled model")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--split-scheme", default="custom")
    parser.add_argument("--look-ahead", nargs="+", default=["0", "2", "3", "4", "8", "all"], help="video frames")
    parser.add_argument("--limit", type=int, help="clips; all of the split by default")
    parser.add_argument("--output", type=Path, default=Path("out/look_ahead"))
    arguments = parser.parse_args()
    print(f"{arguments.model}, {arguments.split}; {machine()}\n")
    print("| frames ahead | clips |", " | ".join(MEASURES.values()), "|")
    print("|---" * (len(MEASURES) + 2) + "|")
    for frames in arguments.look_ahead:
        folder = arguments.output / frames
        look_ahead = None if frames == "all" else int(frames)
        results = evaluate_model(
            str(bounded(find_model(arguments.model), look_ahead, folder / "model")),
            arguments.data,
            arguments.split,
            output_dir=folder / "evaluation",
            split_scheme=arguments.split_scheme,
            metrics=("grid_wer", "pesq", "stoi"),
            limit=arguments.limit,
            report=False,
            progress=False,
        )
        values = [results["overall"][name]["value"] for name in MEASURES]
        print(f"| {frames} | {results['clips']} |", " | ".join(f"{value:.3f}" for value in values), "|", flush=True)


if __name__ == "__main__":
    main()
