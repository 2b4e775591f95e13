"""A live session with the pictures of the bundled video."""

import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import lip2wav_hf
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavStreamer, VideoReader
from lip2wav_hf.live.mouth import LiveMouth
from lip2wav_hf.live.streaming import StreamingError
from lip2wav_hf.speaking import Speaker

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
    with pytest.raises(StreamingError, match="time='1': it must be a number of seconds, not a str"):
        streamer.push(GRAY, time="1")
    with pytest.raises(StreamingError, match="look_ahead|evaluation"):
        Lip2WavStreamer(streamer.model.train(), Lip2WavFeatureExtractor())
    streamer.model.eval()
    with pytest.raises(StreamingError, match="look_ahead='all': live, it is a number of video frames"):
        Lip2WavStreamer(streamer.model, Lip2WavFeatureExtractor(), look_ahead="all")
    other = SimpleNamespace(config=Lip2WavConfig(decoder_type="frame"), training=False)
    with pytest.raises(StreamingError, match="the decoder 'frame' cannot speak live: .* grid-s1"):
        Lip2WavStreamer(other, Lip2WavFeatureExtractor())


def test_the_look_ahead_is_what_the_network_was_trained_for(streamer):
    config, extractor = streamer.model.config, Lip2WavFeatureExtractor()
    found = []
    for own, live in [(None, None), (None, 2), (4, 2)]:
        config.look_ahead, config.live_look_ahead = own, live
        found.append(Lip2WavStreamer(streamer.model, extractor).look_ahead)
    config.look_ahead = config.live_look_ahead = None
    assert found == [3, 2, 4]


def test_a_jittering_camera_loses_and_repeats_nothing(streamer, pictures):
    """Half a frame, as under load, at a phase where less tolerance would now repeat and now drop."""
    rng = np.random.default_rng(0)
    times = [number / 25 + 0.018 * (number > 0) + rng.uniform(-0.01, 0.01) for number in range(200)]
    for number, time in enumerate(times):
        streamer.push(pictures[number % 2], time)
    assert (streamer.repeated, streamer.dropped, streamer.restarts) == (0, 0, 0)


def test_a_session_warmed_up_is_as_new(model, pictures):
    cold, warm = (Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3) for _ in range(2))
    warm.warm_up()
    first, second = (np.concatenate([part.audio for part in pushed(each, pictures[:10])]) for each in (cold, warm))
    assert np.array_equal(first, second)


def test_words_come_with_how_they_are_written(pictures):
    """An untrained network that never sees a pause says the only phrase."""
    model = build(image_height=40, image_width=64, vocabulary=["yes", "no"])
    model.text_head.bias.data[0] -= 20
    speaker = Speaker(model, Lip2WavFeatureExtractor())
    parts = pushed(Lip2WavStreamer.from_speaker(speaker, 3, ["Yes!"]), pictures)
    told = [([word["word"] for word in part.words], part.written) for part in parts if part.words]
    assert told == [(["yes"], ["Yes!"])]


def weight(value, seen):
    """Bytes of an object and of all that it alone holds; networks are shared."""
    if id(value) in seen or isinstance(value, (torch.nn.Module, Lip2WavFeatureExtractor, type)):
        return 0
    seen.add(id(value))
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.nbytes
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else []
    parts += value if isinstance(value, (list, tuple, set, deque)) else []
    parts += vars(value).values() if hasattr(value, "__dict__") else []
    return sys.getsizeof(value) + sum(weight(part, seen) for part in parts)


@pytest.mark.parametrize("face", [False, True])
def test_memory_does_not_grow(streamer, pictures, face):
    """A byte a frame would be seen."""
    weights = []
    for number in range(601):
        streamer.push(pictures[0] if face else GRAY, number / 25)
        if number in (200, 600):
            words = weight(streamer._words, set())
            weights.append(weight(streamer, set()) - words)
            assert words < 80_000
    assert weights[1] - weights[0] < 400 and weights[0] > 20_000


@pytest.mark.slow
def test_the_bundled_sample_is_read_as_the_documentation_says():
    """A face that the bundled model does not know: what it costs to see little of what comes next."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8").split())
    heard = {}
    for frames in (3, 8):
        streamer = Lip2WavStreamer.from_pretrained(look_ahead=frames)
        pictures = enumerate(VideoReader(SAMPLE, frame_rate=25))
        speech = [streamer.push(picture, time=number / 25) for number, picture in pictures] + [streamer.flush()]
        heard[frames] = " ".join(word["word"] for each in speech for word in each.words)
    assert f'"bin blue at f two now" is read as "{heard[3]}" with three frames of look-ahead' in page
    assert heard[8].split()[1:] == ["blue", "at", "f", "two", "now"]
    assert "right but for its first word with `--look-ahead 8`" in page
