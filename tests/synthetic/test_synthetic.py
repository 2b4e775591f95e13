"""Tests of the synthetic talking head: voice, mouth, pictures, clips and corpora."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lip2wav_hf.audio import read_audio
from lip2wav_hf.face_tracking import FaceTracker
from lip2wav_hf.grid.corpus import read_alignment, sentence_words
from lip2wav_hf.synthetic import corpus as synthetic
from lip2wav_hf.synthetic.corpus import (
    SPEAKERS,
    SyntheticError,
    mouth_track,
    render_frames,
    sample_sentences,
    synthesize_speech,
    write_clip,
    write_corpus,
)
from lip2wav_hf.video import VideoReader


FRAME_TIMES = (np.arange(75) + 0.5) / 25


@pytest.fixture(scope="module")
def speech():
    return synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=3)


@pytest.fixture(scope="module")
def frames(speech):
    return list(render_frames(speech, "synthetic1", seed=3))


def test_speech_shape_and_times(speech):
    assert speech.waveform.shape == (48_000,) and speech.waveform.dtype == np.float32
    assert speech.sampling_rate == 16_000 and 0.3 < np.abs(speech.waveform).max() < 1
    assert [word for _, _, word in speech.word_times] == ["place", "blue", "by", "m", "five", "please"]
    for times in (speech.word_times, speech.phonemes):
        edges = np.array([(start, end) for start, end, _ in times])
        assert (edges[:, 1] > edges[:, 0]).all() and (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()
        assert edges[0, 0] >= 0.25 and edges[-1, 1] <= 2.75
    assert 1.6 < speech.word_times[-1][1] - speech.word_times[0][0] < 2.4


def test_sound_lies_between_the_words_limits(speech):
    start, end = (int(16_000 * time) for time in (speech.word_times[0][0], speech.word_times[-1][1]))
    spoken = np.square(speech.waveform[start:end]).mean()
    silence = np.concatenate([speech.waveform[: start - 800], speech.waveform[end + 1600 :]])
    assert np.square(silence).mean() < 1e-3 * spoken


@pytest.mark.parametrize("word", [word for slot in synthetic.GRAMMAR.values() for word in slot])
def test_every_sound_of_the_grammar_has_a_mouth_shape(word):
    speech = synthesize_speech([word], "synthetic2")
    assert {symbol for _, _, symbol in speech.phonemes} <= set(synthetic.PHONEME_VISEMES)


def test_same_seed_same_clip_whatever_was_said_before(speech, frames):
    synthesize_speech(sentence_words("swwz9a"), "synthetic3", seed=1)
    again = synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=3)
    np.testing.assert_array_equal(again.waveform, speech.waveform)
    assert again.phonemes == speech.phonemes
    for _, old, new in zip(range(5), frames, render_frames(again, "synthetic1", seed=3)):
        np.testing.assert_array_equal(old, new)
    other = synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=4)
    assert not np.array_equal(other.waveform, speech.waveform)
    assert not np.array_equal(next(render_frames(speech, "synthetic1", seed=4)), frames[0])


def test_pictures(frames):
    assert len(frames) == 75
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((288, 360, 3), "uint8")}


def test_bilabials_close_the_lips(speech):
    opening = mouth_track(speech, FRAME_TIMES)[:, synthetic.MOUTH_PARAMETERS.index("opening")]
    closures = [phoneme for phoneme in speech.phonemes if phoneme[2] in synthetic.BILABIALS]
    assert len(closures) == 5  # place, blue, by, m, please
    for start, end, _ in closures:
        around = (FRAME_TIMES > start - 0.05) & (FRAME_TIMES < end + 0.05)
        assert opening[around].min() == 0
    assert opening.max() > 0.15


def test_rounded_and_spread_vowels_differ():
    def spread(word, symbol):
        speech = synthesize_speech([word], "synthetic1")
        start, end = next((start, end) for start, end, name in speech.phonemes if name == symbol)
        return mouth_track(speech, np.array([0.5 * (start + end)]))[0, synthetic.MOUTH_PARAMETERS.index("spread")]

    assert spread("two", "u:") < 0.75 < 1.1 < spread("e", "i:")


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_face_tracker_follows_the_mouth(speaker):
    speech = synthesize_speech(sentence_words("lbam4n"), speaker)
    tracker = FaceTracker()
    found = [tracker.update(frame) for frame in render_frames(speech, speaker)]
    assert tracker.coverage == 1.0 and tracker.detected.all()
    points = np.stack(found)
    eyes = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    measured = np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / eyes
    drawn = mouth_track(speech, FRAME_TIMES)[:, synthetic.MOUTH_PARAMETERS.index("opening")]
    assert np.corrcoef(drawn, measured)[0, 1] > 0.8


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
            assert all(before[1] == after[0] for before, after in zip(lines, lines[1:]))
            words = [word for _, _, word in read_alignment(path) if word not in ("sil", "sp")]
            assert words == sentence_words(name)


def test_sentences_are_balanced_and_distinct():
    names = sample_sentences(100, seed=1, exclude=("bbaf2n",))
    assert len(set(names)) == 100 and "bbaf2n" not in names
    assert names == sample_sentences(100, seed=1, exclude=("bbaf2n",)) != sample_sentences(100, seed=2)
    for slot, choices in enumerate(synthetic.GRAMMAR.values()):
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


def test_missing_voice_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r'pip install "lip2wav_hf\[dev\]"'):
        synthesize_speech(["bin"], "synthetic1")


def test_command_line(tmp_path, capsys):
    assert synthetic.main(["clip", "bbaf2n", "-o", str(tmp_path / "clip.mkv"), "--silent"]) == 0
    assert (tmp_path / "clip.mkv").is_file()
    assert synthetic.main(["clip", "nonsense", "-o", str(tmp_path / "other.mkv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert issubclass(SyntheticError, ValueError)


def test_module_runs():
    done = subprocess.run([sys.executable, "-m", "lip2wav_hf.synthetic", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "clip" in done.stdout and "corpus" in done.stdout
