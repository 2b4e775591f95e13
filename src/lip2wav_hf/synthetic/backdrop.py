"""What is behind a head: the wall, hair behind the neck, the neck and the clothes."""

from __future__ import annotations

import numpy as np

from .hair import LONG_STYLES
from .plane import EYE_LEVEL, FRAME_HEIGHT, FRAME_WIDTH, SUPERSAMPLING, Plane, blur, mix, step


def paint_backdrop(plane: Plane) -> np.ndarray:
    """Wall, hair behind the neck, neck and shoulders at twice the frame's size, uint8 `(576, 720, 3)`."""
    height, width = FRAME_HEIGHT * SUPERSAMPLING, FRAME_WIDTH * SUPERSAMPLING
    rows, columns = np.indices((height, width), np.float32)
    x, y = (columns - width / 2) / plane.unit, (rows - EYE_LEVEL * SUPERSAMPLING) / plane.unit
    picture = _wall(plane, x, y)
    half = (0.74 if plane.face.jaw > 1 else 0.62) * plane.face.width
    neck_width = half * (1 + 0.05 * (y - 1.7) ** 2 + 0.9 * step(y, 1.9, 2.8) ** 2)
    _paint_neck(plane, picture, x, y, neck_width)
    _paint_clothes(plane, picture, x, y, neck_width)
    return picture.round().clip(0, 255).astype(np.uint8)


def _wall(plane: Plane, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The wall, lit by the lamp, and long hair in front of it."""
    f = plane.face
    glow = np.exp(-((x - 2.0 * plane.light[0]) ** 2 / 9 + (y + 1.2) ** 2 / 8))
    picture = np.asarray(f.wall, np.float32) * (0.72 + 0.38 * glow)[..., None] + 20 * glow[..., None]
    picture *= 1 - 0.05 * ((x / 3.6) ** 4)[..., None]
    if f.hair_style in LONG_STYLES:
        end = 2.5 if f.hair_style == "long" else 1.4
        behind = (1 - step(np.abs(x), 1.1, 1.2)) * step(y, -0.5, 0) * (1 - step(y, end - 0.35, end + 0.05))
        mix(picture, np.asarray(f.hair) * 0.3, behind)
    return picture


def _paint_neck(plane: Plane, picture: np.ndarray, x: np.ndarray, y: np.ndarray, neck_width: np.ndarray) -> None:
    """Paint the neck, a cylinder under the lamp, with the shadow of the chin."""
    f = plane.face
    across = np.clip(x / neck_width, -1, 1)
    neck = step(neck_width - np.abs(x), -0.012, 0.012) * step(y, 0.5, 0.9)
    lit = 0.40 + 0.52 * np.clip(across * plane.light[0] + np.sqrt(1 - across**2) * plane.light[2] + 0.1, 0, 1)
    lit *= 1 - 0.40 * (1 - step(y, 1.75 * f.length, 2.2 * f.length))  # shadow of the chin
    lit -= 0.07 * np.exp(-(((np.abs(x) - 0.34 + 0.1 * (y - 2)) / 0.07) ** 2)) * step(y, 1.9, 2.4)
    warm = np.asarray(f.skin, np.float32) * np.array([1.0, 0.94, 0.92])
    mix(picture, warm * lit[..., None], neck)


def _paint_clothes(plane: Plane, picture: np.ndarray, x: np.ndarray, y: np.ndarray, neck_width: np.ndarray) -> None:
    """Paint shoulders and collar, with folds and weave."""
    f = plane.face
    slope = 1.98 + 0.26 * np.abs(x) + 0.045 * np.abs(x) ** 2.6 + 0.9 * step(np.abs(x), 2.1, 3.3)
    neckline = {
        "crew": 2.30 - 0.40 * np.abs(x) ** 2,
        "v": 2.88 - 0.98 * np.abs(x),
        "roll": 2.0 + 0.14 * np.abs(x) ** 2,
    }[f.collar]
    top = np.where(
        np.abs(x) < 0.95, np.maximum(slope, neckline) if f.collar != "roll" else np.minimum(slope, neckline), slope
    )
    if f.collar == "roll":
        top = np.where(np.abs(x) < neck_width + 0.06, neckline, slope)
    cloth = step(y - top, -0.012, 0.012)
    folds = blur(plane.rng.normal(size=x.shape).astype(np.float32), 0.22 * plane.unit)
    folds *= 0.05 / folds.std()
    weave = plane.rng.normal(scale=0.02, size=x.shape)
    lit = 0.80 + 0.16 * np.tanh(x * 0.8) * plane.light[0] * 1.6 + folds + weave
    lit -= 0.22 * step(y, 2.3, 3.6) + 0.22 * np.exp(-np.clip(y - top, 0, None) / 0.05) * (np.abs(x) < 1.0)
    if f.collar == "roll":
        lit += 0.05 * np.sin(x * 55) * (y < 2.42) * (np.abs(x) < neck_width + 0.06)
    mix(picture, np.asarray(f.cloth, np.float32) * np.clip(lit, 0.2, 1.3)[..., None], cloth)
