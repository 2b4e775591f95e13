"""JPEG pictures that a browser sends, looked at before they are decoded."""

from __future__ import annotations

import struct

import cv2
import numpy as np

from ..errors import Lip2WavError


SEQUENTIAL = (0xC0, 0xC1)  # start-of-frame markers: baseline and extended; what browsers write of a canvas
OTHER_FRAMES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
MOST_SCANS = 4  # one for each component: many empty scans of a large picture cost minutes


class PictureError(Lip2WavError):
    """What should be a picture is none, or is larger than is taken."""


def jpeg_size(data: bytes) -> tuple[int, int]:
    """
    Height and width of a JPEG picture, in pixels, by its header alone.

    Raises:
        PictureError: if it is no JPEG of one frame as browsers write them.
    """
    if not data.startswith(b"\xff\xd8"):
        raise PictureError("a picture must be a JPEG.")
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        if marker in SEQUENTIAL:
            height, width = struct.unpack_from(">HH", data, place + 5)
            if not height or not width:
                break
            return height, width
        if marker in OTHER_FRAMES:
            raise PictureError("a picture must be a sequential JPEG: this is a progressive or lossless one.")
        place += 2 + length
    raise PictureError("the header of a picture is damaged: send JPEG pictures.")


def read_picture(data: bytes, most_pixels: int) -> np.ndarray:
    """
    Decode a JPEG picture, unless it would take much memory or time.

    Args:
        data (`bytes`): the file.
        most_pixels (`int`): how many it may have.

    Returns:
        `np.ndarray` of shape `(height, width, 3)`: RGB, uint8.

    Raises:
        PictureError: if it is damaged or too large.
    """
    height, width = jpeg_size(data)
    if height * width > most_pixels:
        raise PictureError(f"a picture of {width} x {height} pixels is too large: up to {most_pixels} are taken.")
    if data.count(b"\xff\xda") > MOST_SCANS:
        raise PictureError(f"a picture has more than {MOST_SCANS} scans: send plain JPEG pictures.")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise PictureError("a picture is damaged: send JPEG pictures.")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


__all__ = ["PictureError", "jpeg_size", "read_picture"]
