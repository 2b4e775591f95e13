"""How well a model does on people it was adapted to, by the number of their recordings.

    python benchmarks/adaptation.py --data path/to/grid --split unseen_validation --speakers s3,s26 --clips 5,10

Of each speaker's clips, `--clips` are adapted to (`lip2wav adapt`, on this machine, `--minutes` at most), and all
others are spoken by both models and scored with `lip2wav evaluate`; what an adaptation holds back for itself, and
learns from in the end, is of those that it is given. With `--folds 2` this is done twice, with other clips to adapt
to. Prints a Markdown table by speaker and in the mean over speakers, the worst named. What is done is kept in
`--output`: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lip2wav_hf.adaptation.adapt import adapt
from lip2wav_hf.adaptation.records import FINAL_PASS
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.made_splits import shuffled
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.evaluation.evaluate import evaluate_model
from lip2wav_hf.files import read_json, write_json, write_text
from lip2wav_hf.grammar import GRAMMAR
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL


METRICS = ("grid_wer", "pesq", "stoi", "speaker_similarity")
COLUMNS = {
    "text_wer": ("text WER, %", 100, 1),
    "judge_wer": ("judge WER, %", 100, 1),
    "pesq_nb": ("PESQ-nb", 1, 2),
    "stoi": ("STOI", 1, 3),
    "estoi": ("ESTOI", 1, 3),
    "speaker_similarity": ("speaker similarity", 1, 3),
}
"""Key in `results.json`: title, scale and decimals."""
LOWER_IS_BETTER = ("text_wer", "judge_wer")


@dataclass(frozen=True)
class Run:
    """One adaptation: of whom, with how many clips (0: none, the starting model), and which of the foldings."""

    speaker: str
    clips: int
    fold: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.speaker}-{self.clips}-{self.fold}"


def divide(clips: Sequence[Clip], count: int, fold: int, seed: int) -> tuple[list[Clip], list[Clip]]:
    """
    Clips to adapt to, and the others. Folds take turns through one shuffled order, so that the first do not overlap.

    Args:
        clips (sequence of [`Clip`]): of one speaker.
        count (`int`): how many to adapt to.
        fold (`int`): 0 for the first.
        seed (`int`): of the order.
    """
    by_key = {clip.key: clip for clip in clips}
    order = shuffled(str(seed), by_key)
    start = fold * count % len(order)
    chosen = set((order * 2)[start : start + count])
    return [by_key[key] for key in order if key in chosen], [by_key[key] for key in order if key not in chosen]


def measure(
    arguments: argparse.Namespace, run: Run, model: str | Path, clips: Sequence[Clip], data: str, folder: Path
) -> dict[str, Any]:
    """What `lip2wav evaluate` finds of a model on some clips of a speaker."""
    split = folder / "splits.json"
    write_json(split, {"test": {run.speaker: [clip.name for clip in clips]}})
    grammar = folder / "grid.jsgf"
    slots = " ".join(f"({' | '.join(words)})" for words in GRAMMAR.values())
    write_text(grammar, f"#JSGF V1.0;\ngrammar grid;\npublic <sentence> = {slots};\n")
    results = evaluate_model(
        str(model),
        data,
        "test",
        output_dir=folder / "evaluation",
        splits_file=split,
        metrics=METRICS,
        grammar=grammar if arguments.grammar else None,
        report=False,
        progress=False,
        overwrite=True,
    )
    return {name: results["overall"][name]["value"] for name in COLUMNS if name in results["overall"]}


def work(arguments: argparse.Namespace, run: Run, clips: Sequence[Clip], data: str) -> dict[str, Any]:
    """Adapt and measure, unless it was done before."""
    folder = arguments.output / run.name
    if (folder / "result.json").is_file():
        return read_json(folder / "result.json")
    folder.mkdir(parents=True, exist_ok=True)
    learnt, others = divide(clips, run.clips or max(arguments.clips), run.fold, arguments.seed)
    model, facts = arguments.model, {"minutes": 0.0, "steps": 0}
    if run.clips:
        options = {"model": model, "minutes": arguments.minutes, "seed": arguments.seed}
        options |= {"steps": arguments.steps} if arguments.steps else {}
        options |= {"final_pass": arguments.final_pass, "live": arguments.live}
        result = adapt(learnt, folder / "model", **options)
        model, facts = folder / "model", {"minutes": result.minutes, "steps": result.steps + result.final_steps}
    found = facts | {"test_clips": len(others)} | measure(arguments, run, model, others, data, folder)
    write_json(folder / "result.json", found)
    return found


def mean(results: Sequence[dict[str, Any]], name: str) -> float | None:
    """Over the folds of a speaker, each clip counting the same."""
    known = [(result[name], result["test_clips"]) for result in results if result.get(name) is not None]
    total = sum(count for _, count in known)
    return sum(value * count for value, count in known) / total if total else None


def row(title: str, values: dict[str, float | None], note: str) -> str:
    """A line of the table."""
    cells = [
        "-" if values.get(name) is None else f"{values[name] * scale:.{digits}f}"
        for name, (_, scale, digits) in COLUMNS.items()
    ]
    return f"| {title} | {' | '.join(cells)} | {note} |"


def table(results: dict[tuple[str, int], list[dict[str, Any]]], counts: Sequence[int]) -> list[str]:
    """Markdown: for each number of clips a line by speaker, and the mean over speakers with the worst ones."""
    lines = [
        "| clips, speaker | " + " | ".join(title for title, _, _ in COLUMNS.values()) + " | minutes, test clips |"
    ]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for count in counts:
        speakers = {speaker: found for (speaker, own), found in results.items() if own == count}
        values = {
            speaker: {name: mean(found, name) for name in (*COLUMNS, "minutes")} for speaker, found in speakers.items()
        }
        for speaker, found in speakers.items():
            tested = "+".join(str(each["test_clips"]) for each in found)
            lines.append(row(f"{count}, {speaker}", values[speaker], f"{values[speaker]['minutes']:.1f}, {tested}"))
        means: dict[str, float | None] = {}
        worst = []
        for name in COLUMNS:
            known = {speaker: own[name] for speaker, own in values.items() if own[name] is not None}
            means[name] = statistics.mean(known.values()) if known else None
            if known:
                choose = max if name in LOWER_IS_BETTER else min
                worst.append(f"{COLUMNS[name][0]} {choose(known, key=lambda speaker: known[speaker])}")
        lines.append(row(f"**{count}, mean**", means, f"worst: {', '.join(worst)}"))
    return lines


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="folders of GRID, or of another corpus")
    parser.add_argument("--split", default="unseen_validation", help="whose clips are used")
    parser.add_argument("--speakers", type=lambda text: text.split(","), required=True, help="such as s3,s26")
    parser.add_argument("--clips", type=lambda text: [int(count) for count in text.split(",")], default=[10])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the starting model")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, help="of each training, at most; as lip2wav adapt by default")
    parser.add_argument("--final-pass", type=float, default=FINAL_PASS, help="as lip2wav adapt; 0 for none")
    parser.add_argument("--live", action="store_true", help="as lip2wav adapt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--no-grammar", dest="grammar", action="store_false", help="read any words, not GRID sentences"
    )
    parser.add_argument("--output", type=Path, default=Path("out/adaptation"))
    return parser.parse_args()


def main() -> None:
    """Run all, and print the table."""
    arguments = parse()
    results: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for speaker in arguments.speakers:
        data = clips = None
        for folder in arguments.data:
            found = [clip for clip in load_split(folder, arguments.split) if clip.speaker == speaker]
            data, clips = (folder, found) if found else (data, clips)
        if not clips or data is None:
            raise SystemExit(f"no clips of {speaker} in the split {arguments.split!r} of {', '.join(arguments.data)}")
        for count in (0, *arguments.clips):
            for fold in range(arguments.folds):
                run = Run(speaker, count, fold)
                print(f"{run.name} …", flush=True)
                results.setdefault((speaker, count), []).append(work(arguments, run, clips, data))
    facts = machine()
    print(f"\n{facts['cpu']}, {facts['cores']} cores, torch {facts['torch']}; starting model {arguments.model}\n")
    print("\n".join(table(results, (0, *arguments.clips))))


if __name__ == "__main__":
    main()
