"""Word times of training clips that have none."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from lip2wav_hf.corpora.align_clips import RECORDS
from lip2wav_hf.corpora.word_times import write_word_times
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.clips import number_frames
from lip2wav_hf.training.dataset import UNKNOWN_CLASS

from .runs import parse


@pytest.fixture(scope="module")
def sentences(corpus, tmp_path_factory):
    """The small corpus, its word times withheld."""
    folder = tmp_path_factory.mktemp("sentences") / "corpus"
    shutil.copytree(corpus, folder)
    shutil.rmtree(folder / "alignments")
    return folder


@pytest.fixture
def of_sentences(recipe, sentences, tmp_path):
    """Arguments of a run on it, with the sound and the words of the bundled speech encoder."""
    return [*recipe, "--data_dir", str(sentences), "--cache_dir", str(tmp_path / "cache"), "--decoder_windows", "2"]


def test_numbers_of_frames():
    words = [(0.04, 0.12, "a"), (0.13, 0.14, "b"), (0.2, 0.4, "c")]
    assert number_frames(words, 8, 25.0).tolist() == [-1, 0, 0, 1, -1, 2, 2, 2]
    assert (number_frames([], 8, 25.0) == -2).all()


def known_frames(dataset):
    return [bool((dataset[index]["frame_classes"] != UNKNOWN_CLASS).all()) for index in range(len(dataset))]


def test_without_an_encoder_ctc_alone_teaches_and_the_log_says_so(of_sentences, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "lip2wav_hf"):
        state = build_state(parse(of_sentences, tmp_path / "run"))
    assert not any(known_frames(state.train_loader.dataset))
    assert caplog.text.count("have no word times: they teach by CTC alone") == 1


def test_an_encoder_finds_the_times_once(of_sentences, corpus, sentences, recipe, tmp_path, caplog):
    encoder = ["--speech_encoder", "grid-s1", "--heard_words", "0", "--config", tmp_path / "model.json"]
    model = json.loads(Path(recipe[0]).with_name("model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(model | {"num_mel_bins": 80, "mel_floor": 1e-4}))
    with caplog.at_level(logging.INFO, "lip2wav_hf"):
        dataset = build_state(parse(of_sentences, tmp_path / "run", *encoder)).train_loader.dataset
    assert "word times of" in caplog.text and "found by the speech encoder of grid-s1" in caplog.text
    assert len(dataset.word_times) + caplog.text.count("(doubtful)") >= 1
    dataset.variation = None
    assert known_frames(dataset) == [clip.key in dataset.word_times for clip in dataset.clips]
    (kept,) = (tmp_path / "cache").glob("word_times-*.json")
    before = kept.read_text()
    entries = json.loads(before)
    kept.write_text(json.dumps({key: entry | {"scores": [1.0] * 6} for key, entry in entries.items()}))
    again = build_state(parse(of_sentences, tmp_path / "run2", *encoder)).train_loader.dataset
    assert len(again.word_times) == len(again.clips)  # what is kept is believed, not found again


def test_a_folder_of_times_is_read(of_sentences, tmp_path, caplog):
    dataset = build_state(parse(of_sentences, tmp_path / "run")).train_loader.dataset
    clip, other = dataset.clips[:2]
    times = [(0.2 + 0.3 * number, 0.4 + 0.3 * number, word) for number, word in enumerate(clip.words)]
    write_word_times(tmp_path / "times" / clip.speaker / f"{clip.name}.TextGrid", times, 3.0)
    write_word_times(tmp_path / "times" / other.speaker / f"{other.name}.TextGrid", times[:2], 3.0)
    (tmp_path / "times" / RECORDS).write_text(json.dumps({"clip": clip.key, "score": 0.1}) + "\n")
    dataset = build_state(parse(of_sentences, tmp_path / "run2", "--alignments", tmp_path / "times"))
    dataset = dataset.train_loader.dataset
    assert "but the transcript says" in caplog.text
    assert f"those of 1 clip were doubtful when `lip2wav align` found them, see {RECORDS} there" in caplog.text
    dataset.variation = None
    assert [index for index, known in enumerate(known_frames(dataset)) if known] == [0]
    classes = dataset[0]["frame_classes"].numpy()
    spoken = [dataset.units.classes[word] for word in clip.words]
    assert classes[5] == spoken[0] and classes[10] == 0 and classes[13] == spoken[1]
    assert list(dict.fromkeys(classes[np.flatnonzero(classes)])) == spoken
    with pytest.raises(TrainingError, match="no such folder"):
        build_state(parse(of_sentences, tmp_path / "run3", "--alignments", tmp_path / "nowhere"))
