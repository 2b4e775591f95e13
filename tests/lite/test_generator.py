"""What speaks from graphs says the same as torch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lip2wav_hf import DEFAULT_CHECKPOINT, Lip2WavFeatureExtractor, speaking
from lip2wav_hf.decoding import Window
from lip2wav_hf.errors import WeightsError
from lip2wav_hf.files import read_json, write_json
from lip2wav_hf.generator import Generator
from lip2wav_hf.lite.generator import OnnxGenerator
from lip2wav_hf.lite.graphs import CLIPS, INT8_CLIPS, open_graphs
from lip2wav_hf.speaking import GrammarChoice, Speaker


pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")


SAMPLE = Path(DEFAULT_CHECKPOINT).parents[1] / "assets" / "sample.mp4"
VOICE = {"speaker_embedding": np.array([0.1, -2.0, 3.0])}


def speakers(folder):
    extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    return Speaker(Generator.from_folder(folder), extractor), Speaker(OnnxGenerator.from_folder(folder), extractor)


def assert_same(wanted, found, atol=1e-4):
    np.testing.assert_allclose(found["audio"], wanted["audio"], atol=atol)
    assert found["audio"].dtype == wanted["audio"].dtype == np.float32
    assert [word["word"] for word in found["words"]] == [word["word"] for word in wanted["words"]]
    for one, other in zip(wanted["words"], found["words"], strict=True):
        assert one["start"] == other["start"] and one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)
    assert {name: found[name] for name in ("text", "written", "face_coverage", "sampling_rate")} == {
        name: wanted[name] for name in ("text", "written", "face_coverage", "sampling_rate")
    }


def pictures(frames, seed=0):
    """A video of noise, with boxes for the mouth."""
    video = np.random.default_rng(seed).integers(0, 255, (frames, 60, 80), np.uint8)
    return {"video": video, "fps": 25, "mouth_boxes": np.array([10, 10, 60, 50])} | VOICE


def test_the_bundled_model_says_the_same(talking_video):
    torch_speaker, onnx_speaker = speakers(DEFAULT_CHECKPOINT)
    for grammar in (GrammarChoice.OF_MODEL, None):
        (wanted,), (found,) = (each([str(talking_video)], grammar=grammar) for each in (torch_speaker, onnx_speaker))
        assert_same(wanted, found)
    assert found["text"] == "bin blue at f two now"


def test_in_int8_the_same_is_read_and_nearly_the_same_sounds():
    """Of a video that is the same each time; x264 never encodes quite alike, and on drawn faces the noise differs."""
    wanted, found = (
        Speaker(
            OnnxGenerator.from_folder(DEFAULT_CHECKPOINT, open_graphs(DEFAULT_CHECKPOINT, files)),
            Lip2WavFeatureExtractor.from_pretrained(DEFAULT_CHECKPOINT),
        )([str(SAMPLE)])[0]
        for files in (CLIPS, INT8_CLIPS)
    )
    assert found["words"] == wanted["words"]
    noise = np.square(found["audio"] - wanted["audio"]).mean() / np.square(wanted["audio"]).mean()
    assert 1e-6 < noise < 0.01  # it is not the same graph; 20 dB


@pytest.mark.parametrize("frames", [1, 2, 40])
@pytest.mark.parametrize("grammar", [GrammarChoice.OF_MODEL, GrammarChoice.GREEDY, ["no"]])
def test_words_and_sound_with_a_grammar(exported, frames, grammar):
    wanted, found = (each([pictures(frames)], grammar=grammar)[0] for each in speakers(exported))
    assert_same(wanted, found)


def test_chunks_and_a_beam(exported):
    wanted, found = (
        each([pictures(60)], chunk_length_s=0.8, grammar=None, beam=3, return_crops=True)[0]
        for each in speakers(exported)
    )
    assert_same(wanted, found)
    np.testing.assert_array_equal(wanted["crops"], found["crops"])


def test_a_video_that_is_spoken_while_it_is_read(exported, monkeypatch):
    monkeypatch.setattr(speaking, "LONG_SECONDS", 0.8)
    monkeypatch.setattr(speaking, "WORD_SECONDS", 0.4)
    wanted, found = (each([pictures(90)], chunk_length_s=0.6)[0] for each in speakers(exported))
    assert_same(wanted, found)


def test_several_videos(exported):
    """One after the other."""
    videos = [pictures(frames, frames) for frames in (9, 30)]
    for wanted, found in zip(*(each(videos) for each in speakers(exported)), strict=True):
        assert_same(wanted, found)
    del videos[0]["speaker_embedding"]
    with pytest.raises(ValueError, match="needs a `speaker_embedding`"):
        speakers(exported)[1](videos[:1])


def test_a_vocabulary_of_another_length_is_refused(copied):
    path = copied / "config.json"
    write_json(path, read_json(path) | {"vocabulary": ["a", "b", "c"], "grammar": None})
    with pytest.raises(WeightsError, match="they tell 3 classes apart, and the vocabulary needs 4"):
        OnnxGenerator.from_folder(copied)


def test_a_batch_is_refused(exported):
    generator = OnnxGenerator.from_folder(exported)
    with pytest.raises(ValueError, match="one clip at a time; got 2"):
        generator.synthesize(np.zeros((2, 9, 1, 40, 64), np.float32))
    with pytest.raises(ValueError, match="must have shape"):
        generator.read_window(Window(np.zeros((1, 9, 1, 40, 60), np.float32), None))


def test_what_is_quiet_stays_finite(exported):
    """Frames of one gray: no statistic to divide by."""
    generator = OnnxGenerator.from_folder(exported)
    done = []
    gray, voice = np.zeros((1, 30, 1, 40, 64), np.float32), np.ones((1, 3), np.float32)
    spoken = generator.synthesize(gray, None, voice, chunk_frames=12, progress=done.append)
    assert np.isfinite(spoken["waveform"]).all() and np.abs(spoken["waveform"]).max() <= 1
    assert done == [12, 12, 6] and spoken["waveform_lengths"].tolist() == [30 * 640]
    with torch.no_grad():
        wanted = Generator.from_folder(exported).synthesize(
            torch.from_numpy(gray), None, torch.from_numpy(voice), chunk_frames=12
        )
    np.testing.assert_allclose(spoken["text_logits"], wanted.text_logits, atol=1e-4)
