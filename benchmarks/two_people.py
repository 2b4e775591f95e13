"""
How often an adaptation finds two people in one folder, and how often it sees two where there is one.

From clips of each person, folders are drawn by chance: of one person, and of two people. With `--words`, each
recording is a single word, cut out of a clip of GRID; with `--changed`, three of ten recordings of one person are as
if made elsewhere. Prints a Markdown table.

    python benchmarks/two_people.py path/to/grid --speakers s1,s2,s4,s30 --women s4
    python benchmarks/two_people.py path/to/crema-d --one 4 --two 2+2,3+3 --draws 1
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.signal import butter, fftconvolve, sosfilt

from lip2wav_hf import read_audio
from lip2wav_hf.adaptation.people import find_other_voice
from lip2wav_hf.corpora.clips import VIDEO_SUFFIXES
from lip2wav_hf.metrics.speaker_similarity.score import SAMPLING_RATE, speaker_embedding


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

MOST_CLIPS = 80  # of a person
MOST_TAKES = 8  # of a word
MARGIN = 0.3  # seconds, before and after a word
UNITS_PER_SECOND = 25000  # of GRID's alignments
WORDS = ("blue", "green", "red", "white", "again", "now", "please", "soon")


def words_of(waveform: np.ndarray, alignment: Path) -> list[tuple[str, np.ndarray]]:
    """Those of [`WORDS`] that are said in a clip, each with its sound."""
    rows = [line.split() for line in alignment.read_text().splitlines()] if alignment.is_file() else []
    times = [(word, int(start) / UNITS_PER_SECOND, int(end) / UNITS_PER_SECOND) for start, end, word in rows]
    cuts = [
        (word, max(start - MARGIN, 0) * SAMPLING_RATE, (end + MARGIN) * SAMPLING_RATE) for word, start, end in times
    ]
    return [(word, waveform[int(start) : int(end)]) for word, start, end in cuts if word in WORDS]


def sounds_of(data: Path, speaker: str, single_words: bool, rng: np.random.Generator) -> list[np.ndarray]:
    """Recordings of a person, each `(samples,)` at 16 kHz: clips, or words cut out of them."""
    files = [file for file in sorted((data / "video" / speaker).iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES]
    chosen = [files[number] for number in sorted(rng.permutation(len(files))[:MOST_CLIPS])]
    heard = [(file.stem, sound) for file in chosen if (sound := read_audio(file, SAMPLING_RATE)) is not None]
    if not single_words:
        return [sound for _, sound in heard]
    sounds, takes = [], Counter()
    for name, sound in heard:
        for word, cut in words_of(sound, data / "alignments" / speaker / f"{name}.align"):
            takes[word] += 1
            sounds += [cut] if takes[word] <= MOST_TAKES else []
    return sounds


def voices_of(sounds: list[np.ndarray]) -> np.ndarray:
    """Embeddings of recordings, `(recordings, 256)`."""
    found = [speaker_embedding(sound) for sound in sounds]
    return np.array([each for each in found if each is not None]).reshape(-1, 256)


def in_a_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With reverberation: noise that decays by 60 dB in 0.7 s, 10 dB louder in all than the sound itself."""
    echo = rng.normal(size=SAMPLING_RATE // 2) * np.exp(-np.arange(SAMPLING_RATE // 2) / (0.1 * SAMPLING_RATE))
    echo *= np.sqrt(10 / np.square(echo).sum())
    echo[0] = 1.0
    return fftconvolve(sound, echo / np.sqrt(11))[: len(sound)]


def through_a_telephone(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From 300 to 3400 Hz alone."""
    return sosfilt(butter(2, (300, 3400), "band", fs=SAMPLING_RATE, output="sos"), sound)


def in_noise(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With white noise, 15 dB below it."""
    return sound + rng.normal(0, np.sqrt(np.square(sound).mean() / 10**1.5), len(sound))


CHANGES = (in_a_room, through_a_telephone, in_noise)


def drawn(voices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Some recordings of a person, none twice."""
    return voices[rng.choice(len(voices), count, replace=False)]


def of_one(voices: dict[str, np.ndarray], count: int, draws: int, rng: np.random.Generator) -> list[bool]:
    """Whether folders of so many recordings of one person are noted: of each person who has as many."""
    enough = [own for own in voices.values() if len(own) >= count]
    return [len(find_other_voice(drawn(own, count, rng))) > 0 for own in enough for _ in range(draws)]


def of_two(
    voices: dict[str, np.ndarray], fewer: int, more: int, draws: int, women: list[str], rng: np.random.Generator
) -> dict[str, list[tuple[bool, bool]]]:
    """Whether folders of two people are noted, and with the right files, by what is known of their sex."""
    found: dict[str, list[tuple[bool, bool]]] = {}
    for first, second in itertools.permutations(voices, 2):
        if len(voices[first]) < fewer or len(voices[second]) < more:
            continue
        kind = ("other sex" if (first in women) != (second in women) else "same sex") if women else "any sex"
        for _ in range(draws):
            order = rng.permutation(fewer + more)
            folder = np.concatenate([drawn(voices[first], fewer, rng), drawn(voices[second], more, rng)])[order]
            noted, right = set(find_other_voice(folder)), set(np.flatnonzero(order < fewer))
            is_right = noted == right or (fewer == more and noted == set(range(fewer + more)) - right)
            found.setdefault(kind, []).append((bool(noted), is_right))
    return found


def of_changed(sounds: list[np.ndarray], change: Change, draws: int, rng: np.random.Generator) -> list[bool]:
    """Whether folders of one person are noted in which three of ten recordings were changed."""
    clear, changed = voices_of(sounds), voices_of([change(sound, rng).astype(np.float32) for sound in sounds])
    folders = (np.concatenate([drawn(clear, 7, rng), drawn(changed, 3, rng)]) for _ in range(draws))
    return [len(find_other_voice(folder)) > 0 for folder in folders]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a corpus with video/SPEAKER/NAME.mkv, or .mpg")
    parser.add_argument("--speakers", default="", help="separated by commas; all of the corpus by default")
    parser.add_argument("--women", default="", help="those of them who are women, to tell pairs of one sex apart")
    parser.add_argument("--one", default="4,6,10,20", help="recordings in a folder of one person")
    parser.add_argument("--two", default="2+8,3+7,5+5", help="recordings of each in a folder of two")
    parser.add_argument("--draws", type=int, default=400, help="folders of each person, and of each ordered pair")
    parser.add_argument("--words", action="store_true", help="single words, cut out of clips of GRID")
    parser.add_argument("--changed", action="store_true", help="instead: some recordings made elsewhere")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, women = np.random.default_rng(0), [name for name in options.women.split(",") if name]
    names = options.speakers.split(",") if options.speakers else sorted(os.listdir(options.data / "video"))
    sounds = {name: sounds_of(options.data, name, options.words, rng) for name in names}
    print("| recordings | folders | noted | with the right files |\n|---|---|---|---|")
    if options.changed:
        for change in CHANGES:
            noted = [each for own in sounds.values() for each in of_changed(own, change, options.draws, rng)]
            print(f"| 10 of one person, 3 {change.__name__} | {len(noted)} | {np.mean(noted):.1%} | |", flush=True)
        return
    voices = {name: voices_of(own) for name, own in sounds.items()}
    for count in map(int, options.one.split(",")):
        noted = of_one(voices, count, options.draws, rng)
        print(f"| {count} of one person | {len(noted)} | {np.mean(noted):.1%} | |", flush=True)
    for sizes in options.two.split(","):
        fewer, more = map(int, sizes.split("+"))
        for kind, outcomes in of_two(voices, fewer, more, options.draws, women, rng).items():
            noted, right = np.mean(outcomes, axis=0)
            print(f"| {fewer} of one, {more} of another, {kind} | {len(outcomes)} | {noted:.1%} | {right:.1%} |")


if __name__ == "__main__":
    main()
