"""The loop from pictures to sound, and how late sound comes by two clocks that know nothing of each other."""

import os
import threading
import time

import numpy as np
import pytest
import torch

from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavStreamer
from lip2wav_hf.live.mouth import LiveMouth
from lip2wav_hf.live.player import SoundFile, SoundPipe
from lip2wav_hf.live.running import run_live
from lip2wav_hf.live.sources import CameraError, play_video

from .test_streamer import GRAY, SAMPLE, model, pictures, pushed, streamer  # noqa: F401


def timed(pictures, rate=25, begin=0.0):  # noqa: F811
    return iter([(begin + number / rate, picture) for number, picture in enumerate(pictures)])


@torch.no_grad()
def test_a_played_video_sounds_as_when_pushed_and_as_the_whole_clip(model, streamer):  # noqa: F811
    blocks, shown = [], []
    progress = run_live(
        streamer, play_video(SAMPLE), [SoundFile(blocks.append)], show=lambda p: shown.append(p.seconds), can_wait=True
    )
    played = np.concatenate(blocks)
    reader = [picture for _, picture in play_video(SAMPLE)]
    session = Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3)
    assert np.array_equal(played, np.concatenate([part.audio for part in pushed(session, reader)]))
    mouth = LiveMouth(Lip2WavFeatureExtractor())
    crops = np.stack([mouth.push(picture) for picture in reader])
    whole = model(torch.from_numpy(crops)[None, :, None], look_ahead=3).waveform[0].numpy()
    assert np.abs(played - whole).max() < 1e-3 < np.abs(whole).max()
    assert progress.pictures == len(reader) and progress.seconds == len(played) / 16000
    assert progress.behind == progress.surplus == progress.repeated == progress.restarts == 0
    assert shown == sorted(shown) and shown[-1] == progress.seconds


def test_seconds_and_signals_end_it(streamer, pictures):  # noqa: F811
    stop = []
    progress = run_live(streamer, timed(pictures), [], seconds=0.4, can_wait=True)
    assert progress.pictures == 10 and progress.seconds == pytest.approx(0.4)
    progress = run_live(
        streamer,
        timed(pictures),
        [],
        is_stopped=lambda: bool(stop),
        show=lambda p: stop.append(1) if p.pictures == 5 else None,
        can_wait=True,
    )
    assert progress.pictures == 5 and progress.seconds == pytest.approx(0.2)


def test_a_camera_that_is_unplugged_loses_nothing_that_it_saw(streamer, pictures):  # noqa: F811
    def camera():
        yield from timed(pictures[:10])
        raise CameraError("it has stopped")

    blocks = []
    with pytest.raises(CameraError, match="it has stopped"):
        run_live(streamer, camera(), [SoundFile(blocks.append)], can_wait=True)
    assert sum(map(len, blocks)) == 10 * 640


def test_from_a_flash_in_the_picture_to_a_click_in_the_pipe(streamer, pictures):  # noqa: F811
    """A face comes into sight: from then on there is sound. Both moments are known outside of what is tested."""
    streamer.warm_up()
    flash, arrived, read_end, write_end = [], [], *os.pipe()

    def camera():
        begin = time.monotonic()
        for number in range(40):
            time.sleep(max(begin + number / 25 - time.monotonic(), 0))
            if number == 16:
                flash.append(begin + number / 25)  # what the picture says; a busy machine shows it later
            yield begin + number / 25, GRAY if number < 16 else pictures[number - 16]

    def listen():
        with open(read_end, "rb", buffering=0) as pipe:
            while data := pipe.read(1 << 16):
                arrived.append((time.monotonic(), data))

    listener = threading.Thread(target=listen)
    listener.start()
    with open(write_end, "wb") as pipe:
        output = SoundPipe(pipe, 16000, 640)
        progress = run_live(streamer, camera(), [output], can_wait=True)
    listener.join()
    sound = np.frombuffer(b"".join(data for _, data in arrived)[44:], "<i2")
    click = int(np.flatnonzero(sound)[0])
    assert click // 640 == 16 and len(sound) == 40 * 640 and progress.pictures == 40
    ends = np.cumsum([len(data) for _, data in arrived])
    heard = arrived[int(np.searchsorted(ends, 44 + 2 * click, side="right"))][0]
    latency = heard - flash[0]
    assert 0.115 < latency < 5  # three frames are waited for; how much more is a matter of the machine
    assert output.latencies.percentile(0) - 0.05 < latency < output.latencies.percentile(100) + 0.05
