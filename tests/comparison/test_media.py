"""The files of a clip on a page."""

import av
import cv2
import numpy as np
import pytest

from lip2wav_hf.audio import read_audio
from lip2wav_hf.comparison.media import write_media
from lip2wav_hf.comparison.systems import ComparisonError
from lip2wav_hf.video import VideoReader
from little_videos import RATE, click, write_video


@pytest.mark.parametrize("seconds", [1.0, 3.0], ids=["shorter", "longer"])
def test_all_sounds_last_as_long_as_the_pictures(tmp_path, seconds):
    video = write_video(tmp_path / "a.mp4")  # 2 s
    duration = write_media(tmp_path / "clip", video, {"one": click(0.7, seconds), "two": click(0.3, 2.0)})
    assert duration == pytest.approx(2.0)
    assert sorted(path.name for path in (tmp_path / "clip").iterdir()) == [
        "one.m4a", "one.webp", "poster.webp", "two.m4a", "two.webp", "video.mp4",
    ]  # fmt: skip
    for name, when in {"one": 0.7, "two": 0.3}.items():
        sound = read_audio(tmp_path / "clip" / f"{name}.m4a", RATE)
        assert len(sound) / RATE == pytest.approx(2.0, abs=0.07)  # AAC ends with a whole block
        assert np.argmax(np.abs(sound)) / RATE == pytest.approx(when, abs=0.005)
    with av.open(str(tmp_path / "clip" / "video.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264"]


def test_the_width_of_a_spectrogram_is_the_time(tmp_path):
    video = write_video(tmp_path / "a.mp4")
    write_media(tmp_path / "clip", video, {"one": click(0.5, 2.0)})
    picture = cv2.imread(str(tmp_path / "clip" / "one.webp"))
    loud = picture.astype(float).sum((0, 2))
    assert np.argmax(loud) / len(loud) == pytest.approx(0.25, abs=0.02)


def test_large_pictures_are_made_smaller(tmp_path):
    def noise(number, width, height):
        return np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)

    video = write_video(tmp_path / "a.mp4", size=(960, 720), make=noise, frames=4)
    write_media(tmp_path / "clip", video, {})
    with VideoReader(tmp_path / "clip" / "video.mp4") as reader:
        assert next(iter(reader)).shape == (360, 480, 3)
    free = write_media(tmp_path / "free", video, {}, largest=10**8)
    whole = sum(path.stat().st_size for path in (tmp_path / "free").iterdir())
    small = write_media(tmp_path / "small", video, {}, largest=whole * 2 // 3)
    assert small == free == pytest.approx(0.16)
    assert sum(path.stat().st_size for path in (tmp_path / "small").iterdir()) <= whole * 2 // 3
    with pytest.raises(ComparisonError, match=r"more than the 0\.002 MB of a clip\. Cut it to 0 s, or compare fewer"):
        write_media(tmp_path / "none", video, {}, largest=2000)
