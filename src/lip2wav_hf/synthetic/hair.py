"""Hair in front of a head, in four styles."""

from __future__ import annotations

import cv2
import numpy as np

from .plane import Plane, blur, mix, rounded, step
from .speakers import Face


SHORT_STYLES = ("short", "cropped")
LONG_STYLES = ("bob", "long")


def paint_hair(plane: Plane, head_mask: np.ndarray, head: np.ndarray, alpha: np.ndarray) -> None:
    """Paint the hair over the head, in place, with the shadow that it throws on the head."""
    f = plane.face
    outer, inner = hair_lines(f)
    strands = _strands(plane)
    mask = _ragged_mask(plane, np.concatenate([outer, inner]), strands)
    hair = np.asarray(f.hair, np.float32) * np.clip(_light(plane, outer, strands), 0.2, 2.2)[..., None]
    shadow = blur(mask, 0.06 * plane.unit) * head_mask
    head *= (1 - 0.28 * shadow * (1 - mask))[..., None]
    mix(head, hair, np.clip(mask, 0, 1) * (0.85 if f.hair_style == "cropped" else 1.0))
    np.maximum(alpha, mask, out=alpha)


def hair_lines(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Outer and inner line of the hair in front of the head, each `(points, 2)`."""
    f = face
    w = f.width
    # fmt: off
    if f.hair_style in ("short", "cropped"):
        lift = 0.2 if f.hair_style == "short" else 0.06
        side = 0.09 if f.hair_style == "short" else 0.025
        outer = [(-(1.10 + side) * w, 0.1), (-(1.16 + side) * w, -0.5), (-(1.08 + side) * w, -1.1),
                 (-0.86 * w, -1.56 - lift / 2), (-0.45 * w, -1.80 - lift), (0.05, -1.84 - lift),
                 (0.5 * w, -1.78 - lift), (0.88 * w, -1.54 - lift / 2), ((1.08 + side) * w, -1.1),
                 ((1.16 + side) * w, -0.5), ((1.10 + side) * w, 0.1)]
        line = -1.02 if f.hair_style == "short" else -1.16
        inner = [(1.03 * w, 0.12), (1.04 * w, -0.35), (0.93 * w, -0.62), (0.86 * w, line + 0.12),
                 (0.5 * w, line - 0.06), (0.1, line), (-0.3 * w, line - 0.05), (-0.62 * w, line + 0.02),
                 (-0.86 * w, line + 0.16), (-0.93 * w, -0.62), (-1.04 * w, -0.35), (-1.03 * w, 0.12)]
    else:
        end = 2.55 if f.hair_style == "long" else 1.35
        flare = 1.5 if f.hair_style == "long" else 1.34
        outer = [(-flare * w, end), (-1.48 * w, 0.9), (-1.42 * w, 0.1), (-1.33 * w, -0.7), (-1.08 * w, -1.45),
                 (-0.6 * w, -1.92), (0, -2.05), (0.6 * w, -1.92), (1.08 * w, -1.45), (1.33 * w, -0.7),
                 (1.42 * w, 0.1), (1.48 * w, 0.9), (flare * w, end)]
        inner = [(1.12 * w, end), (1.06 * w, 1.0), (1.04 * w, 0.3), (1.0 * w, -0.3), (0.84 * w, -0.78),
                 (0.45 * w, -1.12), (0.12, -1.34), (-0.2 * w, -1.2), (-0.6 * w, -0.95), (-0.9 * w, -0.6),
                 (-1.0 * w, -0.2), (-1.04 * w, 0.3), (-1.06 * w, 1.0), (-1.12 * w, end)]
    # fmt: on
    return rounded(outer), rounded(inner)


def _strands(plane: Plane) -> np.ndarray:
    """Noise drawn out along lines that leave the crown (short hair) or fall beside the face (long hair)."""
    x, y = plane.x, plane.y
    if plane.face.hair_style in SHORT_STYLES:
        crown = (0.25, -1.9)
        across, along = np.arctan2(y - crown[1] + 0.6, x - crown[0]), np.hypot(x - crown[0], y - crown[1])
    else:
        fall = step(y, -1.1, 0.5)
        across = (
            (1 - fall) * np.arctan2(x - 0.12, np.maximum(0.35 - y, 0.05)) + fall * x + 0.06 * np.sin(2.2 * y + 2 * x)
        )
        along = y + 0.4 * np.abs(x)
    bank = plane.rng.normal(size=(64, 1024)).astype(np.float32)
    bank = cv2.GaussianBlur(bank, (0, 0), sigmaX=0.9, sigmaY=5)
    bank = bank / bank.std()
    return cv2.remap(
        bank, ((across * 130) % 1023).astype(np.float32), ((along * 14) % 63).astype(np.float32), cv2.INTER_LINEAR
    )


def _ragged_mask(plane: Plane, line: np.ndarray, strands: np.ndarray) -> np.ndarray:
    """Mask of the hair inside a line: the strands decide where the softened outline ends."""
    y, f = plane.y, plane.face
    soft = {"cropped": 0.05, "short": 0.055}.get(f.hair_style, 0.03)
    ragged = {"cropped": 0.05, "short": 0.17}.get(f.hair_style, 0.12)
    mask = blur(plane.polygon(line), soft * plane.unit)
    sharp = 0.4 if f.hair_style == "cropped" else 0.16
    mask = step(mask + ragged * np.clip(blur(strands, 0.8), -2, 2) * step(mask, 0.02, 0.3), 0.5 - sharp, 0.5 + sharp)
    mask *= 1 - step(y, 0.02, 0.2) if f.hair_style in SHORT_STYLES else 1.0
    return mask


def _light(plane: Plane, outer: np.ndarray, strands: np.ndarray) -> np.ndarray:
    """Brightness of the hair: a soft volume under the lamp, and a band of shine."""
    x, y, f = plane.x, plane.y, plane.face
    volume = blur(plane.polygon(outer), 0.16 * plane.unit)
    z = 1.1 * np.sqrt(np.clip(volume, 0, 1)) + 0.012 * blur(strands, 1.0)
    gy, gx = np.gradient(blur(z, 0.03 * plane.unit), 1 / plane.unit)
    norm = np.sqrt(gx**2 + gy**2 + 1)
    toward = np.clip((-gx * plane.light[0] - gy * plane.light[1] + plane.light[2]) / norm, 0, 1)
    lit = 0.42 + 0.62 * toward + 0.13 * strands * (0.5 + toward)
    lit += (
        0.25
        * np.exp(-(((y + 1.45 + 0.25 * np.abs(x)) / 0.2) ** 2))
        * (0.6 + 0.4 * strands)
        * (f.hair_style != "cropped")
    )
    if f.hair_style in LONG_STYLES:
        lit *= 1 - 0.45 * step(y, 0.2, 1.4) * (1 - step(np.abs(x), 1.02, 1.3))
    return lit
