"""The plane on which a head is painted, and what is drawn on it with.

A head is painted at twice the frame's size on a plane whose unit is the distance between the pupils, x to the right, y
down, origin between the eyes; a height map z over it (towards the camera) gives shading and parallax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .speakers import Face


FRAME_HEIGHT, FRAME_WIDTH = 288, 360
SUPERSAMPLING = 2
EYE_LEVEL = 126.0  # pixels from the top of the frame

Range = tuple[float, float]
HEAD_X, HEAD_Y = (-1.9, 1.9), (-2.35, 2.6)

Colour = Sequence[float] | np.ndarray
Window = tuple[slice, slice]
"""Rows and columns of a rectangle of the plane."""


def coordinates(x_range: Range, y_range: Range, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x and y of the pixels of a rectangle of the plane, each float32 `(height, width)`."""
    x = np.arange(int(round((x_range[1] - x_range[0]) * pixels))) / pixels + x_range[0]
    y = np.arange(int(round((y_range[1] - y_range[0]) * pixels))) / pixels + y_range[0]
    columns, rows = np.meshgrid(x, y)
    return columns.astype(np.float32), rows.astype(np.float32)


def bump(x: np.ndarray, y: np.ndarray, x0: float, y0: float, sx: float, sy: float) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.exp(-(((x - x0) / sx) ** 2) - ((y - y0) / sy) ** 2)


def pair(x: np.ndarray, y: np.ndarray, x0: float, y0: float, sx: float, sy: float) -> np.ndarray:
    """A bump on either side of the face."""
    return bump(np.abs(x), y, x0, y0, sx, sy)


def step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """A smooth step from 0 to 1 between two values."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def smooth_curve(points: Sequence[tuple[float, float]], positions: np.ndarray, smoothing: int) -> np.ndarray:
    """Values at positions of a curve through (position, value) points, rounded off."""
    fine = np.linspace(points[0][0], points[-1][0], 400)
    places, heights = zip(*points, strict=True)
    values = np.interp(fine, places, heights)
    kernel = np.hanning(2 * smoothing + 3)
    padded = np.pad(values, smoothing + 1, mode="reflect", reflect_type="odd")
    return np.interp(positions, fine, np.convolve(padded, kernel / kernel.sum(), "valid"))


def rounded(points: Sequence[tuple[float, float]], rounds: int = 3) -> np.ndarray:
    """Chaikin's corner cutting of an open polyline, `(points, 2)`."""
    line = np.asarray(points, float)
    for _ in range(rounds):
        near, far = 0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]
        line = np.concatenate([line[:1], np.stack([near, far], 1).reshape(-1, 2), line[-1:]])
    return line


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur; sigma in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def mix(image: np.ndarray, colour: Colour, mask: np.ndarray) -> None:
    """Paint a colour (or an image) over another by a mask, in place."""
    image += (np.asarray(colour, np.float32) - image) * mask[..., None].astype(np.float32)


@dataclass(frozen=True)
class Plane:
    """The head's plane of one speaker.

    Attributes:
        face ([`Face`]): the looks.
        rng (`np.random.Generator`): for skin, hair and cloth; the painters draw from it one after the other.
        unit (`float`): pixels of the painting to a unit.
        light (`np.ndarray` of shape `(3,)`): direction to the lamp, of length 1.
        x, y (`np.ndarray` of shape `(height, width)`): coordinates of the pixels, in units.
    """

    face: Face
    rng: np.random.Generator
    unit: float
    light: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of_face(cls, face: Face, rng: np.random.Generator) -> Plane:
        """The plane for a face."""
        unit = face.scale * SUPERSAMPLING
        light = np.array(face.light) / np.linalg.norm(face.light)
        return cls(face, rng, unit, light, *coordinates(HEAD_X, HEAD_Y, unit))

    def window(self, x_range: Range, y_range: Range) -> Window:
        """Rows and columns of a rectangle."""
        left = int(round((x_range[0] - HEAD_X[0]) * self.unit))
        top = int(round((y_range[0] - HEAD_Y[0]) * self.unit))
        height = int(round((y_range[1] - y_range[0]) * self.unit))
        width = int(round((x_range[1] - x_range[0]) * self.unit))
        return slice(top, top + height), slice(left, left + width)

    def polygon(self, points: np.ndarray) -> np.ndarray:
        """Mask of a polygon `(points, 2)`, anti-aliased."""
        mask = np.zeros(self.x.shape, np.uint8)
        cv2.fillPoly(mask, [self._pixels(points)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def strokes(self, curves: Sequence[Sequence[tuple[float, float]]], width: float) -> np.ndarray:
        """Soft lines: mask of polylines."""
        mask = np.zeros(self.x.shape, np.uint8)
        for curve in curves:
            thickness = max(1, int(round(width * self.unit)))
            cv2.polylines(mask, [self._pixels(np.asarray(curve))], False, 255, thickness, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def noise(self, sigma: float, scale: float) -> np.ndarray:
        """Smooth noise over the plane; sigma in pixels, `scale` its standard deviation."""
        noise = blur(self.rng.normal(size=self.x.shape).astype(np.float32), sigma)
        return noise * (scale / noise.std())

    def cover(self, distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
        """How far pixels are covered by what begins at a signed distance (units); `softness` of the edge in pixels."""
        return np.clip(distance / (1 / self.unit * softness) + 0.5, 0, 1)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        return ((np.asarray(points) - (HEAD_X[0], HEAD_Y[0])) * self.unit * 16).round().astype(np.int32)
