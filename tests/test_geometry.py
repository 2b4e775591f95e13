"""What pictures look like: their size, which may change; the shape of their pixels; and how they are turned."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from lip2wav_hf.audio import mux_audio
from lip2wav_hf.video import VideoReader
from little_videos import RATE, click


def quarters(width: int, height: int) -> np.ndarray:
    """A picture with another gray in each of its corners."""
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[: height // 2, width // 2 :] = 90
    picture[height // 2 :, : width // 2] = 140
    picture[height // 2 :, width // 2 :] = 200
    return picture


def encode(pictures, path, container, shape=None):
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        if shape:
            stream.codec_context.sample_aspect_ratio = shape
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        output.mux(stream.encode(None))
    return path


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.median(np.abs(one.astype(int) - other)) <= 3


@pytest.mark.parametrize("sizes", [((96, 160), (160, 96)), ((64, 48), (320, 240)), ((320, 240), (64, 48), (96, 160))])
def test_pictures_that_change_their_size(tmp_path, sizes):
    content = b""
    for size in sizes:
        content += encode([quarters(*size)] * 10, tmp_path / "part.ts", "mpegts").read_bytes()
    got = list(VideoReader(content))
    assert [frame.shape[1::-1] for frame in got] == [size for size in sizes for _ in range(10)]
    assert all(alike(frame, quarters(*frame.shape[1::-1])) for frame in got)
    mux_audio(content, click(0.2), RATE, tmp_path / "out.mp4")
    written = list(VideoReader(tmp_path / "out.mp4"))
    assert [frame.shape[1::-1] for frame in written] == [sizes[0]] * len(got)
    last, (width, height) = written[-1].astype(int), sizes[0]
    middle = [last[height // 2 + down, width // 2 + right, 0] for down in (-9, 8) for right in (-9, 8)]
    assert np.allclose(middle, [40, 90, 140, 200], atol=6)  # whole in its middle, not squeezed


@pytest.mark.parametrize(
    ("container", "shape", "size"),
    [
        ("mp4", Fraction(2), (128, 48)),
        ("mpegts", Fraction(2), (128, 48)),
        ("matroska", Fraction(1, 2), (64, 96)),
        ("mp4", Fraction(4, 3), (85, 48)),
        ("mp4", Fraction(12, 11), (70, 48)),
        ("mp4", Fraction(1), (64, 48)),
        ("mp4", Fraction(400, 1), (64, 48)),  # nonsense
    ],
)
def test_pixels_that_are_not_square(tmp_path, container, shape, size):
    path = encode([quarters(64, 48)] * 5, tmp_path / "clip", container, shape)
    assert alike(next(VideoReader(path)), quarters(*size))


def test_the_shape_of_pixels_may_change(tmp_path):
    content = b""
    for shape in (Fraction(1), Fraction(2)):
        content += encode([quarters(64, 48)] * 30, tmp_path / "part.ts", "mpegts", shape).read_bytes()
    shapes = [frame.shape[1] for frame in VideoReader(content)]
    assert shapes[:20] == [64] * 20 and shapes[40:] == [128] * 20


def with_matrix(path, matrix):
    """The file with another display matrix in the header of its track."""
    content = bytearray(path.read_bytes())
    start = content.find(b"tkhd")
    at = start + 8 + (32 if content[start + 4] else 20) + 16
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


ONE = 1 << 16
UPRIGHT = {
    "hflip": (-1, 0, 0, 1, lambda picture: picture[:, ::-1]),
    "vflip": (1, 0, 0, -1, lambda picture: picture[::-1]),
    "turned": (-1, 0, 0, -1, lambda picture: picture[::-1, ::-1]),
    "clockwise": (0, 1, -1, 0, lambda picture: np.rot90(picture, -1)),
    "anticlockwise": (0, -1, 1, 0, lambda picture: np.rot90(picture)),
    "transposed": (0, 1, 1, 0, lambda picture: picture.transpose(1, 0, 2)),
    "transverse": (0, -1, -1, 0, lambda picture: picture[::-1, ::-1].transpose(1, 0, 2)),
    "none": (0, 0, 0, 0, lambda picture: picture),
}


@pytest.mark.parametrize("name", list(UPRIGHT))
@pytest.mark.parametrize("shape", [None, Fraction(2)])
def test_turned_and_mirrored_pictures(tmp_path, name, shape):
    """As a player shows them; the .mp4 that is written too. Pixels are stretched before they are turned."""
    across, down, across_down, down_down, upright = UPRIGHT[name]
    path = encode([quarters(64, 48)] * 5, tmp_path / "clip.mp4", "mp4", shape)
    with_matrix(path, [ONE * across, ONE * down, 0, ONE * across_down, ONE * down_down, 0, 0, 0, 1 << 30])
    expected = upright(quarters(128 if shape else 64, 48))
    assert alike(next(VideoReader(path)), expected)
    mux_audio(path, click(0.1), RATE, tmp_path / "out.mp4")
    assert alike(next(VideoReader(tmp_path / "out.mp4")), expected)
