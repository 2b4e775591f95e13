"""A GRID-shaped folder of five clips, and the command `lip2wav` run in this process."""

import json
import shutil

import pytest

from lip2wav_hf.commands.main import main
from lip2wav_hf.grid.corpus import sentence_words


SPLITS = {"train": {"s1": ["bbaf2n", "lgbazp", "prwe1a"]}, "unseen_validation": {"s2": ["bbaf2n", "swiz9s"]}}


def write_alignment(path, name):
    """A GRID alignment: each word of a sentence takes 0.4 s, from 0.4 s on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = range(10_000, 70_000, 10_000)
    path.write_text("".join(f"{t} {t + 10_000} {word}\n" for t, word in zip(times, sentence_words(name), strict=True)))


def write_corpus(root, video):
    """A video under the names of five clips of two speakers, `video/s1/*.mp4`, with alignments and `splits.json`."""
    for chosen in SPLITS.values():
        for speaker, names in chosen.items():
            (root / "video" / speaker).mkdir(parents=True)
            for name in names:
                shutil.copy(video, root / "video" / speaker / f"{name}.mp4")
                write_alignment(root / "alignments" / speaker / f"{name}.align", name)
    (root / "splits.json").write_text(json.dumps(SPLITS))
    return root


def run(*arguments):
    """Exit status of `lip2wav` with some arguments."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code or 0
