"""A head at rest: its outline, its height map, light, skin, ears, nose and brows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .hair import paint_hair
from .plane import Plane, blur, bump, mix, pair, smooth_curve, step
from .speakers import Face


@dataclass(frozen=True)
class Head:
    """A painted head.

    Attributes:
        height (`np.ndarray` of shape `(height, width)`): distance towards the camera, in units.
        picture (`np.ndarray` of shape `(height, width, 4)`): uint8 RGB and how far it covers what is behind.
    """

    height: np.ndarray
    picture: np.ndarray


def paint_head(plane: Plane) -> Head:
    """The head of a plane's speaker, with its eyes still to be painted and its mouth shut."""
    mask = plane.polygon(head_outline(plane.face))
    height = height_map(plane, mask)
    diffuse, soft, shine = shading(plane, height)
    light = np.dstack([0.6 * diffuse + 0.4 * soft + 0.02, 0.85 * diffuse + 0.15 * soft, diffuse])
    head = paint_skin(plane) * light + 34 * (shine * (1 - 0.4 * bool(plane.face.beard)))[..., None]
    alpha = mask.copy()
    paint_ears(plane, mask, head, alpha)
    paint_nose_and_folds(plane, head)
    paint_brows(plane, head)
    paint_hair(plane, mask, head, alpha)
    return Head(height, np.dstack([head, alpha * 255]).round().clip(0, 255).astype(np.uint8))


def head_outline(face: Face) -> np.ndarray:
    """Contour of the bare head as `(points, 2)`."""
    f = face
    chin = 1.86 * f.length
    # fmt: off
    widths = [(-1.82, 0.0), (-1.79, 0.3), (-1.7, 0.55), (-1.45, 0.83), (-1.0, 1.06), (-0.5, 1.13), (0.0, 1.12),
              (0.45, 1.07)]
    lower = [(0.52, 0.97), (0.66, 0.84), (0.8, 0.645), (0.9, 0.455), (0.965, 0.28), (0.99, 0.17), (1.0, 0.0)]
    # fmt: on
    points = [(y, w * f.width) for y, w in widths] + [(y * chin, w * f.width * f.jaw) for y, w in lower]
    crown, middle = np.linspace(-1.82, -1.6, 60), np.linspace(-1.6, chin - 0.25, 120)
    y = np.concatenate([crown, middle, np.linspace(chin - 0.25, chin, 60)])
    x = np.maximum(smooth_curve(points, y, 9), 0)
    x[0] = x[-1] = 0
    return np.concatenate([np.stack([x, y], 1), np.stack([-x[::-1], y[::-1]], 1)])


def height_map(plane: Plane, mask: np.ndarray) -> np.ndarray:
    """Distance of the face's surface towards the camera, in units, from the mask of the bare head."""
    x, y, f = plane.x, plane.y, plane.face
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / plane.unit
    dome = 1.0 * np.sqrt(np.clip(1 - (1 - np.clip(inside / 1.08, 0, 1)) ** 2, 0, 1))
    z = blur(dome.astype(np.float32), 0.07 * plane.unit)
    n = f.nose
    along = step(y, -0.2, 0.62)  # from the bridge to the tip
    below = 1 - step(y, 0.58, 0.84)
    z += (
        0.31 * (0.22 + 0.78 * along) * step(y, -0.45, -0.1) * below * np.exp(-((x / (n * (0.13 + 0.08 * along))) ** 2))
    )
    z += 0.10 * bump(x, y, 0, 0.56, 0.14 * n, 0.13) + 0.12 * pair(x, y, 0.19 * n, 0.62, 0.09 * n, 0.09)
    z += 0.06 * pair(x, y, 0.42, -0.36, 0.36, 0.11) - 0.11 * pair(x, y, 0.5, -0.06, 0.27, 0.17)
    z -= 0.05 * pair(x, y, 0.24, -0.03, 0.09, 0.12)
    z += 0.08 * pair(x, y, 0.5, 0.0, 0.22, 0.14) + 0.10 * pair(x, y, 0.68, 0.42, 0.28, 0.26)
    z += 0.12 * bump(x, y, 0, 1.1, 0.42, 0.3) - 0.02 * bump(x, y, 0, 0.9, 0.05, 0.09)
    z -= 0.07 * bump(x, y, 0, 1.42, 0.32, 0.075) + 0.05 * pair(x, y, 0.82, 0.95, 0.22, 0.3)
    z += 0.11 * bump(x, y, 0, 1.64, 0.26, 0.16)
    return blur(z.astype(np.float32), 0.012 * plane.unit)


def shading(plane: Plane, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lambert shading (about 0.3 to 1.1), a warm version for red light under the skin, and a highlight."""
    gy, gx = np.gradient(z, 1 / plane.unit)
    norm = np.sqrt(gx**2 + gy**2 + 1)
    toward = (-gx * plane.light[0] - gy * plane.light[1] + plane.light[2]) / norm
    fill = (gx * plane.light[0] + 1) / norm  # a weak lamp from the other side
    diffuse = np.clip((toward + 0.25) / 1.25, 0, 1)
    soft = np.clip((blur(toward, 0.05 * plane.unit) + 0.5) / 1.5, 0, 1)
    half = plane.light + np.array([0, 0, 1.0])
    half /= np.linalg.norm(half)
    shine = np.clip((-gx * half[0] - gy * half[1] + half[2]) / norm, 0, 1) ** 22
    cavity = np.clip((z - blur(z, 0.12 * plane.unit)) * 1.3, -0.22, 0.1)
    base = 0.34 + 0.10 * np.clip(fill, 0, 1) + cavity
    return base + 0.66 * diffuse, base + 0.66 * soft, shine


def paint_skin(plane: Plane) -> np.ndarray:
    """Colour of the skin before any light, with red cheeks and the shadow of a beard."""
    x, y, f = plane.x, plane.y, plane.face
    skin = np.ones((*x.shape, 3), np.float32) * np.asarray(f.skin, np.float32)
    red = 0.55 * pair(x, y, 0.62, 0.5, 0.34, 0.26) + 0.5 * bump(x, y, 0, 0.55, 0.2, 0.2)
    red += 0.25 * bump(x, y, 0, 1.6, 0.3, 0.2)
    skin *= 1 - red[..., None] * np.array([0.0, 0.13, 0.13])
    skin *= 1 - 0.10 * pair(x, y, 0.48, 0.2, 0.26, 0.09)[..., None] * np.array([0.8, 1.0, 0.8])
    if f.beard:
        zone = step(y, 0.72, 1.0) * (1 - 0.9 * pair(x, y, 0.5, 0.75, 0.22, 0.28))
        zone += 0.9 * pair(x, y, 1.0, 0.75, 0.22, 0.5)
        zone = np.clip(zone, 0, 1) * f.beard * (1 + plane.noise(0.6, 0.12))
        mix(skin, np.asarray(f.hair) * 0.6 + np.array([60, 62, 66]) * 0.4, np.clip(0.42 * zone, 0, 1))
    skin *= 1 + plane.noise(0.16 * plane.unit, 0.018)[..., None] + plane.noise(0.8, 0.014)[..., None]
    return skin


def paint_ears(plane: Plane, mask: np.ndarray, head: np.ndarray, alpha: np.ndarray) -> None:
    """Paint the ears beside the head, whose mask is given."""
    x, y, f = plane.x, plane.y, plane.face
    centre = 1.15 * f.width
    for side in (-1, 1):
        u = (side * x - centre + 0.05 * (y - 0.12)) / 0.15
        v = (y - 0.2) / (0.36 - 0.06 * step(y, 0.2, 0.5))
        radius = np.sqrt(u**2 + v**2)
        beside = step(1 - radius, -0.06, 0.06) * (1 - mask)
        lit = (
            0.80
            + 0.16 * side * plane.light[0]
            - 0.34 * np.exp(-(((radius - 0.62) / 0.16) ** 2))
            + 0.10 * (radius > 0.75)
        )
        ear = np.asarray(f.skin, np.float32) * np.array([1.0, 0.86, 0.84]) * lit[..., None]
        mix(head, ear, beside)
        np.maximum(alpha, beside, out=alpha)


def paint_nose_and_folds(plane: Plane, head: np.ndarray) -> None:
    """Paint nostrils, the sides of the nose and the folds from there to the mouth."""
    x, y, f = plane.x, plane.y, plane.face
    n = f.nose
    dark = np.zeros(x.shape, np.float32)
    dark += 0.16 * bump(x, y, 0, 0.745, 0.2 * n, 0.05)
    wing = [[(s * n * a, b) for a, b in ((0.245, 0.49), (0.29, 0.57), (0.295, 0.65), (0.25, 0.705))] for s in (-1, 1)]
    dark += 0.30 * blur(plane.strokes(wing, 0.03), 0.022 * plane.unit)
    fold = [[(s * a, b) for a, b in ((0.31 * n, 0.62), (0.42, 0.74), (0.51, 0.92), (0.56, 1.08))] for s in (-1, 1)]
    dark += 0.20 * blur(plane.strokes(fold, 0.05), 0.04 * plane.unit)
    nostril = pair(x, y, 0.115 * n, 0.69, 0.062 * n, 0.026)
    head *= (1 - np.clip(dark, 0, 0.8))[..., None] ** np.array([0.8, 1.05, 1.1])
    mix(head, np.asarray(f.skin) * np.array([0.22, 0.14, 0.12]), np.clip(1.2 * nostril, 0, 0.9))


def paint_brows(plane: Plane, head: np.ndarray) -> None:
    """Paint the brows, hair by hair."""
    f = plane.face
    t = np.linspace(0, 1, 90)
    strokes = np.zeros(plane.x.shape, np.float32)
    for side in (-1, 1):
        hairs = []
        for position in np.repeat(t, 3):
            thick = f.brow * 0.058 * (0.55 + 0.9 * position) * (1 - 0.75 * position**3)
            base_x = 0.22 + 0.62 * position
            base_y = -0.34 - 0.13 * np.sin(np.pi * min(position * 0.80 + 0.02, 1)) + 0.05 * position
            offset = plane.rng.uniform(-1, 1) * thick
            lean = 0.9 - 1.1 * position + plane.rng.normal(scale=0.12)
            length = 0.075 * (0.8 + 0.4 * plane.rng.random())
            x0, y0 = base_x, base_y + offset
            hairs.append([(side * x0, y0), (side * (x0 + length * np.cos(lean)), y0 - length * 0.7 * np.sin(lean))])
        strokes += plane.strokes(hairs, 0.012)
    density = np.clip(blur(np.clip(strokes, 0, 1), 0.012 * plane.unit) * 1.1, 0, 0.82)
    mix(head, np.asarray(f.hair) * 0.7 + np.asarray(f.skin) * 0.06, density)
