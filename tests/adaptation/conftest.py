"""What the tests of adaptations share: recordings of a synthetic face, and a small model to start from."""

import csv
import os
import shutil
from dataclasses import replace

import pytest
import torch

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.adaptation import checking, learning, running
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.lite.graphs import CLIPS, seal
from lip2wav_hf.synthetic.corpus import write_clip


SENTENCES = ("bbaf2n", "lgbm4s", "pris7a", "swwu9p", "bgit1n")


def write_metadata(folder, rows):
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "transcription"])
        writer.writerows(rows)


@pytest.fixture(scope="package", autouse=True)
def small_batches():
    """
    Two windows instead of sixteen, and two pieces of them are heard: tests are of what is done with a training, not of
    how good it is.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(learning, "BATCH_FRAMES", 2 * 64)
        patched.setattr(learning, "BATCH_CLIPS", (2, 16))
        patched.setattr(learning, "LOSSES", replace(learning.LOSSES, decoder_windows=2))
        yield


@pytest.fixture(scope="package", autouse=True)
def voices_not_compared():
    """Loading what compares voices takes seconds; `test_people.py` is of it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(running, "compare_voices", lambda recordings, enough: ((), ""))
        yield


@pytest.fixture(scope="session")
def recordings(made_once, talking_video):
    """A folder of five recordings of a synthetic face, with a transcript of each."""

    def record(folder):
        shutil.copy(talking_video, folder)  # says the first of them
        for name in SENTENCES[1:]:
            write_clip(folder / f"{name}.mp4", name)
        write_metadata(folder, [(f"{name}.mp4", " ".join(sentence_words(name))) for name in SENTENCES])

    return made_once("recordings", record)


@pytest.fixture(scope="session")
def one_recording(recordings, tmp_path_factory):
    """A folder of the first of them alone, for what does not depend on how many there are."""
    folder = tmp_path_factory.mktemp("one")
    shutil.copy(recordings / f"{SENTENCES[0]}.mp4", folder)
    write_metadata(folder, [(f"{SENTENCES[0]}.mp4", " ".join(sentence_words(SENTENCES[0])))])
    return folder


@pytest.fixture(scope="session")
def starting_model(tmp_path_factory):
    """
    A tiny network with random weights that knows GRID's words, and conditions its speech on them. Its graphs are none:
    an adaptation does not look into them.
    """
    folder = tmp_path_factory.mktemp("models") / "start"
    torch.manual_seed(0)
    config = Lip2WavConfig(**TINY_CONFIG | {"num_mel_bins": 20, "word_conditioning": True})
    Lip2WavModel(config).half().float().save_pretrained(folder)  # in half precision, as the bundled model
    Lip2WavFeatureExtractor().save_pretrained(folder)
    for name in CLIPS:
        (folder / name).write_bytes(b"graph" + seal(folder, name, b"graph"))
    return folder


@pytest.fixture(scope="session")
def examinations():
    """What was found in each recording, by all that it depends on."""
    return {}


@pytest.fixture
def examined_once(examinations, monkeypatch):
    """A recording that was looked at, in this test or one before it, is not looked at again while it is the same."""
    examine = checking.examine

    def examine_once(file, transcript, extractor, name):
        if not isinstance(file, str):  # a part of a video, or one in an archive
            return examine(file, transcript, extractor, name)
        state = os.stat(file)
        key = (file, state.st_ino, state.st_mtime_ns, state.st_size, transcript, extractor.to_json_string(), name)
        if key not in examinations:
            found = examinations[key] = examine(file, transcript, extractor, name)
            for array in (found.regions, found.waveform):
                if array is not None:
                    array.flags.writeable = False
        return examinations[key]

    monkeypatch.setattr(checking, "examine", examine_once)
