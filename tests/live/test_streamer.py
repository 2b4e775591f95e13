"""A live session with the pictures of the bundled video."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lip2wav_hf
from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavStreamer, VideoReader
from lip2wav_hf.grammar import TextUnits
from lip2wav_hf.live.mouth import LiveMouth
from lip2wav_hf.live.streaming import StreamingError
from lip2wav_hf.live.words import LiveWords

from .test_streaming import build


SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"
GRAY = np.full((120, 160, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def pictures():
    with VideoReader(SAMPLE, frame_rate=25) as reader:
        return [picture for picture, _ in zip(reader, range(30), strict=False)]


@pytest.fixture(scope="module")
def model():
    return build(image_height=40, image_width=64, visual_normalization="clip")


@pytest.fixture
def streamer(model):
    return Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3)


def pushed(streamer, pictures, times=None):
    """All that a session says of pictures."""
    parts = [
        streamer.push(picture, time) for picture, time in zip(pictures, times or [None] * len(pictures), strict=True)
    ]
    return [*parts, streamer.flush()]


@torch.no_grad()
def test_a_session_is_as_the_whole_clip(streamer, model, pictures):
    mouth = LiveMouth(Lip2WavFeatureExtractor())
    crops = [mouth.push(picture) for picture in pictures]
    assert all(crop is not None and crop.shape == (40, 64) for crop in crops)
    whole = model(torch.from_numpy(np.stack(crops))[None, :, None], look_ahead=3).waveform[0].numpy()
    parts = pushed(streamer, pictures)
    audio = np.concatenate([part.audio for part in parts])
    assert audio.shape == whole.shape == (30 * 640,) and np.abs(audio - whole).max() < 1e-3 < np.abs(whole).max()
    assert [len(part.audio) // 640 for part in parts[:8]] == [0, 0, 0, 4, 0, 0, 0, 4] and len(parts[-1].audio) == 1280
    assert parts[7].time == pytest.approx(4 / 25) and parts[3].face
    again = np.concatenate([part.audio for part in pushed(streamer, pictures)])
    assert np.array_equal(again, audio)  # flushed, it begins anew


@pytest.mark.parametrize(("rate", "repeated", "dropped"), [(25, 0, 0), (50, 0, 15), (12.5, 29, 0)])
def test_any_frame_rate_makes_sound_as_long_as_the_video(streamer, pictures, rate, repeated, dropped):
    rng = np.random.default_rng(0)
    times = [1000 + number / rate + rng.uniform(-0.004, 0.004) for number in range(30)]
    samples = sum(len(part.audio) for part in pushed(streamer, pictures, times))
    assert samples / 16000 == pytest.approx(30 / rate, abs=0.05)
    assert streamer.repeated == pytest.approx(repeated, abs=1) and streamer.dropped == pytest.approx(dropped, abs=1)
    assert streamer.restarts == 0


def test_the_clock_may_jump(streamer, pictures):
    times = [number / 25 for number in range(10)] + [3600 + number / 25 for number in range(10)]
    times += [number / 25 for number in range(10)]
    assert sum(len(part.audio) for part in pushed(streamer, pictures, times)) == 30 * 640
    assert streamer.restarts == 2 and streamer.repeated == streamer.dropped == 0


def test_without_a_face_there_is_silence(streamer, pictures):
    stream = [GRAY] * 8 + pictures[:20] + [GRAY] * 20 + pictures[:12]
    parts = pushed(streamer, stream)
    audio = np.concatenate([part.audio for part in parts]).reshape(-1, 640)
    assert len(audio) == 60
    assert not audio[:8].any() and audio[10:26].any(1).all() and not audio[40:48].any() and audio[50:].any()
    assert not parts[6].face and parts[20].face and not parts[46].face and parts[-1].face


def test_what_is_no_picture_is_refused(streamer):
    for picture, message in [
        (GRAY[..., 0], r"not uint8 \(120, 160\)"),
        (GRAY / 255, "not float64"),
        ("webcam", "not str"),
        (GRAY[:0], "must have pixels"),
    ]:
        with pytest.raises(StreamingError, match=message):
            streamer.push(picture)
    with pytest.raises(StreamingError, match="time of a picture"):
        streamer.push(GRAY, float("nan"))
    with pytest.raises(StreamingError, match="look_ahead|evaluation"):
        Lip2WavStreamer(streamer.model.train(), Lip2WavFeatureExtractor())
    streamer.model.eval()


def test_words_come_once_when_they_have_ended():
    words, frames = LiveWords(TextUnits("words", ("one", "two")), 25.0, 1.0), np.full((60, 3), -9.0, np.float32)
    frames[:, 0] = 0.0
    for start, unit in ((5, 1), (30, 2)):
        frames[start : start + 10, 0], frames[start : start + 10, unit] = -9.0, 0.0
    found = [words.push(frames[start : start + 4]) for start in range(0, 60, 4)]
    assert [word["word"] for part in found for word in part] == ["one", "two"]
    assert found[5] and found[5][0]["start"] == pytest.approx(0.2) and found[5][0]["end"] == pytest.approx(0.6)
    assert not any(found[:5]) and words.push(frames[:0], is_last=True) == []
