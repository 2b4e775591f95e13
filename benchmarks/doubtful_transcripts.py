"""
How well an adaptation notices that something else than the transcript is said, on clips of GRID.

For each clip, what the bundled speech encoder hears is compared with the right transcript, with that of another clip
of the same person, and with the right one in which one word is exchanged.

    python benchmarks/doubtful_transcripts.py path/to/grid --speakers s2,s4,s30 --speeds 1,0.83,1.2
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly

from lip2wav_hf import read_audio
from lip2wav_hf.corpora.alignment import WordAligner, doubtful_transcripts, evidence_of
from lip2wav_hf.corpora.clips import VIDEO_SUFFIXES
from lip2wav_hf.grammar import GRAMMAR
from lip2wav_hf.grid.corpus import sentence_words


KINDS = ("right", "of another clip", "one word exchanged")


def transcripts(names: list[str], seed: int) -> list[tuple[list[str], list[str], list[str]]]:
    """Of each sentence the three transcripts of [`KINDS`]."""
    rng, found = random.Random(seed), []
    for name in names:
        right = list(sentence_words(name))
        other = list(sentence_words(rng.choice([each for each in names if each != name])))
        exchanged, place = list(right), rng.randrange(len(right))
        exchanged[place] = rng.choice([word for word in list(GRAMMAR.values())[place] if word != right[place]])
        found.append((right, other, exchanged))
    return found


def doubted(aligner: WordAligner, files: list[Path], speed: float, seed: int) -> np.ndarray:
    """Share of the clips of a person that are doubted, of each of [`KINDS`]: one wrong clip among right ones."""
    sounds = [read_audio(file, 16000) for file in files]
    rate = round(1000 * speed)
    sounds = [resample_poly(sound, 1000, rate).astype(np.float32) if rate != 1000 else sound for sound in sounds]
    texts = transcripts([file.stem for file in files], seed)
    scores = [aligner.log_probabilities(sound)[0] for sound in sounds]
    units, passes = aligner.config.units, aligner.encoder.factor
    heard = [
        [evidence_of(score, words, units, passes) for words in three]
        for score, three in zip(scores, texts, strict=True)
    ]
    right = {number: three[0] for number, three in enumerate(heard)}
    counts = np.zeros(len(KINDS))
    for number, three in enumerate(heard):
        counts += [number in doubtful_transcripts(right | {number: value}) for value in three]
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GRID, with video/sN/NAME.mkv or .mpg")
    parser.add_argument("--speakers", default="s2,s4,s30")
    parser.add_argument("--speeds", default="1", help="the sound played faster or slower, which makes other voices")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    aligner, total, clips = WordAligner.load("grid-s1"), np.zeros(len(KINDS)), 0
    print(f"{'':<16} {'clips':>5} " + " ".join(f"{kind:>20}" for kind in KINDS))
    for speed in map(float, options.speeds.split(",")):
        for speaker in options.speakers.split(","):
            folder = options.data / "video" / speaker
            files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES]
            counts = doubted(aligner, files, speed, options.seed)
            total, clips = total + counts, clips + len(files)
            shares = " ".join(f"{share:>20.1%}" for share in counts / len(files))
            print(f"{speaker} x {speed:<10g} {len(files):>5} {shares}", flush=True)
    print(f"{'all':<16} {clips:>5} " + " ".join(f"{share:>20.1%}" for share in total / clips))


if __name__ == "__main__":
    main()
