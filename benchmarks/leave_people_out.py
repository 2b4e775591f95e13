"""How well a model reads phrases on the lips of people it has never seen, trained on other people who say them.

    python benchmarks/leave_people_out.py --data path/to/crema-d

The people of a corpus are divided into `--folds` groups. For each, the starting model learns from all the others
(`lip2wav adapt`, with the corpus' sentences as its phrases), and the group's clips are then spoken and scored
(`lip2wav evaluate`). Prints a Markdown table by group, and by sentence, beside the chance of guessing. What is done is
kept in `--output`: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lip2wav_hf.adaptation.adapt import adapt
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.load import load_clips
from lip2wav_hf.corpora.made_splits import shuffled
from lip2wav_hf.evaluation.evaluate import evaluate_model
from lip2wav_hf.files import write_json
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL


def groups(clips: Sequence[Clip], folds: int, seed: int) -> list[set[str]]:
    """The people, divided at random into groups of the same size or one less."""
    people = shuffled(str(seed), {clip.speaker for clip in clips})
    return [set(people[fold::folds]) for fold in range(folds)]


def work(arguments: argparse.Namespace, clips: Sequence[Clip], people: set[str], folder: Path) -> list[dict[str, str]]:
    """Train without some people, and read them: the rows of `clips.csv`."""
    table = folder / "evaluation" / "clips.csv"
    if not table.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        sentences = sorted({" ".join(clip.words) for clip in clips})
        others = [clip for clip in clips if clip.speaker not in people]
        options = {"minutes": arguments.minutes, "seed": arguments.seed, "steps": arguments.steps}
        adapt(others, folder / "model", model=arguments.model, phrases=sentences, **options)
        split: dict[str, list[str]] = {}
        for clip in clips:
            if clip.speaker in people:
                split.setdefault(clip.speaker, []).append(clip.name)
        write_json(folder / "splits.json", {"test": split})
        evaluate_model(
            str(folder / "model"),
            arguments.data,
            "test",
            output_dir=folder / "evaluation",
            splits_file=folder / "splits.json",
            metrics=("wer", "phrase_accuracy"),
            report=False,
            progress=False,
            overwrite=True,
        )
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def percent(right: int, count: int) -> str:
    """Of a table cell."""
    return f"{100 * right / count:.1f}"


def report(found: Sequence[list[dict[str, str]]], sentences: int) -> list[str]:
    """Markdown: a line by group and the sum, then one by sentence."""
    lines = ["| group | people | clips | phrases read right, % | words read wrong, % |", "|---|---|---|---|---|"]
    rows = [row for group in found for row in group]
    for title, own in [*((str(number + 1), group) for number, group in enumerate(found)), ("**all**", rows)]:
        right = sum(row["text_phrase_right"] == "1" for row in own)
        errors = sum(int(row["text_errors"]) for row in own)
        words = sum(int(row["words"]) for row in own)
        people = len({row["speaker"] for row in own})
        lines.append(f"| {title} | {people} | {len(own)} | {percent(right, len(own))} | {percent(errors, words)} |")
    said = Counter(row["sentence"] for row in rows)
    most = said.most_common(1)[0]
    lines += [
        "",
        f"Guessing one of {sentences}: {100 / sentences:.1f} %; always the most frequent,"
        f' "{most[0]}": {percent(most[1], len(rows))} %.',
        "",
        "| sentence | clips | read right, % |",
        "|---|---|---|",
    ]
    for sentence, count in said.most_common():
        right = sum(row["text_phrase_right"] == "1" for row in rows if row["sentence"] == sentence)
        lines.append(f"| {sentence} | {count} | {percent(right, count)} |")
    return lines


def main() -> None:
    """Run all, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the corpus")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the starting model")
    parser.add_argument("--minutes", type=float, default=30.0, help="of each training, at most")
    parser.add_argument("--steps", type=int, default=200, help="of each training, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("out/leave_people_out"))
    arguments = parser.parse_args()
    clips = [clip for split in load_clips(arguments.data).values() for clip in split]
    found = []
    for number, people in enumerate(groups(clips, arguments.folds, arguments.seed)):
        print(f"group {number + 1} of {arguments.folds} …", flush=True)
        found.append(work(arguments, clips, people, arguments.output / str(number + 1)))
    facts = machine()
    print(f"\n{facts['cpu']}, {facts['cores']} cores, torch {facts['torch']}; starting model {arguments.model}\n")
    print("\n".join(report(found, len({" ".join(clip.words) for clip in clips}))))


if __name__ == "__main__":
    main()
