"""Parts of videos: exactly the pictures and the sound of the whole between two times, and little more decoded."""

import numpy as np
import pytest

from lip2wav_hf import video as video_module
from lip2wav_hf.audio import mux_audio, read_audio
from lip2wav_hf.video import VideoError, VideoPart, VideoReader
from little_videos import RATE, click, click_time, numbers, write_video


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """20 s with a click each second; a key picture every 2 s."""
    sound = np.sum([click(second + 0.5, 20) for second in range(20)], axis=0).astype(np.float32)
    folder = tmp_path_factory.mktemp("long")
    options = {"g": "50", "bf": "2"}
    return {
        suffix: write_video(folder / f"long.{suffix}", frames=500, sound=sound, options=options)
        for suffix in ("mp4", "mkv", "avi")
    }


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.48, 2.0), (7.0, 8.2), (12.04, 12.2), (18.96, None)])
def test_the_pictures_are_those_of_the_whole(long_video, suffix, start, end):
    whole = list(VideoReader(long_video[suffix]))
    assert len(whole) == 500
    with VideoReader(VideoPart(long_video[suffix], start, end)) as reader:
        part = list(reader)
        assert reader.expected_frames == len(part) or end is None  # then it is the container's guess
    first, last = round(start * 25), 500 if end is None else round(end * 25)
    assert len(part) == last - first
    assert all(np.array_equal(a, b) for a, b in zip(part, whole[first:last], strict=True))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("start", [0.2, 3.0, 11.2])
def test_the_sound_is_in_sync(long_video, suffix, start):
    part = read_audio(VideoPart(long_video[suffix], start, start + 0.8), RATE)
    assert len(part) == round(0.8 * RATE)
    whole = read_audio(long_video[suffix], RATE)[round(start * RATE) :][: len(part)]
    assert abs(click_time(part) - click_time(whole)) < 0.0015
    assert np.corrcoef(part, whole)[0, 1] > 0.9
    if suffix != "avi":  # which does not say how much of the sound is the encoder's lead
        assert click_time(part) == pytest.approx(0.5 - start % 1, abs=0.005)


def test_a_rate_that_is_not_that_of_the_video(tmp_path):
    path = write_video(tmp_path / "thirty.mp4", frames=300, rate=30)
    whole, part = list(VideoReader(path)), list(VideoReader(VideoPart(path, 4.0, 6.0)))
    assert numbers(part) == numbers(whole[100:150])


def test_little_is_decoded(long_video, monkeypatch):
    count = 0
    decode = video_module.decode

    def counting(*arguments):
        nonlocal count
        for frame in decode(*arguments):
            count += 1
            yield frame

    monkeypatch.setattr(video_module, "decode", counting)
    assert len(list(VideoReader(VideoPart(long_video["mp4"], 15.0, 16.0)))) == 25
    assert count < 110


def test_arrays_bytes_and_files(long_video):
    array = np.stack(list(VideoReader(long_video["mp4"]))[:100])
    assert numbers(VideoReader(VideoPart(array, 1.0, 2.0), fps=25)) == numbers(array[25:50])
    wanted = numbers(VideoReader(VideoPart(long_video["mp4"], 9.0, 10.0)))
    content = long_video["mp4"].read_bytes()
    assert numbers(VideoReader(VideoPart(content, 9.0, 10.0))) == wanted
    with long_video["mp4"].open("rb") as file:
        assert numbers(VideoReader(VideoPart(file, 9.0, 10.0))) == wanted
    assert len(read_audio(VideoPart(content, 9.0, 10.0))) == 16000


def test_a_part_is_written_as_a_video_of_its_own(long_video, tmp_path):
    part = VideoPart(long_video["mkv"], 7.2, 8.0)
    mux_audio(part, read_audio(part), RATE, tmp_path / "part.mp4")
    assert numbers(VideoReader(tmp_path / "part.mp4")) == numbers(VideoReader(part))
    assert click_time(read_audio(tmp_path / "part.mp4")) == pytest.approx(0.3, abs=0.005)


def test_parts_that_are_not_there(long_video):
    with pytest.raises(VideoError, match="over before 30 s"):
        list(VideoReader(VideoPart(long_video["mp4"], 30.0)))
    for start, end in ((2.0, 2.0), (-1.0, None)):
        with pytest.raises(VideoError, match="Check its start and end"):
            VideoPart("x.mp4", start, end)
