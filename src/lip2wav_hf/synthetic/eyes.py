"""The eyes as they are painted, with their lids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .plane import Plane, Range, Window, bump, mix, step


EYE_X: Range = (0.12, 0.88)
EYE_Y: Range = (-0.36, 0.30)


@dataclass(frozen=True)
class Eye:
    """One eye of a speaker.

    Attributes:
        plane ([`Plane`]): the head's plane.
        side (`int`): -1 for the left of the picture, 1 for the right.
        window (`tuple[slice, slice]`): where it is on the plane.
        x, y (`np.ndarray` of shape `(height, width)`): coordinates; x goes towards the temple from the pupil's place.
    """

    plane: Plane
    side: int
    window: Window
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def on_side(cls, plane: Plane, side: int) -> Eye:
        """The eye on a side of the plane."""
        window = plane.window(EYE_X if side == 1 else (-EYE_X[1], -EYE_X[0]), EYE_Y)
        return cls(plane, side, window, side * plane.x[window] - 0.5, plane.y[window])

    def paint(self, image: np.ndarray, opening: float, gaze: np.ndarray) -> None:
        """Paint the eye over the skin.

        Args:
            image (`np.ndarray` of shape `(height, width, 3)`): float32 RGB of the window; changed in place.
            opening (`float`): 0 (shut) to 1.
            gaze (`np.ndarray` of shape `(2,)`): of the pupil, in units.
        """
        x, y, f, cover = self.x, self.y, self.plane.face, self.plane.cover
        s = np.clip((x[0] + 0.005) / 0.255, -1, 1)
        q = 1 - s**2
        low_line = 0.012 - 0.018 * s + 0.072 * q**0.75
        open_line = 0.012 - 0.018 * s - 0.122 * f.eye * (q**0.62) * (1 + 0.10 * s)
        lid = low_line - 0.006 + (open_line - low_line) * opening
        ball = cover(y - lid, 1.5) * cover(low_line - y, 2) * cover(0.255 - np.abs(x + 0.005), 2)
        # Lid: a fold above, shadow on closing, lashes.
        crease = open_line - 0.055 + 0.02 * (1 - opening)
        wide = cover(0.30 - np.abs(x), 10)
        image *= (1 - 0.30 * np.exp(-(((y - crease) / 0.016) ** 2)) * wide * (q**0.3))[..., None] ** np.array(
            [0.8, 1, 1.05], np.float32
        )
        image *= (1 - 0.14 * np.exp(-(((y - low_line - 0.05) / 0.025) ** 2)) * wide)[..., None]
        mix(image, self._eyeball(s, lid, gaze), ball)
        lash = np.exp(-(((y - lid + 0.004) / (0.017 + 0.004 * (1 - opening))) ** 2)) * cover(0.275 - np.abs(x), 5)
        mix(image, np.asarray(f.hair) * 0.18 + np.array([14, 8, 8]), 0.88 * lash)
        rim = np.exp(-(((y - low_line) / 0.012) ** 2)) * cover(0.25 - np.abs(x), 5)
        mix(image, np.asarray(f.skin) * np.array([0.62, 0.45, 0.42]), 0.5 * rim)
        corner = bump(x, y, -0.25, 0.03, 0.03, 0.02)
        mix(image, np.asarray(f.skin) * np.array([0.8, 0.5, 0.48]), 0.6 * corner)

    @cached_property
    def _rays(self) -> np.ndarray:
        """Of the iris: how much brighter it is there."""
        angle = np.arctan2(self.y + 0.025, self.x)
        return 0.10 * np.sin(17 * angle) * np.sin(9 * angle)

    def _eyeball(self, s: np.ndarray, lid: np.ndarray, gaze: np.ndarray) -> np.ndarray:
        """White, iris, pupil and the spark of the lamp; `s` is -1 and 1 at the corners, `lid` the upper lid's edge."""
        x, y, side, cover = self.x, self.y, self.side, self.plane.cover
        white = (
            np.array([226, 218, 212], np.float32)
            * (0.80 - 0.25 * s**2 - 0.42 * np.exp(-np.clip(y - lid, 0, None) / 0.035))[..., None]
        )
        radius = np.hypot(x - side * gaze[0], y + 0.025 - gaze[1])
        iris_lit = (
            0.75
            + 0.55 * step(y + 0.025, -0.06, 0.1)
            - 0.5 * step(radius, 0.085, 0.115)
            - 0.3 * np.exp(-np.clip(y - lid, 0, None) / 0.03)
        )
        iris = np.asarray(self.plane.face.iris, np.float32) * np.clip(iris_lit + self._rays, 0.1, 1.6)[..., None]
        eyeball = white * np.ones((*x.shape, 3), np.float32)
        mix(eyeball, iris, cover(0.112 - radius, 2.5))
        mix(eyeball, (12, 10, 10), cover(0.047 - radius, 2))
        glint = side * (0.036 * self.plane.light[0] + gaze[0])
        spark = np.exp(-(((x - glint) / 0.022) ** 2) - ((y + 0.068) / 0.02) ** 2)
        eyeball += (200 * spark)[..., None]
        eyeball *= np.array([1.0, 0.97, 0.95], np.float32)
        return eyeball


__all__ = ["Eye"]
