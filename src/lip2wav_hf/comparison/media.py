"""The files of a clip for a web page: its pictures, small; each sound of the same length; and their spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import matplotlib
import numpy as np

from ..audio import Encoding, write_audio, write_pictures
from ..errors import counted
from ..evaluation.plotting import log_mel_spectrogram
from ..metrics.pairs import SAMPLING_RATE
from ..video import VideoReader
from .systems import ComparisonError


if TYPE_CHECKING:
    from ..video import VideoPart


LARGEST_CLIP = 2_000_000
"""Bytes of all files of a clip."""

ENCODINGS = (Encoding(20, 360), Encoding(25, 360), Encoding(30, 288), Encoding(35, 240))
"""Tried one after the other until a clip is small enough."""

MAX_COLUMNS = 1500  # of a spectrogram
VIDEO, POSTER = "video.mp4", "poster.webp"


def write_media(
    folder: Path, video: Path | VideoPart, sounds: Mapping[str, np.ndarray], largest: int = LARGEST_CLIP
) -> float:
    """
    Write `video.mp4`, `poster.webp` and for each sound `NAME.m4a` and `NAME.webp`, its spectrogram from the first to
    the last picture.

    Args:
        folder (`Path`): where to; it is made.
        video (`Path` or [`VideoPart`]): the clip.
        sounds (mapping of `str` to `np.ndarray` of shape `(samples,)`): at 16 kHz, by the names of their files.
        largest (`int`, *optional*, defaults to 2 000 000): bytes of all files.

    Returns:
        `float`: duration in seconds.

    Raises:
        ComparisonError: if the files cannot be made small enough.
        VideoError: if the video cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = str(video) if isinstance(video, Path) else video
    seconds = write_pictures(source, folder / VIDEO, ENCODINGS[0])
    _write_poster(folder)
    for name, sound in sounds.items():
        fitted = _of_length(sound, round(seconds * SAMPLING_RATE))
        write_audio(folder / f"{name}.m4a", fitted, SAMPLING_RATE)
        _write_spectrogram(folder / f"{name}.webp", fitted)
    for encoding in ENCODINGS[1:]:
        if _size(folder) <= largest:
            return seconds
        write_pictures(source, folder / VIDEO, encoding)
    if _size(folder) > largest:
        fitting = int(seconds * largest / _size(folder))
        raise ComparisonError(
            f"{seconds:.0f} s of pictures and {counted(len(sounds), 'sound')} take {_size(folder) / 1e6:.1f} MB, more"
            f" than the {largest / 1e6:g} MB of a clip. Cut it to {fitting} s, or compare fewer systems."
        )
    return seconds


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _of_length(sound: np.ndarray, samples: int) -> np.ndarray:
    """A sound cut or followed by silence, as the pictures last."""
    fitted = np.zeros(max(samples, 1), np.float32)
    fitted[: len(sound)] = sound[: len(fitted)]
    return fitted


def _write_poster(folder: Path) -> None:
    """The first picture, until the video is loaded."""
    with VideoReader(folder / VIDEO) as reader:
        picture = next(iter(reader))
    _write_picture(folder / POSTER, picture)


def _write_spectrogram(path: Path, sound: np.ndarray) -> None:
    """A mel spectrogram without margins, so that its width is the time."""
    hop = max(SAMPLING_RATE // 100, -(-len(sound) // MAX_COLUMNS))
    decibels = log_mel_spectrogram(sound, SAMPLING_RATE, hop_length=hop)
    colours = matplotlib.colormaps["magma"]((decibels[::-1] + 80) / 80, bytes=True)[..., :3]
    _write_picture(path, np.ascontiguousarray(colours))


def _write_picture(path: Path, picture: np.ndarray) -> None:
    _, encoded = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 88])
    path.write_bytes(encoded.tobytes())


__all__ = ["LARGEST_CLIP", "POSTER", "VIDEO", "write_media"]
