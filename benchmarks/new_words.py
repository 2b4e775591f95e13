"""How well an adaptation learns words that the model has never been told, from a few takes of each, said alone.

    python benchmarks/new_words.py --data path/to/grid --speaker s4 --takes 3

Words of a speaker of GRID are cut out of the sentences, with a little before and after them, and called by names that
the model does not know. `lip2wav adapt` learns from the first takes of each; the others are read, as one of these
words. What the lips do the model may know from the sentences that it has learnt from, but not what it is called.
Prints a Markdown table by word.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lip2wav_hf.adaptation.adapt import adapt
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.load import load_clips
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL
from lip2wav_hf.speaking import Speaker


MARGIN = 0.3  # seconds, before and after a word
WORDS = ("blue", "green", "red", "white")


def renamed(word: str) -> str:
    """A name that no model knows."""
    return f"x{word[::-1]}"


def takes_of(clips: Sequence[Clip], words: Sequence[str]) -> Iterator[Clip]:
    """The words of some clips, each as a recording of its own."""
    for clip in clips:
        for start, end, word in clip.timed_words() or ():
            if word in words and start > MARGIN:
                name, own = f"{clip.name}-{word}", (renamed(word),)
                yield Clip(clip.speaker, name, clip.video, own, text=own[0], start=start - MARGIN, end=end + MARGIN)


def main() -> None:
    """Learn, read, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of GRID")
    parser.add_argument("--speaker", default="s4")
    parser.add_argument("--words", default=",".join(WORDS), help=f"separated by commas (default {','.join(WORDS)})")
    parser.add_argument("--takes", type=int, default=3, help="of each word to learn from (default 3)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the adaptation, at most (default 10)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the starting model")
    arguments = parser.parse_args()
    words = arguments.words.split(",")
    clips = [clip for own in load_clips(arguments.data, speakers=[arguments.speaker]).values() for clip in own]
    takes = {word: [take for take in takes_of(clips, words) if take.words == (renamed(word),)] for word in words}
    learning = [take for own in takes.values() for take in own[: arguments.takes]]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        result = adapt(learning, model, model=arguments.model, minutes=arguments.minutes)
        speaker = Speaker.from_folder(model)
        facts = machine()
        print(f"\n{facts['cpu']}, {facts['cores']} cores; {result.steps} and {result.final_steps} steps, ", end="")
        print(f"{result.minutes:.1f} minutes; guessing: {100 / len(words):.1f} %\n")
        print("| word | others | read right |\n|---|---|---|")
        sums = [0, 0]
        for word, own in takes.items():
            others = own[arguments.takes :]
            right = sum(speaker([take.source])[0]["text"] == renamed(word) for take in others)
            sums = [sums[0] + len(others), sums[1] + right]
            print(f"| {word} | {len(others)} | {right} |")
        print(f"| **all** | {sums[0]} | {sums[1]} ({100 * sums[1] / max(sums[0], 1):.1f} %) |")


if __name__ == "__main__":
    main()
