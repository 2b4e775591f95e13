"""Little videos for the tests: the gray level of each picture tells its number, a click in the sound its time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lip2wav_hf.video import VideoReader


RATE = 16000  # of the sound, in Hz


def level(number: int) -> int:
    return 20 + 8 * (number % 26)


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level(number), np.uint8)


def numbers(frames) -> list[int]:
    """The number (modulo 26) of each picture, from its gray level."""
    return [round((float(np.mean(frame)) - 20) / 8) for frame in frames]


def write_video(
    path, frames=50, rate=25, codec="libx264", pix_fmt="yuv420p", size=(64, 48), times=None, make=picture,
    rotation=None, sound=None, sound_start=0.0, options=None, start=0,
):  # fmt: skip
    """`times`: presentation time of each frame in milliseconds, for a variable frame rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(10000), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if rotation and not hasattr(stream, "set_display_rotation"):
            pytest.skip(f"PyAV {av.__version__} cannot write the metadata of a turned video: version 18 can")
        if rotation:
            stream.set_display_rotation(rotation)
        clock = Fraction(1, 1000) if times else 1 / Fraction(rate).limit_denominator(10000)
        stream.codec_context.time_base = clock
        if sound is not None:
            track = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(make(number, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts = start + (number if times is None else times[number])
            frame.time_base = clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for position in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(sound[None, position : position + 1024], "fltp", "mono")
                block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
                block.pts = position + round(sound_start * RATE)
                container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path


def mute(video, target):
    """The pictures of a video alone."""
    pictures = list(VideoReader(video))
    height, width = pictures[0].shape[:2]
    return write_video(target, len(pictures), size=(width, height), make=lambda number, *_: pictures[number])


def click(seconds: float, length: float = 2.0) -> np.ndarray:
    waveform = np.zeros(int(length * RATE), np.float32)
    position = int(seconds * RATE)
    waveform[position : position + 160] = np.hanning(160) * np.sin(np.arange(160) * 0.8)
    return waveform


def click_time(waveform: np.ndarray, rate: int = RATE) -> float:
    energy = np.square(waveform.astype(np.float64))
    return float((energy * np.arange(len(energy))).sum() / energy.sum() / rate) - 0.005


def write_ticks(path: Path, ticks: list[int | None], codec: str, pix_fmt: str) -> Path:
    """Pictures that carry these presentation times, in 1/25 s, also where no encoder would give them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 1, 0
        packets = []
        for number in range(len(ticks)):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for number, (packet, tick) in enumerate(zip((p for p in packets if p.size), ticks, strict=True)):
            packet.time_base, packet.pts = Fraction(1, 25), tick
            packet.dts = min(ticks[number:])  # a muxer wants decoding times that rise
            container.mux(packet)
    return path
