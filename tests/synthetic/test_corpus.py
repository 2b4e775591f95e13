"""Clips and corpora of the synthetic speakers."""

import json
from itertools import pairwise

import numpy as np
import pytest

from lip2wav_hf.audio import read_audio
from lip2wav_hf.grammar import GRAMMAR
from lip2wav_hf.grid.corpus import read_alignment, sentence_words
from lip2wav_hf.synthetic.corpus import sample_sentences, write_clip, write_corpus
from lip2wav_hf.synthetic.face import render_frames
from lip2wav_hf.synthetic.voice import synthesize_speech
from lip2wav_hf.video import VideoReader


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mpg"])
def test_clip_round_trip(tmp_path, suffix):
    path = tmp_path / f"bbaf2n{suffix}"
    speech = write_clip(path, "bbaf2n", "synthetic2", seed=1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with VideoReader(path) as reader:
        frames = list(reader)
    assert len(frames) == 75
    drawn = next(render_frames(speech, "synthetic2", seed=1))
    assert np.abs(frames[0].astype(int) - drawn).mean() < 8
    waveform = read_audio(path, 16_000)[:47_000]
    assert np.corrcoef(waveform, speech.waveform[: len(waveform)])[0, 1] > 0.95


def test_silent_clip(tmp_path):
    write_clip(tmp_path / "silent.mp4", "bbaf2n", sound=False)
    assert read_audio(tmp_path / "silent.mp4") is None


def test_corpus_is_laid_out_as_grid(tmp_path):
    speakers = ["synthetic1", "synthetic4"]
    splits = write_corpus(tmp_path, speakers, sentences_per_speaker=2, exclude=("bbaf2n",))
    assert json.loads((tmp_path / "splits.json").read_text()) == splits
    assert set(splits) == {"train", "validation", "unseen_validation"} and splits["unseen_validation"] == {}
    for speaker in speakers:
        names = splits["train"][speaker] + splits["validation"][speaker]
        assert len(set(names)) == 2
        for name in names:
            assert (tmp_path / "video" / speaker / f"{name}.mkv").is_file()
            path = tmp_path / "alignments" / speaker / f"{name}.align"
            lines = [line.split() for line in path.read_text().splitlines()]
            assert lines[0][0] == "0" and lines[0][2] == lines[-1][2] == "sil" and lines[-1][1] == "75000"
            assert all(before[1] == after[0] for before, after in pairwise(lines))
            words = [word for _, _, word in read_alignment(path) if word not in ("sil", "sp")]
            assert words == sentence_words(name)


def test_sentences_are_balanced_and_distinct():
    names = sample_sentences(100, seed=1, exclude=("bbaf2n",))
    assert len(set(names)) == 100 and "bbaf2n" not in names
    assert names == sample_sentences(100, seed=1, exclude=("bbaf2n",)) != sample_sentences(100, seed=2)
    for slot, choices in enumerate(GRAMMAR.values()):
        counts = [sum(name[slot] == letter for name in names) for letter in {name[slot] for name in names}]
        assert len(counts) == len(choices) and max(counts) - min(counts) <= 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda folder: write_clip(folder / "a.mkv", "bbaf2n", "nobody"), "unknown speaker 'nobody'.*synthetic1"),
        (lambda folder: write_clip(folder / "a.mkv", "hello"), "hello"),
        (lambda folder: write_clip(folder / "a.wmv", "bbaf2n"), ".mkv"),
        (lambda folder: synthesize_speech(["hello"], "synthetic1"), "hello"),
        (lambda folder: write_corpus(folder, sentences_per_speaker=1), "none for training"),
        (lambda folder: sample_sentences(-1), "-1 sentences"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
    assert list(tmp_path.iterdir()) == []
