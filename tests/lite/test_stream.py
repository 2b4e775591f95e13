"""Live speech from graphs is that of torch."""

import shutil

import numpy as np
import pytest
import torch

from lip2wav_hf import DEFAULT_CHECKPOINT, Lip2WavFeatureExtractor, Lip2WavStreamer
from lip2wav_hf.encoders import MOMENT_FRAMES, Moments
from lip2wav_hf.errors import StreamingError
from lip2wav_hf.generator import Generator
from lip2wav_hf.lite.generator import OnnxGenerator
from lip2wav_hf.lite.graphs import CLIPS, INT8_DECODER_FILE, STREAMS, graph_files
from lip2wav_hf.lite.stream import OnnxStreamingGenerator
from lip2wav_hf.live.graphs import RunningMoments
from lip2wav_hf.live.streaming import TorchStream
from lip2wav_hf.video import VideoReader


pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")


def spoken(stream, crops, size):
    """The waveform and text logits of a clip, chunk by chunk."""
    pieces = [crops[start : start + size] for start in range(0, len(crops), size)]
    parts = [stream.speak(piece, piece is pieces[-1]) for piece in pieces]
    return np.concatenate([each[0] for each in parts]), np.concatenate([each[1] for each in parts], 1)


def assert_same(folder, frames, look_ahead, voice=None):
    crops = np.random.default_rng(frames).normal(size=(frames, 40, 64)).astype(np.float32)
    model = OnnxStreamingGenerator.from_folder(folder)
    streams = model.stream(look_ahead, voice), TorchStream(Generator.from_folder(folder), look_ahead, voice)
    (sound, logits), (wanted, wanted_logits) = (spoken(each, crops, look_ahead + 1) for each in streams)
    assert sound.shape == wanted.shape == (frames * 640,) and sound.dtype == np.float32
    np.testing.assert_allclose(sound, wanted, atol=1e-4)
    np.testing.assert_allclose(logits, wanted_logits, atol=1e-3)
    assert np.abs(wanted).max() > 1e-3


@pytest.mark.parametrize(("look_ahead", "frames"), [(0, 5), (1, 1), (3, 23), (3, 24), (8, 40)])
def test_chunks_are_those_of_torch(exported, look_ahead, frames):
    assert_same(exported, frames, look_ahead, np.array([[0.1, -2.0, 3.0]]))


def test_the_bundled_network_whose_statistics_run():
    """Beyond the frames after which the oldest fade."""
    assert_same(DEFAULT_CHECKPOINT, MOMENT_FRAMES + 30, 3)
    with pytest.raises(ValueError, match="takes no `speaker_embedding`"):
        OnnxStreamingGenerator.from_folder(DEFAULT_CHECKPOINT).stream(3, np.zeros((1, 3))).speak(np.zeros((4, 40, 64)))


@pytest.mark.parametrize("before", [0, 1, MOMENT_FRAMES - 2, 3 * MOMENT_FRAMES])
def test_statistics_of_a_chunk_at_once(before):
    random = torch.Generator().manual_seed(before)
    pictures, values = torch.rand(1, 7, 3, 4, 5, generator=random), torch.rand(2, 1, 3, generator=random)
    values = values if before else torch.zeros(2, 1, 3)
    one, other = Moments(before, values if before else None), RunningMoments(torch.tensor(before), values)
    for wanted, found in zip(one.add(pictures), other.add(pictures), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(other.values, one.values, atol=1e-6, rtol=1e-5)


def test_a_session_says_what_one_in_torch_says(talking_video):
    extractor = Lip2WavFeatureExtractor.from_pretrained(DEFAULT_CHECKPOINT)
    lite = Lip2WavStreamer(OnnxStreamingGenerator.from_folder(DEFAULT_CHECKPOINT), extractor)
    full = Lip2WavStreamer.from_pretrained(device="cpu", grammar=None)
    assert lite.look_ahead == full.look_ahead == 3
    with VideoReader(talking_video) as reader:
        pictures = list(reader)
    said = []
    for session in (lite, full, lite):  # flushed, it begins again
        session.warm_up()
        parts = [*(session.push(picture, number / 25) for number, picture in enumerate(pictures)), session.flush()]
        words = [(word["word"], word["start"]) for part in parts for word in part.words]
        said.append((np.concatenate([part.audio for part in parts]), words))
    (sound, words), (wanted, wanted_words), (again, _) = said
    np.testing.assert_allclose(sound, wanted, atol=1e-4)
    assert words == wanted_words and len(words) > 3
    np.testing.assert_array_equal(again, sound)
    with pytest.raises(StreamingError, match="look_ahead='all'"):
        Lip2WavStreamer(lite.model, extractor, look_ahead="all")
    with pytest.raises(StreamingError, match="take an OnnxStreamingGenerator"):
        Lip2WavStreamer(OnnxGenerator.from_folder(DEFAULT_CHECKPOINT), extractor)


def test_each_pair_is_shared_for_itself(exported, tmp_path):
    """Where the graphs for live speech are damaged, those for clips are published, and the other way round."""
    of_clips = (*CLIPS, INT8_DECODER_FILE)
    for broken, whole in ((STREAMS, of_clips), (of_clips, STREAMS)):
        folder = shutil.copytree(exported, tmp_path / broken[0])
        found, problems = graph_files(folder)
        assert [path.name for path in found] == [*of_clips, *STREAMS] and not problems
        (folder / broken[1]).write_bytes(b"")
        found, problems = graph_files(folder)
        assert [path.name for path in found] == list(whole)
        assert len(problems) == 1 and problems[0].startswith(", ".join(broken))
